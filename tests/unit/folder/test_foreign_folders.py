"""Folders that other implementations wrote: accepted through the pins, opened, merged, and changes of them refused."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import rsa_key

from candado.crypto.mnemonic import open_private_key
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import parse_certificate
from candado.encoding import pem_decode
from candado.errors import (
    BadSignatureError,
    CryptoError,
    FormatError,
    OpenFailedError,
    SignerError,
    UnsupportedVersionError,
)
from candado.folder.filedrop import merge_drops, open_drop
from candado.folder.legacy import open_legacy
from candado.folder.model import (
    Accepted,
    AccountPins,
    Identity,
    NestedPosition,
    PeerPin,
    RawText,
    RootPosition,
)
from candado.folder.opening import accept_metadata
from candado.formats.content import format_content
from candado.formats.legacy import legacy_checksum
from candado.formats.metadata import parse_sealed
from candado.types import FileId, SealedName, SecretText, UserId

NOW = 1_790_000_000.0
ROOT, NESTED = FileId(1), FileId(2)


def load(folder: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return loaded


def private_key(pem: str) -> PrivateKey:
    return PrivateKey.from_pkcs8_der(pem_decode(pem, "PRIVATE KEY"), check=True)


@pytest.fixture
def example(shared_vectors: Path) -> dict[str, Any]:
    return load(shared_vectors, "worked-example-v2")


class Device:
    """A device of one account with its pins."""

    def __init__(self, user: str, key: PrivateKey, certificate_pem: str, authority: PublicKey) -> None:
        self.identity = Identity(UserId(user), key, parse_certificate(certificate_pem))
        self.pins = AccountPins(UserId(user), authority, key.public.fingerprint_hex, {})

    def root(self, document: dict[str, Any], signature: str) -> Accepted:
        return accept_metadata(
            RootPosition(ROOT, owned=True, pin=None),
            RawText(json.dumps(document), signature),
            pins=self.pins,
            identity=self.identity,
            now=NOW,
        )

    def nested(self, root: Accepted, name: str, document: dict[str, Any], signature: str) -> Accepted:
        return accept_metadata(
            NestedPosition(NESTED, SealedName(name), root.folder, root.folder, None),
            RawText(json.dumps(document), signature),
            pins=self.pins,
            identity=self.identity,
            now=NOW,
        )


def example_device(example: dict[str, Any]) -> Device:
    return Device(
        "alice",
        private_key(example["private_key_pem"]),
        example["certificate_pem"],
        PublicKey.from_pem(example["server_public_key_pem"]),
    )


def test_the_worked_example_is_accepted_root_and_nested(example: dict[str, Any]) -> None:
    device = example_device(example)
    root = device.root(example["root"]["document"], example["root"]["signature_base64_der"])
    assert json.loads(format_content(root.folder.content)) == json.loads(example["root"]["inner_json"])
    assert root.folder.metadata_key.reveal() == base64.b64decode(example["metadata_key_base64"])
    name = next(iter(root.folder.folders))
    nested = device.nested(root, name, example["nested"]["document"], example["nested"]["signature_base64_der"])
    expected = json.loads(example["nested"]["inner_json"])
    assert json.loads(format_content(nested.folder.content)) == expected
    assert nested.folder.counter == expected["counter"]


def test_the_drop_of_the_worked_example_is_taken_over(example: dict[str, Any]) -> None:
    device = example_device(example)
    root = device.root(example["root_with_filedrop"], example["root"]["signature_base64_der"])
    inner = json.loads(example["filedrop"]["inner_json"])
    entry = open_drop(root.folder.drops[0], device.identity)
    assert (entry.filename, entry.key.reveal()) == (inner["filename"], base64.b64decode(inner["key"]))
    merged = merge_drops(root.folder, device.identity)
    assert {name: each.filename for name, each in merged.migrated.items()} == {
        example["filedrop"]["identifier"]: "drop (dropped).txt"
    }


def web_device(shared_vectors: Path, user: str, vector: str) -> tuple[Device, dict[str, Any]]:
    root = load(shared_vectors, "metadata-web-root-v2.0")
    keys = load(shared_vectors, vector)
    opened = open_private_key(keys["wrapped"], SecretText(keys["mnemonic"]))
    users = {each["userId"]: each["certificate"] for each in root["document"]["users"]}
    # The key that signed these certificates is not known: both people are pinned, as on a device that met them before.
    device = Device(user, opened.key, users[user], rsa_key("authority").public)
    peers = {
        UserId(name): PeerPin(parse_certificate(pem).public_key.fingerprint_hex, NOW, verified=False)
        for name, pem in users.items()
        if name != user
    }
    device.pins = replace(device.pins, peers=peers)
    return device, root


@pytest.mark.parametrize(
    ("user", "vector"), [("admin", "privkey-web-admin-sha1-1024"), ("alice", "privkey-web-alice-sha1-600000")]
)
def test_a_root_and_its_nested_folder_by_the_desktop_app_are_accepted_by_both_members(
    shared_vectors: Path, user: str, vector: str
) -> None:
    device, vectors = web_device(shared_vectors, user, vector)
    root = device.root(vectors["document"], vectors["signature_base64_der"])
    assert (root.folder.signer, root.folder.counter) == ("admin", 5)
    assert [entry.filename for entry in root.folder.files.values()] == ["test.txt"]
    assert {event.code for event in root.events} == {"cert.untrusted", "fresh.unanchored"}
    sub = load(shared_vectors, "metadata-web-nested-v2.0")
    name = next(iter(root.folder.folders))
    nested = device.nested(root, name, sub["document"], sub["signature_base64_der"])
    assert {entry.filename for entry in nested.folder.files.values()} == {
        "07-09-2018 11.40.15.jpg",
        "subtest.txt",
        "test.txt",
    }


def test_each_change_that_the_vectors_name_is_refused(shared_vectors: Path) -> None:
    device, vectors = web_device(shared_vectors, "admin", "privkey-web-admin-sha1-1024")
    document, signature = vectors["document"], vectors["signature_base64_der"]
    with pytest.raises(SignerError):
        device.root(document, base64.b64encode(base64.b64decode(signature)[:-9]).decode())
    with pytest.raises(UnsupportedVersionError):
        device.root({**document, "version": "1.0"}, signature)
    other = load(shared_vectors, "metadata-web-nested-v2.0")["signature_base64_der"]
    with pytest.raises(SignerError):
        device.root(document, other)
    dropped = device.root({**document, "filedrop": {"x": {}}}, signature)
    assert dropped.pin == device.root(document, signature).pin
    with pytest.raises(UnsupportedVersionError):
        parse_sealed(json.dumps(load(shared_vectors, "metadata-desktop-v1.2-filedrop")["document"]))


# --- the old format ---------------------------------------------------------------------------------------


def test_a_folder_of_the_old_format_is_opened_with_its_drop(shared_vectors: Path) -> None:
    vector = load(shared_vectors, "metadata-desktop-v1.2-filedrop")
    opened = open_legacy(json.dumps(vector["document"]), private_key(vector["private_key_pem"]), None)
    shown = {
        name: {
            "filename": entry.filename,
            "key": base64.b64encode(entry.key.reveal()).decode(),
            "mimetype": entry.mimetype,
        }
        for name, entry in opened.files.items()
    }
    assert shown == vector["expect"]["files"]
    assert {name: entry.filename for name, entry in opened.drops.items()} == {
        name: each["inner"]["filename"] for name, each in vector["expect"]["filedrop"].items()
    }
    assert (opened.version, dict(opened.folders), opened.skipped, opened.checksum_verified) == ("1.2", {}, (), False)


def test_an_old_folder_does_not_open_with_another_key(shared_vectors: Path) -> None:
    vector = load(shared_vectors, "metadata-desktop-v1.2-filedrop")
    with pytest.raises(OpenFailedError):
        open_legacy(json.dumps(vector["document"]), rsa_key("mallory"), None)


def test_the_checksum_of_an_old_folder_is_compared_with_the_words(shared_vectors: Path) -> None:
    vector = load(shared_vectors, "metadata-desktop-v1.2-filedrop")
    words = SecretText("Some words that nobody checks")
    document = vector["document"]
    names = [*document["files"]]
    checksum = legacy_checksum("somewordsthatnobodychecks", names, document["metadata"]["metadataKey"])
    document["metadata"]["checksum"] = checksum
    key = private_key(vector["private_key_pem"])
    assert open_legacy(json.dumps(document), key, words).checksum_verified
    for changed in (
        {**document, "files": dict(list(document["files"].items())[1:])},
        {**document, "metadata": {**document["metadata"], "checksum": "00" * 32}},
        {**document, "metadata": {k: v for k, v in document["metadata"].items() if k != "checksum"}},
    ):
        with pytest.raises(BadSignatureError):
            open_legacy(json.dumps(changed), key, words)


def test_bad_entries_of_an_old_folder_are_isolated(shared_vectors: Path) -> None:
    vector = load(shared_vectors, "metadata-desktop-v1.2-filedrop")
    document, key = vector["document"], private_key(vector["private_key_pem"])
    names = sorted(document["files"])
    sealed = document["files"][names[0]]["encrypted"]
    document["files"][names[0]]["encrypted"] = ("B" if sealed[0] == "A" else "A") + sealed[1:]
    document["files"][names[1]]["metadataKey"] = 7
    document["files"]["bad name"] = document["files"][names[2]]
    drop = next(iter(document["filedrop"]))
    document["filedrop"][drop]["encryptedKey"] = base64.b64encode(b"\x01" * 256).decode()
    opened = open_legacy(json.dumps(document), key, None)
    assert list(opened.files) == [names[2]]
    assert dict(opened.drops) == {}
    assert {name for name, _ in opened.skipped} == {names[0], names[1], "bad name", drop}
    del document["files"]
    assert dict(open_legacy(json.dumps(document), key, None).files) == {}
    with pytest.raises(BadSignatureError):
        open_legacy(json.dumps(document), key, SecretText("x"))


def test_a_new_document_is_not_opened_as_an_old_one(example: dict[str, Any]) -> None:
    with pytest.raises((FormatError, CryptoError)):
        open_legacy(json.dumps(example["root"]["document"]), rsa_key("alice"), None)

"""The old format, from documents made here: keys by index, folders among the files, double base64, the checksum."""

import base64
import json
from typing import Any

import pytest
from tests.sim import rsa_key

from candado.crypto.aead import seal
from candado.encoding import encode_b64
from candado.errors import BadSignatureError, OpenFailedError, UnsupportedVersionError
from candado.folder.legacy import open_legacy
from candado.formats.legacy import legacy_checksum
from candado.types import SecretText

KEYS = [bytes([number]) * 16 for number in (1, 2)]
FILE_KEY = b"f" * 16
NONCE, TAG = bytes(12), bytes(16)


def wrapped(key: bytes, layers: int = 2) -> str:
    text = key
    for _ in range(layers):
        text = base64.b64encode(text)
    return encode_b64(rsa_key("alice").public.encrypt_oaep(text))


def sealed(key: bytes, name: str, mimetype: str = "text/plain") -> str:
    inner = json.dumps({"filename": name, "key": encode_b64(FILE_KEY), "mimetype": mimetype})
    return f"{encode_b64(seal(key, b'n' * 12, base64.b64encode(inner.encode())))}|{encode_b64(b'n' * 12)}"


def entry(key: bytes, name: str, mimetype: str = "text/plain", **more: Any) -> dict[str, Any]:
    return {
        "encrypted": sealed(key, name, mimetype),
        "initializationVector": encode_b64(NONCE),
        "authenticationTag": encode_b64(TAG),
        **more,
    }


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("version", ["1.1", 1.1, "1.2", 1.2])
def test_files_and_folders_are_told_apart_by_their_type(layers: int, version: str | float) -> None:
    document = {
        "metadata": {"metadataKey": wrapped(KEYS[0], layers), "version": version},
        "files": {"a" * 20: entry(KEYS[0], "a.txt"), "b" * 20: entry(KEYS[0], "sub", "httpd/unix-directory")},
    }
    opened = open_legacy(json.dumps(document), rsa_key("alice"), None)
    assert {name: each.filename for name, each in opened.files.items()} == {"a" * 20: "a.txt"}
    assert dict(opened.folders) == {"b" * 20: "sub"}
    assert opened.files[next(iter(opened.files))].key.reveal() == FILE_KEY
    assert not opened.checksum_verified


def test_an_entry_names_the_key_it_was_sealed_under() -> None:
    document = {
        "metadata": {"metadataKeys": {"0": wrapped(KEYS[0]), "1": wrapped(KEYS[1])}, "version": 1},
        "files": {
            "a" * 20: entry(KEYS[0], "old.txt", metadataKey=0),
            "b" * 20: entry(KEYS[1], "new.txt", metadataKey=1),
            "c" * 20: entry(KEYS[1], "current.txt"),
            "d" * 20: entry(KEYS[1], "nowhere.txt", metadataKey=2),
            "e" * 20: entry(KEYS[1], "other.txt", metadataKey=0),
        },
    }
    opened = open_legacy(json.dumps(document), rsa_key("alice"), None)
    assert {each.filename for each in opened.files.values()} == {"old.txt", "new.txt", "current.txt"}
    assert {name[0] for name, _ in opened.skipped} == {"d", "e"}


def test_a_drop_brings_its_own_key_and_a_bad_one_is_isolated() -> None:
    drop = entry(KEYS[1], "dropped.txt", encryptedKey=wrapped(KEYS[1]))
    document = {
        "metadata": {"metadataKey": wrapped(KEYS[0]), "version": "1.2"},
        "files": {},
        "filedrop": {"a" * 32: drop, "b" * 32: {**drop, "encryptedKey": wrapped(KEYS[0])}},
    }
    opened = open_legacy(json.dumps(document), rsa_key("alice"), None)
    assert {name: each.filename for name, each in opened.drops.items()} == {"a" * 32: "dropped.txt"}
    assert [name for name, _ in opened.skipped] == ["b" * 32]


@pytest.mark.parametrize("files", [{"a" * 20: None}, {}, None])
def test_the_checksum_of_1_2_binds_words_files_and_key(files: dict[str, None] | None) -> None:
    key = wrapped(KEYS[0])
    names = list(files or {})
    document: dict[str, Any] = {
        "metadata": {
            "metadataKey": key,
            "version": "1.2",
            "checksum": legacy_checksum("onetwo", names, key).upper(),
        }
    }
    if files is not None:
        document["files"] = {name: entry(KEYS[0], "a.txt") for name in names}
    assert open_legacy(json.dumps(document), rsa_key("alice"), SecretText("One  two\n")).checksum_verified
    with pytest.raises(BadSignatureError):
        open_legacy(json.dumps(document), rsa_key("alice"), SecretText("one three"))
    document["files"] = {**document.get("files", {}), "z" * 20: entry(KEYS[0], "evil.txt")}
    with pytest.raises(BadSignatureError):
        open_legacy(json.dumps(document), rsa_key("alice"), SecretText("one two"))


def test_words_do_not_verify_a_version_without_a_checksum() -> None:
    document = {"metadata": {"metadataKey": wrapped(KEYS[0]), "version": "1.1"}, "files": {}}
    assert not open_legacy(json.dumps(document), rsa_key("alice"), SecretText("one")).checksum_verified


def test_another_key_or_another_version_opens_nothing() -> None:
    document = {"metadata": {"metadataKey": wrapped(KEYS[0]), "version": "1.1"}, "files": {}}
    with pytest.raises(OpenFailedError):
        open_legacy(json.dumps(document), rsa_key("bob"), None)
    with pytest.raises(UnsupportedVersionError):
        open_legacy(json.dumps({**document, "version": "2.0"}), rsa_key("alice"), None)

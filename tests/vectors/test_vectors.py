"""Every vector gives what it says; the generators give exactly the files that are here."""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from candado import errors
from candado.client.recoverykey import key_of_sheets, read_sheets
from candado.crypto import cms, filebody, mnemonic, x509
from candado.formats import canonjson, dav, metadata
from candado.types import FileKey, Nonce, SecretText, UserId
from tests.vectors.keys import private_key
from tests.vectors.vectorfile import FOLDER, TOPICS, Vector, parse_vector

VECTORS = sorted(FOLDER.glob("*/*.txt"))


def run_metadata(vector: Vector) -> None:
    sealed = metadata.parse_sealed(vector.payload.decode())
    users = "none" if sealed.users is None else ",".join(user.user_id for user in sealed.users) or "empty"
    drops = ",".join(drop.sealed_name for drop in sealed.drops) or "-"
    assert vector.fields["summary"] == f"{sealed.version} {users} {drops} {','.join(sealed.bad_drops) or '-'}"
    again = metadata.format_sealed(
        sealed.version, sealed.block, sealed.users, {drop.sealed_name: drop.raw for drop in sealed.drops}
    )
    assert metadata.parse_sealed(again[0]).document == again[1]
    assert metadata.parse_sealed(again[0]).block == sealed.block


def run_inner(vector: Vector) -> None:
    content = metadata.parse_content(vector.payload)
    summary = f"{content.counter} {len(content.files)} {len(content.folders)} {len(content.skipped)}"
    assert vector.fields["summary"] == summary
    written = metadata.format_content(content)
    again = metadata.parse_content(written)
    assert metadata.format_content(again) == written
    assert (again.counter, again.folders, again.skipped, again.extra) == (
        content.counter,
        content.folders,
        content.skipped,
        content.extra,
    )


def run_cms(vector: Vector) -> None:
    candidates = {UserId(name): [private_key(name).public] for name in vector.fields["candidates"].split()}
    signer = cms.verify_detached(vector.payload, vector.fields["content"].encode(), candidates)
    assert signer == vector.fields["signer"]


def run_certificate(vector: Vector) -> None:
    certificate = x509.parse_certificate(vector.payload.decode())
    user = UserId(vector.fields["user"].encode().decode("unicode_escape"))
    authority = private_key("authority").public
    assert x509.check_certificate(certificate, user_id=user, authority=authority, now=1.8e9) == []


def run_keybundle(vector: Vector) -> None:
    opened = mnemonic.open_private_key(vector.payload.decode(), SecretText(vector.fields["words"]))
    assert opened.key.public.fingerprint_hex == vector.fields["fingerprint"]


def run_body(vector: Vector) -> None:
    key, nonce = (bytes.fromhex(vector.fields.get(name, "")) for name in ("key", "nonce"))
    filebody.plain_size(len(vector.payload))
    plain = filebody.open_body(FileKey(key), Nonce(nonce), vector.payload)
    assert sha256(plain).hexdigest() == vector.fields["plaintext sha256"]


def run_canonjson(vector: Vector) -> None:
    document = canonjson.load_json(vector.payload, bytes_max=10_000)
    assert isinstance(document, dict)
    assert canonjson.document_digest(document) == vector.fields["digest"]


def run_dav(vector: Vector) -> None:
    nodes = dav.parse_multistatus(vector.payload, root_href=vector.fields["root"])
    paths = vector.fields["paths"].split() if vector.fields["paths"] else []
    assert [node.href_path for node in nodes] == [path.encode().decode("unicode_escape") for path in paths]


def run_recovery(vector: Vector) -> None:
    key = key_of_sheets(read_sheets([("vector", vector.payload.decode())]), None)
    assert key.public.fingerprint_hex == vector.fields["fingerprint"]


RUN: dict[str, Callable[[Vector], None]] = {
    "metadata": run_metadata, "inner": run_inner, "cms": run_cms, "certificate": run_certificate,
    "keybundle": run_keybundle, "body": run_body, "canonjson": run_canonjson, "dav": run_dav, "recovery": run_recovery,
}  # fmt: skip


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_vector_gives_what_it_says(path: Path) -> None:
    vector = parse_vector(path.read_text("ascii"))
    if vector.expect == "ok":
        RUN[path.parent.name](vector)
        return
    with pytest.raises(errors.CandadoError) as caught:
        RUN[path.parent.name](vector)
    assert type(caught.value).__name__ == vector.expect


@pytest.mark.parametrize("topic", TOPICS)
def test_the_generator_gives_exactly_these_files(topic: str) -> None:
    module: Any = import_module(f"tests.vectors.make_{topic}")
    made = dict(module.cases())
    here = {path.stem: path.read_text("ascii") for path in (FOLDER / topic).glob("*.txt")}
    assert sorted(made) == sorted(here)
    assert {name for name in made if made[name] != here[name]} == set()


@pytest.mark.parametrize("topic", TOPICS)
def test_failing_vectors_outnumber_good_ones(topic: str) -> None:
    count = Counter(parse_vector(path.read_text("ascii")).expect == "ok" for path in (FOLDER / topic).glob("*.txt"))
    assert count[False] > count[True] > 0

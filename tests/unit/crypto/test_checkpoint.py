"""Checkpoints: what the authority signs, who reads it, and what is refused."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from tests.vectors.keys import private_key

from candado.crypto import checkpoint
from candado.crypto.checkpoint import Checkpoint
from candado.errors import BadSignatureError, FormatError, LimitExceededError, MalformedError

AUTHORITY, MALLORY = private_key("authority"), private_key("mallory")
SALT = bytes(range(32))
ORIGIN = "candado.audit/" + hashlib.sha256(b"candado audit log\n" + SALT).hexdigest()
POINT = Checkpoint(ORIGIN, 20852163, bytes(range(32)))
TEXT = f"{ORIGIN}\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


def _note(point: Checkpoint = POINT) -> str:
    return checkpoint.assemble_checkpoint(
        point, AUTHORITY.public, AUTHORITY.sign_pkcs1_sha256(checkpoint.checkpoint_to_sign(point))
    )


def _signed(text: str) -> str:
    """A note with any text, rightly signed."""
    name = text.split("\n", maxsplit=1)[0]
    key_id = hashlib.sha256(
        name.encode() + b"\n\xffcandado.audit/rsa-pkcs1-sha256\n" + AUTHORITY.public.spki_der
    ).digest()[:4]
    sealed = base64.b64encode(key_id + AUTHORITY.sign_pkcs1_sha256(text.encode())).decode()
    return f"{text}\n— {name} {sealed}\n"


def test_a_checkpoint_is_the_note_that_the_specification_shows() -> None:
    note = _note()
    assert checkpoint.origin_of(SALT) == ORIGIN
    assert checkpoint.checkpoint_to_sign(POINT) == TEXT.encode()
    assert note == _signed(TEXT)
    assert checkpoint.open_checkpoint(note, AUTHORITY.public) == POINT
    assert checkpoint.open_checkpoint(note, AUTHORITY.public, origin=ORIGIN) == POINT


def test_another_library_verifies_the_signature() -> None:
    text, _, line = _note().rpartition("\n\n")
    signature = base64.b64decode(line.split(" ")[2])[4:]
    key = load_pem_public_key(AUTHORITY.public.to_pem().encode())
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, (text + "\n").encode(), padding.PKCS1v15(), hashes.SHA256())


def test_lines_of_others_and_extensions_are_passed_over() -> None:
    witness = "— witness.example/w " + base64.b64encode(b"\x01\x02\x03\x04signature").decode() + "\n"
    note = _note()
    text, _, ours = note.rpartition("\n\n")
    assert checkpoint.open_checkpoint(f"{text}\n\n{witness}{ours}", AUTHORITY.public) == POINT
    assert checkpoint.open_checkpoint(_signed(TEXT + "an extension\nand another\n"), AUTHORITY.public) == POINT
    same_name = f"— {ORIGIN} " + base64.b64encode(b"\x00\x00\x00\x00signature").decode() + "\n"
    assert checkpoint.open_checkpoint(f"{text}\n\n{same_name}{ours}", AUTHORITY.public) == POINT


def test_what_the_authority_did_not_sign_is_refused() -> None:
    note = _note()
    text, _, line = note.rpartition("\n\n")
    raw = base64.b64decode(line.split(" ")[2])
    spoilt = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    for bad in (
        note.replace("20852163", "20852164"),
        f"{text}\n\n— {ORIGIN} {spoilt}\n",
        note + f"— {ORIGIN} {spoilt}\n",
        f"{text}\n\n— other.example {line.split(' ')[2]}",
    ):
        with pytest.raises(BadSignatureError):
            checkpoint.open_checkpoint(bad, AUTHORITY.public)
    with pytest.raises(BadSignatureError):
        checkpoint.open_checkpoint(note, MALLORY.public)
    with pytest.raises(BadSignatureError):
        checkpoint.open_checkpoint(note, AUTHORITY.public, origin=ORIGIN[:-1] + "0")


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n5\n",
        f"{ORIGIN}\n05\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        f"{ORIGIN}\n-5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        f"{ORIGIN}\n5\nAAECAwQF\n",
        f"{ORIGIN}\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
        f"{ORIGIN}\n5\n\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "other.example\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        TEXT.replace("2085", "\u0662085"),
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        checkpoint.open_checkpoint(_signed(text), AUTHORITY.public)


def test_a_size_beyond_our_numbers_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        checkpoint.open_checkpoint(_signed(TEXT.replace("20852163", "9007199254740992")), AUTHORITY.public)


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        _note()[:-1],
        _note().replace("\n", "\r\n"),
        _note().replace("— ", "- "),
        _note() + "— a AAAAAA==\n",
        _note() + "— a b c\n",
        _note() + "— a+b AAAAAAAA\n",
        _note() + "— a AAAAAAAB=\n",
        _note() + "\ud800\n",
        _note() + "\x00\n",
    ],
)
def test_a_text_that_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(FormatError):
        checkpoint.open_checkpoint(note, AUTHORITY.public)


def test_a_note_has_limits() -> None:
    line = "— a AAAAAAAA\n"
    assert checkpoint.open_checkpoint(_note() + line * 15, AUTHORITY.public) == POINT
    with pytest.raises(LimitExceededError):
        checkpoint.open_checkpoint(_note() + line * 16, AUTHORITY.public)
    with pytest.raises(LimitExceededError):
        checkpoint.open_checkpoint(_signed(TEXT + "x" * 65536 + "\n"), AUTHORITY.public)

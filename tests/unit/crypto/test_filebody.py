"""File bodies, whole and in pieces."""

import tracemalloc
from hashlib import sha256

import pytest

from candado.crypto import filebody
from candado.crypto.filebody import BodyOpener, BodySealer
from candado.errors import LimitExceededError, MalformedError, MisuseError, OpenFailedError
from candado.types import FileKey, Nonce

KEY = FileKey(sha256(b"k").digest()[:16])
NONCE = Nonce(sha256(b"n").digest()[:12])
PLAIN = sha256(b"p").digest() * 9
BODY = filebody.seal_body(KEY, NONCE, PLAIN)


def open_in_pieces(body: bytes, size: int, *, announced: int | None = None) -> bytes:
    opener = BodyOpener(KEY, NONCE, len(body) if announced is None else announced)
    out, plain = bytearray(max(size, 1)), b""
    for at in range(0, len(body), size):
        count = opener.update_into(memoryview(body)[at : at + size], out)
        plain += out[:count]
    opener.finish()
    return plain


@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 288, 303, 304, 1000])
def test_pieces_give_the_same_as_the_whole(size: int) -> None:
    sealer, out, sealed = BodySealer(KEY, NONCE), bytearray(size), b""
    for at in range(0, len(PLAIN), size):
        count = sealer.update_into(PLAIN[at : at + size], out)
        sealed += out[:count]
    assert sealed + sealer.finish() == BODY
    assert open_in_pieces(BODY, size) == PLAIN == filebody.open_body(KEY, NONCE, BODY)


def test_a_buffer_can_be_sealed_and_opened_in_place() -> None:
    buffer = bytearray(PLAIN)
    sealer = BodySealer(KEY, NONCE)
    assert sealer.update_into(memoryview(buffer), buffer) == len(PLAIN)
    assert bytes(buffer) + sealer.finish() == BODY


def test_an_empty_file_is_its_tag() -> None:
    body = filebody.seal_body(KEY, NONCE, b"")
    assert len(body) == filebody.BODY_OVERHEAD_BYTES
    assert body == BodySealer(KEY, NONCE).finish()
    assert open_in_pieces(body, 5) == b""


@pytest.mark.parametrize("at", [0, 143, 287, 288, 303])
def test_no_altered_body_finishes(at: int) -> None:
    bad = bytearray(BODY)
    bad[at] ^= 128
    with pytest.raises(OpenFailedError):
        open_in_pieces(bytes(bad), 100)


def test_a_body_that_is_shorter_or_longer_than_announced_does_not_finish() -> None:
    for body, announced in (
        (BODY[:-1], len(BODY)),
        (BODY[:200], len(BODY)),
        (BODY, len(BODY) - 1),
        (BODY + b"\0", len(BODY)),
    ):
        with pytest.raises(OpenFailedError):
            open_in_pieces(body, 100, announced=announced)


def test_more_bytes_than_announced_are_refused_when_they_come() -> None:
    opener = BodyOpener(KEY, NONCE, len(BODY))
    opener.update_into(BODY, bytearray(len(BODY)))
    with pytest.raises(OpenFailedError, match="longer than announced"):
        opener.update_into(b"x", bytearray(1))


def test_a_spent_object_and_a_small_buffer_are_misuse() -> None:
    sealer, opener = BodySealer(KEY, NONCE), BodyOpener(KEY, NONCE, 16)
    with pytest.raises(MisuseError):
        sealer.update_into(b"ab", bytearray(1))
    with pytest.raises(MisuseError):
        opener.update_into(b"ab", bytearray(1))
    opener.update_into(sealer.finish(), bytearray(16))
    opener.finish()
    with pytest.raises(MisuseError):
        sealer.finish()
    with pytest.raises(MisuseError):
        opener.finish()
    with pytest.raises(MisuseError):
        sealer.update_into(b"", bytearray(1))
    with pytest.raises(MisuseError):
        opener.update_into(b"", bytearray(1))


def test_sizes_are_bounded_by_what_one_message_can_hold() -> None:
    largest = filebody.BODY_PLAIN_BYTES_MAX
    assert filebody.plain_size(filebody.sealed_size(largest)) == largest == 2**36 - 32
    with pytest.raises(LimitExceededError):
        filebody.sealed_size(largest + 1)
    with pytest.raises(LimitExceededError):
        filebody.plain_size(largest + 17)
    with pytest.raises(MalformedError):
        BodyOpener(KEY, NONCE, 15)


def test_beyond_a_limit_nothing_is_sealed_or_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filebody, "ONE_CALL_BYTES_MAX", 10)
    monkeypatch.setattr(filebody, "BODY_PLAIN_BYTES_MAX", 10)
    with pytest.raises(LimitExceededError):
        filebody.seal_body(KEY, NONCE, bytes(11))
    with pytest.raises(LimitExceededError):
        filebody.open_body(KEY, NONCE, bytes(27))
    sealer = BodySealer(KEY, NONCE)
    sealer.update_into(bytes(10), bytearray(10))
    with pytest.raises(LimitExceededError):
        sealer.update_into(b"x", bytearray(1))


def test_memory_does_not_grow_with_the_body() -> None:
    piece, out = memoryview(bytes(65_536)), bytearray(65_536)
    sealer = BodySealer(KEY, NONCE)
    tracemalloc.start()
    for _ in range(64):
        sealer.update_into(piece, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 65_536

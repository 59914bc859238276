"""Inner documents: compressed, sealed, and unpacked within limits."""

import gzip
import zlib

import pytest

from candado.crypto import aead, sealing
from candado.crypto.sealing import SealedParts
from candado.errors import LimitExceededError, MisuseError, OpenFailedError
from candado.types import MetadataKey, Nonce, Tag

KEY = MetadataKey(bytes(range(16)))
NONCE = Nonce(bytes(12))


def sealed(packed: bytes) -> SealedParts:
    body = aead.seal(KEY.reveal(), NONCE, packed)
    return SealedParts(body, NONCE, Tag(body[-16:]))


def test_a_text_comes_back_and_is_the_same_every_time() -> None:
    parts = sealing.seal_text(KEY, NONCE, b"text" * 100)
    assert parts == sealing.seal_text(KEY.reveal(), NONCE, b"text" * 100)
    assert sealing.open_text(KEY.reveal(), parts) == b"text" * 100 == sealing.open_text(KEY, parts)
    assert parts.tag == parts.ciphertext[-16:]
    assert gzip.decompress(aead.open_sealed(KEY.reveal(), NONCE, parts.ciphertext)) == b"text" * 100


def test_an_empty_text_comes_back() -> None:
    assert sealing.open_text(KEY, sealing.seal_text(KEY, NONCE, b"")) == b""


def test_the_two_tags_must_agree() -> None:
    parts = sealing.seal_text(KEY, NONCE, b"text")
    with pytest.raises(OpenFailedError, match="the two tags"):
        sealing.open_text(KEY, SealedParts(parts.ciphertext, NONCE, Tag(bytes(16))))


def test_a_ciphertext_shorter_than_a_tag_does_not_open() -> None:
    with pytest.raises(OpenFailedError):
        sealing.open_text(KEY, SealedParts(b"abc", NONCE, Tag(bytes(16))))


def test_another_key_does_not_open() -> None:
    with pytest.raises(OpenFailedError):
        sealing.open_text(MetadataKey(bytes(16)), sealing.seal_text(KEY, NONCE, b"text"))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"text",
        zlib.compress(b"text"),
        gzip.compress(b"text")[:-1],
        gzip.compress(b"text")[:-8],
        gzip.compress(b"text") + b"\0",
        gzip.compress(b"text") + gzip.compress(b"more"),
        gzip.compress(b"text")[:-8] + bytes(8),
    ],
    ids=["nothing", "plain", "zlib", "cut", "no trailer", "byte after", "two members", "wrong checksum"],
)
def test_only_exactly_one_whole_gzip_member_opens(packed: bytes) -> None:
    with pytest.raises(OpenFailedError):
        sealing.open_text(KEY, sealed(packed))


def test_any_gzip_header_opens() -> None:
    member = gzip.compress(b"text", mtime=1_700_000_000)
    named = member[:3] + b"\x08" + member[4:10] + b"name\0" + member[10:]
    assert sealing.open_text(KEY, sealed(named)) == b"text"


def test_a_bomb_is_stopped_by_its_ratio() -> None:
    bomb = gzip.compress(bytes(60 * 1024 * 1024))
    with pytest.raises(LimitExceededError):
        sealing.open_text(KEY, sealed(bomb))
    assert len(sealing.open_text(KEY, sealed(gzip.compress(bytes(65_536))))) == 65_536


def test_the_largest_text_is_bounded_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "TEXT_BYTES_MAX", 10)
    with pytest.raises(LimitExceededError):
        sealing.seal_text(KEY, NONCE, bytes(11))
    with pytest.raises(LimitExceededError):
        sealing.open_text(KEY, sealed(gzip.compress(bytes(11))))


def test_a_key_of_another_size_is_misuse() -> None:
    with pytest.raises(MisuseError):
        sealing.seal_text(bytes(32), NONCE, b"")

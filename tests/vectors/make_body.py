"""Vectors of file bodies. Run: python -m tests.vectors.make_body"""

from collections.abc import Iterator
from hashlib import sha256

from candado.crypto.filebody import seal_body
from candado.types import FileKey, Nonce
from tests.vectors.vectorfile import format_vector, write

SOURCE = "protocol document, section 7; threat model, A52 and A55"


def cases() -> Iterator[tuple[str, str]]:
    key, nonce = sha256(b"body key").digest()[:16], sha256(b"body nonce").digest()
    plain = bytes(range(48))
    body = seal_body(FileKey(key), Nonce(nonce[:12]), plain)
    long_body = seal_body(FileKey(key), Nonce(nonce[:16]), plain)

    def case(
        name: str, expect: str, comment: str, payload: bytes, used_key: bytes = key, used_nonce: bytes = nonce[:12]
    ) -> tuple[str, str]:
        return name, format_vector(
            expect=expect, source=SOURCE, comment=comment, payload=payload, key=used_key.hex(), nonce=used_nonce.hex(),
            plaintext_sha256=sha256(plain).hexdigest() if payload not in (empty, b"") else sha256(b"").hexdigest(),
        )  # fmt: skip

    empty = seal_body(FileKey(key), Nonce(nonce[:12]), b"")
    flipped = {
        "first_bit_of_text": 0, "last_bit_of_text": 47 * 8 + 7, "first_bit_of_tag": 48 * 8, "last_bit_of_tag": 64 * 8 - 1,
    }  # fmt: skip
    yield case("three_blocks", "ok", "nonce of 12 bytes", body)
    yield case(
        "long_nonce", "ok", "nonce of 16 bytes, as phone and desktop clients write it", long_body, used_nonce=nonce[:16]
    )
    yield case("empty", "ok", "an empty file is its tag", empty)
    for name, bit in flipped.items():
        bad = bytearray(body)
        bad[bit // 8] ^= 0x80 >> bit % 8
        yield case(f"flip_{name}", "OpenFailedError", "one bit turned over", bytes(bad))
    for size in (0, 1, 15, 16, 63):
        error = "MalformedError" if size < 16 else "OpenFailedError"
        yield case(f"cut_to_{size}", error, f"cut to {size} of 64 bytes", body[:size])
    yield case("extended", "OpenFailedError", "one byte appended", body + b"\0")
    yield case("blocks_exchanged", "OpenFailedError", "two blocks exchanged", body[16:32] + body[:16] + body[32:])
    yield case("other_key", "OpenFailedError", "the key of another version", body, used_key=bytes(16))
    yield case("other_nonce", "OpenFailedError", "the nonce of another version", body, used_nonce=bytes(12))
    yield case("short_key", "MalformedError", "a key of 15 bytes", body, used_key=key[:15])
    yield case("long_key", "MalformedError", "a key of 32 bytes", body, used_key=key * 2)
    for size in (0, 8, 11, 13, 17):
        yield case(f"nonce_of_{size}", "MalformedError", f"a nonce of {size} bytes", body, used_nonce=nonce[:size])


if __name__ == "__main__":
    write("body", cases)

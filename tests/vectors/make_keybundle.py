"""Vectors of the stored private key. Run: python -m tests.vectors.make_keybundle"""

import base64
import hashlib
from collections.abc import Iterator

from candado.crypto import aead
from candado.encoding import WrappedKey, encode_b64, join_wrapped, pem_encode
from candado.types import Nonce
from tests.vectors.keys import private_key
from tests.vectors.vectorfile import format_vector, write

SOURCE = "protocol document, section 3; threat model, A09 to A12"
WORDS = "canal ripple velvet ocean topic jaguar merit salon guitar laptop wagon fabric"
SALT = hashlib.sha512(b"salt").digest()[:40]
NONCE = hashlib.sha256(b"nonce").digest()[:16]


def bundle(inner: bytes, hash_name: str, iterations: int, nonce: bytes) -> WrappedKey:
    key = hashlib.pbkdf2_hmac(hash_name, WORDS.replace(" ", "").encode(), SALT, iterations, 32)
    return WrappedKey(aead.seal(key, nonce, inner), Nonce(nonce), SALT)


def cases() -> Iterator[tuple[str, str]]:
    pkcs8 = private_key("alice").to_pkcs8_der()
    pem = pem_encode("PRIVATE KEY", pkcs8)
    inner = encode_b64(pem.encode()).encode()
    weak = ("sha1", 1024, NONCE[:12])
    plain = join_wrapped(bundle(inner, *weak))
    a, b, c = plain.split("|")
    body = encode_b64(pkcs8)
    wide = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(body[at : at + 65] for at in range(0, len(body), 65))
    damaged = bytearray(pkcs8)
    damaged[-40] ^= 1

    def case(name: str, expect: str, comment: str, text: str, words: str = WORDS) -> tuple[str, str]:
        return name, format_vector(
            expect=expect, source=SOURCE, comment=comment, payload=text.encode(), words=words,
            fingerprint=private_key("alice").public.fingerprint_hex,
        )  # fmt: skip

    yield case("current", "ok", "SHA-256, 600,000", join_wrapped(bundle(inner, "sha256", 600_000, NONCE[:12])))
    yield case("before_2023", "ok", "SHA-1, 1,024", plain)
    yield case("transition", "ok", "SHA-1, 600,000", join_wrapped(bundle(inner, "sha1", 600_000, NONCE[:12])))
    yield case("long_nonce", "ok", "nonce of 16 bytes", join_wrapped(bundle(inner, "sha1", 1024, NONCE)))
    yield case("old_separator", "ok", "fields joined by base64 of |", plain.replace("|", "fA=="))
    yield case(
        "numbered_words",
        "ok",
        "words as a person pastes them",
        plain,
        " ".join(f"{n}. {w.upper()}" for n, w in enumerate(WORDS.split(), 1)),
    )
    yield case(
        "pem_65_columns",
        "ok",
        "65 columns, no final newline",
        join_wrapped(bundle(encode_b64((wide + "\n-----END PRIVATE KEY-----").encode()).encode(), *weak)),
    )
    yield case(
        "inner_with_line_breaks",
        "ok",
        "inner base64 in lines",
        join_wrapped(bundle(base64.encodebytes(pem.encode()), *weak)),
    )
    yield case("wrong_word", "WrongMnemonicError", "one word differs", plain, WORDS.replace("ocean", "oceans"))
    yield case(
        "words_in_another_order",
        "WrongMnemonicError",
        "two words exchanged",
        plain,
        WORDS.replace("canal ripple", "ripple canal"),
    )
    yield case(
        "altered",
        "WrongMnemonicError",
        "one bit of the ciphertext differs",
        f"{'A' if a[0] != 'A' else 'B'}{a[1:]}|{b}|{c}",
    )
    yield case("fields_exchanged", "MalformedError", "nonce and salt exchanged", f"{a}|{c}|{b}")
    yield case("two_fields", "MalformedError", "the salt is missing", f"{a}|{b}")
    yield case("four_fields", "MalformedError", "a field too many", f"{plain}|{c}")
    yield case("short_salt", "MalformedError", "salt of 39 bytes", f"{a}|{b}|{encode_b64(SALT[:39])}")
    yield case("nonce_of_11", "MalformedError", "nonce of 11 bytes", f"{a}|{encode_b64(NONCE[:11])}|{c}")
    yield case("no_ciphertext", "MalformedError", "tag without ciphertext", f"{encode_b64(bytes(16))}|{b}|{c}")
    yield case("line_break_in_base64", "MalformedError", "base64 with a newline", f"{a[:64]}\n{a[64:]}|{b}|{c}")
    yield case("unused_bits", "MalformedError", "base64 whose unused bits are not zero", f"{a}|{b}|{c[:-3]}x==")
    yield case("old_separator_without_salt", "MalformedError", "too short for any reading", a + "fA==" + b)
    yield case("nothing", "MalformedError", "empty text", "")
    yield case("too_long", "LimitExceededError", "more than 32 Ki characters", "A" * 33_000)
    yield case(
        "inner_is_der",
        "MalformedError",
        "the words fit, inside is DER instead of PEM",
        join_wrapped(bundle(pkcs8, *weak)),
    )
    yield case(
        "inner_is_pem",
        "MalformedError",
        "the words fit, inside is PEM not in base64",
        join_wrapped(bundle(pem.encode(), *weak)),
    )
    yield case(
        "inconsistent_key",
        "MalformedError",
        "the words fit, the coefficient of the key does not",
        join_wrapped(bundle(encode_b64(pem_encode("PRIVATE KEY", bytes(damaged)).encode()).encode(), *weak)),
    )


if __name__ == "__main__":
    write("keybundle", cases)

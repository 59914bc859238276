"""Twelve words: making, reading, checking them, and the private key sealed under them.

    key  = PBKDF2(words in normal form, salt 40 bytes, 600,000 x HMAC-SHA-256) -> 32 bytes
    text = base64(AES-256-GCM(key, nonce, base64(PEM of PKCS#8)) || tag) | base64(nonce) | base64(salt)

Layer: ``crypto``. The words carry no checksum: stock clients pick twelve independent words. Source: protocol document,
sections 2 and 3; threat model, A09 to A12.
"""

import base64
import difflib
import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final

from mnemonic import Mnemonic

from candado.crypto import aead
from candado.crypto.rsa import PrivateKey
from candado.encoding import WrappedKey, encode_b64, join_wrapped, pem_decode, pem_encode, split_wrapped
from candado.errors import FormatError, MalformedError, MisuseError, OpenFailedError, WrongMnemonicError
from candado.types import Nonce, SecretText

__all__ = [
    "KdfVariant",
    "OpenedKey",
    "WordProblem",
    "check_words",
    "make_mnemonic",
    "normalise",
    "open_private_key",
    "seal_private_key",
    "split_words",
    "word_list",
]

WORDS: Final = 12
ENTROPY_BYTES_MIN: Final = 17
SALT_BYTES: Final = 40
NONCE_BYTES: Final = 12
_WORD_BITS: Final = 11
_KEY_BYTES: Final = 32
_LIST_SHA256: Final = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
_PEM_LABEL: Final = "PRIVATE KEY"
_NUMBERING = re.compile(r"^(?:\d{1,2}[.):]?|[-*\u2022\u00b7\u2013\u2014]+)|[,;.]+$")


class KdfVariant(Enum):
    """Parameter sets of the key derivation: hash and iterations. Only the first is written."""

    SHA256_600000 = ("sha256", 600_000)
    SHA1_1024 = ("sha1", 1024)
    SHA1_600000 = ("sha1", 600_000)

    @property
    def is_current(self) -> bool:
        """True for the variant that is written; else the key should be sealed anew."""
        return self is KdfVariant.SHA256_600000


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """A private key that the words opened, and how it had been sealed."""

    key: PrivateKey
    variant: KdfVariant


@dataclass(frozen=True, slots=True)
class WordProblem:
    """A word that is not in the list: its place counted from 1, and the nearest word of the list if there is one."""

    position: int
    word: str
    suggestion: str | None


@cache
def word_list() -> tuple[str, ...]:
    """Return the 2,048 English words of BIP-39 in order; MisuseError when the installed list is not that list."""
    words = tuple(Mnemonic("english").wordlist)
    if hashlib.sha256("".join(f"{word}\n" for word in words).encode()).hexdigest() != _LIST_SHA256:
        raise MisuseError("the installed word list is not the English list of BIP-39")
    return words


def make_mnemonic(entropy: bytes) -> SecretText:
    """Return twelve words with single blanks, made of the first 132 bits of ``entropy`` (17 bytes or more)."""
    if len(entropy) < ENTROPY_BYTES_MIN:
        raise MisuseError("twelve words need 17 bytes of entropy")
    return SecretText(" ".join(words_of(entropy)))


def words_of(data: bytes) -> list[str]:
    """Return twelve words for the first 132 bits of ``data``, most significant bits first."""
    bits = int.from_bytes(data[:ENTROPY_BYTES_MIN], "big") >> (ENTROPY_BYTES_MIN * 8 - WORDS * _WORD_BITS)
    words = word_list()
    return [words[bits >> (_WORD_BITS * at) & 0x7FF] for at in range(WORDS - 1, -1, -1)]


def split_words(text: str) -> list[str]:
    """Return the words of what a person typed or pasted: lower case, numbering, bullets and commas taken off."""
    words = (_NUMBERING.sub("", token) for token in text.lower().split())
    return [word for word in words if word]


def normalise(text: str) -> str:
    """Return the normal form from which the key is derived: lower-case words without anything between them."""
    return "".join(split_words(text))


def check_words(text: str) -> list[WordProblem]:
    """Return the words that are not in the list; a hint for the person, never a reason to refuse them."""
    known = frozenset(word_list())
    problems: list[WordProblem] = []
    for position, word in enumerate(split_words(text), 1):
        if word not in known:
            near = difflib.get_close_matches(word, word_list(), n=1)
            problems.append(WordProblem(position, word, near[0] if near else None))
    return problems


def seal_private_key(key: PrivateKey, mnemonic: SecretText, *, salt: bytes, nonce: bytes) -> str:
    """Return the text to store at the server.

    Shapes:
        salt: 40 fresh random bytes.   nonce: 12 fresh random bytes.   return: ASCII, about 3,130 characters.
    """
    if len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise MisuseError("a private key is sealed with a salt of 40 and a nonce of 12 bytes")
    inner = encode_b64(pem_encode(_PEM_LABEL, key.to_pkcs8_der()).encode("ascii"))
    sealed = aead.seal(_derive(mnemonic, salt, KdfVariant.SHA256_600000), nonce, inner.encode("ascii"))
    return join_wrapped(WrappedKey(sealed, Nonce(nonce), salt))


def open_private_key(wrapped: str, mnemonic: SecretText) -> OpenedKey:
    """Return the private key in ``wrapped``, trying every parameter set that stock clients ever wrote.

    The parameters never come from the server. A failure costs the same work whatever its reason: 1.3 s or less.

    Raises:
        WrongMnemonicError: nothing opens: wrong words or an altered text; the two cannot be told apart.
        MalformedError: not a wrapped key, or the words fit but what is inside is not a sound RSA key.
        LimitExceededError: longer than 32 Ki characters.
        UntrustedCertificateError: the key inside is too short, too long or has another exponent than 65537.
    """
    readings = split_wrapped(wrapped)
    for variant in (KdfVariant.SHA256_600000, KdfVariant.SHA1_1024, KdfVariant.SHA1_600000):
        for reading in readings:
            try:
                inner = aead.open_sealed(_derive(mnemonic, reading.salt, variant), reading.nonce, reading.ciphertext)
            except OpenFailedError:
                continue
            return OpenedKey(_parse_inner(inner), variant)
    raise WrongMnemonicError


def _derive(mnemonic: SecretText, salt: bytes, variant: KdfVariant) -> bytes:
    hash_name, iterations = variant.value
    return hashlib.pbkdf2_hmac(
        hash_name, normalise(mnemonic.reveal()).encode("utf-8", "surrogatepass"), salt, iterations, _KEY_BYTES
    )


def _parse_inner(inner: bytes) -> PrivateKey:
    try:
        pem = base64.b64decode(b"".join(inner.split()), validate=True).decode("ascii")
        return PrivateKey.from_pkcs8_der(pem_decode(pem, _PEM_LABEL), check=True)
    except (ValueError, FormatError) as exc:
        raise MalformedError("the words fit, but the private key inside is damaged") from exc

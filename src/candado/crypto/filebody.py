"""File bodies: one AES-128-GCM message per content version, the tag at the end.

    stored file = ciphertext (as long as the plaintext) | tag (16 bytes)

Layer: ``crypto``. Small bodies are sealed in one call; big ones stream through caller-owned buffers with constant
memory. What ``BodyOpener`` writes is NOT verified until ``finish`` returned: keep it where nobody reads it.

Source: protocol document, section 7; NIST SP 800-38D, 5.2.1.1 (limit of one message).
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from candado.crypto import aead
from candado.errors import LimitExceededError, MalformedError, MisuseError, OpenFailedError
from candado.types import FileKey, Nonce, Tag

__all__ = [
    "BODY_OVERHEAD_BYTES",
    "BODY_PLAIN_BYTES_MAX",
    "BodyOpener",
    "BodySealer",
    "open_body",
    "plain_size",
    "seal_body",
    "sealed_size",
]

BODY_OVERHEAD_BYTES: Final = 16
BODY_PLAIN_BYTES_MAX: Final = 2**36 - 32
"""68,719,476,704 bytes: beyond this, GCM would repeat its counter, so no client of the protocol can store more."""

ONE_CALL_BYTES_MAX: Final = 2**30
"""Largest body for ``seal_body`` and ``open_body``; more must stream."""


def sealed_size(plain_bytes: int) -> int:
    """Return the stored size of ``plain_bytes`` of plaintext; LimitExceededError above ``BODY_PLAIN_BYTES_MAX``."""
    if plain_bytes > BODY_PLAIN_BYTES_MAX:
        raise LimitExceededError("a file of more than 64 GiB cannot be encrypted in one piece")
    return plain_bytes + BODY_OVERHEAD_BYTES


def plain_size(sealed_bytes: int) -> int:
    """Return the plaintext size of a stored file; MalformedError below 16 bytes, LimitExceededError above the limit."""
    if sealed_bytes < BODY_OVERHEAD_BYTES:
        raise MalformedError("a stored file is shorter than its tag")
    if sealed_bytes > BODY_PLAIN_BYTES_MAX + BODY_OVERHEAD_BYTES:
        raise LimitExceededError("a stored file is larger than one GCM message can be")
    return sealed_bytes - BODY_OVERHEAD_BYTES


def seal_body(key: FileKey, nonce: Nonce, plaintext: bytes | memoryview) -> bytes:
    """Return ciphertext || tag of a whole body.

    Shapes:
        key: fresh for this content version.   nonce: 12 bytes, fresh.   plaintext: at most 1 GiB.

    Raises:
        LimitExceededError: more than 1 GiB; nothing was sealed.
    """
    if len(plaintext) > ONE_CALL_BYTES_MAX:
        raise LimitExceededError("a body of more than 1 GiB must be streamed")
    return aead.seal(key.reveal(), nonce, plaintext)


def open_body(key: FileKey, nonce: Nonce, body: bytes) -> bytes:
    """Return the plaintext of a whole stored file.

    Shapes:
        body: n + 16 bytes, at most 1 GiB + 16.   nonce: 12 bytes (stock phone and desktop clients write 16).

    Raises:
        OpenFailedError: the tag does not hold; no plaintext is returned.
        LimitExceededError: more than 1 GiB; nothing was opened.
    """
    if len(body) > ONE_CALL_BYTES_MAX + BODY_OVERHEAD_BYTES:
        raise LimitExceededError("a body of more than 1 GiB must be streamed")
    return aead.open_sealed(key.reveal(), nonce, body)


class BodySealer:
    """Seals one body piece by piece.

    ``update_into`` writes as many bytes as it takes; ``finish`` gives the tag, to be appended to the body and stored in
    the metadata. Afterwards the object is spent.
    """

    def __init__(self, key: FileKey, nonce: Nonce) -> None:
        self._context = Cipher(AES(key.reveal()), GCM(nonce)).encryptor()
        self._room = BODY_PLAIN_BYTES_MAX
        self._finished = False

    def update_into(self, plain: bytes | memoryview, out: memoryview | bytearray) -> int:
        """Write the ciphertext of ``plain`` to the start of ``out`` and return its length, which is that of ``plain``.

        ``out`` must be at least as long as ``plain``; it may be the same memory. LimitExceededError beyond 64 GiB.
        """
        if self._finished or len(out) < len(plain):
            raise MisuseError("the body is finished, or the buffer is too small")
        self._room -= len(plain)
        if self._room < 0:
            raise LimitExceededError("a file of more than 64 GiB cannot be encrypted in one piece")
        return self._context.update_into(plain, out)

    def finish(self) -> Tag:
        """Return the 16-byte tag."""
        if self._finished:
            raise MisuseError("the body is finished")
        self._finished = True
        self._context.finalize()
        return Tag(self._context.tag)


class BodyOpener:
    """Opens one stored file of known size piece by piece.

    The last 16 bytes are held back by count, whatever the pieces are. Bytes written to ``out`` are unverified until
    ``finish`` returned; when it raises they must be thrown away.

    Args:
        key: key of the content version.
        nonce: 12 or 16 bytes.
        sealed_size: stored size in bytes. MalformedError below 16, LimitExceededError above 64 GiB.
    """

    def __init__(self, key: FileKey, nonce: Nonce, sealed_size: int) -> None:
        self._left = plain_size(sealed_size)
        self._context = Cipher(AES(key.reveal()), GCM(nonce)).decryptor()
        self._tag = bytearray()
        self._finished = False

    def update_into(self, piece: bytes | memoryview, out: memoryview | bytearray) -> int:
        """Write the plaintext of ``piece`` to the start of ``out`` and return its length, at most that of ``piece``.

        ``out`` must be at least as long as ``piece``. OpenFailedError when more bytes come than were announced.
        """
        if self._finished or len(out) < len(piece):
            raise MisuseError("the body is finished, or the buffer is too small")
        view = memoryview(piece)
        count = min(self._left, len(view))
        self._left -= count
        self._tag += view[count:]
        if len(self._tag) > BODY_OVERHEAD_BYTES:
            raise OpenFailedError("a stored file is longer than announced")
        return self._context.update_into(view[:count], out) if count else 0

    def finish(self) -> None:
        """Check the tag; OpenFailedError when it does not hold or bytes are missing."""
        if self._finished:
            raise MisuseError("the body is finished")
        self._finished = True
        if len(self._tag) != BODY_OVERHEAD_BYTES:
            raise OpenFailedError("a stored file is shorter than announced")
        try:
            self._context.finalize_with_tag(bytes(self._tag))
        except InvalidTag as exc:
            raise OpenFailedError("the content of a file was altered") from exc

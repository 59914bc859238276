"""The authority's key as a file: RSA-2048, PKCS#8 PEM, mode 0600 in the data directory.

Layer: ``adapters``; implements ``candado.ports.server.Signer``. Whoever reads the file can issue certificates for every
user of this server: it is used only where the configuration says so, and every start of the server warns of it.
"""

import asyncio
import os
import stat
from pathlib import Path
from typing import Self

from candado.crypto.rsa import PrivateKey
from candado.encoding import pem_decode, pem_encode
from candado.errors import (
    AlreadyExistsError,
    CorruptStateError,
    FormatError,
    LocalPermissionError,
    NotFoundError,
    UntrustedCertificateError,
)

__all__ = ["SoftwareSigner"]

_LABEL = "PRIVATE KEY"
_FILE_BYTES_MAX = 16384


class SoftwareSigner:
    """RSA PKCS#1 v1.5 with SHA-256 by a private key in this process."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key and its file (0600, durable); takes tens of milliseconds.

        Raises:
            AlreadyExistsError: there is a file at ``path``; a key is never replaced.
        """
        key = PrivateKey.generate()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as exc:
            raise AlreadyExistsError("the authority has a key already", path=str(path)) from exc
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(pem_encode(_LABEL, key.to_pkcs8_der()))
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load and check the key in ``path``.

        Raises:
            NotFoundError: no such file.
            LocalPermissionError: others than the owner may read it.
            CorruptStateError: it is not an RSA key in PKCS#8 PEM.
        """
        try:
            mode = path.stat().st_mode
            text = path.read_text("ascii")[:_FILE_BYTES_MAX]
        except FileNotFoundError as exc:
            raise NotFoundError(
                "the authority has no key", path=str(path), advice="Run `candado-server init`, or restore a backup."
            ) from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise CorruptStateError("the authority's key cannot be read", path=str(path)) from exc
        if stat.S_IMODE(mode) & 0o077:
            raise LocalPermissionError(
                "the authority's key can be read by others", path=str(path), advice=f"chmod 600 {path}"
            )
        try:
            der = pem_decode(text, _LABEL)
            return cls(PrivateKey.from_pkcs8_der(der, check=True))
        except (FormatError, UntrustedCertificateError) as exc:
            raise CorruptStateError("the authority's key is damaged", path=str(path)) from exc

    @property
    def public_key_pem(self) -> str:
        """PEM SubjectPublicKeyInfo."""
        return self._key.public.to_pem()

    async def sign(self, message: bytes) -> bytes:
        """RSA PKCS#1 v1.5 signature with SHA-256 over ``message``; computed in a thread."""
        return await asyncio.to_thread(self._key.sign_pkcs1_sha256, message)

    async def check(self) -> None:
        """Sign a text that vouches for nothing, and verify it; BadSignatureError."""
        message = b"candado self-test: this signature vouches for nothing"
        self._key.public.verify_pkcs1_sha256(await self.sign(message), message)

    async def close(self) -> None:
        """Nothing is held."""

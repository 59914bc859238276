"""The authority's key as the configuration names it: a file, or a key on a token.

Layer: ``apps``. The one place that makes a signer. A key in a file is used only where the setting says ``software``;
nothing falls back to it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from candado.adapters.signers import SoftwareSigner
from candado.apps.server_config import ServerConfig
from candado.apps.tokens import read_pin
from candado.crypto.rsa import PublicKey
from candado.ports.server import Signer
from candado.server.authority import adopt_authority, known_authority, pin_authority
from candado.server.model import Backend

__all__ = [
    "AUTHORITY_PIN",
    "SOFTWARE_WARNING",
    "adopt_signer",
    "authority_warnings",
    "make_authority",
    "open_signer",
    "open_successor",
]

_LOG = logging.getLogger("candado.server")
AUTHORITY_PIN: Final = "CANDADO_AUTHORITY_PIN"
SOFTWARE_WARNING: Final = "the authority's key is a file: whoever reads it can issue certificates for every user"


def authority_warnings(config: ServerConfig) -> tuple[str, ...]:
    """Codes of what is worth a warning for as long as it stays so."""
    return ("authority.software",) if config.authority_uri is None else ()


@asynccontextmanager
async def open_signer(config: ServerConfig, backend: Backend, *, patient: bool = False) -> AsyncIterator[Signer]:
    """The signer that the configuration names, which has the key that the database knows; closed afterwards.

    Args:
        config: the settings.
        backend: what remembers the authority's public key.
        patient: go on without a token whose set-up is not right.

    Raises:
        AuthorityChangedError: it has another key than before. UsageError: the configuration names none.
        NotFoundError, CorruptStateError, LocalPermissionError: the file. SignerUnavailableError, SignerSetupError,
        PinRefusedError: the token; one that is away is none once its key is known.
    """
    async with _signer(config, await known_authority(backend), patient=patient) as signer:
        await pin_authority(backend, PublicKey.from_pem(signer.public_key_pem))
        yield signer


@asynccontextmanager
async def _signer(
    config: ServerConfig, known: PublicKey | None, *, patient: bool = False, file: Path | None = None
) -> AsyncIterator[Signer]:
    uri = config.authority_uri
    signer: Signer
    if uri is None:
        signer = await asyncio.to_thread(SoftwareSigner.load, file or config.authority_key_path)
    else:
        from candado.adapters.hsm_signer import HsmSigner

        signer = await HsmSigner.open(uri, lambda: read_pin(uri, AUTHORITY_PIN), expected=known, patient=patient)
    try:
        yield signer
    finally:
        await signer.close()


@asynccontextmanager
async def open_successor(config: ServerConfig, *, file: Path) -> AsyncIterator[Signer]:
    """The signer of a key that is not the authority's yet, in ``file`` if it is one of software; closed afterwards.

    The errors of ``open_signer`` but for the comparison with the key that the database knows.
    """
    async with _signer(config, None, file=file) as signer:
        yield signer


async def make_authority(config: ServerConfig, *, may_make: bool = True, file: Path | None = None) -> bool:
    """Make the key that the configuration names, and what belongs to it; false when there was one already.

    ``file`` is where a key of software goes, if not to its usual place.

    Raises:
        SignerUnavailableError, SignerSetupError, PinRefusedError: the token; without ``may_make`` also its lack of a
        key.
    """
    uri = config.authority_uri
    if uri is not None:
        from candado.adapters.hsm_signer import HsmSigner

        return await HsmSigner.prepare(uri, lambda: read_pin(uri, AUTHORITY_PIN), may_make=may_make)
    path = file or config.authority_key_path
    if not may_make or path.exists():
        return False
    await asyncio.to_thread(SoftwareSigner.create, path)
    return True


async def adopt_signer(config: ServerConfig, backend: Backend) -> PublicKey:
    """Make the key that the configuration names the server's authority, which has signed nothing so far; the key.

    Raises:
        AuthorityChangedError: certificates of another key are out. Otherwise as ``open_signer``.
    """
    async with _signer(config, None) as signer:
        key = PublicKey.from_pem(signer.public_key_pem)
        await adopt_authority(backend, key)
        await pin_authority(backend, key)
        await signer.check()
    return key

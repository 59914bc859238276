"""What the server remembers of its authority.

Layer: ``server``. Clients pin the authority's key when they enrol, so a server that signed with another one would issue
certificates that nobody accepts. The public key is written down with the first start and compared ever after.
"""

from typing import Final

from candado.crypto.rsa import PublicKey
from candado.encoding import decode_b64, encode_b64
from candado.errors import AuthorityChangedError
from candado.ports.server import Rows
from candado.server.model import Backend

__all__ = ["adopt_authority", "has_signed", "known_authority", "pin_authority"]

_NAME: Final = "authority"


async def known_authority(backend: Backend) -> PublicKey | None:
    """The authority's key as it was written down; None before the first start."""

    async def work(rows: Rows) -> str | None:
        row = await rows.one("SELECT value FROM settings WHERE name = $1", _NAME)
        return str(row[0]) if row else None

    found = await backend.database.read(work)
    return None if found is None else PublicKey.from_spki_der(decode_b64(found))


async def pin_authority(backend: Backend, key: PublicKey) -> None:
    """Write the authority's key down, or compare it with the one that was; AuthorityChangedError."""

    async def work(rows: Rows) -> None:
        sql = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        await rows.run(sql, _NAME, encode_b64(key.spki_der))

    if await known_authority(backend) is None:
        await backend.database.write(work)
    if await known_authority(backend) != key:
        raise AuthorityChangedError(
            "the authority's key is another than the one that signed this server's certificates",
            advice="Restore the right key. A key that signed nothing yet is replaced by `candado-server ca init`.",
        )


async def has_signed(backend: Backend) -> bool:
    """Whether there ever was a certificate of this authority."""

    async def work(rows: Rows) -> bool:
        return await rows.one("SELECT 1 FROM certificates") is not None

    return await backend.database.read(work)


async def adopt_authority(backend: Backend, key: PublicKey) -> None:
    """Write ``key`` down in place of one that never signed a certificate; AuthorityChangedError if it did."""

    async def work(rows: Rows) -> int:
        # One statement, so that no certificate comes between the look and the act.
        return await rows.run(
            "UPDATE settings SET value = $2 WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM certificates)",
            _NAME,
            encode_b64(key.spki_der),
        )

    if await known_authority(backend) not in (None, key) and await backend.database.write(work) == 0:
        raise AuthorityChangedError(
            "certificates were signed with another key already", advice="Name that key in the setting `authority`."
        )

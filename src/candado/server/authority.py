"""What the server remembers of its authority.

Layer: ``server``. Clients pin the authority's key when they enrol, so a server that signed with another one would issue
certificates that nobody accepts. The public key is written down with the first start and compared ever after. It
changes by a hand-over only, which is written in the same transaction; whoever signed with the key before that stores
nothing any more.
"""

import json
from functools import partial
from typing import Final

from candado.crypto.handover import HANDOVERS_MAX, assemble_handover, handover_to_sign, parse_handover
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import parse_certificate
from candado.encoding import decode_b64, encode_b64
from candado.errors import AuthorityChangedError, BadRequestError, BadSignatureError
from candado.ports.server import Rows, Signer, SqlValue
from candado.server.audit import Event, key_ref, record
from candado.server.model import Backend

__all__ = [
    "adopt_authority",
    "hand_over",
    "handovers",
    "has_signed",
    "known_authority",
    "pin_authority",
    "require_authority",
    "users_of_other_keys",
]

_NAME: Final = "authority"
_HANDOVERS: Final = "handovers"
_PAGE_ROWS: Final = 500
_READ: Final = "SELECT value FROM settings WHERE name = $1"


async def known_authority(backend: Backend) -> PublicKey | None:
    """The authority's key as it was written down; None before the first start."""

    async def work(rows: Rows) -> str | None:
        row = await rows.one(_READ, _NAME)
        return str(row[0]) if row else None

    found = await backend.database.read(work)
    return None if found is None else PublicKey.from_spki_der(decode_b64(found))


async def pin_authority(backend: Backend, key: PublicKey) -> None:
    """Write the authority's key down, or compare it with the one that was; AuthorityChangedError."""

    async def work(rows: Rows) -> None:
        sql = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        if await rows.run(sql, _NAME, encode_b64(key.spki_der)):
            await record(rows, Event("authority.adopted", target=key_ref(key.fingerprint_hex)))

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
        sql = "UPDATE settings SET value = $2 WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM certificates)"
        changed = await rows.run(sql, _NAME, encode_b64(key.spki_der))
        if changed:
            await record(rows, Event("authority.adopted", target=key_ref(key.fingerprint_hex), reason="replaced"))
        return changed

    if await known_authority(backend) not in (None, key) and await backend.database.write(work) == 0:
        raise AuthorityChangedError(
            "certificates were signed with another key already", advice="Name that key in the setting `authority`."
        )


async def require_authority(rows: Rows, key: PublicKey) -> None:
    """AuthorityChangedError when ``key`` is not the authority's any more; for transactions that store a signature."""
    row = await rows.one(_READ, _NAME)
    if row is not None and str(row[0]) != encode_b64(key.spki_der):
        raise AuthorityChangedError(
            "the authority handed over to another key while this server was running",
            advice="Restart the server, so that it opens the new key.",
        )


async def handovers(backend: Backend) -> list[str]:
    """The texts of all hand-overs, oldest first."""

    async def work(rows: Rows) -> list[str]:
        return await _handovers(rows)

    return await backend.database.read(work)


async def hand_over(backend: Backend, old: Signer, new: Signer) -> str:
    """Make the key of ``new`` the authority's in place of that of ``old``; the text that both signed.

    From the commit on nothing that the old key signs is stored. Certificates of the old key stay valid on devices that
    know the people, and are renewed one by one.

    Raises:
        AuthorityChangedError: the authority's key is not that of ``old``. BadRequestError: it handed over too often.
        SignerUnavailableError, SignerSetupError: one of them does not sign; nothing has changed.
    """
    keys = PublicKey.from_pem(old.public_key_pem), PublicKey.from_pem(new.public_key_pem)
    signed = handover_to_sign(*keys, time=backend.clock.now())
    text = assemble_handover(signed, by_old=await old.sign(signed), by_new=await new.sign(signed))
    parse_handover(text)

    async def work(rows: Rows) -> None:
        await require_authority(rows, keys[0])
        before = await _handovers(rows)
        if len(before) >= HANDOVERS_MAX:
            raise BadRequestError(f"an authority hands over at most {HANDOVERS_MAX} times")
        await rows.run("UPDATE settings SET value = $2 WHERE name = $1", _NAME, encode_b64(keys[1].spki_der))
        sql = (
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        await rows.run(sql, _HANDOVERS, json.dumps([*before, text]))
        details = {"from": key_ref(keys[0].fingerprint_hex)}
        await record(rows, Event("authority.rotated", target=key_ref(keys[1].fingerprint_hex), details=details))

    await backend.database.write(work)
    return text


async def _handovers(rows: Rows) -> list[str]:
    row = await rows.one(_READ, _HANDOVERS)
    return [] if row is None else [str(text) for text in json.loads(str(row[0]))]


async def users_of_other_keys(backend: Backend, key: PublicKey) -> list[str]:
    """Users and links whose certificate is signed by another key than ``key``, in pages of the table."""
    found: list[str] = []
    last = ""
    while True:
        page = await backend.database.read(partial(_page_of_certificates, after=last))
        for holder, pem in page:
            last = str(holder)
            certificate = parse_certificate(str(pem))
            try:
                key.verify_pkcs1_sha256(certificate.signature, certificate.signed_part)
            except BadSignatureError:
                found.append(last)
        if len(page) < _PAGE_ROWS:
            return found


async def _page_of_certificates(rows: Rows, *, after: str) -> list[tuple[SqlValue, ...]]:
    sql = "SELECT user_id, certificate FROM user_keys WHERE user_id > $1 AND certificate IS NOT NULL"
    return await rows.all(f"{sql} ORDER BY user_id LIMIT {_PAGE_ROWS}", after)

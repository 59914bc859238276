"""Keys that an administrator revoked, and the signed list of them.

Layer: ``server``. Order: the row first, then a number, then the signature, then the list becomes visible, unless one
with a higher number did meanwhile. A revocation is in force on this server with its row; when the signer is away, the
list follows as soon as it is back. Whoever takes a number later sees all rows of those before, so a higher number
never lacks an entry.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from candado.crypto.crl import REASONS, RevokedKey, assemble_revocation_list, revocation_list_to_sign
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import parse_certificate
from candado.errors import BadRequestError, ForbiddenError, NotFoundError
from candado.ports.server import Rows, Signer, SqlValue
from candado.server.audit import Event, record
from candado.server.authority import require_authority
from candado.server.keyevents import key_event, sign_on_record
from candado.server.model import Backend
from candado.types import UserId

__all__ = ["PublishedList", "Revocations", "RevokedCertificate", "require_unrevoked"]

VALID_SECONDS: Final = 7 * 86_400.0
RENEWED_SECONDS: Final = 86_400.0
_LIST: Final = "revocation_list"
_SEQUENCE: Final = "revocations"
_REVOKE: Final = """INSERT INTO revoked_keys (fingerprint, serial, user_id, reason, revoked)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"""
_SETTING: Final = "SELECT value FROM settings WHERE name = $1"
_STORE: Final = """INSERT INTO settings (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
_TAKE: Final = """INSERT INTO sequences (name, next) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET next = excluded.next"""


@dataclass(frozen=True, slots=True)
class RevokedCertificate:
    """One certificate that a revocation hit."""

    serial: str
    user_id: UserId
    key_fingerprint_hex: str


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A list as it is stored; times in seconds since the epoch."""

    number: int
    this_update: float
    count: int
    pem: str


async def require_unrevoked(rows: Rows, key: PublicKey) -> None:
    """ForbiddenError when ``key`` was revoked: it never gets a certificate again."""
    if await rows.one("SELECT 1 FROM revoked_keys WHERE fingerprint = $1", key.fingerprint_hex) is not None:
        raise ForbiddenError("this key was revoked; make a new one")


class Revocations:
    """Revoking, and publishing what is revoked."""

    def __init__(self, backend: Backend, signer: Signer) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._signer = signer

    async def revoke(self, who: str, reason: str) -> list[RevokedCertificate]:
        """Revoke the keys of a user's valid certificates, or of the one with this serial number; all that it hit.

        A key is revoked with every certificate it is in, and for good. Repeating it is harmless.

        Raises:
            BadRequestError: not a reason of ``REASONS``. NotFoundError: no such certificate.
        """
        if reason not in REASONS:
            raise BadRequestError(f"a reason is one of {', '.join(sorted(REASONS))}")
        now = self._clock.now()

        async def work(rows: Rows) -> list[RevokedCertificate]:
            holder = await rows.one("SELECT user_id FROM certificates WHERE serial = $1", who)
            unsorted = await rows.all(
                "SELECT serial, user_id, certificate, revoked FROM certificates WHERE user_id = $1"
                " UNION SELECT serial, user_id, certificate, revoked FROM certificates WHERE user_id = $2",
                who,
                who if holder is None else str(holder[0]),
            )
            found = sorted(unsorted, key=lambda row: str(row[0]))
            before = await rows.all("SELECT fingerprint FROM revoked_keys WHERE user_id = $1", who)
            certificates = [_certificate(row) for row in found]
            named = {str(fingerprint) for (fingerprint,) in before} | {
                certificate.key_fingerprint_hex
                for certificate, row in zip(certificates, found, strict=True)
                if certificate.serial == who or (certificate.user_id == who and row[3] is None)
            }
            hit = [certificate for certificate in certificates if certificate.key_fingerprint_hex in named]
            for one in hit:
                key = one.key_fingerprint_hex
                if await rows.run(_REVOKE, key, one.serial, one.user_id, reason, now):
                    await key_event(rows, "certificate.revoked", one.user_id, key, serial=one.serial, reason=reason)
            await rows.many(
                "UPDATE certificates SET revoked = $2 WHERE serial = $1 AND revoked IS NULL",
                [(one.serial, now) for one in hit],
            )
            return hit

        hit = await self._database.write(work)
        if not hit:
            raise NotFoundError("no valid certificate of this user or with this serial number", path=who)
        return hit

    async def published(self) -> str:
        """The list that is published, PEM; NotFoundError before the first."""
        found = await self._database.read(_published)
        if found is None:
            raise NotFoundError("no list of revoked keys was published yet")
        return found.pem

    async def refresh(self, *, force: bool = False, after: int = 0) -> PublishedList:
        """Publish a new list when the present one lacks a key, is a day old, or its number is not above ``after``.

        ``force`` publishes one in any case. Returns the list in force.

        A clock that was set back makes a list old, too.

        Raises:
            SignerUnavailableError, SignerSetupError: no list was signed; the present one stays.
        """
        now = self._clock.now()

        async def look(rows: Rows) -> tuple[PublishedList | None, int]:
            count = await rows.one("SELECT COUNT(*) FROM revoked_keys")
            assert count is not None
            return await _published(rows), _number(count[0])

        present, count = await self._database.read(look)
        is_new = present is not None and abs(now - present.this_update) < RENEWED_SECONDS
        if present is not None and is_new and present.count == count and present.number > after and not force:
            return present

        async def take_number(rows: Rows) -> tuple[int, list[tuple[SqlValue, ...]]]:
            row = await rows.one("SELECT next FROM sequences WHERE name = $1", _SEQUENCE)
            number = max(1 if row is None else _number(row[0]), after + 1)
            await rows.run(_TAKE, _SEQUENCE, number + 1)
            sql = "SELECT serial, revoked, fingerprint, reason FROM revoked_keys ORDER BY revoked, fingerprint"
            return number, await rows.all(sql)

        number, revoked = await self._database.write(take_number)
        authority = PublicKey.from_pem(self._signer.public_key_pem)
        tbs = revocation_list_to_sign(
            [_entry(row) for row in revoked], authority, number=number, this_update=now, next_update=now + VALID_SECONDS
        )
        pem = assemble_revocation_list(tbs, await sign_on_record(self._database, self._signer, tbs, "revocations"))
        made = PublishedList(number, now, len(revoked), pem)

        async def publish(rows: Rows) -> PublishedList:
            await require_authority(rows, authority)
            other = await _published(rows)
            if other is not None and other.number > number:
                return other
            await record(rows, Event("revocations.published", details={"number": number, "keys": made.count}))
            await rows.run(_STORE, _LIST, json.dumps([made.number, made.this_update, made.count, made.pem]))
            return made

        return await self._database.write(publish)


async def _published(rows: Rows) -> PublishedList | None:
    row = await rows.one(_SETTING, _LIST)
    return None if row is None else PublishedList(*json.loads(str(row[0])))


def _certificate(row: Sequence[SqlValue]) -> RevokedCertificate:
    key = parse_certificate(str(row[2])).public_key
    return RevokedCertificate(str(row[0]), UserId(str(row[1])), key.fingerprint_hex)


def _entry(row: Sequence[SqlValue]) -> RevokedKey:
    serial, revoked, fingerprint, reason = row
    assert isinstance(revoked, int | float)
    return RevokedKey(int(str(serial)), float(revoked), str(fingerprint), REASONS[str(reason)])


def _number(value: SqlValue) -> int:
    assert isinstance(value, int)
    return value

"""New keys for users who had one: asked for by the user, allowed by administrators, written down.

Layer: ``server``. A user's first key, and a further certificate for a key the user had, need nobody. Another key is
what a thief of a password would ask for, too: with ``new_key_approvals`` above 0 it waits for so many administrators,
who are different people and not the user. The decision is read again in the transaction that stores the certificate;
that one also closes the request and revokes the keys the user had before.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import Certificate, parse_certificate
from candado.errors import ForbiddenError, LimitExceededError, NotFoundError
from candado.ports.server import Rows, SqlValue
from candado.server.audit import Event, actor_of, key_ref, record, user_ref
from candado.server.keyevents import key_event
from candado.server.model import LINK_PREFIX, Backend, Principal
from candado.types import UserId

__all__ = ["Approvals", "KeyRequest", "close_request", "is_admitted"]

_LOG = logging.getLogger("candado.server")
_OPEN_MAX: Final = 5
_PREFIX_CHARS_MIN: Final = 8
_EARLIER: Final = "SELECT serial, certificate FROM certificates WHERE user_id = $1"
_SUPERSEDE: Final = """INSERT INTO revoked_keys (fingerprint, serial, user_id, reason, revoked)
    VALUES ($1, $2, $3, 'superseded', $4) ON CONFLICT DO NOTHING"""
_APPROVED: Final = "SELECT COUNT(*) FROM key_approvals WHERE fingerprint = $1"


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key that waits or waited; times in seconds since the epoch.

    ``outcome`` is ``open``, ``issued`` or ``rejected``.
    """

    key_fingerprint_hex: str
    user_id: UserId
    requested_at: float
    outcome: str
    approved_by: tuple[str, ...]


async def is_admitted(rows: Rows, user_id: UserId, key: PublicKey, needed: int) -> bool:
    """Whether ``key`` may get a certificate: first key, known key, or approved by ``needed`` and not rejected."""
    if needed == 0:
        return True
    earlier = [parse_certificate(str(row[1])).public_key for row in await rows.all(_EARLIER, user_id)]
    if not earlier or key in earlier:
        return True
    sql = "SELECT 1 FROM key_requests WHERE fingerprint = $1 AND user_id = $2 AND outcome = 'open'"
    if await rows.one(sql, key.fingerprint_hex, user_id) is None:
        return False
    count = await rows.one(_APPROVED, key.fingerprint_hex)
    return count is not None and _number(count[0]) >= needed


async def close_request(rows: Rows, user_id: UserId, certificate: Certificate, now: float) -> None:
    """In the transaction that stores a certificate: close the request for its key, if any, and revoke earlier keys."""
    key = certificate.public_key
    sql = "UPDATE key_requests SET outcome = 'issued' WHERE fingerprint = $1 AND user_id = $2 AND outcome = 'open'"
    if await rows.run(sql, key.fingerprint_hex, user_id) == 0:
        return
    earlier = [(str(serial), parse_certificate(str(pem))) for serial, pem in await rows.all(_EARLIER, user_id)]
    for serial, one in earlier:
        old = one.public_key
        if old != key and await rows.run(_SUPERSEDE, old.fingerprint_hex, serial, user_id, now):
            await key_event(rows, "certificate.revoked", user_id, old, serial=serial, reason="superseded")


class Approvals:
    """The queue of new keys."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._needed = backend.settings.new_key_approvals

    async def ask(self, user_id: UserId, key: PublicKey) -> None:
        """Put a key into the queue; once there it stays as it is. LimitExceededError: too many wait for this user."""
        now = self._clock.now()

        async def work(rows: Rows) -> int:
            sql = "SELECT COUNT(*) FROM key_requests WHERE user_id = $1 AND outcome = 'open' AND fingerprint <> $2"
            count = await rows.one(sql, user_id, key.fingerprint_hex)
            assert count is not None
            if _number(count[0]) >= _OPEN_MAX:
                raise LimitExceededError("too many new keys of this user wait for a decision")
            sql = "INSERT INTO key_requests (fingerprint, user_id, requested, outcome) VALUES ($1, $2, $3, 'open')"
            added = await rows.run(sql + " ON CONFLICT DO NOTHING", key.fingerprint_hex, user_id, now)
            if added:
                subject = {"subject": user_ref(user_id)}
                await record(rows, Event("key.requested", target=key_ref(key.fingerprint_hex), details=subject))
            return added

        if await self._database.write(work):
            _LOG.warning("authority: %s asks for a new key, %s", _who(user_id), key.fingerprint_hex)

    async def all(self) -> list[KeyRequest]:
        """Every request, the oldest first."""
        return await self._database.read(_requests)

    async def decide(self, prefix: str, admin: Principal, *, approve: bool) -> KeyRequest:
        """Note what an administrator, who has proved who it is, says of the open request whose key begins so.

        Approving twice is one approval. A rejection is final.

        Raises:
            ForbiddenError: no administrator, or the user who asks.
            NotFoundError: no open request, or several, begin so.
        """
        if not admin.is_admin:
            raise ForbiddenError("only administrators decide about new keys", path=admin.user_id)
        now = self._clock.now()

        async def work(rows: Rows) -> KeyRequest:
            fitting = [
                one
                for one in await _requests(rows)
                if one.outcome == "open" and one.key_fingerprint_hex.startswith(prefix.lower())
            ]
            if len(fitting) != 1 or len(prefix) < _PREFIX_CHARS_MIN:
                raise NotFoundError(
                    "not one open request begins so", path=prefix, advice="See `candado-server ca requests`."
                )
            found = fitting[0]
            if found.user_id == admin.user_id:
                raise ForbiddenError("nobody decides about a key of one's own", path=admin.user_id)
            key = found.key_fingerprint_hex
            if approve:
                sql = "INSERT INTO key_approvals (fingerprint, admin, approved) VALUES ($1, $2, $3)"
                await rows.run(sql + " ON CONFLICT DO NOTHING", key, admin.user_id, now)
            else:
                await rows.run("UPDATE key_requests SET outcome = 'rejected' WHERE fingerprint = $1", key)
            kind, subject = "key.approved" if approve else "key.rejected", {"subject": user_ref(found.user_id)}
            await record(rows, Event(kind, actor_of(admin), key_ref(key), details=subject))
            return next(one for one in await _requests(rows) if one.key_fingerprint_hex == key)

        found = await self._database.write(work)
        verb = "approves" if approve else "rejects"
        _LOG.warning("authority: %s %s the new key %s of %s", admin.user_id, verb, prefix, _who(found.user_id))
        return found


def _who(user_id: UserId) -> str:
    """A name for the log: that of a link's visitors holds the secret of its address."""
    return "a link" if user_id.startswith(LINK_PREFIX) else user_id


async def _requests(rows: Rows) -> list[KeyRequest]:
    approved: dict[str, list[str]] = {}
    for fingerprint, admin in await rows.all("SELECT fingerprint, admin FROM key_approvals ORDER BY approved, admin"):
        approved.setdefault(str(fingerprint), []).append(str(admin))
    found = await rows.all("SELECT fingerprint, user_id, requested, outcome FROM key_requests ORDER BY requested")
    return [_request(row, approved.get(str(row[0]), [])) for row in found]


def _request(row: Sequence[SqlValue], approved: list[str]) -> KeyRequest:
    fingerprint, user_id, requested, outcome = row
    assert isinstance(requested, int | float)
    return KeyRequest(str(fingerprint), UserId(str(user_id)), float(requested), str(outcome), tuple(approved))


def _number(value: SqlValue) -> int:
    assert isinstance(value, int)
    return value

"""Uses of the recovery key: their signed records, and which users they concern; what comes and goes in folders.

Layer: ``server``. A record is verified against the recovery keys that the organisation's policy names, stored with its
event in one transaction, and shown to the account it is about and to everybody who shares one of its folders. A record
*begun* is replaced by the one *done* of the same use; one that is done stays as it is.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from candado.errors import AlreadyExistsError, BadRequestError, CryptoError, FormatError, NotFoundError
from candado.folder.recoveryrecords import UseRecord, parse_use_record
from candado.ports.server import Rows
from candado.server.audit import Actor, Event, key_ref, node_ref, record, user_ref
from candado.server.model import Backend
from candado.server.orgpolicies import current_policy
from candado.types import UserId

__all__ = ["RECORD_CHARS_MAX", "RecoveryUses", "StoredUse", "record_recovery_changes"]

RECORD_CHARS_MAX: Final = 1024 * 1024
_LISTED_MAX: Final = 64
_ONE: Final = "SELECT document FROM recovery_uses WHERE id = $1"
_STORE: Final = """INSERT INTO recovery_uses (id, document, reported) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET document = excluded.document"""
_CONCERNS: Final = "INSERT INTO recovery_concerns (user_id, use_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_SHARERS: Final = """SELECT owner_id, initiator_id, share_with FROM shares
    WHERE node_id = $1 AND share_type IN (0, 2)"""
_MINE: Final = """SELECT u.id FROM recovery_concerns c JOIN recovery_uses u ON u.id = c.use_id
    WHERE c.user_id = $1 ORDER BY u.reported DESC, u.id LIMIT $2"""
_CHANGED: Final = """SELECT m.node_id, m.text, b.text FROM staged_metadata m
    JOIN folder_metadata b ON b.node_id = m.node_id
    WHERE m.session = $1 AND m.gone = 0 AND m.members <> '' AND m.members <> b.members"""
_KEY: Final = re.compile(r"recovery:[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True)
class StoredUse:
    """A record that was handed in: its id, state, and how many users it concerns."""

    use_id: str
    state: str
    concerned: int


class RecoveryUses:
    """Use cases on the records."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock

    async def report(self, text: str, *, actor: Actor | None = None) -> StoredUse:
        """Take the signed record of a use; repeating it is harmless.

        Raises:
            BadRequestError: not a record, or not signed by a recovery key that the policy in force names.
            AlreadyExistsError: another record of this use is stored and done.
        """
        if len(text) > RECORD_CHARS_MAX:
            raise BadRequestError("the record is too long")
        try:
            use = parse_use_record(text)
        except (FormatError, CryptoError) as exc:
            raise BadRequestError(f"the record is not acceptable: {exc.message}") from exc
        now = self._clock.now()

        async def work(rows: Rows) -> StoredUse:
            policy = await current_policy(rows, "recovery")
            known = () if policy is None else (policy.recovery.key, *policy.recovery.former)
            if use.public_key.fingerprint_hex not in known:
                raise BadRequestError("the record is not signed by a recovery key of this organisation")
            await _refuse_other(rows, use, text)
            await rows.run(_STORE, use.record_id, text, now)
            concerned = await _concerned(rows, use)
            await rows.many(_CONCERNS, [(user, use.record_id) for user in sorted(concerned)])
            await record(rows, _event(use, text, actor))
            return StoredUse(use.record_id, use.state, len(concerned))

        return await self._database.write(work)

    async def of(self, user_id: UserId) -> list[str]:
        """Ids of the newest uses that concern a user, at most 64, the newest first."""

        async def work(rows: Rows) -> list[str]:
            return [str(use_id) for (use_id,) in await rows.all(_MINE, user_id, _LISTED_MAX)]

        return await self._database.read(work)

    async def get(self, user_id: UserId, use_id: str) -> str:
        """The record of a use that concerns this user; NotFoundError."""

        async def work(rows: Rows) -> str:
            sql = "SELECT 1 FROM recovery_concerns WHERE user_id = $1 AND use_id = $2"
            row = await rows.one(_ONE, use_id) if await rows.one(sql, user_id, use_id) is not None else None
            if row is None:
                raise NotFoundError("no such use of a recovery key")
            return str(row[0])

        return await self._database.read(work)


async def record_recovery_changes(rows: Rows, session: str) -> None:
    """Record which recovery keys came into folders or left them by what a session staged, before it is applied.

    Only names that are recovery keys are looked at; what else a document says is nobody's business here.
    """
    for node_id, new, old in await rows.all(_CHANGED, session):
        assert isinstance(node_id, int)
        before, after = _keys_in(str(old)), _keys_in(str(new))
        for kind, keys in (("recovery.accepted", after - before), ("recovery.withdrawn", before - after)):
            for key in sorted(keys):
                await record(rows, Event(kind, target=node_ref(node_id), details={"member": key}))


async def _refuse_other(rows: Rows, use: UseRecord, text: str) -> None:
    row = await rows.one(_ONE, use.record_id)
    if row is None or str(row[0]) == text:
        return
    present = parse_use_record(str(row[0]))
    same = (present.public_key, present.account, present.persons) == (use.public_key, use.account, use.persons)
    if present.state == "done" or not same:
        raise AlreadyExistsError("another record of this use is stored", path=use.record_id)


async def _concerned(rows: Rows, use: UseRecord) -> set[str]:
    """The account of the bundle, and whoever shares one of its folders on this server."""
    found = {str(use.account)}
    for root in use.roots:
        for owner, initiator, receiver in await rows.all(_SHARERS, root.file_id):
            found |= {str(owner), str(initiator), str(receiver)}
    return found


def _event(use: UseRecord, text: str, actor: Actor | None) -> Event:
    details: dict[str, str | int] = {
        "use": use.record_id,
        "account": user_ref(use.account),
        "use_kind": use.kind,
        "state": use.state,
        "record": hashlib.sha256(text.encode()).hexdigest(),
        "people": len(use.persons),
        "sheets": len(use.sheets),
        "roots": len(use.roots),
        "files": use.files,
        "bytes": use.bytes,
    }
    outcome = "done" if use.state == "done" else "intent"
    return Event("recovery.used", actor, key_ref(use.public_key.fingerprint_hex), outcome, details=details)


def _keys_in(text: str) -> set[str]:
    try:
        users = json.loads(text).get("users") or []
        return {user["userId"] for user in users if _KEY.match(user["userId"])}
    except (ValueError, AttributeError, TypeError, KeyError):
        return set()

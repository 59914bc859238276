"""Numbering what was recorded, growing the tree, signing checkpoints.

Layer: ``server``. Events wait in ``audit_pending``. Whoever numbers them reads the head and some events on one
snapshot, makes the records, and writes all of it in one transaction that moves the head from the size that was read: of
several workers and server processes one wins, the others find a moved head and have done nothing. So there is no lock
that a killed process could leave behind, and no counter that every request waits for.

Invariants: the head's size is the number of records that were ever made; each of them has its hash, whatever is removed
later; an event is pending or a record, never both or neither. A checkpoint is signed only for a head that was committed
durably, so no power cut undoes what was vouched for.
"""

import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from candado.crypto import merkle
from candado.crypto.checkpoint import (
    SALT_BYTES,
    Checkpoint,
    assemble_checkpoint,
    checkpoint_to_sign,
    opaque_id,
    origin_of,
)
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import parse_certificate
from candado.encoding import decode_b64, encode_b64
from candado.errors import CandadoError
from candado.formats.auditevents import KINDS
from candado.formats.auditrecord import AuditRecord, format_line, record_time
from candado.ports.server import Rows, Signer, SqlValue
from candado.server.audit import Event, audited, key_ref, record, user_ref
from candado.server.authority import require_authority
from candado.server.model import Backend

__all__ = ["AuditLog", "Head", "log_salt", "opaque", "read_head", "rename_log"]

_LOG = logging.getLogger("candado.server")
_SALT: Final = "audit_salt"
_RESTORED: Final = "restored"
_RENAME: Final = """INSERT INTO audit_head (name, size, edge, urgent_size) VALUES ($1, 0, $2, 0)
    ON CONFLICT (name) DO UPDATE SET edge = excluded.edge"""
_BATCH: Final = 256
_CHECKPOINT_SECONDS: Final = 3000.0
"""After so long a checkpoint is due; promised is one an hour."""
_SETTING: Final = "SELECT value FROM settings WHERE name = $1"
_MOVE: Final = "UPDATE audit_head SET size = $2, edge = $3, urgent_size = $4 WHERE name = 'head' AND size = $1"
_RECORD: Final = "INSERT INTO audit_records (sequence, at, kind, record) VALUES ($1, $2, $3, $4)"
_HASH: Final = "INSERT INTO audit_hashes (level, position, hash) VALUES ($1, $2, $3)"
_LEAF: Final = "INSERT INTO audit_keys (subject, sequence) VALUES ($1, $2)"
_CHECKPOINT: Final = "INSERT INTO audit_checkpoints (size, at, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log has come: its size, the edge of its tree, the size up to which a checkpoint is urgent."""

    size: int
    edge: tuple[bytes, ...]
    urgent_size: int


@dataclass(frozen=True, slots=True)
class _Numbered:
    """Records that were made from pending events, and where they start."""

    head: Head
    new: Head
    pending: list[int]
    records: list[tuple[SqlValue, ...]]
    hashes: list[tuple[SqlValue, ...]]
    leaves: list[tuple[SqlValue, ...]]


def opaque(salt: bytes, reference: str) -> str:
    """What stands in a record for ``user:ID`` or ``group:ID``; other references are as they are."""
    kind, found, name = reference.partition(":")
    if not found or kind not in ("user", "group"):
        return reference
    return opaque_id(salt, kind, name)


async def read_head(rows: Rows) -> Head:
    """The head."""
    row = await rows.one("SELECT size, edge, urgent_size FROM audit_head WHERE name = 'head'")
    assert row is not None
    size, edge, urgent = row
    assert isinstance(size, int)
    assert isinstance(urgent, int)
    return Head(size, tuple(decode_b64(one) for one in str(edge).split()), urgent)


async def log_salt(rows: Rows) -> bytes | None:
    """The log's salt; None before the log was started."""
    row = await rows.one(_SETTING, _SALT)
    if row is None:
        return None
    more = await rows.one("SELECT edge FROM audit_head WHERE name = $1", _RESTORED)
    return bytes.fromhex(str(row[0]) + ("" if more is None else str(more[0])))


async def rename_log(rows: Rows, fresh: bytes) -> None:
    """Give the log of a restored backup another name, and say so in it.

    What came after the backup is not in it, so under the old name there would be two histories. ``fresh`` are 8 random
    bytes. Checkpoints under the old name are dropped: whoever kept them has them.
    """
    if await log_salt(rows) is None:
        return
    await rows.run(_RENAME, _RESTORED, fresh.hex())
    await rows.run("DELETE FROM audit_checkpoints")
    await record(rows, Event("backup.restored"))


class AuditLog:
    """The log of one server, whoever works on it."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random
        self._fault = ""

    async def salt(self) -> bytes:
        """The log's salt; the log is started if it was not."""
        found = await self._database.read(log_salt)
        if found is None:
            await self._database.write(self._start)
            found = await self._database.read(log_salt)
            assert found is not None
        return found

    async def sequence(self) -> int:
        """Number what waits; how many records were made by this call."""
        salt, made = await self.salt(), 0
        while True:
            numbered = await self._database.read(lambda rows: self._number(rows, salt))
            if numbered is None or not await self._database.write(partial(_store, numbered=numbered)):
                return made
            made += len(numbered.records)

    async def checkpoint(self, signer: Signer, *, force: bool = False) -> Checkpoint | None:
        """Sign what the head stands for when it is due; with ``force`` whenever something came since the last one.

        Returns:
            The checkpoint that was signed.

        Raises:
            SignerUnavailableError, SignerSetupError: nothing was signed, it stays due. AuthorityChangedError: the
            authority handed over to another key meanwhile; nothing was stored.
        """
        origin, now = origin_of(await self.salt()), self._clock.now()

        async def look(rows: Rows) -> tuple[Head, tuple[SqlValue, ...] | None]:
            sql = "SELECT size, at FROM audit_checkpoints ORDER BY size DESC LIMIT 1"
            return await read_head(rows), await rows.one(sql)

        head, last = await self._database.read(look)
        size, at = (0, 0.0) if last is None else last
        assert isinstance(size, int)
        assert isinstance(at, int | float)
        due = force or head.urgent_size > size or abs(now - at) >= _CHECKPOINT_SECONDS
        if head.size <= size or not due:
            return None
        point = Checkpoint(origin, head.size, merkle.root_of(head.edge))
        signature = await signer.sign(checkpoint_to_sign(point))
        key = PublicKey.from_pem(signer.public_key_pem)
        note = assemble_checkpoint(point, key, signature)

        async def store(rows: Rows) -> None:
            await require_authority(rows, key)
            await rows.run(_CHECKPOINT, point.size, now, note)

        await self._database.write(store)
        return point

    async def tend(self, signer: Signer) -> None:
        """Number what waits and sign what is due; an authority that is away is told once and waited for."""
        try:
            await self.sequence()
            await self.checkpoint(signer)
        except CandadoError as error:
            if error.code != self._fault:
                _LOG.warning("the audit log waits: %s %s", error.code, error.message)
            self._fault = error.code
        else:
            self._fault = ""

    async def _start(self, rows: Rows) -> None:
        """Begin the log: its salt, and a leaf for every certificate that is in use already."""
        sql = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        if await rows.run(sql, _SALT, self._random.token(SALT_BYTES).hex()) == 0:
            return
        with audited(who="server", request="", address="", clock=self._clock):
            await record(rows, Event("audit.started"))
            for user, pem in await rows.all("SELECT user_id, certificate FROM user_keys WHERE certificate IS NOT NULL"):
                certificate = parse_certificate(str(pem))
                details = {"subject": user_ref(str(user)), "serial": str(certificate.serial)}
                key = key_ref(certificate.public_key.fingerprint_hex)
                await record(rows, Event("certificate.stored", target=key, reason="existing", details=details))

    async def _number(self, rows: Rows, salt: bytes) -> _Numbered | None:
        head = await read_head(rows)
        waiting = await rows.all(f"SELECT id, at, kind, body FROM audit_pending ORDER BY id LIMIT {_BATCH}")  # noqa: S608
        known = [row for row in waiting if str(row[2]) in KINDS]  # what a newer server recorded, a newer server numbers
        if not known:
            return None
        records: list[tuple[SqlValue, ...]] = []
        leaves: dict[int, str] = {}
        lines: list[bytes] = []
        urgent = head.urgent_size
        for sequence, (_, at, word, body) in enumerate(known, head.size):
            kind = KINDS[str(word)]
            assert isinstance(at, int | float)
            found = _resolved(json.loads(str(body)), salt)
            when = float(at) or self._clock.now()
            if kind.of_key:
                subject = str(found["details"]["subject"])
                found["details"]["previous"] = await _previous(rows, subject, leaves)
                leaves[sequence] = subject
            line = format_line(
                AuditRecord(sequence=sequence, time=record_time(when), number=kind.number, event=kind.word, **found)
            )
            urgent = sequence + 1 if kind.urgent else urgent
            records.append((sequence, when, kind.number, line.decode("utf-8")))
            lines.append(line)
        edge, made = merkle.grow(head.size, head.edge, map(merkle.leaf_hash, lines))
        return _Numbered(
            head=head,
            new=Head(head.size + len(lines), tuple(edge), urgent),
            pending=[_whole(row[0]) for row in known],
            records=records,
            hashes=[(level, position, encode_b64(found)) for (level, position), found in made],
            leaves=[(subject, sequence) for sequence, subject in leaves.items()],
        )


async def _store(rows: Rows, numbered: _Numbered) -> bool:
    """Write it, unless somebody else was faster."""
    new = numbered.new
    edge = " ".join(encode_b64(one) for one in new.edge)
    if await rows.run(_MOVE, numbered.head.size, new.size, edge, new.urgent_size) == 0:
        return False
    await rows.many(_RECORD, numbered.records)
    await rows.many(_HASH, numbered.hashes)
    if numbered.leaves:
        await rows.many(_LEAF, numbered.leaves)
    await rows.many("DELETE FROM audit_pending WHERE id = $1", [(one,) for one in numbered.pending])
    return True


async def _previous(rows: Rows, subject: str, leaves: dict[int, str]) -> int:
    """The user's last leaf so far plus one, 0 for none: numbers of records are never below 0."""
    here = [sequence for sequence, other in leaves.items() if other == subject]
    if here:
        return here[-1] + 1
    row = await rows.one("SELECT MAX(sequence) FROM audit_keys WHERE subject = $1", subject)
    return 0 if row is None or row[0] is None else _whole(row[0]) + 1


def _resolved(body: dict[str, Any], salt: bytes) -> dict[str, Any]:
    """The members of a record, with ids in the place of names."""
    details: dict[str, str | int] = {
        name: opaque(salt, value) if isinstance(value, str) else value for name, value in body["details"].items()
    }
    before, after = details.pop("counter_before", None), details.pop("counter_after", None)
    return {
        "actor": opaque(salt, body["actor"]),
        "device": body["device"],
        "address": body["address"].replace("%", "_"),
        "target": opaque(salt, body["target"]),
        "outcome": body["outcome"],
        "reason": body["reason"],
        "request": body["request"],
        "versions": tuple(body["versions"]),
        "counter": None if before is None or after is None else (before, after),
        "details": details,
    }


def _whole(value: SqlValue) -> int:
    assert isinstance(value, int)
    return value

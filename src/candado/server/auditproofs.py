"""What the audit log shows: checkpoints, proofs, records, and the keys it gave out in a user's name.

Layer: ``server``; reads only. A proof asks for O(log n) stored hashes, however long the log is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from candado.crypto import merkle
from candado.crypto.merkle import Subtree
from candado.encoding import decode_b64
from candado.errors import BadRequestError, NotFoundError
from candado.ports.server import Rows, SqlValue
from candado.server.audit import user_ref
from candado.server.auditlog import log_salt, opaque, read_head
from candado.server.model import Backend

__all__ = [
    "AuditProofs",
    "Inclusions",
    "KeyLeaf",
    "KeyLeaves",
    "RecordPage",
    "edge_at",
    "newest_checkpoint",
    "removed_before",
]

_NEWEST: Final = "SELECT size, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1"
_RECORDS: Final = "SELECT sequence, record FROM audit_records WHERE sequence >= $1 ORDER BY sequence LIMIT $2"
_LEAVES: Final = """SELECT k.sequence, r.record FROM audit_keys k JOIN audit_records r ON r.sequence = k.sequence
    WHERE k.subject = $1 AND k.sequence < $2 ORDER BY k.sequence DESC LIMIT $3"""
_PAGE_MAX: Final = 1000
_USERS_MAX: Final = 100
_LEAVES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class KeyLeaf:
    """One leaf of a user: its number, its record, and the proof under the checkpoint that it came with."""

    sequence: int
    record: str
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class KeyLeaves:
    """What the log has on the keys of users, the newest leaf first, at most 64 a user.

    ``consistency`` leads from the size that was asked for to that of the checkpoint.
    """

    checkpoint: str
    size: int
    salt: bytes
    consistency: tuple[bytes, ...]
    users: dict[str, tuple[KeyLeaf, ...]]


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Records from a number on; ``size`` is that of the log, ``edge`` that of the tree before the first of them."""

    first: int
    size: int
    edge: tuple[bytes, ...]
    records: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Inclusions:
    """Proofs that lines are under a checkpoint, by their numbers; those that it does not cover yet are left out."""

    checkpoint: str
    size: int
    consistency: tuple[bytes, ...]
    proofs: dict[int, tuple[bytes, ...]]


class AuditProofs:
    """Use cases of those who check the log."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database

    async def checkpoint(self) -> tuple[int, str]:
        """Size and note of the newest checkpoint; NotFoundError before the first."""
        return await self._database.read(newest_checkpoint)

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof between two sizes; BadRequestError when the log has no such sizes."""

        async def work(rows: Rows) -> list[bytes]:
            return await _consistency(rows, old, new)

        return await self._database.read(work)

    async def records(self, first: int, limit: int) -> RecordPage:
        """Records from number ``first`` on, at most 1000; those that were removed when they were old are left out.

        So are leaves of the key directory from before: they are kept for ``keys``, and alone they are no log.

        BadRequestError: no such number or limit.
        """

        async def work(rows: Rows) -> RecordPage:
            head = await read_head(rows)
            if not 0 <= first <= head.size or not 1 <= limit <= _PAGE_MAX:
                raise BadRequestError(f"the log has {head.size} records, and a page at most {_PAGE_MAX}")
            found = await rows.all(_RECORDS, max(first, await removed_before(rows)), limit)
            records = tuple((_whole(sequence), str(line)) for sequence, line in found)
            start = records[0][0] if records else head.size
            return RecordPage(start, head.size, tuple(await edge_at(rows, start)), records)

        return await self._database.read(work)

    async def inclusions(self, lines: Sequence[int], known_size: int) -> Inclusions:
        """Proofs for lines under the newest checkpoint, for who has accepted one of ``known_size``.

        Raises:
            NotFoundError: no checkpoint yet. BadRequestError: a size that the log does not have.
        """

        async def work(rows: Rows) -> Inclusions:
            size, note = await newest_checkpoint(rows)
            proofs = {line: await _proof(rows, line, size) for line in lines if 0 <= line < size}
            return Inclusions(note, size, tuple(await _consistency(rows, min(known_size, size), size)), proofs)

        return await self._database.read(work)

    async def keys(self, users: Sequence[str], known_size: int) -> KeyLeaves:
        """What the newest checkpoint covers of the keys of ``users``, for who has accepted one of ``known_size``.

        Raises:
            NotFoundError: no checkpoint yet. BadRequestError: too many users.
        """
        if len(users) > _USERS_MAX:
            raise BadRequestError(f"at most {_USERS_MAX} users at once")

        async def work(rows: Rows) -> KeyLeaves:
            size, note = await newest_checkpoint(rows)
            salt = await log_salt(rows)
            assert salt is not None
            found: dict[str, tuple[KeyLeaf, ...]] = {}
            for user in dict.fromkeys(users):
                subject = opaque(salt, user_ref(user))
                leaves = await rows.all(_LEAVES, subject, size, _LEAVES_MAX)
                found[user] = tuple([await _leaf(rows, _whole(row[0]), str(row[1]), size) for row in leaves])
            # Who knows more than there is gets no proof, and sees that the log went back.
            proof = await _consistency(rows, known_size, size) if known_size <= size else []
            return KeyLeaves(note, size, salt, tuple(proof), found)

        return await self._database.read(work)


async def removed_before(rows: Rows) -> int:
    """The number of the oldest record that was not removed on purpose."""
    row = await rows.one("SELECT value FROM settings WHERE name = 'audit_removed'")
    return 0 if row is None else int(str(row[0]))


async def newest_checkpoint(rows: Rows) -> tuple[int, str]:
    """Size and note; NotFoundError before the first."""
    row = await rows.one(_NEWEST)
    if row is None:
        raise NotFoundError("the audit log has no checkpoint yet")
    return _whole(row[0]), str(row[1])


async def edge_at(rows: Rows, size: int) -> list[bytes]:
    """The edge of the tree as it was at ``size``."""
    subtrees = merkle.complete_subtrees(0, size)
    hashes = await _hashes(rows, subtrees)
    return [hashes[subtree] for subtree in subtrees]


async def _leaf(rows: Rows, sequence: int, line: str, size: int) -> KeyLeaf:
    return KeyLeaf(sequence, line, await _proof(rows, sequence, size))


async def _proof(rows: Rows, sequence: int, size: int) -> tuple[bytes, ...]:
    asked: list[Subtree] = []
    merkle.inclusion_proof(sequence, size, lambda subtree: _note(asked, subtree))
    hashes = await _hashes(rows, asked)
    return tuple(merkle.inclusion_proof(sequence, size, hashes.__getitem__))


async def _consistency(rows: Rows, old: int, new: int) -> list[bytes]:
    head = await read_head(rows)
    if not 0 <= old <= new <= head.size:
        raise BadRequestError(f"the log has {head.size} records")
    asked: list[Subtree] = []
    merkle.consistency_proof(old, new, lambda subtree: _note(asked, subtree))
    hashes = await _hashes(rows, asked)
    return merkle.consistency_proof(old, new, hashes.__getitem__)


def _note(asked: list[Subtree], subtree: Subtree) -> bytes:
    asked.append(subtree)
    return b""


async def _hashes(rows: Rows, subtrees: Iterable[Subtree]) -> dict[Subtree, bytes]:
    found: dict[Subtree, bytes] = {}
    for level, position in subtrees:
        row = await rows.one("SELECT hash FROM audit_hashes WHERE level = $1 AND position = $2", level, position)
        assert row is not None, (level, position)
        found[level, position] = decode_b64(str(row[0]))
    return found


def _whole(value: SqlValue) -> int:
    assert isinstance(value, int)
    return value

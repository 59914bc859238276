"""The whole server at a glance, and write sessions that an administrator may end.

Layer: ``server``. A lock is named here by its session, which its token opens and which tells nothing of the token: what
was on a page a minute ago ends that session or none, never one that somebody opened since.
"""

from dataclasses import dataclass
from typing import Final, cast

from candado.errors import NotFoundError
from candado.ports.server import Rows
from candado.server.model import LINK_PREFIX, Backend
from candado.server.staging import drop_session
from candado.types import FileId

__all__ = ["HeldLock", "Overview", "Overviews"]

_COMPLETE: Final = (
    "SELECT COUNT(*) FROM user_keys k JOIN users u ON u.id = k.user_id"
    " WHERE k.certificate IS NOT NULL AND k.private_key IS NOT NULL"
)
_COUNTS: Final = (
    "SELECT COUNT(*) FROM users",
    "SELECT COUNT(*) FROM users WHERE enabled = 0",
    _COMPLETE,
    "SELECT COUNT(*) FROM app_passwords",
    "SELECT COUNT(*) FROM folder_metadata",
    "SELECT COUNT(*) FROM locks",
    "SELECT COUNT(*) FROM key_requests WHERE outcome = 'open'",
)
_LOCKS: Final = """SELECT l.session, l.node_id, l.user_id, l.created, l.refreshed, l.staged_bytes, h.owner, n.name
    FROM locks l LEFT JOIN nodes h ON h.id = l.home_id LEFT JOIN nodes n ON n.id = l.node_id ORDER BY l.created"""


@dataclass(frozen=True, slots=True)
class Overview:
    """Numbers of the whole server; ``encrypted_folders`` counts nested ones, ``with_keys`` complete sets of keys."""

    users: int
    disabled: int
    with_keys: int
    devices: int
    encrypted_folders: int
    locks: int
    key_requests: int

    @property
    def without_keys(self) -> int:
        """Users who have no keys, or not all of them."""
        return self.users - self.with_keys


@dataclass(frozen=True, slots=True)
class HeldLock:
    """One write session; times in seconds since the epoch.

    ``holder`` is empty for the visitor of a link. ``folder_name`` is the name of the locked folder on the server, which
    below an encrypted root says nothing; empty while the session itself makes the folder.
    """

    session: str
    folder_id: FileId
    folder_name: str
    owner: str
    holder: str
    begun_at: float
    renewed_at: float
    staged_bytes: int


class Overviews:
    """Use cases of administrators on the whole server; who may is checked by who calls."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock

    async def numbers(self) -> Overview:
        """Counts, of one moment."""

        async def work(rows: Rows) -> Overview:
            return Overview(*[await _count(rows, sql) for sql in _COUNTS])

        return await self._database.read(work)

    async def locks(self) -> list[HeldLock]:
        """Every write session, the oldest first."""

        async def work(rows: Rows) -> list[HeldLock]:
            return [_lock(row) for row in await rows.all(_LOCKS)]

        return await self._database.read(work)

    async def release(self, session: str) -> HeldLock:
        """End a write session and undo all that was written under it; what it was. NotFoundError when it is over.

        Its device learns at its next write that the lock is lost, and begins anew from its own files.
        """
        now = self._clock.now()

        async def work(rows: Rows) -> HeldLock:
            # By its name alone, so that of two who release only one does.
            found = [_lock(row) for row in await rows.all(_LOCKS) if row[0] == session]
            if not found:
                raise NotFoundError("this lock is over", path=session, advice="Look at the list of locks again.")
            await drop_session(rows, session, now=now, why="released")
            return found[0]

        return await self._database.write(work)


async def _count(rows: Rows, sql: str) -> int:
    row = await rows.one(sql)
    assert row is not None
    return cast("int", row[0])


def _lock(row: tuple[object, ...]) -> HeldLock:
    session, node, holder, begun, renewed, staged, owner, name = row
    visitor = str(holder).startswith(LINK_PREFIX)
    return HeldLock(
        str(session),
        FileId(cast("int", node)),
        str(name or ""),
        str(owner or ""),
        "" if visitor else str(holder),
        cast("float", begun),
        cast("float", renewed),
        cast("int", staged),
    )

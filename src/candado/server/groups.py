"""Groups and who is in them.

Layer: ``server``. Administrators are marked by a flag of their account. The interface of stock servers calls the same
thing the group ``admin``, so no group of that name can be made: it would look as if it gave rights.
"""

import re
from dataclasses import dataclass
from typing import Final

from candado.errors import AlreadyExistsError, BadRequestError, NotFoundError
from candado.ports.server import Rows
from candado.server.audit import Event, group_ref, record, user_ref
from candado.server.model import Backend, search_pattern
from candado.server.mounts import admit_member, dismiss_member, end_group_shares
from candado.server.moving import release_unreachable
from candado.types import UserId

__all__ = ["ADMIN_GROUP", "Group", "Groups", "join_group"]

ADMIN_GROUP: Final = "admin"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}\Z")
_LIST: Final = "Look with `candado-server group list`."
_FOUND: Final = (
    "SELECT id FROM groups WHERE LOWER(id) LIKE $1 ESCAPE '!' OR LOWER(display_name) LIKE $1 ESCAPE '!' ORDER BY id"
    " LIMIT $2"
)


@dataclass(frozen=True, slots=True)
class Group:
    """One group and its members."""

    name: str
    members: tuple[str, ...]


class Groups:
    """Use cases on groups."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random

    async def add(self, name: str) -> None:
        """Create a group; BadRequestError, AlreadyExistsError."""
        if not _NAME.match(name):
            raise BadRequestError("a group name has 1 to 64 letters, digits, blanks or . _ @ -", path=name)
        if name.lower() == ADMIN_GROUP:
            raise AlreadyExistsError("the name admin stands for all administrators", path=name)

        async def work(rows: Rows) -> None:
            changed = await rows.run(
                "INSERT INTO groups (id, display_name, created) VALUES ($1, $1, $2) ON CONFLICT DO NOTHING",
                name,
                self._clock.now(),
            )
            if changed == 0:
                raise AlreadyExistsError("there is a group of this name", path=name)
            await record(rows, Event("group.made", target=group_ref(name)))

        await self._database.write(work)

    async def delete(self, name: str) -> None:
        """Remove a group and the shares with it, not its members; NotFoundError."""
        tag, now = self._random.token(8).hex(), self._clock.now()

        async def work(rows: Rows) -> None:
            losers = await end_group_shares(rows, name, tag)
            await rows.run("DELETE FROM memberships WHERE group_id = $1", name)
            for user_id in losers:
                await release_unreachable(rows, user_id, now=now)
            if await rows.run("DELETE FROM groups WHERE id = $1", name) == 0:
                raise NotFoundError("no such group", path=name, advice=_LIST)
            await record(rows, Event("group.removed", target=group_ref(name)))

        await self._database.write(work)

    async def all(self) -> list[Group]:
        """All groups with their members, by name."""

        async def work(rows: Rows) -> list[Group]:
            members: dict[str, list[str]] = {
                str(row[0]): [] for row in await rows.all("SELECT id FROM groups ORDER BY id")
            }
            for group, user in await rows.all("SELECT group_id, user_id FROM memberships ORDER BY group_id, user_id"):
                members[str(group)].append(str(user))
            return [Group(name, tuple(users)) for name, users in members.items()]

        return await self._database.read(work)

    async def search(self, text: str, *, count_max: int) -> list[str]:
        """Names of the groups that contain ``text``, whatever the case."""

        async def work(rows: Rows) -> list[str]:
            return [str(row[0]) for row in await rows.all(_FOUND, search_pattern(text), count_max)]

        return await self._database.read(work)

    async def members(self, name: str) -> list[str]:
        """The members of a group by name; NotFoundError."""

        async def work(rows: Rows) -> list[str]:
            if await rows.one("SELECT 1 FROM groups WHERE id = $1", name) is None:
                raise NotFoundError("no such group", path=name, advice=_LIST)
            sql = "SELECT user_id FROM memberships WHERE group_id = $1 ORDER BY user_id"
            return [str(row[0]) for row in await rows.all(sql, name)]

        return await self._database.read(work)

    async def join(self, group: str, user_id: str) -> None:
        """Put a user into a group; NotFoundError; twice is success."""
        tag = self._random.token(8).hex()

        async def work(rows: Rows) -> None:
            if await rows.one("SELECT 1 FROM users WHERE id = $1", user_id) is None:
                raise NotFoundError("no such user", path=user_id, advice="Look with `candado-server user list`.")
            await join_group(rows, group, user_id, tag)

        await self._database.write(work)

    async def leave(self, group: str, user_id: str) -> None:
        """Take a user out of a group; NotFoundError when it is not in it."""
        tag, now = self._random.token(8).hex(), self._clock.now()

        async def work(rows: Rows) -> None:
            sql = "DELETE FROM memberships WHERE group_id = $1 AND user_id = $2"
            if await rows.run(sql, group, user_id) == 0:
                raise NotFoundError("the user is not in this group", path=f"{group}/{user_id}")
            await dismiss_member(rows, group, user_id, tag)
            await release_unreachable(rows, UserId(user_id), now=now)
            await record(rows, Event("group.left", target=group_ref(group), details={"member": user_ref(user_id)}))

        await self._database.write(work)


async def join_group(rows: Rows, group: str, user_id: str, tag: str) -> None:
    """Put an existing user into a group and show what is shared with it; NotFoundError when there is no such group."""
    if await rows.one("SELECT 1 FROM groups WHERE id = $1", group) is None:
        raise NotFoundError("no such group", path=group, advice=f"Run `candado-server group add {group}`.")
    sql = "INSERT INTO memberships (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    if await rows.run(sql, group, user_id):
        await admit_member(rows, group, user_id, tag)
        await record(rows, Event("group.joined", target=group_ref(group), details={"member": user_ref(user_id)}))

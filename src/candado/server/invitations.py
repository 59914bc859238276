"""Links by which a user sets the own password, once: for a new user, and for one who has forgotten it.

Layer: ``server``. The link has 64 random characters, of which the database has the hash, and an end. Order: the link is
used up in the same transaction that stores the password, so it works once. It is void when another one was made, when
the password was set in another way, and while the user is disabled.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, cast

from candado.errors import NotFoundError
from candado.ports.server import Rows
from candado.server.accounts import LIST_USERS, Account, Accounts, PasswordHasher, check_new_password, random_text
from candado.server.audit import Actor, Event, record, user_ref
from candado.server.model import Backend
from candado.types import SecretText, UserId

__all__ = ["INVITATION_SECONDS", "RESET_SECONDS", "Invitation", "Invitations"]

INVITATION_SECONDS: Final = 7 * 86_400.0
RESET_SECONDS: Final = 86_400.0
_TOKEN_CHARS: Final = 64
_FIND: Final = """SELECT i.user_id, i.expires FROM invitations i JOIN users u ON u.id = i.user_id
    WHERE i.token_hash = $1 AND i.expires > $2 AND u.enabled = 1"""
_MAKE: Final = """INSERT INTO invitations (user_id, token_hash, created, expires) VALUES ($1, $2, $3, $4)
    ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, created = excluded.created,
    expires = excluded.expires"""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that waits; the time is in seconds since the epoch. ``token`` is only there when it was just made."""

    user_id: UserId
    expires_at: float
    token: SecretText | None = None


class Invitations:
    """Use cases on these links; who may make one is checked by who calls."""

    def __init__(self, backend: Backend, accounts: Accounts, passwords: PasswordHasher) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random
        self._accounts = accounts
        self._passwords = passwords

    async def invite(
        self,
        user_id: str,
        *,
        display_name: str = "",
        email: str | None = None,
        quota_bytes: int | None = None,
        groups: tuple[str, ...] = (),
    ) -> tuple[Account, Invitation]:
        """Create a user whom nobody has a password of yet, and the link for it; errors as ``Accounts.add``."""
        nobody_knows = SecretText(random_text(self._random, _TOKEN_CHARS))
        account = await self._accounts.add(
            user_id, nobody_knows, display_name=display_name, email=email, quota_bytes=quota_bytes, groups=groups
        )
        return account, await self.make(account.user_id, seconds=INVITATION_SECONDS)

    async def make(self, user_id: str, *, seconds: float = RESET_SECONDS) -> Invitation:
        """Make the one link by which a user may set a password; the password so far stays until then. NotFoundError."""
        token = SecretText(random_text(self._random, _TOKEN_CHARS))
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            if await rows.one("SELECT 1 FROM users WHERE id = $1", user_id) is None:
                raise NotFoundError("no such user", path=user_id, advice=LIST_USERS)
            await rows.run(_MAKE, user_id, _hashed(token), now, now + seconds)
            await record(rows, Event("invitation.made", target=user_ref(user_id)))

        await self._database.write(work)
        return Invitation(UserId(user_id), now + seconds, token)

    async def find(self, token: SecretText) -> Invitation:
        """What a link is for; NotFoundError when it is none, used, over, or its user is disabled."""
        now = self._clock.now()
        return await self._database.read(lambda rows: _find(rows, token, now))

    async def of(self, user_id: str) -> Invitation | None:
        """The link that waits for a user, without its token."""
        now = self._clock.now()

        async def work(rows: Rows) -> Invitation | None:
            row = await rows.one("SELECT expires FROM invitations WHERE user_id = $1 AND expires > $2", user_id, now)
            return None if row is None else Invitation(UserId(user_id), cast("float", row[0]))

        return await self._database.read(work)

    async def accept(self, token: SecretText, password: SecretText) -> UserId:
        """Set the password and use the link up; whose it was. Every browser that was signed in is out.

        Raises:
            BadRequestError: a password that is not acceptable; the link still works.
            NotFoundError: as ``find``.
        """
        check_new_password(password)
        now = self._clock.now()
        await self._database.read(lambda rows: _find(rows, token, now))  # before the slow hash
        hashed = await self._passwords.hash(password)

        async def work(rows: Rows) -> UserId:
            found = await _find(rows, token, now)
            await rows.run("DELETE FROM invitations WHERE user_id = $1", found.user_id)
            sql = "UPDATE users SET password_hash = $2, version = version + 1 WHERE id = $1"
            await rows.run(sql, found.user_id, hashed)
            actor, target = Actor(found.user_id), user_ref(found.user_id)
            await record(rows, Event("invitation.used", actor, target))
            await record(rows, Event("password.changed", actor, target, reason="invitation"))
            return found.user_id

        return await self._database.write(work)


async def _find(rows: Rows, token: SecretText, now: float) -> Invitation:
    row = await rows.one(_FIND, _hashed(token), now)
    if row is None:
        raise NotFoundError("this link was used, is over or never was", advice="Ask an administrator for a new one.")
    return Invitation(UserId(str(row[0])), cast("float", row[1]))


def _hashed(token: SecretText) -> str:
    return hashlib.sha256(b"invitation\0" + token.reveal().encode("utf-8", "surrogatepass")).hexdigest()

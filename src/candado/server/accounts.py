"""Users and login passwords.

Layer: ``server``. A user row has a version that grows whenever a credential or a right changes; whoever caches a
verified login compares it. Login passwords are hashed by the ``PasswordHasher`` (argon2id); what devices sign in with
is in ``devices``.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Protocol

from candado.errors import AlreadyExistsError, BadRequestError, ForbiddenError, NotFoundError
from candado.ports.ambient import Random
from candado.ports.server import Rows, SqlValue
from candado.server.audit import Event, device_ref, record, user_ref
from candado.server.groups import join_group
from candado.server.keyevents import key_given_up
from candado.server.linkkeys import forget_link_keys
from candado.server.model import Backend, search_pattern
from candado.server.moving import release_held
from candado.types import SecretText, UserId, check_user_id

__all__ = ["APP_PASSWORD_CHARS", "LIST_USERS", "Account", "Accounts", "PasswordHasher", "hash_app_password"]

APP_PASSWORD_CHARS: Final = 72
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_USER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_EMAIL: Final = re.compile(r"[^\s@<>\x00-\x1f\x7f]{1,64}@[^\s@<>\x00-\x1f\x7f]{1,190}\Z")
_SHOWN_CHARS_MAX: Final = 64
_PASSWORD_CHARS_MIN: Final = 10
_PASSWORD_BYTES_MAX: Final = 1024
_LABEL_CHARS_MAX: Final = 120
LIST_USERS: Final = "Look with `candado-server user list`."


class PasswordHasher(Protocol):
    """Slow salted password hashes."""

    async def hash(self, password: SecretText) -> str:
        """Return a hash as text; RateLimitedError when too many callers wait."""
        ...

    async def verify(self, hashed: str, password: SecretText) -> bool:
        """Return whether the password is the one behind the hash."""
        ...

    async def verify_nobody(self, password: SecretText) -> None:
        """Spend the time of one verification."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """One user. ``quota_bytes`` is None for unlimited; times in seconds since the epoch."""

    user_id: UserId
    display_name: str
    email: str | None
    quota_bytes: int | None
    enabled: bool
    is_admin: bool
    created_at: float
    version: int
    groups: tuple[str, ...] = ()


def hash_app_password(secret: SecretText) -> str:
    """Return the hex SHA-256 under which an app password is stored; it has over 400 bits, so no salt is needed."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def _account(row: tuple[SqlValue, ...], groups: tuple[str, ...] = ()) -> Account:
    user_id, display_name, email, quota, enabled, is_admin, created, version = row
    return Account(
        UserId(str(user_id)),
        str(display_name),
        None if email is None else str(email),
        None if quota is None else _int(quota),
        bool(enabled),
        bool(is_admin),
        _float(created),
        _int(version),
        groups,
    )


def _int(value: SqlValue) -> int:
    assert isinstance(value, int)
    return value


def _float(value: SqlValue) -> float:
    assert isinstance(value, int | float)
    return float(value)


_INSERT: Final = """INSERT INTO users (id, display_name, email, password_hash, quota_bytes, is_admin, created)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    RETURNING id, display_name, email, quota_bytes, enabled, is_admin, created, version"""
_ONE: Final = (
    """SELECT id, display_name, email, quota_bytes, enabled, is_admin, created, version FROM users WHERE id = $1"""
)
_ALL: Final = (
    """SELECT id, display_name, email, quota_bytes, enabled, is_admin, created, version FROM users ORDER BY id"""
)
_FIND: Final = """SELECT id, display_name, email, quota_bytes, enabled, is_admin, created, version FROM users
    WHERE LOWER(id) LIKE $1 ESCAPE '!' OR LOWER(display_name) LIKE $1 ESCAPE '!' ORDER BY id LIMIT $2 OFFSET $3"""
_SEARCH: Final = """SELECT id, display_name, email, quota_bytes, enabled, is_admin, created, version FROM users
    WHERE enabled = 1 AND (LOWER(id) LIKE $1 ESCAPE '!' OR LOWER(display_name) LIKE $1 ESCAPE '!')
    ORDER BY id LIMIT $2"""


_DELETE_USER: Final = (
    "DELETE FROM memberships WHERE user_id = $1",
    "DELETE FROM app_passwords WHERE user_id = $1",
    "DELETE FROM browsers WHERE user_id = $1",
    "DELETE FROM invitations WHERE user_id = $1",
    "DELETE FROM login_flows WHERE user_id = $1",
    "DELETE FROM user_keys WHERE user_id = $1",
    "DELETE FROM node_properties WHERE user_id = $1",
    "DELETE FROM shares WHERE owner_id = $1 OR initiator_id = $1 OR (share_with = $1 AND share_type IN (0, 2))",
    "DELETE FROM nodes WHERE owner = $1",
)


class Accounts:
    """Use cases on users."""

    def __init__(self, backend: Backend, passwords: PasswordHasher) -> None:
        self._database = backend.database
        self._passwords = passwords
        self._clock = backend.clock
        self._random = backend.random

    async def add(
        self,
        user_id: str,
        password: SecretText,
        *,
        display_name: str = "",
        email: str | None = None,
        quota_bytes: int | None = None,
        is_admin: bool = False,
        groups: tuple[str, ...] = (),
    ) -> Account:
        """Create a user; the groups must exist.

        Raises:
            BadRequestError: a name, the password or the quota is not acceptable.
            AlreadyExistsError: the name exists, in whatever spelling of upper and lower case.
            NotFoundError: no such group.
        """
        name = check_user_id(user_id)
        if not _USER_NAME.match(name):
            raise BadRequestError(
                "a user name has 1 to 64 letters, digits or . _ @ - and begins with a letter or digit"
            )
        _check_quota(quota_bytes)
        hashed = await self._passwords.hash(check_new_password(password))
        now, tag = self._clock.now(), self._random.token(8).hex()

        async def work(rows: Rows) -> Account:
            taken = await rows.one("SELECT id FROM users WHERE LOWER(id) = $1", name.lower())
            if taken is not None:
                raise AlreadyExistsError("there is a user of this name", path=str(taken[0]))
            row = await rows.one(
                _INSERT,
                name,
                display_name or name,
                email,
                hashed,
                quota_bytes,
                int(is_admin),
                now,
            )
            assert row is not None
            await record(rows, Event("user.made", target=user_ref(name), details={"admin": int(is_admin)}))
            for group in groups:
                await join_group(rows, group, name, tag)
            return _account(row, tuple(sorted(set(groups))))

        return await self._database.write(work)

    async def get(self, user_id: str) -> Account:
        """One user with its groups; NotFoundError."""

        async def work(rows: Rows) -> Account:
            row = await rows.one(_ONE, user_id)
            if row is None:
                raise NotFoundError("no such user", path=user_id, advice=LIST_USERS)
            names = await rows.all("SELECT group_id FROM memberships WHERE user_id = $1 ORDER BY group_id", user_id)
            return _account(row, tuple(str(n[0]) for n in names))

        return await self._database.read(work)

    async def users(self) -> list[Account]:
        """All users by name, without their groups."""

        async def work(rows: Rows) -> list[Account]:
            return [_account(row) for row in await rows.all(_ALL)]

        return await self._database.read(work)

    async def search(self, text: str, *, count_max: int) -> list[Account]:
        """Enabled users whose id or display name contains ``text``, whatever the case; by id."""

        async def work(rows: Rows) -> list[Account]:
            return [_account(row) for row in await rows.all(_SEARCH, search_pattern(text), count_max)]

        return await self._database.read(work)

    async def find(self, text: str, *, count_max: int, offset: int) -> list[Account]:
        """As ``search``, but with those who are disabled, and without the first ``offset`` of them."""

        async def work(rows: Rows) -> list[Account]:
            return [_account(row) for row in await rows.all(_FIND, search_pattern(text), count_max, offset)]

        return await self._database.read(work)

    async def set_password(self, user_id: str, password: SecretText) -> None:
        """Replace the login password; NotFoundError. App passwords stay, a link to set it is void."""
        hashed = await self._passwords.hash(check_new_password(password))
        sql = "UPDATE users SET password_hash = $2, version = version + 1 WHERE id = $1"
        await self._change("password", sql, user_id, hashed)

    async def set_enabled(self, user_id: str, *, enabled: bool, keep_admin: bool = False) -> None:
        """Let the user in, or keep it out at once; NotFoundError.

        With ``keep_admin`` the last administrator who can sign in stays: ForbiddenError.
        """
        sql = "UPDATE users SET enabled = $2, version = version + 1 WHERE id = $1"
        what = "enabled" if enabled else "disabled"
        await self._change(what, sql, user_id, int(enabled), guarded=keep_admin and not enabled)

    async def set_admin(self, user_id: str, *, is_admin: bool) -> None:
        """Give or take the right to administrate; NotFoundError, ForbiddenError for the last one who has it."""
        sql = "UPDATE users SET is_admin = $2, version = version + 1 WHERE id = $1"
        what = "administrator" if is_admin else "no-administrator"
        await self._change(what, sql, user_id, int(is_admin), guarded=not is_admin)

    async def set_display_name(self, user_id: str, name: str) -> None:
        """Change the name shown to others; empty for the user name. BadRequestError, NotFoundError."""
        shown = check_shown_text(name.strip(), "a display name") or user_id
        await self._change("name", "UPDATE users SET display_name = $2 WHERE id = $1", user_id, shown)

    async def set_email(self, user_id: str, email: str) -> None:
        """Change the address, which is only shown; empty for none. BadRequestError, NotFoundError."""
        shown = check_email(email)
        await self._change("address", "UPDATE users SET email = $2 WHERE id = $1", user_id, shown)

    async def set_quota(self, user_id: str, quota_bytes: int | None) -> None:
        """Change the space of a user, None for unlimited; BadRequestError, NotFoundError."""
        sql = "UPDATE users SET quota_bytes = $2 WHERE id = $1"
        await self._change("quota", sql, user_id, _check_quota(quota_bytes))

    async def delete(self, user_id: str) -> None:
        """Remove a user, its credentials, keys and shares; NotFoundError.

        The home must be empty by then (``Files.delete``); its root goes with the user, and certificates stay on record
        as revoked.
        """
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            if await rows.run("DELETE FROM users WHERE id = $1", user_id) == 0:
                raise NotFoundError("no such user", path=user_id, advice=LIST_USERS)
            await record(rows, Event("user.removed", target=user_ref(user_id)))
            await key_given_up(rows, user_id, "user-removed")
            await release_held(rows, UserId(user_id), now=now)
            await forget_link_keys(rows, "(initiator_id = $1 OR owner_id = $1)", user_id, now=now)
            for sql in _DELETE_USER:
                await rows.run(sql, user_id)
            sql = "UPDATE certificates SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL"
            await rows.run(sql, user_id, now)

        await self._database.write(work)

    async def _change(self, what: str, sql: str, user_id: str, value: SqlValue, *, guarded: bool = False) -> None:
        async def work(rows: Rows) -> None:
            if guarded:
                await _refuse_last_admin(rows, user_id)
            if await rows.run(sql, user_id, value) == 0:
                raise NotFoundError("no such user", path=user_id, advice=LIST_USERS)
            kind = "user.changed"
            if what == "password":
                kind = "password.changed"
                await rows.run("DELETE FROM invitations WHERE user_id = $1", user_id)
            await record(rows, Event(kind, target=user_ref(user_id), reason=what))

        await self._database.write(work)


async def insert_app_password(rows: Rows, user_id: str, label: str, secret: SecretText, now: float) -> None:
    """Store an app password by its hash; ``label`` is cut to 120 printable characters."""
    row = await rows.one(
        "INSERT INTO app_passwords (user_id, label, secret_hash, created) VALUES ($1, $2, $3, $4) RETURNING id",
        user_id,
        "".join(c for c in label if c.isprintable())[:_LABEL_CHARS_MAX] or "app",
        hash_app_password(secret),
        now,
    )
    assert row is not None
    made = Event("apppassword.made", target=device_ref(_int(row[0])), details={"owner": user_ref(user_id)})
    await record(rows, made)


async def _refuse_last_admin(rows: Rows, user_id: str) -> None:
    """ForbiddenError when nobody else could administrate."""
    row = await rows.one("SELECT 1 FROM users WHERE id = $1 AND is_admin = 1 AND enabled = 1", user_id)
    others = await rows.one("SELECT 1 FROM users WHERE id <> $1 AND is_admin = 1 AND enabled = 1", user_id)
    if row is not None and others is None:
        raise ForbiddenError("the last administrator stays", advice="Make another user an administrator first.")


def _check_quota(quota_bytes: int | None) -> int | None:
    if quota_bytes is not None and not 0 <= quota_bytes < 2**62:
        raise BadRequestError("a quota is a number of bytes, or none for unlimited")
    return quota_bytes


def check_shown_text(text: str, what: str) -> str:
    """Return a text for people, or raise BadRequestError: at most 64 characters, none of them a control character."""
    if len(text) > _SHOWN_CHARS_MAX or not text.isprintable():
        raise BadRequestError(f"{what} has at most {_SHOWN_CHARS_MAX} characters, all of them printable")
    return text


def check_email(text: str) -> str | None:
    """Return an address, None for an empty one, or raise BadRequestError."""
    if text and not _EMAIL.match(text):
        raise BadRequestError("the address is not an e-mail address")
    return text or None


def check_new_password(password: SecretText) -> SecretText:
    """Return the password, or raise BadRequestError: at least 10 characters, at most 1,024 bytes."""
    text = password.reveal()
    if len(text) < _PASSWORD_CHARS_MIN or len(text.encode("utf-8", "surrogatepass")) > _PASSWORD_BYTES_MAX:
        raise BadRequestError(
            f"a password must have at least {_PASSWORD_CHARS_MIN} characters and at most {_PASSWORD_BYTES_MAX} bytes",
            advice="Choose a longer one, e.g. four random words.",
        )
    return password


def random_text(random: Random, length: int) -> str:
    """Return ``length`` unpredictable letters and digits, each of 57 equally likely (no look-alikes)."""
    limit = 256 - 256 % len(_ALPHABET)
    chosen: list[str] = []
    while len(chosen) < length:
        chosen += [_ALPHABET[b % len(_ALPHABET)] for b in random.token(length) if b < limit]
    return "".join(chosen[:length])

"""Devices of a user: the app passwords they sign in with, revoking them, and asking a lost one to wipe itself.

Layer: ``server``. App passwords are 72 random characters, so their SHA-256 is enough to store. Every process remembers
a verified one for ``RECHECK_SECONDS``; what ends one therefore returns only when that time is over everywhere, so that
"revoked" is true when a person reads it.
"""

from dataclasses import dataclass
from typing import Final

from candado.errors import NotFoundError
from candado.ports.server import Rows, SqlValue
from candado.server.access import RECHECK_SECONDS
from candado.server.accounts import (
    APP_PASSWORD_CHARS,
    LIST_USERS,
    hash_app_password,
    insert_app_password,
    random_text,
)
from candado.server.audit import Event, device_ref, record, record_all, user_ref
from candado.server.model import Backend
from candado.types import SecretText, UserId

__all__ = ["Device", "Devices"]

_ALL: Final = """SELECT id, user_id, label, created, last_used, wipe_asked FROM app_passwords
    WHERE user_id = $1 ORDER BY id"""
_ONE: Final = """SELECT id, user_id, label, created, last_used, wipe_asked FROM app_passwords
    WHERE user_id = $1 AND id = $2"""


@dataclass(frozen=True, slots=True)
class Device:
    """One app password, without its secret; times in seconds since the epoch.

    ``last_used_at`` is exact to an hour. ``wipe_asked_at`` is set from the wish that it wipe itself until it has.
    """

    device_id: int
    user_id: UserId
    label: str
    created_at: float
    last_used_at: float | None
    wipe_asked_at: float | None


def _device(row: tuple[SqlValue, ...]) -> Device:
    number, user_id, label, made, used, wipe = row
    assert isinstance(number, int)
    return Device(number, UserId(str(user_id)), str(label), _time(made) or 0.0, _time(used), _time(wipe))


def _time(value: SqlValue) -> float | None:
    assert value is None or isinstance(value, int | float)
    return None if value is None else float(value)


class Devices:
    """Use cases on app passwords."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random

    async def make(self, user_id: str, label: str) -> SecretText:
        """Create an app password; the secret is returned once and not stored. NotFoundError."""
        secret = SecretText(random_text(self._random, APP_PASSWORD_CHARS))
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            await _require_user(rows, user_id)
            await insert_app_password(rows, user_id, label, secret, now)

        await self._database.write(work)
        return secret

    async def all(self, user_id: str) -> list[Device]:
        """The devices of one user, oldest first; NotFoundError."""

        async def work(rows: Rows) -> list[Device]:
            await _require_user(rows, user_id)
            return [_device(row) for row in await rows.all(_ALL, user_id)]

        return await self._database.read(work)

    async def get(self, user_id: str, device_id: int) -> Device:
        """One device of a user; NotFoundError."""

        async def work(rows: Rows) -> Device:
            row = await rows.one(_ONE, user_id, device_id)
            if row is None:
                raise _gone()
            return _device(row)

        return await self._database.read(work)

    async def revoke(self, user_id: str, device_id: int) -> None:
        """End one app password in every process; absent is success. A wipe it was asked for is off."""

        async def work(rows: Rows) -> int:
            ended = await rows.run("DELETE FROM app_passwords WHERE user_id = $1 AND id = $2", user_id, device_id)
            if ended:
                await record(rows, _event("apppassword.revoked", user_id, device_id))
            return ended

        await self._ended(await self._database.write(work))

    async def revoke_all(self, user_id: str) -> int:
        """End all app passwords of a user in every process but those asked to wipe; how many. NotFoundError."""

        async def work(rows: Rows) -> int:
            await _require_user(rows, user_id)
            sql = "DELETE FROM app_passwords WHERE user_id = $1 AND wipe_asked IS NULL RETURNING id"
            ended = await rows.all(sql, user_id)
            await record_all(rows, [_event("apppassword.revoked", user_id, number) for (number,) in ended])
            return len(ended)

        count = await self._database.write(work)
        await self._ended(count)
        return count

    async def ask_wipe(self, user_id: str, device_id: int) -> None:
        """End one app password in every process, and tell the device to wipe itself when it asks why; NotFoundError."""
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            sql = "UPDATE app_passwords SET wipe_asked = COALESCE(wipe_asked, $3) WHERE user_id = $1 AND id = $2"
            if await rows.run(sql, user_id, device_id, now) == 0:
                raise _gone()
            await record(rows, _event("device.wipe-asked", user_id, device_id))

        await self._database.write(work)
        await self._ended(1)

    async def is_to_wipe(self, secret: SecretText) -> bool:
        """Whether the device that has this app password was asked to wipe itself."""

        async def work(rows: Rows) -> bool:
            sql = "SELECT 1 FROM app_passwords WHERE secret_hash = $1 AND wipe_asked IS NOT NULL"
            return await rows.one(sql, hash_app_password(secret)) is not None

        return await self._database.read(work)

    async def wiped(self, secret: SecretText) -> bool:
        """Forget a device that has wiped itself; False when it was not asked to."""

        async def work(rows: Rows) -> bool:
            sql = "DELETE FROM app_passwords WHERE secret_hash = $1 AND wipe_asked IS NOT NULL RETURNING user_id, id"
            row = await rows.one(sql, hash_app_password(secret))
            if row is not None:
                await record(rows, _event("device.wiped", str(row[0]), row[1]))
            return row is not None

        return await self._database.write(work)

    async def _ended(self, count: int) -> None:
        if count:
            await self._clock.sleep(RECHECK_SECONDS)


async def _require_user(rows: Rows, user_id: str) -> None:
    if await rows.one("SELECT 1 FROM users WHERE id = $1", user_id) is None:
        raise NotFoundError("no such user", path=user_id, advice=LIST_USERS)


def _event(kind: str, user_id: str, device_id: SqlValue) -> Event:
    assert isinstance(device_id, int)
    return Event(kind, target=device_ref(device_id), details={"owner": user_ref(user_id)})


def _gone() -> NotFoundError:
    return NotFoundError("there is no such device", advice="Look at the list of devices again.")

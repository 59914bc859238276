"""Login flow v2: a device asks, a person confirms in a browser, the device fetches its app password once.

Layer: ``server``. The device holds the poll token, the browser the flow token; the database only their hashes. The
app password is made in the transaction that hands it out, so it is never stored in clear.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from candado.errors import NotFoundError
from candado.ports.server import Rows
from candado.server.accounts import APP_PASSWORD_CHARS, insert_app_password, random_text
from candado.server.model import Backend
from candado.types import SecretText, UserId

__all__ = ["FLOW_SECONDS", "FlowStart", "LoginFlows"]

FLOW_SECONDS: Final = 1200.0
_TOKEN_CHARS: Final = 128


@dataclass(frozen=True, slots=True)
class FlowStart:
    """The two secrets of a new flow."""

    poll_token: SecretText
    flow_token: SecretText


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class LoginFlows:
    """Use cases of the login flow."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random

    async def start(self, client_name: str) -> FlowStart:
        """Begin a flow for a device that calls itself ``client_name`` (shown to the person); drops expired flows."""
        started = FlowStart(
            SecretText(random_text(self._random, _TOKEN_CHARS)), SecretText(random_text(self._random, _TOKEN_CHARS))
        )
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            await rows.run("DELETE FROM login_flows WHERE expires < $1", now)
            await rows.run(
                "INSERT INTO login_flows (poll_hash, flow_hash, client_name, created, expires)"
                " VALUES ($1, $2, $3, $4, $5)",
                _hashed(started.poll_token.reveal()),
                _hashed(started.flow_token.reveal()),
                "".join(c for c in client_name if c.isprintable())[:120] or "unknown device",
                now,
                now + FLOW_SECONDS,
            )

        await self._database.write(work)
        return started

    async def client_name(self, flow_token: str) -> str:
        """Name of the device that waits; NotFoundError when the flow is unknown, expired or confirmed already."""
        now = self._clock.now()

        async def work(rows: Rows) -> str:
            row = await rows.one(
                "SELECT client_name FROM login_flows WHERE flow_hash = $1 AND expires >= $2 AND user_id IS NULL",
                _hashed(flow_token),
                now,
            )
            if row is None:
                raise NotFoundError("this sign-in is unknown, over, or too old", advice="Start again in the app.")
            return str(row[0])

        return await self._database.read(work)

    async def confirm(self, flow_token: str, user_id: UserId) -> None:
        """Let the device in as ``user_id``; NotFoundError as ``client_name``. One flow is confirmed once."""
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            changed = await rows.run(
                "UPDATE login_flows SET user_id = $3 WHERE flow_hash = $1 AND expires >= $2 AND user_id IS NULL",
                _hashed(flow_token),
                now,
                user_id,
            )
            if changed == 0:
                raise NotFoundError("this sign-in is unknown, over, or too old", advice="Start again in the app.")

        await self._database.write(work)

    async def poll(self, poll_token: str) -> tuple[UserId, SecretText] | None:
        """The user and a new app password once the flow was confirmed, and never again; None while it is pending.

        Unknown and expired tokens look like pending ones.
        """
        now = self._clock.now()
        hashed = _hashed(poll_token)

        async def pending(rows: Rows) -> bool:
            row = await rows.one(
                "SELECT 1 FROM login_flows WHERE poll_hash = $1 AND expires >= $2 AND user_id IS NOT NULL", hashed, now
            )
            return row is None

        if await self._database.read(pending):
            return None
        secret = SecretText(random_text(self._random, APP_PASSWORD_CHARS))

        async def work(rows: Rows) -> UserId | None:
            row = await rows.one(
                "DELETE FROM login_flows WHERE poll_hash = $1 AND expires >= $2 AND user_id IS NOT NULL"
                " RETURNING user_id, client_name",
                hashed,
                now,
            )
            if row is None or await rows.one("SELECT 1 FROM users WHERE id = $1 AND enabled = 1", row[0]) is None:
                return None
            await insert_app_password(rows, str(row[0]), str(row[1]), secret, now)
            return UserId(str(row[0]))

        user_id = await self._database.write(work)
        return None if user_id is None else (user_id, secret)

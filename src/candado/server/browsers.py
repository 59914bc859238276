"""Browsers in which a user is signed in to the pages of the own account and of the administration.

Layer: ``server``. The browser keeps a random token as a cookie, the database its hash, the user's version at that time
and an end: a new password, a disabled account and "sign out everywhere" end it at once. Nothing but the pages takes it.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from candado.errors import AuthRequiredError
from candado.ports.server import Rows
from candado.server.accounts import random_text
from candado.server.model import Backend
from candado.types import SecretText, UserId

__all__ = ["BROWSER_SECONDS", "Browser", "Browsers"]

BROWSER_SECONDS: Final = 3600
_TOKEN_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser that is signed in."""

    user_id: UserId
    token: SecretText
    is_admin: bool = False

    @property
    def form_token(self) -> str:
        """What forms of the page carry: another site can neither read it nor make it."""
        return hashlib.sha256(b"form\0" + self.token.reveal().encode("utf-8", "surrogatepass")).hexdigest()

    def sent(self, form_token: str) -> bool:
        """Whether a form came from a page that this browser was given."""
        return hmac.compare_digest(self.form_token.encode(), form_token.encode("utf-8", "surrogatepass"))


def _hashed(token: SecretText) -> str:
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()


class Browsers:
    """Use cases of the personal page's sign-in."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random

    async def sign_in(self, user_id: UserId) -> Browser:
        """Sign a browser in as a user whose password was just checked; drops those whose time is over."""
        browser = Browser(user_id, SecretText(random_text(self._random, _TOKEN_CHARS)))
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            await rows.run("DELETE FROM browsers WHERE expires <= $1", now)
            await rows.run(
                "INSERT INTO browsers (token_hash, user_id, user_version, expires)"
                " SELECT $1, id, version, $3 FROM users WHERE id = $2",
                _hashed(browser.token),
                user_id,
                now + BROWSER_SECONDS,
            )

        await self._database.write(work)
        return browser

    async def find(self, token: SecretText) -> Browser:
        """The browser that has this token; AuthRequiredError when it is not signed in (any more)."""
        now = self._clock.now()

        async def work(rows: Rows) -> Browser:
            row = await rows.one(
                "SELECT u.id, u.is_admin FROM browsers b"
                " JOIN users u ON u.id = b.user_id AND u.version = b.user_version"
                " WHERE b.token_hash = $1 AND b.expires > $2 AND u.enabled = 1",
                _hashed(token),
                now,
            )
            if row is None:
                raise AuthRequiredError("this browser is not signed in")
            return Browser(UserId(str(row[0])), token, bool(row[1]))

        return await self._database.read(work)

    async def sign_out(self, browser: Browser) -> None:
        """End this sign-in."""

        async def work(rows: Rows) -> None:
            await rows.run("DELETE FROM browsers WHERE token_hash = $1", _hashed(browser.token))

        await self._database.write(work)

    async def sign_out_others(self, browser: Browser) -> None:
        """End every other sign-in of the same user."""

        async def work(rows: Rows) -> None:
            sql = "DELETE FROM browsers WHERE user_id = $1 AND token_hash <> $2"
            await rows.run(sql, browser.user_id, _hashed(browser.token))

        await self._database.write(work)

"""Sign-in through the person's browser: login flow v2.

Layer: ``adapters``. The server gives a page for the person and a token for us; once the person agreed on the page,
asking with the token gives an app password, once. All addresses must be of the server the person named: another one
would take the login somewhere else. Source: server document, section 1.3.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from candado.adapters.http_settings import HttpSettings
from candado.adapters.http_wire import HttpWire
from candado.errors import MalformedError, NotFoundError, RedirectError
from candado.formats.canonjson import JsonObject, load_json
from candado.ports.ambient import Clock, Random
from candado.types import SecretText

__all__ = ["LoginFlow", "LoginGrant"]

_ANSWER_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class LoginGrant:
    """What the person granted: the login name and an app password for this device."""

    login: str
    app_password: SecretText


class LoginFlow:
    """One sign-in at one server.

    Args:
        base_url: address of the server.
        clock, random, settings: as of ``HttpRemote``.
    """

    def __init__(self, base_url: str, *, clock: Clock, random: Random, settings: HttpSettings) -> None:
        self._wire = HttpWire(base_url, None, None, settings=settings, clock=clock, random=random)
        self._token = SecretText("")
        self._endpoint = ""

    async def start(self) -> str:
        """Begin; returns the URL of the page for the person. RedirectError when it is not of this server."""
        answer = await self._wire.ask("POST", "/index.php/login/v2", limit=_ANSWER_BYTES_MAX, data=b"")
        document = _object(answer.body)
        poll = document.get("poll")
        if not isinstance(poll, dict):
            raise MalformedError("the server's answer to a login is not understood")
        self._token = SecretText(_text(poll, "token"))
        self._endpoint = self._below(_text(poll, "endpoint"))
        page = _text(document, "login")
        self._below(page)
        return page

    async def poll(self) -> LoginGrant | None:
        """The grant, or None as long as the person did not agree."""
        try:
            answer = await self._wire.ask(
                "POST",
                self._endpoint,
                limit=_ANSWER_BYTES_MAX,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                data=urlencode({"token": self._token.reveal()}).encode(),
            )
        except NotFoundError:
            return None
        document = _object(answer.body)
        self._below(_text(document, "server").rstrip("/") + "/")
        return LoginGrant(_text(document, "loginName"), SecretText(_text(document, "appPassword")))

    async def close(self) -> None:
        """Release the connections."""
        await self._wire.close()

    def _below(self, url: str) -> str:
        """The path below our server's address."""
        base = self._wire.base_url
        if not url.startswith(f"{base}/") or not url.isascii() or not url.isprintable():
            raise RedirectError("the server sends the login to another address", path=base)
        return url[len(base) :]


def _object(body: bytes) -> JsonObject:
    document = load_json(body, bytes_max=_ANSWER_BYTES_MAX)
    if not isinstance(document, dict):
        raise MalformedError("the server's answer to a login is not understood")
    return document


def _text(document: JsonObject, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 4096:
        raise MalformedError("the server's answer to a login is not understood")
    return value

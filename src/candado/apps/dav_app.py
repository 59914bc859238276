"""The raw ASGI callable below ``/remote.php``: who asks, which tree, and how errors look.

Layer: ``apps``.
"""

import logging
import re
from collections.abc import MutableMapping
from typing import Any, Final

from candado.apps.callers import with_exchange
from candado.apps.dav_exchange import ClientGoneError, Exchange, Receive, Send, decode_path
from candado.apps.dav_headers import XML, Place
from candado.apps.dav_listing import Listings
from candado.apps.dav_routes import DavFiles
from candado.apps.dav_search import DavSearch
from candado.apps.dav_uploads import DavUploads
from candado.apps.server_errors import dav_error_body, fault_of
from candado.apps.server_watch import note
from candado.apps.server_wiring import Services
from candado.errors import CandadoError, NotFoundError
from candado.formats.dav import DavResponse, format_multistatus, quote_href
from candado.server.audit import acting

__all__ = ["DavApp", "place_of", "split_raw"]

_LOG = logging.getLogger("candado.server")
_ROOT_ALLOW: Final = (b"allow", b"OPTIONS, HEAD, PROPFIND, SEARCH")
_SLASHES: Final = re.compile(rb"/{2,}")


class DavApp:
    """Answers everything below ``/remote.php``."""

    def __init__(self, services: Services) -> None:
        self._authenticator = services.authenticator
        self._files = DavFiles(services)
        self._uploads = DavUploads(services)
        self._search = DavSearch(services, Listings(services))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request; never raises for what a client can cause."""
        client = scope.get("client")
        exchange = Exchange(scope, receive, send, address=client[0] if client else "")
        try:
            await self.dispatch(exchange)
        except ClientGoneError:
            exchange.status = exchange.status or 499
        except CandadoError as error:
            await self._fail(exchange, error)
        except Exception:
            # The last line of defence: the cause goes to the log, the client learns only that it failed.
            _LOG.exception("%s failed", exchange.method)
            if exchange.status:
                raise
            await exchange.reply(500, [XML], dav_error_body("Sabre\\DAV\\Exception", "Internal error"))

    async def dispatch(self, exchange: Exchange) -> None:
        """One request of a user."""
        header = exchange.headers.get(b"authorization")
        principal = None if header is None else self._authenticator.cached(header)
        principal = principal or await self._authenticator.check(header, exchange.address)
        exchange.principal = with_exchange(principal, exchange)
        raw, spelled, parts = split_raw(exchange)
        user = exchange.principal.user_id
        note(user=user)
        acting(exchange.principal)
        if parts[1:2] == ["webdav"]:
            note(route="webdav")
            await self._files.run(exchange, place_of(raw, spelled, parts, 2))
        elif parts[1:4] == ["dav", "files", user]:
            note(route="dav/files")
            await self._files.run(exchange, place_of(raw, spelled, parts, 4))
        elif parts[1:4] == ["dav", "uploads", user]:
            note(route="dav/uploads")
            await self._uploads.run(exchange, "/".join(parts[4:]))
        elif parts[1:] == ["dav"] and exchange.method == "SEARCH":
            note(route="dav/search")
            await self._search.run(exchange, Place(f"{_prefix(raw, spelled, 2)}/files/{quote_href(user)}", ""))
        elif parts[1:] in (["dav"], ["dav", "files"]):
            note(route="dav")
            await _answer_root(exchange)
        else:
            raise NotFoundError("there is nothing of yours at this address")

    async def _fail(self, exchange: Exchange, error: CandadoError) -> None:
        fault = fault_of(error)
        if fault.status == 500 or exchange.status:
            _LOG.error("%s failed: %s", exchange.method, error.code, exc_info=error)
        if exchange.status:
            # The status is out; only closing the connection can still say that the body is not whole.
            raise error
        await exchange.reply(fault.status, [XML, *fault.headers], dav_error_body(fault.exception, fault.message))


def split_raw(exchange: Exchange) -> tuple[bytes, list[bytes], list[str]]:
    """The path as it came, its parts as they were spelled, and its parts decoded."""
    raw = _SLASHES.sub(b"/", exchange.raw_path)
    below = raw.removeprefix(b"/index.php")
    return raw, below.split(b"/"), decode_path(below).split("/")


def place_of(raw: bytes, spelled: list[bytes], parts: list[str], count: int) -> Place:
    """The place ``count`` parts below the root; stock clients want their own spelling of the prefix back."""
    return Place(_prefix(raw, spelled, count), "/".join(parts[count:]))


def _prefix(raw: bytes, spelled: list[bytes], count: int) -> str:
    start = "/index.php" if raw.startswith(b"/index.php") else ""
    return start + b"/".join(spelled[: count + 1]).decode("latin-1")


async def _answer_root(exchange: Exchange) -> None:
    """The folders above the user's files: they exist, and that is all."""
    if exchange.method == "PROPFIND":
        href = exchange.raw_path.decode("latin-1").rstrip("/") + "/"
        body = format_multistatus([DavResponse(href, [("{DAV:}resourcetype", ("{DAV:}collection",))])])
        await exchange.reply(207, [XML], body)
    elif exchange.method in ("HEAD", "OPTIONS"):
        await exchange.reply(200, [(b"dav", b"1, 3"), (b"dasl", b"<DAV:basicsearch>"), _ROOT_ALLOW])
    else:
        await exchange.not_allowed(_ROOT_ALLOW[1])

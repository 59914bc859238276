"""SEARCH on ``/remote.php/dav/`` and the REPORT of favourites.

Layer: ``apps``. Source: RFC 5323; docs/spec/webdav.md.
"""

from candado.apps.dav_exchange import Exchange
from candado.apps.dav_headers import Place
from candado.apps.dav_listing import Listings
from candado.apps.server_wiring import Services
from candado.errors import ForbiddenError, PreconditionFailedError
from candado.formats.davrequests import PropRequest
from candado.formats.davsearch import parse_filter_files, parse_search

__all__ = ["DavSearch"]


class DavSearch:
    """The methods that look for nodes."""

    def __init__(self, services: Services, listings: Listings) -> None:
        self._searching = services.searching
        self._listings = listings

    async def run(self, exchange: Exchange, place: Place) -> None:
        """Answer a SEARCH; ``place`` is the caller's files. Errors of our tree pass through."""
        request = parse_search(await exchange.document())
        path = _path_in_files(request.scope, exchange.principal.user_id)
        found = await self._searching.search(exchange.principal, path, request)
        await self._listings.reply(
            exchange,
            Place(place.prefix, path),
            found.nodes,
            PropRequest(request.names, name_only=False),
            truncated=not found.complete,
        )

    async def report(self, exchange: Exchange, place: Place) -> None:
        """Answer a REPORT on a folder."""
        request = parse_filter_files(await exchange.document())
        if request.tags:
            raise PreconditionFailedError("there are no tags on this server, so none of these exists")
        found = await self._searching.favourites(exchange.principal, place.path)
        await self._listings.reply(
            exchange,
            place,
            found.nodes,
            PropRequest(request.names, name_only=False),
            truncated=not found.complete,
        )


def _path_in_files(scope: str, user_id: str) -> str:
    """The path in the caller's files of a scope, which is below the address of the request, or an address itself."""
    parts = scope.strip("/").split("/")
    for above in (["index.php"], ["remote.php"], ["dav"]):
        if parts[:1] == above:
            parts = parts[1:]
    for start in (["files", user_id], ["webdav"]):
        if parts[: len(start)] == start:
            return "/".join(parts[len(start) :])
    raise ForbiddenError("only your own files can be searched")

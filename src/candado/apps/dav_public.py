"""WebDAV for the visitors of links: ``/public.php/dav/files/TOKEN`` and the older ``/public.php/webdav``.

Layer: ``apps``. The older address takes the token as the user name. A password is that of Basic credentials, whatever
the name. Into an encrypted folder the same rules hold as for its members, with one exception: a link for uploads takes
new sealed bodies without a lock.
"""

from typing import Final

from candado.apps.callers import with_exchange
from candado.apps.dav_app import DavApp, place_of, split_raw
from candado.apps.dav_exchange import Exchange
from candado.apps.dav_headers import Place
from candado.apps.server_watch import note
from candado.apps.server_wiring import Services
from candado.errors import AuthRequiredError, ForbiddenError, NotFoundError
from candado.server.access import Credentials, parse_authorization
from candado.server.audit import acting
from candado.server.filedrops import check_drop_name
from candado.server.model import PERMISSION_READ
from candado.server.sharerows import Share

__all__ = ["PublicDavApp"]

_METHODS: Final = frozenset({"OPTIONS", "PROPFIND", "GET", "HEAD", "PUT", "MKCOL", "DELETE", "MOVE", "COPY"})
_DROP_METHODS: Final = frozenset({"OPTIONS", "PUT"})


class PublicDavApp(DavApp):
    """Answers everything below ``/public.php``."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._links = services.links

    async def dispatch(self, exchange: Exchange) -> None:
        """One request."""
        raw, spelled, parts = split_raw(exchange)
        header = exchange.headers.get(b"authorization")
        credentials = None if header is None else parse_authorization(header)
        note(route="public/webdav" if parts[1:2] == ["webdav"] else "public/dav/files")
        if parts[1:2] == ["webdav"]:
            share = await self._by_login(credentials)
            place = place_of(raw, spelled, parts, 2)
        elif parts[1:3] == ["dav", "files"] and len(parts) > 3:
            share = await self._links.find(parts[3])
            place = place_of(raw, spelled, parts, 4)
        else:
            raise NotFoundError("there is nothing for you at this address")
        secret = None if credentials is None else credentials.secret
        exchange.principal = with_exchange(await self._links.enter(share, secret, exchange.address), exchange)
        acting(exchange.principal)
        await self._run(exchange, share, place)

    async def _by_login(self, credentials: Credentials | None) -> Share:
        if credentials is None or credentials.login is None:
            raise AuthRequiredError("the token of the link is wanted as the user name")
        try:
            return await self._links.find(credentials.login)
        except NotFoundError as exc:
            raise AuthRequiredError(exc.message) from exc

    async def _run(self, exchange: Exchange, share: Share, place: Place) -> None:
        reads = bool(share.permissions & PERMISSION_READ)
        methods = _METHODS if reads else _DROP_METHODS
        if exchange.method not in methods:
            if exchange.method in _METHODS:
                raise ForbiddenError("this link only takes uploads")
            await exchange.not_allowed(", ".join(sorted(methods)).encode("ascii"))
            return
        if share.hide_download and exchange.method == "GET":
            raise ForbiddenError("this link shows names and gives no contents")
        if not reads and exchange.method == "PUT":
            place = await self._drop(exchange, share, place)
        await self._files.run(exchange, place)

    async def _drop(self, exchange: Exchange, share: Share, place: Place) -> Place:
        """Where an upload goes that must neither replace nor show what is there."""
        if not place.path or "/" in place.path:
            raise ForbiddenError("uploads go directly into the folder of the link")
        exchange.headers.pop(b"if-match", None)
        exchange.headers[b"if-none-match"] = b"*"
        if share.is_encrypted:
            # What is dropped keeps its name: the entry that comes later has the same one.
            return Place(place.prefix, check_drop_name(place.path))
        return Place(place.prefix, await self._links.free_name(exchange.principal, "", place.path))

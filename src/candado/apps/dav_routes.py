"""WebDAV below ``/remote.php``: one raw ASGI callable, no framework between the socket and the use cases.

Layer: ``apps``. ``/remote.php/dav/files/<user>/...`` and its alias ``/remote.php/webdav/...``; chunked uploads are in
``dav_uploads``. Everything that can refuse a body is asked before the first ``receive``, so that a client which waits
for "100 Continue" never sends what will be refused.
"""

from functools import partial
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from candado.apps.dav_bodies import announced_checksum, begun, digest_parts, read_parts, receive_blob
from candado.apps.dav_exchange import Exchange
from candado.apps.dav_headers import (
    XML,
    Place,
    chosen_range,
    destination_of,
    file_headers,
    header_etag,
    is_unchanged,
    mtime_of,
    node_headers,
    time_of,
)
from candado.apps.dav_listing import Listings
from candado.apps.dav_props import ALL_NAMES, DAV, METADATA_NAMES, is_live, stored_value
from candado.apps.dav_search import DavSearch
from candado.apps.server_errors import dav_error_body
from candado.apps.server_wiring import Services
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    PreconditionFailedError,
)
from candado.formats.davrequests import parse_propfind, parse_proppatch
from candado.server.model import NodeInfo, Part
from candado.server.storing import TargetFolderMissingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["DavFiles"]

_ALLOW: Final = b"OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, PATCH, PROPFIND, PROPPATCH, REPORT"
_ONE_PIECE_BYTES: Final = 1 << 16
_TIME_NAMES: Final = frozenset({f"{DAV}lastmodified", f"{DAV}getlastmodified"})


class DavFiles:
    """The methods on files and folders."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._files = services.files
        self._listings = Listings(services)
        self._search = DavSearch(services, self._listings)
        self._methods: Mapping[str, Callable[[Exchange, Place], Awaitable[None]]] = {
            "OPTIONS": self._options,
            "PROPFIND": self._propfind,
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "MKCOL": self._mkcol,
            "DELETE": self._delete,
            "MOVE": self._move,
            "COPY": self._move,
            "PATCH": self._patch,
            "PROPPATCH": self._proppatch,
            "REPORT": self._search.report,
        }

    async def run(self, exchange: Exchange, place: Place) -> None:
        """Answer one request; errors of our tree pass through."""
        method = self._methods.get(exchange.method)
        if method is None:
            known = exchange.method in ("SEARCH", "LOCK", "UNLOCK")
            await exchange.not_allowed(_ALLOW, 501 if known else 405)
            return
        if exchange.token is not None and not self._listings.shows_encrypted(exchange):
            raise ForbiddenError("this client is not known to support end-to-end encrypted folders")
        await method(exchange, place)

    async def _options(self, exchange: Exchange, place: Place) -> None:
        del place
        await exchange.reply(200, [(b"dav", b"1, 3"), (b"allow", _ALLOW), (b"ms-author-via", b"DAV")])

    # --- reading -----------------------------------------------------------------------------------------

    async def _propfind(self, exchange: Exchange, place: Place) -> None:
        depth = exchange.text(b"depth")
        if depth not in ("0", "1"):
            # RFC 4918, 9.1.1: a client can tell this 403 from a missing right.
            message = "a listing of everything below is not offered; use Depth 0 or 1"
            body = dav_error_body("Sabre\\DAV\\Exception\\Forbidden", message, condition="propfind-finite-depth")
            await exchange.reply(403, [XML], body)
            return
        wanted = parse_propfind(await exchange.document())
        names = ALL_NAMES if wanted.names is None else wanted.names
        with_metadata = not METADATA_NAMES.isdisjoint(names)
        node, children = await self._list(exchange, place.path, depth, with_metadata=with_metadata)
        if node.encrypted and not self._listings.shows_encrypted(exchange):
            raise ForbiddenError("this client is not known to support end-to-end encrypted folders")
        await self._listings.reply(exchange, place, [node, *children], wanted)

    async def _list(
        self, exchange: Exchange, path: str, depth: str, *, with_metadata: bool
    ) -> tuple[NodeInfo, list[NodeInfo]]:
        if depth == "0":
            return await self._files.stat(exchange.principal, path, with_metadata=with_metadata), []
        return await self._files.list_folder(
            exchange.principal, path, with_metadata=with_metadata, with_properties=True
        )

    async def _get(self, exchange: Exchange, place: Place) -> None:
        node, parts = await self._opened(exchange, place.path)
        if node.is_folder:
            await exchange.reply(200, [(b"etag", f'"{node.etag}"'.encode("latin-1"))])
            return
        headers = file_headers(node)
        condition = header_etag(exchange.text(b"if-match"))
        if condition is not None and condition not in ("*", node.etag):
            raise PreconditionFailedError("the file is another version than the one asked for")
        if is_unchanged(exchange, node):
            await exchange.reply(304, headers)
            return
        try:
            chosen = chosen_range(exchange, node)
        except LimitExceededError:
            size = f"bytes */{node.size_bytes}".encode("ascii")
            message = "the range begins behind the end of the file"
            await exchange.refuse(416, "RequestedRangeNotSatisfiable", message, [(b"content-range", size)])
            return
        start, stop = (0, node.size_bytes) if chosen is None else chosen
        headers.append((b"content-length", str(stop - start).encode("ascii")))
        if chosen is not None:
            headers.append((b"content-range", f"bytes {start}-{stop - 1}/{node.size_bytes}".encode("ascii")))
        pieces = read_parts(self._services.backend.objects, parts, start=start, stop=stop)
        if exchange.method == "HEAD" or stop - start <= _ONE_PIECE_BYTES:
            # Read before the status is sent: a blob that is missing is then an error the client can see.
            body = b"" if exchange.method == "HEAD" else b"".join([bytes(piece) async for piece in pieces])
            await exchange.start(206 if chosen else 200, headers)
            await exchange.send_last(body)
            return
        pieces = await begun(pieces)
        await exchange.start(206 if chosen else 200, headers)
        await exchange.stream(pieces)

    async def _opened(self, exchange: Exchange, path: str) -> tuple[NodeInfo, list[Part]]:
        if exchange.method == "HEAD":
            return await self._files.stat(exchange.principal, path), []
        return await self._files.open_file(exchange.principal, path)

    # --- writing -----------------------------------------------------------------------------------------

    async def _put(self, exchange: Exchange, place: Place) -> None:
        if b"content-range" in exchange.headers:
            raise BadRequestError("a file is stored as a whole; use a chunked upload")
        checksum, mtime = announced_checksum(exchange.text(b"oc-checksum")), mtime_of(exchange)
        none_match = header_etag(exchange.text(b"if-none-match"))
        if none_match not in (None, "*"):
            raise BadRequestError("If-None-Match knows only * here")
        try:
            ticket = await self._files.begin_put(
                exchange.principal,
                place.path,
                token=exchange.token,
                length=exchange.length,
                if_match=header_etag(exchange.text(b"if-match")),
                if_none_match=none_match is not None,
            )
        except NotFoundError as exc:
            raise AlreadyExistsError("the parent folder does not exist", path=exc.path) from exc
        bytes_max = None
        if exchange.length is None:
            bytes_max = (await self._files.quota(ticket.owner_id)).free_bytes
        blob_id, size, shown = await receive_blob(
            exchange,
            self._services.backend.objects,
            length=exchange.length,
            bytes_max=bytes_max,
            checksum=checksum,
            clock=self._services.backend.clock,
            alive=partial(self._files.keep_alive, ticket) if ticket.session else None,
            # Stock desktop clients announce the digest of the clear text when they rename a file in an encrypted
            # folder. Refusing leaves the folder locked; keeping it would tell what the clear text is.
            believe=not ticket.parent_encrypted,
        )
        node, created = await self._files.commit_put(
            ticket, blob_id=blob_id, size_bytes=size, mtime=mtime, checksum=shown
        )
        headers = node_headers(self._services, node, with_mtime=mtime is not None)
        if shown is not None:
            headers.append((b"oc-checksum", shown.encode("ascii")))
        await exchange.reply(201 if created else 204, headers)

    async def _mkcol(self, exchange: Exchange, place: Place) -> None:
        if await exchange.document():
            await exchange.refuse(415, "UnsupportedMediaType", "a folder is made without a body")
            return
        try:
            node = await self._files.make_folder(exchange.principal, place.path, token=exchange.token)
        except AlreadyExistsError:
            await exchange.refuse(405, "MethodNotAllowed", "there is something of this name", [(b"allow", _ALLOW)])
            return
        except NotFoundError:
            # RFC 4918, 9.3.1: a missing parent is a conflict, not an absent resource.
            await exchange.refuse(409, "Conflict", "the parent folder does not exist")
            return
        await exchange.reply(201, node_headers(self._services, node, with_mtime=False))

    async def _delete(self, exchange: Exchange, place: Place) -> None:
        await self._files.delete(
            exchange.principal,
            place.path,
            token=exchange.token,
            if_match=header_etag(exchange.text(b"if-match")),
        )
        await exchange.reply(204)

    async def _move(self, exchange: Exchange, place: Place) -> None:
        overwrite = (exchange.text(b"overwrite") or "T").upper()
        if overwrite not in ("T", "F"):
            raise BadRequestError("Overwrite is T or F")
        work = self._files.move if exchange.method == "MOVE" else self._files.copy
        try:
            node, created = await work(
                exchange.principal,
                place.path,
                destination_of(exchange, place.prefix),
                token=exchange.token,
                overwrite=overwrite == "T",
            )
        except AlreadyExistsError as exc:
            raise PreconditionFailedError(exc.message) from exc
        except TargetFolderMissingError as exc:
            # RFC 4918, 9.8.5 and 9.9.4: a missing folder is a conflict, only a missing source is 404.
            raise AlreadyExistsError(exc.message, path=exc.path) from exc
        await exchange.reply(201 if created else 204, node_headers(self._services, node, with_mtime=False))

    async def _patch(self, exchange: Exchange, place: Place) -> None:
        """Compute and keep the checksum of a file anew: what stock desktop clients ask when a download does not fit."""
        kind = exchange.text(b"x-recalculate-hash")
        if kind is None:
            raise BadRequestError("PATCH computes a checksum anew and wants X-Recalculate-Hash")
        node, parts = await self._files.open_file(exchange.principal, place.path)
        shown = await digest_parts(self._services.backend.objects, parts, kind)
        await self._files.keep_checksum(node.file_id, parts, shown)
        await exchange.reply(204, [(b"oc-checksum", shown.encode("ascii"))])

    async def _proppatch(self, exchange: Exchange, place: Place) -> None:
        steps = parse_proppatch(await exchange.document())
        changes: dict[str, str | None] = {}
        mtime: float | None = None
        refused: list[str] = []
        for step in steps:
            if step.name in _TIME_NAMES and step.value is not None:
                mtime = time_of(step.value)
            elif is_live(step.name):
                refused.append(step.name)
            else:
                changes[step.name] = None if step.value is None else stored_value(step.value)
        if not refused:
            await self._files.patch_properties(exchange.principal, place.path, changes, mtime=mtime)
        body = format_patched(
            place.href(place.path, is_folder=False), [step.name for step in steps], frozenset(refused)
        )
        await exchange.reply(207, [XML], body)


def format_patched(href: str, names: list[str], refused: frozenset[str]) -> bytes:
    """The answer to a PROPPATCH, which is carried out as a whole or not at all (RFC 4918, 9.2)."""
    groups: dict[str, list[str]] = {}
    for name in names:
        carried_out = "424 Failed Dependency" if refused else "200 OK"
        groups.setdefault("403 Forbidden" if name in refused else carried_out, []).append(name)
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>\n<d:multistatus xmlns:d="DAV:"><d:response>',
        f"<d:href>{escape(href)}</d:href>",
    ]
    for status, members in groups.items():
        inner = "".join(_empty_element(name) for name in members)
        parts.append(f"<d:propstat><d:prop>{inner}</d:prop><d:status>HTTP/1.1 {status}</d:status></d:propstat>")
    parts.append("</d:response></d:multistatus>\n")
    return "".join(parts).encode()


def _empty_element(name: str) -> str:
    uri, _, local = name.removeprefix("{").rpartition("}")
    return f"<x:{local} xmlns:x={quoteattr(uri)}/>" if uri else f"<{local}/>"

"""Chunked uploads: ``/remote.php/dav/uploads/<user>/<transfer>/<chunk>``, joined by a MOVE of ``.file``.

Layer: ``apps``.
"""

import re
from typing import Final

from candado.apps.dav_bodies import announced_checksum, receive_blob
from candado.apps.dav_exchange import Exchange, split_path
from candado.apps.dav_headers import XML, destination_of, header_etag, mtime_of, node_headers
from candado.apps.server_wiring import Services
from candado.errors import AlreadyExistsError, BadRequestError, ForbiddenError
from candado.formats.dav import DavResponse, DavValue, format_multistatus, quote_href
from candado.formats.davrequests import parse_propfind
from candado.formats.httpdate import http_date
from candado.server.storing import TargetFolderMissingError

__all__ = ["DavUploads"]

_IF_ETAG: Final = re.compile(r'\[\s*(?:W/)?"([^"\]]*)"\s*\]')
_ASSEMBLED: Final = ".file"
_DAV: Final = "{DAV:}"


class DavUploads:
    """The methods on uploads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._uploads = services.uploads

    async def run(self, exchange: Exchange, path: str) -> None:
        """Answer one request; ``path`` is below ``uploads/<user>``. Errors of our tree pass through."""
        transfer, name = split_path(path)
        method = exchange.method
        if not transfer or "/" in name:
            raise BadRequestError("an upload is a folder of chunks")
        if name == "":
            await self._folder(exchange, transfer)
        elif method == "PUT":
            await self._chunk(exchange, transfer, name)
        elif method == "MOVE" and name == _ASSEMBLED:
            await self._assemble(exchange, transfer)
        else:
            await exchange.not_allowed(b"PUT, MOVE")

    async def _folder(self, exchange: Exchange, transfer: str) -> None:
        if exchange.method == "MKCOL":
            await self._ask(exchange)
            try:
                await self._uploads.begin(exchange.principal, transfer)
            except AlreadyExistsError:
                allow = [(b"allow", b"PROPFIND, DELETE")]
                await exchange.refuse(405, "MethodNotAllowed", "this upload is open already", allow)
                return
            await exchange.reply(201)
        elif exchange.method == "DELETE":
            await self._uploads.abort(exchange.principal, transfer)
            await exchange.reply(204)
        elif exchange.method == "PROPFIND":
            await self._list(exchange, transfer)
        else:
            await exchange.not_allowed(b"MKCOL, PROPFIND, DELETE")

    async def _ask(self, exchange: Exchange) -> None:
        """Ask the access rules as soon as a client says where the chunks will go and how many bytes they are."""
        if b"destination" not in exchange.headers:
            return
        total = exchange.text(b"oc-total-length") or ""
        length = int(total) if total.isascii() and total.isdigit() and len(total) < 19 else None
        try:
            target = destination_of(exchange)
        except (BadRequestError, ForbiddenError):
            return  # said when the chunks are joined
        await self._uploads.check_target(exchange.principal, target, token=exchange.token, length=length)

    async def _list(self, exchange: Exchange, transfer: str) -> None:
        if exchange.text(b"depth") not in ("0", "1"):
            raise ForbiddenError("a listing of everything below is not offered; use Depth 0 or 1")
        wanted = parse_propfind(await exchange.document())
        chunks = await self._uploads.list_chunks(exchange.principal, transfer)
        base = quote_href(f"/remote.php/dav/uploads/{exchange.principal.user_id}/{transfer}/")
        folder: dict[str, DavValue] = {f"{_DAV}resourcetype": (f"{_DAV}collection",)}
        listed: list[tuple[str, dict[str, DavValue]]] = [(base, folder)]
        if exchange.text(b"depth") == "1":
            for chunk in chunks:
                facts: dict[str, DavValue] = {
                    f"{_DAV}resourcetype": "",
                    f"{_DAV}getcontentlength": str(chunk.size_bytes),
                    f"{_DAV}getlastmodified": http_date(chunk.mtime),
                }
                listed.append((base + quote_href(chunk.name), facts))
        body = format_multistatus(
            DavResponse(
                href,
                [(name, value) for name, value in facts.items() if wanted.names is None or name in wanted.names],
                [name for name in wanted.names or () if name not in facts],
            )
            for href, facts in listed
        )
        await exchange.reply(207, [XML], body)

    async def _chunk(self, exchange: Exchange, transfer: str, name: str) -> None:
        checksum = announced_checksum(exchange.text(b"oc-checksum"))
        length = exchange.length
        await self._ask(exchange)
        await self._uploads.check_chunk(exchange.principal, transfer, name, length=length)
        bytes_max = None
        if length is None:
            bytes_max = (await self._services.files.quota(exchange.principal.user_id)).free_bytes
        blob_id, size, _ = await receive_blob(
            exchange,
            self._services.backend.objects,
            length=length,
            bytes_max=bytes_max,
            checksum=checksum,
            clock=self._services.backend.clock,
        )
        await self._uploads.put_chunk(
            exchange.principal, transfer, name, blob_id=blob_id, size_bytes=size, token=exchange.token
        )
        await exchange.reply(201)

    async def _assemble(self, exchange: Exchange, transfer: str) -> None:
        mtime = mtime_of(exchange)
        checksum = announced_checksum(exchange.text(b"oc-checksum"))
        match = _IF_ETAG.search(exchange.text(b"if") or "")
        try:
            node, created = await self._uploads.finish(
                exchange.principal,
                transfer,
                destination_of(exchange),
                token=exchange.token,
                total_length=exchange.number(b"oc-total-length"),
                mtime=mtime,
                # The parts are never read again to be joined, so this is the client's word, given back as such.
                checksum=None if checksum is None else f"{checksum[0]}:{checksum[1]}",
                if_match=header_etag(exchange.text(b"if-match")) or (match[1] if match else None),
            )
        except TargetFolderMissingError as exc:
            # As a MOVE anywhere else: 404 would say that the upload is gone.
            raise AlreadyExistsError(exc.message, path=exc.path) from exc
        await exchange.reply(201 if created else 204, node_headers(self._services, node, with_mtime=mtime is not None))

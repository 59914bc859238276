"""The remote cloud over HTTP: OCS for keys, locks and metadata, WebDAV for bodies.

Layer: ``adapters``; implements ``ports.client.Remote``. One method of the port is one endpoint of the protocol; the
meaning of every status stands beside its call. The OCS half is in ``http_calls``; limits, redirects, repetitions and
credentials are in ``http_wire``. Sources: protocol document ``api.md``, section 9; server document, section 4.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from candado.adapters.http_calls import BODIES, lock_lost
from candado.adapters.http_chunks import ChunkedUpload
from candado.adapters.http_errors import Meanings, ServerFailedError
from candado.adapters.http_nodes import PROPFIND_BODY, PROPFIND_METADATA_BODY, clean_etag, file_id_of, read_node
from candado.adapters.http_organisation import OrganisationCalls
from candado.adapters.http_settings import HttpSettings, encoded
from candado.adapters.http_wire import Answer
from candado.errors import (
    AlreadyExistsError,
    MalformedError,
    MisuseError,
    NotFoundError,
    PreconditionFailedError,
    TransportError,
)
from candado.formats.bodies import FRAME_BYTES, parse_bodies
from candado.formats.dav import parse_multistatus
from candado.ports.ambient import Clock, Random
from candado.ports.client import Body, PutResult, RemoteNode
from candado.types import FileId, LockToken, SecretText, UserId, check_file_id

__all__ = ["HttpRemote", "HttpSettings"]

_SMALL_BYTES_MAX: Final = 1 << 20
_LISTING_BYTES_MAX: Final = 64 << 20
_PUT_BYTES_MAX: Final = 1 << 20
_RESUMES_MAX: Final = 5
_CHUNKED_UPLOADS_MAX: Final = 2


class HttpRemote(OrganisationCalls):
    """One account on one server; implements ``Remote``.

    Args:
        base_url: address of the server.
        login: user name for the login; may differ from the user id.
        user_id: for paths; None as long as only ``user_info`` and ``capabilities`` are asked.
        password: app password or login password.
        clock: for pauses.
        random: for jitter and names of uploads.
        settings: bounds.
        standing: headers of every request.
    """

    def __init__(
        self,
        base_url: str,
        login: str,
        user_id: UserId | None,
        password: SecretText,
        *,
        clock: Clock,
        random: Random,
        settings: HttpSettings | None = None,
        standing: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            base_url, login, user_id, password, clock=clock, random=random, settings=settings, standing=standing
        )
        self._clock = clock
        self._random = random
        self._home = f"/remote.php/dav/files/{quote(user_id or '', safe='')}"
        self._chunked = asyncio.Semaphore(_CHUNKED_UPLOADS_MAX)

    # --- listings and folder metadata ------------------------------------------------------------------

    async def list_folder(self, path: str, *, depth: int, with_metadata: bool = False) -> list[RemoteNode]:
        """The node itself first, then (depth 1) its children; NotFoundError.

        A stock server fails for a marked folder without metadata when the metadata are asked for: then the same
        listing is asked for without them.
        """
        target = self._dav(path)
        try:
            answer = await self._propfind(target, path, depth, with_metadata=with_metadata)
        except ServerFailedError as exc:
            if not with_metadata or exc.status != 500:
                raise
            answer = await self._propfind(target, path, depth, with_metadata=False)
        found = parse_multistatus(answer.body, root_href=f"{self._wire.base_url}{self._home}")
        return _checked_listing([read_node(_clean(node.href_path), node.props) for node in found], path, depth)

    # --- bodies -----------------------------------------------------------------------------------------

    async def put(
        self, path: str, body: Body, *, token: LockToken | None, mtime_seconds: float | None = None
    ) -> PutResult:
        """Store a file, in chunks above the threshold; QuotaExceededError, LockLostError, errors of the body."""
        target = self._dav(path)
        mtime = {} if mtime_seconds is None else {"X-OC-MTime": str(int(mtime_seconds))}
        meanings = _write_meanings(token)
        if body.size_bytes > self._settings.chunk_threshold_bytes:
            async with self._chunked:
                if not self._chunk_limit_known:
                    await self.capabilities()
                upload = ChunkedUpload(
                    self._wire,
                    self._user_id or "",
                    chunk_bytes=self._chunk_bytes,
                    clock=self._clock,
                    random=self._random,
                )
                return _put_result(
                    await upload.run(
                        body,
                        target=f"{self._wire.base_url}{target}",
                        where=path,
                        headers=_token_header(token),
                        final_headers=mtime,
                        meanings=meanings,
                    )
                )
        answer = await self._wire.ask(
            "PUT",
            target,
            limit=_SMALL_BYTES_MAX,
            where=path,
            headers={**_token_header(token), **mtime},
            data=body,
            meanings=meanings,
        )
        return _put_result(answer)

    async def put_bytes(
        self, path: str, data: bytes, *, token: LockToken | None, mtime_seconds: float | None = None
    ) -> PutResult:
        """Store a small file from memory, at most 1 MiB; MisuseError beyond."""
        if len(data) > _PUT_BYTES_MAX + 16:
            raise MisuseError("put_bytes is for small files", path=path)
        headers = _token_header(token)
        if mtime_seconds is not None:
            headers["X-OC-MTime"] = str(int(mtime_seconds))
        await self._wire.sent.take(len(data))
        answer = await self._wire.ask(
            "PUT",
            self._dav(path),
            limit=_SMALL_BYTES_MAX,
            where=path,
            headers=headers,
            data=data,
            meanings=_write_meanings(token),
        )
        return _put_result(answer)

    async def get_many(self, folder: str, names: Sequence[str], sizes: Sequence[int]) -> list[bytes | None]:
        """Read small files of one folder in one request; None for each that was not sent."""
        answer = await self._wire.ask(
            "POST",
            BODIES,
            limit=sum(sizes) + FRAME_BYTES * len(sizes),
            where=folder,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            data=urlencode({"folder": folder, "names": json.dumps(list(names))}).encode(),
            harmless=True,
        )
        return parse_bodies(answer.body, sizes)

    async def get_bytes(self, path: str, *, size_max: int) -> bytes:
        """Read a whole small file; LimitExceededError beyond ``size_max``."""
        answer = await self._wire.ask("GET", self._dav(path), limit=size_max, where=path, harmless=True)
        return answer.body

    async def get(self, path: str, *, size_expected: int) -> AsyncIterator[memoryview]:
        """Read a file in pieces of at most 1 MiB; MalformedError when the length is not ``size_expected``.

        When the connection breaks, the rest is asked for with a Range request under the same entity tag, a bounded
        number of times; PreconditionFailedError when the file changed meanwhile.
        """
        target = self._dav(path)
        done, etag, resumes = 0, "", 0
        while True:
            headers = {"Range": f"bytes={done}-", "If-Match": etag} if done else {}
            try:
                async with self._wire.download(target, where=path, headers=headers) as answer:
                    if done and (answer.status != 206 or not _starts_at(answer.headers, done, size_expected)):
                        raise PreconditionFailedError("the server does not go on where the download broke", path=path)
                    length = answer.announced_bytes
                    if length is not None and length != size_expected - done:
                        raise MalformedError(
                            f"the file has {length} bytes instead of {size_expected - done}", path=path
                        )
                    etag = answer.headers.get("etag", "")
                    while (piece := await answer.next_piece()) is not None:
                        done += len(piece)
                        if done > size_expected:
                            raise MalformedError(f"the file has more than {size_expected} bytes", path=path)
                        yield piece
                    if done != size_expected:
                        raise MalformedError(f"the file has {done} bytes instead of {size_expected}", path=path)
                    return
            except TransportError as exc:
                resumes += 1
                pause = self._wire.pause_before_repeat(exc, resumes)
                if resumes > _RESUMES_MAX or pause is None or (done and not etag):
                    raise
            await self._clock.sleep(pause)

    async def make_folder(self, path: str, *, token: LockToken | None) -> FileId:
        """Create a folder; AlreadyExistsError, NotFoundError when its parent is absent."""
        answer = await self._wire.ask(
            "MKCOL",
            self._dav(path),
            limit=_SMALL_BYTES_MAX,
            where=path,
            headers=_token_header(token),
            meanings={**_write_meanings(token), 405: lambda where: AlreadyExistsError(path=where)},
        )
        number = file_id_of(answer.headers.get("oc-fileid"))
        if number is not None:
            return check_file_id(number)
        return (await self.list_folder(path, depth=0))[0].file_id

    async def move(self, source: str, target: str, *, token: LockToken | None) -> None:
        """Move a node without overwriting; AlreadyExistsError, NotFoundError."""
        await self._wire.ask(
            "MOVE",
            self._dav(source),
            limit=_SMALL_BYTES_MAX,
            where=source,
            headers={
                **_token_header(token),
                "Destination": f"{self._wire.base_url}{self._dav(target)}",
                "Overwrite": "F",
            },
            meanings={**_write_meanings(token), 412: lambda _: AlreadyExistsError(path=target)},
        )

    async def delete(self, path: str, *, token: LockToken | None) -> None:
        """Remove a node and all below it; absent is success."""
        try:
            await self._wire.ask(
                "DELETE",
                self._dav(path),
                limit=_SMALL_BYTES_MAX,
                where=path,
                headers=_token_header(token),
                meanings=_write_meanings(token),
                harmless=True,
            )
        except NotFoundError:
            return

    async def close(self) -> None:
        """Release the connections."""
        await self._wire.close()

    # --- how requests are made ---------------------------------------------------------------------------

    def _dav(self, path: str) -> str:
        if self._user_id is None:
            raise MisuseError("the user id is needed before any file")
        if not path.startswith("/") or any(part in (".", "..") for part in path.split("/")):
            raise MisuseError("a remote path is absolute and has no dots", path=path)
        return self._home + encoded(path)

    async def _propfind(self, target: str, path: str, depth: int, *, with_metadata: bool) -> Answer:
        return await self._wire.ask(
            "PROPFIND",
            target,
            limit=_LISTING_BYTES_MAX,
            where=path,
            headers={
                "Depth": str(depth),
                "Content-Type": "application/xml; charset=utf-8",
                "Prefer": "return=minimal",  # RFC 8144: no list of the properties that a node does not have
            },
            data=PROPFIND_METADATA_BODY if with_metadata else PROPFIND_BODY,
            harmless=True,
        )


def _token_header(token: LockToken | None) -> dict[str, str]:
    return {} if token is None else {"e2e-token": token.reveal()}


def _write_meanings(token: LockToken | None) -> Meanings:
    """A file operation whose lock is not ours any more is answered 423, whose parent is absent 409."""
    absent: Meanings = {409: lambda path: NotFoundError("the folder above is not there", path=path)}
    return absent if token is None else {**absent, 423: lock_lost}


def _put_result(answer: Answer) -> PutResult:
    number = file_id_of(answer.headers.get("oc-fileid"))
    etag = answer.headers.get("oc-etag") or answer.headers.get("etag") or ""
    return PutResult(None if number is None else check_file_id(number), clean_etag(etag))


def _starts_at(headers: Mapping[str, str], start: int, size: int) -> bool:
    return headers.get("content-range", "") == f"bytes {start}-{size - 1}/{size}"


def _clean(href_path: str) -> str:
    return "/" + href_path.strip("/")


def _checked_listing(nodes: list[RemoteNode], path: str, depth: int) -> list[RemoteNode]:
    """The listing when it is one of this path: the node first, then nothing but its direct children."""
    if not nodes or nodes[0].path != path:
        raise MalformedError("the server listed something else than was asked for", path=path)
    prefix = path.rstrip("/") + "/"
    for node in nodes[1:]:
        name = node.path.removeprefix(prefix)
        if depth == 0 or not node.path.startswith(prefix) or not name or "/" in name:
            raise MalformedError("a listing contains a node that does not belong there", path=path)
    if len({node.path for node in nodes}) != len(nodes):
        raise MalformedError("a listing names a node twice", path=path)
    return nodes

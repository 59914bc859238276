"""Bodies that arrive: fetched, opened, and refused when they are not what the folder's metadata describes.

Layer: ``client``; used by ``transfer``. Nothing here makes anything visible.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from candado.client.bodies import PIECE_BYTES, Progress, ProgressEvent
from candado.crypto.filebody import BODY_OVERHEAD_BYTES, BodyOpener, open_body
from candado.errors import (
    CandadoError,
    MalformedError,
    NotFoundError,
    OpenFailedError,
    PreconditionFailedError,
)
from candado.types import Tag

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.view import RemoteEntry
    from candado.ports.client import Spool

__all__ = ["body_missing", "check_body", "even_pieces", "get_big", "get_small", "in_thread", "opened", "tag_failure"]


async def get_small(account: "Account", entry: "RemoteEntry") -> bytes:
    """The verified content of a file of at most 1 MiB, one attempt; see ``transfer.read_bytes``."""
    try:
        body = await account.remote.get_bytes(entry.remote_path, size_max=entry.stored_bytes)
    except NotFoundError as error:
        raise body_missing(account, entry) from error
    try:
        return opened(account, entry, body)
    except (OpenFailedError, MalformedError) as error:
        raise await tag_failure(account, entry) from error


def opened(account: "Account", entry: "RemoteEntry", body: bytes) -> bytes:
    """The content of a stored body; OpenFailedError, MalformedError when it is not what the entry describes."""
    if entry.entry is None:
        return body
    plain = open_body(entry.entry.key, entry.entry.nonce, body)
    _check_tag(account, entry, body[-BODY_OVERHEAD_BYTES:])
    return plain


async def get_big(account: "Account", entry: "RemoteEntry", spool: "Spool", progress: Progress | None) -> None:
    """Stream, open and spool: while a thread opens and writes one MiB the connection takes in the next.

    A file outside of encrypted folders has nothing to verify but its length.
    """
    if entry.entry is None:
        async for piece in account.remote.get(entry.remote_path, size_expected=entry.stored_bytes):
            await in_thread(spool.write, piece)
        return
    opener = BodyOpener(entry.entry.key, entry.entry.nonce, entry.stored_bytes)
    try:
        tail = await _stream(account, entry, opener, spool, progress)
        opener.finish()
    except NotFoundError as error:
        raise body_missing(account, entry) from error
    except (OpenFailedError, MalformedError) as error:
        raise await tag_failure(account, entry) from error
    _check_tag(account, entry, tail)


async def _stream(
    account: "Account", entry: "RemoteEntry", opener: BodyOpener, spool: "Spool", progress: Progress | None
) -> bytes:
    """Open and spool the whole body; its last 16 bytes."""
    out = memoryview(bytearray(PIECE_BYTES + 32))
    tail = b""
    done = 0

    def write(piece: bytes | memoryview) -> None:
        spool.write(out[: opener.update_into(piece, out)])

    async for piece in account.remote.get(entry.remote_path, size_expected=entry.stored_bytes):
        await in_thread(write, piece)
        tail = (tail + bytes(piece[-BODY_OVERHEAD_BYTES:]))[-BODY_OVERHEAD_BYTES:]
        done += len(piece)
        _tell(progress, entry, min(done, entry.size_bytes))
    return tail


async def in_thread(function: Callable[[bytes | memoryview], None], piece: bytes | memoryview) -> None:
    """Run it in a thread, to its end also when the caller is cancelled: it must not use what is let go afterwards."""
    work = asyncio.ensure_future(asyncio.to_thread(function, piece))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # the cancellation is told instead
        raise


def _tell(progress: Progress | None, entry: "RemoteEntry", done: int) -> None:
    if progress is not None:
        progress(ProgressEvent(entry.path, "down", done, entry.size_bytes, finished=False))


async def check_body(account: "Account", entry: "RemoteEntry") -> list[bytes]:
    """Fetch a whole body and verify its tag without keeping it; SHA-256 of every MiB of ciphertext.

    As ``read_bytes``.
    """
    assert entry.entry is not None
    opener = BodyOpener(entry.entry.key, entry.entry.nonce, entry.stored_bytes)
    out = memoryview(bytearray(PIECE_BYTES + 32))

    def take(piece: bytes) -> bytes:
        opener.update_into(piece, out)
        return sha256(piece).digest()

    pieces = even_pieces(account.remote.get(entry.remote_path, size_expected=entry.stored_bytes))
    try:
        marks = [await asyncio.to_thread(take, piece) async for piece in pieces]
        opener.finish()
    except NotFoundError as error:
        raise body_missing(account, entry) from error
    except (OpenFailedError, MalformedError) as error:
        raise await tag_failure(account, entry) from error
    return marks


async def even_pieces(pieces: AsyncIterator[bytes | memoryview]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of exactly 1 MiB but for the last."""
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        while len(waiting) >= PIECE_BYTES:
            yield bytes(waiting[:PIECE_BYTES])
            del waiting[:PIECE_BYTES]
    if waiting:
        yield bytes(waiting)


def _check_tag(account: "Account", entry: "RemoteEntry", appended: bytes) -> None:
    """Tell of a tag in the metadata that is not the body's.

    One stock app writes the nonce there, so it is no refusal.
    """
    assert entry.entry is not None
    if entry.entry.tag not in {Tag(appended), Tag(entry.entry.nonce[:16].ljust(16, b"\0"))}:
        account.issue_book.add(
            "notice",
            "file.params",
            "The folder's entry names another tag than the body has; the body itself was verified.",
            path=entry.path,
            file_id=entry.file_id,
        )


async def tag_failure(account: "Account", entry: "RemoteEntry") -> CandadoError:
    """The error for a body that does not open: replaced meanwhile by somebody (an honest race), or altered."""
    try:
        nodes = await account.remote.list_folder(entry.remote_path, depth=0)
    except NotFoundError:
        return PreconditionFailedError("The file was removed while it was read.", path=entry.path)
    if nodes[0].etag != entry.etag or nodes[0].file_id != entry.file_id:
        return PreconditionFailedError("The file was replaced while it was read.", path=entry.path)
    error = OpenFailedError(
        "The server sent a body that is not the one the folder's metadata describes.",
        path=entry.path,
        safe="The bytes were not put in place; a local copy, if there is one, is unchanged.",
    )
    account.issue_book.add(
        "refused",
        "file.tag",
        error.message,
        path=entry.path,
        safe=error.safe,
        advice=error.advice,
        file_id=entry.file_id,
    )
    return error


def body_missing(account: "Account", entry: "RemoteEntry") -> CandadoError:
    """The error for a file that is listed and has no body, put on record."""
    error = NotFoundError(
        "The folder lists this file, but the server has no body for it.",
        path=entry.path,
        safe="A local copy, if there is one, is unchanged.",
        advice="Put the file again from a device that has it.",
    )
    account.issue_book.add(
        "problem",
        "file.missing",
        error.message,
        path=entry.path,
        safe=error.safe,
        advice=error.advice,
        file_id=entry.file_id,
    )
    return error

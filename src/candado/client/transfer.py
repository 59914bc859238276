"""Bodies of files: sealed while they are sent, opened while they arrive, never visible before the tag was checked.

Layer: ``client``. Small files (up to 1 MiB) go through memory in one piece. Big ones stream through two buffers:
while one is on the wire a thread reads and seals the next, so memory does not depend on the size of the file.

Every attempt of an upload has a fresh key and a fresh nonce (threats.md A19). The last piece of a body is held back
until the source was found unchanged, so a file that changes while it is read never arrives complete. A download ends
in a private spool; only a caller that got the spool back, that is after the tag was verified, can publish it (A57).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from candado.client.bodies import PIECE_BYTES, CopyBody, FileBody, MemoryFile, Progress, ProgressEvent
from candado.crypto.filebody import (
    BODY_OVERHEAD_BYTES,
    BodyOpener,
    open_body,
    seal_body,
)
from candado.errors import (
    CandadoError,
    FileChangedError,
    MalformedError,
    NotFoundError,
    OpenFailedError,
    PreconditionFailedError,
    RateLimitedError,
    RemoteBugError,
    TransportError,
)
from candado.types import FileKey, LockToken, Nonce, Tag

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.view import RemoteEntry
    from candado.ports.client import LocalFile, LocalTree, PutResult, Spool

__all__ = [
    "SMALL_BYTES_MAX",
    "BytesSource",
    "Progress",
    "ProgressEvent",
    "SealedUpload",
    "Source",
    "TreeSource",
    "check_body",
    "copy_body",
    "download",
    "even_pieces",
    "read_bytes",
    "upload",
]

SMALL_BYTES_MAX: Final = 1 << 20
_ATTEMPTS_MAX: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.5
_PAUSE_SECONDS_MAX: Final = 30.0

T = TypeVar("T")


# --- words --------------------------------------------------------------------------------------------------


class Source(Protocol):
    """Something that can be uploaded, more than once when an attempt fails."""

    def open(self) -> "LocalFile":
        """Open it from its start; the file errors of the local tree. Blocking."""
        ...


@dataclass(frozen=True, slots=True)
class TreeSource:
    """A regular file of a local tree."""

    tree: "LocalTree"
    path: str

    def open(self) -> "LocalFile":
        """Open the file."""
        return self.tree.open_read(self.path)


@dataclass(frozen=True, slots=True)
class BytesSource:
    """Bytes in memory, such as what came from a pipe."""

    data: bytes
    mtime_ns: int

    def open(self) -> "LocalFile":
        """A file over the bytes."""
        return MemoryFile(self.data, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class SealedUpload:
    """A body that is on the server, staged when under a lock: what its entry must say, and the server's answer."""

    key: FileKey
    nonce: Nonce
    tag: Tag
    size_bytes: int
    mtime_ns: int
    result: "PutResult"


# --- up -----------------------------------------------------------------------------------------------------


async def upload(
    account: "Account",
    source: Source,
    remote_path: str,
    *,
    token: LockToken,
    path: str,
    progress: Progress | None = None,
) -> SealedUpload:
    """Seal and send one file.

    Repeated a few times when the way to the server fails, each time with a fresh key and a fresh nonce.

    Args:
        account: whose server.
        source: opened anew for every attempt.
        remote_path: where, made of sealed names.
        token: of the lock under which it is written.
        path: clear path, for progress and messages only.
        progress: told how far it is.

    Raises:
        FileChangedError: the file changed while it was read; nothing complete was sent.
        LocalStorageError: the file cannot be read.
        QuotaExceededError, LockLostError, ForbiddenError, TransportError: as the server says.
    """

    async def attempt() -> SealedUpload:
        file = source.open()
        try:
            if file.stat.size_bytes <= SMALL_BYTES_MAX:
                return await _upload_small(account, file, remote_path, token)
            return await _upload_big(account, file, remote_path, token, _meter(progress, path, "up", file))
        finally:
            file.close()

    try:
        done = await _persist(account, attempt)
    except CandadoError as error:
        error.path = error.path or path
        raise
    if progress is not None:
        progress(ProgressEvent(path, "up", done.size_bytes, done.size_bytes, finished=True))
    return done


async def copy_body(
    account: "Account", entry: "RemoteEntry", remote_path: str, *, token: LockToken, progress: Progress | None = None
) -> SealedUpload:
    """Send the content of a remote file to another place, opened and sealed again under a fresh key and nonce.

    The last piece leaves only after the tag of the original was verified, so a damaged original is never copied.

    Raises:
        OpenFailedError: the original does not open; the copy was not completed.
    """

    async def attempt() -> SealedUpload:
        key, nonce = _fresh(account)
        mtime_ns = round(entry.mtime_seconds * 1e9)
        if entry.size_bytes <= SMALL_BYTES_MAX:
            plain = await _get_small(account, entry)
            body = seal_body(key, nonce, plain)
            result = await account.remote.put_bytes(remote_path, body, token=token, mtime_seconds=entry.mtime_seconds)
            return SealedUpload(key, nonce, Tag(body[-16:]), entry.size_bytes, mtime_ns, result)
        copy = CopyBody(account, entry, key, nonce, progress)
        result = await _put(account, remote_path, copy, token, entry.mtime_seconds)
        return SealedUpload(key, nonce, copy.tag, entry.size_bytes, mtime_ns, result)

    return await _persist(account, attempt)


async def _upload_small(account: "Account", file: "LocalFile", remote_path: str, token: LockToken) -> SealedUpload:
    size = file.stat.size_bytes
    # One byte more than the size shows a file that has grown since it was opened.
    buffer = bytearray(size + 1)
    view = memoryview(buffer)
    filled = 0
    while filled <= size:
        count = file.read_into(view[filled:])
        if count == 0:
            break
        filled += count
    if filled != size:
        raise FileChangedError("The file changed its size while it was read.")
    file.check_unchanged()
    key, nonce = _fresh(account)
    body = seal_body(key, nonce, view[:size])
    result = await account.remote.put_bytes(remote_path, body, token=token, mtime_seconds=file.stat.mtime_ns / 1e9)
    return SealedUpload(key, nonce, Tag(body[-16:]), size, file.stat.mtime_ns, result)


async def _upload_big(
    account: "Account",
    file: "LocalFile",
    remote_path: str,
    token: LockToken,
    meter: Callable[[int], None],
) -> SealedUpload:
    key, nonce = _fresh(account)
    body = FileBody(file, key, nonce, meter)
    result = await _put(account, remote_path, body, token, file.stat.mtime_ns / 1e9)
    return SealedUpload(key, nonce, body.tag, file.stat.size_bytes, file.stat.mtime_ns, result)


async def _put(
    account: "Account", remote_path: str, body: "FileBody | CopyBody", token: LockToken, mtime_seconds: float
) -> "PutResult":
    try:
        return await account.remote.put(remote_path, body, token=token, mtime_seconds=mtime_seconds)
    except CandadoError:
        # What broke off the body is the cause; the adapter only sees that it broke off.
        if body.failure is not None:
            raise body.failure from None
        raise


# --- down ---------------------------------------------------------------------------------------------------


async def read_bytes(account: "Account", entry: "RemoteEntry") -> bytes:
    """The verified content of a small remote file (at most 1 MiB).

    Raises:
        OpenFailedError: the stored body is not the one its entry describes; recorded as ``file.tag``.
        NotFoundError: there is an entry but no body; recorded as ``file.missing``.
        PreconditionFailedError: somebody replaced the file meanwhile; read the folder again.
    """
    return await _persist(account, lambda: _get_small(account, entry))


async def download(
    account: "Account", entry: "RemoteEntry", tree: "LocalTree", *, progress: Progress | None = None
) -> "Spool":
    """Fetch and open one file into a private spool of ``tree``; on return its content is verified and complete.

    The caller publishes or discards the spool. On any error there is no spool left in the tree, and the local file
    that is there now was not touched. A body whose tag is wrong goes into quarantine and is recorded as ``file.tag``.

    Raises:
        OpenFailedError, NotFoundError, PreconditionFailedError: as ``read_bytes``.
        DiskFullError, TransportError: nothing is left behind.
    """

    async def attempt() -> "Spool":
        spool = tree.open_spool()
        try:
            if entry.size_bytes <= SMALL_BYTES_MAX:
                spool.write(await _get_small(account, entry))
            else:
                await _get_big(account, entry, spool, progress)
        except OpenFailedError as error:
            if entry.size_bytes > SMALL_BYTES_MAX:
                tree.quarantine(spool, entry.name, "the tag of the body is wrong: the content was altered")
            else:
                spool.discard()
            raise _altered(error, entry) from error
        except BaseException:
            spool.discard()
            raise
        return spool

    try:
        spool = await _persist(account, attempt)
    except CandadoError as error:
        error.path = error.path or entry.path
        raise
    if progress is not None:
        progress(ProgressEvent(entry.path, "down", entry.size_bytes, entry.size_bytes, finished=True))
    return spool


async def _get_small(account: "Account", entry: "RemoteEntry") -> bytes:
    try:
        body = await account.remote.get_bytes(entry.remote_path, size_max=entry.stored_bytes)
    except NotFoundError as error:
        raise _missing(account, entry) from error
    if entry.entry is None:
        return body
    try:
        plain = open_body(entry.entry.key, entry.entry.nonce, body)
    except (OpenFailedError, MalformedError) as error:
        raise await _tag_failure(account, entry) from error
    _check_tag(account, entry, body[-BODY_OVERHEAD_BYTES:])
    return plain


async def _get_big(account: "Account", entry: "RemoteEntry", spool: "Spool", progress: Progress | None) -> None:
    assert entry.entry is not None
    sealed = entry.stored_bytes
    opener = BodyOpener(entry.entry.key, entry.entry.nonce, sealed)
    out = bytearray(2 * PIECE_BYTES + 32)
    tail = b""
    waiting: list[bytes] = []
    size = 0
    done = 0
    pending: asyncio.Future[None] | None = None

    def write(pieces: list[bytes]) -> None:
        for piece in pieces:
            for start in range(0, len(piece), PIECE_BYTES):
                count = opener.update_into(memoryview(piece)[start : start + PIECE_BYTES], memoryview(out))
                spool.write(memoryview(out)[:count])

    try:
        async for piece in account.remote.get(entry.remote_path, size_expected=sealed):
            waiting.append(piece)
            size += len(piece)
            tail = (tail + piece)[-16:] if len(piece) < 16 else piece[-16:]
            if size >= PIECE_BYTES:
                if pending is not None:
                    await pending
                pending = asyncio.ensure_future(asyncio.to_thread(write, waiting))
                done, waiting, size = done + size, [], 0
                if progress is not None:
                    progress(
                        ProgressEvent(entry.path, "down", min(done, entry.size_bytes), entry.size_bytes, finished=False)
                    )
        if pending is not None:
            await pending
            pending = None
        await asyncio.to_thread(write, waiting)
        opener.finish()
    except NotFoundError as error:
        raise _missing(account, entry) from error
    except (OpenFailedError, MalformedError) as error:
        raise await _tag_failure(account, entry) from error
    finally:
        if pending is not None:
            # The thread must not write into a spool that is being thrown away.
            await asyncio.wait([pending])
    _check_tag(account, entry, tail)


async def check_body(account: "Account", entry: "RemoteEntry") -> list[bytes]:
    """Fetch a whole body and verify its tag without keeping it; SHA-256 of every MiB of ciphertext.

    As ``read_bytes``.
    """
    assert entry.entry is not None
    opener = BodyOpener(entry.entry.key, entry.entry.nonce, entry.stored_bytes)
    out = memoryview(bytearray(PIECE_BYTES + 32))
    marks: list[bytes] = []

    def take(piece: bytes) -> bytes:
        opener.update_into(piece, out)
        return sha256(piece).digest()

    try:
        async for piece in even_pieces(account.remote.get(entry.remote_path, size_expected=entry.stored_bytes)):
            marks.append(await asyncio.to_thread(take, piece))
        opener.finish()
    except NotFoundError as error:
        raise _missing(account, entry) from error
    except (OpenFailedError, MalformedError) as error:
        raise await _tag_failure(account, entry) from error
    return marks


async def even_pieces(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
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


async def _tag_failure(account: "Account", entry: "RemoteEntry") -> CandadoError:
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


def _missing(account: "Account", entry: "RemoteEntry") -> CandadoError:
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


def _altered(error: CandadoError, entry: "RemoteEntry") -> CandadoError:
    error.path = entry.path
    return error


# --- both ---------------------------------------------------------------------------------------------------


async def _persist(account: "Account", attempt: Callable[[], Awaitable[T]]) -> T:
    """Run ``attempt`` again after failures of the way or of the server: bounded, with growing, uneven pauses."""
    pause = _FIRST_PAUSE_SECONDS
    for left in range(_ATTEMPTS_MAX - 1, -1, -1):
        try:
            return await attempt()
        except (TransportError, RemoteBugError, RateLimitedError) as error:
            if left == 0 or not error.retry:
                raise
            wait = max(pause, error.after_seconds) if isinstance(error, RateLimitedError) else pause
        jitter = 0.5 + account.random.token(1)[0] / 256
        await account.clock.sleep(min(wait * jitter, _PAUSE_SECONDS_MAX))
        pause *= 2
    raise AssertionError


def _fresh(account: "Account") -> tuple[FileKey, Nonce]:
    material = account.random.token(FileKey.SIZE + 12)
    return FileKey(material[: FileKey.SIZE]), Nonce(material[FileKey.SIZE :])


def _meter(progress: Progress | None, path: str, direction: str, file: "LocalFile") -> Callable[[int], None]:
    total = file.stat.size_bytes

    def tell(done: int) -> None:
        if progress is not None:
            progress(ProgressEvent(path, direction, done, total, finished=False))

    return tell

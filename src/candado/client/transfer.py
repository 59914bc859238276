"""Bodies of files: sealed while they are sent, opened while they arrive, never visible before the tag was checked.

Layer: ``client``. Small files (up to 1 MiB) go through memory in one piece. Big ones stream through two buffers:
while one is on the wire a thread reads and seals the next, so memory does not depend on the size of the file.

Every attempt of an upload has a fresh key and a fresh nonce (threats.md A19). The last piece of a body is held back
until the source was found unchanged, so a file that changes while it is read never arrives complete. A download ends
in a private spool; only a caller that got the spool back, that is after the tag was verified, can publish it (A57).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from candado.client.arrivals import get_big, get_small
from candado.client.bodies import CopyBody, FileBody, MemoryFile, Progress, ProgressEvent
from candado.client.named import named
from candado.crypto.filebody import seal_body
from candado.errors import (
    CandadoError,
    FileChangedError,
    OpenFailedError,
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
    "Target",
    "TreeSource",
    "copy_body",
    "download",
    "keep",
    "persist",
    "read_bytes",
    "upload",
]

SMALL_BYTES_MAX: Final = 1 << 20
_ATTEMPTS_MAX: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.5
_PAUSE_SECONDS_MAX: Final = 30.0

T = TypeVar("T")


# --- words --------------------------------------------------------------------------------------------------


class Target(Protocol):
    """Where a body goes.

    A request without an answer may still be carried out later, over the body of the next attempt.
    """

    @property
    def remote_path(self) -> str:
        """The place of the next attempt."""
        ...

    async def abandon(self) -> None:
        """Take another place: what happened to the body sent to this one is not known."""
        ...


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
    target: Target,
    *,
    token: LockToken | None,
    path: str,
    progress: Progress | None = None,
) -> SealedUpload:
    """Seal and send one file.

    Repeated a few times when the way to the server fails, each time with a fresh key and a fresh nonce, and in another
    place when the attempt before may have been carried out.

    Args:
        account: whose server.
        source: opened anew for every attempt.
        target: where; after the return its path is where the body is.
        token: of the lock under which it is written; None for who drops a file by a link.
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
                return await _upload_small(account, file, target.remote_path, token)
            return await _upload_big(account, file, target.remote_path, token, _meter(progress, path, "up", file))
        finally:
            file.close()

    with named(path):
        done = await persist(account, attempt, lost=target.abandon)
    if progress is not None:
        progress(ProgressEvent(path, "up", done.size_bytes, done.size_bytes, finished=True))
    return done


async def copy_body(
    account: "Account", entry: "RemoteEntry", target: Target, *, token: LockToken, progress: Progress | None = None
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
            plain = await get_small(account, entry)
            body = seal_body(key, nonce, plain)
            result = await account.remote.put_bytes(
                target.remote_path, body, token=token, mtime_seconds=entry.mtime_seconds
            )
            return SealedUpload(key, nonce, Tag(body[-16:]), entry.size_bytes, mtime_ns, result)
        copy = CopyBody(account, entry, key, nonce, progress)
        result = await _put(account, target.remote_path, copy, token, entry.mtime_seconds)
        return SealedUpload(key, nonce, copy.tag, entry.size_bytes, mtime_ns, result)

    with named(entry.path):
        return await persist(account, attempt, lost=target.abandon)


async def _upload_small(
    account: "Account", file: "LocalFile", remote_path: str, token: LockToken | None
) -> SealedUpload:
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
    token: LockToken | None,
    meter: Callable[[int], None],
) -> SealedUpload:
    key, nonce = _fresh(account)
    body = FileBody(file, key, nonce, meter)
    try:
        result = await _put(account, remote_path, body, token, file.stat.mtime_ns / 1e9)
    finally:
        await body.stop()
    return SealedUpload(key, nonce, body.tag, file.stat.size_bytes, file.stat.mtime_ns, result)


async def _put(
    account: "Account", remote_path: str, body: "FileBody | CopyBody", token: LockToken | None, mtime_seconds: float
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
    with named(entry.path):
        return await persist(account, lambda: get_small(account, entry))


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
                spool.write(await get_small(account, entry))
            else:
                await get_big(account, entry, spool, progress)
        except OpenFailedError as error:
            if entry.size_bytes > SMALL_BYTES_MAX:
                tree.quarantine(spool, entry.name, "the tag of the body is wrong: the content was altered")
            else:
                spool.discard()
            error.path = entry.path
            raise
        except BaseException:
            spool.discard()
            raise
        return spool

    with named(entry.path):
        spool = await persist(account, attempt)
    if progress is not None:
        progress(ProgressEvent(entry.path, "down", entry.size_bytes, entry.size_bytes, finished=True))
    return spool


def keep(content: bytes, entry: "RemoteEntry", tree: "LocalTree", progress: Progress | None) -> "Spool":
    """The spool of a file whose verified content is here already; otherwise as ``download``."""
    spool = tree.open_spool()
    try:
        with named(entry.path):
            spool.write(content)
    except BaseException:
        spool.discard()
        raise
    if progress is not None:
        progress(ProgressEvent(entry.path, "down", entry.size_bytes, entry.size_bytes, finished=True))
    return spool


# --- both ---------------------------------------------------------------------------------------------------


async def persist(
    account: "Account", attempt: Callable[[], Awaitable[T]], *, lost: Callable[[], Awaitable[None]] | None = None
) -> T:
    """Run ``attempt`` again after failures of the way or of the server: bounded, with growing, uneven pauses.

    ``lost`` is called before the next attempt when the one before may have been carried out. A write that then fails
    for any other reason is a TransportError: a body that nobody described may be staged, so its session must be
    undone.
    """
    pause = _FIRST_PAUSE_SECONDS
    unknown = carried_out = False
    for left in range(_ATTEMPTS_MAX - 1, -1, -1):
        try:
            return await attempt()
        except (TransportError, RemoteBugError, RateLimitedError) as error:
            if left == 0 or not error.retry:
                raise
            wait = max(pause, error.after_seconds) if isinstance(error, RateLimitedError) else pause
            unknown = lost is not None and not isinstance(error, RateLimitedError) and not _known(error)
        except CandadoError as error:
            if not carried_out:
                raise
            raise TransportError("A body may have been stored that the folder does not describe.") from error
        if unknown and lost is not None:
            carried_out = True
            await lost()
        jitter = 0.5 + account.random.token(1)[0] / 256
        await account.clock.sleep(min(wait * jitter, _PAUSE_SECONDS_MAX))
        pause *= 2
    raise AssertionError


def _known(error: CandadoError) -> bool:
    """True when the request of a failed attempt was certainly not carried out."""
    return isinstance(error, TransportError) and error.outcome_known


def _fresh(account: "Account") -> tuple[FileKey, Nonce]:
    material = account.random.token(FileKey.SIZE + 12)
    return FileKey(material[: FileKey.SIZE]), Nonce(material[FileKey.SIZE :])


def _meter(progress: Progress | None, path: str, direction: str, file: "LocalFile") -> Callable[[int], None]:
    total = file.stat.size_bytes

    def tell(done: int) -> None:
        if progress is not None:
            progress(ProgressEvent(path, direction, done, total, finished=False))

    return tell

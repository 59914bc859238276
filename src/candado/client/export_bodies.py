"""One body on its way into a bundle: fetched as ciphertext, opened to see that it is whole, kept as ciphertext.

Layer: ``client``; used by ``export``.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from candado.client.arrivals import body_missing, in_thread, tag_failure
from candado.client.bodies import PIECE_BYTES, ProgressEvent
from candado.client.named import named
from candado.client.transfer import Progress, persist
from candado.client.view import RemoteEntry
from candado.crypto.filebody import BodyOpener
from candado.errors import MalformedError, NotFoundError, OpenFailedError
from candado.formats.bundle import BodyLine, body_name
from candado.types import FileId

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.ports.bundle import BundleTarget

__all__ = ["BodyJob", "store_body"]


@dataclass(frozen=True, slots=True)
class BodyJob:
    """One file of an accepted folder."""

    folder_path: str
    folder_id: FileId
    entry: RemoteEntry


class _Check:
    """Opens a body piece by piece and hashes its ciphertext; nothing of the plaintext is kept."""

    def __init__(self, entry: RemoteEntry) -> None:
        assert entry.entry is not None
        self._opener = BodyOpener(entry.entry.key, entry.entry.nonce, entry.stored_bytes)
        self._hash = hashlib.sha256()
        self._out = memoryview(bytearray(min(entry.stored_bytes, PIECE_BYTES) + 32))

    def take(self, piece: bytes | memoryview) -> None:
        self._opener.update_into(piece, self._out)
        self._hash.update(piece)

    def finish(self) -> str:
        self._opener.finish()
        return self._hash.hexdigest()


async def store_body(
    account: "Account", target: "BundleTarget", job: BodyJob, progress: Progress | None
) -> tuple[BodyLine, bool]:
    """Have the body of a file in the bundle; its line, and whether it was there already.

    Raises:
        NotFoundError, OpenFailedError, PreconditionFailedError: as ``transfer.read_bytes``.
        LocalStorageError: the bundle cannot be written.
        TransportError, RemoteError: of the server.
    """
    entry = job.entry
    assert entry.sealed_name is not None
    name = body_name(job.folder_id, entry.sealed_name)
    digest = await asyncio.to_thread(_kept, target, name, entry)
    was_there = digest is not None
    if digest is None:
        with named(entry.path):
            digest = await persist(account, lambda: _fetch(account, target, name, entry, progress))
    if progress is not None:
        progress(ProgressEvent(entry.path, "down", entry.size_bytes, entry.size_bytes, finished=True))
    mtime = max(0, floor(entry.mtime_seconds))
    return BodyLine(job.folder_id, entry.sealed_name, entry.stored_bytes, mtime, digest), was_there


def _kept(target: "BundleTarget", name: str, entry: RemoteEntry) -> str | None:
    """The digest of what an earlier run kept, when it is the body of this entry."""
    file = target.open(name)
    if file is None:
        return None
    try:
        if file.size_bytes != entry.stored_bytes:
            return None
        check, buffer = _Check(entry), memoryview(bytearray(min(file.size_bytes, PIECE_BYTES)))
        while count := file.read_into(buffer):
            check.take(buffer[:count])
        return check.finish()
    except (OpenFailedError, MalformedError):
        return None
    finally:
        file.close()


async def _fetch(
    account: "Account", target: "BundleTarget", name: str, entry: RemoteEntry, progress: Progress | None
) -> str:
    spool = target.spool(name)
    done = 0

    def take(piece: bytes | memoryview) -> None:
        check.take(piece)
        spool.write(piece)

    try:
        check = _Check(entry)
        async for piece in account.remote.get(entry.remote_path, size_expected=entry.stored_bytes):
            await in_thread(take, piece)
            done += len(piece)
            if progress is not None:
                done_plain = min(done, entry.size_bytes)
                progress(ProgressEvent(entry.path, "down", done_plain, entry.size_bytes, finished=False))
        digest = check.finish()
        await in_thread(lambda _: spool.keep(), b"")
    except NotFoundError as error:
        raise body_missing(account, entry) from error
    except (OpenFailedError, MalformedError) as error:
        raise await tag_failure(account, entry) from error
    finally:
        spool.discard()
    return digest

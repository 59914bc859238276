"""Get and cat: remote files to the local tree or to a pipe, nothing visible before it was verified.

Layer: ``client``.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from math import floor
from typing import Final

from candado.client.account import Account
from candado.client.arrivals import check_body, even_pieces
from candado.client.bodies import PIECE_BYTES
from candado.client.bounded import bounded
from candado.client.fill import TAKEN_ADVICE, Conflict, CopyReport, ItemFailure
from candado.client.groups import fetch_together, in_groups
from candado.client.items import PER_FILE_ERRORS
from candado.client.reader import FolderReader
from candado.client.rehearsal import Rehearsal, RehearsedTree
from candado.client.transfer import (
    SMALL_BYTES_MAX,
    Progress,
    download,
    keep,
    read_bytes,
)
from candado.client.view import RemoteEntry, root_deleted, split
from candado.client.walk import walk_into_roots
from candado.crypto.filebody import BodyOpener
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    DiskFullError,
    PreconditionFailedError,
    UsageError,
)
from candado.folder.names import collision_key, unique_name
from candado.ports.client import LocalStat, LocalTree, Spool

__all__ = ["cat", "get"]

_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class _Job:
    entry: RemoteEntry
    local: str
    expected: LocalStat | None


async def get(
    account: Account,
    path: str,
    tree: LocalTree,
    local: str,
    *,
    conflict: Conflict = "fail",
    recursive: bool = True,
    transfers: int = 16,
    progress: Progress | None = None,
    rehearsal: Rehearsal | None = None,
) -> CopyReport:
    """Fetch a remote file as ``local``, or a folder with all below it into ``local`` (empty: the tree itself).

    With a ``rehearsal`` nothing is. Finished files appear in batches, each under its name in one step. Files that fail
    are reported and the others go on; so are encrypted folders below a plain one that do not open.

    Raises:
        NotFoundError: there is nothing at ``path``.
        UsageError: it is a folder and ``recursive`` is False.
        DiskFullError: what is finished is kept.
    """
    reader = FolderReader(account)
    found = await reader.open_path(path)
    report = CopyReport()
    places = tree if rehearsal is None else RehearsedTree(tree, rehearsal)
    if found.entry is not None:
        jobs = [job for job in [_job(places, found.entry, local, conflict, report, {})] if job is not None]
    else:
        if not recursive:
            raise UsageError(f"{found.view.path} is a folder; add --recursive to fetch it")
        if found.view.deleted:
            raise root_deleted(found.view, account.user_id)
        remote, closed = await walk_into_roots(reader, found.view)
        report.failures += [ItemFailure(path, error) for path, error in closed.items()]
        entries = [entry for entry in remote.entries() if entry.path not in closed]
        jobs = _jobs(places, entries, found.view.path, local, conflict, report)
    if isinstance(places, RehearsedTree):
        _rehearse(places, jobs, report)
        return report
    for at in range(0, len(jobs), _BATCH):
        await _batch(account, tree, jobs[at : at + _BATCH], report, transfers, progress)
    return report


def _rehearse(tree: RehearsedTree, jobs: list[_Job], report: CopyReport) -> None:
    for job in jobs:
        entry = job.entry
        stat = LocalStat(
            is_folder=False, size_bytes=entry.size_bytes, mtime_ns=floor(entry.mtime_seconds) * 10**9, inode=0
        )
        tree.add_file(job.local, entry.path, stat, replaces=job.expected is not None)
        report.files += 1
        report.bytes += entry.size_bytes


def _jobs(
    tree: LocalTree | RehearsedTree,
    entries: list[RemoteEntry],
    top: str,
    local: str,
    conflict: Conflict,
    report: CopyReport,
) -> list[_Job]:
    jobs: list[_Job] = []
    taken: dict[str, str] = {}
    places: dict[str, str] = {top: local}
    if local:
        _make_folder(tree, local, top)
    for entry in entries:
        parent = "/" + "/".join(split(entry.path)[:-1])
        if parent not in places:
            continue
        place = f"{places[parent]}/{entry.name}" if places[parent] else entry.name
        if not entry.is_folder:
            job = _job(tree, entry, place, conflict, report, taken)
            if job is not None:
                jobs.append(job)
            continue
        try:
            _make_folder(tree, place, entry.path)
        except CandadoError as error:
            report.failures.append(ItemFailure(entry.path, error))
            continue
        places[entry.path] = place
        report.folders += 1
    return jobs


def _make_folder(tree: LocalTree | RehearsedTree, local: str, source: str) -> None:
    if isinstance(tree, RehearsedTree):
        tree.make_folder(local, source)
    else:
        tree.make_folder(local)


def _job(
    tree: LocalTree | RehearsedTree,
    entry: RemoteEntry,
    local: str,
    conflict: Conflict,
    report: CopyReport,
    taken: dict[str, str],
) -> _Job | None:
    try:
        stat = tree.stat(local)
    except CandadoError as error:
        report.failures.append(ItemFailure(entry.path, error))
        return None
    clash = taken.setdefault(collision_key(local), local)
    if stat is None and clash == local:
        return _Job(entry, local, None)
    replaceable = stat is not None and not stat.is_folder
    # Servers keep whole seconds.
    is_newer = stat is not None and floor(entry.mtime_seconds) > stat.mtime_ns // 10**9
    if conflict == "skip" or (conflict == "newer" and replaceable and not is_newer):
        report.skipped.append(entry.path)
        return None
    if conflict in {"replace", "newer"} and replaceable:
        return _Job(entry, local, stat)
    if conflict == "keep-both":
        folder, _, name = local.rpartition("/")
        number = 1
        while True:
            other = unique_name(name, set(), label=f"remote {number}")
            other = f"{folder}/{other}" if folder else other
            if tree.stat(other) is None and collision_key(other) not in taken:
                taken[collision_key(other)] = other
                return _Job(entry, other, None)
            number += 1
    taken_error = AlreadyExistsError("There is already something of this name here.", path=local, advice=TAKEN_ADVICE)
    report.failures.append(ItemFailure(entry.path, taken_error))
    return None


async def _batch(
    account: Account,
    tree: LocalTree,
    jobs: list[_Job],
    report: CopyReport,
    transfers: int,
    progress: Progress | None,
) -> None:
    spools: list[tuple[_Job, Spool]] = []
    full: list[DiskFullError] = []

    async def fetch(job: _Job, content: bytes | None) -> None:
        if full:
            return
        try:
            spools.append((job, await _spool(account, job.entry, tree, content, progress)))
        except DiskFullError as error:
            full.append(error)
        except PER_FILE_ERRORS as error:
            report.failures.append(ItemFailure(job.entry.path, error))

    async def fetch_group(group: list[_Job]) -> None:
        contents = await fetch_together(account, [job.entry for job in group])
        for job in group:
            await fetch(job, contents.pop(job.entry.path, None))

    try:
        await bounded(fetch_group, await in_groups(account, jobs, lambda job: job.entry), transfers)
    except BaseException:
        for _, spool in spools:
            spool.discard()
        raise
    await _publish(tree, spools, report, full)
    if full:
        raise full[0]


async def _spool(
    account: Account, entry: RemoteEntry, tree: LocalTree, content: bytes | None, progress: Progress | None
) -> Spool:
    if content is not None:
        return keep(content, entry, tree, progress)
    return await download(account, entry, tree, progress=progress)


async def _publish(
    tree: LocalTree, spools: list[tuple[_Job, Spool]], report: CopyReport, full: list[DiskFullError]
) -> None:
    items = [(spool, job.local, job.entry.mtime_seconds, job.expected) for job, spool in spools]
    results = await asyncio.to_thread(tree.publish, items)
    for (job, spool), result in zip(spools, results, strict=True):
        if isinstance(result, LocalStat):
            report.files += 1
            report.bytes += job.entry.size_bytes
            continue
        spool.discard()
        if isinstance(result, DiskFullError):
            result.path = job.entry.path
            full.append(result)
        elif isinstance(result, CandadoError):
            report.failures.append(ItemFailure(job.entry.path, result))
        else:
            raise result


async def cat(account: Account, path: str, write: Callable[[bytes], None]) -> int:
    """Hand the content of a remote file to ``write``, in pieces none of which is unverified; the number of bytes.

    A file above 1 MiB is fetched twice: first to check its tag, keeping a hash of every piece, then to hand out the
    pieces that still have their hash. So nothing is stored and memory does not depend on the size.

    Raises:
        NotFoundError, OpenFailedError: nothing was handed out.
        PreconditionFailedError: the file changed between the two times; what was handed out is a true beginning.
    """
    found = await FolderReader(account).open_path(path)
    entry = found.entry
    if entry is None:
        raise UsageError(f"{found.view.path} is a folder")
    if entry.size_bytes <= SMALL_BYTES_MAX:
        write(await read_bytes(account, entry))
        return entry.size_bytes
    if entry.entry is None:
        async for piece in account.remote.get(entry.remote_path, size_expected=entry.stored_bytes):
            write(bytes(piece))
        return entry.size_bytes
    marks = await check_body(account, entry)
    opener = BodyOpener(entry.entry.key, entry.entry.nonce, entry.stored_bytes)
    out = bytearray(PIECE_BYTES + 32)
    at = 0
    async for piece in even_pieces(account.remote.get(entry.remote_path, size_expected=entry.stored_bytes)):
        if at >= len(marks) or sha256(piece).digest() != marks[at]:
            raise PreconditionFailedError("The file changed while it was read.", path=entry.path)
        count = opener.update_into(piece, memoryview(out))
        write(bytes(out[:count]))
        at += 1
    return entry.size_bytes

"""``get``, ``put``, ``cat``: bodies in and out.

Layer: ``apps``. ``-`` is stdin or stdout. What goes to a pipe was verified completely before its first byte leaves.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from candado.apps.cli.common import (
    Command,
    Run,
    left_out_json,
    pass_run,
    say_left_out,
    say_warnings,
    warnings_json,
    with_account,
)
from candado.apps.cli.config import Places
from candado.apps.cli.dryrun import dry_run_option, plan_json, print_steps, rehearsal_of
from candado.apps.cli.errors import EXIT_PARTLY, error_json, exit_status
from candado.apps.cli.localpath import download_target, upload_source
from candado.apps.cli.output import human_size, printable
from candado.apps.cli.progress import Meter, progress_of
from candado.errors import UsageError

if TYPE_CHECKING:
    from candado.adapters.disk import DiskTree
    from candado.client.account import Account
    from candado.client.edit import CopyReport, PutSource
    from candado.client.rehearsal import Rehearsal

__all__ = ["cat", "conflict_option", "finish_copy", "get", "put"]

Conflict = Literal["fail", "skip", "replace", "keep-both", "newer"]

conflict_option = click.option(
    "--conflict",
    type=click.Choice(["fail", "skip", "replace", "keep-both", "newer"]),
    default="fail",
    show_default=True,
    help="When a file of that name is there already; newer: replace what is older, skip the rest.",
)


def finish_copy(run: Run, report: "CopyReport", verb: str, rehearsal: "Rehearsal | None") -> int:
    """Print what a transfer did; its exit status. One file that fails alone gives that error's own status."""
    document = {
        "files": report.files,
        "folders": report.folders,
        "bytes": report.bytes,
        "skipped": report.skipped,
        "warnings": warnings_json(report.warnings),
        "left_out": left_out_json(report.left_out),
        "errors": [{**error_json(failure.error), "path": failure.path} for failure in report.failures],
        **plan_json(rehearsal),
    }

    def text() -> None:
        print_steps(rehearsal)
        for failure in report.failures:
            error = failure.error
            print(
                f"{printable(failure.path)}: {printable(error.message)} [{error.code}]\n"
                f"  safe:  {printable(error.safe)}\n  next:  {printable(error.advice)}",
                file=sys.stderr,
            )
        for path in report.skipped:
            run.say(f"skipped: {printable(path)}")
        say_warnings(run, report.warnings)
        say_left_out(run, report.left_out)
        noun = "file" if report.files == 1 else "files"
        did = verb if rehearsal is None else f"would have {verb}"
        run.say(f"{did} {report.files} {noun}, {human_size(report.bytes)}")

    run.emit("candado.copy/1", document, text)
    if len(report.failures) == 1 and not report.files:
        return exit_status(report.failures[0].error)
    return EXIT_PARTLY if report.failures else 0


@click.command(cls=Command)
@click.argument("sources", metavar="LOCAL...", nargs=-1, required=True)
@click.argument("remote")
@click.option("-r", "--recursive", is_flag=True, help="Folders with all below them (they always are).")
@click.option("--name", metavar="NAME", help="Remote name of what comes from stdin (LOCAL is -).")
@conflict_option
@dry_run_option
@pass_run
def put(
    run: Run,
    sources: tuple[str, ...],
    remote: str,
    name: str | None,
    conflict: Conflict,
    *,
    recursive: bool,
    dry_run: bool,
) -> int:
    r"""Upload files and folders into an encrypted folder.

    \b
    Examples:
      candado put passport.pdf Documents
      candado put passport.pdf Documents/pass.pdf
      tar c photos | candado put - Documents/photos.tar
    """
    del recursive
    from candado.apps.wiring import transfers_of
    from candado.client.edit import put as send

    rehearsal = rehearsal_of(dry_run=dry_run)

    async def work(account: "Account", progress: Meter | None) -> "CopyReport":
        with contextlib.ExitStack() as stack:
            items = [_source(stack, source, name or "", read=not dry_run) for source in sources]
            return await send(
                account,
                items,
                remote,
                conflict=conflict,
                transfers=transfers_of(run),
                progress=progress,
                rehearsal=rehearsal,
            )

    with progress_of(run, "upload") as progress:
        report = with_account(run, lambda account: work(account, progress))
    return finish_copy(run, report, "uploaded", rehearsal)


def _source(stack: contextlib.ExitStack, source: str, stdin_name: str, *, read: bool) -> "PutSource":
    """One thing to upload; a link named on the command line is followed. A dry run reads nothing from a pipe."""
    from candado.client.edit import PutSource

    if source == "-":
        folder = stack.enter_context(_private_folder())
        with (folder / "stdin").open("xb") as file:
            if read:
                shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        return PutSource(stack.enter_context(_tree(folder)), "stdin", stdin_name)
    real, is_folder = upload_source(source)
    name = Path(source).absolute().name
    if is_folder:
        return PutSource(stack.enter_context(_tree(real)), "", name or real.name)
    return PutSource(stack.enter_context(_tree(real.parent)), real.name, name)


@click.command(cls=Command)
@click.argument("remote")
@click.argument("local", default=".")
@click.option("-r", "--recursive", is_flag=True, help="Folders with all below them (they always are).")
@conflict_option
@dry_run_option
@pass_run
def get(run: Run, remote: str, local: str, conflict: Conflict, *, recursive: bool, dry_run: bool) -> int:
    r"""Download a file or a folder.

    \b
    Examples:
      candado get Documents/passport.pdf .
      candado get Documents ~/copy
      candado get 'Documents/*.txt' notes
      candado get Documents/notes.txt -
    """
    del recursive
    if local == "-":
        if dry_run:
            raise UsageError("a dry run prints no file", advice="Name a local file, or leave out --dry-run.")
        with_account(run, lambda account: _print_files(account, remote))
        return 0
    rehearsal = rehearsal_of(dry_run=dry_run)

    async def work(account: "Account", progress: Meter | None) -> "CopyReport":
        from candado.client.fill import CopyReport
        from candado.client.places import expand
        from candado.client.reader import FolderReader

        report = CopyReport()
        paths = await expand(FolderReader(account), remote)
        for path in paths:
            target = download_target(local, path.rstrip("/").rpartition("/")[2] or "home", single=len(paths) == 1)
            report.add(await _fetch(run, account, path, target, conflict, progress, rehearsal))
        return report

    with progress_of(run, "download") as progress:
        report = with_account(run, lambda account: work(account, progress))
    return finish_copy(run, report, "downloaded", rehearsal)


async def _fetch(
    run: Run,
    account: "Account",
    remote: str,
    target: Path,
    conflict: Conflict,
    progress: Meter | None,
    rehearsal: "Rehearsal | None",
) -> "CopyReport":
    from candado.apps.wiring import transfers_of
    from candado.client.fetch import get as fetch

    with _tree(target.parent) as tree:
        return await fetch(
            account,
            remote,
            tree,
            target.name,
            conflict=conflict,
            transfers=transfers_of(run),
            progress=progress,
            rehearsal=rehearsal,
        )


async def _print_files(account: "Account", remote: str) -> None:
    from candado.client.places import expand
    from candado.client.reader import FolderReader

    for path in await expand(FolderReader(account), remote):
        await _print_file(account, path)


@click.command(cls=Command)
@click.argument("remote")
@pass_run
def cat(run: Run, remote: str) -> None:
    r"""Print a file.

    \b
    Examples:
      candado cat Documents/notes.txt
    """
    with_account(run, lambda account: _print_file(account, remote))


async def _print_file(account: "Account", remote: str) -> None:
    """Write a file to stdout once all of it was verified; a big one waits in a private folder meanwhile."""
    from candado.client.reader import FolderReader
    from candado.client.transfer import SMALL_BYTES_MAX, download, read_bytes

    found = await FolderReader(account).open_path(remote)
    if found.entry is None:
        raise UsageError("this is a folder", path=remote, advice="See `candado ls` and `candado get`.")
    if found.entry.size_bytes <= SMALL_BYTES_MAX:
        sys.stdout.buffer.write(await read_bytes(account, found.entry))
    else:
        with _private_folder() as folder, _tree(folder) as tree:
            spool = await download(account, found.entry, tree)
            (result,) = tree.publish([(spool, "body", 0.0, None)])
            if isinstance(result, Exception):
                raise result
            with (folder / "body").open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def _tree(root: Path) -> "Iterator[DiskTree]":
    from candado.apps.wiring import open_tree

    tree = open_tree(root)
    try:
        yield tree
    finally:
        tree.close()


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder below the state of this device, gone afterwards."""
    from candado.apps.wiring import work_folder

    with work_folder(Places.of(os.environ)) as folder:
        yield Path(folder)

"""``encrypt``, ``mkdir``, ``rm``, ``mv``, ``cp``, ``unlock``: changes on the server.

Layer: ``apps``.
"""

from typing import TYPE_CHECKING

import click

from candado.apps.cli.cmd_transfer import Conflict, conflict_option, finish_copy
from candado.apps.cli.common import Command, Run, pass_run, say_warnings, warnings_json, with_account
from candado.apps.cli.dryrun import dry_run_option, plan_json, print_steps, rehearsal_of
from candado.apps.cli.output import printable
from candado.apps.cli.progress import progress_of
from candado.errors import CandadoError, UsageError

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.edit import RemoveReport
    from candado.protocol.plan_model import Problem

__all__ = ["cp", "encrypt", "mkdir", "mv", "rm", "unlock"]


@click.command(cls=Command)
@click.argument("remote")
@pass_run
def encrypt(run: Run, remote: str) -> None:
    r"""Make REMOTE an end-to-end encrypted folder; it is created when absent and must be empty otherwise.

    \b
    Examples:
      candado encrypt Documents
    """
    from candado.client.edit import encrypt_folder

    view = with_account(run, lambda account: encrypt_folder(account, remote))
    run.emit(
        "candado.encrypt/1",
        {"path": view.path, "file_id": view.file_id},
        f"{printable(view.path)} is end-to-end encrypted.",
    )


@click.command(cls=Command)
@click.argument("remotes", metavar="REMOTE...", nargs=-1, required=True)
@click.option("-p", "--parents", is_flag=True, help="Also what is missing above; an existing folder is fine.")
@dry_run_option
@pass_run
def mkdir(run: Run, remotes: tuple[str, ...], *, parents: bool, dry_run: bool) -> None:
    r"""Make folders inside an encrypted folder.

    \b
    Examples:
      candado mkdir Documents/2026
      candado mkdir -p Documents/2026/taxes
    """
    from candado.client.edit import mkdir as make

    rehearsal = rehearsal_of(dry_run=dry_run)
    warnings: list[Problem] = []

    async def work(account: "Account") -> None:
        for remote in remotes:
            warnings.extend(await make(account, remote, parents=parents, rehearsal=rehearsal))

    def text() -> None:
        print_steps(rehearsal)
        say_warnings(run, warnings)

    with_account(run, work)
    document = {"paths": list(remotes), "warnings": warnings_json(warnings), **plan_json(rehearsal)}
    run.emit("candado.mkdir/1", document, text)


@click.command(cls=Command)
@click.argument("remotes", metavar="REMOTE...", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Folders with all below them.")
@dry_run_option
@pass_run
def rm(run: Run, remotes: tuple[str, ...], *, recursive: bool, dry_run: bool) -> None:
    r"""Remove files or folders from the server, for all members.

    A folder that somebody shares with you is left, not removed: it stays as it is for its owner and the others.

    At a terminal, removing a whole encrypted folder is asked first; without one -r is enough.

    \b
    Examples:
      candado rm Documents/old.txt
      candado rm 'Documents/*.bak'
      candado rm -r Documents/2019
    """
    from candado.client.edit import removable
    from candado.client.edit import rm as remove
    from candado.client.places import expand
    from candado.client.reader import FolderReader
    from candado.client.roots import owner_of_received

    removed: list[RemoveReport] = []
    rehearsal = rehearsal_of(dry_run=dry_run)

    async def work(account: "Account") -> None:
        reader = FolderReader(account)
        paths = dict.fromkeys([path for remote in remotes for path in await expand(reader, remote)])
        # All are looked at before the first is removed.
        for path in paths:
            found = await removable(reader, path, recursive=recursive)
            if found.kind == "root" and recursive and not dry_run:
                owner = owner_of_received(account, found.view)
                run.confirm(_leave_question(path, owner) if owner else _remove_question(path))
        for path in paths:
            report = await remove(account, path, recursive=recursive, rehearsal=rehearsal)
            if report.left_to and not dry_run:
                run.say(_left(report, account.user_id))
            removed.append(report)

    with_account(run, work)
    for one in removed:
        if one.is_root and not one.left_to and not dry_run:
            run.say(f"Removed the encrypted folder {printable(one.path)} with everything in it, for all members.")
    items = [
        {
            "path": one.path,
            "is_folder": one.is_folder,
            "is_root": one.is_root,
            "left_to": one.left_to or None,
            **({"dry_run": True, "files": one.files} if dry_run else {}),
        }
        for one in removed
    ]

    def text() -> None:
        for one in removed if dry_run else []:
            print(_would_remove(one))

    run.emit_list("candado.rm/1", "removed", items, text)


def _remove_question(remote: str) -> str:
    return f"Remove the encrypted folder {printable(remote)} with everything in it, for all members?"


def _leave_question(remote: str, owner: str) -> str:
    return (
        f"Leave the encrypted folder {printable(remote)}, which {printable(owner)} shares with you? "
        "Nothing in it is removed."
    )


def _would_remove(report: "RemoveReport") -> str:
    path = printable(report.path)
    if report.left_to:
        return f"leave: {path} (it stays as it is for {printable(report.left_to)} and the other members)"
    if not report.is_folder:
        return f"remove: {path}"
    count = "" if report.files is None else f", {report.files} {'file' if report.files == 1 else 'files'}"
    return f"remove: {path} (folder{count})"


def _left(report: "RemoveReport", user_id: str) -> str:
    owner = printable(report.left_to)
    return (
        f"You left {printable(report.path)}; it stays as it is for {owner} and the other members. "
        f"{owner} takes you off the list of members with `candado unshare FOLDER {printable(user_id)}`."
    )


@click.command(cls=Command)
@click.argument("source")
@click.argument("target")
@dry_run_option
@pass_run
def mv(run: Run, source: str, target: str, *, dry_run: bool) -> None:
    r"""Move or rename inside encrypted folders; nothing is overwritten.

    \b
    Examples:
      candado mv Documents/a.txt Documents/b.txt
      candado mv Documents/a.txt Documents/2026
      candado mv 'Documents/*.pdf' Documents/2026
    """
    from candado.client.edit import mv as move

    rehearsal = rehearsal_of(dry_run=dry_run)
    with progress_of(run, "move") as progress:
        with_account(run, lambda account: move(account, source, target, progress=progress, rehearsal=rehearsal))
    document = {"source": source, "target": target, **plan_json(rehearsal)}
    run.emit("candado.mv/1", document, lambda: print_steps(rehearsal))


@click.command(cls=Command)
@click.argument("source")
@click.argument("target")
@click.option("-r", "--recursive", is_flag=True, help="Folders with all below them.")
@conflict_option
@dry_run_option
@pass_run
def cp(run: Run, source: str, target: str, conflict: Conflict, *, recursive: bool, dry_run: bool) -> int:
    r"""Copy on the server; the copy has keys of its own.

    \b
    Examples:
      candado cp Documents/a.txt Documents/copy.txt
    """
    from candado.apps.wiring import transfers_of
    from candado.client.edit import cp as copy

    rehearsal = rehearsal_of(dry_run=dry_run)
    with progress_of(run, "copy") as progress:
        report = with_account(
            run,
            lambda account: copy(
                account,
                source,
                target,
                recursive=recursive,
                conflict=conflict,
                transfers=transfers_of(run),
                progress=progress,
                rehearsal=rehearsal,
            ),
        )
    return finish_copy(run, report, "copied", rehearsal)


@click.command(cls=Command)
@click.argument("remote", required=False)
@pass_run
def unlock(run: Run, remote: str | None) -> None:
    r"""Free the locks that an interrupted command of this device left behind.

    A lock of another device is not touched: it expires by itself.

    \b
    Examples:
      candado unlock
      candado unlock Documents
    """
    from candado.client.lock import left_locks, recover_sessions
    from candado.client.view import clear_path

    async def work(account: "Account") -> list[str]:
        left = left_locks(account)
        if remote is not None and not any(_covers(clear_path(remote), row.path) for row in left):
            return []
        await recover_sessions(account)
        return [row.path for row in left]

    try:
        freed = with_account(run, work)
    except UsageError:
        raise
    except CandadoError:
        run.say("The lock could not be given back now; the server frees it by itself after some minutes.")
        raise
    text = "\n".join(f"freed: {printable(path)}" for path in freed) or "This device holds no lock there."
    run.emit("candado.unlock/1", {"freed": freed}, text)


def _covers(asked: str, locked: str) -> bool:
    return asked == locked or locked.startswith(asked.rstrip("/") + "/") or asked.startswith(locked.rstrip("/") + "/")

"""``ls``, ``tree``, ``stat``, ``find``, ``du``: looking without changing.

Layer: ``apps``.
"""

import fnmatch
import sys
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.common import Command, Run, pass_run, with_account
from candado.apps.cli.output import human_size, printable, rfc3339, table
from candado.errors import UsageError

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.view import FolderView, Located, RemoteEntry, Tree

__all__ = ["du", "find", "ls", "stat", "tree"]


def _members(entry: "RemoteEntry") -> dict[str, Any]:
    return {
        "path": entry.path,
        "name": entry.name,
        "type": "folder" if entry.is_folder else "file",
        "size": entry.size_bytes,
        "mtime": rfc3339(entry.mtime_seconds),
        "encrypted": entry.is_encrypted,
        "file_id": entry.file_id,
        "sealed_name": entry.sealed_name,
    }


def _name(entry: "RemoteEntry") -> str:
    return printable(entry.name) + ("/" if entry.is_folder else "")


def _warn_of(run: Run, views: "list[FolderView]") -> None:
    count = sum(len(view.problems) for view in views)
    if count:
        run.warn(f"{count} {'name' if count == 1 else 'names'} cannot be used as they are: see `candado issues`")


async def _look(account: "Account", path: str) -> "Located":
    from candado.client.reader import FolderReader

    return await FolderReader(account).open_path(path)


async def _walk(account: "Account", path: str) -> "Tree | RemoteEntry":
    """Everything below a folder, or the one file at the path.

    Below a plain folder that is also what the encrypted ones hold, when this device has keys.
    """
    from candado.client.reader import FolderReader
    from candado.client.walk import walk_into_roots

    reader = FolderReader(account)
    found = await reader.open_path(path)
    if found.entry is not None:
        return found.entry
    if account.identity is None:
        return await reader.walk(found.view)
    tree, closed = await walk_into_roots(reader, found.view)
    if closed:
        raise next(iter(closed.values()))
    return tree


@click.command(cls=Command)
@click.argument("remote", default="/")
@click.option("-l", "--long", is_flag=True, help="Sizes and times.")
@click.option("--raw-names", is_flag=True, help="Also the names that the server knows.")
@pass_run
def ls(run: Run, remote: str, *, long: bool, raw_names: bool) -> None:
    r"""List a folder.

    \b
    Examples:
      candado ls
      candado ls -l Documents
    """
    found = with_account(run, lambda account: _look(account, remote))
    view = found.view
    entries = [found.entry] if found.entry is not None else [view.entries[name] for name in sorted(view.entries)]

    def text() -> None:
        rows = []
        for entry in entries:
            mark = "e" if entry.is_encrypted else "-"
            facts = (mark, human_size(entry.size_bytes), rfc3339(entry.mtime_seconds)) if long else ()
            raw = (entry.sealed_name or "-",) if raw_names else ()
            rows.append((*facts, *raw, _name(entry)))
        table(rows)

    _warn_of(run, [view])
    run.emit_list(
        "candado.ls/1", "entries", [_members(entry) for entry in entries], text, path=view.path, kind=view.kind
    )


@click.command(cls=Command)
@click.argument("remote", default="/")
@click.option("--raw-names", is_flag=True, help="Also the names that the server knows.")
@pass_run
def tree(run: Run, remote: str, *, raw_names: bool) -> None:
    r"""List a folder and all below it.

    \b
    Examples:
      candado tree Documents
    """
    found = with_account(run, lambda account: _walk(account, remote))
    from candado.client.view import clear_path

    entries = _entries(found)
    depth = remote.strip("/").count("/") + bool(remote.strip("/"))

    def text() -> None:
        for entry in sorted(entries, key=lambda one: one.path.split("/")):
            raw = f"  [{entry.sealed_name}]" if raw_names and entry.sealed_name else ""
            level = max(0, entry.path.strip("/").count("/") - depth)
            sys.stdout.write("  " * level + _name(entry) + raw + "\n")

    run.emit_list("candado.tree/1", "entries", [_members(entry) for entry in entries], text, path=clear_path(remote))


def _entries(found: "Tree | RemoteEntry") -> "list[RemoteEntry]":
    from candado.client.view import RemoteEntry

    return [found] if isinstance(found, RemoteEntry) else list(found.entries())


@click.command(cls=Command)
@click.argument("remote")
@pass_run
def stat(run: Run, remote: str) -> None:
    r"""Show what is known of one file or folder.

    \b
    Examples:
      candado stat Documents/passport.pdf
    """
    found = with_account(run, lambda account: _look(account, remote))
    if found.entry is not None:
        facts = {
            **_members(found.entry),
            "remote_path": found.entry.remote_path,
            "permissions": found.entry.permissions,
        }
    else:
        facts = _folder_facts(found.view)
    facts = {"kind": found.kind, **facts}

    def text() -> None:
        table((f"{name}:", "-" if value is None else str(value)) for name, value in facts.items())

    _warn_of(run, [found.view])
    run.emit("candado.stat/1", facts, text)


def _folder_facts(view: "FolderView") -> dict[str, Any]:
    facts: dict[str, Any] = {
        "path": view.path,
        "name": view.path.rpartition("/")[2],
        "type": "folder",
        "encrypted": view.is_encrypted,
        "file_id": view.file_id,
        "sealed_name": view.sealed_name,
        "remote_path": view.remote_path,
        "entries": len(view.entries),
        "deleted": view.deleted,
    }
    if view.folder is not None and view.root is not None:
        facts |= {
            "version": view.folder.version,
            "counter": view.folder.counter,
            "signer": view.folder.signer,
            "members": [member.user_id for member in view.root.members],
        }
    return facts


@click.command(cls=Command)
@click.argument("remote", default="/")
@click.argument("pattern", required=False, metavar="[GLOB]")
@click.option("--name", metavar="GLOB", help="Only names like this, such as '*.pdf'; case does not matter.")
@click.option("--type", "kind", type=click.Choice(["f", "d"]), help="Only files, or only folders.")
@pass_run
def find(run: Run, remote: str, pattern: str | None, name: str | None, kind: str | None) -> None:
    r"""Find names below a folder.

    \b
    Examples:
      candado find Documents '*.pdf'
      candado find Documents --name '*.pdf' --type f
    """
    if pattern is not None and name is not None:
        raise UsageError("GLOB and --name are the same; give one of them")
    from candado.client.view import clear_path

    pattern = name if pattern is None else pattern
    found = with_account(run, lambda account: _walk(account, remote))
    wanted = [
        entry
        for entry in _entries(found)
        if (pattern is None or fnmatch.fnmatchcase(entry.name.lower(), pattern.lower()))
        and (kind is None or entry.is_folder == (kind == "d"))
    ]

    def text() -> None:
        for entry in wanted:
            sys.stdout.write(printable(entry.path) + "\n")

    run.emit_list("candado.find/1", "entries", [_members(entry) for entry in wanted], text, path=clear_path(remote))


@click.command(cls=Command)
@click.argument("remote", default="/")
@click.option("-s", "--summary", is_flag=True, help="Only the total.")
@pass_run
def du(run: Run, remote: str, *, summary: bool) -> None:
    r"""Sizes of folders: plaintext bytes of all files below each.

    \b
    Examples:
      candado du Documents
      candado du -s Documents
    """
    from candado.client.view import RemoteEntry

    found = with_account(run, lambda account: _walk(account, remote))
    if isinstance(found, RemoteEntry):
        raise UsageError("this is a file", path=remote, advice="See `candado stat`.")
    entries = list(found.entries())
    top = found.top.path
    sizes = {top: [0, 0], **{entry.path: [0, 0] for entry in entries if entry.is_folder}}
    for entry in entries:
        if entry.is_folder:
            continue
        folder = entry.path
        while folder != top:
            folder = folder.rpartition("/")[0] or "/"
            sizes[folder][0] += entry.size_bytes
            sizes[folder][1] += 1
    shown = {top: sizes[top]} if summary else sizes
    rows = [{"path": path, "bytes": size, "files": count} for path, (size, count) in sorted(shown.items())]

    def text() -> None:
        table((human_size(size), f"{count} files", path) for path, (size, count) in sorted(shown.items()))

    run.emit_list("candado.du/1", "folders", rows, text, path=top)

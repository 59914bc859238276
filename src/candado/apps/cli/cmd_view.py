"""``server-view``: what the server's administrator can read.

Layer: ``apps``.
"""

import click

from candado.apps.cli.common import Command, Run, pass_run, with_account
from candado.apps.cli.output import human_size, printable, rfc3339, table

__all__ = ["server_view"]


@click.command("server-view", cls=Command)
@click.argument("remote")
@pass_run
def server_view(run: Run, remote: str) -> None:
    r"""Show what an administrator of the server can read of an encrypted folder.

    Sealed names, sizes, times and members can be read. A clear name inside would be found and ends with status 14.

    \b
    Examples:
      candado server-view Documents
    """
    from candado.client.inspect import server_view as look

    view = with_account(run, lambda account: look(account, remote))
    stored = sum(line.size_bytes for line in view.lines if not line.is_folder)

    def text() -> None:
        print(f"{printable(view.path)}: owner {printable(view.owner_id)}, members {printable(', '.join(view.members))}")
        print(
            f"{len(view.lines)} things stored, {human_size(stored)}; none of {view.clear_names} clear names was found "
            "in what the server stores"
        )
        table(
            (
                "folder" if line.is_folder else "file",
                human_size(line.size_bytes),
                rfc3339(line.mtime_seconds),
                f"{human_size(line.metadata_bytes)} sealed names and keys" if line.metadata_bytes else "",
                line.path,
            )
            for line in view.lines
        )

    lines = [
        {
            "path": line.path,
            "type": "folder" if line.is_folder else "file",
            "size": line.size_bytes,
            "mtime": rfc3339(line.mtime_seconds),
            "metadata_bytes": line.metadata_bytes,
        }
        for line in view.lines
    ]
    run.emit(
        "candado.server-view/1",
        {
            "path": view.path,
            "owner": view.owner_id,
            "members": list(view.members),
            "clear_names_searched": view.clear_names,
            "clear_names_found": 0,
            "stored_bytes": stored,
            "entries": lines,
        },
        text,
    )

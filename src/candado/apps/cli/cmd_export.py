"""``export``: encrypted folders into a bundle.

Layer: ``apps``.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from candado.apps.cli.common import Command, Run, pass_run, with_account
from candado.apps.cli.errors import EXIT_PARTLY, error_json
from candado.apps.cli.output import human_size, printable
from candado.apps.cli.progress import Meter, progress_of
from candado.errors import AlreadyExistsError
from candado.formats.canonjson import dump_canonical

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.export import ExportReport

__all__ = ["export"]


@click.command(cls=Command)
@click.argument("remote")
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--no-bodies", is_flag=True, help="Documents only: names, keys and members, no content.")
@click.option("--tar", is_flag=True, help="One tar file; needs the space twice while it is packed.")
@pass_run
def export(run: Run, remote: str, dest: Path, *, no_bodies: bool, tar: bool) -> int:
    r"""Write an encrypted folder, or all below a plain one, into a bundle that opens without a server.

    The bundle has ciphertext only. `candado recover` opens it with the twelve words, or with the key of any member.
    A run that was cut is gone on with by the same command.

    \b
    Examples:
      candado export Documents /media/disk/documents.bundle
      candado export / /media/disk/everything.bundle
      candado export Documents documents.tar --tar
    """
    from candado.adapters.bundle_folder import BundleFolder
    from candado.adapters.bundle_tar import pack_bundle
    from candado.apps.wiring import transfers_of
    from candado.client.export import export as write
    from candado.client.view import clear_path

    if tar and dest.exists():
        raise AlreadyExistsError(
            "There is something at this path.", path=str(dest), safe="What is there was not touched."
        )
    folder = dest.with_name(f"{dest.name}.unfinished") if tar else dest

    async def work(account: "Account", progress: Meter | None) -> "ExportReport | None":
        mark = dump_canonical(
            {
                "bodies": not no_bodies,
                "path": clear_path(remote),
                "server": account.server_url,
                "user": account.user_id,
            }
        )
        target = BundleFolder(folder, mark=mark, staged=tar)
        try:
            if target.is_finished:
                return None
            return await write(
                account, remote, target, with_bodies=not no_bodies, transfers=transfers_of(run), progress=progress
            )
        finally:
            target.close()

    with progress_of(run, "export") as progress:
        report = with_account(run, lambda account: work(account, progress))
    if tar:
        pack_bundle(folder, dest)
    return _finish(run, dest, report)


def _finish(run: Run, dest: Path, report: "ExportReport | None") -> int:
    if report is None:  # an earlier run had all but the packing done
        run.emit("candado.export/1", {"path": str(dest), "packed": True}, f"packed {printable(str(dest))}")
        return 0
    document = {
        "path": str(dest),
        "roots": report.roots,
        "folders": report.folders,
        "bodies": report.bodies,
        "bytes": report.body_bytes,
        "kept": report.kept,
        "missing": report.missing,
        "errors": [{**error_json(failure.error), "path": failure.path} for failure in report.failures],
    }

    def text() -> None:
        for failure in report.failures:
            error = failure.error
            print(
                f"{printable(failure.path)}: {printable(error.message)} [{error.code}]\n"
                f"  safe:  {printable(error.safe)}\n  next:  {printable(error.advice)}",
                file=sys.stderr,
            )
        for path in report.missing:
            run.warn(f"{printable(path)}: the server has no body for it; it is not in the bundle")
        run.say(
            f"exported {len(report.roots)} encrypted folders with {report.bodies} files, "
            f"{human_size(report.body_bytes)}B, to {printable(str(dest))}"
        )

    run.emit("candado.export/1", document, text)
    return EXIT_PARTLY if report.failures or report.missing else 0

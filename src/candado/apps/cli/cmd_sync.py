"""``sync`` and ``issues``.

Layer: ``apps``.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.common import Command, Run, pass_run, say_left_out, warn_of_recovery, with_account
from candado.apps.cli.errors import EXIT_CONFLICTS, EXIT_PARTLY, EXIT_STATUS
from candado.apps.cli.localpath import is_folder
from candado.apps.cli.output import human_size, printable, rfc3339
from candado.apps.cli.progress import Meter, progress_of
from candado.errors import NotFoundError, SafetyLimitError, UsageError

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.issues import Issue
    from candado.client.sync_report import SyncReport
    from candado.protocol.plan_model import DeleteLimit

__all__ = ["issues", "sync"]


class _DeleteLimitType(click.ParamType["DeleteLimit"]):
    """``N`` files or ``P%`` of what both sides agreed upon."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "DeleteLimit":
        """The limit; a usage error when it is neither."""
        from candado.protocol.plan_model import DeleteLimit

        text = str(value).strip()
        number = text.removesuffix("%")
        if not number.isascii() or not number.isdigit() or len(number) > 9:
            self.fail(f"{value!r} is neither a number of files nor a percentage such as 50%", param, ctx)
        if number == text:
            return DeleteLimit(count=int(number))
        return DeleteLimit(percent=min(float(number), 100.0))


@click.command(cls=Command)
@click.argument("local", type=click.Path(path_type=Path, file_okay=False, readable=False))
@click.argument("remote")
@click.option("--encrypt", is_flag=True, help="Make REMOTE an encrypted folder when it is absent or empty.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@click.option(
    "--mode",
    type=click.Choice(["two-way", "push", "pull"]),
    default="two-way",
    show_default=True,
    help="push: only changes made in LOCAL travel; pull: only those made in REMOTE.",
)
@click.option("--max-delete", type=_DeleteLimitType(), metavar="N|P%", help="Allow that many deletions on one side.")
@pass_run
def sync(
    run: Run,
    local: Path,
    remote: str,
    mode: str,
    max_delete: "DeleteLimit | None",
    *,
    encrypt: bool,
    dry_run: bool,
) -> int:
    r"""Bring a local folder and an encrypted folder to the same state.

    \b
    Examples:
      candado sync ~/Documents Documents --encrypt     the first time
      candado sync ~/Documents Documents
      candado sync ~/Documents Documents --dry-run
    """
    root = local.resolve()
    if (dry_run or mode == "push") and not is_folder(root):
        # With push LOCAL decides: what is not there is a word mistyped, not a wish for an empty folder.
        advice = "With --mode push LOCAL decides, so it must be there." if mode == "push" else "Or leave out --dry-run."
        raise NotFoundError(
            "The local folder does not exist.", path=str(root), advice=f"Check its name, or make it. {advice}"
        )
    with progress_of(run, "sync") as progress:
        report, recovery = with_account(
            run,
            lambda account: _sync(
                run,
                account,
                root,
                remote,
                progress,
                mode=mode,
                max_delete=max_delete,
                encrypt=encrypt,
                dry_run=dry_run,
            ),
        )
    document = report.to_json()
    schema = str(document.pop("schema"))
    document["recovery"] = recovery
    run.emit(schema, document, lambda: _print_report(run, report))
    if report.exceeds_limit:
        return EXIT_STATUS[SafetyLimitError.code]
    if report.errors:
        return EXIT_PARTLY
    return EXIT_CONFLICTS if report.conflicts and not dry_run else 0


async def _sync(
    run: Run,
    account: "Account",
    root: Path,
    remote: str,
    progress: Meter | None,
    *,
    mode: str,
    max_delete: "DeleteLimit | None",
    encrypt: bool,
    dry_run: bool,
) -> "tuple[SyncReport, dict[str, object] | None]":
    from candado.apps.wiring import open_tree, transfers_of
    from candado.client.recovery import refresh_quietly
    from candado.client.sync import SyncOptions
    from candado.client.sync import sync as bring
    from candado.protocol.plan_model import Mode

    tree = open_tree(root)
    try:
        options = SyncOptions(
            local_root=str(root),
            mode=Mode(mode),
            encrypt=encrypt,
            dry_run=dry_run,
            max_delete=max_delete,
            transfers=transfers_of(run),
            progress=progress,
            on_plan=None if progress is None else progress.plan,
        )
        await refresh_quietly(account)
        recovery = warn_of_recovery(run, account)
        report = await bring(account, tree, remote, options)
        say_left_out(run, report.left_out)
        # The first folder may be made, and a policy met, in this very run.
        return report, recovery or warn_of_recovery(run, account)
    finally:
        tree.close()


def _print_report(run: Run, report: "SyncReport") -> None:
    from candado.client.sync_report import operation_json

    for op in report.operations:
        line = operation_json(op)
        target = f" -> {printable(str(line['to']))}" if "to" in line else ""
        print(f"{line['do']}: {printable(str(line['path']))}{target}")
    for path in report.conflict_paths:
        run.say(f"both sides changed, both kept: {printable(path)}")
    known = [problem for problem in report.errors if problem.known]
    for problem in [*report.errors, *report.warnings]:
        if problem.known:
            continue
        lines = (
            f"{printable(problem.path)}: {printable(problem.message)} [{problem.code}]",
            problem.safe,
            problem.advice,
        )
        print("\n  ".join(printable(line) for line in lines if line), file=sys.stderr)
    if known:
        noun = "file is" if len(known) == 1 else "files are"
        print(f"{len(known)} {noun} refused by rules, as told before; see `candado issues`", file=sys.stderr)
    parts = [
        f"uploaded {report.uploaded} ({human_size(report.bytes_up)})",
        f"downloaded {report.downloaded} ({human_size(report.bytes_down)})",
        f"deleted {report.deleted}",
        f"renamed {report.renamed}",
        f"conflicts {report.conflicts}",
    ]
    if report.errors:
        parts.append(f"left alone {len(report.errors)}")
    verb = "would have: " if report.dry_run else ""
    print(f"{verb}{', '.join(parts)}; {report.requests} requests, {report.seconds:.1f} s")


@click.command(cls=Command)
@click.option("--dismiss", metavar="ID", help="Forget one issue and its evidence; 'all' forgets every notice.")
@click.option("--evidence", metavar="ID", help="Print the refused documents of one issue as JSON.")
@pass_run
def issues(run: Run, dismiss: str | None, evidence: str | None) -> None:
    r"""Open problems with advice, oldest first.

    \b
    Examples:
      candado issues
      candado issues --evidence 3f9a02b1c4d5
    """
    if dismiss is not None and evidence is not None:
        raise UsageError("--dismiss and --evidence do not go together")

    async def work(account: "Account") -> "tuple[list[Issue], bytes | None]":
        book = account.issue_book
        if evidence is not None:
            return [], book.evidence(evidence)
        if dismiss == "all":
            for issue in account.issues():
                if issue.severity == "notice":
                    book.dismiss(issue.issue_id)
        elif dismiss is not None and not book.dismiss(dismiss):
            raise NotFoundError("there is no such issue", path=dismiss, advice="See `candado issues`.")
        return account.issues(), None

    found, documents = with_account(run, work)
    if evidence is not None:
        if documents is None:
            raise NotFoundError("there is no evidence for this issue", path=evidence, advice="See `candado issues`.")
        sys.stdout.buffer.write(documents + b"\n")
        return
    items = [
        {
            "id": issue.issue_id,
            "severity": issue.severity,
            "code": issue.code,
            "message": issue.message,
            "path": issue.path,
            "safe": issue.safe,
            "hint": issue.advice,
            "first_seen": rfc3339(issue.time),
            "last_seen": rfc3339(issue.last_seen),
            "count": issue.count,
            "evidence": issue.evidence,
        }
        for issue in found
    ]
    run.emit_list("candado.issues/1", "issues", items, lambda: _print_issues(found))


def _print_issues(found: "list[Issue]") -> None:
    if not found:
        print("No open issues.")
    for issue in found:
        times = f", {issue.count} times" if issue.count > 1 else ""
        print(f"{issue.issue_id}  {issue.severity}: {printable(issue.message)} [{issue.code}]")
        print(f"  where: {printable(issue.path)}   since {rfc3339(issue.time)}{times}")
        for label, text in (("safe:", issue.safe), ("next:", issue.advice)):
            if text:
                print(f"  {label}  {printable(text)}")
        if issue.evidence:
            print(f"  kept:  candado issues --evidence {issue.issue_id}")

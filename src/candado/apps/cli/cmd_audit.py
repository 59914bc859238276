"""``audit explain``: an exported audit log with the names that this device knows.

Layer: ``apps``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.common import Group, Run, pass_run, with_account
from candado.apps.cli.output import printable, table
from candado.errors import LocalStorageError, NotFoundError
from candado.formats.auditrecord import LINE_BYTES_MAX

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.explain import Explained
    from candado.protocol.auditcheck import LogReport

__all__ = ["audit"]

_FINDINGS = 8


@click.group(cls=Group)
def audit() -> None:
    """Audit logs that a server exported."""


@audit.command("explain")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kind", default="", help="Only this event, or with a dot at its end all that begin so: `share.`")
@click.option("--actor", default="", help="Only what this person did; a name or an id.")
@click.option("--target", default="", help="Only what was done to this person, folder or id.")
@click.option("--since", default="", help="First day (2026-01-31) or time, UTC.")
@click.option("--until", default="", help="Last day or time, UTC.")
@click.option("--digest", is_flag=True, help="Only how many events of each kind there were, by week.")
@pass_run
def explain(run: Run, file: Path, *, digest: bool, **filters: str) -> int:
    r"""Show an exported audit log with names in the place of ids, as far as this device knows them.

    Names never leave this device. The log is checked with the key of the authority that this device knows; status 8
    when it is not whole.

    \b
    Examples:
      candado audit explain audit.jsonl
      candado audit explain audit.jsonl --actor bob --kind share. --since 2026-01-01
      candado audit explain audit.jsonl --digest
    """
    from candado.client.explain import Wanted, count_weeks, explain_log, known_names, verify_log

    wanted = Wanted(**filters)

    def lines() -> Iterator[bytes]:
        return _lines(file)

    async def work(account: "Account") -> "tuple[list[Explained], LogReport | None]":
        names = await known_names(account, lines)
        return list(explain_log(lines, names, wanted)), verify_log(account, lines)

    found, report = with_account(run, work)
    for finding in () if report is None else report.findings:
        run.warn(f"{finding.message} [{finding.code}]")
    if digest:
        weeks = count_weeks(found)
        counts = [
            {"week": week, "event": event, "count": count}
            for week, kinds in weeks.items()
            for event, count in kinds.items()
        ]
        run.emit_list(
            "candado.audit-digest/1",
            "weeks",
            counts,
            lambda: table((str(one["week"]), str(one["count"]), str(one["event"])) for one in counts),
        )
    else:
        shown = [_members(one) for one in found]
        run.emit_list("candado.audit/1", "records", shown, lambda: table(_cells(one) for one in found))
    return 0 if report is None or report.is_whole else _FINDINGS


def _members(one: "Explained") -> dict[str, Any]:
    record = one.record
    return {
        "seq": record.sequence,
        "time": record.time,
        "event": record.event,
        "actor": record.actor,
        "target": record.target,
        "outcome": record.outcome,
        "reason": record.reason,
        "address": record.address,
        "device": record.device,
        "request": record.request,
        "details": dict(record.details),
        "names": dict(one.names),
    }


def _cells(one: "Explained") -> tuple[str, ...]:
    record = one.record
    details = " ".join(f"{name}={one.shown(str(value))}" for name, value in record.details.items())
    outcome = record.outcome if not record.reason else f"{record.outcome} ({record.reason})"
    return (
        str(record.sequence),
        record.time[:19] + "Z",
        one.shown(record.actor),
        record.event,
        one.shown(record.target) or "-",
        outcome,
        printable(details),
    )


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as source:
            while raw := source.readline(LINE_BYTES_MAX + 2):
                yield raw.removesuffix(b"\n")
    except FileNotFoundError as exc:
        raise NotFoundError("there is no such file", path=str(file), advice="Name the file of an export.") from exc
    except OSError as exc:
        raise LocalStorageError(f"the file cannot be read: {exc.strerror}", path=str(file)) from exc

"""Commands on what becomes of the audit log: its outputs, its export, how long it is kept.

Layer: ``apps``. They work on the data directory itself, also while the server runs.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import click

from candado.apps.audit_outputs import deliveries, shown_version
from candado.apps.cli.output import rfc3339
from candado.apps.server_common import Invocation, command_options
from candado.apps.server_wiring import open_backend
from candado.apps.signer_wiring import open_signer
from candado.crypto.checkpoint import origin_of
from candado.encoding import encode_b64
from candado.errors import (
    AlreadyExistsError,
    LocalStorageError,
    NotFoundError,
    SignerSetupError,
    SignerUnavailableError,
    UsageError,
)
from candado.formats.auditlines import FORMATS, LineFormat, render
from candado.formats.auditrecord import AuditRecord, CheckpointLine, StartLine, format_line, parse_line
from candado.ports.server import Rows
from candado.server.audit import Event, record
from candado.server.auditgate import SinkState, sink_states
from candado.server.auditkeeping import AuditKeeping, Hold
from candado.server.auditlog import AuditLog, read_head
from candado.server.auditproofs import AuditProofs, edge_at, removed_before
from candado.server.auditsinks import drop_sink, register_sinks
from candado.server.model import Backend

__all__ = ["export_command", "hold_commands", "retain_command", "sinks_command"]

_BEHIND: Final = 8
_PAGE: Final = 1000
_DAY: Final = 86_400.0
_TIMES: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")


@click.command("sinks")
@click.option("--deliver", is_flag=True, help="Deliver from here what is outstanding, until nothing is or one fails.")
@click.option(
    "--drop", metavar="NAME", help="Forget an output that is no longer configured; nothing waits for it then."
)
@command_options
def sinks_command(invocation: Invocation, deliver: bool, drop: str | None) -> int:
    """Show the outputs of the audit log and how far each has come; status 8 when one is behind or fails."""
    config = invocation.config()
    if drop is not None and any(one.settings.name == drop for one in config.audit_sinks):
        raise UsageError(
            "this output is configured", path=drop, advice="Take it out of config.toml and restart the server first."
        )

    async def work() -> list[SinkState]:
        async with open_backend(config) as backend:
            if drop is not None and not await drop_sink(backend, drop):
                raise NotFoundError("there is no output of this name", path=drop, advice="See `audit sinks`.")
            if deliver:
                await register_sinks(backend, [one.settings for one in config.audit_sinks])
            await AuditLog(backend).sequence()
            if deliver:
                for one in deliveries(config, backend):
                    await one.drain()
            now = backend.clock.now()
            return await backend.database.read(lambda rows: sink_states(rows, now))

    states = invocation.run(work())
    kinds = {one.settings.name: (one.kind, one.settings.line_format) for one in config.audit_sinks}
    shown = [_shown(state, kinds.get(state.name)) for state in states]
    lines = [
        f"{one['name']}\t{one['kind']}\t{one['format']}\t{one['on_failure']}\t{one['next']}\t{one['lag_seconds']} s\t"
        f"{one['state']}"
        for one in shown
    ]
    invocation.show_table("audit-sinks", {"sinks": shown}, lines)
    return _BEHIND if any(state.fault or state.is_behind for state in states) else 0


def _shown(state: SinkState, kind: tuple[str, str] | None) -> dict[str, Any]:
    found = "behind" if state.is_behind else "ok"
    return {
        "name": state.name,
        "kind": kind[0] if kind else "not configured",
        "format": kind[1] if kind else "-",
        "on_failure": "closed" if state.is_closed else "open",
        "next": state.position,
        "lag_seconds": int(state.lag_seconds),
        "limit_seconds": int(state.limit_seconds),
        "delivered": None if state.delivered is None else rfc3339(state.delivered),
        "failing_since": None if state.failing_since is None else rfc3339(state.failing_since),
        "state": f"{found}, {state.fault}" if state.fault else found,
    }


@click.command("retain")
@click.option("--days", type=click.IntRange(1, 36_500), required=True, help="Keep what is at most so old.")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@command_options
def retain_command(invocation: Invocation, days: int, dry_run: bool, yes: bool) -> None:
    """Remove events that are older than DAYS from the database, behind a tombstone that the authority signs.

    At a terminal it is asked first. Never removed is what a hold covers, what an output has not got yet, and the leaves
    of the key directory. Files that outputs wrote are not touched.
    """
    config = invocation.config()
    if not (dry_run or yes):
        invocation.confirm(f"Remove events older than {days} days for good?", path="audit log")

    async def work() -> tuple[int, int, str]:
        async with open_backend(config) as backend:
            keeping, before = AuditKeeping(backend), backend.clock.now() - days * _DAY
            if dry_run:
                plan = await keeping.plan(before)
            else:
                async with open_signer(config, backend) as signer:
                    plan = await keeping.remove(before, signer, days=days)
            return plan.first, plan.end, plan.because

    first, end, because = invocation.run(work())
    what = f"events {first} to {end - 1}" if end > first else "nothing"
    document = {"first": first, "end": end, "because": because, "removed": not dry_run and end > first}
    invocation.show("audit-retain", document, f"{'would be removed' if dry_run else 'removed'}: {what}; {because}")


@click.group("hold")
def hold_commands() -> None:
    """Legal holds: what must not be removed however old it is."""


@hold_commands.command("add")
@click.argument("name")
@click.option("--since", type=click.DateTime(_TIMES), help="First day (UTC), or time. Default: from the beginning.")
@click.option("--until", type=click.DateTime(_TIMES), help="Last day (UTC), or time. Default: and all that come.")
@command_options
def _add(invocation: Invocation, name: str, since: datetime | None, until: datetime | None) -> None:
    """Keep events of a time; NAME says which case, in lower-case letters, digits and dashes."""
    if not 1 <= len(name) <= 64 or not name.isascii() or not name.replace("-", "a").isalnum() or name != name.lower():
        raise UsageError("a name of a hold is lower-case letters, digits and dashes", path=name)
    begin = 0.0 if since is None else _seconds(since)
    end = None if until is None else _seconds(until) + (0.0 if _has_time(until) else _DAY - 0.001)
    if end is not None and end < begin:
        raise UsageError("the hold ends before it begins", path=name)

    async def work() -> None:
        async with open_backend(invocation.config()) as backend:
            await AuditKeeping(backend).hold(name, since=begin, until=end)

    invocation.run(work())
    invocation.show("audit-hold", {"name": name, "held": True}, f"held: {name}")


@hold_commands.command("remove")
@click.argument("name")
@command_options
def _remove(invocation: Invocation, name: str) -> None:
    """End a hold. Nothing is removed by that; the next `audit retain` may."""

    async def work() -> None:
        async with open_backend(invocation.config()) as backend:
            await AuditKeeping(backend).release(name)

    invocation.run(work())
    invocation.show("audit-hold", {"name": name, "held": False}, f"released: {name}")


@hold_commands.command("list")
@command_options
def _list(invocation: Invocation) -> None:
    """List the holds."""

    async def work() -> list[Hold]:
        async with open_backend(invocation.config()) as backend:
            return await AuditKeeping(backend).holds()

    shown = [
        {
            "name": one.name,
            "since": rfc3339(one.since),
            "until": None if one.until is None else rfc3339(one.until),
            "made": rfc3339(one.made),
        }
        for one in invocation.run(work())
    ]
    lines = [f"{one['name']}\t{one['since']}\t{one['until'] or 'open'}" for one in shown]
    invocation.show_table("audit-holds", {"holds": shown}, lines)


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "line_format", type=click.Choice(FORMATS), default="native", help="Default native.")
@click.option("--first", type=click.IntRange(0), default=0, help="Number of the first event; default the oldest.")
@command_options
def export_command(invocation: Invocation, file: Path, line_format: str, first: int) -> None:
    """Write the audit log into a new FILE; in the native format with all that `audit verify` needs but the key."""
    config = invocation.config()

    async def work() -> tuple[int, int, str]:
        async with open_backend(config) as backend:
            log, fault = AuditLog(backend), ""
            await log.sequence()
            try:
                async with open_signer(config, backend) as signer:
                    await log.checkpoint(signer, force=True)
            except (SignerUnavailableError, SignerSetupError) as error:
                fault = error.code
            begin, end = await _bounds(backend, first)
            details = {"first": begin, "end": end}
            await backend.database.write(lambda rows: record(rows, Event("audit.exported", details=details)))
            await _write(file, _lines(backend, cast("LineFormat", line_format), begin, end))
            return begin, end, fault

    begin, end, fault = invocation.run(work())
    document = {"file": str(file), "first": begin, "end": end, "format": line_format, "fault": fault or None}
    text = f"events {begin} to {end - 1} written to {file}"
    if fault:
        text += f"\nwarning: the authority did not sign ({fault}); the last events may not be proved yet"
    invocation.show("audit-export", document, text)


async def _bounds(backend: Backend, first: int) -> tuple[int, int]:
    async def work(rows: Rows) -> tuple[int, int]:
        return max(first, await removed_before(rows)), (await read_head(rows)).size

    begin, end = await backend.database.read(work)
    if begin >= end:
        raise NotFoundError("the log has no such event yet", path=str(first))
    return begin, end


async def _lines(backend: Backend, line_format: LineFormat, begin: int, end: int) -> AsyncIterator[bytes]:
    proofs, native = AuditProofs(backend), line_format == "native"
    if native:
        origin = origin_of(await AuditLog(backend).salt())
        edge = await backend.database.read(lambda rows: edge_at(rows, begin))
        yield format_line(StartLine(origin, begin, tuple(encode_b64(one) for one in edge)))
    for start in range(begin, end, _PAGE):
        page = await proofs.records(start, min(_PAGE, end - start))
        for _, text in page.records:
            found = parse_line(text.encode("utf-8"))
            assert isinstance(found, AuditRecord)
            yield render(line_format, text.encode("utf-8"), found, version=shown_version())
    if native:
        sql = "SELECT note FROM audit_checkpoints WHERE size > $1 AND size <= $2 ORDER BY size"
        for (note,) in await backend.database.read(lambda rows: rows.all(sql, begin, end)):
            yield format_line(CheckpointLine(str(note)))


async def _write(file: Path, lines: AsyncIterator[bytes]) -> None:
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise AlreadyExistsError("there is a file of this name", path=str(file)) from exc
    except OSError as exc:
        raise LocalStorageError(f"the file cannot be made: {exc.strerror}", path=str(file)) from exc
    try:
        with os.fdopen(fd, "wb") as out:
            async for line in lines:
                out.write(line + b"\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as exc:
        os.unlink(file)  # noqa: PTH108 -- a command has nothing else to do meanwhile
        raise LocalStorageError(f"the file cannot be written: {exc.strerror}", path=str(file)) from exc


def _seconds(time: datetime) -> float:
    return time.replace(tzinfo=UTC).timestamp()


def _has_time(time: datetime) -> bool:
    """Whether more than a day was given."""
    return (time.hour, time.minute, time.second) != (0, 0, 0)

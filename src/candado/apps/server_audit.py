"""Commands on the audit log: looking at it, signing and exporting it, and verifying what was exported.

Layer: ``apps``. ``verify`` needs a file and the public key and nothing else: no data directory, no network.
"""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import click

from candado.apps.server_audit_outputs import export_command, hold_commands, retain_command, sinks_command
from candado.apps.server_common import Invocation, command_options
from candado.apps.server_files import read_file, write_new
from candado.apps.server_wiring import open_backend
from candado.apps.signer_wiring import open_signer
from candado.crypto.checkpoint import NOTE_BYTES_MAX
from candado.crypto.rsa import PublicKey
from candado.errors import LocalStorageError, NotFoundError
from candado.formats.auditrecord import LINE_BYTES_MAX
from candado.protocol.auditcheck import LogReport, check_log
from candado.server.auditlog import AuditLog
from candado.server.auditproofs import AuditProofs, RecordPage
from candado.server.authority import known_authority
from candado.server.model import Backend

__all__ = ["audit_commands"]

_FINDINGS: Final = 8
_PAGE: Final = 1000
_KEY_BYTES_MAX: Final = 32 * 1024
_PATH: Final = click.Path(path_type=Path)


@click.group("audit")
def audit_commands() -> None:
    """The audit log: what happened on this server, and the proof that nothing was taken out."""


for _command in (sinks_command, export_command, retain_command, hold_commands):
    audit_commands.add_command(_command)


@audit_commands.command("list")
@click.option("--from", "first", type=click.IntRange(0), default=0, help="Number of the first record.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@click.option("--event", help="Only this kind, or with a dot at its end all kinds that begin so: `certificate.`")
@command_options
def _list(invocation: Invocation, first: int, limit: int, event: str | None) -> None:
    """Show records, one a line: number, time, event, actor, target, outcome."""
    config = invocation.config()

    async def work() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with open_backend(config) as backend:
            await AuditLog(backend).sequence()
            async for page in _pages(backend, first):
                for _, line in page.records:
                    record_: dict[str, Any] = json.loads(line)
                    if _is_wanted(record_["event"], event):
                        found.append(record_)
                    if len(found) == limit:
                        return found
        return found

    shown = invocation.run(work())
    names = ("seq", "time", "event", "actor", "target", "outcome")
    lines = ["\t".join(str(one[name]) for name in names) for one in shown]
    invocation.show_table("audit-list", {"records": shown}, lines)


@audit_commands.command("checkpoint")
@click.option("--out", type=_PATH, help="File for the checkpoint instead of stdout.")
@command_options
def _checkpoint(invocation: Invocation, out: Path | None) -> None:
    """Sign what has been recorded so far, and show the newest checkpoint."""
    config = invocation.config()

    async def work() -> tuple[int, str]:
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            log = AuditLog(backend)
            await log.sequence()
            await log.checkpoint(signer, force=True)
            return await AuditProofs(backend).checkpoint()

    size, note = invocation.run(work())
    text = note.rstrip("\n")
    if out is not None:
        write_new(out, note)
        text = f"written: {out} ({size} records)"
    invocation.show("audit-checkpoint", {"size": size, "checkpoint": note}, text)


@audit_commands.command("key")
@click.option("--out", type=_PATH, help="File for the key instead of stdout.")
@command_options
def _key(invocation: Invocation, out: Path | None) -> None:
    """Show the public key under which checkpoints verify. Auditors get it once, by another way than the log."""
    config = invocation.config()

    async def work() -> PublicKey:
        async with open_backend(config) as backend:
            found = await known_authority(backend)
        if found is None:
            raise NotFoundError("the authority has no key yet", advice="Run `candado-server ca init`.")
        return found

    key = invocation.run(work())
    text = key.to_pem().rstrip("\n")
    if out is not None:
        write_new(out, key.to_pem())
        text = f"written: {out} (SHA-256 {key.fingerprint_hex})"
    invocation.show("audit-key", {"key": key.to_pem(), "fingerprint": key.fingerprint_hex}, text)


@audit_commands.command("verify")
@click.argument("file", type=_PATH)
@click.option(
    "--key",
    "keys",
    type=_PATH,
    required=True,
    multiple=True,
    help="The authority's public key, PEM: `candado-server audit key`. Several after `ca rotate`.",
)
@click.option("--checkpoint", "known", type=_PATH, multiple=True, help="A checkpoint that is known from elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def _verify(file: Path, keys: tuple[Path, ...], known: tuple[Path, ...], as_json: bool) -> int:
    """Verify an exported log with the public key alone; status 8 when it is not whole.

    Edits, gaps, reordering, truncation and forks are told apart. A file whose end was cut together with its last
    checkpoint looks like an older one: give a newer checkpoint with --checkpoint.
    """
    key, *more = [
        PublicKey.from_pem(read_file(one, size_max=_KEY_BYTES_MAX).decode("ascii", "replace")) for one in keys
    ]
    notes = [read_file(one, size_max=NOTE_BYTES_MAX + 1).decode("utf-8", "replace") for one in known]
    report = check_log(lambda: _lines(file), key, notes, more)
    found = [
        {"code": one.code, "severity": one.severity, "line": one.line, "message": one.message}
        for one in report.findings
    ]
    shown = [f"{one.severity}: {one.code}: {one.message}{_where(one.line)}" for one in report.findings]
    document = {"whole": report.is_whole, "log": report.origin, "records": report.records, "first": report.first}
    document |= {"end": report.end, "signed": report.signed, "findings": found}
    Invocation(Path.cwd(), as_json, {}).show("audit-verify", document, "\n".join([*shown, _verdict(report)]))
    return 0 if report.is_whole else _FINDINGS


def _where(line: int) -> str:
    return f" (line {line})" if line else ""


def _verdict(report: LogReport) -> str:
    if not report.is_whole:
        return "NOT WHOLE"
    return f"whole: records {report.first} to {report.end - 1}, signed up to {report.signed - 1}"


def _is_wanted(event: str, wanted: str | None) -> bool:
    return wanted is None or event == wanted or (wanted.endswith(".") and event.startswith(wanted))


async def _pages(backend: Backend, first: int) -> AsyncIterator[RecordPage]:
    while (page := await AuditProofs(backend).records(first, _PAGE)).records:
        yield page
        first = page.records[-1][0] + 1


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a file, each of a bounded size."""
    try:
        with file.open("rb") as source:
            while raw := source.readline(LINE_BYTES_MAX + 2):
                yield raw.removesuffix(b"\n")
    except FileNotFoundError as exc:
        raise NotFoundError("there is no such file", path=str(file), advice="Name the right file.") from exc
    except OSError as exc:
        raise LocalStorageError(f"the file cannot be read: {exc.strerror}", path=str(file)) from exc

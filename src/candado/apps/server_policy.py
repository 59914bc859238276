"""Commands on access rules: look, change, try, take over.

Layer: ``apps``. They work on the database itself, also while servers run. A change is made to the version that was
read; when somebody else was faster, changes of single rules are tried again on theirs, and everything else says so.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from candado.apps.rule_documents import (
    finding_document,
    head_document,
    invalid_document,
    parse_question,
    trial_document,
    trial_lines,
    version_document,
)
from candado.apps.server_common import Invocation, command_options
from candado.apps.server_wiring import open_backend
from candado.errors import LocalPermissionError, NotFoundError, RulesChangedError, RulesInvalidError, UsageError
from candado.formats.rules import (
    DEFAULT_MESSAGE,
    Imported,
    Rule,
    Rules,
    add_rule,
    free_id,
    import_nextcloud,
    make_rule,
    parse_rules,
    remove_rule,
    set_report_only,
)
from candado.server.accessrules import AccessRules, RulesVersion
from candado.server.model import Backend
from candado.server.ruletrial import Trial, try_rules

__all__ = ["policy_commands"]

T = TypeVar("T")
_FINDINGS = 8
_DENIED = 13
_TRIES = 10
_FILE_BYTES_MAX = 4 * 1024 * 1024
_FILE = click.Path(path_type=Path, allow_dash=True)


@click.group("policy")
def policy_commands() -> None:
    """Access rules: list, show, add, remove, report-only, lint, test, import, export, history."""


_force = click.option("--force", is_flag=True, help="Also a rule that denies something to everybody.")
_note = click.option("--note", default="", help="Why, for the history.")
_expect = click.option("--expect", type=click.IntRange(0), help="Only when this version is in force.")


@policy_commands.command("list")
@command_options
def _list(invocation: Invocation) -> None:
    """List the rules in the order in which they are asked: id, mode, rule."""
    stored = invocation.run(_read(invocation, AccessRules.document))
    rules = parse_rules(stored.text)
    lines = [f"{rule.id}\t{_mode(rule, rules)}\t{rule.line}" for rule in rules.rules]
    invocation.show_table("policy-list", version_document(stored), lines)


def _mode(rule: Rule, rules: Rules) -> str:
    return "report" if rule.report_only or rules.report_only else "deny"


@policy_commands.command("show")
@click.argument("version", type=click.IntRange(0), required=False)
@command_options
def _show(invocation: Invocation, version: int | None) -> None:
    """Show the document in force, or an earlier VERSION, as it was written."""
    stored = invocation.run(_read(invocation, lambda rules: rules.document(version)))
    invocation.show("policy", version_document(stored), stored.text.rstrip("\n"))


@policy_commands.command("history")
@command_options
def _history(invocation: Invocation) -> None:
    """List the last hundred versions, the newest first: number, time, who (- for these commands), why."""
    found = invocation.run(_read(invocation, AccessRules.history))
    shown = [head_document(one) for one in found]
    lines = [f"{one['version']}\t{one['changed']}\t{one['changed-by'] or '-'}\t{one['note']}" for one in shown]
    invocation.show_table("policy-history", {"versions": shown}, lines)


@policy_commands.command("export")
@click.argument("file", type=_FILE, default="-")
@command_options
def _export(invocation: Invocation, file: Path) -> None:
    """Write the document in force into FILE, which must not be there yet, or to stdout."""
    stored = invocation.run(_read(invocation, AccessRules.document))
    if str(file) == "-":
        invocation.show("policy", version_document(stored), stored.text.rstrip("\n"))
        return
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(stored.text)
    except OSError as exc:
        raise LocalPermissionError(f"the file cannot be written: {exc.strerror}", path=str(file)) from exc
    invocation.show("policy", version_document(stored), f"version {stored.version} is in {file}")


@policy_commands.command("add")
@click.argument("rule")
@click.option("--id", "rule_id", help="Name of the rule. Default: rule-1, rule-2 ...")
@click.option("--message", default=DEFAULT_MESSAGE, help="What people are told.")
@click.option("--report-only", is_flag=True, help="Deny nothing, only report what would be denied.")
@click.option("--first", is_flag=True, help="Before all other rules instead of behind them.")
@_force
@_note
@_expect
@command_options
def _add(
    invocation: Invocation,
    rule: str,
    rule_id: str | None,
    message: str,
    report_only: bool,
    first: bool,
    force: bool,
    note: str,
    expect: int | None,
) -> None:
    r"""Add a rule, written on one line.

    \b
    candado-server policy add 'deny create, update when (group = HR or mime = application/pdf) and not encrypted'
    """

    def change(text: str) -> str:
        name = rule_id if rule_id is not None else free_id(parse_rules(text))
        return add_rule(text, make_rule(rule, rule_id=name, message=message, report_only=report_only), first=first)

    _change(invocation, change, force=force, note=note, expect=expect)


@policy_commands.command("remove")
@click.argument("rule_id", metavar="ID")
@_note
@_expect
@command_options
def _remove(invocation: Invocation, rule_id: str, note: str, expect: int | None) -> None:
    """Remove the rule ID; earlier versions keep it."""
    _change(invocation, lambda text: remove_rule(text, rule_id), force=False, note=note, expect=expect)


@policy_commands.command("report-only")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.argument("rule_id", metavar="[ID]", required=False)
@_force
@_note
@_expect
@command_options
def _report_only(
    invocation: Invocation, state: str, rule_id: str | None, force: bool, note: str, expect: int | None
) -> None:
    """Let the rule ID, or all rules, only report what they would deny; or let them deny again."""

    def change(text: str) -> str:
        return set_report_only(text, rule_id, report_only=state == "on")

    _change(invocation, change, force=force, note=note, expect=expect)


@policy_commands.command("lint")
@click.argument("file", type=_FILE)
@command_options
def _lint(invocation: Invocation, file: Path) -> int:
    """Look for errors and oddities in FILE, and change nothing; status 8 when there is an error."""
    text = _read_text(file)
    try:
        rules = parse_rules(text)
    except RulesInvalidError as error:
        findings = [invalid_document(error)]
    else:
        found = invocation.run(_read(invocation, lambda stored: stored.lint(rules)))
        findings = [finding_document(one) for one in found]
    wrong = any(one["severity"] == "error" for one in findings)
    lines = [f"{one['severity']}: {_place(one)}{one['message']}" for one in findings]
    lines.append(f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}")
    invocation.show("policy-lint", {"valid": not wrong, "findings": findings}, "\n".join(lines))
    return _FINDINGS if wrong else 0


def _place(finding: dict[str, Any]) -> str:
    return "" if finding["code"] == RulesInvalidError.code or not finding["rule"] else f"rule {finding['rule']}: "


@policy_commands.command("test")
@click.option("--operation", default="", help="create (the default), read, update, rename, delete or share.")
@click.option("--user", default="", help="Who does it; the groups are looked up.")
@click.option("--file", default="", help="Its path; whether an encrypted folder of --user has it is looked up.")
@click.option("--size", default="", help="Such as 10MB; bytes without a unit.")
@click.option("--ip", default="", help="Address of the client.")
@click.option("--agent", default="", help="Its user agent.")
@click.option("--url", default="", help="Path of the request, such as /remote.php/dav/files/ana/x.")
@click.option("--mime", default="", help="Media type; otherwise the name says it.")
@click.option("--tag", "tags", multiple=True, help="Name of a tag on the file or a folder above; several times.")
@click.option("--time", "moment", default="", help="Such as 2026-07-01T22:30:00+02:00. Default: now.")
@click.option("--link", is_flag=True, help="By a link, without an account.")
@click.option("--encrypted/--plain", default=None, help="Inside of an encrypted folder or not, whatever is there.")
@click.option("--unknown-device", is_flag=True, help="With the login password instead of a device's own.")
@click.option("--rules", "document", type=_FILE, help="Try this document instead of the one in force.")
@command_options
def _test(
    invocation: Invocation,
    tags: tuple[str, ...],
    moment: str,
    link: bool,
    encrypted: bool | None,
    unknown_device: bool,
    document: Path | None,
    **texts: str,
) -> int:
    r"""Say what the rules say of one operation, and why; status 13 when it is denied.

    \b
    candado-server policy test --user bob --file Reports/plan.pdf --ip 203.0.113.7 --size 10MB
    """
    values = {**texts, "time": moment, "link": "yes" if link else "", "known-device": "no" if unknown_device else ""}
    values["encrypted"] = {None: "", True: "yes", False: "no"}[encrypted]
    tried = parse_rules(_read_text(document)) if document is not None else None

    async def work() -> Trial:
        async with open_backend(invocation.config()) as backend:
            rules = tried if tried is not None else await AccessRules(backend).rules()
            return await try_rules(backend, rules, parse_question(values, tags, now=backend.clock.now()))

    trial = invocation.run(work())
    invocation.show("policy-test", trial_document(trial), "\n".join(trial_lines(trial)))
    return _DENIED if trial.decision.denied else 0


@policy_commands.command("import")
@click.argument("file", type=_FILE)
@click.option("--nextcloud", is_flag=True, help="FILE is a rule list of Nextcloud, in JSON; its rules are added.")
@click.option("--tag", "tags", multiple=True, metavar="NUMBER=NAME", help="Name of a tag in that list; several times.")
@click.option("--report-only", is_flag=True, help="Let all of its rules only report at first.")
@click.option("--dry-run", is_flag=True, help="Show what would be in force, and change nothing.")
@_force
@_note
@_expect
@command_options
def _import(
    invocation: Invocation,
    file: Path,
    nextcloud: bool,
    tags: tuple[str, ...],
    report_only: bool,
    dry_run: bool,
    force: bool,
    note: str,
    expect: int | None,
) -> None:
    """Put the document in FILE in force, or add the rules of a list of Nextcloud.

    A document with an error changes nothing. What cannot be taken over from a list is listed with the reason.
    """
    imported = Imported((), ())
    if nextcloud:
        imported = import_nextcloud(_read_bytes(file), tags=_parse_tags(tags))

    def change(text: str) -> str:
        if not nextcloud:
            text = _read_text(file)
            return set_report_only(text, None, report_only=True) if report_only else text
        for rule, name in imported.rules:
            made = make_rule(rule.line, rule_id=rule.id, message=rule.message, report_only=report_only)
            text = add_rule(text, made, comment=f"Nextcloud: {name}" if name else "")
        return text

    left_out = [{"number": one.number, "name": one.name, "reason": one.reason} for one in imported.left_out]
    lines = [f"left out: {one.number} {one.name}: {one.reason}" for one in imported.left_out]
    if dry_run:
        before = invocation.run(_read(invocation, AccessRules.document))
        text = change(before.text)
        parse_rules(text)
        shown: dict[str, Any] = {"version": before.version, "text": text, "left-out": left_out}
        invocation.show("policy-import", shown, "\n".join([text.rstrip("\n"), *lines]))
        return
    _change(invocation, change, force=force, note=note, expect=expect, left_out=left_out, lines=lines, retry=nextcloud)


def _parse_tags(tags: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in tags]
    if not all(number.isdigit() and name for number, _, name in pairs):
        raise UsageError("a tag is given as NUMBER=NAME", advice="Such as: --tag 3=Secret")
    return {number: name for number, _, name in pairs}


async def _read(invocation: Invocation, work: Callable[[AccessRules], Any]) -> Any:
    async with open_backend(invocation.config()) as backend:
        return await work(AccessRules(backend))


def _read_bytes(file: Path) -> bytes:
    try:
        with click.open_file(str(file), "rb") as source:
            data: bytes = source.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as exc:
        raise NotFoundError("there is no such file", path=str(file), advice="Look with `ls`.") from exc
    except OSError as exc:
        raise LocalPermissionError(f"the file cannot be read: {exc.strerror}", path=str(file)) from exc
    return data


def _read_text(file: Path) -> str:
    try:
        return _read_bytes(file).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise RulesInvalidError("the document is no text in UTF-8", path=str(file)) from exc


def _change(
    invocation: Invocation,
    change: Callable[[str], str],
    *,
    force: bool,
    note: str,
    expect: int | None,
    left_out: list[dict[str, str]] | None = None,
    lines: list[str] | None = None,
    retry: bool = True,
) -> None:
    """Make a change to the version in force, and say which one that is now."""

    async def once(backend: Backend) -> tuple[int, RulesVersion]:
        rules = AccessRules(backend)
        before = await rules.document()
        if expect is not None and expect != before.version:
            raise RulesChangedError(expected=expect, current=before.version, text=before.text)
        text = change(before.text)
        return before.version, await rules.replace(text, expected=before.version, changed_by="", note=note, force=force)

    async def work() -> tuple[int, RulesVersion]:
        async with open_backend(invocation.config()) as backend:
            for _ in range(_TRIES if retry and expect is None else 0):
                try:
                    return await once(backend)
                except RulesChangedError:
                    continue
            return await once(backend)

    before, made = invocation.run(work())
    said = f"version {made.version} is in force" if made.version > before else f"nothing changed, version {before}"
    document = version_document(made) | ({"left-out": left_out} if left_out is not None else {})
    invocation.show("policy", document, "\n".join([said, *(lines or [])]))

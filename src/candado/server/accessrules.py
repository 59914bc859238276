"""The access rules in force: one document in the database, with all of its earlier versions.

Layer: ``server``. Each change writes a whole new version, and names the one it was made to: of two administrators who
change the same version, the second one's transaction finds another last version, writes nothing, and is told both. A
document with an error is refused before that. So what is stored was valid when it was stored; a program that cannot
read it any more (an older one, or one without the time zones) lets nobody in rather than everybody.

A process remembers the rules of one version. ``rules_in`` asks, inside of the transaction of the act, for the number of
the last version and nothing more while that is the same. ``policy`` asks once a second, so a change holds everywhere
within a second.
"""

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from candado.errors import NotFoundError, RulesChangedError, RulesInvalidError, RulesRefusedError, RulesUnreadableError
from candado.formats.rules import NO_RULES, RuleFinding, Rules, Subject, fits_everything, lint_rules, parse_rules
from candado.ports.server import Rows, SqlValue
from candado.server.audit import Event, record
from candado.server.groups import ADMIN_GROUP
from candado.server.model import Backend

__all__ = ["EMPTY_DOCUMENT", "AccessRules", "RulesVersion"]

EMPTY_DOCUMENT: Final = "version = 1\n"
"""What version 0 is: a server without rules."""
_LOG = logging.getLogger("candado.server")
_LAST: Final = "SELECT MAX(version) FROM access_rules"
_ONE: Final = "SELECT version, text, changed, changed_by, note FROM access_rules WHERE version = $1"
_HISTORY: Final = """SELECT version, '', changed, changed_by, note FROM access_rules
    WHERE version <= $1 AND version > $2 ORDER BY version DESC"""
_INSERT: Final = "INSERT INTO access_rules (version, text, changed, changed_by, note) VALUES ($1, $2, $3, $4, $5)"
_GROUP: Final = "SELECT 1 FROM groups WHERE id = $1"
_NOTE_CHARS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """One version of the document; ``changed_at`` in seconds since the epoch, ``changed_by`` empty for the operator.

    Version 0 is that of a server that never had rules.
    """

    version: int
    text: str
    changed_at: float
    changed_by: str
    note: str


_NEVER: Final = RulesVersion(0, EMPTY_DOCUMENT, 0.0, "", "")


class AccessRules:
    """Use cases on the document; one instance per process."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._known: tuple[int, Rules] = (0, NO_RULES)

    async def rules_in(self, rows: Rows) -> Rules:
        """The rules in force, as of the transaction; one statement, two after a change.

        Raises:
            RulesUnreadableError: what is stored cannot be read by this program.
        """
        return (await self.versioned_in(rows))[1]

    async def versioned_in(self, rows: Rows) -> tuple[int, Rules]:
        """The version in force and its rules; as ``rules_in``."""
        version = await _last(rows)
        known, rules = self._known
        if version != known:
            rules = _understand(await _stored(rows, version))
            self._known = (version, rules)
        return version, rules

    async def rules(self) -> Rules:
        """The rules in force, in a transaction of their own; errors as ``rules_in``."""
        return await self._database.read(self.rules_in)

    async def document(self, version: int | None = None) -> RulesVersion:
        """The document in force, or an earlier version; NotFoundError."""

        async def work(rows: Rows) -> RulesVersion:
            return await _stored(rows, await _last(rows) if version is None else version)

        return await self._database.read(work)

    async def history(self, *, count_max: int = 100) -> list[RulesVersion]:
        """The last versions without their texts, the newest first."""

        async def work(rows: Rows) -> list[RulesVersion]:
            last = await _last(rows)
            return [_version_of(row) for row in await rows.all(_HISTORY, last, last - count_max)]

        return await self._database.read(work)

    async def lint(self, rules: Rules) -> list[RuleFinding]:
        """What is odd about rules, with a look at the groups there are."""
        tests = [test for rule in rules.rules for clause in rule.tests for test in clause]
        named = {value for test in tests if test.subject is Subject.GROUP for value in test.values}

        async def work(rows: Rows) -> set[str]:
            return {name for name in named if await rows.one(_GROUP, name) is not None}

        return lint_rules(rules, groups={ADMIN_GROUP, *await self._database.read(work)})

    async def replace(
        self, text: str, *, expected: int, changed_by: str, note: str = "", force: bool = False
    ) -> RulesVersion:
        """Put a document in the place of version ``expected``; it is in force when this returns.

        A text that is in force already makes no new version.

        Raises:
            RulesInvalidError: it has an error.
            RulesRefusedError: a rule that the version before had not, or had for reporting only, forbids everything of
                its operations to everybody, and ``force`` was not given.
            RulesChangedError: another version is in force; it is in the error.
        """
        rules = parse_rules(text)
        if len(note) > _NOTE_CHARS_MAX or not note.isprintable():
            raise RulesInvalidError(f"a note is at most {_NOTE_CHARS_MAX} characters on one line", key="note")
        now = self._clock.now()

        async def work(rows: Rows) -> RulesVersion:
            before = await _stored(rows, await _last(rows))
            if before.version != expected:
                raise RulesChangedError(expected=expected, current=before.version, text=before.text)
            if before.text == text:
                return before
            if not force:
                _refuse_too_wide(rules, _wide(before.text))
            made = RulesVersion(expected + 1, text, now, changed_by, note)
            await rows.run(_INSERT, made.version, text, now, changed_by, note)
            digest = hashlib.sha256(text.encode()).hexdigest()
            details: dict[str, str | int] = {
                "version": made.version,
                "rules": len(rules.rules),
                "document_sha256": digest,
            }
            await record(rows, Event("policy.changed", details=details))
            return made

        made = await self._database.write(work)
        _LOG.info("access rules: version %d, %d rules", made.version, len(rules.rules))
        return made


async def _last(rows: Rows) -> int:
    row = await rows.one(_LAST)
    assert row is not None
    assert row[0] is None or isinstance(row[0], int)
    return row[0] or 0


async def _stored(rows: Rows, version: int) -> RulesVersion:
    if version == 0:
        return _NEVER
    row = await rows.one(_ONE, version)
    if row is None:
        raise NotFoundError(
            "there is no such version of the rules",
            path=str(version),
            advice="See `candado-server policy history`.",
        )
    return _version_of(row)


def _version_of(row: tuple[SqlValue, ...]) -> RulesVersion:
    version, text, changed, changed_by, note = row
    assert isinstance(version, int)
    assert isinstance(changed, int | float)
    return RulesVersion(version, str(text), float(changed), str(changed_by), str(note))


def _understand(stored: RulesVersion) -> Rules:
    try:
        return parse_rules(stored.text)
    except RulesInvalidError as error:
        _LOG.error("access rules: version %d cannot be read: %s", stored.version, error.message)
        raise RulesUnreadableError(f"version {stored.version} of the rules: {error.message}") from error


def _wide(text: str) -> Collection[str]:
    """Lines of the rules in force that fit everything: somebody said once that they are meant."""
    try:
        rules = parse_rules(text)
    except RulesInvalidError:
        return ()
    return {rule.line for rule in rules.rules if not (rule.report_only or rules.report_only)}


def _refuse_too_wide(rules: Rules, meant: Collection[str]) -> None:
    """RulesRefusedError when a rule that denies, and not only reports, fits everything and was not meant before."""
    for rule in rules.rules:
        if rule.report_only or rules.report_only or rule.line in meant or not fits_everything(rule):
            continue
        operations = rule.line.partition(" when ")[0].removeprefix("deny ")
        reason = f"this denies {operations} to everybody, administrators too, whatever the file"
        raise RulesRefusedError(reason, rule=rule.id, key="deny")

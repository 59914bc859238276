"""The document of access rules: whole, versioned, replaced only by who has seen the version in force."""

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.counting import CountingDatabase
from tests.unit.server.world import World

from candado.apps.server_copy import export_rows
from candado.errors import (
    NotFoundError,
    RulesChangedError,
    RulesInvalidError,
    RulesRefusedError,
    RulesUnreadableError,
)
from candado.formats.rules import NO_RULES, RuleFinding, parse_rules
from candado.ports.server import Rows
from candado.server.accessrules import EMPTY_DOCUMENT, AccessRules, RulesVersion
from candado.server.audit import actor_of, audited
from candado.server.groups import Groups
from candado.server.model import Principal
from candado.types import UserId

ONE = 'version = 1\n\n[[rule]]\nid = "hr"\ndeny = "create when group = HR"\n'
TWO = 'version = 1\n\n# Sales, too\n[[rule]]\nid = "sales"\ndeny = "create when group = Sales"\n'
WIDE = 'version = 1\n\n[[rule]]\nid = "all"\ndeny = "all"\n'


@pytest.fixture
def rules(world: World) -> AccessRules:
    return AccessRules(world.backend)


async def test_a_new_server_has_no_rules(rules: AccessRules) -> None:
    assert await rules.rules() == NO_RULES
    assert await rules.document() == RulesVersion(0, EMPTY_DOCUMENT, 0.0, "", "")
    assert await rules.history() == []
    assert parse_rules(EMPTY_DOCUMENT) == NO_RULES


async def test_a_change_is_kept_byte_for_byte_and_so_is_what_was_before(world: World, rules: AccessRules) -> None:
    first = await rules.replace(ONE, expected=0, changed_by="ada", note="HR asked")
    assert first == RulesVersion(1, ONE, world.clock.now(), "ada", "HR asked")
    second = await rules.replace(TWO, expected=1, changed_by="")
    assert await rules.document() == second == RulesVersion(2, TWO, world.clock.now(), "", "")
    assert await rules.document(1) == first
    assert await rules.document(0) == RulesVersion(0, EMPTY_DOCUMENT, 0.0, "", "")
    assert [(one.version, one.text, one.note) for one in await rules.history()] == [(2, "", ""), (1, "", "HR asked")]
    assert [one.version for one in await rules.history(count_max=1)] == [2]
    with pytest.raises(NotFoundError):
        await rules.document(3)


async def test_of_two_administrators_the_second_gets_both_versions_and_nothing_is_lost(world: World) -> None:
    mine, hers = AccessRules(world.backend), AccessRules(world.backend)
    done = await asyncio.gather(
        mine.replace(ONE, expected=0, changed_by="ada"),
        hers.replace(TWO, expected=0, changed_by="bea"),
        return_exceptions=True,
    )
    [made] = [one for one in done if isinstance(one, RulesVersion)]
    [error] = [one for one in done if isinstance(one, RulesChangedError)]
    assert (error.expected, error.current, error.text) == (0, 1, made.text)
    assert await mine.document() == made
    again = TWO if made.text == ONE else ONE
    assert (await hers.replace(again, expected=error.current, changed_by="bea")).version == 2
    assert (await mine.document(1)).text == made.text


async def test_the_same_text_again_makes_no_version(world: World, rules: AccessRules) -> None:
    first = await rules.replace(ONE, expected=0, changed_by="ada")
    assert await rules.replace(ONE, expected=1, changed_by="bea") == first
    assert len(await recorded(world)) == 1


async def recorded(world: World) -> list[tuple[str, Any, Any]]:
    """Events that wait for their numbers: kind, who, details."""

    async def work(rows: Rows) -> list[tuple[str, Any, Any]]:
        found = await rows.all("SELECT kind, body FROM audit_pending ORDER BY id")
        return [(str(kind), json.loads(str(body))["actor"], json.loads(str(body))["details"]) for kind, body in found]

    return await world.backend.database.read(work)


async def test_every_change_is_an_event_of_the_audit_log_and_what_was_refused_is_none(
    world: World, rules: AccessRules
) -> None:
    with audited(actor=actor_of(Principal(UserId("ada")))):
        await rules.replace(ONE, expected=0, changed_by="ada")
    with audited(who="operator"):
        await rules.replace(TWO, expected=1, changed_by="")
        for text, expected in ((WIDE, 2), (ONE, 1), ("x", 2)):
            with pytest.raises((RulesInvalidError, RulesChangedError)):
                await rules.replace(text, expected=expected, changed_by="")
    assert await recorded(world) == [
        ("policy.changed", who, {"version": number, "rules": 1, "document_sha256": sha256(text.encode()).hexdigest()})
        for number, who, text in ((1, "user:ada", ONE), (2, "operator", TWO))
    ]


@pytest.mark.parametrize("text", ["", "version = 2\n", ONE + "x", 'version = 1\n[[rule]]\nid = "a"\n'])
async def test_a_document_with_an_error_leaves_the_old_rules_in_force(rules: AccessRules, text: str) -> None:
    first = await rules.replace(ONE, expected=0, changed_by="ada")
    with pytest.raises(RulesInvalidError):
        await rules.replace(text, expected=1, changed_by="ada")
    assert await rules.document() == first
    assert await rules.rules() == parse_rules(ONE)


@pytest.mark.parametrize("note", ["x" * 501, "two\nlines"])
async def test_a_note_is_one_line(rules: AccessRules, note: str) -> None:
    with pytest.raises(RulesInvalidError, match="a note is at most 500 characters"):
        await rules.replace(ONE, expected=0, changed_by="ada", note=note)


async def test_a_rule_for_everything_is_taken_only_when_it_is_meant(rules: AccessRules) -> None:
    with pytest.raises(RulesRefusedError, match="rule all, deny: this denies all to everybody, administrators too"):
        await rules.replace(WIDE, expected=0, changed_by="ada")
    assert await rules.rules() == NO_RULES
    await rules.replace(WIDE, expected=0, changed_by="ada", force=True)
    meant = WIDE + ONE.removeprefix(EMPTY_DOCUMENT)
    await rules.replace(meant, expected=1, changed_by="ada")
    another = meant + '[[rule]]\nid = "share"\ndeny = "share"\n'
    with pytest.raises(RulesRefusedError, match="this denies share to everybody"):
        await rules.replace(another, expected=2, changed_by="ada")


async def test_a_rule_for_everything_that_only_reports_may_not_begin_to_deny_unnoticed(rules: AccessRules) -> None:
    await rules.replace(f"{WIDE}report_only = true\n", expected=0, changed_by="ada")
    with pytest.raises(RulesRefusedError):
        await rules.replace(WIDE, expected=1, changed_by="ada")
    await rules.replace(WIDE.replace("\n\n", "\nreport_only = true\n\n"), expected=1, changed_by="ada")
    with pytest.raises(RulesRefusedError):
        await rules.replace(WIDE, expected=2, changed_by="ada")


async def test_every_process_sees_a_change_at_its_next_transaction_and_reads_one_number_otherwise(world: World) -> None:
    counting = CountingDatabase(world.backend.database)
    here, there = AccessRules(world.backend), AccessRules(replace(world.backend, database=counting))
    assert await there.rules() == NO_RULES
    await here.replace(ONE, expected=0, changed_by="ada")
    assert await there.rules() == parse_rules(ONE)
    counting.asked.clear()
    for _ in range(3):
        await there.rules()
    assert counting.asked == ["SELECT MAX(version) FROM access_rules"] * 3


async def test_rules_that_this_program_cannot_read_let_nobody_through_and_can_be_replaced(
    world: World, rules: AccessRules
) -> None:
    async def newer(rows: Rows) -> None:
        sql = "INSERT INTO access_rules (version, text, changed, changed_by, note) VALUES (1, $1, 0, '', '')"
        await rows.run(sql, "version = 2\n")

    await world.backend.database.write(newer)
    with pytest.raises(RulesUnreadableError, match="version 1 of the rules: line 1, version: the document begins with"):
        await rules.rules()
    await rules.replace(ONE, expected=1, changed_by="")
    assert await rules.rules() == parse_rules(ONE)


async def test_lint_knows_the_groups_there_are(world: World, rules: AccessRules) -> None:
    await Groups(world.backend).add("HR")
    assert await rules.lint(parse_rules(ONE)) == []
    assert await rules.lint(parse_rules(ONE.replace("= HR", "= HR, admin, Nobody"))) == [
        RuleFinding("unknown-group", "warning", "hr", "there is no group Nobody")
    ]


async def test_a_backup_has_the_rules_and_their_history(world: World, rules: AccessRules, tmp_path: Path) -> None:
    await rules.replace(ONE, expected=0, changed_by="ada")
    await rules.replace(TWO, expected=1, changed_by="ada")
    await export_rows(world.backend.database, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        found = copy.execute("SELECT version, text FROM access_rules ORDER BY version").fetchall()
    assert found == [(1, ONE), (2, TWO)]

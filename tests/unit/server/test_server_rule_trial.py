"""What the rules would say of an operation that nobody carries out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.server.world import ALICE, World, add_users

from candado.errors import NotFoundError
from candado.formats.rules import Facts, Operation, Rules, make_rule
from candado.ports.server import Rows
from candado.server.groups import Groups
from candado.server.ruletrial import Question, try_rules
from candado.server.tags import Tags

MOMENT = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
RULES = Rules((make_rule("deny create when mime = application/pdf", rule_id="pdf", message="No.", report_only=False),))


async def facts(world: World, **asked: Any) -> Facts:
    question = Question(operation=Operation.CREATE, moment=MOMENT, **asked)
    return (await try_rules(world.backend, RULES, question)).facts


@pytest.fixture
async def people(world: World) -> World:
    await add_users(world.backend.database)
    groups = Groups(world.backend)
    await groups.add("HR")
    await groups.join("HR", "alice")

    async def work(rows: Rows) -> None:
        await rows.run("UPDATE users SET is_admin = 1 WHERE id = 'bob'")

    await world.backend.database.write(work)
    await world.files.ensure_home(ALICE.user_id)
    await world.files.make_folder(ALICE, "plain", token=None)
    await world.files.make_folder(ALICE, "vault", token=None)
    node = (await world.files.stat(ALICE, "vault")).file_id

    async def seal(rows: Rows) -> None:
        await rows.run("UPDATE nodes SET encrypted = 1 WHERE id = $1", int(node))

    await world.backend.database.write(seal)
    return world


async def test_the_groups_of_a_user_are_looked_up_and_administrators_have_one_of_their_own(people: World) -> None:
    assert (await facts(people, user_id="alice")).groups == {"HR"}
    assert (await facts(people, user_id="bob")).groups == {"admin"}
    assert (await facts(people)).groups == frozenset()
    by_link = await facts(people, user_id="alice", link=True)
    assert (by_link.groups, by_link.user_id, by_link.link) == (frozenset(), None, True)
    with pytest.raises(NotFoundError, match="no such user"):
        await facts(people, user_id="carol")


@pytest.mark.parametrize(
    ("path", "encrypted"),
    [
        ("plain", False),
        ("plain/new/report.pdf", False),
        ("report.pdf", False),
        ("vault", True),
        ("/vault/0123/report.pdf", True),
        ("", False),
    ],
)
async def test_whether_a_place_is_encrypted_is_looked_up(people: World, path: str, encrypted: bool) -> None:
    assert (await facts(people, user_id="alice", path=path)).encrypted is encrypted


async def test_inside_of_encrypted_folders_there_is_neither_name_nor_type(people: World) -> None:
    plain = await facts(people, user_id="alice", path="plain/report.pdf")
    assert (plain.names, plain.media_type) == (("plain", "report.pdf"), "application/pdf")
    sealed = await facts(people, user_id="alice", path="vault/report.pdf", media_type="application/pdf")
    assert (sealed.names, sealed.media_type, sealed.encrypted) == (None, None, True)
    told = await facts(people, user_id="alice", path="plain/report.pdf", encrypted=True)
    assert (told.names, told.media_type) == (None, None)
    other = await facts(people, user_id="alice", path="vault/report.pdf", encrypted=False, media_type="text/plain")
    assert (other.names, other.media_type) == (("vault", "report.pdf"), "text/plain")


async def test_tags_are_looked_up_and_may_be_added(people: World) -> None:
    await Tags(people.backend).change(ALICE.user_id, "plain", "Secret", put=True)
    assert (await facts(people, user_id="alice", path="plain/new/x")).tags == {"Secret"}
    assert (await facts(people, user_id="alice", path="plain", tags=frozenset({"a"}))).tags == {"Secret", "a"}
    assert (await facts(people, user_id="alice", path="vault")).tags == frozenset()


async def test_everything_else_is_as_it_was_asked(people: World) -> None:
    asked: dict[str, Any] = {
        "user_id": "bob", "size_bytes": 7, "tags": frozenset({"x"}), "address": "10.0.0.1", "url": "/x",
        "user_agent": "curl/8", "device_known": False,
    }  # fmt: skip
    assert await facts(people, **asked) == Facts(
        operation=Operation.CREATE, moment=MOMENT, groups=frozenset({"admin"}), **asked
    )


async def test_the_decision_comes_with_reasons(people: World) -> None:
    question = Question(operation=Operation.CREATE, moment=MOMENT, path="a.pdf")
    trial = await try_rules(people.backend, RULES, question)
    assert trial.decision.denied == RULES.rules[0]
    assert [(one.fits, one.why) for one in trial.traces] == [(True, "because mime = application/pdf")]

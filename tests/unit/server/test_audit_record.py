"""An event is a row of the act's own transaction, and names nobody in the clear that the log would show."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.world import ALICE, HandClock, open_rows

from candado.errors import MisuseError
from candado.formats.auditevents import KINDS
from candado.ports.server import Database, Rows
from candado.server.audit import (
    Actor,
    Event,
    actor_of,
    audit_context,
    audited,
    group_ref,
    key_ref,
    node_ref,
    record,
    share_ref,
    user_ref,
)
from candado.server.model import Principal
from candado.types import UserId


async def _pending(database: Database) -> list[tuple[float, str, dict[str, Any]]]:
    async def work(rows: Rows) -> list[tuple[Any, ...]]:
        return await rows.all("SELECT at, kind, body FROM audit_pending ORDER BY id")

    return [(at, kind, json.loads(body)) for at, kind, body in await database.read(work)]


async def test_an_event_has_what_the_request_and_the_act_know(tmp_path: Path) -> None:
    database, clock = await open_rows(tmp_path / "db"), HandClock()
    clock.time = 12.5
    event = Event(
        "share.made",
        actor_of(Principal(ALICE.user_id, app_password_id=3)),
        node_ref(7),
        details={"share": share_ref(9), "with": group_ref("Human Resources"), "permissions": 31},
    )
    known = {"request": "ab12", "address": "192.0.2.1", "versions": ("dav/1",), "clock": clock}
    with audited(who="server", **known):
        await database.write(lambda rows: record(rows, event))
    assert audit_context().request == ""
    assert await _pending(database) == [
        (
            12.5,
            "share.made",
            {
                "actor": "user:alice",
                "device": "d:3",
                "address": "192.0.2.1",
                "target": "n:7",
                "outcome": "done",
                "reason": "",
                "request": "ab12",
                "versions": ["dav/1"],
                "details": {"share": "sh:9", "with": "group:Human Resources", "permissions": 31},
            },
        )
    ]
    await database.close()


async def test_who_acts_is_the_context_a_link_or_nobody(tmp_path: Path) -> None:
    database = await open_rows(tmp_path / "db")
    visitor = Principal(UserId(""), link=5, link_token="secret")

    async def work(rows: Rows) -> None:
        await record(rows, Event("backup.made"))
        await record(rows, Event("drop.received", actor_of(visitor)))
        await record(rows, Event("signin.refused", Actor()))

    with audited(who="operator"):
        await database.write(work)
    assert [(at, body["actor"]) for at, _, body in await _pending(database)] == [
        (0.0, "operator"),
        (0.0, "sh:5"),
        (0.0, "nobody"),
    ]
    await database.close()


async def test_an_act_that_fails_leaves_no_event_and_an_event_that_fails_no_act(tmp_path: Path) -> None:
    database = await open_rows(tmp_path / "db")

    async def act_fails(rows: Rows) -> None:
        await record(rows, Event("user.made", target=user_ref("bob")))
        raise MisuseError("the act")

    async def event_fails(rows: Rows) -> None:
        await rows.run("INSERT INTO settings (name, value) VALUES ('x', 'y')")
        await record(rows, Event("user.made", target="Bob Builder"))

    for work in (act_fails, event_fails):
        with pytest.raises(MisuseError):
            await database.write(work)
    assert await _pending(database) == []

    async def look(rows: Rows) -> object:
        return await rows.one("SELECT value FROM settings WHERE name = 'x'")

    assert await database.read(look) is None
    await database.close()


@pytest.mark.parametrize(
    "event",
    [
        Event("user.maid"),
        Event("user.made", target="bob@example.org"),
        Event("user.made", target="a" * 161),
        Event("user.made", target="user:"),
        Event("user.made", reason="because I can"),
        Event("user.made", outcome="<b>"),
        Event("user.made", details={"label": "My laptop"}),
        Event("user.made", details={"Label": "x"}),
        Event("user.made", details={"size": 2**53}),
        Event("user.made", details={f"n{n}": n for n in range(17)}),
    ],
)
async def test_what_could_be_a_name_is_refused(event: Event) -> None:
    with pytest.raises(MisuseError):
        await record(None, event)  # type: ignore[arg-type]


def test_numbers_and_words_of_kinds_are_used_once() -> None:
    assert len({kind.number for kind in KINDS.values()}) == len(KINDS)
    assert key_ref("ab") == "k:ab"
    assert all(word == kind.word and 1000 < kind.number < 10_000 for word, kind in KINDS.items())

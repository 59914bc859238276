"""Databases of earlier releases: what is outstanding is told, done in one transaction, and a newer one is left alone."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import Caller, make_data, serving
from tests.postgres import cluster
from tests.unit.server.world import SeededRandom

from candado.adapters.postgres import PostgresDatabase
from candado.adapters.sqlite import SqliteDatabase
from candado.apps.server_cli import run
from candado.ports.server import Database, Migration, Rows
from candado.server.schema import MIGRATIONS

KINDS = ("sqlite", "postgresql")
NEWEST = MIGRATIONS[-1][0]


def address(kind: str, folder: Path) -> str:
    """Where a new database of a kind would be."""
    return asyncio.run(cluster().fresh()) if kind == "postgresql" else f"sqlite://{folder}/old.db"


async def open_at(url: str, migrations: Iterable[Migration]) -> Database:
    steps = tuple(migrations)
    if url.startswith("sqlite"):
        return await SqliteDatabase.open(Path(url.removeprefix("sqlite://")), migrations=steps)
    return await PostgresDatabase.open(url, migrations=steps, random=SeededRandom())


async def fill(url: str, migrations: Iterable[Migration]) -> None:
    """A database with a user, as the program with these steps would have left it."""
    database = await open_at(url, migrations)

    async def work(rows: Rows) -> None:
        await rows.run("INSERT INTO users (id, display_name, password_hash, created) VALUES ('old', 'Old', '', 0)")

    await database.write(work)
    await database.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("migrate"))


def command(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Any]:
    capsys.readouterr()
    status = run([*map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", range(1, NEWEST))
def test_each_earlier_schema_is_told_and_brought_up_to_date(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, version: int
) -> None:
    url = address(kind, tmp_path)
    asyncio.run(fill(url, MIGRATIONS[:version]))
    where = ("--data", data, "--database", url)
    missing = list(range(version + 1, NEWEST + 1))
    for _ in range(2):  # to look changes nothing
        status, told = command(capsys, "migrate", "--check", *where)
        assert (status, told["version"], [step["step"] for step in told["outstanding"]]) == (8, version, missing)
    statements = [len(step["statements"]) for step in told["outstanding"]]
    assert statements == [len(statements) for number, statements in MIGRATIONS if number > version]
    status, told = command(capsys, "migrate", *where)
    assert (status, told["version"], [step["step"] for step in told["done"]]) == (0, version, missing)
    assert command(capsys, "migrate", "--check", *where) == (
        0, {"schema": "candado.server.migrate/1", "version": NEWEST, "outstanding": []},
    )  # fmt: skip
    assert command(capsys, "user", "list", *where)[1]["users"][0]["user"] == "old"
    assert command(capsys, "check", *where)[0] == 0


def test_the_text_names_every_statement(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = address("sqlite", tmp_path)
    asyncio.run(fill(url, MIGRATIONS[:1]))
    assert run(["migrate", "--check", "--data", str(data), "--database", url]) == 8
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 2: CREATE INDEX node_properties_user ON node_properties (user_id, name)"
    assert lines[-1] == f"outstanding: {NEWEST - 1}; the schema was 1"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--check"), ("user", "list"), ("backup", "{dest}")])
def test_a_database_of_a_newer_program_is_left_as_it_is(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, words: tuple[str, ...]
) -> None:
    url = address(kind, tmp_path)
    asyncio.run(fill(url, (*MIGRATIONS, (NEWEST + 1, ("CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY)",)))))
    arguments = [word.format(dest=tmp_path / "dest") for word in words]
    status, document = command(capsys, *arguments, "--data", data, "--database", url)
    assert (status, document["error"]["code"]) == (16, "UNSUPPORTED_VERSION")
    assert document["error"]["message"] == f"the database has schema {NEWEST + 1}, this program knows {NEWEST}"
    assert "newer one" in document["error"]["hint"]
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--check")])
def test_where_there_is_no_database_none_is_made(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, words: tuple[str, ...]
) -> None:
    url = address(kind, tmp_path)
    status, document = command(capsys, *words, "--data", data, "--database", url)
    assert (status, document["error"]["code"]) == (4, "NOT_FOUND")
    assert not (tmp_path / "old.db").exists()


class Deadly(tuple[str, ...]):
    """Statements of a step, of which the program dies after some."""

    __slots__ = ()

    def __iter__(self) -> Any:
        for number in range(len(self)):
            if number == int(os.environ["DIE_AFTER"]):
                os.kill(os.getpid(), signal.SIGKILL)
            yield self[number]


_DIE = """import asyncio, sys
from tests.e2e import test_server_migrate as t
steps = [*t.MIGRATIONS[:-1], (t.NEWEST, t.Deadly(t.MIGRATIONS[-1][1]))]
asyncio.run(t.open_at(sys.argv[1], steps))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_killed_in_the_middle_has_done_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    url = address(kind, tmp_path)
    asyncio.run(fill(url, MIGRATIONS[:1]))
    for count in (0, len(MIGRATIONS[-1][1]) - 1):
        died = subprocess.run(
            [sys.executable, "-c", _DIE, url], env={**os.environ, "DIE_AFTER": str(count)}, check=False
        )
        assert died.returncode == -signal.SIGKILL
        status, told = command(capsys, "migrate", "--check", "--data", data, "--database", url)
        assert (status, told["version"]) == (8, 1)
    assert command(capsys, "migrate", "--data", data, "--database", url)[0] == 0
    assert command(capsys, "check", "--data", data, "--database", url)[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_servers_that_start_together_on_an_old_database_take_turns(data: Path, tmp_path: Path, kind: str) -> None:
    url = address(kind, tmp_path)
    asyncio.run(fill(url, MIGRATIONS[:1]))

    async def ask(server: str) -> int:
        async with Caller(server, None) as nobody:
            return (await nobody.send("GET", "/readyz")).status

    with serving(data, "--database", url, "--workers", "4") as server:
        assert asyncio.run(ask(server.url)) == 200
        assert server.stop() == 0
    log = (data.parent / "server.log").read_text()
    assert "ended with status" not in log

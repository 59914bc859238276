"""``candado-server`` as an administrator uses it: exit statuses, backup, restore, workers, a clean stop."""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import COMMAND, PASSWORD, STOP_SECONDS, Caller, make_data, run_server, serving

from candado import errors
from candado.apps.server_advice import for_administrators
from candado.apps.server_cli import run
from candado.errors import CandadoError, CorruptStateError, TamperError


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with alice; tests copy it."""
    return make_data(tmp_path_factory.mktemp("template"), "alice")


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(template, tmp_path / "data")
    (tmp_path / "password").write_text(PASSWORD)
    return tmp_path / "data"


@pytest.fixture
def password(data: Path) -> str:
    return str(data.parent / "password")


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Run a command in this process with --json; its status and document."""
    capsys.readouterr()
    status = run([*arguments, "--json"])
    text = capsys.readouterr().out
    return status, json.loads(text) if text.strip() else None


@pytest.fixture(autouse=True)
def quiet_loop() -> Iterator[None]:
    yield
    asyncio.set_event_loop_policy(None)


def test_every_command_speaks_json_with_a_schema(data: Path, password: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--data", str(data))
    calls: list[tuple[str, ...]] = [
        ("group", "add", "staff"),
        ("user", "add", "bob", "--display-name", "Bob B", "--email", "b@x", "--group", "staff", "--quota", "10G"),
        ("user", "list"),
        ("user", "show", "bob"),
        ("user", "passwd", "bob"),
        ("user", "disable", "bob"),
        ("user", "enable", "bob"),
        ("app-password", "bob", "--label", "phone"),
        ("group", "list"),
        ("group", "leave", "staff", "bob"),
        ("group", "join", "staff", "bob"),
        ("group", "delete", "staff"),
        ("user", "delete", "bob"),
        ("check",),
        ("check", "--read-data"),
        ("ca", "status"),
    ]
    seen = {}
    for call in calls:
        extra = ("--password-file", password) if call[:2] in (("user", "add"), ("user", "passwd")) else ()
        status, document = command(capsys, *call, *extra, *where)
        assert (call, status) == (call, 0)
        seen[" ".join(call[:2])] = document
        assert document["schema"].startswith("candado.server.")
    assert seen["user show"]["quota_bytes"] == 10**10
    assert seen["user show"]["groups"] == ["staff"]
    assert len(seen["app-password bob"]["app_password"]) == 72
    assert seen["group list"]["groups"] == [{"group": "staff", "members": ["bob"]}]
    assert seen["check"] == {"schema": "candado.server.check/1", "findings": [], "sound": True}


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("user", "add", "alice", "--password-file", "{password}"), 1, "ALREADY_EXISTS"),
        (("user", "add", "ALICE", "--password-file", "{password}"), 1, "ALREADY_EXISTS"),
        (("user", "add", "../evil", "--password-file", "{password}"), 2, "USAGE"),
        (("user", "add", "b b", "--password-file", "{password}"), 2, "USAGE"),
        (("user", "add", "bob", "--password-file", "{short}"), 2, "USAGE"),
        (("user", "add", "bob", "--display-name", "\udcff", "--password-file", "{password}"), 2, "USAGE"),
        (("user", "passwd", "alice", "--password-file", "{short}"), 2, "USAGE"),
        (("group", "add", "a/b"), 2, "USAGE"),
        (("user", "add", "bob"), 12, "SECRET_NEEDED"),
        (("user", "add", "bob", "--quota", "lots", "--password-file", "{password}"), 2, "USAGE"),
        (("user", "add", "bob", "--group", "none", "--password-file", "{password}"), 4, "NOT_FOUND"),
        (("user", "show", "nobody"), 4, "NOT_FOUND"),
        (("user", "delete", "nobody", "--yes"), 4, "NOT_FOUND"),
        (("group", "delete", "nobody"), 4, "NOT_FOUND"),
        (("app-password", "nobody", "--label", "x"), 4, "NOT_FOUND"),
        (("check", "--database", "mysql://host/db"), 2, "USAGE"),
        (("check", "--storage", "gs://bucket"), 2, "USAGE"),
        (("serve", "--listen", "nonsense"), 2, "USAGE"),
        (("serve", "--listen", "192.0.2.1:1"), 1, "LOCAL_STORAGE"),
        (
            (
                "restore",
                "{empty}",
            ),
            4,
            "NOT_FOUND",
        ),
        (("user", "frobnicate"), 2, "USAGE"),
        (("check", "--red-data"), 2, "USAGE"),
        (("init",), 1, "ALREADY_EXISTS"),
    ],
)
def test_errors_have_their_status_and_four_facts(
    data: Path, password: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, code: str
) -> None:
    (data.parent / "short").write_text("short")
    (data.parent / "empty").mkdir()
    words = [
        word.format(password=password, short=data.parent / "short", empty=data.parent / "empty") for word in arguments
    ]
    found, document = command(capsys, *words, "--data", str(data))
    assert (found, document["error"]["code"]) == (status, code)
    assert all(document["error"][fact] for fact in ("message", "hint", "safe"))
    assert not re.search(r"`candado |the other side|ile on the server|local files", str(document))


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("user", "add", "bad/name", "--password-file", "{password}"), "bad/name"),
        (("user", "add", "b b", "--password-file", "{password}"), "b b"),
        (("user", "add", "bob", "--password-file", "{short}"), "bob"),
        (("group", "add", "a/b"), "a/b"),
    ],
)
def test_a_name_or_password_that_cannot_be_is_a_usage_error_that_names_it(
    data: Path, password: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], path: str
) -> None:
    (data.parent / "short").write_text("short")
    words = [word.format(password=password, short=data.parent / "short") for word in arguments]
    found, document = command(capsys, *words, "--data", str(data))
    assert (found, document["error"]["code"], document["error"]["path"]) == (2, "USAGE", path)


def test_no_error_gives_an_administrator_the_advice_for_a_client() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CandadoError)]
    for kind in kinds:
        error = kind("event") if issubclass(kind, TamperError) else kind()
        told = for_administrators(error)
        assert not re.search(r"`candado |ocal files|the other side|[Ll]og out|--max-delete", told.advice + told.safe), (
            kind
        )
    kept = for_administrators(CorruptStateError("x", safe="This is safe.", advice="Do this."))
    assert (kept.safe, kept.advice) == ("This is safe.", "Do this.")


def test_a_directory_that_is_no_data_directory_is_said_to_be_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(capsys, "check", "--data", str(tmp_path))[0] == 4


def test_an_unknown_setting_is_an_error_with_a_suggestion(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (data / "config.toml").open("a") as file:
        file.write("lock_second = 5\n")
    status, document = command(capsys, "check", "--data", str(data))
    assert (status, document["error"]["hint"]) == (2, "Did you mean 'lock_seconds'?")


@pytest.mark.parametrize("line", ["workers = 0", 'workers = "2"', "workers = ", "metrics = 1"])
def test_a_setting_of_the_wrong_kind_is_an_error(data: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    with (data / "config.toml").open("a") as file:
        file.write(line + "\n")
    assert command(capsys, "check", "--data", str(data))[0] == 2


def test_a_readable_data_directory_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.chmod(0o755)
    assert command(capsys, "check", "--data", str(data))[0] == 13
    data.chmod(0o700)
    (data / "authority.pem").chmod(0o644)
    assert command(capsys, "ca", "status", "--data", str(data))[0] == 13


@pytest.mark.parametrize(
    "words",
    [
        ("check",),
        ("check", "--read-data"),
        ("user", "list"),
        ("user", "delete", "alice"),
        ("ca", "status"),
        ("serve", "--listen", "127.0.0.1:0"),
        ("serve", "--listen", "127.0.0.1:0", "--workers", "2"),
        ("backup", "{dest}"),
    ],
)
@pytest.mark.parametrize("what", ["database", "storage"])
def test_no_command_but_init_makes_a_database_or_a_store(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], what: str
) -> None:
    none = tmp_path / "none"
    url = f"sqlite://{none}" if what == "database" else f"file://{none}"
    arguments = [word.format(dest=tmp_path / "dest") for word in words]
    arguments += [f"--{what}", url, "--data", str(data)]
    if words[0] == "serve":  # leaves its mark on a process
        done = run_server(*arguments, "--json", check=False)
        status, document = done.returncode, json.loads(done.stdout)
    else:
        status, document = command(capsys, *arguments)
    assert (status, document["error"]["code"], document["error"]["path"]) == (4, "NOT_FOUND", str(none))
    assert f"--{what}" in document["error"]["hint"]
    assert not none.exists()


def test_a_place_with_four_slashes_is_the_same_place(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'none'}"
    assert url.startswith("sqlite:////")
    status, document = command(capsys, "check", "--database", url, "--data", str(data))
    assert (status, document["error"]["path"]) == (4, str(tmp_path / "none"))


def test_a_database_of_another_program_is_left_as_it_is(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE theirs (x)")
    before = other.read_bytes()
    status, document = command(capsys, "check", "--database", f"sqlite://{other}", "--data", str(data))
    assert (status, document["error"]["code"], document["error"]["path"]) == (4, "NOT_FOUND", str(other))
    assert other.read_bytes() == before


def test_a_backup_of_an_empty_server_can_be_served(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(capsys, "backup", str(tmp_path / "b"), "--data", str(data))[0] == 0
    assert command(capsys, "restore", str(tmp_path / "b"), "--verify", "--data", str(tmp_path / "r"))[0] == 0
    assert command(capsys, "check", "--data", str(tmp_path / "r"))[0] == 0


def test_check_finds_a_lost_body_and_a_stray_one(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill(url: str) -> None:
        async with Caller(url, "alice") as alice:
            assert (await alice.dav("PUT", "f", body=b"content")).status == 201

    with serving(data) as server:
        asyncio.run(fill(server.url))
        assert server.stop() == 0
    body = next(path for path in (data / "blobs").rglob("*") if path.is_file())
    stray = body.rename(body.with_name("0" * 32))
    os.utime(stray, (0, 0))
    status, document = command(capsys, "check", "--data", str(data))
    assert status == 8
    assert [finding["code"] for finding in document["findings"]] == ["blob.missing", "blob.orphan"]


def test_reading_all_data_notices_bytes_that_changed_on_the_disk(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(data) as server:
        asyncio.run(_fill(server.url, 2))
    where = ("--data", str(data))
    assert command(capsys, "check", "--read-data", *where)[1] == {
        "schema": "candado.server.check/1",
        "findings": [],
        "sound": True,
        "read": 4,
        "compared": 4,
    }
    bodies = sorted(path for path in (data / "blobs").rglob("*") if path.is_file())
    part = next(path for path in bodies if path.read_bytes() == b"partpart")
    whole = next(path for path in bodies if path.read_bytes().startswith(b"body 1"))
    for path in (part, whole):
        content = bytearray(path.read_bytes())
        content[3] ^= 0x20
        path.write_bytes(content)
    assert command(capsys, "check", *where)[0] == 0
    status, document = command(capsys, "check", "--read-data", *where)
    assert status == 8
    found = {(finding["code"], finding["subject"]) for finding in document["findings"]}
    assert found == {("blob.altered", part.name), ("blob.altered", whole.name)}
    # A backup takes what there is; a restore that verifies says what is wrong with it.
    assert command(capsys, "backup", str(tmp_path / "b"), *where)[0] == 0
    status, document = command(capsys, "restore", str(tmp_path / "b"), "--verify", "--data", str(tmp_path / "r"))
    assert (status, len(document["problems"])) == (8, 2)


def test_bodies_without_a_checksum_are_told_apart_from_those_that_were_compared(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(data) as server:
        asyncio.run(_fill(server.url, 1))
    with contextlib.closing(sqlite3.connect(data / "candado.db")) as database, database:
        (blob_id,) = database.execute("SELECT content FROM nodes WHERE name = 'f0'").fetchone()
        for sql in ("UPDATE nodes SET content = ? WHERE content = ?",):
            database.execute(sql, ("ab" * 16, blob_id))
    body = next((data / "blobs").rglob(blob_id))
    (data / "blobs" / "ab" / "ab").mkdir(parents=True)
    body.rename(data / "blobs" / "ab" / "ab" / ("ab" * 16))
    status, document = command(capsys, "check", "--read-data", "--data", str(data))
    assert (status, document["read"], document["compared"]) == (0, 3, 2)
    assert run(["check", "--read-data", "--data", str(data)]) == 0
    assert "1 body has no checksum and was read only" in capsys.readouterr().out


async def _fill(url: str, count: int, prefix: str = "f") -> None:
    async with Caller(url, "alice") as alice:
        for n in range(count):
            assert (await alice.dav("PUT", f"{prefix}{n}", body=f"body {n}".encode() * 100)).status == 201
        await alice.dav("COPY", f"{prefix}0", Destination=f"/remote.php/dav/files/alice/{prefix}-copy")
        base = "/remote.php/dav/uploads/alice/joined"
        await alice.send("MKCOL", base)
        for n in (1, 2):
            await alice.send("PUT", f"{base}/{n}", body=b"part" * n)
        target = f"/remote.php/dav/files/alice/{prefix}-joined"
        assert (await alice.send("MOVE", f"{base}/.file", Destination=target)).status in (201, 204)


def test_a_backup_taken_while_serving_restores_to_the_same_tree(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, restored = tmp_path / "backup", tmp_path / "restored"

    async def compare(url: str) -> None:
        async with Caller(url, "alice") as alice:
            for n in range(5):
                assert (await alice.dav("GET", f"f{n}")).body == f"body {n}".encode() * 100
            assert (await alice.dav("GET", "f-copy")).body == b"body 0" * 100
            assert (await alice.dav("GET", "f-joined")).body == b"partpartpart"

    with serving(data) as server:
        asyncio.run(_fill(server.url, 5))
        first = command(capsys, "backup", str(backup), "--data", str(data))
        asyncio.run(_fill(server.url, 2, "g"))
        second = command(capsys, "backup", str(backup), "--data", str(data))
    assert (first[0], first[1]["blobs"], first[1]["copied"]) == (0, 7, 7)
    assert (second[0], second[1]["blobs"], second[1]["copied"]) == (0, 11, 4)
    status, document = command(capsys, "restore", str(backup), "--verify", "--data", str(restored))
    assert (status, document["problems"], document["blobs"]) == (0, [], 11)
    with serving(restored) as server:
        asyncio.run(compare(server.url))


def test_an_altered_backup_is_not_restored(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(data) as server:
        asyncio.run(_fill(server.url, 1))
    for what in ("body", "database", "list"):
        backup, restored = tmp_path / f"backup-{what}", tmp_path / f"restored-{what}"
        assert command(capsys, "backup", str(backup), "--data", str(data))[0] == 0
        if what == "body":
            victim = next(path for path in (backup / "blobs").rglob("*") if path.is_file())
        else:
            victim = backup / ("candado.db" if what == "database" else "bodies.txt")
        content = bytearray(victim.read_bytes())
        content[-1] ^= 1
        victim.write_bytes(content)
        status, document = command(capsys, "restore", str(backup), "--data", str(restored))
        assert (what, status, document["error"]["code"]) == (what, 14, "CORRUPT_STATE")
        assert "estore another backup" in document["error"]["hint"]
        if what != "list":
            assert "Nothing to serve from was made" in document["error"]["safe"]
            assert str(restored) in document["error"]["hint"]
        assert not (restored / "config.toml").exists()
    assert command(capsys, "restore", str(tmp_path / "nobk"), "--data", str(tmp_path / "new"))[1]["error"] == {
        "code": "NOT_FOUND",
        "message": "there is no finished backup here",
        "hint": "Name the directory that `candado-server backup` wrote; a backup that was cut off is made again.",
        "retryable": False,
        "path": str(tmp_path / "nobk"),
        "safe": "Nothing was changed.",
    }


def test_a_backup_never_overwrites_something_else(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "thesis.txt").write_text("years")
    assert command(capsys, "backup", str(tmp_path / "documents"), "--data", str(data))[0] == 1
    assert command(capsys, "restore", str(tmp_path / "documents"), "--data", str(data))[0] == 4
    assert (tmp_path / "documents" / "thesis.txt").read_text() == "years"


def test_deleting_a_user_leaves_nothing_of_it(data: Path, password: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--data", str(data))
    assert run(["user", "add", "bob", "--password-file", password, *where]) == 0

    async def fill(url: str) -> None:
        async with Caller(url, "bob") as bob:
            await bob.dav("PUT", "f", body=b"f")
            made = await bob.dav("MKCOL", "secret")
            await bob.e2ee("PUT", f"encrypted/{made.headers['OC-FileId']}")
            form = {"path": "/f", "shareWith": "alice", "permissions": "1"}
            assert (await bob.ocs("POST", "/apps/files_sharing/api/v1/shares", body=form)).status == 200

    async def gone(url: str) -> None:
        async with Caller(url, "bob") as bob, Caller(url, "alice") as alice:
            assert (await bob.dav("PROPFIND", "", Depth="0")).status == 401
            assert (await alice.dav("GET", "f")).status == 404

    with serving(data) as server:
        asyncio.run(fill(server.url))
        assert run(["user", "delete", "bob", "--yes", *where]) == 0
        asyncio.run(gone(server.url))
    with sqlite3.connect(data / "candado.db") as database:
        counts = {
            table: database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("users", "shares", "app_passwords", "user_keys", "nodes")
        }
    database.close()
    assert counts == {"users": 1, "shares": 0, "app_passwords": 0, "user_keys": 0, "nodes": 1}
    assert command(capsys, "check", *where)[0] in (0, 8)


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_at_a_terminal_deleting_a_user_is_asked_and_a_no_is_told_as_json(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    status, document = command(capsys, "user", "delete", "alice", "--data", str(data))
    assert (status, document["error"]["code"], document["error"]["path"]) == (2, "USAGE", "alice")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    status, document = command(capsys, "user", "delete", "alice", "--data", str(data))
    assert (status, document["user"]) == (0, "alice")


def test_a_disabled_user_and_a_changed_password_are_out_within_seconds(
    data: Path, password: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = data.parent / "other"
    other.write_text("another good password")

    async def until(url: str, secret: str, status: int) -> int:
        async with Caller(url, "alice", secret) as alice:
            for _ in range(50):
                found = (await alice.dav("PROPFIND", "", Depth="0")).status
                if found == status:
                    break
                await asyncio.sleep(0.1)
            return found

    where = ("--data", str(data))
    with serving(data) as server:
        assert asyncio.run(until(server.url, PASSWORD, 207)) == 207
        assert run(["user", "passwd", "alice", "--password-file", str(other), *where]) == 0
        assert asyncio.run(until(server.url, PASSWORD, 401)) == 401
        assert asyncio.run(until(server.url, "another good password", 207)) == 207
        assert run(["user", "disable", "alice", *where]) == 0
        assert asyncio.run(until(server.url, "another good password", 401)) == 401


def test_two_workers_serve_one_tree_and_a_dead_one_is_replaced(data: Path) -> None:
    with (data / "config.toml").open("a") as file:
        file.write("metrics = true\n")

    async def spread(url: str) -> None:
        # Each caller has connections of its own, which land on either worker.
        for n in range(12):
            async with Caller(url, "alice") as alice:
                assert (await alice.dav("PUT", f"w{n}", body=b"x")).status == 201
            async with Caller(url, "alice") as alice:
                assert (await alice.dav("GET", f"w{n}")).body == b"x"
                lock = (await alice.dav("MKCOL", f"d{n}")).headers["OC-FileId"]
            async with Caller(url, "alice") as alice:
                assert (await alice.e2ee("PUT", f"encrypted/{lock}")).status == 200
                numbers = await alice.send("GET", "/metrics")
        assert 'candado_requests_total{method="PUT",part="dav",status="2xx"} 12.0' in numbers.text

    with serving(data, "--workers", "2") as server:
        pid = server.process.pid
        asyncio.run(spread(server.url))
        before = _workers(pid)
        assert len(before) == 2
        dead = max(before)
        os.kill(dead, signal.SIGKILL)
        _wait(20, lambda: len(_workers(pid) - {dead}) == 2)
        after = _workers(pid)
        assert (len(after), after & before) == (2, before - {dead})
        assert server.stop() == 0
        assert [n for n in after if _alive(n)] == []


def _workers(pid: int) -> set[int]:
    children = [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    found = set()
    for n in children:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended between two looks
            if "spawn_main" in Path(f"/proc/{n}/cmdline").read_text():
                found.add(n)
    return found


def _wait(seconds: float, done: Callable[[], object]) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.002)


def _uses_the_database(pids: set[int]) -> bool:
    for pid in pids:
        try:
            if any(os.readlink(fd).endswith("/candado.db") for fd in Path(f"/proc/{pid}/fd").iterdir()):
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


@pytest.mark.parametrize("moment", ["as soon as it exists", "when it has opened the database"])
def test_a_stop_while_a_worker_is_started_again_leaves_no_worker(data: Path, moment: str) -> None:
    with serving(data, "--workers", "2") as server:
        before = _workers(server.process.pid)
        os.kill(max(before), signal.SIGKILL)
        _wait(20, lambda: _workers(server.process.pid) - before)
        another = _workers(server.process.pid) - before
        if moment == "when it has opened the database":
            _wait(20, lambda: _uses_the_database(another))
        assert server.stop() == 0
        assert [n for n in before | another if _alive(n)] == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_while_the_server_starts_is_not_lost(data: Path, workers: str) -> None:
    command = [*COMMAND, "serve", "--data", str(data), "--listen", "127.0.0.1:0", "--workers", workers]
    with (data.parent / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            _wait(30, lambda: _uses_the_database({process.pid} | _workers(process.pid)))
            pids = _workers(process.pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS / 2) == 0, (data.parent / "log").read_text()
            assert [n for n in pids if _alive(n)] == []
        finally:
            process.kill()
            process.communicate()


def test_workers_do_not_outlive_a_killed_parent(data: Path) -> None:
    with serving(data, "--workers", "2") as server:
        pid = server.process.pid
        pids = _workers(pid)
        server.process.kill()
        server.process.wait()
        _wait(20, lambda: not any(_alive(n) for n in pids))


def _alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stop_lets_a_running_upload_finish(data: Path) -> None:
    async def upload(url: str, pid: int) -> int:
        async def slowly() -> Any:
            yield b"a" * 100_000
            os.kill(pid, signal.SIGTERM)
            for _ in range(5):
                await asyncio.sleep(0.1)
                yield b"b" * 100_000

        async with Caller(url, "alice") as alice:
            await alice.dav("PROPFIND", "", Depth="0")
            return (await alice.dav("PUT", "slow", body=slowly())).status

    with serving(data) as server:
        assert asyncio.run(upload(server.url, server.process.pid)) == 201
        assert server.process.wait(30) == 0


def test_a_missing_blob_directory_makes_the_server_unready(data: Path) -> None:
    async def ready(url: str) -> tuple[int, Any]:
        async with Caller(url, None) as nobody:
            answer = await nobody.send("GET", "/readyz")
            return answer.status, json.loads(answer.body)["checks"]["storage"]

    with serving(data) as server:
        assert asyncio.run(ready(server.url)) == (200, "ok")
        (data / "blobs").rename(data / "gone")
        (data / "blobs").write_text("a file where the directory was")
        until = time.monotonic() + 10
        while (found := asyncio.run(ready(server.url)))[0] == 200 and time.monotonic() < until:
            time.sleep(0.05)
        assert found == (503, "LOCAL_STORAGE")


def test_init_makes_an_administrator_and_refuses_a_used_directory(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    words = ("--admin", "root", "--admin-password-file", str(tmp_path / "password"))
    assert run_server("init", "--data", str(tmp_path / "d"), *words).returncode == 0
    shown = json.loads(run_server("user", "show", "root", "--data", str(tmp_path / "d"), "--json").stdout)
    assert (shown["admin"], shown["enabled"]) == (True, True)
    again = run_server("init", "--data", str(tmp_path / "d"), check=False)
    assert (again.returncode, "not empty" in again.stderr) == (1, True)

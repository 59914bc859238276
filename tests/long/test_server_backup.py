"""A backup taken while people write is of one moment, and comes back on either database."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Caller, make_data, run_server, serving
from tests.postgres import cluster

KINDS = ("sqlite", "postgresql")
FILES = 24
ROUNDS = 3


def place(kind: str) -> tuple[str, ...]:
    """Options that say where rows go."""
    return ("--database", asyncio.run(cluster().fresh())) if kind == "postgresql" else ()


class Writers:
    """People who write all the time: plain files that say what they are, and sessions that write one number everywhere."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stopping = threading.Event()
        self.plain = 0
        self.sessions = 0
        self.failed: list[BaseException] = []

    def run(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as exc:
            self.failed.append(exc)

    async def _run(self) -> None:
        await asyncio.gather(self._plain(0), self._plain(1), self._encrypted())

    async def _plain(self, which: int) -> None:
        async with Caller(self.url, "alice") as alice:
            while not self.stopping.is_set():
                for n in range(which, FILES, 2):
                    body = f"f{n}:{self.plain}:".encode() * (1 + 997 * (n % 5))
                    assert (await alice.dav("PUT", f"f{n}", body=body)).status in (201, 204)
                    self.plain += 1
                    if n % 7 == 3:
                        assert (await alice.dav("DELETE", f"f{n}")).status == 204

    async def _encrypted(self) -> None:
        async with Caller(self.url, "alice") as alice:
            root = (await alice.dav("MKCOL", "E")).headers["OC-FileId"]
            assert (await alice.e2ee("PUT", f"encrypted/{root}")).status == 200
            while not self.stopping.is_set():
                number = self.sessions + 1
                asked = await alice.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER=str(number))
                token = json.loads(asked.body)["ocs"]["data"]["e2e-token"]
                for name in ("a", "b"):
                    sent = await alice.dav("PUT", f"E/{name}", body=str(number).encode(), e2e_token=token)
                    assert sent.status in (201, 204)
                sent = await alice.e2ee(
                    "POST" if number == 1 else "PUT",
                    f"meta-data/{root}",
                    body={"metaData": json.dumps({"number": number})},
                    e2e_token=token,
                    X_NC_E2EE_SIGNATURE="c2ln",
                )
                assert sent.status == 200, sent.text
                assert (await alice.e2ee("DELETE", f"lock/{root}", e2e_token=token)).status == 200
                self.sessions = number


@contextmanager
def writing(url: str) -> Iterator[Writers]:
    writers = Writers(url)
    thread = threading.Thread(target=writers.run)
    thread.start()
    try:
        yield writers
    finally:
        writers.stopping.set()
        thread.join(60)
    assert writers.failed == []


def await_progress(writers: Writers, plain: int, sessions: int) -> None:
    until = time.monotonic() + 60
    while (writers.plain < plain or writers.sessions < sessions) and not writers.failed:
        assert time.monotonic() < until
        time.sleep(0.01)


async def number_in_the_folder(url: str) -> int:
    """Every file is one that somebody wrote, whole; the number that all parts of the last session agree on."""
    async with Caller(url, "alice") as alice:
        listed = (await alice.dav("PROPFIND", "", Depth="1")).text
        present = [n for n in range(FILES) if f"/alice/f{n}<" in listed]
        assert len(present) >= FILES - len(range(3, FILES, 7))
        for n in present:
            body = (await alice.dav("GET", f"f{n}")).body
            count = 1 + 997 * (n % 5)
            assert body == body[: len(body) // count] * count
            assert body.startswith(f"f{n}:".encode())
        root = await file_id(alice, "E")
        stored = json.loads((await alice.e2ee("GET", f"meta-data/{root}")).body)["ocs"]["data"]["meta-data"]
        number = int(json.loads(stored)["number"])
        for name in ("a", "b"):
            assert (await alice.dav("GET", f"E/{name}")).body == str(number).encode()
        return number


async def file_id(caller: Caller, path: str) -> str:
    asked = '<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop><oc:fileid/></d:prop></d:propfind>'
    text = (await caller.dav("PROPFIND", path, Depth="0", body=asked)).text
    return text.split("<oc:fileid>")[1].split("<")[0]


async def ids_go_on(url: str) -> None:
    """Nothing gets a number that a client may know from after the backup."""
    async with Caller(url, "alice") as alice:
        made = await alice.dav("MKCOL", "new")
        assert int(made.headers["OC-FileId"][:8]) > 2**24
        form = {"path": "/new", "shareType": "3"}
        answer = json.loads((await alice.ocs("POST", "/apps/files_sharing/api/v1/shares", body=form)).body)
        assert int(answer["ocs"]["data"]["id"]) > 2**16


def admin(*words: str) -> Any:
    done = run_server(*words, "--json")
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_taken_while_people_write_is_of_one_moment_on_either_database(kind: str, tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    (tmp_path / "password").write_text(PASSWORD)
    run_server("init", "--data", str(data), *place(kind))
    run_server("user", "add", "alice", "--password-file", str(tmp_path / "password"), "--data", str(data))
    with serving(data) as server, writing(server.url) as writers:
        await_progress(writers, FILES, 1)
        for _ in range(ROUNDS):
            before = writers.plain, writers.sessions
            made = admin("backup", str(backup), "--data", str(data))
            await_progress(writers, before[0] + 1, before[1] + 1)
        least, most = before[1], writers.sessions
    assert made["blobs"] >= FILES - 4
    for target in KINDS:
        restored = tmp_path / target
        where = ("--data", str(restored), *place(target))
        done = admin("restore", str(backup), "--verify", *where)
        assert (done["problems"], done["blobs"]) == ([], made["blobs"])
        assert admin("check", "--read-data", "--data", str(restored))["sound"] is True
        with serving(restored) as server:
            assert least <= asyncio.run(number_in_the_folder(server.url)) <= most
            asyncio.run(ids_go_on(server.url))


_DIE = """import os, signal, sys
from candado.adapters.objects import DirectoryObjects
from candado.apps.server_cli import main
read, left = DirectoryObjects.read, [int(sys.argv.pop())]
def dying(self, blob_id, **more):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return read(self, blob_id, **more)
DirectoryObjects.read = dying
main()
"""


@pytest.mark.parametrize("after", [0, 3])
def test_a_backup_that_was_killed_is_none_and_the_next_one_goes_on(after: int, tmp_path: Path) -> None:
    data, backup = make_data(tmp_path, "alice"), tmp_path / "backup"

    async def fill(url: str, first: int) -> None:
        async with Caller(url, "alice") as alice:
            for n in range(first, first + 5):
                assert (await alice.dav("PUT", f"f{n}", body=b"x" * n)).status == 201

    async def forget(url: str) -> None:
        async with Caller(url, "alice") as alice:
            assert (await alice.dav("DELETE", "f5")).status == 204

    with serving(data) as server:
        asyncio.run(fill(server.url, 0))
        run_server("backup", str(backup), "--data", str(data))
        asyncio.run(fill(server.url, 5))
        words = [sys.executable, "-c", _DIE, "backup", str(backup), "--data", str(data), str(after)]
        assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
        done = run_server("restore", str(backup), "--data", str(tmp_path / "none"), check=False)
        assert (done.returncode, "no finished backup" in done.stderr) == (4, True)
        asyncio.run(forget(server.url))
        made = admin("backup", str(backup), "--data", str(data))
    assert made["blobs"] == 9
    assert len([path for path in (backup / "blobs").rglob("*") if path.is_file()]) == 9
    assert admin("restore", str(backup), "--verify", "--data", str(tmp_path / "restored"))["problems"] == []


def test_a_body_that_is_missing_is_not_left_out_of_a_backup(tmp_path: Path) -> None:
    data, backup = make_data(tmp_path, "alice"), tmp_path / "backup"

    async def fill(url: str) -> None:
        async with Caller(url, "alice") as alice:
            assert (await alice.dav("PUT", "f", body=b"x")).status == 201

    with serving(data) as server:
        asyncio.run(fill(server.url))
    (body,) = [path for path in (data / "blobs").rglob("*") if path.is_file()]
    for damage, message in ((lambda: body.write_bytes(b"xy"), "has 2 bytes"), (body.unlink, "body is missing")):
        damage()
        done = run_server("backup", str(backup), "--data", str(data), check=False)
        assert (done.returncode, message in done.stderr, body.name in done.stderr) == (14, True, True)
        assert not (backup / "backup.json").exists()


def test_nothing_is_restored_into_a_database_that_is_in_use(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    database = place("postgresql")
    run_server("init", "--data", str(data), *database)
    run_server("backup", str(backup), "--data", str(data))
    run_server("init", "--data", str(tmp_path / "file"))
    used = [database, ("--database", f"sqlite://{tmp_path}/file/candado.db"), ("--storage", f"file://{data}/blobs")]
    for number, place_in_use in enumerate(used):
        done = run_server("restore", str(backup), "--data", str(tmp_path / f"r{number}"), *place_in_use, check=False)
        assert (done.returncode, "Nothing was changed" in done.stderr) == (1, True), done.stderr
        assert not (tmp_path / f"r{number}" / "config.toml").exists()

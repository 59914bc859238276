"""The server with its bodies in a real S3 store and its rows in a real PostgreSQL, and what kills leave of both."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.e2e.cli_world import Cloud
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, run_server, serving
from tests.postgres import cluster
from tests.seaweed import seaweed

from candado.adapters.s3 import PIECE_BYTES
from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend
from candado.server.sweep import collect_orphans

LARGE = bytes(range(251)) * (2 * PIECE_BYTES // 251 + 12_345)


@pytest.fixture
async def database() -> str:
    return await cluster().fresh()


@pytest.fixture
def data(tmp_path: Path, database: str) -> Iterator[Path]:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    made, store = tmp_path / "data", seaweed()
    run_server("init", "--data", str(made), "--database", database, "--storage", store.fresh())
    run_server("user", "add", "alice", "--password-file", str(tmp_path / "password"), "--data", str(made))
    yield made
    assert run_server("check", "--read-data", "--data", str(made)).stdout.startswith("sound")


async def stored(data: Path) -> dict[str, int]:
    """All that is in the bucket: name, size."""
    async with open_backend(load_config(data, {})) as backend:
        return {name: size async for name, size, _ in backend.objects.scan()}


async def swept(data: Path, *, days: float) -> int:
    """Collect orphans as a server would that many days from now."""
    async with open_backend(load_config(data, {})) as backend:
        settings = replace(backend.settings, upload_ttl_seconds=backend.settings.upload_ttl_seconds - days * 86_400)
        return await collect_orphans(replace(backend, settings=settings))


async def until_pieces(data: Path, count: int) -> None:
    """Wait until so many pieces of unfinished bodies are there."""
    async with asyncio.timeout(60):
        while sum(".p" in name for name in await stored(data)) < count:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def held_upload(caller: Caller, path: str) -> AsyncIterator[tuple["asyncio.Task[Answer]", asyncio.Event]]:
    """A PUT of LARGE that has sent all but its last byte, until the event is set."""
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE) - 1, 1 << 20):
            yield LARGE[start : min(start + (1 << 20), len(LARGE) - 1)]
        await go.wait()
        yield LARGE[-1:]

    sending = asyncio.create_task(caller.dav("PUT", path, body=body(), Content_Length=str(len(LARGE))))
    try:
        yield sending, go
    finally:
        go.set()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def workers_of(server: ServerProcess) -> list[int]:
    """The processes that serve: children that run the worker's entry."""
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


async def locked_root(caller: Caller, name: str) -> tuple[str, str]:
    """A new encrypted folder with metadata under its lock: (id, token)."""
    root = (await caller.dav("MKCOL", name)).headers["OC-FileId"]
    assert (await caller.e2ee("PUT", f"encrypted/{root}")).status == 200
    lock = await caller.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER="1")
    token = str(json.loads(lock.body)["ocs"]["data"]["e2e-token"])
    sent = await caller.e2ee(
        "POST", f"meta-data/{root}", body={"metaData": "{}"}, e2e_token=token, X_NC_E2EE_SIGNATURE="c2ln"
    )
    assert sent.status == 200
    return root, token


def test_two_servers_with_workers_show_one_tree_of_bodies(data: Path) -> None:
    async def work(first: str, second: str) -> None:
        async with Caller(first, "alice") as one, Caller(second, "alice") as two:
            assert (await one.dav("PUT", "large", body=LARGE)).status == 201
            assert (await two.dav("GET", "large")).body == LARGE
            for start, stop in ((0, 0), (PIECE_BYTES - 1, PIECE_BYTES), (5, len(LARGE) - 1), (len(LARGE) - 3, 10**9)):
                part = await two.dav("GET", "large", Range=f"bytes={start}-{stop}")
                assert (part.status, part.body) == (206, LARGE[start : stop + 1])
            assert (await one.dav("PUT", "empty", body=b"")).status == 201
            assert (await two.dav("GET", "empty")).body == b""
            base, chunk = "/remote.php/dav/uploads/alice/up", LARGE[: PIECE_BYTES + 7]
            assert (await one.send("MKCOL", base)).status == 201
            for number in range(4):
                sent = await (one, two)[number % 2].send("PUT", f"{base}/{number}", body=chunk)
                assert sent.status == 201
            before = await stored(data)
            joined = await two.send(
                "MOVE",
                f"{base}/.file",
                Destination=f"{second}/remote.php/dav/files/alice/joined",
                OC_Total_Length="33554460",
            )
            assert joined.status == 201
            assert await stored(data) == before  # joining moves no bytes
            assert (await one.dav("GET", "joined")).body == chunk * 4
            root, token = await locked_root(one, "E")
            assert (await two.dav("PUT", "E/f", body=LARGE, e2e_token=token)).status == 201
            assert (await one.dav("GET", "E/f")).status == 404
            assert (await one.e2ee("DELETE", f"lock/{root}", e2e_token=token)).status == 200
            assert (await two.dav("GET", "E/f")).body == LARGE

    with serving(data, "--workers", "2") as first, serving(data) as second:
        asyncio.run(work(first.url, second.url))
        assert (first.stop(), second.stop()) == (0, 0)
    assert not (data / "blobs").exists()


def test_workers_that_are_killed_in_the_middle_of_an_upload_leave_nothing_but_orphans(data: Path) -> None:
    async def work(server: ServerProcess, other: str) -> None:
        async with Caller(server.url, "alice") as one, Caller(other, "alice") as two:
            assert (await one.dav("PUT", "f", body=b"before")).status == 201
            async with held_upload(one, "f") as (lost, _), held_upload(two, "kept") as (kept, go):
                await until_pieces(data, 4)
                for pid in workers_of(server):
                    os.kill(pid, signal.SIGKILL)
                with pytest.raises(aiohttp.ClientError):
                    await lost
                assert (await two.dav("GET", "f")).body == b"before"
                assert (await two.dav("GET", "kept")).status == 404
                # The pieces of a living process are as young as those that were lost.
                assert await swept(data, days=0) == 0
                go.set()
                assert (await kept).status == 201
            assert (await two.dav("GET", "kept")).body == LARGE
            assert sum(".p" in name for name in await stored(data)) == 2
            assert await swept(data, days=2) == 2
            assert (await two.dav("GET", "kept")).body == LARGE
            async with asyncio.timeout(30):
                while True:  # the workers are started again
                    try:
                        if (await one.dav("PUT", "f", body=b"after")).status == 204:
                            break
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.02)
            assert (await two.dav("GET", "f")).body == b"after"

    with serving(data, "--workers", "2") as first, serving(data) as second:
        asyncio.run(work(first, second.url))


def test_an_unlock_or_a_joining_whose_worker_is_killed_happens_whole_or_not_at_all(data: Path) -> None:
    async def ended(server: ServerProcess, request: Coroutine[Any, Any, Answer], wait: float) -> bool:
        """Kill the workers a moment after the request began; whether it was answered well."""
        sending = asyncio.create_task(request)
        await asyncio.wait([sending], timeout=wait)
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        try:
            return (await sending).status in {200, 201}
        except aiohttp.ClientError:
            return False

    async def work(server: ServerProcess, other: str) -> None:
        async with Caller(other, "alice") as two:
            for number, wait in enumerate((0.0, 0.012)):
                root, token = await locked_root(two, f"E{number}")
                for name in "abc":
                    assert (await two.dav("PUT", f"E{number}/{name}", body=b"x", e2e_token=token)).status == 201
                base, target = f"/remote.php/dav/uploads/alice/u{number}", f"/remote.php/dav/files/alice/j{number}"
                assert (await two.send("MKCOL", base)).status == 201
                for name in "12":
                    assert (await two.send("PUT", f"{base}/{name}", body=name * 10)).status == 201
                async with Caller(server.url, "alice") as one:
                    said = await ended(server, one.e2ee("DELETE", f"lock/{root}", e2e_token=token), wait)
                shown = [(await two.dav("GET", f"E{number}/{name}")).status for name in "abc"]
                assert shown in ([200] * 3, [404] * 3)
                assert not said or shown == [200] * 3
                again = await two.e2ee("DELETE", f"lock/{root}", e2e_token=token)
                assert again.status == (404 if shown == [200] * 3 else 200)
                assert [(await two.dav("GET", f"E{number}/{name}")).body for name in "abc"] == [b"x"] * 3
                async with asyncio.timeout(30):
                    while not workers_of(server):
                        await asyncio.sleep(0.02)
                async with Caller(server.url, "alice") as one:
                    joining = one.send("MOVE", f"{base}/.file", Destination=server.url + target)
                    said = await ended(server, joining, wait)
                joined = await two.send("GET", target)
                assert (joined.status, joined.body == b"1" * 10 + b"2" * 10) in {(200, True), (404, False)}
                assert not said or joined.status == 200
                if joined.status == 404:
                    assert (await two.send("MOVE", f"{base}/.file", Destination=other + target)).status == 201
                assert (await two.send("GET", target)).body == b"1" * 10 + b"2" * 10

    with serving(data, "--workers", "2") as first, serving(data) as second:
        asyncio.run(work(first, second.url))


def test_a_store_that_is_killed_is_answered_with_come_back_later_and_nothing_is_lost(data: Path) -> None:
    async def work(url: str) -> None:
        async with Caller(url, "alice") as alice:
            assert (await alice.dav("PUT", "old", body=LARGE)).status == 201
            root, token = await locked_root(alice, "E")
            assert (await alice.dav("PUT", "E/a", body=b"a", e2e_token=token)).status == 201
            base = "/remote.php/dav/uploads/alice/up"
            assert (await alice.send("MKCOL", base)).status == 201
            assert (await alice.send("PUT", f"{base}/1", body=b"chunk")).status == 201
            async with held_upload(alice, "new") as (sending, go):
                await until_pieces(data, 2)
                seaweed().kill()
                go.set()
                answer = await sending
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            refused = await alice.dav("PUT", "E/b", body=b"b", e2e_token=token)
            assert (refused.status, b"ServiceUnavailable" in refused.body) == (503, True)
            assert (await alice.send("PUT", f"{base}/2", body=b"chunk")).status == 503
            ready = await alice.send("GET", "/readyz")
            assert (ready.status, json.loads(ready.body)["checks"]["storage"]) == (503, "STORE_UNAVAILABLE")
            assert (await alice.dav("PROPFIND", "", Depth="1")).status == 207
            # What was stored is durable: to show it needs no store.
            target = f"{url}/remote.php/dav/files/alice/joined"
            assert (await alice.send("MOVE", f"{base}/.file", Destination=target)).status == 201
            assert (await alice.e2ee("DELETE", f"lock/{root}", e2e_token=token)).status == 200
            seaweed().start()
            assert (await alice.dav("GET", "new")).status == 404
            assert (await alice.dav("GET", "old")).body == LARGE
            assert [(await alice.dav("GET", name)).body for name in ("E/a", "joined")] == [b"a", b"chunk"]
            assert (await alice.dav("GET", "E/b")).status == 404
            again = await alice.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER="2")
            assert again.status == 200
            token = str(json.loads(again.body)["ocs"]["data"]["e2e-token"])
            assert (await alice.dav("PUT", "E/b", body=b"b", e2e_token=token)).status == 201
            assert (await alice.e2ee("DELETE", f"lock/{root}", e2e_token=token)).status == 200
            assert (await alice.dav("GET", "E/b")).body == b"b"

    try:
        with serving(data) as server:
            asyncio.run(work(server.url))
    finally:
        if seaweed().process.poll() is not None:
            seaweed().start()
    assert asyncio.run(swept(data, days=2)) > 0


def test_a_killed_server_leaves_no_half_session_and_no_stuck_lock(data: Path, tmp_path: Path) -> None:
    folder, tree = tmp_path / "devices", tmp_path / "tree"
    folder.mkdir()
    tree.mkdir()
    for number in range(30):
        (tree / f"f{number}").write_bytes(bytes([number]) * 40_000)
    with serving(data) as first, serving(data) as second:
        cloud = Cloud(first.url, data, folder)
        one = cloud.ready("rosa")
        two = cloud.device("rosa")
        two.url = second.url
        two.login("--insecure-storage")
        two.run("init", "--phrase-file", folder / "rosa.words")
        one.run("encrypt", "Docs")
        client = subprocess.Popen(
            one.command("sync", tree, "Docs", "--bwlimit", "300K", "--retries", "0"),
            env=one.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        before = sum(asyncio.run(stored(data)).values())
        while sum(asyncio.run(stored(data)).values()) < before + 200_000:
            assert client.poll() is None
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        assert client.wait(90) == 20
        assert two.run("ls", "Docs").out == ""
    with serving(data, "--listen", first.url.removeprefix("http://")):
        one.run("sync", tree, "Docs")
        assert len(one.run("ls", "Docs").out.splitlines()) == 30


def test_what_is_wrong_with_the_storage_is_said_and_init_can_be_repeated(tmp_path: Path) -> None:
    store, data = seaweed(), tmp_path / "data"
    bucket, keys = store.bucket(), tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(f"aws_access_key_id = {store.key}\naws_secret_access_key = wrongwrong\n")
    keys_wrong = f"s3://{bucket}/b?endpoint={store.endpoint}&credentials={keys}"
    for storage, status, words in (
        (store.address("no-such-bucket"), 4, "there is no such bucket"),
        (store.address(bucket, endpoint="http://127.0.0.1:1"), 20, "does not answer"),
        (f"s3://{bucket}?endpoint={store.endpoint}", 12, "needs a key"),
        (keys_wrong, 12, "not of the form"),
        (f"s3://{store.key}:{store.secret}@{bucket}", 2, "carries no keys"),
        (store.address(bucket) + "&regionn=x", 2, "Did you mean 'region'?"),
    ):
        done = run_server("init", "--data", str(data), "--storage", storage, check=False)
        assert (done.returncode, words in done.stderr) == (status, True), done.stderr
        assert all(fact in done.stderr for fact in ("safe:", "next:"))
        assert store.secret not in done.stderr
    keys.write_text("[some]\n" + keys.read_text())
    refused = run_server("init", "--data", str(data), "--storage", keys_wrong, check=False)
    assert (refused.returncode, "SignatureDoesNotMatch" in refused.stderr) == (13, True)
    keys.chmod(0o640)
    refused = run_server("init", "--data", str(data), "--storage", keys_wrong, check=False)
    assert (refused.returncode, "can be read by others" in refused.stderr) == (13, True)
    run_server("init", "--data", str(data), "--storage", store.address(bucket, "mine"))
    taken = run_server("init", "--data", str(tmp_path / "two"), "--storage", store.address(bucket, "mine"), check=False)
    assert (taken.returncode, "are there already" in taken.stderr) == (1, True)
    typo = run_server("check", "--data", str(data), "--storage", store.address(bucket, "mien"), check=False)
    assert (typo.returncode, "no candado-server keeps its bodies" in typo.stderr) == (4, True)
    run_server("backup", str(tmp_path / "copy"), "--data", str(data))
    refused = run_server(
        "restore", str(tmp_path / "copy"), "--data", str(tmp_path / "new"), "--storage", keys_wrong, check=False
    )
    assert (refused.returncode, "into a directory only" in refused.stderr) == (2, True), refused.stderr
    run_server("restore", str(tmp_path / "copy"), "--verify", "--data", str(tmp_path / "new"))

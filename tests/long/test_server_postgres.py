"""The server on a real PostgreSQL: its commands, several workers, two server processes side by side."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud
from tests.e2e.server_process import PASSWORD, Caller, run_server, serving
from tests.postgres import cluster


@pytest.fixture
async def database() -> str:
    return await cluster().fresh()


@pytest.fixture
def data(tmp_path: Path, database: str) -> Iterator[Path]:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    run_server("init", "--data", str(tmp_path / "data"), "--database", database)
    run_server("user", "add", "alice", "--password-file", str(tmp_path / "password"), "--data", str(tmp_path / "data"))
    return tmp_path / "data"  # type: ignore[return-value]


def test_nothing_is_kept_in_a_file_and_the_commands_work(data: Path) -> None:
    assert not (data / "candado.db").exists()
    assert run_server("user", "list", "--data", str(data)).stdout.split()[0] == "alice"
    assert run_server("check", "--data", str(data)).returncode == 0


async def test_a_mistyped_database_is_not_filled(tmp_path: Path, data: Path) -> None:
    other = await cluster().fresh()
    done = run_server("user", "list", "--data", str(data), "--database", other, check=False)
    assert (done.returncode, "has no tables" in done.stderr) == (4, True)
    gone = run_server("user", "list", "--data", str(data), "--database", cluster().url("nosuch"), check=False)
    assert (gone.returncode, "cannot be opened" in gone.stderr) == (1, True)
    down = run_server("user", "list", "--data", str(data), "--database", "postgresql://x@127.0.0.1:1/x", check=False)
    assert (down.returncode, "does not answer" in down.stderr) == (20, True)


def test_two_servers_with_workers_show_one_tree(data: Path) -> None:
    async def work(first: str, second: str) -> None:
        async with Caller(first, "alice") as one, Caller(second, "alice") as two:
            for number in range(20):
                assert (await one.dav("PUT", f"f{number}", body=b"x" * number)).status == 201
                assert (await two.dav("GET", f"f{number}")).body == b"x" * number
            answers = await asyncio.gather(
                *[caller.dav("PUT", "same", body=bytes([n])) for n in range(8) for caller in (one, two)]
            )
            assert {answer.status for answer in answers} <= {201, 204}
            root = (await one.dav("MKCOL", "E")).headers["OC-FileId"]
            assert (await two.e2ee("PUT", f"encrypted/{root}")).status == 200
            locks = await asyncio.gather(
                *[caller.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER="1") for _ in range(4) for caller in (one, two)]
            )
            assert sorted(answer.status for answer in locks) == [200] + [423] * 7
            (won,) = [answer for answer in locks if answer.status == 200]
            token = json.loads(won.body)["ocs"]["data"]["e2e-token"]
            sent = await two.e2ee(
                "POST", f"meta-data/{root}", body={"metaData": "{}"}, e2e_token=token, X_NC_E2EE_SIGNATURE="c2ln"
            )
            assert sent.status == 200
            assert (await one.e2ee("DELETE", f"lock/{root}", e2e_token=token)).status == 200

    with serving(data, "--workers", "2") as first, serving(data) as second:
        asyncio.run(work(first.url, second.url))
        assert first.stop() == 0
        assert second.stop() == 0
    assert run_server("check", "--read-data", "--data", str(data)).returncode == 0


def test_what_a_killed_server_left_is_undone_by_another(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    folder.mkdir()
    tree = tmp_path / "tree"
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
        before = _stored(data)
        while _stored(data) < before + 300_000:
            assert client.poll() is None
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        assert client.wait(90) == 20
        assert two.run("ls", "Docs").out == ""
    with serving(data, "--listen", first.url.removeprefix("http://")):
        one.run("sync", tree, "Docs")
        assert len(one.run("ls", "Docs").out.splitlines()) == 30
    assert run_server("check", "--data", str(data)).returncode == 0


def _stored(data: Path) -> int:
    total = 0
    for place in (data / "blobs").rglob("*"):
        try:
            total += place.stat().st_size if place.is_file() else 0
        except FileNotFoundError:
            continue
    return total

"""Real processes on bad days: afterwards the next sync finishes the work and both trees are equal."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cli_world import PYTHON, Cloud, Device

_PATIENCE_SECONDS = 60


@contextmanager
def serving(cloud: Cloud, listen: str) -> Iterator[subprocess.Popen[str]]:
    """A server process on the cloud's data; tells its address in ``cloud.url``."""
    with (cloud.folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "candado.apps.server_cli", "serve", "--data", str(cloud.data), "--listen", listen],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            cloud.url = process.stdout.readline().removeprefix("listening on ").strip()
            assert cloud.url, (cloud.folder / "server.log").read_text()
            yield process
        finally:
            process.kill()
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()


def new_cloud(folder: Path) -> Cloud:
    cloud = Cloud("", folder / "server", folder)
    cloud.admin("init")
    return cloud


def make_tree(root: Path, *, files: int, size: int) -> None:
    noise = random.Random(7)
    for number in range(files):
        path = root / f"folder {number % 3}" / f"file {number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(size + number))


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".candado")
    }


def stored(cloud: Cloud) -> int:
    """Bytes in the server's storage."""
    return sum(path.stat().st_size for path in cloud.data.rglob("*") if path.is_file())


def wait_until_more_is_stored(cloud: Cloud, than: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while stored(cloud) < than and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, "the command ended before it could be disturbed"


def slow_sync(device: Device, tree: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        device.command("sync", tree, "Docs", "--bwlimit", "300K", "--retries", "0"),
        env=device.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_server_killed_in_the_middle_of_an_upload_loses_nothing(tmp_path: Path) -> None:
    cloud = new_cloud(tmp_path)
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    make_tree(tree, files=30, size=40_000)
    copy.mkdir()
    with serving(cloud, "127.0.0.1:0") as server:
        one = cloud.ready("alice")
        two = cloud.further("alice")
        one.run("encrypt", "Docs")
        before = stored(cloud)
        client = slow_sync(one, tree)
        wait_until_more_is_stored(cloud, before + 300_000, client)
        server.kill()
        _, errors = client.communicate(timeout=90)
        assert client.returncode == 20, errors.decode()
        assert re.search(r"\[TRANSPORT\].*safe: .*next: ", errors.decode(), re.DOTALL)
    with serving(cloud, cloud.url.removeprefix("http://")):
        assert two.run("ls", "Docs").out == ""  # the unfinished session shows nothing
        one.run("sync", tree, "Docs")
        two.run("sync", copy, "Docs")
        assert content(copy) == content(tree)
    assert "sound" in cloud.admin("check")


def test_a_client_killed_in_the_middle_of_an_upload_is_finished_by_the_next_sync(tmp_path: Path) -> None:
    cloud = new_cloud(tmp_path)
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    make_tree(tree, files=30, size=40_000)
    copy.mkdir()
    with serving(cloud, "127.0.0.1:0"):
        one = cloud.ready("alice")
        two = cloud.further("alice")
        one.run("encrypt", "Docs")
        before = stored(cloud)
        client = slow_sync(one, tree)
        wait_until_more_is_stored(cloud, before + 300_000, client)
        client.kill()
        client.communicate()
        assert two.run("ls", "Docs").out == ""
        one.run("sync", tree, "Docs")
        two.run("sync", copy, "Docs")
        assert content(copy) == content(tree)


def test_a_client_killed_in_the_middle_of_a_download_is_finished_by_the_next_sync(tmp_path: Path) -> None:
    cloud = new_cloud(tmp_path)
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    make_tree(tree, files=30, size=40_000)
    copy.mkdir()
    with serving(cloud, "127.0.0.1:0"):
        one = cloud.ready("alice")
        two = cloud.further("alice")
        one.run("sync", tree, "Docs", "--encrypt")
        client = slow_sync(two, copy)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline and client.poll() is None:
            if any(path.stat().st_size > 0 for path in copy.rglob("*") if path.is_file()):
                break
            time.sleep(0.01)
        client.kill()
        client.communicate()
        whole = content(tree)
        assert all(whole[name] == data for name, data in content(copy).items())  # never a part of a file
        two.run("sync", copy, "Docs")
        assert content(copy) == whole
        assert one.run("sync", tree, "Docs", "--json").json["downloaded"] == 0


def test_a_lock_lost_while_the_client_was_stopped_is_taken_anew(tmp_path: Path) -> None:
    cloud = new_cloud(tmp_path)
    config = cloud.data / "config.toml"
    config.write_text(config.read_text() + "\nlock_seconds = 1\n")
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    make_tree(tree, files=30, size=40_000)
    copy.mkdir()
    with serving(cloud, "127.0.0.1:0"):
        one = cloud.ready("alice")
        two = cloud.further("alice")
        one.run("encrypt", "Docs")
        before = stored(cloud)
        client = slow_sync(one, tree)
        wait_until_more_is_stored(cloud, before + 300_000, client)
        os.kill(client.pid, signal.SIGSTOP)
        (tmp_path / "note.txt").write_text("from the other device\n")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:  # the lock of the stopped client ends by itself
            if two.run("put", tmp_path / "note.txt", "Docs", expect=None).status == 0:
                break
        os.kill(client.pid, signal.SIGCONT)
        _, errors = client.communicate(timeout=90)
        assert client.returncode in {0, 20}, errors.decode()
        one.run("sync", tree, "Docs")
        two.run("sync", copy, "Docs")
        assert content(copy) == content(tree)
        assert content(tree)["note.txt"] == b"from the other device\n"

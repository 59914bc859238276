"""What a careful person tries: a kill at a bad moment, a full disk, a browser, a stock server, decisions on trust."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import PASSWORD, Cloud, Device, running_cloud
from tests.e2e.stock_proxy import stock_proxy


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not str(path.relative_to(root)).startswith(".candado")
    }


def test_clear_data_that_a_killed_command_left_is_gone_after_the_next_one(cloud: Cloud) -> None:
    device = cloud.ready("adam")
    device.run("encrypt", "Pipe")
    process = subprocess.Popen(
        device.command("put", "-", "Pipe/secret"),
        env=device.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"clear CANARY" * 200_000)
    process.stdin.flush()
    state = device.home / "state"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(path.stat().st_size for path in state.glob("work-*/stdin")):
        time.sleep(0.05)
    process.kill()
    process.wait()
    process.stdin.close()
    (left,) = state.glob("work-*")
    assert (left / "stdin").read_bytes().startswith(b"clear CANARY")
    device.run("status")
    assert list(state.glob("work-*")) == []
    assert not any(b"CANARY" in path.read_bytes() for path in device.home.rglob("*") if path.is_file())


def _sign_in(page: str, user: str) -> None:
    """What a person does in the browser."""
    with urllib.request.urlopen(page) as answer:
        assert 'name="password"' in answer.read().decode()
    address = urllib.parse.urlsplit(page)
    request = urllib.request.Request(
        page,
        data=urllib.parse.urlencode({"user": user, "password": f"{PASSWORD} {user}"}).encode(),
        headers={"Origin": f"{address.scheme}://{address.netloc}"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def test_signing_in_through_the_browser_gives_a_device_a_password_of_its_own(cloud: Cloud) -> None:
    device = cloud.device(cloud.user("berta"))
    process = subprocess.Popen(
        device.command("login", cloud.url, "--no-browser", "--json"),
        env=device.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    page = next(line.strip() for line in process.stderr if line.strip().startswith(cloud.url))
    _sign_in(page, "berta")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    document = json.loads(out)
    assert (document["user"], document["keychain"]) == ("berta", "file")
    assert re.search("[█▀▄]", err)
    assert device.run("whoami", "--json").json["user_id"] == "berta"
    device.run("init", "--phrase-out", cloud.folder / "berta.words")
    device.run("encrypt", "Mine")
    assert device.run("logout", "--json").json["revoked"] is True


def _in_a_small_disk(device: Device, folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """A command that sees a disk of one MiB at ``folder``; what it left there is listed after a line of dashes."""
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" || exit 99; f="$1"; shift; "$@"; s=$?; echo ---; find "$f" -type f; exit $s'
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "-", str(folder), *device.command(*words)],
        env=device.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_full_disk_ends_with_17_and_leaves_nothing_half_written(cloud: Cloud, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    device = cloud.ready("carl")
    if shutil.which("unshare") is None or "---" not in _in_a_small_disk(device, small, "version").stdout:
        pytest.skip("this machine lets nobody mount a small disk")
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(bytes(3 << 20))
    (source / "tiny").write_text("fits")
    device.run("sync", source, "Full", "--encrypt")
    commands: list[list[str | Path]] = [
        ["get", "Full/big", small / "big", "--json"],
        ["sync", small, "Full", "--json"],
    ]
    for words in commands:
        done = _in_a_small_disk(device, small, *words)
        told, _, left = done.stdout.partition("---\n")
        assert done.returncode == 17, done.stdout + done.stderr
        if words[0] == "sync":
            error = json.loads(told)["error"]
            assert (error["code"], "finished files are kept" in error["hint"]) == ("DISK_FULL", True)
        names = {Path(line).name for line in left.splitlines() if ".candado" not in line}
        assert names <= {"tiny"}
        assert ".candado-tmp-" not in left
    # The small disk is gone again, and perhaps a finished file with it: that is no deletion.
    assert device.run("sync", small, "Full", "--mode", "pull", "--json").json["errors"] == []
    assert device.run("sync", small, "Full", "--json").json["deleted"] == 0
    assert content(small) == content(source)


def test_everything_works_through_a_server_that_announces_nothing_of_ours(cloud: Cloud, tmp_path: Path) -> None:
    cloud.user("dora")
    peer = cloud.ready("emil")
    with stock_proxy(cloud.url) as url:
        laptop, phone = cloud.device("dora"), cloud.device("dora")
        laptop.url = phone.url = url
        laptop.login("--insecure-storage")
        laptop.run("init", "--phrase-out", tmp_path / "words")
        phone.login("--insecure-storage")
        phone.run("init", "--phrase-file", tmp_path / "words")
        here, there = tmp_path / "here", tmp_path / "there"
        for path in ("a", "deep/er/b", "deep/c"):
            (here / path).parent.mkdir(parents=True, exist_ok=True)
            (here / path).write_text(f"content of {path}")
        (here / "big").write_bytes(bytes(range(256)) * 60_000)
        assert laptop.run("sync", here, "Stock", "--encrypt", "--json").json["uploaded"] == 4
        assert phone.run("sync", there, "Stock", "--json").json["downloaded"] == 4
        assert content(there) == content(here)
        (there / "a").rename(there / "deep" / "moved")
        (there / "deep" / "er" / "b").unlink()
        assert phone.run("sync", there, "Stock", "--json").json["renamed"] == 1
        laptop.run("sync", here, "Stock")
        laptop.run("export", "Stock", tmp_path / "bundle")
        laptop.run("recover", tmp_path / "bundle", tmp_path / "out", "--phrase-file", tmp_path / "words")
        assert content(tmp_path / "out" / "Stock") == content(here)
        assert content(there) == content(here)
        laptop.run("share", "Stock", "emil")
        assert peer.run("cat", "Stock/deep/c").out == "content of deep/c"
        laptop.run("unshare", "Stock", "emil")
        assert laptop.run("server-view", "Stock", "--json").json["clear_names_found"] == 0


def test_a_folder_can_be_forgotten_and_is_met_again(cloud: Cloud) -> None:
    device = cloud.ready("fred")
    device.run("encrypt", "Known")
    assert [root["path"] for root in device.run("status", "--json").json["folders"]] == ["/Known"]
    assert device.run("trust", "forget", "--json", expect=2).json["error"]["code"] == "USAGE"
    assert device.run("trust", "forget", "bob", "--folder", "Known", expect=2).out == ""
    assert "--yes" in device.run("trust", "forget", "--folder", "Known", expect=2).err
    assert (
        device.run("trust", "forget", "--folder", "Nope", "--yes", "--json", expect=4).json["error"]["path"] == "/Nope"
    )
    done = device.run("trust", "forget", "--folder", "Known", "--yes", "--json")
    assert done.json == {"schema": "candado.forgotten/1", "folder": "/Known"}
    assert device.run("status", "--json").json["folders"] == []
    device.run("ls", "Known")
    assert [root["path"] for root in device.run("status", "--json").json["folders"]] == ["/Known"]
    told = device.run("issues").out
    assert "This folder of yours was met for the first time on this device" in told


def test_a_folder_that_was_removed_leaves_no_problem_behind(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("jana")
    device.run("encrypt", "Old")
    (tmp_path / "file").write_text("x")
    device.run("put", tmp_path / "file", "Old")
    device.run("mkdir", "Old/in")
    device.run("rm", "-r", "Old", "--yes")
    assert [issue for issue in device.run("issues", "--json").json["issues"] if issue["severity"] != "notice"] == []


def _app_passwords(cloud: Cloud, user: str) -> int:
    import sqlite3

    with sqlite3.connect(f"file:{cloud.data / 'candado.db'}?mode=ro", uri=True) as db:
        count: int = db.execute("SELECT count(*) FROM app_passwords WHERE user_id = ?", (user,)).fetchone()[0]
    db.close()
    return count


def test_a_refused_second_account_leaves_no_password_on_the_server(cloud: Cloud) -> None:
    device = cloud.ready("karl")
    device.user = cloud.user("lotte")
    device.login(expect=2)
    assert (_app_passwords(cloud, "karl"), _app_passwords(cloud, "lotte")) == (1, 0)


def test_looking_from_the_home_folder_sees_into_encrypted_ones(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("mira")
    (tmp_path / "file.txt").write_text("12345")
    device.run("encrypt", "Home")
    device.run("mkdir", "Home/in")
    device.run("put", tmp_path / "file.txt", "Home/in")
    assert device.run("du").out.split("\n")[0].split() == ["5", "1", "files", "/"]
    assert device.run("tree").out == "Home/\n  in/\n    file.txt\n"
    assert device.run("find", "/", "*.txt").out == "/Home/in/file.txt\n"
    assert device.run("find", "/", "*.txt", "--name", "x", expect=2).out == ""
    for words in (("ls", "../x"), ("encrypt", "a/../b"), ("cat", "Home/in/../file.txt")):
        assert device.run(*words, "--json", expect=2).json["error"]["code"] == "USAGE"


def test_a_history_that_is_whole_needs_no_decision(cloud: Cloud) -> None:
    device = cloud.ready("gina")
    device.run("encrypt", "Whole")
    done = device.run("trust", "accept-history", "Whole", "--json")
    assert done.json == {"schema": "candado.history/1", "path": "Whole", "accepted": False, "digest": ""}
    assert device.run("trust", "accept-history", "Nope", "--json", expect=4).json["error"]["code"] == "NOT_FOUND"


def test_a_member_sees_who_owns_a_folder_and_cannot_take_the_owner_out(cloud: Cloud) -> None:
    owner, member = cloud.ready("hans"), cloud.ready("ines")
    owner.run("encrypt", "Ours")
    owner.run("share", "Ours", "ines")
    assert member.run("shares", "Ours").out.split() == ["/Ours", "hans", "owner,", "key", "not", "compared"]
    assert member.run("unshare", "Ours", "hans", "--json", expect=2).json["error"]["code"] == "USAGE"
    assert owner.run("ls", "Ours").out == ""

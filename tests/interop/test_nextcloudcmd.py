"""The stock command-line client of the desktop app, as packaged, against our server."""

import itertools
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cli_world import PASSWORD, Cloud
from tests.interop.chroot import Chroot, CommandClient

_COUNT = itertools.count()
_TIMES = itertools.count(1_700_000_000).__next__

ODD_NAMES = (
    "blank name", " leading", "ünï ç ß 漢字 🗝", "e\u0301 decomposed", "per%cent %41", "hash#?query", "semi;colon&=+,",
    "quote'\"`", "[brackets]{}()", "~tilde", "$dollar^caret", "@at!", "back|pipe<>*:", "x" * 200, ".hidden", "trailing.",
)  # fmt: skip


@pytest.fixture(params=["plain account", "account with keys"])
def user(request: pytest.FixtureRequest, cloud: Cloud) -> str:
    """A new user; plain folders must not notice whether encryption was ever set up."""
    name = f"user{next(_COUNT)}"
    if request.param == "plain account":
        return cloud.user(name)
    cloud.ready(name)
    return name


@pytest.fixture
def client(chroot: Chroot, cloud: Cloud, user: str) -> Callable[[str], CommandClient]:
    return lambda name: CommandClient(chroot, name, user, f"{PASSWORD} {user}", cloud.url)


@pytest.fixture
def pair(client: Callable[[str], CommandClient]) -> tuple[CommandClient, CommandClient]:
    return client("one"), client("two")


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    # The client looks at whole seconds: every write has one of its own, so that no test has to wait for the next.
    os.utime(place, (_TIMES(), _TIMES()))


def test_a_tree_goes_up_and_comes_down_whole(pair: tuple[CommandClient, CommandClient]) -> None:
    one, two = pair
    noise = random.Random(5)
    for number, name in enumerate(ODD_NAMES):
        _write(one.folder / "names" / name / f"in {number}", name.encode())
        _write(one.folder / "names" / f"{name} f", name.encode())
    for number in range(2000):
        _write(one.folder / f"many/{number % 7}/{number}", str(number).encode())
    _write(one.folder / "big", noise.randbytes(23_000_000))
    _write(one.folder / "deep/" / "/".join("abcdefghijklmnopqrst") / "bottom", b"")
    (one.folder / "empty").mkdir()
    one.sync()
    two.sync()
    assert two.files() == one.files()


def test_a_name_with_control_characters_is_refused_and_the_rest_goes_on(
    pair: tuple[CommandClient, CommandClient],
) -> None:
    one, two = pair
    _write(one.folder / "line\nbreak", b"1")
    _write(one.folder / "good", b"2")
    assert "a name must not" in one.sync(status=1)
    two.sync()
    assert two.files() == {"good": b"2"}


def test_changes_renames_and_deletions_travel_both_ways(pair: tuple[CommandClient, CommandClient]) -> None:
    one, two = pair
    for path in ("a", "d/b", "d/e/c", "gone", "old/x", "old/y"):
        _write(one.folder / path, path.encode())
    one.sync()
    two.sync()
    _write(two.folder / "a", b"changed on two")
    (two.folder / "d").rename(two.folder / "renamed")
    (two.folder / "gone").unlink()
    (two.folder / "old/x").rename(two.folder / "moved here")
    two.sync()
    _write(one.folder / "new on one", b"n")
    one.sync()
    two.sync()
    assert one.files() == two.files() == {
        "a": b"changed on two", "renamed": None, "renamed/b": b"d/b", "renamed/e": None, "renamed/e/c": b"d/e/c",
        "old": None, "old/y": b"old/y", "moved here": b"old/x", "new on one": b"n",
    }  # fmt: skip


def test_both_versions_of_a_conflict_are_kept(pair: tuple[CommandClient, CommandClient]) -> None:
    one, two = pair
    _write(one.folder / "c", b"base")
    one.sync()
    two.sync()
    _write(one.folder / "c", b"from one")
    _write(two.folder / "c", b"from two!")
    one.sync()
    two.sync()
    files = two.files()
    assert (files.pop("c"), [*files.values()]) == (b"from one", [b"from two!"])


def test_a_changed_large_file_replaces_the_old_one(pair: tuple[CommandClient, CommandClient]) -> None:
    one, two = pair
    noise = random.Random(6)
    _write(one.folder / "big", noise.randbytes(12_000_000))
    one.sync()
    two.sync()
    _write(two.folder / "big", noise.randbytes(17_000_000))
    two.sync()
    one.sync()
    assert one.files() == two.files()


def test_an_upload_that_was_cut_off_is_finished_by_the_next_run(
    pair: tuple[CommandClient, CommandClient], cloud: Cloud
) -> None:
    one, two = pair
    _write(one.folder / "big", random.Random(7).randbytes(30_000_000))
    command = one.chroot.command(one.words("--uplimit", "3000"), one.environment)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 60
    before = _stored(cloud)
    while _stored(cloud) < before + 7_000_000 and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, 9)
    process.wait()
    one.sync()
    two.sync()
    assert two.files() == one.files()


def _stored(cloud: Cloud) -> int:
    total = 0
    for place in (cloud.data / "blobs").rglob("*"):
        try:
            total += place.stat().st_size if place.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def test_an_encrypted_folder_beside_plain_ones_is_left_alone(
    client: Callable[[str], CommandClient], cloud: Cloud
) -> None:
    one = client("one")
    device = cloud.device(one.user)
    device.login("--insecure-storage")
    words = cloud.folder / f"{one.user}.words"
    device.run("init", *(("--phrase-file", words) if words.exists() else ("--phrase-out", words)))
    _write(one.chroot.work / "secret tree" / "inner" / "secret.txt", b"CANARY")
    device.run("sync", one.chroot.work / "secret tree", "Secret", "--encrypt")
    before = device.run("server-view", "Secret", "--json").json
    _write(one.folder / "plain.txt", b"plain")
    _write(one.folder / "Secret" / "leak.txt", b"LEAK")
    one.sync()
    assert not (one.folder / "Secret" / "inner").exists()
    after = device.run("server-view", "Secret", "--json").json
    assert after == before
    assert device.run("tree", "Secret", "-q").out.count("leak") == 0
    assert device.run("cat", "plain.txt").out == "plain"


def test_a_received_share_is_synced_and_a_read_only_one_takes_nothing(
    client: Callable[[str], CommandClient], cloud: Cloud, chroot: Chroot
) -> None:
    import asyncio

    from tests.e2e.server_process import Caller

    one = client("one")
    owner = cloud.user(f"owner{next(_COUNT)}")

    async def share() -> None:
        async with Caller(cloud.url, owner, f"{PASSWORD} {owner}") as caller:
            for name, permissions in (("Free", "31"), ("Fixed", "1")):
                assert (await caller.dav("MKCOL", name)).status == 201
                assert (await caller.dav("PUT", f"{name}/theirs", body=b"theirs")).status == 201
                body = {"path": f"/{name}", "shareType": "0", "shareWith": one.user, "permissions": permissions}
                assert (await caller.ocs("POST", "/apps/files_sharing/api/v1/shares", body=body)).status == 200

    asyncio.run(share())
    one.sync()
    assert one.files() == {"Free": None, "Free/theirs": b"theirs", "Fixed": None, "Fixed/theirs": b"theirs"}
    _write(one.folder / "Free" / "mine", b"mine")
    one.sync()
    two = CommandClient(chroot, "owner", owner, f"{PASSWORD} {owner}", cloud.url)
    two.sync()
    assert two.files() == {
        "Free": None, "Free/theirs": b"theirs", "Free/mine": b"mine", "Fixed": None, "Fixed/theirs": b"theirs",
    }  # fmt: skip
    _write(one.folder / "Fixed" / "not allowed", b"x")
    done = one.chroot.run(one.words(), one.environment)
    assert done.returncode in (0, 1)
    two.sync()
    assert "Fixed/not allowed" not in two.files()


def test_a_wrong_password_ends_with_an_error_and_touches_nothing(client: Callable[[str], CommandClient]) -> None:
    one = client("one")
    _write(one.folder / "mine", b"mine")
    wrong = CommandClient(one.chroot, "one", one.user, "not the password", one.url)
    wrong.sync(status=1)
    assert one.files() == {"mine": b"mine"}

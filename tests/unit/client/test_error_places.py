"""Errors name a path that people know: never a sealed name, a number of the server or a working file."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from tests.sim import World
from tests.unit.client.devices import Device, MemoryTree
from tests.unit.client.sync_world import FOLDER, Pair

from candado.client import edit, sharing, trust
from candado.errors import DiskFullError, RedirectError, TransportError, UntrustedCertificateError
from candado.types import UserId


def _fill_the_disk(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """No room for anything: seen when a body is written, or only when it is made durable."""
    really = os.write

    def full(fd: int, data: Any) -> int:
        if len(data) > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really(fd, data)

    def no_time(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when == "written":
        monkeypatch.setattr("candado.adapters.disk_files.os.write", full)
    else:
        monkeypatch.setattr("candado.adapters.disk_files.os.utime", no_time)


@pytest.mark.parametrize("when", ["written", "made durable"])
@pytest.mark.parametrize("size", [70_000, 3_000_000])
async def test_a_full_disk_names_the_file_that_did_not_fit_and_a_sync_keeps_it_as_an_issue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, size: int
) -> None:
    pair = Pair(tmp_path)
    await pair.start("a")
    pair.phone.write("in/big", bytes(size))
    await pair.phone.sync()
    with monkeypatch.context() as full:
        _fill_the_disk(full, when)
        with pytest.raises(DiskFullError) as caught:
            await pair.laptop.sync()
    assert caught.value.path == f"{FOLDER}/in/big"
    issues = [(issue.code, issue.path) for issue in pair.laptop.account.issues() if issue.severity == "problem"]
    assert issues == [("DISK_FULL", f"{FOLDER}/in/big")]
    tree = pair.laptop.tree()
    with monkeypatch.context() as full:
        _fill_the_disk(full, when)
        with pytest.raises(DiskFullError) as caught:
            await edit.get(pair.laptop.account, f"{FOLDER}/in/big", tree, "copy")
    tree.close()
    assert caught.value.path == f"{FOLDER}/in/big"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("lock", "/Secret/in"),
        ("put_bytes", "/Secret/in/x"),
        ("put", "/Secret/in/x"),
        ("update_metadata", "/Secret/in"),
        ("unlock", "/Secret/in"),
    ],
)
async def test_a_server_that_stops_during_an_upload_is_told_with_the_clear_path(method: str, path: str) -> None:
    world = World()
    device = Device(world, remote=world.hostile("alice"))
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"in/a": b"1"})
    device.remote.fail(method, TransportError("the connection broke", path="1340"), times=99)
    size = 3_000_000 if method == "put" else 1
    with pytest.raises(TransportError) as caught:
        await device.put("/Secret/in", {"x": bytes(size)})
    assert caught.value.path == path


async def test_what_fails_while_folders_are_changed_or_read_has_the_clear_path() -> None:
    world = World()
    device = Device(world, remote=world.hostile("alice"))
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"in/a": b"1", "other/b": b"2"})
    calls = (
        ("make_folder", lambda: edit.mkdir(device.account, "/Secret/in/new"), "/Secret/in/new"),
        ("move", lambda: edit.mv(device.account, "/Secret/in/a", "/Secret/other"), "/Secret/in/a"),
        ("delete", lambda: edit.rm(device.account, "/Secret/in/a"), "/Secret/in/a"),
        ("get_bytes", lambda: edit.cat(device.account, "/Secret/in/a", lambda _: None), "/Secret/in/a"),
        ("get_bytes", lambda: edit.cp(device.account, "/Secret/in/a", "/Secret/new"), "/Secret/in/a"),
    )
    for method, call, path in calls:
        device.remote.fail(method, TransportError("the connection broke", path="/Secret/3f9a"), times=5)
        with pytest.raises(TransportError) as caught:
            await call()
        assert caught.value.path == path, method
        device.remote.honest()


async def test_a_redirect_keeps_the_address_it_came_from() -> None:
    world = World()
    device = Device(world, remote=world.hostile("alice"))
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", {"a": b"1"})
    device.remote.fail("get_bytes", RedirectError(path="https://cloud.example"), times=5)
    report = None
    with pytest.raises(RedirectError) as caught:
        report = await edit.get(device.account, "/Secret/a", MemoryTree(), "a")
    assert (report, caught.value.path) == (None, "https://cloud.example")


async def test_a_fingerprint_that_is_another_one_names_the_person() -> None:
    world = World("alice", "bob")
    device, bob = Device(world), Device(world, "bob")
    await edit.encrypt_folder(device.account, "/Secret")
    assert bob.account.identity is not None
    await sharing.share(device.account, "/Secret", UserId("bob"))
    with pytest.raises(UntrustedCertificateError) as caught:
        await trust.verify(device.account, UserId("bob"), "00" * 32)
    assert caught.value.path == "bob"

"""Files of a ceremony, and whether the machine is on a network."""

import contextlib
import errno
import os
import socket
from pathlib import Path

import pytest

from candado.adapters.offline import has_route, new_folder, replace_private, write_all, write_private
from candado.errors import DiskFullError, LocalPermissionError, LocalStorageError, MisuseError, UsageError


def test_a_new_file_is_private_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_private(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError):
        write_private(path, b"two")
    assert path.read_bytes() == b"one"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError) as caught:
        write_private(tmp_path / "a", b"one")
    assert caught.value.safe == "Nothing that was begun was left behind."
    with pytest.raises(DiskFullError), new_folder(tmp_path / "out"):
        write_all(tmp_path / "out", {"public/a": b"1"})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_private(tmp_path / "a", b"one")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocalStorageError):
        write_private(tmp_path / "no" / "a", b"")
    with pytest.raises(LocalStorageError), new_folder(tmp_path / "no" / "a"):
        pass


def test_a_replaced_file_has_the_new_content_and_a_failure_keeps_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    write_private(path, b"one")
    (tmp_path / ".a.new").write_bytes(b"left by a crash")
    replace_private(path, b"two")
    assert path.read_bytes() == b"two"

    def refused(self: Path, target: Path) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(LocalPermissionError):
        replace_private(path, b"three")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"two")]


def test_what_was_put_into_a_folder_goes_when_the_rest_fails(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        with new_folder(folder):
            write_all(folder, {"public/a": b"1", "b": b"2"})
            raise MisuseError

    with pytest.raises(MisuseError):
        fill(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    with pytest.raises(MisuseError):
        fill(tmp_path / "there")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_folder_is_new_or_empty_and_private(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    for name in ("new", "empty"):
        with new_folder(tmp_path / name):
            write_all(tmp_path / name, {"public/a": b"1"})
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        with pytest.raises(UsageError), new_folder(tmp_path / name):
            pass
    with pytest.raises(UsageError), new_folder(tmp_path / "new" / "public" / "a"):
        pass
    assert (tmp_path / "new" / "public" / "a").read_bytes() == b"1"


def test_a_name_that_is_taken_by_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "public").write_bytes(b"")
    with pytest.raises(LocalStorageError):
        write_all(tmp_path, {"public/a/b": b"1"})


@pytest.mark.parametrize(("fails", "expected"), [(0, True), (1, True), (2, False)])
def test_a_network_is_seen_without_sending_anything(
    monkeypatch: pytest.MonkeyPatch, fails: int, expected: bool
) -> None:
    asked: list[tuple[str, int]] = []

    class Probe(contextlib.AbstractContextManager["Probe"]):
        def __init__(self, family: int, kind: int) -> None:
            assert kind == socket.SOCK_DGRAM

        def __exit__(self, *args: object) -> None:
            pass

        def connect(self, address: tuple[str, int]) -> None:
            asked.append(address)
            if len(asked) <= fails:
                raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Probe)
    assert has_route() is expected
    assert asked == [("192.0.2.1", 9), ("2001:db8::1", 9)][: fails + 1]

"""``--conflict newer`` and ``replace``: what is older is replaced, what is not older stays."""

import os
from pathlib import Path

import pytest
from tests.unit.client.sync_world import Device, Pair

from candado.client import edit
from candado.errors import AlreadyExistsError

SECOND = 10**9
OLD = 1_700_000_000


@pytest.fixture
async def device(tmp_path: Path) -> Device:
    """A phone with an empty local folder, and /Secret/a of the time OLD."""
    pair = Pair(tmp_path)
    pair.laptop.write("a", "there")
    os.utime(pair.laptop.root / "a", ns=(0, OLD * SECOND))
    pair.laptop.write("folder/x", "x")
    await pair.laptop.sync(encrypt=True)
    pair.phone.root.mkdir()
    return pair.phone


def _local(device: Device, name: str, mtime_ns: int) -> None:
    device.write(name, "mine, longer")
    os.utime(device.root / name, ns=(0, mtime_ns))


async def _put(device: Device, name: str, target: str = "/Secret") -> edit.CopyReport:
    tree = device.tree()
    try:
        return await edit.put(device.account, [edit.PutSource(tree, name, name)], target, conflict="newer")
    finally:
        tree.close()


async def _remote(device: Device, path: str) -> bytes:
    pieces: list[bytes] = []
    await edit.cat(device.account, path, pieces.append)
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("mtime_ns", "is_sent"),
    [((OLD - 1) * SECOND, False), (OLD * SECOND + SECOND // 2, False), ((OLD + 1) * SECOND, True)],
)
async def test_put_replaces_only_what_is_older(device: Device, mtime_ns: int, is_sent: bool) -> None:
    _local(device, "a", mtime_ns)
    report = await _put(device, "a")
    assert (report.files, report.skipped, report.failures) == ((1, [], []) if is_sent else (0, ["/Secret/a"], []))
    assert await _remote(device, "/Secret/a") == (b"mine, longer" if is_sent else b"there")


@pytest.mark.parametrize(
    ("mtime_ns", "is_fetched"),
    [((OLD + 1) * SECOND, False), (OLD * SECOND + SECOND // 2, False), (OLD * SECOND - 1, True)],
)
async def test_get_replaces_only_what_is_older(device: Device, mtime_ns: int, is_fetched: bool) -> None:
    _local(device, "a", mtime_ns)
    tree = device.tree()
    report = await edit.get(device.account, "/Secret/a", tree, "a", conflict="newer")
    tree.close()
    assert (report.files, report.skipped, report.failures) == ((1, [], []) if is_fetched else (0, ["/Secret/a"], []))
    assert (device.root / "a").read_text() == ("there" if is_fetched else "mine, longer")


async def test_cp_replaces_what_is_older_or_what_it_was_told_to(device: Device) -> None:
    _local(device, "new", (OLD + 5) * SECOND)
    await _put(device, "new")
    report = await edit.cp(device.account, "/Secret/a", "/Secret/new", conflict="newer")
    assert (report.files, report.skipped) == (0, ["/Secret/new"])
    report = await edit.cp(device.account, "/Secret/new", "/Secret/a", conflict="newer")
    assert (report.files, report.failures) == (1, [])
    assert await _remote(device, "/Secret/a") == b"mine, longer"
    _local(device, "third", OLD * SECOND)
    await _put(device, "third")
    report = await edit.cp(device.account, "/Secret/third", "/Secret/a", conflict="replace")
    assert (report.files, report.failures) == (1, [])


async def test_a_folder_is_never_replaced_by_a_file(device: Device) -> None:
    _local(device, "folder", (OLD + 5) * SECOND)
    tree = device.tree()
    sources = [edit.PutSource(tree, "folder", "folder")]
    report = await edit.put(device.account, [*sources, *sources], "/Secret", conflict="newer")
    tree.close()
    assert {type(failure.error) for failure in report.failures} == {AlreadyExistsError}
    (device.root / "folder").unlink()
    (device.root / "folder").mkdir()
    tree = device.tree()
    report = await edit.get(device.account, "/Secret/a", tree, "folder", conflict="newer")
    tree.close()
    assert [type(failure.error) for failure in report.failures] == [AlreadyExistsError]


async def test_of_two_files_of_one_name_in_one_command_the_first_stays(device: Device) -> None:
    _local(device, "one", OLD * SECOND)
    _local(device, "two", (OLD + 9) * SECOND)
    tree = device.tree()
    sources = [edit.PutSource(tree, "one", "b"), edit.PutSource(tree, "two", "b")]
    report = await edit.put(device.account, sources, "/Secret", conflict="newer")
    tree.close()
    assert (report.files, report.skipped, report.failures) == (1, ["/Secret/b"], [])

"""Patterns in remote paths: matched on clear names, one part of the path at a time."""

import pytest
from tests.sim import World
from tests.unit.client.devices import Device

from candado.client import edit
from candado.client.places import expand
from candado.errors import AlreadyExistsError, NotFoundError, UsageError

FILES = {
    "a.txt": b"1",
    "b.txt": b"2",
    "c.pdf": b"3",
    ".hidden.txt": b"4",
    "[x].txt": b"5",
    "x.txt": b"6",
    "in/a.txt": b"7",
    "in/deep/a.txt": b"8",
    "other/b.txt": b"9",
}


async def _secret() -> Device:
    device = Device(World())
    await edit.encrypt_folder(device.account, "/Secret")
    await device.put("/Secret", FILES)
    return device


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("/Secret/*.txt", ["[x].txt", "a.txt", "b.txt", "x.txt"]),
        ("Secret/.*", [".hidden.txt"]),
        ("/Secret/?.txt", ["a.txt", "b.txt", "x.txt"]),
        ("/Secret/[!a].txt", ["b.txt", "x.txt"]),
        ("/Secret/[x].txt", ["[x].txt"]),
        ("/Secret/*/a.txt", ["in/a.txt"]),
        ("/S*/*/?.txt", ["in/a.txt", "other/b.txt"]),
        ("/Secret/i*/", ["in"]),
        ("/*/*/*/*", ["in/deep/a.txt"]),
    ],
)
async def test_a_pattern_speaks_of_one_part_at_a_time_and_an_exact_name_wins(pattern: str, names: list[str]) -> None:
    device = await _secret()
    found = await expand(device.reader(), pattern)
    assert [path.strip("/").removeprefix("Secret/") for path in found] == names


@pytest.mark.parametrize("pattern", ["/Secret/*.zip", "/Nope/*", "/Secret/a.txt/*", "/Secret/*/none"])
async def test_a_pattern_that_matches_nothing_is_not_found(pattern: str) -> None:
    device = await _secret()
    with pytest.raises(NotFoundError) as caught:
        await expand(device.reader(), pattern)
    assert caught.value.path == pattern


async def test_a_path_without_a_pattern_is_taken_as_it_is_and_asks_nothing() -> None:
    device = await _secret()
    device.world.server.log.clear()
    assert await expand(device.reader(), "Nope/new/") == ["Nope/new/"]
    assert device.world.server.log == []


async def test_a_folder_whose_set_up_was_interrupted_matches_and_holds_nothing() -> None:
    device = await _secret()
    await device.remote.mark_encrypted(await device.remote.make_folder("/Stopped", token=None))
    assert await expand(device.reader(), "/S*/c*") == ["/Secret/c.pdf"]


async def test_copies_of_a_pattern_go_into_a_folder_that_is_there() -> None:
    device = await _secret()
    with pytest.raises(NotFoundError):
        await edit.cp(device.account, "/Secret/?.txt", "/Secret/none")
    with pytest.raises(UsageError):
        await edit.cp(device.account, "/Secret/?.txt", "/Secret/c.pdf")
    report = await edit.cp(device.account, "/Secret/?.txt", "/Secret/other", conflict="skip")
    assert (report.files, report.skipped) == (2, ["/Secret/other/b.txt"])
    report = await edit.cp(device.account, "/Secret/c*", "/Secret/copy.pdf")
    assert (await device.tree())["copy.pdf"] == b"3"


async def test_what_a_pattern_matches_moves_as_a_whole_or_not_at_all() -> None:
    device = await _secret()
    before = await device.tree()
    with pytest.raises(AlreadyExistsError):
        await edit.mv(device.account, "/Secret/?.txt", "/Secret/other")
    assert await device.tree() == before
    await edit.mv(device.account, "/Secret/o*", "/Secret/in")
    await edit.mv(device.account, "/Secret/[bcx].*", "/Secret/in")
    assert set(await device.tree()) == {
        ".hidden.txt", "a.txt", "[x].txt", "in", "in/a.txt", "in/b.txt", "in/c.pdf", "in/x.txt", "in/deep",
        "in/deep/a.txt", "in/other", "in/other/b.txt",
    }  # fmt: skip


async def test_the_target_itself_is_not_among_what_a_pattern_moves() -> None:
    device = await _secret()
    await edit.rm(device.account, "/Secret/in/a.txt")
    await edit.mv(device.account, "/Secret/*", "/Secret/in/")
    assert {path for path in await device.tree() if "/" not in path} == {".hidden.txt", "in"}


async def test_a_pattern_moves_between_roots_too() -> None:
    device = await _secret()
    await edit.encrypt_folder(device.account, "/Second")
    await edit.mv(device.account, "/Secret/*", "/Second")
    assert set(await device.tree()) == {".hidden.txt"}
    assert set(await device.tree("/Second")) == {
        "a.txt", "b.txt", "c.pdf", "[x].txt", "x.txt", "in", "in/a.txt", "in/deep", "in/deep/a.txt", "other",
        "other/b.txt",
    }  # fmt: skip

"""A folder that somebody shares read-only: what is new there comes, what is new here stays and is told."""

from pathlib import Path

import pytest
from tests.sim import World
from tests.unit.client.sync_world import FOLDER, Device, numbers

from candado.client import sharing
from candado.types import UserId


@pytest.fixture
async def pair(tmp_path: Path) -> tuple[Device, Device]:
    """Alice, who owns the folder, and bob, who may read it; both have the same files."""
    world = World("alice", "bob")
    alice, bob = Device(world, tmp_path, "alice"), Device(world, tmp_path, "bob", user="bob")
    for path in ("a", "d/b", "gone", "renamed"):
        alice.write(path, f"content of {path}")
    await alice.sync(encrypt=True)
    await sharing.share(alice.start(), FOLDER, UserId("bob"), read_only=True)
    await bob.sync()
    assert alice.files() == bob.files()
    return alice, bob


def told(report: object) -> list[tuple[str, str]]:
    return sorted((problem.path, problem.code) for problem in report.errors)  # type: ignore[attr-defined]


@pytest.mark.parametrize("unchanged", [True, False])
async def test_local_changes_are_told_one_by_one_and_nothing_else_stops(
    pair: tuple[Device, Device], unchanged: bool
) -> None:
    alice, bob = pair
    bob.write("mine", "of bob")
    bob.write("a", "changed by bob")
    bob.write("new folder/x", "x")
    (bob.root / "gone").unlink()
    (bob.root / "renamed").rename(bob.root / "other name")
    if not unchanged:
        alice.write("theirs", "of alice")
        await alice.sync()
    before = bob.files()
    shown = await bob.sync(dry_run=True)
    report = await bob.sync()
    expected = [(path, "FORBIDDEN") for path in ("a", "gone", "mine", "new folder", "new folder/x", "other name")]
    assert (told(shown), told(report)) == (expected, expected)
    assert numbers(report) == numbers(shown) == ({} if unchanged else {"downloaded": 1})
    assert bob.files() == before | ({} if unchanged else {"theirs": b"of alice"})
    assert {issue.path for issue in bob.start().issues() if issue.code == "FORBIDDEN"} == {
        f"{FOLDER}/{path}" for path, _ in expected
    }
    assert "read-only" in report.errors[0].message
    await alice.sync()
    assert "mine" not in alice.files()


async def test_both_versions_of_a_conflict_are_kept_here(pair: tuple[Device, Device]) -> None:
    alice, bob = pair
    bob.write("a", "bob's")
    alice.write("a", "alice's!")
    await alice.sync()
    report = await bob.sync()
    assert (report.conflicts, len(report.errors)) == (1, 1)
    files = bob.files()
    (copy,) = [path for path in files if "conflicted copy" in path]
    assert (files["a"], files[copy]) == (b"alice's!", b"bob's")
    assert told(report) == [(copy, "FORBIDDEN")]


async def test_a_right_to_write_that_is_given_later_lets_the_changes_go(pair: tuple[Device, Device]) -> None:
    alice, bob = pair
    bob.write("mine", "of bob")
    assert len((await bob.sync()).errors) == 1
    await sharing.share(alice.start(), FOLDER, UserId("bob"), read_only=False)
    assert numbers(await bob.sync()) == {"uploaded": 1}
    assert [issue.code for issue in bob.start().issues() if issue.severity == "problem"] == []
    await alice.sync()
    assert alice.files() == bob.files()

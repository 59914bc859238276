"""What happens between the look and the deed: other devices, crashes and lies at the worst moment."""

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.client.sync_world import FOLDER, MemoryState, Pair, numbers

from candado.client import edit
from candado.client.reader import FolderReader, Tree
from candado.client.sync_observe import look_at_remote
from candado.client.sync_state import PairState
from candado.errors import CounterRollbackError, TransportError
from candado.ports.client import Remote


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    await made.start()
    made.calls()
    return made


async def meanwhile(pair: Pair, happens: Callable[[], Awaitable[object]]) -> None:
    """Let something happen between the plan of the laptop and its lock; afterwards all must be equal."""
    inner = pair.laptop.remote
    original = inner.lock
    done: list[int] = []

    async def lock(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(1)
            await happens()
        return await original(*args, **kwargs)

    class Late:
        def __getattr__(self, name: str) -> Any:
            return lock if name == "lock" else getattr(inner, name)

    pair.laptop.remote = cast("Remote", Late())
    report = await pair.laptop.sync()
    assert report.errors == []
    pair.laptop.remote = inner
    await pair.phone.sync()
    await pair.laptop.sync()
    assert pair.laptop.files() == pair.phone.files()


async def test_what_another_device_changes_after_the_look_is_planned_anew(pair: Pair) -> None:
    async def phone_edits() -> None:
        pair.phone.write("a", "phone's a, quick")
        pair.phone.write("new", "phone's new")
        await pair.phone.sync()

    pair.laptop.write("a", "laptop's a")
    pair.laptop.write("new", "laptop's new")
    await meanwhile(pair, phone_edits)
    assert {b"phone's a, quick", b"laptop's a", b"phone's new", b"laptop's new"} <= set(pair.laptop.files().values())


async def test_a_folder_that_got_something_new_after_the_look_is_not_removed(pair: Pair) -> None:
    async def phone_adds() -> None:
        pair.phone.write("d/e/late", "late")
        await pair.phone.sync()

    shutil.rmtree(pair.laptop.root / "d")
    await meanwhile(pair, phone_adds)
    assert pair.laptop.files() == {"a": b"content of a", "d": None, "d/e": None, "d/e/late": b"late"}


async def test_a_file_edited_after_the_look_is_not_deleted(pair: Pair) -> None:
    async def phone_edits() -> None:
        pair.phone.write("a", "still needed")
        await pair.phone.sync()

    (pair.laptop.root / "a").unlink()
    await meanwhile(pair, phone_edits)
    assert pair.laptop.files()["a"] == b"still needed"


async def test_a_file_that_was_replaced_after_the_look_is_not_renamed_in_its_place(pair: Pair) -> None:
    async def phone_replaces() -> None:
        (pair.phone.root / "a").unlink()
        await pair.phone.sync()
        pair.phone.write("a", "another file altogether")
        await pair.phone.sync()

    (pair.laptop.root / "a").rename(pair.laptop.root / "b")
    await meanwhile(pair, phone_replaces)
    assert {"a": b"another file altogether", "b": b"content of a"}.items() <= pair.laptop.files().items()


async def test_a_change_of_another_device_is_not_hidden_by_our_own_write(pair: Pair) -> None:
    async def phone_edits_below() -> None:
        pair.phone.write("d/e/c", "changed while the laptop wrote the root")
        await pair.phone.sync()

    # Something new in the root makes the laptop open it, so that it may remember its state afterwards.
    pair.phone.write("a", "newer a")
    await pair.phone.sync()
    pair.laptop.write("new", "in the root")
    await meanwhile(pair, phone_edits_below)
    assert pair.laptop.files()["d/e/c"] == b"changed while the laptop wrote the root"


async def test_an_answer_is_not_used_again_after_the_file_changed(pair: Pair) -> None:
    async def both_change() -> None:
        pair.phone.write("new", "phone's")
        await pair.phone.sync()
        pair.laptop.write("a", "CONTENT OF A")

    os.utime(pair.laptop.root / "a", ns=(1, 1))
    pair.laptop.write("new", "laptop's")
    await meanwhile(pair, both_change)
    assert pair.phone.files()["a"] == b"CONTENT OF A"


async def test_a_remote_folder_that_was_removed_and_made_anew_is_filled_again(pair: Pair) -> None:
    before = pair.laptop.files()
    await edit.rm(pair.laptop.start(), FOLDER, recursive=True)
    await edit.encrypt_folder(pair.laptop.start(), FOLDER)
    assert numbers(await pair.laptop.sync(encrypt=True)) == {"uploaded": 3}
    assert pair.laptop.files() == before


async def test_a_sly_change_survives_a_remote_rename_and_a_lost_server(pair: Pair) -> None:
    place = pair.laptop.root / "a"
    before = place.stat()
    while place.stat().st_ctime_ns == before.st_ctime_ns:
        place.write_bytes(b"CONTENT OF A")
        os.utime(place, ns=(before.st_mtime_ns, before.st_mtime_ns))
    (pair.phone.root / "a").rename(pair.phone.root / "b")
    await pair.phone.sync()
    pair.hostile.cut("lock")
    with pytest.raises(TransportError):
        await pair.laptop.sync()
    pair.hostile.honest()
    await pair.laptop.sync()
    await pair.phone.sync()
    assert pair.phone.files()["b"] == b"CONTENT OF A"


async def test_nothing_is_written_after_a_sign_of_tampering(pair: Pair) -> None:
    pair.phone.write("theirs", "t")
    await pair.phone.sync()
    pair.laptop.write("mine", "m")
    pair.hostile.fail("get_bytes", CounterRollbackError("fresh.rollback"), times=9)
    pair.calls()
    with pytest.raises(CounterRollbackError):
        await pair.laptop.sync()
    assert "lock" not in pair.calls()


async def test_a_rename_into_a_new_folder_waits_for_it_on_a_stock_server_and_removals_wait_too(tmp_path: Path) -> None:
    pair = Pair(tmp_path, is_stock=True)
    await pair.start()
    (pair.laptop.root / "n").mkdir()
    (pair.laptop.root / "d/e/c").rename(pair.laptop.root / "n/c")
    shutil.rmtree(pair.laptop.root / "d/e")
    pair.calls()
    report = await pair.laptop.sync()
    assert (numbers(report), report.errors, pair.calls().count("lock")) == ({"renamed": 1, "deleted": 1}, [], 2)
    await pair.phone.sync()
    assert pair.phone.files() == pair.laptop.files()
    assert pair.phone.files()["n/c"] == b"content of d/e/c"


@pytest.mark.parametrize("kind", ["skipped", "drops"])
async def test_a_folder_with_unreadable_things_in_it_blocks_its_removal(pair: Pair, kind: str) -> None:
    view = SimpleNamespace(
        node=None,
        path="/S",
        etag="e",
        file_id=1,
        remote_path="/S",
        missing=frozenset(),
        problems=(),
        entries={},
        folder=SimpleNamespace(
            content=SimpleNamespace(skipped=(1,) * (kind == "skipped")), drops=(1,) * (kind == "drops")
        ),
    )

    class Reader:
        async def walk(self, top: Any, *, skip: object) -> Tree:
            return Tree(top, {"/S": top})

    state = PairState(MemoryState(), local_root="/l", remote_path="/S")
    reader = cast("FolderReader", Reader())
    sight = await look_at_remote(pair.laptop.account, reader, state, cast("Any", view), skip_known=True)
    assert len(sight.blocked) == 1

"""The power goes at every single call of a sync: the next run finishes the work, and nothing is lost or left locked."""

import shutil
from pathlib import Path

import pytest
from tests.sim import World, stock
from tests.unit.client.sync_cut import Power, PowerCutError
from tests.unit.client.sync_world import Device, copy_of


async def prepared(base: Path, *, is_stock: bool) -> tuple[World, Device, Device]:
    """Two devices that agreed, then changed everything there is to change, on both sides."""
    world = World("alice")
    if is_stock:
        world.server.capabilities = stock()
    laptop, phone = Device(world, base, "laptop"), Device(world, base, "phone")
    for path in ("keep", "gone here", "gone there", "both", "moved", "d/in", "d/e/deep", "f/x", "f/y"):
        laptop.write(path, path)
    await laptop.sync(encrypt=True)
    await phone.sync()
    phone.write("new there", "2")
    phone.write("both", "phone's own")
    (phone.root / "gone there").unlink()
    (phone.root / "f").rename(phone.root / "g")
    await phone.sync()
    laptop.write("new here", "1")
    laptop.write("n/m/new here too", "11")
    laptop.write("both", "laptop")
    laptop.write("d/in", "changed")
    (laptop.root / "gone here").unlink()
    (laptop.root / "moved").rename(laptop.root / "d/moved")
    (laptop.root / "d/e").rename(laptop.root / "e")
    return world, laptop, phone


EXPECTED = {
    "keep",
    "both",
    "d",
    "d/in",
    "d/moved",
    "e",
    "e/deep",
    "g",
    "g/x",
    "g/y",
    "n",
    "n/m",
    "n/m/new here too",
    "new here",
    "new there",
}


async def calls_of_a_sync(base: Path, *, is_stock: bool) -> int:
    _, laptop, _ = await prepared(base, is_stock=is_stock)
    power = Power()
    await laptop.sync_until(power)
    return power.calls


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("is_stock", "after"), [(False, False), (False, True), (True, True)])
async def test_a_sync_cut_at_any_call_is_finished_by_the_next_one(tmp_path: Path, is_stock: bool, after: bool) -> None:
    calls = await calls_of_a_sync(tmp_path / "whole", is_stock=is_stock)
    assert calls > 40
    for cut in range(calls):
        base = tmp_path / str(cut)
        world, laptop, phone = await prepared(base, is_stock=is_stock)
        with pytest.raises(PowerCutError):
            await laptop.sync_until(Power(cut, after=after))
        world.clock.advance(world.server.lock_seconds + 1)
        reports = [await device.sync() for device in (laptop, phone, laptop, phone)]
        assert [problem for report in reports for problem in report.errors] == []
        assert laptop.files() == phone.files()
        contents = {content for content in laptop.files().values() if content is not None}
        assert contents >= {b"1", b"11", b"2", b"laptop", b"phone's own", b"changed", b"moved", b"keep", b"d/e/deep"}
        assert not {"gone here", "gone there", "moved", "f", "d/e"} & laptop.files().keys()
        assert {path for path in laptop.files() if "(conflicted copy" not in path} == EXPECTED
        world.server.drop_expired()
        assert not world.server.locks
        shutil.rmtree(base)


async def test_an_undisturbed_sync_gives_exactly_the_expected_tree(tmp_path: Path) -> None:
    _, laptop, phone = await prepared(tmp_path, is_stock=False)
    report = await laptop.sync()
    await phone.sync()
    assert set(laptop.files()) == EXPECTED | {copy_of("both", laptop)}
    assert laptop.files() == phone.files()
    assert (report.uploaded, report.downloaded, report.conflicts, report.renamed) == (4, 2, 1, 3)

"""Names that another device cannot have, or cannot tell apart: put and mkdir say so as sync does."""

import pytest
from tests.sim import World
from tests.unit.client.devices import Device

from candado.client import edit
from candado.errors import LocalNameError

COMPOSED, SPLIT = "\u00e9t", "e\u0301t"


async def _secret() -> Device:
    device = Device(World())
    await edit.encrypt_folder(device.account, "/Secret")
    return device


def _warned(report: edit.CopyReport) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in report.warnings]


async def test_a_name_that_windows_cannot_have_is_stored_with_one_warning() -> None:
    device = await _secret()
    report = await device.put("/Secret", {"con": b"1", "x./AUX.txt": b"2", "x./fine": b"3"})
    assert (report.files, report.failures) == (3, [])
    assert sorted(_warned(report)) == [
        ("NAME_WINDOWS", "/Secret/con"),
        ("NAME_WINDOWS", "/Secret/x."),
        ("NAME_WINDOWS", "/Secret/x./AUX.txt"),
    ]
    assert _warned(await device.put("/Secret", {"con": b"9"}, conflict="replace")) == []


async def test_a_name_that_differs_from_another_in_capitals_is_stored_with_a_warning() -> None:
    device = await _secret()
    assert _warned(await device.put("/Secret", {"Notes": b"1", "notes": b"2"})) == [("NAME_CASE", "/Secret/notes")]
    assert _warned(await device.put("/Secret", {"NOTES": b"3"})) == [("NAME_CASE", "/Secret/NOTES")]
    assert len(await device.tree()) == 3


async def test_a_name_that_differs_only_in_its_composition_is_left_out() -> None:
    device = await _secret()
    await device.put("/Secret", {COMPOSED: b"1"})
    report = await device.put("/Secret", {SPLIT: b"2", "ok": b"3"}, conflict="replace")
    assert [(failure.path, type(failure.error)) for failure in report.failures] == [
        (f"/Secret/{SPLIT}", LocalNameError)
    ]
    assert await device.tree() == {COMPOSED: b"1", "ok": b"3"}


async def test_a_file_that_is_kept_beside_one_of_its_name_meets_no_other() -> None:
    device = await _secret()
    await device.put("/Secret", {"a.txt": b"1", "A (2).TXT": b"2"})
    report = await device.put("/Secret", {"a.txt": b"3"}, conflict="keep-both")
    assert (_warned(report), sorted(await device.tree())) == ([], ["A (2).TXT", "a (3).txt", "a.txt"])


async def test_mkdir_warns_of_capitals_and_windows_and_refuses_the_twin_of_a_name() -> None:
    device = await _secret()
    assert await edit.mkdir(device.account, f"/Secret/{COMPOSED}") == []
    with pytest.raises(LocalNameError):
        await edit.mkdir(device.account, f"/Secret/{SPLIT}")
    warnings = await edit.mkdir(device.account, "/Secret/\u00c9T/nul", parents=True)
    assert [(one.code, one.path) for one in warnings] == [
        ("NAME_CASE", "/Secret/\u00c9T"),
        ("NAME_WINDOWS", "/Secret/\u00c9T/nul"),
    ]

"""Sync of a local folder in which something cannot go along: it is told, and nothing takes it for deleted."""

import os
from pathlib import Path

import pytest
from tests.unit.client.sync_world import FOLDER, Pair, numbers


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path)
    await made.start()
    return made


def _problems(pair: Pair) -> list[tuple[str, str]]:
    return [(issue.code, issue.path) for issue in pair.laptop.account.issues() if issue.severity == "problem"]


async def test_a_name_that_is_not_utf_8_is_an_error_and_an_issue_until_it_is_renamed(pair: Pair) -> None:
    odd = pair.laptop.root / "d" / os.fsdecode(b"latin-\xe9")
    odd.write_text("x")
    pair.laptop.write("new", "n")
    report = await pair.laptop.sync()
    assert numbers(report) == {"uploaded": 1}
    assert [(one.code, one.path) for one in report.errors] == [("NAME_UNSAFE", "d/latin-\\udce9")]
    assert _problems(pair) == [("NAME_UNSAFE", f"{FOLDER}/d/latin-\\udce9")]
    odd.rename(odd.with_name("good"))
    assert (await pair.laptop.sync()).errors == []
    assert _problems(pair) == []


async def test_links_and_special_files_are_left_out_without_being_errors(pair: Pair) -> None:
    (pair.laptop.root / "link").symlink_to("a")
    os.mkfifo(pair.laptop.root / "d" / "pipe")
    report = await pair.laptop.sync()
    assert (report.errors, _problems(pair)) == ([], [])
    assert report.to_json()["left_out"] == [
        {"path": "link", "reason": "a link"},
        {"path": "d/pipe", "reason": "not a regular file"},
    ]


def _closed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the folder of this name be one that this user may not open; "" opens all again."""
    really = os.open

    def refusing(path: str, *args: int, **options: int) -> int:
        if path == name:
            raise PermissionError(13, "Permission denied", path)
        return really(path, *args, **options)

    monkeypatch.setattr("candado.adapters.disk_scan.os.open", refusing)


async def test_what_is_in_a_folder_that_cannot_be_read_is_left_alone_and_the_rest_is_synced(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pair.phone.files()
    pair.laptop.write("d/e/unseen", "u")
    pair.laptop.write("new", "n")
    pair.phone.write("d/e/from-phone", "p")
    pair.phone.write("d/other", "o")
    await pair.phone.sync()
    with monkeypatch.context() as closed:
        _closed(closed, "e")
        report = await pair.laptop.sync()
    assert numbers(report) == {"uploaded": 1, "downloaded": 1}
    assert [(one.code, one.path) for one in report.errors] == [("LOCAL_PERMISSION", "d/e")]
    assert _problems(pair) == [("LOCAL_PERMISSION", f"{FOLDER}/d/e")]
    await pair.phone.sync()
    assert pair.phone.files().items() > before.items()
    assert numbers(await pair.laptop.sync()) == {"uploaded": 1, "downloaded": 1}
    assert _problems(pair) == []


async def test_a_renamed_folder_that_cannot_be_read_is_not_taken_for_removed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pair.laptop.root / "d" / "e").rename(pair.laptop.root / "d" / "moved")
    with monkeypatch.context() as closed:
        _closed(closed, "moved")
        assert numbers(await pair.laptop.sync()) == {}
    await pair.phone.sync()
    assert pair.phone.files()["d/e/c"] == b"content of d/e/c"
    assert numbers(await pair.laptop.sync()) == {"renamed": 1}


async def test_a_first_sync_makes_no_folder_for_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(tmp_path)
    pair.laptop.write("closed/x", "x")
    pair.laptop.write("good", "g")
    with monkeypatch.context() as closed:
        _closed(closed, "closed")
        report = await pair.laptop.sync(encrypt=True)
    assert (numbers(report), len(report.errors)) == ({"uploaded": 1}, 1)
    await pair.phone.sync()
    assert pair.phone.files() == {"good": b"g"}


async def test_names_that_differ_in_capitals_are_synced_and_the_warning_says_so(pair: Pair) -> None:
    pair.laptop.write("Notes", "1")
    pair.laptop.write("notes", "2")
    report = await pair.laptop.sync()
    assert (numbers(report), report.errors) == ({"uploaded": 2}, [])
    assert [(one.code, one.path, one.safe) for one in report.warnings] == [
        ("NAME_CASE", "Notes", "It is stored like any other."),
        ("NAME_CASE", "notes", "It is stored like any other."),
    ]

"""Uploading a folder: what does not go along is told."""

import os
from pathlib import Path

import pytest
from tests.unit.client.sync_world import Device, Pair

from candado.client import edit
from candado.errors import LocalNameError, LocalPermissionError


async def _put(device: Device, source: Path, target: str = "/Secret") -> edit.CopyReport:
    device.root = source
    tree = device.tree()
    try:
        return await edit.put(device.account, [edit.PutSource(tree, "", source.name)], target)
    finally:
        tree.close()


async def test_links_special_files_and_ignored_names_are_listed_and_are_no_failures(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start("a")
    source = tmp_path / "photos"
    (source / "in").mkdir(parents=True)
    (source / ".candadoignore").write_text("*.tmp\n")
    (source / "in" / "x.tmp").write_text("x")
    (source / "in" / "link").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    (source / "good").write_text("g")
    report = await _put(pair.phone, source)
    assert (report.files, report.failures) == (2, [])
    assert sorted((one.path, one.reason) for one in report.left_out) == [
        ("/Secret/photos/in/link", "a link"),
        ("/Secret/photos/in/x.tmp", "ignored"),
        ("/Secret/photos/pipe", "not a regular file"),
    ]


async def test_a_name_that_is_not_utf_8_is_a_failure_and_the_others_arrive(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start("a")
    source = tmp_path / "photos"
    source.mkdir()
    (source / os.fsdecode(b"latin-\xe9")).write_text("x")
    (source / "good").write_text("g")
    report = await _put(pair.phone, source)
    assert (report.files, report.left_out) == (1, [])
    assert [(one.path, type(one.error)) for one in report.failures] == [
        ("/Secret/photos/latin-\\udce9", LocalNameError)
    ]


async def test_a_folder_that_cannot_be_read_is_a_failure_and_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(tmp_path)
    await pair.start("a")
    source = tmp_path / "photos"
    (source / "closed").mkdir(parents=True)
    (source / "closed" / "x").write_text("x")
    (source / "good").write_text("g")
    really = os.open

    def refusing(path: str, *args: int, **options: int) -> int:
        if path == "closed":
            raise PermissionError(13, "Permission denied", path)
        return really(path, *args, **options)

    monkeypatch.setattr("candado.adapters.disk_scan.os.open", refusing)
    report = await _put(pair.phone, source)
    assert (report.files, report.folders) == (1, 1)
    assert [(one.path, type(one.error)) for one in report.failures] == [("/Secret/photos/closed", LocalPermissionError)]

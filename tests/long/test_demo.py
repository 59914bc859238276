"""The demo tells the truth: it holds on a real folder, and it fails when a claim does not hold."""

import os
import tempfile
from pathlib import Path

import pytest

from candado.apps.demo import run_demo
from candado.apps.demo_stage import DemoFailedError, Story, build_tree, find_in_files, same_bytes


def test_the_demo_holds_on_a_small_folder_and_leaves_the_folder_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = tmp_path / "stages"
    stages.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(stages))
    folder = tmp_path / "mine"
    (folder / "Grüße").mkdir(parents=True)
    (folder / "Grüße" / "a.txt").write_text("a")
    (folder / "tab\tname").write_text("b")
    (folder / "link").symlink_to("Grüße")
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    assert run_demo(folder) == 0
    told = capsys.readouterr().out
    assert "left out, as any sync does: link (a link)" in told
    assert "left out, as any sync does: 'tab\\tname'" in told
    assert "a conflict keeps both versions" in told
    assert "All 19 checks held." in told
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
    assert list(stages.iterdir()) == []


def test_a_claim_that_does_not_hold_ends_the_demo() -> None:
    story = Story()
    story.check("water is wet", holds=True)
    with pytest.raises(DemoFailedError, match=r"fire is cold: does NOT hold\. it is hot"):
        story.check("fire is cold", holds=False, detail="it is hot")
    assert story.checks == 1


def test_two_trees_differ_when_one_byte_or_one_name_does(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    for root, last in ((left, b"x"), (right, b"y")):
        root.mkdir()
        (root / "same").write_bytes(b"1234")
        (root / "other").write_bytes(b"123" + last)
    (left / "more").write_bytes(b"")
    assert same_bytes(left, left) == (8, [])
    assert same_bytes(left, right) == (8, ["more", "other"])


def test_a_needle_is_found_across_the_border_of_two_pieces(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"." * (8 * 1024 * 1024 - 3) + b"NEEDLE" + b".")
    assert find_in_files(tmp_path, [b"NEEDLE"]) == ["b'NEEDLE' in blob"]
    assert find_in_files(tmp_path, [b"NEEDLES"]) == []


def test_a_folder_with_an_impossible_name_is_left_out_with_all_below(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "bad\nname" / "deep").mkdir(parents=True)
    (folder / "bad\nname" / "deep" / "file").write_text("x")
    (folder / "good").write_text("y")
    os.mkfifo(folder / "pipe")
    left_out = build_tree(tmp_path / "copy", folder)
    assert [line.split(" (")[0] for line in left_out] == ["pipe", "'bad\\nname'"]
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*")) == ["good"]

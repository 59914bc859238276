"""A dry run of a single command says what would be done, and does none of it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, Device, running_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def state(device: Device, *folders: str) -> str:
    return "".join(device.run("ls", folder, "--json").out + device.run("tree", folder).out for folder in folders)


def filled(device: Device, root: Path) -> Path:
    source = root / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a").write_text("aaa")
    (source / "deep" / "b").write_text("bbbbb")
    device.run("encrypt", "D")
    device.run("put", source, "D")
    return source


def test_a_dry_run_of_each_command_prints_its_steps_and_changes_nothing(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("alice")
    source = filled(device, tmp_path)
    device.run("encrypt", "E")
    target = tmp_path / "target"
    target.mkdir()
    before = state(device, "D", "E")
    steps: list[tuple[tuple[str | Path, ...], str]] = [
        (("mkdir", "D/new"), "make folder: /D/new\n"),
        (("mkdir", "-p", "D/x/y"), "make folder: /D/x\nmake folder: /D/x/y\n"),
        (("rm", "D/source/a"), "remove: /D/source/a\n"),
        (("rm", "-r", "D/source", "D"), "remove: /D/source (folder, 2 files)\nremove: /D (folder, 2 files)\n"),
        (("mv", "D/source/a", "D"), "move: /D/source/a -> /D/a\n"),
        (
            ("mv", "D/source/deep", "E"),
            "make folder: /E/deep\ncopy: /D/source/deep/b -> /E/deep/b\nremove: /D/source/deep\n",
        ),
        (("cp", "D/source/a", "D/copy"), "copy: /D/source/a -> /D/copy\n"),
        (("put", source, "E"), ("make folder: /E/source\nmake folder: /E/source/deep\n"
         "upload: /E/source/a\nupload: /E/source/deep/b\n")),
        (("put", source / "a", "D/source", "--conflict", "replace"), "replace: /D/source/a\n"),
        (("get", "D/source/a", target / "x"), "download: /D/source/a -> x\n"),
        (("get", "D/source", target), ("make folder: /D/source -> source\nmake folder: /D/source/deep -> source/deep\n"
         "download: /D/source/a -> source/a\ndownload: /D/source/deep/b -> source/deep/b\n")),
    ]  # fmt: skip
    for words, told in steps:
        assert device.run(*words, "--dry-run").out == told, words
        document = device.run(*words, "-n", "--json").json
        assert document.get("dry_run") is True or document["removed"][0]["dry_run"] is True
    assert device.run("put", "-", "D/pipe", "-n", stdin="never read").out == "upload: /D/pipe\n"
    assert state(device, "D", "E") == before
    assert list(target.iterdir()) == []
    assert device.run("status", "--json").json["interrupted"] == []


def test_a_dry_run_fails_where_the_command_would(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("bob")
    source = filled(device, tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_text("in the way")
    commands: list[tuple[str | Path, ...]] = [
        ("mkdir", "D/source"),
        ("mkdir", "D/no/way"),
        ("rm", "D/source"),
        ("rm", "D/nothing"),
        ("mv", "D/source/a", "D/source/deep/b"),
        ("mv", "D/source", "D/source/deep"),
        ("cp", "D/source", "D/copy"),
        ("put", source / "a", "D/source"),
        ("put", source / "a", "Plain"),
        ("get", "D/nothing", tmp_path),
        ("get", "D/source/a", tmp_path / "target"),
    ]
    for words in commands:
        dry = device.run(*words, "--dry-run", "--json", expect=None)
        real = device.run(*words, "--json", expect=None)
        assert dry.status == real.status != 0, (words, dry, real)
    assert device.run("get", "D/source/a", "-", "-n", expect=2).out == ""


def test_a_dry_run_of_removing_everything_asks_nobody(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("carl")
    filled(device, tmp_path)
    done = subprocess.run(
        device.command("rm", "-r", "D", "-n"), env=device.environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "remove: /D (folder, 2 files)\n"
    assert "Removed" not in done.stderr


def test_a_dry_run_expands_patterns_and_sees_what_it_would_have_done_so_far(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("dora")
    source = filled(device, tmp_path)
    (tmp_path / "a").write_text("another")
    device.run("encrypt", "E")
    device.run("put", tmp_path / "a", "D/source/deep")
    before = state(device, "D", "E")
    target = tmp_path / "target"
    target.mkdir()
    steps: list[tuple[tuple[str | Path, ...], str]] = [
        (("mv", "D/source/*", "D"), "move: /D/source/a -> /D/a\nmove: /D/source/deep -> /D/deep\n"),
        (("cp", "D/source/deep/?", "E"), "copy: /D/source/deep/a -> /E/a\ncopy: /D/source/deep/b -> /E/b\n"),
        (("rm", "D/source/deep/*"), "remove: /D/source/deep/a\nremove: /D/source/deep/b\n"),
        (("get", "D/source/deep/*", target), "download: /D/source/deep/a -> a\ndownload: /D/source/deep/b -> b\n"),
        (("mkdir", "D/x", "D/x/y"), "make folder: /D/x\nmake folder: /D/x/y\n"),
        (("mkdir", "-p", "E/x/y", "E/x/z"), "make folder: /E/x\nmake folder: /E/x/y\nmake folder: /E/x/z\n"),
    ]
    for words, told in steps:
        assert device.run(*words, "-n").out == told, words
    fails: list[tuple[str | Path, ...]] = [
        ("rm", "D/*.zip"),
        ("rm", "-r", "D/source", "D/source/a"),
        ("rm", "-r", "D", "D/source"),
        ("mkdir", "D/x", "D/x"),
        ("put", tmp_path / "a", source / "a", "E"),
    ]
    for words in fails:
        dry = device.run(*words, "-n", "--json", expect=None)
        assert dry.status != 0, words
        assert state(device, "D", "E") == before
    assert list(target.iterdir()) == []
    assert device.run("put", tmp_path / "a", source / "a", "E", "-n", expect=3).out == "upload: /E/a\n"
    assert device.run("put", tmp_path / "a", source / "a", "E", expect=3).out == ""


def test_a_dry_run_of_put_tells_what_it_leaves_out_and_warns_of_names(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("edna")
    device.run("encrypt", "D")
    source = tmp_path / "source"
    source.mkdir()
    (source / "con").write_text("c")
    (source / "link").symlink_to("nowhere")
    dry = device.run("put", source, "D", "-n", "--json").json
    assert [(one["do"], one["path"]) for one in dry["plan"]] == [
        ("make folder", "/D/source"), ("upload", "/D/source/con"),
    ]  # fmt: skip
    told = device.run("put", source, "D", "-n")
    assert "left out: /D/source/link (a link)" in told.err
    assert "[NAME_WINDOWS]" in told.err
    assert "would have uploaded 1 file" in told.err
    assert "[NAME_WINDOWS]" in device.run("mkdir", "D/nul", "-n").err
    assert device.run("ls", "D").out == ""
    real = device.run("put", source, "D", "--json").json
    for name in ("files", "folders", "bytes", "skipped", "left_out", "warnings", "errors"):
        assert dry[name] == real[name], name
    (source / "con").write_text("changed")
    for conflict in ("fail", "skip", "replace", "keep-both", "newer"):
        words: list[str | Path] = ["put", source, "D", "--conflict", conflict, "--json"]
        dry_run, real_run = device.run(*words, "-n", expect=None), device.run(*words, expect=None)
        assert dry_run.status == real_run.status
        for name in ("files", "folders", "bytes", "skipped", "errors"):
            assert dry_run.json[name] == real_run.json[name], (conflict, name)


def test_a_dry_run_of_removing_a_received_folder_says_that_it_would_be_left(cloud: Cloud, tmp_path: Path) -> None:
    owner, guest = cloud.ready("fred"), cloud.ready("gwen")
    filled(owner, tmp_path)
    owner.run("share", "D", "gwen")
    before = state(guest, "D")
    told = guest.run("rm", "-r", "D", "-n")
    assert told.out == "leave: /D (it stays as it is for fred and the other members)\n"
    assert "You left" not in told.err
    (one,) = guest.run("rm", "-r", "D", "-n", "--json").json["removed"]
    assert one == {
        "path": "/D", "is_folder": True, "is_root": True, "left_to": "fred", "dry_run": True, "files": 0,
    }  # fmt: skip
    assert state(guest, "D") == before
    assert "You left /D" in guest.run("rm", "-r", "D").err
    guest.run("ls", "D", expect=4)

"""An administrator restores an older backup: every device says so, a person decides, and nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.cli_world import Cloud, Device
from tests.e2e.server_process import run_server, serving


@contextmanager
def cloud_on(data: Path, folder: Path, url: str = "") -> Iterator[Cloud]:
    options = ["--listen", urlsplit(url).netloc] if url else []
    with serving(data, *options) as server:
        yield Cloud(server.url, data, folder)


def content(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and not str(path.relative_to(root)).startswith(".candado")
    }


@dataclass
class Scene:
    """A server that was restored from before alice's second sync, and her two devices, which saw it."""

    cloud: Cloud
    laptop: Device
    phone: Device
    here: Path
    there: Path


def refused(device: Device, *words: str | Path) -> dict[str, Any]:
    error: dict[str, Any] = device.run(*words, "--json", expect=14).json["error"]
    return error


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    data, backup, restored = tmp_path / "data", tmp_path / "backup", tmp_path / "restored"
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "sub").mkdir(parents=True)
    for name in ("kept", "changed", "deleted", "sub/deep"):
        (here / name).write_text(f"first {name}")
    run_server("init", "--data", str(data))
    with cloud_on(data, tmp_path) as cloud:
        laptop = cloud.ready("alice")
        phone = cloud.further("alice")
        laptop.run("sync", here, "My Docs", "--encrypt")
        phone.run("sync", there, "My Docs")
        run_server("backup", str(backup), "--data", str(data))
        (here / "changed").write_text("second changed")
        (here / "sub" / "new").write_text("new since")
        (here / "sub2").mkdir()
        (here / "sub2" / "newer").write_text("in a new folder")
        (here / "deleted").unlink()
        laptop.run("sync", here, "My Docs")
        phone.run("sync", there, "My Docs")
    told = run_server("restore", str(backup), "--verify", "--data", str(restored)).stdout
    assert "candado trust forget --folder" in told
    with cloud_on(restored, tmp_path, cloud.url) as again:
        yield Scene(again, laptop, phone, here, there)


def test_an_older_backup_is_refused_until_a_person_decides_and_then_nothing_is_lost(scene: Scene) -> None:
    laptop, phone, here, there = scene.laptop, scene.phone, scene.here, scene.there
    before = content(here)
    for words in (("ls", "My Docs"), ("sync", here, "My Docs"), ("put", here / "kept", "My Docs/x")):
        error = refused(laptop, *words)
        assert error["code"] == "COUNTER_ROLLBACK"
        assert "on another channel" in error["hint"]
        assert "`candado trust forget --folder '/My Docs'`" in error["hint"]
    assert content(here) == before
    assert "trust forget --folder '/My Docs'" in laptop.run("issues").out
    # Not by itself, and not in passing.
    laptop.run("trust", "forget", "--folder", "My Docs", expect=2)
    assert refused(laptop, "ls", "My Docs")["code"] == "COUNTER_ROLLBACK"

    laptop.run("trust", "forget", "--folder", "My Docs", "--yes")
    plan = laptop.run("sync", here, "My Docs", "--dry-run", "--json").json
    assert plan["deleted"] == 0
    done = laptop.run("sync", here, "My Docs", "--json", expect=5).json
    assert (done["deleted"], done["downloaded"], done["conflicts"], done["errors"]) == (0, 2, 1, [])
    after = content(here)
    copies = [name for name in after if "conflicted copy" in name]
    assert {after.pop("changed"), after.pop(copies[0])} == {"first changed", "second changed"}
    assert after == {
        "kept": "first kept",
        "deleted": "first deleted",
        "sub/deep": "first sub/deep",
        "sub/new": "new since",
        "sub2/newer": "in a new folder",
    }
    assert laptop.run("sync", here, "My Docs", "--json").json["uploaded"] == 0
    assert [row for row in laptop.run("issues", "--json").json["issues"] if row["severity"] == "refused"] == []

    # The other device decides for itself.
    assert refused(phone, "sync", there, "My Docs")["code"] in ("COUNTER_ROLLBACK", "FORK")
    phone.run("trust", "forget", "--folder", "My Docs", "--yes")
    phone.run("sync", there, "My Docs", expect=5)
    laptop.run("sync", here, "My Docs")
    assert content(there) == content(here)
    assert content(here).items() >= after.items()


def test_a_pair_with_a_nested_folder_begins_anew_too(scene: Scene, tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    laptop = scene.laptop
    error = refused(laptop, "sync", deep, "My Docs/sub")
    assert "--folder '/My Docs'" in error["hint"]
    laptop.run("trust", "forget", "--folder", "My Docs", "--yes")
    laptop.run("sync", deep, "My Docs/sub")
    assert content(deep) == {"deep": "first sub/deep"}
    (deep / "new").write_text("only here")
    laptop.run("trust", "forget", "--folder", "My Docs", "--yes")
    assert laptop.run("sync", deep, "My Docs/sub", "--json").json["uploaded"] == 1
    assert laptop.run("cat", "My Docs/sub/new").out == "only here"


def test_a_folder_made_after_the_backup_is_made_anew_from_local_files(tmp_path: Path) -> None:
    data, backup, restored = tmp_path / "data", tmp_path / "backup", tmp_path / "restored"
    here = tmp_path / "here"
    here.mkdir()
    (here / "a").write_text("a")
    run_server("init", "--data", str(data))
    with cloud_on(data, tmp_path) as cloud:
        device = cloud.ready("bert")
        device.run("encrypt", "Old")
        run_server("backup", str(backup), "--data", str(data))
        device.run("sync", here, "Late", "--encrypt")
        device.run("rm", "-r", "Old")
    run_server("restore", str(backup), "--data", str(restored))
    with cloud_on(restored, tmp_path, cloud.url):
        device.run("encrypt", "Another")  # may not get the number that Late had
        assert refused(device, "sync", here, "Late", "--encrypt")["code"] == "UNSIGNED_DELETION"
        device.run("trust", "forget", "--folder", "Late", "--yes")
        assert device.run("sync", here, "Late", "--encrypt", "--json").json["uploaded"] == 1
        assert content(here) == {"a": "a"}
        # Its signed deletion is not part of the backup.
        assert "--folder /Old" in refused(device, "ls", "Old")["hint"]
        device.run("trust", "forget", "--folder", "Old", "--yes")
        device.run("ls", "Old")

"""The modes of ``sync`` do what its help and the manual say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, Device, running_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def texts(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.iterdir() if path.is_file()}


def _diverged(device: Device, root: Path, name: str) -> tuple[Path, Path]:
    """Two local folders of one pair: the first has changes of its own, the other's were synced."""
    here, other = root / "here", root / "other"
    here.mkdir()
    for file in ("mine", "theirs", "both", "gone-here", "gone-there", "same", "same-2", "same-3", "same-4"):
        (here / file).write_text(file)
    device.run("sync", here, name, "--encrypt")
    device.run("sync", other, name)
    for root_, own in ((here, "mine"), (other, "theirs")):
        (root_ / own).write_text(f"{own} changed")
        (root_ / "both").write_text(f"both, by the side of {own}")
        (root_ / f"new-{own}").write_text("new")
    (here / "gone-here").unlink()
    (other / "gone-there").unlink()
    device.run("sync", other, name)
    return here, other


def test_a_push_carries_only_what_changed_here(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("paula")
    here, other = _diverged(device, tmp_path, "Push")
    before = texts(here)
    report = device.run("sync", here, "Push", "--mode", "push", "--json", expect=3).json
    assert [error["path"] for error in report["errors"]] == ["both"]
    assert texts(here) == before
    device.run("sync", other, "Push")
    assert texts(other) == {
        "mine": "mine changed",
        "theirs": "theirs changed",
        "both": "both, by the side of theirs",
        "new-mine": "new",
        "new-theirs": "new",
        **{name: name for name in ("same", "same-2", "same-3", "same-4")},
    }


def test_a_pull_carries_only_what_changed_there(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("pepe")
    here, other = _diverged(device, tmp_path, "Pull")
    before = texts(other)
    device.run("sync", here, "Pull", "--mode", "pull", expect=5)
    found = texts(here)
    (copy,) = [name for name in found if "conflicted copy" in name]
    assert found.pop(copy) == "both, by the side of mine"
    assert found == {
        "mine": "mine changed",
        "theirs": "theirs changed",
        "both": "both, by the side of theirs",
        "new-mine": "new",
        "new-theirs": "new",
        **{name: name for name in ("same", "same-2", "same-3", "same-4")},
    }
    device.run("sync", other, "Pull")
    assert texts(other) == before
    for path in list(here.iterdir()):
        if path.is_file():
            path.unlink()
    for path in sorted(here.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    device.run("sync", here, "Pull", "--mode", "pull")
    assert texts(here) == before


def test_the_help_of_sync_does_not_promise_more_than_its_modes_do(cloud: Cloud) -> None:
    told = " ".join(cloud.device("nobody").run("sync", "--help").out.split())
    assert "decides" not in told
    assert "push: only changes made in LOCAL travel; pull: only those made in REMOTE" in told

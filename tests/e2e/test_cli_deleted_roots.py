"""Roots that are deleted, half deleted or left, typed as people type it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import PYTHON, Cloud, Device, running_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def gina(cloud: Cloud) -> Device:
    return cloud.ready("gina")


@pytest.fixture(scope="module")
def frank(cloud: Cloud) -> Device:
    return cloud.ready("frank")


_HALF = """
from candado.client import edit, session
async def half(reader, root):
    async with session.WriteSession(reader, root.path, deletes=True) as writing:
        writing.delete_root(remove=False)
edit.remove_root = half
from candado.apps.cli import main
main()
"""


def _delete_half(device: Device, folder: str) -> None:
    """``rm -r`` that ends after the deletion was signed, as a killed command or another app may leave it."""
    words = [PYTHON, "-c", _HALF, "rm", "-r", folder, "--yes"]
    subprocess.run(words, env=device.environment, capture_output=True, timeout=60, check=True)


def test_a_root_that_is_half_deleted_takes_nothing_and_its_owner_gets_out(
    cloud: Cloud, gina: Device, tmp_path: Path
) -> None:
    here = tmp_path / "g z"
    here.mkdir()
    (here / "old").write_text("old")
    gina.run("sync", here, "Z", "--encrypt")
    _delete_half(cloud.further("gina"), "Z")
    assert gina.run("sync", here, "Z", "--json").json["deleted"] == 1
    (here / "new").write_text("new")
    for _ in range(2):
        told = gina.run("sync", here, "Z", "--json", expect=3).json
        assert (told["uploaded"], told["deleted"], told["errors"][0]["code"]) == (0, 0, "ROOT_DELETED")
    assert (here / "new").read_text() == "new"
    (issue,) = [one for one in gina.run("issues", "--json").json["issues"] if one["code"] == "ROOT_DELETED"]
    assert issue["path"] == "/Z"
    for words in (["put", here / "new", "Z"], ["encrypt", "Z"], ["mkdir", "Z/a"], ["share", "Z", "gina2"]):
        error = gina.run(*words, "--json", expect=4).json["error"]
        assert (error["code"], "candado rm -r /Z" in error["hint"]) == ("ROOT_DELETED", True), words
    gina.run("rm", "-r", "Z", "--yes")
    assert gina.run("sync", here, "Z", "--encrypt", "--json").json["uploaded"] == 1
    assert gina.run("ls", "Z").out.split() == ["new"]
    assert [one["code"] for one in gina.run("issues", "--json").json["issues"] if one["severity"] == "problem"] == []


def test_a_guest_who_removes_a_shared_folder_leaves_it_and_nobody_else_notices(
    gina: Device, frank: Device, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("a")
    gina.run("encrypt", "G")
    gina.run("put", tmp_path / "a", "G")
    gina.run("share", "G", "frank")
    assert frank.run("ls", "G").out.split() == ["a"]
    done = frank.run("rm", "-r", "G")
    assert "You left /G; it stays as it is for gina" in done.err
    frank.run("ls", "G", expect=4)
    assert frank.run("unlock", "--json").json["freed"] == []
    assert gina.run("ls", "G").out.split() == ["a"]
    gina.run("share", "G", "frank")
    assert frank.run("cat", "G/a").out == "a"
    assert frank.run("rm", "-r", "G", "--yes", "--json").json["removed"][0]["left_to"] == "gina"
    frank.run("encrypt", "G")
    gina.run("rm", "-r", "G", "--yes")
    gina.run("encrypt", "G")


def test_a_root_that_another_device_removed_is_told_with_a_command_that_can_be_typed(
    cloud: Cloud, gina: Device
) -> None:
    other = cloud.further("gina")
    gina.run("encrypt", "Two words")
    other.run("ls", "Two words")
    gina.run("rm", "-r", "Two words", "--yes")
    error = other.run("ls", "Two words", "--json", expect=14).json["error"]
    assert (error["code"], "this device has seen no signed deletion" in error["message"]) == ("UNSIGNED_DELETION", True)
    assert "`candado trust forget --folder '/Two words'`" in error["hint"]
    other.run("trust", "forget", "--folder", "/Two words", "--yes")
    other.run("encrypt", "Two words")


def test_push_from_a_local_folder_that_does_not_exist_is_a_mistake_and_makes_nothing(
    gina: Device, tmp_path: Path
) -> None:
    typo = tmp_path / "typo"
    for more in ([], ["--encrypt"], ["--dry-run"]):
        error = gina.run("sync", typo, "Pushed", "--mode", "push", *more, "--json", expect=4).json["error"]
        assert (error["code"], error["path"]) == ("NOT_FOUND", str(typo))
        assert "--mode push" in error["hint"]
        assert not typo.exists()
    gina.run("ls", "Pushed", expect=4)
    gina.run("sync", typo, "Pushed", "--encrypt")
    assert typo.is_dir()
    typo.rmdir()
    gina.run("sync", typo, "Pushed", "--mode", "pull")
    assert typo.is_dir()

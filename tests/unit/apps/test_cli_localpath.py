"""What a person typed as a local path: what is not there, cannot be looked at, or is no file."""

import os
from pathlib import Path
from typing import Any

import pytest

from candado.apps.cli.localpath import download_target, is_folder, upload_source
from candado.errors import LocalPermissionError, LocalStorageError, NotFoundError, UsageError


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this user may not look into."""
    folder = tmp_path / "closed"
    folder.mkdir()
    really = os.stat

    def refusing(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(f"{folder}/"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *args, **options)

    monkeypatch.setattr("os.stat", refusing)
    return folder


def test_a_path_that_cannot_be_looked_at_is_a_matter_of_permission(closed: Path) -> None:
    for call in (
        lambda: upload_source(str(closed / "x")),
        lambda: download_target(str(closed / "x"), "name"),
        lambda: is_folder(closed / "x"),
    ):
        with pytest.raises(LocalPermissionError) as caught:
            call()
        assert caught.value.path == str(closed / "x")


def test_what_is_neither_file_nor_folder_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a regular file nor a folder") as caught:
        upload_source(os.devnull)
    assert (caught.value.path, "put -" in caught.value.advice) == (os.devnull, True)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(LocalStorageError):
        upload_source(str(tmp_path / "circle"))


def test_files_and_folders_are_found_through_links(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert upload_source(str(tmp_path / "folder")) == (tmp_path / "folder", True)
    assert upload_source(str(tmp_path / "link")) == (tmp_path / "file", False)
    for absent in ("none", "file/none"):
        with pytest.raises(NotFoundError):
            upload_source(str(tmp_path / absent))


def test_a_download_goes_into_a_folder_or_takes_the_given_name(tmp_path: Path) -> None:
    assert download_target(str(tmp_path), "name") == tmp_path / "name"
    assert download_target(str(tmp_path / "new"), "name") == tmp_path / "new"
    with pytest.raises(NotFoundError) as caught:
        download_target(str(tmp_path / "none" / "new"), "name")
    assert caught.value.path == str(tmp_path / "none")

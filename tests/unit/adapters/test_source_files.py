"""Files of somebody else: read in place, no link followed, nothing but the expected taken from a tar."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from candado.adapters import source_files
from candado.adapters.bundle_tar import pack_bundle
from candado.adapters.source_files import SourceFolder, SourceTar, open_source
from candado.client.bundle_reader import read_whole
from candado.errors import AlreadyExistsError, LimitExceededError, MalformedError, NotFoundError
from candado.formats.bundle import is_member_name
from candado.ports.bundle import SourceFiles

FILES = {
    "candado-bundle.json": b"manifest",
    "candado-bundle.sig": b"signature",
    "index.jsonl": b"",
    "documents/7.json": b"{}",
    "bodies/7/abc": bytes(1000),
}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def content(source: SourceFiles) -> dict[str, bytes | None]:
    return {fact.name: read_whole(source, fact.name, bytes_max=10**6) for fact in source.facts()}


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 3, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


def test_a_folder_and_the_tar_made_of_it_read_the_same(tmp_path: Path) -> None:
    folder = fill(tmp_path / "bundle", {**FILES, "unfinished.json": b"x", "partial/0": b"y"})
    os.utime(folder / "bodies/7/abc", (1_600_000_000, 1_600_000_000))
    source = open_source(folder, expected=is_member_name)
    assert {name: data for name, data in content(source).items() if is_member_name(name)} == FILES
    pack_bundle(folder, tmp_path / "bundle.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar"]
    packed = open_source(tmp_path / "bundle.tar", expected=is_member_name)
    assert content(packed) == FILES
    assert {fact.name: fact.mtime_seconds for fact in packed.facts()}["bodies/7/abc"] == 1_600_000_000
    assert packed.open("bodies/7/other") is None
    packed.close()
    packed.close()


def test_packing_never_replaces_anything(tmp_path: Path) -> None:
    folder = fill(tmp_path / "bundle", FILES)
    (tmp_path / "bundle.tar").write_bytes(b"mine")
    with pytest.raises(AlreadyExistsError):
        pack_bundle(folder, tmp_path / "bundle.tar")
    assert (tmp_path / "bundle.tar").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "bundle.tar"]


def test_links_and_special_files_of_a_folder_are_not_there(tmp_path: Path) -> None:
    folder = fill(tmp_path / "bundle", {"real": b"1", "in/real": b"2"})
    (folder / "link").symlink_to(folder / "real")
    (folder / "linked").symlink_to(folder / "in")
    os.mkfifo(folder / "pipe")
    source = SourceFolder(folder)
    assert content(source) == {"real": b"1", "in/real": b"2"}
    for name in ("link", "linked/real", "pipe", "in", "none", "none/x", "real/x"):
        assert source.open(name) is None
    source.close()


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_source(tmp_path / "none", expected=is_member_name)


def test_folders_are_bounded_in_number_and_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "a", {"b/c/d": b"1", "e": b"2"})
    monkeypatch.setattr(source_files, "_DEPTH_MAX", 1)
    with pytest.raises(LimitExceededError):
        list(SourceFolder(folder).facts())
    monkeypatch.setattr(source_files, "_DEPTH_MAX", 300)
    monkeypatch.setattr(source_files, "_FILES_MAX", 3)
    with pytest.raises(LimitExceededError):
        list(SourceFolder(folder).facts())


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("/etc/passwd"),
        member("index.jsonl/x"),
        member("notes.txt"),
        member("bodies/7/abc", tarfile.SYMTYPE, 0, "/etc/passwd"),
        member("bodies/7/abc", tarfile.LNKTYPE, 0, "index.jsonl"),
        member("bodies/7/abc", tarfile.DIRTYPE, 0),
        member("bodies/7/abc", tarfile.FIFOTYPE, 0),
        member("bodies/7/abc", tarfile.CHRTYPE, 0),
        member("bodies/7/" + "a" * 64 + "b"),
        member("index.jsonl"),
    ],
)
def test_a_tar_with_anything_else_in_it_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    good = tar_of(tmp_path / "good.tar", member("index.jsonl"), member("bodies/7/" + "a" * 64))
    SourceTar(good, expected=is_member_name).close()
    path = tar_of(tmp_path / "bad.tar", member("index.jsonl"), bad)
    with pytest.raises(MalformedError):
        SourceTar(path, expected=is_member_name)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:1024],
        lambda data: data[:700],
        lambda data: b"x" + data[1:],
        lambda data: data[:124] + b"77777777777\0" + data[136:],
        lambda data: b"\xff" * 512 + data[512:],
        lambda _: b"",
    ],
)
def test_a_damaged_tar_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tar_of(tmp_path / "a.tar", member("index.jsonl", size=600))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(MalformedError):
        SourceTar(path, expected=is_member_name)


def test_members_of_a_tar_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar_of(tmp_path / "a.tar", member("index.jsonl"), member("bodies/7/a"))
    monkeypatch.setattr(source_files, "_FILES_MAX", 1)
    with pytest.raises(LimitExceededError):
        SourceTar(path, expected=is_member_name)


def test_a_lenient_reader_takes_a_tar_as_far_as_it_goes_and_passes_over_the_rest(tmp_path: Path) -> None:
    bad = member("../outside"), member("bodies/7/l", tarfile.SYMTYPE, 0, "/etc/passwd")
    path = tar_of(tmp_path / "a.tar", member("documents/7.json"), *bad, member("bodies/7/a"), member("bodies/7/b"))
    path.write_bytes(path.read_bytes()[: 9 * 512])
    with pytest.raises(MalformedError, match="not a whole bundle"):
        SourceTar(path, expected=is_member_name)
    source = SourceTar(path, expected=is_member_name, lenient=True)
    assert content(source) == {"documents/7.json": bytes(3), "bodies/7/a": bytes(3), "bodies/7/b": bytes(3)}
    source.close()
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(MalformedError, match="no tar file"):
        SourceTar(path, expected=is_member_name, lenient=True)

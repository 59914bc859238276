"""The contract of LocalTree, on the real disk."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sim import FakeClock

from candado.adapters.disk import DiskTree
from candado.errors import (
    AlreadyExistsError,
    DiskFullError,
    FileChangedError,
    LocalNameError,
    LocalPermissionError,
    LocalStorageError,
    MisuseError,
)
from candado.ports.client import LocalStat

LONG = b"longer than what waits in memory" * 2200


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Iterator[DiskTree]:
    made = DiskTree(root, quarantine=tmp_path / "quarantine", clock=FakeClock())
    yield made
    made.close()


def _publish(
    tree: DiskTree, path: str, content: bytes, expected: LocalStat | None = None, mtime: float = 1e9
) -> LocalStat:
    spool = tree.open_spool()
    spool.write(content)
    (result,) = tree.publish([(spool, path, mtime, expected)])
    if isinstance(result, Exception):
        spool.discard()
        raise result
    return result


def _fill_the_disk_under(spool_folder: Path) -> None:
    """Let the kernel refuse every further byte for the spools that are open now: behind them is a full device."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        for link in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                if Path(os.readlink(link)).parent.parent == spool_folder:
                    os.dup2(full, int(link.name))
    finally:
        os.close(full)


def _visible(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not str(path.relative_to(root)).startswith(".candado")
    }


def test_a_scan_lists_files_and_folders_with_their_facts(tree: DiskTree, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "x.txt").write_bytes(b"hello")
    os.utime(root / "a" / "x.txt", ns=(5, 1_700_000_000_123_456_789))
    found = tree.scan()
    assert sorted(found) == ["a", "a/b", "a/x.txt"]
    facts = found["a/x.txt"]
    assert (facts.is_folder, facts.size_bytes, facts.mtime_ns, facts.inode) == (
        False, 5, 1_700_000_000_123_456_789, (root / "a" / "x.txt").stat().st_ino,
    )  # fmt: skip
    assert tree.stat("a/x.txt") == facts
    assert tree.stat("a/none") is None
    assert tree.stat("none/none") is None
    assert tree.skipped() == []


def test_links_special_files_and_foreign_names_are_left_out_and_named(
    tree: DiskTree, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (root / "to-folder").symlink_to(tmp_path / "outside")
    (root / "to-file").symlink_to(tmp_path / "outside" / "secret")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"latin-\xe9")).write_text("x")
    (root / "file~").write_text("x")
    (root / ".DS_Store").write_text("x")
    (root / "plain").write_text("x")
    assert list(tree.scan()) == ["plain"]
    assert sorted((one.path, one.reason) for one in tree.skipped()) == [
        (".DS_Store", "ignored"),
        ("dangling", "a link"),
        ("file~", "ignored"),
        ("latin-\\udce9", "the name is not UTF-8"),
        ("pipe", "not a regular file"),
        ("to-file", "a link"),
        ("to-folder", "a link"),
    ]
    assert [one.path for one in tree.skipped() if one.error is not None] == ["latin-\\udce9"]


def test_ignore_files_hold_below_their_folder_and_inner_ones_win(tree: DiskTree, root: Path) -> None:
    (root / "sub" / "build").mkdir(parents=True)
    (root / "build").mkdir()
    (root / ".candadoignore").write_text("*.log\nbuild/\n# comment\n!keep~\n")
    (root / "sub" / ".candadoignore").write_text("!important.log\n")
    (root / ".sync-exclude.lst").write_text("]*.part\n!odd\n")
    for name in ("a.log", "keep~", "x.part", "!odd", "sub/b.log", "sub/important.log", "sub/build/x", "build/x", "ok"):
        (root / name).write_text("x")
    assert sorted(tree.scan()) == [".candadoignore", ".sync-exclude.lst", "keep~", "ok", "sub", "sub/.candadoignore",
                                   "sub/important.log"]  # fmt: skip
    assert sorted((one.path, one.reason) for one in tree.skipped()) == [
        ("!odd", "ignored"), ("a.log", "ignored"), ("build", "ignored"), ("sub/b.log", "ignored"),
        ("sub/build", "ignored"), ("x.part", "ignored"),
    ]  # fmt: skip


def _refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the folder of this name be one that this user may not open."""
    really = os.open

    def refusing(path: str, *args: int, **options: int) -> int:
        if path == name:
            raise PermissionError(13, "Permission denied", path)
        return really(path, *args, **options)

    monkeypatch.setattr("candado.adapters.disk_scan.os.open", refusing)


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_scanned(
    tree: DiskTree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "open" / "closed").mkdir(parents=True)
    (root / "open" / "file").write_text("x")
    _refuse(monkeypatch, "closed")
    assert sorted(tree.scan()) == ["open", "open/closed", "open/file"]
    ((path, error),) = [(one.path, one.error) for one in tree.skipped()]
    assert (path, type(error)) == ("open/closed", LocalPermissionError)
    assert error is not None
    assert error.path == "open/closed"


def test_of_a_folder_with_an_ignore_file_that_cannot_be_read_nothing_is_used(
    tree: DiskTree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "sub").mkdir()
    (root / "sub" / ".candadoignore").write_text("*.log\n")
    (root / "sub" / "a.log").write_text("x")
    _refuse(monkeypatch, ".candadoignore")
    assert list(tree.scan()) == ["sub"]
    assert [one.path for one in tree.skipped()] == ["sub"]
    (root / ".candadoignore").write_text("")
    with pytest.raises(LocalPermissionError):
        tree.scan()


def test_a_published_file_has_its_content_time_and_mode(tree: DiskTree, root: Path) -> None:
    tree.make_folder("deep/er")
    facts = _publish(tree, "deep/er/new.bin", b"x" * 100_000, mtime=1_234_567_890.5)
    assert _visible(root) == {"deep/er/new.bin": b"x" * 100_000}
    assert facts == tree.stat("deep/er/new.bin")
    assert facts.mtime_ns == 1_234_567_890_500_000_000
    assert tree.scan()["deep/er/new.bin"] == facts


def test_nothing_is_visible_before_publish_and_nothing_stays_after_discard(tree: DiskTree, root: Path) -> None:
    spool = tree.open_spool()
    spool.write(LONG)
    assert _visible(root) == {}
    assert tree.scan() == {}
    (work,) = [path for path in root.iterdir() if path.name.startswith(".candado-tmp-")]
    assert (work.stat().st_mode & 0o777, [p.stat().st_mode & 0o777 for p in work.iterdir()]) == (0o700, [0o600])
    spool.discard()
    spool.discard()
    assert list(work.iterdir()) == []
    tree.close()
    assert list(root.iterdir()) == []


def test_publish_never_overwrites_what_appeared_meanwhile(tree: DiskTree, root: Path) -> None:
    (root / "there").write_bytes(b"theirs")
    (root / "link").symlink_to("there")
    for path in ("there", "link"):
        with pytest.raises(FileChangedError):
            _publish(tree, path, b"ours")
    assert _visible(root) == {"there": b"theirs", "link": b"theirs"}


def test_publish_replaces_only_what_is_expected_and_keeps_the_old_in_the_trash(tree: DiskTree, root: Path) -> None:
    first = _publish(tree, "file", b"first")
    second = _publish(tree, "file", b"second", first)
    assert _visible(root) == {"file": b"second"}
    with pytest.raises(FileChangedError):
        _publish(tree, "file", b"third", first)
    (root / "file").write_bytes(b"edited by the person")
    with pytest.raises(FileChangedError):
        _publish(tree, "file", b"third", second)
    assert _visible(root) == {"file": b"edited by the person"}
    (root / "file").unlink()
    with pytest.raises(FileChangedError):
        _publish(tree, "file", b"third", second)
    assert [path.read_bytes() for path in (root / ".candado-trash").rglob("file")] == [b"first"]


def test_one_bad_item_does_not_stop_the_others(tree: DiskTree, root: Path) -> None:
    (root / "taken").write_bytes(b"theirs")
    spools = []
    for content in (b"1", b"2", b"3", b"4", b"5"):
        spools.append(tree.open_spool())
        spools[-1].write(content)
    paths = ["a", "taken", "no folder/b", "c", ".candado-trash"]
    results = tree.publish([(spool, path, 1e9, None) for spool, path in zip(spools, paths, strict=True)])
    assert [type(result).__name__ for result in results] == [
        "LocalStat", "FileChangedError", "FileChangedError", "LocalStat", "LocalNameError",
    ]  # fmt: skip
    assert _visible(root) == {"a": b"1", "taken": b"theirs", "c": b"4"}


@pytest.mark.parametrize("padding", [b"", LONG])
def test_hundreds_of_spools_can_wait_for_one_publish(tree: DiskTree, root: Path, padding: bytes) -> None:
    spools = [tree.open_spool() for _ in range(600)]
    for number, spool in enumerate(spools):
        spool.write(padding + f"{number}".encode())
    for number, spool in enumerate(spools):
        spool.write(f" {number}".encode())
    results = tree.publish([(spool, f"f{number}", 1e9, None) for number, spool in enumerate(spools)])
    assert not [result for result in results if isinstance(result, Exception)]
    assert _visible(root) == {f"f{number}": padding + f"{number} {number}".encode() for number in range(600)}


def test_a_small_spool_that_is_discarded_leaves_nothing_and_cannot_be_used_again(tree: DiskTree, root: Path) -> None:
    spool = tree.open_spool()
    spool.write(b"small")
    spool.discard()
    with pytest.raises(MisuseError):
        spool.write(b"more")
    (result,) = tree.publish([(tree.open_spool(), "empty", 1e9, None)])
    assert isinstance(result, LocalStat)
    assert _visible(root) == {"empty": b""}
    tree.close()
    assert [path.name for path in root.iterdir()] == ["empty"]


def test_short_and_long_writes_keep_their_order(tree: DiskTree, root: Path) -> None:
    spool = tree.open_spool()
    for piece in (b"a", b"b", LONG, b"c", memoryview(b"d")):
        spool.write(piece)
    tree.publish([(spool, "f", 1e9, None)])
    assert _visible(root) == {"f": b"ab" + LONG + b"cd"}


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../x", "", ".", "a//b", "a/\x00", ".candado-tmp-1/x", "..", "a/."]
)
def test_no_path_leads_out_of_the_root_or_into_our_own_folders(tree: DiskTree, root: Path, path: str) -> None:
    (root / "a").mkdir()
    for act in (
        lambda: tree.stat(path) and pytest.fail("found something"),
        lambda: tree.open_read(path),
        lambda: tree.remove(path, LocalStat(False, 0, 0, 0)),
        lambda: tree.remove_folder(path),
        lambda: tree.move(path, "a/b"),
        lambda: tree.move("a", path),
        lambda: _publish(tree, path, b"x"),
    ):
        with pytest.raises(LocalNameError):
            act()
    assert sorted(p.name for p in root.parent.iterdir()) == ["tree"]


def test_a_link_in_the_way_is_never_followed(tree: DiskTree, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"theirs")
    (root / "link").symlink_to(outside)
    for act in (
        lambda: tree.open_read("link/file"),
        lambda: tree.make_folder("link/new"),
        lambda: tree.remove("link/file", LocalStat(False, 6, 0, 0)),
        lambda: tree.move("link/file", "stolen"),
        lambda: _publish(tree, "link/file2", b"ours"),
        lambda: _publish(tree, "link", b"ours", LocalStat(False, 0, 0, 0)),
    ):
        with pytest.raises((LocalStorageError, FileChangedError)):
            act()
    assert tree.stat("link") is None
    assert _visible(outside) == {"file": b"theirs"}


def test_a_file_is_read_to_its_end(tree: DiskTree, root: Path) -> None:
    (root / "f").write_bytes(bytes(range(256)) * 10)
    file = tree.open_read("f")
    buffer = bytearray(1000)
    pieces = []
    while count := file.read_into(memoryview(buffer)):
        pieces.append(bytes(buffer[:count]))
    assert [len(piece) for piece in pieces] == [1000, 1000, 560]
    assert b"".join(pieces) == bytes(range(256)) * 10
    file.check_unchanged()
    file.close()
    file.close()


@pytest.mark.parametrize("change", ["append", "same size", "replace", "remove", "touch"])
def test_a_file_that_changes_while_it_is_read_is_noticed(tree: DiskTree, root: Path, change: str) -> None:
    path = root / "f"
    path.write_bytes(b"12345")
    before = path.stat()
    file = tree.open_read("f")
    if change == "append":
        path.write_bytes(b"123456")
    elif change == "same size":
        path.write_bytes(b"54321")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "replace":
        (root / "new").write_bytes(b"12345")
        os.utime(root / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
        (root / "new").rename(path)
    elif change == "remove":
        path.unlink()
    else:
        os.utime(path, ns=(1, 1))
    with pytest.raises(FileChangedError):
        file.check_unchanged()
    file.close()


def test_reading_what_is_no_regular_file_is_refused(tree: DiskTree, root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    (root / "real").write_text("x")
    (root / "link").symlink_to("real")
    for name in ("pipe", "folder", "link", "absent"):
        with pytest.raises(LocalStorageError):
            tree.open_read(name)


def test_a_removed_file_lies_in_the_trash(tree: DiskTree, root: Path) -> None:
    tree.make_folder("a")
    facts = _publish(tree, "a/f", b"content")
    tree.remove("a/f", facts)
    again = _publish(tree, "a/f", b"other")
    tree.remove("a/f", again)
    assert _visible(root) == {}
    assert sorted(path.read_bytes() for path in (root / ".candado-trash").rglob("*") if path.is_file()) == [
        b"content", b"other",
    ]  # fmt: skip
    with pytest.raises(FileChangedError):
        tree.remove("a/f", facts)


def test_a_changed_file_is_not_removed(tree: DiskTree, root: Path) -> None:
    facts = _publish(tree, "f", b"content")
    (root / "f").write_bytes(b"precious")
    with pytest.raises(FileChangedError):
        tree.remove("f", facts)
    assert _visible(root) == {"f": b"precious"}


def test_the_trash_forgets_after_thirty_days(root: Path, tmp_path: Path) -> None:
    clock = FakeClock()
    tree = DiskTree(root, quarantine=tmp_path / "q", clock=clock)
    tree.remove("f", _publish(tree, "f", b"x"))
    tree.close()
    for days, left in ((29, 1), (3, 0)):
        clock.advance(days * 86400.0)
        DiskTree(root, quarantine=tmp_path / "q", clock=clock).close()
        assert len([path for path in (root / ".candado-trash").rglob("*") if path.is_file()]) == left


def test_a_move_never_overwrites(tree: DiskTree, root: Path) -> None:
    for name in ("a", "b"):
        (root / name).write_text(name)
    with pytest.raises(AlreadyExistsError):
        tree.move("a", "b")
    tree.make_folder("new")
    tree.move("a", "new/a")
    with pytest.raises(FileChangedError):
        tree.move("a", "c")
    assert _visible(root) == {"b": b"b", "new/a": b"a"}


def test_folders_are_made_and_removed(tree: DiskTree, root: Path) -> None:
    tree.make_folder("a/b/c")
    tree.make_folder("a/b/c")
    assert tree.remove_folder("a/b") is False
    assert tree.remove_folder("a/b/c") is True
    assert tree.remove_folder("a/b/c") is True
    (root / "file").write_text("x")
    for name in ("file", "file/below"):
        with pytest.raises(LocalStorageError):
            tree.make_folder(name)
    with pytest.raises(LocalStorageError):
        tree.remove_folder("file")
    assert sorted(tree.scan()) == ["a", "a/b", "file"]


def test_a_quarantined_download_lies_outside_the_tree_with_its_reason(
    tree: DiskTree, root: Path, tmp_path: Path
) -> None:
    spool = tree.open_spool()
    spool.write(b"unverified")
    kept = Path(tree.quarantine(spool, "dir/../pass\x1bport.pdf", "the tag is wrong"))
    spool.discard()
    assert kept.parent == tmp_path / "quarantine"
    assert kept.name.endswith("-pass_port.pdf")
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (b"unverified", 0o600)
    assert kept.with_name(kept.name + ".reason.txt").read_text() == "dir/../pass\x1bport.pdf\nthe tag is wrong\n"
    assert _visible(root) == {}


def test_left_spools_of_a_dead_process_are_removed_but_not_those_of_a_living_one(root: Path, tmp_path: Path) -> None:
    living = DiskTree(root, quarantine=tmp_path / "q", clock=FakeClock())
    living.open_spool().write(LONG)
    dead = root / ".candado-tmp-dead"
    dead.mkdir()
    (dead / "00000000").write_bytes(b"plaintext")
    DiskTree(root, quarantine=tmp_path / "q", clock=FakeClock()).close()
    (left,) = root.iterdir()
    assert [path.read_bytes() for path in left.iterdir()] == [LONG]
    living.close()
    assert list(root.iterdir()) == []


def test_a_spool_is_of_no_use_after_its_end(tree: DiskTree) -> None:
    spool = tree.open_spool()
    spool.discard()
    with pytest.raises(MisuseError):
        spool.write(b"x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_told_and_leaves_the_old_file_and_nothing_half_written(tree: DiskTree, root: Path) -> None:
    known = _publish(tree, "a.txt", b"old")
    spool = tree.open_spool()
    spool.write(LONG)
    _fill_the_disk_under(root)
    with pytest.raises(DiskFullError) as caught:
        spool.write(b"the second piece")
    assert caught.value.code == "DISK_FULL"
    spool.discard()
    assert _visible(root) == {"a.txt": b"old"}
    assert [path for room in root.glob(".candado-tmp-*") for path in room.iterdir()] == []
    _publish(tree, "a.txt", b"new", known)
    assert _visible(root) == {"a.txt": b"new"}
    tree.close()
    assert list(root.glob(".candado-tmp-*")) == []

"""The folder that recovered files go to: POSIX and everywhere else keep one contract."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.sim.ambient import FakeClock

from candado.adapters.disk import DiskTree
from candado.adapters.plain_tree import PlainTree
from candado.errors import CandadoError, FileChangedError, LocalNameError, LocalStorageError, MisuseError
from candado.ports.bundle import RecoveryTree
from candado.ports.local import LocalStat

Make = Callable[[Path], RecoveryTree]


def disk(root: Path) -> RecoveryTree:
    return DiskTree(root, quarantine=root.parent / "quarantine", clock=FakeClock())


@pytest.fixture(params=[disk, PlainTree], ids=["disk", "plain"])
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


@pytest.fixture
def tree(make: Make, tmp_path: Path) -> Iterator[RecoveryTree]:
    tree = make(tmp_path / "root")
    yield tree
    tree.close()
    tree.close()


def put(tree: RecoveryTree, path: str, data: bytes, expected: LocalStat | None = None) -> LocalStat | Exception:
    spool = tree.open_spool()
    spool.write(data)
    (result,) = tree.publish([(spool, path, 1_600_000_000.0, expected)])
    if isinstance(result, Exception):
        spool.discard()
    return result


def read(tree: RecoveryTree, path: str) -> bytes:
    file = tree.open_read(path)
    try:
        buffer = memoryview(bytearray(file.stat.size_bytes + 1))
        data = bytes(buffer[: file.read_into(buffer)])
        assert file.read_into(buffer) == 0
        file.check_unchanged()
    finally:
        file.close()
        file.close()
    return data


def test_a_file_appears_whole_with_its_time(tree: RecoveryTree, tmp_path: Path) -> None:
    tree.make_folder("a/b")
    result = put(tree, "a/b/c", b"content")
    assert isinstance(result, LocalStat)
    assert (result.size_bytes, result.mtime_ns, result.is_folder) == (7, 1_600_000_000 * 10**9, False)
    assert tree.stat("a/b/c") == result
    assert read(tree, "a/b/c") == b"content"
    folder = tree.stat("a/b")
    assert folder is not None
    assert folder.is_folder
    assert (tmp_path / "root/a/b/c").read_bytes() == b"content"


def test_nothing_is_replaced_that_is_not_expected(tree: RecoveryTree) -> None:
    first = put(tree, "a", b"first")
    assert isinstance(first, LocalStat)
    assert isinstance(put(tree, "a", b"second"), FileChangedError)
    assert read(tree, "a") == b"first"
    assert isinstance(put(tree, "a", b"second", first), LocalStat)
    assert read(tree, "a") == b"second"
    assert isinstance(put(tree, "a", b"third", first), FileChangedError)
    assert read(tree, "a") == b"second"


def test_what_was_replaced_is_kept(tree: RecoveryTree, tmp_path: Path) -> None:
    for number in range(3):
        stat = tree.stat("a")
        assert isinstance(put(tree, "a", b"%d" % number, stat), LocalStat)
    new = tmp_path / "root" / "a"
    kept = [path.read_bytes() for path in (tmp_path / "root").rglob("*") if path.is_file() and path != new]
    assert sorted(kept) == [b"0", b"1"]


def test_links_are_not_followed(tree: RecoveryTree, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"mine")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "file").symlink_to(tmp_path / "outside" / "file")
    with pytest.raises(LocalStorageError):
        tree.make_folder("link/deeper")
    for path in ("link/new", "file"):
        assert isinstance(put(tree, path, b"x"), CandadoError)
    with pytest.raises(CandadoError):
        tree.open_read("file")
    assert tree.stat("file") is None
    assert {path.name: path.read_bytes() for path in (tmp_path / "outside").iterdir()} == {"file": b"mine"}


def test_a_file_is_no_folder(tree: RecoveryTree) -> None:
    put(tree, "a", b"x")
    with pytest.raises(LocalStorageError):
        tree.make_folder("a/b")
    assert isinstance(put(tree, "a/b", b"x"), CandadoError)


@pytest.mark.parametrize("path", ["..", "a/../b", "a//b", "", ".", "a/."])
def test_no_path_leads_outside(tree: RecoveryTree, path: str) -> None:
    tree.make_folder("a")
    spool = tree.open_spool()
    (result,) = tree.publish([(spool, path, 0.0, None)])
    assert isinstance(result, LocalNameError)
    spool.discard()
    with pytest.raises(LocalNameError):
        tree.stat(path)


def test_a_file_that_changes_is_noticed(tree: RecoveryTree, tmp_path: Path) -> None:
    put(tree, "a", b"before")
    file = tree.open_read("a")
    (tmp_path / "root/a").write_bytes(b"after it")
    with pytest.raises(FileChangedError):
        file.check_unchanged()
    file.close()
    with pytest.raises(FileChangedError):
        tree.open_read("none")


def test_left_spools_are_gone_and_a_discarded_one_too(make: Make, tmp_path: Path) -> None:
    tree = make(tmp_path / "root")
    spool = tree.open_spool()
    spool.write(bytes(1 << 20))
    spool.discard()
    spool.discard()
    tree.open_spool().write(bytes(1 << 20))
    tree.close()
    make(tmp_path / "root").close()
    assert list((tmp_path / "root").iterdir()) == []


def test_only_its_own_spools_are_published(tree: RecoveryTree, tmp_path: Path) -> None:
    class Stranger:
        def write(self, data: bytes | memoryview) -> None:
            del data

        def discard(self) -> None:
            pass

    with pytest.raises(MisuseError):
        tree.publish([(Stranger(), "a", 0.0, None)])
    assert not (tmp_path / "root/a").exists()


def test_a_root_that_is_a_file_is_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(LocalStorageError):
        make(tmp_path / "file")

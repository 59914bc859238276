"""Writing what was found: names, batches, and a disk that refuses."""

import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.client.devices import MemoryTree

from candado.adapters.plain_tree import PlainTree
from candado.adapters.source_files import SourceFolder
from candado.client.found import FoundFolder, Gap
from candado.client.recover import RecoverReport, fill_tree
from candado.crypto.filebody import BODY_PLAIN_BYTES_MAX, seal_body
from candado.errors import (
    DiskFullError,
    FileChangedError,
    LimitExceededError,
    LocalPermissionError,
    LocalStorageError,
)
from candado.formats.metadata import Entry
from candado.ports.bundle import SourceFile
from candado.ports.local import LocalStat
from candado.types import FileKey, Nonce, SealedName, Tag

KEY, NONCE = FileKey(b"k" * 16), Nonce(b"n" * 12)


@dataclass
class MemoryFile:
    """``SourceFile`` in memory."""

    data: bytes
    mtime_seconds: float = 1.0
    size_bytes: int = -1

    def __post_init__(self) -> None:
        self.size_bytes = len(self.data) if self.size_bytes < 0 else self.size_bytes

    def read_into(self, buffer: memoryview) -> int:
        piece, self.data = self.data[: len(buffer)], self.data[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        pass


def found(
    path: tuple[str, ...], files: Mapping[str, str], folders: Mapping[str, str] | None = None, doubt: str = ""
) -> FoundFolder:
    """A folder whose files hold their sealed names."""
    entries = {SealedName(sealed): Entry(clear, "", KEY, NONCE, Tag(bytes(16))) for sealed, clear in files.items()}

    def body(name: SealedName) -> SourceFile | None:
        return MemoryFile(seal_body(KEY, NONCE, name.encode()))

    return FoundFolder(path, entries, {SealedName(a): b for a, b in (folders or {}).items()}, body, doubt)


def fill(
    tree: MemoryTree | PlainTree, *items: FoundFolder | Gap, windows: bool = False, overwrite: bool = False
) -> RecoverReport:
    return fill_tree(items, tree, salvage=False, overwrite=overwrite, windows=windows)


def test_names_that_cannot_stand_are_changed_and_listed(tmp_path: Path) -> None:
    items = [
        found(("Aux",), {"f1": "CON", "f2": "a:b", "f3": "A:B"}, {"d1": "dot."}),
        found(("Aux", "dot."), {"f4": "x", "f5": "x"}),
        found(("aux",), {"f6": "y"}),
    ]
    tree = PlainTree(tmp_path)
    report = fill(tree, *items, windows=True)
    tree.close()
    files = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "_Aux/A_B": "f3",
        "_Aux/_CON": "f1",
        "_Aux/a_b (2)": "f2",
        "_Aux/dot_/x": "f4",
        "_Aux/dot_/x (2)": "f5",
        "_aux (2)/y": "f6",
    }
    assert set(report.renamed) == {
        ("Aux", "_Aux"),
        ("aux", "_aux (2)"),
        ("Aux/dot.", "_Aux/dot_"),
        ("Aux/CON", "_Aux/_CON"),
        ("Aux/a:b", "_Aux/a_b (2)"),
        ("Aux/A:B", "_Aux/A_B"),
        ("Aux/dot./x", "_Aux/dot_/x (2)"),
    }
    assert fill(PlainTree(tmp_path), *items, windows=True).kept == 6


def test_a_folder_that_cannot_be_made_costs_what_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "R").mkdir()
    (tmp_path / "R" / "in").write_text("in the way")
    items = [
        found(("R",), {"f1": "a"}, {"d1": "in"}),
        found(("R", "in"), {"f2": "b"}),
        found(("R", "in", "deep"), {"f3": "c"}),
        found(("R", "lost"), {"f4": "d"}),
        found(("R", "in", "lost"), {"f5": "e"}),
    ]
    tree = PlainTree(tmp_path)
    report = fill(tree, *items)
    tree.close()
    assert [one.path for one in report.failures] == ["R/in"]
    assert (tmp_path / "R/a").read_text() == "f1"
    assert (tmp_path / "R/lost/d").read_text() == "f4"
    assert report.files == 2


def test_gaps_are_in_the_report_and_many_files_come_in_batches() -> None:
    tree = MemoryTree()
    many = {f"f{number}": f"{number:03}" for number in range(200)}
    told: list[tuple[str, int]] = []
    items: list[FoundFolder | Gap] = [found(("R",), many), Gap(("R", "gone"), FileChangedError("x"))]
    report = fill_tree(
        items, tree, salvage=False, overwrite=False, windows=False, tell=lambda path, size: told.append((path, size))
    )
    assert (report.files, len(tree.files), tree.rest(), len(told)) == (200, 200, [], 200)
    assert [one.path for one in report.failures] == ["R/gone"]


class Refusing(MemoryTree):
    """A disk that answers ``publish`` with one error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def publish(self, items: object) -> list[LocalStat | Exception]:
        return [self.error for _ in items]  # type: ignore[attr-defined]


def test_a_file_that_the_disk_refuses_is_told_and_a_full_disk_ends_the_run() -> None:
    tree = Refusing(LocalPermissionError("no"))
    report = fill(tree, found(("R",), {"f1": "a", "f2": "b"}))
    assert [(one.path, type(one.error)) for one in report.failures] == [
        ("R/a", LocalPermissionError),
        ("R/b", LocalPermissionError),
    ]
    assert tree.rest() == []
    for error in (DiskFullError("full"), ValueError("bug")):
        with pytest.raises(type(error)):
            fill(Refusing(error), found(("R",), {"f1": "a"}))


def test_a_disk_that_is_full_while_a_file_is_written_names_it_and_leaves_no_spool() -> None:
    class Full(MemoryTree):
        def open_spool(self) -> "object":  # type: ignore[override]
            spool = super().open_spool()
            if len(self.spools) > 1:
                spool.write = full  # type: ignore[method-assign]
            return spool

    def full(data: bytes | memoryview) -> None:
        raise DiskFullError("full")

    tree = Full()
    with pytest.raises(DiskFullError) as caught:
        fill(tree, found(("R",), {"f1": "a", "f2": "b"}))
    assert caught.value.path == "R/b"
    assert tree.rest() == []
    assert tree.files == {}


def one_file(body: Callable[[], SourceFile | None]) -> FoundFolder:
    entry = Entry("a", "", KEY, NONCE, Tag(bytes(16)))
    return FoundFolder(("R",), {SealedName("f1"): entry}, {}, lambda _: body())


def test_a_body_beyond_all_bounds_or_gone_meanwhile_is_told() -> None:
    huge = fill(MemoryTree(), one_file(lambda: MemoryFile(b"x", size_bytes=BODY_PLAIN_BYTES_MAX + 17)))
    assert [type(one.error) for one in huge.failures] == [LimitExceededError]
    turns: Iterator[SourceFile | None] = iter([MemoryFile(bytes(20)), None])
    gone = fill(MemoryTree(), one_file(lambda: next(turns)))
    assert [one.error.code for one in gone.failures] == ["OPEN_FAILED"]

    def broken() -> SourceFile | None:
        raise LocalStorageError("the medium is damaged")

    assert [one.error.code for one in fill(MemoryTree(), one_file(broken)).failures] == ["LOCAL_STORAGE"]


def test_a_body_that_grows_does_not_take_memory(tmp_path: Path) -> None:
    """64 MiB pass through with a few buffers of 1 MiB."""
    size = 64 << 20
    sealed = tmp_path / "sealed"
    sealed.write_bytes(seal_body(KEY, NONCE, bytes(size)))
    tree = PlainTree(tmp_path / "out")
    tracemalloc.start()
    report = fill(tree, one_file(lambda: SourceFolder(tmp_path).open("sealed")))
    again = fill(tree, one_file(lambda: SourceFolder(tmp_path).open("sealed")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tree.close()
    assert (report.bytes, again.kept) == (size, 1)
    assert peak < 12 << 20

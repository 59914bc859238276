"""The parts of a sync on their own: comparing without fetching, rows that survive, reports."""

from pathlib import Path
from typing import cast

import pytest
from tests.sim import FakeClock
from tests.unit.client.sync_world import MemoryState

from candado.adapters.disk import DiskTree
from candado.client.account import Account
from candado.client.sync_compare import compare, stored_tag
from candado.client.sync_local import row_of, settled
from candado.client.sync_report import SyncOptions, SyncProblem, SyncReport, operation_json
from candado.client.sync_state import FolderMark, PairState, TopMark
from candado.client.view import RemoteEntry
from candado.crypto.filebody import seal_body
from candado.errors import CorruptStateError, FileChangedError, MisuseError
from candado.formats.metadata import Entry
from candado.ports.client import LocalStat
from candado.protocol import plan_model as pm
from candado.types import FileId, FileKey, Nonce, SealedName, Tag

KEY, NONCE = FileKey(bytes(range(16))), Nonce(bytes(range(12)))
CONTENT = b"passport scan" * 200_000


def entry(content: bytes, *, tag: Tag | None = None, is_plain: bool = False) -> RemoteEntry:
    real = Tag(seal_body(KEY, NONCE, content)[-16:])
    sealed = None if is_plain else Entry("f", "text/plain", KEY, NONCE, tag or real, {})
    return RemoteEntry(
        path="/S/f",
        remote_path="/S/0",
        is_folder=False,
        size_bytes=len(content),
        mtime_seconds=1.0,
        file_id=FileId(5),
        etag="e",
        is_encrypted=True,
        permissions="",
        owner_id="alice",
        sealed_name=SealedName("0"),
        entry=sealed,
    )


@pytest.fixture
def tree(tmp_path: Path) -> DiskTree:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/f").write_bytes(CONTENT)
    return DiskTree(tmp_path / "root", quarantine=tmp_path / "q", clock=FakeClock())


class Bodies:
    """A remote that only has bodies."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def get(self, path: str, *, size_expected: int):  # type: ignore[no-untyped-def]
        assert size_expected == len(self.body)
        for start in range(0, len(self.body), 7):
            yield self.body[start : start + 7]


def test_equal_and_different_bytes_of_one_size_are_told_apart(tree: DiskTree) -> None:
    same, other = entry(CONTENT), entry(CONTENT[:-1] + b"N")
    assert same.entry is not None
    assert other.entry is not None
    work = [("f", same, same.entry.tag), ("f", other, other.entry.tag), ("f", entry(b""), same.entry.tag)]
    assert compare(tree, work) == [True, False, False]


def test_a_file_that_cannot_be_read_gives_its_error_and_the_others_their_answers(tree: DiskTree) -> None:
    same = entry(CONTENT)
    assert same.entry is not None
    gone, found = compare(tree, [("gone", same, same.entry.tag), ("f", same, same.entry.tag)])
    assert (isinstance(gone, FileChangedError), found) == (True, True)


def test_only_encrypted_files_can_be_compared(tree: DiskTree) -> None:
    (answer,) = compare(tree, [("f", entry(CONTENT, is_plain=True), Tag(bytes(16)))])
    assert isinstance(answer, MisuseError)


async def test_the_tag_is_taken_from_the_body_when_the_entry_repeats_its_nonce() -> None:
    content = b"written by a phone"
    body = seal_body(KEY, NONCE, content)
    account = cast("Account", type("A", (), {"remote": Bodies(body)}))
    odd = entry(content, tag=Tag(NONCE + bytes(4)))
    assert await stored_tag(account, odd) == body[-16:]
    assert await stored_tag(account, entry(content)) == body[-16:]
    with pytest.raises(MisuseError):
        await stored_tag(account, entry(content, is_plain=True))


# --- rows -----------------------------------------------------------------------------------------------------

NODE = pm.AgreedNode(False, 1, 2, 3, 4, 5, "v")
FOLDER = pm.AgreedNode(True, 0, 2, 3, 4, 5, "")


def state(store: MemoryState, remote: str = "/S") -> PairState:
    return PairState(store, local_root="/home/me/docs", remote_path=remote)


def test_rows_and_marks_are_read_back_as_they_were_written() -> None:
    store = MemoryState()
    first = state(store)
    first.bind(7)
    first.set("d", FOLDER)
    first.set("d/f", NODE)
    first.set_mark("d", FolderMark("etag", "digest"))
    first.set_top(TopMark(7, "/S", "e", "x"))
    first.commit()
    again = state(store)
    assert (again.nodes, again.marks, again.top) == (
        {"d": FOLDER, "d/f": NODE},
        {"d": FolderMark("etag", "digest")},
        TopMark(7, "/S", "e", "x"),
    )
    assert state(store, "/Other").nodes == {}


def test_a_commit_without_changes_writes_nothing() -> None:
    store = MemoryState()
    rows = state(store)
    rows.set("f", NODE)
    rows.commit()
    rows.set("f", NODE)
    rows.set_mark("f", None)
    rows.drop("never was")
    rows.commit()
    assert store.commits == 1


def test_rows_follow_a_rename_but_never_replace_newer_ones() -> None:
    rows = state(MemoryState())
    newer = pm.AgreedNode(False, 9, 9, 9, 9, 9, "newer")
    for path, node in {"d": FOLDER, "d/f": NODE, "d/g": NODE, "e/f": newer}.items():
        rows.set(path, node)
    rows.set_mark("d", FolderMark("etag", "digest"))
    rows.move("d", "e")
    assert (rows.nodes, rows.marks) == (
        {"e": FOLDER, "e/f": newer, "e/g": NODE},
        {"e": FolderMark("etag", "digest")},
    )


def test_another_remote_folder_at_the_path_starts_anew() -> None:
    rows = state(MemoryState())
    rows.bind(7)
    rows.set("f", NODE)
    rows.bind(7)
    assert rows.nodes == {"f": NODE}
    rows.bind(8)
    assert (rows.nodes, rows.top) == ({}, TopMark(8, "", "", ""))


@pytest.mark.parametrize("value", [b"not json", b"[1,2]", b"7"])
def test_a_damaged_row_is_refused(value: bytes) -> None:
    store = MemoryState()
    rows = state(store)
    rows.set("f", NODE)
    rows.commit()
    (space,) = store.spaces
    store.spaces[space]["f"] = value
    with pytest.raises(CorruptStateError):
        state(store)


@pytest.mark.parametrize(
    ("mtime_ns", "is_settled"),
    [
        (10**18 - 51 * 10**6 + 1, True),
        (10**18 - 49 * 10**6 + 1, False),
        (10**18 - 10**9, False),
        (10**18 - 3 * 10**9, True),
    ],
)
def test_a_file_written_within_a_step_of_the_clock_before_the_look_is_not_settled(
    mtime_ns: int, is_settled: bool
) -> None:
    here = LocalStat(is_folder=False, size_bytes=1, mtime_ns=mtime_ns, inode=1, ctime_ns=77)
    row = settled(row_of(here, file_id=1, content_id="v"), 10**18)
    assert (row.ctime_ns == 77) is is_settled


# --- reports --------------------------------------------------------------------------------------------------


def test_a_report_is_the_documented_json_object() -> None:
    report = SyncReport(uploaded=1, bytes_up=5, requests=9, seconds=1.23456)
    report.errors.append(SyncProblem.of_error("f", FileChangedError()))
    assert report.to_json() == {
        "schema": "candado.sync/1",
        "uploaded": 1,
        "downloaded": 0,
        "deleted": 0,
        "renamed": 0,
        "conflicts": 0,
        "bytes_up": 5,
        "bytes_down": 0,
        "requests": 9,
        "seconds": 1.235,
        "dry_run": False,
        "errors": [
            {
                "path": "f",
                "code": "FILE_CHANGED",
                "message": "A file changed while it was being read.",
                "hint": "Close the program that writes to it; the next sync takes the new content.",
                "safe": FileChangedError.default_safe,
                "retryable": True,
            }
        ],
        "warnings": [],
        "conflict_paths": [],
        "left_out": [],
    }


@pytest.mark.parametrize(
    ("op", "line"),
    [
        (pm.MoveLocal("a", "b"), {"do": "rename here", "path": "a", "to": "b"}),
        (pm.MoveLocal("a", "b", conflict=True), {"do": "keep both", "path": "a", "to": "b"}),
        (pm.Forget("a"), {"do": "forget", "path": "a"}),
        (
            pm.Upload("a", LocalStat(is_folder=False, size_bytes=3, mtime_ns=1, inode=1), None),
            {"do": "upload", "path": "a", "bytes": 3},
        ),
    ],
)
def test_each_operation_has_a_line_for_people_and_programs(op: pm.Operation, line: dict[str, object]) -> None:
    assert operation_json(op) == line


def test_the_default_of_every_option_is_the_careful_one() -> None:
    options = SyncOptions(local_root="/x")
    assert (options.mode, options.encrypt, options.max_delete) == (pm.Mode.TWO_WAY, False, None)

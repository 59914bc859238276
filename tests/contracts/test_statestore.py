"""The contract of StateStore, on the real file."""

import sqlite3
from pathlib import Path

import pytest

from candado.adapters.state import DeviceLock, SqliteState
from candado.errors import BusyError, CorruptStateError
from candado.types import SecretBytes

SECRET = SecretBytes(b"s" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_what_was_committed_is_there_after_reopening(file: Path) -> None:
    store = SqliteState(file, SECRET)
    store.commit([("pin", "7", b"seven"), ("pin", "8", b""), ("agreed/x", "dir/a\x00b", b"\x00\xff")])
    store.close()
    again = SqliteState(file, SECRET)
    assert again.load("pin", "7") == b"seven"
    assert again.load_all("pin") == {"7": b"seven", "8": b""}
    assert again.load_all("agreed/x") == {"dir/a\x00b": b"\x00\xff"}
    assert again.load("pin", "9") is None
    assert again.load("agreed/x", "7") is None
    again.close()


def test_the_last_change_of_a_key_in_one_commit_wins(file: Path) -> None:
    store = SqliteState(file, SECRET)
    store.commit([("a", "k", b"1"), ("a", "k", None), ("a", "k", b"2"), ("a", "gone", b"x"), ("a", "gone", None)])
    assert store.load_all("a") == {"k": b"2"}
    store.commit([("a", "k", None), ("a", "never", None)], durable=False)
    assert store.load_all("a") == {}
    store.close()


def test_a_commit_that_fails_changes_nothing(file: Path) -> None:
    store = SqliteState(file, SECRET)
    store.commit([("a", "k", b"old")])
    other = sqlite3.connect(file)
    other.execute(
        "CREATE TRIGGER stop BEFORE INSERT ON rows WHEN (SELECT count(*) FROM rows) > 2 "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    other.commit()
    other.close()
    with pytest.raises(CorruptStateError):
        store.commit([("a", str(number), b"new") for number in range(9)])
    assert store.load_all("a") == {"k": b"old"}
    store.commit([("a", "k", b"newer")])
    assert store.load("a", "k") == b"newer"
    store.close()


def test_neither_names_nor_values_can_be_read_in_the_file(file: Path) -> None:
    store = SqliteState(file, SECRET)
    store.commit([("agreed/CANARYSPACE", "CANARYKEY.txt", b"CANARYVALUE")])
    store.close()
    content = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"CANARY" not in content
    assert (file.stat().st_mode & 0o777) == 0o600


def _tamper(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as db:
        assert db.execute(statement).rowcount > 0
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rows SET sealed = substr(sealed, 1, length(sealed) - 1) || x'00'",
        "UPDATE rows SET sealed = x''",
        "UPDATE rows SET sealed = 'text'",
        "UPDATE rows SET sealed = (SELECT sealed FROM rows AS other WHERE other.name <> rows.name LIMIT 1)",
        "UPDATE rows SET space = x'00112233445566778899aabbccddeeff' WHERE 1",
    ],
)
def test_a_row_that_was_altered_or_swapped_is_refused(file: Path, statement: str) -> None:
    store = SqliteState(file, SECRET)
    store.commit([("pin", "1", b"one"), ("pin", "2", b"two")])
    store.close()
    _tamper(file, statement)
    store = SqliteState(file, SECRET)
    if "space" in statement:
        # Moved to a space that nobody asks for: it is gone from its own place.
        assert store.load_all("pin") == {}
    else:
        with pytest.raises(CorruptStateError):
            store.load("pin", "1")
        with pytest.raises(CorruptStateError):
            store.load_all("pin")
    store.close()


def test_a_row_moved_into_another_space_of_ours_is_refused(file: Path) -> None:
    store = SqliteState(file, SECRET)
    store.commit([("pin", "1", b"one"), ("issue", "1", b"two")])
    store.close()
    with sqlite3.connect(file) as db:
        (pin, name), (issue, other) = db.execute(
            "SELECT space, name FROM rows ORDER BY length(sealed), space"
        ).fetchall()
        db.execute("DELETE FROM rows WHERE space = ?", (issue,))
        db.execute("UPDATE rows SET space = ?, name = ? WHERE space = ?", (issue, other, pin))
        assert name != other
    db.close()
    store = SqliteState(file, SECRET)
    results: list[object] = []
    for space in ("pin", "issue"):
        try:
            results.append(store.load_all(space))
        except CorruptStateError:
            results.append("refused")
    assert sorted(map(str, results)) == ["refused", "{}"]
    store.close()


def test_another_secret_finds_nothing_and_opens_nothing(file: Path) -> None:
    store = SqliteState(file, SECRET)
    store.commit([("pin", "1", b"one")])
    store.close()
    other = SqliteState(file, SecretBytes(b"t" * 32))
    assert other.load("pin", "1") is None
    assert other.load_all("pin") == {}
    other.close()


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    file.write_bytes(b"not a database" * 1000)
    with pytest.raises(CorruptStateError):
        SqliteState(file, SECRET)


def test_a_state_of_a_newer_program_is_refused(file: Path) -> None:
    SqliteState(file, SECRET).close()
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(CorruptStateError, match="version 99"):
        SqliteState(file, SECRET)


def test_two_holders_of_one_device_do_not_work_at_once(tmp_path: Path) -> None:
    first = DeviceLock(tmp_path / "lock", wait_seconds=0)
    with pytest.raises(BusyError):
        DeviceLock(tmp_path / "lock", wait_seconds=0)
    first.release()
    first.release()
    DeviceLock(tmp_path / "lock", wait_seconds=0).release()


def test_closing_the_state_frees_the_device(tmp_path: Path, file: Path) -> None:
    store = SqliteState(file, SECRET, lock=DeviceLock(tmp_path / "lock", wait_seconds=0))
    with pytest.raises(BusyError):
        DeviceLock(tmp_path / "lock", wait_seconds=0)
    store.close()
    DeviceLock(tmp_path / "lock", wait_seconds=0).release()

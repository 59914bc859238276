"""``candado recovery create`` and ``test`` as people call them, in this process."""

import io
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from candado.adapters import offline
from candado.apps.cli.common import Run
from candado.apps.cli.root import run
from candado.errors import DiskFullError
from candado.folder.recoveryrecords import parse_ceremony_record
from candado.formats.sheettext import find_parts

PEOPLE = ["--custodian", "Ana", "--custodian", "Bo Ño", "--custodian", "李 Cy"]
NUMBERS = ["--shares", "3", "--needed", "2", "--purpose", "Recovery at Example Ltd"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "has_route", lambda: False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ceremony") / "out"
    assert run(["recovery", "create", str(out), *NUMBERS, *PEOPLE]) == 0
    return out


def _call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    status = run(["recovery", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    answer: dict[str, Any] = json.loads(out)
    return status, answer, err


def test_a_ceremony_leaves_private_sheets_and_a_public_half(made: Path) -> None:
    files = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    sheets = [f"sheet-{at}.{kind}" for at in (1, 2, 3) for kind in ("pdf", "txt")]
    assert files == ["public/record.json", "public/recovery.csr", "recovery-key.sealed", *sheets]
    assert {path.stat().st_mode & 0o777 for path in made.rglob("*") if path.is_file()} == {0o600}
    record = parse_ceremony_record((made / "public" / "record.json").read_bytes())
    assert [one.name for one in record.custodians] == ["Ana", "Bo Ño", "李 Cy"]
    assert (made / "public" / "recovery.csr").read_text() == record.request_pem


def test_a_sheet_says_what_it_is_and_names_no_other_keeper(made: Path) -> None:
    text = (made / "sheet-2.txt").read_text()
    assert text.startswith("RECOVERY KEY, SHEET 2 OF 3\n\nKeeper:    Bo Ño\n")
    assert "Any 2 of the 3 sheets" in text
    assert "Ana" not in text
    assert (made / "sheet-2.pdf").read_bytes().startswith(b"%PDF-1.7\n")
    assert b"Bo \xd1o" in (made / "sheet-2.pdf").read_bytes()


def test_a_name_that_the_fonts_lack_is_left_to_be_written_by_hand(made: Path) -> None:
    assert "李 Cy" in (made / "sheet-3.txt").read_text()
    assert b"0.5 w 125 750 m 425 750 l S" in (made / "sheet-3.pdf").read_bytes()


def test_the_folder_proves_itself_in_every_set(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer, _ = _call(capsys, "test", made, "--all")
    record = parse_ceremony_record((made / "public" / "record.json").read_bytes())
    assert (status, answer) == (
        0,
        {
            "schema": "candado.recovery-test/1",
            "ceremony": record.ceremony,
            "fingerprint": record.public_key.fingerprint_hex,
            "needed": 2,
            "sheets": [1, 2, 3],
            "sets": 3,
        },
    )


def test_sheets_are_proved_one_by_one_as_text(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert (
        run(
            ["recovery", "test", str(made / "sheet-1.txt"), str(made / "sheet-3.txt"), "--public", str(made / "public")]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("Sheets 1, 3 of ceremony ")
    assert "PRIVATE" not in out


def test_words_come_from_standard_input(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = "\n\n".join(find_parts((made / f"sheet-{at}.txt").read_text()).shares[0] for at in (2, 1))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
    status, answer, _ = _call(
        capsys, "test", "-", "--key", made / "recovery-key.sealed", "--public", made / "public" / "record.json"
    )
    assert (status, answer["sheets"]) == (0, [1, 2])


def _type(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> None:
    left = iter(answers)
    monkeypatch.setattr(Run, "interactive", property(lambda self: True))
    monkeypatch.setattr("click.prompt", lambda label, err: next(left))


def test_words_are_typed_line_by_line_and_a_typo_is_asked_again(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = find_parts((made / "sheet-1.txt").read_text())
    first, key = parts.shares[0].splitlines(), parts.keys[0].splitlines()
    second = find_parts((made / "sheet-3.txt").read_text()).shares[0].split()
    scanned = "CANDADO SHARE " + " ".join(word.upper() for word in second if word.isalpha())
    wrong = key[2].replace(key[2].split()[1], "0000")
    _type(monkeypatch, [first[0], first[2], *first[1:], scanned, *key[:2], wrong, *key[2:]])
    status, answer, err = _call(capsys, "test", "--public", made / "public")
    assert (status, answer["sheets"]) == (0, [1, 3])
    assert "line 2: the words do not fit together: one is wrong, or two changed places. Again:" in err
    assert "the sealed key, line 3: the characters do not fit their check group. Again:" in err
    assert "Read: sheet 1 of 3" in err


def test_the_sealed_key_is_scanned_or_read_from_a_file_while_words_are_typed(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [find_parts((made / f"sheet-{at}.txt").read_text()).shares[0].splitlines() for at in (1, 2)]
    key = find_parts((made / "sheet-1.txt").read_text()).keys[0].splitlines()
    code = "candado key " + " ".join(" ".join(line.split()[1:]) for line in key)
    _type(monkeypatch, [*lines[0], *lines[1], code])
    assert _call(capsys, "test", "--public", made / "public")[0] == 0
    _type(monkeypatch, [*lines[0], *lines[1]])
    assert _call(capsys, "test", "--public", made / "public", "--key", made / "recovery-key.sealed")[0] == 0


def test_typing_ends_after_many_wrong_tries(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _type(monkeypatch, ["no such line"] * 10)
    assert _call(capsys, "test", "--public", made / "public")[1]["error"]["code"] == "SHARE_TYPO"
    words = [find_parts((made / f"sheet-{at}.txt").read_text()).shares[0].splitlines() for at in (1, 2)]
    _type(monkeypatch, [*itertools.chain(*words), *["no such line"] * 10])
    assert _call(capsys, "test", "--public", made / "public")[1]["error"]["code"] == "SHARE_TYPO"


def test_nobody_to_ask_is_an_error(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer, _ = _call(capsys, "test", "--public", made / "public", "--no-input")
    assert (status, answer["error"]["code"]) == (12, "SECRET_NEEDED")


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["{0}/sheet-1.txt"], 2, "USAGE"),
        (["{0}/sheet-1.txt", "--public", "{0}/public"], 12, "SHARES_UNFIT"),
        (["{0}/sheet-1.txt", "{0}/sheet-1.txt", "--public", "{0}/public"], 12, "SHARES_UNFIT"),
        (["{0}/sheet-1.pdf", "--public", "{0}/public"], 1, "LOCAL_STORAGE"),
        (["{0}/sheet-9.txt", "--public", "{0}/public"], 4, "NOT_FOUND"),
        (["{0}/public", "--public", "{0}/public"], 4, "NOT_FOUND"),
        (["{0}", "--public", "{0}/sheet-1.txt"], 16, "MALFORMED"),
        (["{0}", "--public", "{0}/nothing"], 4, "NOT_FOUND"),
        (["{0}", "--public", "/"], 2, "USAGE"),
    ],
)
def test_what_cannot_be_tested_is_told(
    made: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, code: str
) -> None:
    found, answer, _ = _call(capsys, "test", *(text.format(made) for text in arguments))
    assert (found, answer["error"]["code"]) == (status, code)


def test_a_typo_in_a_file_names_the_file_and_the_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (made / "sheet-1.txt").read_text()
    line = next(line for line in text.splitlines() if line.startswith(" 5.  "))
    (tmp_path / "typed.txt").write_text(text.replace(line, f" 5.  {' '.join(line.split()[1:-1])} zzzz"))
    status, answer, _ = _call(capsys, "test", tmp_path / "typed.txt", "--public", made / "public")
    error = answer["error"]
    assert (status, error["message"]) == (12, "line 5, word 6 is not in the list of words")
    assert error["path"] == str(tmp_path / "typed.txt")


def test_sheets_of_another_ceremony_are_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recovery", "create", str(tmp_path / "other"), *NUMBERS, *PEOPLE]) == 0
    other = tmp_path / "other"
    status, answer, _ = _call(capsys, "test", other, "--public", made / "public")
    assert (status, "the public half is of" in answer["error"]["message"]) == (12, True)
    mixed = _call(capsys, "test", made / "sheet-1.txt", other / "sheet-2.txt", "--public", made / "public")
    assert mixed[1]["error"]["message"] == "the sealed keys on two sheets differ"
    (other / "public" / "record.json").unlink()
    assert "no record of its ceremony" in _call(capsys, "test", other)[1]["error"]["message"]


def test_a_folder_with_something_in_it_is_left_alone(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    status, answer, _ = _call(capsys, "create", made, *NUMBERS, *PEOPLE)
    assert (status, answer["error"]["code"]) == (2, "USAGE")
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        [*NUMBERS, *PEOPLE[:4]],
        ["--shares", "3", "--needed", "4", "--purpose", "x", *PEOPLE],
        ["--shares", "3", "--needed", "1", "--purpose", "x", *PEOPLE],
        ["--shares", "3", "--needed", "2", *PEOPLE],
        ["--shares", "3", "--needed", "2", "--purpose", " ", *PEOPLE],
        ["--shares", "3", "--needed", "2", "--purpose", "x", *PEOPLE[:4], "--custodian", "ana"],
    ],
)
def test_a_ceremony_that_makes_no_sense_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert _call(capsys, "create", tmp_path / "out", *arguments)[0] in {2, 16}
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_of_a_ceremony(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = offline.write_private, itertools.count()

    def write(path: Path, data: bytes) -> None:
        if next(count) == 5:
            raise DiskFullError(path=str(path))
        real(path, data)

    monkeypatch.setattr(offline, "write_private", write)
    assert _call(capsys, "create", tmp_path / "out", *NUMBERS, *PEOPLE)[0] == 17
    assert list(tmp_path.iterdir()) == []


def test_a_network_is_a_warning_that_is_always_shown(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "has_route", lambda: True)
    assert "this machine is on a network" in _call(capsys, "test", made, "-q")[2]


def test_no_command_prints_a_word_of_a_sheet(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = find_parts((made / "sheet-1.txt").read_text()).shares[0].split()
    status, answer, err = _call(capsys, "test", made, "--all", "-vv")
    assert status == 0
    shown = (json.dumps(answer) + err).split()
    assert not [word for word in words if word.isalpha() and len(word) > 5 and word in shown]


def test_the_group_names_its_commands_and_helps_with_a_wrong_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recovery", "--help"]) == 0
    assert "create" in capsys.readouterr().out
    assert run(["recovery", "creat"]) == 2
    assert "Did you mean 'create'?" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a" * 1_048_577])
def test_what_is_no_text_of_a_sheet_is_told(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "x").write_bytes(content)
    assert _call(capsys, "test", tmp_path / "x", "--public", made / "public")[0] in {1, 16}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert _call(capsys, "test", "-", "--public", made / "public")[0] in {1, 16}


def test_the_next_keeper_does_not_see_what_was_typed(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [find_parts((made / f"sheet-{at}.txt").read_text()).shares[0].splitlines() for at in (1, 2)]
    _type(monkeypatch, [*lines[0], *lines[1]])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    status, _, err = _call(capsys, "test", "--public", made / "public", "--key", made / "recovery-key.sealed")
    assert (status, err.count("\x1b[H\x1b[2J\x1b[3J")) == (0, 2)

"""Where the words of sheets come from: files, a folder of a ceremony, standard input, a scanner, or typing.

Layer: ``apps``. Whoever types is told of a typo after the line with it, and types that line again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from candado.adapters.disk_calls import translated
from candado.apps.cli.common import Run
from candado.client.recoverykey import Sheets, read_sheets
from candado.crypto.sealedkey import KEY_LINES, parse_key, parse_key_line
from candado.crypto.sharewords import LINES, Share, parse_line, parse_share
from candado.errors import (
    LimitExceededError,
    LocalStorageError,
    NotFoundError,
    SecretNeededError,
    ShareTypoError,
    UsageError,
)
from candado.folder.recoveryrecords import RECORD_BYTES_MAX, CeremonyRecord, parse_ceremony_record
from candado.formats.sheettext import KEY_CODE, SHARE_CODE

__all__ = ["KEY_FILE", "RECORD_FILE", "gather_sheets", "read_local", "read_record", "sheet_name"]

KEY_FILE: Final = "recovery-key.sealed"
RECORD_FILE: Final = Path("public", "record.json")
_SHEET_BYTES_MAX: Final = 1024 * 1024
_TRIES: Final = 10


def sheet_name(index: int) -> str:
    """Name of a sheet in the folder of a ceremony, without its ending."""
    return f"sheet-{index}"


def read_local(path: Path, *, size_max: int) -> bytes:
    """A small local file.

    NotFoundError, LimitExceededError (beyond ``size_max``), LocalPermissionError, LocalStorageError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError("there is no such file", path=str(path), advice="Name the right file.") from exc
    except IsADirectoryError as exc:
        raise UsageError("this is a folder, not a file", path=str(path)) from exc
    except OSError as exc:
        raise translated(exc, str(path)) from exc
    if len(data) > size_max:
        raise LimitExceededError(f"the file is larger than {size_max} bytes", path=str(path))
    return data


def read_record(path: Path) -> CeremonyRecord:
    """The record of a ceremony in a file, or in the folder ``public`` or the folder of the ceremony."""
    for below in ("record.json", RECORD_FILE):
        if path.is_dir() and (path / below).exists():
            path = path / below
    data = read_local(path, size_max=RECORD_BYTES_MAX)
    try:
        return parse_ceremony_record(data)
    except Exception as error:
        _at(error, str(path))
        raise


def gather_sheets(run: Run, sources: Sequence[Path], key: Path | None) -> tuple[Sheets, CeremonyRecord | None]:
    """The sheets in files, in folders of a ceremony, on standard input (``-``), or typed when no source is named.

    ``key`` is a file with the sealed key, for sheets of which only the words were typed. The record is that of the last
    folder which has one.
    """
    if not sources:
        if not run.interactive:
            raise SecretNeededError("the words of the sheets are needed and there is nobody to ask", advice=_ADVICE)
        return _typed(run, key), None
    texts: list[tuple[str, str]] = []
    record: CeremonyRecord | None = None
    for source in sources:
        if str(source) == "-":
            texts.append(("standard input", _decoded(sys.stdin.buffer.read(_SHEET_BYTES_MAX + 1), "standard input")))
        elif source.is_dir():
            found = sorted(source.glob("sheet-*.txt"), key=lambda path: (len(path.name), path.name))
            if not found:
                raise NotFoundError("there are no sheets in this folder", path=str(source), advice=_ADVICE)
            texts += [(str(path), _text(path)) for path in found]
            if (source / RECORD_FILE).exists():
                record = read_record(source)
        else:
            texts.append((str(source), _text(source)))
    if key is not None:
        texts.append((str(key), _text(key)))
    return read_sheets(texts), record


_ADVICE: Final = "Name the files of the sheets, the folder of the ceremony, or - to read them from standard input."


def _text(path: Path) -> str:
    return _decoded(read_local(path, size_max=_SHEET_BYTES_MAX), str(path))


def _decoded(data: bytes, where: str) -> str:
    if len(data) > _SHEET_BYTES_MAX:
        raise LimitExceededError(f"the sheets are longer than {_SHEET_BYTES_MAX} bytes", path=where)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise LocalStorageError(
            "this is not a text", path=where, safe="Nothing was done.", advice="Name the text of a sheet, not its PDF."
        ) from exc


def _at(error: Exception, where: str) -> None:
    if getattr(error, "path", "") is None:
        error.path = where  # type: ignore[attr-defined]


# --- typing -------------------------------------------------------------------------------------------------


def _typed(run: Run, key: Path | None) -> Sheets:
    shares: list[tuple[str, Share]] = []
    needed = 2
    while len(shares) < needed:
        number = len(shares) + 1
        run.say(f"Sheet {number}: type its seven lines, or scan its code. Four letters of a word are enough.")
        share = _ask_share()
        _clear_screen()
        needed = share.needed
        shares.append((f"sheet {share.index}, typed", share))
        run.say(f"Read: sheet {share.index} of {share.shares}, ceremony {share.ceremony.hex()}; {needed} are needed.")
    if key is not None:
        return Sheets(tuple(shares), read_sheets([(str(key), _text(key))]).sealed)
    run.say(f"The sealed key: scan its code from any of the sheets, or type its {KEY_LINES} lines.")
    return Sheets(tuple(shares), parse_key(_ask_key()))


def _ask_share() -> Share:
    texts: list[str] = []
    first: int | None = None
    for number in range(1, LINES + 1):
        for left in range(_TRIES - 1, -1, -1):
            text = _prompt(f"  line {number}")
            try:
                if text.upper().startswith(SHARE_CODE):
                    return parse_share(text[len(SHARE_CODE) :])
                data = parse_line(number, text, first)
            except ShareTypoError as error:
                _again(error, left)
                continue
            first = data if number == 1 else first
            texts.append(text)
            break
    return parse_share("\n".join(texts))


def _ask_key() -> str:
    texts: list[str] = []
    first = b""
    for number in range(1, KEY_LINES + 1):
        for left in range(_TRIES - 1, -1, -1):
            text = _prompt(f"  line {number:2}")
            if text.upper().startswith(KEY_CODE):
                return text[len(KEY_CODE) :]
            try:
                data = parse_key_line(number, text, first)
            except ShareTypoError as error:
                _again(error, left)
                continue
            first = data if number == 1 else first
            texts.append(text)
            break
    return "\n".join(texts)


def _prompt(label: str) -> str:
    answer: str = click.prompt(label, err=True)
    return answer.strip()


def _clear_screen() -> None:
    """The next keeper does not see what the one before typed, also not by scrolling back."""
    if sys.stderr.isatty():
        click.echo("\x1b[H\x1b[2J\x1b[3J", err=True, nl=False)


def _again(error: ShareTypoError, left: int) -> None:
    if not left:
        raise error
    click.echo(f"  {error.message}. Again:", err=True)

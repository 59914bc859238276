"""How a sheet of the recovery key looks: as text for a file, and as PDF of two A4 pages.

Layer: ``apps``. A sheet explains itself to people who have nothing but the paper.
"""

import textwrap
from typing import TYPE_CHECKING, Final

import segno

from candado.apps.cli.output import rfc3339
from candado.crypto.sealedkey import key_lines
from candado.crypto.sharewords import share_lines
from candado.folder.recoveryrecords import recovery_user_id
from candado.formats.pdf import Font, Item, Modules, Rule, Text, can_show, format_pdf
from candado.formats.sheettext import KEY_CODE, SHARE_CODE, marked

if TYPE_CHECKING:
    from candado.client.recoverykey import Ceremony
    from candado.crypto.sharewords import Share

__all__ = ["key_text", "sheet_pdf", "sheet_text"]

_LEFT: Final = 50.0
_WIDTH: Final = 495.0
_COLUMNS: Final = 92
_TEXTS: Final = """
Any {0.needed} of the {0.shares} sheets of this ceremony, together, open the recovery key, which opens encrypted folders
whose owners agreed to it. This sheet alone opens nothing and tells nothing. Keep it where nobody else sees it, and not
together with another sheet.

The recovery key itself, sealed: it is the same on all sheets and worth nothing without the words of enough of them.
When the words are typed by hand, scan or type this from one sheet only.

To use it: bring {0.needed} sheets and two people who answer for it to a computer that is on no network and has the
program candado. Its command `candado recovery use --help` says how to go on, and asks for the words.

To type the words: four letters of each are enough, in lines of six. The last word of a line checks the line, so a typo
is told at once with its line.

To test it: `candado recovery test`, at least once a year. If a sheet is lost or was seen by somebody else, say so at
once: then a new key is made, in a new ceremony.

Destroy every file of this sheet after it was printed.
"""


def sheet_text(ceremony: "Ceremony", share: "Share") -> str:
    """The sheet as text; ``recoverykey.read_sheets`` reads it."""
    words, key = marked(_words(share), key_lines(ceremony.sealed))
    record, paragraphs = ceremony.record, _paragraphs(share)
    lines = [
        f"RECOVERY KEY, SHEET {share.index} OF {share.shares}",
        "",
        *(f"{name + ':':<10} {value}" for name, value in _facts(ceremony, share)),
        f"{'Purpose:':<10} {record.purpose}",
        "",
        *textwrap.wrap(paragraphs[0], _COLUMNS),
        "",
        *words,
        "",
        *textwrap.wrap(paragraphs[1], _COLUMNS),
        "",
        *key,
        "",
    ]
    for paragraph in paragraphs[2:]:
        lines += [*textwrap.wrap(paragraph, _COLUMNS), ""]
    return "\n".join(lines)


def key_text(ceremony: "Ceremony") -> str:
    """The sealed key alone, as it stands on every sheet."""
    return "\n".join([*marked((), key_lines(ceremony.sealed))[1], ""])


def sheet_pdf(ceremony: "Ceremony", share: "Share") -> bytes:
    """The sheet as PDF: the words on the first page, the sealed key on the second."""
    name = f"Recovery key, sheet {share.index} of {share.shares}"
    return format_pdf([_first_page(ceremony, share, name), _second_page(ceremony, share, name)], title=name)


def _first_page(ceremony: "Ceremony", share: "Share", name: str) -> list[Item]:
    page: list[Item] = [Text(_LEFT, 782, 20, name, "bold"), Rule(_LEFT, 772, _WIDTH)]
    y = 752.0
    facts = [*_facts(ceremony, share), ("Purpose", ceremony.record.purpose)]
    for label, value in facts:
        page.append(Text(_LEFT, y, 11, label, "bold"))
        if can_show(value):
            for line in textwrap.wrap(value, 70):
                page.append(Text(_LEFT + 75, y, 11, line))
                y -= 15
        else:
            # Not in these fonts: a line to write it on by hand.
            page.append(Rule(_LEFT + 75, y - 2, 300))
            y -= 20
    paragraphs = _paragraphs(share)
    y = _wrapped(page, paragraphs[0], y - 8)
    page.append(Rule(_LEFT, y, _WIDTH))
    y -= 24
    for number, line in enumerate(_words(share), 1):
        page.append(Text(_LEFT, y, 12.5, f"{number}", "plain"))
        page.append(Text(_LEFT + 22, y, 12.5, line, "fixed"))
        y -= 22
    page.append(Rule(_LEFT, y + 8, _WIDTH))
    page.append(_code(f"{SHARE_CODE} {' '.join(_words(share))}", _LEFT, y - 10, 190))
    page.append(Text(_LEFT, y - 216, 9, "The same words as a code, for a scanner."))
    y -= 24
    for paragraph in paragraphs[2:]:
        y = _wrapped(page, paragraph, y, x=_LEFT + 215, columns=50, size=10) - 7
    return page


def _second_page(ceremony: "Ceremony", share: "Share", name: str) -> list[Item]:
    page: list[Item] = [Text(_LEFT, 782, 14, f"{name}: the sealed key", "bold"), Rule(_LEFT, 772, _WIDTH)]
    page.append(Text(_LEFT, 752, 11, f"Ceremony {ceremony.record.ceremony}, the same on all its sheets"))
    y = _wrapped(page, _paragraphs(share)[1], 730) - 8
    lines = key_lines(ceremony.sealed)
    for number, line in enumerate(lines, 1):
        page.append(Text(_LEFT, y, 12, f"{number}", "plain"))
        page.append(Text(_LEFT + 28, y, 12, line, "fixed"))
        y -= 19
    page.append(_code(f"{KEY_CODE} {' '.join(lines)}", _LEFT, y - 8, 240))
    page.append(Text(_LEFT, y - 262, 9, "The same characters as a code, for a scanner."))
    return page


def _wrapped(
    page: list[Item],
    text: str,
    y: float,
    *,
    x: float = _LEFT,
    columns: int = 88,
    size: float = 11,
    font: Font = "plain",
) -> float:
    """Add lines below ``y``; where the next one goes."""
    for line in textwrap.wrap(text, columns):
        page.append(Text(x, y, size, line, font))
        y -= size * 1.35
    return y


def _code(text: str, x: float, y: float, size: float) -> Item:
    code = segno.make(text.upper(), error="m", micro=False)
    return Modules(x, y, size, tuple(tuple(row) for row in code.matrix))


def _words(share: "Share") -> tuple[str, ...]:
    return tuple(" ".join(line) for line in share_lines(share))


def _facts(ceremony: "Ceremony", share: "Share") -> list[tuple[str, str]]:
    record = ceremony.record
    return [
        ("Keeper", record.custodians[share.index - 1].name),
        ("Ceremony", f"{record.ceremony}, {rfc3339(record.created)[:10]}"),
        ("Key", recovery_user_id(record.public_key)),
    ]


def _paragraphs(share: "Share") -> tuple[str, ...]:
    """What it is, what the sealed key is, and then what to do."""
    return tuple(" ".join(text.split()) for text in _TEXTS.format(share).strip().split("\n\n"))

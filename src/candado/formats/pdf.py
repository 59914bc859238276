"""The smallest part of PDF 1.7 that prints a sheet: text in the fonts every reader has, rules and QR codes.

Layer: ``formats``; pure. Nothing is compressed and nothing says who wrote it or when, so that equal pages are equal
files. Text is limited to what those fonts can show, see ``can_show``. Source: ISO 32000-1, 7.3, 7.5, 8.5, 9.4, 9.6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from candado.errors import MisuseError

__all__ = ["A4", "Font", "Item", "Modules", "Rule", "Text", "can_show", "format_pdf"]

A4: Final = (595, 842)
"""Width and height of a page in points of 1/72 inch."""

Font = Literal["plain", "bold", "fixed"]
_FONTS: Final[dict[str, tuple[str, str]]] = {
    "plain": ("F1", "Helvetica"),
    "bold": ("F2", "Helvetica-Bold"),
    "fixed": ("F3", "Courier-Bold"),
}


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text that begins at ``x``, ``y`` (points from the lower left corner); ``size`` in points."""

    x: float
    y: float
    size: float
    text: str
    font: Font = "plain"


@dataclass(frozen=True, slots=True)
class Rule:
    """A thin horizontal line from ``x``, ``width`` points long."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Modules:
    """A square of dark and light modules, such as a QR code, ``size`` points wide; ``x``, ``y`` is its upper left."""

    x: float
    y: float
    size: float
    rows: Sequence[Sequence[int]]


Item: TypeAlias = Text | Rule | Modules


def can_show(text: str) -> bool:
    """Whether the fonts have all characters of the text."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return text.isprintable()


def format_pdf(pages: Sequence[Sequence[Item]], *, title: str) -> bytes:
    """Return a PDF of A4 pages; MisuseError when a text or the title has characters that ``can_show`` refuses."""
    fonts = "".join(
        f"/{name} << /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >> "
        for name, font in _FONTS.values()
    )
    # Objects: 1 catalogue, 2 pages, 3 information, then each page and its content.
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode("ascii"),
        b"<< /Title " + _string(title) + b" >>",
    ]
    for at, page in enumerate(pages):
        content = b"".join(_drawn(item) for item in page)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {A4[0]} {A4[1]}] /Contents {5 + 2 * at} 0 R "
            f"/Resources << /Font << {fonts}>> >> >>".encode("ascii")
        )
        objects.append(b"<< /Length %d >>\nstream\n" % len(content) + content + b"endstream")
    out, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", list[int]()
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}"
    end += f"trailer\n<< /Size {len(places) + 1} /Root 1 0 R /Info 3 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + end.encode("ascii")


def _string(text: str) -> bytes:
    if not can_show(text):
        raise MisuseError("a text cannot be shown in the fonts of a PDF")
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return b"(" + escaped.encode("cp1252") + b")"


def _drawn(item: Item) -> bytes:
    if isinstance(item, Text):
        name, _ = _FONTS[item.font]
        place = f"{_number(item.x)} {_number(item.y)}"
        return f"BT /{name} {_number(item.size)} Tf {place} Td ".encode("ascii") + _string(item.text) + b" Tj ET\n"
    if isinstance(item, Rule):
        y = _number(item.y)
        return f"0.5 w {_number(item.x)} {y} m {_number(item.x + item.width)} {y} l S\n".encode("ascii")
    return _modules(item)


def _modules(item: Modules) -> bytes:
    """Dark modules as one path; neighbours in a row are one rectangle, so that no reader shows gaps."""
    side = item.size / len(item.rows)
    parts: list[str] = []
    for down, row in enumerate(item.rows):
        start = 0
        while start < len(row):
            end = start
            while end < len(row) and row[end]:
                end += 1
            if end > start:
                corner = f"{_number(item.x + start * side)} {_number(item.y - (down + 1) * side)}"
                parts.append(f"{corner} {_number((end - start) * side)} {_number(side)} re\n")
            start = end + 1
    return "".join([*parts, "f\n"]).encode("ascii")


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")

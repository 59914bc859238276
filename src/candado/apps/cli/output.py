"""What commands print: data on stdout, everything else on stderr.

Layer: ``apps``. Names come from other people, so whatever a terminal could take for a command, or could turn around, is
shown as an escape (threat model, A60).
"""

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["human_size", "json_line", "printable", "rfc3339", "table"]

_DANGEROUS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def printable(text: str) -> str:
    """The text with control and direction characters as escapes, on one line."""
    return _DANGEROUS.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def json_line(document: Mapping[str, Any]) -> str:
    """One JSON document on one line, ASCII only."""
    return json.dumps(document, separators=(",", ":"))


def rfc3339(seconds: float) -> str:
    """A time in UTC to the second, as RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def human_size(count: int) -> str:
    """A size in bytes for people: ``512``, ``1.5K``, ``20M``."""
    value, unit = float(count), ""
    for larger in "KMGTP":
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}{unit}" if unit and value < 10 else f"{value:.0f}{unit}"


def table(rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows with aligned columns; the last column is not padded."""
    kept = [tuple(printable(cell) for cell in row) for row in rows]
    if not kept:
        return
    widths = [max(len(row[column]) for row in kept) for column in range(len(kept[0]) - 1)]
    for row in kept:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        sys.stdout.write("  ".join([*cells, row[-1]]).rstrip() + "\n")

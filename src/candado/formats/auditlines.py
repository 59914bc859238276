"""Which line of which format a record becomes, and back: which record a line was.

Layer: ``formats``.
"""

import re
from typing import Final, Literal, TypeAlias

from candado.errors import FormatError
from candado.formats.auditrecord import AuditRecord
from candado.formats.auditsiem import cef_line, ecs_line, ocsf_line
from candado.formats.canonjson import JsonValue, load_json

__all__ = ["FORMATS", "LineFormat", "render", "sequence_of"]

LineFormat: TypeAlias = Literal["native", "ocsf", "ecs", "cef"]
FORMATS: Final[tuple[LineFormat, ...]] = ("native", "ocsf", "ecs", "cef")

_LINE_BYTES_MAX: Final = 128 * 1024
_CEF_NUMBER: Final = re.compile(rb"[^\\]\|rt=\d{1,16} externalId=(\d{1,16}) ")
_PLACES: Final[dict[LineFormat, tuple[str, ...]]] = {
    "native": ("seq",),
    "ocsf": ("metadata", "sequence"),
    "ecs": ("event", "sequence"),
}


def render(line_format: LineFormat, raw: bytes, record: AuditRecord, *, version: str) -> bytes:
    """The line for one record, without an end of line: ``raw`` itself in the native format."""
    if line_format == "native":
        return raw
    if line_format == "ocsf":
        return ocsf_line(record, version=version)
    if line_format == "ecs":
        return ecs_line(record, version=version)
    return cef_line(record, version=version)


def sequence_of(line_format: LineFormat, line: bytes) -> int | None:
    """The number of the record that a line of ours shows; None when it shows none."""
    if line_format == "cef":
        match = _CEF_NUMBER.search(line)
        return int(match[1]) if match else None
    try:
        found: JsonValue = load_json(line, bytes_max=_LINE_BYTES_MAX)
    except FormatError:
        return None
    for name in _PLACES[line_format]:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None

"""Lines of the audit log: records, where a file starts, checkpoints in between.

Layer: ``formats``. The bytes of a record's line are what the tree covers, so they are made in one way only: a line that
would be written differently than it was read is no record. Source: ``docs/spec/audit.md``.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from candado.errors import LimitExceededError, MalformedError
from candado.formats.auditevents import KINDS
from candado.formats.canonjson import JsonObject, JsonValue, dump_canonical, load_json
from candado.formats.fields import list_of, object_of, string_member

__all__ = ["LINE_BYTES_MAX", "AuditRecord", "CheckpointLine", "StartLine", "format_line", "parse_line", "record_time"]

LINE_BYTES_MAX: Final = 128 * 1024
VERSION: Final = 1
_RECORD_BYTES_MAX: Final = 16 * 1024
_LAST_SECOND: Final = 253_402_300_799.0
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_TEXT: Final = re.compile(r"[A-Za-z0-9:._/+=-]{0,160}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_TEXTS: Final = ("actor", "device", "address", "target", "outcome", "reason", "request")
_MEMBERS: Final = frozenset((*_TEXTS, "v", "seq", "time", "id", "event", "versions", "counter", "details"))
_START_MEMBERS: Final = frozenset(("origin", "seq", "edge"))
_EDGE_MAX: Final = 53
_VERSIONS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record; see ``docs/spec/audit.md`` for each member. ``counter`` is (before, after)."""

    sequence: int
    time: str
    number: int
    event: str
    actor: str = ""
    device: str = ""
    address: str = ""
    target: str = ""
    outcome: str = "done"
    reason: str = ""
    request: str = ""
    versions: tuple[str, ...] = ()
    counter: tuple[int, int] | None = None
    details: dict[str, str | int] = field(default_factory=dict[str, str | int])


@dataclass(frozen=True, slots=True)
class StartLine:
    """Where a file starts: its first record, and the edge of the tree before it, base64 of 32 bytes each."""

    origin: str
    sequence: int
    edge: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A signed note between records."""

    note: str


def record_time(seconds: float) -> str:
    """A time in seconds since the epoch as records have it; what is beyond the years 1970 to 9999 is cut to fit."""
    found = datetime.fromtimestamp(int(min(max(seconds, 0.0), _LAST_SECOND) * 1000) / 1000, UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03d}Z"


def format_line(line: AuditRecord | StartLine | CheckpointLine) -> bytes:
    """The line without its line feed; of a record, the data of its leaf."""
    if isinstance(line, CheckpointLine):
        return dump_canonical({"checkpoint": line.note})
    if isinstance(line, StartLine):
        return dump_canonical({"start": {"origin": line.origin, "seq": line.sequence, "edge": list(line.edge)}})
    document: JsonObject = {name: getattr(line, name) for name in _TEXTS}
    document |= {"v": VERSION, "seq": line.sequence, "time": line.time, "id": line.number, "event": line.event}
    document["versions"] = list(line.versions)
    document["counter"] = None if line.counter is None else list(line.counter)
    document["details"] = dict(line.details)
    return dump_canonical(document)


def parse_line(raw: bytes) -> AuditRecord | StartLine | CheckpointLine:
    """Return what a line is.

    Raises:
        LimitExceededError, MalformedError: none of the three, or not in its one spelling.
    """
    document = object_of(load_json(raw, bytes_max=LINE_BYTES_MAX, depth_max=4), "a line of the log")
    found: AuditRecord | StartLine | CheckpointLine
    if document.keys() == {"checkpoint"}:
        found = CheckpointLine(string_member(document, "checkpoint"))
    elif document.keys() == {"start"}:
        found = _parse_start(object_of(document["start"], "start"))
    else:
        if len(raw) > _RECORD_BYTES_MAX:
            raise LimitExceededError("a record of the log is larger than 16 KiB")
        found = _parse_record(document)
    if format_line(found) != raw:
        raise MalformedError("a line of the log is not in its one spelling")
    return found


def _parse_start(document: JsonObject) -> StartLine:
    edge = list_of(document.get("edge"), "edge")
    if document.keys() != _START_MEMBERS or len(edge) > _EDGE_MAX:
        raise MalformedError("a start is not what it must be")
    texts = tuple(_text(one, 44) for one in edge)
    sequence = _whole(document["seq"])
    if len(edge) != sequence.bit_count():
        raise MalformedError("the edge of a start has another length than its number says")
    return StartLine(string_member(document, "origin"), sequence, texts)


def _parse_record(document: JsonObject) -> AuditRecord:
    if document.keys() != _MEMBERS or document["v"] != VERSION:
        raise MalformedError("a line of the log is no record of this version")
    texts = {name: _text(document[name]) for name in _TEXTS}
    event, number, time = string_member(document, "event"), _whole(document["id"]), string_member(document, "time")
    kind = KINDS.get(event)  # a newer server has kinds that we do not know
    if (kind is not None and kind.number != number) or not _TIME.fullmatch(time) or not _TEXT.fullmatch(event):
        raise MalformedError("a record of the log has another number than its kind, or no time")
    versions = list_of(document["versions"], "versions")
    if len(versions) > _VERSIONS_MAX:
        raise LimitExceededError("a record of the log has too many versions")
    return AuditRecord(
        sequence=_whole(document["seq"]),
        time=time,
        number=number,
        event=event,
        versions=tuple(_text(one) for one in versions),
        counter=_counter(document["counter"]),
        details=_details(object_of(document["details"], "details")),
        **texts,
    )


def _counter(value: JsonValue) -> tuple[int, int] | None:
    if value is None:
        return None
    numbers = [_whole(one) for one in list_of(value, "counter")]
    if len(numbers) != 2:
        raise MalformedError("the counter of a record is not a pair")
    return numbers[0], numbers[1]


def _details(document: JsonObject) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for name, value in document.items():
        if not _NAME.fullmatch(name):
            raise MalformedError("a detail of a record has an odd name")
        found[name] = value if isinstance(value, int) and not isinstance(value, bool) else _text(value)
    return found


def _text(value: JsonValue, size_max: int = 160) -> str:
    if not isinstance(value, str) or len(value) > size_max or not _TEXT.fullmatch(value):
        raise MalformedError("a text of the log is no id and no code")
    return value


def _whole(value: JsonValue) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedError("a number of the log is none")
    return value

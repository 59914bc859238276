"""Lines of the audit log have one spelling, and everything else is refused."""

import json
from dataclasses import replace

import pytest

from candado.errors import FormatError, LimitExceededError
from candado.formats.auditrecord import (
    AuditRecord,
    CheckpointLine,
    StartLine,
    format_line,
    parse_line,
    record_time,
)

RECORD = AuditRecord(
    sequence=7,
    time="2026-11-25T04:00:00.123Z",
    number=3020,
    event="metadata.written",
    actor="u:00112233445566778899aabbccddeeff",
    device="d:3",
    address="2001:db8::1",
    target="n:12",
    request="00aa11bb22cc33dd",
    versions=("e2ee/2", "metadata/2.1"),
    counter=(3, 4),
    details={"bytes": 1200, "session": "n:11"},
)
LINE = (
    b'{"actor":"u:00112233445566778899aabbccddeeff","address":"2001:db8::1","counter":[3,4],'
    b'"details":{"bytes":1200,"session":"n:11"},"device":"d:3","event":"metadata.written","id":3020,"outcome":"done",'
    b'"reason":"","request":"00aa11bb22cc33dd","seq":7,"target":"n:12","time":"2026-11-25T04:00:00.123Z","v":1,'
    b'"versions":["e2ee/2","metadata/2.1"]}'
)
HASH = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_a_record_is_the_line_that_the_specification_shows() -> None:
    assert format_line(RECORD) == LINE
    assert parse_line(LINE) == RECORD
    plain = AuditRecord(0, "1970-01-01T00:00:00.000Z", 9001, "audit.started")
    assert parse_line(format_line(plain)) == plain


def test_other_lines_come_back_as_they_were() -> None:
    for line in (
        StartLine("candado.audit/x", 5, (HASH, HASH)),
        StartLine("o", 0, ()),
        CheckpointLine("text\n\n— a b\n"),
    ):
        assert parse_line(format_line(line)) == line


def test_a_kind_of_a_newer_server_is_read() -> None:
    newer = replace(RECORD, event="metadata.dreamt", number=3999)
    assert parse_line(format_line(newer)) == newer


def test_times_are_to_the_millisecond_and_never_fail() -> None:
    assert record_time(1_795_579_200.1239) == "2026-11-25T04:00:00.123Z"
    assert (record_time(-1.0), record_time(1e30)) == ("1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z")


def _with(**changed: object) -> bytes:
    document = json.loads(LINE) | changed
    return json.dumps(
        {k: v for k, v in document.items() if v != "absent"}, sort_keys=True, separators=(",", ":")
    ).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        LINE + b" ",
        LINE.replace(b":1,", b": 1,"),
        LINE.replace(b'"seq":7', b'"seq":7,"seq":7'),
        _with(seq=-1),
        _with(seq=True),
        _with(seq=7.5),
        _with(v=2),
        _with(id=3021),
        _with(time="2026-11-25T04:00:00Z"),
        _with(time="\u0662026-11-25T04:00:00.123Z"),
        _with(event="Metadata written"),
        _with(target="a name.pdf"),
        _with(target="x" * 161),
        _with(actor=None),
        _with(counter=[3]),
        _with(counter=[3, -4]),
        _with(counter=3),
        _with(versions=["a"] * 9),
        _with(versions="a"),
        _with(versions=[1]),
        _with(details=[]),
        _with(details={"Name": 1}),
        _with(details={"name": "a name.pdf"}),
        _with(details={"name": True}),
        _with(details={"name": None}),
        _with(more=1),
        _with(device="absent"),
        _with(details={f"n{n}": "x" * 150 for n in range(120)}),
        b'{"checkpoint":1}',
        b'{"start":1}',
        b'{"start":{"edge":[],"origin":"o","seq":0,"more":1}}',
        b'{"start":{"edge":[],"origin":"o","seq":3}}',
        b'{"start":{"edge":["x y"],"origin":"o","seq":1}}',
        b'{"start":{"edge":[' + b",".join([b'"a"'] * 54) + b'],"origin":"o","seq":1}}',
    ],
)
def test_what_is_no_line_of_the_log_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError):
        parse_line(line)


def test_a_line_has_a_limit() -> None:
    with pytest.raises(LimitExceededError):
        parse_line(format_line(CheckpointLine("x" * 128 * 1024)))

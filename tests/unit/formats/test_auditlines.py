"""A record becomes a line, and a line says whose it is."""

import pytest

from candado.formats.auditlines import FORMATS, LineFormat, render, sequence_of
from candado.formats.auditrecord import AuditRecord

RECORD = AuditRecord(
    12, "2026-01-02T03:04:05.678Z", 4001, "share.made", actor="|rt=1 externalId=99 ", reason="externalId=98"
)


@pytest.mark.parametrize("line_format", FORMATS)
def test_the_number_of_a_line_is_found_again(line_format: LineFormat) -> None:
    raw = b'{"seq":12}'
    found = render(line_format, raw, RECORD, version="1")
    assert sequence_of(line_format, found) == 12
    assert b"\n" not in found
    assert (found == raw) == (line_format == "native")


@pytest.mark.parametrize(
    ("line_format", "line"),
    [
        ("native", b'{"start":{"seq":3}}'),
        ("native", b'{"seq":true}'),
        ("native", b'{"seq":"3"}'),
        ("native", b"[3]"),
        ("native", b"\xff"),
        ("native", b""),
        ("ocsf", b'{"metadata":3}'),
        ("ocsf", b'{"sequence":3}'),
        ("ecs", b'{"event":{}}'),
        ("cef", b"CEF:0|a|b|c|1|d\\|rt=1 externalId=3 |3|x"),
        ("cef", b'{"seq":3}'),
    ],
)
def test_a_line_without_a_number_has_none(line_format: LineFormat, line: bytes) -> None:
    assert sequence_of(line_format, line) is None

"""Whoever changes an exported log is found out, and what was done to it is told apart."""

import json
from collections.abc import Callable

import pytest
from tests.vectors.keys import private_key

from candado.crypto import merkle
from candado.crypto.checkpoint import Checkpoint, assemble_checkpoint, checkpoint_to_sign, origin_of
from candado.encoding import encode_b64
from candado.formats.auditrecord import AuditRecord, CheckpointLine, StartLine, format_line
from candado.protocol.auditcheck import FINDINGS_MAX, LogReport, check_log

AUTHORITY, MALLORY = private_key("authority"), private_key("mallory")
ORIGIN = origin_of(bytes(32))


def _records(count: int, *, reason: str = "") -> list[bytes]:
    return [
        format_line(
            AuditRecord(n, "2026-11-25T04:00:00.000Z", 3020, "metadata.written", target=f"n:{n}", reason=reason)
        )
        for n in range(count)
    ]


def _edge(lines: list[bytes]) -> list[bytes]:
    return merkle.grow(0, [], [merkle.leaf_hash(line) for line in lines])[0]


def _note(lines: list[bytes], *, origin: str = ORIGIN, key: str = "authority") -> str:
    point, signer = Checkpoint(origin, len(lines), merkle.root_of(_edge(lines))), private_key(key)
    return assemble_checkpoint(point, signer.public, signer.sign_pkcs1_sha256(checkpoint_to_sign(point)))


def _point(lines: list[bytes], **how: str) -> bytes:
    return format_line(CheckpointLine(_note(lines, **how)))


RECORDS = _records(10)
START = format_line(StartLine(ORIGIN, 0, ()))
POINT_4, POINT_10 = _point(RECORDS[:4]), _point(RECORDS)
WHOLE = [START, *RECORDS[:4], POINT_4, *RECORDS[4:], POINT_10]


def _check(lines: list[bytes], *known: str) -> LogReport:
    return check_log(lambda: iter(lines), AUTHORITY.public, known)


def _codes(report: LogReport) -> list[tuple[str, str]]:
    return [(finding.code, finding.message) for finding in report.findings]


def test_a_whole_log_is_proved_to_its_end() -> None:
    report = _check(WHOLE)
    assert report == LogReport(ORIGIN, 10, 0, 10, 10, ())
    assert report.is_whole
    assert _check(RECORDS, _note(RECORDS)) == report
    assert _check([*RECORDS, POINT_4, POINT_10]) == report


def test_an_edited_record_is_told_to_lie_between_two_checkpoints() -> None:
    lines = WHOLE.copy()
    lines[8] = lines[8].replace(b'"outcome":"done"', b'"outcome":"none"')
    report = _check(lines)
    assert _codes(report) == [
        ("audit.edited", "a record from 4 to 9 is not the one that was signed"),
        ("audit.unsigned", "no checkpoint proves the records from 4 on"),
    ]
    assert (report.signed, report.is_whole, report.findings[0].line) == (4, False, 13)


def test_a_missing_record_is_a_gap() -> None:
    lines = [line for line in WHOLE if line not in RECORDS[5:7]]
    report = _check(lines)
    assert _codes(report) == [
        ("audit.gap", "records 5 to 6 are missing"),
        ("audit.unsigned", "no checkpoint proves the records from 4 on"),
    ]
    assert (report.records, report.end) == (8, 10)
    assert _codes(_check([*RECORDS[2:], POINT_10]))[0] == ("audit.gap", "records 0 to 1 are missing")


def test_lines_in_another_order_are_no_gap() -> None:
    lines = WHOLE.copy()
    lines[2], lines[4] = lines[4], lines[2]
    report = _check(lines)
    assert [code for code, _ in _codes(report)] == ["audit.reordered", "audit.reordered", "audit.unsigned"]
    assert report.findings[0] == type(report.findings[0])("audit.reordered", 4, "record 2 stands after record 3")
    twice = _check([*RECORDS, RECORDS[9], POINT_10])
    assert [code for code, _ in _codes(twice)] == ["audit.reordered"]


def test_of_a_gap_that_is_partly_filled_the_rest_is_named() -> None:
    report = _check([RECORDS[0], RECORDS[7], RECORDS[3], RECORDS[6], RECORDS[1], RECORDS[8], RECORDS[9]])
    gaps = [message for code, message in _codes(report) if code == "audit.gap"]
    assert gaps == ["records 2 to 2 are missing", "records 4 to 5 are missing"]


def test_a_cut_end_is_found_by_a_checkpoint_in_the_file_or_beside_it() -> None:
    assert _codes(_check([*RECORDS[:6], POINT_10])) == [
        ("audit.truncated", "a checkpoint covers 10 records, and the file ends after 6"),
        ("audit.unsigned", "no checkpoint proves the records from 0 on"),
    ]
    cut = _check(WHOLE[:9], _note(RECORDS))
    assert [code for code, _ in _codes(cut)] == ["audit.truncated", "audit.unsigned"]
    assert cut.signed == 4
    assert _check(WHOLE[:6]).is_whole


def test_two_histories_under_one_key_are_a_fork() -> None:
    other = _records(10, reason="other")
    same_size = _check([*WHOLE, _point(other)])
    assert _codes(same_size) == [("audit.forked", "two checkpoints of size 10 have different roots")]
    smaller = _check([*WHOLE, _point(other[:6])])
    assert _codes(smaller) == [("audit.forked", "the checkpoint of size 6 contradicts the later one of 10")]
    assert smaller.signed == 10
    known = _check(WHOLE, _note(other))
    assert [(finding.code, finding.line) for finding in known.findings] == [("audit.forked", 13)]


def test_a_checkpoint_of_another_key_or_log_is_forged() -> None:
    assert _codes(_check([*RECORDS, _point(RECORDS, key="mallory")])) == [
        ("audit.forged", "the checkpoint is not signed by the authority"),
        ("audit.unsigned", "no checkpoint proves the records from 0 on"),
    ]
    other = _check([*WHOLE, _point(RECORDS, origin=origin_of(b"x" * 32))])
    assert _codes(other) == [("audit.forged", "the checkpoint is one of another log")]


def test_a_log_of_an_authority_that_handed_over_is_verified_with_both_keys() -> None:
    lines = [*RECORDS[:4], POINT_4, *RECORDS[4:], _point(RECORDS, key="mallory")]
    assert check_log(lambda: iter(lines), AUTHORITY.public, (), [MALLORY.public]) == LogReport(
        ORIGIN, 10, 0, 10, 10, ()
    )
    assert check_log(lambda: iter(lines), MALLORY.public, (), [AUTHORITY.public]).signed == 10


def test_records_after_the_last_checkpoint_are_a_notice() -> None:
    report = _check(WHOLE[:9])
    assert [(f.code, f.severity) for f in report.findings] == [("audit.unsigned", "notice")]
    assert (report.is_whole, report.signed, report.end) == (True, 4, 7)


def test_a_log_without_checkpoints_proves_nothing() -> None:
    report = _check(RECORDS)
    assert [(f.code, f.severity) for f in report.findings] == [("audit.unsigned", "error")]
    assert _check([]) == LogReport("", 0, 0, 0, 0, ())


def _start(at: int, edge: list[bytes] | None = None) -> bytes:
    hashes = _edge(RECORDS[:at]) if edge is None else edge
    return format_line(StartLine(ORIGIN, at, tuple(encode_b64(one) for one in hashes)))


def test_a_file_that_goes_on_where_another_ended_is_proved() -> None:
    assert _check([_start(5), *RECORDS[5:], POINT_4, POINT_10]) == LogReport(ORIGIN, 5, 5, 10, 10, ())
    assert _check([_start(4), POINT_4, *RECORDS[4:], POINT_10]).signed == 10
    assert _check([*RECORDS[:4], POINT_4, _start(4), *RECORDS[4:], POINT_10]).findings == ()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda: [_start(5, [bytes(32), bytes(32)]), *RECORDS[5:], POINT_10], "audit.edited"),
        (lambda: [*RECORDS[:4], _start(4, [bytes(32)]), *RECORDS[4:], POINT_10], "audit.edited"),
        (lambda: [*RECORDS[:4], POINT_4, _start(6), *RECORDS[6:], POINT_10], "audit.gap"),
        (lambda: [*RECORDS[:6], _start(4), *RECORDS[6:], POINT_10], "audit.reordered"),
        (lambda: [*WHOLE, b"{}"], "audit.malformed"),
        (lambda: [*WHOLE, _start(10).replace(b"A", b"?")], "audit.malformed"),
        (lambda: [*WHOLE, b'{"checkpoint":"x"}'], "audit.malformed"),
        (lambda: [*WHOLE, b'{"checkpoint":1}'], "audit.malformed"),
    ],
)
def test_a_start_or_a_line_that_does_not_fit_is_found(spoil: Callable[[], list[bytes]], code: str) -> None:
    report = _check(spoil())
    assert report.findings[0].code == code
    assert not report.is_whole


def test_after_a_line_that_is_none_only_numbers_are_looked_at() -> None:
    report = _check([*RECORDS[:5], b"?", *RECORDS[5:8], _start(8, [bytes(32)]), *RECORDS[8:], POINT_10])
    assert [code for code, _ in _codes(report)] == ["audit.malformed", "audit.unsigned"]


def test_a_file_of_rubbish_gives_so_many_findings_and_no_more() -> None:
    report = _check([json.dumps(n).encode() for n in range(FINDINGS_MAX + 5)])
    assert len(report.findings) == FINDINGS_MAX

"""Events as OCSF, ECS and CEF: whole lines, and no value that ends its field or its line."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.formats.auditrecord import AuditRecord
from candado.formats.auditsiem import OCSF, cef_line, ecs_line, ocsf_class, ocsf_line, syslog_severity

START = "1970-01-01T00:00:00.000Z"
SHARE = AuditRecord(
    sequence=41,
    number=4001,
    event="share.made",
    time="2026-01-02T03:04:05.678Z",
    actor="u:00112233445566778899aabbccddeeff",
    device="d:3",
    address="192.0.2.7",
    target="sh:9",
    request="5f1e",
    versions=("ocs/2", "e2ee-api/2"),
    details={"permissions": 31, "node": "n:812"},
)
BARE = AuditRecord(sequence=0, number=9001, event="audit.started", time=START)


def test_a_share_as_ocsf() -> None:
    assert json.loads(ocsf_line(SHARE, version="0.1.0")) == {
        "activity_id": 12,
        "actor": {"session": {"uid": "d:3"}, "user": {"uid": "u:00112233445566778899aabbccddeeff"}},
        "category_uid": 6,
        "class_uid": 6006,
        "file": {"name": "n:812", "type_id": 0, "uid": "n:812"},
        "message": "share.made",
        "metadata": {
            "correlation_uid": "5f1e",
            "event_code": "4001",
            "product": {"name": "candado-server", "vendor_name": "candado", "version": "0.1.0"},
            "sequence": 41,
            "uid": "41",
            "version": "1.3.0",
        },
        "severity_id": 1,
        "src_endpoint": {"ip": "192.0.2.7"},
        "status_code": "done",
        "status_id": 1,
        "time": 1_767_323_045_678,
        "type_uid": 600612,
        "unmapped": {"permissions": 31, "node": "n:812", "versions": ["ocs/2", "e2ee-api/2"]},
    }


def test_what_happened_at_the_console_has_what_ocsf_demands() -> None:
    assert json.loads(ocsf_line(BARE, version="0.1.0")) == {
        "activity_id": 1,
        "actor": {"user": {"uid": "-"}},
        "category_uid": 3,
        "class_uid": 3004,
        "entity": {"type": "audit", "uid": "-"},
        "message": "audit.started",
        "metadata": {
            "event_code": "9001",
            "product": {"name": "candado-server", "vendor_name": "candado", "version": "0.1.0"},
            "sequence": 0,
            "uid": "0",
            "version": "1.3.0",
        },
        "severity_id": 1,
        "src_endpoint": {"name": "console"},
        "status_code": "done",
        "status_id": 1,
        "time": 0,
        "type_uid": 300401,
    }


@pytest.mark.parametrize(
    ("kind", "outcome", "more", "expected"),
    [
        (
            "signin.refused",
            "refused",
            {"actor": "nobody", "target": "u:ab", "reason": "AUTH_REQUIRED", "address": "2001:db8::1"},
            {"class_uid": 3002, "activity_id": 1, "type_uid": 300201, "status_id": 2, "severity_id": 2,
             "status_detail": "AUTH_REQUIRED", "user": {"uid": "u:ab"}, "service": {"name": "candado-server"},
             "src_endpoint": {"ip": "2001:db8::1"}},
        ),
        (
            "signin.accepted", "done", {"actor": "u:ab", "target": "d:3"},
            {"class_uid": 3002, "user": {"uid": "u:ab"}, "severity_id": 1},
        ),
        ("signin.limited", "refused", {}, {"class_uid": 3002, "user": {"uid": "-"}}),
        ("user.changed", "done", {"target": "u:cd"},
         {"class_uid": 3001, "activity_id": 99, "activity_name": "user.changed", "user": {"uid": "u:cd"}}),
        ("group.joined", "done", {"target": "g:1", "details": {"member": "u:2"}},
         {"class_uid": 3006, "activity_id": 3, "group": {"uid": "g:1"}, "user": {"uid": "u:2"}}),
        ("recovery.used", "intent", {"target": "k:aa"},
         {"class_uid": 3004, "activity_id": 99, "activity_name": "recovery.used", "status_id": 0, "severity_id": 2,
          "entity": {"type": "recovery", "uid": "k:aa"}}),
        ("sink.failed", "failed", {"target": "s:siem", "address": "not an address"},
         {"class_uid": 3004, "severity_id": 3, "status_id": 2, "src_endpoint": {"name": "not an address"}}),
    ],
)  # fmt: skip
def test_each_class_of_ocsf_has_its_object(
    kind: str, outcome: str, more: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = json.loads(ocsf_line(AuditRecord(1, START, 2, kind, outcome=outcome, **more), version="1"))
    assert {name: found[name] for name in expected} == expected


def test_every_row_of_the_table_is_a_class_and_an_activity_that_ocsf_has() -> None:
    activities = {3001: {*range(1, 12), 99}, 3002: {1}, 3004: {1, 2, 3, 4}, 3006: {3, 4}, 6006: {*range(1, 17), 99}}
    assert [kind for kind, (cls, activity) in OCSF.items() if activity not in activities[cls]] == []
    assert ocsf_class("something.new") == (3004, 99)


def test_a_share_as_ecs() -> None:
    assert json.loads(ecs_line(SHARE, version="0.1.0")) == {
        "@timestamp": "2026-01-02T03:04:05.678Z",
        "candado": {
            "details": {"permissions": 31, "node": "n:812"},
            "device": "d:3",
            "outcome": "done",
            "target": "sh:9",
            "versions": ["ocs/2", "e2ee-api/2"],
        },
        "ecs": {"version": "8.11.0"},
        "event": {
            "action": "share.made",
            "category": ["file"],
            "code": "4001",
            "dataset": "candado.audit",
            "id": "41",
            "kind": "event",
            "module": "candado",
            "outcome": "success",
            "provider": "candado-server",
            "sequence": 41,
            "severity": 6,
            "type": ["change"],
        },
        "http": {"request": {"id": "5f1e"}},
        "message": "share.made",
        "service": {"name": "candado-server", "type": "candado", "version": "0.1.0"},
        "source": {"address": "192.0.2.7", "ip": "192.0.2.7"},
        "user": {"id": "u:00112233445566778899aabbccddeeff"},
    }


def test_ecs_says_only_what_is_known() -> None:
    found = json.loads(ecs_line(AuditRecord(1, START, 1002, "signin.refused", outcome="refused", reason="LIMIT",
                                            address="unix"), version="1"))  # fmt: skip
    assert found == {
        "@timestamp": "1970-01-01T00:00:00.000Z",
        "candado": {"outcome": "refused"},
        "ecs": {"version": "8.11.0"},
        "event": {
            "action": "signin.refused", "category": ["authentication"], "code": "1002", "dataset": "candado.audit",
            "id": "1", "kind": "event", "module": "candado", "outcome": "failure", "provider": "candado-server",
            "reason": "LIMIT", "sequence": 1, "severity": 5, "type": ["start"],
        },
        "message": "signin.refused",
        "service": {"name": "candado-server", "type": "candado", "version": "1"},
        "source": {"address": "unix"},
    }  # fmt: skip
    unknown = json.loads(ecs_line(AuditRecord(1, START, 1, "new.kind", outcome="intent"), version="1"))
    assert unknown["event"]["category"] == ["configuration"]
    assert unknown["event"]["type"] == ["info"]
    assert unknown["event"]["outcome"] == "unknown"


def test_categories_and_types_are_those_that_ecs_lets_go_together() -> None:
    allowed = {
        "authentication": {"start", "end", "info"},
        "configuration": {"access", "change", "creation", "deletion", "info"},
        "file": {"access", "change", "creation", "deletion", "info"},
        "iam": {"admin", "change", "creation", "deletion", "group", "info", "user"},
    }
    for kind in [*OCSF, "something.new"]:
        event = json.loads(ecs_line(AuditRecord(1, START, 1, kind), version="1"))["event"]
        assert set(event["type"]) <= allowed[event["category"][0]], kind
        assert event["type"], kind


def test_a_share_as_cef() -> None:
    assert cef_line(SHARE, version="0.1.0").decode() == (
        "CEF:0|candado|candado-server|0.1.0|4001|share.made|3|rt=1767323045678 externalId=41 act=share.made outcome=done"
        " suid=u:00112233445566778899aabbccddeeff src=192.0.2.7 cs1=sh:9 cs1Label=target cs2=d:3 cs2Label=device"
        " cs3=5f1e cs3Label=request cs4=ocs/2 e2ee-api/2 cs4Label=versions"
        ' cs5={"node":"n:812","permissions":31} cs5Label=details'
    )


def test_cef_escapes_what_would_end_a_field() -> None:
    record = AuditRecord(
        1, START, 2, "a|b\\c\nd", actor="x=y\\z", reason="two\r\nlines\x00", address="2001:db8::1", outcome="failed"
    )
    assert cef_line(record, version="1|2").decode() == (
        "CEF:0|candado|candado-server|1\\|2|2|a\\|b\\\\c\\\\u000ad|8|rt=0 externalId=1 act=a|b\\\\c\\nd outcome=failed"
        " reason=two\\r\\nlines\\\\u0000 suid=x\\=y\\\\z c6a2=2001:db8::1 c6a2Label=Source IPv6 Address"
    )
    assert cef_line(AuditRecord(1, START, 2, "k", address="unix"), version="1").endswith(b"outcome=done shost=unix")


@pytest.mark.parametrize(
    ("kind", "outcome", "severity"),
    [("share.made", "done", 6), ("share.made", "refused", 5), ("recovery.used", "done", 5), ("x.y", "failed", 4)],
)
def test_the_severity_follows_outcome_and_kind(kind: str, outcome: str, severity: int) -> None:
    assert syslog_severity(AuditRecord(1, START, 2, kind, outcome=outcome)) == severity


def test_a_day_that_no_calendar_has_is_no_time() -> None:
    record = AuditRecord(1, "2026-02-30T03:04:05.678Z", 2, "share.made")
    assert json.loads(ocsf_line(record, version="1"))["time"] == 0


def test_the_counter_of_a_folder_is_in_every_form() -> None:
    record = AuditRecord(1, START, 3020, "metadata.written", target="n:7", counter=(4, 5))
    assert json.loads(ocsf_line(record, version="1"))["unmapped"] == {"counter": [4, 5]}
    assert json.loads(ecs_line(record, version="1"))["candado"]["counter"] == {"before": 4, "after": 5}
    assert cef_line(record, version="1").endswith(b" cn1=4 cn1Label=counter before cn2=5 cn2Label=counter after")


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """A reader of its own: seven fields of the header, then the extension."""
    fields, rest = [], line
    for _ in range(7):
        match = re.match(r"((?:\\.|[^|\\])*)\|", rest)
        assert match is not None
        fields.append(re.sub(r"\\(.)", r"\1", match[1]))
        rest = rest[match.end() :]
    # A value ends before " key=" with an equals sign that is not escaped.
    pairs = re.findall(r"(\w+)=((?:\\.|[^=\\])*?)(?= \w+=|$)", rest)
    assert " ".join(f"{name}={value}" for name, value in pairs) == rest
    back = {"n": "\n", "r": "\r"}
    return fields, {name: re.sub(r"\\(.)", lambda m: back.get(m[1], m[1]), value) for name, value in pairs}


HOSTILE = st.text(alphabet=st.sampled_from(list('ab =|\\"[]n\r\n\0\x85\u2028é\ud800{}')), max_size=12)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_value_breaks_a_field_or_a_line(kind: str, actor: str, target: str, reason: str) -> None:
    record = AuditRecord(5, START, 6, kind, actor=actor, target=target, reason=reason, details={"d": target})
    plain = json.loads(ocsf_line(record, version="1"))
    assert (plain["message"], plain["actor"]["user"]["uid"]) == (kind, actor or "-")
    shown = json.loads(ecs_line(record, version="1"))
    assert (shown["event"]["action"], shown["candado"].get("target", "")) == (kind, target)
    for line in (ocsf_line(record, version="1"), ecs_line(record, version="1")):
        assert line.isascii()
        assert len(line.splitlines()) == 1
    cef = cef_line(record, version="1").decode()
    assert len(cef.splitlines()) == 1
    fields, pairs = read_cef(cef)
    assert fields[4] == "6"
    assert fields[6] == "3"
    visible = re.compile(r"[\0\x85\u2028\ud800]")

    def shown_as(text: str) -> str:
        return visible.sub(lambda m: f"\\u{ord(m[0]):04x}", text)

    assert fields[5] == shown_as(kind).replace("\n", "\\u000a").replace("\r", "\\u000d")
    assert pairs.get("suid", "") == shown_as(actor)
    assert pairs.get("cs1", "") == shown_as(target)
    assert pairs.get("reason", "") == shown_as(reason)

"""An event of the audit log as others want to read it: OCSF, ECS and CEF.

Layer: ``formats``. The native form is what is hashed and signed. These three are renderings that carry its number in
the log, so that each can be compared with it. No value, whatever is in it, ends its field or its line: the first two
are JSON in ASCII, the third escapes.

Sources: OCSF schema 1.3.0, classes 3001, 3002, 3004, 3006, 6006; Elastic Common Schema 8.11, "Categorization fields";
ArcSight Common Event Format, revision 26, "Character encoding" and "Extension dictionary".
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from candado.formats.auditrecord import AuditRecord
from candado.formats.canonjson import JsonObject, JsonValue, dump_ascii

__all__ = ["OCSF", "cef_line", "ecs_line", "ocsf_class", "ocsf_line", "syslog_severity"]

PRODUCT: Final = "candado-server"
VENDOR: Final = "candado"
_OCSF_VERSION: Final = "1.3.0"
_ECS_VERSION: Final = "8.11.0"
_CONSOLE: Final = "console"
_NOTHING: Final = "-"

_ACCOUNT: Final = 3001
_SIGN_IN: Final = 3002
_ENTITY: Final = 3004
_GROUP: Final = 3006
_FILES: Final = 6006
_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4
_OTHER: Final = 99

OCSF: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "signin.accepted": (_SIGN_IN, 1),
        "signin.refused": (_SIGN_IN, 1),
        "signin.limited": (_SIGN_IN, 1),
        "apppassword.made": (_ENTITY, _CREATE),
        "apppassword.revoked": (_ENTITY, _DELETE),
        "device.wipe-asked": (_ENTITY, _UPDATE),
        "device.wiped": (_ENTITY, _DELETE),
        "password.changed": (_ACCOUNT, 3),
        "certificate.issued": (_ENTITY, _CREATE),
        "certificate.stored": (_ENTITY, _CREATE),
        "certificate.renewed": (_ENTITY, _UPDATE),
        "certificate.revoked": (_ENTITY, _DELETE),
        "certificate.removed": (_ENTITY, _DELETE),
        "certificate.served": (_ENTITY, _READ),
        "privatekey.stored": (_ENTITY, _CREATE),
        "privatekey.removed": (_ENTITY, _DELETE),
        "key.requested": (_ENTITY, _CREATE),
        "key.approved": (_ENTITY, _UPDATE),
        "key.rejected": (_ENTITY, _UPDATE),
        "folder.marked": (_FILES, 3),
        "folder.unmarked": (_FILES, 3),
        "session.locked": (_FILES, 10),
        "session.unlocked": (_FILES, 11),
        "session.rolled-back": (_FILES, 11),
        "session.expired": (_FILES, 11),
        "metadata.written": (_FILES, 3),
        "metadata.removed": (_FILES, 4),
        "share.made": (_FILES, 12),
        "share.changed": (_FILES, 12),
        "share.ended": (_FILES, 13),
        "link.made": (_FILES, 12),
        "link.changed": (_FILES, 12),
        "link.ended": (_FILES, 13),
        "drop.received": (_FILES, 1),
        "user.made": (_ACCOUNT, 1),
        "user.changed": (_ACCOUNT, _OTHER),
        "user.removed": (_ACCOUNT, 6),
        "group.made": (_ENTITY, _CREATE),
        "group.removed": (_ENTITY, _DELETE),
        "group.changed": (_ENTITY, _UPDATE),
        "group.joined": (_GROUP, 3),
        "group.left": (_GROUP, 4),
        "invitation.made": (_ENTITY, _CREATE),
        "invitation.used": (_ENTITY, _UPDATE),
        "invitation.withdrawn": (_ENTITY, _DELETE),
        "authority.adopted": (_ENTITY, _CREATE),
        "authority.rotated": (_ENTITY, _UPDATE),
        "authority.tested": (_ENTITY, _READ),
        "revocations.published": (_ENTITY, _UPDATE),
        "recovery.installed": (_ENTITY, _CREATE),
        "recovery.off": (_ENTITY, _DELETE),
        "recovery.accepted": (_ENTITY, _UPDATE),
        "recovery.withdrawn": (_ENTITY, _UPDATE),
        "orgkey.installed": (_ENTITY, _CREATE),
        "orgpolicy.changed": (_ENTITY, _UPDATE),
        "policy.changed": (_ENTITY, _UPDATE),
        "policy.hit": (_FILES, _OTHER),
        "policy.reported": (_FILES, _OTHER),
        "policy.imported": (_ENTITY, _UPDATE),
        "policy.tagged": (_FILES, _UPDATE),
        "clientpolicy.changed": (_ENTITY, _UPDATE),
        "audit.started": (_ENTITY, _CREATE),
        "audit.configured": (_ENTITY, _UPDATE),
        "audit.tombstone": (_ENTITY, _DELETE),
        "audit.exported": (_ENTITY, _READ),
        "audit.read": (_ENTITY, _READ),
        "server.configured": (_ENTITY, _UPDATE),
    }
)
"""Class and activity of each kind; what is not here is (3004, 99) with the kind as the activity's name."""

# Categories and types of ECS; 8.11 lists which type a category allows.
_ECS_OTHER: Final = ("configuration", "info")
_ECS: Final[Mapping[tuple[int, int], tuple[str, ...]]] = MappingProxyType(
    {
        (_SIGN_IN, 1): ("authentication", "start"),
        (_ACCOUNT, 1): ("iam", "user", "creation"),
        (_ACCOUNT, 3): ("iam", "user", "change"),
        (_ACCOUNT, 6): ("iam", "user", "deletion"),
        (_ACCOUNT, _OTHER): ("iam", "user", "change"),
        (_ENTITY, _CREATE): ("configuration", "creation"),
        (_ENTITY, _READ): ("configuration", "access"),
        (_ENTITY, _UPDATE): ("configuration", "change"),
        (_ENTITY, _DELETE): ("configuration", "deletion"),
        (_GROUP, 3): ("iam", "group", "change"),
        (_GROUP, 4): ("iam", "group", "change"),
        (_FILES, 1): ("file", "creation"),
        (_FILES, 3): ("file", "change"),
        (_FILES, 4): ("file", "deletion"),
        (_FILES, 10): ("file", "access"),
        (_FILES, 11): ("file", "access"),
        (_FILES, 12): ("file", "change"),
        (_FILES, 13): ("file", "change"),
        (_FILES, _OTHER): ("file", "info"),
    }
)

_INFORMATION, _NOTICE, _WARNING = 0, 1, 2
_GRAVE: Final = ("recovery.", "orgkey.", "orgpolicy.", "authority.", "audit.tombstone", "certificate.revoked")
_CEF_SEVERITY: Final = (3, 5, 8)
_SYSLOG_SEVERITY: Final = (6, 5, 4)
_OUTCOMES: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {"done": (1, "success"), "refused": (2, "failure"), "failed": (2, "failure")}
)
_UNKNOWN_OUTCOME: Final = (0, "unknown")

_CEF_PLAIN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def ocsf_class(kind: str) -> tuple[int, int]:
    """Class and activity of OCSF for a kind of event."""
    return OCSF.get(kind, (_ENTITY, _OTHER))


def syslog_severity(record: AuditRecord) -> int:
    """4 (warning) for what failed, 5 (notice) for refusals and grave acts, 6 (informational) for the rest."""
    return _SYSLOG_SEVERITY[_level(record)]


def ocsf_line(record: AuditRecord, *, version: str) -> bytes:
    """The event as one OCSF object in ASCII, without an end of line; ``version`` is that of the server."""
    class_uid, activity = ocsf_class(record.event)
    document: JsonObject = {
        "activity_id": activity,
        "actor": {"session": {"uid": record.device}, "user": {"uid": record.actor or _NOTHING}}
        if record.device
        else {"user": {"uid": record.actor or _NOTHING}},
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "message": record.event,
        "metadata": {
            **({"correlation_uid": record.request} if record.request else {}),
            "event_code": str(record.number),
            "product": {"name": PRODUCT, "vendor_name": VENDOR, "version": version},
            "sequence": record.sequence,
            "uid": str(record.sequence),
            "version": _OCSF_VERSION,
        },
        "severity_id": _level(record) + 1,
        "src_endpoint": {"ip": record.address} if _ip_version(record.address) else {"name": record.address or _CONSOLE},
        "status_code": record.outcome,
        "status_id": _outcome(record)[0],
        "time": _milliseconds(record.time),
        "type_uid": class_uid * 100 + activity,
        **_ocsf_object(record, class_uid),
    }
    if activity == _OTHER:
        document["activity_name"] = record.event
    if record.reason:
        document["status_detail"] = record.reason
    unmapped: JsonObject = {**_details(record)}
    if record.counter:
        unmapped["counter"] = list[JsonValue](record.counter)
    if record.versions:
        unmapped["versions"] = list[JsonValue](record.versions)
    if unmapped:
        document["unmapped"] = unmapped
    return dump_ascii(document)


def ecs_line(record: AuditRecord, *, version: str) -> bytes:
    """The event as one ECS object in ASCII, without an end of line; ``version`` is that of the server."""
    category, *types = _ECS.get(ocsf_class(record.event), _ECS_OTHER)
    event: JsonObject = {
        "action": record.event,
        "category": [category],
        "code": str(record.number),
        "dataset": "candado.audit",
        "id": str(record.sequence),
        "kind": "event",
        "module": VENDOR,
        "outcome": _outcome(record)[1],
        "provider": PRODUCT,
        "sequence": record.sequence,
        "severity": _SYSLOG_SEVERITY[_level(record)],
        "type": list[JsonValue](types),
    }
    if record.reason:
        event["reason"] = record.reason
    document: JsonObject = {
        "@timestamp": record.time,
        "candado": _ecs_own(record),
        "ecs": {"version": _ECS_VERSION},
        "event": event,
        "message": record.event,
        "service": {"name": PRODUCT, "type": VENDOR, "version": version},
    }
    if record.actor:
        document["user"] = {"id": record.actor}
    if record.request:
        document["http"] = {"request": {"id": record.request}}
    if _ip_version(record.address):
        document["source"] = {"address": record.address, "ip": record.address}
    elif record.address:
        document["source"] = {"address": record.address}
    return dump_ascii(document)


def _ecs_own(record: AuditRecord) -> JsonObject:
    """What the schema has no field for."""
    own: JsonObject = {"outcome": record.outcome}
    for name, text in (("device", record.device), ("target", record.target)):
        if text:
            own[name] = text
    if record.counter:
        own["counter"] = {"before": record.counter[0], "after": record.counter[1]}
    if record.versions:
        own["versions"] = list[JsonValue](record.versions)
    if record.details:
        own["details"] = _details(record)
    return own


def cef_line(record: AuditRecord, *, version: str) -> bytes:
    """The event as one line of CEF in UTF-8, without an end of line; ``version`` is that of the server."""
    header = ("CEF:0", VENDOR, PRODUCT, version, str(record.number), record.event, str(_CEF_SEVERITY[_level(record)]))
    details = dump_ascii(_details(record)).decode("ascii") if record.details else ""
    pairs: list[tuple[str, str]] = [
        ("rt", str(_milliseconds(record.time))),
        ("externalId", str(record.sequence)),
        ("act", record.event),
        ("outcome", record.outcome),
        ("reason", record.reason),
        ("suid", record.actor),
        *_cef_address(record.address),
        *_labelled("cs1", "target", record.target),
        *_labelled("cs2", "device", record.device),
        *_labelled("cs3", "request", record.request),
        *_labelled("cs4", "versions", " ".join(record.versions)),
        *_labelled("cs5", "details", details),
        *([] if record.counter is None else _labelled("cn1", "counter before", str(record.counter[0]))),
        *([] if record.counter is None else _labelled("cn2", "counter after", str(record.counter[1]))),
    ]
    extension = " ".join(f"{name}={_cef_value(value)}" for name, value in pairs if value)
    return "|".join([header[0], *map(_cef_header, header[1:]), extension]).encode("utf-8")


def _milliseconds(time: str) -> int:
    """A time of a record since 1970; 0 for a day that no calendar has."""
    try:
        whole = datetime.strptime(time[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(whole.timestamp()) * 1000 + int(time[20:23])


def _level(record: AuditRecord) -> int:
    if record.outcome == "failed":
        return _WARNING
    return _NOTICE if record.outcome == "refused" or record.event.startswith(_GRAVE) else _INFORMATION


def _outcome(record: AuditRecord) -> tuple[int, str]:
    return _OUTCOMES.get(record.outcome, _UNKNOWN_OUTCOME)


def _details(record: AuditRecord) -> JsonObject:
    return dict[str, JsonValue](record.details)


def _ocsf_object(record: AuditRecord, class_uid: int) -> JsonObject:
    """What the class says the event was done to."""
    target = record.target or _NOTHING
    if class_uid == _FILES:
        target = str(record.details.get("node", target))  # of a share
        return {"file": {"name": target, "type_id": 0, "uid": target}}
    if class_uid == _SIGN_IN:
        return {
            "service": {"name": PRODUCT},
            "user": {"uid": target if target.startswith("u:") else record.actor or _NOTHING},
        }
    if class_uid == _ACCOUNT:
        return {"user": {"uid": target}}
    if class_uid == _GROUP:
        return {"group": {"uid": target}, "user": {"uid": str(record.details.get("member", _NOTHING))}}
    return {"entity": {"type": record.event.partition(".")[0], "uid": target}}


def _ip_version(text: str) -> int:
    """4 or 6, or 0 for what is no address of the Internet protocol."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0


def _cef_address(address: str) -> list[tuple[str, str]]:
    version = _ip_version(address)
    if version == 4:
        return [("src", address)]
    return _labelled("c6a2", "Source IPv6 Address", address) if version else [("shost", address)]


def _labelled(field: str, label: str, value: str) -> list[tuple[str, str]]:
    return [(field, value), (f"{field}Label", label)] if value else []


def _cef_visible(text: str) -> str:
    """Control characters as the escapes of other languages, so that none ends a line."""
    return _CEF_PLAIN.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text)


def _cef_header(text: str) -> str:
    return _cef_visible(text.replace("\\", "\\\\").replace("|", "\\|"))


def _cef_value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
    return _cef_visible(escaped)

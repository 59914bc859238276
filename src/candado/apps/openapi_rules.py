"""The calls on access rules, rows of the table behind ``/openapi.json``; see ``openapi_calls``.

Layer: ``apps``.
"""

from typing import Final

from candado.apps.openapi_calls import Call, Json

__all__ = ["RULES_CALLS"]

_TEXT: Final[Json] = {"type": "string"}
_FLAG: Final[Json] = {"type": "boolean"}
_MAYBE: Final[Json] = {"type": ["string", "null"]}
_HEAD: Final[Json] = {"version": {"type": "integer"}, "changed": _MAYBE, "changed-by": _MAYBE, "note": _TEXT}
_RULE: Final[Json] = {
    "type": "object",
    "properties": {"id": _TEXT, "rule": _TEXT, "message": _TEXT, "report-only": _FLAG},
    "required": ["id", "rule", "message", "report-only"],
}
_VERSION: Final[Json] = {
    "type": "object",
    "properties": {**_HEAD, "text": _TEXT, "report-only": _FLAG, "rules": {"type": ["array", "null"], "items": _RULE}},
    "required": [*_HEAD, "text", "report-only", "rules"],
}
_HISTORY: Final[Json] = {
    "type": "object",
    "properties": {
        "versions": {"type": "array", "items": {"type": "object", "properties": _HEAD, "required": [*_HEAD]}}
    },
    "required": ["versions"],
}
_FINDING: Final[Json] = {
    "type": "object",
    "properties": {
        "code": _TEXT, "severity": {"enum": ["error", "warning", "notice"]}, "rule": _TEXT,
        "line": {"type": ["integer", "null"]}, "message": _TEXT,
    },
    "required": ["code", "severity", "rule", "line", "message"],
}  # fmt: skip
_LINT: Final[Json] = {
    "type": "object",
    "properties": {"valid": _FLAG, "findings": {"type": "array", "items": _FINDING}},
    "required": ["valid", "findings"],
}
_TRIAL: Final[Json] = {
    "type": "object",
    "properties": {
        "allowed": _FLAG, "denied-by": _MAYBE, "message": _MAYBE, "reported-by": {"type": "array", "items": _TEXT},
        "facts": {"type": "object"}, "rules": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["allowed", "denied-by", "message", "reported-by", "facts", "rules"],
}  # fmt: skip
_PATH: Final = "/apps/candado/api/v1/policy"
_ASKED: Final = "operation user file size ip agent url mime time link encrypted known-device tag[] text"

RULES_CALLS: Final = (
    Call("GET", (_PATH,), "The access rules (docs/spec/rules.md)", "rules", _VERSION, "number:int", statuses=(403,)),
    Call(
        "PUT", (_PATH,), "Replace the access rules", "rules", _VERSION, "text! expected!:int note force",
        statuses=(409,), access="password",
    ),
    Call("GET", (f"{_PATH}/history",), "Earlier versions of the access rules", "rules", _HISTORY, statuses=(403,)),
    Call("POST", (f"{_PATH}/lint",), "Look for errors in access rules", "rules", _LINT, "text!", statuses=(403,)),
    Call("POST", (f"{_PATH}/test",), "What the access rules would say", "rules", _TRIAL, _ASKED, statuses=(403,)),
)  # fmt: skip
"""Rows as those of ``CALLS``."""

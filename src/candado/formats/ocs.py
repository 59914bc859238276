"""The OCS envelope around every answer of the server's API, in JSON and XML.

Layer: ``formats``. ``{"ocs": {"meta": {"status", "statuscode", "message"}, "data": ...}}``; the same tree in XML, where
the members of a list are called ``element``. Source: protocol document ``api.md``, section 1.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from candado.errors import MalformedError
from candado.formats.canonjson import JsonValue, load_json
from candado.formats.fields import object_of
from candado.formats.xmltext import escape_text

__all__ = ["ANSWER_BYTES_MAX", "OcsAnswer", "format_ocs_json", "format_ocs_xml", "parse_ocs"]

ANSWER_BYTES_MAX: Final = 48 * 1024 * 1024
_DEPTH_MAX: Final = 20
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class OcsAnswer:
    """What an answer says: the API's own status (100 or 200 is success), a message for people, the data."""

    status_code: int
    message: str
    data: JsonValue


def parse_ocs(body: bytes) -> OcsAnswer:
    """Return the answer in a JSON body.

    Raises:
        LimitExceededError: more than 48 MiB, too deep, too many values.
        MalformedError: not an OCS answer in JSON.
    """
    document = object_of(load_json(body, bytes_max=ANSWER_BYTES_MAX, depth_max=_DEPTH_MAX, floats=True), "an answer")
    envelope = object_of(document.get("ocs"), "the member ocs")
    meta = object_of(envelope.get("meta"), "the member meta")
    code, message = meta.get("statuscode"), meta.get("message")
    if isinstance(code, bool) or not isinstance(code, int):
        raise MalformedError("an OCS answer has no status code")
    return OcsAnswer(code, message if isinstance(message, str) else "", envelope.get("data"))


def format_ocs_json(code: int, message: str, data: JsonValue, *, ok: bool) -> bytes:
    """Return the answer as compact JSON: UTF-8, members in the order given."""
    return json.dumps(_envelope(code, message, data, ok=ok), separators=(",", ":"), allow_nan=False).encode("ascii")


def format_ocs_xml(code: int, message: str, data: JsonValue, *, ok: bool) -> bytes:
    """Return the answer as XML: UTF-8 with declaration; characters that XML forbids become U+FFFD."""
    parts = ['<?xml version="1.0"?>\n']
    _xml(parts, "ocs", _envelope(code, message, data, ok=ok)["ocs"])
    return "".join(parts).encode("utf-8")


def _envelope(code: int, message: str, data: JsonValue, *, ok: bool) -> dict[str, JsonValue]:
    meta: JsonValue = {"status": "ok" if ok else "failure", "statuscode": code, "message": message}
    return {"ocs": {"meta": meta, "data": data}}


def _xml(parts: list[str], name: str, value: JsonValue) -> None:
    if not name[:1].isalpha() or _NOT_A_NAME.search(name):
        name = "element"
    if value is None or value in ("", [], {}):
        parts.append(f"<{name}/>")
        return
    parts.append(f"<{name}>")
    if isinstance(value, dict):
        for child, inner in value.items():
            _xml(parts, child, inner)
    elif isinstance(value, list):
        for inner in value:
            _xml(parts, "element", inner)
    elif isinstance(value, bool):
        parts.append("1" if value else "")
    else:
        parts.append(escape_text(str(value)))
    parts.append(f"</{name}>")

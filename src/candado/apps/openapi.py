"""The OpenAPI document of the server, served as ``/openapi.json``: made from the table in ``openapi_calls``.

Layer: ``apps``. A test compares the table with the routes, both ways. Source: OpenAPI Specification 3.1.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from candado.apps.openapi_calls import CALLS, DAV, PAGES, Call, Json
from candado.apps.openapi_rules import RULES_CALLS

__all__ = ["openapi_document"]

_OCS: Final = "/ocs/v2.php"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_FIELD: Final = re.compile(r"(?P<name>[\w-]+)(?P<many>\[\])?(?P<must>!)?(?::(?P<kind>\w+))?")
_KINDS: Final[Mapping[str, Json]] = {
    "int": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "json": {"type": "string", "contentMediaType": "application/json"},
    "date": {"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"},
}
_TEXT: Final[Json] = {"type": "string"}
_ENVELOPE: Final = "The API's own status in `meta`, the answer in `data`; as XML without `format=json` and `Accept`."
_ABOUT: Final = """\
Calls of `/ocs/v2.php` are there as `/ocs/v1.php`, too: that version says 100 for success and answers refusals with
HTTP 200 as well, but for 401, 429 and 503. Parameters come in the query, as a form, or as a JSON object, whatever the
method. Every path may have `/index.php` in front. WebDAV has methods that OpenAPI cannot describe; they are named in
`x-webdav-methods` and described in docs/spec/webdav.md. Errors have a code and a text: docs/spec/errors.md.
"""
_MEANINGS: Final[Mapping[int, str]] = {
    200: "Done.",
    201: "Made.",
    204: "Done; there is nothing to say.",
    206: "The part asked for.",
    303: "Done; the page to go on with is in `Location`.",
    304: "As the caller knows it.",
    400: "The request cannot be understood.",
    401: "Credentials are missing or wrong.",
    403: "Not allowed.",
    404: "Not there, or not for the caller.",
    405: "Not possible here.",
    409: "It contradicts what is there.",
    412: "A condition does not hold.",
    413: "Larger than allowed.",
    416: "The range begins behind the end.",
    423: "Locked by somebody else.",
    429: "Too often; `Retry-After` says when.",
    503: "Not now; `Retry-After` says when.",
    507: "No space left.",
}


def openapi_document(url: str) -> Json:
    """The document for a server at this public URL."""
    paths: dict[str, dict[str, Json]] = {}
    for call in (*CALLS, *RULES_CALLS):
        for path in call.paths:
            paths.setdefault(_OCS + path, {})[call.method.lower()] = _ocs_operation(call, path)
    for call in (*PAGES, *DAV):
        for path in call.paths:
            paths.setdefault(path, {})[call.method.lower()] = _plain_operation(call, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "candado-server",
            "version": version("candado"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "Login or app password."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "An app password."},
                "confirmed": {"type": "http", "scheme": "basic", "description": "The login password only."},
                "link": {"type": "apiKey", "in": "cookie", "name": "candado_link"},
            },
            "schemas": {"failure": _envelope("failure", {"type": ["array", "object"]}), "fault": _fault()},
        },
    }


def _fault() -> Json:
    return _object({"error": _object({"code": _TEXT, "message": _TEXT})})


def _object(members: Mapping[str, Any]) -> Json:
    return {"type": "object", "properties": dict(members), "required": sorted(members)}


def _envelope(status: str, data: Json) -> Json:
    meta = _object({"status": {"const": status}, "statuscode": {"type": "integer"}, "message": _TEXT})
    return _object({"ocs": _object({"meta": meta, "data": data})})


def _ocs_operation(call: Call, path: str) -> Json:
    statuses = {400, 404, 429, 503, *call.statuses}
    statuses |= set() if call.access == "all" else {401}
    statuses |= {403} if call.access == "password" else set()
    statuses |= {412} if call.method == "POST" else set()
    statuses |= {413} if call.fields else set()
    responses: dict[str, Json] = {
        str(status): _answer(status, {"application/json": {"$ref": "#/components/schemas/failure"}})
        for status in sorted(statuses)
    }
    kind = {"application/json": _envelope("ok", call.data)} if isinstance(call.data, dict) else {call.data: _TEXT}
    responses["200"] = {**_answer(200, kind), "description": f"{_MEANINGS[200]} {_ENVELOPE}"}
    for status in {204, 304} & statuses:
        responses[str(status)] = {"description": _MEANINGS[status]}
    operation = _operation(call, path, responses)
    checked: Json = {"name": "OCS-APIRequest", "in": "header", "required": True, "schema": {"const": "true"}}
    operation["parameters"] = [*operation["parameters"], *([checked] if call.method == "POST" else [])]
    return operation


def _plain_operation(call: Call, path: str) -> Json:
    kind = call.data if isinstance(call.data, str) else "application/json"
    schema: Json = {} if isinstance(call.data, str) else call.data
    responses: dict[str, Json] = {}
    for status in sorted(call.statuses):
        if status < 300:
            responses[str(status)] = _answer(status, {} if status in (201, 204) else {kind: schema})
        else:
            responses[str(status)] = _answer(status, {call.refusal: _refusal(call.refusal)} if call.refusal else {})
    operation = _operation(call, path, responses)
    if call.webdav:
        operation["x-webdav-methods"] = list(call.webdav)
    return operation


def _refusal(kind: str) -> Json:
    return {"$ref": "#/components/schemas/fault"} if kind == "application/json" else {}


def _answer(status: int, kinds: Mapping[str, Json]) -> Json:
    answer: Json = {"description": _MEANINGS[status]}
    if kinds:
        answer["content"] = {kind: {"schema": schema} for kind, schema in kinds.items()}
    return answer


def _operation(call: Call, path: str, responses: Mapping[str, Json]) -> Json:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(path, name)}
        for name in _PARAMETER.findall(path)
    ]
    parameters += [_header(text) for text in call.headers.split()]
    if call.method in ("GET", "DELETE"):
        parameters += [_in_query(field) for field in _fields(call.fields)]
    operation: Json = {
        "operationId": f"{call.method} {path}",
        "summary": call.summary,
        "tags": [call.tag],
        "parameters": parameters,
        "responses": dict(responses),
        "security": _security(call.access),
    }
    body = _body(call)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _path_schema(path: str, name: str) -> Json:
    numbers = ("/shares/{", "/lock/{", "/meta-data/{", "/encrypted/{")
    if name == "id" and any(part in path for part in numbers):
        return {"type": "integer", "minimum": 1, "maximum": 2**62}
    return {"type": "string", "minLength": 1, "pattern": "^[^/?#.]+$"}


def _security(access: str) -> list[Json]:
    names: dict[str, Sequence[str]] = {"user": ("basic", "bearer"), "password": ("confirmed",), "link": ("link", "")}
    return [{name: []} if name else {} for name in names.get(access, ())]


def _fields(text: str) -> list[tuple[str, Json, bool]]:
    """Name, schema and whether it must be there, of each parameter in ``name[]!:kind name ...``."""
    found: list[tuple[str, Json, bool]] = []
    for word in text.split():
        match = _FIELD.fullmatch(word)
        assert match is not None, word
        schema = _KINDS.get(match["kind"] or "", _TEXT)
        name = match["name"] + (match["many"] or "")
        found.append((name, {"type": "array", "items": schema} if match["many"] else schema, bool(match["must"])))
    return found


def _in_query(field: tuple[str, Json, bool]) -> Json:
    name, schema, must = field
    return {"name": name, "in": "query", "required": must, "schema": schema}


def _header(word: str) -> Json:
    name, must = word.removesuffix("!"), word.endswith("!")
    return {"name": name, "in": "header", "required": must, "schema": {"type": "string", "pattern": "^[!-~]*$"}}


def _body(call: Call) -> Json | None:
    if call.body:
        return {"required": True, "content": {call.body: {"schema": {"type": "string", "format": "binary"}}}}
    if not call.fields or call.method in ("GET", "DELETE"):
        return None
    fields = _fields(call.fields)
    schema: Json = {
        "type": "object",
        "properties": {name: schema for name, schema, _ in fields},
        "required": [name for name, _, must in fields if must],
    }
    return {"required": bool(schema["required"]), "content": {"application/x-www-form-urlencoded": {"schema": schema}}}

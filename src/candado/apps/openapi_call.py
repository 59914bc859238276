"""How one operation of the server is written down, for the tables behind ``/openapi.json``.

Layer: ``apps``; pure.
"""

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["HTML", "NOTHING", "NUMBER", "TEXT", "TEXTS", "Call", "Json", "object_of", "ocs_call", "page_call"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One operation at one or several paths."""

    method: str
    paths: tuple[str, ...]
    summary: str
    tag: str
    data: Json | str
    """JSON Schema of the answer (of ``data`` in an OCS envelope), or the media type of one that is no JSON."""
    fields: str = ""
    headers: str = ""
    statuses: tuple[int, ...] = ()
    """For a call of OCS those besides the common ones, else all."""
    access: str = "user"
    """``all``, ``user``, ``password`` (the login password is wanted) or ``link``."""
    body: str = ""
    """Media type of a body that is no form."""
    refusal: str = ""
    """Media type of refusals, outside of OCS."""
    webdav: tuple[str, ...] = ()


HTML: Final = "text/html; charset=utf-8"
TEXT: Final[Json] = {"type": "string"}
NUMBER: Final[Json] = {"type": "integer"}
NOTHING: Final[Json] = {"type": "array", "maxItems": 0}
TEXTS: Final[Json] = {"type": "array", "items": TEXT}


def object_of(**members: Json) -> Json:
    """The schema of an object, all of whose members are there."""
    named = {name.replace("_", "-"): schema for name, schema in members.items()}
    return {"type": "object", "properties": named, "required": sorted(named)}


def ocs_call(method: str, path: str, summary: str, tag: str, data: Json | str = NOTHING, **more: Any) -> Call:
    """One call of the OCS interface."""
    return Call(method, (path,), summary, tag, data, **more)


def page_call(method: str, path: str, summary: str, tag: str, data: Json | str, *statuses: int, **more: Any) -> Call:
    """One operation outside of OCS, with its statuses."""
    return Call(method, (path,), summary, tag, data, statuses=statuses, **{"access": "all", **more})

"""Typed access to members of parsed JSON: the right type or MalformedError.

Layer: ``formats``; used by the parsers of documents. Source: threat model, A92.
"""

from candado.encoding import decode_b64
from candado.errors import MalformedError
from candado.formats.canonjson import JsonObject, JsonValue

__all__ = ["b64_member", "list_of", "object_of", "string_member"]


def object_of(value: JsonValue, what: str) -> JsonObject:
    """Return ``value`` as an object."""
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not an object")
    return value


def list_of(value: JsonValue, what: str) -> list[JsonValue]:
    """Return ``value`` as a list."""
    if not isinstance(value, list):
        raise MalformedError(f"{what} is not a list")
    return value


def string_member(holder: JsonObject, name: str) -> str:
    """Return the text member ``name``, which must be there."""
    value = holder.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"the member {name} is missing or not a text")
    return value


def b64_member(holder: JsonObject, name: str, *, size: int | None = None) -> bytes:
    """Return the bytes of the base64 member ``name``: ``size`` of them, or at least one."""
    data = decode_b64(string_member(holder, name), size=size)
    if not data:
        raise MalformedError(f"the member {name} is empty")
    return data

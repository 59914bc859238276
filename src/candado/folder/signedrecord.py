"""JSON that a key signed, as a file for people and programs.

    record = {"schema": S, "body": {...}, "signature": base64}
    signed = S LF canonical JSON of the body                                 (RSA PKCS#1 v1.5, SHA-256)

The file may be indented; the signature covers the values. Layer: ``folder``; pure. Source: our own;
``docs/spec/recovery.md``.
"""

import json
import re
from typing import Final

from candado.crypto.rsa import PrivateKey, PublicKey
from candado.encoding import decode_b64, encode_b64
from candado.errors import MalformedError
from candado.formats.canonjson import JsonObject, JsonValue, dump_canonical, load_json
from candado.formats.fields import list_of, object_of, string_member
from candado.types import FileId, check_file_id

__all__ = [
    "SignedRecord",
    "check_text",
    "exact",
    "file_id_member",
    "hex_member",
    "integer",
    "number_member",
    "objects_member",
    "read_record",
    "sign_record",
]

TEXT_CHARS_MAX: Final = 500
SECONDS_MAX: Final = 1 << 40
COUNT_MAX: Final = (1 << 53) - 1
_HEX: Final = {size: re.compile(rf"[0-9a-f]{{{size}}}\Z") for size in (10, 32, 64)}


class SignedRecord:
    """A record of which nothing is known yet but its form; ``verify`` says whose it is."""

    __slots__ = ("_message", "_signature", "body")

    def __init__(self, body: JsonObject, message: bytes, signature: bytes) -> None:
        self.body = body
        self._message = message
        self._signature = signature

    def verify(self, key: PublicKey) -> None:
        """BadSignatureError unless the key signed it."""
        key.verify_pkcs1_sha256(self._signature, self._message)


def sign_record(schema: str, body: JsonObject, key: PrivateKey) -> str:
    """Return the signed record as text for a file."""
    signature = encode_b64(key.sign_pkcs1_sha256(_message(schema, body)))
    return json.dumps({"schema": schema, "body": body, "signature": signature}, indent=1, ensure_ascii=False) + "\n"


def read_record(schema: str, data: bytes | str, members: frozenset[str], *, bytes_max: int) -> SignedRecord:
    """Return the record of this schema, whose body has exactly these members; FormatError."""
    document = object_of(load_json(data, bytes_max=bytes_max), "a record")
    if document.keys() != {"schema", "body", "signature"} or document["schema"] != schema:
        raise MalformedError(f"this is not a record of the form {schema}")
    body = exact(object_of(document["body"], "the body of a record"), members)
    return SignedRecord(body, _message(schema, body), decode_b64(string_member(document, "signature")))


def _message(schema: str, body: JsonObject) -> bytes:
    return schema.encode("ascii") + b"\n" + dump_canonical(body)


# --- members ----------------------------------------------------------------------------------------------


def check_text(text: str, what: str, *, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Return a name or purpose: not blank, one line, not longer than ``chars_max``; MalformedError otherwise."""
    if not text.strip() or text != text.strip() or not text.isprintable() or len(text) > chars_max:
        raise MalformedError(f"{what} is one line of 1 to {chars_max} characters without blanks around it")
    return text


def exact(holder: JsonObject, members: frozenset[str]) -> JsonObject:
    """Return the object when it has exactly these members; MalformedError."""
    if holder.keys() != members:
        raise MalformedError("a record does not have exactly its members")
    return holder


def objects_member(holder: JsonObject, name: str, members: frozenset[str]) -> list[JsonObject]:
    """Return a list of objects that each have exactly these members; MalformedError."""
    return [exact(object_of(value, f"a part of {name}"), members) for value in list_of(holder[name], name)]


def number_member(holder: JsonObject, name: str, largest: int) -> int:
    """Return the whole number ``name``, 0 to ``largest``; MalformedError."""
    return integer(holder[name], f"the member {name}", largest)


def file_id_member(holder: JsonObject, name: str) -> FileId:
    """Return the file id ``name``; MalformedError."""
    return check_file_id(number_member(holder, name, COUNT_MAX))


def integer(value: JsonValue, what: str, largest: int) -> int:
    """Return a whole number, 0 to ``largest``; MalformedError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise MalformedError(f"{what} is not a number from 0 to {largest}")
    return value


def hex_member(holder: JsonObject, name: str, size: int, *, empty: bool = False) -> str:
    """Return ``size`` lower-case hex digits, or nothing where that is allowed; MalformedError."""
    text = string_member(holder, name)
    if not _HEX[size].match(text) and not (empty and text == ""):
        raise MalformedError(f"the member {name} does not have {size} hex digits")
    return text

"""JSON, read strictly and written canonically; the bytes that folder signatures cover.

Layer: ``formats``. Stock parsers keep the last of two equal keys, round big numbers and accept ``NaN``; two programs
would then see two documents under one signature. Here everything without one single meaning is refused, and limits on
size, depth and number of values hold before anything is built.

Source: RFC 8259; protocol document, section 13; threat model, A24 and A91 to A94.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final, NoReturn, TypeAlias

from candado.encoding import encode_b64
from candado.errors import LimitExceededError, MalformedError

__all__ = [
    "INTEGER_MAX",
    "JsonObject",
    "JsonValue",
    "document_digest",
    "dump_ascii",
    "dump_canonical",
    "load_json",
    "signed_bytes",
]

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, JsonValue]

INTEGER_MAX: Final = 2**53 - 1
VALUES_MAX: Final = 500_000
_DIGITS_MAX: Final = 17
_FLOAT_CHARS_MAX: Final = 64
_UNSIGNED_MEMBER: Final = "filedrop"
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'"[]{},'))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def load_json(text: bytes | str, *, bytes_max: int, depth_max: int = 16, floats: bool = False) -> JsonValue:
    """Return the value that ``text`` spells, or raise.

    Shapes:
        text: UTF-8 without byte order mark; one value, white space around it.
        bytes_max: largest size of the UTF-8 form.   depth_max: nesting of arrays and objects.
        floats: allow numbers with a fraction or exponent; documents that are signed have none.

    Raises:
        LimitExceededError: larger, deeper or with more than 500,000 values; a number beyond 2^53 - 1.
        MalformedError: not JSON, a key twice in one object, half of a surrogate pair, ``-0``, ``NaN``, infinity.
    """
    try:
        raw = text.encode("utf-8") if isinstance(text, str) else text
        if len(raw) > bytes_max:
            raise LimitExceededError(f"a JSON document is larger than {bytes_max} bytes")
        _check_structure(raw, depth_max)
        value: JsonValue = (_WITH_FLOATS if floats else _STRICT).decode(raw.decode("utf-8"))
        if _SURROGATE_ESCAPE.search(raw):
            dump_canonical(value)  # encoding it finds half of a surrogate pair
    except ValueError as exc:
        raise MalformedError("not JSON in UTF-8") from exc
    return value


def dump_canonical(value: JsonValue) -> bytes:
    """Return compact UTF-8 JSON, object keys sorted by code point, nothing escaped that need not be."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def dump_ascii(value: JsonValue) -> bytes:
    r"""Return compact ASCII JSON with sorted keys and ``\uXXXX`` escapes, which every stock client reads alike."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def signed_bytes(document: JsonObject) -> bytes:
    """Return what the signature of a folder document covers: base64 of its canonical form without ``filedrop``."""
    signed = {name: value for name, value in document.items() if name != _UNSIGNED_MEMBER}
    return encode_b64(dump_canonical(signed)).encode("ascii")


def document_digest(document: JsonObject) -> str:
    """Return the SHA-256 of ``signed_bytes`` as 64 lower-case hex digits; equal for equal signed content."""
    return hashlib.sha256(signed_bytes(document)).hexdigest()


def _check_structure(raw: bytes, depth_max: int) -> None:
    """Bound depth and number of values before the parser recurses.

    Strings are taken out first. For text that is not JSON the count may be wrong, but never for the part that the
    parser reads before it stops there.
    """
    outside = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURE)
    outside = b"".join(outside.split(b'"')[::2])
    if outside.count(b",") >= VALUES_MAX:
        raise LimitExceededError(f"a JSON document has more than {VALUES_MAX} values")
    brackets = outside.translate(None, b",")
    if len(brackets) > 2 * VALUES_MAX:
        raise LimitExceededError(f"a JSON document has more than {VALUES_MAX} values")
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > depth_max:
        raise LimitExceededError(f"a JSON document is nested more than {depth_max} levels deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("a JSON object has a key twice")
    return found


def _integer(digits: str) -> int:
    if digits == "-0":
        raise MalformedError("a JSON number is not in its shortest form")
    if len(digits) > _DIGITS_MAX or not -INTEGER_MAX <= (number := int(digits)) <= INTEGER_MAX:
        raise LimitExceededError("a JSON number is beyond 2^53 - 1")
    return number


def _no_float(_digits: str) -> NoReturn:
    raise MalformedError("a JSON number has a fraction or an exponent")


def _float(digits: str) -> float:
    if len(digits) > _FLOAT_CHARS_MAX or not math.isfinite(number := float(digits)):
        raise LimitExceededError("a JSON number is too large or too long")
    return number


def _no_constant(_name: str) -> NoReturn:
    raise MalformedError("a JSON document has NaN or infinity")


def _decoder(parse_float: Callable[[str], float]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_unique, parse_float=parse_float, parse_int=_integer, parse_constant=_no_constant
    )


_STRICT: Final = _decoder(_no_float)
_WITH_FLOATS: Final = _decoder(_float)

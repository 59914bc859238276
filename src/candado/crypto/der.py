"""Strict reader and writer for the few ASN.1 shapes of the protocol: keys, requests, certificates, signatures.

Layer: ``crypto``; above ``errors``. Own code because the readers at hand either refuse what stock servers issue (serial
number 0), or parse lazily and accept many spellings of one value. A byte string is read completely before anything is
used; limits on depth and number of elements hold before objects are made.

    element = identifier (1 byte: class, constructed bit, number < 31) | length | content
    length  = shortest definite form; with ``indefinite=True`` also 0x80 for constructed elements, ended by 00 00

Source: ITU-T X.690, 8.1 and 10.1.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from candado.errors import LimitExceededError, MalformedError

__all__: list[str] = []

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

DEPTH_MAX: Final = 16
ELEMENTS_MAX: Final = 4096
_CONSTRUCTED: Final = 0x20
_PRINTABLE = re.compile(rb"[A-Za-z0-9 '()+,./:=?-]*\Z")
_UTC = re.compile(rb"\d{12}Z\Z")
_GENERALIZED = re.compile(rb"\d{14}Z\Z")


@dataclass(frozen=True, slots=True)
class Node:
    """One element: ``content`` of a primitive one, ``children`` of a constructed one, ``raw`` bytes as received."""

    tag: int
    content: bytes
    children: tuple["Node", ...]
    raw: bytes


class _Reader:
    """Reads one byte string; keeps the count of elements."""

    def __init__(self, data: bytes, *, indefinite: bool, elements_max: int) -> None:
        self.data = data
        self.indefinite = indefinite
        self.elements_max = elements_max
        self.elements = 0

    def element(self, at: int, stop: int, depth: int) -> tuple[Node, int]:
        """The element at ``at`` and the offset after it."""
        self.elements += 1
        if depth > DEPTH_MAX or self.elements > self.elements_max:
            raise LimitExceededError("a DER structure is nested too deeply or has too many elements")
        if stop - at < 2:
            raise MalformedError("a DER element is cut short")
        tag = self.data[at]
        if tag & 0x1F == 0x1F or tag == 0:
            raise MalformedError("a DER element has a tag that does not occur here")
        start, end = self._bounds(at + 1, stop)
        if end < 0 and not (self.indefinite and tag & _CONSTRUCTED):
            raise MalformedError("a DER element has an indefinite length")
        if not tag & _CONSTRUCTED:
            return Node(tag, self.data[start:end], (), self.data[at:end]), end
        children, end = self._children(start, end, stop, depth + 1)
        return Node(tag, b"", children, self.data[at:end]), end

    def _bounds(self, at: int, stop: int) -> tuple[int, int]:
        """Start and end of the content whose length starts at ``at``; end -1 for an indefinite length."""
        first = self.data[at]
        if first < 0x80:
            size, start = first, at + 1
        elif first == 0x80:
            return at + 1, -1
        else:
            start = at + 1 + (first & 0x7F)
            if start > stop or first > 0x84:
                raise MalformedError("a DER length is cut short or too long")
            size = int.from_bytes(self.data[at + 1 : start], "big")
            if size < 0x80 or self.data[at + 1] == 0:
                raise MalformedError("a DER length is not in its shortest form")
        if size > stop - start:
            raise MalformedError("a DER element is longer than what holds it")
        return start, start + size

    def _children(self, at: int, end: int, stop: int, depth: int) -> tuple[tuple[Node, ...], int]:
        """The children from ``at`` on, and the offset after the whole element."""
        children: list[Node] = []
        limit = stop if end < 0 else end
        while at != end:
            if end < 0 and self.data[at : at + 2] == b"\0\0" and at + 2 <= limit:
                return tuple(children), at + 2
            node, at = self.element(at, limit, depth)
            children.append(node)
        return tuple(children), end


def read_der(data: bytes, *, indefinite: bool = False, elements_max: int = ELEMENTS_MAX) -> Node:
    """Return the one element that ``data`` consists of.

    Raises:
        MalformedError: not DER, trailing bytes; an indefinite length unless ``indefinite``.
        LimitExceededError: more than 16 levels, or more elements than 4,096 or what was said.
    """
    node, end = _Reader(data, indefinite=indefinite, elements_max=elements_max).element(0, len(data), 1)
    if end != len(data):
        raise MalformedError("there are bytes after the DER structure")
    return node


def encode(node: Node) -> bytes:
    """Return ``node`` with definite lengths, children in the order received."""
    if node.children:
        return tlv(node.tag, *(encode(child) for child in node.children))
    return tlv(node.tag, node.content)


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return one element with the joined ``parts`` as its content."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of the encoded ``parts``."""
    return tlv(SEQUENCE, *parts)


def integer(value: int) -> bytes:
    """Return an INTEGER; ``value`` >= 0."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    out = bytearray((first * 40 + second,))
    for arc in rest:
        chunk = [arc & 0x7F]
        while arc := arc >> 7:
            chunk.append(0x80 | (arc & 0x7F))
        out += bytes(reversed(chunk))
    return tlv(OID, bytes(out))


def bit_string(data: bytes) -> bytes:
    """Return a BIT STRING of whole bytes."""
    return tlv(BIT_STRING, b"\0", data)


def time(seconds: float) -> bytes:
    """Return a Time for seconds since 1970: UTCTime until 2049, then GeneralizedTime (RFC 5280, 4.1.2.5)."""
    moment = datetime.fromtimestamp(int(seconds), UTC)
    if moment.year < 2050:
        return tlv(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def read_integer(node: Node) -> int:
    """Return the value of an INTEGER in its shortest form."""
    content = node.content
    if node.tag != INTEGER or not content:
        raise MalformedError("an INTEGER was expected")
    if len(content) > 1 and (content[0], content[1] >> 7) in ((0, 0), (0xFF, 1)):
        raise MalformedError("an INTEGER is not in its shortest form")
    return int.from_bytes(content, "big", signed=True)


def read_bits(node: Node) -> bytes:
    """Return the bytes of a BIT STRING without unused bits."""
    if node.tag != BIT_STRING or node.content[:1] != b"\0":
        raise MalformedError("a BIT STRING of whole bytes was expected")
    return node.content[1:]


def read_text(node: Node) -> str:
    """Return the text of a UTF8String or PrintableString; every other string type is refused."""
    if node.tag == PRINTABLE_STRING and _PRINTABLE.match(node.content):
        return node.content.decode("ascii")
    if node.tag == UTF8_STRING:
        try:
            return node.content.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise MalformedError("a UTF8String is not UTF-8") from exc
    raise MalformedError("a name has a string type or character that is not allowed")


def read_time(node: Node) -> float:
    """Return seconds since 1970 of a Time in the one form that RFC 5280 allows."""
    text = node.content
    if node.tag == UTC_TIME and _UTC.match(text):
        text = (b"20" if text[:2] < b"50" else b"19") + text
    elif node.tag != GENERALIZED_TIME or not _GENERALIZED.match(text):
        raise MalformedError("a Time was expected")
    digits = text.decode("ascii")
    try:
        moment = datetime(
            int(digits[:4]), int(digits[4:6]), int(digits[6:8]),
            int(digits[8:10]), int(digits[10:12]), int(digits[12:14]), tzinfo=UTC,
        )  # fmt: skip
    except ValueError as exc:
        raise MalformedError("a Time does not exist in the calendar") from exc
    return moment.timestamp()


def children(node: Node, tag: int, least: int, most: int) -> tuple[Node, ...]:
    """Return the children of a ``tag`` element that has ``least`` to ``most`` of them."""
    if node.tag != tag or not least <= len(node.children) <= most:
        raise MalformedError("a DER structure has another shape than expected")
    return node.children

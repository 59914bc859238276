"""What clients ask in WebDAV: PROPFIND and PROPPATCH bodies, the Range header.

Layer: ``formats``; offered through ``formats.dav``. Source: RFC 4918, 9.1, 9.2 and 14; RFC 9110, 14.
"""

import re
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, tostring

from candado.errors import LimitExceededError, MalformedError
from candado.formats.multistatus import RawXml
from candado.formats.xmltext import escape_text, parse_xml

__all__ = ["PropChange", "PropRequest", "parse_propfind", "parse_proppatch", "parse_range"]

REQUEST_BYTES_MAX: Final = 64 * 1024
REQUEST_ELEMENTS_MAX: Final = 512
_PROP: Final = "{DAV:}prop"

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class PropRequest:
    """What a PROPFIND asks for: ``names`` in order, None for all; ``name_only`` when values are not wanted."""

    names: tuple[str, ...] | None
    name_only: bool


@dataclass(frozen=True, slots=True)
class PropChange:
    """One step of a PROPPATCH: the new text of a property, its inside when it has elements, None to remove it."""

    name: str
    value: str | RawXml | None


def parse_propfind(body: bytes) -> PropRequest:
    """Return what the body of a PROPFIND asks for; an empty body asks for everything.

    Raises:
        MalformedError: not such a document, or not exactly one of prop, allprop and propname.
        LimitExceededError: more than 64 KiB or 512 elements.
    """
    if not body.strip():
        return PropRequest(None, name_only=False)
    tree = _parse(body, "{DAV:}propfind")
    kinds = [part for part in tree if part.tag in {_PROP, "{DAV:}allprop", "{DAV:}propname"}]
    if len(kinds) != 1:
        raise MalformedError("a PROPFIND asks for one of prop, allprop and propname")
    if kinds[0].tag == _PROP:
        return PropRequest(tuple(dict.fromkeys(item.tag for item in kinds[0])), name_only=False)
    return PropRequest(None, name_only=kinds[0].tag == "{DAV:}propname")


def parse_proppatch(body: bytes) -> tuple[PropChange, ...]:
    """Return the steps of a PROPPATCH in the order of the document.

    Raises:
        MalformedError: not such a document, or no step.
        LimitExceededError: more than 64 KiB or 512 elements, or one value of more than 64 Ki characters.
    """
    changes: list[PropChange] = []
    for step in _parse(body, "{DAV:}propertyupdate"):
        if step.tag in {"{DAV:}set", "{DAV:}remove"}:
            remove = step.tag == "{DAV:}remove"
            items = (item for prop in step if prop.tag == _PROP for item in prop)
            changes += [PropChange(item.tag, None if remove else _value(item)) for item in items]
    if not changes:
        raise MalformedError("a PROPPATCH changes nothing")
    return tuple(changes)


def _value(item: Element) -> str | RawXml:
    """Text, or XML that stands for itself."""
    if not len(item):
        return item.text or ""
    inside = escape_text(item.text or "")
    for child in item:
        # Each element declares the namespaces it needs, so a long one could multiply.
        inside += tostring(child, encoding="unicode")
        if len(inside) > REQUEST_BYTES_MAX:
            raise LimitExceededError(f"the value of a property has more than {REQUEST_BYTES_MAX} characters")
    return RawXml(inside)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the bytes asked for as (start, stop), 0 <= start < stop <= size; None when the header is to be ignored.

    Ignored are other units, several ranges and what is not a range; the answer is then the whole file with 200.

    Raises:
        LimitExceededError: the range begins behind the end of the file; the answer is 416.

    Source: RFC 9110, 14.1.2 and 14.2.
    """
    match = _RANGE.match(header.strip().replace(" ", ""))
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise LimitExceededError("the range begins behind the end of the file")
    return start, stop


def _parse(body: bytes, root: str) -> Element:
    return parse_xml(body, root=root, bytes_max=REQUEST_BYTES_MAX, elements_max=REQUEST_ELEMENTS_MAX)

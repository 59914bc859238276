"""What clients ask in WebDAV: PROPFIND and PROPPATCH bodies, the Range header.

Layer: ``formats``; offered through ``formats.dav``. Source: RFC 4918, 9.1, 9.2 and 14; RFC 9110, 14.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from candado.errors import LimitExceededError, MalformedError
from candado.formats.xmltext import parse_xml

__all__ = ["PropChange", "PropRequest", "parse_propfind", "parse_proppatch", "parse_range"]

REQUEST_BYTES_MAX: Final = 64 * 1024
REQUEST_ELEMENTS_MAX: Final = 512
REQUEST_DEPTH_MAX: Final = 16

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class PropRequest:
    """What a PROPFIND asks for: ``names`` in the order asked, None for all; ``name_only`` when values are not wanted."""

    names: tuple[str, ...] | None
    name_only: bool


@dataclass(frozen=True, slots=True)
class PropChange:
    """One step of a PROPPATCH: the new text of a property, None to remove it."""

    name: str
    value: str | None


def parse_propfind(body: bytes) -> PropRequest:
    """Return what the body of a PROPFIND asks for; an empty body asks for everything.

    Raises:
        MalformedError: not such a document, or not exactly one of prop, allprop and propname.
        LimitExceededError: more than 64 KiB or 512 elements.
    """
    if not body.strip():
        return PropRequest(None, name_only=False)
    kinds: list[str] = []
    names: dict[str, None] = {}

    def start(name: str, depth: int) -> None:
        if depth == 1 and name != "{DAV:}propfind":
            raise MalformedError("not a PROPFIND body")
        if depth == 2 and name in {"{DAV:}prop", "{DAV:}allprop", "{DAV:}propname"}:
            kinds.append(name)
        elif depth == 3 and kinds == ["{DAV:}prop"]:
            names[name] = None

    _parse(body, start, lambda _name, _depth, _text: None)
    if len(kinds) != 1:
        raise MalformedError("a PROPFIND asks for one of prop, allprop and propname")
    if kinds[0] == "{DAV:}prop":
        return PropRequest(tuple(names), name_only=False)
    return PropRequest(None, name_only=kinds[0] == "{DAV:}propname")


def parse_proppatch(body: bytes) -> tuple[PropChange, ...]:
    """Return the steps of a PROPPATCH in the order of the document.

    Raises:
        MalformedError: not such a document, or no step.
        LimitExceededError: more than 64 KiB or 512 elements.
    """
    changes: list[PropChange] = []
    path = ["", "", ""]

    def start(name: str, depth: int) -> None:
        if depth <= 3:
            path[depth - 1] = name

    def end(name: str, depth: int, text: str) -> None:
        if depth == 4 and path[2] == "{DAV:}prop":
            if path[1] == "{DAV:}set":
                changes.append(PropChange(name, text))
            elif path[1] == "{DAV:}remove":
                changes.append(PropChange(name, None))

    _parse(body, start, end)
    if path[0] != "{DAV:}propertyupdate" or not changes:
        raise MalformedError("not a PROPPATCH body")
    return tuple(changes)


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


def _parse(body: bytes, start: Callable[[str, int], None], end: Callable[[str, int, str], None]) -> None:
    parse_xml(
        body,
        start=start,
        end=end,
        bytes_max=REQUEST_BYTES_MAX,
        elements_max=REQUEST_ELEMENTS_MAX,
        depth_max=REQUEST_DEPTH_MAX,
    )

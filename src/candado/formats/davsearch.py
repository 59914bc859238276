"""What clients look for: SEARCH bodies (DASL basicsearch) and the report of favourites.

    searchrequest > basicsearch > select, from, where, orderby, limit

Layer: ``formats``; offered through ``formats.dav``. A condition comes out with its literals read, so whoever carries it
out compares values. What we do not know is refused: a condition left out would find too much. Source: RFC 5323, 5;
the properties and the first result are those of stock servers.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, TypeAlias
from xml.etree.ElementTree import Element

from candado.errors import LimitExceededError, MalformedError
from candado.formats.davlike import LikePattern
from candado.formats.hrefs import unquote_href
from candado.formats.xmltext import parse_xml

__all__ = [
    "FAVOURITE",
    "FILE_ID",
    "Comparison",
    "Condition",
    "FilterRequest",
    "IsCollection",
    "Junction",
    "Negation",
    "Order",
    "SearchRequest",
    "SearchValue",
    "parse_filter_files",
    "parse_search",
]

REQUEST_BYTES_MAX: Final = 64 * 1024
REQUEST_ELEMENTS_MAX: Final = 512
CONDITIONS_MAX: Final = 32
CONDITION_DEPTH_MAX: Final = 16
_NUMBER_MAX: Final = 2**63 - 1

_DAV: Final = "{DAV:}"
_OC: Final = "{http://owncloud.org/ns}"
_PROP: Final = f"{_DAV}prop"
FILE_ID: Final = f"{_OC}fileid"
FAVOURITE: Final = f"{_OC}favorite"
_FIRST_RESULT: Final = "{https://github.com/icewind1991/SearchDAV/ns}firstresult"
_TAGS: Final = frozenset({f"{_OC}systemtag", "{http://nextcloud.org/ns}systemtag"})

_WHOLE = re.compile(r"(-?[0-9]{1,19})(?:oc[a-z0-9]{10})?\Z", re.ASCII)
_DEPTHS: Final = {"0": 0, "1": 1, "infinity": None}
_ORIGIN = re.compile(r"https?://[^/]*", re.IGNORECASE)

SearchValue: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """``test`` of the value of a property and the literal of the request."""

    name: str
    test: Callable[[SearchValue], bool]
    equals: SearchValue | None = None
    """The literal, when the comparison is for equality."""


@dataclass(frozen=True, slots=True)
class IsCollection:
    """Holds for folders."""


@dataclass(frozen=True, slots=True)
class Negation:
    """Holds when ``part`` does not."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Junction:
    """Holds when all (``every``) or any of the parts do."""

    every: bool
    parts: "tuple[Condition, ...]"


Condition: TypeAlias = Comparison | IsCollection | Negation | Junction


@dataclass(frozen=True, slots=True)
class Order:
    """One criterion of the order of results."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search.

    ``names`` as in a PROPFIND, None for all; ``scope`` is the clear path of the URL to search below; ``depth`` is 0, 1
    or None for everything; ``where`` is None for everything there; ``limit`` None for as many as the server gives.
    """

    names: tuple[str, ...] | None
    scope: str
    depth: int | None
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    first: int


@dataclass(frozen=True, slots=True)
class FilterRequest:
    """The report ``oc:filter-files``: which properties, of favourites, and of those with all of the tags."""

    names: tuple[str, ...] | None
    favourites: bool
    tags: tuple[str, ...]


def parse_search(body: bytes) -> SearchRequest:
    """Return the search in the body of a SEARCH.

    Raises:
        MalformedError: not such a document, another scope than exactly one, a condition, property, literal or order
            that we do not know.
        LimitExceededError: more than 64 KiB, 512 elements, 32 conditions or 16 levels of them.
    """
    tree = _parse(body, f"{_DAV}searchrequest")
    search = _only(tree, f"{_DAV}basicsearch")
    known = {"select", "from", "where", "orderby", "limit"}
    parts = {part.tag.removeprefix(_DAV): part for part in search}
    if len(parts) != len(search) or not parts.keys() <= known or not {"select", "from"} <= parts.keys():
        raise MalformedError("a search has select and from, and may have where, orderby and limit, each once")
    scope = _only(parts["from"], f"{_DAV}scope")
    depth = _text(_only(scope, f"{_DAV}depth")).lower()
    if depth not in _DEPTHS:
        raise MalformedError("the depth of a search is 0, 1 or infinity")
    where = parts.get("where")
    limit, first = _limit(parts.get("limit"))
    return SearchRequest(
        names=_names(parts["select"]),
        scope=_scope_path(_text(_only(scope, f"{_DAV}href"))),
        depth=_DEPTHS[depth],
        where=None if where is None or not len(where) else _Conditions().one(where, 0),
        order=_order(parts.get("orderby")),
        limit=limit,
        first=first,
    )


def parse_filter_files(body: bytes) -> FilterRequest:
    """Return what the body of a REPORT wants filtered.

    Raises:
        MalformedError: another report, no rule, or a rule that we do not know.
        LimitExceededError: more than 64 KiB or 512 elements.
    """
    tree = _parse(body, f"{_OC}filter-files")
    rules = _only(tree, f"{_OC}filter-rules")
    tags = tuple(_text(rule) for rule in rules if rule.tag in _TAGS)
    marks = [_flag(_text(rule)) for rule in rules if rule.tag == FAVOURITE]
    if not len(rules) or len(marks) + len(tags) != len(rules):
        raise MalformedError("a report filters by oc:favorite and oc:systemtag, and by nothing else")
    if not all(marks):
        raise MalformedError("a report finds favourites, not the others")
    asked = [part for part in tree if part.tag == _PROP]
    return FilterRequest(_listed(asked[0]) if asked else None, bool(marks), tags)


def _parse(body: bytes, root: str) -> Element:
    return parse_xml(body, root=root, bytes_max=REQUEST_BYTES_MAX, elements_max=REQUEST_ELEMENTS_MAX)


def _only(parent: Element, tag: str) -> Element:
    found = [part for part in parent if part.tag == tag]
    if len(found) != 1:
        raise MalformedError(f"exactly one {tag} is expected")
    return found[0]


def _text(element: Element) -> str:
    if len(element):
        raise MalformedError(f"a {element.tag} is a text")
    return (element.text or "").strip()


def _listed(prop: Element) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.tag for item in prop))


def _names(select: Element) -> tuple[str, ...] | None:
    if [part.tag for part in select] == [f"{_DAV}allprop"]:
        return None
    return _listed(_only(select, _PROP))


def _scope_path(href: str) -> str:
    """The clear path of a scope: of a URL or a path, whose ``?`` and ``#`` stock clients leave as they are."""
    path = _ORIGIN.sub("", href, count=1).replace("?", "%3F").replace("#", "%23")
    return unquote_href(f"/{path.strip('/')}")


def _limit(element: Element | None) -> tuple[int | None, int]:
    if element is None:
        return None, 0
    numbers = {part.tag: _whole(_text(part)) for part in element}
    if not numbers.keys() <= {f"{_DAV}nresults", _FIRST_RESULT} or min(numbers.values(), default=0) < 0:
        raise MalformedError("a limit is a number of results and the number of the first")
    return numbers.get(f"{_DAV}nresults"), numbers.get(_FIRST_RESULT, 0)


def _order(element: Element | None) -> tuple[Order, ...]:
    orders: list[Order] = []
    for part in () if element is None else element:
        directions = [item.tag for item in part if item.tag != _PROP]
        if part.tag != f"{_DAV}order" or directions not in ([], [f"{_DAV}ascending"], [f"{_DAV}descending"]):
            raise MalformedError("an order is a property and ascending or descending")
        orders.append(Order(_property(part), directions == [f"{_DAV}descending"]))
    return tuple(orders)


def _property(element: Element) -> str:
    """The one property an element is about, which must be one that can be searched for."""
    names = [item.tag for item in _only(element, _PROP)]
    if len(names) != 1 or names[0] not in _LITERALS:
        raise MalformedError("this property cannot be searched for")
    return names[0]


# --- literals -----------------------------------------------------------------------------------------------


def _whole(text: str) -> int:
    """A whole number; of a file id with the instance id behind it, as stock clients know it, the number."""
    match = _WHOLE.match(text)
    if match is None or abs(int(match[1])) > _NUMBER_MAX:
        raise MalformedError("not a whole number")
    return int(match[1])


def _flag(text: str) -> bool:
    if text.lower() not in {"0", "1", "false", "true", "no", "yes"}:
        raise MalformedError("not a truth value")
    return text.lower() in {"1", "true", "yes"}


def _moment(text: str) -> float:
    """Seconds since the epoch, of such a number, of an ISO 8601 or of an HTTP date; without a zone it is UTC."""
    for read in (float, _iso_moment, _http_moment):
        try:
            seconds = read(text)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(seconds):
            return seconds
    raise MalformedError("not a time")


def _iso_moment(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _http_moment(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()


_LITERALS: Final[Mapping[str, Callable[[str], SearchValue]]] = {
    f"{_DAV}displayname": str,
    f"{_DAV}getcontenttype": str,
    f"{_DAV}getlastmodified": _moment,
    f"{_DAV}creationdate": _moment,
    f"{_OC}size": _whole,
    FILE_ID: _whole,
    FAVOURITE: _flag,
    f"{_OC}owner-id": str,
}

_TESTS: Final[Mapping[str, Callable[[SearchValue, SearchValue], bool]]] = {
    f"{_DAV}eq": operator.eq,
    f"{_DAV}gt": operator.lt,
    f"{_DAV}gte": operator.le,
    f"{_DAV}lt": operator.gt,
    f"{_DAV}lte": operator.ge,
}
"""By element: what the literal, which comes first, must be to the value."""


# --- conditions ---------------------------------------------------------------------------------------------


class _Conditions:
    """Reads conditions and counts them."""

    def __init__(self) -> None:
        self._count = 0

    def one(self, parent: Element, depth: int) -> Condition:
        """The one condition inside an element."""
        if len(parent) != 1:
            raise MalformedError(f"a {parent.tag} has exactly one condition")
        return self._read(parent[0], depth + 1)

    def _read(self, element: Element, depth: int) -> Condition:
        self._count += 1
        if self._count > CONDITIONS_MAX or depth > CONDITION_DEPTH_MAX:
            raise LimitExceededError(
                f"a search has at most {CONDITIONS_MAX} conditions on {CONDITION_DEPTH_MAX} levels"
            )
        kind = element.tag
        if kind in {f"{_DAV}and", f"{_DAV}or"}:
            if not len(element):
                raise MalformedError(f"a {kind} has conditions")
            parts = tuple(self._read(part, depth + 1) for part in element)
            return Junction(kind == f"{_DAV}and", parts)
        if kind == f"{_DAV}not":
            return Negation(self.one(element, depth))
        if kind == f"{_DAV}is-collection":
            return IsCollection()
        return _comparison(element)


def _comparison(element: Element) -> Comparison:
    if element.tag not in _TESTS and element.tag != f"{_DAV}like":
        raise MalformedError("this condition is not known")
    name, literal = _property(element), _only(element, f"{_DAV}literal")
    if len(element) != 2:
        raise MalformedError("a condition has a property and a literal")
    read = _LITERALS[name]
    # Blanks around a number mean nothing, those of a name belong to it.
    text = literal.text or "" if read is str and not len(literal) else _text(literal)
    if element.tag == f"{_DAV}like":
        if read is not str:
            raise MalformedError("only texts can be like a pattern")
        pattern = LikePattern.parse(text)
        return Comparison(name, lambda value: pattern.matches(str(value)))
    value = read(text)
    return Comparison(name, partial(_TESTS[element.tag], value), value if element.tag == f"{_DAV}eq" else None)

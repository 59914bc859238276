"""WebDAV listings (``207 Multi-Status``): read with suspicion by the client, written fast by the server.

    multistatus > response > href, propstat > prop > property, status        depth 1 to 5

Layer: ``formats``; offered through ``formats.dav``. Property names are in Clark form, ``{namespace}name``. A property
counts only when it stands in the one propstat with status 200; a property that occurs twice has no single meaning and
makes the listing unusable. Source: RFC 4918, 13 and 14; protocol document ``api.md``, section 9; threat model, A90.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from candado.errors import MalformedError
from candado.formats.hrefs import below_root, unquote_href
from candado.formats.xmltext import escape_text, parse_xml

__all__ = ["DavNode", "DavResponse", "DavValue", "RawXml", "format_multistatus", "parse_multistatus"]

LISTING_BYTES_MAX: Final = 128 * 1024 * 1024
LISTING_ELEMENTS_MAX: Final = 2_000_000
LISTING_DEPTH_MAX: Final = 16

_RESPONSE: Final = "{DAV:}response"
_HREF: Final = "{DAV:}href"
_PROPSTAT: Final = "{DAV:}propstat"
_PROP: Final = "{DAV:}prop"
_STATUS: Final = "{DAV:}status"
_PREFIXES: Final = {"DAV:": "d", "http://owncloud.org/ns": "oc", "http://nextcloud.org/ns": "nc"}
_ROOT_OPEN: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"'
)


@dataclass(frozen=True, slots=True)
class DavNode:
    """One response of a listing.

    ``href_path`` is clear and relative to the root asked for: ``/`` is the root itself. A property is its text, or, when
    it has elements inside, the tuple of their names; both are empty for an empty property.
    """

    href_path: str
    props: dict[str, str | tuple[str, ...]]


class RawXml(str):
    """The inside of a property that is well-formed XML already; the prefixes d, oc and nc are declared."""

    __slots__ = ()


DavValue: TypeAlias = "str | RawXml | Sequence[str]"
"""Text, ready XML, or the names of empty elements inside."""


@dataclass(frozen=True, slots=True)
class DavResponse:
    """One response to write: ``href`` already percent-encoded, properties found, and names of those that are not."""

    href: str
    found: Sequence[tuple[str, DavValue]]
    missing: Sequence[str] = field(default=())


def parse_multistatus(body: bytes, *, root_href: str) -> list[DavNode]:
    """Return the nodes of a listing in the order of the document.

    Args:
        body: XML in UTF-8, at most 128 MiB and 2,000,000 elements.
        root_href: the path of the account's files as in requests, percent-encoded, or the whole URL of it.

    Raises:
        LimitExceededError: too large, too deep, too many elements.
        MalformedError: not such a document, a document type, a path outside the root or twice, a property twice, two
            propstats with status 200, a response without one.
    """
    reader = _ListingReader(root_href)
    parse_xml(
        body,
        start=reader.start,
        end=reader.end,
        bytes_max=LISTING_BYTES_MAX,
        elements_max=LISTING_ELEMENTS_MAX,
        depth_max=LISTING_DEPTH_MAX,
    )
    return reader.nodes


class _ListingReader:
    """Builds the nodes while the XML is read; elements that are not known are passed over."""

    def __init__(self, root_href: str) -> None:
        origin, root = "", root_href
        if "://" in root_href:
            scheme, _, rest = root_href.partition("://")
            host, _, path = rest.partition("/")
            origin, root = f"{scheme}://{host}", f"/{path}"
        self._origin = origin
        self._root_path = unquote_href(root).removesuffix("/")
        self._paths: set[str] = set()
        self.nodes: list[DavNode] = []
        self._hrefs: list[str] = []
        self._statuses: list[str] = []
        self._props: dict[str, str | tuple[str, ...]] = {}
        self._elements: list[str] = []
        self._names: list[str] = []
        self._found: list[dict[str, str | tuple[str, ...]]] = []
        self._path = ["", "", "", ""]

    def start(self, name: str, depth: int) -> None:
        """Remember where we are; ``_elements`` collects what stands directly inside a property."""
        if depth < 5:
            self._path[depth - 1] = name
            if depth == 1 and name != "{DAV:}multistatus":
                raise MalformedError("not a WebDAV listing")
        elif depth == 5:
            self._elements.clear()
        elif depth == 6:
            self._elements.append(name)

    def end(self, name: str, depth: int, text: str) -> None:
        """Take what is complete."""
        if depth == 5:
            if self._path[1] == _RESPONSE and self._path[2] == _PROPSTAT and self._path[3] == _PROP:
                self._names.append(name)
                self._props[name] = tuple(self._elements) if self._elements else text
        elif depth == 4:
            if name == _STATUS and self._path[2] == _PROPSTAT:
                self._statuses.append(text)
        elif depth == 3:
            if name == _HREF:
                self._hrefs.append(text)
            elif name == _PROPSTAT and self._path[1] == _RESPONSE:
                self._end_propstat()
        elif depth == 2 and name == _RESPONSE:
            self._end_response()

    def _end_propstat(self) -> None:
        if len(self._statuses) != 1:
            raise MalformedError("a propstat has no status or several")
        fields = self._statuses[0].split(" ", 2)
        if len(fields) < 2 or not fields[0].startswith("HTTP/") or len(fields[1]) != 3:
            raise MalformedError("the status of a propstat is not one of HTTP")
        if fields[1] == "200":
            self._found.append(self._props)
        self._props = {}
        self._statuses.clear()

    def _end_response(self) -> None:
        if len(self._hrefs) != 1 or len(self._found) != 1:
            raise MalformedError("a response has not exactly one path and one propstat with status 200")
        if len(set(self._names)) != len(self._names):
            raise MalformedError("a response has a property twice")
        path = below_root(self._hrefs[0].strip(), self._root_path, self._origin)
        if path in self._paths:
            raise MalformedError("a listing has a path twice")
        self._paths.add(path)
        self.nodes.append(DavNode(path, self._found[0]))
        self._hrefs.clear()
        self._found.clear()
        self._names.clear()


# --- writing ------------------------------------------------------------------------------------------------


def format_multistatus(responses: Iterable[DavResponse]) -> bytes:
    """Return a listing in UTF-8 with XML declaration; send it as ``application/xml; charset=utf-8``.

    Namespaces beyond DAV, oc and nc are declared on the root as ns0, ns1 and so on.
    """
    foreign: dict[str, str] = {}
    parts: list[str] = []
    push = parts.append
    for response in responses:
        push("<d:response><d:href>")
        push(escape_text(response.href))
        push("</d:href>")
        if response.found or not response.missing:
            push("<d:propstat><d:prop>")
            for name, value in response.found:
                tag = _known_tag(name) or _foreign_tag(name, foreign)
                if type(value) is str:
                    push(f"<{tag}>{escape_text(value)}</{tag}>" if value else f"<{tag}/>")
                else:
                    inner = value if isinstance(value, str) else _empty_elements(value, foreign)
                    push(f"<{tag}>{inner}</{tag}>" if inner else f"<{tag}/>")
            push("</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>")
        if response.missing:
            push("<d:propstat><d:prop>")
            push(_empty_elements(response.missing, foreign))
            push("</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>")
        push("</d:response>")
    push("</d:multistatus>\n")
    declared = "".join(f' xmlns:{prefix}="{_attribute(uri)}"' for uri, prefix in foreign.items())
    return "".join((_ROOT_OPEN, declared, ">", *parts)).encode("utf-8")


@lru_cache(maxsize=1024)
def _known_tag(name: str) -> str | None:
    uri, _, local = name.removeprefix("{").rpartition("}")
    prefix = _PREFIXES.get(uri)
    return f"{prefix}:{local}" if prefix else None


def _foreign_tag(name: str, foreign: dict[str, str]) -> str:
    uri, _, local = name.removeprefix("{").rpartition("}")
    if not uri:
        return local
    prefix = foreign.setdefault(uri, f"ns{len(foreign)}")
    return f"{prefix}:{local}"


def _empty_elements(names: Iterable[str], foreign: dict[str, str]) -> str:
    return "".join(f"<{_known_tag(name) or _foreign_tag(name, foreign)}/>" for name in names)


def _attribute(uri: str) -> str:
    return escape_text(uri).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")

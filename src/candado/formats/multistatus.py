"""WebDAV listings (``207 Multi-Status``): read with suspicion by the client, written fast by the server.

    multistatus > response > href, propstat > prop > property, status        depth 1 to 5

Layer: ``formats``; offered through ``formats.dav``. Property names are in Clark form, ``{namespace}name``. A property
counts only when it stands in the one propstat with status 200; a property that occurs twice has no single meaning and
makes the listing unusable. Source: RFC 4918, 13 and 14; protocol document ``api.md``, section 9; threat model, A90.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from xml.etree.ElementTree import Element

from candado.errors import MalformedError
from candado.formats.hrefs import below_root, unquote_href
from candado.formats.xmltext import escape_text, is_plain, parse_xml

__all__ = [
    "DavNode",
    "DavResponse",
    "DavValue",
    "MultistatusText",
    "RawXml",
    "format_multistatus",
    "parse_multistatus",
]

LISTING_BYTES_MAX: Final = 128 * 1024 * 1024
LISTING_ELEMENTS_MAX: Final = 1_000_000

_MULTISTATUS: Final = "{DAV:}multistatus"
_RESPONSE: Final = "{DAV:}response"
_HREF: Final = "{DAV:}href"
_PROPSTAT: Final = "{DAV:}propstat"
_PROP: Final = "{DAV:}prop"
_STATUS: Final = "{DAV:}status"
_STATUS_LINE = re.compile(r"HTTP/\d\.\d (\d{3})(?: |\Z)", re.ASCII)
_PREFIXES: Final = {"DAV:": "d", "http://owncloud.org/ns": "oc", "http://nextcloud.org/ns": "nc"}
_ROOT_OPEN: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"'
)
_TRUNCATED: Final = (
    "<d:status>HTTP/1.1 507 Insufficient Storage</d:status>"
    "<d:responsedescription>There are more results than this answer holds.</d:responsedescription>"
)


@dataclass(frozen=True, slots=True)
class DavNode:
    """One response of a listing.

    ``href_path`` is clear and relative to the root asked for: ``/`` is the root itself. A property is its text, or,
    when it has elements inside, the tuple of their names; an empty property is an empty text.
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
        body: XML in UTF-8, at most 128 MiB and 1,000,000 elements.
        root_href: the path of the account's files as in requests, percent-encoded, or the whole URL of it.

    Raises:
        LimitExceededError: too large or too many elements.
        MalformedError: not such a document, a document type, a path outside the root or twice, a property twice, two
            propstats with status 200, a response without one.
    """
    origin, root_path = _split_root(root_href)
    nodes: list[DavNode] = []
    paths: set[str] = set()
    tree = parse_xml(body, root=_MULTISTATUS, bytes_max=LISTING_BYTES_MAX, elements_max=LISTING_ELEMENTS_MAX)
    for response in tree:
        if response.tag == _RESPONSE:
            href, props = _response(response)
            path = below_root(href, root_path, origin)
            if path in paths:
                raise MalformedError("a listing has a path twice")
            paths.add(path)
            nodes.append(DavNode(path, props))
    return nodes


def _split_root(root_href: str) -> tuple[str, str]:
    """Origin (empty when not given) and clear path of the root."""
    scheme, separator, rest = root_href.partition("://")
    if not separator:
        return "", unquote_href(root_href).removesuffix("/")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}", unquote_href(f"/{path}").removesuffix("/")


def _response(response: Element) -> tuple[str, dict[str, str | tuple[str, ...]]]:
    """The path of a response and the properties of its one propstat with status 200."""
    hrefs: list[str] = []
    found: list[dict[str, str | tuple[str, ...]]] = []
    names: set[str] = set()
    for part in response:
        if part.tag == _PROPSTAT:
            props = _properties(part)
            if not names.isdisjoint(props):
                raise MalformedError("a response has a property twice")
            names.update(props)
            if _status(part) == "200":
                found.append(props)
        elif part.tag == _HREF:
            hrefs.append((part.text or "").strip())
    if len(hrefs) != 1 or len(found) != 1:
        raise MalformedError("a response has not exactly one path and one propstat with status 200")
    return hrefs[0], found[0]


def _properties(propstat: Element) -> dict[str, str | tuple[str, ...]]:
    props: dict[str, str | tuple[str, ...]] = {}
    count = 0
    for part in propstat:
        if part.tag == _PROP:
            count += len(part)
            for item in part:
                props[item.tag] = tuple(child.tag for child in item) if len(item) else item.text or ""
    if len(props) != count:
        raise MalformedError("a response has a property twice")
    return props


def _status(propstat: Element) -> str:
    statuses = [part.text or "" for part in propstat if part.tag == _STATUS]
    match = _STATUS_LINE.match(statuses[0]) if len(statuses) == 1 else None
    if match is None:
        raise MalformedError("a propstat has not exactly one status of HTTP")
    return match[1]


# --- writing ------------------------------------------------------------------------------------------------


def format_multistatus(responses: Iterable[DavResponse], *, truncated_href: str | None = None) -> bytes:
    """Return a listing in UTF-8 with XML declaration; send it as ``application/xml; charset=utf-8``.

    Namespaces beyond DAV, oc and nc are declared on the root as ns0, ns1 and so on. With ``truncated_href``,
    percent-encoded, the listing says of this place that not all results are there (RFC 5323, 5.17 and 2.3.1).
    """
    text = MultistatusText()
    return text.document([text.response(response) for response in responses], truncated_href=truncated_href)


class MultistatusText:
    """Writes the responses of one listing, then the listing around them."""

    def __init__(self) -> None:
        self._tags = _Tags()
        self._empties: dict[tuple[str, ...], str] = {}

    def response(self, response: DavResponse) -> str:
        """One response as XML."""
        tags = self._tags
        parts = [f"<d:response><d:href>{escape_text(response.href)}</d:href>"]
        push = parts.append
        if response.found or not response.missing:
            push("<d:propstat><d:prop>")
            plain = is_plain("".join([value for _, value in response.found if type(value) is str]))
            for name, value in response.found:
                tag = tags[name]
                if type(value) is str:
                    text = value if plain else escape_text(value)
                else:
                    text = value if isinstance(value, str) else _empty_elements(value, tags)
                push(f"<{tag}>{text}</{tag}>" if text else f"<{tag}/>")
            push("</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>")
        if response.missing:
            missing = tuple(response.missing)
            empty = self._empties.get(missing) or self._empties.setdefault(missing, _empty_elements(missing, tags))
            push(f"<d:propstat><d:prop>{empty}</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>")
        push("</d:response>")
        return "".join(parts)

    def document(self, responses: Sequence[str], *, truncated_href: str | None = None) -> bytes:
        """The listing of these responses; see ``format_multistatus``."""
        last = "</d:multistatus>\n"
        if truncated_href is not None:
            last = f"<d:response><d:href>{escape_text(truncated_href)}</d:href>{_TRUNCATED}</d:response>{last}"
        declared = "".join(f' xmlns:{prefix}="{_attribute(uri)}"' for uri, prefix in self._tags.foreign.items())
        return "".join((_ROOT_OPEN, declared, ">", *responses, last)).encode("utf-8")


class _Tags(dict[str, str]):
    """Prefixed tags by Clark name for one document; collects the namespaces to declare."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: dict[str, str] = {}

    def __missing__(self, name: str) -> str:
        uri, _, local = name.removeprefix("{").rpartition("}")
        tag = local
        if uri:
            prefix = _PREFIXES.get(uri) or self.foreign.setdefault(uri, f"ns{len(self.foreign)}")
            tag = f"{prefix}:{local}"
        self[name] = tag
        return tag


def _empty_elements(names: Iterable[str], tags: _Tags) -> str:
    return "".join([f"<{tags[name]}/>" for name in names])


def _attribute(uri: str) -> str:
    return escape_text(uri).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")

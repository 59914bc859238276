"""Headers of the DAV routes: conditions, times, ranges, destinations in; tags, ids and types out.

Layer: ``apps``.
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from candado.apps.dav_exchange import Exchange, Header, decode_path
from candado.apps.server_wiring import Services
from candado.errors import BadRequestError, ForbiddenError
from candado.formats.dav import quote_href
from candado.formats.davrequests import parse_range
from candado.formats.httpdate import http_date
from candado.server.model import NodeInfo

__all__ = [
    "XML",
    "Place",
    "chosen_range",
    "destination_of",
    "file_headers",
    "header_etag",
    "is_unchanged",
    "mtime_of",
    "node_headers",
    "prefers_minimal",
    "time_of",
]

XML: Final[Header] = (b"content-type", b"application/xml; charset=utf-8")
_MTIME_MAX: Final = 1 << 40
_FILE_HEADERS: Final[tuple[Header, ...]] = (
    # Bodies come from the same origin as the sign-in page, so a browser must never run one.
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-disposition", b"attachment"),
    (b"accept-ranges", b"bytes"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request points: the URL prefix of the caller's files as it was spelled, and the path below it."""

    prefix: str
    path: str

    def href(self, node_path: str, *, is_folder: bool) -> str:
        """The percent-encoded path of a node; folders end with a slash."""
        below = quote_href(node_path)
        return f"{self.prefix}/{below}/" if is_folder and below else f"{self.prefix}/{below}"


def prefers_minimal(exchange: Exchange) -> bool:
    """Whether the client wants a listing without what nodes do not have (RFC 8144, section 2.1)."""
    wishes = (exchange.text(b"prefer") or "").lower().split(",")
    return "return=minimal" in [wish.strip() for wish in wishes]


def header_etag(value: str | None) -> str | None:
    """The one entity tag of an If-Match or If-None-Match header without quotes, ``*`` as it is, None when absent.

    Raises:
        BadRequestError: several tags; no client of ours sends them.
    """
    if value is None or value == "":
        return None
    if "," in value:
        raise BadRequestError("several entity tags in one condition are not supported")
    return value.removeprefix("W/").strip('"').removesuffix("-gzip")


def mtime_of(exchange: Exchange) -> float | None:
    """The time of modification a client sets, in seconds; None when absent. BadRequestError when it is no time."""
    text = exchange.text(b"x-oc-mtime")
    if text is None or text == "":
        return None
    return time_of(text)


def destination_of(exchange: Exchange, prefix: str = "") -> str:
    """The path in the caller's files that the Destination header names; ``prefix`` is where those of a link begin.

    Raises:
        BadRequestError: missing or not a path. ForbiddenError: outside the caller's files.
    """
    text = exchange.text(b"destination")
    if not text:
        raise BadRequestError("the Destination header is missing")
    try:
        path = decode_path(urlsplit(text).path.encode("latin-1"))
    except (ValueError, UnicodeEncodeError) as exc:
        raise BadRequestError("the Destination header is not a URL") from exc
    parts = path.removeprefix("index.php/").split("/")
    starts = [["remote.php", "dav", "files", exchange.principal.user_id], ["remote.php", "webdav"]]
    if exchange.principal.link is not None:
        starts = [prefix.removeprefix("/index.php").strip("/").split("/")]
    for start in starts:
        if parts[: len(start)] == start:
            return "/".join(parts[len(start) :])
    raise ForbiddenError("the destination is not among your files")


def node_headers(services: Services, node: NodeInfo, *, with_mtime: bool) -> list[Header]:
    """What a client must learn of a node it has just written."""
    etag = f'"{node.etag}"'.encode("latin-1")
    headers = [
        (b"oc-fileid", f"{node.file_id:08d}{services.instance_id}".encode("ascii")),
        (b"oc-etag", etag),
        (b"etag", etag),
    ]
    if with_mtime:
        headers.append((b"x-oc-mtime", b"accepted"))
    return headers


def file_headers(node: NodeInfo) -> list[Header]:
    """The headers of a file's body but for its length."""
    etag = f'"{node.etag}"'.encode("latin-1")
    headers: list[Header] = [
        *_FILE_HEADERS,
        (b"etag", etag),
        (b"oc-etag", etag),
        (b"last-modified", http_date(node.mtime).encode("ascii")),
        (b"content-type", node.content_type.encode("latin-1", "replace")),
    ]
    if node.checksum is not None:
        headers.append((b"oc-checksum", node.checksum.encode("ascii")))
    return headers


def is_unchanged(exchange: Exchange, node: NodeInfo) -> bool:
    """Whether the client has this version already (If-None-Match, else If-Modified-Since; RFC 9110, 13.2.2)."""
    known = exchange.text(b"if-none-match")
    if known is not None:
        tags = [tag.strip().removeprefix("W/").strip('"') for tag in known.split(",")]
        return "*" in tags or node.etag in tags
    since = exchange.text(b"if-modified-since")
    if since is None:
        return False
    try:
        return int(node.mtime) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def chosen_range(exchange: Exchange, node: NodeInfo) -> tuple[int, int] | None:
    """The bytes asked for as (start, stop); None for the whole file.

    Raises:
        LimitExceededError: the range begins behind the end; the answer is 416.
    """
    header = exchange.text(b"range")
    if header is None:
        return None
    condition = exchange.text(b"if-range")
    if condition is not None and condition.strip('"') != node.etag:
        return None
    return parse_range(header, node.size_bytes)


def time_of(text: str) -> float:
    """A time in seconds since the epoch or as an HTTP date; BadRequestError."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp()
        except (ValueError, OverflowError) as exc:
            raise BadRequestError("the time of modification is no time") from exc
    if not 0 <= seconds <= _MTIME_MAX:
        raise BadRequestError("the time of modification is out of range")
    return seconds

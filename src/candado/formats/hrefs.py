"""Paths in URLs: percent-encoding of clear paths, and back without tricks.

Layer: ``formats``; offered through ``formats.dav``. Source: RFC 3986, 2.1 and 3.3; RFC 4918, 8.3; threat model, A90.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from candado.errors import LimitExceededError, MalformedError

__all__ = ["below_root", "quote_href", "unquote_href"]

HREF_CHARS_MAX: Final = 32 * 1024
_UNRESERVED = re.compile(r"[A-Za-z0-9._~/-]*\Z")
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def quote_href(path: str) -> str:
    """Return a clear path percent-encoded: UTF-8, slashes and the unreserved characters stay."""
    return path if _UNRESERVED.match(path) else quote(path, safe="/")


def unquote_href(href: str) -> str:
    """Return the clear path of an absolute path in a URL; a trailing slash is taken off, ``/`` stays.

    Raises:
        MalformedError: not an absolute path, a query or fragment, broken or non-UTF-8 escapes, an encoded slash or
            NUL, an empty segment, ``.`` or ``..``.
        LimitExceededError: more than 32 Ki characters.
    """
    if len(href) > HREF_CHARS_MAX:
        raise LimitExceededError("a path in a URL is too long")
    if not href.startswith("/") or "?" in href or "#" in href:
        raise MalformedError("not an absolute path without query")
    if href == "/":
        return href
    segments = href.removesuffix("/").split("/")
    if "%" in href:
        segments = [_segment(segment) if "%" in segment else segment for segment in segments]
    if segments.count("") != 1 or "." in segments or ".." in segments or "\0" in href:
        raise MalformedError("a path in a URL has an empty segment or one that means another folder")
    return "/".join(segments)


def below_root(href: str, root_path: str, origin: str) -> str:
    """Return the clear path of ``href`` below ``root_path``: ``/`` for the root itself, else ``/a/b``.

    Args:
        href: what a server put into a listing: an absolute path, or a URL that starts with ``origin``.
        root_path: clear path, no trailing slash; empty for the root of the server.
        origin: ``https://host`` in the spelling of the request; empty when it is not known.

    Raises:
        MalformedError: another host, a place outside the root, or as ``unquote_href``.
    """
    if origin and href.startswith(origin + "/"):
        href = href[len(origin) :]
    path = unquote_href(href)
    if path == root_path or (path == "/" and not root_path):
        return "/"
    if not path.startswith(root_path + "/"):
        raise MalformedError("a listing has a path outside the folder that was asked for")
    return path[len(root_path) :]


@lru_cache(maxsize=4096)
def _segment(segment: str) -> str:
    if _BROKEN_ESCAPE.search(segment):
        raise MalformedError("a path in a URL has a broken escape")
    try:
        clear = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeError as exc:
        raise MalformedError("a path in a URL is not UTF-8") from exc
    if "/" in clear or "\0" in clear:
        raise MalformedError("a path in a URL hides a slash or NUL")
    return clear

"""WebDAV: listings and paths in URLs, which both sides need; requests and searches are in modules of their own.

Layer: ``formats``. Source: RFC 4918; protocol document ``api.md``, section 9.
"""

from candado.formats.hrefs import quote_href, unquote_href
from candado.formats.multistatus import (
    DavNode,
    DavResponse,
    DavValue,
    MultistatusText,
    RawXml,
    format_multistatus,
    parse_multistatus,
)

__all__ = [
    "DavNode",
    "DavResponse",
    "DavValue",
    "MultistatusText",
    "RawXml",
    "format_multistatus",
    "parse_multistatus",
    "quote_href",
    "unquote_href",
]

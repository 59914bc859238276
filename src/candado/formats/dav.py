"""WebDAV: listings, requests, ranges and paths in URLs; the one name for what is needed outside.

Layer: ``formats``. Source: RFC 4918; protocol document ``api.md``, section 9.
"""

from candado.formats.davrequests import PropChange, PropRequest, parse_propfind, parse_proppatch, parse_range
from candado.formats.hrefs import quote_href, unquote_href
from candado.formats.multistatus import (
    DavNode,
    DavResponse,
    DavValue,
    RawXml,
    format_multistatus,
    parse_multistatus,
)

__all__ = [
    "DavNode",
    "DavResponse",
    "DavValue",
    "PropChange",
    "PropRequest",
    "RawXml",
    "format_multistatus",
    "parse_multistatus",
    "parse_propfind",
    "parse_proppatch",
    "parse_range",
    "quote_href",
    "unquote_href",
]

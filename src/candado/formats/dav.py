"""WebDAV: listings, requests, ranges and paths in URLs; the one name for what is needed outside.

Layer: ``formats``. Source: RFC 4918; protocol document ``api.md``, section 9.
"""

from candado.formats.davrequests import PropChange, PropRequest, parse_propfind, parse_proppatch, parse_range
from candado.formats.davsearch import (
    FAVOURITE,
    FILE_ID,
    Comparison,
    Condition,
    FilterRequest,
    IsCollection,
    Junction,
    Negation,
    Order,
    SearchRequest,
    SearchValue,
    parse_filter_files,
    parse_search,
)
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
    "FAVOURITE",
    "FILE_ID",
    "Comparison",
    "Condition",
    "DavNode",
    "DavResponse",
    "DavValue",
    "FilterRequest",
    "IsCollection",
    "Junction",
    "Negation",
    "Order",
    "PropChange",
    "PropRequest",
    "RawXml",
    "SearchRequest",
    "SearchValue",
    "format_multistatus",
    "parse_filter_files",
    "parse_multistatus",
    "parse_propfind",
    "parse_proppatch",
    "parse_range",
    "parse_search",
    "quote_href",
    "unquote_href",
]

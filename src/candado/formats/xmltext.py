"""Text inside XML: escaping for writing, a guarded reader for what a peer sends.

Layer: ``formats``. The reader builds the tree in C; what makes XML dangerous is kept out before it starts: size, number
of elements, and every document type, without which there are no entities and nothing to fetch. Source: threat model,
A89 and A90.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element, ParseError, XMLParser

from candado.errors import LimitExceededError, MalformedError

__all__ = ["escape_text", "is_plain", "parse_xml"]

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def is_plain(text: str) -> bool:
    """Return True when ``text`` is XML character data as it stands."""
    return text.isprintable() and not ("&" in text or "<" in text or ">" in text)


def escape_text(text: str) -> str:
    """Return ``text`` as XML character data; characters that XML cannot hold become U+FFFD."""
    if is_plain(text):
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _NOT_XML.sub(_REPLACEMENT, text).replace("\r", "&#13;")


def parse_xml(body: bytes, *, root: str, bytes_max: int, elements_max: int) -> Element:
    """Return the root element of an XML document in UTF-8; names are in Clark form, ``{uri}local``.

    Raises:
        LimitExceededError: more than ``bytes_max`` bytes or ``elements_max`` elements; nothing was parsed.
        MalformedError: not well-formed, another root element than ``root``, or it has a document type.
    """
    if len(body) > bytes_max or body.count(b"<") > 2 * elements_max:
        raise LimitExceededError(f"an XML document has more than {bytes_max} bytes or {elements_max} elements")
    if b"\0" in body:
        # A parser that sees UTF-16 reads it, whatever it was told, and with it what was not found below.
        raise MalformedError("an XML document is not in UTF-8")
    if b"<!DOCTYPE" in body:
        raise MalformedError("an XML document has a document type")
    parser = XMLParser(encoding="utf-8")  # noqa: S314 -- as above; other encodings may be declared and do not count
    try:
        parser.feed(body)
        found = parser.close()
    except ParseError as exc:
        raise MalformedError("not well-formed XML") from exc
    if found.tag != root:
        raise MalformedError(f"the XML document is not a {root}")
    return found

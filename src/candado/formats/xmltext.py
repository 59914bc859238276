"""Text inside XML: escaping for writing, a guarded reader for what a peer sends.

Layer: ``formats``. No document type, no entities, no external references; limits on bytes, elements and depth hold while
reading. Source: threat model, A89 and A90.
"""

import re
from collections.abc import Callable
from pyexpat import ExpatError, ParserCreate
from typing import Final, NoReturn

from candado.errors import LimitExceededError, MalformedError

__all__ = ["escape_text", "parse_xml"]

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def escape_text(text: str) -> str:
    """Return ``text`` as XML character data; characters that XML cannot hold become U+FFFD."""
    if "&" in text or "<" in text or ">" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if not text.isprintable():
        text = _NOT_XML.sub(_REPLACEMENT, text).replace("\r", "&#13;")
    return text


def parse_xml(
    body: bytes,
    *,
    start: Callable[[str, int], None],
    end: Callable[[str, int, str], None],
    bytes_max: int,
    elements_max: int,
    depth_max: int,
) -> None:
    """Read one XML document and report its elements in order.

    Args:
        body: the document in UTF-8.
        start: called with name and depth (the root has 1) at each start tag. Names are in Clark form, ``{uri}local``.
        end: called with name, depth and the character data since the last tag at each end tag.
        bytes_max: largest size; checked before parsing.
        elements_max: largest number of elements.
        depth_max: deepest nesting.

    Raises:
        LimitExceededError: a limit does not hold.
        MalformedError: not well-formed, or it has a document type; errors of the callbacks pass through.
    """
    if len(body) > bytes_max:
        raise LimitExceededError(f"an XML document is larger than {bytes_max} bytes")
    parser = ParserCreate("utf-8", "}")  # whatever the declaration says
    parser.buffer_text = True
    parser.buffer_size = 64 * 1024
    text: list[str] = []
    clark: dict[str, str] = {}
    depth = 0
    elements = 0

    def on_start(name: str, _attributes: object) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if depth > depth_max or elements > elements_max:
            raise LimitExceededError("an XML document is nested too deeply or has too many elements")
        known = clark.get(name)
        if known is None:
            known = clark[name] = "{" + name if "}" in name else name
        text.clear()
        start(known, depth)

    def on_end(name: str) -> None:
        nonlocal depth
        end(clark[name], depth, "".join(text))
        text.clear()
        depth -= 1

    def on_doctype(*_: object) -> NoReturn:
        raise MalformedError("an XML document has a document type")

    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = on_doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003 -- the C function takes it by position only
    except ExpatError as exc:
        raise MalformedError("not well-formed XML") from exc

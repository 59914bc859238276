"""The text of a listing, node by node.

Layer: ``apps``. Most nodes of a folder differ in name, times, size and tag only. What is the same for all nodes of a
kind is written once, as a template made by the ordinary way of writing a response; the rest is put into it.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from candado.apps.dav_headers import Place
from candado.apps.dav_props import OF_NODE, PropertyContext, response_of
from candado.formats.dav import DavResponse, MultistatusText, RawXml, quote_href
from candado.formats.xmltext import escape_text
from candado.server.model import NodeInfo

__all__ = ["ListingText"]

_MARK: Final = "\0"
"""Stands for a value in a template that is being made; XML cannot contain it."""
_HREF_CLOSE: Final = "</d:href>"

_kind_of = attrgetter("is_folder", "mount_root", "encrypted", "parent_encrypted", "permissions", "owner_id")

_Template = tuple[str, list[Callable[[NodeInfo], str]]]


class ListingText:
    """Writes the nodes of one listing with the properties that were asked for, in that order."""

    def __init__(
        self, place: Place, names: tuple[str, ...], context: PropertyContext, *, name_only: bool, terse: bool
    ) -> None:
        self._place = place
        self._names = names
        self._context = context
        self._name_only = name_only
        self._terse = terse
        self._text = MultistatusText()
        self._templates: dict[tuple[object, ...], _Template] = {}

    def document(self, nodes: Sequence[NodeInfo], *, truncated: bool) -> bytes:
        """The listing of these nodes; with ``truncated`` it says that there are more."""
        mark = self._place.href(self._place.path, is_folder=True) if truncated else None
        return self._text.document([self._one(node) for node in nodes], truncated_href=mark)

    def _one(self, node: NodeInfo) -> str:
        if node.share_types or node.properties or node.metadata is not None or not node.name:
            href = self._place.href(node.path, is_folder=node.is_folder)
            return self._text.response(self._response(href, node))
        kind = (node.checksum is None, *_kind_of(node))
        template, values = self._templates.get(kind) or self._templates.setdefault(kind, self._template(node))
        return template % (quote_href(node.path), *[value(node) for value in values])

    def _response(self, href: str, node: NodeInfo) -> DavResponse:
        return response_of(href, node, self._names, self._context, name_only=self._name_only, terse=self._terse)

    def _template(self, node: NodeInfo) -> _Template:
        """What all nodes of this one's kind have in common, and what to fill in."""
        whole = self._response("", node)
        own = [] if self._name_only else [name for name, _ in whole.found if name in OF_NODE]
        found = [(name, RawXml(_MARK) if name in own else value) for name, value in whole.found]
        before, after = self._text.response(DavResponse("", found, whole.missing)).split(_HREF_CLOSE, 1)
        start, end = escape_text(self._place.href("", is_folder=False)), "/" if node.is_folder else ""
        text = f"{before}{start}{_MARK}{end}{_HREF_CLOSE}{after}"
        return text.replace("%", "%%").replace(_MARK, "%s"), [OF_NODE[name](self._context) for name in own]

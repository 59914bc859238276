"""Listings: nodes as the answer to a PROPFIND, a SEARCH or a REPORT.

Layer: ``apps``.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from candado.apps.dav_exchange import Exchange, Header
from candado.apps.dav_headers import XML, Place, prefers_minimal
from candado.apps.dav_props import ALL_NAMES, DAV, OC, PropertyContext
from candado.apps.dav_render import ListingText
from candado.apps.server_wiring import Services
from candado.errors import NotFoundError
from candado.formats.davrequests import PropRequest
from candado.server.access import knows_e2ee
from candado.server.model import NodeInfo, Quota

__all__ = ["Listings"]

_INLINE_NODES: Final = 256
_QUOTA_NAMES: Final = frozenset({f"{DAV}quota-available-bytes"})


class Listings:
    """Writes listings as a client may see them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def shows_encrypted(self, exchange: Exchange) -> bool:
        """Whether this client may know what can be done to encrypted folders."""
        if not self._services.config.require_e2ee_header:
            return True
        announced = (exchange.text(b"x-e2ee-supported") or "").lower() == "true"
        return knows_e2ee(exchange.text(b"user-agent") or "", announced=announced)

    async def reply(
        self,
        exchange: Exchange,
        place: Place,
        nodes: Sequence[NodeInfo],
        wanted: PropRequest,
        *,
        truncated: bool = False,
    ) -> None:
        """Answer 207 with the nodes in this order; with ``truncated`` say at the place that there are more."""
        names = ALL_NAMES if wanted.names is None else wanted.names
        asked = frozenset(names)
        context = PropertyContext(
            self._services.instance_id,
            await self._quota(exchange, nodes) if asked & _QUOTA_NAMES else None,
            await self._owner_names(nodes) if f"{OC}owner-display-name" in asked else {},
            self.shows_encrypted(exchange),
        )
        dead = {name for node in nodes for name in node.properties} if wanted.names is None else set()
        listed = (*names, *sorted(dead - asked))
        minimal = prefers_minimal(exchange)
        text = ListingText(place, listed, context, name_only=wanted.name_only, terse=minimal or wanted.names is None)
        if len(nodes) > _INLINE_NODES:
            body = await asyncio.to_thread(text.document, nodes, truncated=truncated)
        else:
            body = text.document(nodes, truncated=truncated)
        applied: list[Header] = [(b"preference-applied", b"return=minimal")] if minimal else []
        await exchange.reply(207, [XML, (b"dav", b"1, 3"), *applied], body)

    async def _quota(self, exchange: Exchange, nodes: Sequence[NodeInfo]) -> Quota:
        """The space of the caller's storage; for a link's visitor that of the storage it leads into."""
        visits = exchange.principal.link is not None
        return await self._services.files.quota(nodes[0].owner_id if visits else exchange.principal.user_id)

    async def _owner_names(self, nodes: Sequence[NodeInfo]) -> dict[str, str]:
        names: dict[str, str] = {}
        for owner in {node.owner_id for node in nodes}:
            try:
                names[owner] = (await self._services.accounts.get(owner)).display_name
            except NotFoundError:
                names[owner] = owner
        return names

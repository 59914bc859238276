"""Who really asks, and by which scheme, when proxies stand in front.

Layer: ``apps``. ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are what their sender likes them to be, so they count
only when the peer of the connection is a proxy that the administrator named. Each proxy appends the address it was
asked from, so the list is read from its end: the first address that is none of the trusted proxies is the client. What
is left of it was written by the client, and is not looked at.
"""

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from candado.errors import UsageError

if TYPE_CHECKING:
    from candado.apps.dav_exchange import Receive, Send

__all__ = ["TrustedProxies", "parse_proxies"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Scope = MutableMapping[str, Any]
_App = Callable[[_Scope, "Receive", "Send"], Awaitable[None]]

_HOPS_MAX: Final = 16
_ADDRESS_CHARS_MAX: Final = 64
_SCHEMES: Final = (b"http", b"https")


def parse_proxies(texts: Sequence[str]) -> tuple[_Network, ...]:
    """Return the networks that addresses and ``ADDRESS/BITS`` texts name.

    Raises:
        UsageError: a text is neither, or means everybody: then any client could say who it is.
    """
    found: list[_Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as exc:
            raise UsageError(
                f"trusted_proxies: {text!r} is no address and no network",
                advice="Write addresses such as 127.0.0.1, or networks such as 10.1.0.0/24 and fd00:1::/64.",
            ) from exc
        if network.prefixlen == 0:
            raise UsageError(
                "trusted_proxies: this trusts everybody, and anybody could forge the address he comes from",
                path=text,
                advice="Name the addresses of your proxies.",
            )
        found.append(network)
    return tuple(found)


def _parse_address(text: str) -> _Address | None:
    """An address as proxies write it: alone, with a port, in brackets; None when it is none.

    A socket for both families shows IPv4 peers as ``::ffff:a.b.c.d``; they are the same people.
    """
    text = text.strip()
    if len(text) > _ADDRESS_CHARS_MAX:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


class TrustedProxies:
    """Puts the true client and scheme into the scope of each request before the application sees it."""

    def __init__(self, app: _App, proxies: Sequence[str]) -> None:
        self._app = app
        self._networks = parse_proxies(proxies)
        self._peer = lru_cache(maxsize=1024)(self._judge)

    async def __call__(self, scope: _Scope, receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        client = scope.get("client")
        if client is not None:
            address, trusted = self._peer(client[0])
            if address != client[0]:
                scope["client"] = (address, client[1])
            if trusted:
                self._believe(scope)
        await self._app(scope, receive, send)

    def _judge(self, text: str) -> tuple[str, bool]:
        address = _parse_address(text)
        return (text, False) if address is None else (str(address), self._trusts(address))

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)

    def _believe(self, scope: _Scope) -> None:
        hops: list[str] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                hops += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto" and value in _SCHEMES:
                scope["scheme"] = value.decode("ascii")
        for hop in reversed(hops[-_HOPS_MAX:]):
            address = _parse_address(hop)
            if address is None:  # what a proxy of ours would not write; who asked that one is the last thing known
                break
            scope["client"] = (str(address), 0)
            if not self._trusts(address):
                break

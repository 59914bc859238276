"""Whom the server takes for the client when proxies stand in front, and whom it does not believe."""

from typing import Any

import pytest

from candado.apps.server_proxy import TrustedProxies, parse_proxies
from candado.errors import UsageError

PROXIES = ("127.0.0.1", "10.1.0.0/24", "fd00:1::/64")


async def seen(peer: str | None, *headers: tuple[str, str], proxies: tuple[str, ...] = PROXIES) -> tuple[Any, str]:
    """The client and the scheme that the application is shown."""
    found: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope)

    async def nothing(*_: Any) -> Any:
        return None

    scope = {
        "type": "http",
        "scheme": "http",
        "client": None if peer is None else (peer, 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    await TrustedProxies(application, proxies)(scope, nothing, nothing)
    return found["client"], found["scheme"]


FOR, PROTO = "x-forwarded-for", "x-forwarded-proto"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("127.0.0.1", ["198.51.100.7:1234"], "198.51.100.7"),
        ("127.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("fd00:1::5", ["198.51.100.7"], "198.51.100.7"),
        # Several proxies: what the client wrote itself stands left of what the first of them saw.
        ("127.0.0.1", ["192.0.2.66, 198.51.100.7, 10.1.0.9"], "198.51.100.7"),
        ("127.0.0.1", ["192.0.2.66, 198.51.100.7", "10.1.0.9"], "198.51.100.7"),
        ("127.0.0.1", ["10.1.0.8, 10.1.0.9"], "10.1.0.8"),
        ("127.0.0.1", ["198.51.100.7, 10.2.0.9"], "10.2.0.9"),
        # What no proxy writes ends the chain at the last one that is known.
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7, , 10.1.0.9"], "10.1.0.9"),
        ("127.0.0.1", ["x\\r\\ny"], "127.0.0.1"),
        ("127.0.0.1", ["9" * 4000], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["10.1.0.1," * 1000 + "198.51.100.7"], "198.51.100.7"),
    ],
)
async def test_the_client_is_the_first_address_from_the_end_that_is_no_proxy(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert (await seen(peer, *[(FOR, value) for value in forwarded]))[0][0] == client


@pytest.mark.parametrize("peer", ["198.51.100.1", "10.1.1.1", "fd00:2::5", "::1", "/run/socket", ""])
async def test_nobody_else_is_believed(peer: str) -> None:
    assert await seen(peer, (FOR, "127.0.0.1"), (PROTO, "https")) == ((peer, 4711), "http")


async def test_without_proxies_no_header_counts() -> None:
    assert await seen("127.0.0.1", (FOR, "192.0.2.1"), (PROTO, "https"), proxies=()) == (("127.0.0.1", 4711), "http")


async def test_a_connection_without_a_peer_is_served() -> None:
    assert await seen(None, (FOR, "192.0.2.1"), (PROTO, "https")) == (None, "http")


@pytest.mark.parametrize(("value", "scheme"), [("https", "https"), ("http", "http"), ("gopher", "http"), ("", "http")])
async def test_a_proxy_says_by_which_scheme_it_was_asked(value: str, scheme: str) -> None:
    assert (await seen("127.0.0.1", (PROTO, value)))[1] == scheme


@pytest.mark.parametrize("text", ["*", "proxy.example.org", "10.1.0.1/24", "10.1.0.0/33", "", "0.0.0.0/0", "::/0"])
def test_what_names_no_proxy_or_everybody_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_proxies(["127.0.0.1", text])

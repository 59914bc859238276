"""From a request to what access rules look at: address, user agent, path, media type of the body.

Layer: ``apps``. Every way in puts it into the principal, so that each use case has it: WebDAV, calls of OCS, pages.
"""

from dataclasses import replace
from typing import Final

from starlette.requests import Request

from candado.apps.dav_exchange import Exchange, decode_path
from candado.errors import BadRequestError
from candado.server.model import Caller, Principal

__all__ = ["with_exchange", "with_request"]

_PREFIX: Final = "/index.php"
_AGENT_CHARS_MAX: Final = 1024
"""Of the user agent, so that no rule has to search in more."""


def with_exchange(principal: Principal, exchange: Exchange) -> Principal:
    """The principal of a WebDAV request, with the request."""
    try:
        path = "/" + decode_path(exchange.raw_path)
    except BadRequestError:
        path = "/"  # refused as soon as it is looked at
    agent, kind = exchange.text(b"user-agent") or "", exchange.text(b"content-type") or ""
    return _with(principal, exchange.address, agent, path, kind if exchange.method == "PUT" else "")


def with_request(principal: Principal, request: Request) -> Principal:
    """The principal of any other request, with the request; what these send is no body of a file."""
    address = request.client.host if request.client else ""
    return _with(principal, address, request.headers.get("user-agent", ""), request.url.path, "")


def _with(principal: Principal, address: str, agent: str, path: str, kind: str) -> Principal:
    # Spellings with and without it mean the same.
    url = path.removeprefix(_PREFIX) if path.startswith(f"{_PREFIX}/") else path
    body_type = kind.partition(";")[0].strip().lower()
    return replace(principal, caller=Caller(address, agent[:_AGENT_CHARS_MAX], url, body_type))

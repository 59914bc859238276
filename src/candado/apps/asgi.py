"""The ASGI application of the server.

Layer: ``apps``. ``/remote.php`` and ``/public.php`` go to our own callables; all the rest, which is small, to
Starlette. Spellings with ``/index.php`` in front mean the same.
"""

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.admin_pages import admin_routes
from candado.apps.dav_app import DavApp
from candado.apps.dav_exchange import Receive, Send
from candado.apps.dav_public import PublicDavApp
from candado.apps.device_pages import device_routes
from candado.apps.invitation_pages import invitation_routes
from candado.apps.link_pages import link_routes
from candado.apps.ocs_admin import admin_calls
from candado.apps.ocs_audit import audit_routes
from candado.apps.ocs_core import core_routes, last_routes
from candado.apps.ocs_e2ee import e2ee_routes
from candado.apps.ocs_groups import group_routes
from candado.apps.ocs_organisation import organisation_routes
from candado.apps.ocs_own import own_routes
from candado.apps.ocs_policy import policy_routes
from candado.apps.ocs_shares import share_routes
from candado.apps.ocs_users import user_routes
from candado.apps.personal_pages import personal_routes
from candado.apps.plain_routes import json_refusal, plain_routes
from candado.apps.server_login import login_routes
from candado.apps.server_metrics import Metrics
from candado.apps.server_watch import Watched, note
from candado.apps.server_wiring import Services

__all__ = ["Application", "http_routes"]

_LOG = logging.getLogger("candado.server")
_SLASHES = re.compile("/{2,}")
_ROUTING: Final = {
    404: ("NOT_FOUND", "there is nothing at this address"),
    405: ("BAD_REQUEST", "this address does not know the method"),
}
_Scope = MutableMapping[str, Any]


def http_routes(services: Services, metrics: Metrics) -> list[BaseRoute]:
    """Every route but WebDAV; each has a row in ``openapi_calls`` and rows in ``tests/e2e/test_server_rights.py``."""
    return [
        *e2ee_routes(services),
        *share_routes(services),
        *core_routes(services),
        *user_routes(services),
        *group_routes(services),
        *own_routes(services),
        *organisation_routes(services),
        *audit_routes(services),
        *admin_calls(services),
        *policy_routes(services),
        *last_routes(),
        *login_routes(services),
        *link_routes(services),
        *device_routes(services),
        *personal_routes(services),
        *invitation_routes(services),
        *admin_routes(services),
        *plain_routes(services, metrics),
    ]


class Application:
    """The server as one ASGI callable, made for one worker process."""

    def __init__(self, services: Services) -> None:
        metrics = Metrics()
        services.policy.counted = metrics.hit
        self._watched = Watched(self._answer, services, metrics)
        self._dav = DavApp(services)
        self._public_dav = PublicDavApp(services)
        routes = http_routes(services, metrics)
        self._templates: dict[Any, str] = {route.endpoint: route.path for route in routes if isinstance(route, Route)}
        handlers: dict[Any, Any] = {HTTPException: _http_error, ClientDisconnect: _gone, Exception: _bug}
        self._rest = Starlette(routes=routes, exception_handlers=handlers)

    async def __call__(self, scope: _Scope, receive: Receive, send: Send) -> None:
        """Answer one request; there is no lifespan to follow and no websocket."""
        await self._watched(scope, receive, send)

    async def _answer(self, scope: _Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if "//" in path:
                path = _SLASHES.sub("/", path)
                scope = {**scope, "path": path}
            if path.startswith(("/remote.php", "/index.php/remote.php")):
                note(part="dav")
                await self._dav(scope, receive, send)
                return
            if path.startswith(("/public.php", "/index.php/public.php")):
                note(part="public")
                await self._public_dav(scope, receive, send)
                return
            if path.startswith("/index.php/"):
                scope = {**scope, "path": path.removeprefix("/index.php"), "raw_path": None}
            note(part="ocs" if scope["path"].startswith("/ocs/") else "plain")
            rest: Callable[[_Scope, Receive, Send], Awaitable[None]] = self._rest
            try:
                await rest(scope, receive, send)
            finally:
                # The router writes down which of its routes it took.
                note(route=self._templates.get(scope.get("endpoint"), "none"))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})


async def _http_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    code, message = _ROUTING.get(error.status_code, ("BAD_REQUEST", error.detail))
    answer = json_refusal(error.status_code, code, message)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _gone(request: Request, error: Exception) -> Response:
    # The client left in the middle of its body; nobody reads this.
    del request, error
    return Response(status_code=400)


async def _bug(request: Request, error: Exception) -> Response:
    _LOG.error("%s failed", request.method, exc_info=error)
    return json_refusal(500, "INTERNAL", "Internal error; the log of the server has the details.")

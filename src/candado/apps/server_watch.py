"""What is known of a request while it is answered and after: for the log, for the numbers, for the one who asks.

Layer: ``apps``. Every answer carries ``X-Request-Id``, and every line that the log gets meanwhile has the same id, so
that what a user reports can be found without names. What is noted of a request is the route it took, never its path:
paths hold names of files, and those of links and sign-ins their secrets.
"""

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final

from candado.apps.dav_exchange import Receive, Send
from candado.apps.server_metrics import Metrics
from candado.apps.server_wiring import Services
from candado.server.audit import AuditContext, enter

__all__ = ["WATCH", "Watch", "Watched", "note"]

_LOG = logging.getLogger("candado.request")
_Scope = MutableMapping[str, Any]
_App = Callable[[_Scope, Receive, Send], Awaitable[None]]
_PROTOCOL: Final = re.compile(
    r"(?:/index\.php)?/(?:(remote|public)\.php|ocs/v([12])\.php(?:/apps/end_to_end_encryption/api/v([12]))?)"
)
_SIGN_INS: Final = ("/login/v2/flow/{token}", "/settings/user/security/sign-in")

WATCH: Final[ContextVar["Watch | None"]] = ContextVar("watch", default=None)


class Watch:
    """One request. Bytes are those of the bodies."""

    __slots__ = ("part", "received", "request_id", "route", "sent", "status", "user")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.part = "plain"
        """Which part of the server answers: dav, public, ocs, plain."""
        self.route = "none"
        """The template of the route."""
        self.user = ""
        """The account, when somebody has signed in; visitors of links have none."""
        self.status = 0
        self.received = 0
        self.sent = 0


def note(*, part: str | None = None, route: str | None = None, user: str | None = None) -> None:
    """Note something of the request that is being answered."""
    watch = WATCH.get()
    if watch is not None:
        watch.part = watch.part if part is None else part
        watch.route = watch.route if route is None else route
        watch.user = watch.user if user is None else user


class Watched:
    """Wraps the application of one worker."""

    def __init__(self, app: _App, services: Services, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._random = services.backend.random
        self._clock = services.backend.clock
        self._monotonic = services.backend.clock.monotonic
        self._database = services.backend.database
        self._log_requests = services.config.log_requests

    async def __call__(self, scope: _Scope, receive: Receive, send: Send) -> None:
        """Answer one request and note what it was."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = Watch(self._random.token(8).hex())
        request_id = (b"x-request-id", watch.request_id.encode("ascii"))

        async def noted_receive() -> MutableMapping[str, Any]:
            message = await receive()
            watch.received += len(message.get("body", b""))
            return message

        async def noted_send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                watch.status = message["status"]
                message["headers"] = [*message.get("headers", ()), request_id]
            else:
                watch.sent += len(message.get("body", b""))
            await send(message)

        started = self._monotonic()
        client = scope.get("client")
        enter(
            AuditContext("server", watch.request_id, client[0] if client else "", _spoken(scope["path"]), self._clock)
        )
        token = WATCH.set(watch)
        self._metrics.begin()
        try:
            await self._app(scope, noted_receive, noted_send)
        finally:
            seconds = self._monotonic() - started
            self._metrics.end(watch, scope["method"], seconds, self._database.pending)
            self._tell(scope, watch, seconds)
            WATCH.reset(token)

    def _tell(self, scope: _Scope, watch: Watch, seconds: float) -> None:
        refused = _is_refusal(scope, watch)
        if refused or self._log_requests:
            client = scope.get("client")
            fields = {
                "method": scope["method"],
                "route": watch.route,
                "status": watch.status or 499,
                "seconds": round(seconds, 4),
                "received": watch.received,
                "sent": watch.sent,
                "address": client[0] if client else "",
                **({"user": watch.user} if watch.user else {}),
            }
            level = logging.WARNING if refused else logging.INFO
            _LOG.log(level, "sign-in refused" if refused else "request", extra={"fields": fields})


def _spoken(path: str) -> tuple[str, ...]:
    """The protocol of a request, for the audit log."""
    match = _PROTOCOL.match(path)
    if match is None:
        return ()
    return ("webdav",) if match[1] else (f"e2ee-api/{match[3]}",) if match[3] else (f"ocs/{match[2]}",)


def _is_refusal(scope: _Scope, watch: Watch) -> bool:
    """Whether somebody tried credentials and was turned away; a first request without any is no try."""
    if watch.route in _SIGN_INS:
        return watch.status in (403, 429)
    return watch.status in (401, 429) and any(name == b"authorization" for name, _ in scope["headers"])

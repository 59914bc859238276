"""Routes that are neither DAV nor OCS nor pages: status, health, numbers, connectivity.

Layer: ``apps``.
"""

import asyncio
import hmac
import ipaddress
import logging
from typing import TYPE_CHECKING, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import base_url
from candado.apps.server_metrics import Metrics
from candado.apps.server_wiring import Services
from candado.apps.signer_wiring import authority_warnings
from candado.errors import CandadoError
from candado.ports.server import Rows
from candado.server.auditgate import sink_states
from candado.server.capabilities import status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["json_answer", "json_refusal", "plain_routes"]

_LOG = logging.getLogger("candado.server")
_READY_SECONDS: Final = 5.0
_READY_CACHED_SECONDS: Final = 0.5
_LOGO: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48" width="48" height="48"><title>candado</title>'
    b'<path d="M14 22v-6a10 10 0 0 1 20 0v6" fill="none" stroke="#1f5f8b" stroke-width="4"/>'
    b'<rect x="9" y="21" width="30" height="22" rx="4" fill="#1f5f8b"/><circle cx="24" cy="32" r="4" fill="#fff"/>'
    b"</svg>"
)
_FORWARDED: Final = ("x-forwarded-for", "x-real-ip", "forwarded", "via")


def json_answer(document: object, code: int = 200) -> Response:
    """A JSON answer that nobody stores."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(orjson.dumps(document), code, headers, "application/json")


def json_refusal(status: int, code: str, message: str) -> Response:
    """A refusal outside of OCS and WebDAV."""
    return json_answer({"error": {"code": code, "message": message}}, status)


def plain_routes(services: Services, metrics: Metrics) -> list[BaseRoute]:
    """All routes of this module."""

    async def show_status(request: Request) -> Response:
        del request
        return json_answer(status())

    async def logo(request: Request) -> Response:
        del request
        headers = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
        policy = {"Content-Security-Policy": "default-src 'none'; sandbox"}
        return Response(_LOGO, 200, {**headers, **policy}, "image/svg+xml")

    async def no_content(request: Request) -> Response:
        del request
        return Response(status_code=204)

    async def healthz(request: Request) -> Response:
        del request
        return json_answer({"status": "ok"})

    known: list[tuple[float, Response]] = []

    async def readyz(request: Request) -> Response:
        del request
        # It writes and signs, and anybody may ask: a flood of questions shares one answer.
        now = services.backend.clock.monotonic()
        if not known or now - known[0][0] > _READY_CACHED_SECONDS:
            known[:] = [(now, await _readiness(services))]
        return known[0][1]

    async def numbers(request: Request) -> Response:
        return await _metrics(services, metrics, request)

    async def describe(request: Request) -> Response:
        from candado.apps.openapi import openapi_document

        return json_answer(openapi_document(base_url(services, request)))

    return [
        Route("/status.php", show_status, methods=["GET"]),
        Route("/logo.svg", logo, methods=["GET"]),
        Route("/204", no_content, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", numbers, methods=["GET"]),
        Route("/openapi.json", describe, methods=["GET"]),
    ]


async def _readiness(services: Services) -> Response:
    """Database, blobs and signer, each tried for real."""
    backend = services.backend

    async def database() -> None:
        async def work(rows: Rows) -> None:
            await rows.one("SELECT 1 FROM settings")

        await backend.database.read(work)

    async def storage() -> None:
        blob_id = await backend.objects.put(b"ready?")
        await backend.objects.delete([blob_id])

    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "database": database,
        "storage": storage,
        "signer": services.pki.check_signer,
    }
    results: dict[str, str] = {}
    for name, check in checks.items():
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await check()
        except CandadoError as error:
            _LOG.warning("not ready: %s: %s %s", name, error.code, error.message)
            results[name] = error.code
        except TimeoutError:
            _LOG.warning("not ready: %s took longer than %s s", name, _READY_SECONDS)
            results[name] = "TIMEOUT"
        else:
            results[name] = "ok"
    ready = all(result == "ok" for result in results.values())
    warnings = [*authority_warnings(services.config), *await _behind(services)]
    shown = {"status": "ok" if ready else "failing", "checks": results, "warnings": warnings}
    return json_answer(shown, 200 if ready else 503)


async def _behind(services: Services) -> list[str]:
    """Outputs of the audit log that are behind or fail; the server serves nevertheless."""
    now = services.backend.clock.now()
    try:
        async with asyncio.timeout(_READY_SECONDS):
            states = await services.backend.database.read(lambda rows: sink_states(rows, now))
    except (CandadoError, TimeoutError):  # the check of the database says so
        return []
    return [one.warning for one in states if one.warning]


def _is_from_here(request: Request) -> bool:
    """Whether a process of this machine asks for itself, and no proxy for somebody else."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _metrics(services: Services, metrics: Metrics, request: Request) -> Response:
    config = services.config
    given = request.headers.get("authorization", "").encode("latin-1")
    wanted = f"Bearer {config.metrics_token}".encode()
    has_token = bool(config.metrics_token) and hmac.compare_digest(given, wanted)
    if not (config.metrics or has_token or (_is_from_here(request) and not config.metrics_token)):
        status, code = (403, "FORBIDDEN") if given else (404, "NOT_FOUND")
        return json_refusal(status, code, "metrics are for this machine; see docs/ops/monitoring.md")
    body, kind = await metrics.render(services)
    return Response(body, 200, {"Content-Type": kind})

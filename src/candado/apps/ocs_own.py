"""Calls of our own, which the capabilities announce: many small bodies, the folder of a link, lists of the authority.

Layer: ``apps``. Source: docs/spec/formats.md, Many bodies at once, Links, List of revoked keys.
"""

import logging
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.dav_exchange import decode_path
from candado.apps.ocs_call import SAFE_HEADERS, SMALL_BYTES_MAX, OcsCall, endpoint
from candado.apps.server_wiring import Services
from candado.errors import BadRequestError, CandadoError, FormatError
from candado.formats.bodies import BODIES_BYTES_MAX, BODIES_COUNT_MAX, format_bodies
from candado.formats.canonjson import JsonValue, load_json
from candado.formats.dav import quote_href
from candado.server.authority import handovers

__all__ = ["own_routes"]

_BODIES: Final = "/ocs/v{version}.php/apps/candado/api/v1/bodies"
_LINK: Final = "/ocs/v{version}.php/apps/candado/api/v1/link-folder"
_HANDOVERS: Final = "/ocs/v{version}.php/apps/candado/api/v1/handovers"
_REVOCATIONS: Final = "/ocs/v{version}.php/apps/candado/api/v1/revocations"
_LOG = logging.getLogger("candado.server")


def own_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(_BODIES, endpoint(services, _bodies), methods=["POST"]),
        Route(_LINK, endpoint(services, _link_folder, visitors=True), methods=["GET"]),
        Route(_REVOCATIONS, endpoint(services, _revocations), methods=["GET"]),
        Route(_HANDOVERS, endpoint(services, _handovers), methods=["GET"]),
    ]


async def _link_folder(call: OcsCall) -> JsonValue:
    """What whoever drops files must know: into which folder, and in the signed document for whom to seal them."""
    found = await call.services.drops.folder(call.user)
    return {
        "file-id": int(found.file_id),
        "permissions": found.permissions,
        "meta-data": found.text,
        "signature": found.signature,
    }


async def _revocations(call: OcsCall) -> JsonValue:
    return {"revocation-list": await call.services.revocations.published()}


async def _handovers(call: OcsCall) -> JsonValue:
    return {"handovers": list(await handovers(call.services.backend))}


async def _bodies(call: OcsCall) -> Response:
    # The same way in as for a path in an address, so that the same paths are refused.
    folder = decode_path(quote_href(call.required("folder")).encode("ascii"))
    names = _names(call.required("names"))
    found = await call.services.files.open_small_files(call.user, folder, names)
    bodies: list[bytes | None] = []
    left = BODIES_BYTES_MAX
    for name in names:
        size, blob_id = found.pop(name, (BODIES_BYTES_MAX + 1, None))
        body = await _body(call.services, blob_id, size) if size <= left else None
        left -= 0 if body is None else size
        bodies.append(body)
    headers = {**SAFE_HEADERS, "Content-Type": "application/octet-stream"}
    return Response(format_bodies(bodies), headers=headers)


async def _body(services: Services, blob_id: str | None, size: int) -> bytes | None:
    """The whole of a small blob; None when it cannot be read, for a request for it alone to tell."""
    if blob_id is None:
        return b"" if size == 0 else None
    try:
        body = b"".join([bytes(piece) async for piece in services.backend.objects.read(blob_id)])
    except CandadoError as error:
        _LOG.error("a blob was left out of an answer with many: %s", error.code)
        return None
    return body if len(body) == size else None


def _names(text: str) -> list[str]:
    """The names in a parameter; BadRequestError when it is no list of that many texts, each of them once."""
    try:
        names = load_json(text.encode(), bytes_max=SMALL_BYTES_MAX)
    except FormatError as exc:
        raise BadRequestError("the parameter names is not a JSON list") from exc
    if not isinstance(names, list) or not 0 < len(names) <= BODIES_COUNT_MAX:
        raise BadRequestError(f"the parameter names is not a list of 1 to {BODIES_COUNT_MAX} names")
    texts = [name for name in names if isinstance(name, str)]
    if len(set(texts)) != len(names):
        raise BadRequestError("the parameter names has something else than names, or one twice")
    return texts

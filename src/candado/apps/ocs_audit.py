"""The audit log over HTTP: its newest checkpoint and proofs, its records for administrators, the log of keys for users.

Layer: ``apps``. Source: docs/spec/audit.md, Calls.
"""

from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import SMALL_BYTES_MAX, OcsCall, endpoint
from candado.apps.server_wiring import Services
from candado.encoding import encode_b64
from candado.errors import BadRequestError, FormatError
from candado.formats.canonjson import JsonValue, load_json

__all__ = ["audit_routes"]

_BASE: Final = "/ocs/v{version}.php/apps/candado/api/v1"
_PAGE: Final = 100


def audit_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(f"{_BASE}/audit/checkpoint", endpoint(services, _checkpoint), methods=["GET"]),
        Route(f"{_BASE}/audit/consistency", endpoint(services, _consistency), methods=["GET"]),
        Route(f"{_BASE}/audit/records", endpoint(services, _records), methods=["GET"]),
        Route(f"{_BASE}/key-log", endpoint(services, _key_log), methods=["GET"]),
    ]


async def _checkpoint(call: OcsCall) -> JsonValue:
    size, note = await call.services.audit.checkpoint()
    return {"size": size, "checkpoint": note}


async def _consistency(call: OcsCall) -> JsonValue:
    old, new = call.number("from", 0), call.number("to", 0)
    return {"proof": _texts(await call.services.audit.consistency(old, new))}


async def _records(call: OcsCall) -> JsonValue:
    call.require_admin()
    page = await call.services.audit.records(call.number("from", 0), call.number("limit", _PAGE))
    return {
        "first": page.first,
        "size": page.size,
        "edge": _texts(page.edge),
        "records": [line for _, line in page.records],
    }


async def _key_log(call: OcsCall) -> JsonValue:
    found = await call.services.audit.keys(_users(call.required("users")), call.number("known", 0))
    return {
        "checkpoint": found.checkpoint,
        "salt": found.salt.hex(),
        "consistency": _texts(found.consistency),
        "users": [
            {
                "user": user,
                "leaves": [{"record": leaf.record, "proof": _texts(leaf.proof)} for leaf in leaves],
            }
            for user, leaves in found.users.items()
        ],
    }


def _texts(hashes: tuple[bytes, ...] | list[bytes]) -> list[JsonValue]:
    return [encode_b64(one) for one in hashes]


def _users(text: str) -> list[str]:
    try:
        users = load_json(text.encode(), bytes_max=SMALL_BYTES_MAX)
    except FormatError as exc:
        raise BadRequestError("the parameter users is not a JSON list") from exc
    if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
        raise BadRequestError("the parameter users is not a list of names")
    return [str(user) for user in users]

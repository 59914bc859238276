"""OCS calls about the server and the caller: capabilities, user, app passwords.

Layer: ``apps``. A device ends its own app password with the call that stock clients know. The list, and what is done to
other devices of the user, are calls of our own below the same address; whoever finds a device can only read with them.
"""

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import Final

import orjson
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import Answer, OcsCall, base_url, endpoint, not_found
from candado.apps.ocs_users import own_user
from candado.apps.server_wiring import Services
from candado.errors import ForbiddenError, RulesUnreadableError
from candado.formats.canonjson import JsonValue
from candado.server.capabilities import Told, capabilities

__all__ = ["core_routes", "last_routes"]

_OCS: Final = "/ocs/v{version}.php"


def core_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module but the last."""
    return [
        Route(f"{_OCS}/cloud/capabilities", endpoint(services, _capabilities, anonymous=True), methods=["GET"]),
        Route(f"{_OCS}/cloud/user", endpoint(services, own_user), methods=["GET"]),
        Route(f"{_OCS}/core/getapppassword", endpoint(services, _make_app_password), methods=["GET"]),
        Route(f"{_OCS}/core/apppassword", endpoint(services, _delete_app_password), methods=["DELETE"]),
        Route(f"{_OCS}/core/apppassword", endpoint(services, _devices), methods=["GET"]),
        Route(f"{_OCS}/core/apppassword/{{id}}", endpoint(services, _revoke, confirmed=True), methods=["DELETE"]),
        Route(f"{_OCS}/core/apppassword/{{id}}/wipe", endpoint(services, _wipe, confirmed=True), methods=["POST"]),
        Route(f"{_OCS}/core/navigation/apps", endpoint(services, _nothing), methods=["GET"]),
    ]


def last_routes() -> list[BaseRoute]:
    """The answer to everything below /ocs that is not there."""
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    return [Route("/ocs/{rest:path}", not_found, methods=methods)]


async def _capabilities(call: OcsCall) -> Answer | Response:
    told = Told()
    if call.principal is not None:
        key, recovery = await call.services.recovery.announced()
        rules = await call.services.policies.current("client-rules")
        told = Told(
            keys_exist=await call.services.pki.keys_exist(call.principal.user_id),
            organisation="" if key is None else key.fingerprint_hex,
            recovery=recovery,
            client_rules=0 if rules is None else rules.serial,
        )
        with suppress(RulesUnreadableError):
            told = replace(told, rules_version=(await call.services.policy.in_force()).version)
    data: JsonValue = capabilities(base_url(call.services, call.request), told)
    etag = f'"{hashlib.sha256(orjson.dumps(data)).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if call.header("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Answer(data, headers)


async def _make_app_password(call: OcsCall) -> JsonValue:
    if call.user.app_password_id is not None:
        raise ForbiddenError("an app password cannot make another one")
    label = call.header("user-agent") or "device"
    secret = await call.services.devices.make(call.user.user_id, label)
    return {"apppassword": secret.reveal()}


async def _delete_app_password(call: OcsCall) -> JsonValue:
    if call.user.app_password_id is None:
        raise ForbiddenError("this call was not made with an app password")
    await call.services.devices.revoke(call.user.user_id, call.user.app_password_id)
    call.services.authenticator.forget(call.user)
    return []


async def _devices(call: OcsCall) -> JsonValue:
    return [
        {
            "id": device.device_id,
            "name": device.label,
            "created": int(device.created_at),
            "lastActivity": None if device.last_used_at is None else int(device.last_used_at),
            "current": device.device_id == call.user.app_password_id,
            "wipe": device.wipe_asked_at is not None,
        }
        for device in await call.services.devices.all(call.user.user_id)
    ]


async def _revoke(call: OcsCall) -> JsonValue:
    device = await call.services.devices.get(call.user.user_id, call.path_number("id"))
    await call.services.devices.revoke(call.user.user_id, device.device_id)
    return []


async def _wipe(call: OcsCall) -> JsonValue:
    await call.services.devices.ask_wipe(call.user.user_id, call.path_number("id"))
    return []


async def _nothing(call: OcsCall) -> JsonValue:
    del call
    return []

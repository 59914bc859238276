"""Calls of our own for administrators, which do what their pages do: numbers, locks, links to set a password, keys.

Layer: ``apps``. What changes something wants the login password, as in the provisioning API.
"""

import dataclasses
from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.cli.output import rfc3339
from candado.apps.ocs_call import OcsCall, base_url, endpoint
from candado.apps.ocs_users import quota_of
from candado.apps.server_console import invitation_address, lock_document
from candado.apps.server_wiring import Services
from candado.errors import BadRequestError, SignerSetupError, SignerUnavailableError
from candado.formats.canonjson import JsonValue
from candado.server.accounts import check_email, check_shown_text
from candado.server.approvals import KeyRequest
from candado.server.invitations import Invitation
from candado.server.pki import issued_certificates

__all__ = ["admin_calls", "publish_revocations"]

_BASE: Final = "/ocs/v{version}.php/apps/candado/api/v1/admin"


def admin_calls(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(f"{_BASE}/overview", endpoint(services, _overview), methods=["GET"]),
        Route(f"{_BASE}/locks", endpoint(services, _locks), methods=["GET"]),
        Route(f"{_BASE}/locks/{{lock}}", endpoint(services, _release, confirmed=True), methods=["DELETE"]),
        Route(f"{_BASE}/invitations", endpoint(services, _invite, confirmed=True), methods=["POST"]),
        Route(f"{_BASE}/invitations/{{user}}", endpoint(services, _reset, confirmed=True), methods=["POST"]),
        Route(f"{_BASE}/certificates", endpoint(services, _certificates), methods=["GET"]),
        Route(f"{_BASE}/revocations", endpoint(services, _revoke, confirmed=True), methods=["POST"]),
        Route(f"{_BASE}/key-requests", endpoint(services, _requests), methods=["GET"]),
        Route(f"{_BASE}/key-requests/{{key}}", endpoint(services, _decide, confirmed=True), methods=["POST"]),
    ]


async def _overview(call: OcsCall) -> JsonValue:
    call.require_admin()
    numbers: JsonValue = dataclasses.asdict(await call.services.overviews.numbers())
    return numbers


async def _locks(call: OcsCall) -> JsonValue:
    call.require_admin()
    now = call.services.backend.clock.now()
    locks: list[JsonValue] = [lock_document(lock, now) for lock in await call.services.overviews.locks()]
    return {"locks": locks}


async def _release(call: OcsCall) -> JsonValue:
    call.require_admin()
    released = await call.services.overviews.release(str(call.request.path_params["lock"]))
    document: JsonValue = lock_document(released, call.services.backend.clock.now())
    return document


async def _invite(call: OcsCall) -> JsonValue:
    call.require_admin()
    account, made = await call.services.invitations.invite(
        call.required("userid"),
        display_name=check_shown_text(call.parameters.get("displayName", "").strip(), "a display name"),
        email=check_email(call.parameters.get("email", "")),
        quota_bytes=quota_of(call.parameters.get("quota", "default"), call.services),
        groups=tuple(call.texts("groups")),
    )
    await call.services.files.ensure_home(account.user_id)
    return _link(call, made)


async def _reset(call: OcsCall) -> JsonValue:
    call.require_admin()
    return _link(call, await call.services.invitations.make(str(call.request.path_params["user"])))


def _link(call: OcsCall, made: Invitation) -> JsonValue:
    address = invitation_address(base_url(call.services, call.request), made)
    return {"user": made.user_id, "link": address, "expires": rfc3339(made.expires_at)}


async def _certificates(call: OcsCall) -> JsonValue:
    call.require_admin()
    user = call.parameters.get("user", "")
    found: list[JsonValue] = [
        {
            "serial": one.serial,
            "user": one.user_id,
            "fingerprint": one.fingerprint_hex,
            "issued": rfc3339(one.issued_at),
            "not-after": rfc3339(one.not_after),
            "revoked": None if one.revoked_at is None else rfc3339(one.revoked_at),
        }
        for one in await issued_certificates(call.services.backend)
        if user in ("", one.user_id)
    ]
    return {"certificates": found}


async def _revoke(call: OcsCall) -> JsonValue:
    call.require_admin()
    hit = await call.services.revocations.revoke(call.required("who"), call.required("reason"))
    revoked: list[JsonValue] = [
        {"serial": one.serial, "user": one.user_id, "key": one.key_fingerprint_hex} for one in hit
    ]
    return {"revoked": revoked, "published": await publish_revocations(call.services)}


async def publish_revocations(services: Services) -> bool:
    """Sign the list anew; without the signer the revocation is in force all the same, and the list follows."""
    try:
        await services.revocations.refresh()
    except (SignerUnavailableError, SignerSetupError):
        return False
    return True


async def _requests(call: OcsCall) -> JsonValue:
    call.require_admin()
    found: list[JsonValue] = [_request(one) for one in await call.services.approvals.all()]
    return {"needed": call.services.config.new_key_approvals, "requests": found}


async def _decide(call: OcsCall) -> JsonValue:
    decision = call.required("decision")
    if decision not in ("approve", "reject"):
        raise BadRequestError("a decision is approve or reject")
    key = str(call.request.path_params["key"])
    return _request(await call.services.approvals.decide(key, call.user, approve=decision == "approve"))


def _request(one: KeyRequest) -> JsonValue:
    return {
        "key": one.key_fingerprint_hex,
        "user": one.user_id,
        "requested": rfc3339(one.requested_at),
        "outcome": one.outcome,
        "approved-by": list(one.approved_by),
    }

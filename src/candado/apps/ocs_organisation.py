"""Calls of our own about the organisation: its key, the policies it signed, its recovery key and records of its use.

Layer: ``apps``. What is served is verified by clients; what comes in is brought by administrators with their login
password. Source: docs/spec/api.md; docs/spec/formats.md, Policies of an organisation.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import OcsCall, endpoint
from candado.apps.server_wiring import Services
from candado.crypto.ed25519 import VerifyingKey
from candado.errors import BadRequestError, FormatError, NotFoundError, PolicyRefusedError
from candado.folder.orgtrust import verify_policy
from candado.formats.canonjson import JsonValue
from candado.formats.orgpolicy import POLICY_BYTES_MAX, POLICY_KINDS, PolicyKind
from candado.server.audit import actor_of
from candado.server.recoveryuses import RECORD_CHARS_MAX

__all__ = ["organisation_routes"]

_BASE: Final = "/ocs/v{version}.php/apps/candado/api/v1"
_POLICY_BYTES_MAX: Final = 2 * POLICY_BYTES_MAX


def organisation_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""

    def installing(handler: Callable[[OcsCall], Awaitable[JsonValue]]) -> Callable[[Request], Awaitable[Response]]:
        return endpoint(services, handler, confirmed=True, bytes_max=_POLICY_BYTES_MAX)

    reporting = endpoint(services, _report_use, confirmed=True, bytes_max=2 * RECORD_CHARS_MAX)
    return [
        Route(f"{_BASE}/recovery", endpoint(services, _recovery), methods=["GET"]),
        Route(f"{_BASE}/recovery", installing(_install_recovery), methods=["POST"]),
        Route(f"{_BASE}/recovery/uses", reporting, methods=["POST"]),
        Route(f"{_BASE}/recovery/uses/{{id}}", endpoint(services, _use), methods=["GET"]),
        Route(f"{_BASE}/policies/{{kind}}", endpoint(services, _policy), methods=["GET"]),
        Route(f"{_BASE}/policies/{{kind}}", installing(_install_policy), methods=["POST"]),
    ]


async def _recovery(call: OcsCall) -> JsonValue:
    state = await call.services.recovery.state()
    uses: list[JsonValue] = [*await call.services.recovery_uses.of(call.user.user_id)]
    return {
        "organisation": state.organisation,
        "policy": state.policy,
        "certificate": state.certificate,
        "uses": uses,
    }


async def _use(call: OcsCall) -> JsonValue:
    return {"record": await call.services.recovery_uses.get(call.user.user_id, str(call.request.path_params["id"]))}


async def _report_use(call: OcsCall) -> JsonValue:
    call.require_admin()
    stored = await call.services.recovery_uses.report(call.required("record"), actor=actor_of(call.user))
    return {"id": stored.use_id, "state": stored.state, "concerned": stored.concerned}


async def _install_recovery(call: OcsCall) -> JsonValue:
    call.require_admin()
    await _take_key(call, "recovery")
    csr = call.parameters.get("csr", "")
    actor = actor_of(call.user)
    policy = await call.services.recovery.install(call.required("policy"), csr, actor=actor)
    return {"serial": policy.serial, "state": policy.recovery.state, "member": policy.recovery.member_id}


async def _policy(call: OcsCall) -> JsonValue:
    kind = _kind(call)
    key = await call.services.policies.key()
    policy = await call.services.policies.current(kind)
    return {
        "organisation": "" if key is None else key.to_pem(),
        "policy": "" if policy is None else policy.raw.decode(),
    }


async def _install_policy(call: OcsCall) -> JsonValue:
    call.require_admin()
    kind = _kind(call)
    if kind == "recovery":
        raise BadRequestError("a policy on recovery is installed with its certificate request")
    await _take_key(call, kind)
    policy = await call.services.policies.install(kind, call.required("policy"), actor=actor_of(call.user))
    return {"serial": policy.serial}


async def _take_key(call: OcsCall, kind: PolicyKind) -> None:
    """Install the organisation's key that comes along, when it signed the policy that comes with it."""
    try:
        key = VerifyingKey.from_pem(call.required("organisation"))
        verify_policy(call.required("policy"), kind=kind, pinned_key=key, pinned=None)
    except (FormatError, PolicyRefusedError) as exc:
        raise BadRequestError(f"the policy or the organisation's public key is not acceptable: {exc.message}") from exc
    replace = call.parameters.get("replace", "") == "1"
    await call.services.policies.install_key(key, replace=replace, actor=actor_of(call.user))


def _kind(call: OcsCall) -> PolicyKind:
    wanted = str(call.request.path_params["kind"])
    kind = {str(one): one for one in POLICY_KINDS}.get(wanted)
    if kind is None:
        raise NotFoundError("no policy of this kind")
    return kind

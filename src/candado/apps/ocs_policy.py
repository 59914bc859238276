"""Calls on access rules, for administrators: read, replace, look for errors, try.

Layer: ``apps``. Source: docs/spec/rules.md, Calls. An app password of an administrator can do all but replace the
rules, which wants the login password.
"""

from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import OcsCall, endpoint
from candado.apps.rule_documents import (
    finding_document,
    head_document,
    invalid_document,
    parse_question,
    trial_document,
    version_document,
)
from candado.apps.server_wiring import Services
from candado.errors import BadRequestError, RulesInvalidError
from candado.formats.canonjson import JsonValue
from candado.formats.rules import parse_rules
from candado.server.ruletrial import try_rules

__all__ = ["policy_routes"]

_POLICY: Final = "/ocs/v{version}.php/apps/candado/api/v1/policy"
_BYTES_MAX: Final = 512 * 1024
"""A document of 128 KiB, each of its bytes written as three in a form."""
_ASKED: Final = ("operation", "user", "file", "size", "ip", "agent", "url", "mime", "time", "link", "encrypted")
_HISTORY_MAX: Final = 100


def policy_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(_POLICY, endpoint(services, _get), methods=["GET"]),
        Route(_POLICY, endpoint(services, _put, confirmed=True, bytes_max=_BYTES_MAX), methods=["PUT"]),
        Route(f"{_POLICY}/history", endpoint(services, _history), methods=["GET"]),
        Route(f"{_POLICY}/lint", endpoint(services, _lint, bytes_max=_BYTES_MAX), methods=["POST"]),
        Route(f"{_POLICY}/test", endpoint(services, _test, bytes_max=_BYTES_MAX), methods=["POST"]),
    ]


async def _get(call: OcsCall) -> JsonValue:
    """The document in force, or the version asked for."""
    call.require_admin()
    number = call.number("number", -1)
    return version_document(await call.services.rules.document(None if number < 0 else number))


async def _history(call: OcsCall) -> JsonValue:
    call.require_admin()
    return {"versions": [head_document(one) for one in await call.services.rules.history(count_max=_HISTORY_MAX)]}


async def _put(call: OcsCall) -> JsonValue:
    """Replace the version that the caller has seen."""
    call.require_admin()
    call.required("expected")
    made = await call.services.rules.replace(
        call.required("text"),
        expected=call.number("expected", 0),
        changed_by=call.user.user_id,
        note=call.parameters.get("note", ""),
        force=call.parameters.get("force", "") in ("true", "1"),
    )
    return version_document(made)


async def _lint(call: OcsCall) -> JsonValue:
    """What is wrong with a document or odd about it; an error in it is an answer like any other."""
    call.require_admin()
    try:
        rules = parse_rules(call.required("text"))
    except RulesInvalidError as error:
        return {"valid": False, "findings": [invalid_document(error)]}
    found = [finding_document(one) for one in await call.services.rules.lint(rules)]
    return {"valid": not any(one["severity"] == "error" for one in found), "findings": [*found]}


async def _test(call: OcsCall) -> JsonValue:
    """What the rules in force, or those of a document that is sent, say of one operation."""
    call.require_admin()
    text = call.parameters.get("text", "")
    rules = parse_rules(text) if text else await call.services.rules.rules()
    values = {name: call.parameters.get(name, "") for name in (*_ASKED, "known-device")}
    tags = call.texts("tag")
    if len(tags) > 1000:
        raise BadRequestError("too many tags")
    question = parse_question(values, tags, now=call.services.backend.clock.now())
    return trial_document(await try_rules(call.services.backend, rules, question))

"""OCS calls that administrate groups (provisioning API, version 1); administrators only.

Layer: ``apps``. The group ``admin`` is not stored: its members are the administrators.
"""

from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import OcsCall, OcsStatusError, endpoint
from candado.apps.server_wiring import Services
from candado.errors import AlreadyExistsError, BadRequestError, NotFoundError
from candado.formats.canonjson import JsonValue
from candado.server.groups import ADMIN_GROUP

__all__ = ["group_routes", "names_or_all", "page_of"]

_GROUPS: Final = "/ocs/v{version}.php/cloud/groups"
_ALL: Final = 2**31 - 1


def group_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(_GROUPS, endpoint(services, _list), methods=["GET"]),
        Route(_GROUPS, endpoint(services, _create, confirmed=True), methods=["POST"]),
        Route(f"{_GROUPS}/{{id}}", endpoint(services, _members), methods=["GET"]),
        Route(f"{_GROUPS}/{{id}}", endpoint(services, _delete, confirmed=True), methods=["DELETE"]),
        Route(f"{_GROUPS}/{{id}}/users", endpoint(services, _members), methods=["GET"]),
        Route(f"{_GROUPS}/{{id}}/subadmins", endpoint(services, _subadmins), methods=["GET"]),
    ]


def page_of(call: OcsCall) -> tuple[int, int]:
    """The parameters ``limit`` (everything when absent or 0) and ``offset``; BadRequestError."""
    limit, offset = call.number("limit", 0) or _ALL, call.number("offset", 0)
    return min(limit, _ALL), min(offset, _ALL)


async def names_or_all(call: OcsCall, search: str = "") -> list[str]:
    """Names of the groups that contain ``search``, the administrators' first."""
    stored = await call.services.groups.search(search, count_max=_ALL)
    # A database of an earlier release may have a group of this name, which never gave any right.
    return [ADMIN_GROUP] * (search.lower() in ADMIN_GROUP) + [name for name in stored if name != ADMIN_GROUP]


def _id(call: OcsCall) -> str:
    return str(call.request.path_params["id"])


async def _list(call: OcsCall) -> JsonValue:
    call.require_admin()
    limit, offset = page_of(call)
    names: list[JsonValue] = [*await names_or_all(call, call.parameters.get("search", ""))]
    return {"groups": names[offset : offset + limit]}


async def _members(call: OcsCall) -> JsonValue:
    call.require_admin()
    if _id(call) == ADMIN_GROUP:
        return {"users": [account.user_id for account in await call.services.accounts.users() if account.is_admin]}
    try:
        members: list[JsonValue] = [*await call.services.groups.members(_id(call))]
    except NotFoundError as exc:
        raise OcsStatusError(404, "The requested group could not be found") from exc
    return {"users": members}


async def _subadmins(call: OcsCall) -> JsonValue:
    call.require_admin()
    if _id(call) not in await names_or_all(call):
        raise OcsStatusError(101, "Group does not exist")
    return []


async def _create(call: OcsCall) -> JsonValue:
    call.require_admin()
    try:
        await call.services.groups.add(call.parameters.get("groupid", ""))
    except BadRequestError as exc:
        raise OcsStatusError(101, "Invalid group name") from exc
    except AlreadyExistsError as exc:
        raise OcsStatusError(102, "group exists") from exc
    return []


async def _delete(call: OcsCall) -> JsonValue:
    call.require_admin()
    if _id(call) == ADMIN_GROUP:
        raise OcsStatusError(102, "the group of the administrators stays")
    try:
        await call.services.groups.delete(_id(call))
    except NotFoundError as exc:
        raise OcsStatusError(101, "Group does not exist") from exc
    return []

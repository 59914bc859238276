"""OCS calls that administrate users (provisioning API, version 1).

Layer: ``apps``. Administrators may do all of it, everybody may read and edit the own account. What changes something
wants the login password: whoever finds a device with an app password on it must not be able to make accounts with it.
Failures have the numbers of a stock server, whose tools look at them.
"""

from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.ocs_call import OcsCall, OcsStatusError, endpoint
from candado.apps.ocs_groups import names_or_all, page_of
from candado.apps.server_config import parse_bytes
from candado.apps.server_wiring import Services
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    MalformedError,
    NotFoundError,
    UsageError,
)
from candado.formats.canonjson import JsonValue
from candado.server.accounts import Account, check_email, check_new_password, check_shown_text
from candado.server.capabilities import user_document
from candado.server.groups import ADMIN_GROUP
from candado.types import SecretText

__all__ = ["own_user", "quota_of", "user_routes"]

_USERS: Final = "/ocs/v{version}.php/cloud/users"
_NOT_FOUND: Final = 998
_FIELDS: Final[tuple[JsonValue, ...]] = ("displayname", "email")


def user_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(_USERS, endpoint(services, _list), methods=["GET"]),
        Route(_USERS, endpoint(services, _create, confirmed=True), methods=["POST"]),
        Route(f"{_USERS}/details", endpoint(services, _details), methods=["GET"]),
        Route("/ocs/v{version}.php/cloud/user/fields", endpoint(services, _editable), methods=["GET"]),
        Route(f"{_USERS}/{{id}}", endpoint(services, _get), methods=["GET"]),
        Route(f"{_USERS}/{{id}}", endpoint(services, _edit, confirmed=True), methods=["PUT"]),
        Route(f"{_USERS}/{{id}}", endpoint(services, _delete, confirmed=True), methods=["DELETE"]),
        Route(f"{_USERS}/{{id}}/enable", endpoint(services, _enable, confirmed=True), methods=["PUT"]),
        Route(f"{_USERS}/{{id}}/disable", endpoint(services, _disable, confirmed=True), methods=["PUT"]),
        Route(f"{_USERS}/{{id}}/groups", endpoint(services, _groups), methods=["GET"]),
        Route(f"{_USERS}/{{id}}/groups", endpoint(services, _join, confirmed=True), methods=["POST"]),
        Route(f"{_USERS}/{{id}}/groups", endpoint(services, _leave, confirmed=True), methods=["DELETE"]),
        Route(f"{_USERS}/{{id}}/subadmins", endpoint(services, _subadmins), methods=["GET"]),
        Route(f"{_USERS}/{{id}}/subadmins", endpoint(services, _add_subadmin, confirmed=True), methods=["POST"]),
        Route(f"{_USERS}/{{id}}/subadmins", endpoint(services, _no_subadmin, confirmed=True), methods=["DELETE"]),
    ]


def _id(call: OcsCall) -> str:
    return str(call.request.path_params["id"])


# --- reading -----------------------------------------------------------------------------------------------


async def own_user(call: OcsCall) -> JsonValue:
    """The whole document of the caller."""
    return await _document(call, await call.services.accounts.get(call.user.user_id))


async def _document(call: OcsCall, account: Account) -> JsonValue:
    document = user_document(account, await call.services.files.quota(account.user_id))
    document["groups"] = [ADMIN_GROUP] * account.is_admin + list(account.groups)
    found: JsonValue = document
    return found


async def _list(call: OcsCall) -> JsonValue:
    call.require_admin()
    return {"users": [account.user_id for account in await _found(call)]}


async def _details(call: OcsCall) -> JsonValue:
    call.require_admin()
    accounts = call.services.accounts
    whole = [await accounts.get(account.user_id) for account in await _found(call)]
    return {"users": {account.user_id: await _document(call, account) for account in whole}}


async def _found(call: OcsCall) -> list[Account]:
    limit, offset = page_of(call)
    return await call.services.accounts.find(call.parameters.get("search", ""), count_max=limit, offset=offset)


async def _get(call: OcsCall) -> JsonValue:
    account = await call.services.accounts.get(_id(call))
    if call.user.is_admin or account.user_id == call.user.user_id:
        return await _document(call, account)
    names: JsonValue = user_document(account, None)
    return names


async def _editable(call: OcsCall) -> JsonValue:
    del call
    return list(_FIELDS)


async def _groups(call: OcsCall) -> JsonValue:
    account = await _reachable(call)
    groups: list[JsonValue] = [*[ADMIN_GROUP] * account.is_admin, *account.groups]
    return {"groups": groups}


async def _subadmins(call: OcsCall) -> JsonValue:
    call.require_admin()
    await _existing(call, 404)
    return []


async def _existing(call: OcsCall, code: int) -> Account:
    try:
        return await call.services.accounts.get(_id(call))
    except NotFoundError as exc:
        raise OcsStatusError(code, "User does not exist") from exc


async def _reachable(call: OcsCall) -> Account:
    """The user, for an administrator and for the user alone; others learn nothing from the answer."""
    if not call.user.is_admin and _id(call) != call.user.user_id:
        raise OcsStatusError(_NOT_FOUND, "User does not exist")
    return await _existing(call, _NOT_FOUND)


# --- making and removing -----------------------------------------------------------------------------------


async def _create(call: OcsCall) -> JsonValue:
    call.require_admin()
    name, password = call.parameters.get("userid", ""), call.parameters.get("password", "")
    if not password:
        raise OcsStatusError(108, "A password is needed; this server sends no invitations.")
    groups = call.texts("groups")
    await _check_groups(call, groups)
    quota = quota_of(call.parameters.get("quota", "default"), call.services)
    try:
        display_name = check_shown_text(call.parameters.get("displayName", "").strip(), "a display name")
        email = check_email(call.parameters.get("email", ""))
        secret = check_new_password(SecretText(password))
    except BadRequestError as exc:
        raise OcsStatusError(107, exc.message) from exc
    try:
        account = await call.services.accounts.add(
            name,
            secret,
            display_name=display_name,
            email=email,
            quota_bytes=quota,
            is_admin=ADMIN_GROUP in groups,
            groups=tuple(group for group in groups if group != ADMIN_GROUP),
        )
    except (BadRequestError, MalformedError) as exc:
        raise OcsStatusError(101, exc.message) from exc
    except AlreadyExistsError as exc:
        raise OcsStatusError(102, "User already exists") from exc
    except NotFoundError as exc:
        raise OcsStatusError(104, "Group does not exist") from exc
    await call.services.files.ensure_home(account.user_id)
    return {"id": account.user_id}


async def _check_groups(call: OcsCall, groups: list[str]) -> None:
    known = await names_or_all(call)
    for group in groups:
        if group not in known:
            raise OcsStatusError(104, f"Group {group} does not exist")


def quota_of(text: str, services: Services) -> int | None:
    """Bytes, None for unlimited; 103 for what is no size."""
    if text in ("", "default"):
        size = services.config.default_quota
    else:
        try:
            # Stock tools write "1 GB", and -3 for unlimited.
            size = -3 if text in ("-1", "-3") else parse_bytes(text)
        except UsageError as exc:
            raise OcsStatusError(103, "Invalid quota value") from exc
    if size >= 2**62:
        raise OcsStatusError(103, "Invalid quota value")
    return None if size < 0 else size


async def _delete(call: OcsCall) -> JsonValue:
    account = await _other(call)
    try:
        await call.services.removal.remove(account.user_id, keep_admin=True)
    except ForbiddenError as exc:
        raise OcsStatusError(101, exc.message) from exc
    return []


async def _enable(call: OcsCall) -> JsonValue:
    account = await _other(call)
    await call.services.accounts.set_enabled(account.user_id, enabled=True)
    return []


async def _disable(call: OcsCall) -> JsonValue:
    account = await _other(call)
    try:
        await call.services.accounts.set_enabled(account.user_id, enabled=False, keep_admin=True)
    except ForbiddenError as exc:
        raise OcsStatusError(101, exc.message) from exc
    return []


async def _other(call: OcsCall) -> Account:
    """The user of the call, who is not the administrator that makes it: nobody locks himself out by a slip."""
    call.require_admin()
    account = await _existing(call, _NOT_FOUND)
    if account.user_id == call.user.user_id:
        raise OcsStatusError(101, "this cannot be done to oneself")
    return account


# --- editing -----------------------------------------------------------------------------------------------


async def _edit(call: OcsCall) -> JsonValue:
    account = await _reachable(call)
    key, value = call.parameters.get("key", ""), call.parameters.get("value", "")
    accounts = call.services.accounts
    try:
        if key in ("display", "displayname"):
            await accounts.set_display_name(account.user_id, value)
        elif key == "email":
            await accounts.set_email(account.user_id, value)
        elif key == "password":
            await accounts.set_password(account.user_id, SecretText(value))
        elif key == "quota" and call.user.is_admin:
            await accounts.set_quota(account.user_id, quota_of(value, call.services))
        else:
            raise OcsStatusError(103, "this cannot be edited here")
    except BadRequestError as exc:
        raise OcsStatusError(107 if key == "password" else 102, exc.message) from exc
    return []


# --- groups of a user --------------------------------------------------------------------------------------


async def _membership(call: OcsCall) -> tuple[Account, str]:
    call.require_admin()
    group = call.parameters.get("groupid", "")
    if not group:
        raise OcsStatusError(101, "a group is needed")
    if group not in await names_or_all(call):
        raise OcsStatusError(102, "Group does not exist")
    return await _existing(call, 103), group


async def _join(call: OcsCall) -> JsonValue:
    account, group = await _membership(call)
    if group == ADMIN_GROUP:
        await call.services.accounts.set_admin(account.user_id, is_admin=True)
    else:
        await call.services.groups.join(group, account.user_id)
    return []


async def _leave(call: OcsCall) -> JsonValue:
    account, group = await _membership(call)
    if group == ADMIN_GROUP:
        if account.user_id == call.user.user_id:
            raise OcsStatusError(105, "Cannot remove yourself from the admin group")
        try:
            await call.services.accounts.set_admin(account.user_id, is_admin=False)
        except ForbiddenError as exc:
            raise OcsStatusError(105, exc.message) from exc
    elif group in account.groups:
        await call.services.groups.leave(group, account.user_id)
    return []


async def _add_subadmin(call: OcsCall) -> JsonValue:
    call.require_admin()
    await _existing(call, 101)
    if call.parameters.get("groupid", "") not in await names_or_all(call):
        raise OcsStatusError(102, "Group does not exist")
    raise OcsStatusError(103, "this server has no administrators of single groups")


async def _no_subadmin(call: OcsCall) -> JsonValue:
    call.require_admin()
    await _existing(call, 101)
    raise OcsStatusError(102, "User is not a subadmin of this group")

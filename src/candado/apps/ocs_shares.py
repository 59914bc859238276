"""OCS calls of sharing: shares between users, and the search for people to share with.

Layer: ``apps``. Group and link shares are refused with a sentence, so that a client can show why.
"""

from datetime import UTC, datetime
from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.dav_exchange import decode_path
from candado.apps.ocs_call import OcsCall, endpoint
from candado.apps.server_wiring import Services
from candado.errors import BadRequestError, ForbiddenError
from candado.formats.canonjson import JsonValue
from candado.server.accounts import Account
from candado.server.shares import Share, ShareChange

__all__ = ["share_routes"]

_BASE: Final = "/ocs/v{version}.php/apps/files_sharing/api/v1"
_STATUSES: Final = {"ALREADY_EXISTS": 403}
_KINDS: Final = {"1": "group shares", "3": "link shares", "4": "mail shares", "6": "shares with other servers"}
_ALL: Final = 31
_PAGE_MAX: Final = 200


def share_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""
    return [
        Route(f"{_BASE}/shares", endpoint(services, _list, statuses=_STATUSES), methods=["GET"]),
        Route(f"{_BASE}/shares", endpoint(services, _create, statuses=_STATUSES), methods=["POST"]),
        Route(f"{_BASE}/shares/{{id}}", endpoint(services, _get, statuses=_STATUSES), methods=["GET"]),
        Route(f"{_BASE}/shares/{{id}}", endpoint(services, _update, statuses=_STATUSES), methods=["PUT"]),
        Route(f"{_BASE}/shares/{{id}}", endpoint(services, _delete, statuses=_STATUSES), methods=["DELETE"]),
        Route(f"{_BASE}/sharees", endpoint(services, _sharees), methods=["GET"]),
    ]


def _true(text: str) -> bool:
    return text.lower() in ("true", "1")


def _path(call: OcsCall) -> str:
    # The parameter is plain text already; percent signs in it are part of names.
    return decode_path(call.required("path").encode("utf-8").replace(b"%", b"%25"))


def _refuse_unsupported(call: OcsCall) -> None:
    if call.parameters.get("expireDate"):
        raise BadRequestError("shares with an end date are not supported by this server")


async def _create(call: OcsCall) -> JsonValue:
    kind = call.parameters.get("shareType", "0")
    if kind != "0":
        raise ForbiddenError(f"{_KINDS.get(kind, 'shares of this kind')} are not supported by this server")
    _refuse_unsupported(call)
    share = await call.services.shares.create(
        call.user,
        _path(call),
        share_with=call.required("shareWith"),
        permissions=call.number("permissions", _ALL),
        note=call.parameters.get("note", ""),
        label=call.parameters.get("label", ""),
    )
    return _document(share)


async def _list(call: OcsCall) -> JsonValue:
    shares = call.services.shares
    if _true(call.parameters.get("shared_with_me", "")):
        found = await shares.with_me(call.user)
    elif call.parameters.get("path") and _true(call.parameters.get("subfiles", "")):
        below = _path(call)
        prefix = f"/{below}/" if below else "/"
        found = [s for s in await shares.by_me(call.user) if s.path.startswith(prefix)]
    elif call.parameters.get("path"):
        found = await shares.of_path(call.user, _path(call))
    else:
        found = await shares.by_me(call.user)
    return [_document(share) for share in found]


async def _get(call: OcsCall) -> JsonValue:
    return [_document(await call.services.shares.get(call.user, call.path_number("id")))]


async def _update(call: OcsCall) -> JsonValue:
    _refuse_unsupported(call)
    permissions = call.number("permissions", -1) if call.parameters.get("permissions") else None
    change = ShareChange(permissions, call.parameters.get("note"), call.parameters.get("label"))
    return _document(await call.services.shares.update(call.user, call.path_number("id"), change))


async def _delete(call: OcsCall) -> JsonValue:
    await call.services.shares.delete(call.user, call.path_number("id"))
    return []


def _document(share: Share) -> JsonValue:
    kind = "folder" if share.is_folder else "file"
    return {
        "id": str(share.share_id),
        "share_type": share.share_type,
        "uid_owner": share.initiator_id,
        "displayname_owner": share.initiator_name,
        "permissions": share.permissions,
        "can_edit": True,
        "can_delete": True,
        "stime": int(share.created_at),
        "parent": None,
        "expiration": None,
        "token": None,
        "uid_file_owner": share.owner_id,
        "displayname_file_owner": share.owner_id,
        "note": share.note,
        "label": share.label,
        "path": share.path,
        "item_type": kind,
        "mimetype": "httpd/unix-directory" if share.is_folder else "application/octet-stream",
        "has_preview": False,
        "storage_id": f"home::{share.owner_id}",
        "storage": 1,
        "item_source": int(share.node_id),
        "file_source": int(share.node_id),
        "file_parent": None,
        "file_target": f"/{share.target}",
        "share_with": share.share_with,
        "share_with_displayname": share.share_with_name,
        "share_with_displayname_unique": share.share_with,
        "status": [],
        "mail_send": 0,
        "hide_download": 0,
        "attributes": None,
        "tags": [],
        "created": datetime.fromtimestamp(share.created_at, UTC).isoformat(timespec="seconds"),
    }


async def _sharees(call: OcsCall) -> JsonValue:
    text = call.parameters.get("search", "").strip()
    page_size = max(1, min(_PAGE_MAX, call.number("perPage", 50)))
    people = await call.services.accounts.search(text, count_max=page_size)
    others = [person for person in people if person.user_id != call.user.user_id]
    exact = [p for p in others if text.lower() in (p.user_id.lower(), p.display_name.lower())]
    kinds = ("groups", "remotes", "remote_groups", "emails", "circles", "rooms")
    document: JsonValue = {
        "exact": {"users": [_person(p) for p in exact], **{kind: [] for kind in kinds}},
        "users": [_person(p) for p in others if p not in exact],
        **{kind: [] for kind in kinds},
        "lookup": [],
        "lookupEnabled": False,
    }
    return document


def _person(account: Account) -> JsonValue:
    return {
        "label": account.display_name,
        "subline": "",
        "icon": "icon-user",
        "value": {"shareType": 0, "shareWith": account.user_id},
        "shareWithDisplayNameUnique": account.user_id,
        "status": [],
    }

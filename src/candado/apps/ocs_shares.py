"""OCS calls of sharing: shares with users, groups and by link, and the search for people and groups to share with.

Layer: ``apps``. Other kinds of shares are refused with a sentence, so that a client can show why.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.routing import BaseRoute, Route

from candado.apps.dav_exchange import decode_path
from candado.apps.ocs_call import OcsCall, base_url, endpoint
from candado.apps.server_wiring import Services
from candado.errors import BadRequestError, ForbiddenError
from candado.formats.canonjson import JsonValue
from candado.formats.dav import quote_href
from candado.server.accounts import Account
from candado.server.sharerows import SHARE_TYPE_GROUP, SHARE_TYPE_LINK, SHARE_TYPE_USER, Share
from candado.server.shares import ShareChange, ShareRequest

__all__ = ["share_routes"]

_BASE: Final = "/ocs/v{version}.php/apps/files_sharing/api/v1"
_STATUSES: Final = {"ALREADY_EXISTS": 403}
_OFFERED: Final = {str(kind): kind for kind in (SHARE_TYPE_USER, SHARE_TYPE_GROUP, SHARE_TYPE_LINK)}
_KINDS: Final = {"4": "mail shares", "6": "shares with other servers"}
_READ: Final = 1
_EDIT: Final = 15
_ALL: Final = 31
_PAGE_MAX: Final = 200
_FOUND_MAX: Final = 1000
_DAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].*)?")
_HIDDEN: Final = "***"


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
    # The parameter is plain text already; percent signs and question marks in it are part of names.
    return decode_path(quote_href(call.required("path")).encode("ascii"))


def _end(text: str) -> float | None:
    """The end of a link: the first instant (UTC) after the day given; None when empty. BadRequestError."""
    if not text:
        return None
    match = _DAY.fullmatch(text)
    try:
        day = datetime.strptime(match[1] if match else "", "%Y-%m-%d").replace(tzinfo=UTC)
        return (day + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError) as exc:
        raise BadRequestError("Invalid date, date format must be YYYY-MM-DD") from exc


async def _create(call: OcsCall) -> JsonValue:
    kind = _OFFERED.get(call.parameters.get("shareType", "0"))
    if kind is None:
        name = _KINDS.get(call.parameters["shareType"], "shares of this kind")
        raise ForbiddenError(f"{name} are not supported by this server")
    is_link = kind == SHARE_TYPE_LINK
    usual = (_EDIT if _true(call.parameters.get("publicUpload", "")) else _READ) if is_link else _ALL
    request = ShareRequest(
        path=_path(call),
        share_type=kind,
        permissions=call.number("permissions", usual),
        share_with="" if is_link else call.required("shareWith"),
        note=call.parameters.get("note", ""),
        label=call.parameters.get("label", ""),
        password=call.parameters.get("password", ""),
        expires_at=_end(call.parameters.get("expireDate", "")),
        hide_download=_true(call.parameters.get("hideDownload", "")),
    )
    return _document(call, await call.services.shares.create(call.user, request))


async def _list(call: OcsCall) -> JsonValue:
    shares, given = call.services.shares, call.parameters
    reshares = _true(given.get("reshares", ""))
    path = _path(call) if given.get("path") else None
    if _true(given.get("shared_with_me", "")):
        found = await shares.with_me(call.user, path)
    elif path is not None and _true(given.get("subfiles", "")):
        found = await shares.in_folder(call.user, path, reshares=reshares)
    elif path is not None:
        found = await shares.of_path(call.user, path, reshares=reshares)
    else:
        found = await shares.by_me(call.user)
    return [_document(call, share) for share in found]


async def _get(call: OcsCall) -> JsonValue:
    return [_document(call, await call.services.shares.get(call.user, call.path_number("id")))]


async def _update(call: OcsCall) -> JsonValue:
    given = call.parameters
    permissions = call.number("permissions", -1) if given.get("permissions") else None
    if permissions is None and given.get("publicUpload"):
        permissions = _EDIT if _true(given["publicUpload"]) else _READ
    hidden = given.get("hideDownload")
    change = ShareChange(
        permissions=permissions,
        note=given.get("note"),
        label=given.get("label"),
        password=given.get("password"),
        expires="expireDate" in given,
        expires_at=_end(given.get("expireDate", "")),
        hide_download=_true(hidden) if hidden else None,
    )
    return _document(call, await call.services.shares.update(call.user, call.path_number("id"), change))


async def _delete(call: OcsCall) -> JsonValue:
    await call.services.shares.delete(call.user, call.path_number("id"))
    return []


def _document(call: OcsCall, share: Share) -> JsonValue:
    is_mine = call.user.user_id in (share.owner_id, share.initiator_id)
    document: dict[str, JsonValue] = {
        "id": str(share.share_id),
        "share_type": share.share_type,
        "uid_owner": share.initiator_id,
        "displayname_owner": share.initiator_name,
        "permissions": share.permissions,
        "can_edit": is_mine,
        "can_delete": True,
        "stime": int(share.created_at),
        "parent": None,
        "expiration": _last_day(share),
        "token": share.token,
        "uid_file_owner": share.owner_id,
        "displayname_file_owner": share.owner_name,
        "note": share.note,
        "label": share.label,
        "path": share.path,
        "item_type": "folder" if share.is_folder else "file",
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
        "hide_download": int(share.hide_download),
        "attributes": None,
        "tags": [],
        "created": datetime.fromtimestamp(share.created_at, UTC).isoformat(timespec="seconds"),
    }
    if share.token is not None:
        # Clients learn only whether there is a password.
        password = None if share.password_hash is None else _HIDDEN
        document |= {
            "url": f"{base_url(call.services, call.request)}/s/{share.token}",
            "share_with": password,
            "share_with_displayname": "(Shared link)",
            "password": password,
        }
    return document


def _last_day(share: Share) -> str | None:
    if share.expires_at is None:
        return None
    return datetime.fromtimestamp(share.expires_at - 1, UTC).strftime("%Y-%m-%d 00:00:00")


async def _sharees(call: OcsCall) -> JsonValue:
    text = call.parameters.get("search", "").strip()
    size = max(1, min(_PAGE_MAX, call.number("perPage", 50)))
    start = size * (max(1, call.number("page", 1)) - 1)
    wanted = call.texts("shareType") or [call.parameters.get("shareType", "")]
    people: list[Account] = []
    groups: list[str] = []
    if start < _FOUND_MAX and (wanted == [""] or "0" in wanted):
        found = await call.services.accounts.search(text, count_max=start + size + 1)
        people = [person for person in found if person.user_id != call.user.user_id][start : start + size]
    if start < _FOUND_MAX and (wanted == [""] or "1" in wanted):
        groups = (await call.services.groups.search(text, count_max=start + size))[start : start + size]
    exact = [p for p in people if text.lower() in (p.user_id.lower(), p.display_name.lower())]
    exact_groups = [name for name in groups if name.lower() == text.lower()]
    kinds = ("remotes", "remote_groups", "emails", "circles", "rooms")
    document: JsonValue = {
        "exact": {
            "users": [_person(p) for p in exact],
            "groups": [_group(name) for name in exact_groups],
            **{kind: [] for kind in kinds},
        },
        "users": [_person(p) for p in people if p not in exact],
        "groups": [_group(name) for name in groups if name not in exact_groups],
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
        "value": {"shareType": SHARE_TYPE_USER, "shareWith": account.user_id},
        "shareWithDisplayNameUnique": account.user_id,
        "status": [],
    }


def _group(name: str) -> JsonValue:
    return {
        "label": name,
        "subline": "",
        "icon": "icon-group",
        "value": {"shareType": SHARE_TYPE_GROUP, "shareWith": name},
        "shareWithDisplayNameUnique": name,
        "status": [],
    }

"""What the server offers over HTTP, one row a route: the table behind ``/openapi.json``.

Layer: ``apps``. A new route needs a row; ``tests/meta/test_openapi.py`` names the one that is missing. Parameters are
written ``name``, ``name!`` where it must be there, ``name[]`` where there may be several, ``name:int``, ``name:json``.
"""

from typing import Any, Final

from candado.apps.openapi_admin import ADMIN_PAGES, ADMINISTRATION
from candado.apps.openapi_call import HTML as _HTML
from candado.apps.openapi_call import NOTHING as _NOTHING
from candado.apps.openapi_call import NUMBER as _NUMBER
from candado.apps.openapi_call import TEXT as _TEXT
from candado.apps.openapi_call import TEXTS as _TEXTS
from candado.apps.openapi_call import Call, Json
from candado.apps.openapi_call import object_of as _object
from candado.apps.openapi_call import ocs_call as _ocs
from candado.apps.openapi_call import page_call as _page

__all__ = ["CALLS", "DAV", "PAGES", "Call", "Json"]

# --- the server and the caller -----------------------------------------------------------------------------

_USER: Final[Json] = {
    "type": "object",
    "properties": {"id": _TEXT, "displayname": _TEXT, "email": {"type": ["string", "null"]}, "groups": _TEXTS},
    "required": ["id", "displayname"],
}
_DEVICE: Final[Json] = {
    "type": "object",
    "properties": {
        "id": _NUMBER, "name": _TEXT, "created": _NUMBER, "lastActivity": {"type": ["integer", "null"]},
        "current": {"type": "boolean"}, "wipe": {"type": "boolean"},
    },
    "required": ["id", "name", "created", "lastActivity", "current", "wipe"],
}  # fmt: skip
_KEY_LOG: Final[Json] = _object(user=_TEXT, leaves={"type": "array", "items": _object(record=_TEXT, proof=_TEXTS)})
_CORE: Final = (
    _ocs(
        "GET", "/cloud/capabilities", "What the server offers", "server",
        {"type": "object", "required": ["version", "capabilities"]}, access="all", statuses=(304, 401),
    ),
    _ocs("GET", "/cloud/user", "The caller", "server", _USER),
    _ocs(
        "GET", "/core/getapppassword", "Make an app password for a device", "server",
        _object(apppassword=_TEXT), statuses=(403,),
    ),
    _ocs("DELETE", "/core/apppassword", "Give back the app password of the call", "server", statuses=(403,)),
    _ocs(
        "GET", "/core/apppassword", "The devices that the caller let in", "server",
        {"type": "array", "items": _DEVICE},
    ),
    _ocs("DELETE", "/core/apppassword/{id}", "Sign a device out", "server", access="password"),
    _ocs("POST", "/core/apppassword/{id}/wipe", "Ask a device to remove its copies", "server", access="password"),
    _ocs("GET", "/core/navigation/apps", "Entries of a menu: none", "server"),
    _ocs(
        "POST", "/apps/candado/api/v1/bodies", "Bodies of many small files at once (docs/spec/formats.md)", "server",
        "application/octet-stream", fields="folder! names!:json", statuses=(403,),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/link-folder", "The encrypted folder of a link, for one who drops files", "server",
        _object(file_id=_NUMBER, permissions=_NUMBER, meta_data=_TEXT, signature=_TEXT), statuses=(403,),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/revocations", "The signed list of revoked keys (docs/spec/formats.md)", "server",
        _object(revocation_list=_TEXT),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/handovers", "Hand-overs of the authority, oldest first", "server",
        _object(handovers={"type": "array", "items": _TEXT}),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/recovery", "The organisation's key, its policy on recovery, and the certificate",
        "server", _object(organisation=_TEXT, policy=_TEXT, certificate=_TEXT, uses=_TEXTS),
    ),
    _ocs(
        "POST", "/apps/candado/api/v1/recovery/uses", "Hand in the record of a use of the recovery key", "server",
        _object(id=_TEXT, state=_TEXT, concerned=_NUMBER), fields="record!", access="password", statuses=(409,),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/recovery/uses/{id}", "The record of a use that concerns the caller", "server",
        _object(record=_TEXT),
    ),
    _ocs(
        "POST", "/apps/candado/api/v1/recovery", "Install the recovery key, or switch it off", "server",
        _object(serial=_NUMBER, state=_TEXT, member=_TEXT), fields="organisation! policy! csr replace",
        access="password", statuses=(409, 412),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/policies/{kind}", "A policy of the organisation, and its key", "server",
        _object(organisation=_TEXT, policy=_TEXT),
    ),
    _ocs(
        "POST", "/apps/candado/api/v1/policies/{kind}", "Install a policy of the organisation", "server",
        _object(serial=_NUMBER), fields="organisation! policy! replace", access="password", statuses=(409, 412),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/audit/checkpoint", "The newest checkpoint of the audit log (docs/spec/audit.md)",
        "server", _object(size=_NUMBER, checkpoint=_TEXT),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/audit/consistency", "The proof that one size of the audit log continues another",
        "server", _object(proof=_TEXTS), fields="from:int to:int",
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/audit/records", "Records of the audit log", "server",
        _object(first=_NUMBER, size=_NUMBER, edge=_TEXTS, records=_TEXTS), fields="from:int limit:int", statuses=(403,),
    ),
    _ocs(
        "GET", "/apps/candado/api/v1/key-log", "What the log has on people's keys, with proofs", "server",
        _object(checkpoint=_TEXT, salt=_TEXT, consistency=_TEXTS, users={"type": "array", "items": _KEY_LOG}),
        fields="users!:json known:int",
    ),
)  # fmt: skip

# --- users and groups --------------------------------------------------------------------------------------

_PAGE: Final = "search limit:int offset:int"
_USER_PATH: Final = "/cloud/users/{id}"
_GROUP_PATH: Final = "/cloud/groups/{id}"
_PEOPLE: Final = (
    _ocs("GET", "/cloud/users", "Names of users", "users", _object(users=_TEXTS), fields=_PAGE, statuses=(403,)),
    _ocs(
        "POST", "/cloud/users", "Make a user", "users", _object(id=_TEXT), access="password", statuses=(409,),
        fields="userid! password! displayName email quota groups[]",
    ),
    _ocs(
        "GET", "/cloud/users/details", "Users with all details", "users",
        _object(users={"type": "object", "additionalProperties": _USER}), fields=_PAGE, statuses=(403,),
    ),
    _ocs("GET", "/cloud/user/fields", "What everybody may edit of the own account", "users", _TEXTS),
    _ocs("GET", _USER_PATH, "A user; others see a name", "users", _USER),
    _ocs("PUT", _USER_PATH, "Edit a user", "users", fields="key! value", access="password"),
    _ocs("DELETE", _USER_PATH, "Delete a user and all files for good", "users", access="password"),
    _ocs("PUT", f"{_USER_PATH}/enable", "Let a user sign in", "users", access="password"),
    _ocs("PUT", f"{_USER_PATH}/disable", "Let a user sign in no more", "users", access="password"),
    _ocs("GET", f"{_USER_PATH}/groups", "Groups of a user", "users", _object(groups=_TEXTS)),
    _ocs("POST", f"{_USER_PATH}/groups", "Put a user into a group", "users", fields="groupid!", access="password"),
    _ocs(
        "DELETE", f"{_USER_PATH}/groups", "Take a user out of a group", "users", fields="groupid!", access="password",
    ),
    _ocs("GET", f"{_USER_PATH}/subadmins", "Groups that a user administrates: none", "users", statuses=(403,)),
    _ocs("POST", f"{_USER_PATH}/subadmins", "Not offered", "users", fields="groupid!", access="password"),
    _ocs("DELETE", f"{_USER_PATH}/subadmins", "Not offered", "users", fields="groupid", access="password"),
    _ocs("GET", "/cloud/groups", "Names of groups", "groups", _object(groups=_TEXTS), fields=_PAGE, statuses=(403,)),
    _ocs("POST", "/cloud/groups", "Make a group", "groups", fields="groupid!", access="password"),
    _ocs("GET", _GROUP_PATH, "Members of a group", "groups", _object(users=_TEXTS), statuses=(403,)),
    _ocs("DELETE", _GROUP_PATH, "Delete a group", "groups", access="password"),
    _ocs("GET", f"{_GROUP_PATH}/users", "Members of a group", "groups", _object(users=_TEXTS), statuses=(403,)),
    _ocs("GET", f"{_GROUP_PATH}/subadmins", "Administrators of a group: none", "groups", statuses=(403,)),
)  # fmt: skip

# --- shares ------------------------------------------------------------------------------------------------

_SHARE: Final[Json] = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "share_type": {"enum": [0, 1, 3]},
        "permissions": _NUMBER,
        "path": _TEXT,
        "token": {"type": ["string", "null"]},
        "expiration": {"type": ["string", "null"]},
        "url": _TEXT,
    },
    "required": ["id", "share_type", "permissions", "path", "token", "expiration"],
}
_SHARES_PATH: Final = "/apps/files_sharing/api/v1/shares"
_LINK_FIELDS: Final = "note label password expireDate:date hideDownload publicUpload"
_SHARES: Final = (
    _ocs(
        "GET", _SHARES_PATH, "Shares by me, with me, of a path, in a folder", "shares",
        {"type": "array", "items": _SHARE}, fields="path shared_with_me reshares subfiles",
    ),
    _ocs(
        "POST", _SHARES_PATH, "Share with a user (0), a group (1) or by link (3)", "shares", _SHARE,
        fields=f"path! shareType shareWith permissions:int {_LINK_FIELDS}", statuses=(403, 423),
    ),
    _ocs("GET", f"{_SHARES_PATH}/{{id}}", "A share", "shares", {"type": "array", "items": _SHARE}),
    _ocs(
        "PUT", f"{_SHARES_PATH}/{{id}}", "Change a share", "shares", _SHARE,
        fields=f"permissions:int {_LINK_FIELDS}", statuses=(403,),
    ),
    _ocs("DELETE", f"{_SHARES_PATH}/{{id}}", "End or leave a share", "shares", statuses=(403,)),
    _ocs(
        "GET", "/apps/files_sharing/api/v1/sharees", "People and groups to share with", "shares",
        {"type": "object", "required": ["exact", "users", "groups"]},
        fields="search itemType shareType shareType[] page:int perPage:int",
    ),
)  # fmt: skip

# --- encrypted folders -------------------------------------------------------------------------------------

_E2EE: Final = "/apps/end_to_end_encryption/api/v"
_TAG: Final = "encrypted folders"
_META: Final = _object(meta_data=_TEXT)
_WRITTEN: Final = (403, 409, 412, 423)


def _both(method: str, path: str, summary: str, data: Json = _NOTHING, **more: Any) -> Call:
    more["statuses"] = (403, *more.get("statuses", ()))
    return Call(method, tuple(f"{_E2EE}{version}/{path}" for version in (1, 2)), summary, _TAG, data, **more)


def _two(method: str, path: str, summary: str, data: Json = _NOTHING, **more: Any) -> Call:
    return Call(method, (f"{_E2EE}2/{path}",), summary, _TAG, data, **more)


_ENCRYPTED: Final = (
    _both("GET", "private-key", "The sealed private key", _object(private_key=_TEXT)),
    _both("POST", "private-key", "Store the sealed private key", _object(private_key=_TEXT), fields="privateKey!",
          statuses=(409,)),
    _both("DELETE", "private-key", "Remove it", access="password"),
    _both("GET", "public-key", "Certificates of the caller or of those named", _object(public_keys={"type": "object"}),
          fields="users:json"),
    _both("POST", "public-key", "Have a certificate signed", _object(public_key=_TEXT), fields="csr!", statuses=(409,)),
    _both("PUT", "public-key", "Store a certificate of this server again", _object(public_key=_TEXT),
          fields="publicKey!", statuses=(409,)),
    _both("DELETE", "public-key", "Remove the certificate", access="password"),
    _both("GET", "server-key", "Public key of the authority", _object(public_key=_TEXT), access="all", statuses=(401,)),
    _both("PUT", "encrypted/{id}", "Make an empty folder an encrypted one", headers="e2e-token", statuses=(409, 423)),
    _both("DELETE", "encrypted/{id}", "Make it a plain one", statuses=(409, 423)),
    _both("DELETE", "encrypted-files", "Delete all encrypted folders of the caller",
          _object(deletedIds={"type": "array", "items": _NUMBER}), access="password", statuses=(423,)),
    _two("POST", "lock/{id}", "Open a write session", _object(e2e_token=_TEXT), fields="e2e-token",
         headers="X-NC-E2EE-COUNTER", statuses=_WRITTEN),
    _two("DELETE", "lock/{id}", "Show all of the session at once, or nothing of it", fields="abort",
         headers="e2e-token", statuses=_WRITTEN),
    _two("GET", "meta-data/{id}", "The metadata of a folder; its signature is a header", _META, statuses=(403, 409)),
    _two("POST", "meta-data/{id}", "First metadata of a folder", _META, fields="metaData!",
         headers="e2e-token! X-NC-E2EE-SIGNATURE!", statuses=_WRITTEN),
    _two("PUT", "meta-data/{id}", "New metadata of a folder", _META, fields="metaData!",
         headers="e2e-token! X-NC-E2EE-SIGNATURE!", statuses=_WRITTEN),
    _two("DELETE", "meta-data/{id}", "Remove the metadata of a folder", headers="e2e-token", statuses=_WRITTEN),
    _two("GET", "meta-data/{id}/steps", "Documents that changed the members above a counter",
         _object(steps={"type": "array", "items": _object(counter=_NUMBER, meta_data=_TEXT, signature=_TEXT)}),
         fields="after:int", statuses=(403,)),
    _two("PUT", "meta-data/{id}/filedrop", "Add to what waits for a member", _object(filedrop={}),
         fields="filedrop!:json", statuses=_WRITTEN),
    *(
        Call(method, (f"{_E2EE}1/{path}",), "Refused: these folders are of version 2", _TAG, _NOTHING,
             statuses=(403, 409))
        for path in ("lock/{id}", "meta-data/{id}")
        for method in ("GET", "POST", "PUT", "DELETE")
    ),
)  # fmt: skip

CALLS: Final = (*_CORE, *_PEOPLE, *ADMINISTRATION, *_SHARES, *_ENCRYPTED)
"""Calls of the OCS interface, below ``/ocs/v2.php``."""

# --- outside of OCS ----------------------------------------------------------------------------------------

_JSON: Final = "application/json"
_XML: Final = "application/xml; charset=utf-8"


_LINK: Final[Json] = {"access": "link", "refusal": _HTML}
_LOGIN: Final[Json] = {"refusal": _JSON}
_FORM: Final[Json] = {"refusal": _HTML}
_DEVICES: Final = "/settings/user/security"
PAGES: Final = (
    _page("GET", "/", "What this is, and where to go", "server", _HTML, 200),
    _page("GET", "/status.php", "Name, version, maintenance", "server",
          {"type": "object", "required": ["version"]}, 200),
    _page("GET", "/204", "Nothing, for those who look whether there is a network", "server", _JSON, 204),
    _page("GET", "/healthz", "The process lives", "server", _object(status={"const": "ok"}), 200),
    _page("GET", "/readyz", "Database, storage and authority work", "server", _object(status={"const": "ok"}),
          200, 503),
    _page("GET", "/metrics", "Counts for operators, for this machine or with a token", "server",
          "text/plain; version=0.0.4; charset=utf-8", 200, 403, 404, refusal=_JSON),
    _page("GET", "/logo.svg", "The picture that the capabilities name", "server", "image/svg+xml", 200),
    _page("GET", "/openapi.json", "This document", "server", {"type": "object", "required": ["openapi"]}, 200),
    _page("POST", "/core/wipe/check", "Whether the device with this password is to be wiped", "server",
          _object(wipe={"const": True}), 200, 400, 404, 413, 429, 503, fields="token"),
    _page("POST", "/core/wipe/success", "The device has wiped itself", "server", {"type": "array"},
          200, 400, 404, 413, 429, 503, fields="token"),
    _page("POST", "/login/v2", "A device asks to be let in", "sign-in",
          {"type": "object", "required": ["poll", "login"]}, 200, 429, 503, **_LOGIN),
    _page("POST", "/login/v2/poll", "The device asks whether it was; 404 without a body until then", "sign-in",
          {"type": "object", "required": ["server", "loginName", "appPassword"]}, 200, 400, 404, 413, 503,
          fields="token"),
    _page("GET", "/login/v2/flow/{token}", "The form for the person", "sign-in", _HTML, 200, 404, refusal=_HTML),
    _page("POST", "/login/v2/flow/{token}", "Let the device in", "sign-in", _HTML, 200, 400, 403, 404, 413, 429, 503,
          refusal=_HTML, fields="user! password!"),
    _page("GET", "/settings/user", "To the page of devices", "devices", _HTML, 303),
    _page("GET", _DEVICES, "Devices of the one who signed in here, or the form to do it", "devices", _HTML, 200,
          fields="done"),
    _page("POST", f"{_DEVICES}/sign-in", "Sign in to the page", "devices", _HTML, 303, 400, 403, 413, 429, 503,
          fields="user! password!", **_FORM),
    _page("GET", f"{_DEVICES}/wipe", "Ask before a device is wiped", "devices", _HTML, 200, 400, 404, fields="id",
          **_FORM),
    *(
        _page("POST", f"{_DEVICES}/{name}", summary, "devices", _HTML, 200, 303, 400, 403, 404, 413,
              fields=f"token! {fields}", **_FORM)
        for name, summary, fields in (
            ("sign-out", "Sign out of the page", ""), ("new", "Make an app password", "label"),
            ("revoke", "Sign a device out", "id!"), ("revoke-all", "Sign all devices out", ""),
            ("wipe", "Ask a device to remove its copies", "id!"),
        )
    ),
    _page("GET", "/settings/user/keys", "Fingerprint and certificate of the one who signed in here", "devices", _HTML,
          200, fields="done"),
    _page("GET", "/settings/user/keys/reset", "What giving up the keys means", "devices", _HTML, 200),
    _page("POST", "/settings/user/keys/reset", "Give up the keys", "devices", _HTML, 303, 400, 403, 413, 429, 503,
          fields="token! typed! password!", **_FORM),
    _page("GET", "/settings/user/sharing", "Encrypted folders and shares of the one who signed in here", "devices",
          _HTML, 200),
    *ADMIN_PAGES,
    _page("GET", "/s/{token}", "The page of a link", "links", _HTML, 200, 400, 401, 403, 404, fields="path", **_LINK),
    _page("POST", "/s/{token}/authenticate", "The password of a link", "links", _HTML,
          303, 400, 403, 404, 413, 429, 503, fields="password!", **_LINK),
    _page("POST", "/s/{token}/authenticate/showShare", "The same", "links", _HTML, 303, 400, 403, 404, 413, 429, 503,
          fields="password!", **_LINK),
    _page("GET", "/s/{token}/download", "A file of a link", "links", "application/octet-stream",
          200, 206, 400, 401, 403, 404, 409, 416, fields="path files", headers="Range", **_LINK),
    _page("POST", "/s/{token}/upload", "Files for a link", "links", _HTML, 303, 400, 401, 403, 404, 409, 413, 503, 507,
          body="multipart/form-data", **_LINK),
    _page("PUT", "/s/{token}/drop", "Entries of sealed files that were stored", "links", _HTML,
          204, 400, 401, 403, 404, 409, 412, 413, 423, 503, 507, body=_JSON, **_LINK),
    _page("PUT", "/s/{token}/drop/{name}", "A sealed file for an encrypted folder", "links", _HTML,
          201, 400, 401, 403, 404, 409, 412, 413, 423, 503, 507, body="application/octet-stream", **_LINK),
)  # fmt: skip
"""Everything else that Starlette routes."""

_METHODS: Final = ("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "REPORT")
_PUBLIC_METHODS: Final = ("PROPFIND", "MKCOL", "COPY", "MOVE")
_OCTETS: Final = "application/octet-stream"


def _dav(method: str, path: str, summary: str, *statuses: int, **more: Any) -> Call:
    common = (400, 401, 403, 404, 409, 429, 503)
    return Call(method, (path,), summary, "files", _OCTETS, statuses=(*statuses, *common), refusal=_XML, **more)


_TREES: Final = (
    ("/remote.php/dav/files/{user}/{path}", "user", _METHODS),
    ("/remote.php/webdav/{path}", "user", _METHODS),
    ("/public.php/dav/files/{token}/{path}", "all", _PUBLIC_METHODS),
    ("/public.php/webdav/{path}", "user", _PUBLIC_METHODS),
)
DAV: Final = (
    *(
        call
        for path, access, methods in _TREES
        for call in (
            _dav("GET", path, "A file", 200, 206, 304, 412, 416, access=access, webdav=methods,
                 headers="Range If-None-Match"),
            _dav("PUT", path, "Store a file", 201, 204, 412, 413, 423, 507, access=access, body=_OCTETS,
                 headers="If-Match X-OC-MTime OC-Checksum"),
            _dav("DELETE", path, "Remove a file or a folder", 204, 412, 423, access=access),
        )
    ),
    *(
        _dav("PATCH", path, "Compute the checksum of a file anew", 204, access=access,
             headers="X-Recalculate-Hash!")
        for path, access, _ in _TREES[:2]
    ),
    _dav("PUT", "/remote.php/dav/uploads/{user}/{transfer}/{chunk}", "A piece of an upload", 201, 413, 507,
         body=_OCTETS, webdav=("MOVE",)),
    _dav("DELETE", "/remote.php/dav/uploads/{user}/{transfer}", "Give up an upload", 204, webdav=("MKCOL", "PROPFIND")),
)  # fmt: skip
"""WebDAV as far as OpenAPI can say it; a path may have several parts."""

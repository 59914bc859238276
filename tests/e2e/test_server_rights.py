"""Who may call what: every route of the server, asked by those who should not.

Alice owns everything. *Other* is a user without any share, *reader* has one folder for reading only, *visitor* sends token
and password of a link as credentials, *nobody* sends none.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, serving

from candado.apps.openapi import openapi_document
from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend

SECRET = "a password for the link"
ROLES = ("nobody", "other", "reader", "visitor")
ADMIN = (401, 403, 403, 401)
HIDDEN = (401, 404, 404, 401)
SIGNED_IN = (401, 200, 200, 401)
SHARES = "/apps/files_sharing/api/v1/shares"
BODY = "file"
RULES = "/apps/candado/api/v1/policy"
E2EE = "/apps/end_to_end_encryption/api/v2"
FORM = (
    '--b\r\nContent-Disposition: form-data; name="files"; filename="by-form"\r\n\r\nx\r\n--b--\r\n',
    "multipart/form-data; boundary=b",
)
PROPFIND = {"Depth": "1"}
TOUCH = (
    '<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:lastmodified>1</d:lastmodified></d:prop></d:set>'
    "</d:propertyupdate>"
)


@dataclass(frozen=True)
class Row:
    """A request, and the status each role gets; names in braces are filled in by the scene."""

    method: str
    path: str
    statuses: tuple[int, int, int, int]
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def ocs(method: str, path: str, statuses: tuple[int, int, int, int], body: Any = None) -> Row:
    return Row(method, f"/ocs/v2.php{path}", statuses, body, {"OCS_APIRequest": "true"})


def writes(
    base: str, prefix: str, statuses: tuple[int, int, int, int], headers: dict[str, str] | None = None
) -> list[Row]:
    """Every way to write below an address."""
    more = headers or {}
    there = {"Destination": f"{prefix}/moved", **more}
    return [
        Row("PUT", f"{base}/new", statuses, "x", more),
        Row("PUT", f"{base}/file", statuses, "x", more),
        Row("MKCOL", f"{base}/made", statuses, headers=more),
        Row("DELETE", f"{base}/file", statuses, headers=more),
        Row("MOVE", f"{base}/file", statuses, headers=there),
        Row("COPY", f"{base}/file", statuses, headers=there),
    ]


def link_call(method: str, path: str, token: str, statuses: tuple[int, int, int, int], body: Any = None) -> Row:
    """A call by the token of a link in its header."""
    headers = {"OCS_APIRequest": "true", "x_nc_e2ee_share_token": token, "X_NC_E2EE_COUNTER": "1"}
    return Row(method, f"/ocs/v2.php{path}", statuses, body, headers)


def sealed(
    token: str, reads: tuple[int, int, int, int], edits: tuple[int, int, int, int], drops: tuple[int, int, int, int]
) -> list[Row]:
    """The calls on an encrypted folder through a link; alice holds its lock, so that none of them changes it."""
    at = E2EE + "/{kind}/{sealed}"
    document = {"metaData": "{}"}
    nobody, other, reader, visitor = (412 if status == 423 else status for status in edits)
    return [
        link_call("GET", at.replace("{kind}", "meta-data"), token, reads),
        link_call("POST", at.replace("{kind}", "lock"), token, edits),
        link_call("PUT", at.replace("{kind}", "meta-data") + "/filedrop", token, drops, {"filedrop": '{"a":{}}'}),
        Row(
            "PUT",
            f"/ocs/v2.php{at}".replace("{kind}", "meta-data"),
            (nobody, other, reader, visitor),
            document,
            {"OCS_APIRequest": "true", "x_nc_e2ee_share_token": token, "e2e_token": "z" * 64}
            | {"X_NC_E2EE_SIGNATURE": "c2ln"},
        ),
    ]


OWN = (401, 404, 404, 401)
BROKEN = (401, 400, 400, 401)
DEVICES = "/settings/user/security"
CONSOLE = "/apps/candado/api/v1/admin"
FROM_HERE = {"Origin": "{url}"}
OPEN = (200, 200, 200, 200)
TOKEN = {"e2e_token": "{token}"}
SIGNED = {**TOKEN, "X_NC_E2EE_SIGNATURE": "c2lnbmF0dXJl"}
COUNTED = {"X_NC_E2EE_COUNTER": "9"}
REPORT = (
    '<o:filter-files xmlns:o="http://owncloud.org/ns" xmlns:d="DAV:"><d:prop><o:id/></d:prop>'
    "<o:filter-rules><o:favorite>1</o:favorite></o:filter-rules></o:filter-files>"
)


def e2ee(version: int, method: str, path: str, statuses: tuple[int, int, int, int], body: Any = None) -> Row:
    headers = {**SIGNED, **COUNTED} if "{vault}" in path else {}
    row = ocs(method, f"/apps/end_to_end_encryption/api/v{version}/{path}", statuses, body)
    return Row(method, row.path, statuses, body, {**row.headers, **headers})


def keys(version: int) -> list[Row]:
    """Everybody has keys of the own only, and none yet."""
    return [
        e2ee(version, "GET", "private-key", OWN),
        e2ee(version, "POST", "private-key", BROKEN, {"privateKey": "x"}),
        e2ee(version, "DELETE", "private-key", SIGNED_IN),
        e2ee(version, "GET", "public-key", OWN),
        e2ee(version, "GET", "public-key?users=%5B%22alice%22%5D", OWN),
        e2ee(version, "POST", "public-key", BROKEN, {"csr": "x"}),
        e2ee(version, "PUT", "public-key", BROKEN, {"publicKey": "x"}),
        e2ee(version, "DELETE", "public-key", SIGNED_IN),
        e2ee(version, "GET", "server-key", (200, 200, 200, 401)),
        e2ee(version, "PUT", "encrypted/{vault}", (401, 404, 403, 401)),
        e2ee(version, "DELETE", "encrypted/{vault}", (401, 404, 403, 401)),
        e2ee(version, "DELETE", "encrypted-files", OWN),
    ]


TABLE = [
    # the server, and everybody for himself
    ocs("GET", "/cloud/capabilities", (200, 200, 200, 401)),
    ocs("GET", "/cloud/user", SIGNED_IN),
    ocs("GET", "/core/getapppassword", SIGNED_IN),
    ocs("DELETE", "/core/apppassword", ADMIN),
    ocs("GET", "/core/apppassword", SIGNED_IN),
    ocs("DELETE", "/core/apppassword/{device}", OWN),
    ocs("POST", "/core/apppassword/{device}/wipe", OWN),
    ocs("GET", "/core/navigation/apps", SIGNED_IN),
    ocs("GET", "/apps/candado/api/v1/revocations", SIGNED_IN),
    ocs("GET", "/apps/candado/api/v1/handovers", SIGNED_IN),
    ocs("GET", "/apps/candado/api/v1/recovery", SIGNED_IN),
    ocs("POST", "/apps/candado/api/v1/recovery", ADMIN, {"organisation": "x", "policy": "x"}),
    ocs("POST", "/apps/candado/api/v1/recovery/uses", ADMIN, {"record": "x"}),
    ocs("GET", "/apps/candado/api/v1/recovery/uses/" + "ab" * 16, HIDDEN),
    ocs("GET", "/apps/candado/api/v1/policies/client-rules", SIGNED_IN),
    ocs("GET", "/apps/candado/api/v1/policies/other", HIDDEN),
    ocs("POST", "/apps/candado/api/v1/policies/client-rules", ADMIN, {"organisation": "x", "policy": "x"}),
    ocs("GET", "/apps/candado/api/v1/audit/checkpoint", SIGNED_IN),
    ocs("GET", "/apps/candado/api/v1/audit/consistency?from=0&to=1", SIGNED_IN),
    ocs("GET", "/apps/candado/api/v1/audit/records", ADMIN),
    ocs("GET", "/apps/candado/api/v1/key-log?users=%5B%22alice%22%5D", SIGNED_IN),
    ocs("GET", RULES, ADMIN),
    ocs("PUT", RULES, ADMIN, {"text": "version = 1", "expected": "0"}),
    ocs("GET", f"{RULES}/history", ADMIN),
    ocs("POST", f"{RULES}/lint", ADMIN, {"text": "version = 1"}),
    ocs("POST", f"{RULES}/test", ADMIN, {"operation": "read"}),
    ocs("POST", "/apps/candado/api/v1/bodies", OWN, {"folder": "/private", "names": '["file"]'}),
    ocs("POST", "/apps/candado/api/v1/bodies", (401, 404, 200, 401), {"folder": "/shared", "names": '["file"]'}),
    Row("GET", "/", OPEN),
    Row("GET", "/settings/user", (303, 303, 303, 303)),
    Row("GET", DEVICES, OPEN),
    Row("GET", f"{DEVICES}/wipe?id={{device}}", OPEN),
    *(
        Row(
            "POST",
            f"{DEVICES}/{name}",
            (403, 403, 403, 403),
            {"token": "x", "id": "{device}", "user": "alice"},
            FROM_HERE,
        )
        for name in ("sign-in", "sign-out", "new", "revoke", "revoke-all", "wipe")
    ),
    *(Row("GET", f"/settings/user/{name}", OPEN) for name in ("keys", "keys/reset", "sharing")),
    Row("POST", "/settings/user/keys/reset", (403, 403, 403, 403), {"token": "x", "typed": "alice"}, FROM_HERE),
    Row("POST", "/core/wipe/success", (404, 404, 404, 404), {"token": "x" * 72}, FROM_HERE),
    Row("GET", "/status.php", OPEN),
    Row("GET", "/204", (204, 204, 204, 204)),
    Row("GET", "/healthz", OPEN),
    Row("GET", "/readyz", OPEN),
    Row("GET", "/openapi.json", OPEN),
    Row("GET", "/logo.svg", OPEN),
    Row("GET", "/metrics", (404, 403, 403, 403), headers={"X_Forwarded_For": "192.0.2.1"}),
    Row("POST", "/core/wipe/check", (404, 404, 404, 404)),
    Row("POST", "/login/v2", OPEN),
    Row("POST", "/login/v2/poll", (404, 404, 404, 404), {"token": "guessed"}),
    Row("GET", "/login/v2/flow/guessed", (404, 404, 404, 404)),
    Row("POST", "/login/v2/flow/guessed", (404, 404, 404, 404), {"user": "alice", "password": PASSWORD}),
    # keys, and an encrypted folder that the reader has for reading and alice has locked; all know her token
    *keys(1),
    *keys(2),
    e2ee(2, "GET", "meta-data/{vault}", (401, 403, 200, 401)),
    e2ee(2, "POST", "lock/{vault}", (401, 403, 403, 401)),
    e2ee(2, "POST", "lock/{vault}", (401, 403, 403, 401), {"e2e-token": "{token}"}),
    e2ee(2, "DELETE", "lock/{vault}", (401, 403, 403, 401)),
    e2ee(2, "DELETE", "lock/{vault}?abort=true", (401, 403, 403, 401)),
    e2ee(2, "POST", "meta-data/{vault}", (401, 403, 403, 401), {"metaData": '{"version":"2.0"}'}),
    e2ee(2, "PUT", "meta-data/{vault}", (401, 403, 403, 401), {"metaData": '{"version":"2.0"}'}),
    e2ee(2, "DELETE", "meta-data/{vault}", (401, 403, 403, 401)),
    e2ee(2, "PUT", "meta-data/{vault}/filedrop", (400, 403, 403, 401), {"filedrop": '{"a":{}}'}),
    *(
        e2ee(1, method, f"{path}/{{vault}}", (401, 403, 403, 401))
        for path in ("lock", "meta-data")
        for method in ("GET", "POST", "PUT", "DELETE")
    ),
    *writes("/remote.php/dav/files/bob/vault", "/remote.php/dav/files/bob/vault", (401, 404, 403, 401), TOKEN),
    # ids that nobody has are answered like those of other people
    e2ee(2, "GET", "meta-data/999999", (401, 403, 403, 401)),
    e2ee(2, "POST", "lock/999999", (401, 403, 403, 401)),
    e2ee(2, "PUT", "encrypted/999999", OWN),
    e2ee(2, "DELETE", "encrypted/999999", OWN),
    # uploads in chunks
    *(
        Row(method, f"/remote.php/dav/uploads/alice/transfer{below}", HIDDEN, headers=headers)
        for method, below, headers in (
            ("PROPFIND", "", PROPFIND),
            ("DELETE", "", {}),
            ("PUT", "/00001", {}),
            ("MOVE", "/.file", {"Destination": "/remote.php/dav/files/alice/stolen"}),
        )
    ),
    Row(
        "MOVE",
        "/remote.php/dav/uploads/bob/transfer/.file",
        (401, 404, 404, 401),
        headers={"Destination": "/remote.php/dav/files/bob/shared/file"},
    ),
    # the older address, where everybody is at home
    Row("GET", "/remote.php/webdav/shared/file", (401, 404, 200, 401)),
    *(
        Row("PATCH", path, statuses, headers={"X_Recalculate_Hash": "sha256"})
        for path, statuses in (
            ("/remote.php/webdav/shared/file", (401, 404, 204, 401)),
            ("/remote.php/dav/files/alice/private/file", HIDDEN),
        )
    ),
    Row("PROPFIND", "/remote.php/webdav/shared/", (401, 404, 207, 401), headers=PROPFIND),
    Row("PROPPATCH", "/remote.php/webdav/shared/file", (401, 404, 403, 401), TOUCH),
    Row("REPORT", "/remote.php/webdav/shared/", (401, 404, 207, 401), REPORT),
    Row("REPORT", "/remote.php/dav/files/alice/shared/", HIDDEN, REPORT),
    Row("PUT", "/remote.php/webdav/shared/new", (401, 409, 403, 401), "x"),
    *writes("/remote.php/webdav/shared", "/remote.php/webdav/shared", (401, 404, 403, 401))[3:],
    Row("MKCOL", "/remote.php/webdav/shared/made", (401, 409, 403, 401)),
    # users
    ocs("GET", "/cloud/users", ADMIN),
    ocs("POST", "/cloud/users", ADMIN, {"userid": "mallory", "password": PASSWORD, "groups[]": "admin"}),
    ocs("GET", "/cloud/users/details", ADMIN),
    ocs("GET", "/cloud/user/fields", SIGNED_IN),
    ocs("GET", "/cloud/users/alice", SIGNED_IN),
    ocs("PUT", "/cloud/users/alice", HIDDEN, {"key": "password", "value": "my own password now"}),
    ocs("PUT", "/cloud/users/alice", HIDDEN, {"key": "quota", "value": "1"}),
    ocs("DELETE", "/cloud/users/alice", ADMIN),
    ocs("PUT", "/cloud/users/alice/enable", ADMIN),
    ocs("PUT", "/cloud/users/alice/disable", ADMIN),
    ocs("GET", "/cloud/users/alice/groups", HIDDEN),
    ocs("POST", "/cloud/users/alice/groups", ADMIN, {"groupid": "staff"}),
    ocs("DELETE", "/cloud/users/alice/groups?groupid=staff", ADMIN),
    ocs("POST", "/cloud/users/carol/groups", ADMIN, {"groupid": "admin"}),
    ocs("GET", "/cloud/users/alice/subadmins", ADMIN),
    ocs("POST", "/cloud/users/carol/subadmins", ADMIN, {"groupid": "staff"}),
    ocs("DELETE", "/cloud/users/alice/subadmins?groupid=staff", ADMIN),
    # groups
    ocs("GET", "/cloud/groups", ADMIN),
    ocs("POST", "/cloud/groups", ADMIN, {"groupid": "mine"}),
    ocs("GET", "/cloud/groups/staff", ADMIN),
    ocs("DELETE", "/cloud/groups/staff", ADMIN),
    ocs("GET", "/cloud/groups/staff/users", ADMIN),
    ocs("GET", "/cloud/groups/staff/subadmins", ADMIN),
    # pages of administrators: a form to sign in, whoever asks without a browser that is signed in
    *(
        Row("GET", f"/settings/admin{path}", OPEN)
        for path in (
            *("", "/users", "/users/alice", "/groups", "/locks", "/authority", "/recovery", "/rules", "/audit"),
            "/act/delete?id=alice",
        )
    ),
    Row("GET", "/settings/admin/audit/proofs?lines=0", (403, 403, 403, 403)),
    *(
        Row("POST", f"/settings/admin/{path}", (403, 403, 403, 403), {"token": "x", "id": "alice"}, FROM_HERE)
        for path in ("act/delete", "rules")
    ),
    # what pages of administrators do
    Row("GET", "/invitation/guessed", (404, 404, 404, 404)),
    Row("POST", "/invitation/guessed", (404, 404, 404, 404), {"password": PASSWORD, "again": PASSWORD}, FROM_HERE),
    ocs("GET", f"{CONSOLE}/overview", ADMIN),
    ocs("GET", f"{CONSOLE}/locks", ADMIN),
    ocs("DELETE", f"{CONSOLE}/locks/{{lock}}", ADMIN),
    ocs("POST", f"{CONSOLE}/invitations", ADMIN, {"userid": "mallory"}),
    ocs("POST", f"{CONSOLE}/invitations/alice", ADMIN),
    ocs("GET", f"{CONSOLE}/certificates", ADMIN),
    ocs("POST", f"{CONSOLE}/revocations", ADMIN, {"who": "alice", "reason": "left"}),
    ocs("GET", f"{CONSOLE}/key-requests", ADMIN),
    ocs("POST", f"{CONSOLE}/key-requests/{'0' * 64}", ADMIN, {"decision": "approve"}),
    # shares
    ocs("GET", SHARES, SIGNED_IN),
    ocs("GET", f"{SHARES}?path=/private", HIDDEN),
    ocs("POST", SHARES, (401, 404, 403, 401), {"path": "/shared", "shareWith": "carol", "permissions": "1"}),
    ocs("POST", SHARES, (401, 404, 403, 401), {"path": "/shared", "shareType": "1", "shareWith": "staff"}),
    ocs("POST", SHARES, (401, 404, 403, 401), {"path": "/shared", "shareType": "3", "permissions": "1"}),
    ocs("POST", SHARES, HIDDEN, {"path": "/private", "shareType": "3", "permissions": "1"}),
    ocs("GET", SHARES + "/{user_share}", (401, 404, 200, 401)),
    ocs("PUT", SHARES + "/{user_share}", (401, 404, 403, 401), {"permissions": "31"}),
    ocs("DELETE", SHARES + "/{group_share}", HIDDEN),
    ocs("GET", SHARES + "/{group_share}", HIDDEN),
    ocs("PUT", SHARES + "/{group_share}", HIDDEN, {"permissions": "31"}),
    ocs("GET", SHARES + "/{link_share}", HIDDEN),
    ocs("PUT", SHARES + "/{link_share}", HIDDEN, {"permissions": "15"}),
    ocs("PUT", SHARES + "/{locked_share}", HIDDEN, {"password": ""}),
    ocs("DELETE", SHARES + "/{link_share}", HIDDEN),
    ocs("GET", "/apps/files_sharing/api/v1/sharees?search=a&itemType=file", SIGNED_IN),
    # the owner's own address, and the reader's
    Row("GET", "/remote.php/dav/files/alice/shared/file", HIDDEN),
    Row("PROPFIND", "/remote.php/dav/files/alice/", HIDDEN, headers=PROPFIND),
    *writes("/remote.php/dav/files/alice/shared", "/remote.php/dav/files/alice", HIDDEN),
    Row("GET", "/remote.php/dav/files/bob/shared/file", (401, 404, 200, 401)),
    *writes("/remote.php/dav/files/bob/shared", "/remote.php/dav/files/bob/shared", (401, 404, 403, 401)),
    Row("PROPPATCH", "/remote.php/dav/files/bob/shared/file", (401, 404, 403, 401), TOUCH),
    Row("GET", "/remote.php/dav/files//private/file", HIDDEN),
    Row("MKCOL", "/remote.php/dav/uploads/alice/transfer", HIDDEN),
    # a link for reading, one with a password, one for uploads
    Row("GET", "/public.php/dav/files/{link}/file", (200, 200, 200, 200)),
    Row("PROPFIND", "/public.php/dav/files/{link}/", (207, 207, 207, 207), headers=PROPFIND),
    *writes("/public.php/dav/files/{link}", "/public.php/dav/files/{link}", (403, 403, 403, 403)),
    Row("PROPPATCH", "/public.php/dav/files/{link}/file", (405, 405, 405, 405), TOUCH),
    Row("GET", "/public.php/dav/files/{locked}/file", (401, 401, 401, 200)),
    Row("PROPFIND", "/public.php/dav/files/{locked}/", (401, 401, 401, 207), headers=PROPFIND),
    *writes("/public.php/dav/files/{locked}", "/public.php/dav/files/{locked}", (401, 401, 401, 403)),
    Row("GET", "/public.php/webdav/file", (401, 401, 401, 200)),
    Row("PROPFIND", "/public.php/webdav/", (401, 401, 401, 207), headers=PROPFIND),
    *writes("/public.php/webdav", "/public.php/webdav", (401, 401, 401, 403)),
    Row("GET", "/public.php/dav/files/{drop}/file", (403, 403, 403, 403)),
    Row("PROPFIND", "/public.php/dav/files/{drop}/", (403, 403, 403, 403), headers=PROPFIND),
    Row("DELETE", "/public.php/dav/files/{drop}/file", (403, 403, 403, 403)),
    Row("MKCOL", "/public.php/dav/uploads/{link}/transfer", (404, 404, 404, 404)),
    Row("GET", "/public.php/dav/", (404, 404, 404, 404)),
    Row("GET", "/public.php/", (404, 404, 404, 404)),
    # pages
    Row("GET", "/s/{link}", (200, 200, 200, 200)),
    Row("GET", "/s/{link}/download?path=/file", (200, 200, 200, 200)),
    Row("POST", "/s/{link}/upload", (403, 403, 403, 403), FORM[0], {"Content_Type": FORM[1]}),
    Row("GET", "/s/{locked}", (401, 401, 401, 401)),
    Row("GET", "/s/{locked}/download?path=/file", (401, 401, 401, 401)),
    Row("POST", "/s/{locked}/upload", (403, 403, 403, 403), FORM[0], {"Content_Type": FORM[1]}),
    Row("POST", "/s/{locked}/authenticate", (403, 403, 403, 403), {"password": PASSWORD}),
    Row("POST", "/s/{locked}/authenticate/showShare", (403, 403, 403, 403), {"password": PASSWORD}),
    Row("GET", "/s/{drop}/download?path=/file", (403, 403, 403, 403)),
    # an encrypted folder, with the token of a link beside it
    ocs("GET", E2EE + "/meta-data/{secret}?shareToken={link}", (401, 403, 403, 401)),
    ocs("GET", E2EE + "/meta-data/{secret}/steps?shareToken={link}", (401, 403, 403, 401)),
    ocs("POST", E2EE + "/lock/{secret}?shareToken={link}", (401, 403, 403, 401)),
    # links into an encrypted folder: for reading, for uploads, with a password, over, of one who lost the right
    *sealed("{view}", (200, 200, 200, 200), (403, 403, 403, 403), (403, 403, 403, 403)),
    *sealed("{box}", (403, 403, 403, 403), (403, 403, 403, 403), (412, 412, 412, 412)),
    *sealed("{closed}", (401, 401, 401, 200), (401, 401, 401, 423), (401, 401, 401, 412)),
    *sealed("{over}", *[(403, 403, 403, 403)] * 3),
    *sealed("{lost}", *[(403, 403, 403, 403)] * 3),
    *sealed("{link}", *[(403, 403, 403, 403)] * 3),
    link_call("GET", "/apps/candado/api/v1/link-folder", "{link}", (404, 404, 404, 404)),
    link_call("GET", "/apps/candado/api/v1/link-folder", "{box}", (200, 200, 200, 200)),
    link_call("GET", "/apps/candado/api/v1/link-folder", "{closed}", (401, 401, 401, 200)),
    ocs("GET", "/apps/candado/api/v1/link-folder", (401, 404, 404, 401)),
    ocs("POST", "/apps/candado/api/v1/bodies", (401, 404, 200, 401), {"folder": "sealed", "names": '["file"]'}),
    ocs("POST", E2EE + "/public-key", (401, 403, 403, 401), {"csr": "x", "shareToken": "{view}"}),
    ocs("PUT", E2EE + "/public-key", (401, 403, 403, 401), {"publicKey": "x", "shareToken": "{view}"}),
    ocs("POST", E2EE + "/private-key", (401, 403, 403, 401), {"privateKey": "x", "shareToken": "{view}"}),
    ocs("DELETE", E2EE + "/public-key?shareToken={view}", (401, 403, 403, 401)),
    ocs("DELETE", E2EE + "/private-key?shareToken={view}", (401, 403, 403, 401)),
    link_call("GET", E2EE + "/private-key", "{view}", (404, 404, 404, 404)),
    link_call("GET", E2EE + "/private-key", "{closed}", (401, 401, 401, 404)),
    link_call("GET", E2EE + "/public-key?users=[%22carol%22]", "{view}", (404, 404, 404, 404)),
    link_call("DELETE", E2EE + "/encrypted-files", "{closed}", (401, 404, 404, 401)),
    link_call("DELETE", E2EE + "/encrypted/{sealed}", "{closed}", (401, 404, 403, 401)),
    Row("GET", "/public.php/dav/files/{view}/{body}", (200, 200, 200, 200)),
    Row("PROPFIND", "/public.php/dav/files/{view}/", (207, 207, 207, 207), headers=PROPFIND),
    *writes("/public.php/dav/files/{view}", "/public.php/dav/files/{view}", (403, 403, 403, 403)),
    Row("GET", "/public.php/dav/files/{closed}/{body}", (401, 401, 401, 200)),
    Row("DELETE", "/public.php/dav/files/{closed}/{body}", (401, 401, 401, 403)),
    Row("PUT", "/public.php/dav/files/{closed}/" + "9" * 32, (401, 401, 401, 403), "x"),
    Row("PUT", "/public.php/dav/files/{closed}/" + "9" * 32, (401, 401, 401, 423), "x", {"e2e_token": "z" * 64}),
    Row("GET", "/public.php/dav/files/{box}/{body}", (403, 403, 403, 403)),
    Row("PROPFIND", "/public.php/dav/files/{box}/", (403, 403, 403, 403), headers=PROPFIND),
    Row("PUT", "/public.php/dav/files/{box}/{body}", (403, 403, 403, 403), "x"),
    Row("PUT", "/public.php/dav/files/{box}/clear-name.txt", (403, 403, 403, 403), "x"),
    *[Row("GET", f"/public.php/dav/files/{{{link}}}/{{body}}", (404, 404, 404, 404)) for link in ("over", "lost")],
    *[Row("GET", f"/s/{{{link}}}", (404, 404, 404, 404)) for link in ("over", "lost")],
    *[
        Row("PUT", f"/s/{{{link}}}/drop{name}", (status,) * 3 + (status,), '{"filedrop":"{}"}')
        for link, status in (("view", 403), ("link", 403), ("drop", 403), ("closed", 401), ("lost", 403), ("over", 404))
        for name in ("", f"/{'7' * 32}")
    ],
    Row("PUT", "/s/{box}/drop", (412, 412, 412, 412), '{"filedrop":"{}"}', {"Content_Type": "application/json"}),
    Row("PUT", f"/s/{{box}}/drop/{'7' * 32}", (423, 423, 423, 423), "x"),
    Row("PUT", "/s/{box}/drop/clear-name.txt", (403, 403, 403, 403), "x"),
    Row("GET", "/s/{view}", (200, 200, 200, 200)),
    Row("GET", "/s/{box}", (200, 200, 200, 200)),
    Row("GET", "/s/{closed}", (401, 401, 401, 401)),
    Row("GET", "/s/{view}/download?path=/{body}", (403, 403, 403, 403)),
    Row("POST", "/s/{box}/upload", (403, 403, 403, 403), FORM[0], {"Content_Type": FORM[1]}),
    Row("GET", "/public.php/dav/files/{around}/secret/", (403, 403, 403, 403)),
    Row("PROPFIND", "/public.php/dav/files/{around}/secret/", (403, 403, 403, 403), headers=PROPFIND),
    *writes("/public.php/dav/files/{around}/secret", "/public.php/dav/files/{around}", (403, 403, 403, 403)),
    Row("DELETE", "/public.php/dav/files/{around}/secret", (403, 403, 403, 403)),
    Row("DELETE", "/public.php/dav/files/{around}", (403, 403, 403, 403)),
]


@dataclass(frozen=True)
class Scene:
    server: ServerProcess
    names: dict[str, str]


def data(answer: Answer) -> Any:
    assert answer.status == 200, answer.text
    return json.loads(answer.body)["ocs"]["data"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("rights"), "alice", "bob", "carol", admin="root")) as running:
        yield running


@pytest.fixture(scope="module")
def names(server: ServerProcess) -> dict[str, str]:
    return asyncio.run(build(server))


@pytest.fixture
async def scene(server: ServerProcess, names: dict[str, str]) -> Scene:
    # Many refusals in a row are what the limits are for; here each row is asked for itself.
    async with open_backend(load_config(server.data, {})) as backend:
        await backend.database.write(lambda rows: rows.run("DELETE FROM rate_limits"))
    return Scene(server, names)


async def build(server: ServerProcess) -> dict[str, str]:
    names: dict[str, str] = {}
    async with Caller(server.url, "root") as root:
        await root.ocs("POST", "/cloud/groups", body={"groupid": "staff"})
        await root.ocs("POST", "/cloud/users/alice/groups", body={"groupid": "staff"})
    async with Caller(server.url, "alice") as alice:
        for folder in ("shared", "private", "around"):
            await alice.dav("MKCOL", folder)
            await alice.dav("PUT", f"{folder}/file", body=b"content")
        names["secret"] = str((await alice.dav("MKCOL", "around/secret")).headers["OC-FileId"])
        assert (await alice.e2ee("PUT", f"encrypted/{names['secret']}")).status == 200
        names["sealed"], names["body"] = await _sealed_folder(alice), BODY

        names["vault"] = str((await alice.dav("MKCOL", "vault")).headers["OC-FileId"])
        assert (await alice.e2ee("PUT", f"encrypted/{names['vault']}")).status == 200
        names["token"] = data(await alice.e2ee("POST", f"lock/{names['vault']}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
        signed = {name: value.format(**names) for name, value in SIGNED.items()}
        first = {"metaData": '{"version":"2.0"}'}
        assert (await alice.e2ee("POST", f"meta-data/{names['vault']}", body=first, **signed)).status == 200
        assert (await alice.dav("PUT", "vault/file", body=b"content", e2e_token=names["token"])).status == 201
        assert (await alice.e2ee("DELETE", f"lock/{names['vault']}", e2e_token=names["token"])).status == 200
        assert (await alice.send("MKCOL", "/remote.php/dav/uploads/alice/transfer")).status == 201

        data(await alice.ocs("GET", "/core/getapppassword"))
        names["device"] = str(data(await alice.ocs("GET", "/core/apppassword"))[0]["id"])
        names["url"] = server.url

        async def share(**form: str) -> Any:
            return data(await alice.ocs("POST", SHARES, body=form))

        await share(path="/vault", shareWith="bob", permissions="1")
        again = await alice.e2ee("POST", f"lock/{names['vault']}", X_NC_E2EE_COUNTER="2")
        names["token"] = data(again)["e2e-token"]
        names["user_share"] = (await share(path="/shared", shareWith="bob", permissions="1"))["id"]
        names["group_share"] = (await share(path="/private", shareType="1", shareWith="staff"))["id"]
        for name, path, more in (
            ("link", "/shared", {"permissions": "1"}),
            ("locked", "/shared", {"permissions": "1", "password": SECRET}),
            ("drop", "/shared", {"permissions": "4"}),
            ("around", "/around", {"permissions": "15"}),
            ("view", "/sealed", {"permissions": "1"}),
            ("box", "/sealed", {"permissions": "4"}),
            ("closed", "/sealed", {"permissions": "15", "password": SECRET}),
            ("over", "/sealed", {"permissions": "15", "expireDate": "2090-01-01"}),
        ):
            made = await share(path=path, shareType="3", **more)
            names[name], names[f"{name}_share"] = made["token"], made["id"]
        given = (await share(path="/sealed", shareWith="bob", permissions="31"))["id"]
        async with Caller(server.url, "bob") as bob:
            form = {"path": "/sealed", "shareType": "3", "permissions": "15"}
            names["lost"] = data(await bob.ocs("POST", SHARES, body=form))["token"]
        assert (await alice.ocs("PUT", f"{SHARES}/{given}", body={"permissions": "1"})).status == 200
        assert (await alice.e2ee("POST", f"lock/{names['sealed']}", X_NC_E2EE_COUNTER="2")).status == 200
    async with Caller(server.url, "root") as root:
        (*_, last) = data(await root.ocs("GET", f"{CONSOLE}/locks"))["locks"]
        names["lock"] = last["lock"]
    async with open_backend(load_config(server.data, {})) as backend:
        # A day that has passed cannot be asked for.
        sql = "UPDATE shares SET expires = 1 WHERE token = $1"
        await backend.database.write(lambda rows: rows.run(sql, names["over"]))
    return names


async def _sealed_folder(alice: Caller) -> str:
    """An encrypted folder with a body and a document; its id."""
    number = str((await alice.dav("MKCOL", "sealed")).headers["OC-FileId"])
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200
    token = data(await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
    assert (await alice.dav("PUT", f"sealed/{BODY}", body=b"sealed", e2e_token=token)).status == 201
    text = {"metaData": '{"users":[{"userId":"alice"}],"version":"2.1"}'}
    lock = {"e2e_token": token, "X_NC_E2EE_SIGNATURE": "c2ln"}
    assert (await alice.e2ee("POST", f"meta-data/{number}", body=text, **lock)).status == 200
    assert (await alice.e2ee("DELETE", f"lock/{number}", e2e_token=token)).status == 200
    return number


def caller_of(scene: Scene, role: str) -> Caller:
    if role == "visitor":
        return Caller(scene.server.url, scene.names["locked"], SECRET)
    return Caller(scene.server.url, {"nobody": None, "other": "carol", "reader": "bob"}[role])


@pytest.mark.parametrize("row", TABLE, ids=str)
async def test_everybody_gets_what_is_due(scene: Scene, row: Row) -> None:
    found = []
    for role in ROLES:
        async with caller_of(scene, role) as caller:
            headers = {name: _filled(value, scene) for name, value in row.headers.items()}
            body = {n: _filled(v, scene) for n, v in row.body.items()} if isinstance(row.body, dict) else row.body
            answer = await caller.send(row.method, _filled(row.path, scene), body=body, **headers)
            found.append(answer.status)
            if answer.status == 401 and not row.path.startswith("/s/"):
                assert "Basic" in answer.headers["WWW-Authenticate"]
    assert dict(zip(ROLES, found, strict=True)) == dict(zip(ROLES, row.statuses, strict=True))


def _filled(text: str, scene: Scene) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda match: scene.names[match[1]], text)


async def test_and_nothing_of_it_changed_anything(scene: Scene) -> None:
    async with Caller(scene.server.url, "alice") as alice:
        for folder in ("shared", "private", "around", "vault"):
            listed = (await alice.dav("PROPFIND", folder, Depth="1")).text
            names = re.findall(rf"<d:href>/remote.php/dav/files/alice/{folder}/([^<]*)</d:href>", listed)
            assert names == {"around": ["", "file", "secret/"]}.get(folder, ["", "file"])
            assert (await alice.dav("GET", f"{folder}/file")).body == b"content"
        shares = data(await alice.ocs("GET", SHARES))
        assert len(shares) == 12
        assert {s["permissions"] for s in shares if s["share_type"] == 0} == {1}
        assert [bool(s["password"]) for s in shares if s["share_type"] == 3] == [
            *(False, True, False, False),
            *(False, False, True, False),
        ]
        kept = await alice.e2ee("GET", f"meta-data/{scene.names['sealed']}")
        assert data(kept)["meta-data"] == '{"users":[{"userId":"alice"}],"version":"2.1"}'
        assert (await alice.dav("GET", f"sealed/{BODY}")).body == b"sealed"
        listed = (await alice.dav("PROPFIND", "sealed", Depth="1")).text
        assert listed.count("<d:response>") == 2
        devices = data(await alice.ocs("GET", "/core/apppassword"))
        assert [(str(one["id"]), one["wipe"]) for one in devices] == [(scene.names["device"], False)]
        vault = scene.names["vault"]
        assert data(await alice.e2ee("GET", f"meta-data/{vault}")) == {"meta-data": '{"version":"2.0"}'}
        assert (await alice.send("PROPFIND", "/remote.php/dav/uploads/alice/transfer", Depth="1")).text.count(
            "<d:href>"
        ) == 1
        assert (await alice.e2ee("DELETE", f"lock/{vault}", e2e_token=scene.names["token"])).status == 200
    async with Caller(scene.server.url, "root") as root:
        assert data(await root.ocs("GET", "/cloud/users"))["users"] == ["alice", "bob", "carol", "root"]
        assert data(await root.ocs("GET", "/cloud/groups"))["groups"] == ["admin", "staff"]
        assert data(await root.ocs("GET", "/cloud/groups/admin"))["users"] == ["root"]
        assert data(await root.ocs("GET", "/cloud/groups/staff"))["users"] == ["alice"]
        own = data(await root.ocs("GET", "/cloud/users/alice"))
        assert (own["enabled"], own["quota"]["quota"]) == (True, -3)


def described() -> list[tuple[str, str]]:
    """Method and path of every operation; a test holds the document to the routes (``tests/meta/test_openapi.py``)."""
    return [
        (method, path)
        for path, operations in openapi_document("")["paths"].items()
        for shown, operation in operations.items()
        for method in (shown.upper(), *operation.get("x-webdav-methods", ()))
    ]


@pytest.mark.parametrize(("method", "path"), described(), ids=str)
def test_every_route_is_asked_by_all_roles(method: str, path: str) -> None:
    below = r"[^?]*" if path.startswith(("/remote.php", "/public.php")) else r"[^/?]+"
    pattern = re.compile(re.sub(r"\\{[^}]*\\}", lambda _: below, re.escape(path)) + r"(\?.*)?")
    rows = [row for row in TABLE if row.method == method and pattern.fullmatch(row.path)]
    assert rows, f"add a row for {method} {path} to TABLE in {__file__}"

"""Calls and pages of administrators, for the table behind ``/openapi.json``.

Layer: ``apps``; pure. Written as in ``openapi_calls``.
"""

from typing import Final

from candado.apps.openapi_call import HTML, NUMBER, TEXT, Call, Json, object_of, ocs_call, page_call

__all__ = ["ADMINISTRATION", "ADMIN_PAGES"]

# --- administration ----------------------------------------------------------------------------------------

_ADMIN: Final = "/apps/candado/api/v1/admin"
_LISTED: Final[Json] = {"type": "array", "items": {"type": "object"}}
_INVITED: Final = object_of(user=TEXT, link=TEXT, expires=TEXT)
ADMINISTRATION: Final = (
    ocs_call("GET", f"{_ADMIN}/overview", "Numbers of the whole server", "administration", {"type": "object"},
         statuses=(403,)),
    ocs_call("GET", f"{_ADMIN}/locks", "Write sessions that are open", "administration", object_of(locks=_LISTED),
         statuses=(403,)),
    ocs_call("DELETE", f"{_ADMIN}/locks/{{lock}}", "End a write session, undoing it", "administration",
         {"type": "object", "required": ["lock", "folder"]}, access="password"),
    ocs_call("POST", f"{_ADMIN}/invitations", "Make a user, and the link by which the person sets a password",
         "administration", _INVITED, access="password", statuses=(409,),
         fields="userid! displayName email quota groups[]"),
    ocs_call("POST", f"{_ADMIN}/invitations/{{user}}", "Make a link by which a user sets a new password",
         "administration", _INVITED, access="password"),
    ocs_call("GET", f"{_ADMIN}/certificates", "Certificates that were signed, of one user or of all", "administration",
         object_of(certificates=_LISTED), fields="user", statuses=(403,)),
    ocs_call("POST", f"{_ADMIN}/revocations", "Revoke a key for good", "administration",
         object_of(revoked=_LISTED, published={"type": "boolean"}), fields="who! reason!", access="password"),
    ocs_call("GET", f"{_ADMIN}/key-requests", "New keys that wait for administrators", "administration",
         object_of(needed=NUMBER, requests=_LISTED), statuses=(403,)),
    ocs_call("POST", f"{_ADMIN}/key-requests/{{key}}", "Approve or reject a new key", "administration",
         {"type": "object", "required": ["key", "outcome"]}, fields="decision!", access="password"),
)  # fmt: skip

ADMIN_PAGES: Final[tuple[Call, ...]] = (
    page_call("GET", "/invitation/{token}", "The form on which a user sets a password, by a link", "administration",
              HTML, 200, 404, 429, 503, refusal=HTML),
    page_call("POST", "/invitation/{token}", "Set the password, once", "administration", HTML,
              200, 400, 403, 404, 413, 429, 503, fields="password! again!", refusal=HTML),
)  # fmt: skip

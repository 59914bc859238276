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

_PAGE_STATUSES: Final = (200, 403, 404)
_LOOK: Final = (
    ("", "The server at a glance", "done"), ("/users", "Users", "search offset done"),
    ("/users/{id}", "A user", "done"), ("/groups", "Groups", "done"),
    ("/locks", "Write sessions that are open", "done"),
    ("/authority", "The authority, certificates, new keys", "done"), ("/recovery", "The recovery key", ""),
    ("/rules", "The access rules in force", ""), ("/act/{act}", "The form of an act, and what it means", "id"),
    ("/audit", "The audit log, with filters", "kind who outcome from to before"),
)  # fmt: skip
ADMIN_PAGES: Final[tuple[Call, ...]] = (
    *(
        page_call("GET", f"/settings/admin{path}", summary, "administration", HTML, *_PAGE_STATUSES, fields=fields,
                  refusal=HTML)
        for path, summary, fields in _LOOK
    ),
    page_call("GET", "/settings/admin/audit/proofs", "Proofs for lines of the log, for the script of its page",
              "administration", {"type": "object"}, 200, 400, 403, 404, fields="lines! known", refusal=HTML),
    page_call("POST", "/settings/admin/act/{act}", "Do it", "administration", HTML,
              200, 303, 400, 403, 404, 409, 413, 429, 503, fields="token! id password!", refusal=HTML),
    page_call("POST", "/settings/admin/rules", "Check, try or store access rules", "administration", HTML,
              200, 400, 403, 409, 412, 413, 429, 503, fields="token! do! text version password", refusal=HTML),
    page_call("GET", "/invitation/{token}", "The form on which a user sets a password, by a link", "administration",
              HTML, 200, 404, 429, 503, refusal=HTML),
    page_call("POST", "/invitation/{token}", "Set the password, once", "administration", HTML,
              200, 400, 403, 404, 413, 429, 503, fields="password! again!", refusal=HTML),
)  # fmt: skip

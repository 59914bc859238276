"""The pages below ``/settings/admin``: the server, its users, groups, locks, authority and recovery key.

Layer: ``apps``. Only administrators see them. Whatever changes something is an act with a form of its own
(``admin_acts``), which is also a command and a call.
"""

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.admin_audit import audit_routes
from candado.apps.admin_frame import admin_page, admin_route, ask_act, do_act
from candado.apps.admin_html import UserRow, groups_html, locks_html, overview_html, user_html, users_html
from candado.apps.admin_keys_html import AuthorityState, authority_html, recovery_html
from candado.apps.admin_rules import rules_routes
from candado.apps.html_build import tag
from candado.apps.server_wiring import Services
from candado.apps.signed_in import ADMIN, Visit
from candado.apps.signer_wiring import authority_warnings
from candado.apps.texts.admin import AdminText, RecoveryText
from candado.errors import CandadoError
from candado.server.accounts import Account
from candado.server.browsers import Browser
from candado.server.pki import issued_certificates

__all__ = ["admin_routes"]

_PAGE: Final = 50
_OFFSET_MAX: Final = 10**9


def admin_routes(services: Services) -> list[BaseRoute]:
    """All routes of these pages; the ``index.php`` spellings are taken off before."""
    pages = {
        "": _overview,
        "/users": _users,
        "/users/{id}": _user,
        "/groups": _groups,
        "/locks": _locks,
        "/authority": _authority,
        "/recovery": _recovery,
        "/act/{act}": ask_act,
    }
    return [
        *(Route(ADMIN + path, admin_route(services, work), methods=["GET"]) for path, work in pages.items()),
        Route(f"{ADMIN}/act/{{act}}", admin_route(services, do_act), methods=["POST"]),
        *rules_routes(services),
        *audit_routes(services),
    ]


async def _overview(visit: Visit, browser: Browser) -> Response:
    del browser
    services = visit.services
    _, policy = await services.recovery.announced()
    is_on = policy is not None and policy.recovery.state == "on"
    warning = tag("p", visit.say(RecoveryText.ON), class_="bad") if is_on else None
    numbers = await services.overviews.numbers()
    inner = overview_html(visit.say, numbers, authority_warnings(services.config), recovery=warning)
    return admin_page(visit, visit.say.plain(AdminText.OVERVIEW), inner, here=ADMIN)


async def _users(visit: Visit, browser: Browser) -> Response:
    del browser
    query = visit.request.query_params
    search, given = query.get("search", ""), query.get("offset", "")
    offset = min(int(given), _OFFSET_MAX) if given.isascii() and given.isdigit() and len(given) < 12 else 0
    found = await visit.services.accounts.find(search, count_max=_PAGE + 1, offset=offset)
    rows = [await _row(visit.services, account) for account in found[:_PAGE]]
    again = urlencode({"search": search, "offset": offset + _PAGE}, errors="replace")
    more = f"{ADMIN}/users?{again}" if len(found) > _PAGE else ""
    inner = users_html(visit.say, rows, search=search, more=more)
    return admin_page(visit, visit.say.plain(AdminText.USERS), inner, here=f"{ADMIN}/users")


async def _row(services: Services, account: Account) -> UserRow:
    user = account.user_id
    return account, await services.files.quota(user), await services.personal.keys(user)


async def _user(visit: Visit, browser: Browser) -> Response:
    del browser
    services = visit.services
    account = await services.accounts.get(str(visit.request.path_params["id"]))
    devices = await services.devices.all(account.user_id)
    waiting = await services.invitations.of(account.user_id)
    inner = user_html(visit.say, await _row(services, account), devices, waiting)
    return admin_page(visit, account.user_id, inner, here=f"{ADMIN}/users")


async def _groups(visit: Visit, browser: Browser) -> Response:
    del browser
    inner = groups_html(visit.say, await visit.services.groups.all())
    return admin_page(visit, visit.say.plain(AdminText.GROUPS), inner, here=f"{ADMIN}/groups")


async def _locks(visit: Visit, browser: Browser) -> Response:
    del browser
    services = visit.services
    now, ttl = services.backend.clock.now(), services.backend.settings.lock_ttl_seconds
    inner = locks_html(visit.say, await services.overviews.locks(), now, ttl_seconds=ttl)
    return admin_page(visit, visit.say.plain(AdminText.LOCKS), inner, here=f"{ADMIN}/locks")


async def _authority(visit: Visit, browser: Browser) -> Response:
    del browser
    services = visit.services
    inner = authority_html(
        visit.say,
        await _authority_state(services),
        await services.approvals.all(),
        await issued_certificates(services.backend),
        needed=services.config.new_key_approvals,
        now=services.backend.clock.now(),
    )
    return admin_page(visit, visit.say.plain(AdminText.AUTHORITY), inner, here=f"{ADMIN}/authority")


async def _authority_state(services: Services) -> AuthorityState:
    """The key, tried just now; a token that is away is a state and no error."""
    from candado.adapters.hsm_signer import HsmSigner

    fault, token = "", {}
    signer = services.signer
    try:
        await services.pki.check_signer()
        if isinstance(signer, HsmSigner):
            token = await signer.facts()
    except CandadoError as error:
        fault = f"{error.code}: {error.message}"
    place = signer.place if isinstance(signer, HsmSigner) else ""
    return AuthorityState(services.pki.authority_fingerprint_hex, place, fault, token)


async def _recovery(visit: Visit, browser: Browser) -> Response:
    del browser
    key, policy = await visit.services.recovery.announced()
    inner = recovery_html(visit.say, "" if key is None else key.fingerprint_hex, policy)
    return admin_page(visit, visit.say.plain(AdminText.RECOVERY), inner, here=f"{ADMIN}/recovery")

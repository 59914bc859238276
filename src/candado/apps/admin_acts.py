"""What administrators do on their pages: one form for each act, which says what it means and asks for the password.

Layer: ``apps``. Every act is the same use case as a command and a call. The form is reached by a plain link, so nothing
happens by following one; two administrators who do the same at once get one success and one plain refusal.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.ocs_admin import publish_revocations
from candado.apps.ocs_call import base_url
from candado.apps.server_config import parse_bytes
from candado.apps.server_console import invitation_address
from candado.apps.signed_in import ADMIN, Visit
from candado.apps.texts import Text
from candado.apps.texts.acts import ActText, FieldText
from candado.crypto.crl import REASONS
from candado.errors import BadRequestError, ForbiddenError, UsageError
from candado.server.accounts import check_email, check_shown_text
from candado.server.browsers import Browser
from candado.server.invitations import Invitation
from candado.server.model import Principal

__all__ = ["ACTS", "Act", "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to fill in; ``choices`` makes it a list to choose from."""

    name: str
    label: Text
    required: bool = True
    choices: tuple[str, ...] = ()


Run = Callable[[Visit, Browser, str], Awaitable[Part]]


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its name and meaning, what to fill in, what it does to the thing with an id, and where one goes after.

    What ``run`` returns is shown, such as a link; nothing sends the browser back. ``typed``: the id is to be typed.
    """

    title: Text
    why: Text
    home: str
    run: Run
    fields: tuple[Field, ...] = ()
    typed: bool = False

    def home_of(self, what: str) -> str:
        """The page to come back to."""
        return self.home.format(id=_quoted(what))


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="@", errors="replace")


def _not_oneself(browser: Browser, user: str) -> None:
    if user == browser.user_id:
        raise ForbiddenError(FieldText.NOT_ONESELF.plain("en"))


def _quota(visit: Visit) -> int | None:
    try:
        size = parse_bytes(visit.parameters.get("quota", ""))
    except UsageError as exc:
        raise BadRequestError(exc.message) from exc
    return None if size < 0 else size


def _link(visit: Visit, made: Invitation) -> Html:
    address = invitation_address(base_url(visit.services, visit.request), made)
    return joined(
        tag("p", visit.say(FieldText.LINK, end=visit.say.time(made.expires_at)), class_="good", role="status"),
        tag("p", tag("code", address)),
    )


# --- users -------------------------------------------------------------------------------------------------


async def _invite(visit: Visit, browser: Browser, what: str) -> Part:
    del browser, what
    form, services = visit.parameters, visit.services
    group = form.get("group", "").strip()
    account, made = await services.invitations.invite(
        form.get("user", "").strip(),
        display_name=check_shown_text(form.get("shown", "").strip(), "a display name"),
        email=check_email(form.get("email", "").strip()),
        quota_bytes=_quota(visit),
        groups=(group,) if group else (),
    )
    await services.files.ensure_home(account.user_id)
    return _link(visit, made)


async def _reset(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    return _link(visit, await visit.services.invitations.make(what))


async def _disable(visit: Visit, browser: Browser, what: str) -> Part:
    _not_oneself(browser, what)
    await visit.services.accounts.set_enabled(what, enabled=False, keep_admin=True)
    return None


async def _enable(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.accounts.set_enabled(what, enabled=True)
    return None


async def _delete(visit: Visit, browser: Browser, what: str) -> Part:
    _not_oneself(browser, what)
    await visit.services.removal.remove(what, keep_admin=True)
    return None


async def _promote(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.accounts.set_admin(what, is_admin=True)
    return None


async def _demote(visit: Visit, browser: Browser, what: str) -> Part:
    _not_oneself(browser, what)
    await visit.services.accounts.set_admin(what, is_admin=False)
    return None


async def _set_quota(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.accounts.set_quota(what, _quota(visit))
    return None


async def _join(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.groups.join(visit.parameters.get("group", "").strip(), what)
    return None


async def _leave(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.groups.leave(visit.parameters.get("group", "").strip(), what)
    return None


async def _sign_out(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.devices.revoke_all(what)
    return None


# --- groups, locks, keys -----------------------------------------------------------------------------------


async def _group_add(visit: Visit, browser: Browser, what: str) -> Part:
    del browser, what
    await visit.services.groups.add(visit.parameters.get("group", "").strip())
    return None


async def _group_delete(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.groups.delete(what)
    return None


async def _release(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.overviews.release(what)
    return None


async def _revoke(visit: Visit, browser: Browser, what: str) -> Part:
    del browser
    await visit.services.revocations.revoke(what, visit.parameters.get("reason", ""))
    if await publish_revocations(visit.services):
        return None
    return tag("p", visit.say(FieldText.UNPUBLISHED), class_="warn", role="status")


async def _approve(visit: Visit, browser: Browser, what: str) -> Part:
    await visit.services.approvals.decide(what, Principal(browser.user_id, is_admin=True), approve=True)
    return None


async def _reject(visit: Visit, browser: Browser, what: str) -> Part:
    await visit.services.approvals.decide(what, Principal(browser.user_id, is_admin=True), approve=False)
    return None


_USERS: Final = f"{ADMIN}/users"
_USER: Final = f"{ADMIN}/users/{{id}}"
_GROUPS: Final = f"{ADMIN}/groups"
_AUTHORITY: Final = f"{ADMIN}/authority"
_A_QUOTA: Final = Field("quota", FieldText.QUOTA)
_A_GROUP: Final = Field("group", FieldText.GROUP)
_NEW: Final = (
    Field("user", FieldText.USER),
    Field("shown", FieldText.SHOWN, required=False),
    Field("email", FieldText.EMAIL, required=False),
    _A_QUOTA,
    Field("group", FieldText.GROUP_OPTIONAL, required=False),
)
_REASON: Final = Field("reason", FieldText.REASON, choices=tuple(sorted(REASONS)))
ACTS: Final[Mapping[str, Act]] = MappingProxyType(
    {
        "invite": Act(ActText.INVITE, ActText.INVITE_WHY, _USERS, _invite, _NEW),
        "reset": Act(ActText.RESET, ActText.RESET_WHY, _USER, _reset),
        "quota": Act(ActText.QUOTA, ActText.QUOTA_WHY, _USER, _set_quota, (_A_QUOTA,)),
        "join": Act(ActText.JOIN, ActText.JOIN_WHY, _USER, _join, (_A_GROUP,)),
        "leave": Act(ActText.LEAVE, ActText.LEAVE_WHY, _USER, _leave, (_A_GROUP,)),
        "sign-out": Act(ActText.SIGN_OUT, ActText.SIGN_OUT_WHY, _USER, _sign_out),
        "enable": Act(ActText.ENABLE, ActText.ENABLE_WHY, _USER, _enable),
        "disable": Act(ActText.DISABLE, ActText.DISABLE_WHY, _USER, _disable),
        "promote": Act(ActText.PROMOTE, ActText.PROMOTE_WHY, _USER, _promote),
        "demote": Act(ActText.DEMOTE, ActText.DEMOTE_WHY, _USER, _demote),
        "delete": Act(ActText.DELETE, ActText.DELETE_WHY, _USERS, _delete, typed=True),
        "group-add": Act(ActText.GROUP_ADD, ActText.GROUP_ADD_WHY, _GROUPS, _group_add, (_A_GROUP,)),
        "group-delete": Act(ActText.GROUP_DELETE, ActText.GROUP_DELETE_WHY, _GROUPS, _group_delete, typed=True),
        "release": Act(ActText.RELEASE, ActText.RELEASE_WHY, f"{ADMIN}/locks", _release),
        "revoke": Act(ActText.REVOKE, ActText.REVOKE_WHY, _AUTHORITY, _revoke, (_REASON,)),
        "approve": Act(ActText.APPROVE, ActText.APPROVE_WHY, _AUTHORITY, _approve),
        "reject": Act(ActText.REJECT, ActText.REJECT_WHY, _AUTHORITY, _reject),
    }
)
"""By the name in the address."""

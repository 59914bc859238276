"""The frame of the pages of administrators: who may see one, the way to the others, the form of an act.

Layer: ``apps``.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from candado.apps.admin_acts import ACTS, Act, Field
from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.html_pages import good, html_page, problem, refused
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.apps.signed_in import ADMIN, DEVICES, Visit, go_to, labelled, page, password_field, tab_bar, token_field
from candado.apps.texts import Speech
from candado.apps.texts.acts import FieldText
from candado.apps.texts.admin import AdminText
from candado.apps.texts.common import Common
from candado.apps.texts.personal import PersonalText
from candado.errors import AuthRequiredError, CandadoError, ForbiddenError, NotFoundError
from candado.server.browsers import Browser

__all__ = ["act_link", "admin_page", "admin_route", "ask_act", "do_act"]

_TABS: Final = (
    (ADMIN, AdminText.OVERVIEW),
    (f"{ADMIN}/users", AdminText.USERS),
    (f"{ADMIN}/groups", AdminText.GROUPS),
    (f"{ADMIN}/locks", AdminText.LOCKS),
    (f"{ADMIN}/authority", AdminText.AUTHORITY),
    (f"{ADMIN}/recovery", AdminText.RECOVERY),
    (f"{ADMIN}/rules", AdminText.RULES),
    (f"{ADMIN}/audit", AdminText.AUDIT),
    (DEVICES, AdminText.OWN),
)
_HERE: Final = {act: one.home.removesuffix("/{id}") for act, one in ACTS.items()}

AdminWork = Callable[[Visit, Browser], Awaitable[Response]]


def admin_route(
    services: Services, work: AdminWork, *, for_script: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint for administrators who are signed in; a form must be one of a page of theirs.

    Others are sent to the sign-in, but for a script, which could do nothing with it: it is refused.
    """

    async def run(visit: Visit) -> Response:
        try:
            browser = await (visit.sender() if visit.request.method == "POST" else visit.browser())
        except AuthRequiredError as error:
            if for_script:
                raise ForbiddenError("sign in to see this") from error
            raise
        if not browser.is_admin:
            raise ForbiddenError("this page is for administrators")
        return await work(visit, browser)

    return page(services, run, home=ADMIN)


def admin_page(visit: Visit, title: str, inner: Part, *, here: str, code: int = 200, script: str = "") -> Response:
    """One of the pages of administrators; above it what was just done."""
    bar = tab_bar(visit.say, _TABS, here, AdminText.ADMINISTRATION)
    act = ACTS.get(visit.done)
    done = None if act is None else good(visit.say(AdminText.DONE, what=visit.say(act.title)))
    return html_page(visit.view, title, joined(done, inner), code, tabs=bar, wide=True, script=script)


def act_link(say: Speech, act: str, what: str = "", *, name: str = "") -> Html:
    """The way to the form of an act; ``name`` is of what, for screen readers, where several stand on a page."""
    address = f"{ADMIN}/act/{act}" + (f"?id={quote(what, safe='', errors='replace')}" if what else "")
    title = say.plain(ACTS[act].title)
    return tag("a", title, href=address, aria_label=f"{title}: {name}" if name else None)


async def ask_act(visit: Visit, browser: Browser) -> Response:
    """The form of an act: what it means, what to fill in, the password."""
    name, act = _act_of(visit)
    return _act_page(visit, browser, name, act, visit.request.query_params.get("id", ""))


async def do_act(visit: Visit, browser: Browser) -> Response:
    """Do what a form of ``ask_act`` asks for; what is wrong is told above the form, with all that was filled in."""
    name, act = _act_of(visit)
    what, say = visit.parameters.get("id", ""), visit.say
    if act.typed and visit.parameters.get("typed", "").strip() != what:
        return _act_page(visit, browser, name, act, what, problem(say(FieldText.NOT_TYPED)), 403)
    if not await visit.password_is_right(browser):
        return _act_page(visit, browser, name, act, what, problem(say(PersonalText.WRONG_PASSWORD)), 403)
    try:
        shown = await act.run(visit, browser, what)
    except AuthRequiredError:
        raise
    except CandadoError as error:
        return _act_page(visit, browser, name, act, what, refused(visit.view, error), fault_of(error).status)
    if shown is None:
        return go_to(act.home_of(what), name)
    back = tag("p", tag("a", say(PersonalText.BACK), href=act.home_of(what)))
    return admin_page(visit, say.plain(act.title), joined(shown, back), here=_HERE[name])


def _act_of(visit: Visit) -> tuple[str, Act]:
    name = str(visit.request.path_params["act"])
    act = ACTS.get(name)
    if act is None:
        raise NotFoundError("there is no such act")
    return name, act


def _act_page(
    visit: Visit, browser: Browser, name: str, act: Act, what: str, trouble: Part = None, code: int = 200
) -> Response:
    say = visit.say
    form = tag(
        "form",
        token_field(browser),
        tag("input", type="hidden", name="id", value=what),
        *(_field(say, field, visit.parameters.get(field.name, "")) for field in act.fields),
        labelled(say(FieldText.TYPED, name=what), "typed", autocomplete="off") if act.typed else None,
        password_field(say),
        tag("button", say(act.title), type="submit"),
        method="post",
        action=f"{ADMIN}/act/{name}",
    )
    about = tag("p", say(FieldText.ABOUT, what=tag("b", what))) if what else None
    back = tag("p", tag("a", say(Common.BACK), href=act.home_of(what)))
    inner = joined(trouble, about, tag("p", say(act.why)), form, back)
    return admin_page(visit, say.plain(act.title), inner, here=_HERE[name], code=code)


def _field(say: Speech, field: Field, value: str) -> Html:
    if not field.choices:
        return labelled(say(field.label), field.name, required=field.required, value=value, autocomplete="off")
    choices = (tag("option", choice, value=choice, selected=choice == value) for choice in field.choices)
    return joined(
        tag("label", say(field.label), for_=field.name), tag("select", *choices, id=field.name, name=field.name)
    )

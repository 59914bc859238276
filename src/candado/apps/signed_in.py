"""Pages for who is signed in with a browser: sign-in, forms that only such a page can send, refusals as pages.

Layer: ``apps``. Every form carries what only a page given to this browser has, the cookie goes with no form of another
site (SameSite), and such a form is refused besides.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.html_pages import View, check_same_site, html_page, problem, refused, view_of
from candado.apps.ocs_call import base_url, leading_number, read_parameters
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.apps.texts import Speech, Text
from candado.apps.texts.common import Common
from candado.apps.texts.devices import DeviceText
from candado.apps.texts.personal import KeyText, PersonalText, SharingText
from candado.errors import AuthRequiredError, CandadoError, ForbiddenError
from candado.server.audit import acting
from candado.server.browsers import BROWSER_SECONDS, Browser
from candado.server.model import Principal
from candado.types import SecretText

__all__ = [
    "ADMIN",
    "DEVICES",
    "Visit",
    "button",
    "go_to",
    "labelled",
    "page",
    "password_field",
    "personal_page",
    "send_to_sign_in",
    "sign_in",
    "sign_out",
    "tab_bar",
    "token_field",
]

DEVICES: Final = "/settings/user/security"
ADMIN: Final = "/settings/admin"
_COOKIE: Final = "candado_browser"
_FORM_BYTES_MAX: Final = 256 * 1024
_SAFE_TARGET: Final = re.compile(r"/settings/(user|admin)(/[a-z-]{1,30}){0,2}\Z")
_NO_STORE: Final = {"Cache-Control": "no-store"}
_TABS: Final = (
    (DEVICES, DeviceText.TITLE),
    ("/settings/user/keys", KeyText.TITLE),
    ("/settings/user/sharing", SharingText.TITLE),
)


class Visit:
    """One request to a page."""

    def __init__(self, services: Services, request: Request) -> None:
        self.services = services
        self.request = request
        self.view: View = view_of(request)
        self.say = self.view.say
        self.parameters: dict[str, str] = {}

    @property
    def address(self) -> str:
        """Whence the request came, for limits."""
        return self.request.client.host if self.request.client else ""

    @property
    def done(self) -> str:
        """What was just done, by the address that the browser was sent to."""
        return self.request.query_params.get("done", "")

    async def browser(self) -> Browser:
        """The browser, signed in; AuthRequiredError."""
        browser = await self.services.browsers.find(SecretText(self.request.cookies.get(_COOKIE, "")))
        acting(Principal(browser.user_id, browser.is_admin))
        return browser

    async def read_form(self) -> None:
        """Take the parameters of a form of this site; ForbiddenError, BadRequestError, LimitExceededError."""
        check_same_site(self.services, self.request, advice=Common.SENT_AGAIN)
        self.parameters = await read_parameters(self.request, bytes_max=_FORM_BYTES_MAX)

    async def sender(self) -> Browser:
        """The browser that sent the form; errors as ``browser`` and ``read_form``."""
        await self.read_form()
        browser = await self.browser()
        if not browser.sent(self.parameters.get("token", "")):
            advice = Common.SENT_AGAIN.plain("en")
            raise ForbiddenError("this form is not from a page of this browser", advice=advice)
        return browser

    async def password_is_right(self, browser: Browser) -> bool:
        """Whether the form has the login password of who is signed in; RateLimitedError."""
        password = SecretText(self.parameters.get("password", ""))
        try:
            await self.services.authenticator.sign_in(browser.user_id, password, self.address)
        except AuthRequiredError:
            return False
        return True

    @property
    def number(self) -> int:
        """The number of the thing that the form is about."""
        return leading_number(self.parameters.get("id", ""))


Work = Callable[[Visit], Awaitable[Response]]


def page(services: Services, work: Work, *, home: str = DEVICES) -> Callable[[Request], Awaitable[Response]]:
    """Make a Starlette endpoint of ``work``; what it raises is shown as a page with a way back to ``home``."""

    async def run(request: Request) -> Response:
        return await _guarded(Visit(services, request), work, home)

    return run


async def _guarded(visit: Visit, work: Work, home: str) -> Response:
    try:
        return await work(visit)
    except AuthRequiredError:
        # A form that comes too late is answered with the sign-in; a first visit is no error.
        late = visit.request.method == "POST"
        trouble = visit.say(Common.LATE) if late else None
        return send_to_sign_in(visit, "", trouble, home if late else visit.request.url.path)
    except CandadoError as error:
        fault = fault_of(error)
        # The advice of most errors is for people at a command line.
        advice = visit.say(Common.SENT_AGAIN) if error.advice == Common.SENT_AGAIN.plain("en") else None
        back = tag("p", tag("a", visit.say(PersonalText.BACK), href=home))
        answer = html_page(
            visit.view, visit.say.plain(Common.FAILED), joined(refused(visit.view, error, advice), back), fault.status
        )
        for name, value in fault.headers:
            answer.headers[name.decode("ascii")] = value.decode("ascii")
        return answer


# --- sign-in -----------------------------------------------------------------------------------------------


def send_to_sign_in(visit: Visit, user: str, trouble: Part, target: str) -> Response:
    """The form that asks for name and password, 403 with what went wrong; after it ``target`` is shown."""
    say = visit.say
    at_devices = target == DEVICES or not _SAFE_TARGET.match(target)
    form = tag(
        "form",
        tag("input", type="hidden", name="to", value=target) if not at_devices else None,
        labelled(say(Common.USER_NAME), "user", value=user, autocomplete="username"),
        labelled(say(Common.PASSWORD), "password", type="password", autocomplete="current-password"),
        tag("button", say(Common.SIGN_IN), type="submit"),
        method="post",
        action=f"{DEVICES}/sign-in",
    )
    intro = tag("p", say(DeviceText.INTRO if at_devices else PersonalText.SIGN_IN_INTRO))
    inner = joined(problem(trouble) if trouble else None, intro, form, tag("p", say(Common.NO_WORDS)))
    title = say.plain(DeviceText.TITLE if at_devices else Common.SIGN_IN)
    return html_page(visit.view, title, inner, 403 if trouble else 200)


async def sign_in(visit: Visit) -> Response:
    """Take the form of ``send_to_sign_in``."""
    await visit.read_form()
    services = visit.services
    user, target = visit.parameters.get("user", "").strip(), visit.parameters.get("to", DEVICES)
    try:
        password = SecretText(visit.parameters.get("password", ""))
        principal = await services.authenticator.sign_in(user, password, visit.address)
    except AuthRequiredError:
        return send_to_sign_in(visit, user, visit.say(Common.WRONG), target)
    browser = await services.browsers.sign_in(principal.user_id)
    answer = go_to(target if _SAFE_TARGET.match(target) else DEVICES)
    answer.set_cookie(
        _COOKIE,
        browser.token.reveal(),
        max_age=BROWSER_SECONDS,
        path="/",
        secure=base_url(services, visit.request).startswith("https://"),
        httponly=True,
        samesite="strict",
    )
    return answer


async def sign_out(visit: Visit) -> Response:
    """End the sign-in of the browser that sent the form."""
    await visit.services.browsers.sign_out(await visit.sender())
    answer = go_to(DEVICES)
    answer.delete_cookie(_COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def go_to(address: str, done: str = "") -> Response:
    """Send the browser to another page, so that loading it again repeats nothing."""
    return RedirectResponse(address + (f"?done={done}" if done else ""), 303, dict(_NO_STORE))


# --- parts of pages ----------------------------------------------------------------------------------------


def labelled(label: Part, name: str, *, required: bool = True, **attributes: str | int | bool | None) -> Html:
    """An input with its label."""
    field = tag("input", id=name, name=name, required=required, **attributes)
    return joined(tag("label", label, for_=name), field)


def password_field(say: Speech) -> Html:
    """The password of who is signed in, for what is dangerous."""
    label = say(PersonalText.OWN_PASSWORD)
    return labelled(label, "password", type="password", autocomplete="current-password")


def token_field(browser: Browser) -> Html:
    """What makes a form one of a page of this browser."""
    return tag("input", type="hidden", name="token", value=browser.form_token)


def button(browser: Browser, action: str, label: Part, *more: Part, name: str | None = None) -> Html:
    """A form that is one button; ``name`` is what a screen reader says of it."""
    press = tag("button", label, type="submit", aria_label=name)
    return tag("form", token_field(browser), *more, press, method="post", action=action)


async def personal_page(
    visit: Visit, browser: Browser, title: Text, inner: Part, *, here: str, code: int = 200
) -> Response:
    """One of the pages about the own account; each tells of a recovery key that is on."""
    said = await visit.services.recovery.notice()
    warning = tag("p", visit.say(PersonalText.RECOVERY, said=said), class_="bad", role="note") if said else None
    shown = [*_TABS, (ADMIN, PersonalText.ADMINISTRATION)] if browser.is_admin else _TABS
    bar = tab_bar(visit.say, shown, here, PersonalText.ACCOUNT)
    return html_page(visit.view, visit.say.plain(title), joined(warning, inner), code, tabs=bar)


def tab_bar(say: Speech, shown: Sequence[tuple[str, Text]], here: str, name: Text) -> Html:
    """The way to the pages of one kind."""
    links = (
        tag("a", say(text), href=address, aria_current="page" if address == here else None) for address, text in shown
    )
    return tag("nav", *links, class_="tabs", aria_label=say.plain(name))

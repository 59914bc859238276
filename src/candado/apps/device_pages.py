"""The personal page ``/settings/user/security``: devices of the account, and the remote wipe of a lost one.

Layer: ``apps``. The pages have no script and load nothing. Every form carries what only a page given to this browser
has, the cookie goes with no form of another site (SameSite), and such a form is refused besides. The two calls of the
remote wipe are made by stock clients whose app password was refused.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from candado.apps.device_html import BASE, devices_html, front_html, sign_in_html, wipe_html
from candado.apps.html_pages import check_same_site, html_page, problem
from candado.apps.ocs_call import base_url, leading_number, read_parameters
from candado.apps.plain_routes import json_answer
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.errors import AuthRequiredError, CandadoError, ForbiddenError
from candado.server.browsers import BROWSER_SECONDS, Browser
from candado.server.ratelimit import Limit, address_bucket
from candado.types import SecretText

__all__ = ["device_routes"]

_COOKIE: Final = "candado_browser"
_FORM_BYTES_MAX: Final = 16 * 1024
_WIPES: Final = (60, 600.0)
_TITLE: Final = "Your devices"
_ADVICE: Final = "Open the page of your devices again and send the form from there."
_NO_STORE: Final = {"Cache-Control": "no-store"}


def device_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module; the ``index.php`` spellings are taken off before."""

    def page(work: "_Work") -> Callable[[Request], Awaitable[Response]]:
        async def run(request: Request) -> Response:
            return await _guarded(_Visit(services, request), work)

        return run

    async def check(request: Request) -> Response:
        return await _wipe_call(services, request, services.devices.is_to_wipe, {"wipe": True})

    async def success(request: Request) -> Response:
        return await _wipe_call(services, request, services.devices.wiped, [])

    actions = {"revoke": _revoke, "revoke-all": _revoke_all, "wipe": _wipe, "new": _new, "sign-out": _sign_out}
    return [
        Route("/", page(_front), methods=["GET"]),
        Route("/settings/user", page(_to_devices), methods=["GET"]),
        Route(BASE, page(_show), methods=["GET"]),
        Route(f"{BASE}/sign-in", page(_sign_in), methods=["POST"]),
        Route(f"{BASE}/wipe", page(_ask), methods=["GET"]),
        *(Route(f"{BASE}/{name}", page(work), methods=["POST"]) for name, work in actions.items()),
        Route("/core/wipe/check", check, methods=["POST"]),
        Route("/core/wipe/success", success, methods=["POST"]),
    ]


class _Visit:
    """One request to a page."""

    def __init__(self, services: Services, request: Request) -> None:
        self.services = services
        self.request = request
        self.parameters: dict[str, str] = {}

    async def browser(self) -> Browser:
        """The browser, signed in; AuthRequiredError."""
        return await self.services.browsers.find(SecretText(self.request.cookies.get(_COOKIE, "")))

    async def read_form(self) -> None:
        """Take the parameters of a form of this site; ForbiddenError, BadRequestError, LimitExceededError."""
        check_same_site(self.services, self.request, advice=_ADVICE)
        self.parameters = await read_parameters(self.request, bytes_max=_FORM_BYTES_MAX)

    async def sender(self) -> Browser:
        """The browser that sent the form; errors as ``browser`` and ``read_form``."""
        await self.read_form()
        browser = await self.browser()
        if not browser.sent(self.parameters.get("token", "")):
            raise ForbiddenError("this form is not from a page of this browser", advice=_ADVICE)
        return browser

    @property
    def device_id(self) -> int:
        """The device the form is about."""
        return leading_number(self.parameters.get("id", ""))


_Work = Callable[[_Visit], Awaitable[Response]]


async def _guarded(visit: _Visit, work: _Work) -> Response:
    """Run ``work`` and show what it raises as a page."""
    try:
        return await work(visit)
    except AuthRequiredError:
        # A form that comes too late is answered with the sign-in; a first visit is no error.
        late = visit.request.method == "POST"
        trouble = "You were signed out. Nothing was changed." if late else ""
        return html_page(_TITLE, sign_in_html("", trouble), 403 if late else 200)
    except CandadoError as error:
        fault = fault_of(error)
        # The advice of most errors is for people at a command line.
        back = f'{problem(fault.message)}<p><a href="{BASE}">Back to your devices</a></p>'
        answer = html_page("This did not work", back, fault.status)
        for name, value in fault.headers:
            answer.headers[name.decode("ascii")] = value.decode("ascii")
        return answer


async def _front(visit: _Visit) -> Response:
    del visit
    return html_page("candado", front_html())


async def _to_devices(visit: _Visit, done: str = "") -> Response:
    del visit
    return RedirectResponse(BASE + (f"?done={done}" if done else ""), 303, dict(_NO_STORE))


async def _show(visit: _Visit) -> Response:
    browser = await visit.browser()
    devices = await visit.services.devices.all(browser.user_id)
    return html_page(_TITLE, devices_html(browser, devices, done=visit.request.query_params.get("done", "")))


async def _sign_in(visit: _Visit) -> Response:
    await visit.read_form()
    services, request = visit.services, visit.request
    user = visit.parameters.get("user", "").strip()
    address = request.client.host if request.client else ""
    try:
        password = SecretText(visit.parameters.get("password", ""))
        principal = await services.authenticator.sign_in(user, password, address)
    except AuthRequiredError:
        return html_page(_TITLE, sign_in_html(user, "The name or the password is wrong."), 403)
    browser = await services.browsers.sign_in(principal.user_id)
    answer = await _to_devices(visit)
    answer.set_cookie(
        _COOKIE,
        browser.token.reveal(),
        max_age=BROWSER_SECONDS,
        path="/",
        secure=base_url(services, request).startswith("https://"),
        httponly=True,
        samesite="strict",
    )
    return answer


async def _sign_out(visit: _Visit) -> Response:
    await visit.services.browsers.sign_out(await visit.sender())
    answer = await _to_devices(visit)
    answer.delete_cookie(_COOKIE, path="/", httponly=True, samesite="strict")
    return answer


async def _revoke(visit: _Visit) -> Response:
    browser = await visit.sender()
    await visit.services.devices.revoke(browser.user_id, visit.device_id)
    return await _to_devices(visit, "revoked")


async def _revoke_all(visit: _Visit) -> Response:
    browser = await visit.sender()
    await visit.services.browsers.sign_out_others(browser)
    await visit.services.devices.revoke_all(browser.user_id)
    return await _to_devices(visit, "all")


async def _ask(visit: _Visit) -> Response:
    browser = await visit.browser()
    number = leading_number(visit.request.query_params.get("id", ""))
    device = await visit.services.devices.get(browser.user_id, number)
    return html_page("Wipe this device?", wipe_html(browser, device))


async def _wipe(visit: _Visit) -> Response:
    browser = await visit.sender()
    await visit.services.devices.ask_wipe(browser.user_id, visit.device_id)
    return await _to_devices(visit, "wipe")


async def _new(visit: _Visit) -> Response:
    browser = await visit.sender()
    devices = visit.services.devices
    secret = await devices.make(browser.user_id, visit.parameters.get("label", ""))
    return html_page(_TITLE, devices_html(browser, await devices.all(browser.user_id), secret=secret.reveal()))


async def _wipe_call(
    services: Services, request: Request, found: Callable[[SecretText], Awaitable[bool]], answer: object
) -> Response:
    """A call of a device that was signed out: ``answer`` when it was asked to wipe itself, else 404."""
    try:
        address = request.client.host if request.client else ""
        limit = Limit("wipe", address_bucket(address), *_WIPES)
        await services.limiter.take(limit)
        parameters = await read_parameters(request, bytes_max=_FORM_BYTES_MAX)
        if not await found(SecretText(parameters.get("token", ""))):
            return json_answer([], 404)
        await services.limiter.give_back(limit)
    except CandadoError as error:
        fault = fault_of(error)
        refused = json_answer([], fault.status)
        for name, value in fault.headers:
            refused.headers[name.decode("ascii")] = value.decode("ascii")
        return refused
    return json_answer(answer)

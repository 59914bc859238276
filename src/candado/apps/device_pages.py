"""The personal page ``/settings/user/security``: devices of the account, and the remote wipe of a lost one.

Layer: ``apps``. The pages have no script and load nothing. The two calls of the remote wipe are made by stock clients
whose app password was refused.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.device_html import devices_html, front_html, wipe_html
from candado.apps.html_pages import html_page
from candado.apps.ocs_call import leading_number, read_parameters
from candado.apps.plain_routes import json_answer
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.apps.signed_in import DEVICES, Visit, go_to, page, personal_page, sign_in, sign_out
from candado.apps.texts.devices import DeviceText
from candado.errors import CandadoError
from candado.server.ratelimit import Limit, address_bucket
from candado.types import SecretText

__all__ = ["device_routes"]

_FORM_BYTES_MAX: Final = 16 * 1024
_WIPES: Final = (60, 600.0)


def device_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module; the ``index.php`` spellings are taken off before."""

    async def check(request: Request) -> Response:
        return await _wipe_call(services, request, services.devices.is_to_wipe, {"wipe": True})

    async def success(request: Request) -> Response:
        return await _wipe_call(services, request, services.devices.wiped, [])

    actions = {"revoke": _revoke, "revoke-all": _revoke_all, "wipe": _wipe, "new": _new, "sign-out": sign_out}
    return [
        Route("/", page(services, _front), methods=["GET"]),
        Route("/settings/user", page(services, _to_devices), methods=["GET"]),
        Route(DEVICES, page(services, _show), methods=["GET"]),
        Route(f"{DEVICES}/sign-in", page(services, sign_in), methods=["POST"]),
        Route(f"{DEVICES}/wipe", page(services, _ask), methods=["GET"]),
        *(Route(f"{DEVICES}/{name}", page(services, work), methods=["POST"]) for name, work in actions.items()),
        Route("/core/wipe/check", check, methods=["POST"]),
        Route("/core/wipe/success", success, methods=["POST"]),
    ]


async def _front(visit: Visit) -> Response:
    return html_page(visit.view, "candado", front_html(visit.say))


async def _to_devices(visit: Visit) -> Response:
    del visit
    return go_to(DEVICES)


async def _show(visit: Visit) -> Response:
    return await _shown(visit, done=visit.done)


async def _shown(visit: Visit, *, done: str = "", secret: str = "") -> Response:
    browser = await visit.browser()
    devices = await visit.services.devices.all(browser.user_id)
    inner = devices_html(visit.say, browser, devices, done=done, secret=secret)
    return await personal_page(visit, browser, DeviceText.TITLE, inner, here=DEVICES)


async def _revoke(visit: Visit) -> Response:
    browser = await visit.sender()
    await visit.services.devices.revoke(browser.user_id, visit.number)
    return go_to(DEVICES, "revoked")


async def _revoke_all(visit: Visit) -> Response:
    browser = await visit.sender()
    await visit.services.browsers.sign_out_others(browser)
    await visit.services.devices.revoke_all(browser.user_id)
    return go_to(DEVICES, "all")


async def _ask(visit: Visit) -> Response:
    browser = await visit.browser()
    number = leading_number(visit.request.query_params.get("id", ""))
    device = await visit.services.devices.get(browser.user_id, number)
    inner = wipe_html(visit.say, browser, device)
    return await personal_page(visit, browser, DeviceText.WIPE_TITLE, inner, here=DEVICES)


async def _wipe(visit: Visit) -> Response:
    browser = await visit.sender()
    await visit.services.devices.ask_wipe(browser.user_id, visit.number)
    return go_to(DEVICES, "wipe")


async def _new(visit: Visit) -> Response:
    browser = await visit.sender()
    secret = await visit.services.devices.make(browser.user_id, visit.parameters.get("label", ""))
    return await _shown(visit, secret=secret.reveal())


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

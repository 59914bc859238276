"""The sign-in of devices (login flow v2): two calls for the device, one page for the person.

Layer: ``apps``. The page has no script, loads nothing, and cannot be framed. Name and password travel in the POST that
confirms, so there is no session another site could ride on; a POST that comes from another site is refused anyway.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.html_pages import check_same_site, html_page, problem, refused, view_of
from candado.apps.ocs_call import base_url, read_parameters
from candado.apps.plain_routes import json_answer, json_refusal
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.apps.signed_in import DEVICES, labelled
from candado.apps.texts import Speech
from candado.apps.texts.common import Common
from candado.apps.texts.devices import DeviceText
from candado.errors import AuthRequiredError, CandadoError
from candado.server.ratelimit import Limit, address_bucket
from candado.types import SecretText

__all__ = ["login_routes"]

_FORM_BYTES_MAX: Final = 16 * 1024
_STARTS: Final = (60, 600.0)


def login_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module; the ``index.php`` spellings are taken off before."""

    async def start(request: Request) -> Response:
        return await _start(services, request)

    async def poll(request: Request) -> Response:
        return await _poll(services, request)

    async def page(request: Request) -> Response:
        # One route, so that a wrong method is told all right ones.
        return await (_confirm if request.method == "POST" else _show)(services, request)

    return [
        Route("/login/v2", start, methods=["POST"]),
        Route("/login/v2/poll", poll, methods=["POST"]),
        Route("/login/v2/flow/{token}", page, methods=["GET", "POST"]),
    ]


async def _start(services: Services, request: Request) -> Response:
    try:
        address = request.client.host if request.client else ""
        await services.limiter.take(Limit("login.flow", address_bucket(address), *_STARTS))
        started = await services.logins.start(request.headers.get("user-agent", ""))
    except CandadoError as error:
        return _refused(error)
    url = base_url(services, request)
    return json_answer(
        {
            "poll": {"token": started.poll_token.reveal(), "endpoint": f"{url}/login/v2/poll"},
            "login": f"{url}/login/v2/flow/{started.flow_token.reveal()}",
        }
    )


async def _poll(services: Services, request: Request) -> Response:
    try:
        parameters = await read_parameters(request, bytes_max=_FORM_BYTES_MAX)
        done = await services.logins.poll(parameters.get("token", ""))
    except CandadoError as error:
        return _refused(error)
    if done is None:
        # Empty on purpose: a stock phone app stops asking when this body has anything in it.
        return Response(status_code=404)
    user_id, secret = done
    return json_answer({"server": base_url(services, request), "loginName": user_id, "appPassword": secret.reveal()})


async def _show(services: Services, request: Request) -> Response:
    view = view_of(request)
    try:
        name = await services.logins.client_name(str(request.path_params["token"]))
    except CandadoError as error:
        inner = refused(view, error, view.say(DeviceText.LET_IN_AGAIN))
        return html_page(view, view.say.plain(DeviceText.LET_IN_UNKNOWN), inner, fault_of(error).status)
    return html_page(view, view.say.plain(DeviceText.LET_IN_TITLE), _form(view.say, name, "", None))


async def _confirm(services: Services, request: Request) -> Response:
    token, view = str(request.path_params["token"]), view_of(request)
    say = view.say
    user = ""
    try:
        check_same_site(services, request, advice=DeviceText.LET_IN_AGAIN)
        name = await services.logins.client_name(token)
        parameters = await read_parameters(request, bytes_max=_FORM_BYTES_MAX)
        user = parameters.get("user", "").strip()
        address = request.client.host if request.client else ""
        try:
            password = SecretText(parameters.get("password", ""))
            principal = await services.authenticator.sign_in(user, password, address)
        except AuthRequiredError:
            inner = _form(say, name, user, say(Common.WRONG))
            return html_page(view, say.plain(DeviceText.LET_IN_TITLE), inner, 403)
        await services.logins.confirm(token, principal.user_id)
    except CandadoError as error:
        inner = refused(view, error, say(DeviceText.LET_IN_AGAIN))
        return html_page(view, say.plain(DeviceText.LET_IN_FAILED), inner, fault_of(error).status)
    done = tag("p", say(DeviceText.LET_IN_CLOSE, device=name))
    link = tag("p", tag("a", say(DeviceText.TITLE), href=DEVICES))
    return html_page(view, say.plain(DeviceText.LET_IN_DONE), joined(done, link))


def _form(say: Speech, device: str, user: str, trouble: Part) -> Html:
    form = tag(
        "form",
        labelled(say(Common.USER_NAME), "user", value=user, autocomplete="username"),
        labelled(say(Common.PASSWORD), "password", type="password", autocomplete="current-password"),
        tag("button", say(DeviceText.LET_IN), type="submit"),
        method="post",
    )
    asked = tag("p", say(DeviceText.LET_IN_ASKED, device=tag("b", device)))
    return joined(problem(trouble) if trouble else None, asked, form)


def _refused(error: CandadoError) -> Response:
    fault = fault_of(error)
    answer = json_refusal(fault.status, fault.code, fault.message)
    for name, value in fault.headers:
        answer.headers[name.decode("ascii")] = value.decode("ascii")
    return answer

"""The sign-in of devices (login flow v2): two calls for the device, one page for the person.

Layer: ``apps``. The page has no script, loads nothing, and cannot be framed. Name and password travel in the POST that
confirms, so there is no session another site could ride on; a POST that comes from another site is refused anyway.
"""

from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.device_html import BASE
from candado.apps.html_pages import check_same_site, html_page, problem
from candado.apps.ocs_call import base_url, read_parameters
from candado.apps.plain_routes import json_answer, json_refusal
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.errors import AuthRequiredError, CandadoError
from candado.server.ratelimit import Limit, address_bucket
from candado.types import SecretText

__all__ = ["login_routes"]

_FORM_BYTES_MAX: Final = 16 * 1024
_STARTS: Final = (60, 600.0)
_ADVICE: Final = "Open the link of the app again."


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
    try:
        name = await services.logins.client_name(str(request.path_params["token"]))
    except CandadoError as error:
        return html_page("Sign-in not found", problem(error.message, error.advice), fault_of(error).status)
    return html_page("Let a device in", _form(name, "", ""))


async def _confirm(services: Services, request: Request) -> Response:
    token = str(request.path_params["token"])
    user = ""
    try:
        check_same_site(services, request, advice=_ADVICE)
        name = await services.logins.client_name(token)
        parameters = await read_parameters(request, bytes_max=_FORM_BYTES_MAX)
        user = parameters.get("user", "").strip()
        address = request.client.host if request.client else ""
        try:
            password = SecretText(parameters.get("password", ""))
            principal = await services.authenticator.sign_in(user, password, address)
        except AuthRequiredError:
            return html_page("Let a device in", _form(name, user, "The name or the password is wrong."), 403)
        await services.logins.confirm(token, principal.user_id)
    except CandadoError as error:
        return html_page("Not signed in", problem(error.message, error.advice), fault_of(error).status)
    done = f"<p>{escape(name)} can now use the account. You can close this page.</p>"
    return html_page("The device is in", f'{done}<p><a href="{BASE}">Your devices</a></p>')


def _form(device: str, user: str, trouble: str) -> str:
    warning = problem(trouble) if trouble else ""
    return (
        f"{warning}<p><b>{escape(device)}</b> asks to use your account. Go on only if you have just started"
        " this yourself on a device of yours.</p>"
        '<form method="post"><label for="user">User name</label>'
        f'<input id="user" name="user" value="{escape(user)}" autocomplete="username" required>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        '<button type="submit">Let the device in</button></form>'
    )


def _refused(error: CandadoError) -> Response:
    fault = fault_of(error)
    answer = json_refusal(fault.status, fault.code, fault.message)
    for name, value in fault.headers:
        answer.headers[name.decode("ascii")] = value.decode("ascii")
    return answer

"""The page ``/invitation/TOKEN``, on which a user sets the own password with a link from an administrator.

Layer: ``apps``. Who has the link may do it, once; guesses are slowed down by address. It asks for no other secret.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.html_build import Html, Part, joined, tag
from candado.apps.html_pages import View, check_same_site, html_page, problem, refused, view_of
from candado.apps.ocs_call import read_parameters
from candado.apps.server_errors import fault_of
from candado.apps.server_wiring import Services
from candado.apps.signed_in import DEVICES, labelled
from candado.apps.texts import Speech
from candado.apps.texts.common import Common
from candado.apps.texts.devices import DeviceText
from candado.apps.texts.invitation import InvitationText
from candado.errors import BadRequestError, CandadoError
from candado.server.invitations import Invitation
from candado.server.ratelimit import Limit, address_bucket
from candado.types import SecretText

__all__ = ["invitation_routes"]

_FORM_BYTES_MAX: Final = 16 * 1024
_TRIES: Final = (60, 600.0)


def invitation_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module."""

    async def page(request: Request) -> Response:
        view = view_of(request)
        try:
            address = request.client.host if request.client else ""
            await services.limiter.take(Limit("invitation", address_bucket(address), *_TRIES))
            if request.method == "POST":
                check_same_site(services, request, advice=Common.SENT_AGAIN)
            return await _answer(services, request, view)
        except CandadoError as error:
            fault = fault_of(error)
            inner = refused(view, error, view.say(InvitationText.ASK) if fault.status == 404 else None)
            answer = html_page(view, view.say.plain(InvitationText.OVER), inner, fault.status)
            for name, value in fault.headers:
                answer.headers[name.decode("ascii")] = value.decode("ascii")
            return answer

    return [Route("/invitation/{token}", page, methods=["GET", "POST"])]


async def _answer(services: Services, request: Request, view: View) -> Response:
    token, say = SecretText(str(request.path_params["token"])), view.say
    found = await services.invitations.find(token)
    title = say.plain(InvitationText.TITLE)
    if request.method != "POST":
        return html_page(view, title, _form(say, found))
    form = await read_parameters(request, bytes_max=_FORM_BYTES_MAX)
    if form.get("password", "") != form.get("again", ""):
        return html_page(view, title, _form(say, found, problem(say(InvitationText.DIFFERENT))), 400)
    try:
        user_id = await services.invitations.accept(token, SecretText(form.get("password", "")))
    except BadRequestError as error:
        return html_page(view, title, _form(say, found, refused(view, error)), 400)
    done = tag("p", say(InvitationText.DONE, user=tag("b", user_id)))
    link = tag("p", tag("a", say(DeviceText.TITLE), href=DEVICES))
    return html_page(view, say.plain(InvitationText.DONE_TITLE), joined(done, link))


def _form(say: Speech, found: Invitation, trouble: Part = None) -> Html:
    intro = say(InvitationText.INTRO, user=tag("b", found.user_id), end=say.time(found.expires_at))
    # A password manager keeps the name with the password.
    name = tag("input", type="hidden", name="user", value=found.user_id, autocomplete="username")
    form = tag(
        "form",
        name,
        labelled(say(InvitationText.NEW), "password", type="password", autocomplete="new-password"),
        labelled(say(InvitationText.AGAIN), "again", type="password", autocomplete="new-password"),
        tag("button", say(InvitationText.SET), type="submit"),
        method="post",
    )
    return joined(trouble, tag("p", intro), form, tag("p", say(Common.NO_WORDS)))

"""The pages ``/settings/user/keys`` and ``/settings/user/sharing``: own keys, encrypted folders, shares.

Layer: ``apps``. None of them asks for the twelve words or has a key that is secret. The keys of an account can be given
up here: with the password, and with a confirmation that is typed.
"""

from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from candado.apps.html_build import Part
from candado.apps.personal_html import KEYS, RESET, keys_html, reset_html, sharing_html
from candado.apps.server_wiring import Services
from candado.apps.signed_in import Visit, go_to, page, personal_page
from candado.apps.texts.personal import KeyText, PersonalText, ResetText, SharingText
from candado.server.browsers import Browser
from candado.server.model import Principal

__all__ = ["personal_routes"]

_SHARING: Final = "/settings/user/sharing"


def personal_routes(services: Services) -> list[BaseRoute]:
    """All routes of this module; the ``index.php`` spellings are taken off before."""
    return [
        Route(KEYS, page(services, _keys, home=KEYS), methods=["GET"]),
        Route(RESET, page(services, _ask_reset, home=KEYS), methods=["GET"]),
        Route(RESET, page(services, _reset, home=KEYS), methods=["POST"]),
        Route(_SHARING, page(services, _sharing, home=_SHARING), methods=["GET"]),
    ]


async def _keys(visit: Visit) -> Response:
    browser = await visit.browser()
    keys = await visit.services.personal.keys(browser.user_id)
    authority = visit.services.pki.authority_fingerprint_hex
    inner = keys_html(visit.say, keys, authority, done=visit.done == "reset")
    return await personal_page(visit, browser, KeyText.TITLE, inner, here=KEYS)


async def _sharing(visit: Visit) -> Response:
    browser = await visit.browser()
    services, principal = visit.services, Principal(browser.user_id)
    folders = await services.personal.encrypted_folders(browser.user_id)
    received, given = await services.shares.with_me(principal), await services.shares.by_me(principal)
    inner = sharing_html(visit.say, folders, received, given)
    return await personal_page(visit, browser, SharingText.TITLE, inner, here=_SHARING)


async def _ask_reset(visit: Visit) -> Response:
    return await _reset_page(visit, await visit.browser())


async def _reset_page(visit: Visit, browser: Browser, trouble: Part = None) -> Response:
    services = visit.services
    inner = reset_html(
        visit.say,
        browser,
        await services.personal.encrypted_folders(browser.user_id),
        await services.shares.with_me(Principal(browser.user_id)),
        approvals=services.config.new_key_approvals,
        trouble=trouble,
    )
    status = 200 if trouble is None else 403
    return await personal_page(visit, browser, ResetText.TITLE, inner, here=KEYS, code=status)


async def _reset(visit: Visit) -> Response:
    browser = await visit.sender()
    if visit.parameters.get("typed", "").strip() != browser.user_id:
        return await _reset_page(visit, browser, visit.say(ResetText.NOT_TYPED))
    if not await visit.password_is_right(browser):
        return await _reset_page(visit, browser, visit.say(PersonalText.WRONG_PASSWORD))
    await visit.services.personal.reset_keys(browser.user_id)
    return go_to(KEYS, "reset")

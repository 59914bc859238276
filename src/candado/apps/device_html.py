"""What a user sees of the own devices, as HTML.

Layer: ``apps``; pure.
"""

from collections.abc import Sequence
from typing import Final

from candado.apps.html_build import NOTHING, Html, joined, tag
from candado.apps.html_pages import good
from candado.apps.signed_in import DEVICES, button, labelled, token_field
from candado.apps.texts import Speech
from candado.apps.texts.common import Common
from candado.apps.texts.devices import DeviceText
from candado.server.browsers import Browser
from candado.server.devices import Device

__all__ = ["DONE", "devices_html", "front_html", "wipe_html"]

DONE: Final = {
    "revoked": DeviceText.REVOKED,
    "all": DeviceText.ALL_REVOKED,
    "wipe": DeviceText.WIPE_ASKED,
}


def front_html(say: Speech) -> Html:
    """The page at the server's address."""
    link = tag("a", say(DeviceText.TITLE), href=DEVICES)
    return joined(tag("p", say(Common.FRONT)), tag("p", link))


def devices_html(say: Speech, browser: Browser, devices: Sequence[Device], *, done: str = "", secret: str = "") -> Html:
    """All devices of a user; ``secret`` is a new app password, which is shown this once."""
    made = joined(say(DeviceText.NEW_SECRET), tag("br"), tag("code", secret))
    form = tag(
        "form",
        token_field(browser),
        labelled(say(DeviceText.LABEL), "label", maxlength=120, autocomplete="off"),
        tag("button", say(DeviceText.MAKE), type="submit"),
        method="post",
        action=f"{DEVICES}/new",
    )
    return joined(
        tag("p", say(Common.SIGNED_IN_AS, user=tag("b", browser.user_id))),
        good(say(DONE[done])) if done in DONE else None,
        good(made) if secret else None,
        _list(say, browser, devices) if devices else tag("p", say(DeviceText.NONE)),
        tag("h2", say(DeviceText.NEW)),
        form,
        tag("h2", say(DeviceText.THIS_BROWSER)),
        button(browser, f"{DEVICES}/sign-out", say(Common.SIGN_OUT)),
        tag("p", say(Common.NO_WORDS)),
    )


def wipe_html(say: Speech, browser: Browser, device: Device) -> Html:
    """The question before a device is asked to wipe itself."""
    asked = say(DeviceText.WIPE_EXPLAINED, device=tag("b", device.label), since=say.time(device.created_at))
    name = say.plain(DeviceText.WIPE_NOW_ONE, device=device.label)
    press = button(browser, f"{DEVICES}/wipe", say(DeviceText.WIPE_NOW), _number(device), name=name)
    return joined(tag("p", asked), press, tag("p", tag("a", say(Common.BACK), href=DEVICES)))


def _list(say: Speech, browser: Browser, devices: Sequence[Device]) -> Html:
    return joined(
        tag("ul", *(_row(say, browser, device) for device in devices), class_="rows"),
        tag("h2", say(DeviceText.ALL)),
        button(browser, f"{DEVICES}/revoke-all", say(DeviceText.SIGN_OUT_ALL)),
    )


def _row(say: Speech, browser: Browser, device: Device) -> Html:
    since = say.time(device.created_at)
    if device.last_used_at is None:
        used = say(DeviceText.NEVER_USED, since=since)
    else:
        used = say(DeviceText.USED, since=since, used=say.time(device.last_used_at))
    name = say.plain(DeviceText.SIGN_OUT_ONE, device=device.label)
    out = button(browser, f"{DEVICES}/revoke", say(DeviceText.SIGN_OUT), _number(device), name=name)
    wipe = tag(
        "a",
        say(DeviceText.WIPE),
        href=f"{DEVICES}/wipe?id={device.device_id}",
        aria_label=say.plain(DeviceText.WIPE_ONE, device=device.label),
    )
    waits = device.wipe_asked_at is not None
    state = joined(used, Html(" "), say(DeviceText.WIPING)) if waits else used
    return tag("li", tag("b", device.label), tag("p", state), out, NOTHING if waits else wipe)


def _number(device: Device) -> Html:
    return tag("input", type="hidden", name="id", value=device.device_id)

"""What a user sees of the own devices, as HTML.

Layer: ``apps``; pure. Labels come from devices and people: all of them pass ``escape``.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

from candado.apps.html_pages import problem, shown_time
from candado.server.browsers import Browser
from candado.server.devices import Device

__all__ = ["BASE", "DONE", "devices_html", "front_html", "sign_in_html", "wipe_html"]

BASE: Final = "/settings/user/security"
DONE: Final = {
    "revoked": "The device was signed out.",
    "all": "All devices and all other browsers were signed out.",
    "wipe": "The device was signed out. It removes what it keeps of the account when it next reaches this server.",
}
_NO_WORDS: Final = "<p>No page of this server ever asks for the twelve words of your encryption.</p>"


def front_html() -> str:
    """The page at the server's address."""
    return (
        "<p>This is a server for end-to-end encrypted folders. Connect an app to this address.</p>"
        f'<p><a href="{BASE}">Your devices</a></p>'
    )


def sign_in_html(user: str, trouble: str) -> str:
    """The form that asks for name and password."""
    warning = problem(trouble) if trouble else ""
    return (
        f"{warning}<p>Sign in to see which devices can use your account, and to sign them out.</p>"
        f'<form method="post" action="{BASE}/sign-in"><label for="user">User name</label>'
        f'<input id="user" name="user" value="{escape(user)}" autocomplete="username" required>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        f'<button type="submit">Sign in</button></form>{_NO_WORDS}'
    )


def devices_html(browser: Browser, devices: Sequence[Device], *, done: str = "", secret: str = "") -> str:
    """All devices of a user; ``secret`` is a new app password, which is shown this once."""
    parts = [f"<p>Signed in as <b>{escape(browser.user_id)}</b>.</p>"]
    if done in DONE:
        parts.append(f'<p class="good" role="status">{DONE[done]}</p>')
    if secret:
        parts.append(
            '<p class="good" role="status">The new app password, shown only now. Copy it into the app:<br>'
            f"<code>{escape(secret)}</code></p>"
        )
    if devices:
        parts.append(f'<ul class="rows">{"".join(_row(browser, device) for device in devices)}</ul>')
        everything = _button(browser, "revoke-all", "Sign out all devices and other browsers")
        parts.append(f"<h2>All of them</h2>{everything}")
    else:
        parts.append("<p>No device can use this account.</p>")
    parts.append(
        f'<h2>New app password</h2><form method="post" action="{BASE}/new">{_token(browser)}'
        '<label for="label">What it is for, such as "backup of the laptop"</label>'
        '<input id="label" name="label" maxlength="120" autocomplete="off" required>'
        '<button type="submit">Make an app password</button></form>'
        f"<h2>This browser</h2>{_button(browser, 'sign-out', 'Sign out here')}{_NO_WORDS}"
    )
    return "".join(parts)


def wipe_html(browser: Browser, device: Device) -> str:
    """The question before a device is asked to wipe itself."""
    return (
        f"<p><b>{escape(device.label)}</b>, in use since {shown_time(device.created_at)}, is signed out at once. When"
        " it next reaches this server, the app on it removes the account and all it keeps of it, also files that were"
        " not uploaded yet. This is for a device that is lost: it works only with an app that follows it, and only"
        " while the device is online.</p>"
        f"{_button(browser, 'wipe', 'Sign out and wipe', device)}"
        f'<p><a href="{BASE}">Back, change nothing</a></p>'
    )


def _row(browser: Browser, device: Device) -> str:
    label = escape(device.label)
    used = "never used" if device.last_used_at is None else f"last used {shown_time(device.last_used_at)}"
    actions = _button(browser, "revoke", "Sign out", device)
    if device.wipe_asked_at is None:
        address = f"{BASE}/wipe?id={device.device_id}"
        actions += f'<a href="{address}" aria-label="Wipe {label}">Wipe</a>'
    else:
        used += "; signed out, wipes itself when it next reaches this server"
    return f"<li><b>{label}</b><p>Since {shown_time(device.created_at)}, {used}.</p>{actions}</li>"


def _button(browser: Browser, action: str, text: str, device: Device | None = None) -> str:
    number = f'<input type="hidden" name="id" value="{device.device_id}">' if device is not None else ""
    named = f' aria-label="{text} {escape(device.label)}"' if device is not None else ""
    return (
        f'<form method="post" action="{BASE}/{action}">{_token(browser)}{number}'
        f'<button type="submit"{named}>{text}</button></form>'
    )


def _token(browser: Browser) -> str:
    return f'<input type="hidden" name="token" value="{browser.form_token}">'

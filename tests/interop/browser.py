"""What a person does on our pages in Chromium: one step a run. Runs where Playwright and axe-core are installed.

browser.py STEP URL USER PASSWORD FOLDER        screenshots go into FOLDER
"""

import base64
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
TABS_MAX = 60
RULES_OF_AXE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DEVICES = "/settings/user/security"
STRANGE = 'Phone "of" <b>me</b> & you with_a_name_that_has_no_place_to_break_' + "x" * 50
ADMIN = "/settings/admin"
RULES = """version = 1
[[rule]]
id = "contracts"
deny = "create when group = HR and not encrypted"
message = "Contracts belong into an encrypted folder."
"""
NARROW = 320  # CSS pixels, WCAG 1.4.10


class Scene:
    """One user of a server, and a browser."""

    def __init__(self, url: str, user: str, password: str, folder: str) -> None:
        self.url, self.user, self.password, self.folder = url, user, password, Path(folder)

    @contextmanager
    def page(
        self, *, script: bool = False, scheme: Any = "light", width: int = 800, locale: str = "en-GB"
    ) -> Iterator[Page]:
        """A page of a new browser without cookies; ``script`` lets a page run scripts, of which ours have few."""
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
            context = browser.new_context(
                java_script_enabled=script,
                color_scheme=scheme,
                viewport={"width": width, "height": 900},
                locale=locale,
            )
            errors: list[str] = []
            page = context.new_page()
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            try:
                yield page
            finally:
                browser.close()
            # A refused style or script would be told here; a status of 4xx is, too, and is looked at elsewhere.
            assert [text for text in errors if "Failed to load resource" not in text] == []

    def call(self, method: str, path: str, form: dict[str, str] | None = None, *, basic: bool = True) -> Any:
        """A request as a program sends it; the JSON of its answer, None when it has none."""
        headers = {"OCS-APIRequest": "true", "Accept": "application/json", "User-Agent": STRANGE}
        if basic:
            secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {secret}"
        body = None if form is None else urlencode(form).encode()
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] in (b"{", b"[") else None

    def text(self, method: str, path: str, body: str, more: dict[str, str] | None = None) -> str:
        """A request of the user as a program sends it; the text of its answer."""
        secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {
            "OCS-APIRequest": "true",
            "Authorization": f"Basic {secret}",
            "User-Agent": "candado/0",
            **(more or {}),
        }
        request = urllib.request.Request(self.url + path, body.encode(), headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())

    def flow(self) -> tuple[str, str]:
        """Begin a sign-in as a device does: the page to open, and the token to ask with."""
        started = self.call("POST", "/index.php/login/v2", {}, basic=False)
        return started["login"], started["poll"]["token"]

    def device(self) -> None:
        """Sign a device in."""
        self.call("GET", "/ocs/v2.php/core/getapppassword")

    def link(self, **more: str) -> str:
        """Share a folder with two files and a folder by link; the address of its page."""
        base = f"/remote.php/dav/files/{self.user}/Summer%20%3Cb%3E%26"
        self.call("MKCOL", base)
        self.call("MKCOL", f"{base}/inner")
        for name in ("a.txt", "very%20long%20" + "n" * 100 + ".txt"):
            self.call("PUT", f"{base}/{name}", {"content": "x"})
        form = {"path": "/Summer <b>&", "shareType": "3", "permissions": "15", "note": "Look <i>here</i>!", **more}
        made = self.call("POST", "/ocs/v2.php/apps/files_sharing/api/v1/shares", form)
        return str(made["ocs"]["data"]["url"])


def focus(page: Page, wanted: Locator) -> None:
    """Reach an element with the Tab key alone, and see that it shows it."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            style = wanted.evaluate("element => getComputedStyle(element).outlineStyle")
            assert style not in ("none", ""), "the focus cannot be seen"
            return
    raise AssertionError(f"the keyboard does not reach {wanted}")


def type_into(page: Page, label: str, text: str) -> None:
    focus(page, page.get_by_label(label, exact=True))
    page.keyboard.type(text)


def press(page: Page, role: Any, name: str) -> None:
    focus(page, page.get_by_role(role, name=name, exact=True))
    with page.expect_navigation():
        page.keyboard.press("Enter")


def heading(page: Page) -> str:
    return str(page.get_by_role("heading", level=1).inner_text())


def sign_in(scene: Scene, page: Page) -> None:
    page.goto(scene.url + DEVICES)
    page.get_by_label("User name").fill(scene.user)
    page.get_by_label("Password").fill(scene.password)
    page.get_by_role("button", name="Sign in").click()


def enter(scene: Scene, page: Page, path: str) -> None:
    """Sign in at a page, whatever its language."""
    page.goto(scene.url + path)
    page.locator("#user").fill(scene.user)
    page.locator("#password").fill(scene.password)
    page.locator("main form button").click()


def locked_folder(scene: Scene, name: str) -> None:
    """Leave an encrypted folder of the user locked."""
    made = scene.call("MKCOL", f"/remote.php/dav/files/{scene.user}/{name}")
    assert made is None
    body = '<d:propfind xmlns:d="DAV:" xmlns:o="http://owncloud.org/ns"><d:prop><o:fileid/></d:prop></d:propfind>'
    number = scene.text("PROPFIND", f"/remote.php/dav/files/{scene.user}/{name}", body, {"Depth": "0"})
    node = number.partition("fileid>")[2].partition("<")[0]
    e2ee = "/ocs/v2.php/apps/end_to_end_encryption/api/v2"
    scene.text("PUT", f"{e2ee}/encrypted/{node}", "")
    scene.text("POST", f"{e2ee}/lock/{node}", "", {"X-NC-E2EE-COUNTER": "1"})


def every_admin_page(scene: Scene, page: Page) -> Iterator[str]:
    """Lead a page to each page of administrators and of the own account in turn; the name of each."""
    enter(scene, page, ADMIN)
    for path in (
        "",
        "/users",
        f"/users/{scene.user}",
        "/groups",
        "/locks",
        "/authority",
        "/recovery",
        "/rules",
        "/audit",
    ):
        page.goto(scene.url + ADMIN + path)
        yield "admin" + path.replace(f"/{scene.user}", "/one").replace("/", "-")
    for act in ("invite", "delete", "revoke", "release"):
        page.goto(f"{scene.url}{ADMIN}/act/{act}?id={scene.user}")
        yield f"admin-act-{act}"
    page.locator("#password").fill("wrong")
    page.locator("main form button").click()
    yield "admin-act-refused"
    page.goto(f"{scene.url}{ADMIN}/rules")
    page.locator("#text").fill(RULES)
    page.locator("button[value=check]").click()
    yield "admin-rules-checked"
    page.locator("#path").fill("/Contracts/offer.pdf")
    page.locator("button[value=try]").click()
    yield "admin-rules-tried"
    page.locator("#text").fill("nonsense")
    page.locator("button[value=check]").click()
    yield "admin-rules-wrong"
    page.goto(scene.url + ADMIN + "/act/reset?id=" + scene.user)
    page.locator("#password").fill(scene.password)
    page.locator("main form button").click()
    yield "admin-link"
    link = page.locator("main code").inner_text()
    page.goto(link)
    yield "invitation"
    page.goto(scene.url + "/invitation/none")
    yield "invitation-over"
    for name in ("keys", "keys/reset", "sharing"):
        page.goto(f"{scene.url}/settings/user/{name}")
        yield name.replace("/", "-")


def every_page(scene: Scene, page: Page) -> Iterator[str]:
    """Lead a page to each of our pages in turn; the name of each."""
    page.goto(scene.url)
    yield "front"
    address, _ = scene.flow()
    page.goto(address)
    yield "login"
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Let the device in").click()
    yield "login-wrong"
    page.get_by_label("User name").fill(scene.user)
    page.get_by_label("Password").fill(scene.password)
    page.get_by_role("button", name="Let the device in").click()
    yield "login-done"
    page.goto(address)
    yield "login-over"
    page.goto(scene.url + DEVICES)
    yield "devices-sign-in"
    sign_in(scene, page)
    yield "devices-none"
    scene.device()
    page.get_by_label("What it is for").fill("backup of the laptop")
    page.get_by_role("button", name="Make an app password").click()
    yield "devices"
    page.get_by_role("link", name="Wipe backup of the laptop").click()
    yield "devices-wipe"
    page.get_by_role("button", name="Sign out and wipe backup of the laptop").click()
    yield "devices-wiped"
    page.goto(f"{scene.url}{DEVICES}/wipe?id=999999")
    yield "devices-problem"
    page.goto(scene.link(password="a word for the link"))
    yield "link-password"
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Open").click()
    yield "link-wrong"
    page.get_by_label("Password").fill("a word for the link")
    page.get_by_role("button", name="Open").click()
    yield "link"
    page.get_by_role("link", name="inner/").click()
    yield "link-inner"
    page.goto(f"{scene.url}/s/unknown")
    yield "link-unknown"


# --- the steps ----------------------------------------------------------------------------------------------


def step_a_device_is_let_in_with_the_keyboard_and_no_script(scene: Scene) -> None:
    address, token = scene.flow()
    with scene.page() as page:
        page.goto(address)
        assert heading(page) == "Let a device in"
        assert STRANGE in page.get_by_role("main").inner_text()
        type_into(page, "User name", scene.user)
        type_into(page, "Password", scene.password + "?")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.get_by_role("alert").inner_text() == "The name or the password is wrong."
        assert page.get_by_label("User name").input_value() == scene.user
        type_into(page, "Password", scene.password)
        press(page, "button", "Let the device in")
        assert heading(page) == "The device is in"
        assert page.context.cookies() == []
    granted = scene.call("POST", "/login/v2/poll", {"token": token}, basic=False)
    assert (granted["server"], granted["loginName"], len(granted["appPassword"])) == (scene.url, scene.user, 72)


def step_devices_are_managed_with_the_keyboard_and_no_script(scene: Scene) -> None:
    scene.device()
    with scene.page() as page:
        page.goto(scene.url)
        press(page, "link", "Your devices")
        type_into(page, "User name", scene.user)
        type_into(page, "Password", scene.password)
        press(page, "button", "Sign in")
        (cookie,) = page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("candado_browser", True, "Strict")
        type_into(page, 'What it is for, such as "backup of the laptop"', "backup")
        press(page, "button", "Make an app password")
        assert len(page.get_by_role("code").inner_text()) == 72
        press(page, "link", "Wipe backup")
        assert heading(page) == "Wipe this device?"
        press(page, "link", "Back, change nothing")
        press(page, "button", "Sign out backup")
        assert page.get_by_role("status").inner_text() == "The device was signed out."
        press(page, "button", "Sign out all devices and other browsers")
        assert "No device can use this account." in page.get_by_role("main").inner_text()
        press(page, "button", "Sign out here")
        assert page.context.cookies() == []
        page.go_back()
        assert page.get_by_role("button", name="Sign in").is_visible()


def step_a_form_of_another_site_is_refused_by_browser_and_server(scene: Scene) -> None:
    scene.device()
    with scene.page() as page:
        sign_in(scene, page)
        token = page.locator("input[name=token]").first.get_attribute("value")
        # Another site, with all that belongs to the form: the browser leaves the cookie out, the server sees the site.
        form = (
            f'<form method="post" action="{scene.url}{DEVICES}/revoke-all"><input name="token" value="{token}">'
            "<button>Win a prize</button></form>"
        )
        page.route("http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
        page.goto("http://evil.example/")
        page.get_by_role("button", name="Win a prize").click()
        assert heading(page) == "This did not work"
        # And no other site shows the page in a frame.
        frame = f'<iframe src="{scene.url}{DEVICES}" title="framed"></iframe>'
        page.route("http://evil.example/frame", lambda route: route.fulfill(body=frame, content_type="text/html"))
        page.goto("http://evil.example/frame")
        assert page.frame_locator("iframe").get_by_role("heading").count() == 0
        page.goto(scene.url + DEVICES)
        assert STRANGE in page.get_by_role("list").inner_text()


def step_a_link_is_visited_with_the_keyboard_and_no_script(scene: Scene) -> None:
    with scene.page() as page:
        page.goto(scene.link(password="a word for the link"))
        type_into(page, "Password", "a word for the link")
        press(page, "button", "Open")
        assert heading(page) == "Summer <b>&"
        assert "Look <i>here</i>!" in page.get_by_role("main").inner_text()
        focus(page, page.get_by_role("link", name="a.txt", exact=True))
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert (download.value.suggested_filename, download.value.path().read_bytes()) == ("a.txt", b"content=x")
        press(page, "link", "inner/")
        chooser = page.get_by_label("Files; nothing that is there is replaced")
        focus(page, chooser)
        with page.expect_file_chooser() as asked:
            page.keyboard.press("Space")
        asked.value.set_files([{"name": "new <1>.txt", "mimeType": "text/plain", "buffer": b"from a visitor"}])
        press(page, "button", "Upload")
        assert page.get_by_role("status").inner_text() == "1 file was stored."
        assert page.get_by_role("link", name="new <1>.txt").is_visible()


Walk = Callable[[Scene, Page], Iterator[str]]


def _check_all(scene: Scene, scheme: str, walk: Walk, locale: str = "en-GB", *, width: int = 800) -> None:
    axe = Axe()
    found: dict[str, list[str]] = {}
    kind = scheme if locale == "en-GB" else locale.partition("-")[0]
    with scene.page(script=True, scheme=scheme, locale=locale, width=width) as page:
        for name in walk(scene, page):
            assert page.evaluate("document.documentElement.lang") == locale.partition("-")[0]
            page.screenshot(path=scene.folder / f"{name}-{kind}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.setdefault(name, []).append("wider than the screen")
            options = {"runOnly": {"type": "tag", "values": RULES_OF_AXE}, "preload": False}
            done = axe.run(page, options=options).response
            assert len(done["passes"]) > 10, "the rules were not run"
            # What it cannot decide about colours is a finding as well: these pages have nothing behind the text.
            unsure = [rule for rule in done["incomplete"] if rule["id"] == "color-contrast"]
            for rule in [*done["violations"], *unsure]:
                places = ", ".join(str(node["target"]) for node in rule["nodes"])
                found.setdefault(name, []).append(f"{rule['id']}: {rule['help']}: {places}")
    assert found == {}, json.dumps(found, indent=1)


def step_every_page_keeps_the_rules_of_accessibility_in_light(scene: Scene) -> None:
    _check_all(scene, "light", every_page)


def step_every_page_keeps_the_rules_of_accessibility_in_dark(scene: Scene) -> None:
    _check_all(scene, "dark", every_page)


def step_every_page_fits_a_narrow_screen(scene: Scene) -> None:
    wide: dict[str, int] = {}
    with scene.page(script=True, width=NARROW) as page:
        for name in every_page(scene, page):
            page.screenshot(path=scene.folder / f"{name}-narrow.png", full_page=True)
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > NARROW:
                wide[name] = width
    assert wide == {}, wide


def step_an_administrator_does_it_all_with_the_keyboard_and_no_script(scene: Scene) -> None:
    with scene.page() as page:
        page.goto(scene.url + ADMIN)
        assert heading(page) == "Sign in"
        type_into(page, "User name", scene.user)
        type_into(page, "Password", scene.password)
        press(page, "button", "Sign in")
        assert heading(page) == "Overview"
        for name in ("Groups", "Locks", "Authority", "Recovery", "Access rules", "Audit log", "Users"):
            press(page, "link", name)
            assert heading(page) == name
        press(page, "link", "Invite a new user")
        invited = f"{scene.user}-new"
        type_into(page, "User name: 1 to 64 letters, digits or . _ @ -", invited)
        type_into(page, "Space, such as 10 GB, or none for unlimited", "5 MB")
        type_into(page, "Your password, once more", scene.password)
        press(page, "button", "Invite a new user")
        link = page.locator("main code").inner_text()
        press(page, "link", "Back")
        press(page, "link", invited)
        press(page, "link", "Disable the account")
        type_into(page, "Your password, once more", scene.password + "?")
        press(page, "button", "Disable the account")
        assert page.get_by_role("alert").inner_text() == "The password is wrong. Nothing was changed."
        press(page, "link", "Back, change nothing")
        press(page, "link", "Put into a group")
        press(page, "link", "Back, change nothing")
        assert heading(page) == invited
        press(page, "link", "Access rules")
        focus(page, page.get_by_label("The rules, as TOML"))
        page.keyboard.press("Control+A")
        page.keyboard.type(RULES)
        press(page, "button", "Check, change nothing")
        assert (
            "no group HR" in page.get_by_role("status").inner_text() or "HR" in page.get_by_role("status").inner_text()
        )
    with scene.page() as page:
        page.goto(link)
        type_into(page, "New password", "quite another four words")
        type_into(page, "The same once more", "quite another four words")
        press(page, "button", "Set the password")
        assert heading(page) == "Welcome"


def step_an_administrator_verifies_the_log_with_a_button(scene: Scene) -> None:
    with scene.page(script=True, width=1000) as page:
        enter(scene, page, ADMIN)
        for _ in range(40):
            page.goto(scene.url + ADMIN + "/audit")
            if page.locator("#verify").count():
                break
            page.wait_for_timeout(500)
        said, button = page.locator("#said"), page.get_by_role("button", name="Verify what is shown")

        def verify() -> str:
            button.click()
            page.locator("#said.good, #said.bad").wait_for()
            return str(said.inner_text())

        assert verify().startswith("Verified. Lines shown that are in the signed log: ")
        page.screenshot(path=scene.folder / "admin-audit-verified.png", full_page=True)
        # Somebody changes a word in the table, or a line with its words: neither is in the signed log.
        page.goto(scene.url + ADMIN + "/audit")
        page.evaluate("document.querySelector('[data-member=outcome]').textContent = 'changed'")
        assert verify().startswith("NOT VERIFIED: the table shows something else than line ")
        page.goto(f"{scene.url}{ADMIN}/audit")
        page.evaluate(
            "for (const code of document.querySelectorAll('code[data-seq]'))"
            ' code.textContent = code.textContent.replace(/"address":"[^"]*"/, \'"address":"192.0.2.1"\')'
        )
        assert verify().startswith("NOT VERIFIED: line ")
        page.screenshot(path=scene.folder / "admin-audit-refused.png", full_page=True)
        assert page.evaluate("JSON.parse(localStorage.getItem('candado-audit')).size") > 0


def step_pages_of_an_administrator_keep_the_rules_in_light(scene: Scene) -> None:
    locked_folder(scene, "Locked")
    _check_all(scene, "light", every_admin_page, width=1100)


def step_pages_of_an_administrator_keep_the_rules_in_dark(scene: Scene) -> None:
    _check_all(scene, "dark", every_admin_page)


def _in_language(scene: Scene, locale: str) -> None:
    _check_all(scene, "light", every_admin_page, locale, width=NARROW)


def step_pages_of_an_administrator_are_good_in_narrow_spanish(scene: Scene) -> None:
    _in_language(scene, "es-ES")


def step_pages_of_an_administrator_are_good_in_narrow_german(scene: Scene) -> None:
    _in_language(scene, "de-DE")


def step_the_language_is_changed_at_the_foot_and_kept(scene: Scene) -> None:
    with scene.page(locale="de-DE") as page:
        page.goto(scene.url)
        assert "Ende-zu-Ende-verschlüsselte Ordner" in page.get_by_role("main").inner_text()
        press(page, "link", "Español")
        assert "cifrado de extremo a extremo" in page.get_by_role("main").inner_text()
        press(page, "link", "Sus dispositivos")
        assert heading(page) == "Sus dispositivos"
        address, _ = scene.flow()
        page.goto(address)
        assert heading(page) == "Autorizar un dispositivo"


if __name__ == "__main__":
    step: Callable[[Scene], None] = globals()[f"step_{sys.argv[1]}"]
    step(Scene(*sys.argv[2:]))

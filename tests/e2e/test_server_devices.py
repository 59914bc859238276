"""Devices of a user over a real server with two workers: the personal page, the calls, the remote wipe."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, run_server, serving

PAGE = "/settings/user/security"
STRANGE = 'Phone "of" <b>me</b> & you'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data = make_data(tmp_path_factory.mktemp("devices"), "alice", "bob", "carol")
    with serving(data, "--workers", "2") as running:
        yield running


def data(answer: Answer) -> Any:
    assert answer.status == 200, answer.text
    return json.loads(answer.body)["ocs"]["data"]


async def device_of(server: ServerProcess, user: str, label: str) -> str:
    async with Caller(server.url, user) as caller:
        return str(data(await caller.ocs("GET", "/core/getapppassword", User_Agent=label))["apppassword"])


OUT = {401, 429}
"""What many requests at once with one wrong password get: refused, or refused for being many."""


async def works(server: ServerProcess, user: str, secret: str, *, times: int = 8) -> set[int]:
    """The statuses of many requests at once, each on a connection of its own, so that every worker is asked."""

    async def one() -> int:
        async with Caller(server.url, user, secret) as caller:
            return (await caller.dav("PROPFIND", "", Depth="0")).status

    return set(await asyncio.gather(*[one() for _ in range(times)]))


class Browser(Caller):
    """A person's browser: keeps the cookie, sends forms as the pages have them."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(server.url, None)

    def keep(self, answer: Answer) -> Answer:
        cookie = answer.headers.get("Set-Cookie")
        if cookie is not None:
            self.headers["Cookie"] = cookie.partition(";")[0]
        return answer

    async def sign_in(self, user: str, password: str = PASSWORD) -> Answer:
        form = {"user": user, "password": password}
        return self.keep(await self.send("POST", f"{PAGE}/sign-in", body=form, Origin=self.url))

    async def page(self) -> str:
        answer = await self.send("GET", PAGE)
        assert answer.status == 200
        return answer.text

    async def press(self, action: str, **more: str) -> Answer:
        token = re.search(r'name="token" value="([0-9a-f]+)"', await self.page())
        assert token is not None
        form = {"token": token[1], **more}
        return self.keep(await self.send("POST", f"{PAGE}/{action}", body=form, Origin=self.url))


def numbers(page: str) -> dict[str, str]:
    """Device names and their numbers, in the order of the page."""
    rows = re.findall(r'<li><b>([^<]*)</b>.*?name="id" value="(\d+)"', page)
    return dict(rows)


# --- the page ----------------------------------------------------------------------------------------------


async def test_a_stranger_sees_a_form_and_nothing_else(server: ServerProcess) -> None:
    async with Browser(server) as browser:
        for path in (PAGE, f"/index.php{PAGE}", f"{PAGE}/wipe?id=1"):
            answer = await browser.send("GET", path)
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
            assert re.findall(r"<label for=\"(\w+)\">", answer.text) == ["user", "password"]
            assert "<script" not in answer.text
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert policy.endswith("form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
        front = await browser.send("GET", "/")
        assert f'<a href="{PAGE}">' in front.text
        assert (await browser.send("GET", "/settings/user")).headers["Location"] == PAGE


async def test_a_wrong_password_does_not_sign_in_and_keeps_the_name(server: ServerProcess) -> None:
    async with Browser(server) as browser:
        answer = await browser.sign_in("bob", "not this one")
        assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
        assert 'role="alert">The name or the password is wrong.' in answer.text
        assert 'value="bob"' in answer.text


async def test_an_app_password_does_not_open_the_page(server: ServerProcess) -> None:
    secret = await device_of(server, "carol", "thief")
    async with Browser(server) as browser:
        assert (await browser.sign_in("carol", secret)).status == 403


async def test_a_person_sees_the_devices_and_signs_one_out(server: ServerProcess) -> None:
    phone, laptop = await device_of(server, "alice", STRANGE), await device_of(server, "alice", "laptop")
    assert await works(server, "alice", phone) == await works(server, "alice", laptop) == {207}
    async with Browser(server) as browser:
        done = await browser.sign_in("alice")
        assert (done.status, done.headers["Location"]) == (303, PAGE)
        assert re.fullmatch(
            r"candado_browser=\w{64}; HttpOnly; Max-Age=3600; Path=/; SameSite=strict", done.headers["Set-Cookie"]
        )
        page = await browser.page()
        assert "Signed in as <b>alice</b>" in page
        assert "<li><b>Phone &quot;of&quot; &lt;b&gt;me&lt;/b&gt; &amp; you</b>" in page
        assert phone not in page
        found = numbers(page)
        assert [*found][1:] == ["laptop"]
        first = next(iter(found.values()))
        revoked = await browser.press("revoke", id=first)
        assert (revoked.status, revoked.headers["Location"]) == (303, f"{PAGE}?done=revoked")
        # At once, in both workers: the answer came when neither of them let it in any more.
        assert await works(server, "alice", phone) <= OUT
        assert await works(server, "alice", laptop) == {207}
        shown = await browser.send("GET", revoked.headers["Location"])
        assert 'role="status">The device was signed out.' in shown.text
        assert [*numbers(shown.text)] == ["laptop"]


async def test_a_person_signs_out_everything_but_this_browser(server: ServerProcess) -> None:
    secrets = [await device_of(server, "carol", f"device {n}") for n in range(2)]
    async with Browser(server) as here, Browser(server) as there:
        await here.sign_in("carol")
        await there.sign_in("carol")
        assert (await here.press("revoke-all")).headers["Location"] == f"{PAGE}?done=all"
        assert [await works(server, "carol", secret) <= OUT for secret in secrets] == [True, True]
        assert "No device can use this account." in await here.page()
        assert "Sign in to see" in await there.page()
        assert (await here.press("sign-out")).status == 303
        assert "Sign in to see" in await here.page()


async def test_a_person_makes_an_app_password_and_sees_it_once(server: ServerProcess) -> None:
    async with Browser(server) as browser:
        await browser.sign_in("bob")
        made = await browser.press("new", label="backup <1>")
        secret = re.search(r"<code>(\w{72})</code>", made.text)
        assert secret is not None
        assert await works(server, "bob", secret[1]) == {207}
        assert "<code>" not in await browser.page()
        assert "backup &lt;1&gt;" in await browser.page()


@pytest.mark.parametrize("action", ["revoke", "revoke-all", "wipe", "new", "sign-out"])
async def test_no_other_site_and_no_other_person_sends_the_forms(server: ServerProcess, action: str) -> None:
    secret = await device_of(server, "carol", "kept")
    async with Browser(server) as carol, Browser(server) as mallory:
        await carol.sign_in("carol")
        await mallory.sign_in("bob")
        number = numbers(await carol.page())["kept"]
        mine = re.search(r'name="token" value="([0-9a-f]+)"', await mallory.page())
        theirs = re.search(r'name="token" value="([0-9a-f]+)"', await carol.page())
        assert mine is not None
        assert theirs is not None
        form, path = {"id": number, "label": "x"}, f"{PAGE}/{action}"
        foreign = {"Origin": "https://evil.example"}
        assert (await carol.send("POST", path, body={**form, "token": theirs[1]}, **foreign)).status == 403
        site = {"Sec_Fetch_Site": "cross-site"}
        assert (await carol.send("POST", path, body={**form, "token": theirs[1]}, **site)).status == 403
        assert (await carol.send("POST", path, body={**form, "token": mine[1]}, Origin=carol.url)).status == 403
        assert (await carol.send("POST", path, body=form, Origin=carol.url)).status == 403
        if action in ("revoke", "wipe"):
            # With all that belongs to a form, but about a device of somebody else.
            await mallory.press(action, id=number)
    assert await works(server, "carol", secret) == {207}


async def test_a_new_password_signs_the_browsers_out(server: ServerProcess, tmp_path: Path) -> None:
    run_server(
        "user", "add", "frank", "--password-file", str(server.data.parent / "password"), "--data", str(server.data)
    )
    async with Browser(server) as browser:
        await browser.sign_in("frank")
        assert "Signed in as" in await browser.page()
        (tmp_path / "new").write_text("another four random words\n")
        run_server("user", "passwd", "frank", "--password-file", str(tmp_path / "new"), "--data", str(server.data))
        assert "Sign in to see" in await browser.page()
        late = await browser.send("POST", f"{PAGE}/revoke-all", body={"token": "0"}, Origin=server.url)
        assert (late.status, "You were signed out. Nothing was changed." in late.text) == (403, True)


# --- the calls ---------------------------------------------------------------------------------------------


async def test_devices_are_listed_and_signed_out_by_calls(server: ServerProcess, carol: Caller) -> None:
    kept, gone = await device_of(server, "carol", "kept"), await device_of(server, "carol", "gone")
    async with Caller(server.url, "carol", kept) as device:
        listed = {one["name"]: one for one in data(await device.ocs("GET", "/core/apppassword"))}
        number = listed["gone"]["id"]
        assert {**listed["kept"], "id": 0, "created": 0} == {
            "id": 0,
            "name": "kept",
            "created": 0,
            "lastActivity": listed["kept"]["lastActivity"],
            "current": True,
            "wipe": False,
        }
        assert isinstance(listed["kept"]["lastActivity"], int)
        assert (listed["gone"]["current"], listed["gone"]["lastActivity"]) == (False, None)
        for method, path in (("DELETE", f"{number}"), ("POST", f"{number}/wipe")):
            assert (await device.ocs(method, f"/core/apppassword/{path}")).status == 403
    assert data(await carol.ocs("DELETE", f"/core/apppassword/{number}")) == []
    assert await works(server, "carol", gone) <= OUT
    assert (await carol.ocs("DELETE", f"/core/apppassword/{number}")).status == 404
    assert await works(server, "carol", kept) == {207}


async def test_a_device_that_goes_on_asking_does_not_lock_its_owner_out(server: ServerProcess) -> None:
    secret = await device_of(server, "bob", "stubborn")
    async with Caller(server.url, "bob") as bob:
        number = next(d["id"] for d in data(await bob.ocs("GET", "/core/apppassword")) if d["name"] == "stubborn")
        await bob.ocs("DELETE", f"/core/apppassword/{number}")
    async with Caller(server.url, "bob", secret) as device:
        statuses = [(await device.dav("PROPFIND", "", Depth="0")).status for _ in range(50)]
    assert set(statuses) == {401}
    async with Browser(server) as browser:
        assert (await browser.sign_in("bob")).status == 303


def test_an_administrator_lists_and_revokes_app_passwords_by_command(server: ServerProcess) -> None:
    def command(*arguments: str) -> Any:
        return json.loads(run_server("user", "passwords", *arguments, "--json", "--data", str(server.data)).stdout)

    run_server(
        "user", "add", "gina", "--password-file", str(server.data.parent / "password"), "--data", str(server.data)
    )
    secrets = [asyncio.run(device_of(server, "gina", f"device {n}")) for n in range(3)]
    assert asyncio.run(works(server, "gina", secrets[0])) == {207}
    listed = command("list", "gina")
    assert listed["schema"] == "candado.server.app-passwords/1"
    first, second, third = listed["app_passwords"]
    assert (first["label"], second["last_used"], third["wipe"]) == ("device 0", None, False)
    assert first["last_used"] is not None
    text = run_server("user", "passwords", "list", "gina", "--data", str(server.data)).stdout.splitlines()
    assert [line.split("  ")[3:] for line in text] == [["signed in", f"device {n}"] for n in range(3)]
    assert command("revoke", "gina", str(first["id"])) == {
        "schema": "candado.server.done/1",
        "user": "gina",
        "revoked": 1,
    }
    assert asyncio.run(works(server, "gina", secrets[0])) == {401}
    assert command("wipe", "gina", str(third["id"]))["wipe"] == third["id"]
    assert command("revoke", "gina", "--all")["revoked"] == 1
    assert [(d["label"], d["wipe"]) for d in command("list", "gina")["app_passwords"]] == [("device 2", True)]


# --- remote wipe -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/index.php", ""])
async def test_a_lost_device_is_told_to_wipe_itself_and_is_then_forgotten(server: ServerProcess, prefix: str) -> None:
    secret = await device_of(server, "alice", f"lost{prefix}")
    check, success = f"{prefix}/core/wipe/check", f"{prefix}/core/wipe/success"
    async with Caller(server.url, None) as device, Browser(server) as browser:
        for path in (check, success):
            before = await device.send("POST", path, body={"token": secret})
            assert (before.status, json.loads(before.body)) == (404, [])
        await browser.sign_in("alice")
        number = numbers(await browser.page())[f"lost{prefix}"]
        asked = await browser.send("GET", f"{PAGE}/wipe?id={number}")
        assert "Sign out and wipe" in asked.text
        assert (await browser.press("wipe", id=number)).headers["Location"] == f"{PAGE}?done=wipe"
        assert await works(server, "alice", secret) <= OUT
        assert "wipes itself when it next reaches this server" in await browser.page()
        told = await device.send("POST", f"{check}?format=json", body={"token": secret})
        assert (told.status, told.body) == (200, b'{"wipe":true}')
        assert told.headers["Content-Type"] == "application/json"
        # Asked again, as after a crash of the device, the answer is the same until it says that it is done.
        assert (await device.send("POST", check, body={"token": secret})).body == b'{"wipe":true}'
        done = await device.send("POST", success, body={"token": secret})
        assert (done.status, json.loads(done.body)) == (200, [])
        assert (await device.send("POST", check, body={"token": secret})).status == 404
        assert (await device.send("POST", success, body={"token": secret})).status == 404
        assert f"lost{prefix}" not in await browser.page()


async def test_a_revoked_device_is_not_told_to_wipe_itself(server: ServerProcess) -> None:
    secret = await device_of(server, "alice", "sold")
    async with Browser(server) as browser, Caller(server.url, None) as device:
        await browser.sign_in("alice")
        number = numbers(await browser.page())["sold"]
        await browser.press("wipe", id=number)
        await browser.press("revoke", id=number)
        assert await works(server, "alice", secret) <= OUT
        assert (await device.send("POST", "/index.php/core/wipe/check", body={"token": secret})).status == 404


async def test_guessing_at_the_remote_wipe_is_limited(server: ServerProcess) -> None:
    async with Caller(server.url, None) as device:
        answers = [await device.send("POST", "/core/wipe/check", body={"token": f"{n:072}"}) for n in range(70)]
        statuses = [answer.status for answer in answers]
        assert set(statuses) == {404, 429}
        assert int(answers[-1].headers["Retry-After"]) >= 1
        big = await device.send("POST", "/core/wipe/check", body={"token": "x" * 100_000})
        assert big.status in (413, 429)

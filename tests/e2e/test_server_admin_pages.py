"""The pages of administrators over a real server: who sees them, what they do, and that names are only shown."""

import json
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, serving

from candado.apps.admin_acts import ACTS
from candado.apps.server_config import load_config
from candado.apps.server_wiring import open_backend
from candado.apps.signer_wiring import open_signer
from candado.apps.texts import LANGUAGES
from candado.server.auditlog import AuditLog

ADMIN = "/settings/admin"
PAGES = ("", "/users", "/users/alice", "/groups", "/locks", "/authority", "/recovery", "/rules", "/audit")
HOSTILE = "\"><script>alert('x')</script>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("pages"), "alice", "bob", admin="root")) as running:
        yield running


class Person(Caller):
    """A browser that keeps its cookie."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(server.url, None)

    async def sign_in(self, user: str = "root") -> None:
        form = {"user": user, "password": PASSWORD, "to": ADMIN}
        answer = await self.send("POST", "/settings/user/security/sign-in", body=form, Origin=self.url)
        assert (answer.status, answer.headers["Location"]) == (303, ADMIN)
        self.headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]

    async def page(self, path: str, status: int = 200, **headers: str) -> str:
        answer = await self.send("GET", f"{ADMIN}{path}", **headers)
        assert answer.status == status, answer.text
        return answer.text

    async def act(self, act: str, what: str = "", *, password: str = PASSWORD, **form: str) -> Answer:
        """Open the form of an act and send it as a browser does."""
        page = await self.page(f"/act/{act}?id={quote(what, safe='')}")
        hidden = {
            name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
        }
        assert hidden["id"] == what
        return await self.send(
            "POST", f"{ADMIN}/act/{act}", body={**hidden, "password": password, **form}, Origin=self.url
        )

    async def rules(self, do: str, **form: str) -> Answer:
        page = await self.page("/rules")
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        return await self.send("POST", f"{ADMIN}/rules", body={**hidden, "do": do, **form}, Origin=self.url)


async def test_only_administrators_see_a_page_or_do_anything(server: ServerProcess) -> None:
    async with Person(server) as stranger, Person(server) as user:
        await user.sign_in("bob")
        for path in (*PAGES, "/act/delete?id=alice"):
            asked = await stranger.page(path)
            assert ("<h1>Sign in</h1>" in asked, "Administration" in asked) == (True, False)
            refused = await user.page(path, 403)
            assert "this page is for administrators" in refused
            assert "alice" not in refused.replace(f"{path}?lang", "").replace("/users/alice", "").replace(
                "id=alice", ""
            )
        own = await user.send("GET", "/settings/user/security")
        token = re.search(r'name="token" value="(\w+)"', own.text)
        assert token is not None
        form = {"token": token[1], "id": "alice", "typed": "alice", "password": PASSWORD, "do": "store", "version": "0"}
        for act in (*(f"act/{name}" for name in ACTS), "rules"):
            assert (await user.send("POST", f"{ADMIN}/{act}", body=form, Origin=user.url)).status == 403


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_there_in_every_language_and_loads_nothing(server: ServerProcess, language: str) -> None:
    async with Person(server) as root:
        await root.sign_in()
        for path in (*PAGES, *(f"/act/{name}?id=alice" for name in ACTS)):
            page = await root.page(path, Accept_Language=language)
            assert f'<html lang="{language}">' in page
            assert re.findall(r'(?:src|href)="(?!/|#)[^"]*"', page) == []
            assert ("<script>" in page) == (path == "/audit")


async def test_a_user_is_invited_changed_and_deleted(server: ServerProcess) -> None:
    async with Person(server) as root:
        await root.sign_in()
        assert (await root.act("group-add", group="staff")).headers["Location"] == f"{ADMIN}/groups?done=group-add"
        made = await root.act("invite", user="dora", shown=HOSTILE, quota="5 MB", group="staff")
        link = re.search(r"<code>(http[^<]*/invitation/\w{64})</code>", made.text)
        assert (made.status, link is not None) == (200, True)
        page = await root.page("/users/dora")
        assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
        assert "<script" not in page
        assert "0\N{NO-BREAK SPACE}B of 5.0\N{NO-BREAK SPACE}MB" in page
        assert "waits until" in page
        for act, form, part in (
            ("quota", {"quota": "none"}, "0\N{NO-BREAK SPACE}B, unlimited"),
            ("promote", {}, "enabled, administrator"),
            ("demote", {}, "<dd>enabled</dd>"),
            ("disable", {}, "<dd>disabled</dd>"),
            ("enable", {}, "<dd>enabled</dd>"),
            ("leave", {"group": "staff"}, "<dt>Groups</dt><dd>–</dd>"),
            ("join", {"group": "staff"}, "<dt>Groups</dt><dd>staff</dd>"),
            ("sign-out", {}, "<dt>Devices</dt><dd>–</dd>"),
        ):
            done = await root.act(act, "dora", **form)
            assert (done.status, done.headers["Location"]) == (303, f"{ADMIN}/users/dora?done={act}")
            shown = await root.page(f"/users/dora?done={act}")
            assert (part in shown, 'role="status">Done: ' in shown) == (True, True), act
        assert "<code>http" in (await root.act("reset", "dora")).text
        assert '<a href="/settings/admin/users/dora">dora</a>' in await root.page("/users?search=dor")
        assert "No user has such a name." in await root.page(f"/users?search={quote('no' + HOSTILE)}")
        not_typed = await root.act("delete", "dora", typed="dor")
        assert (not_typed.status, "That is not the name. Nothing was changed." in not_typed.text) == (403, True)
        assert (await root.act("delete", "dora", typed="dora")).headers["Location"] == f"{ADMIN}/users?done=delete"
        await root.page("/users/dora", 404)
        assert (await root.act("group-delete", "staff", typed="staff")).status == 303


async def test_nothing_happens_without_the_password_or_to_oneself(server: ServerProcess) -> None:
    async with Person(server) as root:
        await root.sign_in()
        for act, form in (
            ("quota", {"quota": "7 MB"}),
            ("disable", {}),
            ("delete", {"typed": "alice"}),
            ("promote", {}),
        ):
            refused = await root.act(act, "alice", password="not this", **form)
            assert (refused.status, "The password is wrong. Nothing was changed." in refused.text) == (403, True)
            if "quota" in form:  # what was filled in is still there
                assert 'value="7 MB"' in refused.text
        for act in ("disable", "demote", "delete"):
            refused = await root.act(act, "root", typed="root")
            assert (refused.status, "Nobody can do this to the own account here." in refused.text) == (403, True)
        assert "<dd>enabled</dd>" in await root.page("/users/alice")
        for act, what, form, status in (
            ("quota", "alice", {"quota": "much"}, 400),
            ("join", "alice", {"group": "none"}, 404),
            ("enable", "nobody", {}, 404),
            ("group-add", "", {"group": "a/b"}, 400),
            ("invite", "", {"user": "alice", "quota": "none"}, 409),
            ("invite", "", {"user": "../x", "quota": "none"}, 400),
            ("revoke", "alice", {"reason": "left"}, 404),
            ("approve", "0" * 64, {}, 404),
            ("release", HOSTILE, {}, 404),
        ):
            answer = await root.act(act, what, **form)
            assert (answer.status, 'role="alert"' in answer.text, "<script" in answer.text) == (status, True, False), (
                act
            )
        await root.page("/act/unknown", 404)


async def test_a_lock_is_released_with_what_was_written_under_it(server: ServerProcess) -> None:
    async with Person(server) as root, Caller(server.url, "alice") as alice:
        await root.sign_in()
        name = "Locked%20%3Cb%3E"
        number = str((await alice.dav("MKCOL", name)).headers["OC-FileId"])
        assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200
        assert (await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1")).status == 200
        page = await root.page("/locks")
        assert '<td data-label="Folder">Locked &lt;b&gt;</td><td data-label="Owner">alice</td>' in page
        (session,) = set(re.findall(r"/act/release\?id=(\w+)", page))
        done = await root.act("release", session)
        assert done.headers["Location"] == f"{ADMIN}/locks?done=release"
        assert "Nobody is writing into an encrypted folder." in await root.page("/locks")
        again = await root.act("release", session)
        assert (again.status, "this lock is over" in again.text) == (404, True)


async def test_rules_are_checked_tried_and_stored_and_of_two_who_change_them_nothing_is_lost(
    server: ServerProcess,
) -> None:
    first = 'version = 1\n[[rule]]\nid = "big"\ndeny = "create when size > 1GB"\nmessage = "Too <big>"\n'
    async with Person(server) as root:
        await root.sign_in()
        stale = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', await root.page("/rules")))
        assert "nothing odd" in (await root.rules("check", text=first)).text
        wrong = await root.rules("store", text="version = 1\nrule = 7", password=PASSWORD)
        assert (wrong.status, "The rules in force stay as they are." in wrong.text) == (400, True)
        assert (await root.rules("store", text=first, password="not this")).status == 403
        assert "There never were any rules." in await root.page("/rules")
        case = {"operation": "create", "path": "/a.bin", "user": "alice"}
        for size, sentence in (("1000000001", "Denied by rule big: Too &lt;big&gt;"), ("5", "Allowed.")):
            tried = await root.rules("try", text=first, size=size, **case)
            assert (tried.status, sentence in tried.text) == (200, True)
        for bad in ({"user": "nobody"}, {"operation": "fly"}, {"size": "x"}):
            assert (await root.rules("try", text=first, **{**case, **bad})).status == 400
        stored = await root.rules("store", text=first.replace("\n", "\r\n"), note="for <tests>", password=PASSWORD)
        assert (stored.status, "These rules are in force now." in stored.text) == (200, True)
        assert "Version 1 is in force, changed " in await root.page("/rules")
        # The other administrator still has the page of before.
        second = first.replace("big", "huge")
        body = {**stale, "do": "store", "text": second, "password": PASSWORD}
        late = await root.send("POST", f"{ADMIN}/rules", body=body, Origin=root.url)
        assert (late.status, "version 1 is in force now. Nothing was lost" in late.text) == (409, True)
        texts = unescape(late.text)
        assert (second in texts, first in texts, 'name="version" value="1"' in late.text) == (True, True, True)
        with_both = await root.rules("store", text=second, password=PASSWORD)
        assert "These rules are in force now." in with_both.text
        assert "Version 1, " in await root.page("/rules")
        everything = 'version = 1\n[[rule]]\nid = "all"\ndeny = "create"\n'
        wide = await root.rules("store", text=everything, password=PASSWORD)
        assert (wide.status, "to everybody" in wide.text) == (400, True)
        assert (await root.rules("store", text="version = 1\n", password=PASSWORD)).status == 200


async def test_the_log_is_filtered_and_proved(server: ServerProcess) -> None:
    async with Person(server) as root:
        await root.sign_in()
        for name in ("one", "two", "three"):
            assert (await root.act("group-add", group=name)).status == 303
        await root.act("group-delete", "one", typed="one")
        config = load_config(server.data, {})
        async with open_backend(config) as backend, open_signer(config, backend) as signer:
            await AuditLog(backend).sequence()
            await AuditLog(backend).checkpoint(signer, force=True)
        page = await root.page("/audit?kind=group.")
        shown = re.findall(r'data-member="event">([^<]*)<', page)
        assert set(shown) <= {"group.made", "group.removed", "group.joined", "group.left"}
        assert 'value="group."' in page
        assert re.findall(r'data-member="event">', await root.page("/audit?kind=group.&who=root&outcome=refused")) == []
        assert '<option value="refused" selected>' in await root.page("/audit?outcome=refused&from=2020-01-01&to=x")
        numbers = re.findall(r'<code data-seq="(\d+)">', await root.page("/audit"))
        served = json.loads(await root.page(f"/audit/proofs?lines={','.join(numbers)}&known=1"))
        assert set(served) == {"note", "key", "proofs", "consistency"}
        assert len(served["proofs"]) > 3
        for bad in ("lines=x", "lines=-1", "lines=" + ",".join(["1"] * 51), "lines=0&known=99999999"):
            answer = await root.send("GET", f"{ADMIN}/audit/proofs?{bad}")
            assert (answer.status, "text/html" in answer.headers["Content-Type"]) in ((400, True), (200, False))

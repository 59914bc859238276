"""What administrators do with the whole server, by calls and by commands; and the link by which a user sets a password."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, answer_of, make_data, serving

CONSOLE = "/apps/candado/api/v1/admin"
OVERVIEW = {"users", "disabled", "with_keys", "devices", "encrypted_folders", "locks", "key_requests"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("admin"), "alice", "bob", admin="root")) as running:
        yield running


def data(answer: Answer, status: int = 200) -> Any:
    assert answer.status == status, answer.text
    return json.loads(answer.body)["ocs"]["data"]


def command(server: ServerProcess, *words: str, status: int = 0) -> dict[str, Any]:
    return answer_of(*words, "--data", server.data, status=status)


async def locked_folder(server: ServerProcess, user: str, name: str) -> str:
    async with Caller(server.url, user) as caller:
        number = str((await caller.dav("MKCOL", name)).headers["OC-FileId"])
        assert (await caller.e2ee("PUT", f"encrypted/{number}")).status == 200
        return str(data(await caller.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1"))["e2e-token"])


async def test_a_lock_is_found_and_released_by_call(server: ServerProcess) -> None:
    tokens = {name: await locked_folder(server, "alice", name) for name in ("One", "Two")}
    async with Caller(server.url, "root") as root, Caller(server.url, "alice") as alice:
        assert (await alice.dav("PUT", "Two/body", body=b"1234", e2e_token=tokens["Two"])).status == 201
        everything = data(await root.ocs("GET", f"{CONSOLE}/locks"))["locks"]
        found = [one for one in everything if one["owner"] == "alice"]
        assert [(one["name"], one["owner"], one["holder"], one["staged_bytes"]) for one in found] == [
            ("One", "alice", "alice", 0),
            ("Two", "alice", "alice", 4),
        ]
        assert all(0 <= one["idle_seconds"] <= one["age_seconds"] < 60 for one in found)
        numbers = data(await root.ocs("GET", f"{CONSOLE}/overview"))
        assert (set(numbers), numbers["locks"] >= 2) == (OVERVIEW, True)
        first, second = [one["lock"] for one in found]
        assert data(await root.ocs("DELETE", f"{CONSOLE}/locks/{second}"))["name"] == "Two"
        assert (await root.ocs("DELETE", f"{CONSOLE}/locks/{second}")).status == 404
        late = await alice.dav("PUT", "Two/more", body=b"x", e2e_token=tokens["Two"])
        assert (late.status, (await alice.dav("GET", "Two/body")).status) == (423, 404)
        assert data(await root.ocs("DELETE", f"{CONSOLE}/locks/{first}"))["name"] == "One"


def test_a_lock_is_found_and_released_by_command(server: ServerProcess) -> None:
    asyncio.run(locked_folder(server, "bob", "Three"))
    (lock,) = [one["lock"] for one in command(server, "lock", "list")["locks"] if one["owner"] == "bob"]
    shown = command(server, "overview")
    assert (set(shown) - {"schema"}, shown["locks"] >= 1) == (OVERVIEW, True)
    assert command(server, "lock", "release", lock)["name"] == "Three"
    assert command(server, "lock", "release", lock, status=4)["error"]["code"] == "NOT_FOUND"


async def test_an_invited_user_sets_the_password_once(server: ServerProcess) -> None:
    async with Caller(server.url, "root") as root, Caller(server.url, None) as person:
        await root.ocs("POST", "/cloud/groups", body={"groupid": "staff"})
        form = {"userid": "dora", "displayName": "Dora D.", "quota": "1 GB", "groups[]": "staff"}
        made = data(await root.ocs("POST", f"{CONSOLE}/invitations", body=form))
        path = made["link"].removeprefix(server.url)
        assert (made["user"], bool(re.fullmatch(r"/invitation/\w{64}", path))) == ("dora", True)
        for body in ({"userid": "dora"}, {"userid": "x", "quota": "much"}, {"userid": "y", "groups[]": "none"}, {}):
            assert (await root.ocs("POST", f"{CONSOLE}/invitations", body=body)).status in (400, 404, 409)
        account = data(await root.ocs("GET", "/cloud/users/dora"))
        assert (account["displayname"], account["groups"], account["quota"]["quota"]) == ("Dora D.", ["staff"], 10**9)
        again = data(await root.ocs("POST", f"{CONSOLE}/invitations/dora"))["link"].removeprefix(server.url)
        assert (await root.ocs("POST", f"{CONSOLE}/invitations/nobody")).status == 404
        assert (await person.send("GET", path)).status == 404
        page = await person.send("GET", again)
        assert (page.status, "<b>dora</b>" in page.text) == (200, True)
        new = "quite another four words"
        for first, second, sentence in (
            (new, new + "!", "The two passwords are not the same."),
            ("short", "short", "a password must have at least 10 characters"),
        ):
            bad = await person.send("POST", again, body={"password": first, "again": second}, Origin=server.url)
            assert (bad.status, sentence in bad.text) == (400, True)
        foreign = await person.send("POST", again, body={"password": new, "again": new}, Origin="http://evil.example")
        assert foreign.status == 403
        done = await person.send("POST", again, body={"password": new, "again": new}, Origin=server.url)
        assert (done.status, "Your password is set." in done.text) == (200, True)
        assert (await person.send("POST", again, body={"password": new, "again": new}, Origin=server.url)).status == 404
    async with Caller(server.url, "dora", new) as dora:
        assert (await dora.dav("PROPFIND", "", Depth="0")).status == 207


def test_commands_invite_reset_and_change_users(server: ServerProcess) -> None:
    invited = command(server, "user", "invite", "erin", "--quota", "5M", "--display-name", "Erin")
    assert (invited["user"], invited["schema"]) == ("erin", "candado.server.invitation/1")
    assert re.fullmatch(r"/invitation/\w{64}", invited["link"])
    assert command(server, "user", "reset", "erin", "--days", "3")["link"] != invited["link"]
    assert command(server, "user", "reset", "nobody", status=4)["error"]["code"] == "NOT_FOUND"
    assert command(server, "user", "quota", "erin", "7M")["quota_bytes"] == 7_000_000
    assert command(server, "user", "show", "erin")["quota_bytes"] == 7_000_000
    assert command(server, "user", "quota", "erin", "none")["quota_bytes"] is None
    assert command(server, "user", "admin", "erin")["admin"]
    assert not command(server, "user", "admin", "erin", "--revoke")["admin"]
    assert command(server, "user", "admin", "root", "--revoke", status=13)["error"]["code"] == "FORBIDDEN"


async def test_keys_are_revoked_and_decided_about_by_call(server: ServerProcess) -> None:
    async with Caller(server.url, "root") as root:
        assert data(await root.ocs("GET", f"{CONSOLE}/certificates")) == {"certificates": []}
        assert data(await root.ocs("GET", f"{CONSOLE}/certificates?user=alice")) == {"certificates": []}
        assert data(await root.ocs("GET", f"{CONSOLE}/key-requests")) == {"needed": 0, "requests": []}
        for body, status in (
            ({"who": "alice", "reason": "left"}, 404),
            ({"who": "alice", "reason": "x"}, 400),
            ({}, 400),
        ):
            assert (await root.ocs("POST", f"{CONSOLE}/revocations", body=body)).status == status
        for body, status in (({"decision": "approve"}, 404), ({"decision": "maybe"}, 400)):
            assert (await root.ocs("POST", f"{CONSOLE}/key-requests/{'0' * 64}", body=body)).status == status
    async with Caller(server.url, "root") as root:
        secret = data(await root.ocs("GET", "/core/getapppassword"))["apppassword"]
    async with Caller(server.url, "root", secret) as device:
        refused = await device.ocs("POST", f"{CONSOLE}/invitations", body={"userid": "mallory"})
        assert (refused.status, PASSWORD in refused.text) == (403, False)

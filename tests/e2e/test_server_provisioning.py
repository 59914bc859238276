"""Users and groups as an administrator's tool sees them, over a real server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, serving

NEW = "another four random words"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("people"), "alice", "bob", admin="root")) as running:
        yield running


def data(answer: Answer) -> Any:
    return json.loads(answer.body)["ocs"]["data"]


def code(answer: Answer) -> int:
    return int(json.loads(answer.body)["ocs"]["meta"]["statuscode"])


async def codes(caller: Caller, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, int, int]:
    """The number in version 1, the number and the HTTP status in version 2."""
    one = await caller.ocs1(method, path, body=body)
    two = await caller.ocs(method, path, body=body)
    assert one.status == 200, one.text
    return code(one), code(two), two.status


async def works(server: ServerProcess, user: str, password: str = PASSWORD) -> int:
    async with Caller(server.url, user, password) as caller:
        return (await caller.dav("PROPFIND", "", Depth="0")).status


async def add(root: Caller, name: str, **more: Any) -> None:
    answer = await root.ocs("POST", "/cloud/users", body={"userid": name, "password": PASSWORD, **more})
    assert (answer.status, data(answer)) == (200, {"id": name})


async def test_a_user_is_made_listed_edited_disabled_and_deleted(server: ServerProcess, root: Caller) -> None:
    await root.ocs("POST", "/cloud/groups", body={"groupid": "staff"})
    await add(root, "frank", displayName="Frank B", email="f@example.org", quota="1 GB", **{"groups[]": ["staff"]})
    shown = data(await root.ocs("GET", "/cloud/users/frank"))
    assert (shown["displayname"], shown["email"], shown["groups"], shown["enabled"]) == (
        "Frank B",
        "f@example.org",
        ["staff"],
        True,
    )
    assert shown["quota"]["quota"] == 10**9
    for key, value in (("displayname", "Franz"), ("email", ""), ("quota", "none"), ("password", NEW)):
        assert code(await root.ocs1("PUT", "/cloud/users/frank", body={"key": key, "value": value})) == 100
    changed = data(await root.ocs("GET", "/cloud/users/frank"))
    assert (changed["display-name"], changed["email"], changed["quota"]["quota"]) == ("Franz", None, -3)
    assert [await works(server, "frank"), await works(server, "frank", NEW)] == [401, 207]
    async with Caller(server.url, "frank", NEW) as frank:
        assert (await frank.dav("PUT", "left.txt", body=b"x")).status == 201
    assert (await root.ocs("PUT", "/cloud/users/frank/disable")).status == 200
    assert data(await root.ocs("GET", "/cloud/users/frank"))["enabled"] is False
    async with Caller(server.url, "frank", NEW + "?") as other:
        assert (await other.dav("PROPFIND", "", Depth="0")).status == 401
    assert (await root.ocs("PUT", "/cloud/users/frank/enable")).status == 200
    assert await works(server, "frank", NEW) == 207
    assert (await root.ocs("DELETE", "/cloud/users/frank")).status == 200
    assert (await root.ocs("GET", "/cloud/users/frank")).status == 404
    assert data(await root.ocs("GET", "/cloud/groups/staff"))["users"] == []


async def test_users_are_found_page_by_page(root: Caller) -> None:
    for name in ("page-a", "page-b", "page-c"):
        await add(root, name)
    assert data(await root.ocs1("GET", "/cloud/users?search=PAGE-&limit=2"))["users"] == ["page-a", "page-b"]
    assert data(await root.ocs("GET", "/cloud/users?search=page-&limit=2&offset=2"))["users"] == ["page-c"]
    assert data(await root.ocs("GET", "/cloud/users?search=%25"))["users"] == []
    assert {"alice", "bob", "root"} <= set(data(await root.ocs("GET", "/cloud/users"))["users"])
    details = data(await root.ocs("GET", "/cloud/users/details?search=page-a"))["users"]
    assert details["page-a"]["id"] == "page-a"
    assert (await root.ocs("GET", "/cloud/users?limit=x")).status == 400


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"userid": ""}, 101),
        ({"userid": "../x"}, 101),
        ({"userid": "a/b"}, 101),
        ({"userid": "a\nb"}, 101),
        ({"userid": "<b>"}, 101),
        ({"userid": "x" * 65}, 101),
        ({"userid": "ALICE"}, 102),
        ({"quota": "much"}, 103),
        ({"quota": "9" * 15 + "T"}, 103),
        ({"groups[]": ["nowhere"]}, 104),
        ({"password": "short"}, 107),
        ({"displayName": "a\x00b"}, 107),
        ({"email": "no address"}, 107),
        ({"email": "a@b\r\nBcc: c@d"}, 107),
        ({"password": ""}, 108),
    ],
)
async def test_a_user_that_cannot_be_made_has_the_number_of_a_stock_server(
    root: Caller, change: dict[str, Any], number: int
) -> None:
    body = {"userid": "new-one", "password": PASSWORD, **change}
    assert await codes(root, "POST", "/cloud/users", body) == (number, number, 400)
    assert (await root.ocs("GET", "/cloud/users/new-one")).status == 404


async def test_parameters_may_be_json_with_lists(root: Caller) -> None:
    await root.ocs("POST", "/cloud/groups", body={"groupid": "json-a"})
    document = {"userid": "json-user", "password": PASSWORD, "groups": ["json-a", "admin"]}
    made = await root.ocs("POST", "/cloud/users", body=json.dumps(document), Content_Type="application/json")
    assert made.status == 200
    assert data(await root.ocs("GET", "/cloud/users/json-user/groups"))["groups"] == ["admin", "json-a"]
    assert (await root.ocs("DELETE", "/cloud/users/json-user/groups?groupid=admin")).status == 200


async def test_groups_are_made_filled_and_deleted(root: Caller) -> None:
    assert await codes(root, "POST", "/cloud/groups", {"groupid": ""}) == (101, 101, 400)
    assert (await root.ocs("POST", "/cloud/groups", body={"groupid": "crew"})).status == 200
    assert await codes(root, "POST", "/cloud/groups", {"groupid": "crew"}) == (102, 102, 400)
    assert await codes(root, "POST", "/cloud/groups", {"groupid": "admin"}) == (102, 102, 400)
    join = "/cloud/users/alice/groups"
    assert await codes(root, "POST", join, {"groupid": ""}) == (101, 101, 400)
    assert await codes(root, "POST", join, {"groupid": "nowhere"}) == (102, 102, 400)
    assert await codes(root, "POST", "/cloud/users/nobody/groups", {"groupid": "crew"}) == (103, 103, 400)
    assert await codes(root, "POST", join, {"groupid": "crew"}) == (100, 200, 200)
    assert data(await root.ocs("GET", join)) == {"groups": ["crew"]}
    assert data(await root.ocs("GET", "/cloud/groups/crew")) == {"users": ["alice"]}
    assert data(await root.ocs("GET", "/cloud/groups/crew/users")) == {"users": ["alice"]}
    assert data(await root.ocs("GET", "/cloud/groups?search=CRE")) == {"groups": ["crew"]}
    assert data(await root.ocs("GET", "/cloud/groups?search=adm")) == {"groups": ["admin"]}
    assert (await root.ocs("DELETE", f"{join}?groupid=crew")).status == 200
    assert (await root.ocs("DELETE", f"{join}?groupid=crew")).status == 200
    assert data(await root.ocs("GET", "/cloud/groups/crew")) == {"users": []}
    assert await codes(root, "DELETE", "/cloud/groups/nowhere") == (101, 101, 400)
    assert await codes(root, "DELETE", "/cloud/groups/admin") == (102, 102, 400)
    assert (await root.ocs("DELETE", "/cloud/groups/crew")).status == 200
    assert await codes(root, "GET", "/cloud/groups/crew") == (404, 404, 404)


async def test_there_are_no_administrators_of_single_groups(root: Caller) -> None:
    await root.ocs("POST", "/cloud/groups", body={"groupid": "alone"})
    path = "/cloud/users/alice/subadmins"
    assert data(await root.ocs("GET", path)) == []
    assert data(await root.ocs("GET", "/cloud/groups/alone/subadmins")) == []
    assert await codes(root, "GET", "/cloud/groups/nowhere/subadmins") == (101, 101, 400)
    assert await codes(root, "GET", "/cloud/users/nobody/subadmins") == (404, 404, 404)
    assert await codes(root, "POST", path, {"groupid": "nowhere"}) == (102, 102, 400)
    assert await codes(root, "POST", path, {"groupid": "alone"}) == (103, 103, 400)
    assert await codes(root, "DELETE", f"{path}?groupid=alone") == (102, 102, 400)


async def test_a_user_edits_himself_but_not_his_space_and_nobody_else(server: ServerProcess, root: Caller) -> None:
    await add(root, "self-made")
    async with Caller(server.url, "self-made") as user:
        own, other = "/cloud/users/self-made", "/cloud/users/bob"
        assert (await user.ocs("PUT", own, body={"key": "displayname", "value": "Me"})).status == 200
        assert (await user.ocs("PUT", own, body={"key": "email", "value": "me@example.org"})).status == 200
        assert data(await user.ocs("GET", own))["email"] == "me@example.org"
        assert data(await user.ocs("GET", "/cloud/user/fields")) == ["displayname", "email"]
        assert await codes(user, "PUT", own, {"key": "quota", "value": "none"}) == (103, 103, 400)
        assert await codes(user, "PUT", own, {"key": "is_admin", "value": "1"}) == (103, 103, 400)
        assert await codes(user, "PUT", own, {"key": "email", "value": "x"}) == (102, 102, 400)
        assert await codes(user, "PUT", own, {"key": "password", "value": "short"}) == (107, 107, 400)
        assert await codes(user, "PUT", other, {"key": "displayname", "value": "x"}) == (998, 998, 404)
        assert await codes(user, "GET", f"{other}/groups") == (998, 998, 404)
        assert await codes(user, "GET", "/cloud/users/nobody/groups") == (998, 998, 404)
        seen = data(await user.ocs("GET", other))
        assert (seen["id"], seen["displayname"]) == ("bob", "bob")
        assert not {"quota", "groups", "email", "enabled"} & seen.keys()
        assert (await user.ocs("PUT", own, body={"key": "password", "value": NEW})).status == 200
    assert await works(server, "self-made", NEW) == 207


async def test_a_device_can_neither_change_the_password_nor_make_accounts(server: ServerProcess, root: Caller) -> None:
    secret = data(await root.ocs("GET", "/core/getapppassword"))["apppassword"]
    async with Caller(server.url, "root", secret) as device:
        assert (await device.ocs("GET", "/cloud/users")).status == 200
        answers = [
            await device.ocs("PUT", "/cloud/users/root", body={"key": "password", "value": NEW}),
            await device.ocs("POST", "/cloud/users", body={"userid": "by-device", "password": PASSWORD}),
            await device.ocs("DELETE", "/cloud/users/alice"),
        ]
    assert [answer.status for answer in answers] == [403, 403, 403]
    assert await works(server, "root") == 207


async def test_the_last_administrator_stays(server: ServerProcess, root: Caller) -> None:
    assert await codes(root, "DELETE", "/cloud/users/root") == (101, 101, 400)
    assert await codes(root, "PUT", "/cloud/users/root/disable") == (101, 101, 400)
    assert await codes(root, "DELETE", "/cloud/users/root/groups?groupid=admin") == (105, 105, 400)
    await add(root, "second", **{"groups[]": ["admin"]})
    assert data(await root.ocs("GET", "/cloud/groups/admin")) == {"users": ["root", "second"]}
    async with Caller(server.url, "second") as second:
        assert (await second.ocs("DELETE", "/cloud/users/root/groups?groupid=admin")).status == 200
        assert await codes(second, "DELETE", "/cloud/users/second/groups?groupid=admin") == (105, 105, 400)
        assert (await second.ocs("POST", "/cloud/users/root/groups", body={"groupid": "admin"})).status == 200
        assert (await second.ocs("GET", "/cloud/users")).status == 200
    assert (await root.ocs("DELETE", "/cloud/users/second")).status == 200


async def test_an_administrator_reads_no_files_of_others(root: Caller, alice: Caller) -> None:
    assert (await alice.dav("PUT", "private.txt", body=b"x")).status == 201
    assert (await root.send("GET", "/remote.php/dav/files/alice/private.txt")).status == 404

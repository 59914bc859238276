"""Sharing between users, and what each party may do, over a real server."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.server_process import Answer, Caller, ServerProcess, make_data, serving

SHARES = "/apps/files_sharing/api/v1/shares"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("shares"), "alice", "bob", "carol", admin="root")) as running:
        yield running


@pytest.fixture
async def folder(alice: Caller, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]", "-", request.node.name.lower())[:100]
    assert (await alice.dav("MKCOL", name)).status == 201
    assert (await alice.dav("PUT", f"{name}/file", body=b"content")).status == 201
    return name


@pytest.fixture
async def group(root: Caller, folder: str) -> str:
    """A group named as the folder, with alice and bob."""
    assert (await root.ocs("POST", "/cloud/groups", body={"groupid": folder[:60]})).status == 200
    for user in ("alice", "bob"):
        await join(root, user, folder[:60])
    return folder[:60]


async def join(root: Caller, user: str, group: str) -> None:
    assert (await root.ocs("POST", f"/cloud/users/{user}/groups", body={"groupid": group})).status == 200


async def leave(root: Caller, user: str, group: str) -> None:
    assert (await root.ocs("DELETE", f"/cloud/users/{user}/groups?groupid={group}")).status == 200


async def share_group(caller: Caller, path: str, group: str, permissions: int = 31) -> Answer:
    form = {"path": f"/{path}", "shareType": "1", "shareWith": group, "permissions": str(permissions)}
    return await caller.ocs("POST", SHARES, body=form)


def data(answer: Answer) -> Any:
    return json.loads(answer.body)["ocs"]["data"]


async def share(caller: Caller, path: str, user: str, permissions: int, **more: str) -> Answer:
    form = {"path": f"/{path}", "shareType": "0", "shareWith": user, "permissions": str(permissions), **more}
    return await caller.ocs("POST", SHARES, body=form)


async def etag(caller: Caller, path: str = "") -> str:
    answer = await caller.dav("PROPFIND", path, Depth="0")
    found = re.search(r"<d:getetag>([^<]*)</d:getetag>", answer.text)
    assert found is not None
    return found[1]


async def test_a_share_has_what_stock_parsers_read(alice: Caller, folder: str) -> None:
    made = await share(alice, folder, "bob", 31)
    shown = data(made)
    needed = [
        "id",
        "share_type",
        "uid_owner",
        "displayname_owner",
        "permissions",
        "stime",
        "parent",
        "expiration",
        "token",
        "uid_file_owner",
        "note",
        "label",
        "displayname_file_owner",
        "path",
        "item_type",
        "mimetype",
        "has_preview",
        "storage",
        "item_source",
        "file_source",
        "file_target",
        "share_with",
        "share_with_displayname",
        "mail_send",
        "hide_download",
        "attributes",
        "tags",
    ]
    assert made.status == 200
    assert [name for name in needed if name not in shown] == []
    assert {k: shown[k] for k in ("share_type", "uid_owner", "share_with", "permissions", "path", "item_type")} == {
        "share_type": 0,
        "uid_owner": "alice",
        "share_with": "bob",
        "permissions": 31,
        "path": f"/{folder}",
        "item_type": "folder",
    }
    assert data(await alice.ocs("GET", f"{SHARES}?path=/{folder}&reshares=true")) == [shown]
    assert data(await alice.ocs("GET", f"{SHARES}/{shown['id']}")) == [shown]


async def test_a_received_folder_is_a_mount_that_can_be_read_and_written(
    alice: Caller, bob: Caller, folder: str
) -> None:
    before = await etag(bob)
    await share(alice, folder, "bob", 31)
    assert await etag(bob) != before
    listed = await bob.dav("PROPFIND", folder, Depth="0")
    letters = re.search(r"<oc:permissions>([A-Z]*)</oc:permissions>", listed.text)
    assert letters is not None
    assert ("S" in letters[1], "M" in letters[1]) == (True, False)  # M means external storage to desktop clients
    assert (await bob.dav("GET", f"{folder}/file")).body == b"content"
    seen = await etag(alice)
    assert (await bob.dav("PUT", f"{folder}/more", body=b"by bob")).status == 201
    assert (await alice.dav("GET", f"{folder}/more")).body == b"by bob"
    assert await etag(alice) != seen
    mine = data(await bob.ocs("GET", f"{SHARES}?shared_with_me=true"))
    assert folder in [one["file_target"].lstrip("/") for one in mine]


async def test_a_read_only_share_refuses_every_write(alice: Caller, bob: Caller, folder: str) -> None:
    await share(alice, folder, "bob", 1)
    assert (await bob.dav("GET", f"{folder}/file")).body == b"content"
    there = f"/remote.php/dav/files/bob/{folder}/moved"
    answers = {
        "PUT new": await bob.dav("PUT", f"{folder}/new", body=b"x"),
        "PUT old": await bob.dav("PUT", f"{folder}/file", body=b"x"),
        "DELETE": await bob.dav("DELETE", f"{folder}/file"),
        "MKCOL": await bob.dav("MKCOL", f"{folder}/sub"),
        "MOVE": await bob.dav("MOVE", f"{folder}/file", Destination=there),
        "COPY": await bob.dav("COPY", f"{folder}/file", Destination=there),
        "PROPPATCH": await bob.dav(
            "PROPPATCH",
            f"{folder}/file",
            body='<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:lastmodified>1</d:lastmodified></d:prop></d:set>'
            "</d:propertyupdate>",
        ),
    }
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 403)
    assert (await alice.dav("GET", f"{folder}/file")).body == b"content"


async def test_a_guest_cannot_give_more_than_it_has(alice: Caller, bob: Caller, folder: str) -> None:
    await share(alice, folder, "bob", 1 | 16)
    assert (await share(bob, folder, "carol", 31)).status == 403
    assert (await share(bob, folder, "carol", 1)).status == 200
    assert (await share(bob, folder, "alice", 1)).status == 403


async def test_without_the_right_to_share_nothing_can_be_shared(alice: Caller, bob: Caller, folder: str) -> None:
    await share(alice, folder, "bob", 15)
    assert (await share(bob, folder, "carol", 1)).status == 403


async def test_a_share_ends_for_its_guest_at_once(alice: Caller, bob: Caller, folder: str) -> None:
    number = data(await share(alice, folder, "bob", 31))["id"]
    assert (await bob.dav("GET", f"{folder}/file")).status == 200
    before = await etag(bob)
    assert (await alice.ocs("DELETE", f"{SHARES}/{number}")).status == 200
    assert (await bob.dav("GET", f"{folder}/file")).status == 404
    assert await etag(bob) != before
    assert (await alice.ocs("GET", f"{SHARES}/{number}")).status == 404
    assert data(await alice.ocs("GET", f"{SHARES}?path=/{folder}")) == []


async def test_a_guest_leaves_without_deleting_anything(alice: Caller, bob: Caller, folder: str) -> None:
    await share(alice, folder, "bob", 31)
    assert (await bob.dav("DELETE", folder)).status == 204
    assert (await bob.dav("GET", f"{folder}/file")).status == 404
    assert (await alice.dav("GET", f"{folder}/file")).body == b"content"
    assert data(await alice.ocs("GET", f"{SHARES}?path=/{folder}")) == []


async def test_rights_can_be_changed_by_the_owner_only(alice: Caller, bob: Caller, carol: Caller, folder: str) -> None:
    number = data(await share(alice, folder, "bob", 31))["id"]
    assert (await bob.ocs("PUT", f"{SHARES}/{number}", body={"permissions": "31"})).status == 403
    assert (await carol.ocs("PUT", f"{SHARES}/{number}", body={"permissions": "31"})).status == 404
    assert (await carol.ocs("DELETE", f"{SHARES}/{number}")).status == 404
    assert (await carol.ocs("GET", f"{SHARES}/{number}")).status == 404
    changed = await alice.ocs(
        "PUT", f"{SHARES}/{number}", body=json.dumps({"permissions": 1}), Content_Type="application/json"
    )
    assert data(changed)["permissions"] == 1
    assert (await bob.dav("PUT", f"{folder}/new", body=b"x")).status == 403


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"shareWith": "nobody"}, 404),
        ({"shareWith": "alice"}, 403),
        ({"shareWith": ""}, 400),
        ({"path": "/not/there"}, 404),
        ({"path": "/"}, 403),
        ({"path": "/../bob"}, 400),
        ({"permissions": "0"}, 400),
        ({"permissions": "32"}, 400),
        ({"permissions": "30"}, 400),
        ({"permissions": "x"}, 400),
        ({"shareType": "1", "shareWith": "nowhere"}, 404),
        ({"shareType": "1", "shareWith": "alice"}, 404),
        ({"shareType": "4"}, 403),
        ({"password": "a password for a person"}, 400),
        ({"expireDate": "2001-01-01"}, 400),
    ],
)
async def test_what_cannot_be_shared_is_refused(alice: Caller, folder: str, form: dict[str, str], status: int) -> None:
    whole = {"path": f"/{folder}", "shareType": "0", "shareWith": "bob", "permissions": "1", **form}
    assert (await alice.ocs("POST", SHARES, body=whole)).status == status


@pytest.mark.parametrize("name", ["a?b#c", "50%25 off", "a&b=c+d", "%2e%2e"])
async def test_names_with_signs_of_addresses_can_be_shared(alice: Caller, name: str) -> None:
    path = quote(name, safe="")
    assert (await alice.dav("MKCOL", path)).status == 201
    made = data(await share(alice, name, "bob", 1))
    assert made["path"] == f"/{name}"
    assert data(await alice.ocs("GET", f"{SHARES}?path=%2F{path}")) == [made]


async def test_the_same_share_twice_is_refused(alice: Caller, folder: str) -> None:
    assert [(await share(alice, folder, "bob", 1)).status for _ in range(2)] == [200, 403]


async def test_two_folders_of_one_name_get_two_mounts(alice: Caller, carol: Caller, bob: Caller) -> None:
    targets = []
    for owner in (alice, carol):
        await owner.dav("MKCOL", "same-name")
        targets.append(data(await share(owner, "same-name", "bob", 1))["file_target"])
    assert targets == ["/same-name", "/same-name (2)"]
    assert (await bob.dav("PROPFIND", "same-name%20(2)", Depth="0")).status == 207


async def test_below_an_encrypted_root_nothing_can_be_shared(alice: Caller) -> None:
    root = (await alice.dav("MKCOL", "enc-root")).headers["OC-FileId"]
    assert (await alice.e2ee("PUT", f"encrypted/{root}")).status == 200
    token = data(await alice.e2ee("POST", f"lock/{root}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
    inner = (await alice.dav("MKCOL", "enc-root/inner", e2e_token=token)).headers["OC-FileId"]
    await alice.e2ee("PUT", f"encrypted/{inner}", e2e_token=token)
    await alice.e2ee("DELETE", f"lock/{root}", e2e_token=token)
    assert (await share(alice, "enc-root/inner", "bob", 31)).status == 403
    assert (await share(alice, "enc-root", "bob", 31)).status == 200


async def test_people_are_found_by_name_but_not_oneself(alice: Caller) -> None:
    path = "/apps/files_sharing/api/v1/sharees?itemType=file&search={}&page=1&perPage=50&lookup=false"
    exact = data(await alice.ocs("GET", path.format("BOB")))
    assert [(p["label"], p["value"]) for p in exact["exact"]["users"]] == [
        ("bob", {"shareType": 0, "shareWith": "bob"})
    ]
    near = data(await alice.ocs("GET", path.format("o")))
    assert [p["value"]["shareWith"] for p in near["users"]] == ["bob", "carol", "root"]
    assert data(await alice.ocs("GET", path.format("%25")))["users"] == []


async def test_every_member_of_a_group_receives_what_is_shared_with_it(
    alice: Caller, bob: Caller, carol: Caller, folder: str, group: str
) -> None:
    before = await etag(bob)
    made = await share_group(alice, folder, group)
    assert made.status == 200
    shown = data(made)
    assert {k: shown[k] for k in ("share_type", "share_with", "share_with_displayname", "permissions")} == {
        "share_type": 1,
        "share_with": group,
        "share_with_displayname": group,
        "permissions": 31,
    }
    assert await etag(bob) != before
    assert (await bob.dav("GET", f"{folder}/file")).body == b"content"
    seen = await etag(alice)
    assert (await bob.dav("PUT", f"{folder}/more", body=b"by bob")).status == 201
    assert await etag(alice) != seen
    assert (await carol.dav("GET", f"{folder}/file")).status == 404
    mine = [s for s in data(await bob.ocs("GET", f"{SHARES}?shared_with_me=true")) if s["id"] == shown["id"]]
    assert [(s["share_type"], s["file_target"], s["path"], s["can_edit"]) for s in mine] == [
        (1, f"/{folder}", f"/{folder}", False)
    ]
    assert data(await bob.ocs("GET", f"{SHARES}/{shown['id']}"))[0]["share_with"] == group
    assert (await carol.ocs("GET", f"{SHARES}/{shown['id']}")).status == 404
    assert [s["id"] for s in data(await alice.ocs("GET", f"{SHARES}?path=/{folder}&reshares=true"))] == [shown["id"]]
    assert (await share_group(alice, folder, group)).status == 403


async def test_a_change_of_a_group_takes_effect_at_once(
    alice: Caller, carol: Caller, root: Caller, folder: str, group: str
) -> None:
    number = data(await share_group(alice, folder, group, 1))["id"]
    before = await etag(carol)
    await join(root, "carol", group)
    joined = await etag(carol)
    assert joined != before
    assert (await carol.dav("GET", f"{folder}/file")).body == b"content"
    await leave(root, "carol", group)
    assert await etag(carol) != joined
    assert (await carol.dav("GET", f"{folder}/file")).status == 404
    await join(root, "carol", group)
    assert (await carol.dav("GET", f"{folder}/file")).status == 200
    assert (await root.ocs("DELETE", f"/cloud/groups/{group}")).status == 200
    assert (await carol.dav("GET", f"{folder}/file")).status == 404
    assert (await alice.ocs("GET", f"{SHARES}/{number}")).status == 404


async def test_a_member_leaves_a_group_share_for_himself_alone(
    alice: Caller, bob: Caller, carol: Caller, root: Caller, folder: str, group: str
) -> None:
    await join(root, "carol", group)
    number = data(await share_group(alice, folder, group))["id"]
    assert (await bob.dav("DELETE", folder)).status == 204
    assert (await bob.dav("GET", f"{folder}/file")).status == 404
    assert (await bob.ocs("GET", f"{SHARES}/{number}")).status == 404
    assert (await carol.dav("GET", f"{folder}/file")).body == b"content"
    assert (await carol.ocs("DELETE", f"{SHARES}/{number}")).status == 200
    assert (await carol.dav("GET", f"{folder}/file")).status == 404
    assert (await alice.dav("GET", f"{folder}/file")).body == b"content"
    changed = await alice.ocs("PUT", f"{SHARES}/{number}", body={"permissions": "1"})
    assert data(changed)["permissions"] == 1
    assert (await bob.dav("GET", f"{folder}/file")).status == 404
    assert (await carol.dav("PUT", folder, body=b"the name is free again")).status == 201


async def test_the_rights_of_a_group_share_bind_its_members(
    alice: Caller, bob: Caller, folder: str, group: str
) -> None:
    number = data(await share_group(alice, folder, group, 1))["id"]
    assert (await bob.dav("PUT", f"{folder}/new", body=b"x")).status == 403
    assert (await bob.ocs("PUT", f"{SHARES}/{number}", body={"permissions": "31"})).status == 403
    await alice.ocs("PUT", f"{SHARES}/{number}", body=json.dumps({"permissions": 15}), Content_Type="application/json")
    assert (await bob.dav("PUT", f"{folder}/new", body=b"x")).status == 201
    assert (await share(bob, folder, "carol", 1)).status == 403


async def test_each_member_names_a_group_share_as_he_likes(
    alice: Caller, bob: Caller, carol: Caller, root: Caller, folder: str, group: str
) -> None:
    await join(root, "carol", group)
    assert (await carol.dav("MKCOL", folder)).status == 201
    await share_group(alice, folder, group)
    assert (await carol.dav("GET", f"{folder}%20(2)/file")).body == b"content"
    mine = f"/remote.php/dav/files/bob/{folder}-mine"
    assert (await bob.dav("MOVE", folder, Destination=mine)).status == 201
    assert (await bob.dav("GET", f"{folder}-mine/file")).body == b"content"
    assert (await carol.dav("GET", f"{folder}%20(2)/file")).body == b"content"


async def test_who_receives_a_folder_twice_sees_it_once_with_all_rights(
    alice: Caller, bob: Caller, folder: str, group: str
) -> None:
    await share_group(alice, folder, group, 1)
    assert (await bob.dav("PUT", f"{folder}/new", body=b"x")).status == 403
    number = data(await share(alice, folder, "bob", 15))["id"]
    assert (await bob.dav("PUT", f"{folder}/new", body=b"x")).status == 201
    assert (await bob.dav("PROPFIND", f"{folder}%20(2)", Depth="0")).status == 404
    listed = (await bob.dav("PROPFIND", "", Depth="1")).text
    assert listed.count(f"/files/bob/{folder}/<") == 1
    assert (await alice.ocs("DELETE", f"{SHARES}/{number}")).status == 200
    assert (await bob.dav("PUT", f"{folder}/other", body=b"x")).status == 403
    assert (await bob.dav("GET", f"{folder}/file")).status == 200


async def test_an_encrypted_folder_is_not_shared_with_a_group(alice: Caller, folder: str, group: str) -> None:
    number = (await alice.dav("MKCOL", f"{folder}/secret")).headers["OC-FileId"]
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200
    refused = await share_group(alice, f"{folder}/secret", group)
    assert refused.status == 403
    assert "cannot be shared with a group" in refused.text


async def test_what_is_shared_with_a_group_cannot_become_encrypted(alice: Caller, folder: str, group: str) -> None:
    number = (await alice.dav("MKCOL", f"{folder}/plain")).headers["OC-FileId"]
    made = data(await share_group(alice, f"{folder}/plain", group))["id"]
    refused = await alice.e2ee("PUT", f"encrypted/{number}")
    assert refused.status == 403
    assert "cannot be encrypted" in refused.text
    await alice.ocs("DELETE", f"{SHARES}/{made}")
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200


async def test_a_user_and_a_group_of_one_name_are_two(alice: Caller, bob: Caller, root: Caller, folder: str) -> None:
    body = {"userid": "twin", "password": "four random words suffice"}
    await root.ocs("POST", "/cloud/users", body=body)
    await root.ocs("POST", "/cloud/groups", body={"groupid": "twin"})
    await join(root, "bob", "twin")
    number = data(await share_group(alice, folder, "twin"))["id"]
    assert (await root.ocs("DELETE", "/cloud/users/twin")).status == 200
    assert (await alice.ocs("GET", f"{SHARES}/{number}")).status == 200
    assert (await bob.dav("GET", f"{folder}/file")).status == 200


async def test_the_end_of_a_member_does_nothing_to_what_was_shared(
    alice: Caller, bob: Caller, server: ServerProcess, root: Caller, folder: str, group: str
) -> None:
    await root.ocs("POST", "/cloud/users", body={"userid": "brief", "password": "four random words suffice"})
    await share_group(alice, folder, group)
    await join(root, "brief", group)
    async with Caller(server.url, "brief") as brief:
        assert (await brief.dav("PUT", f"{folder}/by-brief", body=b"x")).status == 201
        await brief.dav("MKCOL", "own")
        shared = await share_group(brief, "own", group)
        assert shared.status == 200
    assert (await bob.dav("PROPFIND", "own", Depth="0")).status == 207
    assert (await root.ocs("DELETE", "/cloud/users/brief")).status == 200
    assert (await bob.dav("PROPFIND", "own", Depth="0")).status == 404
    assert (await alice.dav("GET", f"{folder}/by-brief")).body == b"x"
    assert (await bob.dav("GET", f"{folder}/file")).body == b"content"


async def test_groups_are_found_beside_people(alice: Caller, root: Caller) -> None:
    await root.ocs("POST", "/cloud/groups", body={"groupid": "bobsleigh"})
    path = "/apps/files_sharing/api/v1/sharees?itemType=folder&search={}&page={}&perPage={}&lookup=false"
    found = data(await alice.ocs("GET", path.format("BOB", 1, 50)))
    assert [g["value"] for g in found["groups"]] == [{"shareType": 1, "shareWith": "bobsleigh"}]
    assert [p["value"]["shareWith"] for p in found["exact"]["users"]] == ["bob"]
    exact = data(await alice.ocs("GET", path.format("bobsleigh", 1, 50)))["exact"]
    assert [g["label"] for g in exact["groups"]] == ["bobsleigh"]
    only = data(await alice.ocs("GET", path.format("bob", 1, 50) + "&shareType[]=1"))
    assert (only["exact"]["users"], len(only["groups"])) == ([], 1)
    pages = [data(await alice.ocs("GET", path.format("o", page, 1))) for page in (1, 2, 3, 9)]
    assert [[p["value"]["shareWith"] for p in page["users"]] for page in pages] == [["bob"], ["carol"], ["root"], []]


async def test_a_list_of_shares_can_be_narrowed(alice: Caller, bob: Caller, folder: str) -> None:
    await alice.dav("MKCOL", f"{folder}/sub")
    inner = data(await share(alice, f"{folder}/sub", "carol", 1))["id"]
    outer = data(await share(alice, folder, "bob", 31))["id"]
    again = data(await share(bob, folder, "carol", 1))["id"]

    async def ids(caller: Caller, query: str) -> list[str]:
        return [s["id"] for s in data(await caller.ocs("GET", f"{SHARES}?{query}"))]

    assert await ids(alice, f"path=/{folder}") == [outer]
    assert await ids(alice, f"path={folder}&reshares=true") == [outer, again]
    assert await ids(alice, f"path=/{folder}&subfiles=true") == [inner]
    assert outer in await ids(alice, "path=/&subfiles=true")
    assert inner not in await ids(alice, "path=/&subfiles=true")
    assert await ids(alice, f"path=/{folder}&shared_with_me=true") == []
    assert await ids(bob, f"path=/{folder}&shared_with_me=true") == [outer]
    assert await ids(bob, f"path=/{folder}") == [again]
    assert (await alice.ocs("GET", f"{SHARES}?path=/{folder}/file&subfiles=true")).status == 400
    assert (await alice.ocs("GET", f"{SHARES}?path=/nowhere")).status == 404
    assert (await alice.ocs("GET", f"{SHARES}?path=/../bob")).status == 400


async def test_a_share_of_somebody_who_lost_the_folder_is_not_shown_to_him(
    alice: Caller, bob: Caller, folder: str
) -> None:
    outer = data(await share(alice, folder, "bob", 31))["id"]
    again = data(await share(bob, folder, "carol", 1))["id"]
    assert (await alice.ocs("DELETE", f"{SHARES}/{outer}")).status == 200
    assert (await bob.ocs("GET", f"{SHARES}/{again}")).status == 404
    assert (await alice.ocs("DELETE", f"{SHARES}/{again}")).status == 200

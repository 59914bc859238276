"""Links: who may do what with an address and nothing else, over a real server."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, run_server, serving

SHARES = "/apps/files_sharing/api/v1/shares"
SECRET = "a password for the link"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("links"), "alice", "bob")) as running:
        yield running


@pytest.fixture
async def folder(alice: Caller, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]", "-", request.node.name.lower())[:100]
    for path in (name, f"{name}/sub"):
        assert (await alice.dav("MKCOL", path)).status == 201
    assert (await alice.dav("PUT", f"{name}/file.txt", body=b"content")).status == 201
    assert (await alice.dav("PUT", f"{name}/sub/inner.txt", body=b"inner")).status == 201
    return name


def data(answer: Answer) -> Any:
    return json.loads(answer.body)["ocs"]["data"]


async def link(caller: Caller, path: str, permissions: int | None = 1, **more: str) -> Any:
    form = {"path": f"/{path}", "shareType": "3", **more}
    if permissions is not None:
        form["permissions"] = str(permissions)
    made = await caller.ocs("POST", SHARES, body=form)
    assert made.status == 200, made.text
    return data(made)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def public(caller: Caller, method: str, token: str, path: str = "", **more: Any) -> Answer:
    return await caller.send(method, f"/public.php/dav/files/{token}/{path}", **more)


async def every_write(nobody: Caller, token: str, path: str, there: str) -> dict[str, int]:
    """The status of each way to write at a path."""
    answers = {
        "PUT": await public(nobody, "PUT", token, f"{path}/new", body=b"x"),
        "MKCOL": await public(nobody, "MKCOL", token, f"{path}/new"),
        "DELETE": await public(nobody, "DELETE", token, path),
        "MOVE": await public(nobody, "MOVE", token, path, Destination=f"/public.php/dav/files/{token}/{there}"),
        "COPY": await public(nobody, "COPY", token, path, Destination=f"/public.php/dav/files/{token}/{there}"),
        "MOVE into": await public(
            nobody, "MOVE", token, "file.txt", Destination=f"/public.php/dav/files/{token}/{path}/file.txt"
        ),
        "COPY into": await public(
            nobody, "COPY", token, "file.txt", Destination=f"/public.php/dav/files/{token}/{path}/file.txt"
        ),
    }
    return {name: answer.status for name, answer in answers.items()}


async def test_a_link_has_what_stock_parsers_read(server: ServerProcess, alice: Caller, folder: str) -> None:
    made = await link(alice, folder, 17, label="For you", note="Look", hideDownload="true", expireDate="2090-05-06")
    assert re.fullmatch(r"[A-Za-z0-9]{20}", made["token"])
    wanted = {
        "share_type": 3,
        "permissions": 1,
        "url": f"{server.url}/s/{made['token']}",
        "share_with": None,
        "password": None,
        "label": "For you",
        "note": "Look",
        "hide_download": 1,
        "expiration": "2090-05-06 00:00:00",
    }
    assert {name: made[name] for name in wanted} == wanted
    assert data(await alice.ocs("GET", f"{SHARES}?path=/{folder}&reshares=true")) == [made]
    listed = await alice.dav("PROPFIND", folder, body=SHARE_TYPES, Depth="0")
    assert "<oc:share-type>3</oc:share-type>" in listed.text
    again = await link(alice, folder)
    assert again["token"] != made["token"]


SHARE_TYPES = (
    '<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop><oc:share-types/></d:prop></d:propfind>'
)


async def test_a_read_link_reads_and_refuses_every_write(alice: Caller, nobody: Caller, folder: str) -> None:
    token = (await link(alice, folder))["token"]
    listed = await public(nobody, "PROPFIND", token, Depth="1")
    assert listed.status == 207
    assert re.findall(r"<d:href>([^<]*)</d:href>", listed.text) == [
        f"/public.php/dav/files/{token}/{path}" for path in ("", "file.txt", "sub/")
    ]
    assert (await public(nobody, "GET", token, "sub/inner.txt")).body == b"inner"
    assert (await public(nobody, "GET", token, "sub/inner.txt", Range="bytes=1-2")).body == b"nn"
    assert (await public(nobody, "HEAD", token, "file.txt")).headers["Content-Length"] == "7"
    assert set((await every_write(nobody, token, "sub", "sub2")).values()) == {403}
    assert (await public(nobody, "PUT", token, "file.txt", body=b"x")).status == 403
    assert (await alice.dav("GET", f"{folder}/file.txt")).body == b"content"


async def test_a_link_to_edit_writes_within_its_folder_only(alice: Caller, nobody: Caller, folder: str) -> None:
    made = await link(alice, f"{folder}/sub", None, publicUpload="true")
    token = made["token"]
    assert made["permissions"] == 15
    assert (await public(nobody, "PUT", token, "new.txt", body=b"new")).status == 201
    assert (await public(nobody, "MKCOL", token, "deeper")).status == 201
    there = f"/public.php/dav/files/{token}/deeper/moved.txt"
    assert (await public(nobody, "MOVE", token, "new.txt", Destination=there)).status == 201
    assert (await alice.dav("GET", f"{folder}/sub/deeper/moved.txt")).body == b"new"
    assert (await public(nobody, "DELETE", token, "deeper")).status == 204
    outside = [f"/remote.php/dav/files/alice/{folder}/x", "/remote.php/webdav/x", "/public.php/webdav/x", "/x"]
    for target in outside:
        moved = await public(nobody, "MOVE", token, "inner.txt", Destination=target)
        assert (target, moved.status) == (target, 403)
    statuses = [
        (await public(nobody, method, token, **more)).status
        for method, more in (
            ("DELETE", {}),
            ("PUT", {"body": b"x"}),
            ("MOVE", {"Destination": f"/public.php/dav/files/{token}/deeper"}),
            ("PROPPATCH", {"body": b"<x/>"}),
            ("LOCK", {}),
        )
    ]
    assert statuses == [403, 403, 403, 405, 405]
    assert (await alice.dav("GET", f"{folder}/sub/inner.txt")).body == b"inner"


@pytest.mark.parametrize(
    "path",
    [
        "../file.txt",
        "%2e%2e/file.txt",
        "..%2ffile.txt",
        "sub/../../file.txt",
        "%2e%2e%2ffile.txt",
        "..%5cfile.txt",
        "%00",
        "..;/file.txt",
        "%c0%ae%c0%ae/file.txt",
        "/etc/passwd",
    ],
)
async def test_no_path_leads_out_of_a_link(alice: Caller, nobody: Caller, path: str) -> None:
    await alice.dav("MKCOL", "path-tricks")
    await alice.dav("MKCOL", "path-tricks/sub")
    await alice.dav("PUT", "path-tricks/file.txt", body=b"content")
    token = (await link(alice, "path-tricks/sub", 15))["token"]
    for answer in (await public(nobody, "GET", token, path), await public(nobody, "PUT", token, path, body=b"x")):
        assert answer.status in (400, 403, 404, 409), (path, answer.status)
    assert (await alice.dav("GET", "path-tricks/file.txt")).body == b"content"


async def test_a_drop_link_takes_uploads_and_shows_nothing(alice: Caller, nobody: Caller, folder: str) -> None:
    token = (await link(alice, folder, 4))["token"]
    first = await public(nobody, "PUT", token, "file.txt", body=b"dropped")
    second = await public(nobody, "PUT", token, "file.txt", body=b"dropped too", If_Match="*")
    assert (first.status, second.status) == (201, 201)
    assert (await alice.dav("GET", f"{folder}/file.txt")).body == b"content"
    assert (await alice.dav("GET", f"{folder}/file (2).txt".replace(" ", "%20"))).body == b"dropped"
    assert (await alice.dav("GET", f"{folder}/file (3).txt".replace(" ", "%20"))).body == b"dropped too"
    assert (await public(nobody, "PUT", token, "sub", body=b"beside the folder")).status == 201
    statuses = {
        "PROPFIND": (await public(nobody, "PROPFIND", token, Depth="1")).status,
        "GET": (await public(nobody, "GET", token, "file.txt")).status,
        "HEAD": (await public(nobody, "HEAD", token, "file.txt")).status,
        "PUT below": (await public(nobody, "PUT", token, "sub/x", body=b"x")).status,
        "PUT root": (await public(nobody, "PUT", token, body=b"x")).status,
        "DELETE": (await public(nobody, "DELETE", token, "file.txt")).status,
        "MKCOL": (await public(nobody, "MKCOL", token, "made")).status,
        "MOVE": (
            await public(nobody, "MOVE", token, "file.txt", Destination=f"/public.php/dav/files/{token}/x")
        ).status,
        "COPY": (
            await public(nobody, "COPY", token, "file.txt", Destination=f"/public.php/dav/files/{token}/x")
        ).status,
    }
    assert statuses == dict.fromkeys(statuses, 403)


async def test_a_link_to_a_file_gives_this_file(alice: Caller, nobody: Caller, folder: str) -> None:
    token = (await link(alice, f"{folder}/file.txt", 15))["token"]
    got = await public(nobody, "GET", token)
    assert (got.status, got.body, got.headers["Content-Type"]) == (200, b"content", "text/plain")
    assert (await public(nobody, "PROPFIND", token, Depth="1")).text.count("<d:response>") == 1
    assert (await public(nobody, "PUT", token, body=b"x")).status == 403
    assert (await public(nobody, "GET", token, "sub/inner.txt")).status == 404


async def test_the_older_address_takes_the_token_as_the_name(alice: Caller, nobody: Caller, folder: str) -> None:
    token = (await link(alice, folder, 15, password=SECRET))["token"]
    plain = (await link(alice, folder))["token"]
    cases = [
        (None, 401),
        (basic(token, SECRET), 200),
        (basic(token, "wrong"), 401),
        (basic("alice", PASSWORD), 401),
        (basic(plain, ""), 200),
        (basic(plain, "anything"), 200),
        (f"Bearer {token}", 401),
        ("Digest x", 401),
    ]
    for header, status in cases:
        more = {} if header is None else {"Authorization": header}
        answer = await nobody.send("GET", "/public.php/webdav/file.txt", **more)
        assert (header, answer.status) == (header, status)
        assert status != 401 or "Basic" in answer.headers["WWW-Authenticate"]
    signed = {"Authorization": basic(token, SECRET)}
    there = "/public.php/webdav/moved.txt"
    moved = await nobody.send("MOVE", "/index.php/public.php/webdav/file.txt", Destination=there, **signed)
    assert moved.status == 201
    assert (await alice.dav("GET", f"{folder}/moved.txt")).status == 200


async def test_a_password_is_asked_for_and_can_be_changed(alice: Caller, nobody: Caller, folder: str) -> None:
    made = await link(alice, folder, password=SECRET)
    token, number = made["token"], made["id"]
    assert (made["password"], made["share_with"]) == ("***", "***")
    assert SECRET not in json.dumps(made)
    assert (await public(nobody, "GET", token, "file.txt")).status == 401
    assert (await public(nobody, "GET", token, "file.txt", Authorization=basic("anonymous", SECRET))).status == 200
    assert (await public(nobody, "GET", token, "file.txt", Authorization=basic("anonymous", PASSWORD))).status == 401
    document = json.dumps({"password": SECRET + " new", "label": None})
    assert (await alice.ocs("PUT", f"{SHARES}/{number}", body=document, Content_Type="application/json")).status == 200
    assert (await public(nobody, "GET", token, "file.txt", Authorization=basic("x", SECRET))).status == 401
    assert (await public(nobody, "GET", token, "file.txt", Authorization=basic("x", SECRET + " new"))).status == 200
    assert (await alice.ocs("PUT", f"{SHARES}/{number}", body={"password": "short"})).status == 400
    assert data(await alice.ocs("PUT", f"{SHARES}/{number}", body={"password": ""}))["password"] is None
    assert (await public(nobody, "GET", token, "file.txt")).status == 200


async def test_wrong_passwords_of_one_link_are_counted(alice: Caller, nobody: Caller, folder: str) -> None:
    token = (await link(alice, folder, password=SECRET))["token"]
    statuses = [
        (await public(nobody, "GET", token, "file.txt", Authorization=basic("x", f"wrong {n}"))).status
        for n in range(22)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    other = (await link(alice, folder, password=SECRET))["token"]
    assert (await public(nobody, "GET", other, "file.txt", Authorization=basic("x", SECRET))).status == 200


async def test_what_a_link_may_do_can_be_changed(alice: Caller, nobody: Caller, folder: str) -> None:
    made = await link(alice, folder)
    token, path = made["token"], f"{SHARES}/{made['id']}"
    assert data(await alice.ocs("PUT", path, body={"permissions": "15"}))["permissions"] == 15
    assert (await public(nobody, "PUT", token, "new", body=b"x")).status == 201
    assert data(await alice.ocs("PUT", path, body={"publicUpload": "false"}))["permissions"] == 1
    assert (await public(nobody, "PUT", token, "newer", body=b"x")).status == 403
    changed = data(await alice.ocs("PUT", path, body={"note": "n", "label": "l", "hideDownload": "true"}))
    assert (changed["note"], changed["label"], changed["hide_download"]) == ("n", "l", 1)
    assert (await public(nobody, "GET", token, "file.txt")).status == 403
    assert data(await alice.ocs("PUT", path, body={"expireDate": "2090-01-02"}))["expiration"] == "2090-01-02 00:00:00"
    assert data(await alice.ocs("PUT", path, body={"expireDate": ""}))["expiration"] is None
    for body in ({"expireDate": "2001-01-01"}, {"expireDate": "soon"}, {"permissions": "2"}, {"permissions": "64"}):
        assert (await alice.ocs("PUT", path, body=body)).status == 400


async def test_a_link_ends_with_its_share_its_folder_and_its_maker(
    server: ServerProcess, alice: Caller, bob: Caller, nobody: Caller, folder: str
) -> None:
    made = await link(alice, folder)
    assert (await alice.ocs("DELETE", f"{SHARES}/{made['id']}")).status == 200
    assert (await public(nobody, "GET", made["token"], "file.txt")).status == 404
    form = {"path": f"/{folder}", "shareType": "0", "shareWith": "bob", "permissions": "31"}
    number = data(await alice.ocs("POST", SHARES, body=form))["id"]
    by_bob = await link(bob, folder, 15)
    assert (await public(nobody, "PUT", by_bob["token"], "x", body=b"x")).status == 201
    await alice.ocs("PUT", f"{SHARES}/{number}", body={"permissions": "17"})
    assert (await public(nobody, "PUT", by_bob["token"], "y", body=b"x")).status == 403
    assert (await public(nobody, "GET", by_bob["token"], "x")).status == 200
    await alice.ocs("PUT", f"{SHARES}/{number}", body={"permissions": "1"})
    assert (await public(nobody, "GET", by_bob["token"], "x")).status == 404
    await alice.ocs("PUT", f"{SHARES}/{number}", body={"permissions": "31"})
    assert (await public(nobody, "GET", by_bob["token"], "x")).status == 200
    run_server("user", "disable", "bob", "--data", str(server.data))
    try:
        assert (await public(nobody, "GET", by_bob["token"], "x")).status == 404
    finally:
        run_server("user", "enable", "bob", "--data", str(server.data))
    await alice.ocs("DELETE", f"{SHARES}/{number}")
    assert (await public(nobody, "GET", by_bob["token"], "x")).status == 404
    last = (await link(alice, folder))["token"]
    assert (await alice.dav("DELETE", folder)).status == 204
    assert (await public(nobody, "PROPFIND", last, Depth="0")).status == 404


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"permissions": "0"}, 400),
        ({"permissions": "2"}, 400),
        ({"permissions": "6"}, 400),
        ({"permissions": "16"}, 400),
        ({"permissions": "32"}, 400),
        ({"password": "short"}, 400),
        ({"expireDate": "2001-01-01"}, 400),
        ({"expireDate": "2030-13-01"}, 400),
        ({"expireDate": "2090-01-01\r\nX: y"}, 400),
        ({"path": "/"}, 403),
        ({"path": "/../bob"}, 400),
        ({"path": "/nowhere"}, 404),
        ({"note": "n" * 1001}, 413),
    ],
)
async def test_a_link_that_cannot_be_is_refused(alice: Caller, folder: str, form: dict[str, str], status: int) -> None:
    whole = {"path": f"/{folder}", "shareType": "3", "permissions": "1", **form}
    assert (await alice.ocs("POST", SHARES, body=whole)).status == status


async def test_a_file_has_no_link_for_uploads_only(alice: Caller, folder: str) -> None:
    form = {"path": f"/{folder}/file.txt", "shareType": "3", "permissions": "4"}
    assert (await alice.ocs("POST", SHARES, body=form)).status == 400


async def test_only_the_top_of_an_encrypted_folder_gets_a_link(alice: Caller, folder: str) -> None:
    number = (await alice.dav("MKCOL", f"{folder}/secret")).headers["OC-FileId"]
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200
    lock = data(await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
    for path in ("inner", "inner/plain"):
        assert (await alice.dav("MKCOL", f"{folder}/secret/{path}", e2e_token=lock)).status == 201
    assert (await alice.e2ee("DELETE", f"lock/{number}", e2e_token=lock)).status == 200
    for path in ("secret/inner", "secret/inner/plain"):
        form = {"path": f"/{folder}/{path}", "shareType": "3", "permissions": "1"}
        refused = await alice.ocs("POST", SHARES, body=form)
        assert (refused.status, "only the topmost encrypted folder" in refused.text) == (403, True)
    for permissions in (1, 4, 15):
        assert (await link(alice, f"{folder}/secret", permissions))["permissions"] == permissions


async def test_a_folder_with_a_link_cannot_become_encrypted(alice: Caller, folder: str) -> None:
    number = (await alice.dav("MKCOL", f"{folder}/plain")).headers["OC-FileId"]
    await link(alice, f"{folder}/plain", 4)
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 403


async def test_an_encrypted_folder_below_a_link_is_neither_shown_nor_written(
    alice: Caller, nobody: Caller, folder: str
) -> None:
    token = (await link(alice, folder, 15))["token"]
    number = (await alice.dav("MKCOL", f"{folder}/sub/secret")).headers["OC-FileId"]
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200
    lock = data(await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
    assert (await alice.dav("PUT", f"{folder}/sub/secret/cipher", body=b"x", e2e_token=lock)).status == 201
    assert set((await every_write(nobody, token, "sub/secret", "elsewhere")).values()) == {403}
    with_token = await public(nobody, "PUT", token, "sub/secret/other", body=b"x", e2e_token=lock)
    in_query = await public(nobody, "PUT", token, f"sub/secret/other?e2e-token={lock}", body=b"x")
    assert (with_token.status, in_query.status) == (403, 403)
    assert (await alice.e2ee("DELETE", f"lock/{number}", e2e_token=lock)).status == 200
    assert "secret" not in (await public(nobody, "PROPFIND", token, "sub", Depth="1")).text
    assert (await public(nobody, "PROPFIND", token, "sub/secret", Depth="0")).status == 403
    assert (await public(nobody, "GET", token, "sub/secret/cipher")).status == 403
    assert set((await every_write(nobody, token, "sub/secret", "elsewhere")).values()) == {403}
    around = {
        "DELETE": await public(nobody, "DELETE", token, "sub"),
        "MOVE": await public(nobody, "MOVE", token, "sub", Destination=f"/public.php/dav/files/{token}/moved"),
        "COPY": await public(nobody, "COPY", token, "sub", Destination=f"/public.php/dav/files/{token}/copied"),
        "replace": await public(
            nobody, "MOVE", token, "file.txt", Destination=f"/public.php/dav/files/{token}/sub", Overwrite="T"
        ),
    }
    assert {name: answer.status for name, answer in around.items()} == dict.fromkeys(around, 403)
    assert (await alice.dav("GET", f"{folder}/sub/secret/cipher")).body == b"x"
    listed = await alice.dav("PROPFIND", f"{folder}/sub/secret", Depth="1")
    assert listed.text.count("<d:response>") == 2


async def test_a_link_of_a_folder_that_was_moved_into_an_encrypted_one_is_refused(alice: Caller, folder: str) -> None:
    number = (await alice.dav("MKCOL", f"{folder}-e")).headers["OC-FileId"]
    assert (await alice.e2ee("PUT", f"encrypted/{number}")).status == 200
    await link(alice, folder, 15)
    token = data(await alice.e2ee("POST", f"lock/{number}", X_NC_E2EE_COUNTER="1"))["e2e-token"]
    there = f"/remote.php/dav/files/alice/{folder}-e/in"
    assert (await alice.dav("MOVE", folder, Destination=there, e2e_token=token)).status == 403


async def test_the_space_of_the_owner_limits_uploads_by_link(
    server: ServerProcess, alice: Caller, nobody: Caller, tmp_path_factory: pytest.TempPathFactory
) -> None:
    password = tmp_path_factory.mktemp("q") / "password"
    password.write_text(PASSWORD)
    where = ("--data", str(server.data))
    run_server("user", "add", "small", "--quota", "1000", "--password-file", str(password), *where)
    async with Caller(server.url, "small") as small:
        await small.dav("MKCOL", "in")
        token = (await link(small, "in", 15))["token"]
        assert (await public(nobody, "PUT", token, "big", body=b"x" * 2000)).status == 507
        assert (await public(nobody, "PUT", token, "fits", body=b"x" * 500)).status == 201
        quota = await public(nobody, "PROPFIND", token, body=QUOTA, Depth="0")
        assert "<d:quota-available-bytes>500<" in quota.text


QUOTA = '<d:propfind xmlns:d="DAV:"><d:prop><d:quota-available-bytes/></d:prop></d:propfind>'


@pytest.mark.parametrize("token", ["x", "A" * 14, "A" * 20, "A" * 65, "..", "%2e%2e", "%00", "a%0d%0aX:y" + "A" * 20])
async def test_a_token_that_is_none_finds_nothing(nobody: Caller, token: str) -> None:
    answer = await public(nobody, "PROPFIND", token, Depth="0")
    assert answer.status in (400, 404)


async def test_the_capabilities_offer_links_and_groups(alice: Caller) -> None:
    offered = data(await alice.ocs("GET", "/cloud/capabilities"))["capabilities"]["files_sharing"]
    assert offered["public"]["enabled"] is True
    assert offered["public"]["password"]["enforced"] is False
    assert offered["group_sharing"] is True

"""Hostile requests: paths, documents, headers. None may be 500, none may reach another tree."""

import json
from collections.abc import Iterator

import pytest
from tests.e2e.server_process import Caller, ServerProcess, make_data, serving

ENTITY_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))
    + ']><d:propfind xmlns:d="DAV:"><d:prop><d:x>&j;</d:x></d:prop></d:propfind>'
)
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    '<d:propfind xmlns:d="DAV:"><d:prop><d:x>&e;</d:x></d:prop></d:propfind>'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("hostile"), "alice", "bob")) as running:
        yield running
        log = (running.data.parent / "server.log").read_text()
        assert "Traceback" not in log, log


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fetc/passwd",
        "%2e%2e/bob/x",
        "a/%2e%2e/%2e%2e/bob",
        "a%00b",
        "a%2fb",
        "%ff%fe",
        "%zz",
        "x" * 300,
        "/".join(["d"] * 200),
        "%c0%ae%c0%ae/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "MKCOL", "PROPFIND", "DELETE"])
async def test_a_tricky_path_is_refused(alice: Caller, method: str, path: str) -> None:
    answer = await alice.dav(method, path, body=b"x" if method == "PUT" else None, Depth="0")
    assert 400 <= answer.status < 500


async def test_a_name_that_looks_like_a_command_is_only_a_name(alice: Caller) -> None:
    name = "%24(rm%20-rf)%3B%27%22%3C%26%3E%5C"
    answer = await alice.dav("PUT", name, body=b"x")
    if answer.status == 201:
        listed = await alice.dav("PROPFIND", "", Depth="1")
        assert "<&" not in listed.text
        assert (await alice.dav("GET", name)).body == b"x"
    else:
        assert answer.status in (400, 403)


@pytest.mark.parametrize(
    "body", [ENTITY_BOMB, EXTERNAL, "<a", "", "<d:propfind xmlns:d='DAV:'/>", "\x00", "[" * 100000]
)
@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH"])
async def test_hostile_xml_is_refused_and_reveals_nothing(alice: Caller, method: str, body: str) -> None:
    answer = await alice.dav(method, "", body=body, Depth="0")
    assert answer.status in ((207, 400, 413) if method == "PROPFIND" and body == "" else (400, 413))
    assert "root:" not in answer.text


async def test_documents_beyond_the_limit_are_413(alice: Caller) -> None:
    big = b" " * (2 << 20)
    assert (await alice.dav("PROPFIND", "", body=big, Depth="0")).status == 413
    call = "/apps/end_to_end_encryption/api/v2/public-key"
    assert (await alice.ocs("POST", call, body=b"csr=" + big)).status == 413
    drop = "/apps/end_to_end_encryption/api/v2/meta-data/1/filedrop"
    assert (await alice.ocs("PUT", drop, body=b"filedrop=" + b"x" * (9 << 20))).status == 413


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("[1]", "application/json"),
        ("{", "application/json"),
        ('{"csr":{"a":1}}', "application/json"),
        ('{"csr":"a","csr":"b"}', "application/json"),
        ("[" * 5000, "application/json"),
        ("csr=%ff%fe", "application/x-www-form-urlencoded"),
        ("&".join(f"a{n}=1" for n in range(3000)), "application/x-www-form-urlencoded"),
        ("", "application/json"),
    ],
)
async def test_hostile_parameters_are_refused(alice: Caller, body: str, kind: str) -> None:
    path = "/apps/end_to_end_encryption/api/v2/public-key"
    assert (await alice.ocs("POST", path, body=body, Content_Type=kind)).status == 400


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Basic " + "A" * 9000,
        "Bearer",
        "Bearer x",
        "Digest x",
        "Basic YQ==",
        "Basic OmI=",
        "x" * 7000,
    ],
)
async def test_a_broken_authorization_is_401(server: ServerProcess, authorization: str) -> None:
    async with Caller(server.url, None) as caller:
        caller.headers["Authorization"] = authorization
        for path in ("/remote.php/dav/files/alice/", "/ocs/v2.php/cloud/user"):
            answer = await caller.send("PROPFIND" if "dav" in path else "GET", path, Depth="0")
            assert answer.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X_OC_MTime": "yesterday"},
        {"X_OC_MTime": "-5"},
        {"X_OC_MTime": "nan"},
        {"X_OC_MTime": "1e300"},
        {"OC_Checksum": "SHA1"},
        {"OC_Checksum": "SHA1:zz"},
        {"OC_Checksum": "SHA1:<&>" + "a" * 36},
        {"Content_Range": "bytes 0-1/2"},
        {"If_Match": '"a", "b"'},
        {"If_None_Match": '"a"'},
    ],
)
async def test_hostile_headers_of_an_upload_are_refused(alice: Caller, headers: dict[str, str]) -> None:
    assert (await alice.dav("PUT", "never", body=b"x", **headers)).status in (400, 412)
    assert (await alice.dav("GET", "never")).status == 404


@pytest.mark.parametrize("value", ["bytes=", "bytes=5-1", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=-0"])
async def test_a_range_that_is_none_does_no_harm(alice: Caller, value: str) -> None:
    await alice.dav("PUT", "ranged", body=b"0123456789")
    answer = await alice.dav("GET", "ranged", Range=value)
    if value == "bytes=-0":
        assert (answer.status, "behind the end" in answer.text) == (416, True)
    else:
        assert (answer.status, answer.body) == (200, b"0123456789")


@pytest.mark.parametrize("transfer", ["..", "%2e%2e", "a%2fb", "x" * 2000])
async def test_tricky_upload_names_are_refused(alice: Caller, transfer: str) -> None:
    answer = await alice.send("MKCOL", f"/remote.php/dav/uploads/alice/{transfer}")
    assert answer.status in (400, 403, 404, 405)


async def test_tricky_chunk_names_are_refused_and_others_uploads_are_out_of_reach(alice: Caller, bob: Caller) -> None:
    base = "/remote.php/dav/uploads/alice/names"
    await alice.send("MKCOL", base)
    for name in ("%31%00", "x/y", "..", "%2e%2e"):
        assert (await alice.send("PUT", f"{base}/{name}", body=b"x")).status in (400, 403, 405)
    await alice.send("PUT", f"{base}/1", body=b"alice's")
    target = "/remote.php/dav/files/bob/stolen"
    assert (await bob.send("MOVE", f"{base}/.file", Destination=target)).status == 404
    own = "/remote.php/dav/uploads/bob/names/.file"
    assert (await bob.send("MOVE", own, Destination=target)).status == 404


async def test_ids_of_any_form_are_never_500(alice: Caller) -> None:
    for file_id in ("-1", "0", "9" * 40, "1;drop", "%00", "1'", "NaN", "%2e%2e"):
        for method, path in (("GET", "meta-data"), ("PUT", "encrypted"), ("POST", "lock"), ("DELETE", "lock")):
            answer = await alice.e2ee(method, f"{path}/{file_id}", X_NC_E2EE_COUNTER="1", e2e_token="t" * 64)
            assert 400 <= answer.status < 500


@pytest.mark.parametrize("counter", [2**31, 2**53 - 1, 2**53, 2**63, 2**64])
async def test_counters_at_the_edges_are_bounded(alice: Caller, counter: int) -> None:
    made = await alice.dav("MKCOL", f"counter-{counter}")
    file_id = made.headers["OC-FileId"]
    await alice.e2ee("PUT", f"encrypted/{file_id}")
    answer = await alice.e2ee("POST", f"lock/{file_id}", X_NC_E2EE_COUNTER=str(counter))
    assert answer.status == (200 if counter < 2**53 else 400)


@pytest.mark.parametrize("drops", ["[]", "{", '{"a":1}', '{"a":{}}', "null", '{"' + "x" * 300 + '":{}}'])
async def test_a_hostile_file_drop_is_refused(alice: Caller, drops: str) -> None:
    made = await alice.dav("MKCOL", f"drop-{abs(hash(drops))}")
    file_id = made.headers["OC-FileId"]
    await alice.e2ee("PUT", f"encrypted/{file_id}")
    answer = await alice.e2ee("PUT", f"meta-data/{file_id}/filedrop", body={"filedrop": drops})
    assert 400 <= answer.status < 500


async def test_a_login_page_never_echoes_markup(server: ServerProcess) -> None:
    async with Caller(server.url, None) as nobody:
        start = json.loads((await nobody.send("POST", "/login/v2", User_Agent="<img src=x>")).body)
        path = start["login"].removeprefix(server.url)
        answer = await nobody.send("POST", path, body={"user": '"><script>', "password": "x"})
        assert "<script>" not in answer.text
        assert "<img" not in answer.text
        assert (await nobody.send("GET", "/login/v2/flow/%3Cscript%3E")).status == 404

"""WebDAV as clients speak it, over a real server on the loopback."""

import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.e2e.server_process import Caller, ServerProcess, make_data, serving

from candado.formats.dav import parse_multistatus

D, OC, NC = "{DAV:}", "{http://owncloud.org/ns}", "{http://nextcloud.org/ns}"
FIND = (
    '<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"><d:prop>'
    "<d:resourcetype/><d:getetag/><d:getcontentlength/><d:getlastmodified/><oc:fileid/><oc:id/><oc:permissions/>"
    "<oc:size/><oc:checksums/><oc:favorite/><nc:is-encrypted/><nc:e2ee-is-encrypted/><nc:nonsense/></d:prop></d:propfind>"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("dav"), "alice", "bob")) as running:
        yield running


@pytest.fixture
async def alice(server: ServerProcess, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    async with Caller(server.url, "alice") as caller:
        yield caller


@pytest.fixture
async def home(alice: Caller, request: pytest.FixtureRequest) -> str:
    """A fresh folder for one test."""
    name = re.sub(r"[^a-z0-9]", "-", request.node.name.lower())[:120]
    assert (await alice.dav("MKCOL", name)).status == 201
    return name


async def props(caller: Caller, path: str, depth: str = "0") -> dict[str, dict[str, str | tuple[str, ...]]]:
    answer = await caller.dav("PROPFIND", path, body=FIND, Depth=depth)
    assert answer.status == 207, answer.text
    nodes = parse_multistatus(answer.body, root_href=f"/remote.php/dav/files/{caller.user}")
    return {node.href_path: node.props for node in nodes}


async def test_a_client_that_prefers_a_minimal_listing_is_not_told_what_nodes_do_not_have(
    alice: Caller, home: str
) -> None:
    await alice.dav("PUT", f"{home}/a.txt", body=b"one")
    whole = await alice.dav("PROPFIND", home, body=FIND, Depth="1")
    minimal = await alice.dav("PROPFIND", home, body=FIND, Depth="1", Prefer="respond-async, Return=Minimal")
    assert (whole.body.count(b"404 Not Found"), minimal.body.count(b"404 Not Found")) == (2, 0)
    assert "Preference-Applied" not in whole.headers
    assert minimal.headers["Preference-Applied"] == "return=minimal"
    root = "/remote.php/dav/files/alice"
    assert parse_multistatus(minimal.body, root_href=root) == parse_multistatus(whole.body, root_href=root)


async def test_a_new_file_is_201_and_its_update_204_with_the_headers_clients_need(alice: Caller, home: str) -> None:
    first = await alice.dav("PUT", f"{home}/a.txt", body=b"one", X_OC_MTime="1700000000")
    second = await alice.dav("PUT", f"{home}/a.txt", body=b"two!", X_OC_MTime="1700000001")
    assert (first.status, second.status) == (201, 204)
    assert first.headers["X-OC-MTime"] == "accepted"
    assert re.fullmatch(r"[0-9]{8,}oc[a-z0-9]{10}", first.headers["OC-FileId"])
    assert first.headers["OC-FileId"] == second.headers["OC-FileId"]
    assert first.headers["OC-ETag"] == first.headers["ETag"] != second.headers["ETag"]
    assert re.fullmatch(r'"[^"]+"', first.headers["ETag"])
    got = await alice.dav("GET", f"{home}/a.txt")
    assert (got.status, got.body, got.headers["ETag"]) == (200, b"two!", second.headers["ETag"])
    assert got.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:21 GMT"


async def test_a_listing_has_the_folder_first_and_only_what_was_asked_for(alice: Caller, home: str) -> None:
    await alice.dav("PUT", f"{home}/b%20%C3%A4%26.bin", body=b"12345")
    found = await props(alice, home + "/", depth="1")
    folder, file = list(found)
    assert (folder, file) == (f"/{home}", f"/{home}/b ä&.bin")
    shown = found[file]
    assert shown[f"{D}getcontentlength"] == shown[f"{OC}size"] == "5"
    assert shown[f"{OC}permissions"] == "RGDNVW"
    assert (shown[f"{NC}e2ee-is-encrypted"], f"{NC}is-encrypted" in shown) == ("0", False)
    assert f"{NC}nonsense" not in shown
    assert found[folder][f"{D}resourcetype"] == (f"{D}collection",)
    assert found[folder][f"{OC}permissions"] == "RGDNVCK"
    assert (found[folder][f"{NC}is-encrypted"], found[folder][f"{OC}size"]) == ("0", "5")


async def test_the_alias_and_index_php_show_the_same_tree_in_their_own_spelling(alice: Caller, home: str) -> None:
    await alice.dav("PUT", f"{home}/x", body=b"x")
    for prefix in ("/remote.php/webdav", "/index.php/remote.php/dav/files/alice", "//remote.php//dav/files/alice"):
        answer = await alice.send("PROPFIND", f"{prefix}/{home}/", Depth="1", body=FIND)
        hrefs = re.findall(r"<d:href>([^<]*)</d:href>", answer.text)
        clean = prefix.replace("//", "/")
        assert hrefs == [f"{clean}/{home}/", f"{clean}/{home}/x"]


@pytest.mark.parametrize("depth", ["infinity", "2", ""])
async def test_a_listing_of_everything_below_is_refused(alice: Caller, depth: str) -> None:
    headers = {"Depth": depth} if depth else {}
    assert (await alice.dav("PROPFIND", "", **headers)).status == 403


async def test_the_etag_of_every_folder_above_changes_with_a_file(alice: Caller, home: str) -> None:
    await alice.dav("MKCOL", f"{home}/inner")
    before = [(await props(alice, path))[f"/{path}" if path else "/"][f"{D}getetag"] for path in ("", home)]
    await alice.dav("PUT", f"{home}/inner/f", body=b"f")
    after = [(await props(alice, path))[f"/{path}" if path else "/"][f"{D}getetag"] for path in ("", home)]
    assert before[0] != after[0]
    assert before[1] != after[1]


async def test_parts_of_a_file_can_be_read(alice: Caller, home: str) -> None:
    body = bytes(range(256)) * 1024
    etag = (await alice.dav("PUT", f"{home}/r", body=body)).headers["ETag"]
    part = await alice.dav("GET", f"{home}/r", Range="bytes=100000-200000")
    assert (part.status, part.body) == (206, body[100000:200001])
    assert part.headers["Content-Range"] == f"bytes 100000-200000/{len(body)}"
    tail = await alice.dav("GET", f"{home}/r", Range="bytes=-5")
    assert (tail.status, tail.body) == (206, body[-5:])
    rest = await alice.dav("GET", f"{home}/r", Range=f"bytes={len(body) - 7}-", If_Range=etag)
    assert (rest.status, rest.body) == (206, body[-7:])
    whole = await alice.dav("GET", f"{home}/r", Range="bytes=0-1", If_Range='"other"')
    assert (whole.status, whole.body) == (200, body)
    beyond = await alice.dav("GET", f"{home}/r", Range=f"bytes={len(body)}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(body)}")


async def test_conditions_on_reading_and_writing_hold(alice: Caller, home: str) -> None:
    etag = (await alice.dav("PUT", f"{home}/c", body=b"1")).headers["ETag"]
    assert (await alice.dav("GET", f"{home}/c", If_None_Match=etag)).status == 304
    assert (await alice.dav("GET", f"{home}/c", If_Match='"other"')).status == 412
    assert (await alice.dav("PUT", f"{home}/c", body=b"2", If_Match='"other"')).status == 412
    assert (await alice.dav("PUT", f"{home}/c", body=b"2", If_None_Match="*")).status == 412
    assert (await alice.dav("DELETE", f"{home}/c", If_Match='"other"')).status == 412
    assert (await alice.dav("PUT", f"{home}/c", body=b"2", If_Match=etag)).status == 204
    assert (await alice.dav("GET", f"{home}/c")).body == b"2"


@pytest.mark.parametrize("kind", ["SHA1", "MD5", "SHA256", "ADLER32"])
async def test_a_checksum_is_verified_kept_and_given_back(alice: Caller, home: str, kind: str) -> None:
    body = b"some content" * 9000
    digest = f"{zlib.adler32(body):08x}" if kind == "ADLER32" else hashlib.new(kind.lower(), body).hexdigest()
    wrong = await alice.dav("PUT", f"{home}/s", body=body + b"!", OC_Checksum=f"{kind}:{digest}")
    assert wrong.status == 400
    assert (await alice.dav("GET", f"{home}/s")).status == 404
    right = await alice.dav("PUT", f"{home}/s", body=body, OC_Checksum=f"{kind}:{digest}")
    assert (right.status, right.headers["OC-Checksum"]) == (201, f"{kind}:{digest}")
    assert (await alice.dav("GET", f"{home}/s")).headers["OC-Checksum"] == f"{kind}:{digest}"
    assert (await props(alice, f"{home}/s"))[f"/{home}/s"][f"{OC}checksums"] == (f"{OC}checksum",)


async def test_a_file_in_a_missing_folder_is_409_and_a_folder_over_a_folder_405(alice: Caller, home: str) -> None:
    assert (await alice.dav("PUT", f"{home}/no/file", body=b"x")).status == 409
    assert (await alice.dav("MKCOL", f"{home}/no/folder")).status == 409
    made, again = await alice.dav("MKCOL", f"{home}/d"), await alice.dav("MKCOL", f"{home}/d")
    assert (made.status, again.status) == (201, 405)
    assert "OC-FileId" in made.headers
    assert (await alice.dav("MKCOL", f"{home}/e", body=b"<x/>")).status == 415


async def test_moving_keeps_the_id_and_says_201_unless_something_was_replaced(alice: Caller, home: str) -> None:
    first = await alice.dav("PUT", f"{home}/m1", body=b"1")
    await alice.dav("PUT", f"{home}/m2", body=b"2")
    base = f"http://whatever.example/remote.php/dav/files/alice/{home}"
    kept = await alice.dav("MOVE", f"{home}/m1", Destination=f"{base}/m2", Overwrite="F")
    moved = await alice.dav("MOVE", f"{home}/m1", Destination=f"{base}/m%203", Overwrite="F")
    replaced = await alice.dav("MOVE", f"{home}/m%203", Destination=f"{base}/m2")
    assert (kept.status, moved.status, replaced.status) == (412, 201, 204)
    assert moved.headers["OC-FileId"] == first.headers["OC-FileId"]
    assert (await alice.dav("GET", f"{home}/m2")).body == b"1"
    assert (await alice.dav("GET", f"{home}/m1")).status == 404


async def test_copies_are_independent(alice: Caller, home: str) -> None:
    await alice.dav("MKCOL", f"{home}/from")
    await alice.dav("PUT", f"{home}/from/f", body=b"original")
    copied = await alice.dav("COPY", f"{home}/from", Destination=f"/remote.php/webdav/{home}/to")
    assert copied.status == 201
    await alice.dav("PUT", f"{home}/from/f", body=b"changed")
    assert (await alice.dav("GET", f"{home}/to/f")).body == b"original"


@pytest.mark.parametrize(
    "destination",
    ["", "/remote.php/dav/files/bob/x", "/elsewhere", "http://[broken", "/remote.php/dav/files/alice/../bob/x"],
)
async def test_a_destination_outside_the_own_files_is_refused(alice: Caller, home: str, destination: str) -> None:
    await alice.dav("PUT", f"{home}/f", body=b"f")
    assert (await alice.dav("MOVE", f"{home}/f", Destination=destination)).status in (400, 403)
    assert (await alice.dav("GET", f"{home}/f")).body == b"f"


async def test_deleting_is_204_and_then_404(alice: Caller, home: str) -> None:
    await alice.dav("MKCOL", f"{home}/d")
    await alice.dav("PUT", f"{home}/d/f", body=b"f")
    assert [(await alice.dav("DELETE", f"{home}/d")).status for _ in range(2)] == [204, 404]
    assert (await alice.dav("GET", f"{home}/d/f")).status == 404


async def test_properties_are_changed_all_or_none(alice: Caller, home: str) -> None:
    await alice.dav("PUT", f"{home}/p", body=b"p")
    start = '<d:propertyupdate xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:set><d:prop>'
    end = "</d:prop></d:set></d:propertyupdate>"
    good = "<oc:favorite>1</oc:favorite><d:lastmodified>1600000000</d:lastmodified>"
    bad = "<oc:favorite>0</oc:favorite><d:getetag>mine</d:getetag>"
    done = await alice.dav("PROPPATCH", f"{home}/p", body=start + good + end)
    assert (done.status, done.text.count("HTTP/1.1 200 OK")) == (207, 1)
    refused = await alice.dav("PROPPATCH", f"{home}/p", body=start + bad + end)
    assert "403 Forbidden" in refused.text
    assert "424 Failed Dependency" in refused.text
    shown = (await props(alice, f"{home}/p"))[f"/{home}/p"]
    assert (shown[f"{OC}favorite"], shown[f"{D}getlastmodified"]) == ("1", "Sun, 13 Sep 2020 12:26:40 GMT")


async def test_chunks_are_joined_in_the_order_of_their_numbers(alice: Caller, home: str) -> None:
    base, parts = "/remote.php/dav/uploads/alice/4711", {"00010": b"c" * 9, "00002": b"b" * 70000, "1": b"a" * 3}
    target = f"/remote.php/dav/files/alice/{home}/big"
    assert (await alice.send("MKCOL", base, Destination=target)).status == 201
    assert (await alice.send("MKCOL", base)).status == 405
    for name, data in parts.items():
        assert (await alice.send("PUT", f"{base}/{name}", body=data, Destination=target)).status == 201
    listed = await alice.send("PROPFIND", base, Depth="1")
    assert re.findall(r"<d:getcontentlength>(\d+)<", listed.text) == ["3", "70000", "9"]
    short = await alice.send("MOVE", f"{base}/.file", Destination=target, OC_Total_Length="5")
    assert short.status == 400
    done = await alice.send(
        "MOVE", f"{base}/.file", Destination=target, OC_Total_Length="70012", X_OC_MTime="1700000000"
    )
    assert (done.status, done.headers["X-OC-MTime"]) == (201, "accepted")
    assert all(name in done.headers for name in ("OC-FileId", "OC-ETag", "ETag"))
    got = await alice.dav("GET", f"{home}/big")
    assert got.body == b"a" * 3 + b"b" * 70000 + b"c" * 9
    part = await alice.dav("GET", f"{home}/big", Range="bytes=1-70005")
    assert part.body == got.body[1:70006]
    assert (await alice.send("PROPFIND", base, Depth="1")).status == 404


async def test_an_upload_can_be_given_up(alice: Caller) -> None:
    base = "/remote.php/dav/uploads/alice/given-up"
    assert (await alice.send("MKCOL", base)).status == 201
    assert (await alice.send("PUT", f"{base}/1", body=b"x")).status == 201
    assert (await alice.send("DELETE", base)).status == 204
    assert (await alice.send("PUT", f"{base}/2", body=b"x")).status == 404


async def test_the_same_method_on_others_trees_finds_nothing(server: ServerProcess, alice: Caller, home: str) -> None:
    await alice.dav("PUT", f"{home}/private", body=b"secret")
    await alice.send("MKCOL", "/remote.php/dav/uploads/alice/mine")
    async with Caller(server.url, "bob") as bob:
        for method in ("GET", "PROPFIND", "PUT", "DELETE", "MKCOL", "PROPPATCH", "HEAD"):
            answer = await bob.send(method, f"/remote.php/dav/files/alice/{home}/private", Depth="0")
            assert (method, answer.status) == (method, 404)
        for method in ("PROPFIND", "DELETE", "MKCOL"):
            answer = await bob.send(method, "/remote.php/dav/uploads/alice/mine", Depth="0")
            assert (method, answer.status) == (method, 404)
        assert (await bob.send("PROPFIND", "/remote.php/dav/uploads/bob/mine", Depth="0")).status == 404
    assert (await alice.dav("GET", f"{home}/private")).body == b"secret"


async def test_errors_have_the_body_dav_clients_parse(alice: Caller) -> None:
    answer = await alice.dav("GET", "nothing-here")
    assert answer.headers["Content-Type"] == "application/xml; charset=utf-8"
    assert '<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">' in answer.text
    assert "<s:exception>Sabre\\DAV\\Exception\\NotFound</s:exception>" in answer.text


@pytest.mark.parametrize(("method", "status"), [("LOCK", 501), ("SEARCH", 501), ("POST", 405)])
async def test_methods_that_are_not_offered_say_so(alice: Caller, method: str, status: int) -> None:
    answer = await alice.dav(method, "")
    assert (answer.status, f"<s:message>{method} is not offered here" in answer.text) == (status, True)
    allowed = answer.headers["Allow"].split(", ")
    assert {"GET", "PUT", "PROPFIND", "MOVE"} <= set(allowed)
    assert method not in allowed
    offered = await alice.dav("OPTIONS", "")
    # Class 2 would be locks.
    assert (offered.headers["DAV"], offered.headers["Allow"].split(", ")) == ("1, 3", allowed)


async def test_downloads_can_never_run_in_a_browser(alice: Caller, home: str) -> None:
    await alice.dav("PUT", f"{home}/evil.html", body=b"<script>alert(1)</script>")
    headers = (await alice.dav("GET", f"{home}/evil.html")).headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Content-Disposition"] == "attachment"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_from_the_far_future_can_be_listed_and_read(alice: Caller) -> None:
    assert (await alice.dav("PUT", "far.txt", body=b"x", X_OC_MTime=str(1 << 40))).status == 201
    listed = await alice.dav("PROPFIND", "far.txt", Depth="0")
    assert "<d:getlastmodified>Fri, 31 Dec 9999 23:59:59 GMT</d:getlastmodified>" in listed.text
    assert (await alice.dav("GET", "far.txt")).headers["Last-Modified"] == "Fri, 31 Dec 9999 23:59:59 GMT"
    assert (await alice.dav("DELETE", "far.txt")).status == 204

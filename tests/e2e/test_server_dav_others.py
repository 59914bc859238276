"""WebDAV beyond what sync clients need: fragments, dead properties, what a copy keeps."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit
from xml.etree.ElementTree import fromstring

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, serving

PATCH = '<d:propertyupdate xmlns:d="DAV:" xmlns:x="urn:x" xmlns:oc="http://owncloud.org/ns"><d:set><d:prop>{}</d:prop></d:set></d:propertyupdate>'
FIND = '<d:propfind xmlns:d="DAV:" xmlns:x="urn:x" xmlns:oc="http://owncloud.org/ns"><d:prop><x:colour/><oc:favorite/></d:prop></d:propfind>'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("dav"), "alice")) as running:
        yield running


async def _raw(url: str, target: str, method: str = "DELETE") -> bytes:
    """The first line of the answer to a request whose target is sent exactly as given."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    login = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.strip()


async def _seen(caller: Caller, path: str) -> tuple[str | None, str | None]:
    """What the caller has written on a node: its colour, and whether it is a favourite."""
    answer = await caller.dav("PROPFIND", path, body=FIND, Depth="0")
    assert answer.status == 207
    colour = re.search(r"<ns0:colour>([^<]*)</ns0:colour>", answer.text)
    favourite = re.search(r"<oc:favorite>([^<]*)</oc:favorite>", answer.text)
    return (colour[1] if colour else None, favourite[1] if favourite else None)


async def test_a_url_with_a_fragment_is_refused_and_deletes_nothing(server: ServerProcess, alice: Caller) -> None:
    await alice.dav("MKCOL", "frag")
    await alice.dav("MKCOL", "frag%23part")
    for spelling in ("frag#part", "frag/#part", "frag#", "#"):
        line = await _raw(server.url, f"/remote.php/dav/files/alice/{spelling}")
        assert line.startswith(b"HTTP/1.1 400 "), spelling
    assert (await alice.dav("PROPFIND", "frag", Depth="0")).status == 207
    assert await _raw(server.url, "/remote.php/dav/files/alice/frag%23part") == b"HTTP/1.1 204 No Content"
    assert (await alice.dav("PROPFIND", "frag", Depth="0")).status == 207


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
async def test_a_missing_folder_for_the_target_is_a_conflict_and_a_missing_source_is_not_found(
    alice: Caller, method: str
) -> None:
    name = f"here-{method}"
    await alice.dav("PUT", name, body=b"here")
    for target in ("nowhere/there", f"{name}/below a file"):
        answer = await alice.dav(method, name, Destination=f"/remote.php/webdav/{target.replace(' ', '%20')}")
        assert answer.status == 409
    answer = await alice.dav(method, "not-here", Destination="/remote.php/webdav/nowhere/there")
    assert answer.status == 404
    assert (await alice.dav("GET", name)).body == b"here"


async def test_a_move_takes_all_properties_along_and_a_copy_those_that_are_no_mark(alice: Caller) -> None:
    await alice.dav("MKCOL", "props")
    await alice.dav("PUT", "props/f", body=b"1")
    for path in ("props", "props/f"):
        patch = PATCH.format("<x:colour>red</x:colour><oc:favorite>1</oc:favorite>")
        assert (await alice.dav("PROPPATCH", path, body=patch)).status == 207
    await alice.dav("PUT", "replaced", body=b"2")
    await alice.dav("PROPPATCH", "replaced", body=PATCH.format("<x:old>1</x:old><oc:favorite>1</oc:favorite>"))
    assert (await alice.dav("COPY", "props/f", Destination="/remote.php/webdav/props/g")).status == 201
    assert (await alice.dav("COPY", "props/f", Destination="/remote.php/webdav/replaced")).status == 204
    assert (await alice.dav("COPY", "props", Destination="/remote.php/webdav/props2")).status == 201
    assert await _seen(alice, "props/g") == ("red", "0")
    assert await _seen(alice, "replaced") == ("red", "1")
    assert b"old" not in (await alice.dav("PROPFIND", "replaced", Depth="0")).body
    assert [await _seen(alice, path) for path in ("props2", "props2/f", "props2/g")] == [("red", "0")] * 3
    assert (await alice.dav("MOVE", "props", Destination="/remote.php/webdav/props3")).status == 201
    assert [await _seen(alice, path) for path in ("props3", "props3/f")] == [("red", "1")] * 2


NAMES = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"'
ROOT = "/remote.php/dav"


def _search(scope: str, where: str, tail: str = "") -> str:
    return (
        f"<d:searchrequest {NAMES}><d:basicsearch><d:select><d:prop><oc:fileid/><d:getetag/><oc:favorite/><oc:tags/></d:prop></d:select>"
        f"<d:from><d:scope><d:href>{scope}</d:href><d:depth>infinity</d:depth></d:scope></d:from>"
        f"<d:where>{where}</d:where>{tail}</d:basicsearch></d:searchrequest>"
    )


def _is(prop: str, literal: str, kind: str = "eq") -> str:
    return f"<d:{kind}><d:prop><{prop}/></d:prop><d:literal>{literal}</d:literal></d:{kind}>"


def _hrefs(answer: Answer) -> list[str]:
    assert answer.status == 207, answer.text
    assert answer.headers["Content-Type"] == "application/xml; charset=utf-8"
    return re.findall(r"<d:href>([^<]*)</d:href>", answer.text)


async def test_a_file_is_found_by_its_id_its_name_and_its_type(alice: Caller) -> None:
    await alice.dav("MKCOL", "find%20me")
    key = (await alice.dav("PUT", "find%20me/p%231.png", body=b"png")).headers["OC-FileId"]
    there = f"{ROOT}/files/alice/find%20me/p%231.png"
    for where in (
        _is("oc:fileid", key),
        _is("d:displayname", "P#_.p%", "like"),
        _is("d:getcontenttype", "image/%", "like"),
    ):
        answer = await alice.send("SEARCH", f"{ROOT}/", body=_search("/files/alice/find me", where))
        assert _hrefs(answer) == [there]
        assert f"<oc:fileid>{int(key[:8])}</oc:fileid>" in answer.text
        assert "<oc:tags/></d:prop><d:status>HTTP/1.1 404" in answer.text
    for root, scope in (
        (ROOT, "/remote.php/dav/files/alice/"),
        (f"/index.php{ROOT}", f"{alice.url}/index.php/remote.php/webdav/find%20me"),
    ):
        answer = await alice.send("SEARCH", root, body=_search(scope, _is("oc:fileid", key)), Prefer="return=minimal")
        assert _hrefs(answer) == [f"{root}/files/alice/find%20me/p%231.png"]
        assert "404" not in answer.text
    moved = await alice.dav("MOVE", "find%20me/p%231.png", Destination=f"{ROOT}/files/alice/moved.png")
    assert moved.headers["OC-FileId"] == key
    assert _hrefs(await alice.send("SEARCH", ROOT, body=_search("/files/alice", _is("oc:fileid", key)))) == [
        f"{ROOT}/files/alice/moved.png"
    ]


async def test_a_search_outside_of_the_own_files_or_of_another_shape_is_refused(alice: Caller) -> None:
    everything = _is("oc:size", "0", "gte")
    for scope, status in (
        ("/files/bob", 403), ("/files/bob/alice", 403), ("/", 403), ("/files/alice/../bob", 400), ("/files/alice/%2e%2e/bob", 400),
        ("/uploads/alice", 403), ("/files/alice/not here", 404),
    ):  # fmt: skip
        assert (await alice.send("SEARCH", f"{ROOT}/", body=_search(scope, everything))).status == status, scope
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    deep = "<d:not>" * 30 + everything + "</d:not>" * 30
    for body, status in (
        ("", 400), ("<x/>", 400), (bomb + _search("/files/alice", _is("d:displayname", "&b;")), 400),
        (_search("/files/alice", deep), 413), (_search("/files/alice", _is("d:displayname", "x" * 70_000)), 413),
        (_search("/files/alice", "<d:or>" + everything * 40 + "</d:or>"), 413), (_search("/files/alice", _is("d:getetag", "x")), 400),
        ("x" * 2_000_000, 413),
    ):  # fmt: skip
        assert (await alice.send("SEARCH", f"{ROOT}/", body=body)).status == status, body[:80]
    assert (await alice.send("SEARCH", f"{ROOT}/files/alice", body=_search("/files/alice", everything))).status == 501
    assert (await alice.send("SEARCH", f"{ROOT}/files", body=_search("/files/alice", everything))).status == 405


async def test_what_can_be_searched_is_announced(alice: Caller) -> None:
    answer = await alice.send("OPTIONS", f"{ROOT}/")
    assert (answer.status, answer.headers["DASL"]) == (200, "<DAV:basicsearch>")
    assert "SEARCH" in answer.headers["Allow"]
    assert "REPORT" in (await alice.dav("OPTIONS", "")).headers["Allow"]


async def test_favourites_are_set_reported_and_searched(alice: Caller) -> None:
    await alice.dav("MKCOL", "marks")
    for name in ("one", "two"):
        await alice.dav("PUT", f"marks/{name}", body=b"x")
    await alice.dav("PROPPATCH", "marks/two", body=PATCH.format("<oc:favorite>1</oc:favorite>"))
    rules = "<oc:filter-rules><oc:favorite>1</oc:favorite></oc:filter-rules>"
    body = f"<oc:filter-files {NAMES}><d:prop><oc:fileid/><oc:favorite/></d:prop>{rules}</oc:filter-files>"
    answer = await alice.dav("REPORT", "marks/", body=body)
    assert _hrefs(answer) == [f"{ROOT}/files/alice/marks/two"]
    assert "<oc:favorite>1</oc:favorite>" in answer.text
    whole = f"<oc:filter-files {NAMES}>{rules}</oc:filter-files>"
    assert "<d:getetag>" in (await alice.send("REPORT", "/remote.php/webdav/marks", body=whole)).text
    found = await alice.send("SEARCH", ROOT, body=_search("/files/alice/marks", _is("oc:favorite", "1")))
    assert _hrefs(found) == [f"{ROOT}/files/alice/marks/two"]
    tagged = body.replace("<oc:favorite>1</oc:favorite>", "<oc:systemtag>1</oc:systemtag>")
    assert (await alice.dav("REPORT", "marks", body=tagged)).status == 412
    assert (await alice.dav("REPORT", "not-here", body=body)).status == 404
    assert (await alice.dav("REPORT", "marks", body=f"<oc:search-files {NAMES}/>")).status == 400
    assert (await alice.dav("REPORT", "marks", body="<!DOCTYPE x>" + body)).status == 400


async def test_what_is_not_offered_is_answered_as_a_server_without_these_apps_does(alice: Caller) -> None:
    for path in (
        "trashbin/alice/trash",
        "versions/alice/versions/1",
        "systemtags",
        "systemtags-relations/files/1/",
        "comments",
    ):
        answer = await alice.send("PROPFIND", f"{ROOT}/{path}", Depth="1")
        assert (answer.status, b"<s:exception>" in answer.body) == (404, True)
    deep = await alice.dav("PROPFIND", "", Depth="infinity")
    assert (deep.status, b"<d:propfind-finite-depth/>" in deep.body) == (403, True)
    for method in ("LOCK", "UNLOCK"):
        assert (await alice.dav(method, "marks")).status == 501


async def test_a_user_document_has_every_member_that_clients_read(alice: Caller) -> None:
    for path in ("/cloud/user", "/cloud/users/alice"):
        data = json.loads((await alice.ocs("GET", path)).body)["ocs"]["data"]
        assert (data["backend"], data["lastLogin"], data["subadmin"]) == ("Database", 0, [])
        assert (data["notify_email"], data["additional_mail"], data["profile_enabled"]) == (None, [], "0")
        assert data["backendCapabilities"] == {"setDisplayName": True, "setPassword": True}
        assert {data[name] for name in ("organisation", "role", "headline", "biography", "fediverse", "phone")} == {""}


async def test_a_property_keeps_the_elements_of_its_value(alice: Caller) -> None:
    await alice.dav("PUT", "valued", body=b"1")
    value = '<x:colour>very <x:tone depth="2">red &amp; warm</x:tone> indeed</x:colour>'
    assert (await alice.dav("PROPPATCH", "valued", body=PATCH.format(value))).status == 207
    await alice.dav("COPY", "valued", Destination="/remote.php/webdav/valued2")
    for path in ("valued", "valued2"):
        tree = fromstring((await alice.dav("PROPFIND", path, body=FIND, Depth="0")).body)
        (colour,) = tree.iter("{urn:x}colour")
        (tone,) = colour
        assert (colour.text, tone.tag, tone.attrib, tone.text, tone.tail) == (
            "very ", "{urn:x}tone", {"depth": "2"}, "red & warm", " indeed",
        )  # fmt: skip


async def test_chunks_for_a_missing_folder_are_a_conflict_and_can_still_be_joined_elsewhere(alice: Caller) -> None:
    uploads = f"{ROOT}/uploads/alice/for-nowhere"
    assert (await alice.send("MKCOL", uploads)).status == 201
    assert (await alice.send("PUT", f"{uploads}/1", body=b"chunk")).status == 201
    nowhere = await alice.send("MOVE", f"{uploads}/.file", Destination=f"{ROOT}/files/alice/not-here/f")
    there = await alice.send("MOVE", f"{uploads}/.file", Destination=f"{ROOT}/files/alice/joined")
    gone = await alice.send("MOVE", f"{uploads}/.file", Destination=f"{ROOT}/files/alice/joined")
    assert (nowhere.status, there.status, gone.status) == (409, 201, 404)


async def test_a_checksum_is_computed_anew_and_kept_when_a_client_asks(alice: Caller) -> None:
    body = b"content" * 50_000
    wanted = f"SHA1:{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"
    made = await alice.dav("PUT", "summed", body=body)
    assert "OC-Checksum" not in (await alice.dav("HEAD", "summed")).headers
    done = await alice.dav("PATCH", "summed", X_Recalculate_Hash="sha1")
    assert (done.status, done.body, done.headers["OC-Checksum"]) == (204, b"", wanted)
    shown = await alice.dav("GET", "summed")
    assert (shown.headers["OC-Checksum"], shown.headers["ETag"]) == (wanted, made.headers["ETag"])
    md5 = await alice.dav("PATCH", "summed", X_Recalculate_Hash="MD5")
    assert md5.headers["OC-Checksum"] == f"MD5:{hashlib.md5(body, usedforsecurity=False).hexdigest()}"
    await alice.dav("PUT", "empty", body=b"")
    empty = await alice.dav("PATCH", "empty", X_Recalculate_Hash="ADLER32")
    assert empty.headers["OC-Checksum"] == "ADLER32:00000001"
    refused = {
        "no header": await alice.dav("PATCH", "summed"),
        "unknown type": await alice.dav("PATCH", "summed", X_Recalculate_Hash="SHA3"),
        "nothing there": await alice.dav("PATCH", "nowhere", X_Recalculate_Hash="SHA1"),
        "a folder": await alice.dav("PATCH", "", X_Recalculate_Hash="SHA1"),
    }
    assert [answer.status for answer in refused.values()] == [400, 400, 404, 403]

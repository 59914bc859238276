"""WebDAV beyond what sync clients need: fragments, dead properties, what a copy keeps."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from tests.e2e.server_process import PASSWORD, Caller, ServerProcess, make_data, serving

PATCH = '<d:propertyupdate xmlns:d="DAV:" xmlns:x="urn:x" xmlns:oc="http://owncloud.org/ns"><d:set><d:prop>{}</d:prop></d:set></d:propertyupdate>'
FIND = '<d:propfind xmlns:d="DAV:" xmlns:x="urn:x" xmlns:oc="http://owncloud.org/ns"><d:prop><x:colour/><oc:favorite/></d:prop></d:propfind>'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("dav"), "alice")) as running:
        yield running


@pytest.fixture
async def alice(server: ServerProcess) -> AsyncIterator[Caller]:
    async with Caller(server.url, "alice") as caller:
        yield caller


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
    await alice.dav("MKCOL", "frag%23ment")
    for spelling in ("frag#ment", "frag/#ment", "frag#", "#"):
        line = await _raw(server.url, f"/remote.php/dav/files/alice/{spelling}")
        assert line.startswith(b"HTTP/1.1 400 "), spelling
    assert (await alice.dav("PROPFIND", "frag", Depth="0")).status == 207
    assert await _raw(server.url, "/remote.php/dav/files/alice/frag%23ment") == b"HTTP/1.1 204 No Content"
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

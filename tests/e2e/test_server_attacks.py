"""Attacks by name, each with the answer it must get: 4xx with a code and a text, in constant memory, without a trace."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import unquote

import pytest
from tests.e2e.server_process import PASSWORD, Answer, Caller, ServerProcess, make_data, serving

AUTH = b"Authorization: Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()) + b"\r\n"
MINE = "/remote.php/dav/files/alice/"
E2EE = "/apps/end_to_end_encryption/api/v2"
SHARES = "/apps/files_sharing/api/v1/shares"
MEMORY_MAX = 200_000_000  # what the server promises of a worker, whatever is asked of it
LEAKS = re.compile(r"Traceback|File \"|site-packages|sqlite|/candado|\.py\b|/tmp/", re.IGNORECASE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("attacks"), "alice", "bob", admin="root")) as running:
        yield running
        log = (running.data.parent / "server.log").read_text()
        assert "Traceback" not in log, log
        assert running.memory_peak() < MEMORY_MAX


async def raw(server: ServerProcess, request: bytes) -> tuple[int, str]:
    """Send bytes as they are; status and body of what comes until the server closes or the body is there."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode("latin-1")
        length = re.search(r"content-length: (\d+)", head)
        body = await asyncio.wait_for(reader.readexactly(int(length[1]) if length else 0), 20)
        return int(head.split(" ")[1]), body.decode()
    finally:
        writer.close()


def told(answer: Answer) -> int:
    """The status of a refusal, which has to have a text, and must show nothing of the server."""
    assert not LEAKS.search(answer.text), answer.text
    if 400 <= answer.status < 500:
        found = re.search(
            r'<(?:s:)?message>.{8,}</(?:s:)?message>|"message": ?"[^"]{8,}"|role="alert">.{8,}', answer.text
        )
        assert found, answer.text
    return answer.status


# --- requests with two readings ------------------------------------------------------------------------------

CHUNKED = b"\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: xchunked\r\n" + CHUNKED,
        b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKED,
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + CHUNKED,
        b"Transfer-Encoding : chunked\r\n" + CHUNKED,
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" + CHUNKED,
        b"Content-Length: +5\r\n\r\nhello",
        b"Content-Length: 5, 5\r\n\r\nhello",
        b"Content-Length: 0x5\r\n\r\nhello",
        b"Content-Length : 5\r\n\r\nhello",
        b"Content-Length: 99999999999999999999999\r\n\r\nhello",
        b"X-A: b\r\n Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
        b"X-A: b\nContent-Length: 5\n\nhello",
        b"X-A: b\rContent-Length: 5\r\n\r\nhello",
        b"X-A: b\0c\r\nContent-Length: 5\r\n\r\nhello",
        b"X\0A: b\r\nContent-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        b"Host: other\r\nContent-Length: 5\r\n\r\nhello",
        AUTH + b"Content-Length: 5\r\n\r\nhello",
        b"Destination: /a\r\nDestination: /b\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=lambda lines: lines[:60].decode("latin-1").encode("unicode_escape").decode(),
)
async def test_a_head_or_a_chunk_with_two_readings_is_400_and_stores_nothing(
    server: ServerProcess, alice: Caller, lines: bytes
) -> None:
    status, body = await raw(server, f"PUT {MINE}smuggled HTTP/1.1\r\nHost: x\r\n".encode() + AUTH + lines)
    assert (status, json.loads(body)["error"]["code"]) == (400, "BAD_REQUEST")
    assert (await alice.dav("GET", "smuggled")).status == 404


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /204 HTTP/1.1\r\n\r\n", 400),
        (b'GET /204 HTTP/1.1\r\nHost: a"<b\r\n\r\n', 400),
        (b"GET /204 HTTP/1.1\r\nHost: a/../b\r\n\r\n", 400),
        (b"GET /204 HTTP/1.0\r\n\r\n", 204),
        (b"POST /login/v2 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /204 HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET /204\r\n\r\n", 400),
        (b"FOO /204 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n", 405),
        (b"CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_what_is_no_request_for_us_is_refused(server: ServerProcess, request_line: bytes, status: int) -> None:
    found, body = await raw(server, request_line)
    assert found == status
    assert "secret" not in body


# --- names and paths ---------------------------------------------------------------------------------------

NAMES = {
    "a%0d%0aX-Y: z": 400, "%0a": 400, "a%00": 400, "a%7f": 400, "a%1b%5b31m": 400, "a%5cb": 400, "..%5c..": 400, "%2e": 400,
    "%2e%2e/bob/x": 400, "a%2fb": 400, "%c3%28": 400, "%c0%af": 400, "%ed%a0%80": 400, "%f4%90%80%80": 400,
    "d/" * 10_000 + "x": 413, "x" * 251: 413, "%c3%a9" * 126: 413,
    "%252e%252e": 201, "%25%00"[:3]: 201, "e%cc%81": 201, "%c3%a9": 201, "%ef%bf%be": 201, "%e2%80%ae": 201, "CON": 201,
    "%20": 201, "a;b": 201, "%22%3e%3cscript%3e": 201,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:30])
async def test_a_name_is_taken_as_it_is_or_refused(alice: Caller, name: str) -> None:
    expected = NAMES[name]
    put = await alice.dav("PUT", name, body=name.encode())
    assert told(put) == expected
    await alice.dav("PUT", "source", body=name.encode())
    copied = await alice.dav("COPY", "source", Destination=MINE + name)
    assert told(copied) == (204 if expected == 201 else expected)
    if expected == 201:
        assert (await alice.dav("GET", name)).body == name.encode()
        listed = await alice.dav("PROPFIND", "", Depth="1")
        hrefs = [unquote(href) for href in re.findall(r"<d:href>([^<]*)</d:href>", listed.text)]
        assert unquote(MINE + name) in hrefs
        assert "<script" not in listed.text
        assert (await alice.dav("DELETE", name)).status == 204


async def test_both_forms_of_an_accent_are_two_names(alice: Caller) -> None:
    await alice.dav("PUT", "nf%c3%a9", body=b"composed")
    await alice.dav("PUT", "nfe%cc%81", body=b"decomposed")
    assert (await alice.dav("GET", "nf%c3%a9")).body == b"composed"
    assert (await alice.dav("GET", "nfe%cc%81")).body == b"decomposed"


@pytest.mark.parametrize(
    ("destination", "status"),
    [
        ("/remote.php/dav/files/bob/x", 403), ("/remote.php/dav/files/alice", 403), ("/remote.php/dav/files/alice/source", 403),
        ("/etc/passwd", 403), ("http://[::1", 400), ("/remote.php/dav/files/alice/../bob/x", 400), ("%zz", 400),
        ("/remote.php/dav/files/alice/source/below", 409), ("/remote.php/dav/files/alice/none/x", 409),
    ],
)  # fmt: skip
async def test_a_destination_leads_nowhere_else(alice: Caller, destination: str, status: int) -> None:
    await alice.dav("PUT", "source", body=b"x")
    assert told(await alice.dav("COPY", "source", Destination=destination)) == status


# --- documents ---------------------------------------------------------------------------------------------


def propfind(inner: str, attributes: str = "") -> str:
    return f'<d:propfind xmlns:d="DAV:"{attributes}>{inner}</d:propfind>'


DECLARED = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "b">]>' + propfind("<d:prop>&a;</d:prop>")
XML = {
    "utf-16 with entities": DECLARED.encode("utf-16"),
    "utf-16 without mark": DECLARED.encode("utf-16-le"),
    "utf-7": b'<?xml version="1.0" encoding="utf-7"?>+ADw-!DOCTYPE x+AD4-',
    "latin": b'<?xml version="1.0" encoding="iso-8859-1"?>' + propfind("<d:prop><d:é/></d:prop>").encode("latin-1"),
    "doctype": b"<!DOCTYPE x>" + propfind("<d:allprop/>").encode(),
    "doctype in lower case": b"<!doctype x>" + propfind("<d:allprop/>").encode(),
    "deep": b"<a>" * 100_000,
    "deep and whole": propfind("<d:prop>" + "<a>" * 5000 + "</a>" * 5000 + "</d:prop>").encode(),
    "fifty megabytes": propfind("<d:prop>" + " " * (50 << 20) + "</d:prop>").encode(),
    "another root": b"<a/>",
    "undeclared": b"<d:propfind/>",
    "nothing but space": b"\0",
}


@pytest.mark.parametrize("name", XML)
@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH", "REPORT", "SEARCH"])
async def test_a_hostile_document_is_refused(alice: Caller, method: str, name: str) -> None:
    path = "/remote.php/dav/" if method == "SEARCH" else MINE
    answer = await alice.send(method, path, body=XML[name], Depth="0")
    assert told(answer) in (400, 413)


async def test_an_inclusion_is_not_followed(alice: Caller) -> None:
    inner = '<xi:include href="/etc/passwd" xmlns:xi="http://www.w3.org/2001/XInclude"/><d:allprop/>'
    assert "root:" not in (await alice.dav("PROPFIND", "", body=propfind(inner), Depth="0")).text


JSON = {
    "deep": "[" * 100_000, "deep objects": '{"a":' * 40_000, "huge number": '{"folder":' + "9" * 200_000 + "}",
    "nan": '{"folder":NaN}', "twice": '{"folder":"a","folder":"b"}', "infinity": '{"folder":1e999}',
    "half a pair": '{"folder":"\\ud800"}', "mark": '\ufeff{"folder":"a"}', "null": "null", "lists": '{"folder":[[1]]}',
    "deep inside": json.dumps({"folder": "/", "names": "[" * 5000}), "names twice": json.dumps({"folder": "/", "names": '["a","a"]'}),
    "many names": json.dumps({"folder": "/", "names": json.dumps([str(n) for n in range(101)])}),
}  # fmt: skip


@pytest.mark.parametrize("name", JSON)
async def test_a_hostile_json_body_is_400(alice: Caller, name: str) -> None:
    answer = await alice.ocs("POST", "/apps/candado/api/v1/bodies", body=JSON[name], Content_Type="application/json")
    assert told(answer) == 400


async def test_names_in_a_body_do_not_lead_out_of_the_folder(alice: Caller, bob: Caller) -> None:
    await bob.dav("PUT", "private", body=b"bob's")
    for name in ("../bob/private", "..", "", "a/b", "%2e%2e/bob/private"):
        form = {"folder": "/", "names": json.dumps([name])}
        answer = await alice.ocs("POST", "/apps/candado/api/v1/bodies", body=form)
        assert answer.status in (200, 400)
        assert b"bob's" not in answer.body


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", f"{MINE}zipped"), ("POST", "/ocs/v2.php" + SHARES), ("POST", "/login/v2/poll")]
)
async def test_a_compressed_body_is_refused(alice: Caller, method: str, path: str) -> None:
    answer = await alice.send(
        method, path, body=b"\x1f\x8b" + b"0" * 20, Content_Encoding="gzip", OCS_APIRequest="true"
    )
    assert (told(answer), "compressed" in answer.text) == (400, True)
    assert (await alice.dav("GET", "zipped")).status == 404


# --- headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["bytes=" + "0-0," * 10_000 + "1-1", "bytes=5-" + "9" * 30, "bytes=-" + "9" * 30, "bytes=--5"]
)
async def test_a_range_that_asks_too_much_gets_the_file_once(alice: Caller, value: str) -> None:
    await alice.dav("PUT", "ranged", body=b"0123456789")
    answer = await alice.dav("GET", "ranged", Range=value)
    assert (answer.status, answer.body) == (200, b"0123456789")


@pytest.mark.parametrize("value", ["-1", "inf", "nan", "9" * 300, "0x10", "1e300", "Mon, 99 Feb 2020", "1;2"])
async def test_a_time_that_is_none_is_400(alice: Caller, value: str) -> None:
    assert told(await alice.dav("PUT", "timed", body=b"x", X_OC_MTime=value)) == 400
    assert (await alice.dav("GET", "timed")).status == 404


@pytest.mark.parametrize("depth", ["infinity", "2", "-1", "1,noroot", ""])
async def test_a_listing_of_everything_is_403(alice: Caller, depth: str) -> None:
    assert told(await alice.dav("PROPFIND", "", Depth=depth)) == 403


async def test_no_text_of_a_user_gets_into_the_head_of_an_answer(alice: Caller, nobody: Caller) -> None:
    evil = 'a\r\nX-Evil: 1\r\n\r\n<script>"\x1b[31m'
    await alice.dav("MKCOL", "labelled")
    made = await alice.ocs("POST", SHARES, body={"path": "/labelled", "shareType": "3", "label": evil, "note": evil})
    token = json.loads(made.body)["ocs"]["data"]["token"]
    await alice.dav("PUT", "labelled/%22%3bfilename=x", body=b"x")
    for answer in (
        await nobody.send("GET", f"/s/{token}"),
        await nobody.send("GET", f"/s/{token}/download?path=/%22%3bfilename=x"),
        await alice.send("GET", "/ocs/v2.php" + SHARES, OCS_APIRequest="true"),
        await nobody.send("GET", f"/s/{token}?path=%0d%0aX-Evil:%201"),
        await nobody.send("POST", "/login/v2", User_Agent="<script>" * 9),
    ):
        assert "X-Evil" not in answer.headers
        assert b"<script>" not in answer.body


# --- floods by one user ------------------------------------------------------------------------------------


async def test_properties_of_one_file_are_bounded(alice: Caller) -> None:
    await alice.dav("PUT", "marked", body=b"x")

    async def patch(number: int, count: int, size: int) -> int:
        inner = "".join(f"<p{number}-{n}>{'v' * size}</p{number}-{n}>" for n in range(count))
        body = f'<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop>{inner}</d:prop></d:set></d:propertyupdate>'
        return told(await alice.dav("PROPPATCH", "marked", body=body))

    assert [await patch(number, 100, 10) for number in range(4)] == [207, 207, 413, 413]
    assert [await patch(9, 1, 60_000) for _ in range(6)] == [207] * 6
    assert [await patch(number, 1, 60_000) for number in range(10, 15)] == [207, 207, 207, 413, 413]
    assert len((await alice.dav("PROPFIND", "marked", Depth="0")).body) < 400_000


async def test_sign_ins_at_once_are_hashed_a_few_at_a_time(server: ServerProcess, bob: Caller) -> None:
    assert (await bob.ocs("GET", "/cloud/user")).status == 200
    before = server.memory_peak()
    callers = [Caller(server.url, f"guess{n}", "x" * 1000) for n in range(12)]

    async def one(caller: Caller) -> int:
        async with caller:
            return (await caller.ocs("GET", "/cloud/user")).status

    guesses = asyncio.gather(*map(one, callers))
    served = [(await bob.dav("PROPFIND", "", Depth="0")).status for _ in range(20)]
    assert served == [207] * 20
    assert set(await guesses) <= {401, 429}
    assert server.memory_peak() - before < 80 * 1024 * 1024


# --- uploads in chunks -------------------------------------------------------------------------------------


@pytest.fixture
async def upload(alice: Caller, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of a new upload."""
    base = f"/remote.php/dav/uploads/alice/{abs(hash(request.node.name))}"
    assert (await alice.send("MKCOL", base)).status == 201
    yield base
    await alice.send("DELETE", base)


async def joined(alice: Caller, upload: str, **headers: str) -> int:
    return told(await alice.send("MOVE", f"{upload}/.file", Destination=f"{MINE}joined", **headers))


async def test_a_chunk_sent_twice_counts_once_and_order_is_that_of_the_numbers(alice: Caller, upload: str) -> None:
    for name, body in (("10", b"c"), ("2", b"wrong"), ("1", b"a"), ("2", b"b")):
        assert (await alice.send("PUT", f"{upload}/{name}", body=body)).status == 201
    assert await joined(alice, upload, OC_Total_Length="3") == 201
    assert (await alice.dav("GET", "joined")).body == b"abc"


async def test_two_spellings_of_one_number_are_400_and_lose_nothing(alice: Caller, upload: str) -> None:
    for name in ("1", "00001", "2"):
        await alice.send("PUT", f"{upload}/{name}", body=name.encode())
    assert await joined(alice, upload) == 400
    listed = await alice.send("PROPFIND", upload, Depth="1")
    assert len(re.findall("getcontentlength", listed.text)) == 2 * 3


@pytest.mark.parametrize("total", ["2", "4", "-1", "x", "9" * 30])
async def test_a_total_that_lies_is_400_and_the_upload_stays(alice: Caller, upload: str, total: str) -> None:
    for name in ("1", "3"):
        await alice.send("PUT", f"{upload}/{name}", body=b"x" if name == "1" else b"yz")
    assert await joined(alice, upload, OC_Total_Length=total) == 400
    assert await joined(alice, upload, OC_Total_Length="3") in (201, 204)


async def test_a_missing_chunk_is_noticed_by_the_total(alice: Caller, upload: str) -> None:
    assert await joined(alice, upload) == 400
    for name in ("1", "3"):
        await alice.send("PUT", f"{upload}/{name}", body=b"x")
    assert await joined(alice, upload, OC_Total_Length="3") == 400
    await alice.send("PUT", f"{upload}/2", body=b"y")
    assert await joined(alice, upload, OC_Total_Length="3") in (201, 204)
    assert (await alice.dav("GET", "joined")).body == b"xyx"


async def test_a_multipart_form_of_very_many_parts_is_413(alice: Caller, nobody: Caller) -> None:
    await alice.dav("MKCOL", "forms")
    made = await alice.ocs("POST", SHARES, body={"path": "/forms", "shareType": "3", "permissions": "15"})
    token = json.loads(made.body)["ocs"]["data"]["token"]
    parts = "".join(f'--b\r\nContent-Disposition: form-data; name="n{n}"\r\n\r\nx\r\n' for n in range(1100))
    kind = "multipart/form-data; boundary=b"
    for body in (parts + "--b--\r\n", "--b\r\nX: " + "y" * 20_000 + "\r\n\r\n", "--b" + "z" * 9000):
        answer = await nobody.send("POST", f"/s/{token}/upload", body=body, Content_Type=kind)
        assert told(answer) in (400, 413)

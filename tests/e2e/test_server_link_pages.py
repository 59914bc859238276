"""The page of a link as a browser without scripts meets it, with visitors and names of every kind."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.server_process import Answer, Caller, ServerProcess, make_data, serving

from candado.apps.html_pages import content_disposition

SHARES = "/apps/files_sharing/api/v1/shares"
SECRET = "a password for the link"
BOUNDARY = "----FormBoundary7"
NASTY = [
    '"><script>alert(1)</script>',
    "<img src=x onerror=alert(1)>",
    "' onclick='alert(1)",
    "&lt;b&gt;&amp;",
    'a"; filename="b.exe',
    "{{7*7}}${7*7}",
    "javascript:alert(1)",
    "\u202egpj.exe",
    "a?b#c%2e%2e&d=e+f",
    "ü ß 漢字.txt",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(make_data(tmp_path_factory.mktemp("pages"), "alice")) as running:
        yield running


@pytest.fixture
async def folder(alice: Caller, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]", "-", request.node.name.lower())[:100]
    for path in (name, f"{name}/sub"):
        assert (await alice.dav("MKCOL", path)).status == 201
    assert (await alice.dav("PUT", f"{name}/file.txt", body=b"content")).status == 201
    assert (await alice.dav("PUT", f"{name}/sub/inner.txt", body=b"inner")).status == 201
    return name


async def link(caller: Caller, path: str, permissions: int = 1, **more: str) -> str:
    form = {"path": f"/{path}", "shareType": "3", "permissions": str(permissions), **more}
    made = await caller.ocs("POST", SHARES, body=form)
    assert made.status == 200, made.text
    return str(json.loads(made.body)["ocs"]["data"]["token"])


def form(*files: tuple[str, bytes]) -> dict[str, Any]:
    pieces = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + body
        + b"\r\n"
        for name, body in files
    ]
    body = b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()
    return {"body": body, "Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}


def links_of(page: Answer) -> list[str]:
    return [unescape(found) for found in re.findall(r'href="([^"]*)"', page.text.partition("</main>")[0])]


async def test_a_folder_is_listed_and_its_files_are_given(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, label="Holiday", note="Two\nlines")
    page = await nobody.send("GET", f"/s/{token}")
    assert page.status == 200
    assert "<h1>Holiday</h1>" in page.text
    assert "Two\nlines" in page.text
    assert links_of(page) == [f"/s/{token}?path=/sub", f"/s/{token}/download?path=/file.txt"]
    assert "<form" not in page.text
    below = await nobody.send("GET", links_of(page)[0])
    assert links_of(below) == [f"/s/{token}", f"/s/{token}/download?path=/sub/inner.txt"]
    got = await nobody.send("GET", links_of(below)[1])
    assert (got.status, got.body) == (200, b"inner")
    assert got.headers["Content-Disposition"] == "attachment; filename=\"inner.txt\"; filename*=UTF-8''inner.txt"
    assert got.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    stock = await nobody.send("GET", f"/index.php/s/{token}/download?path=/sub&files=inner.txt")
    assert stock.body == b"inner"


async def test_a_page_runs_nothing_loads_nothing_and_is_not_stored(alice: Caller, nobody: Caller, folder: str) -> None:
    page = await nobody.send("GET", f"/s/{await link(alice, folder, 15)}")
    policy = page.headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", page.text)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Cache-Control"] == "no-store"
    for absent in ("<script", "<img", "<link", "http://", "https://", "style=", "onclick"):
        assert absent not in page.text


async def test_a_page_can_be_used_with_a_screen_reader(alice: Caller, nobody: Caller, folder: str) -> None:
    page = (await nobody.send("GET", f"/s/{await link(alice, folder, 15)}?path=/sub&stored=2")).text
    for part in (
        '<html lang="en">',
        '<main id="content">',
        "<h1>",
        'scope="col"',
        'aria-label="Folders"',
        'aria-current="page"',
    ):
        assert part in page
    assert 'role="status">2 files were stored.' in page
    labels = set(re.findall(r'<label for="([^"]*)"', page))
    fields = set(re.findall(r'<input id="([^"]*)"', page))
    assert labels == fields == {"files"}


@pytest.mark.parametrize("name", NASTY)
async def test_names_are_shown_as_they_are_and_do_nothing(alice: Caller, nobody: Caller, name: str) -> None:
    base = f"names-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    await alice.dav("MKCOL", base)
    plain = name.replace("/", "_")
    assert (await alice.dav("MKCOL", f"{base}/{quote(plain + ' dir', safe='')}")).status == 201
    assert (await alice.dav("PUT", f"{base}/{quote(plain, safe='')}", body=b"nasty")).status == 201
    token = await link(alice, base, label=name[:60], note=name)
    page = await nobody.send("GET", f"/s/{token}")
    assert unescape(page.text).count(plain) >= 2
    without_style = re.sub(r"<style>.*?</style>", "", page.text)
    tags = set(re.findall(r"<\s*/?([a-zA-Z!]+)", without_style))
    assert tags <= {
        *[
            "!DOCTYPE",
            "html",
            "head",
            "meta",
            "title",
            "body",
            "main",
            "h",
            "p",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "a",
            "time",
            "footer",
            "nav",
        ]
    }
    assert re.search(r"<[^>]*\son[a-z]+\s*=", without_style) is None
    inside, file = links_of(page)
    assert (await nobody.send("GET", inside)).status == 200
    got = await nobody.send("GET", file)
    assert (got.status, got.body) == (200, b"nasty")
    header = got.headers["Content-Disposition"]
    assert header.count('"') == 2
    assert header.endswith("''" + quote(plain, safe=""))


@pytest.mark.parametrize("name", ['a"b', "a\r\nSet-Cookie: x=y", "a\\", "a;b", "\u2028", "\ud800", "ü", "a\x00b"])
def test_a_name_cannot_leave_its_place_in_a_header(name: str) -> None:
    value = content_disposition(name)
    assert re.fullmatch(r"attachment; filename=\"[A-Za-z0-9 ._-]*\"; filename\*=UTF-8''[A-Za-z0-9._~%-]*", value)


@pytest.mark.parametrize(
    "path", ["/../file.txt", "/..", "..%2Ffile.txt", "/sub/../../file.txt", "%00", "/%2e%2e/x", "%ff"]
)
async def test_no_path_leads_out_of_the_page(alice: Caller, nobody: Caller, path: str) -> None:
    await alice.dav("MKCOL", "page-tricks")
    await alice.dav("MKCOL", "page-tricks/sub")
    await alice.dav("PUT", "page-tricks/file.txt", body=b"content")
    token = await link(alice, "page-tricks/sub", 15)
    statuses = [
        (await nobody.send("GET", f"/s/{token}?path={path}")).status,
        (await nobody.send("GET", f"/s/{token}/download?path={path}")).status,
        (await nobody.send("GET", f"/s/{token}/download?path=/&files={path}")).status,
        (await nobody.send("POST", f"/s/{token}/upload?path={path}", **form(("x", b"x")))).status,
    ]
    assert set(statuses) <= {400, 404}, statuses


async def test_a_password_is_asked_for_once(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, 15, password=SECRET)
    asked = await nobody.send("GET", f"/s/{token}")
    assert asked.status == 401
    assert 'action="/s/' in asked.text
    assert folder not in asked.text
    for path in ("download?path=/file.txt", "?path=/sub"):
        assert (await nobody.send("GET", f"/s/{token}/{path}".replace("/?", "?"))).status == 401
    assert (await nobody.send("POST", f"/s/{token}/upload", **form(("x", b"x")))).status == 403
    wrong = await nobody.send("POST", f"/s/{token}/authenticate", body={"password": "wrong"})
    assert (wrong.status, "Set-Cookie" in wrong.headers) == (403, False)
    assert 'role="alert"' in wrong.text
    right = await nobody.send("POST", f"/s/{token}/authenticate", body={"password": SECRET})
    assert (right.status, right.headers["Location"]) == (303, f"/s/{token}")
    cookie = right.headers["Set-Cookie"]
    assert {"HttpOnly", f"Path=/s/{token}", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    value = cookie.split(";")[0]
    assert (await nobody.send("GET", f"/s/{token}", Cookie=value)).status == 200
    assert (await nobody.send("GET", f"/s/{token}/download?path=/file.txt", Cookie=value)).body == b"content"
    assert (await nobody.send("POST", f"/s/{token}/upload", Cookie=value, **form(("x", b"x")))).status == 303


async def test_a_cookie_is_good_for_one_link_and_one_password(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, password=SECRET)
    other = await link(alice, f"{folder}/sub", password=SECRET)
    right = await nobody.send("POST", f"/s/{token}/authenticate", body={"password": SECRET})
    value = right.headers["Set-Cookie"].split(";")[0]
    name, _, text = value.partition("=")
    end, _, seal = text.partition(".")
    forged = [
        f"{name}={int(end) + 1}.{seal}",
        f"{name}=1.{seal}",
        f"{name}={end}.{'0' * 64}",
        f"{name}={seal}",
        f"{name}=",
    ]
    for cookie in forged:
        assert (cookie, (await nobody.send("GET", f"/s/{token}", Cookie=cookie)).status) == (cookie, 401)
    assert (await nobody.send("GET", f"/s/{other}", Cookie=value)).status == 401
    shares = json.loads((await alice.ocs("GET", f"{SHARES}?path=/{folder}")).body)["ocs"]["data"]
    changed = await alice.ocs("PUT", f"{SHARES}/{shares[0]['id']}", body={"password": SECRET + " new"})
    assert changed.status == 200
    assert (await nobody.send("GET", f"/s/{token}", Cookie=value)).status == 401


async def test_passwords_typed_into_the_page_are_counted(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, password=SECRET)
    statuses = [
        (await nobody.send("POST", f"/s/{token}/authenticate", body={"password": f"wrong {n}"})).status
        for n in range(22)
    ]
    assert (statuses[0], statuses[-1]) == (403, 429)


async def test_a_form_of_another_site_is_refused(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, 15)
    for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example"}):
        for path, more in (
            (f"/s/{token}/upload", form(("x", b"x"))),
            (f"/s/{token}/authenticate", {"body": {"a": "b"}}),
        ):
            assert (await nobody.send("POST", path, **headers, **more)).status == 403
    assert (await alice.dav("GET", f"{folder}/x")).status == 404


async def test_files_are_uploaded_without_replacing_anything(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, 15)
    big = bytes(range(256)) * 8192
    sent = await nobody.send(
        "POST",
        f"/s/{token}/upload?path=/sub",
        **form(
            ("inner.txt", b"second"), ("big.bin", big), ("", b""), ("C:\\fake\\name.txt", b"n"), ("../up.txt", b"u")
        ),
    )
    assert (sent.status, sent.headers["Location"]) == (303, f"/s/{token}?path=/sub&stored=4")
    assert "4 files were stored" in (await nobody.send("GET", sent.headers["Location"])).text
    assert (await alice.dav("GET", f"{folder}/sub/inner.txt")).body == b"inner"
    assert (await alice.dav("GET", f"{folder}/sub/inner%20(2).txt")).body == b"second"
    assert (await alice.dav("GET", f"{folder}/sub/big.bin")).body == big
    assert (await alice.dav("GET", f"{folder}/sub/name.txt")).body == b"n"
    assert (await alice.dav("GET", f"{folder}/sub/up.txt")).body == b"u"
    assert (await alice.dav("GET", f"{folder}/up.txt")).status == 404


async def test_a_bad_form_stores_nothing(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, 15)
    whole = form(("x", b"x"))
    cases: list[dict[str, Any]] = [
        form(("", b"")),
        {**whole, "body": whole["body"][:-10]},
        {"body": b"x", "Content_Type": "text/plain"},
        form(("a\x01b", b"x")),
        form(("..", b"x")),
    ]
    statuses = [(await nobody.send("POST", f"/s/{token}/upload", **case)).status for case in cases]
    assert statuses == [400, 400, 400, 400, 400]
    listed = (await alice.dav("PROPFIND", folder, Depth="1")).text
    assert sorted(re.findall(rf"/{folder}/([^<]*)<", listed)) in (
        ["", "file.txt", "sub/"],
        ["", "file.txt", "sub/", "x"],
    )


async def test_a_drop_page_takes_files_and_shows_none(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, 4)
    page = await nobody.send("GET", f"/s/{token}")
    assert page.status == 200
    assert "file.txt" not in page.text
    assert links_of(page) == []
    below = (await nobody.send("GET", f"/s/{token}?path=/sub")).text
    assert below.partition("<footer>")[0] == page.text.partition("<footer>")[0]
    assert (await nobody.send("GET", f"/s/{token}/download?path=/file.txt")).status == 403
    assert (await nobody.send("POST", f"/s/{token}/upload", **form(("file.txt", b"dropped")))).status == 303
    assert (await nobody.send("POST", f"/s/{token}/upload?path=/sub", **form(("y", b"y")))).status == 403
    assert (await alice.dav("GET", f"{folder}/file%20(2).txt")).body == b"dropped"
    assert (await alice.dav("GET", f"{folder}/file.txt")).body == b"content"


async def test_a_link_without_downloads_shows_names_only(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, folder, hideDownload="true")
    page = await nobody.send("GET", f"/s/{token}")
    assert "file.txt" in page.text
    assert links_of(page) == [f"/s/{token}?path=/sub"]
    assert (await nobody.send("GET", f"/s/{token}/download?path=/file.txt")).status == 403


async def test_a_link_to_a_file_has_a_page_with_this_file(alice: Caller, nobody: Caller, folder: str) -> None:
    token = await link(alice, f"{folder}/file.txt")
    page = await nobody.send("GET", f"/s/{token}")
    assert links_of(page) == [f"/s/{token}/download"]
    assert (await nobody.send("GET", f"/s/{token}/download")).body == b"content"
    assert (await nobody.send("POST", f"/s/{token}/upload", **form(("x", b"x")))).status == 403


async def test_a_download_can_be_resumed(alice: Caller, nobody: Caller, folder: str) -> None:
    path = f"/s/{await link(alice, folder)}/download?path=/file.txt"
    part = await nobody.send("GET", path, Range="bytes=3-")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"tent", "bytes 3-6/7")
    assert (await nobody.send("GET", path, Range="bytes=3-", If_Range='"other"')).body == b"content"
    assert (await nobody.send("GET", path, Range="bytes=9-")).status == 416
    head = await nobody.send("HEAD", path)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "7", b"")


@pytest.mark.parametrize("token", ["x", "A" * 20, "<script>alert(1)</script>", "%3Cscript%3E", "..%2f..", "%0d%0aX:y"])
async def test_a_link_that_is_none_has_a_page_that_says_nothing(nobody: Caller, token: str) -> None:
    for path in (f"/s/{token}", f"/s/{token}/download"):
        page = await nobody.send("GET", path)
        assert page.status in (400, 404)
        assert "<script" not in page.text.lower()
        assert "alert(1)" not in page.text


async def test_a_page_speaks_the_language_that_was_chosen_else_that_of_the_browser(
    alice: Caller, nobody: Caller, folder: str
) -> None:
    address = f"/s/{await link(alice, folder, 15)}"
    german = {"Accept_Language": "de-AT,de;q=0.9,en;q=0.5"}
    page = await nobody.send("GET", address, **german)
    assert (page.headers["Content-Language"], "Set-Cookie" in page.headers) == ("de", False)
    for part in (
        '<html lang="de">',
        "<p>Geteilt von alice.</p>",
        "Größe",
        f'<a href="{address}?lang=es" hreflang="es"',
    ):
        assert part in page.text
    chosen = await nobody.send("GET", f"{address}?path=/sub&lang=es", **german)
    cookie, *rest = chosen.headers["Set-Cookie"].split("; ")
    assert (cookie, set(rest)) == (
        "candado_language=es", {"HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=lax"},
    )  # fmt: skip
    assert f'href="{address}?path=%2Fsub&amp;lang=de"' in chosen.text
    kept = await nobody.send("GET", address, Cookie=cookie, **german)
    assert "<p>Compartido por alice.</p>" in kept.text
    for wrong in ("?lang=xx", "?lang=", "?lang=%3Cb%3E"):
        fallen = await nobody.send("GET", address + wrong, Accept_Language="fr")
        assert ('<html lang="en">' in fallen.text, "Set-Cookie" in fallen.headers) == (True, False)
    refused = await nobody.send("GET", "/s/unknown", **german)
    assert (refused.status, "<h1>Das ging nicht</h1>" in refused.text) == (404, True)
    assert '<p lang="en" class="soft">' in refused.text

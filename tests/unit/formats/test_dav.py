"""WebDAV beyond the vectors: writing listings, requests, ranges, paths."""

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from candado.errors import LimitExceededError, MalformedError
from candado.formats import dav, davrequests
from candado.formats.dav import DavNode, DavResponse, RawXml
from candado.formats.davrequests import PropChange, PropRequest
from candado.formats.xmltext import parse_xml

D, OC, N = "{DAV:}", "{http://owncloud.org/ns}", "{http://nextcloud.org/ns}"
ROOT = "/remote.php/dav/files/alice"
SHARED = Path(__file__).parents[3].parent / "shared" / "vectors"


def test_a_listing_is_written_and_read_as_the_same_values() -> None:
    responses = [
        DavResponse(
            f"{ROOT}/",
            [(f"{D}resourcetype", [f"{D}collection"]), (f"{D}getetag", '"a&b<c>"'), (f"{N}is-encrypted", "1")],
            [f"{D}quota"],
        ),
        DavResponse(
            ROOT + dav.quote_href("/Grüße & mehr.txt"),
            [(f"{D}resourcetype", ()), (f"{OC}size", "12"), (f"{N}e2ee-metadata", '{"a":\n"b"}')],
        ),
    ]
    body = dav.format_multistatus(responses)
    assert body.startswith(b'<?xml version="1.0" encoding="utf-8"?>\n<d:multistatus xmlns:d="DAV:" xmlns:oc=')
    assert dav.parse_multistatus(body, root_href=ROOT) == [
        DavNode("/", {f"{D}resourcetype": (f"{D}collection",), f"{D}getetag": '"a&b<c>"', f"{N}is-encrypted": "1"}),
        DavNode("/Grüße & mehr.txt", {f"{D}resourcetype": "", f"{OC}size": "12", f"{N}e2ee-metadata": '{"a":\n"b"}'}),
    ]
    assert b"<d:quota/></d:prop><d:status>HTTP/1.1 404 Not Found" in body


def test_foreign_namespaces_ready_xml_and_forbidden_characters_are_written() -> None:
    props = [
        ('{urn:x&"y}a', "1"),
        ("{urn:z}b", ""),
        ("plain", "text"),
        (f"{D}supportedlock", RawXml("<d:x/>")),
        (f"{OC}name", "a\x00b\r"),
    ]
    body = dav.format_multistatus([DavResponse("/a&b", props)])
    tree = fromstring(body)
    response = tree[0]
    assert response[0].text == "/a&b"
    assert [(item.tag, item.text) for item in response[1][0]] == [
        ('{urn:x&"y}a', "1"), ("{urn:z}b", None), ("plain", "text"), (f"{D}supportedlock", None), (f"{OC}name", "a\ufffdb\r"),
    ]  # fmt: skip


def test_a_response_with_only_missing_properties_has_no_part_with_200() -> None:
    assert b"200 OK" not in dav.format_multistatus([DavResponse("/", [], [f"{D}quota"])])
    assert b"200 OK" in dav.format_multistatus([DavResponse("/", [])])


def test_a_listing_that_holds_less_than_there_is_says_so_of_its_place() -> None:
    responses = [DavResponse("/a", [(f"{D}getetag", "1")])]
    tree = fromstring(dav.format_multistatus(responses, truncated_href="/b&c/"))
    assert [(r.findtext(f"{D}href"), r.findtext(f"{D}status")) for r in tree] == [
        ("/a", None),
        ("/b&c/", "HTTP/1.1 507 Insufficient Storage"),
    ]
    assert b"507" not in dav.format_multistatus(responses)


@pytest.mark.parametrize("root", [ROOT, f"{ROOT}/", f"https://cloud.example{ROOT}/"])
def test_the_root_can_be_given_in_any_spelling(root: str) -> None:
    body = dav.format_multistatus([DavResponse(f"{ROOT}/a", [(f"{D}getetag", "1")])])
    assert [node.href_path for node in dav.parse_multistatus(body, root_href=root)] == ["/a"]


def test_an_absolute_url_is_taken_from_the_same_host_only() -> None:
    body = dav.format_multistatus([DavResponse(f"https://cloud.example{ROOT}/a", [(f"{D}getetag", "1")])])
    assert [n.href_path for n in dav.parse_multistatus(body, root_href=f"https://cloud.example{ROOT}")] == ["/a"]
    for root in (
        ROOT,
        f"https://cloud.example:444{ROOT}",
        f"http://cloud.example{ROOT}",
        f"https://cloud.exampl{ROOT}",
    ):
        with pytest.raises(MalformedError):
            dav.parse_multistatus(body, root_href=root)


def test_the_root_of_the_server_can_be_the_root() -> None:
    body = dav.format_multistatus([DavResponse(href, [(f"{D}getetag", "1")]) for href in ("/", "/a")])
    assert [node.href_path for node in dav.parse_multistatus(body, root_href="/")] == ["/", "/a"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared vectors are not beside this checkout")
@pytest.mark.parametrize("name", ["rootFolder", "rootFile", "subFolder", "unencrypted", "homeListing", "mixed"])
def test_listings_of_a_stock_server_are_read(name: str) -> None:
    samples = json.loads((SHARED / "propfind-samples.json").read_text("utf-8"))
    body = next(value for key, value in samples.items() if key.lower() == f"{name.lower()}propfindresponse")
    hrefs = [element.text for element in fromstring(body).iter(f"{D}href")]
    root = "/" + "/".join(str(hrefs[0]).strip().split("/")[1:5])
    nodes = dav.parse_multistatus(body.encode(), root_href=root)
    assert [root + node.href_path.rstrip("/") for node in nodes] == [
        dav.unquote_href(str(href).strip()) for href in hrefs
    ]
    assert all(node.props[f"{D}getetag"] for node in nodes)


@pytest.mark.parametrize(
    ("body", "expect"),
    [
        (b"", PropRequest(None, name_only=False)),
        (b" \n", PropRequest(None, name_only=False)),
        (b'<a:propfind xmlns:a="DAV:"><a:allprop/></a:propfind>', PropRequest(None, name_only=False)),
        (b'<a:propfind xmlns:a="DAV:"><a:propname/></a:propfind>', PropRequest(None, name_only=True)),
        (
            b'<propfind xmlns="DAV:"><prop><getetag/><x xmlns="urn:y"/><getetag/></prop></propfind>',
            PropRequest((f"{D}getetag", "{urn:y}x"), name_only=False),
        ),
        (b'<propfind xmlns="DAV:"><prop/></propfind>', PropRequest((), name_only=False)),
    ],
)
def test_a_propfind_says_what_it_wants(body: bytes, expect: PropRequest) -> None:
    assert davrequests.parse_propfind(body) == expect


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"<propfind/>",
        b'<propfind xmlns="DAV:"/>',
        b'<propfind xmlns="DAV:"><prop/><allprop/></propfind>',
        b'<!DOCTYPE a><propfind xmlns="DAV:"/>',
        *(
            '<!DOCTYPE a [<!ENTITY b "c">]><propfind xmlns="DAV:"><prop>&b;</prop></propfind>'.encode(encoding)
            for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")
        ),
    ],
)
def test_a_propfind_that_says_nothing_or_two_things_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        davrequests.parse_propfind(body)


def test_a_value_with_elements_is_kept_as_xml_that_stands_for_itself() -> None:
    inside = 'a &lt; <y:b xmlns:y="urn:y" y:c="1">&amp;<y:d/></y:b> tail<e/>'
    body = f'<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><x xmlns="urn:x">{inside}</x></d:prop></d:set></d:propertyupdate>'
    (change,) = davrequests.parse_proppatch(body.encode())
    assert isinstance(change.value, RawXml)
    again = fromstring(dav.format_multistatus([DavResponse("/", [(change.name, change.value)])]))
    (found,) = again.iter("{urn:x}x")
    assert found.text == "a < "
    assert [(item.tag, item.text, item.tail) for item in found] == [
        ("{urn:y}b", "&", " tail"),
        ("{urn:x}e", None, None),
    ]
    assert (found[0].attrib, found[0][0].tag) == ({"{urn:y}c": "1"}, "{urn:y}d")


def test_a_value_cannot_multiply_a_long_namespace() -> None:
    uri, many = "u" * 10_000, "<y:b/>" * 400
    body = f'<d:propertyupdate xmlns:d="DAV:" xmlns:y="{uri}"><d:set><d:prop><d:x>{many}</d:x></d:prop></d:set></d:propertyupdate>'
    with pytest.raises(LimitExceededError):
        davrequests.parse_proppatch(body.encode())


def test_a_proppatch_is_a_list_of_steps() -> None:
    body = b"""<d:propertyupdate xmlns:d="DAV:" xmlns:x="urn:x"><d:set><d:prop><d:lastmodified>17</d:lastmodified><x:a/></d:prop><x:b/></d:set>
        <d:remove><d:prop><x:c>old</x:c></d:prop></d:remove><x:other/></d:propertyupdate>"""
    assert davrequests.parse_proppatch(body) == (
        PropChange(f"{D}lastmodified", "17"),
        PropChange("{urn:x}a", ""),
        PropChange("{urn:x}c", None),
    )
    for bad in (b"", b'<propertyupdate xmlns="DAV:"/>', b'<propfind xmlns="DAV:"/>'):
        with pytest.raises(MalformedError):
            davrequests.parse_proppatch(bad)


def test_xml_beyond_its_limits_is_not_parsed() -> None:
    for body in (b"<a>" + b"<b/>" * 20 + b"</a>", b"<a>" + b" " * 1000 + b"</a>"):
        with pytest.raises(LimitExceededError):
            parse_xml(body, root="a", bytes_max=500, elements_max=10)
    with pytest.raises(LimitExceededError):
        davrequests.parse_propfind(b'<propfind xmlns="DAV:"><prop>' + b"<a/>" * 2000 + b"</prop></propfind>")


@pytest.mark.parametrize(
    ("header", "expect"),
    [
        ("bytes=0-99", (0, 100)), ("bytes=0-", (0, 1000)), ("bytes=900-5000", (900, 1000)), ("bytes=-100", (900, 1000)), ("bytes=-5000", (0, 1000)),
        ("bytes=999-999", (999, 1000)), (" bytes= 1 - 2 ", (1, 3)), ("bytes=5-4", None), ("bytes=-", None), ("bytes=0-1,3-4", None), ("items=0-1", None),
        ("bytes=a-b", None), ("bytes=\u0661-", None), ("", None), ("bytes=" + "9" * 20 + "-", None),
    ],
)  # fmt: skip
def test_a_range_gives_the_bytes_it_means(header: str, expect: tuple[int, int] | None) -> None:
    assert davrequests.parse_range(header, 1000) == expect


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=1000-", 1000), ("bytes=1000-1001", 1000), ("bytes=-0", 1000), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_is_an_error(header: str, size: int) -> None:
    with pytest.raises(LimitExceededError):
        davrequests.parse_range(header, size)


@pytest.mark.parametrize("path", ["/", "/a", "/Grüße & 100%/a+b;c=d.txt", "/ ", "/\U0001f512"])
def test_a_path_comes_back_from_a_url(path: str) -> None:
    assert dav.quote_href(path).isascii()
    assert dav.unquote_href(dav.quote_href(path)) == path


def test_a_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        dav.unquote_href("/" + "a" * 40_000)


@pytest.mark.parametrize(
    "href", ["", "a", "a/b", "/a\0", "/a\0/", "//", "/a//", "/.", "/..", "/a/..", "/%2e", "/%2E%2e/", "/?", "/#"]
)
def test_a_path_with_a_trick_is_refused(href: str) -> None:
    with pytest.raises(MalformedError):
        dav.unquote_href(href)

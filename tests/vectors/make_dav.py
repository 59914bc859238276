"""Vectors of WebDAV listings. Run: python -m tests.vectors.make_dav"""

from collections.abc import Iterator

from tests.vectors.vectorfile import format_vector, write

SOURCE = "RFC 4918, 13 and 14; protocol document api.md, section 9; threat model, A90"
ROOT = "/remote.php/dav/files/alice"
OK = "HTTP/1.1 200 OK"


def propstat(props: str, status: str = OK) -> str:
    return f"<d:propstat><d:prop>{props}</d:prop><d:status>{status}</d:status></d:propstat>"


ETAG = propstat("<d:getetag>&quot;1&quot;</d:getetag>")


def response(href: str, inner: str = ETAG) -> str:
    return f"<d:response><d:href>{href}</d:href>{inner}</d:response>"


def listing(*responses: str) -> str:
    return (
        '<?xml version="1.0"?>\n<d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">'
        + "".join(responses)
        + "</d:multistatus>"
    )


def good() -> Iterator[tuple[str, str, str, str]]:
    """Name, comment, body, the paths found."""
    yield "root", "the root itself", listing(response(f"{ROOT}/")), "/"
    yield (
        "children",
        "a folder and two children",
        listing(response(f"{ROOT}/a/"), response(f"{ROOT}/a/b"), response(f"{ROOT}/a/c/")),
        "/a /a/b /a/c",
    )
    yield (
        "escaped",
        "percent-encoded names",
        listing(response(f"{ROOT}/Gr%C3%BC%C3%9Fe%20%26%25.txt")),
        "/Gr\\u00fc\\u00dfe\\x20&%.txt",
    )
    yield "dots_in_names", "names with dots", listing(response(f"{ROOT}/..a"), response(f"{ROOT}/a..")), "/..a /a.."
    yield (
        "other_status_beside",
        "a property that is missing",
        listing(response(f"{ROOT}/", ETAG + propstat("<oc:size/>", "HTTP/1.1 404 Not Found"))),
        "/",
    )
    yield (
        "other_prefix",
        "another prefix for the same namespace",
        listing(response(f"{ROOT}/")).replace("d:", "D:").replace("xmlns:d", "xmlns:D"),
        "/",
    )
    yield "nothing", "no response", listing(), ""
    yield (
        "foreign_elements",
        "elements nobody knows are passed over",
        listing(
            "<d:responsedescription>x</d:responsedescription>",
            response(f"{ROOT}/", ETAG + "<oc:x><d:href>/y</d:href></oc:x>"),
        ),
        "/",
    )


def bad() -> Iterator[tuple[str, str, str]]:
    hrefs = {
        "outside": "/remote.php/dav/files/bob/a", "sibling": "/remote.php/dav/files/alicex", "parent": "/remote.php/dav/files/",
        "other_host": f"https://example.org{ROOT}/a", "two_slashes": f"//example.org{ROOT}/a", "up": f"{ROOT}/../bob", "up_inside": f"{ROOT}/a/../b",
        "encoded_up": f"{ROOT}/%2e%2e/bob", "encoded_slash": f"{ROOT}/a%2fb", "encoded_slash_upper": f"{ROOT}/a%2Fb", "nul": f"{ROOT}/a%00",
        "dot": f"{ROOT}/./a", "empty_segment": f"{ROOT}//a", "broken_escape": f"{ROOT}/a%2", "no_hex": f"{ROOT}/a%zz", "not_utf_8": f"{ROOT}/a%ff",
        "overlong": f"{ROOT}/a%c0%af", "query": f"{ROOT}/a?b", "fragment": f"{ROOT}/a#b", "relative": "a", "empty": "",
    }  # fmt: skip
    for name, href in hrefs.items():
        yield f"href_{name}", "MalformedError", listing(response(href))
    yield "href_too_long", "LimitExceededError", listing(response(f"{ROOT}/" + "a" * 33_000))
    yield "two_hrefs", "MalformedError", listing(response(f"{ROOT}/", f"<d:href>{ROOT}/a</d:href>{ETAG}"))
    yield "no_href", "MalformedError", listing(f"<d:response>{ETAG}</d:response>")
    yield "path_twice", "MalformedError", listing(response(f"{ROOT}/a"), response(f"{ROOT}/a/"))
    yield "two_propstats_200", "MalformedError", listing(response(f"{ROOT}/", ETAG + propstat("<oc:size>1</oc:size>")))
    yield (
        "same_property_200_and_404",
        "MalformedError",
        listing(response(f"{ROOT}/", ETAG + propstat("<d:getetag/>", "HTTP/1.1 404 Not Found"))),
    )
    yield (
        "property_twice",
        "MalformedError",
        listing(response(f"{ROOT}/", propstat("<oc:size>1</oc:size><oc:size>2</oc:size>"))),
    )
    yield (
        "two_props",
        "MalformedError",
        listing(
            response(
                f"{ROOT}/",
                f"<d:propstat><d:prop><oc:size/></d:prop><d:prop><oc:size/></d:prop><d:status>{OK}</d:status></d:propstat>",
            )
        ),
    )
    yield "only_404", "MalformedError", listing(response(f"{ROOT}/", propstat("<oc:size/>", "HTTP/1.1 404 Not Found")))
    yield "no_propstat", "MalformedError", listing(response(f"{ROOT}/", ""))
    yield (
        "status_of_the_response",
        "MalformedError",
        listing(response(f"{ROOT}/", "<d:status>HTTP/1.1 423 Locked</d:status>")),
    )
    yield "no_status", "MalformedError", listing(response(f"{ROOT}/", "<d:propstat><d:prop/></d:propstat>"))
    yield (
        "two_statuses",
        "MalformedError",
        listing(
            response(
                f"{ROOT}/", f"<d:propstat><d:prop/><d:status>{OK}</d:status><d:status>{OK}</d:status></d:propstat>"
            )
        ),
    )
    for name, status in (
        ("2000", "HTTP/1.1 2000"),
        ("words", "OK"),
        ("empty", ""),
        ("other_protocol", "ICAP/1.0 200 OK"),
    ):
        yield f"status_{name}", "MalformedError", listing(response(f"{ROOT}/", propstat("<oc:size/>", status)))
    yield (
        "status_in_another_namespace",
        "MalformedError",
        listing(response(f"{ROOT}/", f"<d:propstat><d:prop/><oc:status>{OK}</oc:status></d:propstat>")),
    )
    yield "other_namespace", "MalformedError", listing(response(f"{ROOT}/")).replace('"DAV:"', '"dav:"')
    yield "no_namespace", "MalformedError", "<multistatus/>"
    yield "other_root", "MalformedError", '<d:error xmlns:d="DAV:"/>'
    yield "doctype", "MalformedError", "<!DOCTYPE x>" + listing().split("\n", 1)[1]
    yield (
        "entity",
        "MalformedError",
        '<!DOCTYPE d:multistatus [<!ENTITY a "b">]>' + listing(response("&a;")).split("\n", 1)[1],
    )
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    yield "billion_laughs", "MalformedError", f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l9;</x>'
    yield "external_entity", "MalformedError", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    yield "entity_without_doctype", "MalformedError", listing(response("&a;"))
    yield "not_closed", "MalformedError", listing()[:-5]
    yield "two_roots", "MalformedError", listing() + "<x/>"
    yield "text", "MalformedError", "Internal Server Error"
    yield "empty", "MalformedError", ""
    yield "prefix_not_declared", "MalformedError", "<d:multistatus/>"
    yield "utf_16", "MalformedError", '<?xml version="1.0" encoding="utf-16"?><x/>'


def cases() -> Iterator[tuple[str, str]]:
    for name, comment, body, paths in good():
        yield name, format_vector(expect="ok", source=SOURCE, comment=comment, root=ROOT, paths=paths, payload=body)
    for name, expect, body in bad():
        yield name, format_vector(expect=expect, source=SOURCE, comment=name.replace("_", " "), root=ROOT, payload=body)


if __name__ == "__main__":
    write("dav", cases)

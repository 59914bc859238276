"""SEARCH and REPORT bodies: what is understood, what is refused, and that nothing explodes."""

import re
import time
from fnmatch import translate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import FormatError, LimitExceededError, MalformedError
from candado.formats import davsearch
from candado.formats.davlike import LikePattern
from candado.formats.davsearch import Comparison, FilterRequest, IsCollection, Junction, Negation, Order

D, OC, NC = "{DAV:}", "{http://owncloud.org/ns}", "{http://nextcloud.org/ns}"
NAMESPACES = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns" xmlns:s="https://github.com/icewind1991/SearchDAV/ns"'
SELECT = "<d:select><d:prop><d:getetag/><oc:id/><d:getetag/></d:prop></d:select>"
FROM = "<d:from><d:scope><d:href>/files/alice</d:href><d:depth>infinity</d:depth></d:scope></d:from>"


def search(inside: str) -> bytes:
    return f"<d:searchrequest {NAMESPACES}><d:basicsearch>{inside}</d:basicsearch></d:searchrequest>".encode()


def where(condition: str) -> bytes:
    return search(f"{SELECT}{FROM}<d:where>{condition}</d:where>")


def scope(href: str, depth: str = "1") -> bytes:
    return search(f"{SELECT}<d:from><d:scope><d:href>{href}</d:href><d:depth>{depth}</d:depth></d:scope></d:from>")


def compare(kind: str, prop: str, literal: str) -> str:
    return f"<d:{kind}><d:prop><{prop}/></d:prop><d:literal>{literal}</d:literal></d:{kind}>"


def condition(text: str) -> davsearch.Condition:
    found = davsearch.parse_search(where(text)).where
    assert found is not None
    return found


def comparison(kind: str, prop: str, literal: str) -> Comparison:
    found = condition(compare(kind, prop, literal))
    assert isinstance(found, Comparison)
    return found


def test_a_search_says_what_it_wants_where_and_in_which_order() -> None:
    orders = (
        "<d:orderby><d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order>"
        "<d:order><d:prop><d:displayname/></d:prop><d:ascending/></d:order>"
        "<d:order><d:prop><oc:size/></d:prop></d:order></d:orderby>"
    )
    limit = "<d:limit><d:nresults> 20 </d:nresults><s:firstresult>5</s:firstresult></d:limit>"
    found = davsearch.parse_search(search(f"{SELECT}{FROM}<d:where><d:is-collection/></d:where>{orders}{limit}"))
    assert found == davsearch.SearchRequest(
        names=(f"{D}getetag", f"{OC}id"),
        scope="/files/alice",
        depth=None,
        where=IsCollection(),
        order=(
            Order(f"{D}getlastmodified", descending=True),
            Order(f"{D}displayname", descending=False),
            Order(f"{OC}size", descending=False),
        ),
        limit=20,
        first=5,
    )


@pytest.mark.parametrize("empty", ["", "<d:where/>"])
def test_a_search_without_condition_order_and_limit_finds_everything(empty: str) -> None:
    found = davsearch.parse_search(search(f"<d:select><d:allprop/></d:select>{FROM}{empty}<d:orderby/><d:limit/>"))
    assert (found.names, found.where, found.order, found.limit, found.first) == (None, None, (), None, 0)
    short = davsearch.parse_search(search(f"{SELECT}{FROM}"))
    assert (short.where, short.order, short.limit, short.first) == (None, (), None, 0)


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("/files/alice", "/files/alice"),
        ("files/alice/", "/files/alice"),
        ("/files/alice/a%20b/%C3%BC", "/files/alice/a b/ü"),
        ("/files/alice/what? #1", "/files/alice/what? #1"),
        ("https://cloud.example/remote.php/dav/files/alice/x", "/remote.php/dav/files/alice/x"),
        ("HTTP://cloud.example", "/"),
        ("", "/"),
    ],
)
def test_a_scope_is_a_path_in_the_spellings_of_clients(href: str, path: str) -> None:
    found = davsearch.parse_search(scope(href))
    assert (found.scope, found.depth) == (path, 1)


@pytest.mark.parametrize("href", ["/files/../x", "/files//x", "/100%", "/a%2Fb", "/a%00", "/%ff", "/" + "x" * 40_000])
def test_a_scope_that_plays_tricks_is_refused(href: str) -> None:
    with pytest.raises(FormatError):
        davsearch.parse_search(scope(href))


@pytest.mark.parametrize(
    ("kind", "literal", "holds"),
    [
        ("eq", "5", {5}),
        ("gt", "5", {6, 7}),
        ("gte", "5", {5, 6, 7}),
        ("lt", "5", {3, 4}),
        ("lte", " 5 ", {3, 4, 5}),
    ],
)
def test_numbers_are_compared_as_numbers(kind: str, literal: str, holds: set[int]) -> None:
    found = comparison(kind, "oc:size", literal)
    assert {size for size in range(3, 8) if found.test(size)} == holds
    assert found.equals == (5 if kind == "eq" else None)


def test_a_file_id_may_carry_the_id_of_the_instance() -> None:
    assert comparison("eq", "oc:fileid", "00000517ocawl4y5q2gp").equals == 517
    assert comparison("eq", "oc:fileid", "517").test(517)


@pytest.mark.parametrize(
    "literal", ["1700000000", "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20", "Tue, 14 Nov 2023 22:13:20 GMT"]
)  # fmt: skip
@pytest.mark.parametrize("prop", ["d:getlastmodified", "d:creationdate"])
def test_times_are_read_in_every_spelling(literal: str, prop: str) -> None:
    assert comparison("eq", prop, literal).equals == 1_700_000_000


@pytest.mark.parametrize(
    ("literal", "value"), [("1", True), ("yes", True), ("True", True), ("0", False), ("no", False)]
)
def test_favourites_are_a_truth_value(literal: str, value: bool) -> None:
    assert comparison("eq", "oc:favorite", literal).equals is value


def test_texts_are_equal_as_they_stand_and_like_a_pattern_in_any_case() -> None:
    assert comparison("eq", "d:displayname", " Name ").test(" Name ")
    assert not comparison("eq", "d:displayname", "Name").test("name")
    assert comparison("like", "d:getcontenttype", "IMAGE/%").test("image/png")
    assert not comparison("like", "d:getcontenttype", "image/%").test("text/plain")
    assert comparison("eq", "d:displayname", "").test("")
    assert comparison("eq", "oc:owner-id", "alice").test("alice")


def test_conditions_are_joined_and_negated() -> None:
    small = compare("lt", "oc:size", "9")
    found = condition(f"<d:and><d:or>{small}<d:is-collection/></d:or><d:not>{small}</d:not></d:and>")
    assert isinstance(found, Junction)
    either, negated = found.parts
    assert isinstance(either, Junction)
    assert isinstance(negated, Negation)
    assert (found.every, either.every, either.parts[1]) == (True, False, IsCollection())


@pytest.mark.parametrize(
    "inside",
    [
        SELECT,
        FROM,
        SELECT + SELECT + FROM,
        SELECT + FROM + "<d:from/>",
        SELECT + FROM + "<d:groupby/>",
        SELECT + FROM + "<oc:where/>",
        "<d:select/>" + FROM,
        "<d:select><d:prop/><d:prop/></d:select>" + FROM,
        SELECT + "<d:from/>",
        SELECT + "<d:from><d:scope><d:href>/a</d:href></d:scope></d:from>",
        SELECT + "<d:from><d:scope><d:depth>1</d:depth></d:scope></d:from>",
        SELECT + "<d:from><d:scope><d:href><d:x/></d:href><d:depth>1</d:depth></d:scope></d:from>",
        SELECT + FROM.replace("</d:from>", "") + FROM.replace("<d:from>", ""),
        SELECT + FROM.replace("infinity", "2"),
        SELECT + FROM + "<d:limit><d:nresults>-1</d:nresults></d:limit>",
        SELECT + FROM + "<d:limit><d:nresults>many</d:nresults></d:limit>",
        SELECT + FROM + "<d:limit><d:rows>1</d:rows></d:limit>",
        SELECT + FROM + "<d:orderby><d:prop><oc:size/></d:prop></d:orderby>",
        SELECT + FROM + "<d:orderby><d:order><d:prop><oc:size/></d:prop><d:sideways/></d:order></d:orderby>",
        SELECT + FROM + "<d:orderby><d:order><d:prop><d:getetag/></d:prop></d:order></d:orderby>",
        SELECT + FROM + "<d:orderby><d:order><d:ascending/></d:order></d:orderby>",
    ],
)
def test_a_search_of_another_shape_is_refused(inside: str) -> None:
    with pytest.raises(MalformedError):
        davsearch.parse_search(search(inside))


@pytest.mark.parametrize(
    "text",
    [
        "<d:is-collection/><d:is-collection/>",
        "<d:and/>",
        "<d:or/>",
        "<d:not/>",
        "<d:not><d:is-collection/><d:is-collection/></d:not>",
        "<d:contains>text</d:contains>",
        "<d:is-defined><d:prop><oc:size/></d:prop></d:is-defined>",
        compare("eq", "d:getetag", "x"),
        compare("eq", "nc:is-encrypted", "1"),
        compare("eq", "oc:size", "big"),
        compare("eq", "oc:size", "9" * 19),
        compare("eq", "oc:size", "٣"),
        compare("eq", "oc:fileid", "1ocshort"),
        compare("eq", "oc:favorite", "2"),
        compare("gt", "d:getlastmodified", "yesterday"),
        compare("gt", "d:getlastmodified", "nan"),
        compare("gt", "d:getlastmodified", "1e999"),
        compare("like", "oc:size", "1%"),
        compare("eq", "d:displayname", "<d:x/>"),
        "<d:eq><d:prop><d:displayname/><oc:size/></d:prop><d:literal>1</d:literal></d:eq>",
        "<d:eq><d:prop/><d:literal>1</d:literal></d:eq>",
        "<d:eq><d:prop><oc:size/></d:prop></d:eq>",
        "<d:eq><d:prop><oc:size/></d:prop><d:literal>1</d:literal><d:literal>2</d:literal></d:eq>",
        "<d:eq><d:prop><oc:size/></d:prop><d:literal>1</d:literal><d:x/></d:eq>",
    ],
)
def test_a_condition_that_is_not_known_is_refused_and_never_left_out(text: str) -> None:
    with pytest.raises(MalformedError):
        davsearch.parse_search(where(text))


def test_a_search_is_limited_in_size_elements_conditions_and_depth() -> None:
    one = "<d:is-collection/>"
    for text in (one * 31, "<d:not>" * 15 + one + "</d:not>" * 15):
        davsearch.parse_search(where(text if text.startswith("<d:not>") else f"<d:or>{text}</d:or>"))
    for text in (
        f"<d:or>{one * 32}</d:or>",
        "<d:not>" * 16 + one + "</d:not>" * 16,
        "<d:not>" * 400 + one + "</d:not>" * 400,
        f"<d:or>{one * 600}</d:or>",
        compare("eq", "d:displayname", "x" * 70_000),
        compare("like", "d:displayname", "x" * 129),
        compare("like", "d:displayname", "%" * 17),
    ):
        with pytest.raises(LimitExceededError):
            davsearch.parse_search(where(text))


@pytest.mark.parametrize("parse", [davsearch.parse_search, davsearch.parse_filter_files])
def test_entities_document_types_and_other_documents_are_refused(parse: object) -> None:
    assert callable(parse)
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + where(compare("eq", "d:displayname", "&b;"))
    file = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + where(compare("eq", "d:displayname", "&f;"))
    for body in (b"", b"x", b"<d:searchrequest/>", bomb, file, b'<propfind xmlns="DAV:"/>', where("&undeclared;")):
        with pytest.raises(MalformedError):
            parse(body)


def report(inside: str) -> bytes:
    return f"<oc:filter-files {NAMESPACES}>{inside}</oc:filter-files>".encode()


def test_a_report_asks_for_favourites_and_tags() -> None:
    rules = "<oc:filter-rules><oc:favorite>1</oc:favorite><oc:systemtag>7</oc:systemtag></oc:filter-rules>"
    found = davsearch.parse_filter_files(report(f"<d:prop><oc:id/><oc:id/></d:prop>{rules}"))
    assert found == FilterRequest((f"{OC}id",), favourites=True, tags=("7",))
    tags = "<oc:filter-rules><nc:systemtag>x</nc:systemtag></oc:filter-rules>"
    assert davsearch.parse_filter_files(report(tags)) == FilterRequest(None, favourites=False, tags=("x",))


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<oc:filter-rules/>",
        "<oc:filter-rules><oc:favorite>0</oc:favorite></oc:filter-rules>",
        "<oc:filter-rules><oc:favorite>maybe</oc:favorite></oc:filter-rules>",
        "<oc:filter-rules><oc:favorite><oc:x/></oc:favorite></oc:filter-rules>",
        "<oc:filter-rules><oc:circle>1</oc:circle></oc:filter-rules>",
        "<oc:filter-rules><oc:favorite>1</oc:favorite></oc:filter-rules>" * 2,
    ],
)
def test_a_report_without_rules_or_with_unknown_ones_is_refused(inside: str) -> None:
    with pytest.raises(MalformedError):
        davsearch.parse_filter_files(report(inside))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("", [""], ["a"]),
        ("%", ["", "anything\nat all"], []),
        ("a_c", ["abc", "A\nC"], ["ac", "abbc", "xabc"]),
        ("a%", ["a", "ab"], ["ba"]),
        ("%a", ["a", "ba", "aba"], ["ab"]),
        ("%a%b%", ["ab", "xaxbx", "aab"], ["ba", "a"]),
        ("a%a", ["aa", "aba"], ["a"]),
        ("%%x%%", ["x", "axb"], ["y"]),
        (r"100\%", ["100%"], ["1000"]),
        (r"a\_b", ["a_b"], ["axb"]),
        ("a\\\\", ["a\\"], ["a"]),
        ("end\\", ["end\\"], ["end"]),
        ("(.*)[x]", ["(.*)[X]"], ["x"]),
        ("STRASSE%", ["straße.txt"], []),
        ("%_.jpg", ["a.JPG"], [".jpg"]),
    ],
)
def test_patterns_match_the_whole_text(pattern: str, yes: list[str], no: list[str]) -> None:
    like = LikePattern.parse(pattern)
    assert [text for text in (*yes, *no) if like.matches(text)] == yes


@given(st.text("ab%_", max_size=12), st.text("ab", max_size=12))
def test_a_pattern_matches_what_the_shell_would(pattern: str, text: str) -> None:
    expression = translate(pattern.replace("%", "*").replace("_", "?"))
    assert LikePattern.parse(pattern).matches(text) == bool(re.match(expression, text))


def test_no_pattern_takes_long() -> None:
    pattern = LikePattern.parse("%" + "a_%" * 15 + "b")
    start = time.perf_counter()
    assert not any(pattern.matches("a" * 250) for _ in range(100))
    assert time.perf_counter() - start < 2


@given(st.text(max_size=40))
def test_any_literal_is_read_or_refused(text: str) -> None:
    clean = re.sub("[^\t\n\r -\ud7ff]", "", text).replace("&", "").replace("<", "")
    for kind, prop in (
        ("eq", "d:getlastmodified"),
        ("lt", "oc:size"),
        ("like", "d:displayname"),
        ("eq", "oc:favorite"),
    ):
        try:
            davsearch.parse_search(where(compare(kind, prop, clean)))
        except FormatError:
            continue


@given(st.from_regex(r"[A-Za-z]{0,3},? ?[0-9]{0,10} [A-Za-z]{0,4} [-+0-9:]{0,12} [A-Z+0-9-]{0,6}", fullmatch=True))
def test_any_date_is_read_or_refused(text: str) -> None:
    try:
        davsearch.parse_search(where(compare("eq", "d:getlastmodified", text)))
    except FormatError:
        return

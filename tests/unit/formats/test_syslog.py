"""Messages of RFC 5424, and their framing on a stream."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import MisuseError
from candado.formats.syslog import StructuredData, count_octets, syslog_message


def message(text: str = "hello", *, data: StructuredData = (), **changed: object) -> bytes:
    fields = {
        "severity": 6,
        "time": "2026-01-02T03:04:05.678Z",
        "host": "cloud.example.org",
        "application": "candado-server",
        "process": "77",
        "message_id": "share.made",
    }
    return syslog_message(text, data=data, **{**fields, **changed})  # type: ignore[arg-type]


def test_a_message_has_header_structured_data_and_text() -> None:
    data = [("meta", {"sequenceId": "41"}), ("candado@32473", {"sequence": "41", "kind": "share.made"})]
    assert message('{"a":1}', data=data) == (
        b"<110>1 2026-01-02T03:04:05.678Z cloud.example.org candado-server 77 share.made"
        b' [meta sequenceId="41"][candado@32473 sequence="41" kind="share.made"] {"a":1}'
    )


def test_what_is_not_known_is_a_dash() -> None:
    assert message("", time="", host="", application="", process="", message_id="") == b"<110>1 - - - - - - "


def test_header_fields_lose_what_they_may_not_have_and_are_cut() -> None:
    found = message("x", host="cloud é\nexample", application="a" * 60, process="p" * 200, message_id="m" * 40)
    assert found == b"<110>1 2026-01-02T03:04:05.678Z cloudexample " + b" ".join(
        [b"a" * 48, b"p" * 128, b"m" * 32, b"-", b"x"]
    )
    assert len(message(host="h" * 300).split(b" ")[2]) == 255


def test_values_are_escaped() -> None:
    assert message("x", data=[("a", {"b": 'q"b\\s]e\nl'})]).endswith(rb' [a b="q\"b\\s\]e\\u000al"] x')


def test_text_that_is_more_than_ascii_is_marked_as_utf8() -> None:
    assert message("ñ").endswith(b" - \xef\xbb\xbf\xc3\xb1")
    assert message("two\nlines").endswith(rb" - two\u000alines")


@pytest.mark.parametrize(
    "wrong",
    [
        {"severity": 8},
        {"severity": -1},
        {"facility": 24},
        {"facility": -1},
        {"data": [("a b", {})]},
        {"data": [("", {})]},
        {"data": [("a" * 33, {})]},
        {"data": [("a", {"b=c": "d"})]},
        {"data": [("a", {'b"': "d"})]},
        {"data": [("a]", {})]},
        {"data": [("a", {}), ("a", {})]},
    ],
)
def test_what_the_grammar_does_not_have_is_a_mistake_of_ours(wrong: dict[str, object]) -> None:
    with pytest.raises(MisuseError):
        message("x", **wrong)  # type: ignore[arg-type]


def test_facility_and_severity_make_the_priority() -> None:
    assert message(severity=4, facility=23).startswith(b"<188>1 ")
    assert message(severity=0, facility=0).startswith(b"<0>1 ")


def test_the_length_goes_in_front_on_a_stream() -> None:
    assert count_octets("añ".encode()) == b"3 a\xc3\xb1"
    assert count_octets(b"") == b"0 "


GRAMMAR = re.compile(
    r"<(\d{1,3})>1 ([!-~]{1,64}) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32})"
    r' (-|\[candado@1 v="((?:\\["\\\]]|[^"\\\]])*)"\]) (.*)'
)


@given(st.text(max_size=20), st.text(alphabet=st.sampled_from(list('a"\\]=[ \n\0é\u2028')), max_size=12), st.text())
def test_no_value_breaks_the_grammar_or_the_line(host: str, value: str, text: str) -> None:
    found = message(text, host=host, data=[("candado@1", {"v": value})])
    whole = found.decode("utf-8")
    assert len(whole.splitlines()) == 1
    match = GRAMMAR.fullmatch(whole)
    assert match is not None
    back = re.sub(r'\\(["\\\]])', r"\1", match[8])
    control = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
    assert back == control.sub(lambda m: f"\\u{ord(m[0]):04x}", value)

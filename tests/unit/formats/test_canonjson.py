"""Strict JSON beyond the vectors: limits, fractions, two ways to write."""

import json
import time
from collections.abc import Callable

import pytest

from candado.errors import LimitExceededError, MalformedError
from candado.formats import canonjson


def load(text: bytes | str, *, bytes_max: int = 10_000_000, floats: bool = False) -> canonjson.JsonValue:
    return canonjson.load_json(text, bytes_max=bytes_max, floats=floats)


def test_text_and_bytes_give_the_same() -> None:
    assert load('{"ä":[1,true,null]}') == load('{"ä":[1,true,null]}'.encode()) == {"ä": [1, True, None]}


def test_size_is_counted_in_bytes() -> None:
    assert load('"ä"', bytes_max=4) == "ä"
    with pytest.raises(LimitExceededError):
        load('"ä"', bytes_max=3)


def test_text_with_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(MalformedError):
        load('"\ud800"')
    assert load(r'"\ud83d\udd12"') == "\U0001f512"


def test_fractions_are_read_only_where_they_are_expected() -> None:
    assert load('{"version":1.2,"n":-5e-1,"i":7}', floats=True) == {"version": 1.2, "n": -0.5, "i": 7}
    for bad in ("1e999", "-1e999", "0." + "1" * 64):
        with pytest.raises(LimitExceededError):
            load(bad, floats=True)
    for bad in ("NaN", "Infinity", "-0"):
        with pytest.raises(MalformedError):
            load(bad, floats=True)


def test_brackets_inside_strings_do_not_count() -> None:
    text = json.dumps(["[" * 100, '"' + "{" * 100, "\\" + "[" * 100, '\\"' + "[" * 100])
    assert load(text) == json.loads(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"[" * 100_000,
        lambda: b'{"a":' * 100_000,
        lambda: b"9" * 1_000_000,
        lambda: b"[" + b"0," * 500_000 + b"0]",
        lambda: b"[" + b"[]" * 600_000,
        lambda: b'{"":0' + b"".join(b',"%d":0' % n for n in range(600_000)) + b"}",
    ],
    ids=["brackets", "objects", "digits", "values", "lists", "keys"],
)
def test_a_hostile_document_is_refused_before_it_costs_much(make: Callable[[], bytes]) -> None:
    text = make()
    began = time.process_time()
    with pytest.raises(LimitExceededError):
        load(text)
    assert time.process_time() - began < 2


def test_canonical_and_ascii_form_differ_only_in_escapes() -> None:
    value: canonjson.JsonObject = {"b": "ä/<>&=\n\U0001f512", "a": [1, None, False]}
    assert canonjson.dump_canonical(value) == '{"a":[1,null,false],"b":"ä/<>&=\\n\U0001f512"}'.encode()
    assert canonjson.dump_ascii(value) == b'{"a":[1,null,false],"b":"\\u00e4/<>&=\\n\\ud83d\\udd12"}'
    assert load(canonjson.dump_canonical(value)) == load(canonjson.dump_ascii(value)) == value


def test_what_is_signed_leaves_the_document_as_it_was() -> None:
    document: canonjson.JsonObject = {"version": "2.0", "filedrop": {}}
    assert canonjson.signed_bytes(document) == b"eyJ2ZXJzaW9uIjoiMi4wIn0="
    assert document == {"version": "2.0", "filedrop": {}}

"""Vectors of strict JSON. Run: python -m tests.vectors.make_canonjson"""

from collections.abc import Iterator

from candado.encoding import decode_b64
from candado.formats.canonjson import document_digest, dump_canonical, load_json, signed_bytes
from tests.vectors.vectorfile import format_vector, write

SOURCE = "protocol document, section 13; threat model, A24 and A91 to A93; RFC 8259"

GOOD = {
    "sorted_members": '{"b":1,"a":{"d":[2,1],"c":null}}',
    "white_space": ' {\n "a" :\t[ true , false ] }\r\n',
    "escapes_fall_away": r'{"a":"\/\u0041\u00e9\ud83d\udd12\n"}',
    "order_by_code_point": r'{"\ud83d\udd12":1,"\uffee":2,"a":3,"A":4}',
    "proto_is_an_ordinary_name": '{"__proto__":{"x":1},"constructor":2}',
    "filedrop_is_not_signed": '{"version":"2.0","filedrop":{"x":1}}',
    "inner_filedrop_is_signed": '{"version":"2.0","metadata":{"filedrop":{"x":1}}}',
    "largest_integers": '{"a":9007199254740991,"b":-9007199254740991,"c":0}',
    "empty": "{}",
}
BAD: dict[str, tuple[str, str | bytes]] = {
    "key_twice": ("MalformedError", '{"users":[1],"users":[2]}'),
    "key_twice_by_escape": ("MalformedError", r'{"users":[1],"\u0075sers":[2]}'),
    "key_twice_deep": ("MalformedError", '{"a":[{"b":{"c":1,"c":1}}]}'),
    "float": ("MalformedError", '{"counter":1.0}'),
    "exponent": ("MalformedError", '{"counter":1e3}'),
    "minus_zero": ("MalformedError", '{"counter":-0}'),
    "leading_zero": ("MalformedError", '{"counter":01}'),
    "plus": ("MalformedError", '{"counter":+1}'),
    "nan": ("MalformedError", '{"counter":NaN}'),
    "infinity": ("MalformedError", '{"counter":-Infinity}'),
    "beyond_2_53": ("LimitExceededError", '{"counter":9007199254740992}'),
    "beyond_minus_2_53": ("LimitExceededError", '{"counter":-9007199254740992}'),
    "a_thousand_digits": ("LimitExceededError", '{"counter":' + "9" * 1000 + "}"),
    "half_a_surrogate_pair": ("MalformedError", r'{"a":"\ud83d"}'),
    "surrogates_exchanged": ("MalformedError", r'{"a":"\udd12\ud83d"}'),
    "half_a_pair_in_a_key": ("MalformedError", r'{"\udfff":1}'),
    "bytes_after": ("MalformedError", "{} {}"),
    "nul_after": ("MalformedError", b"{}\0"),
    "nothing": ("MalformedError", ""),
    "cut": ("MalformedError", '{"a":[1,2'),
    "comma_too_many": ("MalformedError", '{"a":[1,],}'),
    "single_quotes": ("MalformedError", "{'a':1}"),
    "comment": ("MalformedError", '{"a":1/**/}'),
    "control_character": ("MalformedError", b'{"a":"\x01"}'),
    "byte_order_mark": ("MalformedError", b"\xef\xbb\xbf{}"),
    "not_utf_8": ("MalformedError", b'{"a":"\xff"}'),
    "utf_16": ("MalformedError", '{"a":1}'.encode("utf-16")),
    "overlong_utf_8": ("MalformedError", b'{"a":"\xc0\xaf"}'),
    "seventeen_levels": ("LimitExceededError", "[" * 17 + "]" * 17),
    "seventeen_objects": ("LimitExceededError", '{"a":' * 17 + "1" + "}" * 17),
    "brackets_without_end": ("LimitExceededError", "[" * 2000),
    "depth_behind_a_string": ("LimitExceededError", r'["\\","\"[",' + "[" * 16 + "]" * 16 + "]"),
}


def cases() -> Iterator[tuple[str, str]]:
    for name, text in GOOD.items():
        value = load_json(text, bytes_max=10_000)
        assert isinstance(value, dict)
        assert decode_b64(signed_bytes(value).decode()) == dump_canonical(
            {k: v for k, v in value.items() if k != "filedrop"}
        )
        yield (
            name,
            format_vector(
                expect="ok",
                source=SOURCE,
                comment=name.replace("_", " "),
                payload=text.encode(),
                digest=document_digest(value),
            ),
        )
    for name, (expect, bad) in BAD.items():
        payload = bad.encode() if isinstance(bad, str) else bad
        yield name, format_vector(expect=expect, source=SOURCE, comment=name.replace("_", " "), payload=payload)


if __name__ == "__main__":
    write("canonjson", cases)

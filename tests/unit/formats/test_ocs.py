"""The OCS envelope."""

import json
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from candado.errors import LimitExceededError, MalformedError
from candado.formats import ocs


def test_an_answer_is_written_and_read() -> None:
    body = ocs.format_ocs_json(200, "OK", {"a": [1, "ä"], "quota": 0.5}, ok=True)
    assert (
        body
        == b'{"ocs":{"meta":{"status":"ok","statuscode":200,"message":"OK"},"data":{"a":[1,"\\u00e4"],"quota":0.5}}}'
    )
    assert ocs.parse_ocs(body) == ocs.OcsAnswer(200, "OK", {"a": [1, "ä"], "quota": 0.5})
    failure = ocs.format_ocs_json(404, "gone", [], ok=False)
    assert json.loads(failure)["ocs"]["meta"]["status"] == "failure"


def test_a_message_that_is_missing_is_empty() -> None:
    assert ocs.parse_ocs(b'{"ocs":{"meta":{"statuscode":100,"message":null}}}') == ocs.OcsAnswer(100, "", None)


@pytest.mark.parametrize(
    "body",
    [b"", b"<xml/>", b"[]", b"{}", b'{"ocs":[]}', b'{"ocs":{"meta":[]}}', b'{"ocs":{"meta":{}}}', b'{"ocs":{"meta":{"statuscode":"200"}}}',
     b'{"ocs":{"meta":{"statuscode":true}}}', b'{"ocs":{"meta":{"statuscode":2.0}}}', b'{"ocs":1,"ocs":2}'],
)  # fmt: skip
def test_what_is_not_an_answer_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        ocs.parse_ocs(body)


def test_an_answer_beyond_the_limit_is_not_parsed() -> None:
    with pytest.raises(LimitExceededError):
        ocs.parse_ocs(bytes(ocs.ANSWER_BYTES_MAX + 1))


def test_the_same_answer_in_xml() -> None:
    data: Any = {
        "users": ["a<b", {"id": 7}],
        "on": True,
        "off": False,
        "none": None,
        "empty": "",
        "1 x": "y",
        "z": "a\x01\r&",
    }
    body = ocs.format_ocs_xml(200, "OK", data, ok=True)
    assert body.startswith(b'<?xml version="1.0"?>\n<ocs><meta><status>ok</status><statuscode>200</statuscode>')
    tree = fromstring(body)
    found = tree.find("data")
    assert found is not None
    assert [(child.tag, child.text) for child in found] == [
        ("users", None), ("on", "1"), ("off", None), ("none", None), ("empty", None), ("element", "y"), ("z", "a\ufffd\r&"),
    ]  # fmt: skip
    assert [element.text or element[0].text for element in found[0]] == ["a<b", "7"]

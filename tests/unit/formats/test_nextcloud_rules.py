"""A list of rules of Nextcloud becomes rules of ours, whole ones only."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import RulesInvalidError
from candado.formats.rules import DEFAULT_MESSAGE, Imported, LeftOut, Operation, import_nextcloud

ACCESS = "OCA\\FilesAccessControl\\Operation"


def check(kind: str, operator: str, value: Any) -> dict[str, Any]:
    return {"class": f"OCA\\WorkflowEngine\\Check\\{kind}", "operator": operator, "value": value}


def entry(*checks: Any, number: Any = 7, **more: Any) -> dict[str, Any]:
    members = {"id": number, "class": ACCESS, "name": "a rule", "checks": list(checks), "operation": "deny"}
    return members | {"entity": "OCA\\WorkflowEngine\\Entity\\File", "events": []} | more


def imported(*entries: Any) -> Imported:
    answer = {"ocs": {"meta": {"status": "ok", "statuscode": 200}, "data": {ACCESS: list(entries)}}}
    return import_nextcloud(json.dumps(answer).encode(), tags={"3": "Top secret"})


@pytest.mark.parametrize(
    ("given_check", "condition"),
    [
        (check("FileName", "is", "Thumbs.db"), "name = Thumbs.db"),
        (check("FileName", "!is", "a b"), 'not name = "a b"'),
        (check("FileName", "matches", "/^.*\\.exe$/i"), r"name matches (?i)^.*\.exe$"),
        (check("FileName", "!matches", "#^a/b#"), "not name matches (?i)^a/b"),
        (check("FileName", "matches", '/^"\\"x$/'), 'name matches "(?i)^\\"\\"x$"'),
        (check("FileMimeType", "is", "application/pdf"), "mime = application/pdf"),
        (check("FileMimeType", "!is", "httpd/unix-directory"), "not mime = httpd/unix-directory"),
        (check("FileMimeType", "matches", "/image\\/.*/"), r"mime matches image\/.*"),
        (check("FileMimeType", "matches", "{^(?i)x}"), None),
        (check("FileSize", "greater", "5 MB"), "size > 5 MiB"),
        (check("FileSize", "!less", "10kb"), "not size < 10 KiB"),
        (check("FileSize", "less", "7B"), "size < 7 B"),
        (check("FileSystemTags", "is", 3), 'tag = "Top secret"'),
        (check("FileSystemTags", "!is", "3"), 'not tag = "Top secret"'),
        (check("RequestRemoteAddress", "matchesIPv4", "10.1.2.3/8"), "ip = 10.0.0.0/8"),
        (check("RequestRemoteAddress", "!matchesIPv6", "2001:db8::/32"), "not ip = 2001:db8::/32"),
        (
            check("RequestTime", "in", '["08:00 Europe\\/Berlin","18:00 Europe\\/Berlin"]'),
            "time = 08:00-18:00 Europe/Berlin",
        ),
        (check("RequestTime", "!in", '["22:00 UTC","06:00 UTC"]'), "not time = 22:00-06:00 UTC"),
        (check("RequestURL", "is", "webdav"), r'url matches "^/remote\.php/(webdav|dav/files)(/|$)"'),
        (check("RequestUserAgent", "is", "android"), "agent = android"),
        (check("RequestUserAgent", "!is", "curl/8.0 x"), r'not agent matches "^curl/8\.0\ x$"'),
        (check("RequestUserAgent", "matches", "~curl~iu"), "agent matches (?i)curl"),
        (check("RequestUserAgent", "matches", "/(?i)curl/i"), 'agent matches "(?i)curl"'),
        (check("UserGroupMembership", "is", "HR"), "group = HR"),
        (check("UserGroupMembership", "!is", "admin"), "not group = admin"),
    ],
)
def test_every_test_has_its_counterpart(given_check: dict[str, Any], condition: str | None) -> None:
    found = imported(entry(given_check))
    if condition is None:
        assert [one.number for one in found.left_out] == ["7"]
        return
    assert found.left_out == ()
    [(rule, name)] = found.rules
    assert (rule.id, rule.message, rule.report_only, name) == ("nextcloud-7", DEFAULT_MESSAGE, False, "a rule")
    if "(?i)" in condition and '"' not in condition:
        condition = condition.replace("matches ", 'matches "') + '"'
    assert rule.line.partition(" when ")[2] == condition


def test_all_tests_of_a_rule_must_fit_and_a_size_is_looked_at_while_a_file_is_sent() -> None:
    group, size = check("UserGroupMembership", "is", "HR"), check("FileSize", "greater", "5 MB")
    found = imported(entry(group, number=1), entry(group, size, number="2"))
    assert [rule.line for rule, _ in found.rules] == [
        "deny all when group = HR",
        "deny create, update when group = HR and size > 5 MiB",
    ]
    assert found.rules[0][0].operations == frozenset(Operation)


@pytest.mark.parametrize(
    ("given_entry", "reason"),
    [
        (entry(check("UserGroupMembership", "is", "HR"), **{"class": "OCA\\FilesAutomatedTagging\\Operation"}), "it is no rule that denies access"),
        (entry(check("UserGroupMembership", "is", "HR"), operation="allow"), "it is no rule that denies access"),
        (entry(check("UserGroupMembership", "is", "HR"), number="x"), "it has no number"),
        (entry(check("UserGroupMembership", "is", "HR"), number=True), "it has no number"),
        (entry(), "it has no tests"),
        (entry(checks=None), "it has no tests"),
        (entry("x"), "one of its tests is not readable"),
        (entry(check("UserGroupMembership", "is", "HR"), check("MfaVerified", "is", "")), "there is no test like MfaVerified here"),
        (entry({"class": "OCA\\Other\\Check\\FileName", "operator": "is", "value": "x"}), "there is no test like FileName here"),
        (entry(check("FileSystemTags", "is", "4")), "the list has no name of tag 4: add --tag 4=NAME"),
        (entry(check("FileSystemTags", "matches", "3")), "there is no comparison like matches here"),
        (entry(check("FileName", "like", "x")), "there is no comparison like like here"),
        (entry(check("FileName", "is", "a/b")), "FileName: a name has no slash: a/b"),
        (entry(check("FileName", "is", "a b\\")), "character 21: a quotation mark is not closed"),
        (entry(check("FileName", "is", 'a\\"')), "a value has a backslash where our language cannot have one"),
        (entry(check("FileName", "is", '\\" and "')), "a value has a backslash where our language cannot have one"),
        (entry(check("FileName", "is", "")), "character 24: here comes a value; put it into quotation marks if it has signs or is a word of this language"),
        (entry(check("FileName", "matches", "/(?<=a)b/")), "FileName: regular expression, character 6: looking around, names and flags inside are not possible; groups are ( ) and (?: )"),
        (entry(check("FileName", "matches", "/x/s")), "the regular expression /x/s has flags other than i and u"),
        (entry(check("FileName", "matches", "x")), "x is no regular expression between delimiters"),
        (entry(check("FileName", "matches", "axa")), "axa is no regular expression between delimiters"),
        (entry(check("FileName", "matches", "")), " is no regular expression between delimiters"),
        (entry(check("FileMimeType", "is", "httpd/unix-directory")), "folders have no media type here"),
        (entry(check("FileMimeType", "is", "pdf")), "FileMimeType: a media type is like application/pdf; for all of a kind write: mime like pdf/*"),
        (entry(check("FileSize", "greater", "5")), "FileSize: greater 5 is no comparison of sizes"),
        (entry(check("FileSize", "is", "5 MB")), "FileSize: is 5 MB is no comparison of sizes"),
        (entry(check("RequestRemoteAddress", "matchesIPv4", "x/8")), "RequestRemoteAddress: x/8 is no network"),
        (entry(check("RequestRemoteAddress", "matchesIPv4", "::/8")), "RequestRemoteAddress: ::/8 is no network of this kind"),
        (entry(check("RequestTime", "in", "noon")), "RequestTime: noon is no span of time"),
        (entry(check("RequestTime", "in", '["08:00 UTC","18:00 Europe/Berlin"]')), "RequestTime: it begins and ends in two time zones"),
        (entry(check("RequestTime", "in", '["08:00 UTC","08:00 UTC"]')), "RequestTime: a time begins and ends at two times of day, from 00:00 to 24:00; not 08:00-08:00 UTC"),
        (entry(check("RequestURL", "is", "https://cloud/x")), "RequestURL: addresses of another server, with its name, mean nothing here"),
        (entry(check("RequestURL", "matches", "/x/")), "RequestURL: addresses of another server, with its name, mean nothing here"),
        (entry(check("RequestUserAgent", "is", "mail")), "RequestUserAgent: there is no kind of app called mail here"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_whole_is_listed_with_the_reason(given_entry: dict[str, Any], reason: str) -> None:
    found = imported(given_entry)
    assert [one.reason for one in found.left_out] == [reason]
    assert found.rules == ()


def test_a_list_comes_with_its_envelope_or_without_as_one_list_or_by_class() -> None:
    one = entry(check("UserGroupMembership", "is", "HR"))
    found = imported(one)
    assert len(found.rules) == 1
    for shape in ([one], {ACCESS: [one]}, {"ocs": {"data": [one]}}):
        assert import_nextcloud(json.dumps(shape).encode(), tags={}) == found
    assert imported() == Imported((), ())
    assert import_nextcloud(b'{"ocs": {"data": []}}', tags={}) == Imported((), ())


def test_a_name_is_shown_on_one_line() -> None:
    found = imported(entry(number=1, name="x\n# y" + "z" * 200))
    assert found.left_out == (LeftOut("1", "x # y" + "z" * 95, "it has no tests"),)


@pytest.mark.parametrize("data", [b"", b"x", b"7", b'{"ocs": 7}', b'{"ocs": {}}', b"[7]", b'{"a": 7}', b"\xff"])
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(RulesInvalidError, match="this is no"):
        import_nextcloud(data, tags={})


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 99), st.text(max_size=5), st.sampled_from([ACCESS, "deny"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["id", "class", "checks", "ocs", "data"]), inner)
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_a_list_or_is_refused(document: Any) -> None:
    with contextlib.suppress(RulesInvalidError):
        import_nextcloud(json.dumps(document).encode(), tags={})

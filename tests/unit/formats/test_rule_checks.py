"""Tests of access rules, one by one: what fits, what does not, what nobody can know, and values that are wrong."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from candado.errors import LimitExceededError, MalformedError
from candado.formats.rules import Facts, Operation, Test, format_line, parse_line

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=BERLIN)  # a Wednesday
FACTS = Facts(operation=Operation.CREATE, moment=NOON)
DESKTOP = "Mozilla/5.0 (Linux) mirall/3.16.7 (Nextcloud, debian-6.1 ClientArchitecture: x86_64 OsArchitecture: x86_64)"


def only(condition: str) -> Test:
    [[test]] = parse_line(f"deny all when {condition}")[1]
    return test


def holds(condition: str, **facts: object) -> bool | None:
    return only(condition).holds(replace(FACTS, **facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("condition", "name", "found"),
    [
        ("name = report.pdf", "report.pdf", True),
        ("name = report.pdf", "Report.PDF", True),
        ("name = report.pdf", "report.pdf.bak", False),
        ('name = "a b", c', "C", True),
        ("name = café", "cafe\u0301", True),
        ("name like *.exe", "x.EXE", True),
        ("name like *.exe, *.dll", "a.dll", True),
        ("name like ?.exe", "ab.exe", False),
        ("name matches ^[a-z]+$", "abc", True),
        ("name matches ^[a-z]+$", "ABC", False),
        ('name matches "(?i)^[a-z]+$"', "ABC", True),
        ('name matches "^na\u00efve$"', "nai\u0308ve", True),
    ],
)
def test_a_name_is_that_of_the_last_part_of_the_path(condition: str, name: str, found: bool) -> None:
    assert holds(condition, names=("report.pdf", name)) is found
    assert holds(f"not {condition}", names=("report.pdf", name)) is not found


@pytest.mark.parametrize("condition", ["name = a", "name like *", "name matches .", "mime = a/b", "mime like a/*"])
@pytest.mark.parametrize("names", [None, ()])
def test_a_sealed_name_or_type_fits_neither_a_test_nor_its_opposite(
    condition: str, names: tuple[str, ...] | None
) -> None:
    assert holds(condition, names=names) is None
    assert holds(f"not {condition}", names=names) is None


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("mime = application/pdf", True),
        ("mime = APPLICATION/PDF", True),
        ("mime = text/plain, application/pdf", True),
        ("mime = text/plain", False),
        ("mime like application/*", True),
        ("mime like app/*", False),
        ("mime matches ^application/(pdf|msword)$", True),
    ],
)
def test_a_media_type(condition: str, found: bool) -> None:
    condition = re.sub(r"(\^.*\$)", r'"\1"', condition)
    assert holds(condition, media_type="application/pdf") is found
    assert holds(f"not {condition}", media_type="application/pdf") is not found


@pytest.mark.parametrize(
    ("condition", "size", "found"),
    [
        ("size > 10 MB", 10_000_001, True),
        ("size > 10MB", 10_000_000, False),
        ("size > 10 MiB", 10_485_761, True),
        ("size < 1 KiB", 1023, True),
        ("size < 1 KiB", 1024, False),
        ("size < 1 TB", 10**12, False),
        ("size > 0 B", 0, False),
        ("size > 5 GB", None, None),
    ],
)
def test_a_size(condition: str, size: int | None, found: bool | None) -> None:
    assert holds(condition, size_bytes=size) is found
    assert holds(f"not {condition}", size_bytes=size) is (None if found is None else not found)


@pytest.mark.parametrize(
    ("condition", "address", "found"),
    [
        ("ip = 10.0.0.0/8", "10.1.2.3", True),
        ("ip = 10.0.0.0/8", "11.1.2.3", False),
        ("ip = 10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("ip = 192.168.1.7", "192.168.1.7", True),
        ("ip = 2001:db8::/32", "2001:db8:1::7", True),
        ("ip = 2001:db8::/32", "2001:db9::", False),
        ("ip = 10.0.0.0/8, fe80::/10", "fe80::1%eth0", True),
        ("ip = ::/0", "10.1.2.3", False),
        ("ip = 0.0.0.0/0, ::/0", "", False),
        ("ip = 0.0.0.0/0, ::/0", "unix", False),
    ],
)
def test_an_address_is_in_a_network_and_none_is_outside_of_all(condition: str, address: str, found: bool) -> None:
    assert holds(condition, address=address) is found
    assert holds(f"not {condition}", address=address) is not found


@pytest.mark.parametrize(
    ("window", "moment", "found"),
    [
        ("08:00-18:00 Europe/Berlin", "2026-07-01T08:00+02:00", True),
        ("08:00-18:00 Europe/Berlin", "2026-07-01T07:59:59+02:00", False),
        ("08:00-18:00 Europe/Berlin", "2026-07-01T17:59:59+02:00", True),
        ("08:00-18:00 Europe/Berlin", "2026-07-01T18:00+02:00", False),
        ("08:00-18:00 Europe/Berlin", "2026-07-01T06:30+00:00", True),
        ("08:00-18:00 Europe/Berlin", "2026-01-01T06:30+00:00", False),
        ("Mon-Fri 08:00-18:00 UTC", "2026-07-03T12:00+00:00", True),
        ("Mon-Fri 08:00-18:00 UTC", "2026-07-04T12:00+00:00", False),
        ("Sat-Mon UTC", "2026-07-06T12:00+00:00", True),
        ("Sat-Mon UTC", "2026-07-07T12:00+00:00", False),
        ("Sat UTC", "2026-07-04T23:59+00:00", True),
        # across midnight, and then the day is the one it begins on
        ("22:00-06:00 UTC", "2026-07-01T23:00+00:00", True),
        ("22:00-06:00 UTC", "2026-07-01T05:59+00:00", True),
        ("22:00-06:00 UTC", "2026-07-01T06:00+00:00", False),
        ("Fri 22:00-06:00 UTC", "2026-07-04T05:00+00:00", True),
        ("Fri 22:00-06:00 UTC", "2026-07-03T05:00+00:00", False),
        ("Sun 22:00-06:00 UTC", "2026-07-06T05:00+00:00", True),
        ("00:00-24:00 UTC", "2026-07-06T23:59+00:00", True),
        ("18:00-24:00 UTC", "2026-07-06T23:59+00:00", True),
        # clocks go back: 02:30 is there twice, both belong to the window
        ("02:00-03:00 Europe/Berlin", "2026-10-25T00:30+00:00", True),
        ("02:00-03:00 Europe/Berlin", "2026-10-25T01:30+00:00", True),
        ("02:00-03:00 Europe/Berlin", "2026-10-25T02:00+00:00", False),
        # clocks go forward: there is no 02:30
        ("02:00-03:00 Europe/Berlin", "2026-03-29T00:59+00:00", False),
        ("02:00-03:00 Europe/Berlin", "2026-03-29T01:00+00:00", False),
        ("22:00-06:00 UTC, Sat-Sun UTC", "2026-07-04T12:00+00:00", True),
    ],
)
def test_a_time_is_a_window_of_the_clock_on_the_wall(window: str, moment: str, found: bool) -> None:
    assert holds(f"time = {window}", moment=datetime.fromisoformat(moment)) is found
    assert holds(f"not time = {window}", moment=datetime.fromisoformat(moment)) is not found


def test_a_day_that_is_divided_into_two_windows_has_no_gap_even_when_clocks_change() -> None:
    begin = datetime(2026, 3, 28, 23, 0, tzinfo=ZoneInfo("UTC"))
    for minutes in range(0, 3000, 7):
        moment = begin + timedelta(minutes=minutes)
        day = holds("time = 06:00-22:00 Europe/Berlin", moment=moment)
        night = holds("time = 22:00-06:00 Europe/Berlin", moment=moment)
        assert {day, night} == {True, False}


@pytest.mark.parametrize(
    ("condition", "url", "found"),
    [
        ("url = /status.php", "/status.php", True),
        ("url = /status.php", "/status", False),
        ("url = webdav", "/remote.php/dav/files/ana/x", True),
        ("url = webdav", "/remote.php/webdav", True),
        ("url = webdav", "/public.php/dav/files/token", True),
        ("url = webdav", "/remote.php/davs", False),
        ("url = webdav", "/ocs/v2.php", False),
        ("url like /ocs/*", "/ocs/v2.php/x", True),
        ("url matches ^/s/", "/s/token", True),
    ],
)
def test_a_url_is_the_path_of_the_request(condition: str, url: str, found: bool) -> None:
    assert holds(condition, url=url) is found
    assert holds(f"not {condition}", url=url) is not found


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (DESKTOP, "desktop"),
        ("Mozilla/5.0 (Windows) csyncoC/2.0", "desktop"),
        ("Mozilla/5.0 (Android) Nextcloud-android/3.30.0", "android"),
        ("Mozilla/5.0 (Android) ownCloud-android/2.0", "android"),
        ("Mozilla/5.0 (iOS) Nextcloud-iOS/5.0", "ios"),
        ("candado/0.1.0", "candado"),
        ("curl/8.0", "other"),
        ("", "other"),
    ],
)
def test_an_agent_is_one_of_a_few_kinds(agent: str, kind: str) -> None:
    kinds = ["desktop", "android", "ios", "candado", "other"]
    assert [one for one in kinds if holds(f"agent = {one}", user_agent=agent)] == [kind]
    assert holds(f"agent = {', '.join(kinds)}", user_agent=agent)


def test_an_agent_may_be_tested_as_text() -> None:
    assert holds("agent like *CURL*", user_agent="curl/8.0")
    assert holds("agent matches ^curl/", user_agent="curl/8.0")
    assert not holds("agent matches ^wget/", user_agent="curl/8.0")


def test_tags_groups_and_what_is_true_or_not() -> None:
    assert holds("tag = Secret, Private", tags=frozenset({"SECRET"}))
    assert not holds("tag = Secret", tags=frozenset({"Public"}))
    assert holds("group = HR, Sales", groups=frozenset({"Sales", "All"}))
    assert not holds("group = hr", groups=frozenset({"HR"}))
    assert holds("not group = HR")
    for word, fact in [("encrypted", "encrypted"), ("link", "link"), ("known-device", "device_known")]:
        assert holds(word, **{fact: True}) is True
        assert holds(word) is False
        assert holds(f"not {word}") is True


@pytest.mark.parametrize(
    ("condition", "canonical"),
    [
        ("size>10MB", "size > 10 MB"),
        ("mime=Application/PDF", "mime = application/pdf"),
        ("ip = 10.0.0.1", "ip = 10.0.0.1/32"),
        ("ip = 2001:0db8::/32", "ip = 2001:db8::/32"),
        ("time =   Mon-Fri   08:00-18:00 Europe/Berlin", "time = Mon-Fri 08:00-18:00 Europe/Berlin"),
        ('name = "plain"', "name = plain"),
        ('name = "and"', 'name = "and"'),
        ('name = "a b","c\\"d"', 'name = "a b", "c\\"d"'),
        (r'name matches "a\.b"', r"name matches a\.b"),
        (r'name matches "a\\"', r"name matches a\\"),
    ],
)
def test_values_have_one_canonical_form(condition: str, canonical: str) -> None:
    operations, clauses = parse_line(f"deny share when {condition}")
    assert format_line(operations, clauses) == f"deny share when {canonical}"
    assert parse_line(f"deny share when {canonical}") == (operations, clauses)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("name = a/b", "a name has no slash"),
        ("name > a", "name is tested with = or like or matches, not with >"),
        ("mime = pdf", "a media type is like application/pdf; for all of a kind write: mime like pdf/*"),
        ("mime like pdf", "mime like is for all types of a kind"),
        ("size > 5", "a size is a whole number with one of B, KB"),
        ("size > 05 MB", "a size is a whole number"),
        ("size > 5 mb", "a size is a whole number"),
        ("size > 1.5 MB", "a size is a whole number"),
        ("size > 1 MB, 2 MB", "size is compared with one value"),
        ("size = 1 MB", "size is tested with > or <, not with ="),
        ("tag like x*", "tag is tested with =, not with like"),
        ("ip = 10.0.0.1/8", "a network is like 10.0.0.0/8"),
        ("ip = localhost", "a network is like 10.0.0.0/8"),
        ("url = status.php", "url is the path of the request from its first slash"),
        ("agent = firefox", "agent is one of android, desktop, ios, candado, other"),
        ("time = 08:00-18:00", "a time needs a zone: 08:00-18:00 Europe/Berlin"),
        ("time = Mon-Fri", "a time needs a zone"),
        ("time = noon", "a time is like Mon-Fri 08:00-18:00 Europe/Berlin"),
        ("time = UTC", "a time is like Mon-Fri"),
        ("time = 08:00-18:00 Mars/Olympus", "there is no time zone Mars/Olympus"),
        ("time = 08:00-18:00 ../etc/passwd", "a time is like"),
        ("time = 08:00-18:00 /etc/passwd", "there is no time zone /etc/passwd"),
        ("time = 08:00-08:00 UTC", "a time begins and ends at two times of day"),
        ("time = 24:00-08:00 UTC", "a time begins and ends"),
        ("time = 08:00-00:00 UTC", "a time begins and ends"),
        ("time = 25:00-08:00 UTC", "25:00 is no time of day"),
        ("time = 08:60-09:00 UTC", "08:60 is no time of day"),
        ("time = 08:00-24:01 UTC", "24:01 is no time of day"),
        ("time = Mon-Xyz UTC", "Xyz is no day; days are Mon, Tue"),
        ("name matches (", "here comes a value"),
        ('name matches "("', "regular expression, character 2: a group is not closed"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_what_to_write(condition: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=re.escape(reason)):
        only(condition)


def test_a_pattern_over_its_limits_is_refused() -> None:
    with pytest.raises(LimitExceededError, match="character 15: the regular expression repeats too much"):
        only('name matches "((a{99}){99}){99}"')

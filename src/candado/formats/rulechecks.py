"""Tests of access rules made ready: values checked, brought into canonical form, and compiled.

Layer: ``formats``. Names and media types are compared without regard to case, names also to how accents are composed,
so that a rule is not passed by spelling. Time zones are those of the IANA database, read when a rule names one.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from candado.errors import MalformedError
from candado.formats.linearregex import LinearRegex
from candado.formats.rulefacts import AGENTS, Check, Facts, Relation, Subject, Test, agent_of

__all__ = ["DAYS", "RELATIONS", "make_test", "parse_size"]

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
RELATIONS: Final = {
    Subject.NAME: (Relation.IS, Relation.LIKE, Relation.MATCHES),
    Subject.MIME: (Relation.IS, Relation.LIKE, Relation.MATCHES),
    Subject.SIZE: (Relation.GREATER, Relation.LESS),
    Subject.TAG: (Relation.IS,),
    Subject.IP: (Relation.IS,),
    Subject.TIME: (Relation.IS,),
    Subject.URL: (Relation.IS, Relation.LIKE, Relation.MATCHES),
    Subject.AGENT: (Relation.IS, Relation.LIKE, Relation.MATCHES),
    Subject.GROUP: (Relation.IS,),
    Subject.ENCRYPTED: (Relation.HOLDS,),
    Subject.LINK: (Relation.HOLDS,),
    Subject.KNOWN_DEVICE: (Relation.HOLDS,),
}
"""Which relations each subject has, the usual one first."""
_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS_BINARY: Final = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,14}) ?([A-Za-z]{1,3})")
_MIME: Final = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,63}/[a-z0-9][a-z0-9.+_-]{0,63}")
_MIME_LIKE: Final = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,63}/\*")
_TIME: Final = re.compile(
    r"(?:(?P<days>[A-Z][a-z]{2}(?:-[A-Z][a-z]{2})?) ?)?(?:(?P<from>[0-9]{2}:[0-9]{2})-(?P<to>[0-9]{2}:[0-9]{2}))?"
    r"(?: (?P<zone>[A-Za-z0-9_+/-]{1,64}))?"
)
_WEBDAV: Final = "webdav"
_WEBDAV_PLACES: Final = ("/remote.php/webdav", "/remote.php/dav", "/public.php/webdav", "/public.php/dav")
_MINUTES_OF_DAY: Final = 24 * 60


def make_test(subject: Subject, relation: Relation, values: Sequence[str], *, negated: bool) -> Test:
    """Return a test that is ready to use, its values in canonical form.

    Raises:
        MalformedError: the subject has no such relation, or a value is not one of its kind.
        LimitExceededError: a regular expression over its limits.
    """
    if relation not in RELATIONS[subject]:
        usual = " or ".join(one.value for one in RELATIONS[subject])
        raise MalformedError(f"{subject.value} is tested with {usual}, not with {relation.value}")
    if relation is Relation.HOLDS:
        return Test(subject, relation, (), negated, _FLAGS[subject])
    if relation is Relation.MATCHES:
        patterns = [LinearRegex(value) for value in values]
        return Test(subject, relation, tuple(values), negated, _any_text(subject, [one.search for one in patterns]))
    canonical, check = _MAKERS[subject, relation](values)
    return Test(subject, relation, tuple(canonical), negated, check)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _text_of(subject: Subject, facts: Facts) -> str | None:
    match subject:
        case Subject.NAME:
            return unicodedata.normalize("NFC", facts.names[-1]) if facts.names else None
        case Subject.MIME:
            return facts.media_type
        case Subject.URL:
            return facts.url
        case _:
            return facts.user_agent


def _any_text(subject: Subject, finders: Sequence[Callable[[str], bool]]) -> Check:
    def check(facts: Facts) -> bool | None:
        text = _text_of(subject, facts)
        return None if text is None else any(find(text) for find in finders)

    return check


_Made = tuple[Sequence[str], Check]


def _name_is(values: Sequence[str]) -> _Made:
    wanted = {_fold(_no_slash(value)) for value in values}
    return values, _any_text(Subject.NAME, [lambda name: _fold(name) in wanted])


def _no_slash(value: str) -> str:
    if "/" in value:
        raise MalformedError(f"a name has no slash: {value}")
    return value


def _globs(subject: Subject) -> Callable[[Sequence[str]], _Made]:
    """A maker of tests with ``*`` and ``?`` on a text."""

    def make(values: Sequence[str]) -> _Made:
        patterns = [LinearRegex(_fold(value), glob=True) for value in values]

        def find(text: str) -> bool:
            folded = _fold(text)
            return any(pattern.search(folded) for pattern in patterns)

        return values, _any_text(subject, [find])

    return make


def _mime_is(values: Sequence[str]) -> _Made:
    lowered = [value.lower() for value in values]
    for value in lowered:
        if not _MIME.fullmatch(value):
            raise MalformedError(f"a media type is like application/pdf; for all of a kind write: mime like {value}/*")
    return lowered, _any_text(Subject.MIME, [set(lowered).__contains__])


def _mime_like(values: Sequence[str]) -> _Made:
    lowered = [value.lower() for value in values]
    for value in lowered:
        if not _MIME_LIKE.fullmatch(value):
            raise MalformedError(f"mime like is for all types of a kind, such as image/*, not for {value}")
    kinds = {value[:-1] for value in lowered}
    return lowered, _any_text(Subject.MIME, [lambda text: text.partition("/")[0] + "/" in kinds])


def _size(*, greater: bool) -> Callable[[Sequence[str]], _Made]:
    def make(values: Sequence[str]) -> _Made:
        if len(values) != 1:
            raise MalformedError("size is compared with one value")
        canonical, limit = parse_size(values[0])

        def check(facts: Facts) -> bool | None:
            if facts.size_bytes is None:
                return None
            return facts.size_bytes > limit if greater else facts.size_bytes < limit

        return [canonical], check

    return make


def parse_size(value: str) -> tuple[str, int]:
    """A size with its unit in canonical form, and in bytes; MalformedError."""
    match = _SIZE.fullmatch(value)
    factor = (_UNITS | _UNITS_BINARY).get(match[2]) if match else None
    if match is None or factor is None:
        units = ", ".join([*_UNITS, *_UNITS_BINARY])
        raise MalformedError(f"a size is a whole number with one of {units}, such as 10 MB; not {value}")
    return f"{match[1]} {match[2]}", int(match[1]) * factor


def _tag_is(values: Sequence[str]) -> _Made:
    wanted = {_fold(value) for value in values}
    return values, lambda facts: any(_fold(tag) in wanted for tag in facts.tags)


def _group_is(values: Sequence[str]) -> _Made:
    wanted = frozenset(values)
    return values, lambda facts: not wanted.isdisjoint(facts.groups)


def _ip_is(values: Sequence[str]) -> _Made:
    networks: list[IPv4Network | IPv6Network] = []
    for value in values:
        try:
            networks.append(ip_network(value))
        except ValueError as exc:
            raise MalformedError(
                f"a network is like 10.0.0.0/8 or 2001:db8::/32, no bits beyond it; not {value}"
            ) from exc

    def check(facts: Facts) -> bool:
        try:
            address = ip_address(facts.address.partition("%")[0])
        except ValueError:
            return False  # no address is outside of every network
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in networks)

    return [str(network) for network in networks], check


def _url_is(values: Sequence[str]) -> _Made:
    for value in values:
        if value != _WEBDAV and not value.startswith("/"):
            raise MalformedError(f"url is the path of the request from its first slash, or {_WEBDAV}; not {value}")
    wanted = {value for value in values if value != _WEBDAV}
    webdav = _WEBDAV in values
    return values, lambda facts: facts.url in wanted or (webdav and _is_webdav(facts.url))


def _is_webdav(url: str) -> bool:
    return any(url == place or url.startswith(place + "/") for place in _WEBDAV_PLACES)


def _agent_is(values: Sequence[str]) -> _Made:
    for value in values:
        if value not in AGENTS and value != "other":
            known = ", ".join([*AGENTS, "other"])
            raise MalformedError(f"agent is one of {known}; for other text write: agent like, or agent matches")
    wanted = frozenset(values)
    return values, lambda facts: agent_of(facts.user_agent) in wanted


def _time_is(values: Sequence[str]) -> _Made:
    windows = [_parse_time(value) for value in values]
    return [text for text, _ in windows], lambda facts: any(fits(facts.moment) for _, fits in windows)


def _parse_time(value: str) -> tuple[str, Callable[[datetime], bool]]:
    """A window in canonical form, and whether a moment is in it: from its first minute up to before its last.

    Hours are those of the clock on the wall, so a window is an hour longer or shorter when clocks change inside of it.
    One across midnight belongs to the day it begins on.
    """
    match = _TIME.fullmatch(value)
    if match is None or not (match["days"] or match["from"]):
        raise MalformedError(
            f"a time is like Mon-Fri 08:00-18:00 Europe/Berlin, days or hours may be left out; not {value}"
        )
    if not match["zone"]:
        raise MalformedError(f"a time needs a zone: {value} Europe/Berlin, or {value} UTC")
    try:
        zone = ZoneInfo(match["zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise MalformedError(f"there is no time zone {match['zone']}; zones are like Europe/Berlin or UTC") from exc
    days = _parse_days(match["days"])
    start, end = (_parse_hour(match[name], default) for name, default in (("from", 0), ("to", _MINUTES_OF_DAY)))
    if start in (end, _MINUTES_OF_DAY) or end == 0:
        raise MalformedError(f"a time begins and ends at two times of day, from 00:00 to 24:00; not {value}")

    def fits(moment: datetime) -> bool:
        local = moment.astimezone(zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if start < end:
            return start <= minute < end and day in days
        return (minute >= start and day in days) or (minute < end and (day - 1) % 7 in days)

    hours = f"{match['from']}-{match['to']}" if match["from"] else None
    return " ".join(filter(None, [match["days"], hours, match["zone"]])), fits


def _parse_hour(text: str | None, default: int) -> int:
    if text is None:
        return default
    hour, minute = int(text[:2]), int(text[3:])
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise MalformedError(f"{text} is no time of day")
    return hour * 60 + minute


def _parse_days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    first, _, last = text.partition("-")
    for day in (first, last or first):
        if day not in DAYS:
            raise MalformedError(f"{day} is no day; days are {', '.join(DAYS)}")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


_MAKERS: Final[dict[tuple[Subject, Relation], Callable[[Sequence[str]], _Made]]] = {
    (Subject.NAME, Relation.IS): _name_is,
    (Subject.NAME, Relation.LIKE): _globs(Subject.NAME),
    (Subject.MIME, Relation.IS): _mime_is,
    (Subject.MIME, Relation.LIKE): _mime_like,
    (Subject.SIZE, Relation.GREATER): _size(greater=True),
    (Subject.SIZE, Relation.LESS): _size(greater=False),
    (Subject.TAG, Relation.IS): _tag_is,
    (Subject.IP, Relation.IS): _ip_is,
    (Subject.TIME, Relation.IS): _time_is,
    (Subject.URL, Relation.IS): _url_is,
    (Subject.URL, Relation.LIKE): _globs(Subject.URL),
    (Subject.AGENT, Relation.IS): _agent_is,
    (Subject.AGENT, Relation.LIKE): _globs(Subject.AGENT),
    (Subject.GROUP, Relation.IS): _group_is,
}
_FLAGS: Final[dict[Subject, Check]] = {
    Subject.ENCRYPTED: lambda facts: facts.encrypted,
    Subject.LINK: lambda facts: facts.link,
    Subject.KNOWN_DEVICE: lambda facts: facts.device_known,
}

"""An exported audit log with names in the place of opaque ids, on the machine of somebody who knows them.

Layer: ``client``. The log names nobody. This device knows the user names it has met, the paths of folders it has
opened, whose keys are whose; with the log's salt it computes what stands in the log for each of them. Names never leave
the device: asked is only for the salt, and in the file the name of the log says whether a salt is the right one.

Space of the state: ``cache/audit-salt``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from candado.client.account import Account
from candado.crypto.checkpoint import SALT_BYTES, opaque_id, origin_of
from candado.errors import FormatError, NotFoundError, UsageError
from candado.formats.auditrecord import AuditRecord, parse_line
from candado.protocol.auditcheck import LogReport, check_log

__all__ = ["Explained", "Wanted", "count_weeks", "explain_log", "known_names", "verify_log"]

Lines = Callable[[], Iterable[bytes]]

_SPACE: Final = "cache"
_SALT: Final = "audit-salt"
_SALT_BYTES_MAX: Final = 64
_ORIGIN: Final = re.compile(rb"candado\.audit/[0-9a-f]{64}")
_NOT_RECORDS: Final = (b'{"start":', b'{"checkpoint":')
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Explained:
    """One record, and the names of what stands in it by id: ids without a name are left out."""

    record: AuditRecord
    names: Mapping[str, str]

    def shown(self, text: str) -> str:
        """A name for an id, or the id."""
        return self.names.get(text, text)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: an empty text wants all.

    ``kind`` is a word, or a beginning with a dot at its end. ``actor`` and ``target`` are names or ids; ``target`` also
    finds what is in the details. ``since`` and ``until`` are days or times in UTC, both included.
    """

    kind: str = ""
    actor: str = ""
    target: str = ""
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        """UsageError when a time is none."""
        for text in (self.since, self.until):
            if text and not _TIME.fullmatch(text):
                raise UsageError(f"not a day or a time: {text!r}", advice="Write 2026-01-31 or 2026-01-31T10:00:00Z.")

    def fits(self, one: Explained) -> bool:
        """Whether this record is wanted."""
        record = one.record
        objects = {record.target, *(value for value in record.details.values() if isinstance(value, str))}
        objects |= {one.shown(text) for text in objects}
        return (
            (
                not self.kind
                or record.event == self.kind
                or (self.kind[-1] == "." and record.event.startswith(self.kind))
            )
            and (not self.actor or self.actor in (record.actor, one.shown(record.actor)))
            and (not self.target or self.target in objects)
            and (not self.since or record.time >= self.since)
            and (not self.until or record.time[: len(self.until.rstrip("Z"))] <= self.until.rstrip("Z"))
        )


async def known_names(account: Account, lines: Lines) -> dict[str, str]:
    """What stands in this log for whom and what this device knows, by id.

    Raises:
        UsageError: the log is another server's. NotFoundError: this server has no log that it shows.
        TransportError and others: the salt is not known yet, and the server cannot be asked.
    """
    salt = await _salt(account, _origins(lines()))
    names = {opaque_id(salt, "user", user): user for user in _users(account)}
    for root in account.book.roots():
        for file_id in (root.file_id, *account.book.below(root.file_id)):
            pin = account.book.folder(file_id)
            if pin is not None and pin.path_hint:
                names[f"n:{file_id}"] = pin.path_hint
        for user, fingerprint in (*root.members.items(), *root.former.items()):
            names[f"k:{fingerprint}"] = f"key of {user}"
    for user, peer in account.book.peers().items():
        names[f"k:{peer.key_fingerprint}"] = f"key of {user}"
    if account.identity is not None:
        own = account.identity.certificate.public_key.fingerprint_hex
        names[f"k:{own}"] = f"key of {account.user_id}"
    authority = account.book.authority()
    if authority is not None:
        names[f"k:{authority.fingerprint_hex}"] = "key of the authority"
    return names


def explain_log(lines: Lines, names: Mapping[str, str], wanted: Wanted) -> Iterator[Explained]:
    """The records of a log that are wanted, with names; lines that are no records of a log are left out."""
    for line in lines():
        if line.startswith(_NOT_RECORDS):
            continue
        try:
            record = parse_line(line)
        except FormatError:  # ``verify_log`` tells of it
            continue
        if isinstance(record, AuditRecord):
            found = Explained(record, {text: names[text] for text in _ids(record) if text in names})
            if wanted.fits(found):
                yield found


def verify_log(account: Account, lines: Lines) -> LogReport | None:
    """What the pinned authority's key says of the log; None before this device has joined."""
    authority = account.book.authority()
    return None if authority is None else check_log(lines, authority)


def count_weeks(found: Iterable[Explained]) -> dict[str, dict[str, int]]:
    """How many events of each kind there are, by week (``2026-W05``); a day that no calendar has is week ``-``."""
    weeks: dict[str, dict[str, int]] = {}
    for one in found:
        kinds = weeks.setdefault(_week(one.record.time), {})
        kinds[one.record.event] = kinds.get(one.record.event, 0) + 1
    return {week: dict(sorted(kinds.items())) for week, kinds in sorted(weeks.items())}


def _week(time: str) -> str:
    try:
        year, week, _ = date.fromisoformat(time[:10]).isocalendar()
    except ValueError:
        return "-"
    return f"{year}-W{week:02}"


def _origins(lines: Iterable[bytes]) -> set[str]:
    """The names that a file gives to its log."""
    found = (_ORIGIN.search(line) for line in lines if line.startswith(_NOT_RECORDS))
    return {match[0].decode("ascii") for match in found if match is not None}


def _users(account: Account) -> set[str]:
    found: set[str] = {account.user_id, *account.book.peers()}
    for root in account.book.roots():
        found.update(root.members, root.former)
    return found


def _ids(record: AuditRecord) -> list[str]:
    return [record.actor, record.target, *(value for value in record.details.values() if isinstance(value, str))]


async def _salt(account: Account, origins: set[str]) -> bytes:
    """The salt of the log with these names: kept from before, or asked for."""
    kept = account.store.load(_SPACE, _SALT)
    if kept is not None and _is_of(kept, origins):
        return kept
    if not (await account.capabilities()).key_log:
        raise NotFoundError("this server shows no log, so there are no ids to explain", path=account.server_url)
    answer = await account.remote.key_log([account.user_id], known_size=0)
    if len(answer.salt) > _SALT_BYTES_MAX or not _is_of(answer.salt, origins):
        raise UsageError(
            "this is the log of another server",
            advice="Sign in to the server that it is from, and explain it there.",
        )
    account.store.commit([(_SPACE, _SALT, answer.salt)])
    return answer.salt


def _is_of(salt: bytes, origins: set[str]) -> bool:
    """Whether every name is that of the log with this salt, or of what it was before a restore."""
    if len(salt) < SALT_BYTES:
        return False
    return origins <= {origin_of(salt), origin_of(salt[:SALT_BYTES])}

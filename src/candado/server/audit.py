"""Recording what happened, in the transaction in which it happens.

Layer: ``server``. ``record`` puts a row beside the act's own rows: both are there after the commit, or neither, so no
act that is rows can do without its event. An act that is none (a signature of the token, a file that leaves the server)
records its intent before and its outcome after. Numbers, hashes and signatures come later, from ``auditlog``, so that
nobody waits for them here.

Nobody is named: ``user_ref`` and ``group_ref`` mark what becomes a salted hash in the record, everything else is a
number, a fingerprint or a word of ours, and is refused if it is not.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from candado.errors import MisuseError
from candado.formats.auditevents import KINDS
from candado.ports.ambient import Clock
from candado.ports.server import Rows
from candado.server.auditgate import refuse_when_behind
from candado.server.model import Principal

__all__ = [
    "Actor",
    "AuditContext",
    "Event",
    "acting",
    "actor_of",
    "audit_context",
    "audited",
    "device_ref",
    "enter",
    "group_ref",
    "key_ref",
    "node_ref",
    "record",
    "record_all",
    "share_ref",
    "user_ref",
]

_REF: Final = re.compile(r"(?:user|group):[^\x00]{1,512}", re.DOTALL)
_PLAIN: Final = re.compile(r"(?!user:|group:)[A-Za-z0-9:._/+=-]{0,160}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_DETAILS_MAX: Final = 16
_INTEGER_MAX: Final = 2**53 - 1
_INSERT: Final = "INSERT INTO audit_pending (at, kind, body) VALUES ($1, $2, $3)"
_NO_DETAILS: Final[Mapping[str, str | int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a user, on one of the devices that have an app password, or the visitor of a link by its share's id."""

    user_id: str = ""
    device: int | None = None
    link: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Shapes:
        kind: a word of ``KINDS``.   actor: None is whom the context names (``server``, ``operator``).
        target: ``node_ref``, ``user_ref``, ``key_ref`` ...; at most 160 characters ``A-Z a-z 0-9 : . _ / + = -``.
        outcome: ``done``, ``refused``, ``failed``, ``intent`` ...   reason: a code of ours, never free text.
        details: names ``[a-z0-9_]``; whole numbers, or text as for ``target``.
    """

    kind: str
    actor: Actor | None = None
    target: str = ""
    outcome: str = "done"
    reason: str = ""
    details: Mapping[str, str | int] = field(default_factory=lambda: _NO_DETAILS)


@dataclass(frozen=True, slots=True)
class AuditContext:
    """What is known around an act, set by whoever answers a request or runs a command.

    ``actor``, or else ``who``, acts where an event names nobody. Without a clock an event gets the time at which it is
    numbered. ``versions`` are the protocols that are spoken, such as ``e2ee-api/2``.
    """

    who: str = "server"
    request: str = ""
    address: str = ""
    versions: tuple[str, ...] = ()
    clock: Clock | None = None
    actor: Actor | None = None


_NOTHING_KNOWN: Final = AuditContext()
_CONTEXT: Final[ContextVar[AuditContext]] = ContextVar("audit", default=_NOTHING_KNOWN)


def audit_context() -> AuditContext:
    """What is known around the act that is under way."""
    return _CONTEXT.get()


@contextmanager
def audited(**known: Any) -> Iterator[None]:
    """Whatever is recorded inside has these members of ``AuditContext`` for its context, and the others as before."""
    token = _CONTEXT.set(replace(_CONTEXT.get(), **known))
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def enter(context: AuditContext) -> None:
    """From here on, in this task and what it starts, ``context`` is what is known; for commands and requests."""
    _CONTEXT.set(context)


def acting(principal: Principal) -> None:
    """From here on ``principal`` acts, who has just been let in."""
    known = _CONTEXT.get()
    actor = actor_of(principal)
    _CONTEXT.set(AuditContext(known.who, known.request, known.address, known.versions, known.clock, actor))


def actor_of(principal: Principal) -> Actor:
    """The one who asks, for an event."""
    return Actor(principal.user_id, principal.app_password_id, principal.link)


def user_ref(user_id: str) -> str:
    """A user, or the member ``s:TOKEN`` that a link is: ``u:`` and a salted hash in the record."""
    return f"user:{user_id}"


def group_ref(group_id: str) -> str:
    """A group: ``g:`` and a salted hash in the record."""
    return f"group:{group_id}"


def node_ref(node_id: int) -> str:
    """A file or folder, by the number that clients see as its id."""
    return f"n:{node_id}"


def share_ref(share_id: int) -> str:
    """A share or link, by its number."""
    return f"sh:{share_id}"


def device_ref(app_password_id: int) -> str:
    """A device, by the number of its app password."""
    return f"d:{app_password_id}"


def key_ref(fingerprint_hex: str) -> str:
    """A public key, by its SHA-256."""
    return f"k:{fingerprint_hex}"


async def record(rows: Rows, event: Event) -> None:
    """Append ``event`` in the transaction of the act; one statement, and for guarded kinds one that looks.

    Raises:
        MisuseError: not a kind of ours, or a text that could be a name; the transaction must not be committed.
        AuditBehindError: such acts wait for an output of the log; the transaction must not be committed either.
    """
    row = _row(event)
    await refuse_when_behind(rows, event.kind, event.target, row[0])
    await rows.run(_INSERT, *row)


async def record_all(rows: Rows, events: Iterable[Event]) -> None:
    """As ``record`` for several events, in their order; still one statement, none when there are none."""
    made = []
    for event in events:
        made.append(_row(event))
        await refuse_when_behind(rows, event.kind, event.target, made[-1][0])
    if made:
        await rows.many(_INSERT, made)


def _row(event: Event) -> tuple[float, str, str]:
    _check(event)
    context = _CONTEXT.get()
    actor = event.actor or context.actor
    body: dict[str, Any] = {
        "actor": context.who if actor is None else _actor_text(actor),
        "device": "" if actor is None or actor.device is None else device_ref(actor.device),
        "address": context.address,
        "target": event.target,
        "outcome": event.outcome,
        "reason": event.reason,
        "request": context.request,
        "versions": context.versions,
        "details": dict(event.details),
    }
    at = 0.0 if context.clock is None else context.clock.now()
    return at, event.kind, json.dumps(body, separators=(",", ":"))


def _actor_text(actor: Actor) -> str:
    if actor.link is not None:
        return share_ref(actor.link)
    return user_ref(actor.user_id) if actor.user_id else "nobody"


def _check(event: Event) -> None:
    if event.kind not in KINDS:
        raise MisuseError(f"no kind of event: {event.kind}")
    texts = [event.target, *(value for value in event.details.values() if isinstance(value, str))]
    if not all(_PLAIN.fullmatch(text) or _REF.fullmatch(text) for text in texts):
        raise MisuseError(f"an event of kind {event.kind} has a text that is no id")
    if not all(_PLAIN.fullmatch(text) for text in (event.outcome, event.reason)):
        raise MisuseError(f"an event of kind {event.kind} has a reason that is no code")
    numbers = [value for value in event.details.values() if isinstance(value, int)]
    if len(event.details) > _DETAILS_MAX or not all(_NAME.fullmatch(name) for name in event.details):
        raise MisuseError(f"an event of kind {event.kind} has too many details, or one with an odd name")
    if any(abs(number) > _INTEGER_MAX for number in numbers):
        raise MisuseError(f"an event of kind {event.kind} has a number beyond 2^53 - 1")

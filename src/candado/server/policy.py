"""The one port that every operation on files passes before its body is read, and again when it is committed.

Layer: ``server``. ``Policy`` keeps the access rules of the administrator at hand; ``guard`` (the units of work) asks it
for a ``Guard``, which is None while there are no rules, and hands that to the work in ``LockRule.guard``. The work says
what is about to be done with ``permit`` as soon as it knows the place and the caller's rights there, so that nobody
learns of a rule about what is hidden from him.

What a rule denies raises PolicyDeniedError; what one would deny that only reports is let pass. Both are hits: counted,
and written into the audit log, at most so many of one rule and actor a minute.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol

from candado.errors import BusyError, CandadoError, PolicyDeniedError, RateLimitedError
from candado.formats.rules import Facts, Operation, Rule, Rules, Subject, decide
from candado.ports.ambient import Clock
from candado.ports.server import Database, Rows
from candado.server.audit import Event, actor_of, node_ref, record
from candado.server.model import Caller, Principal, media_type_of
from candado.server.ratelimit import Limit, take_one
from candado.server.tags import tags_of

__all__ = ["RECHECK_SECONDS", "Guard", "Hit", "Policy", "RulesInForce", "RulesSource", "Target"]
__all__ += ["record_hit"]

RECHECK_SECONDS: Final = 1.0
"""A change of the rules acts within this time, in every process."""
_EVENTS_PER_MINUTE: Final = 20
_GROUPS: Final = "SELECT group_id FROM memberships WHERE user_id = $1"
_ADMINISTRATORS: Final = "admin"
_LASTING: Final = frozenset(
    {Subject.NAME, Subject.MIME, Subject.SIZE, Subject.URL, Subject.AGENT, Subject.ENCRYPTED, Subject.LINK}
)
"""What does not change by itself: a rule that looks at nothing else says the same tomorrow."""
_WRITES: Final = frozenset({Operation.CREATE, Operation.UPDATE, Operation.RENAME})
_LOG: Final = logging.getLogger("candado.server")


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The rules and their version, which grows with every change; 0 when there never were any."""

    version: int
    rules: Rules


class RulesSource(Protocol):
    """Where the rules are stored (``accessrules``)."""

    async def versioned_in(self, rows: Rows) -> tuple[int, Rules]:
        """The version in force and its rules; one statement while it is the one that was read before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What something is done to.

    ``names`` are the parts of its path as the caller sees it, None where they are sealed; ``nodes`` the ids of the
    thing, if there is one, and of the folders above it, the nearest first.
    """

    names: tuple[str, ...] | None
    is_folder: bool
    encrypted: bool
    nodes: tuple[int, ...] = ()
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule that fits one operation; ``denied`` is False for a rule that only reports."""

    rule_id: str
    denied: bool
    operation: Operation
    node_id: int
    version: int
    principal: Principal


Record = Callable[[Rows, Hit], Awaitable[None]]
"""Writes a hit into the audit log, in a transaction."""


async def record_hit(rows: Rows, hit: Hit) -> None:
    """Record a hit: ``policy.hit`` of a rule that denied, ``policy.reported`` of one that only reports."""
    event = Event(
        "policy.hit" if hit.denied else "policy.reported",
        actor_of(hit.principal),
        node_ref(hit.node_id) if hit.node_id else "",
        "refused" if hit.denied else "reported",
        PolicyDeniedError.code,
        {"rule": hit.rule_id, "operation": hit.operation.value, "rules_version": hit.version},
    )
    await record(rows, event)


class Guard:
    """The rules for the operations of one request."""

    __slots__ = ("_groups", "_in_force", "_moment", "_principal", "hits")

    def __init__(self, in_force: RulesInForce, principal: Principal, moment: datetime) -> None:
        self._in_force = in_force
        self._principal = principal
        self._moment = moment
        self._groups: frozenset[str] | None = None
        # By rule and operation: a unit of work may run more than once, and ask for many files.
        self.hits: dict[tuple[str, Operation, bool], Hit] = {}

    async def check(self, rows: Rows, operation: Operation, target: Target, *, again: bool = False) -> None:
        """Return when the operation is allowed; ``again`` when rules that only report have reported it before.

        Raises:
            PolicyDeniedError: a rule denies it; nothing may be changed.
        """
        rules = self._in_force.rules
        if operation not in rules.operations:
            return
        facts = await self._facts(rows, operation, target)
        decision = decide(rules, facts)
        denied = decision.denied
        if denied is not None and operation is Operation.CREATE and target.is_folder and not target.encrypted:
            # A new folder is plain until it is marked. It holds nothing yet, and what comes into it is asked for.
            denied = decide(rules, replace(facts, encrypted=True)).denied and denied
        for rule in () if again else decision.reported:
            self._note(rule, operation, target, denied=False)
        if denied is not None:
            self._note(denied, operation, target, denied=True)
            raise self._refusal(denied, facts)

    async def denies(self, rows: Rows, operation: Operation, target: Target) -> bool:
        """Whether a rule would deny the operation; nothing is noted."""
        rules = self._in_force.rules
        if operation not in rules.operations:
            return False
        return decide(rules, await self._facts(rows, operation, target)).denied is not None

    def asks_for(self, operation: Operation) -> bool:
        """Whether any rule is about the operation: else a tree need not be walked for it."""
        return operation in self._in_force.rules.operations

    @property
    def asks_for_tags(self) -> bool:
        """Whether any rule looks at tags, which those of all folders above count among."""
        return Subject.TAG in self._in_force.rules.subjects

    async def _facts(self, rows: Rows, operation: Operation, target: Target) -> Facts:
        principal, caller = self._principal, self._principal.caller or Caller()
        is_link = principal.link is not None
        return Facts(
            operation=operation,
            moment=self._moment,
            names=target.names,
            media_type=_media_type(target, caller),
            size_bytes=None if target.is_folder else target.size_bytes,
            tags=await tags_of(rows, target.nodes) if self.asks_for_tags else frozenset(),
            address=caller.address,
            url=caller.url,
            user_agent=caller.user_agent,
            user_id=None if is_link else principal.user_id,
            groups=await self._groups_of(rows),
            encrypted=target.encrypted,
            link=is_link,
            device_known=principal.app_password_id is not None,
        )

    async def _groups_of(self, rows: Rows) -> frozenset[str]:
        if self._groups is None:
            self._groups = frozenset()
            if self._principal.link is None and Subject.GROUP in self._in_force.rules.subjects:
                found = await rows.all(_GROUPS, self._principal.user_id)
                admin = [_ADMINISTRATORS] if self._principal.is_admin else []
                self._groups = frozenset([*(str(group) for (group,) in found), *admin])
        return self._groups

    def _note(self, rule: Rule, operation: Operation, target: Target, *, denied: bool) -> None:
        node_id = target.nodes[0] if target.nodes else 0
        self.hits[rule.id, operation, denied] = Hit(
            rule.id, denied, operation, node_id, self._in_force.version, self._principal
        )

    def _refusal(self, rule: Rule, facts: Facts) -> PolicyDeniedError:
        sealed = replace(facts, encrypted=True, names=None, media_type=None)
        subjects = {test.subject for clause in rule.tests for test in clause}
        return PolicyDeniedError(
            f"{rule.message} (rule {rule.id})",
            rule_id=rule.id,
            text=rule.message,
            rules_version=self._in_force.version,
            needs_encryption=facts.operation in _WRITES
            and not facts.encrypted
            and decide(self._in_force.rules, sealed).denied is None,
            lasting=subjects <= _LASTING,
        )


class Policy:
    """The rules at hand in one process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        source: RulesSource,
        *,
        record: Record = record_hit,
        counted: Callable[[Hit], None] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._source = source
        self._record = record
        self._known: RulesInForce | None = None
        self._confirmed_at = 0.0
        self.counted = counted
        """Told of every hit; for numbers."""

    async def in_force(self) -> RulesInForce:
        """The rules as they were at most a second ago.

        Raises:
            CandadoError: they cannot be read; then nothing may be done that they could deny.
        """
        known, now = self._known, self._clock.monotonic()
        if known is not None and now - self._confirmed_at < RECHECK_SECONDS:
            return known
        found = RulesInForce(*await self._database.read(self._source.versioned_in))
        # A slow read of another request may end after a later one.
        if self._known is None or found.version >= self._known.version:
            self._known, self._confirmed_at = found, now
        return found

    async def guard(self, principal: Principal) -> Guard | None:
        """The rules for one unit of work of a request; None when there is nothing to ask.

        Work of the server itself, which no request is behind, is not asked for.
        """
        if principal.caller is None:
            return None
        in_force = await self.in_force()
        if not in_force.rules.rules:
            return None
        return Guard(in_force, principal, datetime.fromtimestamp(self._clock.now(), UTC))

    async def tell(self, guard: Guard) -> None:
        """Count the hits of a unit of work and write them down; never fails for what that meets."""
        for hit in guard.hits.values():
            caller = hit.principal.caller
            key = (hit.rule_id, hit.operation.value, hit.denied)
            if caller is None or key in caller.told:
                continue  # asked for when the request began, and again at its commit
            caller.told.add(key)
            if self.counted is not None:
                self.counted(hit)
            await self._write_down(hit)

    async def _write_down(self, hit: Hit) -> None:
        actor = hit.principal.member_id or "nobody"
        limit = Limit("policy.hit", f"{hit.rule_id} {actor}", _EVENTS_PER_MINUTE, 60.0)
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            if await take_one(rows, limit, now) > 0:
                raise RateLimitedError
            await self._record(rows, hit)

        try:
            await self._database.write(work, durable=False)
        except (RateLimitedError, BusyError):
            return
        except CandadoError as error:
            _LOG.error("a hit of rule %s could not be written down: %s", hit.rule_id, error.code)


def _media_type(target: Target, caller: Caller) -> str | None:
    """By the name; by what the request says of its body only when the name does not tell."""
    if target.names is None or target.is_folder:
        return None
    by_name = media_type_of(target.names[-1] if target.names else "")
    return by_name or caller.body_type or None

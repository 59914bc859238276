"""What the access rules would say: facts of an operation that nobody carries out, for people who write rules.

Layer: ``server``. What is not given is looked up where the server knows it: groups of the user, tags, and whether the
place is inside of an encrypted folder; there neither name nor media type is a fact.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from candado.errors import NotFoundError
from candado.formats.rules import Decision, Facts, Operation, Rules, RuleTrace, decide, trace_rules
from candado.ports.server import Rows
from candado.server.groups import ADMIN_GROUP
from candado.server.model import Backend, Principal, media_type_of
from candado.server.nodes import View
from candado.server.tags import tags_of
from candado.server.tree import locate_path
from candado.types import UserId

__all__ = ["Question", "Trial", "try_rules"]

_USER: Final = "SELECT is_admin FROM users WHERE id = $1"
_GROUPS: Final = "SELECT group_id FROM memberships WHERE user_id = $1 ORDER BY group_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One operation that somebody might try; ``encrypted`` and ``media_type`` are looked up when they are None.

    ``user_id`` is None for who comes by a link, or for a user who is in no group.
    """

    operation: Operation
    moment: datetime
    user_id: str | None = None
    path: str | None = None
    size_bytes: int | None = None
    media_type: str | None = None
    encrypted: bool | None = None
    tags: frozenset[str] = field(default_factory=frozenset)
    address: str = ""
    url: str = ""
    user_agent: str = ""
    link: bool = False
    device_known: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """What was asked, with what was looked up, and what the rules say."""

    facts: Facts
    decision: Decision
    traces: tuple[RuleTrace, ...]


async def try_rules(backend: Backend, rules: Rules, question: Question) -> Trial:
    """Return what the rules say of an operation.

    Raises:
        NotFoundError: there is no such user. BadRequestError: a path that cannot be.
    """
    now = backend.clock.now()

    async def work(rows: Rows) -> Facts:
        groups = await _groups(rows, question)
        inside, tags = await _place(rows, question, now)
        encrypted = inside if question.encrypted is None else question.encrypted
        names = tuple(part for part in (question.path or "").split("/") if part)
        media_type = question.media_type or (media_type_of(names[-1]) if names else None)
        return Facts(
            operation=question.operation,
            moment=question.moment,
            names=None if encrypted or not names else names,
            media_type=None if encrypted else media_type or None,
            size_bytes=question.size_bytes,
            tags=question.tags | tags,
            address=question.address,
            url=question.url,
            user_agent=question.user_agent,
            user_id=None if question.link else question.user_id,
            groups=groups,
            encrypted=encrypted,
            link=question.link,
            device_known=question.device_known,
        )

    facts = await backend.database.read(work)
    return Trial(facts, decide(rules, facts), tuple(trace_rules(rules, facts)))


async def _groups(rows: Rows, question: Question) -> frozenset[str]:
    if question.user_id is None:
        return frozenset()
    row = await rows.one(_USER, question.user_id)
    if row is None:
        raise NotFoundError("no such user", path=question.user_id, advice="Look with `candado-server user list`.")
    if question.link:
        return frozenset()
    groups = {str(group) for (group,) in await rows.all(_GROUPS, question.user_id)}
    return frozenset(groups | {ADMIN_GROUP} if row[0] else groups)


async def _place(rows: Rows, question: Question, now: float) -> tuple[bool, frozenset[str]]:
    """Whether the deepest thing on the path that is there is encrypted or in an encrypted folder; and its tags."""
    if question.user_id is None or question.path is None:
        return False, frozenset()
    parts = [part for part in question.path.split("/") if part]
    for depth in range(len(parts), -1, -1):
        try:
            place = await locate_path(View(rows), Principal(UserId(question.user_id)), "/".join(parts[:depth]), now)
        except NotFoundError:
            continue
        if place.node is not None:
            nodes = (place.node, *place.above)
            return any(node.encrypted for node in nodes), await tags_of(rows, [node.id for node in nodes])
    return False, frozenset()

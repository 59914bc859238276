"""How use cases run their units of work: with the time of locks, and with a home to work in.

Layer: ``server``. A unit that meets its own expired lock asks for the roll back of its session.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from candado.errors import LockLostError, NotFoundError, QuotaExceededError
from candado.ports.server import Rows
from candado.server.model import Backend, Principal
from candado.server.staging import LockRule, SessionExpiredSignal, drop_session
from candado.server.tree import HomeMissingError, Node, create_home, home_of
from candado.types import FileId, UserId

if TYPE_CHECKING:
    from candado.server.policy import Guard

__all__ = ["check_quota", "ensure_home", "guarded_change", "guarded_read", "guarded_write", "refuse_growth", "space_of"]

T = TypeVar("T")

_SPACE: Final = (
    "SELECT u.quota_bytes, h.size + COALESCE((SELECT SUM(l.staged_bytes) FROM locks l WHERE l.home_id = h.id), 0)"
    " FROM nodes h LEFT JOIN users u ON u.id = h.owner WHERE h.id = $1"
)


def _rule(backend: Backend, guard: "Guard | None") -> LockRule:
    return LockRule(backend.clock.now(), backend.settings.lock_ttl_seconds, backend.epoch, guard)


async def guarded_write(
    backend: Backend,
    principal: Principal,
    work: Callable[[Rows, LockRule], Awaitable[T]],
    *,
    durable: bool = True,
) -> T:
    """Run ``work`` as one transaction; a home that was never made is made.

    What the access rules say of the principal is in ``LockRule.guard``, for ``policy.permit`` and its kin. Raises:
        LockLostError: the session of the token was over; it is rolled back now.
    """

    async def attempt(guard: "Guard | None") -> T:
        rule = _rule(backend, guard)
        return await backend.database.write(lambda rows: work(rows, rule), durable=durable)

    return await _guarded(backend, principal, attempt)


async def guarded_change(
    backend: Backend,
    principal: Principal,
    session: str | None,
    work: Callable[[Rows, LockRule], Awaitable[tuple[T, bool]]],
) -> T:
    """As ``guarded_write`` for a change that is staged when the session's lock covers the place; work says if it was.

    What is staged becomes durable with the unlock. What is not is durable on return.
    """
    result, staged = await guarded_write(backend, principal, work, durable=session is None)
    if session is not None and not staged:

        async def settle(rows: Rows) -> None:
            await rows.run("UPDATE sequences SET next = next WHERE name = 'node'")

        await backend.database.write(settle)
    return result


async def guarded_read(backend: Backend, principal: Principal, work: Callable[[Rows, LockRule], Awaitable[T]]) -> T:
    """Run ``work`` on one snapshot; as ``guarded_write`` otherwise."""

    async def attempt(guard: "Guard | None") -> T:
        rule = _rule(backend, guard)
        return await backend.database.read(lambda rows: work(rows, rule))

    return await _guarded(backend, principal, attempt)


async def _guarded(backend: Backend, principal: Principal, attempt: "Callable[[Guard | None], Awaitable[T]]") -> T:
    policy = backend.policy
    guard = None if policy is None else await policy.guard(principal)
    try:
        try:
            return await attempt(guard)
        except HomeMissingError:
            await ensure_home(backend, principal.user_id)
            return await attempt(guard)
    except SessionExpiredSignal as signal:
        raise await _lost(backend, signal) from signal
    finally:
        if policy is not None and guard is not None and guard.hits:
            await policy.tell(guard)


async def ensure_home(backend: Backend, user_id: UserId) -> FileId:
    """The id of the user's home, made when absent; NotFoundError when there is no such user (any more)."""

    async def look(rows: Rows) -> Node | None:
        return await home_of(rows, user_id)

    found = await backend.database.read(look)
    if found is None:
        node_id = await backend.ids.take(backend.database)
        tag, now = backend.tag(), backend.clock.now()

        async def make(rows: Rows) -> Node | None:
            if await rows.one("SELECT 1 FROM users WHERE id = $1", user_id) is None:
                raise NotFoundError("no such user", path=user_id)
            await create_home(rows, user_id, node_id=node_id, etag=tag, now=now)
            return await home_of(rows, user_id)

        found = await backend.database.write(make)
        assert found is not None
    return FileId(found.id)


async def _lost(backend: Backend, signal: SessionExpiredSignal) -> LockLostError:
    now = backend.clock.now()
    await backend.database.write(lambda rows: drop_session(rows, signal.session, now=now))
    return LockLostError("the lock of this token had expired; what was staged under it is undone")


async def space_of(rows: Rows, home_id: int) -> tuple[int, int | None]:
    """Bytes used (what is staged included) and the quota in bytes, None for unlimited, of the storage of a home."""
    row = await rows.one(_SPACE, home_id)
    if row is None:
        return 0, None
    quota, used = row
    assert quota is None or isinstance(quota, int)
    assert isinstance(used, int)
    return used, quota


async def check_quota(rows: Rows, home_id: int, growth_bytes: int) -> None:
    """QuotaExceededError when the storage may not grow by so much."""
    refuse_growth(*await space_of(rows, home_id), growth_bytes)


def refuse_growth(used_bytes: int, quota_bytes: int | None, growth_bytes: int) -> None:
    """QuotaExceededError when so much more does not fit; shrinking always does."""
    if quota_bytes is not None and growth_bytes > 0 and used_bytes + growth_bytes > quota_bytes:
        raise QuotaExceededError("the quota of this storage is used up")

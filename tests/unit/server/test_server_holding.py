"""No body goes while a backup runs, and a backup that was killed holds nothing up for long."""

import asyncio
from dataclasses import replace

import pytest
from tests.unit.server.world import ALICE, HandClock, World

from candado.server.holding import HOLD_SECONDS, hold_deletions
from candado.server.model import Backend
from candado.server.sweep import sweep

GRACE = 3_700.0


class PatientClock(HandClock):
    """Nobody's pause ends before the test lets it."""

    def __init__(self, time: float) -> None:
        super().__init__()
        self.time = time
        self.pauses: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        await self.pauses.put(over)
        await over.wait()
        self.time += seconds


async def doomed(world: World) -> tuple[Backend, PatientClock]:
    """A file that was stored and removed so long ago that its body may go."""
    clock = PatientClock(world.backend.clock.now())
    backend = replace(world.backend, clock=clock)
    await world.put("f", b"content")
    await world.files.delete(ALICE, "f", token=None)
    clock.time += GRACE
    return backend, clock


async def test_a_body_stays_until_the_last_backup_has_ended(world: World) -> None:
    backend, _ = await doomed(world)
    async with hold_deletions(backend):
        async with hold_deletions(backend):
            assert (await sweep(backend))["blobs"] == 0
        assert (await sweep(backend))["blobs"] == 0
    assert (await sweep(backend))["blobs"] == 1


async def test_a_backup_that_goes_on_for_long_renews_its_hold(world: World) -> None:
    backend, clock = await doomed(world)
    async with hold_deletions(backend):
        for _ in range(3):
            clock.time += HOLD_SECONDS - 61
            (await clock.pauses.get()).set()
            # The next pause begins when the hold is renewed.
            await asyncio.wait_for(_next(clock), 10)
            assert (await sweep(backend))["blobs"] == 0
    assert await world.rows("SELECT name FROM settings WHERE name LIKE 'backup:%'") == []


async def _next(clock: PatientClock) -> None:
    pause = await clock.pauses.get()
    await clock.pauses.put(pause)


async def test_the_hold_of_a_killed_backup_ends_by_itself(world: World) -> None:
    backend, clock = await doomed(world)
    holding = hold_deletions(backend)
    await holding.__aenter__()
    assert (await sweep(backend))["blobs"] == 0
    clock.time += HOLD_SECONDS + 1
    assert (await sweep(backend))["blobs"] == 1
    assert await world.rows("SELECT name FROM settings WHERE name LIKE 'backup:%'") == []
    await holding.__aexit__(None, None, None)


async def test_a_failing_backup_holds_nothing(world: World) -> None:
    backend, _ = await doomed(world)
    with pytest.raises(ZeroDivisionError):
        async with hold_deletions(backend):
            raise ZeroDivisionError
    assert (await sweep(backend))["blobs"] == 1

"""Small files that are fetched together, and every way in which that may fail."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import stock
from tests.unit.client.sync_world import Pair, numbers

from candado.errors import CandadoError, ForbiddenError, MalformedError, NotFoundError, TransportError


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    pair = Pair(tmp_path)
    for number in range(130):
        pair.phone.write(f"f{number}", f"content {number}")
    for number in range(5):
        pair.phone.write(f"d/{number}", b"x" * 60_000)
    pair.phone.write("big", b"y" * 70_000)
    pair.phone.write("alone/one", b"z")
    await pair.phone.sync(encrypt=True)
    return pair


def calls(pair: Pair) -> dict[str, int]:
    return {name: n for name, n in Counter(pair.calls()).items() if name in ("get_many", "get_bytes", "get")}


async def test_a_folder_of_small_files_costs_a_hundredth_of_the_requests(pair: Pair) -> None:
    pair.calls()
    assert numbers(await pair.laptop.sync()) == {"downloaded": 137}
    assert calls(pair) == {"get_many": 3, "get_bytes": 2}
    assert pair.laptop.files() == pair.phone.files()


async def test_a_stock_server_is_asked_for_every_file_alone(pair: Pair) -> None:
    pair.world.server.capabilities = stock()
    pair.calls()
    assert numbers(await pair.laptop.sync()) == {"downloaded": 137}
    assert calls(pair) == {"get_bytes": 137}
    assert pair.laptop.files() == pair.phone.files()


@pytest.mark.parametrize(("count", "size", "together"), [(2, 1 << 20, 67), (1, 1 << 20, 0), (100, 60, 65), (9, 0, 0)])
async def test_the_bounds_that_the_server_announces_are_kept(pair: Pair, count: int, size: int, together: int) -> None:
    pair.world.server.capabilities = replace(
        pair.world.server.capabilities, bodies_count_max=count, bodies_bytes_max=size
    )
    pair.calls()
    await pair.laptop.sync()
    assert pair.laptop.files() == pair.phone.files()
    assert calls(pair).get("get_many", 0) == together


@pytest.mark.parametrize(
    "error", [NotFoundError(), ForbiddenError(), TransportError(), MalformedError("another shape")], ids=str
)
async def test_whatever_ends_the_call_the_files_are_fetched_alone(pair: Pair, error: CandadoError) -> None:
    pair.hostile.fail("get_many", error, times=99)
    assert numbers(await pair.laptop.sync()) == {"downloaded": 137}
    assert pair.laptop.files() == pair.phone.files()


async def test_bodies_that_are_left_out_or_swapped_are_fetched_alone(pair: Pair) -> None:
    def change(bodies: list[Any]) -> list[Any]:
        return [None, *reversed(bodies[1:])]

    pair.hostile.replace("get_many", change)
    pair.calls()
    assert numbers(await pair.laptop.sync()) == {"downloaded": 137}
    assert pair.laptop.files() == pair.phone.files()
    assert calls(pair)["get_bytes"] > 100
    assert [issue.code for issue in pair.laptop.start().issues()] == ["share.new"]


async def test_an_altered_body_is_refused_and_its_neighbours_are_kept(pair: Pair) -> None:
    spoilt = b"content 77"

    def change(body: bytes) -> bytes:
        return bytes([body[0] ^ 1]) + body[1:] if len(body) == len(spoilt) + 16 else body

    pair.hostile.replace("get_bytes", change)
    report = await pair.laptop.sync()
    assert {problem.code for problem in report.errors} == {"OPEN_FAILED"}
    kept = {path: body for path, body in pair.phone.files().items() if body is None or len(body) != len(spoilt)}
    assert pair.laptop.files() == kept
    assert {issue.code for issue in pair.laptop.start().issues()} >= {"file.tag"}


async def test_capabilities_kept_by_another_release_are_asked_for_again(pair: Pair) -> None:
    account = pair.phone.start()
    await account.capabilities()
    stored = account.store.load("cache", "capabilities")
    assert stored is not None
    account.store.commit([("cache", "capabilities", stored.replace(b'"bodies_count_max": 100, ', b""))])
    pair.calls()
    assert (await pair.phone.start().capabilities()).bodies_count_max == 100
    assert pair.calls() == ["capabilities"]

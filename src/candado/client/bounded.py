"""Many awaits, a few at once.

Layer: ``client``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

__all__ = ["bounded"]

T = TypeVar("T")
U = TypeVar("U")

_PARALLEL: Final = 8


async def bounded(function: Callable[[T], Awaitable[U]], items: Iterable[T], limit: int = _PARALLEL) -> list[U]:
    """Results of ``function`` for all items in their order, at most ``limit`` at once.

    The first error stops the rest.
    """
    work = list(enumerate(items))
    results: dict[int, U] = {}
    turns = iter(work)

    async def worker() -> None:
        for at, item in turns:
            results[at] = await function(item)

    tasks = [asyncio.create_task(worker()) for _ in range(min(limit, len(work)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [results[at] for at in range(len(work))]

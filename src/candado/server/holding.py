"""Bodies stay where they are while a backup runs.

Layer: ``server``. A backup copies rows of one moment first and then the bodies they name, which takes a while; a body
that loses its last row meanwhile must not be removed. So a backup writes a row that says until when, renews it while it
goes on, and removes it at its end. One that was killed holds nothing up for longer than the time in its row. Whoever
collects garbage looks for such rows in the transaction that forgets a content: what was forgotten before the row was
there is named by nothing in a copy that was taken after.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from candado.errors import CandadoError
from candado.ports.server import Rows
from candado.server.model import Backend

__all__ = ["HOLD_SECONDS", "deletions_wait", "hold_deletions"]

HOLD_SECONDS: Final = 900.0
_RENEW_SECONDS: Final = 60.0
_LOG = logging.getLogger("candado.server")


async def deletions_wait(rows: Rows, now: float) -> bool:
    """Whether a backup needs the bodies of contents that nothing names any more; rows of ended ones are removed."""
    await rows.run("DELETE FROM settings WHERE name LIKE 'backup:%' AND CAST(value AS DOUBLE PRECISION) < $1", now)
    return await rows.one("SELECT 1 FROM settings WHERE name LIKE 'backup:%'") is not None


@asynccontextmanager
async def hold_deletions(backend: Backend) -> AsyncIterator[None]:
    """Let no body be collected inside, by any process that works on this database."""
    name = f"backup:{backend.random.token(8).hex()}"

    async def renew() -> None:
        value = str(backend.clock.now() + HOLD_SECONDS)
        sql = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2"
        await backend.database.write(lambda rows: rows.run(sql, name, value))

    async def go_on() -> None:
        while True:
            await backend.clock.sleep(_RENEW_SECONDS)
            try:
                await renew()
            except CandadoError as error:  # there is time for many more attempts
                _LOG.warning("the hold of a backup was not renewed: %s", error.code)

    await renew()
    renewing = asyncio.create_task(go_on(), name="hold")
    try:
        yield
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        await backend.database.write(lambda rows: rows.run("DELETE FROM settings WHERE name = $1", name))

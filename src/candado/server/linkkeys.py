"""The keys of links into encrypted folders go with the links.

Layer: ``server``. Runs inside the transaction that removes the shares, before it removes them.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this package

from typing import Final

from candado.ports.server import Rows
from candado.server.keyevents import key_given_up
from candado.server.model import LINK_PREFIX

__all__ = ["forget_link_keys"]

_OF: Final = f"user_id IN (SELECT '{LINK_PREFIX}' || token FROM shares WHERE share_type = 3 AND "


async def forget_link_keys(rows: Rows, which: str, value: int | str, *, now: float) -> None:
    """Remove the keys of the links that ``which``, a condition of this package on ``$1``, selects.

    Their certificates stay on record as revoked.
    """
    kept = f"SELECT user_id FROM user_keys WHERE certificate IS NOT NULL AND {_OF}{which})"
    for (member,) in await rows.all(kept, value):
        await key_given_up(rows, str(member), "link-ended")
    await rows.run(f"DELETE FROM user_keys WHERE {_OF}{which})", value)
    revoke = f"UPDATE certificates SET revoked = $2 WHERE revoked IS NULL AND {_OF}{which})"
    await rows.run(revoke, value, now)

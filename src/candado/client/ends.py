"""Members whose share has come to its end: the server lets them in no more, the next write here takes them out.

Layer: ``client``. The last days of shares are remembered where this account sees them: when it gives one and when it
lists them. Nothing is asked until a day has passed by this device's clock; then the server is asked whether the share
is really over. Space of the state: ``share/end``.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from candado.client.account import Account
from candado.ports.client import RemoteShare
from candado.types import FileId, UserId

if TYPE_CHECKING:
    from candado.client.pins import Row

__all__ = ["has_due", "remember_ends", "whose_share_ended"]

_ENDS: Final = "share/end"


def remember_ends(account: Account, root_id: FileId, shares: Iterable[RemoteShare]) -> None:
    """Keep the last days of all shares of a root that the server lists now."""
    known = _of_root(account, root_id)
    listed = {item.share_with: item.last_day for item in shares if item.last_day}
    gone: list[Row] = [(_ENDS, f"{root_id} {user}", None) for user in known.keys() - listed.keys()]
    new: list[Row] = [
        (_ENDS, f"{root_id} {user}", day.encode()) for user, day in listed.items() if known.get(user) != day
    ]
    if gone or new:
        account.store.commit([*gone, *new])


def has_due(account: Account, root_id: FileId) -> bool:
    """Whether the end of some share of this root has passed, as far as this device knows."""
    return bool(_due(account, root_id))


async def whose_share_ended(account: Account, path: str, root_id: FileId, members: Iterable[UserId]) -> list[UserId]:
    """The members of a root whose share is over on the server too; asks only when a day that is known has passed."""
    due = _due(account, root_id)
    if not due:
        return []
    listed = await account.remote.list_shares(path)
    remember_ends(account, root_id, listed)
    there = {item.share_with for item in listed if not item.last_day or not _is_over(account, item.last_day)}
    ended = [user for user in members if user in due and user not in there]
    for user in ended:
        message = f"The share of {user} has come to its end: the folder gets a new key without that member."
        account.issue_book.add("notice", "share.over", message, path=path)
    return ended


def _due(account: Account, root_id: FileId) -> set[UserId]:
    return {user for user, day in _of_root(account, root_id).items() if _is_over(account, day)}


def _of_root(account: Account, root_id: FileId) -> dict[UserId, str]:
    mark = f"{root_id} "
    rows = account.store.load_all(_ENDS)
    return {UserId(key.removeprefix(mark)): day.decode() for key, day in rows.items() if key.startswith(mark)}


def _is_over(account: Account, day: str) -> bool:
    try:
        first_after = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except ValueError:
        return False
    return account.clock.now() >= first_after.timestamp()

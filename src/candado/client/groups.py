"""Small files of one folder, fetched together where the server has a call for that.

Layer: ``client``. A short cut only: whatever does not come this way, or does not open, is fetched alone, which also
tells why. Without the call every group is one file.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from candado.client.arrivals import opened
from candado.errors import FormatError, MalformedError, OpenFailedError, RemoteError, TransportError

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.view import RemoteEntry
    from candado.ports.client import Capabilities

__all__ = ["fetch_together", "in_groups"]

_FILE_BYTES_MAX: Final = 64 << 10
"""A larger file gains nothing from company."""
_GROUP_BYTES_MAX: Final = 512 << 10
"""More would keep the rest of the work waiting for one answer."""

T = TypeVar("T")


async def in_groups(
    account: "Account", items: Sequence[T], entry_of: "Callable[[T], RemoteEntry]"
) -> Iterator[list[T]]:
    """The same items, those that ``fetch_together`` can ask for at once in one list; the order changes.

    Raises:
        DowngradeError, TransportError: see ``Account.capabilities``, which is asked when there is more than one.
    """
    if len(items) > 1:
        capabilities = await account.capabilities()
        if capabilities.bodies_count_max > 1:
            return _grouped(items, entry_of, capabilities)
    return ([item] for item in items)


def _grouped(
    items: Sequence[T], entry_of: "Callable[[T], RemoteEntry]", capabilities: "Capabilities"
) -> Iterator[list[T]]:
    bytes_max = min(capabilities.bodies_bytes_max, _GROUP_BYTES_MAX)
    groups: dict[str, list[T]] = {}
    sizes: dict[str, int] = {}
    for item in items:
        entry = entry_of(item)
        size = entry.stored_bytes
        if size > min(bytes_max, _FILE_BYTES_MAX):
            yield [item]
            continue
        folder = entry.remote_path.rpartition("/")[0]
        if sizes.get(folder, 0) + size > bytes_max or len(groups.get(folder, ())) >= capabilities.bodies_count_max:
            yield groups.pop(folder)
            sizes[folder] = 0
        groups.setdefault(folder, []).append(item)
        sizes[folder] = sizes.get(folder, 0) + size
    yield from groups.values()


async def fetch_together(account: "Account", entries: "Sequence[RemoteEntry]") -> dict[str, bytes]:
    """The verified contents, by clear path, of what came of one group; nothing of a group of one."""
    if len(entries) < 2:
        return {}
    folder = entries[0].remote_path.rpartition("/")[0] or "/"
    names = [entry.remote_path.rpartition("/")[2] for entry in entries]
    try:
        bodies = await account.remote.get_many(folder, names, [entry.stored_bytes for entry in entries])
    except (RemoteError, TransportError, FormatError):
        return {}
    found: dict[str, bytes] = {}
    for entry, body in zip(entries, bodies, strict=True):
        if body is not None:
            with contextlib.suppress(OpenFailedError, MalformedError):
                found[entry.path] = opened(account, entry, body)
    return found

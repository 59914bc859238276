"""What strangers dropped into a root becomes files when a member syncs it; what its owner agreed to is carried out.

Layer: ``client``. Every write session takes over what it can (``commit``); this one is for when there is nothing else
to write.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from candado.client.reader import FolderReader
    from candado.client.sync_observe import RemoteSight

__all__ = ["write_owed"]


async def write_owed(reader: "FolderReader", there: "RemoteSight") -> bool:
    """Take over arrivals, or let the recovery key in where the owner agreed (``covering``); True when something was."""
    if await _take_arrivals(reader, there):
        return True
    top = there.top
    if top is None or top.kind != "root" or top.deleted or there.is_read_only:
        return False
    from candado.client.covering import cover_owed  # noqa: PLC0415 -- most runs write nothing

    return await cover_owed(reader, top.file_id)


async def _take_arrivals(reader: "FolderReader", there: "RemoteSight") -> bool:
    """Take over what arrived in the file drop of the folder that was looked at; True when something did."""
    top = there.top
    if top is None or top.folder is None or not top.folder.drops or top.deleted or there.is_read_only:
        return False
    from candado.client.commit import has_arrivals  # noqa: PLC0415 -- most runs write nothing
    from candado.client.session import WriteSession  # noqa: PLC0415 -- the same

    if not has_arrivals(reader.account, top):
        return False
    async with WriteSession(reader, top.path) as session:
        session.take_arrivals()
    return True

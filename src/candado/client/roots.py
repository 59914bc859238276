"""How a whole encrypted folder goes: an own one is signed off and removed, a received one is left.

Layer: ``client``.
"""

from dataclasses import replace

from candado.client.account import Account
from candado.client.lock import recover_sessions
from candado.client.reader import FolderReader
from candado.client.session import WriteSession
from candado.client.view import FolderView

__all__ = ["leave_root", "owner_of_received", "remove_root"]


def owner_of_received(account: Account, root: FolderView) -> str:
    """Who shares this root with us, as the server says; empty for our own, and always for one this device made."""
    if root.kind != "root" or root.node is None or account.book.owns(root.file_id):
        return ""
    return "" if root.node.owner_id == account.user_id else root.node.owner_id


async def leave_root(account: Account, root: FolderView) -> None:
    """Give a received share back, which is what its removal means; nothing is written, so nothing is signed."""
    # Afterwards a lock that an interrupted command of ours left there could not be given back any more.
    await recover_sessions(account)
    await account.remote.delete(root.remote_path, token=None)
    pin = account.book.folder(root.file_id)
    if pin is not None:
        # The pin stays for the day the folder is shared again; its path is free for something else.
        account.store.commit(account.book.rows_folder(replace(pin, path_hint="")))


async def remove_root(reader: FolderReader, root: FolderView) -> None:
    """Sign the deletion of an own root, then remove it with all in it; errors as a write session."""
    if not root.deleted:
        async with WriteSession(reader, root.path, deletes=True) as session:
            session.delete_root(remove=False)
    async with WriteSession(reader, root.path, deletes=True) as session:
        session.delete_root(remove=True)

"""Whether a local file has the content of a remote version, without sending or fetching it.

Layer: ``client``. The metadata of a remote file holds its key, its nonce and the tag of its body. Sealing the local
bytes under the same key and nonce gives the same tag exactly when the bytes are the same; nothing of it leaves the
machine. A member of the folder, who knows the key, could make a second content with the same tag: what he gains is
that his version, which he may write anyway, is not noticed as different from the local one.

One stock app writes the nonce in place of the tag; then the last 16 bytes of the stored body are the tag.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from candado.crypto.filebody import BodySealer
from candado.errors import CandadoError, MisuseError
from candado.types import Tag

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.view import RemoteEntry
    from candado.ports.client import LocalTree

__all__ = ["compare", "stored_tag"]

_PIECE_BYTES: Final = 1 << 20
_TAG_BYTES: Final = 16


def compare(tree: "LocalTree", work: Sequence[tuple[str, "RemoteEntry", Tag]]) -> list[bool | CandadoError]:
    """For each (local path, entry, tag of its body): whether the local file has this content. Blocking.

    A file that cannot be read, or that changes meanwhile, gives its error instead of an answer.
    """
    plain, sealed = bytearray(_PIECE_BYTES), bytearray(_PIECE_BYTES + 32)
    answers: list[bool | CandadoError] = []
    for path, entry, tag in work:
        try:
            answers.append(_is_same(tree, path, entry, tag, (plain, sealed)))
        except CandadoError as error:
            answers.append(error)
    return answers


async def stored_tag(account: "Account", entry: "RemoteEntry") -> Tag:
    """The tag of a remote body: from the metadata, or from the body when the metadata do not have it.

    Raises:
        RemoteError, TransportError: the body had to be read and could not be.
    """
    if entry.entry is None:
        raise MisuseError("only files in encrypted folders have a tag")
    if entry.entry.tag != entry.entry.nonce[:_TAG_BYTES].ljust(_TAG_BYTES, b"\0"):
        return entry.entry.tag
    tail = b""
    async for piece in account.remote.get(entry.remote_path, size_expected=entry.stored_bytes):
        tail = (tail + bytes(piece[-_TAG_BYTES:]))[-_TAG_BYTES:]
    return Tag(tail)


def _is_same(
    tree: "LocalTree", path: str, entry: "RemoteEntry", tag: Tag, buffers: tuple[bytearray, bytearray]
) -> bool:
    if entry.entry is None:
        raise MisuseError("only files in encrypted folders can be compared")
    file = tree.open_read(path)
    try:
        if file.stat.size_bytes != entry.size_bytes:
            return False
        sealer = BodySealer(entry.entry.key, entry.entry.nonce)
        view, sealed = memoryview(buffers[0]), buffers[1]
        while count := file.read_into(view):
            sealer.update_into(view[:count], sealed)
        file.check_unchanged()
        return sealer.finish() == tag
    finally:
        file.close()

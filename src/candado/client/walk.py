"""A folder and everything below it, several folders at once.

Layer: ``client``; ``walk`` is used by ``reader``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from candado.client.view import FolderView, RemoteEntry, Tree, split
from candado.errors import AuthRequiredError, CandadoError, LimitExceededError, NotEncryptedError, TransportError

if TYPE_CHECKING:
    from candado.client.reader import FolderReader

__all__ = ["walk", "walk_into_roots"]

_DEPTH_MAX: Final = 128


async def walk(
    open_entry: Callable[[FolderView, RemoteEntry], Awaitable[FolderView]],
    top: FolderView,
    *,
    skip: Callable[[RemoteEntry], bool] | None,
    parallel: int,
) -> Tree:
    """Open every folder below ``top``; see ``FolderReader.walk``. The first error stops the rest.

    LimitExceededError when folders are nested more than 128 deep.
    """
    folders: dict[str, FolderView] = {top.path: top}
    skipped: list[RemoteEntry] = []
    waiting: list[tuple[FolderView, RemoteEntry]] = []
    running: set[asyncio.Future[FolderView]] = set()

    def queue(view: FolderView) -> None:
        for entry in _subfolders(view):
            if skip is not None and skip(entry):
                skipped.append(entry)
            else:
                waiting.append((view, entry))

    queue(top)
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.add(asyncio.ensure_future(open_entry(*waiting.pop())))
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                view = task.result()
                folders[view.path] = view
                queue(view)
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.gather(*running, return_exceptions=True)
    return Tree(top, folders, tuple(skipped))


async def walk_into_roots(reader: "FolderReader", top: FolderView) -> tuple[Tree, dict[str, CandadoError]]:
    """Everything below ``top``, inside encrypted folders below a plain one too; and what does not open, by path.

    Each encrypted folder stands for itself: one that is refused says nothing of the others. One whose set-up was
    interrupted holds nothing.

    Raises:
        TransportError, AuthRequiredError: every further folder would meet them too.
        TamperError, FormatError, CryptoError: ``top`` is encrypted itself, and something below it was refused.
    """
    tree = await reader.walk(top)
    folders = dict(tree.folders)
    closed: dict[str, CandadoError] = {}
    if top.kind != "plain":
        return tree, closed
    for root in [entry for entry in tree.entries() if entry.is_folder and entry.path not in tree.folders]:
        try:
            folders |= (await reader.walk((await reader.open_path(root.path)).view)).folders
        except NotEncryptedError:
            continue
        except (TransportError, AuthRequiredError):
            raise
        except CandadoError as error:
            closed[root.path] = error
    return Tree(top, folders, tree.skipped), closed


def _subfolders(view: FolderView) -> list[RemoteEntry]:
    """What a walk goes into; LimitExceededError when it is too deep."""
    if len(split(view.path)) > _DEPTH_MAX:
        raise LimitExceededError(f"folders are nested more than {_DEPTH_MAX} deep", path=view.path)
    return [
        entry
        for entry in view.entries.values()
        if entry.is_folder and not (view.kind == "plain" and entry.is_encrypted)
    ]

"""What a pair of folders agreed upon: the third tree of a sync, kept by this device.

Layer: ``client``. A *pair* is a local folder and a remote one. One row per path says how both sides were when they
last were equal; it is written only after the fact. Losing rows is harmless: what is equal on both sides is
recognised by its content again, and without a row nothing is ever taken for deleted. So commits need not wait for
the disk.

Rows live in the space ``agreed/PAIR``: the path is the key, "/" is the top folder. When a person says that an encrypted
folder was replaced on purpose, such as by an older backup of the server, what was agreed with the former state says
nothing about the new one: what it lacks was not deleted. The spaces ``met/anew`` (how often, by root) and ``met/pair``
(how often when the rows were written) tell a pair to begin as at a first sync.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import orjson

from candado.errors import CorruptStateError
from candado.ports.client import StateStore
from candado.protocol.plan_model import AgreedNode

__all__ = ["FolderMark", "PairState", "TopMark", "rows_meet_anew"]

_TOP_KEY: Final = "/"
_ANEW: Final = "met/anew"
_PAIR: Final = "met/pair"


@dataclass(frozen=True, slots=True)
class FolderMark:
    """Under which etag and accepted document everything below a remote folder was as agreed; saves looking again."""

    etag: str
    digest: str


@dataclass(frozen=True, slots=True)
class TopMark:
    """Which remote folder the rows belong to. ``etag`` is empty when it has to be looked at in any case."""

    file_id: int
    remote_path: str
    etag: str
    digest: str


def rows_meet_anew(store: StateStore, root_path: str) -> list[tuple[str, str, bytes | None]]:
    """Rows that make every pair with the root or a folder in it begin as at a first sync."""
    times = int(store.load(_ANEW, root_path) or b"0") + 1
    return [(_ANEW, root_path, str(times).encode())]


class PairState:
    """The agreed tree of one pair, in memory and in the state of the device.

    Args:
        store: state of this device.
        local_root: absolute path of the local folder.
        remote_path: clear path of the remote folder.
    """

    def __init__(self, store: StateStore, *, local_root: str, remote_path: str) -> None:
        self._store = store
        name = sha256(f"{local_root}\0{remote_path}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self.name = name
        self._space = f"agreed/{name}"
        self._dirty: set[str] = set()
        self.nodes: dict[str, AgreedNode] = {}
        self.marks: dict[str, FolderMark] = {}
        self.top: TopMark | None = None
        for key, value in store.load_all(self._space).items():
            self._read(key, value)
        self._meet(store, remote_path)

    def _meet(self, store: StateStore, remote_path: str) -> None:
        """Forget all rows when a root at or above the remote folder was forgotten since they were written."""
        path = remote_path.rstrip("/") + "/"
        covering = [int(times) for root, times in store.load_all(_ANEW).items() if path.startswith(root + "/")]
        self._times = sum(covering)
        self._is_met = self._times == int(store.load(_PAIR, self.name) or b"0")
        if not self._is_met:
            for row in list(self.nodes):
                self.drop(row)
            self.set_top(None)

    def bind(self, file_id: int) -> None:
        """Say which remote folder is meant; rows of another one are forgotten, as at a first sync."""
        if self.top is not None and self.top.file_id == file_id:
            return
        for path in list(self.nodes):
            self.drop(path)
        self.set_top(TopMark(file_id, "", "", ""))

    def set_top(self, top: TopMark | None) -> None:
        """Remember the top folder."""
        if top != self.top:
            self.top = top
            self._dirty.add(_TOP_KEY)

    def set(self, path: str, node: AgreedNode) -> None:
        """Both sides are like this now."""
        if self.nodes.get(path) != node:
            self.nodes[path] = node
            self.marks.pop(path, None)
            self._dirty.add(path)

    def set_mark(self, path: str, mark: FolderMark | None) -> None:
        """Remember under which state a folder was as agreed; None: look again."""
        if path in self.nodes and self.marks.get(path) != mark:
            if mark is None:
                del self.marks[path]
            else:
                self.marks[path] = mark
            self._dirty.add(path)

    def drop(self, path: str) -> None:
        """Both sides have nothing here now."""
        if self.nodes.pop(path, None) is not None:
            self.marks.pop(path, None)
            self._dirty.add(path)

    def move(self, source: str, target: str) -> None:
        """Both sides renamed a node with all below it. Rows that are at the target already are newer and stay."""
        prefix = source + "/"
        moved = self.nodes.get(source)
        if moved is not None and not moved.is_folder:
            paths = [source]
        else:
            paths = [path for path in self.nodes if path == source or path.startswith(prefix)]
        for path in paths:
            node, mark = self.nodes[path], self.marks.get(path)
            self.drop(path)
            there = target + path[len(source) :]
            if there not in self.nodes:
                self.set(there, node)
                self.set_mark(there, mark)

    def commit(self) -> None:
        """Write what changed in one transaction; a power cut may undo it as a whole."""
        if not self._dirty and self._is_met:
            return
        changes = [(self._space, path, self._format(path)) for path in self._dirty]
        if not self._is_met:
            changes.append((_PAIR, self.name, str(self._times).encode()))
        self._store.commit(changes, durable=False)
        self._dirty.clear()
        self._is_met = True

    def _format(self, path: str) -> bytes | None:
        if path == _TOP_KEY:
            top = self.top
            return None if top is None else orjson.dumps([top.file_id, top.remote_path, top.etag, top.digest])
        node = self.nodes.get(path)
        if node is None:
            return None
        mark = self.marks.get(path)
        facts = [
            node.is_folder,
            node.size_bytes,
            node.mtime_ns,
            node.inode,
            node.ctime_ns,
            node.file_id,
            node.content_id,
        ]
        return orjson.dumps(facts if mark is None else [*facts, mark.etag, mark.digest])

    def _read(self, key: str, value: bytes) -> None:
        try:
            facts = orjson.loads(value)
            if key == _TOP_KEY:
                self.top = TopMark(*facts)
            else:
                self.nodes[key] = AgreedNode(*facts[:7])
                if len(facts) > 7:
                    self.marks[key] = FolderMark(*facts[7:])
        except (ValueError, TypeError) as exc:
            raise CorruptStateError("a stored row of the agreed tree cannot be read") from exc

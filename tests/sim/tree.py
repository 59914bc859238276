"""The files and folders of all users, with metadata; cheap to copy, so that a lock can work on its own copy."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Node:
    """A file or folder. ``parent`` is 0 for the home of a user."""

    file_id: int
    parent: int
    name: str
    is_folder: bool
    body: bytes
    mtime: float
    etag: str
    encrypted: bool = False


class Tree:
    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.children: dict[int, dict[str, int]] = {}
        self.metadata: dict[int, tuple[str, str]] = {}
        self.counters: dict[int, int] = {}
        self.steps: dict[int, list[tuple[int, str, str]]] = {}

    def copy(self) -> "Tree":
        twin = Tree()
        twin.nodes = dict(self.nodes)
        twin.children = {parent: dict(names) for parent, names in self.children.items()}
        twin.metadata = dict(self.metadata)
        twin.counters = dict(self.counters)
        twin.steps = {at: list(steps) for at, steps in self.steps.items()}
        return twin

    def add(self, node: Node) -> None:
        self.nodes[node.file_id] = node
        self.children[node.parent][node.name] = node.file_id
        if node.is_folder:
            self.children.setdefault(node.file_id, {})

    def add_home(self, node: Node) -> None:
        self.nodes[node.file_id] = node
        self.children[node.file_id] = {}

    def remove(self, file_id: int) -> None:
        for child in list(self.children.get(file_id, {}).values()):
            self.remove(child)
        node = self.nodes.pop(file_id)
        self.children.get(node.parent, {}).pop(node.name, None)
        self.children.pop(file_id, None)
        self.metadata.pop(file_id, None)
        self.steps.pop(file_id, None)
        self.counters.pop(file_id, None)

    def move(self, file_id: int, parent: int, name: str) -> None:
        node = self.nodes[file_id]
        del self.children[node.parent][node.name]
        self.nodes[file_id] = replace(node, parent=parent, name=name)
        self.children[parent][name] = file_id

    def change(self, file_id: int, **fields: object) -> None:
        self.nodes[file_id] = replace(self.nodes[file_id], **fields)  # type: ignore[arg-type]

    def child(self, parent: int, name: str) -> int | None:
        return self.children.get(parent, {}).get(name)

    def ancestors(self, file_id: int) -> list[int]:
        """The node itself first, then upwards to the home."""
        chain = []
        while file_id in self.nodes:
            chain.append(file_id)
            file_id = self.nodes[file_id].parent
        return chain

    def subtree(self, file_id: int) -> list[int]:
        found = [file_id]
        for at in found:
            found.extend(self.children.get(at, {}).values())
        return found

    def size(self, file_id: int) -> int:
        return sum(len(self.nodes[at].body) for at in self.subtree(file_id))

    def adopt(self, other: "Tree", root: int) -> None:
        """Replace everything at and below ``root`` by what ``other`` has there; the root's own name and place stay."""
        ids = {*self.subtree(root), *other.subtree(root)} if root in other.nodes else set(self.subtree(root))
        if root not in other.nodes:
            self.remove(root)
            return
        here = self.nodes[root]
        for at in ids:
            for table in (self.nodes, self.children, self.metadata, self.counters):
                table.pop(at, None)
        for at in other.subtree(root):
            self.nodes[at] = other.nodes[at]
            if at in other.children:
                self.children[at] = dict(other.children[at])
            if at in other.metadata:
                self.metadata[at] = other.metadata[at]
            if at in other.counters:
                self.counters[at] = other.counters[at]
        self.nodes[root] = replace(self.nodes[root], name=here.name, parent=here.parent)

"""A world of plain dictionaries in which plans are carried out literally: two devices, one remote tree.

Every step checks its precondition, so that a plan in a wrong order fails here and not on somebody's disk.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from candado.protocol import plan_model as pm
from candado.protocol.plan import make_plan
from candado.protocol.plan_names import parent_of


@dataclass(frozen=True)
class Here:
    is_folder: bool
    content: bytes
    mtime_ns: int
    inode: int
    ctime_ns: int

    @property
    def size_bytes(self) -> int:
        return len(self.content)


@dataclass(frozen=True)
class There:
    is_folder: bool
    content: bytes
    file_id: int
    content_id: str

    @property
    def size_bytes(self) -> int:
        return len(self.content)


def below(tree: dict[str, Any], path: str) -> list[str]:
    return [p for p in tree if p.startswith(path + "/")]


def rename(tree: dict[str, Any], source: str, target: str) -> None:
    for path in [source, *below(tree, source)]:
        if path in tree:
            tree[target + path[len(source) :]] = tree.pop(path)


def check_place(tree: dict[str, Any], path: str) -> None:
    assert path not in tree, f"{path} is taken"
    parent = parent_of(path)
    assert not parent or tree[parent].is_folder, f"no folder for {path}"


@dataclass
class Cloud:
    nodes: dict[str, There] = field(default_factory=dict)
    ids: int = 0

    def fresh(self) -> int:
        self.ids += 1
        return self.ids


class PowerCutError(Exception):
    """The power went."""


@dataclass
class Device:
    name: str
    cloud: Cloud
    clock: list[int]
    mode: pm.Mode = pm.Mode.TWO_WAY
    nodes: dict[str, Here] = field(default_factory=dict)
    agreed: dict[str, pm.AgreedNode] = field(default_factory=dict)
    trash: list[bytes] = field(default_factory=list)
    limit: pm.DeleteLimit | None = field(default_factory=lambda: pm.DeleteLimit(count=10**9))
    cut_after: int | None = None
    row_moves: list[tuple[str, str, int, int]] = field(default_factory=list)
    remote_moves_left: int = 0

    def tick(self) -> int:
        self.clock[0] += 1
        return self.clock[0]

    # --- what a person does ---------------------------------------------------------------------------

    def write(self, path: str, content: bytes) -> None:
        old = self.nodes.get(path)
        assert old is None or not old.is_folder
        now = self.tick()
        self.nodes[path] = Here(False, content, now, old.inode if old else self.tick(), now)

    def replace_slyly(self, path: str, content: bytes) -> None:
        """Other bytes of the same size, time and inode: only the attribute-change time tells."""
        old = self.nodes[path]
        assert len(content) == len(old.content)
        self.nodes[path] = replace(old, content=content, ctime_ns=self.tick())

    def make_folder(self, path: str) -> None:
        check_place(self.nodes, path)
        now = self.tick()
        self.nodes[path] = Here(True, b"", now, now, now)

    def delete(self, path: str) -> None:
        for p in [path, *below(self.nodes, path)]:
            del self.nodes[p]

    def rename(self, source: str, target: str) -> None:
        check_place(self.nodes, target)
        rename(self.nodes, source, target)
        self.nodes[target] = replace(self.nodes[target], ctime_ns=self.tick())

    # --- sync -------------------------------------------------------------------------------------------

    def plan(self) -> pm.Plan:
        verdicts: dict[tuple[str, str], bool] = {}
        while True:
            plan = make_plan(
                self.nodes,
                self.cloud.nodes,
                self.agreed,
                options=pm.PlanOptions(
                    mode=self.mode,
                    device=self.name,
                    stamp="2026-11-23 153000",
                    max_delete=self.limit,
                    fold_case=False,
                ),
                verdicts=verdicts,
            )
            if not plan.questions:
                return plan
            for question in plan.questions:
                key = (question.local_path, question.content_id)
                assert key not in verdicts, "asked twice"
                there = question.remote
                assert isinstance(there, There)
                verdicts[key] = self.nodes[question.local_path].content == there.content

    def sync(self) -> list[pm.Operation]:
        plan = self.plan()
        self.row_moves = []
        self.remote_moves_left = sum(isinstance(op, pm.MoveRemote) and not op.conflict for op in plan.operations)
        for number, op in enumerate(plan.operations):
            if self.cut_after == number:
                raise PowerCutError
            self.carry_out(op)
            self.move_rows()
        return list(plan.operations)

    def move_rows(self) -> None:
        """Rows follow local renames only after all remote ones, because the plan renamed in that order."""
        if self.remote_moves_left:
            return
        for source, target, before, after in self.row_moves:
            rename(self.agreed, source, target)
            row = self.agreed[target]
            if not row.is_folder and row.ctime_ns == before:
                self.agreed[target] = replace(row, ctime_ns=after)
        self.row_moves = []

    def agree(self, path: str) -> None:
        here, there = self.nodes[path], self.cloud.nodes[path]
        assert here.content == there.content
        assert here.is_folder == there.is_folder
        self.agreed[path] = pm.AgreedNode(
            here.is_folder, here.size_bytes, here.mtime_ns, here.inode, here.ctime_ns, there.file_id, there.content_id
        )

    def carry_out(self, op: pm.Operation) -> None:
        match op:
            case pm.MoveLocal(source, target, conflict):
                check_place(self.nodes, target)
                rename(self.nodes, source, target)
                before = self.nodes[target].ctime_ns
                self.nodes[target] = replace(self.nodes[target], ctime_ns=self.tick())
                if not conflict:
                    self.row_moves.append((source, target, before, self.nodes[target].ctime_ns))
            case pm.MoveRemote(source, target, conflict):
                check_place(self.cloud.nodes, target)
                rename(self.cloud.nodes, source, target)
                if not conflict:
                    rename(self.agreed, source, target)
                    self.remote_moves_left -= 1
            case pm.DeleteLocal(path, expected):
                assert self.nodes[path].inode == expected.inode
                self.trash.append(self.nodes.pop(path).content)
                self.agreed.pop(path, None)
            case pm.DeleteRemote(path, expected):
                assert self.cloud.nodes.pop(path) == expected
                self.agreed.pop(path, None)
            case pm.RemoveFolderLocal(path):
                assert not below(self.nodes, path)
                assert self.nodes.pop(path).is_folder
                self.agreed.pop(path, None)
            case pm.RemoveFolderRemote(path, _, contents):
                assert set(below(self.cloud.nodes, path)) == set(contents)
                for p in [path, *contents]:
                    del self.cloud.nodes[p]
                    self.agreed.pop(p, None)
            case pm.MakeFolderLocal(path, there):
                self.make_folder(path)
                now = self.nodes[path].inode
                self.agreed[path] = pm.AgreedNode(True, 0, now, now, now, there.file_id, "")
            case pm.MakeFolderRemote(path, _):
                check_place(self.cloud.nodes, path)
                self.cloud.nodes[path] = There(True, b"", self.cloud.fresh(), "")
                self.agree(path)
            case pm.Download(path, there, expected):
                assert isinstance(there, There)
                if expected is None:
                    check_place(self.nodes, path)
                else:
                    assert self.nodes[path].inode == expected.inode
                now = self.tick()
                self.nodes[path] = Here(False, there.content, now, self.tick(), now)
                self.agreed[path] = pm.AgreedNode(
                    False, there.size_bytes, now, now + 1, now, there.file_id, there.content_id
                )
            case pm.Upload(path, _, expected):
                if expected is None:
                    check_place(self.cloud.nodes, path)
                else:
                    assert self.cloud.nodes[path] == expected
                old = self.cloud.nodes.get(path)
                file_id = old.file_id if old else self.cloud.fresh()
                self.cloud.nodes[path] = There(False, self.nodes[path].content, file_id, f"v{self.cloud.fresh()}")
                self.agree(path)
            case pm.Adopt(path, _, _):
                self.agree(path)
            case pm.Forget(path):
                del self.agreed[path]

    def contents(self) -> dict[str, bytes | None]:
        return {path: None if node.is_folder else node.content for path, node in self.nodes.items()}

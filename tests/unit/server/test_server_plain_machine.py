"""Random changes of plain folders, by their owner and through a share, against a model: a dictionary."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.server.world import ALICE, BOB, MemoryObjects, World

from candado.errors import CandadoError
from candado.server.model import Principal
from candado.server.sweep import sweep

T = TypeVar("T")
FOLDER = None

paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)
bodies = st.binary(max_size=12)
people = st.sampled_from([ALICE, BOB])


def parent(path: str) -> str:
    return path.rpartition("/")[0]


class PlainMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="candado-test-"))
        self.tree: dict[str, bytes | None] = {"": FOLDER}

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.do(self.world.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def do(self, call: Coroutine[object, object, T]) -> T:
        return self.loop.run(call)

    def attempt(self, call: Coroutine[object, object, object], expected: bool) -> bool:
        refusal: CandadoError | None = None
        try:
            self.do(call)
        except CandadoError as exc:
            refusal = exc
        assert (refusal is None) == expected, refusal
        return expected

    def below(self, path: str) -> list[str]:
        return [p for p in self.tree if p == path or p.startswith(path + "/")]

    def is_folder(self, path: str) -> bool:
        return self.tree.get(path, b"") is FOLDER

    def place(self, who: Principal, path: str) -> str:
        return f"{'Mine' if who is ALICE else 'Yours'}/{path}"

    def may_replace(self, source: str, goal: str, overwrite: bool) -> bool:
        return (
            source in self.tree
            and self.is_folder(parent(goal))
            and not (goal + "/").startswith(source + "/")
            and not (source + "/").startswith(goal + "/")
            and (overwrite or goal not in self.tree)
        )

    @initialize()
    def start(self) -> None:
        self.world = self.do(World.open(self.folder, objects=MemoryObjects()))
        folder = self.do(self.world.files.make_folder(ALICE, "Mine", token=None))
        self.do(self.world.share(folder, BOB.user_id, target="Yours"))

    @rule(who=people, path=paths, body=bodies)
    def put(self, who: Principal, path: str, body: bytes) -> None:
        allowed = self.is_folder(parent(path)) and not self.is_folder(path)
        if self.attempt(self.world.put(self.place(who, path), body, who=who), allowed):
            self.tree[path] = body

    @rule(who=people, path=paths)
    def make_folder(self, who: Principal, path: str) -> None:
        allowed = path not in self.tree and self.is_folder(parent(path))
        if self.attempt(self.world.files.make_folder(who, self.place(who, path), token=None), allowed):
            self.tree[path] = FOLDER

    @rule(who=people, path=paths)
    def delete(self, who: Principal, path: str) -> None:
        if self.attempt(self.world.files.delete(who, self.place(who, path), token=None), path in self.tree):
            for gone in self.below(path):
                del self.tree[gone]

    @rule(who=people, source=paths, goal=paths, overwrite=st.booleans())
    def move(self, who: Principal, source: str, goal: str, overwrite: bool) -> None:
        call = self.world.files.move(
            who, self.place(who, source), self.place(who, goal), token=None, overwrite=overwrite
        )
        if self.attempt(call, self.may_replace(source, goal, overwrite)):
            for gone in self.below(goal):
                del self.tree[gone]
            for old in self.below(source):
                self.tree[goal + old[len(source) :]] = self.tree.pop(old)

    @rule(who=people, source=paths, goal=paths, overwrite=st.booleans())
    def copy(self, who: Principal, source: str, goal: str, overwrite: bool) -> None:
        call = self.world.files.copy(
            who, self.place(who, source), self.place(who, goal), token=None, overwrite=overwrite
        )
        if self.attempt(call, self.may_replace(source, goal, overwrite)):
            for gone in self.below(goal):
                del self.tree[gone]
            for old in self.below(source):
                self.tree[goal + old[len(source) :]] = self.tree[old]

    @rule()
    def garbage_goes(self) -> None:
        self.world.clock.time += 10_000
        self.do(sweep(self.world.backend))

    @invariant()
    def both_see_the_model(self) -> None:
        if not hasattr(self, "world"):
            return
        for who, top in ((ALICE, "Mine"), (BOB, "Yours")):
            seen = self.do(self.world.tree(top, who))
            shown = {
                path[len(top) + 1 :]: (value if isinstance(value, bytes) else FOLDER) for path, value in seen.items()
            }
            assert shown == {path: body for path, body in self.tree.items() if path}
        assert [f for f in self.do(self.world.findings(read_data=True)) if f.severity == "error"] == []
        size = self.do(self.world.files.quota(ALICE.user_id)).used_bytes
        assert size == sum(len(body) for body in self.tree.values() if body is not None)


TestPlainFolders = PlainMachine.TestCase

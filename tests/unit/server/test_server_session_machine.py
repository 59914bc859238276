"""Random sessions against a model: dictionaries of what is visible and of what the session sees."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.server.world import ALICE, MemoryObjects, World

from candado.errors import CandadoError
from candado.server.sweep import sweep
from candado.types import LockToken

T = TypeVar("T")
FOLDER = None
Tree = dict[str, bytes | None]

paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
bodies = st.binary(min_size=1, max_size=12)


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def below(tree: Tree, path: str) -> list[str]:
    return [p for p in tree if p == path or p.startswith(path + "/")]


class SessionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="candado-test-"))
        self.visible: Tree = {"": FOLDER}
        self.inside: Tree | None = None
        self.counter = 1
        self.token: LockToken | None = None

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.do(self.world.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def do(self, call: Coroutine[object, object, T]) -> T:
        return self.loop.run(call)

    def attempt(self, call: Coroutine[object, object, object], expected: bool) -> bool:
        """Run a call that must succeed exactly when the model says so."""
        refusal: CandadoError | None = None
        try:
            self.do(call)
        except CandadoError as exc:
            refusal = exc
        assert (refusal is None) == expected, refusal
        return expected

    @initialize()
    def start(self) -> None:
        self.objects = MemoryObjects()
        self.world = self.do(World.open(self.folder, objects=self.objects))
        self.root = self.do(self.world.encrypted_root("R"))

    @precondition(lambda self: self.token is None)
    @rule()
    def lock(self) -> None:
        self.counter += 1
        self.token = self.do(self.world.lock(self.root, self.counter))
        self.inside = dict(self.visible)

    @precondition(lambda self: self.token is not None)
    @rule(path=paths, body=bodies)
    def put(self, path: str, body: bytes) -> None:
        assert self.inside is not None
        allowed = self.inside.get(parent(path), b"") is FOLDER and self.inside.get(path, b"") is not FOLDER
        if self.attempt(self.world.put(f"R/{path}", body, token=self.token), allowed):
            self.inside[path] = body

    @precondition(lambda self: self.token is not None)
    @rule(path=paths, chunks=st.lists(bodies, min_size=1, max_size=3))
    def put_in_chunks(self, path: str, chunks: list[bytes]) -> None:
        assert self.inside is not None

        async def upload() -> None:
            await self.world.uploads.begin(ALICE, "t")
            try:
                for number, data in enumerate(chunks):
                    blob_id = await self.world.objects.put(data)
                    await self.world.uploads.put_chunk(ALICE, "t", str(number), blob_id=blob_id, size_bytes=len(data))
                await self.world.uploads.finish(
                    ALICE, "t", f"R/{path}", token=self.token, total_length=None, mtime=None
                )
            except CandadoError:
                await self.world.uploads.abort(ALICE, "t")
                raise

        allowed = self.inside.get(parent(path), b"") is FOLDER and self.inside.get(path, b"") is not FOLDER
        if self.attempt(upload(), allowed):
            self.inside[path] = b"".join(chunks)

    @precondition(lambda self: self.token is not None)
    @rule(path=paths)
    def make_folder(self, path: str) -> None:
        assert self.inside is not None

        async def make() -> None:
            made = await self.world.files.make_folder(ALICE, f"R/{path}", token=self.token)
            await self.world.metadata.mark_encrypted(ALICE, made.file_id, token=self.token)

        allowed = path not in self.inside and self.inside.get(parent(path), b"") is FOLDER
        if self.attempt(make(), allowed):
            self.inside[path] = FOLDER

    @precondition(lambda self: self.token is not None)
    @rule(path=paths)
    def delete(self, path: str) -> None:
        assert self.inside is not None
        if self.attempt(self.world.files.delete(ALICE, f"R/{path}", token=self.token), path in self.inside):
            for gone in below(self.inside, path):
                del self.inside[gone]

    @precondition(lambda self: self.token is not None)
    @rule(source=paths, goal=paths, overwrite=st.booleans())
    def move(self, source: str, goal: str, overwrite: bool) -> None:
        assert self.inside is not None
        tree = self.inside
        allowed = (
            source in tree
            and tree.get(parent(goal), b"") is FOLDER
            and source != goal
            and not goal.startswith(source + "/")
            and (goal not in tree or (overwrite and tree[goal] is not FOLDER))
        )
        call = self.world.files.move(ALICE, f"R/{source}", f"R/{goal}", token=self.token, overwrite=overwrite)
        if self.attempt(call, allowed):
            tree.pop(goal, None)
            for old in below(tree, source):
                tree[goal + old[len(source) :]] = tree.pop(old)

    @precondition(lambda self: self.token is not None)
    @rule(source=paths, goal=paths)
    def copy_file(self, source: str, goal: str) -> None:
        assert self.inside is not None
        tree = self.inside
        allowed = (
            tree.get(source) is not FOLDER
            and tree.get(parent(goal), b"") is FOLDER
            and source != goal
            and tree.get(goal, b"") is not FOLDER
        )
        call = self.world.files.copy(ALICE, f"R/{source}", f"R/{goal}", token=self.token, overwrite=True)
        if self.attempt(call, allowed):
            tree[goal] = tree[source]

    @precondition(lambda self: self.token is not None)
    @rule()
    def unlock(self) -> None:
        assert self.inside is not None
        self.do(self.world.sessions.unlock(ALICE, self.root.file_id, token=self.token))
        self.visible, self.inside, self.token = self.inside, None, None

    @precondition(lambda self: self.token is not None)
    @rule()
    def abort(self) -> None:
        self.do(self.world.sessions.unlock(ALICE, self.root.file_id, token=self.token, abort=True))
        self.inside, self.token = None, None

    @precondition(lambda self: self.token is not None)
    @rule(swept=st.booleans())
    def expire(self, swept: bool) -> None:
        self.world.clock.time += 1_000
        if swept:
            self.do(sweep(self.world.backend))
        self.inside, self.token = None, None

    @rule()
    def time_passes_and_garbage_goes(self) -> None:
        self.world.clock.time += 1 if self.token is not None else 10_000
        self.do(sweep(self.world.backend))

    @precondition(lambda self: self.token is not None)
    @rule(torn=st.booleans())
    def power_fails_after_all_rows_were_written(self, torn: bool) -> None:
        self.objects.cut_power(torn=torn)
        self.inside, self.token = None, None

    @invariant()
    def what_everybody_sees_is_the_model(self) -> None:
        if not hasattr(self, "world"):
            return
        seen = self.do(self.world.tree("R"))
        shown = {path[2:]: (value if isinstance(value, bytes) else FOLDER) for path, value in seen.items()}
        assert shown == {path: body for path, body in self.visible.items() if path}
        errors = [f for f in self.do(self.world.findings(read_data=True)) if f.severity == "error"]
        assert errors == []


TestSessions = SessionMachine.TestCase

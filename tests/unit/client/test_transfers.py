"""Bodies on their way: files that change, connections that break, keys that are never used twice."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.sim import World, stock
from tests.unit.client.devices import Device, MemoryTree

from candado.client import edit
from candado.client.bodies import PIECE_BYTES, FileBody, MemoryFile, ProgressEvent
from candado.client.reader import FolderReader
from candado.client.session import UploadItem, WriteSession, Written
from candado.client.transfer import BytesSource
from candado.crypto.filebody import open_body
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    DiskFullError,
    FileChangedError,
    ForbiddenError,
    InterruptedByUserError,
    LimitExceededError,
    LocalPermissionError,
    MisuseError,
    QuotaExceededError,
    RateLimitedError,
    RemoteBugError,
    TransportError,
)
from candado.ports.client import LocalStat
from candado.types import FileKey, Nonce

BIG = bytes(range(256)) * 10_000


class ChangingFile(MemoryFile):
    """A file whose content or state is not what its first look said."""

    def __init__(self, data: bytes, *, announced: int, changed: bool) -> None:
        super().__init__(data, 0)
        self.stat = type(self.stat)(False, announced, 0, 0)
        self.changed = changed
        self.closed = 0

    def check_unchanged(self) -> None:
        if self.changed:
            raise FileChangedError

    def close(self) -> None:
        self.closed += 1


class Changing:
    def __init__(self, data: bytes, *, announced: int | None = None, changed: bool = False) -> None:
        self.data, self.changed = data, changed
        self.announced = len(data) if announced is None else announced
        self.opened: list[ChangingFile] = []

    def open(self) -> Any:
        self.opened.append(ChangingFile(self.data, announced=self.announced, changed=self.changed))
        return self.opened[-1]


class Unreadable:
    def open(self) -> Any:
        raise LocalPermissionError


async def _secret(**options: Any) -> tuple[World, Device]:
    world = World()
    device = Device(world, **options)
    await edit.encrypt_folder(device.account, "/Secret")
    return world, device


@contextmanager
def _patched(remote: Any, name: str, function: Any) -> Iterator[None]:
    before = getattr(remote, name)
    setattr(remote, name, function(before))
    yield
    setattr(remote, name, before)


@pytest.mark.parametrize("size", [100, 3_000_000])
@pytest.mark.parametrize(
    ("announced", "changed"), [(0, True), (+1, False), (-1, False)], ids=["touched", "shorter", "longer"]
)
async def test_a_file_that_changes_while_it_is_read_is_left_out_and_the_others_go_on(
    size: int, announced: int, changed: bool
) -> None:
    if announced == -1 and size > PIECE_BYTES:
        changed = True  # a big file that has grown is found by its changed state, after the announced part was read
    _, device = await _secret()
    source = Changing(bytes(size), announced=size + announced, changed=changed)
    async with WriteSession(device.reader(), "/Secret") as session:
        results = await session.put_files(
            [
                UploadItem("/Secret/good", BytesSource(b"g", 0)),
                UploadItem("/Secret/moving", source),
                UploadItem("/Secret/closed", Unreadable()),
            ]
        )
    assert [type(result) for result in results] == [Written, FileChangedError, LocalPermissionError]
    assert [result.path for result in results] == ["/Secret/good", "/Secret/moving", "/Secret/closed"]
    assert await device.tree() == {"good": b"g"}
    assert [file.closed for file in source.opened] == [1]
    view = await device.reader().open_root("/Secret")
    assert view.problems == ()


@pytest.mark.parametrize("error", [TransportError("cut"), RemoteBugError(), RateLimitedError(after_seconds=7.0)])
@pytest.mark.parametrize("data", [b"small", BIG])
async def test_every_attempt_of_an_upload_has_a_fresh_key_and_nonce(error: Exception, data: bytes) -> None:
    world, device = await _secret()
    bodies: list[bytes] = []

    def failing(honest: Any) -> Any:
        async def call(path: str, body: Any, **options: Any) -> Any:
            whole = body if isinstance(body, bytes) else b"".join([bytes(piece) async for piece in body.chunks()])
            bodies.append(whole)
            if len(bodies) <= 2:
                raise error
            return await world.remote("alice").put_bytes(path, whole, **options)

        return call

    with _patched(device.remote, "put_bytes", failing), _patched(device.remote, "put", failing):
        await device.put("/Secret", {"x": data})
    assert len(set(bodies)) == 3
    assert await device.tree() == {"x": data}
    assert len(world.clock.sleeps) == 2
    if isinstance(error, RateLimitedError):
        assert min(world.clock.sleeps) >= 3.5


async def test_attempts_are_bounded_and_then_the_session_is_undone() -> None:
    world, device = await _secret(remote=None)
    hostile = world.hostile("alice")
    device.remote = hostile
    device.start()
    hostile.fail("put_bytes", TransportError("gone"), times=100)
    with pytest.raises(TransportError):
        await device.put("/Secret", {"x": b"1"})
    hostile.honest()
    assert world.server.locks == {}
    assert await device.tree() == {}
    assert sum(world.clock.sleeps) < 120


@pytest.mark.parametrize("error", [ForbiddenError(), BadRequestError(), LimitExceededError()])
async def test_a_rule_of_the_server_stops_one_file_only(error: Exception) -> None:
    world, device = await _secret()
    hostile = world.hostile("alice")
    device.remote = hostile
    device.start()
    hostile.fail("put_bytes", error)
    report = await device.put("/Secret", {"a": b"1", "b": b"2"}, transfers=1)
    assert [type(failure.error) for failure in report.failures] == [type(error)]
    assert await device.tree() == {"b": b"2"}


async def test_a_full_server_met_by_one_file_undoes_all() -> None:
    world, device = await _secret()
    hostile = world.hostile("alice")
    device.remote = hostile
    device.start()
    hostile.fail("put_bytes", QuotaExceededError())
    with pytest.raises(QuotaExceededError):
        await device.put("/Secret", {"a": b"1", "b": b"2"})
    assert (await device.tree(), world.server.locks) == ({}, {})


async def test_a_full_disk_leaves_no_half_made_file() -> None:
    _, device = await _secret()
    await device.put("/Secret", {"a": b"1", "big": BIG})

    class Full(MemoryTree):
        def open_spool(self) -> Any:
            spool: Any = super().open_spool()

            def write(data: bytes) -> None:
                raise DiskFullError

            spool.write = write
            return spool

    tree = Full()
    with pytest.raises(DiskFullError):
        await edit.get(device.account, "/Secret", tree, "")
    assert (tree.files, tree.rest()) == ({}, [])


async def test_a_disk_that_is_full_when_files_get_their_names_keeps_what_was_finished() -> None:
    _, device = await _secret()
    await device.put("/Secret", {"a": b"1", "b": b"2"})

    class Full(MemoryTree):
        def publish(self, items: Iterable[Any]) -> list[LocalStat | Exception]:
            first, *rest = items
            return [*super().publish([first]), *[DiskFullError() for _ in rest]]

    tree = Full()
    with pytest.raises(DiskFullError):
        await edit.get(device.account, "/Secret", tree, "")
    assert (len(tree.files), tree.rest()) == (1, [])


async def test_an_interrupted_command_gives_the_lock_back() -> None:
    world, device = await _secret()
    started = asyncio.Event()

    def hanging(_: Any) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            started.set()
            await asyncio.Event().wait()

        return call

    with _patched(device.remote, "put_bytes", hanging):
        task = asyncio.create_task(device.put("/Secret", {"x": b"1"}))
        await started.wait()
        assert len(world.server.locks) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert world.server.locks == {}
    assert device.state.load_all("session") == {}
    assert await device.tree() == {}
    await device.put("/Secret", {"x": b"1"})


@pytest.mark.parametrize("method", ["update_metadata", "unlock", "list_folder", "lock"])
async def test_a_command_interrupted_while_it_ends_leaves_old_or_new(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candado.client.lock._ANSWER_SECONDS", 0.01)
    world, device = await _secret()
    started = asyncio.Event()
    calls = 0

    def hanging(honest: Any) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if (calls > 1 or method != "list_folder") and not started.is_set():
                started.set()
                await asyncio.Event().wait()
            return await honest(*args, **kwargs)

        return call

    with _patched(device.remote, method, hanging):
        task = asyncio.create_task(device.put("/Secret", {"x": b"1"}))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert world.server.locks == {}
    assert await Device(world).tree() in ({}, {"x": b"1"})
    await device.put("/Secret", {"y": b"2"})


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
async def test_a_streamed_body_is_what_sealing_in_one_piece_gives(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    key, nonce = FileKey(b"k" * 16), Nonce(b"n" * 12)
    told: list[int] = []
    body = FileBody(MemoryFile(data, 0), key, nonce, told.append)
    sealed = b"".join([bytes(piece) async for piece in body.chunks()])
    assert len(sealed) == body.size_bytes
    assert open_body(key, nonce, sealed) == data
    assert sealed[-16:] == body.tag
    assert told == sorted(told)


async def test_progress_tells_of_every_file_and_ends_with_its_size() -> None:
    _, device = await _secret()
    events: list[ProgressEvent] = []
    await device.put("/Secret", {"a": b"123", "big": BIG}, progress=events.append)
    tree = MemoryTree()
    await edit.get(device.account, "/Secret", tree, "", progress=events.append)
    ends = {(event.path, event.direction): event.bytes_done for event in events if event.finished}
    assert ends == {
        ("/Secret/a", "up"): 3,
        ("/Secret/big", "up"): len(BIG),
        ("/Secret/a", "down"): 3,
        ("/Secret/big", "down"): len(BIG),
    }
    assert all(0 <= event.bytes_done <= event.bytes_total for event in events)


async def test_a_session_refuses_what_it_cannot_do_and_stays_usable() -> None:
    _, device = await _secret()
    await device.put("/Secret", {"a/x": b"1", "f": b"2"})
    async with WriteSession(device.reader(), "/Secret/a") as session:
        with pytest.raises(MisuseError):
            await session.put_file("/Secret/outside", BytesSource(b"", 0))
        with pytest.raises(MisuseError):
            await session.rekey(lambda root, key: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(AlreadyExistsError):
            await session.put_file("/Secret/a/x", BytesSource(b"", 0))
        with pytest.raises(AlreadyExistsError):
            await session.add_folder("/Secret/a/x")
        await session.put_file("/Secret/a/x", BytesSource(b"new", 0), replace=True)
    assert await device.tree() == {"a": None, "a/x": b"new", "f": b"2"}
    async with WriteSession(device.reader(), "/Secret") as session:
        with pytest.raises(MisuseError):
            await session.move("/Secret/a", "/Secret/a/inside")
    assert await device.tree() == {"a": None, "a/x": b"new", "f": b"2"}


async def test_on_a_stock_server_a_new_folder_is_filled_in_the_next_session() -> None:
    world, device = await _secret()
    world.server.capabilities = stock()
    world.clock.advance(4000)
    device.start()
    async with WriteSession(device.reader(), "/Secret") as session:
        assert not session.one_session
        await session.add_folder("/Secret/new")
        with pytest.raises(MisuseError):
            await session.put_file("/Secret/new/x", BytesSource(b"1", 0))
    async with WriteSession(device.reader(), "/Secret/new") as session:
        await session.put_file("/Secret/new/x", BytesSource(b"1", 0))
    assert await device.tree() == {"new": None, "new/x": b"1"}


async def test_a_session_without_changes_writes_nothing() -> None:
    world, device = await _secret()
    before = dict(world.server.tree.metadata)
    async with WriteSession(device.reader(), "/Secret"):
        pass
    assert world.server.tree.metadata == before
    assert world.server.locks == {}


async def test_an_error_in_the_block_undoes_what_was_sent() -> None:
    world, device = await _secret()

    async def act() -> None:
        async with WriteSession(FolderReader(device.account), "/Secret") as session:
            await session.put_file("/Secret/x", BytesSource(b"1", 0))
            raise InterruptedByUserError

    with pytest.raises(InterruptedByUserError):
        await act()
    assert await device.tree() == {}
    assert world.server.locks == {}


async def test_where_chunks_are_not_staged_a_big_replacement_goes_beside_the_old_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("candado.client.session._CHUNKED_ABOVE_BYTES", 2_000_000)
    world, device = await _secret()
    world.server.capabilities = stock()
    world.clock.advance(4000)
    device.start()
    await device.put("/Secret", {"big": BIG, "small": b"s"})
    before = (await device.reader().open_root("/Secret")).entries
    world.server.log.clear()
    await device.put("/Secret", {"big": BIG + b"!", "small": b"t"}, conflict="replace")
    after = (await device.reader().open_root("/Secret")).entries
    assert before["big"].sealed_name != after["big"].sealed_name
    assert before["small"].sealed_name == after["small"].sealed_name
    methods = [request.method for request in world.server.log]
    assert methods.index("put") < methods.index("delete")
    assert await device.tree() == {"big": BIG + b"!", "small": b"t"}


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_late_request_of_a_lost_attempt_cannot_overwrite_the_one_that_counts(replaced: bool) -> None:
    world, device = await _secret()
    if replaced:
        await device.put("/Secret", {"x": b"old content"})
    late: list[tuple[str, bytes, Any]] = []

    def losing(honest: Any) -> Any:
        async def call(path: str, body: bytes, **options: Any) -> Any:
            if not late:
                late.append((path, body, options["token"]))
                raise TransportError("no answer in time")
            answer = await honest(path, body, **options)
            stale_path, stale_body, token = late[0]
            await honest(stale_path, stale_body, token=token)
            return answer

        return call

    with _patched(device.remote, "put_bytes", losing):
        await device.put("/Secret", {"x": b"new content"}, conflict="replace")
    assert await device.tree() == {"x": b"new content"}
    assert await Device(world).tree() == {"x": b"new content"}


async def test_a_lost_attempt_followed_by_a_changed_file_undoes_the_session() -> None:
    world, device = await _secret()
    await device.put("/Secret", {"x": b"old content"})
    source = Changing(b"new content")

    def losing(honest: Any) -> Any:
        async def call(path: str, body: bytes, **options: Any) -> Any:
            await honest(path, body, **options)
            source.changed = True
            raise TransportError("the answer was lost")

        return call

    async def act() -> None:
        async with WriteSession(device.reader(), "/Secret") as session:
            await session.put_files([UploadItem("/Secret/x", source, replace=True)])

    with _patched(device.remote, "put_bytes", losing), pytest.raises(TransportError):
        await act()
    assert await Device(world).tree() == {"x": b"old content"}
    assert world.server.locks == {}


async def test_a_file_is_closed_only_after_the_thread_that_reads_ahead_has_ended() -> None:
    _, device = await _secret()
    reading = 0
    closed_while_reading: list[bool] = []

    class Slow(ChangingFile):
        def read_into(self, buffer: memoryview) -> int:
            nonlocal reading
            reading += 1
            try:
                return super().read_into(buffer)
            finally:
                reading -= 1

        def close(self) -> None:
            closed_while_reading.append(reading > 0)

    class Source:
        def open(self) -> Any:
            return Slow(BIG, announced=len(BIG), changed=False)

    def refusing(_: Any) -> Any:
        async def call(path: str, body: Any, **options: Any) -> Any:
            async for _piece in body.chunks():
                raise QuotaExceededError

        return call

    async def act() -> None:
        async with WriteSession(device.reader(), "/Secret") as session:
            await session.put_file("/Secret/x", Source())

    with _patched(device.remote, "put", refusing), pytest.raises(QuotaExceededError):
        await act()
    assert closed_while_reading == [False]

"""HttpRemote against a server that lies on the wire."""

import asyncio
import datetime as dt
import ipaddress
import json
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.sim import FakeClock, SeededRandom
from tests.unit.adapters.lying_server import Got, LyingServer, Reply, Script, lying

from candado.adapters.ambient import SystemClock
from candado.adapters.http import HttpRemote
from candado.adapters.http_settings import HttpSettings, check_server_url
from candado.errors import (
    AlreadyExistsError,
    AuthRequiredError,
    BadRequestError,
    CandadoError,
    CounterConflictError,
    FileChangedError,
    FolderNotEmptyError,
    ForbiddenError,
    KeysExistError,
    LimitExceededError,
    LocalStorageError,
    LockedError,
    LockLostError,
    MalformedError,
    MisuseError,
    NoKeysError,
    NotFoundError,
    PeerWithoutKeysError,
    PreconditionFailedError,
    QuotaExceededError,
    RateLimitedError,
    RedirectError,
    RemoteBugError,
    TlsError,
    TransportError,
    UsageError,
)
from candado.ports.client import Capabilities, PutResult, UserInfo
from candado.types import Counter, FileId, LockToken, SecretText, UserId

ALICE = UserId("alice")
TOKEN = LockToken("tokenCANARY" + "x" * 53)


def ocs(data: Any, status: int = 200, code: int | None = None, headers: dict[str, str] | None = None) -> Reply:
    meta = {"status": "ok", "statuscode": code if code is not None else status, "message": "OK"}
    return Reply(status, json.dumps({"ocs": {"meta": meta, "data": data}}).encode(), headers or {})


def remote_of(server: LyingServer, clock: FakeClock | None = None, **settings: Any) -> HttpRemote:
    return HttpRemote(
        server.url,
        "alice",
        ALICE,
        SecretText("passwordCANARY"),
        clock=clock or FakeClock(),
        random=SeededRandom(7),
        settings=HttpSettings(**{"idle_seconds": 5.0, **settings}),
    )


class Pieces:
    """A body that yields given pieces, through one buffer that is used again."""

    def __init__(self, pieces: list[bytes], size: int | None = None, fault: Exception | None = None) -> None:
        self._pieces = pieces
        self._fault = fault
        self.size_bytes = sum(map(len, pieces)) if size is None else size
        self.uses = 0

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        self.uses += 1
        buffer = bytearray(max(map(len, self._pieces), default=0))
        for piece in self._pieces:
            buffer[: len(piece)] = piece
            yield memoryview(buffer)[: len(piece)]
        if self._fault is not None:
            raise self._fault


async def failing(
    script: Script, act: str, *arguments: Any, **options: Any
) -> tuple[CandadoError, list[Got], FakeClock]:
    """Run one method against the script; what it raised, what was sent, the clock that was slept on."""
    clock = FakeClock()

    async def run() -> None:
        result = getattr(remote, act)(*arguments, **options)
        if hasattr(result, "__aiter__"):
            async for _ in result:
                pass
        else:
            await result

    async with lying(script) as server:
        remote = remote_of(server, clock)
        try:
            with pytest.raises(CandadoError) as caught:
                await run()
        finally:
            await remote.close()
        return caught.value, server.got, clock


# --- what every request carries --------------------------------------------------------------------------


async def test_requests_carry_credentials_in_headers_and_nothing_secret_in_urls_or_logs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with lying(
        lambda got: ocs({"e2e-token": "t" * 64, "meta-data": "{}"}) if "lock" in got.target else ocs([])
    ) as server:
        remote = remote_of(server)
        await remote.lock(FileId(5), Counter(3), resume=TOKEN)
        await remote.update_metadata(FileId(5), TOKEN, '{"x":1}', "c2ln")
        await remote.put_bytes("/a b/ü", b"x", token=TOKEN, mtime_seconds=12.9)
        await remote.delete("/a b/ü", token=TOKEN)
        await remote.unlock(FileId(5), TOKEN, abort=True)
        await remote.close()
        assert remote.requests == len(server.got) == 5
        for got in server.got:
            assert got.headers["authorization"] == "Basic YWxpY2U6cGFzc3dvcmRDQU5BUlk="
            assert got.headers["user-agent"] == "candado/0.1.0"
            assert got.headers["x-e2ee-supported"] == "true"
            assert got.headers["ocs-apirequest"] == "true"
            assert got.headers["accept-encoding"] == "identity"
            assert "cookie" not in got.headers
            assert "CANARY" not in got.target
        lock, metadata, put, delete, unlock = server.got
        assert lock.headers["x-nc-e2ee-counter"] == "3"
        assert "e2e-token" not in lock.headers
        assert json.loads(lock.body) == {"e2e-token": TOKEN.reveal()}
        assert json.loads(metadata.body) == {"metaData": '{"x":1}'}
        assert metadata.headers["x-nc-e2ee-signature"] == "c2ln"
        assert put.target == "/remote.php/dav/files/alice/a%20b/%C3%BC"
        assert (put.body, put.headers["x-oc-mtime"]) == (b"x", "12")
        assert [got.headers["e2e-token"] for got in (metadata, put, delete, unlock)] == [TOKEN.reveal()] * 4
        assert unlock.target.endswith("/lock/5?format=json&abort=true")
    assert "/lock/5" in caplog.text
    assert "CANARY" not in caplog.text
    assert "YWxpY2" not in caplog.text


async def test_cookies_are_neither_kept_nor_sent() -> None:
    async with lying(lambda _: ocs({"public-key": "PEM"}, headers={"Set-Cookie": "session=stolen; Path=/"})) as server:
        remote = remote_of(server)
        await remote.server_key()
        await remote.server_key()
        await remote.close()
        assert ["cookie" in got.headers for got in server.got] == [False, False]
        assert server.connections == 1


def test_short_requests_and_streams_work_on_the_loop_that_commands_use() -> None:
    async def story() -> None:
        async with lying(lambda got: ocs({"public-key": "PEM"}) if "ocs" in got.target else Reply(201)) as server:
            remote = remote_of(server)
            assert await remote.server_key() == "PEM"
            for _ in range(3):
                await remote.put_bytes("/f", bytes(100_000), token=None)
            await remote.put("/g", Pieces([b"x" * 400_000] * 3), token=None)
            await remote.close()
            assert [len(got.body) for got in server.got] == [0, 100_000, 100_000, 100_000, 1_200_000]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


# --- redirects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["server_key", "list_folder", "put_bytes"])
async def test_credentials_never_follow_a_redirect_to_another_origin(status: int, method: str) -> None:
    async with lying(lambda _: ocs({"public-key": "evil"})) as thief:

        def script(_: Got) -> Reply:
            return Reply(status, headers={"Location": f"{thief.url}/somewhere"})

        arguments: dict[str, tuple[Any, ...]] = {"server_key": (), "list_folder": ("/",), "put_bytes": ("/x", b"x")}
        every: dict[str, dict[str, Any]] = {"server_key": {}, "list_folder": {"depth": 1}, "put_bytes": {"token": None}}
        options = every[method]
        error, got, _ = await failing(script, method, *arguments[method], **options)
        assert isinstance(error, RedirectError)
        assert (len(got), len(thief.got), thief.connections) == (1, 0, 0)


@pytest.mark.parametrize(
    "location", ["https://127.0.0.1/x", "//evil.example/x", "file:///etc/passwd", "http://127.0.0.1:1/x", "http://[bad"]
)
async def test_odd_redirect_targets_are_refused(location: str) -> None:
    error, got, _ = await failing(lambda _: Reply(302, headers={"Location": location}), "server_key")
    assert isinstance(error, (RedirectError, MalformedError))
    assert len(got) == 1


async def test_a_get_follows_a_redirect_inside_the_origin_but_not_in_circles() -> None:
    def script(got: Got) -> Reply:
        if "server-key" in got.target:
            return Reply(307, headers={"Location": "/moved"})
        return ocs({"public-key": "PEM"})

    async with lying(script) as server:
        remote = remote_of(server)
        assert await remote.server_key() == "PEM"
        await remote.close()
    error, got, _ = await failing(lambda _: Reply(302, headers={"Location": "/again"}), "server_key")
    assert isinstance(error, RedirectError)
    assert len(got) == 4


# --- statuses ------------------------------------------------------------------------------------------------

PUT = ("put_bytes", ("/d/f", b"x"))
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "put": (*PUT, {"token": TOKEN}),
    "put plain": (*PUT, {"token": None}),
    "mkcol": ("make_folder", ("/d",), {"token": TOKEN}),
    "move": ("move", ("/a", "/b"), {"token": TOKEN}),
    "get": ("get_bytes", ("/a",), {"size_max": 10}),
    "many": ("get_many", ("/d", ["a"], [3]), {}),
    "list": ("list_folder", ("/a",), {"depth": 1}),
    "user": ("user_info", (), {}),
    "lock": ("lock", (FileId(5), Counter(1)), {}),
    "unlock": ("unlock", (FileId(5), TOKEN), {}),
    "create": ("create_metadata", (FileId(5), TOKEN, "{}", "s"), {}),
    "update": ("update_metadata", (FileId(5), TOKEN, "{}", "s"), {}),
    "metadata": ("metadata", (FileId(5),), {}),
    "drop": ("delete_metadata", (FileId(5), TOKEN), {}),
    "mark": ("mark_encrypted", (FileId(5),), {}),
    "csr": ("register_certificate", ("PEM",), {}),
    "private": ("private_key", (), {}),
    "store": ("store_private_key", ("x",), {}),
    "share": ("create_share", ("/a", UserId("bob")), {"permissions": 31}),
    "unregister": ("delete_certificate", (SecretText("login password"),), {}),
}


@pytest.mark.parametrize(
    ("call", "status", "expected"),
    [
        ("user", 400, BadRequestError), ("user", 401, AuthRequiredError), ("user", 403, ForbiddenError),
        ("user", 418, RemoteBugError), ("user", 500, RemoteBugError), ("user", 429, RateLimitedError),
        ("user", 503, RemoteBugError), ("get", 404, NotFoundError), ("list", 404, NotFoundError),
        ("many", 404, NotFoundError), ("many", 400, BadRequestError),
        ("put", 403, ForbiddenError), ("put", 404, NotFoundError), ("put", 409, NotFoundError),
        ("put", 412, PreconditionFailedError), ("put", 413, QuotaExceededError), ("put", 423, LockLostError),
        ("put", 507, QuotaExceededError), ("put plain", 423, LockedError), ("put", 500, RemoteBugError),
        ("mkcol", 405, AlreadyExistsError), ("mkcol", 409, NotFoundError), ("mkcol", 423, LockLostError),
        ("move", 412, AlreadyExistsError), ("move", 404, NotFoundError),
        ("lock", 403, ForbiddenError), ("lock", 412, CounterConflictError), ("lock", 423, LockedError),
        ("unlock", 403, LockLostError), ("unlock", 404, LockLostError),
        ("create", 403, LockLostError), ("create", 409, AlreadyExistsError),
        ("update", 412, LockLostError), ("update", 404, NotFoundError), ("update", 403, ForbiddenError),
        ("metadata", 404, NotFoundError), ("drop", 412, LockLostError),
        ("mark", 404, FolderNotEmptyError), ("csr", 409, KeysExistError), ("store", 409, KeysExistError),
        ("private", 404, NoKeysError), ("share", 404, NotFoundError), ("unregister", 403, ForbiddenError),
    ],
)  # fmt: skip
async def test_each_status_has_its_meaning(call: str, status: int, expected: type[CandadoError]) -> None:
    method, arguments, options = CALLS[call]
    error, _, _ = await failing(lambda _: Reply(status, b"bodyCANARY"), method, *arguments, **options)
    assert type(error) is expected or isinstance(error, expected)
    assert "CANARY" not in f"{error!r} {error.message} {error.advice} {error.path}"


async def test_the_status_inside_the_envelope_counts_too() -> None:
    error, _, _ = await failing(lambda _: ocs([], 200, code=403), "server_key")
    assert isinstance(error, ForbiddenError)


async def test_a_share_of_somebody_else_than_asked_for_is_refused() -> None:
    share = {"id": "7", "share_type": 0, "uid_owner": "alice", "share_with": "mallory", "permissions": 31,
             "path": "/a", "file_source": 5}  # fmt: skip
    error, _, _ = await failing(lambda _: ocs(share), "create_share", "/a", UserId("bob"), permissions=31)
    assert isinstance(error, MalformedError)


async def test_it_is_found_out_whose_certificate_is_missing() -> None:
    def only_own(got: Got) -> Reply:
        return ocs({"public-keys": {"alice": "PEM"}}) if "bob" not in got.target else ocs([], 404)

    error, _, _ = await failing(only_own, "certificates", [UserId("bob")])
    assert isinstance(error, PeerWithoutKeysError)
    assert error.path == "bob"
    error, _, _ = await failing(lambda _: ocs([], 404), "certificates", [UserId("bob")])
    assert type(error) is NoKeysError
    error, _, _ = await failing(lambda _: ocs({"public-keys": []}), "certificates", [UserId("bob")])
    assert isinstance(error, PeerWithoutKeysError)


# --- repetitions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_reads_are_repeated_with_growing_pauses_and_writes_are_not(status: int) -> None:
    error, got, clock = await failing(lambda _: Reply(status), "server_key")
    assert (len(got), isinstance(error, (RemoteBugError, RateLimitedError))) == (4, True)
    assert clock.monotonic() > 1.5 if status != 429 else clock.monotonic() >= 90
    for method, arguments, options in (CALLS["put"], CALLS["lock"], CALLS["create"], CALLS["move"], CALLS["mkcol"]):
        error, got, _ = await failing(lambda _: Reply(status), method, *arguments, **options)
        assert len(got) == 1


async def test_retry_after_is_honoured_within_reason() -> None:
    answers = [Reply(503, headers={"Retry-After": "7"}), ocs({"public-key": "PEM"})]
    clock = FakeClock()
    async with lying(lambda _: answers.pop(0)) as server:
        remote = remote_of(server, clock)
        start = clock.monotonic()
        assert await remote.server_key() == "PEM"
        await remote.close()
    assert clock.monotonic() - start == 7
    error, got, _ = await failing(lambda _: Reply(429, headers={"Retry-After": "86400"}), "server_key")
    assert isinstance(error, RateLimitedError)
    assert (len(got), error.after_seconds) == (1, 3600.0)


async def test_an_unlock_whose_answer_was_lost_is_repeated() -> None:
    answers = [Reply(cut=0, raw=b""), ocs([])]
    async with lying(lambda _: answers.pop(0)) as server:
        remote = remote_of(server)
        await remote.unlock(FileId(5), TOKEN)
        await remote.close()
        assert [got.method for got in server.got] == ["DELETE", "DELETE"]


async def test_a_write_whose_answer_was_lost_is_reported_with_an_unknown_outcome() -> None:
    error, got, _ = await failing(lambda _: Reply(raw=b""), "lock", FileId(5), Counter(1))
    assert isinstance(error, TransportError)
    assert (error.outcome_known, len(got)) == (False, 1)


async def test_a_server_that_is_not_there_is_reported_with_a_known_outcome() -> None:
    async with lying(lambda _: Reply()) as server:
        url = server.url
    remote = HttpRemote(url, "alice", ALICE, SecretText("x"), clock=FakeClock(), random=SeededRandom(1))
    with pytest.raises(TransportError) as caught:
        await remote.put_bytes("/f", b"x", token=None)
    await remote.close()
    assert caught.value.outcome_known is True
    assert remote.requests == 1


async def test_a_silent_server_is_given_up() -> None:
    async with lying(lambda _: Reply(hang=True)) as server:
        remote = remote_of(server, idle_seconds=0.2, attempts=1)
        with pytest.raises(TransportError, match="stopped answering"):
            await remote.server_key()
        await remote.close()


# --- answers that are too large, too short, not HTTP ------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "limit"), [("user", 1 << 20), ("lock", 1 << 20), ("get", 10), ("put", 1 << 20), ("metadata", 48 << 20)]
)
async def test_an_announced_size_above_the_limit_is_refused_before_the_body(call: str, limit: int) -> None:
    method, arguments, options = CALLS[call]
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {limit + 1}\r\n\r\n".encode()
    error, _, _ = await failing(lambda _: Reply(raw=head + b"x"), method, *arguments, **options)
    assert isinstance(error, LimitExceededError)


async def test_an_endless_body_is_cut_at_the_limit() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
    error, _, _ = await failing(lambda _: Reply(raw=head + chunk * 30), "user_info")
    assert isinstance(error, LimitExceededError)


async def test_an_endless_header_is_refused() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n"
    error, _, _ = await failing(lambda _: Reply(raw=raw), "put_bytes", "/f", b"x", token=None)
    assert isinstance(error, LimitExceededError)


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n"])
async def test_an_answer_that_is_not_http_is_refused(raw: bytes) -> None:
    error, _, _ = await failing(lambda _: Reply(raw=raw), "put_bytes", "/f", b"x", token=None)
    assert isinstance(error, (MalformedError, TransportError))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"<ocs/>", b'{"ocs":{}}', b'{"ocs":{"meta":{"statuscode":200},"data":[]}}', b"\xff"]
)
async def test_an_answer_that_is_not_the_protocol_is_refused(body: bytes) -> None:
    error, _, _ = await failing(lambda _: Reply(200, body), "server_key")
    assert isinstance(error, MalformedError)


@pytest.mark.parametrize("token", ["", "a\r\nX: y", "ü", "x" * 513, None, 5])
async def test_a_lock_token_that_could_not_be_a_header_is_refused(token: object) -> None:
    error, _, _ = await failing(lambda _: ocs({"e2e-token": token}), "lock", FileId(5), Counter(1))
    assert isinstance(error, MalformedError)


# --- downloads ------------------------------------------------------------------------------------------------


async def download(remote: HttpRemote, path: str, size: int) -> bytes:
    return b"".join([bytes(piece) async for piece in remote.get(path, size_expected=size)])


async def test_a_download_comes_in_pieces_of_at_most_one_mebibyte() -> None:
    content = bytes(range(256)) * 40_000
    async with lying(lambda _: Reply(200, content)) as server:
        remote = remote_of(server)
        pieces = [bytes(piece) async for piece in remote.get("/f", size_expected=len(content))]
        await remote.close()
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1 << 20


@pytest.mark.parametrize("size", [0, 5, 7, 100])
async def test_a_download_of_another_length_is_refused(size: int) -> None:
    error, got, _ = await failing(lambda _: Reply(200, b"sixsix"), "get", "/f", size_expected=size)
    assert isinstance(error, MalformedError)
    assert len(got) == 1


async def test_a_download_without_a_length_is_still_bounded() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n"
    for size in (4, 7, 11):
        error, _, _ = await failing(lambda _: Reply(raw=raw), "get", "/f", size_expected=size)
        assert isinstance(error, MalformedError)


async def test_a_broken_download_goes_on_where_it_stopped() -> None:
    content = bytes(range(256)) * 1000

    def script(got: Got) -> Reply:
        if "range" not in got.headers:
            return Reply(200, content, {"ETag": '"v1"'}, cut=100_000)
        start = int(got.headers["range"].removeprefix("bytes=").removesuffix("-"))
        rest = content[start:]
        return Reply(206, rest, {"ETag": '"v1"', "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})

    async with lying(script) as server:
        remote = remote_of(server)
        assert await download(remote, "/f", len(content)) == content
        await remote.close()
        assert [got.headers.get("if-match") for got in server.got] == [None, '"v1"']


async def test_a_download_is_not_patched_together_from_two_versions() -> None:
    answers = [Reply(200, b"x" * 1000, {"ETag": '"v1"'}, cut=500), Reply(200, b"y" * 1000, {"ETag": '"v2"'})]
    error, _, _ = await failing(lambda _: answers.pop(0), "get", "/f", size_expected=1000)
    assert isinstance(error, PreconditionFailedError)
    answers = [Reply(200, b"x" * 1000, {"ETag": '"v1"'}, cut=500), Reply(412)]
    error, _, _ = await failing(lambda _: answers.pop(0), "get", "/f", size_expected=1000)
    assert isinstance(error, PreconditionFailedError)


async def test_a_download_that_breaks_again_and_again_ends() -> None:
    def script(got: Got) -> Reply:
        start = int(got.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": '"v1"', "Content-Range": f"bytes {start}-999/1000"}
        return Reply(206 if start else 200, b"x" * (1000 - start), headers, cut=10)

    error, got, _ = await failing(script, "get", "/f", size_expected=1000)
    assert isinstance(error, TransportError)
    assert len(got) == 6


async def test_a_small_file_that_is_too_large_is_refused() -> None:
    error, _, _ = await failing(lambda _: Reply(200, b"x" * 11), "get_bytes", "/f", size_max=10)
    assert isinstance(error, LimitExceededError)


# --- uploads --------------------------------------------------------------------------------------------------


async def test_a_body_arrives_as_it_was_made_though_its_buffer_is_used_again() -> None:
    pieces = [bytes([number]) * (1 << 20) for number in range(20)] + [b"end"]
    async with lying(lambda _: Reply(201, headers={"OC-FileId": "00000042ocabc", "OC-ETag": '"e1"'})) as server:
        remote = remote_of(server)
        body = Pieces(pieces)
        assert await remote.put("/f", body, token=TOKEN) == PutResult(FileId(42), "e1")
        await remote.close()
        assert server.got[0].body == b"".join(pieces)
        assert server.got[0].headers["content-length"] == str(body.size_bytes)
        assert body.uses == 1


async def test_the_fault_of_a_body_comes_through_as_it_is() -> None:
    fault = FileChangedError("it changed", path="local/f")
    error, got, _ = await failing(lambda _: Reply(201), "put", "/f", Pieces([b"x" * 10], 20, fault), token=None)
    assert error is fault
    assert got == []


@pytest.mark.parametrize("size", [9, 11])
async def test_a_body_that_lies_about_its_size_is_a_bug_of_ours(size: int) -> None:
    error, got, _ = await failing(lambda _: Reply(201), "put", "/f", Pieces([b"x" * 10], size), token=None)
    assert isinstance(error, MisuseError)
    assert got == []


async def test_a_refusal_before_the_body_was_sent_is_understood() -> None:
    body = Pieces([b"x" * (1 << 20)] * 32)
    error, _, _ = await failing(lambda _: Reply(507, read_body=False), "put", "/f", body, token=None)
    assert isinstance(error, (QuotaExceededError, TransportError))


async def test_a_large_body_goes_up_in_chunks_that_are_repeated_one_by_one() -> None:
    content = bytes(range(256)) * 400
    fails = {"00002": [Reply(503), Reply(raw=b"")]}

    def script(got: Got) -> Reply:
        name = got.target.rpartition("/")[2]
        if "capabilities" in got.target:
            return ocs({"version": {}, "capabilities": {"files": {"chunked_upload": {"max_size": 30_000}}}})
        if fails.get(name):
            return fails[name].pop(0)
        return Reply(201, headers={"OC-FileId": "9", "ETag": '"done"'})

    async with lying(script) as server:
        remote = remote_of(server, chunk_threshold_bytes=1000, chunk_bytes=50_000)
        body = Pieces([content[start : start + 7000] for start in range(0, len(content), 7000)])
        assert await remote.put("/d/f", body, token=TOKEN, mtime_seconds=5) == PutResult(FileId(9), "done")
        await remote.close()
        sent = [got for got in server.got if "capabilities" not in got.target]
        assert [(got.method, got.target.rpartition("/")[2]) for got in sent] == [
            ("MKCOL", sent[0].target.rpartition("/")[2]),
            ("PUT", "00001"), ("PUT", "00002"), ("PUT", "00002"), ("PUT", "00002"), ("PUT", "00003"), ("PUT", "00004"),
            ("MOVE", ".file"),
        ]  # fmt: skip
        assert sent[0].target.startswith("/remote.php/dav/uploads/alice/candado-")
        chunks = {got.target: got.body for got in sent if got.method == "PUT"}
        assert [len(chunk) for chunk in chunks.values()] == [30_000, 30_000, 30_000, 12_400]
        assert b"".join(chunks.values()) == content
        assert {got.headers["e2e-token"] for got in sent} == {TOKEN.reveal()}
        assert {got.headers["destination"] for got in sent} == {f"{server.url}/remote.php/dav/files/alice/d/f"}
        assert (sent[-1].headers["oc-total-length"], sent[-1].headers["x-oc-mtime"]) == ("102400", "5")
        assert body.uses == 1


@pytest.mark.parametrize("when", ["00001", "00002", ".file", "body"])
async def test_the_chunks_of_an_upload_that_fails_are_removed(when: str) -> None:
    def script(got: Got) -> Reply:
        if "capabilities" in got.target:
            return ocs({"version": {}, "capabilities": {}})
        return Reply(423 if got.target.endswith(when) else 201)

    fault = FileChangedError("it changed") if when == "body" else None
    async with lying(script) as server:
        remote = remote_of(server, chunk_threshold_bytes=10, chunk_bytes=1000)
        with pytest.raises(FileChangedError if fault else LockLostError):
            await remote.put("/f", Pieces([b"x" * 700] * 5, fault=fault), token=TOKEN)
        await remote.close()
        assert server.got[-1].method == "DELETE"
        assert server.got[-1].target == next(got.target for got in server.got if got.method == "MKCOL")


async def test_small_files_only_go_through_put_bytes() -> None:
    error, got, _ = await failing(lambda _: Reply(201), "put_bytes", "/f", bytes((1 << 20) + 17), token=None)
    assert isinstance(error, MisuseError)
    assert got == []


# --- listings -------------------------------------------------------------------------------------------------


def multistatus(*nodes: tuple[str, str]) -> Reply:
    body = '<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns">'
    for number, (href, props) in enumerate(nodes, start=1):
        body += (
            f"<d:response><d:href>{href}</d:href><d:propstat><d:prop><oc:fileid>{number}</oc:fileid>{props}</d:prop>"
            "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )
    return Reply(207, (body + "</d:multistatus>").encode(), {"Content-Type": "application/xml; charset=utf-8"})


HOME = "/remote.php/dav/files/alice"
FOLDER = "<d:resourcetype><d:collection/></d:resourcetype><oc:size>11</oc:size><nc:is-encrypted>1</nc:is-encrypted>"
FILE = "<d:resourcetype/><d:getcontentlength>6</d:getcontentlength>"


async def test_a_listing_is_read_with_its_properties() -> None:
    props = (
        FILE + "<d:getetag>&quot;abc-gzip&quot;</d:getetag><d:getlastmodified>Thu, 01 Jan 2026 10:00:00 GMT"
        "</d:getlastmodified><oc:permissions>RGDNVW</oc:permissions><oc:owner-id>alice</oc:owner-id>"
        "<nc:e2ee-is-encrypted>1</nc:e2ee-is-encrypted>"
    )
    folder = FOLDER + "<nc:e2ee-metadata>{&quot;a&quot;:1}</nc:e2ee-metadata>"
    async with lying(
        lambda _: multistatus((f"{HOME}/My%20docs/", folder), (f"{HOME}/My%20docs/x%C3%BC", props))
    ) as server:
        remote = remote_of(server)
        folder_node, file_node = await remote.list_folder("/My docs", depth=1, with_metadata=True)
        await remote.close()
        assert (server.got[0].method, server.got[0].headers["depth"]) == ("PROPFIND", "1")
        assert b"e2ee-metadata" in server.got[0].body
    assert (folder_node.path, folder_node.file_id, folder_node.is_folder, folder_node.is_encrypted) == (
        "/My docs",
        1,
        True,
        True,
    )
    assert (folder_node.size_bytes, folder_node.metadata_text, folder_node.metadata_signature) == (11, '{"a":1}', None)
    assert (file_node.path, file_node.size_bytes, file_node.etag, file_node.mtime_seconds) == (
        "/My docs/xü",
        6,
        "abc",
        1767261600.0,
    )
    assert (file_node.permissions, file_node.owner_id, file_node.is_encrypted) == ("RGDNVW", "alice", True)


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [(f"{HOME}/other/", FOLDER)],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/other/x", FILE)],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/d/e/x", FILE)],
        [(f"{HOME}/d/", FOLDER), ("/remote.php/dav/files/mallory/d/x", FILE)],
        [(f"{HOME}/d/", FOLDER), ("http://evil.example/remote.php/dav/files/alice/d/x", FILE)],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/d/../x", FILE)],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/d/%2e%2e/x", FILE)],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/d/a%2fb", FILE)],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/d/x", FILE), (f"{HOME}/d/x", FILE)],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/d/x", "<d:resourcetype/>")],
        [(f"{HOME}/d/", FOLDER), (f"{HOME}/d/x", FILE.replace("6", "-6"))],
    ],
)
async def test_a_listing_of_something_else_is_refused(nodes: list[tuple[str, str]]) -> None:
    error, _, _ = await failing(lambda _: multistatus(*nodes), "list_folder", "/d", depth=1)
    assert isinstance(error, MalformedError)


async def test_a_stock_server_that_fails_over_missing_metadata_is_asked_again_without() -> None:
    def script(got: Got) -> Reply:
        return Reply(500) if b"e2ee-metadata" in got.body else multistatus((f"{HOME}/d/", FOLDER))

    async with lying(script) as server:
        remote = remote_of(server)
        (node,) = await remote.list_folder("/d", depth=1, with_metadata=True)
        await remote.close()
        assert (node.metadata_text, len(server.got)) == (None, 2)


async def test_a_path_with_dots_is_never_sent() -> None:
    for path in ("/a/../b", "/.", "relative", "/a/./b"):
        error, got, _ = await failing(lambda _: Reply(), "list_folder", path, depth=0)
        assert isinstance(error, MisuseError)
        assert got == []


# --- capabilities and the user ----------------------------------------------------------------------------------


async def test_capabilities_of_a_stock_server_and_of_ours_are_read() -> None:
    stock: dict[str, Any] = {
        "version": {"string": "31.0.6"},
        "capabilities": {
            "theming": {"name": "Nextcloud"},
            "files": {"chunked_upload": {"max_size": 104857600}},
            "end-to-end-encryption": {"enabled": True, "api-version": "2.0"},
        },
    }
    ours = {
        **stock["capabilities"],
        "candado": {
            "version": 1,
            "nested-in-one-session": True,
            "staged-chunks": True,
            "revocation-list": True,
            "bodies": {"max-count": 7, "max-bytes": 9},
        },
    }
    answers = [ocs(stock), ocs({**stock, "capabilities": ours}), ocs({"version": [], "capabilities": []})]
    async with lying(lambda _: answers.pop(0)) as server:
        remote = remote_of(server)
        found = [await remote.capabilities() for _ in range(3)]
        await remote.close()
    common: dict[str, Any] = {"product": "Nextcloud", "version": "31.0.6", "e2ee_enabled": True, "e2ee_api_version": "2.0",
              "chunk_bytes_max": 104857600}  # fmt: skip
    assert found == [
        Capabilities(**common, candado_version=0, nested_in_one_session=False, staged_chunks=False),
        Capabilities(
            **common,
            candado_version=1,
            nested_in_one_session=True,
            staged_chunks=True,
            bodies_count_max=7,
            bodies_bytes_max=9,
            revocation_list=True,
        ),
        Capabilities("", "", False, "", 0, False, False, 0),
    ]


async def test_the_user_is_read_and_an_unlimited_quota_is_negative() -> None:
    user = {"id": "alice", "display-name": "Alice", "quota": {"quota": -3, "used": 5}}
    async with lying(lambda _: ocs(user)) as server:
        remote = remote_of(server)
        assert await remote.user_info() == UserInfo(ALICE, "Alice", -3, 5)
        await remote.close()


# --- addresses and TLS --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cloud.example.org", "https://cloud.example.org"),
        ("https://Cloud.example.org/", "https://cloud.example.org"),
        ("https://h:8443/nc/index.php/", "https://h:8443/nc"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_addresses_are_brought_into_one_form(text: str, expected: str) -> None:
    assert check_server_url(text) == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("http://cloud.example.org", TlsError), ("http://10.0.0.1", TlsError), ("http://127.0.0.1.evil.example", TlsError),
        ("ftp://h", UsageError), ("https://u:p@h", UsageError), ("https://u@h", UsageError), ("https://h/?q=1", UsageError),
        ("https://", UsageError), ("", UsageError), ("https://h:99999", UsageError), ("https://[bad", UsageError),
        ("file:///etc/passwd", UsageError),
    ],
)  # fmt: skip
def test_addresses_that_are_not_safe_are_refused(text: str, error: type[CandadoError]) -> None:
    with pytest.raises(error) as caught:
        check_server_url(text)
    assert ":p@" not in f"{caught.value.path} {caught.value}"


def certificate(folder: Path, *, host: str = "127.0.0.1", days: int = 1) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.fromtimestamp(SystemClock().now(), dt.UTC)
    alternative: x509.GeneralName = x509.DNSName(host)
    if host[0].isdigit():
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{host}.{days}.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem


@pytest.mark.parametrize("kind", ["good", "unknown authority", "expired", "other name"])
async def test_only_a_certificate_that_is_right_in_every_way_is_accepted(tmp_path: Path, kind: str) -> None:
    context, pem = certificate(
        tmp_path, host="other.example" if kind == "other name" else "127.0.0.1", days=-1 if kind == "expired" else 1
    )
    async with lying(lambda _: ocs({"public-key": "PEM"}), tls=context) as server:
        remote = remote_of(server, ca_file=None if kind == "unknown authority" else str(pem))
        if kind == "good":
            assert await remote.server_key() == "PEM"
        else:
            with pytest.raises(TlsError):
                await remote.server_key()
            assert server.got == []
        await remote.close()
        await asyncio.sleep(0)


async def test_a_file_of_authorities_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    context, _ = certificate(tmp_path)
    async with lying(lambda _: Reply(), tls=context) as server:
        remote = remote_of(server, ca_file=str(tmp_path / "ca.pem"))
        with pytest.raises(LocalStorageError):
            await remote.server_key()
        await remote.close()


# --- the brake ------------------------------------------------------------------------------------------------------


async def test_the_brake_spreads_bytes_over_time_in_each_direction() -> None:
    clock = FakeClock()
    async with lying(lambda got: Reply(200, b"y" * 1000 if got.method == "GET" else b"")) as server:
        remote = remote_of(server, clock, bytes_per_second=1000.0)
        start = clock.monotonic()
        for _ in range(3):
            await remote.put_bytes("/f", b"x" * 2000, token=None)
        assert clock.monotonic() - start == pytest.approx(4.0)
        for _ in range(3):
            await remote.get_bytes("/f", size_max=1000)
        await remote.close()
    assert clock.monotonic() - start == pytest.approx(6.0)

"""The audit log over real sockets: syslog on each transport, HTTP, and receivers that hang, refuse or send away."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.proxies import make_certificate

from candado.adapters.ambient import SystemClock
from candado.adapters.audit_http import AuditHttp
from candado.adapters.audit_syslog import AuditSyslog, SyslogPlace
from candado.errors import (
    AuthRequiredError,
    CandadoError,
    LocalPermissionError,
    LocalStorageError,
    RedirectError,
    TlsError,
    TransportError,
)
from candado.ports.auditsink import AuditSink, SinkLine

TIME = "2026-01-02T03:04:05.678Z"
LINES = [SinkLine(b'{"seq":%d}' % n, n, "share.made", 6, TIME) for n in (4, 5)]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Pair:
    """A certificate for this machine, and the context that shows it."""

    def __init__(self, folder: Path) -> None:
        made = make_certificate(folder / "pem")
        self.authority = made.authority
        self._made = made

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._made.chain, self._made.key)
        return context


@asynccontextmanager
async def listening(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def syslog(place: SyslogPlace, *, enterprise: int = 0, seconds: float = 5.0, datagram_bytes: int = 8192) -> AuditSyslog:
    return AuditSyslog(
        place, host="cloud", enterprise=enterprise, datagram_bytes=datagram_bytes, seconds=seconds
    )  # fmt: skip


def message(number: int, process: str, *, own: str = "") -> str:
    return (
        f"<110>1 {TIME} cloud candado-server {process} share.made"
        f' [meta sequenceId="{number + 1}"]{own} {{"seq":{number}}}'
    )


async def read_frames(reader: asyncio.StreamReader, count: int) -> list[str]:
    found = []
    for _ in range(count):
        size = int(await reader.readuntil(b" "))
        found.append((await reader.readexactly(size)).decode())
    return found


@pytest.mark.parametrize("with_tls", [False, True])
async def test_a_stream_carries_messages_with_their_length(tmp_path: Path, with_tls: bool) -> None:
    got: asyncio.Queue[list[str]] = asyncio.Queue()
    sent = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await got.put(await read_frames(reader, 2))
        await sent.wait()
        writer.close()

    pair = Pair(tmp_path)
    async with listening(take, tls=pair.server_context() if with_tls else None) as port:
        place = SyslogPlace("tls" if with_tls else "tcp", "127.0.0.1", port, str(pair.authority) if with_tls else None)
        sink = syslog(place, enterprise=32473)
        assert await sink.open() is None
        await sink.send(LINES)
        sent.set()
        frames = await got.get()
        process = frames[0].split(" ")[4]
        own = '[candado@32473 sequence="{}" event="share.made"]'
        assert frames == [message(n, process, own=own.format(n)) for n in (4, 5)]
        assert (sink.is_fresh, sink.size_bytes) == (False, 0)
        await sink.rotate(5)
        await sink.close()


async def test_a_receiver_without_a_good_certificate_gets_nothing(tmp_path: Path) -> None:
    got = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())
        writer.close()

    async with listening(take, tls=Pair(tmp_path).server_context()) as port:
        with pytest.raises(TlsError):
            await syslog(SyslogPlace("tls", "127.0.0.1", port)).open()
        with pytest.raises(LocalStorageError):
            await syslog(SyslogPlace("tls", "127.0.0.1", port, str(tmp_path / "none.pem"))).open()
    assert [one for one in got if one] == []


async def send_until_it_fails(sink: AuditSyslog) -> None:
    while True:  # the news of the end may take a moment
        await sink.send(LINES)


async def test_a_stream_that_ended_is_a_fault_and_the_next_one_gets_the_lines() -> None:
    taken: asyncio.Queue[list[str]] = asyncio.Queue()
    turn = 0
    ended = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        if turn > 1:
            await taken.put(await read_frames(reader, 2))
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with listening(take) as port:
        sink = syslog(SyslogPlace("tcp", "127.0.0.1", port))
        await sink.open()
        await ended.wait()
        with pytest.raises(TransportError):
            await send_until_it_fails(sink)
        await sink.close()
        await sink.send(LINES)
        assert [text.split(" ", 6)[-1][-9:] for text in await taken.get()] == ['{"seq":4}', '{"seq":5}']
        await sink.close()


async def test_a_receiver_that_takes_nothing_any_more_does_not_hold_us_up() -> None:
    held = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    async with listening(take) as port:
        sink = syslog(SyslogPlace("tcp", "127.0.0.1", port), seconds=0.2)
        await sink.open()
        with pytest.raises(TransportError, match="takes nothing"):
            await sink.send([SinkLine(b"x" * 32_000_000, 1)])
        await sink.close()
        held.set()


async def test_nobody_there_is_a_fault_at_once(tmp_path: Path) -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    for place in (SyslogPlace("tcp", "127.0.0.1", port), SyslogPlace("unix", str(tmp_path / "none"))):
        with pytest.raises(TransportError):
            await syslog(place).send(LINES)


async def test_datagrams_go_out_one_by_one_and_what_is_too_long_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        sink = syslog(SyslogPlace("udp", "127.0.0.1", receiver.getsockname()[1]), datagram_bytes=300)
        await sink.send([*LINES, SinkLine(b"x" * 400, 6, "share.made", 6, TIME)])
        found = [receiver.recv(65536).decode() for _ in range(3)]
        process = found[0].split(" ")[4]
        assert found[:2] == [message(4, process), message(5, process)]
        size = len(message(6, process)) + 391
        assert found[2].endswith(f'{{"event":"share.made","seq":6,"too_long":{size}}}')
        await sink.close()


async def test_the_socket_of_the_machine_takes_datagrams(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        receiver.settimeout(10)
        sink = syslog(SyslogPlace("unix", str(tmp_path / "log")))
        await sink.send([SinkLine(b'{"checkpoint":"x"}'), LINES[0]])
        found = [receiver.recv(65536).decode() for _ in range(2)]
        process = found[0].split(" ")[4]
        assert found == [f'<110>1 - cloud candado-server {process} - - {{"checkpoint":"x"}}', message(4, process)]
        await sink.close()


async def test_a_socket_whose_owner_hangs_does_not_hold_us_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        sink = syslog(SyslogPlace("unix", str(tmp_path / "log")), seconds=0.2)
        with pytest.raises(TransportError, match="takes nothing"):
            await sink.send(LINES * 2000)
        await sink.close()


class Receiver:
    """Answers each POST with the next of ``answers``, and remembers what came."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.answers:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            except asyncio.IncompleteReadError:
                break
            headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in head[1:-2])}
            self.requests.append((head[0], headers, await reader.readexactly(int(headers["content-length"]))))
            writer.write(self.answers.pop(0))
            await writer.drain()
        writer.close()


def answer(status: str, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: 2\r\n\r\nok".encode()


def http(
    port: int, *, scheme: str = "http", token: Path | None = None, ca: str | None = None, line_format: str = "native"
) -> AuditHttp:
    return AuditHttp(
        f"{scheme}://127.0.0.1:{port}/ingest?index=a", line_format, SystemClock(),  # type: ignore[arg-type]
        token_file=token, ca_file=ca, seconds=5.0,
    )  # fmt: skip


async def test_a_batch_is_one_post_of_lines_with_the_token_of_the_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    receiver = Receiver(answer("204 No Content").replace(b"Content-Length: 2\r\n", b"")[:-2], answer("200 OK"))
    async with listening(receiver) as port:
        sink = http(port, token=token)
        assert await sink.open() is None
        await sink.send(LINES)
        token.write_text("n3w\n")
        await sink.send(LINES[1:])
        await sink.rotate(5)
        await sink.close()
        await sink.close()
    host = f"127.0.0.1:{port}"
    common = {"content-type": "application/x-ndjson", "user-agent": "candado-server", "host": host}
    assert receiver.requests == [
        ("POST /ingest?index=a HTTP/1.1",
         common | {"authorization": "Bearer s3cret", "content-length": "20"}, b'{"seq":4}\n{"seq":5}\n'),
        ("POST /ingest?index=a HTTP/1.1", common | {"authorization": "Bearer n3w", "content-length": "10"}, b'{"seq":5}\n'),
    ]  # fmt: skip


async def test_https_is_checked_and_works_with_a_private_authority(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    receiver = Receiver(answer("200 OK"))
    async with listening(receiver, tls=pair.server_context()) as port:
        with pytest.raises(TlsError):
            await http(port, scheme="https").send(LINES)
        sink = http(port, scheme="https", ca=str(pair.authority), line_format="cef")
        await sink.send(LINES)
        await sink.close()
    assert [request[1]["content-type"] for request in receiver.requests] == ["text/plain; charset=utf-8"]
    assert "authorization" not in receiver.requests[0][1]


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        (answer("302 Found", "Location: http://127.0.0.1:1/\r\n"), RedirectError, "REDIRECT"),
        (answer("307 Temporary Redirect", "Location: /other\r\n"), RedirectError, "REDIRECT"),
        (answer("401 Unauthorized"), AuthRequiredError, "AUTH_REQUIRED"),
        (answer("413 Too Large"), CandadoError, "QUOTA_EXCEEDED"),
        (answer("400 Bad Request"), CandadoError, "BAD_REQUEST"),
        (answer("503 Down"), CandadoError, "REMOTE_BUG"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", TransportError, "TRANSPORT"),
        (b"220 mail.example.org\r\n", CandadoError, "MALFORMED"),
    ],
)
async def test_whatever_is_no_success_is_a_fault(reply: bytes, error: type[CandadoError], code: str) -> None:
    receiver = Receiver(reply)
    async with listening(receiver) as port:
        sink = http(port)
        with pytest.raises(error) as caught:
            await sink.send(LINES)
        await sink.close()
    assert caught.value.code == code
    assert len(receiver.requests) == 1


async def test_a_receiver_that_never_answers_does_not_hold_us_up() -> None:
    held = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    async with listening(take) as port:
        sink = AuditHttp(
            f"http://127.0.0.1:{port}/", "native", SystemClock(), token_file=None, ca_file=None, seconds=0.2
        )
        with pytest.raises(TransportError):
            await sink.send(LINES)
        await sink.close()
        held.set()


@pytest.mark.parametrize("content", ["", "two words\n", "ümlaut\n", "x\0y"])
async def test_a_file_without_a_token_is_told_and_its_content_is_not(tmp_path: Path, content: str) -> None:
    token = tmp_path / "token"
    token.write_text(content)
    token.chmod(0o600)
    with pytest.raises(LocalStorageError) as caught:
        await http(1, token=token).open()
    assert not content or content.strip() not in str(caught.value.args)


async def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    token.chmod(0o644)
    with pytest.raises(LocalPermissionError):
        await http(1, token=token).open()
    with pytest.raises(LocalStorageError):
        await http(1, token=tmp_path / "none").open()


def test_all_of_them_are_outputs() -> None:
    sinks: list[AuditSink] = [http(1), syslog(SyslogPlace("udp", "127.0.0.1", 1))]
    assert json.dumps([sink.size_bytes for sink in sinks]) == "[0, 0]"

"""A load generator that is not the bottleneck: prepared requests over kept connections, answers parsed no further than
their length. One thread; the same for every server."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1024 * 1024
_RECEIVE = 1 * MIB


@dataclass(frozen=True)
class Request:
    """What is sent, and which statuses are right."""

    data: bytes
    statuses: frozenset[int]


@dataclass
class Load:
    """What a run of requests cost this side."""

    count: int
    wall: float
    client_cpu: float
    bytes_in: int
    last: bytes = field(repr=False, default=b"")


class BadAnswerError(Exception):
    """A server did not do what it was asked."""


def request(
    method: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    statuses: tuple[int, ...] = (200,),
    length: int | None = None,
) -> Request:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or length is not None or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return Request(("\r\n".join(lines) + "\r\n\r\n").encode() + body, frozenset(statuses))


def _answer_end(data: bytes | bytearray) -> tuple[int, int, bool] | None:
    """Status, length of the whole answer, and whether the connection ends; None while it is not all there."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    status = int(data[9:12])
    lower = bytes(data[:head]).lower()
    closing = b"\r\nconnection: close" in lower
    if status in (204, 304):
        return status, head + 4, closing
    at = lower.find(b"\r\ncontent-length:")
    if at >= 0:
        end = lower.find(b"\r\n", at + 2)
        total = head + 4 + int(lower[at + 17 : end if end >= 0 else None])
        return (status, total, closing) if len(data) >= total else None
    if b"\r\ntransfer-encoding: chunked" in lower:
        return (status, len(data), closing) if data.endswith(b"\r\n0\r\n\r\n") else None
    raise BadAnswerError(f"an answer without a length: {lower!r}")


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.socket = self._open()
        self.data = bytearray()
        self.wanted: frozenset[int] = frozenset()

    def _open(self) -> socket.socket:
        made = socket.create_connection(self.address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


def run(
    address: tuple[str, int],
    requests: Iterator[Request],
    *,
    connections: int = 8,
    seen: Callable[[bytes], None] | None = None,
) -> Load:
    """Send all requests, ``connections`` at once; every answer must have a status that is right."""
    poller = select.epoll()
    open_ones: dict[int, _Connection] = {}
    started, cpu = time.perf_counter(), time.process_time()
    count = received = 0
    last = b""

    def send_next(connection: _Connection) -> bool:
        following = next(requests, None)
        if following is None:
            return False
        connection.wanted = following.statuses
        connection.socket.sendall(following.data)
        return True

    try:
        for _ in range(connections):
            connection = _Connection(address)
            open_ones[connection.socket.fileno()] = connection
            if not send_next(connection):
                break
            poller.register(connection.socket.fileno(), select.EPOLLIN)
        active = len(open_ones)
        while active:
            for number, _ in poller.poll():
                connection = open_ones[number]
                piece = connection.socket.recv(_RECEIVE)
                if not piece:
                    raise BadAnswerError("the server closed a connection in the middle of an answer")
                data: bytes | bytearray = piece
                if connection.data:
                    connection.data += piece
                    data = connection.data
                found = _answer_end(data)
                if found is None:
                    if data is piece:
                        connection.data = bytearray(piece)
                    continue
                status, size, closing = found
                if status not in connection.wanted:
                    raise BadAnswerError(f"status {status}: {bytes(data[:400])!r}")
                count += 1
                received += size
                last = bytes(data)
                if seen is not None:
                    seen(last)
                connection.data = bytearray()
                if closing:
                    poller.unregister(number)
                    connection.socket.close()
                    del open_ones[number]
                    connection = _Connection(address)
                    open_ones[connection.socket.fileno()] = connection
                    poller.register(connection.socket.fileno(), select.EPOLLIN)
                if not send_next(connection):
                    poller.unregister(connection.socket.fileno())
                    active -= 1
    finally:
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        for connection in open_ones.values():
            connection.socket.close()
        poller.close()
    return Load(count, wall, cpu, received, last)


def once(address: tuple[str, int], one: Request) -> bytes:
    """One request on a connection of its own; the whole answer."""
    return run(address, iter([one]), connections=1).last


def put_big(address: tuple[str, int], head: Request, size: int, piece: bytes) -> Load:
    """One body of ``size`` bytes, a multiple of the piece's."""
    started, cpu = time.perf_counter(), time.process_time()
    with socket.create_connection(address) as stream:
        stream.sendall(head.data)
        for _ in range(size // len(piece)):
            stream.sendall(piece)
        answer = bytearray()
        while (found := _answer_end(answer)) is None:
            more = stream.recv(_RECEIVE)
            if not more:
                raise BadAnswerError("the server closed the connection after the body")
            answer += more
        if found[0] not in head.statuses:
            raise BadAnswerError(bytes(answer[:400]).decode("latin-1"))
    return Load(1, time.perf_counter() - started, time.process_time() - cpu, 0)


def get_big(address: tuple[str, int], head: Request, size: int) -> Load:
    """One body of ``size`` bytes, read and thrown away."""
    buffer = memoryview(bytearray(_RECEIVE))
    started, cpu = time.perf_counter(), time.process_time()
    with socket.create_connection(address) as stream:
        stream.sendall(head.data)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = stream.recv(65536)
            if not more:
                raise BadAnswerError("the server closed the connection before the body")
            data += more
        if int(data[9:12]) not in head.statuses:
            raise BadAnswerError(bytes(data[:400]).decode("latin-1"))
        got = len(data) - end - 4
        while got < size:
            count = stream.recv_into(buffer)
            if not count:
                raise BadAnswerError(f"the body ended after {got} bytes")
            got += count
    if got != size:
        raise BadAnswerError(f"the body has {got} bytes")
    return Load(1, time.perf_counter() - started, time.process_time() - cpu, got)

"""The audit log as syslog: datagrams, a stream with or without TLS, the socket of the machine.

Layer: ``adapters``; implements ``ports.auditsink.AuditSink``. Syslog has no answers. On a stream a batch counts as
handed over when the other machine's system has acknowledged its last byte, which is more than the usual "it left" and
less than "it is on a disk". A datagram counts when it left.

Sources: RFC 5424 to 5426, RFC 6587; tcp(7), ``SIOCOUTQ``.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from candado.adapters.http_tls import tls_context, tls_reason
from candado.errors import TlsError, TransportError
from candado.formats.syslog import SEQUENCE_MAX, count_octets, syslog_message
from candado.ports.auditsink import SinkLine

__all__ = ["AuditSyslog", "SyslogPlace"]

_LOOK_SECONDS: Final = 0.005
_APPLICATION: Final = "candado-server"


@dataclass(frozen=True, slots=True)
class SyslogPlace:
    """Where to: a host and port, or the path of a socket."""

    transport: Literal["udp", "tcp", "tls", "unix"]
    host: str
    port: int = 0
    ca_file: str | None = None


class AuditSyslog:
    """One receiver.

    Args:
        place: where it is.
        host: the name of this machine in messages.
        enterprise: the number under which IANA knows the organisation; 0 leaves out what needs one.
        datagram_bytes: the largest datagram; of a longer record only number and kind are sent, and that it is too long.
        seconds: longest time for a connection or a batch.
    """

    def __init__(self, place: SyslogPlace, *, host: str, enterprise: int, datagram_bytes: int, seconds: float) -> None:
        self._place = place
        self._host = host
        self._enterprise = enterprise
        self._datagram_bytes = datagram_bytes
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    is_fresh = False
    size_bytes = 0

    async def open(self) -> int | None:
        """Connect. TransportError, TlsError, LocalStorageError."""
        await self.close()
        try:
            async with asyncio.timeout(self._seconds):
                if self._place.transport in ("tcp", "tls"):
                    self._stream = await self._connect()
                else:
                    self._socket = await self._bind()
        except ssl.SSLError as exc:
            raise TlsError(f"the receiver's TLS certificate is not accepted: {tls_reason(exc)}") from exc
        except TimeoutError as exc:
            raise TransportError("the receiver does not answer in time", outcome_known=True) from exc
        except OSError as exc:
            reason = exc.strerror or "no answer"
            raise TransportError(f"the receiver cannot be reached: {reason}", outcome_known=True) from exc
        return None

    async def send(self, lines: Sequence[SinkLine]) -> None:
        """Send each line as one message.

        Raises:
            TransportError: the connection broke, or the receiver takes nothing for too long.
        """
        if self._stream is None and self._socket is None:
            await self.open()
        try:
            async with asyncio.timeout(self._seconds):
                if self._stream is not None:
                    await self._send_stream(self._stream, [count_octets(self._message(line)) for line in lines])
                elif self._socket is not None:
                    await self._send_datagrams(self._socket, [self._datagram(line) for line in lines])
        except TimeoutError as exc:
            raise TransportError("the receiver takes nothing any more") from exc
        except (OSError, EOFError) as exc:
            raise TransportError("the connection to the receiver broke") from exc

    async def rotate(self, last_sequence: int) -> None:
        """Nothing is kept here."""

    async def close(self) -> None:
        """Close the connection; what was sent and not acknowledged is sent again later."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].transport.abort()
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    def _message(self, line: SinkLine) -> bytes:
        data: list[tuple[str, dict[str, str]]] = []
        if line.sequence is not None:
            data.append(("meta", {"sequenceId": str(line.sequence % SEQUENCE_MAX + 1)}))
            if self._enterprise:
                own = {"sequence": str(line.sequence), "event": line.event}
                data.append((f"candado@{self._enterprise}", own))
        return syslog_message(
            line.text.decode("utf-8"),
            severity=line.severity,
            time=line.time,
            host=self._host,
            application=_APPLICATION,
            process=str(os.getpid()),
            message_id=line.event,
            data=data,
        )

    def _datagram(self, line: SinkLine) -> bytes:
        message = self._message(line)
        if len(message) <= self._datagram_bytes:
            return message
        number = "null" if line.sequence is None else str(line.sequence)
        text = f'{{"event":"{line.event}","seq":{number},"too_long":{len(message)}}}'
        return self._message(replace(line, text=text.encode("utf-8")))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = self._place
        tls = await asyncio.to_thread(tls_context, place.ca_file) if place.transport == "tls" else None
        name = place.host if tls is not None else None
        reader, writer = await asyncio.open_connection(place.host, place.port, ssl=tls, server_hostname=name)
        writer.transport.set_write_buffer_limits(0)  # `drain` then waits until the system has everything
        return reader, writer

    async def _bind(self) -> socket.socket:
        place, loop = self._place, asyncio.get_running_loop()
        if place.transport == "unix":
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            address: Any = place.host
        else:
            found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)
            family, address = found[0][0], found[0][4]
            sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)  # noqa: FBT003 -- the only spelling there is
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _send_datagrams(self, sock: socket.socket, messages: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        for message in messages:
            await loop.sock_sendall(sock, message)

    @staticmethod
    async def _send_stream(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], frames: list[bytes]) -> None:
        reader, writer = stream
        await asyncio.sleep(0)  # the end of the other side, if it came while nothing was sent, is seen now
        if reader.at_eof():
            raise EOFError
        writer.write(b"".join(frames))
        await writer.drain()
        sock = writer.get_extra_info("socket")
        while _unacknowledged(sock.fileno()):
            if reader.at_eof() or writer.is_closing():
                raise EOFError
            await asyncio.sleep(_LOOK_SECONDS)


def _unacknowledged(fd: int) -> int:
    """Bytes that the other machine has not acknowledged; 0 where the system does not say. EOFError: it is closed."""
    if fd < 0:
        raise EOFError
    with contextlib.suppress(OSError):
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0" * 4))[0])
    return 0

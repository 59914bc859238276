"""The audit log over HTTP: one POST a batch, one line a record.

Layer: ``adapters``; implements ``ports.auditsink.AuditSink``. A status 200 to 299 says that the receiver has the
batch. Redirects are not followed: whoever can answer could send the log and the token anywhere. The token is read from
its file for each batch, so that a new one needs no restart; neither it nor what the receiver answers is ever shown.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from candado.adapters.http_errors import refusal
from candado.adapters.http_pool import HttpPool
from candado.adapters.http_settings import Throttle, path_and_query
from candado.adapters.http_tls import tls_context
from candado.errors import AuthRequiredError, LocalPermissionError, LocalStorageError, RedirectError
from candado.formats.auditlines import LineFormat
from candado.ports.ambient import Clock
from candado.ports.auditsink import SinkLine

__all__ = ["AuditHttp"]

_ANSWER_BYTES_MAX: Final = 64 * 1024
_TOKEN_BYTES_MAX: Final = 8192
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class AuditHttp:
    """One receiver.

    Args:
        url: ``https://``, or ``http://`` to this machine.
        line_format: says the content type.
        token_file: holds the bearer token on its first line, readable by its owner only; None for none.
        ca_file: PEM file with authorities that are trusted beside those of the system.
        seconds: longest silence of the receiver.
    """

    def __init__(
        self,
        url: str,
        line_format: LineFormat,
        clock: Clock,
        *,
        token_file: Path | None,
        ca_file: str | None,
        seconds: float,
    ) -> None:
        self._url = url
        self._kind = "text/plain; charset=utf-8" if line_format == "cef" else "application/x-ndjson"
        self._clock = clock
        self._token_file = token_file
        self._ca_file = ca_file
        self._seconds = seconds
        self._pool: HttpPool | None = None

    is_fresh = False
    size_bytes = 0

    async def open(self) -> int | None:
        """Look at the files that are named; the receiver is not asked. LocalStorageError, LocalPermissionError."""
        await self.close()
        tls = await asyncio.to_thread(tls_context, self._ca_file) if self._url.startswith("https:") else None
        await self._token()
        self._pool = HttpPool(
            self._url, tls=tls, size=1, connect_seconds=self._seconds, sent=Throttle(None, self._clock)
        )
        return None

    async def send(self, lines: Sequence[SinkLine]) -> None:
        """One POST.

        Raises:
            TransportError, TlsError: the receiver cannot be reached, is silent, or is somebody else.
            RedirectError, RemoteError: it answered something else than success.
        """
        if self._pool is None:
            await self.open()
        assert self._pool is not None
        headers = {"Content-Type": self._kind, "User-Agent": "candado-server"}
        token = await self._token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        body = b"".join(line.text + b"\n" for line in lines)
        reply = await self._pool.request(
            "POST",
            path_and_query(self._url),
            headers=headers,
            body=body,
            limit=_ANSWER_BYTES_MAX,
            idle_seconds=self._seconds,
        )
        if 300 <= reply.status < 400:
            raise RedirectError("the receiver of the audit log sends us somewhere else")
        if reply.status == 401:
            raise AuthRequiredError("the receiver of the audit log does not accept the token")
        if not 200 <= reply.status < 300:
            after = {name: value for name, value in reply.headers.items() if name == "retry-after"}
            raise refusal(reply.status, path=None, meanings={}, headers=after)

    async def rotate(self, last_sequence: int) -> None:
        """Nothing is kept here."""

    async def close(self) -> None:
        """Close the connection."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    async def _token(self) -> str:
        return "" if self._token_file is None else await asyncio.to_thread(_read_token, self._token_file)


def _read_token(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise LocalPermissionError(
                "the file with the token can be read by others", path=str(path), advice=f"chmod 600 {path}"
            )
        with path.open("rb") as file:
            text = file.read(_TOKEN_BYTES_MAX).split(b"\n", 1)[0].strip().decode("ascii", "replace")
    except OSError as exc:
        raise LocalStorageError("the file with the token cannot be read", path=str(path)) from exc
    if not _TOKEN.fullmatch(text):
        raise LocalStorageError("the file with the token holds none", path=str(path))
    return text

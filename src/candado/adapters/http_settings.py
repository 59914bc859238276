"""Bounds of the HTTP adapter, the form of a server's address, and the brake.

Layer: ``adapters``.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from candado.errors import LimitExceededError, TlsError, UsageError
from candado.ports.ambient import Clock

__all__ = ["HttpSettings", "Throttle", "check_server_url", "encoded", "origin_of", "path_and_query"]

_SLICE_BYTES: Final = 1 << 20
_SLOW_SLICE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How the adapter behaves; sizes in bytes."""

    connect_seconds: float = 15.0
    idle_seconds: float = 60.0
    """Longest silence while sending or waiting for an answer; there is no limit for a whole body."""
    commit_seconds: float = 600.0
    """Longest silence while the server makes a whole session visible."""
    attempts: int = 4
    """How often a harmless request is sent before its error is reported."""
    connections: int = 16
    chunk_threshold_bytes: int = 100_000_000
    chunk_bytes: int = 16 << 20
    bytes_per_second: float | None = None
    """Limit for each direction; None is as fast as it goes."""
    ca_file: str | None = None
    """PEM file with certificates that are trusted beside those of the system."""


def encoded(path: str) -> str:
    """A path percent-encoded for a URL, slashes kept; LimitExceededError above 8 KiB."""
    text = quote(path, safe="/")
    if len(text) > 8192:
        raise LimitExceededError("a remote path is too long", path=path)
    return text


def check_server_url(text: str) -> str:
    """The base URL in the form we keep: scheme, host, port, path without a trailing slash.

    Raises:
        UsageError: it is not a URL of a server, or carries credentials, a query or a fragment.
        TlsError: it is plain http to another machine.
    """
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise UsageError("the server's address is not a URL", path=text) from exc
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise UsageError("the server's address must look like https://cloud.example.org", path=text)
    if parts.username is not None or parts.password is not None:
        raise UsageError("the server's address must not contain a user name or password", path=parts.hostname)
    if parts.scheme == "http" and not _is_this_machine(host):
        raise TlsError("http without TLS is only allowed to this machine", path=text, advice="Use https://.")
    name = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix("/index.php")
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{path}"


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Throttle:
    """Spreads bytes evenly over time."""

    def __init__(self, bytes_per_second: float | None, clock: Clock) -> None:
        self._rate = bytes_per_second
        self.slice_bytes = _SLICE_BYTES if bytes_per_second is None else _SLOW_SLICE_BYTES
        """How much to send at a time."""
        self._clock = clock
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Return when ``count`` more bytes may pass."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        start = max(now, self._free_at)
        self._free_at = start + count / self._rate
        if start > now:
            await self._clock.sleep(start - now)


def path_and_query(url: str) -> str:
    """What a request for this URL asks for."""
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host in lower case and port; the port is -1 when it is none."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        port = -1
    return parts.scheme, (parts.hostname or "").lower(), port

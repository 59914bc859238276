"""HTTP for one account on one server: one origin, bounded answers, bounded repetitions.

Layer: ``adapters``. What holds for every request:

* It goes to the origin of the account and nowhere else. A redirect is followed for GET within the origin only; any
  other one is RedirectError before a single byte of credentials went there. No cookies, no netrc, no proxy from the
  environment.
* https, or http to this very machine. Certificates are always checked; a private authority can be named, checking
  cannot be switched off.
* An answer is read up to the limit its caller sets, in time bounds that watch progress and not the total.
* Only requests that may be repeated without harm are, a few times, with growing pauses and jitter, honouring
  Retry-After.
* Credentials and lock tokens travel in headers. Requests are logged by method, path and status; never headers, never
  bodies.
"""

import base64
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from candado.adapters.http_connection import RequestBody
from candado.adapters.http_errors import TRANSIENT, Meanings, ServerFailedError, refusal
from candado.adapters.http_pool import HttpPool, LongReply
from candado.adapters.http_settings import HttpSettings, Throttle, check_server_url, origin_of, path_and_query
from candado.adapters.http_tls import tls_context
from candado.errors import (
    CandadoError,
    RateLimitedError,
    RedirectError,
    TransportError,
)
from candado.ports.ambient import Clock, Random
from candado.types import SecretText

__all__ = ["Answer", "Download", "HttpWire", "basic"]

USER_AGENT: Final = "candado/0.1.0"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX: Final = 3
_PAUSE_MAX_SECONDS: Final = 30.0

_log = logging.getLogger("candado.http")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer within its limit."""

    status: int
    headers: Mapping[str, str]
    """Asked for by lower-case names."""
    body: bytes


class Download:
    """A successful answer whose body is read while it arrives.

    ``announced_bytes`` is the length of its body, None when only its end tells.
    """

    def __init__(self, reply: LongReply, received: Throttle, place: str) -> None:
        self.status = reply.status
        self.headers: Mapping[str, str] = reply.headers
        self.announced_bytes = reply.announced_bytes
        self._reply = reply
        self._received = received
        self._place = place

    async def next_piece(self) -> memoryview | None:
        """The next piece of at most 1 MiB, None at the end; valid until the next one is asked for.

        Raises:
            TransportError, FormatError: it broke off; all that came before was handed out.
        """
        with _placed(self._place):
            piece = await self._reply.next_piece()
        if piece is not None:
            await self._received.take(len(piece))
        return piece


class HttpWire:
    """The connections to one server; opened at the first request.

    Args:
        base_url: as ``check_server_url`` returns it.
        login: for Basic authentication; None sends no credentials.
        password: app password or login password; an empty one is not sent either.
        settings: bounds.
        clock: for pauses.
        random: for jitter.
        on_request: called for every request that is sent.
        standing: headers of every request.
    """

    def __init__(
        self,
        base_url: str,
        login: str | None,
        password: SecretText | None,
        *,
        settings: HttpSettings,
        clock: Clock,
        random: Random,
        on_request: Callable[[], None] | None = None,
        standing: Mapping[str, str] | None = None,
    ) -> None:
        self.base_url = check_server_url(base_url)
        self.settings = settings
        self._on_request = on_request
        self.sent = Throttle(settings.bytes_per_second, clock)
        self.received = Throttle(settings.bytes_per_second, clock)
        self._clock = clock
        self._random = random
        self._pool: HttpPool | None = None
        self._context: ssl.SSLContext | None = None
        self._origin = origin_of(self.base_url)
        self._base_path = path_and_query(self.base_url).rstrip("/")
        self._headers = {
            "User-Agent": USER_AGENT,
            "X-E2EE-SUPPORTED": "true",
            "OCS-APIRequest": "true",
            "Accept-Encoding": "identity",
            "Accept": "*/*",
            **(standing or {}),
        }
        if login is not None and password is not None and password.reveal():
            self._headers["Authorization"] = basic(login, password)

    async def ask(
        self,
        method: str,
        target: str,
        *,
        limit: int,
        where: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: RequestBody = None,
        meanings: Meanings | None = None,
        harmless: bool = False,
        idle_seconds: float | None = None,
    ) -> Answer:
        """Send one request and return its successful answer.

        Args:
            method: of HTTP.
            target: percent-encoded path below the base URL, with query.
            limit: of the answer's body in bytes.
            where: names the place in errors.
            headers: beside the standing ones.
            data: the request body; one that is made while it is sent is sent once only.
            meanings: errors of statuses at this endpoint.
            harmless: True when repeating it does no harm.
            idle_seconds: instead of the setting.

        Raises:
            RemoteError, TransportError, FormatError: see ``http_errors``.
            Exception: of a body that is made while it is sent, as it is.
        """
        tries = self.settings.attempts if harmless else 1
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._ask_once(method, target, limit, where, headers, data, meanings, idle_seconds)
            except CandadoError as exc:
                pause = self.pause_before_repeat(exc, attempt)
                if attempt >= tries or pause is None:
                    raise
            await self._clock.sleep(pause)

    async def _ask_once(
        self,
        method: str,
        target: str,
        limit: int,
        where: str | None,
        headers: Mapping[str, str] | None,
        data: RequestBody,
        meanings: Meanings | None,
        idle_seconds: float | None,
    ) -> Answer:
        pool = self._pool or self._make_pool()
        url, asked = f"{self.base_url}{target}", f"{self._base_path}{target}" or "/"
        every = {**self._headers, **headers} if headers else self._headers
        with _placed(where or self.base_url):
            for _ in range(_REDIRECTS_MAX + 1):
                self._count()
                reply = await pool.request(
                    method,
                    asked,
                    headers=every,
                    body=data,
                    limit=limit,
                    idle_seconds=idle_seconds or self.settings.idle_seconds,
                )
                _log_reply(method, url, reply.status)
                if reply.status not in _REDIRECTS:
                    break
                url = self._redirected(method, url, reply.headers.get("location", ""))
                asked = path_and_query(url)
            else:
                raise RedirectError("the server redirects in circles")
        _check_status(reply.status, where, meanings or {}, reply.headers)
        await self.received.take(len(reply.body))
        return Answer(reply.status, reply.headers, reply.body)

    @contextlib.asynccontextmanager
    async def download(
        self, target: str, *, where: str, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Download, None]:
        """The answer to one GET once its status is success; the body is not read yet. One try; errors as ``ask``."""
        pool = self._pool or self._make_pool()
        url, asked = f"{self.base_url}{target}", f"{self._base_path}{target}" or "/"
        every = {**self._headers, **headers} if headers else self._headers
        async with contextlib.AsyncExitStack() as stack:
            with _placed(where):
                for _ in range(_REDIRECTS_MAX + 1):
                    self._count()
                    reply = await stack.enter_async_context(
                        pool.download(asked, headers=every, idle_seconds=self.settings.idle_seconds)
                    )
                    _log_reply("GET", url, reply.status)
                    if reply.status not in _REDIRECTS:
                        break
                    await stack.aclose()
                    url = self._redirected("GET", url, reply.headers.get("location", ""))
                    asked = path_and_query(url)
                else:
                    raise RedirectError("the server redirects in circles")
            _check_status(reply.status, where, {}, reply.headers)
            yield Download(reply, self.received, where)

    def _count(self) -> None:
        if self._on_request is not None:
            self._on_request()

    def _make_pool(self) -> HttpPool:
        self._pool = HttpPool(
            self.base_url,
            tls=self._tls(),
            size=self.settings.connections,
            connect_seconds=self.settings.connect_seconds,
            sent=self.sent,
        )
        return self._pool

    def pause_before_repeat(self, exc: CandadoError, attempt: int) -> float | None:
        """Seconds to wait before a harmless request is sent again; None when that is of no use."""
        asked = 0.0
        if isinstance(exc, RateLimitedError):
            asked = exc.after_seconds
        elif isinstance(exc, ServerFailedError):
            if exc.status not in TRANSIENT:
                return None
            asked = exc.after_seconds
        elif not isinstance(exc, TransportError) or not exc.retry:
            return None
        if asked > _PAUSE_MAX_SECONDS:
            return None
        backoff = 0.25 * 2.0**attempt * (0.5 + self._random.token(1)[0] / 255)
        return max(asked, backoff)

    async def close(self) -> None:
        """Close all connections; harmless twice."""
        if self._pool is not None:
            self._pool.close()

    def _redirected(self, method: str, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            urlsplit(target)
        except ValueError as exc:
            raise RedirectError("the server redirects to nowhere", path=self.base_url) from exc
        if method != "GET" or origin_of(target) != self._origin:
            parts = urlsplit(target)
            shown = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "nowhere"
            raise RedirectError(f"the server redirects to {shown[:200]!a}; this is not followed", path=self.base_url)
        return target

    def _tls(self) -> ssl.SSLContext | None:
        """The context for https, made once; None for http."""
        if self._context is None and self.base_url.startswith("https://"):
            self._context = tls_context(self.settings.ca_file)
        return self._context


@contextlib.contextmanager
def _placed(place: str) -> Generator[None, None, None]:
    """Errors that do not say where they happened happened at ``place``."""
    try:
        yield
    except CandadoError as exc:
        exc.path = exc.path or place
        raise


def _log_reply(method: str, url: str, status: int) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s %s %d", method, urlsplit(url).path, status)


def basic(login: str, password: SecretText) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{login}:{password.reveal()}".encode()).decode()


def _check_status(status: int, where: str | None, meanings: Meanings, headers: Mapping[str, str]) -> None:
    if not 200 <= status < 300:
        raise refusal(status, path=where, meanings=meanings, headers=headers)

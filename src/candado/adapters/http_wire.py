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
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from candado.adapters.http_errors import TRANSIENT, Meanings, ServerFailedError, refusal
from candado.adapters.http_pool import PLAIN_BODY_BYTES_MAX, HttpPool
from candado.adapters.http_settings import HttpSettings, Throttle, check_server_url, origin_of, path_and_query
from candado.adapters.http_tls import tls_context, tls_reason
from candado.errors import (
    CandadoError,
    LimitExceededError,
    MalformedError,
    RateLimitedError,
    RedirectError,
    TlsError,
    TransportError,
)
from candado.ports.ambient import Clock, Random
from candado.types import SecretText

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Answer", "HttpWire", "basic"]

USER_AGENT: Final = "candado/0.1.0"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX: Final = 3
_PAUSE_MAX_SECONDS: Final = 30.0
_HEADER_BYTES_MAX: Final = 64 * 1024
_READ_BUFFER_BYTES: Final = 512 * 1024
_PIECE_BYTES_MAX: Final = 1 << 20

_log = logging.getLogger("candado.http")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer within its limit."""

    status: int
    headers: Mapping[str, str]
    """Asked for by lower-case names."""
    body: bytes


class HttpWire:
    """The connections to one server; opened at the first request.

    Args:
        base_url: as ``check_server_url`` returns it.
        login: for Basic authentication; None sends no credentials.
        password: app password or login password.
        settings: bounds.
        clock: for pauses.
        random: for jitter.
        on_request: called for every request that is sent.
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
    ) -> None:
        self.base_url = check_server_url(base_url)
        self.settings = settings
        self._on_request = on_request
        self.sent = Throttle(settings.bytes_per_second, clock)
        self.received = Throttle(settings.bytes_per_second, clock)
        self._clock = clock
        self._random = random
        self._session: aiohttp.ClientSession | None = None
        self._pool: HttpPool | None = None
        self._context: ssl.SSLContext | None = None
        self._origin = origin_of(self.base_url)
        self._headers = {
            "User-Agent": USER_AGENT,
            "X-E2EE-SUPPORTED": "true",
            "OCS-APIRequest": "true",
            "Accept-Encoding": "identity",
            "Accept": "*/*",
        }
        if login is not None and password is not None:
            self._headers["Authorization"] = basic(login, password)

    async def ask(
        self,
        method: str,
        target: str,
        *,
        limit: int,
        where: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: object = None,
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
            data: bytes or an aiohttp payload.
            meanings: errors of statuses at this endpoint.
            harmless: True when repeating it does no harm.
            idle_seconds: instead of the setting.

        Raises:
            RemoteError, TransportError, FormatError: see ``http_errors``.
        """
        tries = self.settings.attempts if harmless else 1
        attempt = 0
        while True:
            attempt += 1
            try:
                if data is None or (isinstance(data, bytes) and len(data) <= PLAIN_BODY_BYTES_MAX):
                    return await self._ask_shortly(method, target, limit, where, headers, data, meanings, idle_seconds)
                async with self.open(
                    method, target, where=where, headers=headers, data=data, meanings=meanings, idle=idle_seconds
                ) as response:
                    body = await self._read(response, limit, where)
                    return Answer(response.status, response.headers, body)
            except CandadoError as exc:
                pause = self.pause_before_repeat(exc, attempt)
                if attempt >= tries or pause is None:
                    raise
            await self._clock.sleep(pause)

    async def _ask_shortly(
        self,
        method: str,
        target: str,
        limit: int,
        where: str | None,
        headers: Mapping[str, str] | None,
        data: bytes | None,
        meanings: Meanings | None,
        idle_seconds: float | None,
    ) -> Answer:
        """One request whose body and answer fit in memory."""
        pool = self._pool or self._make_pool()
        url = f"{self.base_url}{target}"
        every = {**self._headers, **headers} if headers else self._headers
        try:
            for _ in range(_REDIRECTS_MAX + 1):
                if self._on_request is not None:
                    self._on_request()
                reply = await pool.request(
                    method,
                    path_and_query(url),
                    headers=every,
                    body=data,
                    limit=limit,
                    idle_seconds=idle_seconds or self.settings.idle_seconds,
                )
                if _log.isEnabledFor(logging.DEBUG):
                    _log.debug("%s %s %d", method, urlsplit(url).path, reply.status)
                if reply.status not in _REDIRECTS:
                    break
                url = self._redirected(method, url, reply.headers.get("location", ""))
            else:
                raise RedirectError("the server redirects in circles")
        except CandadoError as exc:
            exc.path = exc.path or where or self.base_url
            raise
        _check_status(reply.status, where, meanings or {}, reply.headers.get("retry-after"))
        await self.received.take(len(reply.body))
        return Answer(reply.status, reply.headers, reply.body)

    def _make_pool(self) -> HttpPool:
        self._pool = HttpPool(
            self.base_url,
            tls=self._tls(),
            size=self.settings.connections,
            connect_seconds=self.settings.connect_seconds,
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

    @contextlib.asynccontextmanager
    async def open(
        self,
        method: str,
        target: str,
        *,
        where: str | None,
        headers: Mapping[str, str] | None = None,
        data: object = None,
        meanings: Meanings | None = None,
        idle: float | None = None,
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """The response to one request once its status is success; the body is not read yet."""
        url = f"{self.base_url}{target}"
        session = self._session or self._connect()
        response: aiohttp.ClientResponse | None = None
        with self._translated(where):
            for _ in range(_REDIRECTS_MAX + 1):
                if self._on_request is not None:
                    self._on_request()
                response = await self._send(session, method, url, headers, data, idle)
                if response.status not in _REDIRECTS:
                    break
                url = self._redirected(method, url, response.headers.get("Location", ""))
                response.close()
            else:
                raise RedirectError("the server redirects in circles", path=where)
            try:
                _check_status(response.status, where, meanings or {}, response.headers.get("Retry-After"))
                yield response
            except BaseException:
                response.close()
                raise
            finally:
                response.release()

    async def _send(
        self,
        session: "aiohttp.ClientSession",
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        data: object,
        idle: float | None,
    ) -> "aiohttp.ClientResponse":
        from aiohttp import ClientTimeout  # noqa: PLC0415 -- imported by _connect already
        from yarl import URL  # noqa: PLC0415

        timeout = session.timeout
        if idle is not None:
            timeout = ClientTimeout(total=None, sock_connect=self.settings.connect_seconds, sock_read=idle)
        response = await session.request(
            method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False, timeout=timeout
        )
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s %d", method, urlsplit(url).path, response.status)
        return response

    async def _read(self, response: "aiohttp.ClientResponse", limit: int, where: str | None) -> bytes:
        length = response.content_length
        if length is not None and length > limit:
            raise LimitExceededError(f"the answer has {length} bytes, more than {limit}", path=where)
        if length is not None:
            body = await response.read()
        else:
            pieces, total = [], 0
            async for piece in response.content.iter_any():
                total += len(piece)
                if total > limit:
                    raise LimitExceededError(f"the answer has more than {limit} bytes", path=where)
                pieces.append(piece)
            body = b"".join(pieces)
        await self.received.take(len(body))
        return body

    async def pieces(self, response: "aiohttp.ClientResponse") -> AsyncIterator[bytes]:
        """The body of an open response in pieces of at most 1 MiB."""
        async for piece in response.content.iter_any():
            await self.received.take(len(piece))
            if len(piece) <= _PIECE_BYTES_MAX:
                yield piece
            else:
                for start in range(0, len(piece), _PIECE_BYTES_MAX):
                    yield piece[start : start + _PIECE_BYTES_MAX]

    async def close(self) -> None:
        """Close all connections; harmless twice."""
        if self._pool is not None:
            self._pool.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

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

    def _connect(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 -- only commands that stream bodies need it

        settings = self.settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.connections,
                limit_per_host=settings.connections,
                ssl=self._tls() or True,
                resolver=aiohttp.ThreadedResolver(),
            ),
            headers=self._headers,
            skip_auto_headers=("Content-Type",),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_seconds, sock_read=settings.idle_seconds
            ),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_READ_BUFFER_BYTES,
            max_line_size=_HEADER_BYTES_MAX,
            max_field_size=_HEADER_BYTES_MAX,
        )
        return self._session

    def _tls(self) -> ssl.SSLContext | None:
        """The context for https, made once; None for http."""
        if self._context is None and self.base_url.startswith("https://"):
            self._context = tls_context(self.settings.ca_file)
        return self._context

    @contextlib.contextmanager
    def _translated(self, where: str | None) -> Iterator[None]:
        """Turn the exceptions of aiohttp and ssl into ours."""
        import aiohttp  # noqa: PLC0415 -- imported by _connect already

        place = where if where is not None else self.base_url
        try:
            yield
        except CandadoError:
            raise
        except (aiohttp.ClientSSLError, ssl.SSLError) as exc:
            raise TlsError(f"the server's TLS certificate is not accepted: {tls_reason(exc)}", path=place) from exc
        except aiohttp.ClientConnectorError as exc:
            raise TransportError(
                f"the server cannot be reached: {exc.os_error.strerror or 'no answer'}", outcome_known=True, path=place
            ) from exc
        except aiohttp.ConnectionTimeoutError as exc:
            raise TransportError("the server does not answer in time", outcome_known=True, path=place) from exc
        except (aiohttp.ServerTimeoutError, TimeoutError) as exc:
            raise TransportError("the server stopped answering", path=place) from exc
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as exc:
            raise MalformedError("the server's answer is not HTTP as it should be", path=place) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise TransportError("the connection broke", path=place) from exc


def basic(login: str, password: SecretText) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{login}:{password.reveal()}".encode()).decode()


def _check_status(status: int, where: str | None, meanings: Meanings, retry_after: str | None) -> None:
    if not 200 <= status < 300:
        raise refusal(status, path=where, meanings=meanings, retry_after=retry_after)

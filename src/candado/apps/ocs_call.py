"""One call of the OCS interface: who calls, with which parameters, and the envelope around the answer.

Layer: ``apps``. Parameters come from the query string, a form body and a JSON body alike, for every method: stock
clients use all three. Version 1 of the interface says 100 for success and always answers with HTTP 200.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from candado.apps.callers import with_request
from candado.apps.server_errors import fault_of
from candado.apps.server_watch import note
from candado.apps.server_wiring import Services
from candado.errors import (
    AuthRequiredError,
    BadRequestError,
    CandadoError,
    ForbiddenError,
    FormatError,
    LimitExceededError,
    PolicyDeniedError,
    PreconditionFailedError,
    RulesChangedError,
    RulesInvalidError,
)
from candado.formats.canonjson import JsonValue, load_json
from candado.formats.ocs import format_ocs_json, format_ocs_xml
from candado.server.access import knows_e2ee, parse_authorization
from candado.server.audit import acting
from candado.server.model import Principal
from candado.types import LockToken

__all__ = [
    "DOCUMENT_BYTES_MAX",
    "SAFE_HEADERS",
    "SMALL_BYTES_MAX",
    "Answer",
    "Handler",
    "OcsCall",
    "OcsStatusError",
    "as_token",
    "base_url",
    "come_in",
    "endpoint",
    "leading_number",
    "not_found",
    "read_parameters",
]

DOCUMENT_BYTES_MAX: Final = 32 * 1024 * 1024
SMALL_BYTES_MAX: Final = 256 * 1024
_FIELDS_MAX: Final = 1000
_BETWEEN: Final = "\n"
_LINK_HEADER: Final = "x-nc-e2ee-share-token"
_TOKEN_CHARS_MAX: Final = 128
_LEADING_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_LOG = logging.getLogger("candado.server")

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Data of a successful call with extra headers, which are sent as they are spelled."""

    data: JsonValue
    headers: Mapping[str, str] = field(default_factory=dict)


class _Spelled(bytes):
    """The name of a header that the HTTP server writes as it is, and not in lower case.

    The stock iOS app looks for the signature of a document under exactly one spelling.
    """

    __slots__ = ()

    def lower(self) -> bytes:
        """Return the same name."""
        return self


class OcsStatusError(Exception):
    """A refusal with a number of the OCS interface, which tools look at; an HTTP status where it is none."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class OcsCall:
    """A call that passed authentication (unless the endpoint is open to all)."""

    request: Request
    services: Services
    version: int
    principal: Principal | None
    parameters: Mapping[str, str]

    @property
    def user(self) -> Principal:
        """The caller; AuthRequiredError for an anonymous one."""
        if self.principal is None:
            raise AuthRequiredError("Current user is not logged in")
        return self.principal

    def require_admin(self) -> None:
        """ForbiddenError unless the caller may administrate."""
        if not self.user.is_admin:
            raise ForbiddenError("Logged in account must be an admin")

    def texts(self, name: str) -> list[str]:
        """The values of a parameter that may be given several times, as ``name[]`` or as a JSON list."""
        return [text for text in self.parameters.get(f"{name}[]", "").split(_BETWEEN) if text]

    def required(self, name: str) -> str:
        """A parameter that must be there and not empty; BadRequestError."""
        value = self.parameters.get(name, "")
        if not value:
            raise BadRequestError(f"the parameter {name} is missing")
        return value

    def number(self, name: str, default: int) -> int:
        """A parameter as a whole number; BadRequestError."""
        value = self.parameters.get(name, "")
        if not value:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", value):
            raise BadRequestError(f"the parameter {name} is not a number")
        return int(value)

    def header(self, name: str) -> str | None:
        """A request header, None when absent or empty."""
        return self.request.headers.get(name) or None

    def path_number(self, name: str) -> int:
        """A number in the path, whatever follows its digits; 0 when it begins with none."""
        return leading_number(str(self.request.path_params[name]))

    @property
    def token(self) -> LockToken | None:
        """The lock token in the header."""
        return as_token(self.header("e2e-token"))


def as_token(text: str | None) -> LockToken | None:
    """Text from outside as a lock token, None when absent, empty or too long to be one."""
    return LockToken(text) if text and len(text) <= _TOKEN_CHARS_MAX else None


def leading_number(text: str) -> int:
    """The digits at the beginning of an id, as stock clients send ids with the instance id behind; 0 without any."""
    match = _LEADING_DIGITS.match(text)
    number = int(match[0]) if match else 0
    return number if number < 2**63 else 0


async def read_parameters(request: Request, *, bytes_max: int) -> dict[str, str]:
    """Parameters of the query, then of the body (which wins).

    Raises:
        LimitExceededError: the body is larger than ``bytes_max``.
        BadRequestError: it is neither a form nor a JSON object.
    """
    try:
        found = _parse_pairs(request.url.query)
    except ValueError as exc:
        raise BadRequestError("the query cannot be decoded") from exc
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BadRequestError("a compressed body is not taken; send it as it is")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > bytes_max:
        raise LimitExceededError("the request body is too large")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > bytes_max:
            raise LimitExceededError("the request body is too large")
    if not body:
        return found
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    parse = _parse_json if kind == "application/json" else _parse_form
    try:
        if len(body) > SMALL_BYTES_MAX:
            return found | await asyncio.to_thread(parse, body, bytes_max)
        return found | parse(body, bytes_max)
    except (ValueError, FormatError) as exc:
        raise BadRequestError("the request body cannot be decoded") from exc


def _parse_form(body: bytearray, bytes_max: int) -> dict[str, str]:
    del bytes_max
    if body.strip() == b"{}":
        return {}
    text = body.decode("ascii", "strict") if body.isascii() else body.decode("utf-8", "strict")
    return _parse_pairs(text)


def _parse_pairs(text: str) -> dict[str, str]:
    """The last value of each name, and all values of a name that ends with ``[]``, a line each."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict"):
        found[name] = f"{found[name]}{_BETWEEN}{value}" if name.endswith("[]") and name in found else value
    return found


def _parse_json(body: bytearray, bytes_max: int) -> dict[str, str]:
    document = load_json(bytes(body), bytes_max=bytes_max, floats=True)
    if document == []:
        return {}
    if not isinstance(document, dict):
        raise BadRequestError("the JSON body is not an object")
    lists = {f"{name}[]": _BETWEEN.join(map(_as_text, v)) for name, v in document.items() if isinstance(v, list)}
    single = {name: v for name, v in document.items() if v is not None and not isinstance(v, list)}
    return lists | {name: _as_text(value) for name, value in single.items()}


def _as_text(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise BadRequestError("a member of the JSON body is neither text nor number")


def base_url(services: Services, request: Request) -> str:
    """The public URL of this server without a trailing slash: as configured, else as the request came in."""
    configured = services.config.url.rstrip("/")
    return configured or f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


Handler = Callable[[OcsCall], Awaitable[Any]]


def endpoint(
    services: Services,
    handler: Handler,
    *,
    anonymous: bool = False,
    gated: bool = False,
    confirmed: bool = False,
    visitors: bool = False,
    bytes_max: int = SMALL_BYTES_MAX,
    statuses: Mapping[str, int] | None = None,
) -> Callable[[Request], Awaitable[Response]]:
    """Make a Starlette endpoint of a handler that returns data, an ``Answer`` or a ``Response``.

    Args:
        services: the use cases.
        handler: does the work; raises errors of our tree.
        anonymous: also for callers without credentials.
        gated: only for clients that say they know encrypted folders, where the server is told to ask.
        confirmed: only with the login password.
        visitors: also for who comes by a link and says so in a header; the password of the link is that of Basic
            credentials, whatever their name.
        bytes_max: limit of the request body.
        statuses: HTTP status by error code where this endpoint differs from the common table.
    """

    async def run(request: Request) -> Response:
        if request.path_params["version"] not in ("1", "2"):
            return await not_found(request)
        version = int(request.path_params["version"])
        wanted = request.query_params.get("format", "")
        try:
            _check_origin(request)
            if gated and services.config.require_e2ee_header:
                _check_client(request)
            link = request.headers.get(_LINK_HEADER) if visitors else None
            if link:
                principal: Principal | None = await come_in(services, request, link)
                assert principal is not None
                acting(principal)
            else:
                principal = await _authenticate(services, request, anonymous=anonymous, confirmed=confirmed)
            parameters = await read_parameters(request, bytes_max=bytes_max)
            # The stock desktop client asks for its lock with this in the body only, and reads nothing but JSON.
            wanted = parameters.get("format", "")
            done = await handler(OcsCall(request, services, version, principal, parameters))
        except OcsStatusError as error:
            return _refusal(request, version, wanted, error)
        except CandadoError as error:
            return _failure(request, version, wanted, error, statuses or {})
        if isinstance(done, Response):
            return done
        answer = done if isinstance(done, Answer) else Answer(done)
        code = 100 if version == 1 else 200
        return _envelope(request, wanted, 200, code, "OK", answer.data, answer.headers, ok=True)

    return run


async def come_in(services: Services, request: Request, token: str) -> Principal:
    """The visitor of a link; errors as ``Links.come_in``."""
    header = request.headers.get("authorization")
    secret = None if header is None else parse_authorization(header.encode("latin-1")).secret
    visitor = await services.links.come_in(token, secret, request.client.host if request.client else "")
    return with_request(visitor, request)


async def _authenticate(services: Services, request: Request, *, anonymous: bool, confirmed: bool) -> Principal | None:
    header = request.headers.get("authorization")
    if header is None and anonymous:
        return None
    address = request.client.host if request.client else ""
    raw = None if header is None else header.encode("latin-1")
    check = services.authenticator.confirm_password if confirmed else services.authenticator.check
    principal = await check(raw, address)
    note(user=principal.user_id)
    acting(principal)
    return with_request(principal, request)


def _check_origin(request: Request) -> None:
    # A page of another site can make a browser send a POST, but not with this header.
    if request.method == "POST" and not request.headers.get("ocs-apirequest"):
        raise PreconditionFailedError("CSRF check failed: the header OCS-APIRequest is missing")


def _check_client(request: Request) -> None:
    announced = request.headers.get("x-e2ee-supported", "").lower() == "true"
    if not knows_e2ee(request.headers.get("user-agent", ""), announced=announced):
        raise ForbiddenError("Client is not allowed to access end-to-end encrypted content")


async def not_found(request: Request) -> Response:
    """The answer to an unknown call; stock clients then leave the feature out."""
    version = 1 if request.url.path.startswith("/ocs/v1.php") else 2
    code = 998 if version == 1 else 404
    wanted = request.query_params.get("format", "")
    return _envelope(request, wanted, 404, code, "Invalid query, please check the syntax.", [], {}, ok=False)


def _failure(request: Request, version: int, wanted: str, error: CandadoError, statuses: Mapping[str, int]) -> Response:
    fault = fault_of(error)
    status = statuses.get(error.code, fault.status)
    if status == 500:
        _LOG.error("%s failed: %s", request.method, error.code, exc_info=error)
    headers = {name.decode("ascii"): value.decode("ascii") for name, value in fault.headers}
    code = 997 if status == 401 else status
    http_status = 200 if version == 1 and status not in (401, 429, 503) else status
    data: JsonValue = {"code": error.code} if status != 409 else []
    if isinstance(error, PolicyDeniedError):
        data = {
            "code": error.code,
            "rule": error.rule_id,
            "text": error.text,
            "rules-version": error.rules_version,
            "encrypt": error.needs_encryption,
            "lasting": error.lasting,
        }
    if isinstance(error, RulesInvalidError | RulesChangedError):
        data = {"code": error.code, **error.details}
    return _envelope(request, wanted, http_status, code, fault.message, data, headers, ok=False)


def _refusal(request: Request, version: int, wanted: str, error: OcsStatusError) -> Response:
    status = error.code if 200 <= error.code <= 599 else 404 if error.code == 998 else 400
    http_status = 200 if version == 1 else status
    return _envelope(request, wanted, http_status, error.code, error.message, [], {}, ok=False)


def _envelope(
    request: Request,
    wanted: str,
    status: int,
    code: int,
    message: str,
    data: JsonValue,
    headers: Mapping[str, str],
    *,
    ok: bool,
) -> Response:
    if wanted == "json" or (not wanted and "json" in request.headers.get("accept", "").lower()):
        body, kind = format_ocs_json(code, message, data, ok=ok), "application/json; charset=utf-8"
    else:
        body, kind = format_ocs_xml(code, message, data, ok=ok), "application/xml; charset=utf-8"
    answer = Response(body, status, {**SAFE_HEADERS, "Content-Type": kind})
    for name, value in headers.items():
        if name in SAFE_HEADERS:
            answer.headers[name] = value
        else:
            answer.raw_headers.append((_Spelled(name.encode("ascii")), value.encode("latin-1")))
    return answer

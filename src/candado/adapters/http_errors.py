"""From HTTP statuses to our errors.

Layer: ``adapters``. The common meanings stand in ``refusal``; an endpoint hands in what a status means only there.
Bodies of error answers are never read, logged or shown: a hostile server writes them.
"""

from collections.abc import Callable, Mapping
from typing import Final

from candado.errors import (
    AlreadyExistsError,
    AuthRequiredError,
    BadRequestError,
    CandadoError,
    ForbiddenError,
    LockedError,
    NotFoundError,
    PolicyDeniedError,
    PreconditionFailedError,
    QuotaExceededError,
    RateLimitedError,
    RemoteBugError,
)
from candado.formats.denials import DENIAL_HEADER, Denial, parse_denial

__all__ = ["TRANSIENT", "Meaning", "Meanings", "ServerFailedError", "denied", "refusal", "retry_after_seconds"]

Meaning = Callable[[str | None], CandadoError]
"""Makes the error of one status, given where it happened."""

Meanings = Mapping[int, Meaning]

TRANSIENT: Final = frozenset({429, 502, 503, 504})
"""Statuses after which a request that changes nothing is repeated."""

_RETRY_AFTER_MAX_SECONDS: Final = 3600.0


class ServerFailedError(RemoteBugError):
    """The server failed; keeps the status for the adapter's own decisions."""

    def __init__(self, message: str, *, status: int, after_seconds: float, path: str | None) -> None:
        super().__init__(message, path=path)
        self.status = status
        self.after_seconds = after_seconds


_COMMON: Final[Meanings] = {
    400: lambda path: BadRequestError("the server does not understand the request", path=path),
    401: lambda path: AuthRequiredError("the server does not accept the user name or password", path=path),
    403: lambda path: ForbiddenError("the server does not allow this", path=path),
    404: lambda path: NotFoundError("there is nothing at this path", path=path),
    409: lambda path: AlreadyExistsError("something is already there", path=path),
    412: lambda path: PreconditionFailedError("the object changed on the server meanwhile", path=path),
    413: lambda path: QuotaExceededError("the server does not take anything this large", path=path),
    423: lambda path: LockedError("somebody else is writing into the folder", path=path),
    507: lambda path: QuotaExceededError("there is not enough space left on the server", path=path),
}


def refusal(
    status: int, *, path: str | None, meanings: Meanings, headers: Mapping[str, str] | None = None
) -> CandadoError:
    """The error for a status that is not success.

    Args:
        status: of the answer.
        path: where, for people.
        meanings: what statuses mean at this endpoint; the common ones fill in.
        headers: of the answer, by lower-case names.
    """
    told = headers or {}
    denial = parse_denial(told.get(DENIAL_HEADER.lower(), "")) if status == 403 else None
    if denial is not None:
        return denied(denial, path)
    meaning = meanings.get(status) or _COMMON.get(status)
    if meaning is not None:
        return meaning(path)
    after = retry_after_seconds(told.get("retry-after"))
    if status == 429:
        return RateLimitedError("the server asks to wait", after_seconds=30.0 if after is None else after, path=path)
    message = {503: "the server is in maintenance or overloaded (503)"}.get(
        status, f"the server failed with status {status}" if status >= 500 else f"the server answered {status}"
    )
    return ServerFailedError(message, status=status, after_seconds=after or 0.0, path=path)


def denied(denial: Denial, path: str | None) -> PolicyDeniedError:
    """What a refusal by a rule says to people; the administrator's words are marked as such."""
    said = f', which says: "{denial.text}"' if denial.text else ""
    return PolicyDeniedError(
        f"the server's rule {denial.rule_id} does not allow this{said}",
        rule_id=denial.rule_id,
        text=denial.text,
        rules_version=denial.version,
        needs_encryption=denial.encrypt,
        lasting=denial.lasting,
        path=path,
    )


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds of a Retry-After header in its number form, 0 to 3600; None when it says nothing we use."""
    if header is None or not header.isascii() or not header.strip().isdigit() or len(header) > 12:
        return None
    return min(float(header), _RETRY_AFTER_MAX_SECONDS)

"""The one table from error codes to HTTP: status, DAV exception name. Services know no HTTP.

Layer: ``apps``. A code without a row is a fault of ours and becomes 500; everything a client can cause has a row.
Stock desktop clients look for ``FileLocked`` in the exception name, so that one is part of the protocol.
"""

import math
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from candado.errors import CandadoError, PolicyDeniedError, RateLimitedError
from candado.formats.denials import DENIAL_HEADER, Denial, format_denial

__all__ = ["HttpFault", "dav_error_body", "fault_of"]


@dataclass(frozen=True, slots=True)
class HttpFault:
    """How one error is shown to a client."""

    status: int
    exception: str
    message: str
    code: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


_SABRE: Final = "Sabre\\DAV\\Exception\\"
_LOCKED: Final = "OCA\\DAV\\Connector\\Sabre\\Exception\\FileLocked"

_TABLE: Final[dict[str, tuple[int, str]]] = {
    "AUTH_REQUIRED": (401, _SABRE + "NotAuthenticated"),
    "FORBIDDEN": (403, _SABRE + "Forbidden"),
    "APPROVAL_NEEDED": (403, _SABRE + "Forbidden"),
    "POLICY_DENIED": (403, _SABRE + "Forbidden"),
    "CLIENT_RULE": (403, _SABRE + "Forbidden"),
    "NOT_ENCRYPTED": (403, _SABRE + "Forbidden"),
    "NAME_UNSAFE": (403, _SABRE + "Forbidden"),
    "NOT_FOUND": (404, _SABRE + "NotFound"),
    "ROOT_DELETED": (404, _SABRE + "NotFound"),
    "NO_KEYS": (404, _SABRE + "NotFound"),
    "PEER_WITHOUT_KEYS": (404, _SABRE + "NotFound"),
    "ALREADY_EXISTS": (409, _SABRE + "Conflict"),
    "KEYS_EXIST": (409, _SABRE + "Conflict"),
    "FOLDER_NOT_EMPTY": (404, _SABRE + "NotFound"),
    "INCOMPLETE_KEYS": (409, _SABRE + "Conflict"),
    "RULES_CHANGED": (409, _SABRE + "Conflict"),
    "COUNTER_CONFLICT": (412, _SABRE + "PreconditionFailed"),
    "PRECONDITION_FAILED": (412, _SABRE + "PreconditionFailed"),
    "LIMIT_EXCEEDED": (413, _SABRE + "BadRequest"),
    "LOCK_HELD": (423, _LOCKED),
    "LOCK_LOST": (423, _LOCKED),
    "RATE_LIMITED": (429, _SABRE + "ServiceUnavailable"),
    "BAD_REQUEST": (400, _SABRE + "BadRequest"),
    "FORMAT": (400, _SABRE + "BadRequest"),
    "MALFORMED": (400, _SABRE + "BadRequest"),
    "RULES_INVALID": (400, _SABRE + "BadRequest"),
    "RULES_TOO_WIDE": (400, _SABRE + "BadRequest"),
    "UNSUPPORTED_VERSION": (400, _SABRE + "BadRequest"),
    "BAD_SIGNATURE": (400, _SABRE + "BadRequest"),
    "UNTRUSTED_CERTIFICATE": (400, _SABRE + "BadRequest"),
    "AUDIT_BEHIND": (503, _SABRE + "ServiceUnavailable"),
    "BUSY": (503, _SABRE + "ServiceUnavailable"),
    "RULES_UNREADABLE": (503, _SABRE + "ServiceUnavailable"),
    "STORE_UNAVAILABLE": (503, _SABRE + "ServiceUnavailable"),
    "TRANSPORT": (503, _SABRE + "ServiceUnavailable"),
    "SIGNER_UNAVAILABLE": (503, _SABRE + "ServiceUnavailable"),
    "SIGNER_SETUP": (503, _SABRE + "ServiceUnavailable"),
    "PIN_REFUSED": (503, _SABRE + "ServiceUnavailable"),
    "AUTHORITY_CHANGED": (503, _SABRE + "ServiceUnavailable"),
    "QUOTA_EXCEEDED": (507, _SABRE + "InsufficientStorage"),
    "DISK_FULL": (507, _SABRE + "InsufficientStorage"),
}

_OWN_FAULT: Final = (500, _SABRE.rstrip("\\"))


def fault_of(error: CandadoError, *, realm: str = "candado") -> HttpFault:
    """Return how ``error`` is shown; faults of ours show no detail."""
    status, exception = _TABLE.get(error.code, _OWN_FAULT)
    headers: list[tuple[bytes, bytes]] = []
    if status == 401:
        headers.append((b"www-authenticate", f'Basic realm="{realm}", charset="UTF-8"'.encode("ascii")))
    if isinstance(error, RateLimitedError):
        headers.append((b"retry-after", str(max(1, math.ceil(error.after_seconds))).encode("ascii")))
    elif isinstance(error, PolicyDeniedError):
        headers.append((DENIAL_HEADER.lower().encode("ascii"), format_denial(_denial_of(error)).encode("ascii")))
    elif status == 503:
        headers.append((b"retry-after", b"5"))
    message = error.message if status != 500 else "Internal error; the log of the server has the details."
    return HttpFault(status, exception, message, error.code, tuple(headers))


def _denial_of(error: PolicyDeniedError) -> Denial:
    return Denial(error.rule_id, error.text, error.rules_version, error.needs_encryption, error.lasting)


def dav_error_body(exception: str, message: str, *, condition: str = "") -> bytes:
    """Return the XML body that DAV clients parse for an error; ``condition`` is the DAV element that names it."""
    named = f"<d:{condition}/>" if condition else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">'
        f"{named}<s:exception>{escape(exception)}</s:exception><s:message>{escape(message)}</s:message></d:error>"
    ).encode()

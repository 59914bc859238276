"""TLS contexts.

Layer: ``adapters``. Certificates are always checked, TLS 1.2 is the least; a private authority can be named, checking
cannot be switched off.
"""

import ssl

from candado.errors import LocalStorageError

__all__ = ["tls_context", "tls_reason"]


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that trusts the system's authorities, and those of a PEM file when one is named; LocalStorageError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise LocalStorageError("the file with the certificate authority cannot be used", path=ca_file) from exc
    return context


def tls_reason(exc: Exception) -> str:
    """Why a connection was not secure, for people."""
    cause = getattr(exc, "certificate_error", None) or getattr(exc, "os_error", None) or exc
    return getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "the connection is not secure"

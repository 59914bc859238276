"""TLS contexts, and the import of aiohttp that does not pay for one it does not need.

Layer: ``adapters``. Certificates are always checked, TLS 1.2 is the least; a private authority can be named, checking
cannot be switched off.
"""

import importlib
import ssl
import sys
from typing import TYPE_CHECKING

from candado.errors import LocalStorageError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_aiohttp", "tls_context", "tls_reason"]


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


def import_aiohttp() -> "ModuleType":
    """The package, imported when the first request is made: commands without a server need not pay for it.

    While it is imported it makes a TLS context with all authorities of the system, which costs more than the rest and
    is of no use here: ``tls_context`` makes our own for every https origin. During the import it gets an empty context
    instead, which trusts nobody.
    """
    if "aiohttp" not in sys.modules:
        make = ssl.create_default_context
        ssl.create_default_context = lambda *_, **__: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            importlib.import_module("aiohttp")
        finally:
            ssl.create_default_context = make
    return sys.modules["aiohttp"]


def tls_reason(exc: Exception) -> str:
    """Why a connection was not secure, for people."""
    cause = getattr(exc, "certificate_error", None) or getattr(exc, "os_error", None) or exc
    return getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "the connection is not secure"

"""The certificate of a server that ends TLS itself.

Layer: ``adapters``. TLS 1.2 is the least. A renewed certificate is taken by the context that serves: connections that
are open keep the one they began with, and nothing is closed.
"""

import ssl
from pathlib import Path

from candado.errors import LocalStorageError

__all__ = ["ServerCertificate"]


class ServerCertificate:
    """A chain and its key in PEM files, and the context that shows them."""

    def __init__(self, chain: Path, key: Path | None) -> None:
        """Load them; ``key`` is None when it is in the file of the chain.

        Raises:
            LocalStorageError: a file is missing or unreadable, is no PEM, or the key is another certificate's.
        """
        self._chain = chain
        self._key = key
        self.context = self._load()

    def reload(self) -> None:
        """Show what is in the files now from the next connection on; errors as at first, the old one is kept then."""
        self._load()  # a context that took half of a bad pair would show neither
        self._read_into(self.context)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        self._read_into(context)
        return context

    def _read_into(self, context: ssl.SSLContext) -> None:
        def no_password() -> str:  # the library would ask at the terminal
            raise LocalStorageError("the key has a password", path=str(self._key or self._chain))

        try:
            context.load_cert_chain(self._chain, self._key, no_password)
        except (OSError, ssl.SSLError) as exc:
            reason = getattr(exc, "reason", None) or exc.strerror
            raise LocalStorageError(
                f"the certificate or its key cannot be used: {reason}",
                path=str(self._chain),
                advice="Name PEM files that belong together: the chain, the server's certificate first, and its key.",
            ) from exc

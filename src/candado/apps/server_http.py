"""The HTTP/1.1 parser of the server where it must be stricter than the library.

Layer: ``apps``.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["StrictHttpProtocol"]


class StrictHttpProtocol(HttpToolsProtocol):
    """One connection.

    A request target has no fragment (RFC 9112, section 3.2). The library would cut one off, so that ``DELETE /a#b``
    removed ``/a``; here it is 400. Encoded as ``%23`` the character is part of a name as any other.
    """

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target; the parser turns any error here into a 400 and closes."""
        if b"#" in url:
            raise ValueError("a request target has no fragment")
        super().on_url(url)

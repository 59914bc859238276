"""Errors that name things as people know them.

Layer: ``client``. The wire knows folders by their number and files by a sealed name.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

from candado.errors import CandadoError, FormatError, RedirectError, RemoteError, TlsError, TransportError

__all__ = ["named", "placed"]

E = TypeVar("E", bound=CandadoError)


def placed(error: E, path: str) -> E:
    """The error, with the clear path when it carries none or what the wire calls it."""
    is_of_wire = isinstance(error, RemoteError | TransportError | FormatError)
    if not error.path or (is_of_wire and not isinstance(error, RedirectError | TlsError)):
        error.path = path
    return error


@contextmanager
def named(path: str) -> Generator[None, None, None]:
    """What fails in this block failed at the clear path."""
    try:
        yield
    except CandadoError as error:
        placed(error, path)
        raise

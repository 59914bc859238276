"""The body of an upload form (``multipart/form-data``, RFC 7578), read as it arrives.

Layer: ``formats``. A reader is fed pieces of any size and says what they hold, so that a file of any size takes
constant memory. Browsers write the quotation mark in a file's name as ``%22`` and leave everything else as it is.
"""

import re
from dataclasses import dataclass
from typing import Final

from candado.errors import LimitExceededError, MalformedError

__all__ = ["MultipartReader", "PartEnd", "PartStart", "boundary_of"]

_HEADER_BYTES_MAX: Final = 8 * 1024
_PADDING_BYTES_MAX: Final = 256
_PARTS_MAX: Final = 1000
_BOUNDARY: Final = re.compile(
    r"""multipart/form-data;.*\bboundary=("?)([0-9A-Za-z'()+_,./:=?-]{1,70})\1\s*(?:;.*)?""", re.IGNORECASE
)
_DISPOSITION: Final = re.compile(r"\s*content-disposition\s*:\s*form-data\s*(;.*)", re.IGNORECASE)
_NAME: Final = re.compile(r';\s*name="([^"]*)"')
_FILE_NAME: Final = re.compile(r';\s*filename="([^"]*)"')


@dataclass(frozen=True, slots=True)
class PartStart:
    """A field begins; ``file_name`` is None for one that is no file, and empty when no file was chosen."""

    name: str
    file_name: str | None


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The field is whole."""


def boundary_of(content_type: str) -> str:
    """The boundary in a Content-Type header; MalformedError when it is not that of an upload form."""
    match = _BOUNDARY.fullmatch(content_type.strip())
    if match is None:
        raise MalformedError("the form was not sent as multipart/form-data")
    return match[2]


class MultipartReader:
    """Takes a body apart."""

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # The first boundary has no line before it when there is no preamble.
        self._buffer = bytearray(b"\r\n")
        self._state = self._preamble
        self._parts = 0
        self._ended = False

    def feed(self, data: bytes) -> list[PartStart | PartEnd | bytes]:
        """What has become known: begins and ends of fields, and between them their bytes.

        Raises:
            MalformedError: this is no such body. LimitExceededError: too many fields, or one with long headers.
        """
        self._buffer += data
        found: list[PartStart | PartEnd | bytes] = []
        while self._state(found):
            pass
        return found

    def close(self) -> None:
        """MalformedError unless the body is whole."""
        if not self._ended:
            raise MalformedError("the form ends in the middle")

    # Each state takes what it can from the buffer and says whether the next one has something to do.

    def _preamble(self, found: list[PartStart | PartEnd | bytes]) -> bool:
        del found
        at = self._buffer.find(self._delimiter)
        if at < 0:
            self._drop(max(0, len(self._buffer) - len(self._delimiter)))
            return False
        self._drop(at + len(self._delimiter))
        self._state = self._after_delimiter
        return True

    def _after_delimiter(self, found: list[PartStart | PartEnd | bytes]) -> bool:
        del found
        if self._buffer.startswith(b"--"):
            self._ended = True
            self._state = self._epilogue
            return True
        at = self._buffer.find(b"\r\n")
        if at < 0:
            if len(self._buffer) > _PADDING_BYTES_MAX:
                raise MalformedError("a boundary of the form is not the end of its line")
            return False
        if self._buffer[:at].strip(b" \t"):
            raise MalformedError("a boundary of the form is not the end of its line")
        # The line end stays: a field without headers then has an empty line to find as well.
        self._drop(at)
        self._state = self._headers
        return True

    def _headers(self, found: list[PartStart | PartEnd | bytes]) -> bool:
        at = self._buffer.find(b"\r\n\r\n")
        if at > _HEADER_BYTES_MAX or (at < 0 and len(self._buffer) > _HEADER_BYTES_MAX):
            raise LimitExceededError("a field of the form has long headers")
        if at < 0:
            return False
        self._parts += 1
        if self._parts > _PARTS_MAX:
            raise LimitExceededError(f"a form has at most {_PARTS_MAX} fields")
        found.append(_part_start(bytes(self._buffer[:at])))
        self._drop(at + 4)
        self._state = self._body
        return True

    def _body(self, found: list[PartStart | PartEnd | bytes]) -> bool:
        at = self._buffer.find(self._delimiter)
        whole = at >= 0
        size = at if whole else max(0, len(self._buffer) - len(self._delimiter))
        if size:
            found.append(bytes(self._buffer[:size]))
        self._drop(size + len(self._delimiter) if whole else size)
        if whole:
            found.append(PartEnd())
            self._state = self._after_delimiter
        return whole

    def _epilogue(self, found: list[PartStart | PartEnd | bytes]) -> bool:
        del found
        self._buffer.clear()
        return False

    def _drop(self, count: int) -> None:
        del self._buffer[:count]


def _part_start(headers: bytes) -> PartStart:
    try:
        lines = headers.decode("utf-8").split("\r\n")
    except UnicodeDecodeError as exc:
        raise MalformedError("a field of the form has headers that are not UTF-8") from exc
    for line in lines:
        match = _DISPOSITION.fullmatch(line)
        name = _NAME.search(match[1]) if match else None
        if match and name:
            file_name = _FILE_NAME.search(match[1])
            return PartStart(_plain(name[1]), None if file_name is None else _plain(file_name[1]))
    raise MalformedError("a field of the form has no name")


def _plain(text: str) -> str:
    return text.replace("%22", '"')

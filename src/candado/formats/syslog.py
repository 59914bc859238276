r"""Messages of syslog, and how they are told apart on a stream.

Layer: ``formats``. A message is ``<PRI>1 TIME HOST APP PROCID MSGID SD MSG``. The structured data has what is
registered for everybody (``meta``, ``origin``) and, for those who have an enterprise number, an element of their own.

Sources: RFC 5424, sections 6 and 7 (grammar, escaping); RFC 6587, 3.4.1 (octet counting); RFC 5425, 4.3 (the same over
TLS); RFC 5426, 3.2 (what a datagram may hold).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from candado.errors import MisuseError

__all__ = ["AUDIT_FACILITY", "SEQUENCE_MAX", "StructuredData", "count_octets", "syslog_message"]

AUDIT_FACILITY: Final = 13
"""``log audit`` of RFC 5424, table 1."""

SEQUENCE_MAX: Final = 2**31 - 1
"""The largest ``sequenceId``; after it comes 1."""

StructuredData = Sequence[tuple[str, Mapping[str, str]]]
"""Elements in order: their id, and names with values."""

_NIL: Final = "-"
_NAME: Final = re.compile(r"[\x21-\x7e]+")
_SD_NAME: Final = re.compile(r"[!#-<>-\\^-~]{1,32}")
_BOM: Final = b"\xef\xbb\xbf"
_SPECIAL: Final = re.compile(r'(["\\\]])')
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def syslog_message(
    text: str,
    *,
    severity: int,
    time: str,
    host: str,
    application: str,
    process: str,
    message_id: str,
    data: StructuredData,
    facility: int = AUDIT_FACILITY,
) -> bytes:
    """One message.

    Shapes:
        text: one line; a mark of UTF-8 goes before it when it is more than ASCII.   severity: 0 to 7.
        time: as RFC 3339.   host, application, process, message_id: whatever is no printable ASCII is left out, what is
        too long is cut, nothing becomes ``-``.   data: see ``StructuredData``.

    Raises:
        MisuseError: a severity, facility or name that the grammar does not have, an element twice.
    """
    if not 0 <= severity <= 7 or not 0 <= facility <= 23:
        raise MisuseError("no such severity or facility")
    header = " ".join(
        [
            f"<{facility * 8 + severity}>1",
            _word(time, 64),
            _word(host, 255),
            _word(application, 48),
            _word(process, 128),
            _word(message_id, 32),
        ]
    )
    body = _visible(text)
    mark = b"" if body.isascii() else _BOM
    return f"{header} {_structured(data)} ".encode() + mark + body.encode("utf-8")


def count_octets(message: bytes) -> bytes:
    """The message with its length in front, as it goes over a stream."""
    return b"%d %b" % (len(message), message)


def _word(text: str, length_max: int) -> str:
    return "".join(_NAME.findall(text))[:length_max] or _NIL


def _structured(data: StructuredData) -> str:
    if len({name for name, _ in data}) != len(data):
        raise MisuseError("an element of structured data is there twice")
    return "".join(_element(name, values) for name, values in data) or _NIL


def _element(name: str, values: Mapping[str, str]) -> str:
    if not all(_SD_NAME.fullmatch(one) for one in (name, *values)):
        raise MisuseError("a name of structured data has a character that it may not have")
    pairs = "".join(f' {key}="{_value(value)}"' for key, value in values.items())
    return f"[{name}{pairs}]"


def _value(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _visible(text))


def _visible(text: str) -> str:
    r"""Control characters as ``\u000a``; the grammar allows them, receivers of lines do not."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)

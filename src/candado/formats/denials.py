"""What a refusal by a rule tells a client: which rule, in whose words, and what would be allowed.

Layer: ``formats``; no I/O. One header of an answer with status 403, whatever the body is, so that a client of ours
reads no body of a refusal. Example::

    X-Candado-Denied: rule=hr-pdf; version=7; encrypt=1; lasting=1; text=PDFs%20of%20HR%20go%20into%20sealed%20folders.

``text`` is what the administrator wrote, percent-encoded UTF-8, cut so that it fits in the buffers of proxies. Source:
docs/spec/api.md, Refusals by a rule.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

__all__ = ["DENIAL_HEADER", "RULE_ID", "Denial", "format_denial", "one_line", "parse_denial"]

DENIAL_HEADER: Final = "X-Candado-Denied"
RULE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_VALUE_CHARS_MAX: Final = 4096
_TEXT_CHARS_MAX: Final = 1536
"""Of the encoded text: with all other headers of an answer it stays below the 4 KiB that some proxies take."""
_VERSION_MAX: Final = 2**53 - 1
_NUMBER: Final = re.compile(r"[0-9]{1,16}\Z")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FLAGS: Final = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class Denial:
    """One refusal.

    ``version`` is that of the rules which were in force. ``encrypt`` says that the same would be allowed in an
    end-to-end encrypted folder, ``lasting`` that nothing but another file or other rules will change the answer: no
    time, address or group was asked for.
    """

    rule_id: str
    text: str
    version: int = 0
    encrypt: bool = False
    lasting: bool = False


def format_denial(denial: Denial) -> str:
    """The value of the header, ASCII, at most 1,700 characters; a long text ends in an ellipsis."""
    text = one_line(denial.text)
    encoded = quote(text, safe=" !*,.:()/")
    while len(encoded) > _TEXT_CHARS_MAX:
        # Never less than one character a round, so that it ends.
        text = text[: min(len(text) - 1, len(text) * _TEXT_CHARS_MAX // len(encoded))]
        encoded = quote(text + "\N{HORIZONTAL ELLIPSIS}", safe=" !*,.:()/")
    return (
        f"rule={denial.rule_id}; version={denial.version}; encrypt={int(denial.encrypt)};"
        f" lasting={int(denial.lasting)}; text={encoded}"
    )


def parse_denial(value: str) -> Denial | None:
    """The refusal in a header; None for anything that is none. A member that is not known is passed over.

    The text comes from a server that may be hostile: it is one line without control or invisible characters.
    """
    if len(value) > _VALUE_CHARS_MAX or not value.isascii():
        return None
    members: dict[str, str] = {}
    for member in value.split(";"):
        name, equals, given = member.strip(" ").partition("=")
        if not equals or name in members:
            return None
        members[name] = given
    version, encrypt, lasting = (members.get(name, "0") for name in ("version", "encrypt", "lasting"))
    if not RULE_ID.match(members.get("rule", "")) or encrypt not in _FLAGS or lasting not in _FLAGS:
        return None
    if not _NUMBER.match(version) or int(version) > _VERSION_MAX:
        return None
    try:
        text = unquote_to_bytes(members.get("text", "")).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return Denial(members["rule"], one_line(text), int(version), _FLAGS[encrypt], _FLAGS[lasting])


def one_line(text: str) -> str:
    """A text as one line: runs of white space, control and invisible characters are one space each."""
    seen = "".join(" " if unicodedata.category(char) in _UNSEEN else char for char in text)
    return " ".join(seen.split())

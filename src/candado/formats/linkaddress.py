"""The address of a link into an encrypted folder.

Layer: ``formats``. ``BASE/s/TOKEN#by=HEX&key=HEX&words=a-b-c``. What stands behind the ``#`` never leaves the device
that opens the address: ``by`` is the fingerprint of the maker's key, ``key`` that of the link's own key, ``words`` the
words that open it, when the maker chose to put them there. Source: docs/spec/formats.md, Links.
"""

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from candado.errors import MalformedError
from candado.types import SecretText

__all__ = ["LINK_PREFIX", "LinkAddress", "format_link", "parse_link"]

LINK_PREFIX: Final = "s:"
"""What the member id of a link begins with; the token follows."""
_PATH: Final = re.compile(r"(?P<base>.*?)(?:/index\.php)?/s/(?P<token>[A-Za-z0-9]{15,64})/?")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_WORDS: Final = re.compile(r"[a-z]+(?:-[a-z]+){1,23}")
_CHARS_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """One address; ``base_url`` is the server's, the fingerprints have 64 hex digits, and "" stands for absent."""

    base_url: str
    token: str
    by: str = ""
    key: str = ""
    words: SecretText | None = None

    def with_words(self, words: SecretText) -> "LinkAddress":
        """The same address with the words in it."""
        return replace(self, words=words)

    @property
    def member_id(self) -> str:
        """The link as a member of its folder."""
        return f"{LINK_PREFIX}{self.token}"


def parse_link(text: str) -> LinkAddress:
    """Return the parts of an address.

    Raises:
        MalformedError: it is not the address of a link, or what stands behind the ``#`` is damaged. What is unknown
            there is refused too: a check that was cut off must not look like one that was never wanted.
    """
    if len(text) > _CHARS_MAX:
        raise MalformedError("the address of the link is too long")
    try:
        parts = urlsplit(text.strip())
        given = parse_qsl(parts.fragment, keep_blank_values=True, strict_parsing=True) if parts.fragment else []
    except ValueError as exc:
        raise MalformedError("this is not the address of a link") from exc
    match = _PATH.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or match is None:
        raise MalformedError("this is not the address of a link; it looks like https://cloud.example.org/s/TOKEN")
    found = dict(given)
    by, key, words = found.pop("by", ""), found.pop("key", ""), found.pop("words", "")
    sound = all(not value or _FINGERPRINT.fullmatch(value) for value in (by, key))
    if found or not sound or len(dict(given)) != len(given) or (words and not _WORDS.fullmatch(words)):
        raise MalformedError("what stands behind the # of the address is damaged")
    secret = SecretText(words.replace("-", " ")) if words else None
    return LinkAddress(f"{parts.scheme}://{parts.netloc}{match['base']}", match["token"], by, key, secret)


def format_link(address: LinkAddress) -> str:
    """Return the address as text; the inverse of ``parse_link``."""
    words = address.words.reveal().replace(" ", "-") if address.words is not None else ""
    parts = [f"{name}={value}" for name, value in (("by", address.by), ("key", address.key), ("words", words)) if value]
    behind = f"#{'&'.join(parts)}" if parts else ""
    return f"{address.base_url}/s/{address.token}{behind}"

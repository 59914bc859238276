"""The address of a key on a hardware token: a PKCS#11 URI.

Layer: ``formats``. Source: RFC 7512, 2.3. Only what names one key, the module that reaches it and the place of its PIN
is accepted, each once. A PIN inside of the address is refused, since an address ends up in logs and process lists, and
so is a slot, which is another one after the next start.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from candado.errors import LimitExceededError, MalformedError

__all__ = ["KeyUri", "format_key_uri", "parse_key_uri"]

URI_CHARS_MAX: Final = 4096
_SCHEME: Final = "pkcs11:"
_PATH = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9._~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})+)\Z")
_QUERY = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9._~:\[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})+)\Z")
_IN_PATH: Final = ("token", "serial", "manufacturer", "model", "object", "id", "type")
_IN_QUERY: Final = ("module-path", "pin-source")
_REASONS: Final = {
    "pin-value": "a PIN does not belong into an address; name a file with pin-source",
    "slot-id": "slots are numbered anew at each start; name the token by its label",
    "slot-description": "slots are numbered anew at each start; name the token by its label",
    "slot-manufacturer": "slots are numbered anew at each start; name the token by its label",
    "module-name": "name the module by its whole path with module-path",
}


@dataclass(frozen=True, slots=True)
class KeyUri:
    """One key on one token. ``label`` (attribute ``object``) or ``key_id`` is set, ``token`` or ``serial`` too."""

    module_path: str
    """Absolute path of the PKCS#11 module, a shared library."""
    token: str | None = None
    """Label of the token."""
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    label: str | None = None
    key_id: bytes | None = None
    pin_source: str | None = field(default=None, repr=False)
    """Absolute path of the file with the PIN."""

    @property
    def place(self) -> str:
        """Token and key for people, without module and PIN source."""
        token = self.token if self.token is not None else f"serial {self.serial}"
        if self.label is not None:
            return f"{token}/{self.label}"
        return f"{token}/id {(self.key_id or b'').hex()}"


def parse_key_uri(text: str) -> KeyUri:
    """Return the key that a PKCS#11 URI names.

    ``pin-source`` is an absolute path or a ``file:`` URI of one; the other forms of RFC 7512 would run commands.

    Raises:
        LimitExceededError: more than 4,096 characters.
        MalformedError: another scheme, an attribute that is unknown, refused, twice, empty or not UTF-8; none that
        names
            the token, the key or the module; a module or PIN source that is not an absolute path; not a private key.
    """
    if len(text) > URI_CHARS_MAX:
        raise LimitExceededError(f"a PKCS#11 URI is longer than {URI_CHARS_MAX} characters")
    if not text.startswith(_SCHEME):
        raise MalformedError("a PKCS#11 URI begins with pkcs11:")
    path, mark, query = text[len(_SCHEME) :].partition("?")
    found = _attributes(path.split(";"), _PATH, _IN_PATH)
    if mark:
        found |= _attributes(query.split("&"), _QUERY, _IN_QUERY)
    key_id = found.pop("id", None)
    texts = {name: _text(name, value) for name, value in found.items()}
    if texts.pop("type", "private") != "private":
        raise MalformedError("the PKCS#11 URI does not name a private key")
    if "token" not in texts and "serial" not in texts:
        raise MalformedError("the PKCS#11 URI names no token; add token=LABEL")
    if "object" not in texts and key_id is None:
        raise MalformedError("the PKCS#11 URI names no key; add object=LABEL")
    module_path = texts.pop("module-path", "")
    if not module_path.startswith("/"):
        raise MalformedError("the PKCS#11 URI names no module; add ?module-path=/ABSOLUTE/PATH.so")
    pin_source = texts.pop("pin-source", None)
    return KeyUri(
        module_path=module_path,
        label=texts.pop("object", None),
        key_id=key_id,
        pin_source=None if pin_source is None else _file(pin_source),
        **texts,
    )


def format_key_uri(uri: KeyUri) -> str:
    """Return the one spelling of an address that ``parse_key_uri`` reads back equal."""
    parts = [
        ("token", uri.token),
        ("manufacturer", uri.manufacturer),
        ("model", uri.model),
        ("serial", uri.serial),
        ("object", uri.label),
        ("id", uri.key_id),
    ]
    path = ";".join(f"{name}={quote(value, safe='')}" for name, value in parts if value is not None)
    query = f"module-path={quote(uri.module_path)}"
    if uri.pin_source is not None:
        query += f"&pin-source={quote(uri.pin_source)}"
    return f"{_SCHEME}{path}?{query}"


def _attributes(parts: list[str], form: re.Pattern[str], known: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in parts:
        match = form.match(part)
        name = part.partition("=")[0]
        if name in _REASONS:
            raise MalformedError(f"{name} in a PKCS#11 URI: {_REASONS[name]}")
        if match is None:
            raise MalformedError("a PKCS#11 URI has an attribute that is empty or not percent-encoded")
        if name not in known or name in found:
            raise MalformedError(f"a PKCS#11 URI has an attribute that is not known here or twice: {name}")
        found[name] = unquote_to_bytes(match[2])
    return found


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise MalformedError(f"{name} in a PKCS#11 URI is not UTF-8") from exc
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise MalformedError(f"{name} in a PKCS#11 URI has control characters")
    return text


def _file(source: str) -> str:
    path = source.removeprefix("file:")
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/") or path.startswith("//"):
        raise MalformedError("pin-source in a PKCS#11 URI is the absolute path of a file, or a file: URI of one")
    return path

"""Addresses and PINs of tokens, on both sides.

Layer: ``apps``. The library that talks to tokens is loaded when one is opened.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from candado.apps.cli.secrets import find_secret
from candado.errors import FormatError, LocalPermissionError, SecretNeededError, UsageError
from candado.formats.pkcs11uri import KeyUri, parse_key_uri
from candado.types import SecretText

if TYPE_CHECKING:
    from candado.adapters.token_key import TokenKeys
    from candado.crypto.rsa import PrivateKey, PublicKey

__all__ = ["UserTokens", "parse_token", "read_pin"]

_USER_PIN = "CANDADO_TOKEN_PIN"


def parse_token(address: str) -> KeyUri:
    """The key of a token that an option or the state names; UsageError."""
    try:
        return parse_key_uri(address)
    except FormatError as exc:
        raise UsageError(
            f"this is no address of a key: {exc.message}",
            advice="Write pkcs11:token=LABEL;object=LABEL?module-path=/PATH.so&pin-source=/PATH.",
        ) from exc


def read_pin(uri: KeyUri, variable: str, ask: Callable[[], str] | None = None) -> SecretText:
    """The PIN from ``pin-source``, from where the environment says (``variable`` and its kin), or from a person.

    Raises:
        SecretNeededError: nothing says where it is. LocalPermissionError: everybody can read the file.
        NotFoundError, LocalStorageError: it cannot be read.
    """
    named = uri.pin_source or os.environ.get(f"{variable}_FILE")
    if named and Path(named).is_file() and Path(named).stat().st_mode & stat.S_IRWXO:
        raise LocalPermissionError(
            "the file with the token's PIN can be read by everybody", path=named, advice=f"chmod o= {named}"
        )
    found = find_secret(variable, Path(uri.pin_source) if uri.pin_source else None, os.environ)
    if found is None and ask is not None:
        found = SecretText(ask())
    if found is None:
        raise SecretNeededError(
            "the token's PIN is needed", advice=f"Add pin-source=/PATH to the address, or set {variable}_FILE."
        )
    return found


class UserTokens:
    """The tokens with users' keys that a process has opened; ``candado.ports.client.TokenOpener``."""

    def __init__(self, ask: Callable[[str], str] | None) -> None:
        """``ask`` asks a person for the PIN of a place; None where there is nobody."""
        self._ask = ask
        self._keys: TokenKeys | None = None

    def __call__(self, address: str, public: "PublicKey") -> "PrivateKey":
        """The private key at an address whose public half is known."""
        return self.keys.open(parse_token(address), public)

    @property
    def keys(self) -> "TokenKeys":
        """All tokens of this process."""
        if self._keys is None:
            from candado.adapters.token_key import TokenKeys

            self._keys = TokenKeys(self._reader)
        return self._keys

    def _reader(self, uri: KeyUri) -> Callable[[], SecretText]:
        ask = self._ask
        return lambda: read_pin(uri, _USER_PIN, None if ask is None else lambda: ask(uri.place))

    async def close(self) -> None:
        """Log out of every token that was opened."""
        if self._keys is not None:
            await self._keys.close()

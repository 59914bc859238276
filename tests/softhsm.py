"""Tokens of SoftHSM 2 for tests: real PKCS#11, each in a folder of its own."""

import asyncio
import atexit
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

from candado.adapters.hsm_signer import HsmSigner
from candado.formats.pkcs11uri import KeyUri, parse_key_uri
from candado.types import SecretText

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
SO_PIN = "87654321"
PIN = "user:pass word %41"


@dataclass
class SoftToken:
    """One folder with tokens. The module finds it by the environment, which a process reads when the module starts."""

    folder: Path
    mechanisms: str = "ALL"
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.tokens.mkdir()
        settings = self.folder / "softhsm2.conf"
        settings.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
            f"slots.mechanisms = {self.mechanisms}\n"
        )
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(PIN + "\n")
        self.environment = {"SOFTHSM2_CONF": str(settings)}

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens"

    @property
    def pin_file(self) -> Path:
        return self.folder / "pin"

    def add(self, label: str = "candado") -> None:
        """Initialise one more token."""
        words = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN]
        subprocess.run(words, env={**os.environ, **self.environment}, check=True, capture_output=True, timeout=30)

    def address(self, label: str = "authority", token: str = "candado") -> str:
        """The setting ``authority`` for a key."""
        return (
            f"pkcs11:token={quote(token)};object={quote(label)}"
            f"?module-path={quote(MODULE)}&pin-source={quote(str(self.pin_file))}"
        )

    def uri(self, label: str = "authority", token: str = "candado") -> KeyUri:
        return parse_key_uri(self.address(label, token))

    def add_with_keys(self) -> None:
        """A token as ``add`` makes it, with keys that were made once for all tests: that takes a second."""
        shutil.copytree(_template() / "tokens", self.tokens, dirs_exist_ok=True)

    def pull(self) -> None:
        """Take the token away, as from a socket."""
        self.tokens.rename(self.folder / "pulled")

    def plug(self) -> None:
        """Put it back."""
        (self.folder / "pulled").rename(self.tokens)


@cache
def _template() -> Path:
    token = SoftToken(Path(tempfile.mkdtemp(prefix="candado-softhsm-")) / "template")
    atexit.register(shutil.rmtree, token.folder.parent)
    token.add()
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ |= token.environment
    try:
        asyncio.run(HsmSigner.prepare(token.uri(), lambda: SecretText(PIN), may_make=True))
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before
    return token.folder

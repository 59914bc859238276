"""Where a device keeps its things, and its configuration file.

Layer: ``apps``. ``$CANDADO_HOME`` holds everything when it is set; else the XDG folders. ``config.toml`` has flat keys,
those the program writes at login and those a person may add; an unknown key is an error. Precedence: flag, environment,
file, default.
"""

import difflib
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from candado.errors import LocalPermissionError, LocalStorageError, NotLoggedInError, UsageError

__all__ = ["DeviceConfig", "Places", "load_config", "read_config", "save_config"]


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one device."""

    config: Path
    state: Path
    is_portable: bool
    """``$CANDADO_HOME`` is set: the person chose this place for this device."""
    file: Path | None = None
    """Another configuration than ``config.toml`` in its folder: ``--config`` or ``$CANDADO_CONFIG``."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Places":
        """The places as the environment says; nothing is created."""
        home = environment.get("CANDADO_HOME")
        named = environment.get("CANDADO_CONFIG")
        file = Path(named).absolute() if named else None
        if home:
            base = Path(home).absolute()
            return cls(base, base / "state", is_portable=True, file=file)
        user = Path(environment.get("HOME") or Path.home())
        config = Path(environment.get("XDG_CONFIG_HOME") or user / ".config") / "candado"
        state = Path(environment.get("XDG_STATE_HOME") or user / ".local" / "state") / "candado"
        return cls(config, state, is_portable=False, file=file)

    @property
    def config_file(self) -> Path:
        """The configuration."""
        return self.file or self.config / "config.toml"

    @property
    def database(self) -> Path:
        """The sealed state."""
        return self.state / "state.db"

    @property
    def lock(self) -> Path:
        """Held by the process that works."""
        return self.state / "lock"

    @property
    def quarantine(self) -> Path:
        """Downloads that failed their check."""
        return self.state / "quarantine"

    def create(self) -> None:
        """Make the folders with mode 0700; LocalPermissionError when others can look into the state."""
        try:
            self.config_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = self.state.stat()
        except OSError as exc:
            raise LocalStorageError(f"the state folder cannot be made: {exc.strerror}", path=str(self.state)) from exc
        if stat.S_IMODE(facts.st_mode) & 0o077 or facts.st_uid != os.geteuid():
            raise LocalPermissionError(
                "the state folder is open to others", path=str(self.state), advice=f"Run `chmod 700 {self.state}`."
            )


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """What ``config.toml`` holds. ``timeout`` in seconds, ``bwlimit`` in bytes per second."""

    url: str
    login: str
    user_id: str
    device: str
    keychain: str
    ca_file: str = ""
    timeout: float = 60.0
    retries: int = 3
    transfers: int = 16
    bwlimit: int = 0


def load_config(places: Places) -> DeviceConfig:
    """The configuration; NotLoggedInError when there is none, UsageError when it cannot be used."""
    document = read_config(places)
    try:
        return DeviceConfig(**document)
    except TypeError as exc:
        raise _unusable(places, "a key that login writes is missing") from exc


def read_config(places: Places) -> dict[str, Any]:
    """What the configuration file says, with known keys and right types only; errors as ``load_config``."""
    import tomllib

    try:
        text = places.config_file.read_text("utf-8")
    except FileNotFoundError as exc:
        raise NotLoggedInError(path=str(places.file or places.config)) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise LocalStorageError("the configuration cannot be read", path=str(places.config_file)) from exc
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _unusable(places, str(exc)) from exc
    known = {field.name: field.type for field in fields(DeviceConfig)}
    for name, value in document.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise _unusable(places, f"unknown key {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
        wanted = float if known[name] is float else known[name]
        if wanted is float and type(value) is int:
            document[name] = float(value)
        elif type(value) is not wanted:
            raise _unusable(places, f"{name!r} has the wrong kind of value")
    return document


def save_config(places: Places, config: DeviceConfig) -> None:
    """Write the configuration in one step, mode 0600."""
    from candado.adapters.keychain import write_private_file

    lines = [f"{name} = {_toml(value)}" for name, value in asdict(config).items()]
    write_private_file(places.config_file, ("\n".join(lines) + "\n").encode())


def _toml(value: str | float) -> str:
    if not isinstance(value, str):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _unusable(places: Places, what: str) -> UsageError:
    return UsageError(
        f"the configuration cannot be used: {what}", path=str(places.config_file), advice="Mend the file."
    )

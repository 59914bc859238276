"""``config show``: the settings of this device and where each came from.

Layer: ``apps``. Asks nothing of the server and opens no state. No secret is a setting: the file only says where the
device secret is kept.
"""

import os
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Literal

import click

from candado.apps.cli.common import Group, Run, pass_run
from candado.apps.cli.config import DeviceConfig, Places, read_config
from candado.apps.cli.output import table
from candado.errors import NotLoggedInError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Setting", "config", "settings_of"]

Origin = Literal["flag", "environment", "file", "default", "unset"]

_FLAGS = ("timeout", "retries", "transfers", "bwlimit")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; ``source`` names the flag, variable or file."""

    name: str
    value: str | float | None
    origin: Origin
    source: str


def settings_of(run: Run, places: Places, environment: "Mapping[str, str]") -> list[Setting]:
    """All settings as this run has them; those that only a login writes are unset before it."""
    try:
        document = read_config(places)
    except NotLoggedInError:
        document = {}
    found = _places(run, places, environment)
    for field in fields(DeviceConfig):
        name = field.name
        given = run.origins.get(name)
        if name in _FLAGS and given is not None:
            source = f"--{name}" if given == "flag" else f"CANDADO_{name.upper()}"
            found.append(Setting(name, getattr(run, name), given, source))
        elif name in document:
            found.append(Setting(name, document[name], "file", str(places.config_file)))
        elif field.default is not MISSING:
            found.append(Setting(name, field.default, "default", ""))
        else:
            found.append(Setting(name, None, "unset", "candado login"))
    return found


def _places(run: Run, places: Places, environment: "Mapping[str, str]") -> list[Setting]:
    def of(name: str, path: object, *variables: str) -> Setting:
        source = next((variable for variable in variables if environment.get(variable)), "")
        return Setting(name, str(path), "environment" if source else "default", source)

    file = of("config_file", places.config_file, "CANDADO_CONFIG", "CANDADO_HOME", "XDG_CONFIG_HOME")
    if run.origins.get("config") == "flag":
        file = Setting(file.name, file.value, "flag", "--config")
    return [file, of("state_folder", places.state, "CANDADO_HOME", "XDG_STATE_HOME")]


@click.group(cls=Group)
def config() -> None:
    """The settings of this device."""


@config.command()
@click.option("--origin", is_flag=True, help="Also say where each value came from.")
@pass_run
def show(run: Run, *, origin: bool) -> None:
    r"""Show the settings of this device.

    A flag wins over the environment, that over config.toml, that over the default. Secrets are no settings and are
    never shown; see `candado help secrets`.

    \b
    Examples:
      candado config show
      candado config show --origin
    """
    found = settings_of(run, Places.of(os.environ), os.environ)

    def text() -> None:
        table(
            (one.name, _shown(one.value), *([f"{one.origin} {one.source}".strip()] if origin else [])) for one in found
        )

    items = [
        {
            "name": one.name,
            "value": one.value,
            **({"origin": one.origin, "source": one.source or None} if origin else {}),
        }
        for one in found
    ]
    run.emit_list("candado.config/1", "settings", items, text)


def _shown(value: str | float | None) -> str:
    return "-" if value is None or value == "" else str(value)

"""What the commands of ``candado-server`` share: options, answers, errors to statuses.

Layer: ``apps``.
"""

import functools
import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from candado.apps.cli.common import SECRET_FILE
from candado.apps.cli.loop import run_to_end
from candado.apps.cli.output import printable
from candado.apps.cli.secrets import find_secret
from candado.apps.server_config import ServerConfig, load_config
from candado.errors import LocalPermissionError, SecretNeededError, UsageError
from candado.types import SecretText

__all__ = ["Invocation", "command_options", "password_option", "read_password"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a command."""

    data: Path
    as_json: bool
    overrides: Mapping[str, object]

    def config(self, **more: object) -> ServerConfig:
        """The settings of the data directory, flags first; NotFoundError, UsageError, LocalPermissionError."""
        config = load_config(self.data, os.environ, **{**self.overrides, **more})
        if self.data.stat().st_mode & 0o077:
            raise LocalPermissionError(
                "the data directory can be read by others", path=str(self.data), advice=f"chmod 700 {self.data}"
            )
        return config

    def show(self, schema: str, document: Mapping[str, Any], text: str) -> None:
        """Print the answer: one JSON object with its schema, or text."""
        if self.as_json:
            print(json.dumps({"schema": f"candado.server.{schema}/1", **document}), flush=True)
        elif text:
            print("\n".join(printable(line) for line in text.split("\n")), flush=True)

    def show_table(self, schema: str, document: Mapping[str, Any], lines: Sequence[str]) -> None:
        """Print the answer as ``show`` does, but text as lines with tabs, for scripts; names have none."""
        self.show(schema, document, "")
        if not self.as_json:
            for line in lines:
                print("\t".join(printable(cell) for cell in line.split("\t")))

    def confirm(self, question: str, *, path: str) -> None:
        """Ask at a terminal; UsageError unless the answer is yes. Without one the command is meant as written."""
        if not sys.stdin.isatty():
            return
        try:
            agreed = sys.stderr.isatty() and click.confirm(question, err=True)
        except click.Abort:  # the end of the input is no yes
            agreed = False
        if not agreed:
            raise UsageError("not confirmed", path=path, advice="Answer yes, or add --yes.")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; signals interrupt it."""
        return run_to_end(work)


def command_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options every command has and hand them over as one ``Invocation``."""

    @click.option(
        "--data", type=click.Path(path_type=Path), required=True, envvar="CANDADO_DATA", help="Data directory."
    )
    @click.option("--database", help="sqlite:///PATH or postgresql://... instead of the configured one.")
    @click.option("--storage", help="file:///PATH or s3://... instead of the configured one.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    @click.option("-v", "--verbose", count=True, help="More on stderr; twice for stack traces.")
    @functools.wraps(function)
    def run(
        *args: Any, data: Path, database: str | None, storage: str | None, as_json: bool, verbose: int, **kwargs: Any
    ) -> Any:
        click.get_current_context().find_root().obj = verbose
        invocation = Invocation(data.absolute(), as_json, {"database": database, "storage": storage})
        return function(invocation, *args, **kwargs)

    return run


def password_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--password-file``."""
    return click.option(
        "--password-file",
        type=SECRET_FILE,
        help="File with the password on its first line; - is stdin. Also CANDADO_SERVER_PASSWORD_FILE, _COMMAND, _FD.",
    )(function)


def read_password(file: Path | None) -> SecretText:
    """The password from the option or the environment; SecretNeededError when neither says where it is."""
    found = find_secret("CANDADO_SERVER_PASSWORD", file, os.environ)
    if found is None:
        raise SecretNeededError(
            "a password is needed", advice="Add --password-file FILE, or set CANDADO_SERVER_PASSWORD_FILE."
        )
    return found

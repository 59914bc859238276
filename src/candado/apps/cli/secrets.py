"""Where secrets come from: never from arguments.

Layer: ``apps``. For each kind of secret the order is: file option, then ``NAME_FILE``, ``NAME_COMMAND``, ``NAME_FD``
from the environment, then what is special to the kind, then a question on the terminal.
"""

import contextlib
import netrc
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from candado.errors import LocalPermissionError, LocalStorageError, NotFoundError, SecretNeededError, UsageError
from candado.types import SecretText

__all__ = ["NewSecretFile", "find_secret", "login_password", "netrc_password", "new_secret_file", "secret_source"]

_SECRET_BYTES_MAX: Final = 64 * 1024
_COMMAND_SECONDS: Final = 120


def find_secret(name: str, file: Path | None, environment: Mapping[str, str]) -> SecretText | None:
    """The secret from a file option or the environment; None when neither says where.

    Args:
        name: prefix of the variables, such as ``CANDADO_PASSWORD``.
        file: value of the file option; ``-`` is stdin.
        environment: of the process.

    Raises:
        NotFoundError: a named file does not exist. LocalPermissionError: it may not be read.
        LocalStorageError: a named source cannot be used for another reason, or is empty.
    """
    if file is not None:
        return _from_file(file)
    if environment.get(f"{name}_FILE"):
        return _from_file(Path(environment[f"{name}_FILE"]))
    if environment.get(f"{name}_COMMAND"):
        return _from_command(environment[f"{name}_COMMAND"])
    if environment.get(f"{name}_FD"):
        return _from_descriptor(environment[f"{name}_FD"], f"{name}_FD")
    return None


def secret_source(name: str, file: Path | None, environment: Mapping[str, str]) -> str | None:
    """What ``find_secret`` reads, for people; None when it finds nothing."""
    if file is not None:
        return "standard input" if str(file) == "-" else str(file)
    if environment.get(f"{name}_FILE"):
        return environment[f"{name}_FILE"]
    return next((f"{name}_{kind}" for kind in ("COMMAND", "FD") if environment.get(f"{name}_{kind}")), None)


def login_password(
    file: Path | None, environment: Mapping[str, str], *, url: str, login: str, ask: Callable[[], str] | None
) -> SecretText:
    """The password for a login; SecretNeededError when nothing has it and nobody can be asked."""
    found = find_secret("CANDADO_PASSWORD", file, environment)
    if found is not None:
        return found
    if environment.get("NC_PASSWORD"):
        return SecretText(environment["NC_PASSWORD"])
    found = netrc_password(Path(environment.get("NETRC") or Path.home() / ".netrc"), url, login)
    if found is not None:
        return found
    if ask is None:
        raise SecretNeededError(
            "the password is needed and there is nobody to ask",
            advice="Give --password-file FILE or CANDADO_PASSWORD_FILE; see `candado help secrets`.",
        )
    return SecretText(ask())


def netrc_password(path: Path, url: str, login: str) -> SecretText | None:
    """The password that a netrc file has for this host and login."""
    try:
        entry = netrc.netrc(str(path)).authenticators(urlsplit(url).hostname or "")
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    if entry is None or entry[0] != login or not entry[2]:
        return None
    return SecretText(entry[2])


def _from_file(path: Path) -> SecretText:
    try:
        if str(path) == "-":
            return _from_descriptor("0", "-")
        with path.open("rb") as file:
            return _secret(file.read(_SECRET_BYTES_MAX + 1), str(path))
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError(
            "the file with a secret does not exist", path=str(path), advice="Name the right file."
        ) from exc
    except OSError as exc:
        kind = LocalPermissionError if isinstance(exc, PermissionError) else LocalStorageError
        raise kind(
            f"the file with a secret cannot be read: {exc.strerror}",
            path=str(path),
            safe="Nothing was changed.",
            advice="Check the path and who may read the file.",
        ) from exc


def _from_command(command: str) -> SecretText:
    name = command.split(" ", 1)[0]
    try:
        done = subprocess.run(  # noqa: S603 -- the person's own command, without a shell
            shlex.split(command), stdout=subprocess.PIPE, check=True, timeout=_COMMAND_SECONDS
        )
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        raise LocalStorageError("the command that gives a secret failed", path=name) from exc
    return _secret(done.stdout, name)


def _from_descriptor(number: str, name: str) -> SecretText:
    try:
        with os.fdopen(int(number), "rb", closefd=False) as file:
            return _secret(file.read(_SECRET_BYTES_MAX + 1), name)
    except (OSError, ValueError) as exc:
        raise LocalStorageError("the descriptor with a secret cannot be read", path=name) from exc


def _secret(content: bytes, where: str) -> SecretText:
    """The text without its last line break."""
    if len(content) > _SECRET_BYTES_MAX:
        raise LocalStorageError("a secret is larger than 64 KiB", path=where)
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        raise LocalStorageError("a secret is not UTF-8", path=where) from exc
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise LocalStorageError("a secret is empty", path=where)
    return SecretText(text)


class NewSecretFile:
    """A new private file for the words, made before the keys are, so that nothing can go wrong after."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = -1
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError as exc:
                raise UsageError("the file for the words exists already", path=str(path)) from exc
            except OSError as exc:
                raise LocalStorageError(
                    f"the file for the words cannot be made: {exc.strerror}", path=str(path)
                ) from exc

    def write(self, words: SecretText) -> None:
        """Write the words, durably."""
        if self._fd >= 0:
            os.write(self._fd, words.reveal().encode() + b"\n")
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def unused(self) -> None:
        """Remove the file when nothing was written."""
        if self._fd >= 0 and self._path is not None:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def new_secret_file(path: Path | None) -> Iterator[NewSecretFile]:
    """A new private file for words, removed again when nothing was written; none without a path."""
    file = NewSecretFile(path)
    try:
        yield file
    finally:
        file.unused()

"""Where the device secret lives: the desktop's keyring, a file sealed under a passphrase, or a plain file.

Layer: ``adapters``; implements ``ports.client.Keychain``. The device secret is 32 random bytes that seal everything
else this device keeps, see ``state.py``.

The passphrase file is a JSON object with version, Argon2id parameters, salt and ``nonce || AES-256-GCM(key, nonce,
secret, aad = the parameters)``. Parameters are bounded when read, so that a planted file cannot eat the memory of the
machine nor weaken the derivation below what we write.
"""

import base64
import contextlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from candado.errors import CorruptStateError, LocalPermissionError, LocalStorageError, WrongPassphraseError
from candado.types import SecretBytes, SecretText

__all__ = [
    "FileKeychain",
    "KeyringKeychain",
    "PassphraseKeychain",
    "read_private_file",
    "write_private_file",
]

SECRET_BYTES: Final = 32
_PRIVATE_FILE_BYTES_MAX: Final = 64 * 1024
_TIME_COST: Final = 3
_MEMORY_KIB: Final = 64 * 1024
_TIME_COST_MAX: Final = 20
_MEMORY_KIB_MAX: Final = 1024 * 1024
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12


def read_private_file(path: Path) -> bytes | None:
    """Content of a file that only its owner may read; None when absent.

    Raises:
        LocalPermissionError: group or others have rights, it belongs to somebody else, or it cannot be read.
        LocalStorageError: it is not a regular file or larger than 64 KiB.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LocalPermissionError(f"a file with a secret cannot be read: {exc.strerror}", path=str(path)) from exc
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _PRIVATE_FILE_BYTES_MAX:
            raise LocalStorageError("a file with a secret is not a small regular file", path=str(path))
        if facts.st_mode & 0o077 or facts.st_uid != os.geteuid():
            raise LocalPermissionError(
                "a file with a secret can be read by others",
                path=str(path),
                advice=f"Run `chmod 600 {path}`; if others may have read it, log out and log in again.",
            )
        return file.read(_PRIVATE_FILE_BYTES_MAX + 1)


def write_private_file(path: Path, content: bytes) -> None:
    """Replace a file with mode 0600 in one step, durably; the old content stays when anything fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise LocalStorageError(f"a file with a secret cannot be written: {exc.strerror}", path=str(path)) from exc


class FileKeychain:
    """The secret in a file with mode 0600: whoever reads the disk has it."""

    kind = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> SecretBytes | None:
        """The secret or None; LocalPermissionError when others can read it, CorruptStateError when it is no secret."""
        content = read_private_file(self._path)
        return None if content is None else _checked(content, self._path)

    def store(self, secret: SecretBytes) -> None:
        """Write the file."""
        write_private_file(self._path, secret.reveal())

    def delete(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


class PassphraseKeychain:
    """The secret in a file sealed under a passphrase with Argon2id (64 MiB, 3 passes, one lane).

    Args:
        path: the file.
        ask: gives the passphrase; called only when it is needed; may raise SecretNeededError.
        random: gives that many unpredictable bytes.
    """

    kind = "passphrase"

    def __init__(self, path: Path, ask: Callable[[], SecretText], random: Callable[[int], bytes]) -> None:
        self._path = path
        self._ask = ask
        self._random = random

    def load(self) -> SecretBytes | None:
        """The secret or None; WrongPassphraseError, CorruptStateError."""
        content = read_private_file(self._path)
        if content is None:
            return None
        try:
            head, salt, sealed = _parse_passphrase_file(content)
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise CorruptStateError("the key file is damaged", path=str(self._path)) from exc
        key = _derive(self._ask(), salt, time_cost=head["passes"], memory_kib=head["memory_kib"])
        try:
            text = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _aad(head, salt))
        except InvalidTag as exc:
            raise WrongPassphraseError("the passphrase does not open the key file", path=str(self._path)) from exc
        return _checked(text, self._path)

    def store(self, secret: SecretBytes) -> None:
        """Seal under the passphrase and write the file."""
        head = {"version": 1, "passes": _TIME_COST, "memory_kib": _MEMORY_KIB}
        salt, nonce = self._random(_SALT_BYTES), self._random(_NONCE_BYTES)
        key = _derive(self._ask(), salt, time_cost=_TIME_COST, memory_kib=_MEMORY_KIB)
        sealed = nonce + AESGCM(key).encrypt(nonce, secret.reveal(), _aad(head, salt))
        document = {
            **head,
            "kdf": "argon2id",
            "salt": base64.b64encode(salt).decode(),
            "sealed": base64.b64encode(sealed).decode(),
        }
        write_private_file(self._path, json.dumps(document, indent=1).encode() + b"\n")

    def delete(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


class KeyringKeychain:
    """The secret in the desktop's keyring (Secret Service, KWallet, macOS Keychain, Windows Credential Locker).

    Args:
        label: tells the devices of one person apart; part of the entry's name.
    """

    kind = "keyring"
    _SERVICE: Final = "candado"

    def __init__(self, label: str) -> None:
        self._label = label

    @staticmethod
    def is_available() -> bool:
        """Whether a keyring that keeps secrets safely is there; imports the package only for that."""
        import keyring  # noqa: PLC0415 -- 0.1 s that headless machines need not pay
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            backend = keyring.get_keyring()
            chosen = getattr(backend, "backends", [backend])
            return bool(chosen) and all(
                not type(one).__module__.startswith(("keyring.backends.fail", "keyring.backends.null", "keyrings.alt"))
                for one in chosen[:1]
            )
        except (KeyringError, RuntimeError):
            return False

    def load(self) -> SecretBytes | None:
        """The secret or None; LocalStorageError when the keyring is locked or gone."""
        import keyring  # noqa: PLC0415
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            text = keyring.get_password(self._SERVICE, self._label)
        except KeyringError as exc:
            raise self._refused() from exc
        if text is None:
            return None
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError as exc:
            raise CorruptStateError("the keyring holds something else than a device secret") from exc
        return _checked(content, Path(self._label))

    def store(self, secret: SecretBytes) -> None:
        """Put the secret into the keyring and read it back."""
        import keyring  # noqa: PLC0415
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            keyring.set_password(self._SERVICE, self._label, base64.b64encode(secret.reveal()).decode())
        except KeyringError as exc:
            raise self._refused() from exc
        if self.load() != secret:
            raise LocalStorageError(
                "the keyring did not keep the device secret",
                advice="Log in with a passphrase file: CANDADO_PASSPHRASE_FILE=FILE candado login URL",
            )

    def delete(self) -> None:
        """Remove the entry."""
        import keyring  # noqa: PLC0415
        from keyring.errors import KeyringError, PasswordDeleteError  # noqa: PLC0415

        try:
            keyring.delete_password(self._SERVICE, self._label)
        except PasswordDeleteError:
            return
        except KeyringError as exc:
            raise self._refused() from exc

    def _refused(self) -> LocalStorageError:
        return LocalStorageError(
            "the keyring refused", path=self._label, advice="Unlock the desktop's keyring and run the command again."
        )


def _checked(content: bytes, path: Path) -> SecretBytes:
    if len(content) != SECRET_BYTES:
        raise CorruptStateError(f"the device secret must have {SECRET_BYTES} bytes", path=str(path))
    return SecretBytes(content)


def _derive(passphrase: SecretText, salt: bytes, *, time_cost: int, memory_kib: int) -> bytes:
    from argon2.low_level import Type, hash_secret_raw  # noqa: PLC0415 -- only devices with a passphrase need it

    return hash_secret_raw(
        passphrase.reveal().encode("utf-8", "surrogateescape"),
        salt,
        time_cost=time_cost,
        memory_cost=memory_kib,
        parallelism=1,
        hash_len=32,
        type=Type.ID,
    )


def _aad(head: dict[str, int], salt: bytes) -> bytes:
    return json.dumps(head, sort_keys=True).encode() + salt


def _parse_passphrase_file(content: bytes) -> tuple[dict[str, int], bytes, bytes]:
    """Return (parameters, salt, sealed); ValueError when something is out of its bounds."""
    document = json.loads(content)
    head = {name: document[name] for name in ("version", "passes", "memory_kib")}
    if document["kdf"] != "argon2id" or head["version"] != 1 or any(type(v) is not int for v in head.values()):
        raise ValueError("not a passphrase file of this version")
    if not _TIME_COST <= head["passes"] <= _TIME_COST_MAX or not _MEMORY_KIB <= head["memory_kib"] <= _MEMORY_KIB_MAX:
        raise ValueError("the parameters are out of bounds")
    salt = base64.b64decode(document["salt"], validate=True)
    sealed = base64.b64decode(document["sealed"], validate=True)
    if len(salt) != _SALT_BYTES or len(sealed) != _NONCE_BYTES + SECRET_BYTES + 16:
        raise ValueError("a field has the wrong length")
    return head, salt, sealed

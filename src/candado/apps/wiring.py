"""From configuration to a working account: the one place that joins use cases and adapters on the client.

Layer: ``apps``. Heavy packages are imported by what needs them.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from candado.adapters.ambient import SystemClock, SystemRandom
from candado.apps.cli.config import DeviceConfig, Places, load_config
from candado.apps.cli.secrets import find_secret
from candado.apps.tokens import UserTokens
from candado.errors import AuthRequiredError, CorruptStateError, NotLoggedInError, SecretNeededError
from candado.types import SecretBytes, SecretText, UserId, check_user_id

if TYPE_CHECKING:
    from candado.adapters.disk import DiskTree
    from candado.adapters.http_settings import HttpSettings
    from candado.adapters.state import SqliteState
    from candado.apps.cli.common import Run
    from candado.client.account import Account
    from candado.formats.linkaddress import LinkAddress
    from candado.ports.client import Keychain, LinkRemote

__all__ = [
    "PLAIN_FILE_WARNING",
    "choose_keychain",
    "http_settings",
    "keychain_of",
    "open_account",
    "open_link",
    "open_state",
    "open_tree",
    "transfers_of",
    "user_tokens",
    "work_folder",
]

PLAIN_FILE_WARNING: Final = (
    "the secret of this device is kept in a plain file; whoever reads the disk can read your encrypted folders. "
    "Set CANDADO_PASSPHRASE_FILE and log in again to seal it."
)
_LOCK_WAIT_SECONDS: Final = 10.0
_WORK_PREFIX: Final = "work-"


def keychain_of(kind: str, places: Places, run: "Run", *, is_new: bool = False) -> "Keychain":
    """The keychain of a kind: ``keyring``, ``passphrase`` or ``file``; CorruptStateError for another one."""
    from candado.adapters.keychain import FileKeychain, KeyringKeychain, PassphraseKeychain

    if kind == "keyring":
        return KeyringKeychain(str(places.state))
    if kind == "passphrase":
        return PassphraseKeychain(
            places.state / "device-secret.json", _passphrase_asker(run, os.environ, is_new=is_new), SystemRandom().token
        )
    if kind == "file":
        return FileKeychain(places.state / "device-secret")
    raise CorruptStateError(f"the configuration names an unknown kind of keychain: {kind!r}")


def choose_keychain(places: Places, run: "Run", *, insecure: bool, environment: Mapping[str, str]) -> str:
    """Where a new device keeps its secret: asked-for plain file, named passphrase, keyring, passphrase by question.

    A device whose place was chosen with ``$CANDADO_HOME``, on a machine without a keyring and without a person, gets
    the plain file and a standing warning, so that every command works without a terminal; otherwise it is an error.

    Raises:
        SecretNeededError: nothing of that is there.
    """
    from candado.adapters.keychain import KeyringKeychain

    if insecure:
        return "file"
    if any(environment.get(f"CANDADO_PASSPHRASE_{source}") for source in ("FILE", "COMMAND", "FD")):
        return "passphrase"
    if KeyringKeychain.is_available():
        return "keyring"
    if run.interactive:
        return "passphrase"
    if places.is_portable:
        return "file"
    raise SecretNeededError(
        "this machine has no keyring, and no passphrase was given to seal the secrets of this device",
        advice="Set CANDADO_PASSPHRASE_FILE=FILE, or add --insecure-storage to keep them in a plain file.",
    )


def http_settings(config: DeviceConfig, run: "Run") -> "HttpSettings":
    """Bounds of the connection: flags before configuration."""
    from candado.adapters.http_settings import HttpSettings

    transfers = run.transfers or config.transfers
    rate = run.bwlimit or config.bwlimit
    return HttpSettings(
        idle_seconds=run.timeout or config.timeout,
        attempts=1 + (config.retries if run.retries is None else run.retries),
        connections=transfers + 4,
        bytes_per_second=float(rate) if rate else None,
        ca_file=config.ca_file or None,
    )


def transfers_of(run: "Run") -> int:
    """Bodies under way at once: flag before configuration."""
    return run.transfers or _config_if_any().transfers


def _config_if_any() -> DeviceConfig:
    """The configuration, or what it says by default where nobody signed in: a visitor of a link need not."""
    try:
        return load_config(Places.of(os.environ))
    except NotLoggedInError:
        return DeviceConfig("", "", "", "", "")


def open_state(places: Places, secret: SecretBytes) -> "SqliteState":
    """The sealed state, with the device's lock held; BusyError when another process keeps it for too long."""
    from candado.adapters.state import DeviceLock, SqliteState

    lock = DeviceLock(places.lock, wait_seconds=_LOCK_WAIT_SECONDS)
    try:
        return SqliteState(places.database, secret, lock=lock)
    except BaseException:
        lock.release()
        raise


@contextlib.asynccontextmanager
async def open_account(run: "Run") -> "AsyncIterator[Account]":
    """The account of this device; state and connections are closed at the end.

    Raises:
        NotLoggedInError: there is none, or it was logged out.
        CorruptStateError: its secret is gone.
    """
    from candado.adapters.http import HttpRemote
    from candado.client.account import Account

    places = Places.of(os.environ)
    config = load_config(places)
    places.create()
    keychain = keychain_of(config.keychain, places, run)
    if keychain.kind == "file":
        run.warn(PLAIN_FILE_WARNING)
    secret = keychain.load()
    if secret is None:
        raise CorruptStateError("the secret of this device is gone", path=str(places.state))
    store = open_state(places, secret)
    try:
        _remove_left_work(places, run)
        password = store.load("login", "password")
        if password is None:
            raise NotLoggedInError("this device was logged out", path=config.url)
        clock, random = SystemClock(), SystemRandom()
        user_id: UserId = check_user_id(config.user_id)
        remote = HttpRemote(
            config.url,
            config.login,
            user_id,
            SecretText(password.decode()),
            clock=clock,
            random=random,
            settings=http_settings(config, run),
        )
        tokens = user_tokens(run)
        try:
            yield Account(
                remote=remote,
                store=store,
                keychain=keychain,
                clock=clock,
                random=random,
                user_id=user_id,
                server_url=config.url,
                device_name=config.device,
                open_token=tokens,
            )
        except AuthRequiredError as error:
            error.path = config.url
            raise
        finally:
            await remote.close()
            await tokens.close()
    finally:
        store.close()


def user_tokens(run: "Run") -> UserTokens:
    """The tokens with the keys of the person; the PIN is asked for where there is a terminal."""

    def ask(place: str) -> str:
        import click

        answer: str = click.prompt(f"PIN of the token {place}", hide_input=True, err=True)
        return answer

    return UserTokens(ask if run.interactive else None)


@contextlib.asynccontextmanager
async def open_link(
    run: "Run", address: "LinkAddress", password: SecretText | None
) -> "AsyncIterator[tuple[Account, LinkRemote]]":
    """The visitor of a link, with or without a sign-in on this device; what it remembers ends with it."""
    from candado.adapters.http_link import HttpLinkRemote
    from candado.adapters.keychain import FileKeychain
    from candado.adapters.state import SqliteState
    from candado.client.account import Account

    config, clock, random = _config_if_any(), SystemClock(), SystemRandom()
    with tempfile.TemporaryDirectory(prefix="candado-link-") as folder:
        place = Path(folder)
        store = SqliteState(place / "state.sqlite", SecretBytes(random.token(32)))
        remote = HttpLinkRemote(address, password, clock=clock, random=random, settings=http_settings(config, run))
        try:
            yield (
                Account(
                    remote=remote,
                    store=store,
                    keychain=FileKeychain(place / "device-secret"),
                    clock=clock,
                    random=random,
                    user_id=check_user_id(address.member_id),
                    server_url=address.base_url,
                ),
                remote,
            )
        except AuthRequiredError as error:
            raise AuthRequiredError(
                "This link has a password, and it was not given or is wrong.",
                path=address.base_url,
                advice="Give it with --password-file FILE.",
            ) from error
        finally:
            await remote.close()
            store.close()


def work_folder(places: Places) -> "contextlib.AbstractContextManager[str]":
    """A private folder for clear bodies on their way through a pipe, gone afterwards; only with the state open."""
    return tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=places.state)


def _remove_left_work(places: Places, run: "Run") -> None:
    """Remove clear bodies that a killed process left. The device's lock is held, so nobody uses them."""
    for left in places.state.glob(f"{_WORK_PREFIX}*"):
        try:
            shutil.rmtree(left)
        except OSError as exc:
            run.warn(f"clear data that a killed command left cannot be removed: {left}: {exc.strerror}")


def open_tree(root: Path) -> "DiskTree":
    """A local folder; it is made when absent."""
    from candado.adapters.disk import DiskTree

    return DiskTree(root, quarantine=Places.of(os.environ).quarantine, clock=SystemClock())


def _passphrase_asker(run: "Run", environment: Mapping[str, str], *, is_new: bool) -> Callable[[], SecretText]:
    def ask() -> SecretText:
        found = find_secret("CANDADO_PASSPHRASE", None, environment)
        if found is not None:
            return found
        if not run.interactive:
            raise SecretNeededError(
                "the passphrase of this device is needed and there is nobody to ask",
                advice="Set CANDADO_PASSPHRASE_FILE=FILE; see `candado help secrets`.",
            )
        import click

        return SecretText(
            click.prompt("Passphrase for this device", hide_input=True, confirmation_prompt=is_new, err=True)
        )

    return ask

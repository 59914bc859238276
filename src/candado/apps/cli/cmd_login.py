"""``login``, ``logout``, ``whoami``, ``status``.

Layer: ``apps``. A login with a typed password is exchanged for an app password where the server makes one: the
account's own password is not kept.
"""

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from candado.apps.cli.common import SECRET_FILE, Command, Run, pass_run, warn_of_recovery, with_account
from candado.apps.cli.config import DeviceConfig, Places, load_config, save_config
from candado.apps.cli.output import human_size, printable, table
from candado.apps.cli.secrets import login_password
from candado.errors import (
    AuthRequiredError,
    CandadoError,
    NotLoggedInError,
    RemoteError,
    SecretNeededError,
    TransportError,
    UsageError,
)
from candado.types import SecretBytes, SecretText

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.ports.client import Keychain

__all__ = ["login", "logout", "status", "whoami"]

_POLL_SECONDS = 2.0
_FLOW_SECONDS = 20 * 60.0


@click.command(cls=Command)
@click.argument("url")
@click.option("--user", "user", metavar="NAME", envvar="NC_USER", help="Login name; without it the browser is used.")
@click.option("--password-file", type=SECRET_FILE, metavar="F", help="Password; - is stdin.")
@click.option("--device-name", metavar="NAME", help="Name of this device in conflict copies; default: the host's name.")
@click.option(
    "--ca-file", type=click.Path(path_type=Path, exists=True), metavar="PEM", help="Also trust these authorities."
)
@click.option("--insecure-storage", is_flag=True, help="Keep the secret of this device in a plain file.")
@click.option("--no-browser", is_flag=True, help="Only print the address of the sign-in page.")
@pass_run
def login(
    run: Run,
    url: str,
    user: str | None,
    password_file: Path | None,
    device_name: str | None,
    ca_file: Path | None,
    *,
    insecure_storage: bool,
    no_browser: bool,
) -> None:
    r"""Sign this device in to a server.

    \b
    Examples:
      candado login https://cloud.example.org --user alice --password-file F
      candado login https://cloud.example.org
    """
    from candado.adapters.http_settings import check_server_url
    from candado.apps.cli.loop import run_to_end
    from candado.apps.wiring import PLAIN_FILE_WARNING, choose_keychain

    address = check_server_url(url)
    places = Places.of(os.environ)
    before = _former(places)
    kind = choose_keychain(places, run, insecure=insecure_storage, environment=os.environ)
    config = DeviceConfig(
        url=address,
        login=user or "",
        user_id="",
        device=device_name or (before.device if before else platform.node() or "device"),
        keychain=kind,
        ca_file=str(ca_file.absolute()) if ca_file else "",
    )
    given = _given_password(run, config, password_file) if user else None
    config, password = run_to_end(_sign_in(run, config, given, before, browser=not no_browser))
    _keep(run, places, before, config, password)
    if kind == "file":
        run.warn(PLAIN_FILE_WARNING)
    run.emit(
        "candado.login/1",
        {"url": config.url, "user": config.user_id, "device": config.device, "keychain": kind},
        f"Signed in as {printable(config.user_id)} at {config.url}.",
    )


def _keep(run: Run, places: Places, before: DeviceConfig | None, config: DeviceConfig, password: SecretText) -> None:
    """Keep what a login gave: the device secret first, then the password sealed under it, then the configuration."""
    from candado.apps.wiring import keychain_of, open_state

    places.create()
    keychain = keychain_of(config.keychain, places, run, is_new=True)
    _move_secret(before, config.keychain, keychain, places, run)
    secret = keychain.load()
    if secret is None:
        secret = SecretBytes(os.urandom(32))  # noqa: TID251 -- made here once for the life of the device
        keychain.store(secret)
    store = open_state(places, secret)
    try:
        store.commit([("login", "password", password.reveal().encode())])
    finally:
        store.close()
    save_config(places, config)


def _former(places: Places) -> DeviceConfig | None:
    try:
        return load_config(places)
    except NotLoggedInError:
        return None


def _given_password(run: Run, config: DeviceConfig, password_file: Path | None) -> SecretText:
    def ask() -> str:
        answer: str = click.prompt(f"Password of {config.login} at {config.url}", hide_input=True, err=True)
        return answer

    return login_password(
        password_file, os.environ, url=config.url, login=config.login, ask=ask if run.interactive else None
    )


async def _sign_in(
    run: Run, config: DeviceConfig, password: SecretText | None, before: DeviceConfig | None, *, browser: bool
) -> tuple[DeviceConfig, SecretText]:
    """Ask the server who we are; the configuration with the user id, and the password to keep.

    UsageError when the device belongs to another account; the server then keeps no password of it.
    """
    from dataclasses import replace

    from candado.adapters.ambient import SystemClock, SystemRandom
    from candado.adapters.http import HttpRemote
    from candado.apps.wiring import http_settings

    is_granted = password is None
    if password is None:
        name, password = await _through_browser(run, config, browser=browser)
        config = replace(config, login=name)
    remote = HttpRemote(
        config.url,
        config.login,
        None,
        password,
        clock=SystemClock(),
        random=SystemRandom(),
        settings=http_settings(config, run),
    )
    try:
        try:
            me = await remote.user_info()
        except AuthRequiredError as error:
            error.path = config.url
            raise
        if before is not None and (before.url, before.user_id) != (config.url, me.user_id):
            if is_granted:
                await remote.delete_app_password()
            raise UsageError(
                f"this device is {before.user_id} at {before.url} already",
                path=str(Places.of(os.environ).config),
                advice="Run `candado logout --wipe` first, or use another CANDADO_HOME for a second account.",
            )
        own = await remote.make_app_password()
    finally:
        await remote.close()
    return replace(config, user_id=me.user_id), own or password


async def _through_browser(run: Run, config: DeviceConfig, *, browser: bool) -> tuple[str, SecretText]:
    """Show the sign-in page and wait for the person; SecretNeededError after 20 minutes."""
    from candado.adapters.ambient import SystemClock, SystemRandom
    from candado.adapters.http_login import LoginFlow
    from candado.apps.wiring import http_settings

    clock = SystemClock()
    flow = LoginFlow(config.url, clock=clock, random=SystemRandom(), settings=http_settings(config, run))
    try:
        page = await flow.start()
        _show_page(page, browser=browser and run.interactive)
        until = clock.monotonic() + _FLOW_SECONDS
        while clock.monotonic() < until:
            grant = await flow.poll()
            if grant is not None:
                return grant.login, grant.app_password
            await clock.sleep(_POLL_SECONDS)
    finally:
        await flow.close()
    raise SecretNeededError("nobody signed in on the page within 20 minutes", path=config.url, advice="Run it again.")


def _show_page(page: str, *, browser: bool) -> None:
    import segno

    print(f"Sign in on this page:\n\n  {page}\n", file=sys.stderr)
    segno.make(page, micro=False).terminal(out=sys.stderr, compact=True)
    sys.stderr.flush()
    if browser:
        import webbrowser

        webbrowser.open(page)


def _move_secret(before: DeviceConfig | None, kind: str, keychain: "Keychain", places: Places, run: Run) -> None:
    """Put the secret of a device that is signed in again into the keychain that was chosen now."""
    from candado.apps.wiring import keychain_of

    if before is None or before.keychain == kind:
        return
    former = keychain_of(before.keychain, places, run)
    secret = former.load()
    if secret is not None:
        keychain.store(secret)
        former.delete()


@click.command(cls=Command)
@click.option("--wipe", is_flag=True, help="Also forget the identity and all state of this device.")
@pass_run
def logout(run: Run, *, wipe: bool) -> None:
    r"""Sign out: the server forgets the password of this device.

    With --wipe the keys, the words, the pins and the memory of past syncs on this device are destroyed. Synced files
    stay. Without the twelve words, and without another device, encrypted folders cannot be opened any more. At a
    terminal this is asked first; without one --wipe is enough.

    \b
    Examples:
      candado logout
      candado logout --wipe
    """
    places = Places.of(os.environ)
    config = load_config(places)
    if wipe:
        run.confirm("Destroy the keys and all state of this device?")
    revoked = True
    try:
        with_account(run, _sign_out)
    except (TransportError, RemoteError):
        revoked = False
    except CandadoError as exc:
        if not wipe:
            raise
        run.warn(f"the state could not be opened: {printable(exc.message)}")
        revoked = False
    if not revoked:
        run.warn("the server was not told; revoke the password of this device in the server's security settings")
    if wipe:
        _wipe(places, config, run)
    run.emit(
        "candado.logout/1", {"wiped": wipe, "revoked": revoked}, "Signed out." if not wipe else "Signed out, wiped."
    )


async def _sign_out(account: "Account") -> None:
    try:
        await account.remote.delete_app_password()
    finally:
        account.store.commit([("login", "password", None)])


def _wipe(places: Places, config: DeviceConfig, run: Run) -> None:
    """The secret first: without it the rest cannot be read, whatever is left of it."""
    import shutil

    from candado.apps.wiring import keychain_of

    keychain_of(config.keychain, places, run).delete()
    shutil.rmtree(places.state)
    places.config_file.unlink(missing_ok=True)


@click.command(cls=Command)
@pass_run
def whoami(run: Run) -> None:
    """Show who is signed in, as the server and this device say."""
    from dataclasses import asdict

    from candado.client.inspect import WhoAmI
    from candado.client.inspect import whoami as ask
    from candado.client.recovery import refresh_quietly

    async def work(account: "Account") -> "tuple[WhoAmI, dict[str, object] | None]":
        await refresh_quietly(account)
        return await ask(account), warn_of_recovery(run, account)

    me, recovery = with_account(run, work)

    def text() -> None:
        quota = "no limit" if me.quota_bytes < 0 else human_size(me.quota_bytes)
        rows = [
            ("user:", f"{me.user_id} ({me.display_name})"),
            ("server:", me.server_url),
            ("device:", me.device_name),
            ("fingerprint:", me.words or "no keys yet: candado init"),
            ("used:", f"{human_size(max(me.used_bytes, 0))} of {quota}"),
        ]
        table(rows)

    run.emit("candado.whoami/1", {**asdict(me), "recovery": recovery}, text)


@click.command(cls=Command)
@pass_run
def status(run: Run) -> None:
    r"""Show the state of this device: encrypted folders, interrupted work, open issues. Asks nothing of the server.

    The state line of a folder (counter and short digest) can be compared with other members: it must be the same.
    """
    from candado.client.inspect import Status
    from candado.client.inspect import status as look

    async def work(account: "Account") -> "tuple[Status, dict[str, object] | None]":
        return look(account), warn_of_recovery(run, account)

    state, recovery = with_account(run, work)
    roots = [
        {
            "path": root.path,
            "file_id": root.file_id,
            "counter": root.counter,
            "digest": root.digest,
            "signer": root.signer,
            "members": list(root.members),
            "recovery_keys": list(root.recovery_keys),
            "owned": root.owned,
            "must_rotate": root.must_rotate,
        }
        for root in state.roots
    ]

    def text() -> None:
        print(f"{printable(state.user_id)} at {state.server_url}, device {printable(state.device_name)}")
        print(f"keys: {'here' if state.has_keys else 'none yet: candado init'}; device secret in: {state.keychain}")
        table(
            (
                f"[e] {root.path}",
                f"state {root.counter}-{root.digest[:12]}",
                f"members {', '.join(root.members)}",
                f"recovery key {', '.join(root.recovery_keys)}" if root.recovery_keys else "",
            )
            for root in state.roots
        )
        for lock in state.left_locks:
            print(f"interrupted work in {printable(lock.path)}: candado unlock {printable(lock.path)}")
        print("log of keys: " + ("unlogged" if state.key_log_size is None else f"{state.key_log_size} records seen"))
        print(f"open issues: {state.open_issues}" + (": candado issues" if state.open_issues else ""))

    run.emit(
        "candado.status/1",
        {
            "user": state.user_id,
            "url": state.server_url,
            "device": state.device_name,
            "keychain": state.keychain,
            "has_keys": state.has_keys,
            "folders": roots,
            "interrupted": [lock.path for lock in state.left_locks],
            "open_issues": state.open_issues,
            "recovery": recovery,
            "key_log": state.key_log_size,
        },
        text,
    )

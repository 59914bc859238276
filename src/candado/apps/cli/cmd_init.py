"""``init`` and ``key show``: the identity of the account and its twelve words.

Layer: ``apps``. The words are shown or written once and never travel in JSON; ``key show`` asks for the login password.
"""

import os
import random
import sys
from pathlib import Path
from typing import Any

import click

from candado.apps.cli.common import SECRET_FILE, Command, Group, Run, pass_run, with_account
from candado.apps.cli.config import Places, load_config
from candado.apps.cli.secrets import find_secret, login_password, new_secret_file, secret_source
from candado.errors import (
    AuthRequiredError,
    KeysExistError,
    SecretNeededError,
    UsageError,
    WrongMnemonicError,
)
from candado.types import SecretText

__all__ = ["init", "key"]

_QUIZ_WORDS = 3
_NOWHERE_ELSE = (
    "the key will be on the token and nowhere else. If the token is lost, broken or locked, you cannot read your "
    "encrypted folders any more, and no words bring them back; only other members of a folder can let you in again. "
    "Stock apps cannot join this account. Make a second token from a backup of the key if your token can do that."
)
_QUIZ_ROUNDS = 5


@click.command(cls=Command)
@click.option("--phrase-out", type=click.Path(path_type=Path), metavar="F", help="Write the new words to a new file.")
@click.option(
    "--phrase-file",
    type=SECRET_FILE,
    metavar="F",
    help="Join with the words in this file; - is stdin.",
)
@click.option("--reset", is_flag=True, help="Remove the certificate that an interrupted set-up left, and start anew.")
@click.option("--password-file", type=SECRET_FILE, metavar="F", help="Login password, for --reset.")
@click.option("--token", metavar="URI", help="Keep the key on a token, at this PKCS#11 address.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, with --token.")
@pass_run
def init(
    run: Run,
    phrase_out: Path | None,
    phrase_file: Path | None,
    password_file: Path | None,
    token: str | None,
    *,
    reset: bool,
    yes: bool,
) -> None:
    r"""Make the identity of the account, or join with its twelve words.

    \b
    Examples:
      candado init                              first device: shows twelve words, once
      candado init --phrase-out words.txt       first device, without a terminal
      candado init --phrase-file words.txt      further device
      candado init --token 'pkcs11:token=Mine;object=candado?module-path=/usr/lib/opensc-pkcs11.so'
    """
    if token is not None:
        if phrase_out is not None or phrase_file is not None or reset:
            raise UsageError("a key on a token has no words", advice="Leave out the other options.")
        _with_token(run, token, yes=yes)
        return
    phrase = find_secret("CANDADO_PHRASE", phrase_file, os.environ)
    if phrase is not None and (phrase_out is not None or reset):
        raise UsageError("joining with the words makes no new words", advice="Leave out --phrase-out and --reset.")
    if phrase is None and (run.json or run.jsonl) and phrase_out is None:
        raise UsageError("the words are never printed as JSON", advice="Add --phrase-out FILE.")
    if phrase is not None:
        _join(run, phrase, secret_source("CANDADO_PHRASE", phrase_file, os.environ))
        return
    with new_secret_file(phrase_out) as words_file:
        try:
            words = _first(run, password_file, reset=reset)
        except KeysExistError:
            if not run.interactive or reset:
                raise
            words_file.unused()
            run.say("The account has keys already: this device joins with the twelve words.")
            _join(run, _ask_words(), None)
            return
        words_file.write(words)
    _show_new_words(run, words, phrase_out)


def _first(run: Run, password_file: Path | None, *, reset: bool) -> SecretText:
    from candado.client import enrol

    password = _login_password(run, password_file) if reset else None

    async def work(account: Any) -> SecretText:
        run.say("Making the keys of the account ...")
        if password is not None:
            return await enrol.reset(account, password)
        return await enrol.init_first(account)

    return with_account(run, work)


def _with_token(run: Run, address: str, *, yes: bool) -> None:
    from candado.apps.tokens import parse_token
    from candado.apps.wiring import user_tokens
    from candado.client.enrol import init_token

    uri = parse_token(address)
    run.warn(_NOWHERE_ELSE)
    if not yes and run.interactive:
        click.confirm("Go on?", abort=True, err=True)

    async def work(account: Any) -> dict[str, Any]:
        tokens = user_tokens(run)
        try:
            public, _ = tokens.keys.make(uri)
            is_new = await init_token(account, address, tokens(address, public))
        finally:
            await tokens.close()
        return {"joined": not is_new, "token": uri.place, "fingerprint": public.fingerprint_hex}

    found = with_account(run, work)
    how = "Joined with the key on" if found["joined"] else "Keys set up on"
    run.emit("candado.init/1", found, f"{how} {uri.place}. Keep the token: nothing else opens your folders.")


def _join(run: Run, phrase: SecretText, source: str | None) -> None:
    from candado.client.enrol import init_further

    async def work(account: Any) -> None:
        try:
            await init_further(account, phrase)
        except WrongMnemonicError as error:
            error.path = source or f"{account.user_id} at {account.server_url}"
            raise

    with_account(run, work)
    run.emit(
        "candado.init/1", {"joined": True}, "This device has joined: it opens the encrypted folders of the account."
    )


def _ask_words() -> SecretText:
    return SecretText(click.prompt("The twelve words", hide_input=True, err=True))


def _show_new_words(run: Run, words: SecretText, phrase_out: Path | None) -> None:
    if phrase_out is not None:
        text = f"Keys made. The twelve words are in {phrase_out}: move them to a safe place off this machine."
        run.emit("candado.init/1", {"joined": False, "phrase_file": str(phrase_out)}, text)
        return
    _print_words(words)
    if run.interactive:
        _quiz(words.reveal().split())
    run.say("Keys made. Keep the twelve words on paper: with them you get everything back, without them nobody can.")


def _print_words(words: SecretText) -> None:
    listed = words.reveal().split()
    if sys.stdout.isatty():
        for row in range(4):
            print("   ".join(f"{row + 4 * column + 1:2}. {listed[row + 4 * column]:10}" for column in range(3)))
    else:
        print(" ".join(listed))
    sys.stdout.flush()


def _quiz(words: list[str]) -> None:
    """Ask for some of the words until they are right; after five wrong rounds go on with a warning."""
    chooser = random.SystemRandom()
    for _ in range(_QUIZ_ROUNDS):
        asked = sorted(chooser.sample(range(len(words)), _QUIZ_WORDS))
        answers = [click.prompt(f"Word {number + 1}", err=True).strip().lower() for number in asked]
        if answers == [words[number] for number in asked]:
            return
        print("That is not what was shown. Look at the words again.", file=sys.stderr)
        _print_words(SecretText(" ".join(words)))
    raise WrongMnemonicError(
        "the words were not confirmed",
        safe="The keys are made and work on this device.",
        advice="Write the words down: `candado key show`.",
    )


def _login_password(run: Run, password_file: Path | None) -> SecretText:
    config = load_config(Places.of(os.environ))

    def ask() -> str:
        answer: str = click.prompt(f"Login password of {config.login}", hide_input=True, err=True)
        return answer

    return login_password(
        password_file, os.environ, url=config.url, login=config.login, ask=ask if run.interactive else None
    )


@click.group(cls=Group)
def key() -> None:
    """The twelve words of the account."""


@key.command()
@click.option("--password-file", type=SECRET_FILE, metavar="F", help="Login password.")
@click.option("--phrase-out", type=click.Path(path_type=Path), metavar="F", help="Write them to a new file instead.")
@pass_run
def show(run: Run, password_file: Path | None, phrase_out: Path | None) -> None:
    r"""Show the twelve words again, after the login password.

    \b
    Examples:
      candado key show
      candado key show --password-file F --phrase-out words.txt
    """
    from candado.client.enrol import show_mnemonic

    if (run.json or run.jsonl) and phrase_out is None:
        raise UsageError("the words are never printed as JSON", advice="Add --phrase-out FILE.")
    password = _login_password(run, password_file)

    async def work(account: Any) -> SecretText:
        await _check_password(run, password)
        return show_mnemonic(account)

    with new_secret_file(phrase_out) as file:
        words = with_account(run, work)
        file.write(words)
    if phrase_out is None:
        _print_words(words)
    else:
        run.emit("candado.key/1", {"phrase_file": str(phrase_out)}, f"The twelve words are in {phrase_out}.")


async def _check_password(run: Run, password: SecretText) -> None:
    """AuthRequiredError unless the server takes this password for this account."""
    from candado.adapters.ambient import SystemClock, SystemRandom
    from candado.adapters.http import HttpRemote
    from candado.apps.wiring import http_settings

    config = load_config(Places.of(os.environ))
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
        me = await remote.user_info()
    except AuthRequiredError as error:
        error.path = config.url
        error.advice = f"Try the password again: it is the login password of {config.login}."
        raise
    finally:
        await remote.close()
    if me.user_id != config.user_id:
        raise SecretNeededError(
            "this password belongs to another account",
            path=config.url,
            advice=f"Give the login password of {config.login}.",
        )

"""``recovery status``, ``accept`` and ``drop``: what people decide about the recovery key.

Layer: ``apps``.
"""

from typing import TYPE_CHECKING, Any, Final

import click

from candado.apps.cli.common import Command, Run, pass_run, warn_of_recovery, with_account
from candado.apps.cli.output import printable, table
from candado.errors import CandadoError, UsageError

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.covering import Covered
    from candado.client.recovery import RecoveryKey

__all__ = ["accept", "drop", "status"]

_WORDS: Final = {
    "covered": "covered",
    "former": "carries a former key: candado recovery accept FOLDER, or candado recovery drop FOLDER",
    "agreed": "not covered yet; you agreed, the next use of candado covers it",
    "waiting": "not covered: waits for your consent, candado recovery accept FOLDER",
    "withdrawn": "not covered: you took the key out",
    "other-owner": "not covered: its owner decides",
    "none": "no recovery key",
    "not-opened": "not opened on this device yet",
}


def _key_json(key: "RecoveryKey | None") -> dict[str, Any] | None:
    if key is None:
        return None
    return {
        "state": key.state,
        "member": key.member_id,
        "fingerprint": key.fingerprint,
        "words": key.words,
        "agreed": key.agreed,
        "serial": key.serial,
        "text": key.text,
    }


def _folder_json(one: "Covered") -> dict[str, Any]:
    return {"path": one.path, "owner": one.owner_id, "state": one.state, "keys": list(one.keys)}


@click.command(cls=Command)
@pass_run
def status(run: Run) -> None:
    r"""Show the recovery key of the organisation, and which of your folders carry it.

    What the server says is verified first: the policy with the organisation's key, the certificate with the policy.

    \b
    Examples:
      candado recovery status
      candado recovery status --json
    """
    from candado.client.covering import coverage
    from candado.client.policies import announced_key, pinned_key
    from candado.client.recovery import refresh
    from candado.crypto.x509 import fingerprint_words

    refused: list[CandadoError] = []

    async def work(account: "Account") -> dict[str, Any]:
        try:
            key = await refresh(account, fresh=True)
        except CandadoError as error:
            if account.identity is None:
                raise
            refused.append(error)
            from candado.client.recovery import current_key

            key = current_key(account)
        warn_of_recovery(run, account)
        pinned, announced = pinned_key(account), announced_key(account)
        return {
            "organisation": None
            if pinned is None
            else {"fingerprint": pinned.fingerprint_hex, "words": fingerprint_words(pinned.fingerprint_hex)},
            "announced": None
            if announced is None
            else {"fingerprint": announced.fingerprint, "words": announced.words},
            "recovery": _key_json(key),
            "refused": [error.message for error in refused],
            "folders": [_folder_json(one) for one in await coverage(account)],
        }

    found = with_account(run, work)

    def text() -> None:
        pinned, announced, key = found["organisation"], found["announced"], found["recovery"]
        print(f"organisation: {'none is trusted' if pinned is None else pinned['words']}")
        if announced is not None:
            print(f"not trusted:  {announced['words']}")
            print(f"  compare it on another channel, then: candado trust organisation {announced['fingerprint']}")
        print("recovery key: " + ("none" if key is None else f"{key['state']}, {key['member']}, {key['words']}"))
        if key is not None and key["state"] == "on" and not key["agreed"]:
            print(f"  it is another one than before: candado recovery accept --key {key['fingerprint']}")
        table((one["path"], _WORDS[one["state"]].replace("FOLDER", one["path"])) for one in found["folders"])

    run.emit("candado.recovery-status/1", found, text)
    if refused:
        raise refused[0]


@click.command(cls=Command)
@click.argument("folder", metavar="[FOLDER]", required=False)
@click.option("--all", "everything", is_flag=True, help="All encrypted folders that you own.")
@click.option("--future", is_flag=True, help="With --all: also those that appear later, of whatever app.")
@click.option("--key", "key", metavar="FINGERPRINT", help="Agree to a recovery key in place of the former one.")
@pass_run
def accept(run: Run, folder: str | None, key: str | None, *, everything: bool, future: bool) -> None:
    r"""Let the recovery key of the organisation into a folder of yours, under a new key of the folder.

    From then on whoever holds enough of its sheets can read the folder. This is a decision of its owner: where nobody
    can be asked it needs --yes.

    \b
    Examples:
      candado recovery accept Documents
      candado recovery accept --all --future
    """
    from candado.client import covering
    from candado.client.recovery import agree_to_key, refresh, require_key

    if (folder is None) == (not everything) and key is None:
        raise UsageError("name a FOLDER or --all, one of the two", advice="See `candado recovery accept --help`.")
    if future and not everything:
        raise UsageError("--future goes with --all")

    async def work(account: "Account") -> dict[str, Any]:
        await refresh(account, fresh=True)
        if key is not None:
            run.confirm("Agree to this recovery key in place of the former one?", needs_yes=True)
            agree_to_key(account, key)
        found, _ = require_key(account)
        paths = [] if folder is None else [folder]
        if everything:
            paths = await covering.own_roots(account)
        if paths or future:
            run.say(f"Recovery key {found.member_id}: {found.words}\nThe organisation says: {printable(found.text)}")
            what = "all your encrypted folders" if everything else printable(folder or "")
            run.confirm(f"Let it into {what}?", needs_yes=True)
        done = [await covering.accept(account, path) for path in paths]
        if future:
            await covering.agree_to_future(account)
        return {"recovery": _key_json(found), "future": future, "folders": [_folder_json(one) for one in done]}

    document = with_account(run, work)
    lines = [f"{printable(one['path'])}: covered" for one in document["folders"]]
    lines += ["Folders that appear later are covered with their next use."] if future else []
    run.emit("candado.recovery-accept/1", document, "\n".join(lines) or "Agreed.")


@click.command(cls=Command)
@click.argument("folder", metavar="[FOLDER]", required=False)
@click.option("--all", "everything", is_flag=True, help="All encrypted folders that you own.")
@pass_run
def drop(run: Run, folder: str | None, *, everything: bool) -> None:
    r"""Take every recovery key out of a folder of yours, under a new key of the folder.

    What was readable before could have been kept: files get new keys when they are written anew.

    \b
    Examples:
      candado recovery drop Documents
      candado recovery drop --all
    """
    from candado.client import covering

    if (folder is None) == (not everything):
        raise UsageError("name a FOLDER or --all, one of the two", advice="See `candado recovery drop --help`.")

    async def work(account: "Account") -> list[dict[str, Any]]:
        paths = await covering.own_roots(account) if folder is None else [folder]
        return [{"path": path, "had_key": await covering.drop(account, path)} for path in paths]

    done = with_account(run, work)
    lines = [
        f"{printable(one['path'])}: {'the recovery key is out' if one['had_key'] else 'had no recovery key'}"
        for one in done
    ]
    run.emit("candado.recovery-drop/1", {"folders": done}, "\n".join(lines) or "You own no encrypted folder.")

"""``recovery request`` and ``apply``: access again after all keys were lost, on the user's new device.

Layer: ``apps``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from candado.apps.cli.common import Command, Run, pass_run, with_account
from candado.apps.cli.errors import EXIT_PARTLY, error_json, exit_status
from candado.apps.cli.output import printable

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.client.regrant import Restored
    from candado.folder.regrants import Request

__all__ = ["apply", "request"]


@click.command(cls=Command)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("remotes", nargs=-1, metavar="[REMOTE]...")
@pass_run
def request(run: Run, out: Path, remotes: Sequence[str]) -> None:
    r"""Ask for access to folders whose keys were lost: writes a request, for who keeps the recovery key.

    This device has new keys by now (`candado init`). Without REMOTE all folders are asked for that have a recovery key
    and that this account cannot open. OUT has no content and no key; it is signed with the new key.

    \b
    Examples:
      candado recovery request alice-request.json
    """
    from candado.adapters.offline import write_private
    from candado.client.regrant import make_request
    from candado.crypto.x509 import fingerprint_words

    async def work(account: "Account") -> "tuple[Request, str]":
        return await make_request(account, remotes)

    made, text = with_account(run, work)
    write_private(out, text.encode())
    fingerprint = made.certificate.public_key.fingerprint_hex
    paths = [root.path for root in made.roots]
    listed = "".join(f"\n  {printable(path)}" for path in paths)
    run.emit(
        "candado.recovery-request-made/1",
        {"path": str(out), "fingerprint": fingerprint, "words": fingerprint_words(fingerprint), "roots": paths},
        f"Asked for:{listed}\nHand {printable(str(out))} to who keeps the recovery key, and read out to them the "
        f"fingerprint of your new key:\n  {fingerprint_words(fingerprint)}",
    )


@click.command(cls=Command)
@click.argument("package", type=click.Path(path_type=Path))
@pass_run
def apply(run: Run, package: Path) -> int:
    r"""Take the access that `candado recovery use --regrant` gave: become a member again, under the new key.

    Every folder gets a new metadata key. The other members compare your new key before their devices go on. A run that
    was cut is gone on with by the same command.

    \b
    Examples:
      candado recovery apply alice.regrant
    """
    from candado.apps.cli.recovery_input import read_local
    from candado.client.regrant import apply_regrant
    from candado.folder.regrants import REGRANT_BYTES_MAX, parse_regrant

    regrant = parse_regrant(read_local(package, size_max=REGRANT_BYTES_MAX))

    async def work(account: "Account") -> "list[Restored]":
        return await apply_regrant(account, regrant)

    results = with_account(run, work)
    failed = [one for one in results if one.error is not None]

    def text() -> None:
        for one in results:
            if one.error is None:
                state = f"{one.folders} folders have a new key" if one.folders else "access was there already"
                print(f"{printable(one.path)}: {state}")

    for one in failed:
        assert one.error is not None
        run.warn(
            f"{printable(one.path)}: {printable(one.error.message)} [{one.error.code}] {printable(one.error.advice)}"
        )
    restored = [{"path": one.path, "folders": one.folders} for one in results if one.error is None]
    errors = [{**error_json(one.error), "path": one.path} for one in failed if one.error is not None]
    run.emit("candado.recovery-apply/1", {"restored": restored, "errors": errors}, text)
    if failed and len(failed) == len(results) and failed[0].error is not None:
        return exit_status(failed[0].error)
    return EXIT_PARTLY if failed else 0

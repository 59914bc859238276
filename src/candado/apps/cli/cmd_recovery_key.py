"""``recovery create`` and ``test``: the recovery key offline, without account and server.

Layer: ``apps``. What is written is complete and was tried, or nothing is there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from candado.apps.cli.common import Command, Run, pass_run
from candado.apps.cli.output import printable
from candado.errors import UsageError

if TYPE_CHECKING:
    from candado.client.recoverykey import Ceremony

__all__ = ["create", "test"]

_PATH = click.Path(path_type=Path)


@click.command(cls=Command)
@click.argument("out", type=_PATH)
@click.option("--shares", type=click.IntRange(2, 16), required=True, help="How many sheets there will be.")
@click.option("--needed", type=click.IntRange(2, 16), required=True, help="How many of them open the key.")
@click.option("--custodian", "custodians", multiple=True, required=True, help="Who keeps a sheet; once for each.")
@click.option("--purpose", required=True, help="What the key is for; stands on the sheets and in the record.")
@pass_run
def create(run: Run, out: Path, custodians: Sequence[str], purpose: str, *, shares: int, needed: int) -> None:
    r"""Make a recovery key, split into sheets of which some are needed, on a machine without network.

    OUT is a new folder. OUT/public goes to the server's administrator; the sheets are printed, handed to their keepers,
    and the folder is destroyed.

    \b
    Examples:
      candado recovery create /mnt/usb/key --shares 3 --needed 2 --purpose "Recovery at Example Ltd" \
        --custodian "Ana" --custodian "Bo" --custodian "Cy"
    """
    from candado.apps.cli.recovery_input import RECORD_FILE
    from candado.crypto.x509 import fingerprint_words

    if len(custodians) != shares:
        raise UsageError(
            f"{shares} sheets need {shares} keepers, {len(custodians)} were named",
            advice="Give --custodian once for each sheet.",
        )
    if needed > shares:
        raise UsageError("more sheets would be needed than there are")
    warn_of_network(run)
    ceremony = _hold(run, out, custodians, purpose, needed)
    fingerprint = ceremony.record.public_key.fingerprint_hex
    public = printable(str(out / RECORD_FILE.parent))
    lines = [
        f"A recovery key was made: ceremony {ceremony.record.ceremony}, {needed} of {shares} sheets open it.",
        f"Fingerprint: {fingerprint_words(fingerprint)}",
        f"             {fingerprint}",
        f"Sheets:      sheet-1.pdf to sheet-{shares}.pdf in {printable(str(out))}; the printer too is on no network.",
        f"Public half: {public}; this alone leaves this machine.",
        "Write the fingerprint down, each of you. Then prove what is on the paper, and destroy the folder:",
        f"  candado recovery test --public {public}",
    ]
    run.emit(
        "candado.recovery-create/1",
        {
            "ceremony": ceremony.record.ceremony,
            "needed": needed,
            "shares": shares,
            "fingerprint": fingerprint,
            "words": fingerprint_words(fingerprint),
            "folder": str(out),
        },
        "\n".join(lines),
    )


def _hold(run: Run, out: Path, custodians: Sequence[str], purpose: str, needed: int) -> "Ceremony":
    """Make the key and write everything, or leave nothing."""
    from candado.adapters.ambient import SystemClock, SystemRandom
    from candado.adapters.offline import new_folder, write_all
    from candado.apps.cli.recovery_input import KEY_FILE, RECORD_FILE, gather_sheets, sheet_name
    from candado.apps.cli.recovery_sheets import key_text, sheet_pdf, sheet_text
    from candado.client.recoverykey import hold_ceremony, prove_sheets

    with new_folder(out):
        ceremony = hold_ceremony(
            purpose=purpose, custodians=custodians, needed=needed, random=SystemRandom(), clock=SystemClock()
        )
        files = {
            str(RECORD_FILE): ceremony.record_text.encode(),
            str(RECORD_FILE.with_name("recovery.csr")): ceremony.record.request_pem.encode(),
            KEY_FILE: key_text(ceremony).encode(),
        }
        for share in ceremony.shares:
            files[f"{sheet_name(share.index)}.txt"] = sheet_text(ceremony, share).encode()
            files[f"{sheet_name(share.index)}.pdf"] = sheet_pdf(ceremony, share)
        write_all(out, files)
        # What counts is what is on the disk, so it is read back and tried before anybody prints it.
        sheets, record = gather_sheets(run, [out], None)
        assert record is not None
        prove_sheets(sheets, record, every_set=False)
    return ceremony


@click.command(cls=Command)
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), metavar="[SHEETS]...")
@click.option("--public", type=_PATH, help="The folder `public` of the ceremony, or its record.json.")
@click.option("--key", type=_PATH, help="File with the sealed key, when only the words of the sheets were typed.")
@click.option("--all", "every_set", is_flag=True, help="Try every set of as many sheets as are needed.")
@pass_run
def test(run: Run, sources: Sequence[Path], public: Path | None, key: Path | None, *, every_set: bool) -> None:
    r"""Prove that sheets give the recovery key that belongs to the public half. Shows nothing of the key.

    SHEETS are text files of sheets, the folder of a ceremony, or - for standard input, with an empty line between
    sheets. Without any, the words are asked for: type them from the paper.

    \b
    Examples:
      candado recovery test --public /mnt/usb/public
      candado recovery test /mnt/usb/key --all
    """
    from candado.apps.cli.recovery_input import gather_sheets, read_record
    from candado.client.recoverykey import prove_sheets
    from candado.crypto.x509 import fingerprint_words

    record = None if public is None else read_record(public)
    if record is None and not any(source.is_dir() for source in sources):
        raise UsageError(
            "nothing says which key the sheets must give",
            advice="Add --public FOLDER: the folder `public` that the ceremony made.",
        )
    warn_of_network(run)
    sheets, found = gather_sheets(run, sources, key)
    record = record or found
    if record is None:
        raise UsageError(
            "the folder has no record of its ceremony", advice="Add --public FOLDER: the folder `public` it made."
        )
    report = prove_sheets(sheets, record, every_set=every_set)
    numbers = ", ".join(str(index) for index in report.indices)
    count = f"each of {report.combinations} sets of {report.needed}" if every_set else "together"
    run.emit(
        "candado.recovery-test/1",
        {
            "ceremony": report.ceremony,
            "fingerprint": report.fingerprint,
            "needed": report.needed,
            "sheets": list(report.indices),
            "sets": report.combinations,
        },
        f"Sheets {numbers} of ceremony {report.ceremony} give the recovery key, {count}.\n"
        f"Fingerprint: {fingerprint_words(report.fingerprint)}",
    )


def warn_of_network(run: Run) -> None:
    """Say so when this machine has a way to others; it is the people's decision whether to go on."""
    from candado.adapters.offline import has_route

    if has_route():
        run.warn("this machine is on a network; a ceremony belongs on one that is not and never will be again")

"""``recover``: files out of a bundle, or out of what is left of a server.

Layer: ``apps``. Needs no account, no server and no state of this device; nothing here may import what only POSIX has.
"""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from candado.apps.cli.common import SECRET_FILE, Command, Run, pass_run
from candado.apps.cli.errors import EXIT_PARTLY, error_json, exit_status
from candado.apps.cli.output import human_size, printable, rfc3339
from candado.apps.cli.secrets import find_secret, secret_source
from candado.errors import NotFoundError, SecretNeededError, UsageError, WrongMnemonicError
from candado.formats.bundle import is_member_name

if TYPE_CHECKING:
    from candado.client.recover import RecoverReport
    from candado.crypto.rsa import PrivateKey
    from candado.ports.bundle import RecoveryTree
    from candado.types import SecretText

__all__ = ["recover"]

_SHOWN = 20
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


@click.command(cls=Command)
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--phrase-file", type=SECRET_FILE, metavar="F", help="The twelve words; - is stdin.")
@click.option(
    "--private-key-file",
    type=SECRET_FILE,
    metavar="F",
    help="A member's private key instead: PKCS#8, PEM.",
)
@click.option("--authority-fingerprint", metavar="HEX", default="", help="The authority you trust; else that in SRC.")
@click.option("--salvage", is_flag=True, help="Also what cannot be verified; such files end in .not-verified.")
@click.option("--overwrite", is_flag=True, help="Replace other files of the same name.")
@click.option("--windows-names", is_flag=True, help="Only names that Windows can have (always so on Windows).")
@pass_run
def recover(
    run: Run,
    src: Path,
    dest: Path,
    phrase_file: Path | None,
    private_key_file: Path | None,
    authority_fingerprint: str,
    *,
    salvage: bool,
    overwrite: bool,
    windows_names: bool,
) -> int:
    r"""Decrypt a bundle of `candado export`, without a server, an account or a network.

    Everything is verified. Files that are there already and have the same content are kept, so a run that was cut is
    gone on with by the same command.

    \b
    Examples:
      candado recover documents.bundle ~/documents --phrase-file words.txt
      candado recover documents.tar ~/documents --private-key-file key.pem
    """
    from candado.adapters.ambient import SystemClock
    from candado.adapters.source_files import open_source
    from candado.client.bundle_reader import BundleReader
    from candado.client.recover import fill_tree

    fingerprint = _fingerprint(authority_fingerprint)
    files = open_source(src, expected=is_member_name)
    try:
        reader = BundleReader(files, authority_fingerprint=fingerprint, salvage=salvage)
        key = _key(run, reader.manifest.private_key, phrase_file, private_key_file)
        facts: dict[str, Any] = {
            "exporter": reader.manifest.exporter,
            "created": rfc3339(reader.manifest.created),
            "server": reader.manifest.server,
            "authority": reader.authority.fingerprint_hex,
            "authority_given": bool(fingerprint),
        }
        run.say(
            f"The bundle was made by {printable(reader.manifest.exporter)} at {printable(reader.manifest.server)}, "
            f"{facts['created']}."
        )
        if not fingerprint:
            run.say(
                f"Its authority has the fingerprint {reader.authority.fingerprint_hex}, by the bundle's own word: "
                "give --authority-fingerprint to be sure who wrote it."
            )
        for problem in reader.problems:
            run.warn(f"{printable(problem.message)} Nothing in it is verified.")
        tree = _tree(dest)
        try:
            report = fill_tree(
                reader.folders(key, now=SystemClock().now()),
                tree,
                salvage=salvage,
                overwrite=overwrite,
                windows=windows_names or os.name == "nt",
            )
        finally:
            tree.close()
    finally:
        files.close()
    return _finish(run, report, facts)


def _fingerprint(text: str) -> str:
    found = re.sub(r"[\s:]", "", text).lower()
    if found and not _FINGERPRINT.match(found):
        raise UsageError("a fingerprint has 64 hexadecimal digits", path=text)
    return found


def _tree(dest: Path) -> "RecoveryTree":
    from candado.adapters.ambient import SystemClock
    from candado.adapters.disk import DiskTree

    return DiskTree(dest, quarantine=dest / ".candado-quarantine", clock=SystemClock())


def _key(run: Run, wrapped: str, phrase_file: Path | None, private_key_file: Path | None) -> "PrivateKey":
    """The private key from its file, or unwrapped with the words."""
    from candado.crypto.mnemonic import open_private_key
    from candado.crypto.rsa import PrivateKey
    from candado.encoding import pem_decode

    if private_key_file is not None:
        if phrase_file is not None:
            raise UsageError("give the words or a private key, not both")
        pem = find_secret("CANDADO_PRIVATE_KEY", private_key_file, os.environ)
        assert pem is not None
        return PrivateKey.from_pkcs8_der(pem_decode(pem.reveal(), "PRIVATE KEY"), check=True)
    if not wrapped:
        raise NotFoundError(
            "A part is missing: the private key that the words open is not there.",
            advice="Use --private-key-file with the key of a member.",
        )
    words = find_secret("CANDADO_PHRASE", phrase_file, os.environ) or _ask(run)
    try:
        return open_private_key(wrapped, words).key
    except WrongMnemonicError as error:
        error.path = secret_source("CANDADO_PHRASE", phrase_file, os.environ)
        error.advice = "Check the twelve words and their order, and that they are those of who made the copy."
        raise


def _ask(run: Run) -> "SecretText":
    from candado.types import SecretText

    if not run.interactive:
        raise SecretNeededError(
            "the twelve words are needed and there is nobody to ask",
            advice="Give --phrase-file FILE or CANDADO_PHRASE_FILE; see `candado help secrets`.",
        )
    return SecretText(click.prompt("The twelve words", hide_input=True, err=True))


def _finish(run: Run, report: "RecoverReport", facts: dict[str, Any]) -> int:
    document = {
        **facts,
        "files": report.files,
        "folders": report.folders,
        "bytes": report.bytes,
        "kept": report.kept,
        "missing": report.missing,
        "unverified": [{"path": path, "reason": reason} for path, reason in report.unverified],
        "renamed": [{"name": name, "path": path} for name, path in report.renamed],
        "errors": [{**error_json(failure.error), "path": failure.path} for failure in report.failures],
    }
    run.emit("candado.recover/1", document, lambda: _text(run, report))
    if len(report.failures) == 1 and not report.files and not report.kept:
        return exit_status(report.failures[0].error)
    return 0 if report.is_complete else EXIT_PARTLY


def _text(run: Run, report: "RecoverReport") -> None:
    for failure in report.failures:
        error = failure.error
        print(
            f"{printable(failure.path)}: {printable(error.message)} [{error.code}]\n"
            f"  safe:  {printable(error.safe)}\n  next:  {printable(error.advice)}",
            file=sys.stderr,
        )
    total = report.files + report.kept + len(report.missing)
    _warn(run, report.missing, f"{len(report.missing)} of {total} files have no body")
    _warn(run, [path for path, _ in report.unverified], f"{len(report.unverified)} files are NOT verified")
    for name, path in report.renamed:
        run.say(f"renamed: {printable(name)} is here as {printable(path)}")
    kept = f", {report.kept} were there already" if report.kept else ""
    run.say(f"recovered {report.files} files, {human_size(report.bytes)}{kept}")


def _warn(run: Run, paths: list[str], what: str) -> None:
    if paths:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        run.warn(f"{what}: {', '.join(printable(path) for path in paths[:_SHOWN])}{more}")

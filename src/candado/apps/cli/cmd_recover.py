"""``recover``: files out of a bundle, or out of what is left of a server.

Layer: ``apps``. Needs no account, no server and no state of this device; nothing here may import what only POSIX has.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from candado.adapters.ambient import SystemClock
from candado.apps.cli.common import SECRET_FILE, Command, Run, pass_run
from candado.apps.cli.errors import EXIT_PARTLY, error_json, exit_status
from candado.apps.cli.output import human_size, printable, rfc3339
from candado.apps.cli.progress import progress_of
from candado.apps.cli.secrets import find_secret, secret_source
from candado.errors import (
    CryptoError,
    FormatError,
    NotFoundError,
    SecretNeededError,
    UntrustedCertificateError,
    UsageError,
    WrongMnemonicError,
)
from candado.formats.bundle import MANIFEST_NAME, UNFINISHED_NAME, is_member_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from candado.client.found import FoundFolder, Gap
    from candado.client.recover import RecoverReport
    from candado.crypto.rsa import PrivateKey, PublicKey
    from candado.ports.bundle import RecoveryTree, SourceFiles
    from candado.types import SecretText

__all__ = ["recover"]

_SHOWN = 20
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


@click.command(cls=Command)
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--phrase-file", type=SECRET_FILE, metavar="F", help="The twelve words; - is stdin.")
@click.option("--private-key-file", type=SECRET_FILE, metavar="F", help="A member's private key instead: PKCS#8, PEM.")
@click.option("--user", metavar="NAME", help="Whose words they are, where SRC has the keys of several users.")
@click.option("--authority-fingerprint", metavar="HEX", default="", help="The authority you trust; else that in SRC.")
@click.option("--salvage", is_flag=True, help="Also what cannot be verified; such files end in .not-verified.")
@click.option("--overwrite", is_flag=True, help="Replace other files of the same name.")
@click.option("--windows-names", is_flag=True, help="Only names that Windows can have (always so on Windows).")
@pass_run
def recover(run: Run, src: Path, dest: Path, **options: Any) -> int:
    r"""Decrypt encrypted folders without a server, an account or a network.

    SRC is a bundle of `candado export`, the data directory of a Nextcloud server, or a folder with documents, bodies
    and a wrapped private key: see docs/user/export.md. Everything is verified. Files that are there already and have
    the same content are kept, so a run that was cut is gone on with by the same command.

    \b
    Examples:
      candado recover documents.bundle ~/documents --phrase-file words.txt
      candado recover documents.tar ~/documents --private-key-file key.pem
      candado recover /var/www/nextcloud/data ~/documents --user alice --phrase-file words.txt
    """
    from candado.adapters.source_files import open_source

    wishes = _Wishes(**options)
    if dest.resolve().is_relative_to(src.resolve()):
        raise UsageError("DEST is inside of SRC, which is only read", path=str(dest), advice="Name another folder.")
    files = open_source(src, expected=is_member_name, lenient=wishes.salvage)
    try:
        found, facts = _look(run, files, wishes)
        tree = _tree(dest)
        try:
            report = _fill(run, found, tree, wishes)
        finally:
            tree.close()
    finally:
        files.close()
    return _finish(run, report, facts)


def _fill(run: Run, found: "Iterator[FoundFolder | Gap]", tree: "RecoveryTree", wishes: "_Wishes") -> "RecoverReport":
    from candado.client.bodies import ProgressEvent
    from candado.client.recover import fill_tree

    with progress_of(run, "recover") as meter:

        def tell(path: str, size: int) -> None:
            if meter is not None:
                meter(ProgressEvent(path, "down", size, size, finished=True))

        return fill_tree(
            found,
            tree,
            salvage=wishes.salvage,
            overwrite=wishes.overwrite,
            windows=wishes.windows_names or os.name == "nt",
            tell=tell,
        )


@dataclass(frozen=True)
class _Wishes:
    """The options of the command."""

    phrase_file: Path | None
    private_key_file: Path | None
    user: str | None
    authority_fingerprint: str
    salvage: bool
    overwrite: bool
    windows_names: bool


def _look(run: Run, files: "SourceFiles", wishes: _Wishes) -> "tuple[Iterator[FoundFolder | Gap], dict[str, Any]]":
    """What there is to recover, and what is said of where it comes from."""
    from candado.client.bundle_reader import BundleReader

    if not _has(files, MANIFEST_NAME) and (wishes.salvage or not _has(files, UNFINISHED_NAME)):
        return _look_around(run, files, wishes)
    fingerprint = _fingerprint(wishes.authority_fingerprint)
    try:
        reader = BundleReader(files, authority_fingerprint=fingerprint, salvage=wishes.salvage)
    except (FormatError, CryptoError) as error:
        if not wishes.salvage or fingerprint:
            raise
        run.warn(f"the manifest of the bundle cannot be read: {printable(error.message)}")
        return _look_around(run, files, wishes)
    manifest = reader.manifest
    wrapped: dict[str, str] = {manifest.exporter: manifest.private_key} if manifest.private_key else {}
    key = _given_key(wishes) or _key(run, wrapped, wishes)[0]
    created = rfc3339(manifest.created)
    run.say(f"The bundle was made by {printable(manifest.exporter)} at {printable(manifest.server)}, {created}.")
    for problem in reader.problems:
        run.warn(f"{printable(problem.message)} Nothing in it is verified.")
    facts = {"source": "bundle", "exporter": manifest.exporter, "created": created, "server": manifest.server}
    return reader.folders(key, now=SystemClock().now()), facts | _trust(run, reader.authority, fingerprint)


def _has(files: "SourceFiles", name: str) -> bool:
    file = files.open(name)
    if file is not None:
        file.close()
    return file is not None


def _look_around(
    run: Run, files: "SourceFiles", wishes: _Wishes
) -> "tuple[Iterator[FoundFolder | Gap], dict[str, Any]]":
    """As ``_look``, for parts that lie about."""
    from candado.client.loose import LooseParts
    from candado.client.loose_folders import loose_folders

    parts, fingerprint = LooseParts(files), _fingerprint(wishes.authority_fingerprint)
    given = _given_key(wishes)
    parts.check(needs_words=given is None)
    if fingerprint and (parts.authority is None or parts.authority.fingerprint_hex != fingerprint):
        raise UntrustedCertificateError("The authority that you trust is not there.", path=files.where)
    if parts.authority is None:
        run.warn(
            "the authority's key is missing (identityproof/system-*/public or authority.pem): folders with other "
            "members cannot be verified"
        )
    key, words = (given, None) if given is not None else _key(run, parts.wrapped, wishes)
    found = loose_folders(parts, key, now=SystemClock().now(), salvage=wishes.salvage, words=words)
    return found, {"source": "parts"} | _trust(run, parts.authority, fingerprint)


def _trust(run: Run, authority: "PublicKey | None", fingerprint: str) -> dict[str, Any]:
    if authority is not None and not fingerprint:
        run.say(
            f"Its authority has the fingerprint {authority.fingerprint_hex}, by its own word: give "
            "--authority-fingerprint to be sure who wrote it."
        )
    return {
        "authority": None if authority is None else authority.fingerprint_hex,
        "authority_given": bool(fingerprint),
    }


def _fingerprint(text: str) -> str:
    found = re.sub(r"[\s:]", "", text).lower()
    if found and not _FINGERPRINT.match(found):
        raise UsageError("a fingerprint has 64 hexadecimal digits", path=text)
    return found


def _tree(dest: Path) -> "RecoveryTree":
    try:
        from candado.adapters.disk import DiskTree
    except (ImportError, AttributeError):  # of a system that is not POSIX
        from candado.adapters.plain_tree import PlainTree

        return PlainTree(dest)
    return DiskTree(dest, quarantine=dest / ".candado-quarantine", clock=SystemClock())


def _given_key(wishes: _Wishes) -> "PrivateKey | None":
    """A member's private key from its file, or from where the environment says; the words that are given win."""
    from candado.crypto.rsa import PrivateKey
    from candado.encoding import pem_decode

    if wishes.phrase_file is not None:
        if wishes.private_key_file is not None:
            raise UsageError("give the words or a private key, not both")
        return None
    pem = find_secret("CANDADO_PRIVATE_KEY", wishes.private_key_file, os.environ)
    return None if pem is None else PrivateKey.from_pkcs8_der(pem_decode(pem.reveal(), "PRIVATE KEY"), check=True)


def _key(run: Run, wrapped: dict[str, str], wishes: _Wishes) -> "tuple[PrivateKey, SecretText]":
    """The private key that the words open, and the words."""
    from candado.crypto.mnemonic import open_private_key

    sealed = _wrapped_of(wrapped, wishes.user)
    words = find_secret("CANDADO_PHRASE", wishes.phrase_file, os.environ) or _ask(run)
    try:
        return open_private_key(sealed, words).key, words
    except WrongMnemonicError as error:
        error.path = secret_source("CANDADO_PHRASE", wishes.phrase_file, os.environ)
        error.advice = "Check the twelve words and their order, and that they are those of the user whose key it is."
        raise


def _wrapped_of(wrapped: dict[str, str], user: str | None) -> str:
    if user is None and len(wrapped) > 1:
        shown = ", ".join(sorted(printable(name) for name in wrapped)[:_SHOWN])
        raise UsageError(
            f"there are the keys of several users: {shown}", advice="Say whose words you have: --user NAME."
        )
    found = wrapped.get(user) if user is not None else next(iter(wrapped.values()), None)
    if found is None:
        raise NotFoundError(
            "A part is missing: the wrapped private key that the words open.",
            path=user,
            advice="Name another user, or use --private-key-file with the key of a member.",
        )
    return found


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
    run.say(f"recovered {report.files} files, {human_size(report.bytes)}B{kept}")


def _warn(run: Run, paths: list[str], what: str) -> None:
    if paths:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        run.warn(f"{what}: {', '.join(printable(path) for path in paths[:_SHOWN])}{more}")

"""``recovery use``: the recovery key put together from sheets and used, offline, with a signed record.

Layer: ``apps``. Order: everything that can be refused without the key is refused first; then the people agree, the
sheets give the key, the record is on the disk as *begun*, and only then anything is opened. At the end the record says
what was done. Whatever fails in between, a key that was used has left a record.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from candado.adapters.ambient import SystemClock, SystemRandom
from candado.apps.cli.cmd_recovery_key import warn_of_network
from candado.apps.cli.common import Command, Run, pass_run
from candado.apps.cli.errors import EXIT_PARTLY, error_json, exit_status
from candado.apps.cli.output import human_size, printable, rfc3339
from candado.errors import NotAMemberError, UntrustedCertificateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from candado.client.found import FoundFolder, Gap
    from candado.client.recover import RecoverReport
    from candado.crypto.rsa import PrivateKey, PublicKey
    from candado.folder.recoveryrecords import UseKind, UseRecord
    from candado.folder.regrants import Request
    from candado.types import UserId

__all__ = ["use"]

_PATH = click.Path(path_type=Path)
_SHOWN: Final = 20


@click.command(cls=Command)
@click.argument("src", type=_PATH)
@click.option("--decrypt", "dest", type=_PATH, metavar="DEST", help="SRC is a bundle: decrypt it into this folder.")
@click.option("--regrant", "out", type=_PATH, metavar="OUT", help="SRC is a request: give access again, in this file.")
@click.option(
    "--certificate", type=_PATH, metavar="PEM", help="SRC is a bundle of somebody else: give access to this new key."
)
@click.option("--person", "persons", multiple=True, required=True, help="Who is there and agrees; two or more.")
@click.option("--purpose", required=True, help="Why; stands in the record.")
@click.option("--record", "record_file", type=_PATH, required=True, help="New file for the signed record of this use.")
@click.option(
    "--sheet",
    "sheets",
    multiple=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Text of a sheet, - for standard input; without any the words are asked for.",
)
@click.option("--key", type=_PATH, help="File with the sealed key, when only the words of the sheets were typed.")
@click.option("--public", type=_PATH, help="The folder `public` of the ceremony: finds forged sheets.")
@click.option("--authority-fingerprint", metavar="HEX", default="", help="The authority you trust; else that in SRC.")
@pass_run
def use(run: Run, src: Path, **options: Any) -> int:
    r"""Use the recovery key, on a machine without network: decrypt a bundle, or give a user access again.

    Needs the sheets and two people. Leaves a signed record, which goes to the server with `candado recovery report`, so
    that the audit log has it and the user is told.

    \b
    Examples:
      candado recovery use alice.bundle --decrypt ~/alice --person Ana --person Bo \
        --purpose "alice left, case 17" --record use-17.json
      candado recovery use alice-request.json --regrant alice.regrant --person Ana --person Bo \
        --purpose "alice lost her words" --record use-18.json
    """
    from candado.folder.recoveryrecords import check_people
    from candado.folder.signedrecord import check_text

    wishes = _Wishes(**options)
    if (wishes.dest is None) == (wishes.out is None):
        raise UsageError("say what the key is used for: --decrypt DEST, or --regrant OUT")
    if wishes.certificate is not None and wishes.out is None:
        raise UsageError("a certificate says who gets access again; add --regrant OUT")
    check_people(wishes.persons)
    check_text(wishes.purpose, "the purpose")
    for path in (wishes.record_file, wishes.out):
        if path is not None and path.exists():
            raise UsageError("there is a file of that name already", path=str(path), advice="Choose another name.")
    warn_of_network(run)
    if wishes.dest is not None:
        return _decrypt(run, src, wishes, wishes.dest)
    assert wishes.out is not None
    return _regrant(run, src, wishes, wishes.out)


@dataclass(frozen=True)
class _Wishes:
    """The options of the command."""

    dest: Path | None
    out: Path | None
    certificate: Path | None
    persons: tuple[str, ...]
    purpose: str
    record_file: Path
    sheets: tuple[Path, ...]
    key: Path | None
    public: Path | None
    authority_fingerprint: str


# --- what both have in common -----------------------------------------------------------------------------


class _Use:
    """One use of the key and its record on the disk."""

    def __init__(
        self, run: Run, wishes: _Wishes, kind: "UseKind", *, server: str, account: "UserId", digest: str
    ) -> None:
        from candado.apps.cli.recovery_input import gather_sheets, read_record
        from candado.client.recoverykey import key_of_sheets
        from candado.folder.recoveryrecords import UseRecord

        self._clock, self._file = SystemClock(), wishes.record_file
        what = "decrypt the folders of" if kind == "decrypt" else "give access again to"
        for person in wishes.persons:
            run.confirm(f"{person}: are you here, and do you agree to {what} {account}?")
        ceremony = None if wishes.public is None else read_record(wishes.public)
        sheets, found = gather_sheets(run, wishes.sheets, wishes.key)
        self.key: PrivateKey = key_of_sheets(sheets, ceremony or found)
        self.record: UseRecord = UseRecord(
            record_id=SystemRandom().token(16).hex(),
            kind=kind,
            state="begun",
            persons=wishes.persons,
            purpose=wishes.purpose,
            sheets=tuple(sorted(share.index for _, share in sheets.shares)),
            ceremony=sheets.shares[0][1].ceremony.hex(),
            public_key=self.key.public,
            begun=int(self._clock.now()),
            ended=0,
            server=server,
            account=account,
            bundle_sha256=digest,
            certificate_sha256="",
            roots=(),
            files=0,
            bytes=0,
        )

    def begin(self) -> None:
        """Write the record before anything is opened."""
        from candado.adapters.offline import write_private

        write_private(self._file, self._text())

    def end(self, **done: Any) -> None:
        """Write what was done in its place."""
        from candado.adapters.offline import replace_private

        self.record = replace(self.record, state="done", ended=int(self._clock.now()), **done)
        replace_private(self._file, self._text())

    def _text(self) -> bytes:
        from candado.folder.recoveryrecords import sign_use_record

        return sign_use_record(self.record, self.key).encode()


def _check_authority(run: Run, authority: "PublicKey", wanted: str, src: Path) -> None:
    wanted = "".join(wanted.lower().replace(":", " ").split())
    if wanted and wanted != authority.fingerprint_hex:
        raise UntrustedCertificateError(
            "This names another authority than the one you trust.",
            path=str(src),
            advice=f"Its fingerprint is {authority.fingerprint_hex}.",
        )
    if not wanted:
        run.warn(
            f"the authority {authority.fingerprint_hex} is believed by its own word; "
            "give --authority-fingerprint to be sure"
        )


# --- decrypting -------------------------------------------------------------------------------------------


def _decrypt(run: Run, src: Path, wishes: _Wishes, dest: Path) -> int:
    from candado.adapters.disk import DiskTree
    from candado.adapters.source_files import open_source
    from candado.client.bundle_reader import BundleReader
    from candado.client.recover import fill_tree
    from candado.folder.recoveryrecords import RootUse, recovery_user_id
    from candado.formats.bundle import format_manifest, is_member_name

    files = open_source(src, expected=is_member_name)
    try:
        reader = BundleReader(files)
        _check_authority(run, reader.authority, wishes.authority_fingerprint, src)
        manifest = reader.manifest
        run.say(
            f"The bundle was made by {printable(manifest.exporter)} at {printable(manifest.server)}, "
            f"{rfc3339(manifest.created)}: {manifest.roots} encrypted folders, {manifest.bodies} files."
        )
        digest = sha256(format_manifest(manifest)).hexdigest()
        action = _Use(run, wishes, "decrypt", server=manifest.server, account=manifest.exporter, digest=digest)
        member = recovery_user_id(action.key.public)
        if not any(member in root.members for root in reader.roots()):
            raise NotAMemberError(
                f"No folder in this bundle has the recovery key {member}.",
                path=str(src),
                advice="Folders get it only when their owners agree; there may be the sheets of another ceremony.",
            )
        action.begin()
        roots: list[RootUse] = []
        found = _noting(
            reader.folders(action.key, now=SystemClock().now(), member_id=member),
            lambda folder_id, document: roots.append(RootUse(folder_id, document)),
        )
        tree = DiskTree(dest, quarantine=dest / ".candado-quarantine", clock=SystemClock())
        try:
            report = fill_tree(found, tree, salvage=False, overwrite=False, windows=False)
        finally:
            tree.close()
        action.end(roots=tuple(roots), files=report.files + report.kept, bytes=report.bytes)
    finally:
        files.close()
    return _tell_decrypted(run, wishes, action.record, report)


def _noting(found: "Iterable[FoundFolder | Gap]", note: "Callable[[Any, str], None]") -> "Iterator[FoundFolder | Gap]":
    """Pass on what is found, and note the roots that were opened."""
    from candado.client.found import FoundFolder

    for item in found:
        if isinstance(item, FoundFolder) and item.folder is not None and item.folder.kind == "root":
            note(item.folder.file_id, item.folder.digest)
        yield item


def _tell_decrypted(run: Run, wishes: _Wishes, record: "UseRecord", report: "RecoverReport") -> int:
    document = {
        **_record_json(wishes, record),
        "files": report.files,
        "kept": report.kept,
        "bytes": report.bytes,
        "missing": report.missing,
        "errors": [{**error_json(failure.error), "path": failure.path} for failure in report.failures],
    }
    for failure in report.failures[:_SHOWN]:
        run.warn(f"{printable(failure.path)}: {printable(failure.error.message)} [{failure.error.code}]")
    if report.missing:
        run.warn(f"{len(report.missing)} files have no body in the bundle")
    run.emit(
        "candado.recovery-used/1",
        document,
        f"Decrypted {report.files + report.kept} files, {human_size(report.bytes)}B, of {len(record.roots)} folders.\n"
        f"{_next(wishes)}",
    )
    if len(report.failures) == 1 and not report.files and not report.kept:
        return exit_status(report.failures[0].error)
    return 0 if report.is_complete else EXIT_PARTLY


# --- giving access ----------------------------------------------------------------------------------------


def _regrant(run: Run, src: Path, wishes: _Wishes, out: Path) -> int:
    from candado.adapters.offline import write_private
    from candado.client.recoveryuse import make_regrant, open_roots
    from candado.folder.recoveryrecords import RootUse

    if wishes.certificate is None:
        request, digest = _read_request(src)
    else:
        request, digest = _request_of_bundle(src, wishes.certificate)
    _check_authority(run, request.authority, wishes.authority_fingerprint, src)
    _show_request(run, request)
    action = _Use(
        run,
        wishes,
        "regrant",
        server=request.server,
        account=request.account,
        digest=digest,
    )
    action.record = replace(action.record, certificate_sha256=request.certificate.fingerprint_hex)
    action.begin()
    now = SystemClock().now()
    opened, refused = open_roots(request, action.key, now=now)
    for one in opened:
        members = ", ".join(printable(member.user_id) for member in one.folder.members)
        run.say(f"{printable(one.path)}: members {members}; last written by {printable(one.folder.signer)}")
    for failure in refused:
        run.warn(f"{printable(failure.path)}: {printable(failure.error.message)} [{failure.error.code}]")
    if opened:
        text = make_regrant(request, opened, action.key, record_id=action.record.record_id, now=now)
        write_private(out, text.encode())
    action.end(roots=tuple(RootUse(one.folder.file_id, one.folder.digest) for one in opened))
    if not opened:
        raise refused[0].error
    run.emit(
        "candado.recovery-used/1",
        {
            **_record_json(wishes, action.record),
            "regrant": str(out),
            "given": [one.path for one in opened],
            "errors": [{**error_json(one.error), "path": one.path} for one in refused],
        },
        f"Given: {len(opened)} of {len(request.roots)} folders. {printable(request.account)} takes them with\n"
        f"  candado recovery apply {printable(out.name)}\n{_next(wishes)}",
    )
    return EXIT_PARTLY if refused else 0


def _read_request(src: Path) -> "tuple[Request, str]":
    """What the user's device asked for, and the digest of the file."""
    from candado.apps.cli.recovery_input import read_local
    from candado.folder.regrants import REQUEST_BYTES_MAX, parse_request

    data = read_local(src, size_max=REQUEST_BYTES_MAX)
    return parse_request(data), sha256(data).hexdigest()


def _request_of_bundle(src: Path, certificate_file: Path) -> "tuple[Request, str]":
    """The roots of a bundle for the user whose new certificate is in a file, and the digest of its manifest."""
    from candado.adapters.source_files import open_source
    from candado.apps.cli.recovery_input import read_local
    from candado.client.bundle_reader import BundleReader
    from candado.crypto.x509 import check_certificate, parse_certificate
    from candado.encoding import PEM_CHARS_MAX
    from candado.folder.regrants import Request, RequestedRoot
    from candado.formats.bundle import format_manifest, is_member_name
    from candado.types import check_user_id

    certificate = parse_certificate(read_local(certificate_file, size_max=PEM_CHARS_MAX).decode("ascii", "replace"))
    account = check_user_id(certificate.common_name)
    files = open_source(src, expected=is_member_name)
    try:
        reader = BundleReader(files)
        check_certificate(certificate, user_id=account, authority=reader.authority, now=reader.manifest.created)
        roots = tuple(RequestedRoot(one.file_id, one.path, one.raw) for one in reader.roots())
    finally:
        files.close()
    manifest = reader.manifest
    request = Request(account, manifest.server, certificate, reader.authority, manifest.created, roots)
    return request, sha256(format_manifest(manifest)).hexdigest()


def _show_request(run: Run, request: "Request") -> None:
    """Show whose new key it is; that it is really that person's, somebody has to have made sure of."""
    from candado.crypto.x509 import fingerprint_words

    fingerprint = request.certificate.public_key.fingerprint_hex
    run.say(
        f"{printable(request.account)} at {printable(request.server)} asks for {len(request.roots)} folders, "
        f"{rfc3339(request.created)}, with the new key\n  {fingerprint_words(fingerprint)}\n  {fingerprint}"
    )
    run.confirm(
        f"Has somebody compared this fingerprint with {request.account} in person, or by telephone?", needs_yes=True
    )


# --- telling ----------------------------------------------------------------------------------------------


def _record_json(wishes: _Wishes, record: "UseRecord") -> dict[str, Any]:
    return {
        "record": str(wishes.record_file),
        "id": record.record_id,
        "account": record.account,
        "roots": [int(one.file_id) for one in record.roots],
        "sheets": list(record.sheets),
    }


def _next(wishes: _Wishes) -> str:
    name = printable(str(wishes.record_file))
    return f"The record is in {name}; an administrator hands it in with\n  candado recovery report {name}"

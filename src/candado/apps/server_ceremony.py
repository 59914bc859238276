"""Commands of the ceremony that makes an authority's key, on a machine without network and without a data directory.

Layer: ``apps``. Order: the plan is read, the token is looked at, the key is made, looked at and tried, the record is
signed and written. What failed before the key was made left nothing; after that the key is on the token, and the
message says so.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from candado.adapters.ambient import SystemClock
from candado.apps.cli.output import rfc3339
from candado.apps.server_advice import as_usage
from candado.apps.server_common import Invocation
from candado.apps.server_files import read_file, write_new
from candado.apps.signer_wiring import AUTHORITY_PIN
from candado.apps.tokens import read_pin
from candado.crypto.rsa import PublicKey
from candado.errors import CandadoError, LocalStorageError, SignerSetupError, UsageError
from candado.formats.canonjson import JsonObject
from candado.formats.pkcs11uri import KeyUri
from candado.server.ceremony import (
    PLAN_BYTES_MAX,
    TRANSCRIPT_BYTES_MAX,
    Ceremony,
    check_transcript,
    format_transcript,
    parse_ceremony,
    transcript_message,
)

__all__ = ["ceremony_command", "transcript_command"]

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
_PATH = click.Path(path_type=Path)


@click.command("ceremony")
@click.option("--config", "plan", type=_PATH, required=True, help="The plan, a TOML file, as it was reviewed.")
@click.option("--out", type=_PATH, required=True, help="File for the signed transcript; must not be there yet.")
@click.option("--rehearse", "module", help="Module of SoftHSM or another token, in the place of the planned one.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask whether the people are there.")
@_JSON
def ceremony_command(plan: Path, out: Path, module: str | None, yes: bool, as_json: bool) -> None:
    r"""Make a new key for an authority on a token, as planned, and keep a signed transcript of it.

    A rehearsal does the same with another module, such as SoftHSM's, and says so in its transcript. It looks for the
    token by label only, and takes the PIN from CANDADO_AUTHORITY_PIN_FILE.

    \b
    candado-server ca ceremony --config plan.toml --out transcript.json
    """
    invocation = Invocation(Path.cwd(), as_json, {})
    with as_usage(str(plan)):
        ceremony = parse_ceremony(read_file(plan, size_max=PLAN_BYTES_MAX + 1))
    uri = ceremony.uri
    if module is not None:
        if not module.startswith("/"):
            raise UsageError("a module is named by its absolute path", path=module)
        uri = replace(uri, module_path=module, serial=None, manufacturer=None, model=None, pin_source=None)
        if uri.token is None:
            raise UsageError("a rehearsal needs the label of the token; add token=LABEL to the plan", path=str(plan))
    if out.exists():
        raise UsageError("the file for the transcript is there already", path=str(out), advice="Choose another --out.")
    for one in () if yes else ceremony.people:
        invocation.confirm(f"Is {one} here, and agrees to make the key {uri.place}?", path=one)
    text, body = invocation.run(_perform(ceremony, uri, rehearsal=module is not None))
    try:
        write_new(out, text)
    except CandadoError:
        # The key is made and cannot be made again: what was signed must not be lost with the file.
        print(text, flush=True)
        raise
    kind = "rehearsed" if body["rehearsal"] else "made"
    lines = [f"{kind}: {body['place']}", f"fingerprint: {body['fingerprint']}", f"transcript: {out}"]
    lines.append("Write the fingerprint down, each of you, and compare it with `candado-server ca status` later.")
    invocation.show("ca-ceremony", {"transcript": str(out), **body}, "\n".join(lines))


@click.command("transcript")
@click.argument("file", type=_PATH)
@click.option("--config", "plan", type=_PATH, help="The plan: say whether it is the one that was carried out.")
@_JSON
def transcript_command(file: Path, plan: Path | None, as_json: bool) -> None:
    """Verify the transcript of a ceremony and show what was done."""
    body = check_transcript(read_file(file, size_max=TRANSCRIPT_BYTES_MAX + 1))
    if plan is not None:
        digest = hashlib.sha256(read_file(plan, size_max=PLAN_BYTES_MAX + 1)).hexdigest()
        if digest != body.get("plan_sha256"):
            raise UsageError("the ceremony was held by another plan", path=str(plan), advice="Name the plan it names.")
    lines = [f"{name + ':':<13} {value}" for name, value in body.items() if name != "public_key"]
    Invocation(Path.cwd(), as_json, {}).show("ca-transcript", body, "\n".join(["the signature holds", *lines]))


async def _perform(ceremony: Ceremony, uri: KeyUri, *, rehearsal: bool) -> tuple[str, JsonObject]:
    """Make the key, and the transcript with its signature."""
    from candado.adapters.hsm_signer import HsmSigner

    clock = SystemClock()
    module = _digest(uri.module_path)
    begun = clock.now()
    await HsmSigner.prepare(uri, lambda: read_pin(uri, AUTHORITY_PIN), may_make=True, must_be_new=True)
    made = clock.now()
    signer = await HsmSigner.open(uri, lambda: read_pin(uri, AUTHORITY_PIN), expected=None)
    try:
        facts: dict[str, Any] = await signer.facts()
        if facts["key"] != HsmSigner.NEVER_LEFT:
            raise SignerSetupError(
                "the token does not say of the new key that it can never leave it",
                path=uri.place,
                safe="The key is on the token, and signed nothing.",
                advice="Delete it with the vendor's tool; use a token that keeps keys inside.",
            )
        await signer.check()
        public = PublicKey.from_pem(signer.public_key_pem)
        body: JsonObject = {
            "name": ceremony.name,
            "rehearsal": rehearsal,
            "people": list(ceremony.people),
            "plan_sha256": ceremony.sha256,
            "place": uri.place,
            "module": uri.module_path,
            "module_sha256": module,
            "token": facts,
            "begun": rfc3339(begun),
            "key_made": rfc3339(made),
            "self_test": "passed",
            "ended": rfc3339(clock.now()),
            "bits": public.bits,
            "fingerprint": public.fingerprint_hex,
            "public_key": public.to_pem(),
        }
        return format_transcript(body, await signer.sign(transcript_message(body))), body
    finally:
        await signer.close()


def _digest(module: str) -> str:
    """SHA-256 of the module's file, so that the transcript says which program reached the token."""
    try:
        with Path(module).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise LocalStorageError(f"the PKCS#11 module cannot be read: {exc.strerror}", path=module) from exc

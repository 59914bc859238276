"""The administrator's desk of a server with a recovery key, and devices whose commands run in this process.

That saves starting a program for each command.
"""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from tests.e2e.cli_world import Cloud, Device, Done

from candado.adapters.ambient import SystemRandom
from candado.adapters.organisation import OrganisationFolder
from candado.apps.cli import root
from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import make_csr
from candado.folder.recoveryrecords import (
    CeremonyRecord,
    Custodian,
    RootUse,
    UseRecord,
    recovery_user_id,
    sign_ceremony_record,
    sign_use_record,
)
from candado.formats.canonjson import JsonObject
from candado.types import FileId, SecretText, UserId

__all__ = ["HereDevice", "Office", "ceremony_of", "device_of", "papers", "ready", "use_of"]


class HereDevice(Device):
    """A device whose commands run in this process."""

    def run(self, *words: str | Path, expect: int | None = 0, stdin: str | None = None) -> Done:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with patch.dict(os.environ, self.environment, clear=True), redirect_stdout(out), redirect_stderr(err):
            status = root.run([str(word) for word in words])
        assert stdin is None
        out.flush()
        assert isinstance(out.buffer, io.BytesIO)
        said = out.buffer.getvalue().decode()
        assert status == expect, f"{words} ended with {status}\n{said}\n{err.getvalue()}"
        return Done(status, said, err.getvalue())


def device_of(cloud: Cloud, user: str) -> HereDevice:
    cloud.made += 1
    device = HereDevice(cloud.folder / f"home{cloud.made}", cloud.url, user, cloud.folder)
    device.login("--insecure-storage")
    return device


def ready(cloud: Cloud, user: str) -> HereDevice:
    device = device_of(cloud, cloud.user(user))
    device.run("init", "--phrase-out", cloud.folder / f"{user}.words")
    return device


class Office:
    """The administrator's desk: the organisation's key, the public half of a ceremony, texts; ``key`` is what the sheets give."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.folder = cloud, cloud.folder / "office"
        self.folder.mkdir()
        (cloud.folder / "root.password").write_text("a password of root\n")
        cloud.admin("user", "add", "root", "--admin", "--password-file", cloud.folder / "root.password")
        self.admin = device_of(cloud, "root")
        (self.folder / "passphrase").write_text("a passphrase of four words\n")
        (self.folder / "text").write_text("We can open folders when all keys of a person are lost.\n")
        self.key = PrivateKey.generate()
        (self.folder / "public").mkdir()
        (self.folder / "public" / "record.json").write_text(ceremony_of(self.key))
        self.member = str(recovery_user_id(self.key.public))
        created = self.admin.run(
            "organisation", "create", self.organisation, "--passphrase-file", self.folder / "passphrase", "--json"
        )
        self.fingerprint = created.json["fingerprint"]

    @property
    def organisation(self) -> Path:
        return self.folder / "organisation"

    def sign(self, *words: str | Path) -> list[str | Path]:
        return [
            *words, "--organisation-key", self.organisation, "--text-file", self.folder / "text",
            "--passphrase-file", self.folder / "passphrase",
        ]  # fmt: skip

    def password(self) -> list[str | Path]:
        return ["--password-file", self.cloud.folder / "root.password"]

    def install(self) -> None:
        """Announce the recovery key."""
        self.admin.run(*self.sign("recovery", "install", self.folder / "public"), *self.password())


def papers(folder: Path) -> dict[str, str]:
    """What an administrator has in hand, by the names that the pages use: made offline, in ``folder``."""
    key = PrivateKey.generate()
    desk = OrganisationFolder(folder / "organisation", lambda: SecretText("a passphrase"), SystemRandom().token)
    desk.create()
    (folder / "public").mkdir()
    (folder / "public" / "record.json").write_text(ceremony_of(key))
    fingerprint = key.public.fingerprint_hex
    for number, (state, name) in enumerate((("on", "policy.json"), ("off", "off.json")), 1):
        body: JsonObject = {"state": state, "key": fingerprint, "record": "ab" * 32, "former": []}
        (folder / name).write_bytes(desk.sign("recovery", "We can recover.", body, now=float(number)).raw + b"\n")
    (folder / "record.json").write_text(sign_use_record(use_of(key, "alice"), key))
    places = {f" {name}": f" {folder / name}" for name in ("policy.json", "off.json", "record.json")}
    return {**places, " public ": f" {folder / 'public'} ", " organisation.pub": f" {desk_key(folder)}"}


def desk_key(folder: Path) -> Path:
    """The public half of the organisation's key."""
    return folder / "organisation" / "organisation.pub"


def ceremony_of(key: PrivateKey) -> str:
    """The record of a ceremony that made a key."""
    custodians = (Custodian(1, "Ana", "ab" * 32), Custodian(2, "Bo", "cd" * 32))
    member = recovery_user_id(key.public)
    return sign_ceremony_record(
        CeremonyRecord("0123456789", "Recovery", 2, custodians, 1, key.public, make_csr(key, member)), key
    )


def use_of(key: PrivateKey, account: str, server: str = "https://cloud.example") -> UseRecord:
    """A use of the key for an account: one file of one folder was opened."""
    return UseRecord(
        record_id="ab" * 16, kind="decrypt", state="done", persons=("Ana", "Bo"), purpose="Rehearsal", sheets=(1, 2),
        ceremony="0123456789", public_key=key.public, begun=1_800_000_000, ended=1_800_000_000, server=server,
        account=UserId(account), bundle_sha256="cd" * 32, certificate_sha256="", files=1, bytes=4,
        roots=(RootUse(FileId(1), "ef" * 32),),
    )  # fmt: skip

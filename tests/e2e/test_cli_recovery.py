"""The recovery key as people and administrators meet it: real commands, a real server.

The commands run in this process, which saves starting a program for each of them.
"""

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.e2e.cli_world import Cloud, Device, Done, running_cloud

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
from candado.types import FileId, UserId


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        running.admin("user", "add", "root", "--admin", "--password-file", _secret(running, "root"))
        yield running


def _secret(cloud: Cloud, user: str) -> Path:
    path = cloud.folder / f"{user}.password"
    path.write_text(f"a password of {user}\n")
    return path


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


def _device(cloud: Cloud, user: str) -> HereDevice:
    cloud.made += 1
    device = HereDevice(cloud.folder / f"home{cloud.made}", cloud.url, user, cloud.folder)
    device.login("--insecure-storage")
    return device


def _ready(cloud: Cloud, user: str) -> HereDevice:
    device = _device(cloud, cloud.user(user))
    device.run("init", "--phrase-out", cloud.folder / f"{user}.words")
    return device


class Office:
    """The administrator's desk: the organisation's key, the public half of a ceremony, texts."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.folder = cloud, cloud.folder / "office"
        self.folder.mkdir()
        self.admin = _device(cloud, "root")
        (self.folder / "passphrase").write_text("a passphrase of four words\n")
        (self.folder / "text").write_text("We can open folders when all keys of a person are lost.\n")
        self.key = PrivateKey.generate()
        member = recovery_user_id(self.key.public)
        record = CeremonyRecord(
            "0123456789", "Recovery", 2, (Custodian(1, "Ana", "ab" * 32), Custodian(2, "Bo", "cd" * 32)), 1,
            self.key.public, make_csr(self.key, member),
        )  # fmt: skip
        (self.folder / "public").mkdir()
        (self.folder / "public" / "record.json").write_text(sign_ceremony_record(record, self.key))
        self.member = str(member)
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


@pytest.fixture(scope="module")
def office(cloud: Cloud) -> Office:
    return Office(cloud)


def test_the_recovery_key_from_its_installation_to_its_end(cloud: Cloud, office: Office, tmp_path: Path) -> None:
    early = _ready(cloud, "early")
    early.run("encrypt", "Old")
    assert early.run("recovery", "status", "--json").json["recovery"] is None

    # Only an administrator installs, with the login password; first what was signed without a network.
    signed = tmp_path / "policy.json"
    office.admin.run(*office.sign("recovery", "install", office.folder / "public"), "--out", signed)
    installing: list[str | Path] = [
        "recovery", "install", office.folder / "public", "--policy", signed,
        "--organisation-key", office.organisation / "organisation.pub",
    ]  # fmt: skip
    early.run(*installing, "--password-file", cloud.folder / "early.password", expect=13)
    done = office.admin.run(*installing, *office.password(), "--json").json
    assert (done["state"], done["serial"], done["member"], done["installed"]) == ("on", 1, office.member, True)

    # Who enrols now pins the organisation, is warned everywhere, and new folders carry the key.
    late = _ready(cloud, "late")
    late.run("encrypt", "New")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.txt").write_text("text")
    for words in (["status"], ["whoami"], ["sync", tmp_path / "here", "New"]):
        shown = late.run(*words)
        assert "The organisation has a recovery key" in shown.err
        assert "We can open folders when all keys of a person are lost." in shown.err
        found = late.run(*words, "--json").json["recovery"]
        assert (found["state"], found["member"], found["agreed"]) == ("on", office.member, True)
    state = late.run("recovery", "status", "--json").json
    assert state["organisation"]["fingerprint"] == office.fingerprint
    assert state["folders"] == [{"path": "/New", "owner": "late", "state": "covered", "keys": [office.member]}]
    assert late.run("status", "--json").json["folders"][0]["recovery_keys"] == [office.member]
    assert late.run("status", "--json").json["folders"][0]["members"] == ["late"]
    shares = late.run("shares", "--json").json["shares"]
    assert [(one["user"], one["recovery"]) for one in shares] == [(office.member, True)]
    assert "recovery key of the organisation" in late.run("shares").out

    # Who was enrolled before decides about the organisation, and about each folder.
    assert "candado trust organisation" in early.run("recovery", "status").out
    early.run("recovery", "accept", "Old", "--yes", expect=2)
    early.run("trust", "organisation", "ab" * 32, "--yes", expect=15)
    early.run("trust", "organisation", office.fingerprint, expect=2)
    early.run("trust", "organisation", office.fingerprint, "--yes")
    waiting = early.run("recovery", "status")
    assert "/Old" in waiting.out
    assert "waits for your consent, candado recovery accept /Old" in waiting.out
    early.run("recovery", "accept", "Old", expect=2)
    early.run("recovery", "accept", "--all", "--future", "--yes")
    assert early.run("recovery", "status", "--json").json["folders"][0]["state"] == "covered"
    early.run("share", "Old", "late")
    late.run("ls", "Old")
    late.run("recovery", "accept", "Old", "--yes", expect=13)

    _use_is_told(cloud, office, tmp_path, late)
    _switched_off(office, early, late)


def _use_is_told(cloud: Cloud, office: Office, tmp_path: Path, late: Device) -> None:
    use = UseRecord(
        record_id="ab" * 16, kind="decrypt", state="done", persons=("Ana", "Bo"), purpose="Rehearsal", sheets=(1, 2),
        ceremony="0123456789", public_key=office.key.public, begun=1_800_000_000, ended=1_800_000_000, server=cloud.url,
        account=UserId("late"), bundle_sha256="cd" * 32, certificate_sha256="", files=1, bytes=4,
        roots=(RootUse(FileId(1), "ef" * 32),),
    )  # fmt: skip
    record, forged = tmp_path / "use.json", tmp_path / "forged.json"
    record.write_text(sign_use_record(use, office.key))
    other = PrivateKey.generate()
    forged.write_text(sign_use_record(replace(use, record_id="cd" * 16, public_key=other.public), other))
    office.admin.run("recovery", "report", forged, *office.password(), expect=16)
    late.run("recovery", "report", record, "--password-file", cloud.folder / "late.password", expect=13)
    office.admin.run("recovery", "report", record, *office.password())
    late.run("recovery", "status")
    told = [issue for issue in late.run("issues", "--json").json["issues"] if issue["code"] == "recovery.used-done"]
    opened = "The recovery key was used on 2027-01-15 by Ana and Bo to open your folders: 1 file in 1 folder."
    assert [issue["message"] for issue in told] == [f"{opened} Purpose: Rehearsal."]


def _switched_off(office: Office, early: Device, late: Device) -> None:
    office.admin.run(*office.sign("recovery", "off"), *office.password())
    status = late.run("recovery", "status", "--json")
    assert status.json["recovery"]["state"] == "off"
    assert "The organisation has a recovery key" not in status.err
    late.run("encrypt", "Later")
    folders = {one["path"]: one["state"] for one in late.run("recovery", "status", "--json").json["folders"]}
    assert folders == {"/Later": "none", "/New": "former", "/Old": "former"}
    dropped = late.run("recovery", "drop", "--all", "--json").json["folders"]
    assert dropped == [{"path": "/Later", "had_key": False}, {"path": "/New", "had_key": True}]
    assert "the recovery key is out" in early.run("recovery", "drop", "Old").out
    late.run("ls", "Old")
    assert late.run("cat", "New/a.txt").out == "text"

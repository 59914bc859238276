"""The recovery key as people and administrators meet it: real commands, a real server."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, Device, running_cloud
from tests.e2e.recovery_office import Office, ready, use_of
from tests.e2e.server_process import Caller

from candado.crypto.rsa import PrivateKey
from candado.folder.recoveryrecords import sign_use_record


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def office(cloud: Cloud) -> Office:
    return Office(cloud)


def test_the_recovery_key_from_its_installation_to_its_end(cloud: Cloud, office: Office, tmp_path: Path) -> None:
    early = ready(cloud, "early")
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
    late = ready(cloud, "late")
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
    use = use_of(office.key, "late", cloud.url)
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


def test_policies_of_other_kinds_are_taken_from_administrators_and_served(cloud: Cloud, office: Office) -> None:
    (office.folder / "rules").write_text('{"rules":[]}')
    signed, newer = office.folder / "rules-1.json", office.folder / "rules-2.json"
    for out in (signed, newer):
        office.admin.run(
            "organisation", "sign", office.organisation, "--kind", "client-rules", "--text-file", office.folder / "text",
            "--body-file", office.folder / "rules", "--passphrase-file", office.folder / "passphrase", "--out", out,
        )  # fmt: skip
    public = (office.organisation / "organisation.pub").read_text()
    path = "/apps/candado/api/v1/policies/client-rules"

    async def story() -> list[object]:
        async with Caller(cloud.url, "root", "a password of root") as root:
            sent = [
                await root.ocs("POST", path, body={"organisation": public, "policy": policy})
                for policy in (newer.read_text(), signed.read_text(), "{}")
            ]
            sent.append(await root.ocs("POST", path, body={"organisation": "x", "policy": newer.read_text()}))
            recovery = path.replace("client-rules", "recovery")
            sent.append(await root.ocs("POST", recovery, body={"organisation": public, "policy": newer.read_text()}))
            served = await root.ocs("GET", path)
            data = json.loads(served.text)["ocs"]["data"]
            assert data == {"organisation": public, "policy": newer.read_text().strip()}
            return [answer.status for answer in sent]

    assert asyncio.run(story()) == [200, 412, 400, 400, 400]

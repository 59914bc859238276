"""The audit log of a real server: everybody's acts are in it, nobody's name is, and auditors can verify it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cli_world import PASSWORD, Cloud, Device, running_cloud
from tests.e2e.server_process import Caller, answer_of

from candado.crypto.checkpoint import open_checkpoint
from candado.crypto.merkle import check_consistency
from candado.crypto.rsa import PublicKey
from candado.encoding import decode_b64

DEVICES: dict[str, Device] = {}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A server on which two people have shared an encrypted folder."""
    with running_cloud(tmp_path_factory.mktemp("audit")) as cloud:
        alice, _ = cloud.ready("alice"), cloud.ready("bob")
        alice.run("encrypt", "Payroll")
        shared = alice.run("share", "Payroll", "bob", "--json").json
        assert shared["logged"] is True
        DEVICES["alice"] = alice
        yield cloud


def _verified(file: Path, key: Path, *more: str | Path, status: int) -> dict[str, Any]:
    return answer_of("audit", "verify", file, "--key", key, *more, status=status)


@pytest.fixture(scope="module")
def exported(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("export")
    log, key = folder / "log.jsonl", folder / "key.pem"
    answer_of("audit", "export", log, "--data", cloud.data)
    answer_of("audit", "key", "--out", key, "--data", cloud.data)
    return log, key


def test_what_people_did_is_in_the_log_and_no_name_is(cloud: Cloud, exported: tuple[Path, Path]) -> None:
    text = exported[0].read_text()
    events = [json.loads(line).get("event", "") for line in text.splitlines()]
    wanted = {
        "user.made", "apppassword.made", "signin.accepted", "authority.signing", "authority.signed",
        "certificate.issued", "certificate.served", "privatekey.stored", "folder.marked", "session.locked",
        "metadata.written", "session.unlocked", "share.made",
    }  # fmt: skip
    assert wanted - set(events) == set()
    for name in ("alice", "bob", "Payroll", PASSWORD, "BEGIN"):
        assert name not in text
    listed = answer_of("audit", "list", "--event", "certificate.", "--limit", "2", "--data", cloud.data)["records"]
    assert [one["event"] for one in listed] == ["certificate.issued", "certificate.issued"]
    assert all(one["actor"] == one["details"]["subject"] and one["request"] and one["address"] for one in listed)
    written = answer_of("audit", "list", "--event", "metadata.written", "--data", cloud.data)["records"]
    assert [one["counter"] for one in written] == [[0, 1], [1, 2]]
    assert all(one["versions"] == ["e2ee-api/2"] for one in written)


def test_an_exported_log_is_verified_with_the_key_alone(exported: tuple[Path, Path], tmp_path: Path) -> None:
    log, key = exported
    lines = log.read_text().splitlines(keepends=True)
    whole = _verified(log, key, status=0)
    records = sum("event" in json.loads(line) for line in lines)
    assert (whole["whole"], whole["records"], whole["signed"], whole["findings"]) == (True, records, records, [])
    point = tmp_path / "point"
    point.write_text(json.loads(lines[-1])["checkpoint"])
    spoilt: dict[str, list[str]] = {
        "audit.edited": [*lines[:9], lines[9].replace('"outcome":"', '"outcome":"x'), *lines[10:]],
        "audit.gap": [*lines[:9], *lines[10:]],
        "audit.reordered": [*lines[:9], lines[10], lines[9], *lines[11:]],
        "audit.truncated": lines[:12],
        "audit.malformed": [*lines[:9], "?\n", *lines[9:]],
    }
    for code, text in spoilt.items():
        file = tmp_path / code
        file.write_text("".join(text))
        found = _verified(file, key, "--checkpoint", point, status=8)
        assert (found["whole"], found["findings"][0]["code"]) == (False, code)
    assert _verified(tmp_path / "absent", key, status=4)["error"]["code"] == "NOT_FOUND"
    assert answer_of("audit", "verify", log, "--key", log, status=16)["error"]["code"] == "MALFORMED"


async def test_the_log_is_served_with_proofs(cloud: Cloud, exported: tuple[Path, Path]) -> None:
    key = PublicKey.from_pem(exported[1].read_text())
    base = "/apps/candado/api/v1"
    async with Caller(cloud.url, "alice", f"{PASSWORD} alice") as alice:
        offered = json.loads((await alice.ocs("GET", "/cloud/capabilities?format=json")).body)["ocs"]["data"]
        assert offered["capabilities"]["candado"]["key-log"] is True
        newest = json.loads((await alice.ocs("GET", f"{base}/audit/checkpoint?format=json")).body)["ocs"]["data"]
        point = open_checkpoint(newest["checkpoint"], key)
        assert point.size == newest["size"]
        answer = await alice.ocs("GET", f"{base}/audit/consistency?format=json&from=0&to={point.size}")
        assert json.loads(answer.body)["ocs"]["data"] == {"proof": []}
        older = open_checkpoint(json.loads(exported[0].read_text().splitlines()[-1])["checkpoint"], key)
        answer = await alice.ocs("GET", f"{base}/audit/consistency?format=json&from={older.size}&to={point.size}")
        proof = [decode_b64(one) for one in json.loads(answer.body)["ocs"]["data"]["proof"]]
        check_consistency(older.size, older.root, point.size, point.root, proof)
        assert (await alice.ocs("GET", f"{base}/audit/consistency?from=5&to=1")).status == 400
        assert (await alice.ocs("GET", f"{base}/audit/records")).status == 403
        for users in ("x", "%5B1%5D", "%7B%7D"):
            assert (await alice.ocs("GET", f"{base}/key-log?users={users}")).status == 400


def test_a_device_refuses_another_log_until_a_person_forgets_the_old_one(cloud: Cloud) -> None:
    alice = DEVICES["alice"]
    told = alice.run("trust", "forget", "--log", "--yes", "--json").json
    assert told["log"] is True
    assert alice.run("trust", "forget", "--log", "--yes", "--json", expect=4).json["error"]["code"] == "NOT_FOUND"

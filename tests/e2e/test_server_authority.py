"""The authority's commands, and what they mean for people with clients."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cli_world import Cloud, running_cloud
from tests.e2e.server_process import Caller, answer_of, make_data, run_server, serving
from tests.softhsm import SoftToken
from tests.vectors.keys import private_key

from candado.crypto.crl import check_revocation_list, parse_revocation_list
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import make_csr, parse_certificate


def _answered(*words: str | Path, data: Path, status: int = 0) -> dict[str, Any]:
    return answer_of(*words, "--data", data, status=status)


def test_a_revoked_person_is_told_of_and_given_nothing_more(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud:
        alice, _, _ = cloud.ready("alice"), cloud.ready("bob"), cloud.ready("carol")
        alice.run("encrypt", "Team")
        alice.run("share", "Team", "bob")
        listed = _answered("ca", "list", data=cloud.data)["certificates"]
        assert {(row["user"], row["state"]) for row in listed} == {(u, "valid") for u in ("alice", "bob", "carol")}
        told = cloud.admin("ca", "revoke", "bob", "--reason", "key-compromise")
        assert told.startswith("revoked: bob, serial ")
        again = _answered("ca", "revoke", "bob", "--reason", "left", data=cloud.data)
        assert (len(again["revoked"]), again["published"], again["fault"]) == (1, True, None)
        assert [row["state"] for row in _answered("ca", "list", "bob", data=cloud.data)["certificates"]] == ["revoked"]
        _sees_the_revocation(cloud, alice)


def _sees_the_revocation(cloud: Cloud, alice: Any) -> None:
    refused = alice.run("share", "Team", "carol", "--json", expect=15).json["error"]
    assert (refused["code"], "bob" in refused["message"]) == ("KEY_REVOKED", True)
    alice.run("encrypt", "Other")
    refused = alice.run("share", "Other", "bob", "--json", expect=15).json["error"]
    assert refused["code"] == "KEY_REVOKED"
    alice.run("unshare", "Team", "bob")
    alice.run("share", "Team", "carol")
    made = _answered("ca", "crl", data=cloud.data)
    read = parse_revocation_list(made["revocation_list"])
    assert (read.number, len(read.entries), made["revoked"]) == (made["number"], 1, 1)


async def test_the_list_can_be_read_by_other_programs_and_over_http(tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice")
    out = tmp_path / "list.pem"
    first = _answered("ca", "crl", "--out", out, data=data)
    assert _answered("ca", "crl", "--out", out, data=data, status=1)["error"]["code"] == "ALREADY_EXISTS"
    shown = subprocess.run(
        ["openssl", "crl", "-in", str(out), "-noout", "-text"], capture_output=True, text=True, check=True
    )
    assert "CN = candado authority" in shown.stdout
    assert f"X509v3 CRL Number: \n                {first['number']}" in shown.stdout
    assert _answered("ca", "crl", "--renew", data=data)["number"] == first["number"] + 1
    assert _answered("ca", "crl", "--after", "900", data=data)["number"] == 901
    with serving(data) as server:
        async with Caller(server.url, "alice") as alice:
            answer = await alice.ocs("GET", "/apps/candado/api/v1/revocations")
            read = parse_revocation_list(json.loads(answer.body)["ocs"]["data"]["revocation-list"])
            key = json.loads((await alice.e2ee("GET", "server-key")).body)["ocs"]["data"]["public-key"]
        check_revocation_list(read, PublicKey.from_pem(key))
        assert read.number == 901
        async with Caller(server.url, None) as nobody:
            assert (await nobody.ocs("GET", "/apps/candado/api/v1/revocations")).status == 401


def test_a_request_from_a_medium_is_signed_for_a_user_that_exists(tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice")
    csr, out = tmp_path / "alice.csr", tmp_path / "alice.pem"
    csr.write_text(make_csr(private_key("alice"), "alice"))
    _answered("ca", "issue", csr, "--out", out, data=data)
    certificate = parse_certificate(out.read_text())
    assert (certificate.common_name, certificate.public_key) == ("alice", private_key("alice").public)
    cells = run_server("ca", "list", "--data", str(data)).stdout.removesuffix("\n").split("\t")
    assert (cells[0], cells[1], cells[3]) == (str(certificate.serial), "alice", "valid")


def test_a_profile_says_how_long_and_a_renewal_keeps_the_key(tmp_path: Path) -> None:
    data, csr = make_data(tmp_path, "alice"), tmp_path / "alice.csr"
    config = data / "config.toml"
    config.write_text(config.read_text() + "certificate_days = 90\n")
    csr.write_text(make_csr(private_key("alice"), "alice"))
    first = parse_certificate(_answered("ca", "issue", csr, data=data)["certificate"])
    assert first.not_after - first.not_before == pytest.approx(90 * 86_400 + 60, abs=2)
    assert _answered("ca", "renew", "--expiring", "89", data=data)["renewed"] == []
    (renewed,) = _answered("ca", "renew", "--expiring", "91", data=data)["renewed"]
    assert renewed["user"] == "alice"
    assert renewed["serial"] != str(first.serial)
    assert run_server("ca", "renew", "alice", "--data", str(data)).stdout.startswith("renewed: alice, serial ")
    assert _answered("ca", "renew", "bob", data=data, status=10)["error"]["code"] == "NO_KEYS"
    assert _answered("ca", "renew", data=data, status=2)["error"]["code"] == "USAGE"
    config.write_text(config.read_text().replace("= 90", "= 0"))
    assert _answered("ca", "list", data=data, status=2)["error"]["code"] == "USAGE"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (None, 4, "NOT_FOUND"),
        ("no request", 2, "USAGE"),
        (make_csr(private_key("bob"), "nobody"), 4, "NOT_FOUND"),
        (make_csr(private_key("alice"), "alice").replace("M", "N", 3), 2, "USAGE"),
        ("taken", 1, "KEYS_EXIST"),
    ],
)
def test_a_request_that_cannot_be_signed_is_told_why(
    tmp_path: Path, content: str | None, status: int, code: str
) -> None:
    data, csr = make_data(tmp_path, "alice"), tmp_path / "request.csr"
    if content == "taken":
        csr.write_text(make_csr(private_key("alice"), "alice"))
        _answered("ca", "issue", csr, data=data)
    elif content is not None:
        csr.write_text(content)
    before = _answered("ca", "list", data=data)
    assert _answered("ca", "issue", csr, data=data, status=status)["error"]["code"] == code
    assert _answered("ca", "list", data=data) == before


def test_lists_go_on_above_all_earlier_numbers_after_a_restore(tmp_path: Path) -> None:
    data, csr = make_data(tmp_path, "alice"), tmp_path / "alice.csr"
    csr.write_text(make_csr(private_key("alice"), "alice"))
    _answered("ca", "issue", csr, data=data)
    _answered("ca", "revoke", "alice", "--reason", "left", data=data)
    run_server("backup", str(tmp_path / "backup"), "--data", str(data))
    later = _answered("ca", "crl", "--renew", data=data)["number"]
    restored = answer_of("restore", tmp_path / "backup", "--verify", "--data", tmp_path / "again")
    assert restored["problems"] == []
    found = _answered("ca", "crl", data=tmp_path / "again")
    assert (found["number"] > later + 2**20, found["revoked"]) == (True, 1)
    assert [row["state"] for row in _answered("ca", "list", data=tmp_path / "again")["certificates"]] == ["revoked"]


async def test_a_new_key_of_a_user_waits_for_two_administrators(tmp_path: Path) -> None:
    data, password = make_data(tmp_path, "alice", "bob", admin="ada"), tmp_path / "password"
    config = data / "config.toml"
    config.write_text(config.read_text() + "new_key_approvals = 2\n")
    run_server("user", "add", "bea", "--admin", "--password-file", str(password), "--data", str(data))
    with serving(data) as server:
        async with Caller(server.url, "alice") as alice:

            async def enrol(key: str) -> tuple[int, str]:
                csr = make_csr(private_key(key), "alice")
                answer = await alice.e2ee("POST", "public-key", body={"csr": csr})
                return answer.status, answer.text

            assert (await enrol("alice"))[0] == 200
            assert (await alice.e2ee("DELETE", "public-key")).status == 200
            status, text = await enrol("mallory")
            fingerprint = private_key("mallory").public.fingerprint_hex
            assert (status, fingerprint[:16] in text) == (403, True)
            (waiting,) = _answered("ca", "requests", data=data)["requests"]
            assert (waiting["user"], waiting["key"], waiting["missing"]) == ("alice", fingerprint, 2)
            _approve(data, password, fingerprint)
            assert (await enrol("mallory"))[0] == 200
    assert run_server("ca", "requests", "--data", str(data)).stdout.split("\t")[3:] == ["issued", "ada,bea\n"]
    assert _answered("ca", "crl", data=data)["revoked"] == 1
    assert "alice asks for a new key" in (tmp_path / "server.log").read_text()


def _approve(data: Path, password: Path, key: str) -> None:
    """What one administrator and others say, until two have approved."""
    words = ("ca", "approve", key[:12], "--password-file", password, "--admin")
    assert _answered(*words, "ada", data=data)["missing"] == 1
    assert _answered(*words, "ada", data=data)["missing"] == 1
    assert _answered(*words, "bob", data=data, status=13)["error"]["code"] == "FORBIDDEN"
    wrong = data.parent / "wrong"
    wrong.write_text("not the password of bea")
    refused = _answered("ca", "approve", key, "--admin", "bea", "--password-file", wrong, data=data, status=12)
    assert refused["error"]["code"] == "AUTH_REQUIRED"
    assert _answered("ca", "reject", "00000000", *words[3:], "bea", data=data, status=4)["error"]["code"] == "NOT_FOUND"
    assert _answered(*words, "bea", data=data)["missing"] == 0


def test_nothing_is_revoked_by_mistake(tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice")
    assert _answered("ca", "revoke", "alice", "--reason", "left", data=data, status=4)["error"]["code"] == "NOT_FOUND"
    assert _answered("ca", "revoke", "alice", data=data, status=2)["error"]["code"] == "USAGE"


def test_a_revocation_without_the_token_is_in_force_and_published_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = SoftToken(tmp_path / "hsm")
    token.add_with_keys()
    monkeypatch.setenv("SOFTHSM2_CONF", token.environment["SOFTHSM2_CONF"])
    data = make_data(tmp_path, "alice", authority=token.address())
    csr = tmp_path / "alice.csr"
    csr.write_text(make_csr(private_key("alice"), "alice"))
    _answered("ca", "issue", csr, data=data)
    token.pull()
    done = _answered("ca", "revoke", "alice", "--reason", "left", data=data)
    assert (done["published"], done["fault"]) == (False, "SIGNER_UNAVAILABLE")
    assert _answered("ca", "crl", data=data, status=20)["error"]["code"] == "SIGNER_UNAVAILABLE"
    token.plug()
    assert _answered("ca", "crl", data=data)["revoked"] == 1

"""The authority goes from one key to the next: what the old key signs, what is stored, and what a broken-off run leaves."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import Caller, answer_of, make_data, run_server, serving
from tests.softhsm import SoftToken
from tests.unit.client.devices import PowerCut
from tests.vectors.keys import private_key

from candado.adapters.signers import SoftwareSigner
from candado.apps import server_rotate
from candado.crypto.handover import follow_handovers, parse_handover
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import make_csr, parse_certificate


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken(tmp_path / "hsm")
    made.add_with_keys()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


def _key(data: Path) -> PublicKey:
    return PublicKey.from_pem(SoftwareSigner.load(data / "authority.pem").public_key_pem)


def _fingerprint(data: Path) -> str:
    return str(answer_of("ca", "status", "--data", data)["fingerprint"])


async def _enrol(caller: Caller) -> tuple[int, str]:
    assert caller.user is not None
    answer = await caller.e2ee("POST", "public-key", body={"csr": make_csr(private_key(caller.user), caller.user)})
    return answer.status, answer.text


async def _data(caller: Caller, path: str) -> dict[str, Any]:
    answer = await caller.ocs("GET", path)
    assert answer.status == 200, answer.text
    data: dict[str, Any] = json.loads(answer.body)["ocs"]["data"]
    return data


async def test_the_key_in_a_file_hands_over_to_a_token_while_the_server_runs(token: SoftToken, tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice", "bob")
    old = _key(data)
    with serving(data) as server:
        async with Caller(server.url, "alice") as alice, Caller(server.url, "bob") as bob:
            assert (await _enrol(alice))[0] == 200
            shown = run_server("ca", "rotate", "--to", token.address(), "--data", str(data)).stdout
            assert "certificates renewed: 1\n" in shown
            # The server that runs still has the old key: nothing that it signs gets anywhere.
            status, text = await _enrol(bob)
            assert (status, "AUTHORITY_CHANGED" in text or "handed over" in text) == (503, True)
            ready = await bob.send("GET", "/readyz")
            assert json.loads(ready.body)["checks"]["signer"] == "AUTHORITY_CHANGED"
    assert not (data / "authority.pem").exists()
    assert (data / f"authority-old-{old.fingerprint_hex[:16]}.pem").stat().st_mode & 0o777 == 0o600
    with serving(data) as server:
        async with Caller(server.url, "alice") as alice, Caller(server.url, "bob") as bob:
            assert (await _enrol(bob))[0] == 200
            new = PublicKey.from_pem(
                (await _data(alice, "/apps/end_to_end_encryption/api/v2/server-key"))["public-key"]
            )
            pem = (await _data(alice, "/apps/end_to_end_encryption/api/v2/public-key"))["public-keys"]["alice"]
            chain = (await _data(alice, "/apps/candado/api/v1/handovers"))["handovers"]
    assert follow_handovers(old, [parse_handover(text) for text in chain]) == new != old
    certificate = parse_certificate(pem)
    new.verify_pkcs1_sha256(certificate.signature, certificate.signed_part)
    assert certificate.public_key == private_key("alice").public


def test_a_run_that_broke_off_is_finished_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, csr = make_data(tmp_path, "alice"), tmp_path / "alice.csr"
    csr.write_text(make_csr(private_key("alice"), "alice"))
    answer_of("ca", "issue", csr, "--data", data)
    before = _fingerprint(data)

    def full(text: str, authority: str) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(server_rotate, "rewrite_authority", full)
        error = answer_of("ca", "rotate", "--to", "software", "--yes", "--data", data, status=1)["error"]
        assert error["code"] == "LOCAL_STORAGE"
    assert _fingerprint(data) != before
    # Nothing is signed twice: what is left is renewed, and the list of revoked keys is there.
    assert answer_of("ca", "renew", "--rotated", "--data", data)["renewed"][0]["user"] == "alice"
    assert answer_of("ca", "renew", "--rotated", "--data", data)["renewed"] == []
    assert answer_of("ca", "crl", "--data", data)["number"] >= 1


def test_a_crash_before_the_files_are_in_their_places_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path)
    before = _fingerprint(data)

    def cut(target: object) -> None:
        raise PowerCut("before the files")

    with monkeypatch.context() as patched:
        patched.setattr(server_rotate, "_settle", cut)
        with pytest.raises(PowerCut):
            answer_of("ca", "rotate", "--to", "software", "--yes", "--data", data)
    assert answer_of("ca", "status", "--data", data, status=15)["error"]["code"] == "AUTHORITY_CHANGED"
    finished = answer_of("ca", "rotate", "--to", "software", "--yes", "--data", data)
    assert (finished["handed_over"], finished["left"]) == (False, [])
    assert _fingerprint(data) == finished["fingerprint"] != before


def test_a_place_that_is_none_or_a_setting_elsewhere_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path)
    before, files = _fingerprint(data), sorted(path.name for path in data.iterdir())
    assert answer_of("ca", "rotate", "--to", "somewhere", "--data", data, status=2)["error"]["code"] == "USAGE"
    monkeypatch.setenv("CANDADO_SERVER_AUTHORITY", "software")
    assert answer_of("ca", "rotate", "--to", "software", "--data", data, status=2)["error"]["code"] == "USAGE"
    monkeypatch.delenv("CANDADO_SERVER_AUTHORITY")
    address = "pkcs11:token=none;object=authority?module-path=/nowhere.so&pin-source=/nowhere"
    answer_of("ca", "rotate", "--to", address, "--data", data, status=10)
    assert (_fingerprint(data), sorted(path.name for path in data.iterdir())) == (before, files)

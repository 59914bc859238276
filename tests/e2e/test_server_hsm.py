"""A server whose authority is a key on a token: SoftHSM 2, real processes, pulled plugs and wrong PINs."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import Caller, make_data, run_server, serving
from tests.softhsm import PIN, SoftToken
from tests.vectors.keys import private_key

from candado.adapters.ambient import SystemClock
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import check_certificate, make_csr, parse_certificate
from candado.types import UserId

WAIT_SECONDS = 30


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken(tmp_path / "hsm")
    made.add_with_keys()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


def _answered(*words: str, status: int = 0) -> dict[str, Any]:
    """The JSON answer of a command that ends with this status."""
    done = run_server(*words, "--json", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def _enrol(caller: Caller) -> tuple[int, dict[str, Any]]:
    assert caller.user is not None
    key = private_key("alice" if caller.user == "alice" else "bob")
    answer = await caller.e2ee("POST", "public-key", body={"csr": make_csr(key, caller.user)})
    return answer.status, json.loads(answer.body)["ocs"]


async def _ready(caller: Caller) -> tuple[int, str]:
    answer = await caller.send("GET", "/readyz")
    return answer.status, str(json.loads(answer.body)["checks"]["signer"])


async def _until(caller: Caller, wanted: tuple[int, str]) -> None:
    """Wait for the state of the signer that all workers are to tell."""
    until, row = time.monotonic() + WAIT_SECONDS, 0
    while row < 8:  # each connection goes to any worker
        async with Caller(caller.url, None) as fresh:
            row = row + 1 if await _ready(fresh) == wanted else 0
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def test_users_enrol_at_two_workers_while_the_token_comes_and_goes(token: SoftToken, tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice", "bob", "carol", authority=token.address())
    assert not (data / "authority.pem").exists()
    status = _answered("ca", "status", "--data", str(data))
    assert (status["key"], status["place"], status["issued"], status["warnings"]) == (
        "pkcs11",
        "candado/authority",
        0,
        [],
    )
    assert status["token"]["key"] == "never left the token"
    with serving(data, "--workers", "2") as server:
        callers = [Caller(server.url, user) for user in ("alice", "bob", "carol")]
        async with callers[0] as alice, callers[1] as bob, callers[2] as carol:
            ready = json.loads((await alice.send("GET", "/readyz")).body)
            assert (ready["status"], ready["warnings"]) == ("ok", [])
            (first, made), (second, _) = await asyncio.gather(_enrol(alice), _enrol(bob))
            assert (first, second) == (200, 200)
            key = json.loads((await alice.e2ee("GET", "server-key")).body)["ocs"]["data"]["public-key"]
            authority = PublicKey.from_pem(key)
            assert authority.fingerprint_hex == status["fingerprint"]
            certificate = parse_certificate(made["data"]["public-key"])
            assert (
                check_certificate(certificate, user_id=UserId("alice"), authority=authority, now=SystemClock().now())
                == []
            )

            token.pull()
            refused, told = await _enrol(carol)
            assert (refused, told["meta"]["status"]) == (503, "failure")
            assert (await alice.dav("PUT", "a.txt", body=b"goes on")).status == 201
            assert json.loads((await carol.e2ee("GET", "server-key")).body)["ocs"]["data"]["public-key"] == key
            await _until(alice, (503, "SIGNER_UNAVAILABLE"))
            token.plug()
            await _until(alice, (200, "ok"))
            assert (await _enrol(carol))[0] == 200
            assert (await _enrol(carol))[0] == 409
        processes = [server.process.pid, *_children(server.process.pid)]
        assert len(processes) == 3
        for pid in processes:
            for name in ("cmdline", "environ"):
                assert PIN.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert PIN not in (tmp_path / "server.log").read_text()
    assert _answered("ca", "status", "--data", str(data))["issued"] == 3


async def test_a_worker_in_the_place_of_another_serves_while_the_pin_is_wrong(token: SoftToken, tmp_path: Path) -> None:
    data = make_data(tmp_path, "alice", authority=token.address())
    with serving(data, "--workers", "2") as server:
        async with Caller(server.url, "alice") as alice:
            token.pin_file.write_text("wrong\n")
            workers = _children(server.process.pid)
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        async with Caller(server.url, "alice") as alice:
            await _until(alice, (503, "PIN_REFUSED"))
            assert (await _enrol(alice))[0] == 503
            assert (await alice.dav("PUT", "a.txt", body=b"goes on")).status == 201
            token.pin_file.write_text(PIN)
            await _until(alice, (200, "ok"))
            assert (await _enrol(alice))[0] == 200


def _no_pin(token: SoftToken, data: Path) -> None:
    config = data / "config.toml"
    config.write_text(config.read_text().replace(f"&pin-source={token.pin_file}", ""))


def _changed(old: str, new: str) -> Callable[[SoftToken, Path], None]:
    def change(token: SoftToken, data: Path) -> None:
        config = data / "config.toml"
        text = config.read_text()
        assert old in text
        config.write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        (lambda token, data: token.pin_file.write_text("wrong"), 12, "PIN_REFUSED"),
        (lambda token, data: token.pin_file.unlink(), 4, "NOT_FOUND"),
        (lambda token, data: token.pin_file.chmod(0o604), 13, "LOCAL_PERMISSION"),
        (_no_pin, 12, "SECRET_NEEDED"),
        (_changed("libsofthsm2.so", "libnone.so"), 10, "SIGNER_SETUP"),
        (_changed("object=authority", "object=other"), 10, "SIGNER_SETUP"),
        (_changed("object=authority", "object=authority-selftest"), 15, "AUTHORITY_CHANGED"),
        (_changed("authority = ", "# authority = "), 2, "USAGE"),
        (_changed('authority = "pkcs11:', 'authority = "pkcs12:'), 2, "USAGE"),
    ],
)
def test_a_server_that_could_not_sign_does_not_start_and_says_why(
    token: SoftToken, tmp_path: Path, spoil: Callable[[SoftToken, Path], object], status: int, code: str
) -> None:
    data = make_data(tmp_path, authority=token.address())
    spoil(token, data)
    error = _answered("serve", "--data", str(data), "--listen", "127.0.0.1:0", "--workers", "2", status=status)["error"]
    assert error["code"] == code
    assert PIN not in json.dumps(error)
    assert all(error[member] for member in ("message", "hint", "safe", "path") if member != "path" or code[:3] != "SEC")
    assert not (data / "authority.pem").exists()


def test_without_its_token_nothing_is_made(token: SoftToken, tmp_path: Path) -> None:
    token.pull()
    data = tmp_path / "data"
    error = _answered("init", "--data", str(data), "--authority", token.address(), status=20)["error"]
    assert error["code"] == "SIGNER_UNAVAILABLE"
    assert not data.exists()
    token.plug()
    assert "found there" in run_server("init", "--data", str(data), "--authority", token.address()).stdout


async def test_an_authority_that_signed_nothing_moves_to_a_token_and_one_that_did_stays(
    token: SoftToken, tmp_path: Path
) -> None:
    data = make_data(tmp_path, "alice")
    assert "warning: the authority's key is a file" in run_server("ca", "status", "--data", str(data)).stdout
    config = data / "config.toml"
    software, here = config.read_text(), ("--data", str(data))
    config.write_text(software.replace('"software"', f'"{token.address()}"'))
    assert _answered("ca", "status", *here, status=15)["error"]["code"] == "AUTHORITY_CHANGED"
    moved = _answered("ca", "init", *here)
    assert (moved["made"], len(moved["fingerprint"])) == (False, 64)
    assert _answered("ca", "selftest", *here)["ok"] is True
    with serving(data) as server:
        async with Caller(server.url, "alice") as alice:
            assert (await _enrol(alice))[0] == 200
    config.write_text(software)
    assert _answered("ca", "init", *here, status=15)["error"]["code"] == "AUTHORITY_CHANGED"
    log = (tmp_path / "server.log").read_text()
    assert "token candado/authority: opened" in log


async def test_a_software_key_is_warned_of_as_long_as_it_is_one(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    with serving(data) as server:
        async with Caller(server.url, None) as nobody:
            assert json.loads((await nobody.send("GET", "/readyz")).body)["warnings"] == ["authority.software"]
    assert "the authority's key is a file" in (tmp_path / "server.log").read_text()


def test_the_environment_can_name_the_token_when_a_server_is_made(
    token: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "setting"
    setting.write_text(token.address() + "\n")
    monkeypatch.setenv("CANDADO_SERVER_AUTHORITY_FILE", str(setting))
    data = make_data(tmp_path)
    assert not (data / "authority.pem").exists()
    # The file says the same, so that no other key is made or used when the variable is gone.
    monkeypatch.delenv("CANDADO_SERVER_AUTHORITY_FILE")
    assert _answered("ca", "status", "--data", str(data))["place"] == "candado/authority"
    monkeypatch.setenv("CANDADO_SERVER_AUTHORITY", "software")
    assert _answered("ca", "status", "--data", str(data), status=4)["error"]["code"] == "NOT_FOUND"


def test_a_backup_made_anew_after_the_key_went_to_a_token_holds_the_old_one_no_more(
    token: SoftToken, tmp_path: Path
) -> None:
    data, backup = make_data(tmp_path), tmp_path / "backup"
    run_server("backup", str(backup), "--data", str(data))
    assert (backup / "authority.pem").exists()
    config = data / "config.toml"
    config.write_text(config.read_text().replace('"software"', f'"{token.address()}"'))
    run_server("ca", "init", "--data", str(data))
    run_server("backup", str(backup), "--data", str(data))
    assert not (backup / "authority.pem").exists()


def test_a_backup_of_a_server_with_a_token_holds_no_key_and_restores_with_the_token(
    token: SoftToken, tmp_path: Path
) -> None:
    data = make_data(tmp_path, authority=token.address())
    run_server("backup", str(tmp_path / "backup"), "--data", str(data))
    assert not (tmp_path / "backup" / "authority.pem").exists()
    restored = ("restore", str(tmp_path / "backup"), "--verify", "--data", str(tmp_path / "again"))
    assert "verified" in run_server(*restored).stdout
    assert _answered("ca", "status", "--data", str(tmp_path / "again"))["place"] == "candado/authority"

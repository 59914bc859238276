"""The ceremony: a plan that was reviewed, a key that is made on the token, a transcript that the key signs."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.server_process import answer_of, run_server
from tests.softhsm import MODULE, SoftToken
from tests.vectors.keys import private_key

from candado.errors import BadRequestError, BadSignatureError, MalformedError
from candado.server.ceremony import PLAN_BYTES_MAX, check_transcript, format_transcript, parse_ceremony

PLAN = """\
name = "Authority of Example, 2026"
people = ["Ada, leads", "Ben, watches"]
authority = "{address}"
"""


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken(tmp_path / "hsm")
    made.add()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


def test_a_ceremony_makes_the_key_of_a_server_and_a_transcript_that_proves_it(token: SoftToken, tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "transcript.json"
    plan.write_text(PLAN.format(address=token.address()))
    made = answer_of("ca", "ceremony", "--config", plan, "--out", out)
    assert (made["rehearsal"], made["place"], made["people"]) == (
        False,
        "candado/authority",
        ["Ada, leads", "Ben, watches"],
    )
    assert made["plan_sha256"] == hashlib.sha256(plan.read_bytes()).hexdigest()
    assert made["module_sha256"] == hashlib.sha256(Path(MODULE).read_bytes()).hexdigest()
    assert made["token"]["key"] == "never left the token"
    shown = answer_of("ca", "transcript", out, "--config", plan)
    assert {**shown, "schema": ""} == {**{k: v for k, v in made.items() if k != "transcript"}, "schema": ""}
    data = tmp_path / "data"
    run_server("init", "--data", str(data), "--authority", token.address())
    assert answer_of("ca", "status", "--data", data)["fingerprint"] == made["fingerprint"]
    _cannot_be_repeated_nor_altered(token, plan, out)


def _cannot_be_repeated_nor_altered(token: SoftToken, plan: Path, out: Path) -> None:
    before = out.read_text()
    assert answer_of("ca", "ceremony", "--config", plan, "--out", out, status=2)["error"]["code"] == "USAGE"
    other = out.with_name("other.json")
    error = answer_of("ca", "ceremony", "--config", plan, "--out", other, status=1)["error"]
    assert (error["code"], error["path"]) == ("ALREADY_EXISTS", "candado/authority")
    assert not other.exists()
    assert out.read_text() == before
    out.write_text(before.replace("Ben, watches", "Bob, watches"))
    assert answer_of("ca", "transcript", out, status=14)["error"]["code"] == "BAD_SIGNATURE"
    out.write_text(before)
    plan.write_text(plan.read_text() + "\n")
    assert answer_of("ca", "transcript", out, "--config", plan, status=2)["error"]["code"] == "USAGE"


def test_a_plan_for_hardware_is_rehearsed_on_softhsm(
    token: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "rehearsal.json"
    address = "pkcs11:token=candado;serial=4711;object=authority?module-path=/usr/lib/vendor.so&pin-source=/media/pin"
    plan.write_text(PLAN.format(address=address))
    assert answer_of("ca", "ceremony", "--config", plan, "--out", out, status=1)["error"]["code"] == "LOCAL_STORAGE"
    monkeypatch.setenv("CANDADO_AUTHORITY_PIN_FILE", str(token.pin_file))
    made = answer_of("ca", "ceremony", "--config", plan, "--out", out, "--rehearse", MODULE)
    assert (made["rehearsal"], made["module"]) == (True, MODULE)
    assert answer_of("ca", "transcript", out, "--config", plan)["rehearsal"] is True
    told = run_server("ca", "transcript", str(out)).stdout
    assert told.startswith("the signature holds\n")
    assert "rehearsal:    True" in told
    for module in ("softhsm.so", "/no/such.so"):
        again = tmp_path / "again.json"
        answer_of(
            "ca",
            "ceremony",
            "--config",
            plan,
            "--out",
            again,
            "--rehearse",
            module,
            status=2 if module[0] != "/" else 1,
        )
        assert not again.exists()


@pytest.mark.parametrize(
    "text",
    [
        "name = 1",
        "= ",
        'name = "x"\npeople = ["a", "b"]',
        'name = "x"\npeople = ["a", "b"]\nauthority = "ADDRESS"\nmore = 1',
        'name = "x"\npeople = ["a"]\nauthority = "ADDRESS"',
        'name = "x"\npeople = ["a", "a"]\nauthority = "ADDRESS"',
        'name = "x"\npeople = ["a", " "]\nauthority = "ADDRESS"',
        'name = "x"\npeople = ["a", 1]\nauthority = "ADDRESS"',
        'name = "x"\npeople = "a, b"\nauthority = "ADDRESS"',
        'name = 1\npeople = ["a", "b"]\nauthority = "ADDRESS"',
        'name = "x"\npeople = ["a", "b"]\nauthority = "software"',
        'name = "x"\npeople = ["a", "b"]\nauthority = "pkcs11:token=t;id=%01?module-path=/m.so"',
        "#" * (PLAN_BYTES_MAX + 1),
        "name = '\x00'",
    ],
)
def test_a_plan_that_is_not_complete_is_refused(text: str) -> None:
    address = "pkcs11:token=t;object=o?module-path=/m.so"
    parse_ceremony(PLAN.format(address=address).encode())
    with pytest.raises((BadRequestError, MalformedError)):
        parse_ceremony(text.replace("ADDRESS", address).encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"schema": "candado.ceremony/1", "body": {}}',
        '{"schema": "candado.ceremony/2", "body": {}, "signature": ""}',
        '{"schema": "candado.ceremony/1", "body": [], "signature": ""}',
        '{"schema": "candado.ceremony/1", "body": {}, "signature": ""}',
        '{"schema": "candado.ceremony/1", "body": {"public_key": "x"}, "signature": ""}',
    ],
)
def test_what_is_no_transcript_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        check_transcript(text.encode())


def test_a_transcript_signed_by_another_key_is_refused() -> None:
    body: Any = {"public_key": private_key("alice").public.to_pem()}
    text = format_transcript(body, private_key("bob").sign_pkcs1_sha256(b"x"))
    with pytest.raises(BadSignatureError):
        check_transcript(text.encode())

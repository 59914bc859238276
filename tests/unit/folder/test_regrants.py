"""Requests for access, and what the recovery key gives."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.sim import World

from candado.crypto.rsa import PrivateKey
from candado.errors import BadSignatureError, CryptoError, LimitExceededError, MalformedError, UntrustedCertificateError
from candado.folder.model import RawText
from candado.folder.regrants import (
    GrantedRoot,
    Regrant,
    Request,
    RequestedRoot,
    parse_regrant,
    parse_request,
    sign_regrant,
    sign_request,
)
from candado.folder.signedrecord import sign_record
from candado.types import FileId, UserId

WORLD = World("alice", "bob")
ALICE = WORLD.identity("alice")
RECOVERY = PrivateKey.generate()
REQUEST = Request(
    account=UserId("alice"),
    server="https://cloud.example",
    certificate=ALICE.certificate,
    authority=WORLD.server.authority.public,
    created=1_800_000_000,
    roots=(
        RequestedRoot(FileId(7), "/Grüße", RawText("{}", "c2ln")),
        RequestedRoot(FileId(9), "/Work/Secret", RawText("{}", None)),
    ),
)
REGRANT = Regrant(
    record_id="ab" * 16,
    account=UserId("alice"),
    server="https://cloud.example",
    new_key=ALICE.key.public.fingerprint_hex,
    public_key=RECOVERY.public,
    created=1_800_000_000,
    roots=(GrantedRoot(FileId(7), "/Grüße", "1" * 64, b"wrapped"),),
)


def _request(**changes: Any) -> str:
    body: dict[str, Any] = json.loads(sign_request(REQUEST, ALICE.key))["body"]
    return sign_record("candado.recovery-request/1", body | changes, ALICE.key)


def _regrant(**changes: Any) -> str:
    body: dict[str, Any] = json.loads(sign_regrant(REGRANT, RECOVERY))["body"]
    return sign_record("candado.regrant/1", body | changes, RECOVERY)


def test_a_request_and_a_regrant_are_read_as_they_were_signed() -> None:
    assert parse_request(sign_request(REQUEST, ALICE.key)) == REQUEST
    assert parse_regrant(sign_regrant(REGRANT, RECOVERY).encode()) == REGRANT


def test_what_was_altered_or_signed_by_somebody_else_is_refused() -> None:
    with pytest.raises(BadSignatureError):
        parse_request(sign_request(REQUEST, ALICE.key).replace("/Work/Secret", "/Work/Public"))
    with pytest.raises(BadSignatureError):
        parse_request(sign_request(REQUEST, WORLD.identity("bob").key))
    with pytest.raises(BadSignatureError):
        parse_regrant(sign_regrant(REGRANT, ALICE.key))
    with pytest.raises(MalformedError, match="not a record of the form"):
        parse_regrant(sign_request(REQUEST, ALICE.key))


def test_a_request_needs_a_certificate_for_its_account_by_its_authority() -> None:
    with pytest.raises(UntrustedCertificateError):
        parse_request(sign_request(replace(REQUEST, account=UserId("bob")), ALICE.key))
    with pytest.raises(UntrustedCertificateError):
        parse_request(sign_request(replace(REQUEST, authority=RECOVERY.public), ALICE.key))


ROOT: dict[str, Any] = {"id": 7, "path": "/a", "document": "{}", "signature": ""}
GRANTED: dict[str, Any] = {"id": 7, "path": "/a", "former_key": "1" * 64, "key": "AAAA"}


@pytest.mark.parametrize(
    "changes",
    [
        {"account": ""},
        {"server": "two\nlines"},
        {"created": -1},
        {"certificate": "no"},
        {"authority": 7},
        {"roots": []},
        {"roots": [ROOT, ROOT]},
        {"roots": [ROOT | {"path": "a"}]},
        {"roots": [ROOT | {"path": ""}]},
        {"roots": [ROOT | {"id": 0}]},
        {"roots": [ROOT | {"more": 1}]},
        {"more": 1},
    ],
)
def test_a_request_of_another_form_is_refused_although_its_signature_holds(changes: dict[str, Any]) -> None:
    with pytest.raises((MalformedError, CryptoError)):
        parse_request(_request(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"account": "a/b"},
        {"server": ""},
        {"new_key": "1"},
        {"public_key": ""},
        {"created": None},
        {"roots": [GRANTED | {"key": ""}]},
        {"roots": [GRANTED | {"former_key": ""}]},
        {"roots": [GRANTED, GRANTED]},
    ],
)
def test_a_regrant_of_another_form_is_refused_although_its_signature_holds(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        parse_regrant(_regrant(**changes))


def test_too_many_roots_are_refused() -> None:
    with pytest.raises(LimitExceededError):
        parse_regrant(_regrant(roots=[GRANTED] * 10_001))

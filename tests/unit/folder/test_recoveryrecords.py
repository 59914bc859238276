"""Records that the recovery key signs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import make_csr
from candado.encoding import encode_b64
from candado.errors import BadSignatureError, LimitExceededError, MalformedError, UntrustedCertificateError
from candado.folder.recoveryrecords import (
    CeremonyRecord,
    Custodian,
    RootUse,
    UseRecord,
    check_people,
    parse_ceremony_record,
    parse_use_record,
    recovery_user_id,
    sign_ceremony_record,
    sign_use_record,
)
from candado.folder.signedrecord import check_text, sign_record
from candado.types import FileId, UserId

KEY = PrivateKey.generate()
OTHER = PrivateKey.generate()
NAME = recovery_user_id(KEY.public)
CEREMONY = CeremonyRecord(
    ceremony="c0ffee1234",
    purpose="Recovery of the Ñandú works",
    needed=2,
    custodians=(Custodian(1, "Ana", "1" * 64), Custodian(2, "Bo", "2" * 64), Custodian(3, "Cy", "3" * 64)),
    created=1_790_000_000,
    public_key=KEY.public,
    request_pem=make_csr(KEY, NAME),
)
USE = UseRecord(
    record_id="ab" * 16,
    kind="regrant",
    state="done",
    persons=("Ana", "Bo"),
    purpose="alice lost her words",
    sheets=(1, 3),
    ceremony="c0ffee1234",
    public_key=KEY.public,
    begun=1_790_000_000,
    ended=1_790_000_100,
    server="https://cloud.example",
    account=UserId("alice"),
    bundle_sha256="4" * 64,
    certificate_sha256="5" * 64,
    roots=(RootUse(FileId(7), "6" * 64), RootUse(FileId(9), "8" * 64)),
    files=3,
    bytes=400,
)


def _signed(schema: str, body: dict[str, Any], key: PrivateKey = KEY) -> str:
    return sign_record(schema, body, key)


def _body(text: str, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(text)["body"]
    return body | changes


def test_a_record_of_a_ceremony_is_read_as_it_was_signed() -> None:
    assert parse_ceremony_record(sign_ceremony_record(CEREMONY, KEY)) == CEREMONY
    assert f"recovery:{KEY.public.fingerprint_hex[:16]}" == NAME


@pytest.mark.parametrize(
    "record",
    [
        USE,
        replace(USE, kind="decrypt", state="begun", ended=0, certificate_sha256="", roots=(), persons=("A", "B", "C")),
    ],
)
def test_a_record_of_a_use_is_read_as_it_was_signed(record: UseRecord) -> None:
    assert parse_use_record(sign_use_record(record, KEY).encode()) == record


def test_an_altered_record_and_one_signed_by_another_key_are_refused() -> None:
    text = sign_use_record(USE, KEY)
    with pytest.raises(BadSignatureError):
        parse_use_record(text.replace("alice lost", "alice sold"))
    with pytest.raises(BadSignatureError):
        parse_use_record(sign_use_record(USE, OTHER))
    with pytest.raises(BadSignatureError):
        parse_ceremony_record(sign_ceremony_record(CEREMONY, OTHER))


def test_one_kind_of_record_is_not_taken_for_the_other() -> None:
    with pytest.raises(MalformedError, match="not a record of the form"):
        parse_use_record(sign_ceremony_record(CEREMONY, KEY))
    body = json.loads(sign_use_record(USE, KEY))
    with pytest.raises(MalformedError, match="not a record of the form"):
        parse_use_record(json.dumps(body | {"more": 1}))


@pytest.mark.parametrize(
    "changes",
    [
        {"ceremony": "C0FFEE1234"},
        {"ceremony": "c0ffee12345"},
        {"purpose": " "},
        {"purpose": "two\nlines"},
        {"purpose": "x" * 501},
        {"needed": 1},
        {"needed": 4},
        {"needed": True},
        {"needed": "2"},
        {"shares": {}},
        {"shares": []},
        {
            "shares": [
                {"index": 1, "custodian": "Ana", "sha256": "1" * 64},
                {"index": 3, "custodian": "B", "sha256": "1" * 64},
            ]
        },
        {"shares": [{"index": 1, "custodian": "Ana"}]},
        {"shares": [7]},
        {"created": -1},
        {"fingerprint": "0" * 64},
        {"more": 1},
    ],
)
def test_a_record_of_a_ceremony_with_another_form_is_refused_although_its_signature_holds(
    changes: dict[str, Any],
) -> None:
    body = _body(sign_ceremony_record(CEREMONY, KEY), **changes)
    with pytest.raises(MalformedError):
        parse_ceremony_record(_signed("candado.recovery-ceremony/1", body))


@pytest.mark.parametrize("request_pem", [make_csr(OTHER, NAME), make_csr(KEY, "recovery:0000000000000000")])
def test_a_record_whose_request_is_for_another_key_or_name_is_refused(request_pem: str) -> None:
    with pytest.raises(UntrustedCertificateError):
        parse_ceremony_record(sign_ceremony_record(replace(CEREMONY, request_pem=request_pem), KEY))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "ab"},
        {"kind": "read"},
        {"state": "failed"},
        {"persons": ["Ana"]},
        {"persons": ["Ana", " ana"]},
        {"persons": ["Ana", 7]},
        {"persons": "Ana and Bo"},
        {"purpose": ""},
        {"sheets": [1]},
        {"sheets": [3, 1]},
        {"sheets": [1, 1]},
        {"sheets": [0, 1]},
        {"sheets": [1, 17]},
        {"ceremony": ""},
        {"ended": 1.5},
        {"server": ""},
        {"account": "a/b"},
        {"bundle_sha256": ""},
        {"certificate_sha256": "x"},
        {"roots": [{"id": 0, "document_sha256": "6" * 64}]},
        {"roots": [{"id": 1, "document_sha256": ""}]},
        {"roots": [{"id": 1}]},
        {"roots": [7]},
        {"files": -1},
        {"bytes": None},
    ],
)
def test_a_record_of_a_use_with_another_form_is_refused_although_its_signature_holds(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        parse_use_record(_signed("candado.recovery-use/1", _body(sign_use_record(USE, KEY), **changes)))


def test_a_record_of_too_many_roots_is_refused() -> None:
    root = {"id": 1, "document_sha256": "6" * 64}
    with pytest.raises(LimitExceededError):
        parse_use_record(_signed("candado.recovery-use/1", _body(sign_use_record(USE, KEY), roots=[root] * 10_001)))


def test_a_record_with_a_damaged_signature_is_refused() -> None:
    document = json.loads(sign_use_record(USE, KEY))
    with pytest.raises(BadSignatureError):
        parse_use_record(json.dumps(document | {"signature": encode_b64(bytes(256))}))
    with pytest.raises(MalformedError):
        parse_use_record(json.dumps(document | {"signature": "?"}))


def test_two_people_are_two_different_names() -> None:
    assert check_people(("Ana", "Bo", "Cy")) == ("Ana", "Bo", "Cy")
    for names in [(), ("Ana",), ("Ana", "ANA"), ("Ana  B", "Ana B"), ("Ana", ""), ("Ana", "x" * 101)]:
        with pytest.raises(MalformedError):
            check_people(names)


def test_a_text_is_one_printable_line() -> None:
    assert check_text("Grüße 李", "it") == "Grüße 李"
    for text in ["", " x", "x ", "a\tb", "a\u202eb", "x" * 501]:
        with pytest.raises(MalformedError):
            check_text(text, "it")

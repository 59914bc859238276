"""Policies of an organisation: what it signed last is followed, everything else is refused."""

from dataclasses import replace

import pytest

from candado.crypto.ed25519 import SigningKey, VerifyingKey
from candado.errors import BadSignatureError, LimitExceededError, MalformedError, PolicyRefusedError
from candado.folder.orgtrust import PolicyPin, VerifiedPolicy, sign_policy, verify_policy
from candado.formats.canonjson import JsonObject, JsonValue, dump_canonical, load_json
from candado.formats.orgpolicy import (
    PolicyText,
    RecoveryBody,
    format_signed_policy,
    parse_recovery_body,
    parse_signed_policy,
    recovery_member_id,
)
from candado.types import SecretBytes

KEY, OTHER = SigningKey(SecretBytes(b"o" * 32)), SigningKey(SecretBytes(b"x" * 32))
BODY = RecoveryBody("on", "ab" * 32, "cd" * 32, ("ef" * 32,))
POLICY = PolicyText(
    "recovery", 3, 1_800_000_000, KEY.public.fingerprint_hex, "We can recover.\nAsk Ada.", BODY.to_json()
)
RAW = sign_policy(KEY, POLICY)


def _verified(raw: bytes | str = RAW, pinned: PolicyPin | None = None) -> VerifiedPolicy:
    return verify_policy(raw, kind="recovery", pinned_key=KEY.public, pinned=pinned)


def test_what_the_organisation_signed_is_read_back_whole() -> None:
    found = _verified(RAW + b"\n")
    assert (found.kind, found.serial, found.issued, found.text) == ("recovery", 3, 1_800_000_000, POLICY.text)
    assert (found.organisation, found.raw, found.recovery) == (KEY.public.fingerprint_hex, RAW, BODY)
    assert found.recovery.member_id == "recovery:abababababababab"
    assert _verified(RAW.decode(), found.pin) == found
    assert _verified(pinned=PolicyPin(2, "00" * 32)) == found


def test_a_policy_by_another_key_is_refused_whatever_it_says_of_itself() -> None:
    for raw in (
        sign_policy(OTHER, POLICY),
        sign_policy(OTHER, replace(POLICY, organisation=OTHER.public.fingerprint_hex)),
        format_signed_policy(replace(POLICY, serial=4), parse_signed_policy(RAW).signature),
        format_signed_policy(replace(POLICY, text="Something else."), parse_signed_policy(RAW).signature),
    ):
        with pytest.raises(PolicyRefusedError) as caught:
            _verified(raw)
        assert caught.value.event == "policy.signature"
        assert caught.value.expected == KEY.public.fingerprint_hex


@pytest.mark.parametrize(
    ("pinned", "event"),
    [(PolicyPin(4, "00" * 32), "policy.rollback"), (PolicyPin(3, "00" * 32), "policy.fork")],
)
def test_an_older_policy_and_a_second_one_of_one_serial_are_refused(pinned: PolicyPin, event: str) -> None:
    with pytest.raises(PolicyRefusedError) as caught:
        _verified(pinned=pinned)
    assert caught.value.event == event


def test_a_policy_of_one_kind_is_not_one_of_another() -> None:
    raw = sign_policy(KEY, replace(POLICY, kind="client-rules", body={"rules": []}))
    with pytest.raises(PolicyRefusedError) as caught:
        _verified(raw)
    assert caught.value.event == "policy.kind"
    found = verify_policy(raw, kind="client-rules", pinned_key=KEY.public, pinned=None)
    with pytest.raises(MalformedError):
        _ = found.recovery


def _changed(**members: JsonValue) -> bytes:
    whole = load_json(RAW, bytes_max=10_000)
    assert isinstance(whole, dict)
    document = whole["document"]
    assert isinstance(document, dict)
    return dump_canonical({**whole, "document": {**document, **members}})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        RAW + b"\n\n",
        b" " + RAW,
        RAW.replace(b'"kind":"recovery",', b'"kind":"recovery","kind":"recovery",'),
        RAW.replace(b"candado.signed-policy/1", b"candado.signed-policy/2"),
        RAW.replace(b'"signature":"', b'"signature":"AAAA'),
        RAW.replace(b'"schema":"candado.policy/1"', b'"schema":"candado.policy/9"'),
        _changed(serial=0),
        _changed(serial=True),
        _changed(serial="3"),
        _changed(issued=-1),
        _changed(kind="escrow"),
        _changed(organisation="AB" * 32),
        _changed(text=" \n "),
        _changed(text="a\tb"),
        _changed(body=[]),
        _changed(extra=1),
    ],
)
def test_what_is_not_a_policy_in_its_one_spelling_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_signed_policy(raw)


def test_a_policy_beyond_its_limits_is_neither_read_nor_signed() -> None:
    with pytest.raises(LimitExceededError):
        parse_signed_policy(_changed(text="x" * 4001))
    with pytest.raises(LimitExceededError):
        parse_signed_policy(b"x" * (256 * 1024 + 1))
    with pytest.raises(LimitExceededError):
        sign_policy(KEY, replace(POLICY, kind="client-rules", body={"x": "y" * 262_000}))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**BODY.to_json(), "more": 1},
        {**BODY.to_json(), "state": "maybe"},
        {**BODY.to_json(), "key": "ab"},
        {**BODY.to_json(), "record": "AB" * 32},
        {**BODY.to_json(), "former": None},
        {**BODY.to_json(), "former": [1]},
        {**BODY.to_json(), "former": ["ab" * 32]},
        {**BODY.to_json(), "former": ["ef" * 32] * 2},
        {**BODY.to_json(), "former": [f"{number:064x}" for number in range(17)]},
    ],
)
def test_the_body_of_a_recovery_policy_has_four_sound_members(body: JsonObject) -> None:
    with pytest.raises(MalformedError):
        parse_recovery_body(body)
    with pytest.raises(MalformedError):
        sign_policy(KEY, replace(POLICY, body=body))


def test_keys_of_organisations_are_read_in_one_spelling_only() -> None:
    assert VerifyingKey.from_pem(KEY.public.to_pem()) == KEY.public
    assert hash(VerifyingKey.from_pem(KEY.public.to_pem())) == hash(KEY.public)
    assert KEY.public != OTHER.public
    assert KEY.public != KEY.public.to_pem()
    assert (repr(KEY), repr(KEY.public)) == ("<secret>", f"VerifyingKey({KEY.public.fingerprint_hex[:16]})")
    for spki in (b"", KEY.public.spki_der[:-1], b"\x00" + KEY.public.spki_der[1:]):
        with pytest.raises(MalformedError):
            VerifyingKey(spki)
    with pytest.raises(MalformedError):
        SigningKey(SecretBytes(b"short"))
    with pytest.raises(BadSignatureError):
        OTHER.public.verify(KEY.sign(b"x"), b"x")
    with pytest.raises(MalformedError):
        recovery_member_id("ab")


def test_signatures_are_those_of_the_standard() -> None:
    """RFC 8032, 7.1, test 2."""
    key = SigningKey(SecretBytes(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")))
    assert key.public.spki_der[12:].hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )

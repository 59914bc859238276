"""Attacks on people and their keys: A01 to A08, A13, A16 to A18."""

from dataclasses import replace

import pytest
from tests.attacks.scene import K1, K2, NOW, OTHER_ROOT, Scene, at_root, entry, event_codes, refused
from tests.sim import rsa_key
from tests.sim.naive import naive_open

from candado.errors import (
    CandadoError,
    ContextError,
    KeyChangedError,
    KeyHistoryError,
    KeysExistError,
    MalformedError,
    NoKeysError,
    NotAMemberError,
    SignerError,
    UntrustedCertificateError,
)
from candado.folder.filedrop import merge_drops
from candado.folder.model import Accepted, PeerPin
from candado.formats.canonjson import JsonObject
from candado.formats.metadata import format_drop, format_drop_content
from candado.protocol.enrolment import EnrolmentStep, KeysOnServer, Wish, check_own_certificate, decide
from candado.types import SealedName, UserId

MALLORY = UserId("mallory")


# --- A01, A02: keys of others ---------------------------------------------------------------------------


def test_a01_a_first_key_is_taken_pinned_unverified_and_shown(scene: Scene) -> None:
    accepted = scene.show(scene.root(scene.content(5, "budget.txt"), members=("alice", "bob", "mallory")))
    fingerprint = scene.who("mallory").key.public.fingerprint_hex
    assert accepted.new_peers == {MALLORY: PeerPin(fingerprint, NOW, verified=False)}
    shown = [(event.code, event.user_id, event.detail) for event in accepted.events]
    assert ("key.first-seen", MALLORY, fingerprint) in shown


def test_a02_another_key_for_a_known_user_is_refused(scene: Scene, known: Accepted) -> None:
    swapped = scene.user("mallory", K1, as_user="bob", certificate=scene.certificate("bob", "mallory"))
    raw = scene.root(scene.content(6, "evil.txt"), members=["alice", swapped], signer=scene.impostor("bob", "mallory"))
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob")
    error = refused(scene, raw, at_root(known.pin), KeyChangedError)
    old, new = scene.who("bob").key.public.fingerprint_hex, rsa_key("mallory").public.fingerprint_hex
    assert old[:16] in error.message
    assert new[:16] in error.message


# --- A03: the own certificate ---------------------------------------------------------------------------


@pytest.mark.parametrize("first_sight", [True, False])
def test_a03_our_own_entry_with_a_foreign_key_is_refused(scene: Scene, known: Accepted, first_sight: bool) -> None:
    stolen = scene.user("alice", K1, certificate=scene.certificate("alice", "mallory"))
    raw = scene.root(scene.content(6, "budget.txt"), members=[stolen, "bob"])
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob")
    refused(scene, raw, at_root(None if first_sight else known.pin), ContextError, "own.cert-mismatch")


def test_a03_a_certificate_for_another_key_is_refused_at_enrolment(scene: Scene) -> None:
    authority = scene.world.server.authority.public
    own = scene.who("alice")
    assert (
        check_own_certificate(
            own.certificate, user_id=own.user_id, own_key=own.key.public, authority=authority, now=NOW
        )
        == []
    )
    foreign = scene.impostor("alice", "mallory").certificate
    with pytest.raises(ContextError) as caught:
        check_own_certificate(foreign, user_id=own.user_id, own_key=own.key.public, authority=authority, now=NOW)
    assert caught.value.event == "own.cert-mismatch"


# --- A04, A05: the authority ----------------------------------------------------------------------------


def test_a04_a_new_authority_does_not_lock_us_out_of_known_people(scene: Scene, known: Accepted) -> None:
    reissued = [
        scene.user(user, K1, certificate=scene.certificate(user, user, issuer="other-authority"))
        for user in ("alice", "bob")
    ]
    raw = scene.root(scene.content(6, "budget.txt"), members=reissued)
    accepted = scene.show(raw, at_root(known.pin))
    assert [event.user_id for event in accepted.events if event.code == "cert.untrusted"] == ["alice", "bob"]


@pytest.mark.parametrize("issuer", ["other-authority", "mallory", "bob"])
def test_a05_a_stranger_whom_the_pinned_authority_does_not_vouch_for_is_refused(scene: Scene, issuer: str) -> None:
    stranger = scene.user("mallory", K1, certificate=scene.certificate("mallory", "mallory", issuer=issuer))
    raw = scene.root(scene.content(5, "evil.txt"), members=["alice", "bob", stranger])
    assert naive_open(scene.who("alice"), raw.text).members == ("alice", "bob", "mallory")
    refused(scene, raw, at_root(None), UntrustedCertificateError)


# --- A06: names in certificates -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "common_name",
    [
        "bob",
        "Mallory",
        "mallory ",
        " mallory",
        "mal",
        "mallory1",
        "s:mallory",
        "ｍallory",
        "mallor\u0443",
        "mallory\u200b",
    ],
)
@pytest.mark.parametrize("pinned", [True, False])
def test_a06_a_certificate_for_another_name_is_refused(scene: Scene, common_name: str, pinned: bool) -> None:
    wrong = scene.user("mallory", K1, certificate=scene.certificate(common_name, "mallory"))
    raw = scene.root(scene.content(5, "evil.txt"), members=["alice", "bob", wrong])
    if pinned:
        peer = PeerPin(rsa_key("mallory").public.fingerprint_hex, NOW, verified=True)
        scene.pins = replace(scene.pins, peers={**scene.pins.peers, MALLORY: peer})
    assert "mallory" in naive_open(scene.who("alice"), raw.text).members
    refused(scene, raw, at_root(None), UntrustedCertificateError)


# --- A07: fields of certificates ------------------------------------------------------------------------


def test_a07_a_certificate_that_cannot_be_read_is_refused(scene: Scene) -> None:
    for pem in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x" * 100_000):
        broken = scene.user("mallory", K1, certificate="-")
        raw = scene.root(scene.content(5, "evil.txt"), members=["alice", "bob", replace(broken, certificate_pem=pem)])
        with pytest.raises(CandadoError) as caught:
            scene.show(raw, at_root(None))
        assert caught.value.code in {"MALFORMED", "LIMIT_EXCEEDED"}


def test_a07_an_expired_certificate_of_a_known_key_is_a_warning(scene: Scene) -> None:
    old = scene.user("bob", K1, certificate=scene.certificate("bob", "bob", when=NOW - 2e9))
    accepted = scene.show(scene.root(scene.content(5, "budget.txt"), members=["alice", old]), at_root(None))
    assert [(event.code, event.user_id) for event in accepted.events if event.code.startswith("cert.")] == [
        ("cert.warning", "bob")
    ]


# --- A08: twins -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [["alice", "bob", "twin"], ["alice", "twin", "bob"]])
@pytest.mark.parametrize("twin", ["bob", "BOB", "ｂob"])
def test_a08_one_user_twice_is_refused(scene: Scene, order: list[str], twin: str) -> None:
    second = scene.user("mallory", K1, as_user=twin, certificate=scene.certificate(twin, "mallory"))
    members = [second if member == "twin" else member for member in order]
    raw = scene.root(scene.content(5, "evil.txt"), members=members)
    assert naive_open(scene.who("alice"), raw.text).names == {"evil.txt"}
    refused(scene, raw, at_root(None), ContextError, "users.duplicate")


def test_a08_one_key_twice_is_refused(scene: Scene) -> None:
    second = scene.user("bob", K1, as_user="mallory", certificate=scene.certificate("mallory", "bob"))
    raw = scene.root(scene.content(5, "evil.txt"), members=["alice", "bob", second])
    assert naive_open(scene.who("alice"), raw.text).names == {"evil.txt"}
    refused(scene, raw, at_root(None), ContextError, "users.duplicate")


# --- A13: forced re-initialisation ----------------------------------------------------------------------


@pytest.mark.parametrize("wish", list(Wish))
@pytest.mark.parametrize("found", [KeysOnServer(None, False), KeysOnServer("pem", False), KeysOnServer(None, True)])
def test_a13_a_device_with_an_identity_never_makes_new_keys(wish: Wish, found: KeysOnServer) -> None:
    with pytest.raises(ContextError) as caught:
        decide(wish, found, own_key_fingerprint="ab" * 32)
    assert caught.value.event == "own.keys-missing"


def test_a13_a_person_with_words_is_never_led_into_new_keys() -> None:
    nothing = KeysOnServer(None, False)
    assert decide(Wish.NEW_KEYS, nothing, own_key_fingerprint=None) is EnrolmentStep.REGISTER
    with pytest.raises(NoKeysError):
        decide(Wish.JOIN, nothing, own_key_fingerprint=None)
    with pytest.raises(KeysExistError):
        decide(Wish.NEW_KEYS, KeysOnServer("pem", True), own_key_fingerprint=None)


# --- A16: a wrapped key in another context --------------------------------------------------------------


def test_a16_a_root_under_the_key_of_another_root_is_refused(scene: Scene, known: Accepted) -> None:
    scene.pins = replace(scene.pins, root_checksums=dict.fromkeys(known.pin.key_checksums, known.pin.file_id))
    raw = scene.root(scene.content(1, "evil.txt"), signer="bob", members=("alice", "bob"))
    assert naive_open(scene.who("alice"), raw.text).next_write_key == K1
    refused(scene, raw, at_root(None, file_id=OTHER_ROOT), ContextError, "ctx.root")


def test_a16_a_drop_under_the_key_of_the_folder_is_refused(scene: Scene) -> None:
    block = scene.block(format_drop_content(entry("dropped.txt")), K1)
    own = scene.user("alice", K1)
    drops: JsonObject = {"d1" * 16: format_drop(block, [(own.user_id, own.wrapped_key)])}
    folder = scene.accepted(scene.root(scene.content(5), drops=drops)).folder
    merged = merge_drops(folder, scene.who("alice"))
    assert [error.event for error in merged.refused.values() if isinstance(error, ContextError)] == ["key.context"]
    assert dict(merged.migrated) == {}


# --- A17: a key of the server's choice ------------------------------------------------------------------


def test_a17_a_document_made_up_by_the_server_is_refused_on_a_known_root(scene: Scene, known: Accepted) -> None:
    raw = scene.root(
        scene.content(6, "budget.txt", keys=(K1, K2)),
        members=("alice", "bob", "mallory"),
        signer="mallory",
        metadata_key=K2,
    )
    assert naive_open(scene.who("alice"), raw.text).next_write_key == K2
    refused(scene, raw, at_root(known.pin), SignerError, "meta.signer-unknown")


@pytest.mark.parametrize(("owned", "code"), [(True, "fresh.unanchored"), (False, "share.new")])
def test_a17_a_first_sight_is_accepted_only_with_an_event(scene: Scene, owned: bool, code: str) -> None:
    raw = scene.root(scene.content(6, "budget.txt"), members=("alice", "mallory"), signer="mallory")
    accepted = scene.show(raw, at_root(None, owned=owned))
    assert accepted.transition.first_sight
    assert (code, "mallory") in [(event.code, event.user_id) for event in accepted.events]


# --- A18: no key material -------------------------------------------------------------------------------


def test_a18_a_root_without_members_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(6, "evil.txt"), members=())
    assert naive_open(scene.who("alice"), raw.text, K1).names == {"evil.txt"}
    refused(scene, raw, at_root(known.pin), ContextError, "meta.key-missing")


def test_a18_a_root_without_our_entry_is_refused(scene: Scene, known: Accepted) -> None:
    raw = scene.root(scene.content(6, "evil.txt"), members=("bob",))
    assert naive_open(scene.who("alice"), raw.text, K1).names == {"evil.txt"}
    refused(scene, raw, at_root(known.pin), NotAMemberError)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 24, 32])
def test_a18_a_key_of_another_length_is_refused(scene: Scene, known: Accepted, size: int) -> None:
    wrapped = rsa_key("alice").public.encrypt_oaep(b"k" * size)
    raw = scene.root(scene.content(6, "evil.txt"), members=[scene.user("alice", K1, wrapped=wrapped), "bob"])
    refused(scene, raw, at_root(known.pin), KeyHistoryError, "meta.key-missing")


def test_a18_a_key_of_zeros_and_garbage_are_refused(scene: Scene, known: Accepted) -> None:
    for wrapped in (rsa_key("alice").public.encrypt_oaep(bytes(16)), b"\x01" * 256, b"\x01"):
        raw = scene.root(scene.content(6, "evil.txt"), members=[scene.user("alice", K1, wrapped=wrapped), "bob"])
        refused(scene, raw, at_root(known.pin), KeyHistoryError, "meta.key-missing")


def test_a18_an_empty_wrapped_key_breaks_the_grammar(scene: Scene, known: Accepted) -> None:
    raw = scene.resigned(
        scene.root(scene.content(6, "evil.txt")), lambda doc: doc["users"][0].update(encryptedMetadataKey=""), "bob"
    )
    refused(scene, raw, at_root(known.pin), MalformedError)


def test_baseline_an_honest_next_state_is_accepted_without_any_event(scene: Scene, known: Accepted) -> None:
    accepted = scene.show(scene.root(scene.content(6, "budget.txt", "new.txt")), at_root(known.pin))
    assert event_codes(accepted) == []
    assert {each.filename for each in accepted.folder.files.values()} == {"budget.txt", "new.txt"}
    assert SealedName("a1" * 16) not in accepted.folder.folders

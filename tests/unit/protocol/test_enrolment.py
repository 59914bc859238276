"""What a device does about the account's keys."""

import pytest
from tests.sim import World, rsa_key

from candado.errors import (
    ContextError,
    IncompleteKeysError,
    KeysExistError,
    NoKeysError,
    QuotaExceededError,
    UntrustedCertificateError,
)
from candado.protocol.enrolment import (
    EnrolmentStep,
    KeysOnServer,
    Wish,
    check_own_certificate,
    decide,
    wrapped_key_refused,
)

NOTHING, HALF, BOTH = KeysOnServer(None, False), KeysOnServer("pem", False), KeysOnServer("pem", True)
KEY_ONLY = KeysOnServer(None, True)


@pytest.mark.parametrize(
    ("wish", "found", "step"),
    [
        (Wish.NEW_KEYS, NOTHING, EnrolmentStep.REGISTER),
        (Wish.JOIN, BOTH, EnrolmentStep.UNWRAP),
        (Wish.RESET, HALF, EnrolmentStep.DELETE_CERTIFICATE),
    ],
)
def test_a_fresh_device_goes_the_one_sensible_way(wish: Wish, found: KeysOnServer, step: EnrolmentStep) -> None:
    assert decide(wish, found, own_key_fingerprint=None) is step


@pytest.mark.parametrize(
    ("wish", "found", "error"),
    [
        (Wish.JOIN, NOTHING, NoKeysError),
        (Wish.RESET, NOTHING, NoKeysError),
        (Wish.NEW_KEYS, HALF, IncompleteKeysError),
        (Wish.JOIN, HALF, IncompleteKeysError),
        (Wish.NEW_KEYS, BOTH, KeysExistError),
        (Wish.RESET, BOTH, KeysExistError),
    ],
)
def test_a_fresh_device_is_stopped_with_the_way_out(wish: Wish, found: KeysOnServer, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        decide(wish, found, own_key_fingerprint=None)
    assert type(caught.value) is error


@pytest.mark.parametrize("wish", list(Wish))
def test_a_private_key_without_a_certificate_is_never_touched(wish: Wish) -> None:
    with pytest.raises(ContextError) as caught:
        decide(wish, KEY_ONLY, own_key_fingerprint=None)
    assert caught.value.event == "own.keys-missing"


@pytest.mark.parametrize("wish", list(Wish))
def test_a_device_that_has_joined_does_not_join_again(wish: Wish) -> None:
    with pytest.raises(KeysExistError):
        decide(wish, BOTH, own_key_fingerprint="ab" * 32)


def test_an_own_certificate_of_another_authority_is_refused() -> None:
    world = World("alice")
    own = world.identity("alice")
    options = {"user_id": own.user_id, "own_key": own.key.public, "now": world.clock.now()}
    assert check_own_certificate(own.certificate, authority=world.server.authority.public, **options) == []  # type: ignore[arg-type]
    with pytest.raises(UntrustedCertificateError):
        check_own_certificate(own.certificate, authority=rsa_key("other-authority").public, **options)  # type: ignore[arg-type]


def test_a_wrapped_key_that_could_not_be_stored_names_the_cause() -> None:
    faster = wrapped_key_refused(KeysExistError())
    assert isinstance(faster, KeysExistError)
    assert "meanwhile" in faster.message
    assert isinstance(wrapped_key_refused(QuotaExceededError()), IncompleteKeysError)


def test_a_device_whose_keys_the_server_hides_makes_no_new_ones() -> None:
    with pytest.raises(ContextError):
        decide(Wish.NEW_KEYS, NOTHING, own_key_fingerprint="ab" * 32)


def test_an_own_certificate_for_another_key_is_refused() -> None:
    world = World("alice")
    own, authority = world.identity("alice"), world.server.authority.public
    with pytest.raises(ContextError) as caught:
        check_own_certificate(
            own.certificate,
            user_id=own.user_id,
            own_key=rsa_key("mallory").public,
            authority=authority,
            now=world.clock.now(),
        )
    assert caught.value.event == "own.cert-mismatch"

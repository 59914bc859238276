"""The authority's key on a token: a real SoftHSM 2, whatever an administrator and a hand on the plug can do to it."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Mechanism, MechanismFlag, TokenFlag
from tests.softhsm import MODULE, PIN, SoftToken

from candado.adapters import hsm
from candado.adapters.hsm import HsmSession, HsmToken, check_pin_state, require_mechanism
from candado.adapters.hsm_signer import HsmSigner
from candado.crypto.rsa import PublicKey
from candado.errors import (
    AuthorityChangedError,
    CandadoError,
    PinRefusedError,
    SignerSetupError,
    SignerUnavailableError,
)
from candado.formats.pkcs11uri import parse_key_uri
from candado.types import SecretText


def _pin() -> SecretText:
    return SecretText(PIN)


class PinFile:
    """A PIN that can be changed, and a count of how often it was read."""

    def __init__(self, text: str = PIN) -> None:
        self.text, self.reads = text, 0

    def __call__(self) -> SecretText:
        self.reads += 1
        return SecretText(self.text)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken(tmp_path / "hsm")
    made.add()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken(tmp_path / "hsm")
    made.add_with_keys()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


@pytest.fixture
async def signer(token: SoftToken) -> AsyncIterator[HsmSigner]:
    opened = await HsmSigner.open(token.uri(), _pin, expected=None)
    yield opened
    await opened.close()


def _public(signer: HsmSigner) -> PublicKey:
    return PublicKey.from_pem(signer.public_key_pem)


async def _opening(token: SoftToken, address: str | None = None, **options: Any) -> CandadoError:
    """What opening a signer raises."""
    uri = token.uri() if address is None else parse_key_uri(address)
    with pytest.raises(CandadoError) as caught:
        await HsmSigner.open(uri, options.pop("pin", _pin), **{"expected": None, **options})
    return caught.value


async def test_a_key_made_on_a_token_never_left_it_and_is_not_made_twice(empty: SoftToken) -> None:
    assert await HsmSigner.prepare(empty.uri(), _pin, may_make=True)
    signer = await HsmSigner.open(empty.uri(), _pin, expected=None)
    facts = await signer.facts()
    assert (facts["token"], facts["key"]) == ("candado", HsmSigner.NEVER_LEFT)
    assert signer.place == "candado/authority"
    await signer.close()
    assert not await HsmSigner.prepare(empty.uri(), _pin, may_make=True)
    again = await HsmSigner.open(empty.uri(), _pin, expected=_public(signer))
    assert again.public_key_pem == signer.public_key_pem
    await again.close()


async def test_a_token_that_is_pulled_and_put_back_signs_again_without_a_restart(
    token: SoftToken, signer: HsmSigner
) -> None:
    before = await signer.sign(b"message")
    token.pull()
    for _ in range(2):
        with pytest.raises(SignerUnavailableError):
            await signer.sign(b"message")
        with pytest.raises(SignerUnavailableError):
            await signer.check()
    token.plug()
    assert await signer.sign(b"message") == before
    await signer.check()


async def test_a_token_that_was_away_for_a_moment_is_not_noticed(token: SoftToken, signer: HsmSigner) -> None:
    before = await signer.sign(b"message")
    library = pkcs11.lib(MODULE)
    await signer._token.run(lambda _: library.finalize())  # what a pulled token leaves: every handle is dead
    assert await signer.sign(b"message") == before


async def test_a_server_starts_without_its_token_once_the_key_is_known(token: SoftToken, signer: HsmSigner) -> None:
    before, public = await signer.sign(b"message"), _public(signer)
    await signer.close()
    token.pull()
    assert (await _opening(token)).code == "SIGNER_UNAVAILABLE"
    late = await HsmSigner.open(token.uri(), _pin, expected=public)
    assert late.public_key_pem == public.to_pem()
    with pytest.raises(SignerUnavailableError):
        await late.sign(b"message")
    token.plug()
    assert await late.sign(b"message") == before
    await late.close()


async def test_a_token_with_another_key_signs_nothing(token: SoftToken, signer: HsmSigner, tmp_path: Path) -> None:
    public = _public(signer)
    other = SoftToken(tmp_path / "other")
    other.add()
    token.pull()
    other.tokens.rename(token.tokens)
    await _prepared_by_hand(token)
    with pytest.raises(AuthorityChangedError):
        await signer.sign(b"message")
    await signer.close()
    assert (await _opening(token, expected=public)).code == "AUTHORITY_CHANGED"


async def _prepared_by_hand(token: SoftToken) -> None:
    """Make keys as an administrator would, in a process of his own."""
    program = (
        "import asyncio, sys\n"
        "from candado.adapters.hsm_signer import HsmSigner\nfrom candado.formats.pkcs11uri import parse_key_uri\n"
        "from candado.types import SecretText\n"
        "asyncio.run(HsmSigner.prepare(parse_key_uri(sys.argv[1]), lambda: SecretText(sys.stdin.read()), may_make=True))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, token.address(), stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(PIN.encode())
    assert process.returncode == 0


async def test_a_wrong_pin_is_sent_once_and_a_right_one_is_taken_without_a_restart(
    token: SoftToken, signer: HsmSigner
) -> None:
    public = _public(signer)
    await signer.close()
    pin = PinFile("wrong")
    assert (await _opening(token, pin=pin, expected=public)).code == "PIN_REFUSED"
    patient = await HsmSigner.open(token.uri(), pin, expected=public, patient=True)
    for _ in range(3):
        with pytest.raises(PinRefusedError, match="refused this PIN before"):
            await patient.sign(b"message")
    pin.text = PIN
    _public(signer).verify_pkcs1_sha256(await patient.sign(b"message"), b"message")
    await patient.close()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda a: a.replace(MODULE, "/no/such/module.so"), "SIGNER_SETUP", "cannot be loaded"),
        (lambda a: a.replace(MODULE, "/etc/passwd"), "SIGNER_SETUP", "cannot be loaded"),
        (lambda a: a.replace("token=candado", "token=another"), "SIGNER_UNAVAILABLE", "not there"),
        (lambda a: a.replace("token=candado", "token=candado;serial=0"), "SIGNER_UNAVAILABLE", "not there"),
        (lambda a: a.replace("object=authority", "object=none"), "SIGNER_SETUP", "no private RSA key"),
        (lambda a: a.replace("object=authority", "object=authority;id=%09"), "SIGNER_SETUP", "no private RSA key"),
    ],
)
async def test_what_is_wrong_with_the_address_is_named(
    token: SoftToken, signer: HsmSigner, change: Callable[[str], str], code: str, words: str
) -> None:
    await signer.close()
    error = await _opening(token, change(token.address()))
    assert error.code == code
    assert words in error.message
    assert PIN not in f"{error.message} {error.path} {error.safe} {error.advice}"


async def test_a_mechanism_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = SoftToken(tmp_path / "poor", mechanisms="-CKM_MD5,CKM_SHA256_RSA_PKCS")
    poor.add()
    monkeypatch.setenv("SOFTHSM2_CONF", poor.environment["SOFTHSM2_CONF"])
    with pytest.raises(SignerSetupError, match="CKM_SHA256_RSA_PKCS"):
        await HsmSigner.prepare(poor.uri(), _pin, may_make=True)
    barren = SoftToken(tmp_path / "barren", mechanisms="-CKM_MD5,CKM_RSA_PKCS_KEY_PAIR_GEN")
    barren.add()
    monkeypatch.setenv("SOFTHSM2_CONF", barren.environment["SOFTHSM2_CONF"])
    with pytest.raises(SignerSetupError, match="CKM_RSA_PKCS_KEY_PAIR_GEN"):
        await HsmSigner.prepare(barren.uri(), _pin, may_make=True)


async def test_two_tokens_or_two_keys_of_one_name_are_never_chosen_from(token: SoftToken, signer: HsmSigner) -> None:
    await signer._token.run(lambda session: session.generate("authority", b"\x07", 2048))
    await signer.close()
    assert "2 private RSA keys" in (await _opening(token)).message
    by_id = token.address().replace("object=authority", "object=authority;id=%01")
    second = await HsmSigner.open(parse_key_uri(by_id), _pin, expected=_public(signer))
    await second.close()
    token.add()
    assert "2 tokens fit" in (await _opening(token)).message


async def test_a_key_is_made_only_where_that_was_asked_for(empty: SoftToken) -> None:
    with pytest.raises(SignerSetupError, match="no private RSA key"):
        await HsmSigner.prepare(empty.uri(), _pin, may_make=False)
    nameless = parse_key_uri(empty.address().replace("object=authority", "id=%01"))
    with pytest.raises(SignerSetupError, match="under a label"):
        await HsmSigner.prepare(nameless, _pin, may_make=True)


async def test_a_token_without_the_key_of_the_self_test_says_how_to_make_it(empty: SoftToken) -> None:
    hand = HsmToken(empty.uri(), _pin)
    await hand.run(lambda session: session.generate("authority", b"\x01", 2048))
    await hand.close()
    signer = await HsmSigner.open(empty.uri(), _pin, expected=None)
    with pytest.raises(SignerSetupError) as caught:
        await signer.check()
    assert "ca init" in caught.value.advice
    await signer.close()
    assert not await HsmSigner.prepare(empty.uri(), _pin, may_make=False)
    signer = await HsmSigner.open(empty.uri(), _pin, expected=None)
    await signer.check()
    await signer.close()


async def test_a_key_that_can_no_authority_be_is_refused(empty: SoftToken) -> None:
    hand = HsmToken(empty.uri(), _pin)
    await hand.run(lambda session: session.generate("authority", b"\x01", 1024))
    await hand.close()
    error = await _opening(empty)
    assert (error.code, "2048" in error.message) == ("SIGNER_SETUP", True)


async def test_a_token_that_hangs_keeps_nobody_waiting_for_ever_and_no_endless_queue(token: SoftToken) -> None:
    wedge, begun = threading.Event(), threading.Event()

    def hang(session: HsmSession) -> None:
        begun.set()
        wedge.wait(30)

    hand = HsmToken(token.uri(), _pin, answer_seconds=0.05)
    try:
        first = asyncio.create_task(hand.run(hang, seconds=20))
        await asyncio.to_thread(begun.wait, 20)
        waiting = [asyncio.create_task(hand.run(lambda session: session.has("x"))) for _ in range(hsm._WAITING_MAX + 1)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(result) for result in results} == {SignerUnavailableError}
        assert {str(result).split()[2] for result in results} == {"gave", "callers"}
    finally:
        wedge.set()
        await first
        await hand.close()


class _Slot:
    def __init__(self, info: Any) -> None:
        self.info = info

    def get_mechanisms(self) -> set[Mechanism]:
        return {Mechanism.SHA256_RSA_PKCS}

    def get_mechanism_info(self, mechanism: Mechanism) -> Any:
        return self.info


class _Info:
    def __init__(self, flags: MechanismFlag, size: int) -> None:
        self.flags, self.max_key_length = flags, size


class _Token:
    label = "small"

    def __init__(self, flags: MechanismFlag, size: int) -> None:
        self.slot = _Slot(_Info(flags, size))


def test_a_mechanism_that_only_verifies_or_takes_small_keys_does_not_count() -> None:
    good: Any = _Token(MechanismFlag.SIGN | MechanismFlag.VERIFY, 2048)
    require_mechanism(good, Mechanism.SHA256_RSA_PKCS, MechanismFlag.SIGN)
    for flags, size in ((MechanismFlag.VERIFY, 4096), (MechanismFlag.SIGN, 1024)):
        poor: Any = _Token(flags, size)
        with pytest.raises(SignerSetupError):
            require_mechanism(poor, Mechanism.SHA256_RSA_PKCS, MechanismFlag.SIGN)


def test_the_last_pin_before_a_token_locks_itself_is_left_to_a_person() -> None:
    usual = TokenFlag.USER_PIN_INITIALIZED | TokenFlag.USER_PIN_COUNT_LOW
    check_pin_state(usual, "candado/authority")
    with pytest.raises(PinRefusedError, match="one more PIN") as caught:
        check_pin_state(usual | TokenFlag.USER_PIN_FINAL_TRY, "candado/authority")
    assert caught.value.safe == "No PIN was sent."
    with pytest.raises(PinRefusedError, match="locked"):
        check_pin_state(usual | TokenFlag.USER_PIN_LOCKED, "candado/authority")
    with pytest.raises(SignerSetupError, match="no user PIN"):
        check_pin_state(TokenFlag(0), "candado/authority")

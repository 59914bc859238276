"""A user's key on a real SoftHSM 2: it signs and opens as a key in memory does, and says what is wrong with a token."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from tests.sim import World
from tests.softhsm import PIN, SoftToken
from tests.vectors.keys import private_key

from candado.adapters.token_key import TokenKeys
from candado.crypto.cms import sign_detached
from candado.crypto.keywrap import unwrap_key, wrap_key
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import make_csr, parse_csr
from candado.errors import (
    ContextError,
    MisuseError,
    OpenFailedError,
    PinRefusedError,
    SignerSetupError,
    SignerUnavailableError,
)
from candado.formats.pkcs11uri import parse_key_uri
from candado.types import SecretText

LABEL = "candado user"


def enrolled(user: str) -> bytes:
    """A certificate, DER; signatures carry it and nobody looks at it."""
    return World(user).identity(user).certificate.der


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = SoftToken(tmp_path / "hsm")
    made.add()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


@pytest.fixture
async def keys(token: SoftToken) -> AsyncIterator[TokenKeys]:
    opened = TokenKeys(lambda uri: lambda: SecretText(PIN))
    yield opened
    await opened.close()


async def test_a_key_that_is_made_once_signs_and_opens_like_one_in_memory(token: SoftToken, keys: TokenKeys) -> None:
    uri = token.uri(LABEL)
    public, made = keys.make(uri)
    assert (made, keys.make(uri)) == (True, (public, False))
    key = keys.open(uri, public)
    assert parse_csr(make_csr(key, "alice")).public_key == public
    public.verify_pkcs1_sha256(key.sign_pkcs1_sha256(b"text"), b"text")
    assert sign_detached(b"x", key=key, certificate_der=enrolled("alice"), signing_time=0.0)
    secret = bytes(range(16))
    assert unwrap_key(key, wrap_key(public, secret)) == secret
    with pytest.raises(OpenFailedError):
        key.decrypt_oaep(private_key("bob").public.encrypt_oaep(secret))
    for out_of_range in (b"\xff" * 256, b"\0" * 255, b""):
        with pytest.raises(OpenFailedError):
            key.decrypt_oaep(out_of_range)
    assert repr(key) == "<secret>"


async def test_a_key_on_a_token_does_nothing_else(token: SoftToken, keys: TokenKeys) -> None:
    public, _ = keys.make(token.uri(LABEL))
    inner = keys.open(token.uri(LABEL), public)._key
    assert (inner.key_size, copy.copy(inner), copy.deepcopy(inner)) == (2048, inner, inner)
    with pytest.raises(MisuseError):
        inner.sign(b"x", padding.PKCS1v15(), hashes.SHA1())
    with pytest.raises(MisuseError):
        inner.private_numbers()
    with pytest.raises(MisuseError):
        inner.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


async def test_another_key_in_its_place_is_refused(token: SoftToken, keys: TokenKeys) -> None:
    keys.make(token.uri(LABEL))
    other: PublicKey = private_key("bob").public
    key: PrivateKey = keys.open(token.uri(LABEL), other)
    with pytest.raises(ContextError) as caught:
        key.sign_pkcs1_sha256(b"text")
    assert (caught.value.event, caught.value.expected) == ("own.token-mismatch", other.fingerprint_hex)


async def test_a_token_that_is_pulled_and_put_back_goes_on(token: SoftToken, keys: TokenKeys) -> None:
    public, _ = keys.make(token.uri(LABEL))
    key = keys.open(token.uri(LABEL), public)
    token.pull()
    with pytest.raises(SignerUnavailableError):
        key.sign_pkcs1_sha256(b"text")
    token.plug()
    public.verify_pkcs1_sha256(key.sign_pkcs1_sha256(b"text"), b"text")


async def test_a_wrong_pin_and_an_address_without_a_label_are_told(token: SoftToken) -> None:
    wrong = TokenKeys(lambda uri: lambda: SecretText("0000"))
    with pytest.raises(PinRefusedError):
        wrong.make(token.uri(LABEL))
    by_id = parse_key_uri(token.address(LABEL).replace("object=candado%20user", "id=%05"))
    with pytest.raises(SignerSetupError):
        wrong.make(by_id)
    await wrong.close()
    await wrong.close()

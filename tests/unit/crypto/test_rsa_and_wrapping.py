"""RSA keys, wrapped keys, authenticated encryption."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.vectors.keys import private_key

from candado.crypto import aead, der, keywrap
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.encoding import encode_b64
from candado.errors import (
    BadSignatureError,
    LimitExceededError,
    MalformedError,
    MisuseError,
    OpenFailedError,
    UntrustedCertificateError,
)
from candado.types import MetadataKey

ALICE, BOB = private_key("alice"), private_key("bob")
KEY = bytes(range(1, 17))


def test_a_fresh_key_is_what_the_protocol_asks_for() -> None:
    key = PrivateKey.generate()
    assert key.public.bits == 2048
    assert PrivateKey.from_pkcs8_der(key.to_pkcs8_der(), check=True).public == key.public


def test_a_public_key_has_one_encoding_and_one_fingerprint() -> None:
    public = ALICE.public
    modulus = int.from_bytes(public.spki_der[33:289], "big")
    foreign = rsa.RSAPublicNumbers(65537, modulus).public_key()
    assert foreign.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public.spki_der
    assert public.fingerprint_hex == hashlib.sha256(public.spki_der).hexdigest()
    assert PublicKey.from_pem(public.to_pem()) == public
    assert PublicKey.from_numbers(modulus, 65537) == public
    assert hash(PublicKey.from_spki_der(public.spki_der)) == hash(public)
    assert public != BOB.public
    assert public != public.spki_der


def test_no_secret_is_printed() -> None:
    assert repr(ALICE) == "<secret>"
    assert repr(ALICE.public) == f"PublicKey({ALICE.public.fingerprint_hex[:16]})"


def test_a_signature_holds_for_its_message_and_key_only() -> None:
    signature = ALICE.sign_pkcs1_sha256(b"message")
    ALICE.public.verify_pkcs1_sha256(signature, b"message")
    for public, message in ((BOB.public, b"message"), (ALICE.public, b"other")):
        with pytest.raises(BadSignatureError):
            public.verify_pkcs1_sha256(signature, message)


def test_a_key_that_is_not_rsa_or_not_sound_is_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    other = curve.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(MalformedError, match="not an RSA key"):
        PrivateKey.from_pkcs8_der(other, check=True)
    with pytest.raises(MalformedError, match="damaged"):
        PrivateKey.from_pkcs8_der(b"\x30\x00", check=True)
    small = rsa.generate_private_key(65537, 1024).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UntrustedCertificateError):
        PrivateKey.from_pkcs8_der(small, check=True)
    with pytest.raises(LimitExceededError):
        PrivateKey.from_pkcs8_der(bytes(20_000), check=True)
    with pytest.raises(LimitExceededError):
        PublicKey.from_spki_der(bytes(20_000))


@pytest.mark.parametrize("part", range(3, 9))
def test_an_inconsistent_private_key_is_refused_when_checked(part: int) -> None:
    """Version, n, e, d, p, q, dP, dQ, qInv: from the private exponent on each is altered once."""
    info = der.read_der(ALICE.to_pkcs8_der())
    numbers = der.read_der(info.children[2].content).children
    changed = [node.raw for node in numbers]
    changed[part] = der.integer(der.read_integer(numbers[part]) ^ 4)
    bad = der.sequence(info.children[0].raw, info.children[1].raw, der.tlv(4, der.sequence(*changed)))
    with pytest.raises(MalformedError, match="the private key is damaged"):
        PrivateKey.from_pkcs8_der(bad, check=True)


def test_a_key_the_library_cannot_load_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_data: bytes) -> None:
        raise ValueError

    monkeypatch.setattr("candado.crypto.rsa.load_der_public_key", refuse)
    with pytest.raises(MalformedError):
        PublicKey.from_spki_der(ALICE.public.spki_der)


def test_a_wrapped_key_opens_for_its_person_only() -> None:
    wrapped = keywrap.wrap_key(ALICE.public, KEY)
    assert len(wrapped) == 256
    assert keywrap.wrap_key(ALICE.public, KEY) != wrapped
    assert keywrap.unwrap_key(ALICE, wrapped) == KEY
    with pytest.raises(OpenFailedError):
        keywrap.unwrap_key(BOB, wrapped)
    with pytest.raises(MisuseError):
        keywrap.wrap_key(ALICE.public, KEY[:15])


@pytest.mark.parametrize("inner", [b"", KEY[:15], KEY + b"\0", KEY * 2, bytes(16), b"!" * 24, b"\xff" * 24])
def test_what_is_not_a_key_does_not_unwrap(inner: bytes) -> None:
    wrapped = ALICE.public.encrypt_oaep(inner)
    for unwrap in (keywrap.unwrap_key, keywrap.unwrap_text_key):
        with pytest.raises(OpenFailedError):
            unwrap(ALICE, wrapped)


def test_layers_of_base64_are_taken_off_where_old_clients_put_them() -> None:
    inner = KEY
    for _ in range(4):
        assert keywrap.unwrap_text_key(ALICE, ALICE.public.encrypt_oaep(inner)) == KEY
        if inner != KEY:
            with pytest.raises(OpenFailedError):
                keywrap.unwrap_key(ALICE, ALICE.public.encrypt_oaep(inner))
        inner = encode_b64(inner).encode()
    with pytest.raises(OpenFailedError):
        keywrap.unwrap_text_key(ALICE, ALICE.public.encrypt_oaep(inner))


def test_the_checksum_of_a_key_is_the_hash_of_its_raw_bytes() -> None:
    assert keywrap.key_checksum(MetadataKey(KEY)) == hashlib.sha256(KEY).hexdigest()


def test_sealed_bytes_open_and_the_caller_cannot_take_another_size() -> None:
    for key in (KEY, KEY * 2):
        for nonce in (bytes(12), bytes(16)):
            assert aead.open_sealed(key, nonce, aead.seal(key, nonce, b"text")) == b"text"
    for key, nonce in ((KEY[:8], bytes(12)), (KEY, bytes(8))):
        with pytest.raises(MisuseError):
            aead.seal(key, nonce, b"")
        with pytest.raises(MisuseError):
            aead.open_sealed(key, nonce, bytes(16))

"""Values made by other implementations; read from the folder beside the repository, skipped where it is absent."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from candado.crypto import cms, filebody, keywrap, mnemonic, sealing, x509
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.encoding import pem_decode
from candado.errors import (
    BadSignatureError,
    MalformedError,
    OpenFailedError,
    UntrustedCertificateError,
    WrongMnemonicError,
)
from candado.formats import canonjson, metadata
from candado.types import FileKey, MetadataKey, Nonce, SecretText, Tag, UserId

FOLDER = Path(__file__).parents[3].parent / "shared" / "vectors"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the shared vectors are not beside this checkout")
b64 = base64.b64decode


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


KEYS = (
    "privkey-web-admin-sha1-1024",
    "privkey-web-alice-sha1-600000",
    "privkey-web-alice-sha256-600000",
    "privkey-web-bob-sha256-600000",
)
VARIANTS = {
    ("PBKDF2-HMAC-SHA256", 600000): mnemonic.KdfVariant.SHA256_600000,
    ("PBKDF2-HMAC-SHA1", 600000): mnemonic.KdfVariant.SHA1_600000,
    ("PBKDF2-HMAC-SHA1", 1024): mnemonic.KdfVariant.SHA1_1024,
}


@pytest.mark.parametrize("name", KEYS)
def test_a_wrapped_key_opens_with_its_words_however_they_are_typed(name: str) -> None:
    case = load(name)
    typed = case["mnemonic"].upper().replace(" ", "\t\n")
    opened = mnemonic.open_private_key(case["wrapped"], SecretText(typed))
    expect = case["expect"]
    assert opened.variant is VARIANTS[expect["kdf"], expect["iterations"]]
    assert hashlib.sha256(opened.key.to_pkcs8_der()).hexdigest() == expect["pkcs8_der_sha256"]
    assert opened.key.public.fingerprint_hex == expect["spki_der_sha256"]
    assert opened.key.public.bits == expect["key_bits"]
    assert mnemonic.normalise(typed) == case["kdf_password"]


def test_one_wrong_word_gives_one_clear_error() -> None:
    case = load(KEYS[0])
    with pytest.raises(WrongMnemonicError):
        mnemonic.open_private_key(case["wrapped"], SecretText("farm " + case["mnemonic"]))


@pytest.mark.parametrize("name", ["privkey-web-alice-sha256-600000", "privkey-web-bob-sha256-600000"])
def test_a_stock_certificate_with_serial_0_is_read_and_checked(name: str) -> None:
    case = load(name)
    certificate = x509.parse_certificate(case["certificate_pem"])
    facts = case["certificate_facts"]
    assert (certificate.serial, certificate.signature_hash) == (facts["serial"], facts["signature_hash"])
    assert certificate.fingerprint_hex == facts["fingerprint_sha256"]
    authority = PublicKey.from_pem(case["server_public_key_pem"])
    user = UserId(case["user_id"])
    warnings = x509.check_certificate(certificate, user_id=user, authority=authority, now=1.8e9)
    assert warnings == ["certificate.sha1"]


@pytest.mark.parametrize("index", range(4))
def test_a_certificate_holds_only_under_the_key_that_signed_it(index: int) -> None:
    pair = load("certificates-signed-by-server-key")["pairs"][index]
    certificate = x509.parse_certificate(pair["certificate_pem"])
    authority = PublicKey.from_pem(pair["server_public_key_pem"])

    def check() -> list[str]:
        user = UserId(certificate.common_name)
        return x509.check_certificate(certificate, user_id=user, authority=authority, now=1.8e9)

    if pair["expect_valid"]:
        assert check() == (["certificate.sha1"] if pair["signature_hash"] == "sha1" else [])
    else:
        with pytest.raises(UntrustedCertificateError):
            check()


@pytest.mark.parametrize("name", ["enc1", "enc2", "t1", "john"])
def test_a_phone_identity_has_a_certificate_that_fits_its_private_key(name: str) -> None:
    case = load("keys-android")["identities"][name]
    key = PrivateKey.from_pkcs8_der(b64(case["privateKeyPkcs8Base64"]), check=True)
    assert x509.parse_certificate(case["certificatePem"]).public_key == key.public


def documents() -> list[tuple[str, dict[str, Any], bytes, str, list[str]]]:
    if not FOLDER.is_dir():
        return []
    root, nested, web = (
        load(n) for n in ("metadata-web-root-v2.0", "metadata-web-nested-v2.0", "signature-web-2026-v2.0")
    )
    example = load("worked-example-v2")
    users = [user["certificate"] for user in root["document"]["users"]]
    own = [example["certificate_pem"]]
    web_users = [user["certificate"] for user in web["document"]["users"]]
    return [
        ("root", root["document"], b64(root["signature_base64_der"]), root["expect"]["signed_bytes_sha256"], users),
        (
            "nested",
            nested["document"],
            b64(nested["signature_base64_der"]),
            nested["expect"]["signed_bytes_sha256"],
            users,
        ),
        ("web", web["document"], b64(web["signature_base64_der"]), web["expect"]["signed_bytes_sha256"], web_users),
        *(
            (name, part["document"], b64(part["signature_base64_der"]), part["signed_bytes_sha256"], own)
            for name, part in (("own root", example["root"]), ("own nested", example["nested"]))
        ),
        (
            "own root with arrivals",
            example["root_with_filedrop"],
            b64(example["root"]["signature_base64_der"]),
            example["root"]["signed_bytes_sha256"],
            own,
        ),
    ]


def candidates(pems: list[str]) -> dict[UserId, list[PublicKey]]:
    certificates = [x509.parse_certificate(pem) for pem in pems]
    return {UserId(c.common_name): [c.public_key] for c in certificates}


@pytest.mark.parametrize("case", documents(), ids=lambda case: case[0])
def test_a_signature_holds_whatever_the_order_of_members_and_fails_when_one_changes(case: Any) -> None:
    _, document, signature, digest, pems = case
    shuffled = json.dumps(dict(reversed(document.items())), indent=3)
    sealed = metadata.parse_sealed(shuffled)
    signed = canonjson.signed_bytes(sealed.document)
    assert hashlib.sha256(signed).hexdigest() == digest
    assert canonjson.document_digest(sealed.document) == digest
    signer = cms.verify_detached(signature, signed, candidates(pems))
    assert signer in candidates(pems)
    with pytest.raises(BadSignatureError):
        cms.verify_detached(signature, canonjson.signed_bytes({**sealed.document, "version": "2.1"}), candidates(pems))
    with pytest.raises(BadSignatureError):
        cms.verify_detached(signature, signed, {UserId("x"): [PrivateKey.generate().public]})


def test_a_signature_fails_when_cut_or_moved_and_holds_when_an_arrival_is_added() -> None:
    root, nested = load("metadata-web-root-v2.0"), load("metadata-web-nested-v2.0")
    members = candidates([user["certificate"] for user in root["document"]["users"]])
    for case, other in ((root, nested), (nested, root)):
        document, signature = case["document"], b64(case["signature_base64_der"])
        with_arrival = canonjson.signed_bytes({**document, "filedrop": {"x": {}}})
        assert cms.verify_detached(signature, with_arrival, members) == "admin"
        for size in (0, 1, 100, len(signature) - 1):
            with pytest.raises(MalformedError):
                cms.verify_detached(signature[:size], with_arrival, members)
        for changed in ({**document, "version": "1.0"}, other["document"]):
            with pytest.raises(BadSignatureError):
                cms.verify_detached(signature, canonjson.signed_bytes(changed), members)


def test_a_signature_by_a_twin_certificate_is_not_taken_for_the_victims() -> None:
    case = load("signature-forged-same-issuer-serial")
    victim = x509.parse_certificate(case["victim_certificate_pem"])
    with pytest.raises(BadSignatureError):
        cms.verify_detached(
            b64(case["signature_base64_der"]),
            case["data_ascii"].encode(),
            {UserId(victim.common_name): [victim.public_key]},
        )


@pytest.mark.parametrize("key_name", KEYS[:2])
def test_both_members_open_the_root_and_its_nested_folder(key_name: str) -> None:
    root, nested = load("metadata-web-root-v2.0"), load("metadata-web-nested-v2.0")
    case = load(key_name)
    private = mnemonic.open_private_key(case["wrapped"], SecretText(case["mnemonic"])).key
    sealed = metadata.parse_sealed(json.dumps(root["document"]))
    assert sealed.users is not None
    opened: set[bytes] = set()
    for user in sealed.users:
        try:
            opened.add(keywrap.unwrap_key(private, user.wrapped_key))
        except OpenFailedError:
            continue
    key = MetadataKey(opened.pop())
    assert key.reveal() == b64("SKdjU5I0VtZNU3PoKCKC1Q==")
    assert keywrap.key_checksum(key) == "19f63c2ace5a9e2253e5e9ca4bfc0c7f510b544724688ff6ad728a93c9e9eb57"
    for document, expect in (
        (sealed, root["expect"]),
        (metadata.parse_sealed(json.dumps(nested["document"])), nested["expect"]),
    ):
        block = document.block
        content = metadata.parse_content(
            sealing.open_text(key, sealing.SealedParts(block.ciphertext, block.nonce, block.tag))
        )
        inner = expect["inner"]
        assert content.counter == inner["counter"]
        assert content.folders == (inner.get("folders") or {})
        assert {name: entry.filename for name, entry in content.files.items()} == {
            name: entry["filename"] for name, entry in inner["files"].items()
        }
        assert json.loads(metadata.format_content(content))["files"] == inner["files"]
        assert content.skipped == ()


def test_a_file_of_the_web_client_opens_and_no_altered_one_does() -> None:
    case = load("file-web-small")
    key, nonce, body = FileKey(b64(case["key_base64"])), Nonce(b64(case["nonce_base64"])), b64(case["file_base64"])
    assert filebody.open_body(key, nonce, body) == case["expect"]["plaintext"].encode()
    for bad in (body[:-1] + bytes([body[-1] ^ 1]), body[:-1], body + b"\0", body[:15]):
        with pytest.raises(OpenFailedError):
            filebody.open_body(key, nonce, bad)


def test_key_checksums_are_those_of_the_web_client() -> None:
    for key, checksum in load("key-checksum")["pairs"]:
        assert keywrap.key_checksum(MetadataKey(b64(key))) == checksum


def test_an_arrival_of_the_phone_client_opens() -> None:
    case = load("filedrop-android-v2")
    private = PrivateKey.from_pkcs8_der(b64(case["private_key_pkcs8_base64"]), check=True)
    name = "0d9c8b7a6f5e4d3c2b1a09f8e7d6c5b4"
    document = {"version": "2.0", "metadata": case["entry"], "filedrop": {name: case["entry"]}}
    (drop,) = metadata.parse_sealed(json.dumps(document)).drops
    key = keywrap.unwrap_text_key(private, drop.users[0][1])
    assert key == b64(case["expect"]["filedrop_key_base64"])
    text = sealing.open_text(key, sealing.SealedParts(drop.block.ciphertext, drop.block.nonce, drop.block.tag))
    assert json.loads(text) == json.loads(case["expect"]["inner_json"])
    entry = metadata.parse_drop_content(text)
    assert (entry.filename, entry.mimetype, entry.extra) == ("test.txt", "text/plain", {})


def test_the_worked_example_is_written_and_read_byte_for_byte() -> None:
    case = load("worked-example-v2")
    opened = mnemonic.open_private_key(case["wrapped_private_key"], SecretText(case["mnemonic"]))
    assert opened.key.to_pkcs8_der() == pem_decode(case["private_key_pem"], "PRIVATE KEY")
    request = x509.parse_csr(case["csr_pem"])
    assert (request.common_name, request.public_key) == ("alice", opened.key.public)
    certificate = x509.parse_certificate(case["certificate_pem"])
    authority = PublicKey.from_pem(case["server_public_key_pem"])
    assert x509.check_certificate(certificate, user_id=UserId("alice"), authority=authority, now=1.8e9) == []
    key = MetadataKey(b64(case["metadata_key_base64"]))
    for part in (case["root"], case["nested"]):
        sealed = metadata.parse_sealed(json.dumps(part["document"]))
        assert canonjson.dump_canonical(sealed.document) == part["canonical_json"].encode()
        inner = sealing.open_text(
            key, sealing.SealedParts(sealed.block.ciphertext, sealed.block.nonce, sealed.block.tag)
        )
        assert inner == part["inner_json"].encode()
        assert metadata.format_content(metadata.parse_content(inner)) == inner
    file = case["file"]
    entry = next(iter(metadata.parse_content(case["root"]["inner_json"].encode()).files.values()))
    assert filebody.open_body(entry.key, entry.nonce, b64(file["file_base64"])) == file["plaintext_utf8"].encode()


def test_gzip_with_a_file_name_opens() -> None:
    case = load("gzip-android")
    from candado.crypto import aead

    key, nonce = bytes(16), Nonce(bytes(12))
    sealed = aead.seal(key, nonce, b64(case["gzip_base64"]))
    parts = sealing.SealedParts(sealed, nonce, Tag(sealed[-16:]))
    assert sealing.open_text(key, parts) == case["expect"].encode()


def test_a_signature_beside_another_element_is_not_read() -> None:
    case = load("signature-web-2026-v2.0")
    with pytest.raises(MalformedError):
        cms.verify_detached(b64(case["signature_base64_der"]) + b"\0", b"", {})

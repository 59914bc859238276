"""Detached signatures, also in the eyes of other implementations."""

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import asn1crypto.cms
import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, pkcs7
from tests.vectors.keys import private_key
from tests.vectors.make_certificate import issue
from tests.vectors.make_cms import SHA512, TYPE, Shape, attribute, indefinite

from candado.crypto import cms, der
from candado.encoding import pem_encode
from candado.errors import BadSignatureError, MalformedError
from candado.types import UserId

ALICE = private_key("alice")
# The library warns of serial number 0, which stock certificates have; openssl does not mind.
CERTIFICATE = issue("alice", "alice", serial=der.integer(77))
CONTENT = b"eyJhIjoxfQ=="
CANDIDATES = {
    UserId("bob"): [private_key("bob").public],
    UserId("alice"): [private_key("mallory").public, ALICE.public],
}
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def sign(content: bytes = CONTENT) -> bytes:
    return cms.sign_detached(content, key=ALICE, certificate_der=CERTIFICATE, signing_time=1_790_000_000.5)


def test_what_we_sign_is_verified_and_says_who_signed() -> None:
    assert cms.verify_detached(sign(), CONTENT, CANDIDATES) == "alice"
    assert sign() == sign()
    for content, candidates in (
        (b"other", CANDIDATES),
        (CONTENT, {UserId("bob"): CANDIDATES[UserId("bob")]}),
        (CONTENT, {}),
    ):
        with pytest.raises(BadSignatureError):
            cms.verify_detached(sign(), content, candidates)


def test_another_reader_finds_what_we_wrote() -> None:
    info = asn1crypto.cms.ContentInfo.load(sign(), strict=True).native
    data = info["content"]
    assert (info["content_type"], data["version"], data["digest_algorithms"]) == (
        "signed_data",
        "v1",
        [{"algorithm": "sha256", "parameters": None}],
    )
    assert data["encap_content_info"] == {"content_type": "data", "content": None}
    (signer,) = data["signer_infos"]
    assert (signer["version"], signer["sid"]["serial_number"]) == ("v1", 77)
    names = [attribute["type"] for attribute in signer["signed_attrs"]]
    assert names == ["content_type", "signing_time", "message_digest"]
    assert signer["signed_attrs"][1]["values"][0].timestamp() == 1_790_000_000


def streamed() -> bytes:
    return indefinite(der.read_der(sign()), 4)


@needs_openssl
@pytest.mark.parametrize("blob", [sign, streamed])
def test_openssl_verifies_what_we_sign_in_definite_and_indefinite_lengths(
    tmp_path: Path, blob: Callable[[], bytes]
) -> None:
    assert cms.verify_detached(blob(), CONTENT, CANDIDATES) == "alice"
    (tmp_path / "signature").write_bytes(blob())
    (tmp_path / "content").write_bytes(CONTENT)
    command = [
        "openssl",
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        "signature",
        "-content",
        "content",
        "-binary",
        "-noverify",
        "-out",
        "out",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "out").read_bytes() == CONTENT
    (tmp_path / "content").write_bytes(CONTENT + b"x")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode != 0


@needs_openssl
@pytest.mark.parametrize("extra", [[], ["-nosmimecap"], ["-nocerts"], ["-md", "sha512"]], ids=str)
def test_what_openssl_signs_is_verified(tmp_path: Path, extra: list[str]) -> None:
    (tmp_path / "key.pem").write_text(pem_encode("PRIVATE KEY", ALICE.to_pkcs8_der()))
    (tmp_path / "certificate.pem").write_text(pem_encode("CERTIFICATE", CERTIFICATE))
    (tmp_path / "content").write_bytes(CONTENT)
    command = [
        "openssl",
        "cms",
        "-sign",
        "-in",
        "content",
        "-binary",
        "-signer",
        "certificate.pem",
        "-inkey",
        "key.pem",
        "-outform",
        "DER",
        "-out",
        "signature",
        *extra,
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert cms.verify_detached((tmp_path / "signature").read_bytes(), CONTENT, CANDIDATES) == "alice"


@needs_openssl
def test_without_signed_attributes_or_with_the_content_inside_nothing_is_verified(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pem_encode("PRIVATE KEY", ALICE.to_pkcs8_der()))
    (tmp_path / "certificate.pem").write_text(pem_encode("CERTIFICATE", CERTIFICATE))
    (tmp_path / "content").write_bytes(CONTENT)
    for extra in (["-noattr"], ["-nodetach"], ["-indef", "-stream"]):
        command = [
            "openssl",
            "cms",
            "-sign",
            "-in",
            "content",
            "-binary",
            "-signer",
            "certificate.pem",
            "-inkey",
            "key.pem",
            "-outform",
            "DER",
            "-out",
            "signature",
            *extra,
        ]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        with pytest.raises(MalformedError):
            cms.verify_detached((tmp_path / "signature").read_bytes(), CONTENT, CANDIDATES)


def test_what_the_library_signs_is_verified() -> None:
    key = load_der_private_key(ALICE.to_pkcs8_der(), None)
    assert isinstance(key, RSAPrivateKey)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(CONTENT)
    certificate = library.load_der_x509_certificate(CERTIFICATE)
    builder = builder.add_signer(certificate, key, hashes.SHA384())
    blob = builder.sign(Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])
    assert cms.verify_detached(blob, CONTENT, CANDIDATES) == "alice"


def test_a_renewed_certificate_does_not_matter_because_the_key_counts() -> None:
    renewed = issue("alice", "alice", serial=der.integer(78))
    blob = cms.sign_detached(CONTENT, key=ALICE, certificate_der=renewed, signing_time=0)
    assert cms.verify_detached(blob, CONTENT, CANDIDATES) == "alice"


def test_a_verifier_that_trusts_the_embedded_certificate_would_be_deceived() -> None:
    """The negative control: the twin verifies under its own certificate, and only under that."""
    twin = issue("mallory", "alice", serial=der.integer(77))
    blob = cms.sign_detached(CONTENT, key=private_key("mallory"), certificate_der=twin, signing_time=0)
    assert cms.verify_detached(blob, CONTENT, {UserId("embedded"): [private_key("mallory").public]}) == "embedded"
    with pytest.raises(BadSignatureError):
        cms.verify_detached(blob, CONTENT, {UserId("alice"): [ALICE.public]})


def test_a_blob_beyond_the_limit_is_not_parsed() -> None:
    with pytest.raises(MalformedError, match="256 KiB"):
        cms.verify_detached(bytes(cms.SIGNATURE_BYTES_MAX + 1), CONTENT, CANDIDATES)


def test_a_signature_with_another_digest_than_it_names_fails() -> None:
    digest = attribute("4", der.tlv(4, hashlib.sha512(CONTENT).digest()))
    shape = Shape(attributes=(TYPE, digest), digest=der.sequence(SHA512))
    with pytest.raises(BadSignatureError):
        cms.verify_detached(shape.build(), CONTENT, CANDIDATES)


def test_the_header_form_is_ascii_without_line_breaks() -> None:
    assert b"\n" not in base64.b64encode(sign())
    assert len(base64.b64encode(sign())) < 2300

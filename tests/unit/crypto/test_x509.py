"""Requests and certificates, also in the eyes of other implementations."""

import shutil
import subprocess
import warnings
from pathlib import Path

import asn1crypto.x509
import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_public_key
from tests.vectors.keys import private_key
from tests.vectors.make_certificate import BEGIN, END, issue

from candado.crypto import der, x509
from candado.encoding import pem_decode, pem_encode
from candado.errors import BadSignatureError, MalformedError, MisuseError, UntrustedCertificateError
from candado.types import UserId

ALICE, AUTHORITY = private_key("alice"), private_key("authority")
openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def issued(name: str = "alice", *, serial: int = 4711, begin: float = BEGIN, end: float = END) -> str:
    request = x509.parse_csr(x509.make_csr(ALICE, name))
    tbs = x509.certificate_to_sign(request, serial=serial, not_before=begin, not_after=end)
    return x509.assemble_certificate(tbs, AUTHORITY.sign_pkcs1_sha256(tbs))


def test_a_request_is_read_by_another_implementation() -> None:
    request = library.load_pem_x509_csr(x509.make_csr(ALICE, "zoë").encode())
    assert request.is_signature_valid
    assert [(a.oid.dotted_string, a.value) for a in request.subject] == [("2.5.4.3", "zoë")]
    assert len(request.attributes) == 0


def test_a_request_gives_name_and_key() -> None:
    pem = x509.make_csr(ALICE, "alice")
    one_line = (
        "-----BEGIN CERTIFICATE REQUEST-----\n"
        + "".join(pem.splitlines()[1:-1])
        + "\n-----END CERTIFICATE REQUEST-----"
    )
    for text in (pem, one_line):
        request = x509.parse_csr(text)
        assert (request.common_name, request.public_key, request.spki_der) == (
            "alice",
            ALICE.public,
            ALICE.public.spki_der,
        )
        assert asn1crypto.x509.Name.load(request.subject_der).native == {"common_name": "alice"}


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    data = bytearray(pem_decode(x509.make_csr(ALICE, "alice"), "CERTIFICATE REQUEST"))
    data[-1] ^= 1
    with pytest.raises(BadSignatureError):
        x509.parse_csr(pem_encode("CERTIFICATE REQUEST", bytes(data)))
    with pytest.raises(MalformedError):
        x509.parse_csr(issued())


def test_an_issued_certificate_is_what_stock_clients_need() -> None:
    pem = issued()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = library.load_pem_x509_certificate(pem.encode())
    assert seen.issuer == seen.subject == library.Name([library.NameAttribute(library.NameOID.COMMON_NAME, "alice")])
    assert (seen.serial_number, seen.version) == (4711, library.Version.v3)
    assert (seen.not_valid_before_utc.timestamp(), seen.not_valid_after_utc.timestamp()) == (BEGIN, END)
    constraints = seen.extensions.get_extension_for_class(library.BasicConstraints)
    assert (constraints.critical, constraints.value) == (True, library.BasicConstraints(ca=True, path_length=None))
    key_id = library.SubjectKeyIdentifier.from_public_key(seen.public_key())
    assert seen.extensions.get_extension_for_class(library.SubjectKeyIdentifier).value == key_id
    authority_id = seen.extensions.get_extension_for_class(library.AuthorityKeyIdentifier).value
    assert authority_id.key_identifier == key_id.digest
    public = load_pem_public_key(AUTHORITY.public.to_pem().encode())
    assert isinstance(public, RSAPublicKey)
    public.verify(seen.signature, seen.tbs_certificate_bytes, PKCS1v15(), SHA256())


def test_the_subject_of_a_desktop_request_is_reduced_to_the_common_name() -> None:
    names = [
        (library.NameOID.COUNTRY_NAME, "DE"),
        (library.NameOID.ORGANIZATION_NAME, "Nextcloud"),
        (library.NameOID.COMMON_NAME, "alice"),
    ]
    subject = library.Name([library.NameAttribute(oid, value) for oid, value in names])
    key = load_der_private_key(ALICE.to_pkcs8_der(), None)
    assert isinstance(key, RSAPrivateKey)
    pem = (
        library.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256()).public_bytes(Encoding.PEM)
    )
    request = x509.parse_csr(pem.decode())
    tbs = x509.certificate_to_sign(request, serial=1, not_before=BEGIN, not_after=END)
    assert asn1crypto.x509.TbsCertificate.load(tbs)["subject"].native == {"common_name": "alice"}


def test_an_issued_certificate_is_accepted_for_its_person_only() -> None:
    certificate = x509.parse_certificate(issued())
    assert (certificate.common_name, certificate.public_key, certificate.serial) == ("alice", ALICE.public, 4711)
    assert (certificate.not_before, certificate.not_after, certificate.signature_hash) == (BEGIN, END, "sha256")
    assert "signature" not in repr(certificate).replace("signature_hash", "")

    def check(user: str, now: float = 1.8e9, authority: str = "authority") -> list[str]:
        public = private_key(authority).public
        return x509.check_certificate(certificate, user_id=UserId(user), authority=public, now=now)

    assert check("alice") == []
    assert check("alice", END + 1) == ["certificate.expired"]
    assert check("alice", BEGIN - 3_600) == []
    assert check("alice", BEGIN - 90_000) == ["certificate.not-yet-valid"]
    with pytest.raises(UntrustedCertificateError):
        check("bob")
    with pytest.raises(UntrustedCertificateError):
        check("alice", authority="mallory")


def test_an_end_after_2049_is_written_so_that_others_read_it() -> None:
    pem = issued(end=2_600_000_000.0)
    assert library.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp() == 2_600_000_000
    assert x509.parse_certificate(pem).not_after == 2_600_000_000


def test_a_time_of_the_last_century_is_read_as_such() -> None:
    certificate = x509.parse_certificate(
        pem_encode("CERTIFICATE", issue("alice", "alice", begin=der.tlv(0x17, b"500101000000Z")))
    )
    assert certificate.not_before == -631_152_000


@pytest.mark.parametrize(("serial", "begin", "end"), [(0, BEGIN, END), (1 << 159, BEGIN, END), (1, END, BEGIN)])
def test_a_certificate_that_nobody_would_accept_is_not_made(serial: int, begin: float, end: float) -> None:
    with pytest.raises(MisuseError):
        issued(serial=serial, begin=begin, end=end)


@openssl
def test_openssl_verifies_what_we_issue(tmp_path: Path) -> None:
    (tmp_path / "request.pem").write_text(x509.make_csr(ALICE, "alice"))
    (tmp_path / "certificate.pem").write_text(issued())
    run = subprocess.run(
        ["openssl", "req", "-in", "request.pem", "-verify", "-noout"], cwd=tmp_path, capture_output=True, check=True
    )
    assert b"OK" in run.stderr + run.stdout
    run = subprocess.run(
        ["openssl", "x509", "-in", "certificate.pem", "-noout", "-subject", "-issuer", "-serial"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert run.stdout.decode().replace(" ", "").split() == ["subject=CN=alice", "issuer=CN=alice", "serial=1267"]


def test_fingerprints_are_shown_in_words_and_in_groups() -> None:
    assert x509.fingerprint_words("00" * 32) == "-".join(["abandon"] * 12)
    assert x509.fingerprint_words("ff" * 17 + "00" * 15) == "-".join(["zoo"] * 12)
    assert x509.fingerprint_grouped("0123456789abcdef" * 4) == " ".join(["0123 4567 89ab cdef"] * 4)
    for bad in ("", "00" * 31, "FF" * 32, "00" * 32 + "\n"):
        with pytest.raises(MalformedError):
            x509.fingerprint_words(bad)
        with pytest.raises(MalformedError):
            x509.fingerprint_grouped(bad)

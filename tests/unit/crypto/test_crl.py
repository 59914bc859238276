"""The list of revoked keys: what we write others read, and what is not such a list is refused."""

from dataclasses import replace

import pytest
from cryptography import x509 as other
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from tests.vectors.keys import private_key

from candado.crypto import crl, der
from candado.crypto.crl import RevokedKey
from candado.encoding import pem_decode, pem_encode
from candado.errors import LimitExceededError, MalformedError, MisuseError, UntrustedCertificateError

AUTHORITY, ALICE = private_key("authority"), private_key("alice")
NOW = 1_800_000_000.0
DAY = 86_400.0
ENTRIES = (
    RevokedKey(7, NOW - DAY, ALICE.public.fingerprint_hex, crl.REASONS["key-compromise"]),
    RevokedKey(0, NOW - 2 * DAY, "ab" * 32, crl.REASONS["left"]),
)


def _made(*entries: RevokedKey, number: int = 3) -> str:
    tbs = crl.revocation_list_to_sign(
        entries, AUTHORITY.public, number=number, this_update=NOW, next_update=NOW + 7 * DAY
    )
    return crl.assemble_revocation_list(tbs, AUTHORITY.sign_pkcs1_sha256(tbs))


@pytest.mark.parametrize("entries", [(), ENTRIES])
def test_a_list_is_read_back_as_it_was_written(entries: tuple[RevokedKey, ...]) -> None:
    read = crl.parse_revocation_list(_made(*entries))
    assert (read.number, read.this_update, read.next_update, read.entries) == (3, NOW, NOW + 7 * DAY, entries)
    crl.check_revocation_list(read, AUTHORITY.public)
    with pytest.raises(UntrustedCertificateError):
        crl.check_revocation_list(read, ALICE.public)


def test_another_implementation_reads_the_same() -> None:
    read = other.load_pem_x509_crl(_made(*ENTRIES).encode())
    public = load_pem_public_key(AUTHORITY.public.to_pem().encode())
    assert read.is_signature_valid(public)  # type: ignore[arg-type]
    assert read.extensions.get_extension_for_class(other.CRLNumber).value.crl_number == 3
    assert [entry.serial_number for entry in read] == [7, 0]
    reasons = [entry.extensions.get_extension_for_class(other.CRLReason).value.reason for entry in read]
    assert reasons == [other.ReasonFlags.key_compromise, other.ReasonFlags.cessation_of_operation]


def test_what_could_not_be_a_list_is_not_signed() -> None:
    for number, end in ((0, NOW + 1), (2**63, NOW + 1), (1, NOW)):
        with pytest.raises(MisuseError):
            crl.revocation_list_to_sign((), AUTHORITY.public, number=number, this_update=NOW, next_update=end)


def test_a_list_beyond_the_limits_is_not_parsed() -> None:
    with pytest.raises(LimitExceededError):
        crl.parse_revocation_list("x" * (crl.PEM_CHARS_MAX + 1))


def _altered(change: "tuple[bytes, bytes]") -> str:
    data = pem_decode(_made(*ENTRIES), "X509 CRL")
    old, new = change
    assert len(old) == len(new)
    assert data.count(old) >= 1
    return pem_encode("X509 CRL", data.replace(old, new))


NUMBER, REASON = der.oid("2.5.29.20"), der.oid("2.5.29.21")
KEY_ID = der.oid("2.5.29.35")


@pytest.mark.parametrize(
    "change",
    [
        (b"candado authority", b"candado authoritY"),
        (der.sequence(der.integer(1))[2:] + der.sequence(der.oid("1.2.840.113549.1.1.11"), b"\5\0"),
         der.sequence(der.integer(0))[2:] + der.sequence(der.oid("1.2.840.113549.1.1.11"), b"\5\0")),
        (der.oid("1.2.840.113549.1.1.11"), der.oid("1.2.840.113549.1.1.12")),
        (NUMBER, der.oid("2.5.29.27")),
        (KEY_ID, NUMBER),
        (NUMBER + b"\4\3\2\1\3", NUMBER + b"\4\3\2\1\0"),
        (NUMBER + b"\4\3\2\1\3", NUMBER + b"\4\3\2\1\xff"),
        (NUMBER + b"\4\3\2\1\3", NUMBER + b"\3\3\2\1\3"),
        (NUMBER + b"\4\3\2\1\3", NUMBER + b"\4\3\4\1\3"),
        (REASON, der.oid("2.5.29.99")),
        (REASON + b"\4\3\x0a\1\1", REASON + b"\4\3\2\1\1"),
        (b"\4\x20" + b"\xab" * 32, b"\3\x20" + b"\xab" * 32),
        (der.time(NOW), der.time(NOW + 8 * DAY)),
    ],
)  # fmt: skip
def test_a_list_of_another_form_is_refused(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(MalformedError):
        crl.parse_revocation_list(_altered(change))


def test_an_entry_with_a_short_fingerprint_or_a_long_reason_is_refused() -> None:
    for bad in (replace(ENTRIES[0], key_fingerprint_hex="ab" * 31),):
        with pytest.raises(MalformedError):
            crl.parse_revocation_list(_made(bad))


def test_a_critical_extension_is_refused() -> None:
    data = der.read_der(pem_decode(_made(), "X509 CRL"))
    tbs, algorithm, bits = data.children
    *before, extensions = tbs.children
    critical = der.sequence(KEY_ID, b"\x01\x01\xff", der.tlv(der.OCTET_STRING, b"\5\0"))
    number = extensions.children[0].children[1].raw
    made = der.sequence(
        der.sequence(*(node.raw for node in before), der.tlv(0xA0, der.sequence(critical, number))),
        algorithm.raw,
        bits.raw,
    )
    with pytest.raises(MalformedError):
        crl.parse_revocation_list(pem_encode("X509 CRL", made))


def test_thousands_of_entries_are_read() -> None:
    many = [RevokedKey(number, NOW, f"{number:064x}", 4) for number in range(3000)]
    assert len(crl.parse_revocation_list(_made(*many)).entries) == 3000

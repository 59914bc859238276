"""Vectors of certificates. Run: python -m tests.vectors.make_certificate"""

import hashlib
from collections.abc import Iterator

from candado.crypto import der
from candado.encoding import pem_encode
from tests.vectors.keys import private_key
from tests.vectors.vectorfile import format_vector, write

SOURCE = "protocol document, section 5; RFC 5280; threat model, A05 to A07"
NULL = der.tlv(der.NULL)
SHA1_RSA, SHA256_RSA, MD5_RSA, PSS, RSA = (der.oid(f"1.2.840.113549.1.1.{n}") for n in (5, 11, 4, 10, 1))
BEGIN, END = 1_767_225_600, 2_397_859_200


def name(*pairs: tuple[int, int, str]) -> bytes:
    """A name of (last arc of 2.5.4, string tag, text) attributes, each in its own set."""
    return der.sequence(
        *(
            der.tlv(der.SET, der.sequence(der.oid(f"2.5.4.{arc}"), der.tlv(tag, text.encode("utf-8"))))
            for arc, tag, text in pairs
        )
    )


def extension(arc: int, value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence(der.oid(f"2.5.29.{arc}"), b"\x01\x01\xff" if critical else b"", der.tlv(4, value))


CA = extension(19, der.sequence(b"\x01\x01\xff"), critical=True)


def issue(
    key: str,
    common_name: str,
    *,
    signer: str = "authority",
    subject: bytes | None = None,
    spki: bytes | None = None,
    serial: bytes | None = None,
    algorithm: bytes | None = None,
    inner_algorithm: bytes | None = None,
    version: bytes | None = None,
    begin: bytes | None = None,
    end: bytes | None = None,
    fields: bytes | None = None,
) -> bytes:
    """A certificate in the form of the stock server: issuer is subject, serial number 0; parts can be exchanged."""
    kind = der.sequence(SHA256_RSA, NULL) if algorithm is None else algorithm
    who = name((3, 0x0C, common_name)) if subject is None else subject
    tbs = der.sequence(
        der.tlv(0xA0, der.integer(2)) if version is None else version,
        der.integer(0) if serial is None else serial,
        kind if inner_algorithm is None else inner_algorithm,
        who,
        der.sequence(der.time(BEGIN) if begin is None else begin, der.time(END) if end is None else end),
        who,
        private_key(key).public.spki_der if spki is None else spki,
        der.tlv(0xA3, der.sequence(CA)) if fields is None else fields,
    )
    return der.sequence(tbs, kind, der.bit_string(private_key(signer).sign_pkcs1_sha256(tbs)))


def spki(modulus: int, exponent: int = 65537) -> bytes:
    numbers = der.sequence(der.integer(modulus), der.integer(exponent))
    return der.sequence(der.sequence(RSA, NULL), der.bit_string(numbers))


def number(bits: int, *, even: bool = False) -> int:
    """A fixed modulus of the given size; nobody knows its factors."""
    stream = b"".join(hashlib.sha512(b"modulus %d" % n).digest() for n in range(bits // 512 + 1))
    value = int.from_bytes(stream, "big") & ((1 << bits) - 1) | 1 << (bits - 1) | 1
    return value - 1 if even else value


def marked() -> int:
    """A modulus that carries the mark of CVE-2017-15361: a power of 65537 modulo every small prime."""
    product = 1
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157):
        product *= prime
    rest = pow(65537, 4711, product)
    value = number(2048)
    value += (rest - value) % product
    return value if value % 2 else value + product


def good() -> Iterator[tuple[str, str, bytes, str]]:
    yield "stock", "serial number 0, issuer is subject", issue("alice", "alice"), "alice"
    yield (
        "distinct_serial",
        "a serial number of 20 bytes",
        issue("alice", "alice", serial=der.integer((1 << 158) + 1)),
        "alice",
    )
    full = name((6, 0x13, "DE"), (8, 0x0C, "Baden-Wuerttemberg"), (10, 0x0C, "Nextcloud"), (3, 0x0C, "alice"))
    yield "desktop_subject", "four more names in the subject", issue("alice", "", subject=full), "alice"
    yield "printable", "common name as PrintableString", issue("alice", "", subject=name((3, 0x13, "alice"))), "alice"
    yield "utf_8", "a user id beyond ASCII", issue("alice", "zoë"), "zo\\u00eb"
    yield "after_2049", "GeneralizedTime for the end", issue("alice", "alice", end=der.time(2_600_000_000)), "alice"
    yield "no_extensions", "no extensions at all", issue("alice", "alice", fields=b""), "alice"
    note = extension(99, NULL)
    yield (
        "unknown_not_critical",
        "an unknown extension that is not critical",
        issue("alice", "alice", fields=der.tlv(0xA3, der.sequence(CA, note))),
        "alice",
    )
    yield "large_key", "a key of 8,192 bits", issue("alice", "alice", spki=spki(number(8192))), "alice"


def untrusted() -> Iterator[tuple[str, str, bytes]]:
    yield "self_signed", "signed by its own key", issue("alice", "alice", signer="alice")
    yield "signed_by_another_person", "signed by another person's key", issue("alice", "alice", signer="bob")
    yield "for_somebody_else", "common name of another person", issue("alice", "bob")
    yield "other_case", "common name in another case", issue("alice", "Alice")
    yield "trailing_blank", "a blank after the common name", issue("alice", "alice ")
    yield "leading_blank", "a blank before the common name", issue("alice", " alice")
    yield "decomposed", "look-alike letters", issue("alice", "a\u0301lice")
    yield "cyrillic", "a Cyrillic letter", issue("alice", "\u0430lice")
    yield "link_visitor", "a public link for a person", issue("alice", "s:alice")
    yield "rsa_1024", "1,024 bits", issue("alice", "alice", spki=spki(number(1024)))
    yield "rsa_2047", "2,047 bits", issue("alice", "alice", spki=spki(number(2047)))
    yield "rsa_8193", "8,193 bits", issue("alice", "alice", spki=spki(number(8193)))
    yield "rsa_16384", "16,384 bits", issue("alice", "alice", spki=spki(number(16384)))
    yield "exponent_1", "exponent 1", issue("alice", "alice", spki=spki(number(2048), 1))
    yield "exponent_3", "exponent 3", issue("alice", "alice", spki=spki(number(2048), 3))
    yield "exponent_17", "exponent 17", issue("alice", "alice", spki=spki(number(2048), 17))
    yield "even_modulus", "an even modulus", issue("alice", "alice", spki=spki(number(2048, even=True)))
    yield "zero_modulus", "modulus 0", issue("alice", "alice", spki=spki(0))
    negative = der.sequence(der.tlv(der.INTEGER, number(2048).to_bytes(256, "big")), der.integer(65537))
    yield (
        "negative_modulus",
        "a modulus without the zero before it",
        issue("alice", "alice", spki=der.sequence(der.sequence(RSA, NULL), der.bit_string(negative))),
    )
    yield "marked_modulus", "a modulus of a faulty generator", issue("alice", "alice", spki=spki(marked()))
    point = der.sequence(
        der.sequence(der.oid("1.2.840.10045.2.1"), der.oid("1.2.840.10045.3.1.7")), der.bit_string(b"\x04" + bytes(64))
    )
    yield "elliptic_curve", "an EC key", issue("alice", "alice", spki=point)
    yield (
        "rsa_pss_key",
        "a key bound to PSS",
        issue("alice", "alice", spki=der.sequence(der.sequence(PSS), der.bit_string(bytes(300)))),
    )
    yield (
        "no_null",
        "key algorithm without parameters: a second spelling of one key",
        issue(
            "alice",
            "alice",
            spki=der.sequence(der.sequence(RSA), der.read_der(private_key("alice").public.spki_der).children[1].raw),
        ),
    )
    yield "md5", "signature algorithm MD5", issue("alice", "alice", algorithm=der.sequence(MD5_RSA, NULL))
    yield "says_sha1", "says SHA-1, is SHA-256", issue("alice", "alice", algorithm=der.sequence(SHA1_RSA, NULL))
    yield "pss", "signature algorithm PSS", issue("alice", "alice", algorithm=der.sequence(PSS))
    yield (
        "critical_unknown",
        "a critical extension nobody knows",
        issue("alice", "alice", fields=der.tlv(0xA3, der.sequence(CA, extension(99, NULL, critical=True)))),
    )
    yield (
        "critical_name_constraints",
        "critical name constraints",
        issue("alice", "alice", fields=der.tlv(0xA3, der.sequence(extension(30, der.sequence(), critical=True)))),
    )
    yield (
        "ends_before_it_begins",
        "end and begin exchanged",
        issue("alice", "alice", begin=der.time(END), end=der.time(BEGIN)),
    )


def refused() -> Iterator[tuple[str, str, bytes]]:
    ok = issue("alice", "alice")
    yield "cut", "last byte missing", ok[:-1]
    yield "trailing_byte", "a byte after the structure", ok + b"\0"
    yield "twice", "two certificates", ok * 2
    yield "two_common_names", "two common names", issue("alice", "", subject=name((3, 0x0C, "bob"), (3, 0x0C, "alice")))
    yield (
        "same_name_twice",
        "the same common name twice",
        issue("alice", "", subject=name((3, 0x0C, "alice"), (3, 0x0C, "alice"))),
    )
    multi = der.sequence(
        der.tlv(der.SET, *[der.sequence(der.oid("2.5.4.3"), der.tlv(0x0C, n)) for n in (b"alice", b"mallory")])
    )
    yield "multi_valued", "two names in one set", issue("alice", "", subject=multi)
    yield "no_common_name", "no common name", issue("alice", "", subject=name((10, 0x0C, "alice")))
    yield "empty_name", "empty common name", issue("alice", "")
    yield "empty_subject", "empty subject", issue("alice", "", subject=der.sequence())
    yield "nul", "NUL in the common name", issue("alice", "alice\0.example")
    yield "line_feed", "line feed in the common name", issue("alice", "alice\n")
    for tag, kind in ((0x14, "teletex"), (0x16, "ia5"), (0x1E, "bmp"), (0x1C, "universal"), (0x04, "octets")):
        yield (
            f"{kind}_string",
            f"common name as another string type ({kind})",
            issue("alice", "", subject=name((3, tag, "alice"))),
        )
    yield (
        "printable_with_at",
        "PrintableString with a character it cannot have",
        issue("alice", "", subject=name((3, 0x13, "alice@example"))),
    )
    bad = der.sequence(der.tlv(der.SET, der.sequence(der.oid("2.5.4.3"), der.tlv(0x0C, b"\xff"))))
    yield "not_utf_8", "UTF8String that is not UTF-8", issue("alice", "", subject=bad)
    yield "version_1", "version 1", issue("alice", "alice", version=b"", fields=b"")
    yield "version_2", "version 2", issue("alice", "alice", version=der.tlv(0xA0, der.integer(1)))
    yield "long_serial", "a serial number of 22 bytes", issue("alice", "alice", serial=der.integer(1 << 170))
    yield (
        "serial_in_two_ways",
        "a serial number with a leading zero",
        issue("alice", "alice", serial=b"\x02\x02\x00\x01"),
    )
    yield (
        "serial_minus_in_two_ways",
        "a serial number with leading ones",
        issue("alice", "alice", serial=b"\x02\x02\xff\xff"),
    )
    yield "serial_empty", "a serial number without bytes", issue("alice", "alice", serial=b"\x02\x00")
    yield "serial_as_text", "a serial number that is none", issue("alice", "alice", serial=b"\x04\x01\x00")
    yield (
        "algorithms_differ",
        "two signature algorithms",
        issue("alice", "alice", inner_algorithm=der.sequence(SHA1_RSA, NULL)),
    )
    yield (
        "algorithm_parameters",
        "parameters at the signature algorithm",
        issue("alice", "alice", algorithm=der.sequence(SHA256_RSA, der.integer(1))),
    )
    yield "time_with_zone", "a time with a zone", issue("alice", "alice", begin=der.tlv(0x17, b"2601010000+0100"))
    yield "time_without_seconds", "a time without seconds", issue("alice", "alice", begin=der.tlv(0x17, b"2601010000Z"))
    yield "no_such_day", "30 February", issue("alice", "alice", begin=der.tlv(0x17, b"260230000000Z"))
    yield "time_as_text", "a time as text", issue("alice", "alice", begin=der.tlv(0x0C, b"260101000000Z"))
    yield "extension_twice", "an extension twice", issue("alice", "alice", fields=der.tlv(0xA3, der.sequence(CA, CA)))
    flag = der.sequence(der.oid("2.5.29.19"), b"\x01\x01\x01", der.tlv(4, NULL))
    yield (
        "flag_not_der",
        "a critical flag of another value",
        issue("alice", "alice", fields=der.tlv(0xA3, der.sequence(flag))),
    )
    yield "unique_identifier", "a field of version 2", issue("alice", "alice", fields=der.tlv(0x81, b"\0\1"))
    yield (
        "unused_bits",
        "a key with unused bits",
        issue("alice", "alice", spki=der.sequence(der.sequence(RSA, NULL), b"\x03\x02\x01\x00")),
    )
    yield (
        "key_with_tail",
        "bytes after the key",
        issue(
            "alice",
            "alice",
            spki=der.sequence(
                der.sequence(RSA, NULL), der.bit_string(der.sequence(der.integer(1), der.integer(1)) + b"\0")
            ),
        ),
    )
    yield "indefinite_length", "an indefinite length", b"\x30\x80" + der.read_der(ok).children[0].raw + b"\0\0"
    yield "high_tag", "a tag of several bytes", b"\x3f\x81\x01\x00"
    yield "empty_length", "nothing after the tag", b"\x30"
    yield "length_cut", "a length cut short", b"\x30\x84\x01"
    yield "length_too_long", "a length of five bytes", b"\x30\x85\x00\x00\x00\x00\x01\x00"
    yield "length_with_zero", "a length with a leading zero", b"\x30\x82\x00\x01\x00"
    yield "length_in_long_form", "a short length in the long form", b"\x30\x81\x01\x00"


def cases() -> Iterator[tuple[str, str]]:
    def vector(expect: str, comment: str, data: bytes, user: str) -> str:
        return format_vector(
            expect=expect, source=SOURCE, comment=comment, user=user,
            authority=private_key("authority").public.fingerprint_hex, payload=pem_encode("CERTIFICATE", data).strip(),
        )  # fmt: skip

    for case, comment, data, user in good():
        yield case, vector("ok", comment, data, user)
    for case, comment, data in untrusted():
        yield case, vector("UntrustedCertificateError", comment, data, "alice")
    for case, comment, data in refused():
        yield case, vector("MalformedError", comment, data, "alice")
    ok = pem_encode("CERTIFICATE", issue("alice", "alice"))
    texts = {
        "no_armour": "".join(ok.splitlines()[1:-1]),
        "other_label": ok.replace("CERTIFICATE", "X509 CERTIFICATE"),
        "two_blocks": ok + ok,
        "text_before": "Bag Attributes\n" + ok,
        "text_after": ok + "x",
        "only_begin": ok.splitlines()[0],
        "armour_overlaps": "-----BEGIN CERTIFICATE-----END CERTIFICATE-----",
        "empty_block": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "foreign_letter": ok.replace("\n", "\n!", 1),
    }
    for case, text in texts.items():
        yield (
            f"pem_{case}",
            format_vector(
                expect="MalformedError",
                source=SOURCE,
                comment=case.replace("_", " "),
                user="alice",
                payload=text.strip(),
            ),
        )
    one_line = "-----BEGIN CERTIFICATE-----\n" + "".join(ok.splitlines()[1:-1]) + "\n-----END CERTIFICATE-----"
    yield (
        "pem_one_line",
        format_vector(expect="ok", source=SOURCE, comment="one single long line", user="alice", payload=one_line),
    )
    yield (
        "pem_too_long",
        format_vector(
            expect="LimitExceededError",
            source=SOURCE,
            comment="more than 32 Ki characters",
            user="alice",
            payload="A" * 33_000,
        ),
    )


if __name__ == "__main__":
    write("certificate", cases)

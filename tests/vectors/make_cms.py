"""Vectors of detached signatures: one good shape of each writer, many mutants. Run: python -m tests.vectors.make_cms"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from candado.crypto import der
from tests.vectors.keys import private_key
from tests.vectors.make_certificate import issue
from tests.vectors.vectorfile import format_vector, write

SOURCE = "RFC 5652, 5; protocol document, sections 14 and 15; threat model, A20 to A24"
CONTENT = b"eyJ2ZXJzaW9uIjoiMi4wIn0="
NULL = der.tlv(der.NULL)
SHA256, SHA384, SHA512 = (der.oid(f"2.16.840.1.101.3.4.2.{n}") for n in (1, 2, 3))
SHA1, MD5 = der.oid("1.3.14.3.2.26"), der.oid("1.2.840.113549.2.5")
RSA, SHA256_RSA, SHA512_RSA = (der.oid(f"1.2.840.113549.1.1.{n}") for n in (1, 11, 13))
PSS, ECDSA = der.oid("1.2.840.113549.1.1.10"), der.oid("1.2.840.10045.4.3.2")
DATA, SIGNED_DATA, ENVELOPED = (der.oid(f"1.2.840.113549.1.7.{n}") for n in (1, 2, 3))


def attribute(name: str, *values: bytes) -> bytes:
    return der.sequence(der.oid(f"1.2.840.113549.1.9.{name}"), der.tlv(der.SET, *values))


TYPE = attribute("3", DATA)
TIME = attribute("5", der.time(1_790_000_000))
DIGEST = attribute("4", der.tlv(der.OCTET_STRING, hashlib.sha256(CONTENT).digest()))
CAPABILITIES = attribute("15", der.sequence(der.sequence(der.oid("2.16.840.1.101.3.4.1.42"))))
PROTECTION = attribute("52", der.sequence(der.sequence(SHA256), der.tlv(0xA1, SHA256_RSA)))


@dataclass(frozen=True)
class Shape:
    """Everything that can differ in a SignedData; ``build`` signs what the attributes say."""

    attributes: tuple[bytes, ...] = (TYPE, TIME, DIGEST)
    digest: bytes = der.sequence(SHA256)
    announced: tuple[bytes, ...] | None = None
    algorithm: bytes = der.sequence(RSA, NULL)
    key: str = "alice"
    version: int = 1
    outer_version: int = 1
    content: bytes = der.sequence(DATA)
    outer_type: bytes = SIGNED_DATA
    certificates: bytes | None = None
    lists: bytes = b""
    identifier: bytes | None = None
    unsigned: bytes = b""
    signers: int = 1
    signature: bytes | None = None
    attributes_tag: int = 0xA0
    signature_tag: int = der.OCTET_STRING

    def build(self) -> bytes:
        certificate = issue("alice", "alice")
        tbs = der.read_der(certificate).children[0].children
        signed = der.tlv(der.SET, *self.attributes)
        signature = self.signature if self.signature is not None else private_key(self.key).sign_pkcs1_sha256(signed)
        signer = der.sequence(
            der.integer(self.version),
            self.identifier or der.sequence(tbs[3].raw, tbs[1].raw),
            self.digest,
            der.tlv(self.attributes_tag, *self.attributes) if self.attributes else b"",
            self.algorithm,
            der.tlv(self.signature_tag, signature),
            self.unsigned,
        )
        embedded = der.tlv(0xA0, certificate) if self.certificates is None else self.certificates
        announced = (self.digest,) if self.announced is None else self.announced
        data = der.sequence(
            der.integer(self.outer_version), der.tlv(der.SET, *announced), self.content, embedded, self.lists,
            der.tlv(der.SET, *[signer] * self.signers),
        )  # fmt: skip
        return der.sequence(self.outer_type, der.tlv(0xA0, data))


def indefinite(node: der.Node, depth: int) -> bytes:
    """The same elements with indefinite lengths in the outer ``depth`` levels, as a streaming writer makes them."""
    if depth == 0 or not node.children:
        return node.raw
    return bytes((node.tag, 0x80)) + b"".join(indefinite(child, depth - 1) for child in node.children) + b"\0\0"


def good() -> Iterator[tuple[str, str, bytes]]:
    base = Shape()
    yield "as_we_write", "attributes in DER order, rsaEncryption", base.build()
    yield (
        "desktop",
        "with S/MIME capabilities, digest without parameters",
        replace(base, attributes=(TYPE, TIME, DIGEST, CAPABILITIES)).build(),
    )
    web = Shape(
        attributes=(TYPE, DIGEST, TIME),
        version=0,
        algorithm=der.sequence(SHA256_RSA),
        digest=der.sequence(SHA256, NULL),
    )
    yield "web", "attributes not in DER order, version 0, no parameters", web.build()
    phone = Shape(attributes=(TYPE, TIME, PROTECTION, DIGEST), algorithm=der.sequence(SHA256_RSA, NULL))
    yield "phone", "indefinite lengths outside", indefinite(der.read_der(phone.build()), 4)
    yield (
        "indefinite_everywhere",
        "indefinite lengths in every constructed element",
        indefinite(der.read_der(base.build()), 16),
    )
    yield "without_certificate", "nothing embedded", replace(base, certificates=b"").build()
    yield (
        "twin_certificate",
        "embedded is a certificate of another key",
        replace(base, certificates=der.tlv(0xA0, issue("mallory", "alice"))).build(),
    )
    yield "without_time", "only the two attributes that must be there", replace(base, attributes=(TYPE, DIGEST)).build()


def _with_signer(blob: bytes, parts: int) -> bytes:
    """The blob with only the first ``parts`` elements of its SignerInfo."""
    signed = der.read_der(blob).children[1].children[0].children
    signer = der.sequence(*[part.raw for part in signed[-1].children[0].children[:parts]])
    data = der.sequence(*[part.raw for part in signed[:-1]], der.tlv(der.SET, signer))
    return der.sequence(SIGNED_DATA, der.tlv(0xA0, data))


def refused(base: Shape) -> Iterator[tuple[str, str, bytes]]:
    """Blobs that are not the one allowed shape."""
    blob = base.build()
    yield "empty", "no bytes at all", b""
    yield "cut", "last byte missing", blob[:-1]
    yield "trailing_byte", "a byte after the structure", blob + b"\0"
    yield "twice", "two structures", blob * 2
    yield "not_der", "text", b"not a signature"
    yield (
        "without_attributes",
        "signature directly over the content",
        replace(base, attributes=(), signature=private_key("alice").sign_pkcs1_sha256(CONTENT)).build(),
    )
    yield "without_type", "no content type", replace(base, attributes=(TIME, DIGEST)).build()
    yield "without_digest", "no message digest", replace(base, attributes=(TYPE, TIME)).build()
    yield (
        "digest_twice",
        "right digest and wrong digest",
        replace(base, attributes=(TYPE, DIGEST, attribute("4", der.tlv(4, bytes(32))))).build(),
    )
    yield (
        "digest_with_two_values",
        "one attribute, two values",
        replace(
            base, attributes=(TYPE, attribute("4", der.tlv(4, hashlib.sha256(CONTENT).digest()), der.tlv(4, bytes(32))))
        ).build(),
    )
    yield "digest_without_value", "an attribute without value", replace(base, attributes=(TYPE, attribute("4"))).build()
    yield (
        "digest_as_text",
        "message digest is not an octet string",
        replace(base, attributes=(TYPE, attribute("4", der.tlv(12, hashlib.sha256(CONTENT).digest())))).build(),
    )
    yield "type_twice", "content type twice", replace(base, attributes=(TYPE, TYPE, DIGEST)).build()
    yield (
        "other_signed_type",
        "signed content type is enveloped data",
        replace(base, attributes=(attribute("3", ENVELOPED), DIGEST)).build(),
    )
    yield (
        "other_inner_type",
        "content type outside is enveloped data",
        replace(base, content=der.sequence(ENVELOPED)).build(),
    )
    yield "other_outer_type", "the blob says enveloped data", replace(base, outer_type=ENVELOPED).build()
    yield (
        "attached",
        "the content is inside",
        replace(base, content=der.sequence(DATA, der.tlv(0xA0, der.tlv(4, CONTENT)))).build(),
    )
    yield (
        "attached_other",
        "other content is inside",
        replace(base, content=der.sequence(DATA, der.tlv(0xA0, der.tlv(4, b"x")))).build(),
    )
    yield "no_signer", "nobody signed", replace(base, signers=0).build()
    yield "two_signers", "two signers", replace(base, signers=2).build()
    yield "signer_version_3", "signer of version 3", replace(base, version=3).build()
    yield "data_version_3", "SignedData of version 3", replace(base, outer_version=3).build()
    yield (
        "named_by_key_identifier",
        "signer named by key identifier",
        replace(base, identifier=der.tlv(0x80, bytes(20))).build(),
    )
    yield "unsigned_attributes", "unsigned attributes", replace(base, unsigned=der.tlv(0xA1, TIME)).build()
    yield "revocation_list", "a revocation list", replace(base, lists=der.tlv(0xA1, der.sequence())).build()
    yield (
        "second_certificate_field",
        "two fields of certificates",
        replace(base, lists=der.tlv(0xA0, issue("bob", "bob"))).build(),
    )
    yield (
        "revocation_instead",
        "a list in the place of the certificates",
        replace(base, certificates=der.tlv(0xA1, der.sequence())).build(),
    )
    yield (
        "sha1",
        "digest SHA-1",
        replace(
            base,
            digest=der.sequence(SHA1),
            attributes=(TYPE, attribute("4", der.tlv(4, hashlib.sha1(CONTENT).digest()))),
        ).build(),
    )
    yield "md5", "digest MD5", replace(base, digest=der.sequence(MD5)).build()
    yield (
        "digest_parameters",
        "a digest with parameters",
        replace(base, digest=der.sequence(SHA256, der.integer(1))).build(),
    )
    yield "announced_other", "another digest is announced", replace(base, announced=(der.sequence(SHA512),)).build()
    yield "announced_none", "no digest is announced", replace(base, announced=()).build()
    yield (
        "announced_two",
        "two digests are announced",
        replace(base, announced=(der.sequence(SHA256), der.sequence(SHA512))).build(),
    )
    yield (
        "algorithm_of_other_digest",
        "SHA-512 with RSA over SHA-256",
        replace(base, algorithm=der.sequence(SHA512_RSA, NULL)).build(),
    )
    yield "pss", "RSASSA-PSS", replace(base, algorithm=der.sequence(PSS)).build()
    yield "ecdsa", "ECDSA", replace(base, algorithm=der.sequence(ECDSA)).build()
    yield (
        "algorithm_parameters",
        "RSA with parameters",
        replace(base, algorithm=der.sequence(RSA, der.integer(1))).build(),
    )
    yield "attributes_as_set", "attributes under their signed tag", replace(base, attributes_tag=0x31).build()
    yield (
        "signature_as_text",
        "the signature is not an octet string",
        replace(base, signature_tag=der.UTF8_STRING).build(),
    )
    yield "long_length", "a length not in its shortest form", b"\x30\x83\x00" + blob[2:]
    yield (
        "attribute_as_set",
        "an attribute that is not a sequence",
        replace(base, attributes=(TYPE, DIGEST, der.tlv(0x31, DATA, NULL))).build(),
    )
    yield (
        "attribute_named_by_number",
        "an attribute whose type is a number",
        replace(base, attributes=(TYPE, DIGEST, der.sequence(der.integer(1), der.tlv(0x31, NULL)))).build(),
    )
    yield "signer_of_two_parts", "a signer with nothing but version and name", _with_signer(blob, 2)
    yield "signer_of_five_parts", "a signer without signature", _with_signer(blob, 5)
    yield "nested_too_deeply", "thousands of levels", b"\x30\x80" * 5000
    yield "thousands_of_elements", "more elements than allowed", der.sequence(*[NULL] * 5000)


def wrong(base: Shape) -> Iterator[tuple[str, str, bytes]]:
    """Well-formed signatures that prove nothing."""
    raw = base.build()
    signed = der.tlv(der.SET, *base.attributes)
    yield "other_signer", "signed by a person who is no candidate", replace(base, key="mallory").build()
    yield (
        "other_signer_twin",
        "the same with a copied certificate name",
        replace(base, key="mallory", certificates=der.tlv(0xA0, issue("mallory", "alice"))).build(),
    )
    yield (
        "other_content",
        "digest of other content",
        replace(base, attributes=(TYPE, TIME, attribute("4", der.tlv(4, bytes(32))))).build(),
    )
    yield (
        "short_digest",
        "digest cut short",
        replace(base, attributes=(TYPE, attribute("4", der.tlv(4, hashlib.sha256(CONTENT).digest()[:16])))).build(),
    )
    yield "signature_bit", "last bit of the signature", raw[:-1] + bytes((raw[-1] ^ 1,))
    yield "signature_empty", "empty signature", replace(base, signature=b"").build()
    yield (
        "signature_short",
        "signature cut short",
        replace(base, signature=private_key("alice").sign_pkcs1_sha256(signed)[:-1]).build(),
    )
    yield (
        "sorted_afterwards",
        "attributes sorted after signing",
        replace(
            base,
            attributes=(TYPE, TIME, DIGEST),
            signature=private_key("alice").sign_pkcs1_sha256(der.tlv(der.SET, TYPE, DIGEST, TIME)),
        ).build(),
    )
    yield (
        "other_digest_named",
        "says SHA-512, is SHA-256",
        replace(
            base,
            digest=der.sequence(SHA512),
            attributes=(TYPE, attribute("4", der.tlv(4, hashlib.sha512(CONTENT).digest()))),
        ).build(),
    )
    yield (
        "signed_as_sent",
        "signature over the attributes with their outer tag",
        replace(base, signature=private_key("alice").sign_pkcs1_sha256(der.tlv(0xA0, *base.attributes))).build(),
    )


def cases() -> Iterator[tuple[str, str]]:
    groups = (("ok", good()), ("MalformedError", refused(Shape())), ("BadSignatureError", wrong(Shape())))
    for expect, group in groups:
        for name, comment, blob in group:
            yield name, format_vector(
                expect=expect, source=SOURCE, comment=comment, content=CONTENT.decode(),
                candidates="bob alice", signer="alice", payload=blob,
            )  # fmt: skip


if __name__ == "__main__":
    write("cms", cases)

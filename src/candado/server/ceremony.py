"""The ceremony that makes an authority's key: what is planned, and the signed record of what was done.

Layer: ``server``; pure. The plan is a small TOML file that people review beforehand; the transcript names it by its
SHA-256. The new key signs the transcript, which so says of itself which key it speaks of; that it is the right one,
people see by the fingerprint they wrote down, and by the certificates that verify under it.

    transcript = {"schema": "candado.ceremony/1", "body": {...}, "signature": base64}
    signed     = "candado ceremony transcript" LF | canonical JSON of the body     (RSA PKCS#1 v1.5, SHA-256)
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from candado.crypto.rsa import PublicKey
from candado.encoding import decode_b64, encode_b64
from candado.errors import BadRequestError, MalformedError
from candado.formats.canonjson import JsonObject, dump_canonical, load_json
from candado.formats.pkcs11uri import KeyUri, parse_key_uri

__all__ = ["Ceremony", "check_transcript", "format_transcript", "parse_ceremony", "transcript_message"]

PLAN_BYTES_MAX: Final = 64 * 1024
TRANSCRIPT_BYTES_MAX: Final = 1024 * 1024
_SCHEMA: Final = "candado.ceremony/1"
_PREFIX: Final = b"candado ceremony transcript\n"
_PEOPLE_MIN: Final = 2
_MEMBERS: Final = frozenset(("name", "people", "authority"))


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A plan: what it is for, who is there, which key is made."""

    name: str
    people: tuple[str, ...]
    uri: KeyUri
    sha256: str
    """Of the file as it was reviewed."""


def parse_ceremony(data: bytes) -> Ceremony:
    """Return the plan in a TOML file with exactly ``name``, ``people`` (two or more, all different), ``authority``.

    Raises:
        BadRequestError: too long, not TOML, another member, fewer people. FormatError: not a PKCS#11 URI of a key with
        a label.
    """
    if len(data) > PLAN_BYTES_MAX:
        raise BadRequestError("the plan of the ceremony is longer than 64 KiB")
    try:
        plan: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadRequestError(f"the plan of the ceremony is not TOML: {exc}") from exc
    if plan.keys() != _MEMBERS:
        raise BadRequestError("the plan of a ceremony has exactly: name, people, authority")
    name, people, authority = plan["name"], plan["people"], plan["authority"]
    if not isinstance(name, str) or not isinstance(authority, str) or not isinstance(people, list):
        raise BadRequestError("name and authority are texts, people is a list of texts")
    if not all(isinstance(one, str) and one.strip() for one in people) or len({*people}) < max(
        _PEOPLE_MIN, len(people)
    ):
        raise BadRequestError("a ceremony needs two people or more, each named once")
    uri = parse_key_uri(authority)
    if uri.label is None:
        raise MalformedError("the key of a ceremony has a label; add object=LABEL")
    return Ceremony(name, tuple(people), uri, hashlib.sha256(data).hexdigest())


def transcript_message(body: JsonObject) -> bytes:
    """Return the bytes that the new key signs; no certificate and no list begins like them."""
    return _PREFIX + dump_canonical(body)


def format_transcript(body: JsonObject, signature: bytes) -> str:
    """Return the transcript as a text for files and for people, one member a line."""
    document = {"schema": _SCHEMA, "body": body, "signature": encode_b64(signature)}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def check_transcript(data: bytes) -> JsonObject:
    """Return the body of a transcript that was signed by the key it names.

    Raises:
        FormatError: not a transcript. BadSignatureError: it was altered, or signed by another key.
        UntrustedCertificateError: its key is none that we accept.
    """
    document = load_json(data, bytes_max=TRANSCRIPT_BYTES_MAX)
    if not isinstance(document, dict) or document.keys() != {"schema", "body", "signature"}:
        raise MalformedError("not the transcript of a ceremony")
    body, signature = document["body"], document["signature"]
    if document["schema"] != _SCHEMA or not isinstance(body, dict) or not isinstance(signature, str):
        raise MalformedError("not the transcript of a ceremony")
    pem = body.get("public_key")
    if not isinstance(pem, str):
        raise MalformedError("the transcript names no key")
    PublicKey.from_pem(pem).verify_pkcs1_sha256(decode_b64(signature), transcript_message(body))
    return body

"""A client that decrypts and checks nothing: it falls for attacks, which proves that they are real."""

import base64
import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from asn1crypto import cms, x509

from candado.crypto.aead import open_sealed
from candado.crypto.keywrap import unwrap_key
from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import parse_certificate
from candado.folder.model import Identity
from candado.types import MetadataKey, Nonce

__all__ = ["NaiveView", "naive_open", "naive_signer"]


@dataclass(frozen=True, slots=True)
class NaiveView:
    """What a credulous client shows, and the key under which it would seal its next write."""

    counter: Any
    names: frozenset[str]
    members: tuple[str, ...]
    next_write_key: MetadataKey
    inner: dict[str, Any] = field(repr=False)


def naive_open(identity: Identity, text: str, root_key: MetadataKey | None = None) -> NaiveView:
    """Open a document with the last entry for us, or with the root's key; every other member is ignored."""
    document = json.loads(text)
    users = {user["userId"]: user for user in document.get("users") or []}
    key = root_key
    if identity.user_id in users:
        wrapped = base64.b64decode(users[identity.user_id]["encryptedMetadataKey"])
        key = MetadataKey(unwrap_key(identity.key, wrapped))
    assert key is not None
    block = document["metadata"]
    sealed = base64.b64decode(block["ciphertext"].split("|")[0])
    packed = open_sealed(key.reveal(), Nonce(base64.b64decode(block["nonce"])), sealed)
    inner = json.loads(gzip.decompress(packed))
    files = {entry["filename"] for entry in inner.get("files", {}).values()}
    return NaiveView(
        inner.get("counter"), frozenset(files | set(inner.get("folders", {}).values())), tuple(users), key, inner
    )


def naive_signer(text: str, signature_b64: str) -> str:
    """Who signed, for a verifier that trusts the embedded certificate once its issuer and serial number look familiar."""
    document = json.loads(text)
    document.pop("filedrop", None)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    info = cms.ContentInfo.load(base64.b64decode(signature_b64))["content"]
    embedded = info["certificates"][0].chosen
    signer = info["signer_infos"][0]
    attributes = b"\x31" + signer["signed_attrs"].dump()[1:]
    key = PublicKey.from_spki_der(embedded.public_key.dump())
    key.verify_pkcs1_sha256(signer["signature"].native, attributes)
    digest = next(a["values"][0].native for a in signer["signed_attrs"] if a["type"].native == "message_digest")
    import hashlib

    assert digest == hashlib.sha256(base64.b64encode(canonical)).digest()
    for user in document["users"]:
        known = x509.Certificate.load(parse_certificate(user["certificate"]).der)
        if (known.issuer, known.serial_number) == (embedded.issuer, embedded.serial_number):
            return str(user["userId"])
    raise AssertionError("the signature does not look familiar")

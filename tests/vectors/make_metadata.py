"""Vectors of outer folder documents. Run: python -m tests.vectors.make_metadata"""

import copy
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from candado.encoding import encode_b64, pem_encode
from tests.vectors.make_certificate import issue
from tests.vectors.vectorfile import format_vector, write

SOURCE = "protocol document, sections 8, 10 and 16; threat model, A18, A55, A91 and A92"
DROP = "0d9c8b7a6f5e4d3c2b1a09f8e7d6c5b4"


def b64(label: str, size: int) -> str:
    return encode_b64((sha256(label.encode()).digest() * 32)[:size])


def root() -> dict[str, Any]:
    tag = (sha256(b"sealed").digest() * 32)[284:300]
    return {
        "metadata": {"authenticationTag": encode_b64(tag), "ciphertext": b64("sealed", 300), "nonce": b64("nonce", 12)},
        "users": [
            {
                "certificate": pem_encode("CERTIFICATE", issue(name, name)),
                "encryptedMetadataKey": b64(name, 256),
                "userId": name,
            }
            for name in ("alice", "bob")
        ],
        "version": "2.0",
    }


def drop() -> dict[str, Any]:
    return {
        "authenticationTag": b64("drop tag", 16), "ciphertext": b64("drop", 180), "nonce": b64("drop nonce", 12),
        "users": [{"encryptedFiledropKey": b64("drop key", 256), "userId": "alice"}],
    }  # fmt: skip


MISSING = object()


def edited(path: str, value: object) -> str:
    """The root document with one member changed or, for MISSING, taken out; ``path`` like ``users.0.userId``."""
    document = root()
    *holders, last = path.split(".")
    target: Any = document
    for step in holders:
        target = target[int(step)] if isinstance(target, list) else target[step]
    key: Any = int(last) if isinstance(target, list) else last
    if value is MISSING:
        del target[key]
    else:
        target[key] = copy.deepcopy(value)
    return json.dumps(document, sort_keys=True)


def good() -> Iterator[tuple[str, str, str, str]]:
    """Name, comment, document, summary: version, users, readable arrivals, unreadable arrivals."""
    block = root()["metadata"]
    nested = {"metadata": block, "version": "2.0"}
    yield "root", "as we write it", json.dumps(root(), sort_keys=True), "2.0 alice,bob - -"
    yield (
        "indented",
        "indented, other order of members",
        json.dumps(dict(reversed(root().items())), indent=2),
        "2.0 alice,bob - -",
    )
    yield "nested", "nested folder", json.dumps(nested), "2.0 none - -"
    yield "nested_empty_users", "nested folder of a phone client", json.dumps({**nested, "users": []}), "2.0 empty - -"
    suffixed = {**block, "ciphertext": block["ciphertext"] + "|" + block["nonce"]}
    yield (
        "nonce_suffix",
        "nonce appended to the ciphertext",
        json.dumps({**nested, "metadata": suffixed}),
        "2.0 none - -",
    )
    yield "nonce_of_16", "nonce of 16 bytes", edited("metadata.nonce", b64("nonce", 16)), "2.0 alice,bob - -"
    for version in ("2", 2, "2.1"):
        shown = "2.1" if version == "2.1" else "2.0"
        yield (
            f"version_{version}_{type(version).__name__}".replace(".", "_"),
            f"version {version!r}",
            edited("version", version),
            f"{shown} alice,bob - -",
        )
    yield (
        "link_visitor",
        "a public link among the users",
        edited("users.1.userId", "s:Yx3kPq"),
        "2.0 alice,s:Yx3kPq - -",
    )
    yield "drop", "one arrival", json.dumps({**root(), "filedrop": {DROP: drop()}}), f"2.0 alice,bob {DROP} -"
    for name, value in (("object", {}), ("list", []), ("null", None)):
        yield f"drop_empty_{name}", "no arrivals", json.dumps({**root(), "filedrop": value}), "2.0 alice,bob - -"
    bad = {
        "no_ciphertext": {**drop(), "ciphertext": ""}, "short_tag": {**drop(), "authenticationTag": "AAAA"}, "number": 7,
        "no_users": {key: value for key, value in drop().items() if key != "users"}, "user_number": {**drop(), "users": [1]},
        "empty_key": {**drop(), "users": [{"encryptedFiledropKey": "", "userId": "alice"}]}, "..": drop(), "a/b": drop(),
    }  # fmt: skip
    document = json.dumps({**root(), "filedrop": {DROP: drop(), **bad}})
    yield (
        "drop_bad",
        "arrivals that cannot be read do not block the folder",
        document,
        f"2.0 alice,bob {DROP} {','.join(bad)}",
    )
    yield "unknown_member", "a member nobody knows", edited("users.0.comment", "x"), "2.0 alice,bob - -"


BAD: dict[str, tuple[str, str, object]] = {
    "no_metadata": ("MalformedError", "metadata", MISSING),
    "metadata_list": ("MalformedError", "metadata", []),
    "no_ciphertext": ("MalformedError", "metadata.ciphertext", MISSING),
    "empty_ciphertext": ("MalformedError", "metadata.ciphertext", ""),
    "only_suffix": ("MalformedError", "metadata.ciphertext", "|AAAAAAAAAAAAAAAA"),
    "ciphertext_number": ("MalformedError", "metadata.ciphertext", 1),
    "ciphertext_with_newline": ("MalformedError", "metadata.ciphertext", "AAAA\nAAAA"),
    "ciphertext_without_padding": ("MalformedError", "metadata.ciphertext", "AA"),
    "ciphertext_url_alphabet": ("MalformedError", "metadata.ciphertext", "__--"),
    "ciphertext_unused_bits": ("MalformedError", "metadata.ciphertext", "AB=="),
    "ciphertext_not_ascii": ("MalformedError", "metadata.ciphertext", "\u00e4AAA"),
    "no_nonce": ("MalformedError", "metadata.nonce", MISSING),
    "nonce_of_0": ("MalformedError", "metadata.nonce", ""),
    "nonce_of_11": ("MalformedError", "metadata.nonce", b64("n", 11)),
    "nonce_of_13": ("MalformedError", "metadata.nonce", b64("n", 13)),
    "nonce_null": ("MalformedError", "metadata.nonce", None),
    "no_tag": ("MalformedError", "metadata.authenticationTag", MISSING),
    "tag_of_12": ("MalformedError", "metadata.authenticationTag", b64("t", 12)),
    "tag_of_17": ("MalformedError", "metadata.authenticationTag", b64("t", 17)),
    "users_object": ("MalformedError", "users", {"alice": {}}),
    "users_null": ("MalformedError", "users", None),
    "users_text": ("MalformedError", "users", "alice"),
    "user_text": ("MalformedError", "users.0", "alice"),
    "no_user_id": ("MalformedError", "users.0.userId", MISSING),
    "user_id_number": ("MalformedError", "users.0.userId", 7),
    "user_id_empty": ("MalformedError", "users.0.userId", ""),
    "user_id_slash": ("MalformedError", "users.0.userId", "../alice"),
    "user_id_nul": ("MalformedError", "users.0.userId", "alice\0"),
    "user_id_long": ("MalformedError", "users.0.userId", "a" * 256),
    "no_certificate": ("MalformedError", "users.0.certificate", MISSING),
    "certificate_list": ("MalformedError", "users.0.certificate", []),
    "no_key": ("MalformedError", "users.0.encryptedMetadataKey", MISSING),
    "key_empty": ("MalformedError", "users.0.encryptedMetadataKey", ""),
    "key_bool": ("MalformedError", "users.0.encryptedMetadataKey", True),
    "drop_text": ("MalformedError", "filedrop", "x"),
    "drop_list": ("MalformedError", "filedrop", [1]),
    "no_version": ("UnsupportedVersionError", "version", MISSING),
    "version_empty": ("UnsupportedVersionError", "version", ""),
    "version_null": ("UnsupportedVersionError", "version", None),
    "version_true": ("UnsupportedVersionError", "version", True),
    "version_list": ("UnsupportedVersionError", "version", ["2.0"]),
    "version_3": ("UnsupportedVersionError", "version", "3.0"),
    "version_2_2": ("UnsupportedVersionError", "version", "2.2"),
    "version_text_1_2": ("UnsupportedVersionError", "version", "1.2"),
    "version_1_2_inside": ("UnsupportedVersionError", "version", 1.2),
    "version_2_fraction": ("MalformedError", "version", 2.0),
}


def cases() -> Iterator[tuple[str, str]]:
    for name, comment, text, summary in good():
        yield name, format_vector(expect="ok", source=SOURCE, comment=comment, summary=summary, payload=text)
    for name, (expect, path, value) in BAD.items():
        yield (
            name,
            format_vector(expect=expect, source=SOURCE, comment=name.replace("_", " "), payload=edited(path, value)),
        )
    plain = json.dumps(root(), sort_keys=True)
    texts = {
        "users_twice": plain.replace('"version"', '"users":[],"version"'),
        "version_twice": plain.replace('"version"', '"version":"2.1","version"'),
        "list": "[]",
        "text": '"x"',
        "nothing": "",
        "bytes_after": plain + "x",
    }
    for name, text in texts.items():
        yield name, format_vector(expect="MalformedError", source=SOURCE, comment=name.replace("_", " "), payload=text)


if __name__ == "__main__":
    write("metadata", cases)

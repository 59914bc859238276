"""Vectors of inner folder documents. Run: python -m tests.vectors.make_inner"""

import json
from collections.abc import Iterator
from typing import Any

from tests.vectors.make_metadata import MISSING, b64
from tests.vectors.vectorfile import format_vector, write

SOURCE = "protocol document, sections 9, 11 and 12; threat model, A55, A59 to A64 and A92 to A94"
FILE, FOLDER = "3f0c1b6d2a5e4f8790ab12cd34ef5678", "a1b2c3d4e5f60718293a4b5c6d7e8f90"


def entry(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "authenticationTag": b64("tag", 16), "filename": "plan.txt", "key": b64("key", 16), "mimetype": "text/plain",
        "nonce": b64("file nonce", 12), **changes,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not MISSING}


def document(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "counter": 7, "deleted": False, "files": {FILE: entry()}, "folders": {FOLDER: "Pläne"}, "keyChecksums": ["ab" * 32], **changes,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not MISSING}


def good() -> Iterator[tuple[str, str, Any, str]]:
    """Name, comment, document, summary: counter, files, folders, number of skipped entries."""
    yield "plain", "as we write it", document(), "7 1 1 0"
    yield "no_deleted", "desktop clients leave it out", document(deleted=MISSING), "7 1 1 0"
    yield "deleted", "a deleted folder", document(deleted=True), "7 1 1 0"
    yield "no_files", "members left out", document(files=MISSING, folders=MISSING, keyChecksums=MISSING), "7 0 0 0"
    yield (
        "unknown_members",
        "unknown members at both levels",
        document(files={FILE: entry(color="red", filesize=3)}, theme={"a": [1]}),
        "7 1 1 0",
    )
    yield "largest_counter", "counter 2^53 - 1", document(counter=2**53 - 1), f"{2**53 - 1} 1 1 0"
    yield (
        "old_nonce_name",
        "initializationVector",
        document(files={FILE: entry(nonce=MISSING, initializationVector=b64("n", 16))}),
        "7 1 1 0",
    )
    yield (
        "both_nonce_names",
        "both, equal",
        document(files={FILE: entry(initializationVector=b64("file nonce", 12))}),
        "7 1 1 0",
    )
    yield "no_mimetype", "no MIME type", document(files={FILE: entry(mimetype=MISSING)}), "7 1 1 0"
    yield (
        "folder_mimetype",
        "a file with the MIME type of a folder stays a file",
        document(files={FILE: entry(mimetype="httpd/unix-directory")}),
        "7 1 1 0",
    )
    yield (
        "phone_identifier",
        "E2EE and 32 upper-case digits",
        document(files={"E2EE" + FILE.upper(): entry()}),
        "7 1 1 0",
    )
    yield (
        "latin_1",
        "not UTF-8: written by a web client",
        json.dumps(document(), ensure_ascii=False).encode("latin-1"),
        "7 1 1 0",
    )
    yield "utf_8", "UTF-8 without escapes", json.dumps(document(), ensure_ascii=False).encode(), "7 1 1 0"
    unusable: dict[str, dict[str, Any]] = {
        "name_empty": {"filename": ""}, "name_dot": {"filename": "."}, "name_dots": {"filename": ".."}, "name_up": {"filename": "../x"},
        "name_slash": {"filename": "a/b"}, "name_backslash": {"filename": "a\\b"}, "name_absolute": {"filename": "/etc/passwd"},
        "name_nul": {"filename": "a\0b"}, "name_line_feed": {"filename": "a\nb"}, "name_escape": {"filename": "a\x1b[31mb"}, "name_delete": {"filename": "a\x7f"},
        "key_0": {"key": ""}, "key_15": {"key": b64("k", 15)}, "key_24": {"key": b64("k", 24)}, "key_32": {"key": b64("k", 32)}, "key_not_base64": {"key": "%"},
        "nonce_0": {"nonce": ""}, "nonce_8": {"nonce": b64("n", 8)}, "nonce_17": {"nonce": b64("n", 17)},
        "tag_0": {"authenticationTag": ""}, "tag_4": {"authenticationTag": b64("t", 4)}, "tag_12": {"authenticationTag": b64("t", 12)},
        "two_nonces": {"initializationVector": b64("other", 12)}, "chunked": {"chunked": True},
    }  # fmt: skip
    for name, change in unusable.items():
        yield (
            f"skipped_{name}",
            "the entry is left out, the folder goes on",
            document(files={FILE: entry(**change), "b" * 32: entry()}),
            "7 1 1 1",
        )
    for name, identifier in (
        ("up", ".."),
        ("slash", "a/b"),
        ("percent", "a%2fb"),
        ("query", "a?b"),
        ("long", "a" * 65),
        ("empty", ""),
        ("suffix", "a.e2e-to-save"),
    ):
        yield (
            f"skipped_identifier_{name}",
            "a bad identifier",
            document(files={identifier: entry(), FILE: entry()}, folders={identifier: "x", FOLDER: "y"}),
            "7 1 1 2",
        )
    yield "skipped_folder_name", "a bad name of a folder", document(folders={FOLDER: "..", "b" * 32: "x"}), "7 1 1 1"


def bad() -> Iterator[tuple[str, str, Any]]:
    for name, value in (
        ("text", "12"),
        ("true", True),
        ("null", None),
        ("fraction", 1.5),
        ("list", []),
        ("missing", MISSING),
    ):
        yield f"counter_{name}", "MalformedError", document(counter=value)
    yield "counter_negative", "LimitExceededError", document(counter=-1)
    for power in (53, 63, 64):
        yield f"counter_2_{power}", "LimitExceededError", document(counter=2**power)
    for name, value in (("text", "false"), ("number", 0), ("null", None)):
        yield f"deleted_{name}", "MalformedError", document(deleted=value)
    for member in ("files", "folders"):
        for name, value in (("list", []), ("null", None), ("text", "x"), ("number", 1)):
            yield f"{member}_{name}", "MalformedError", document(**{member: value})
    for name, value in (("text", "x"), ("list", []), ("null", None)):
        yield f"entry_{name}", "MalformedError", document(files={FILE: value})
    for member in ("filename", "key", "nonce", "authenticationTag", "mimetype"):
        for name, value in (("number", 1), ("null", None), ("list", ["x"])):
            yield f"{member}_{name}", "MalformedError", document(files={FILE: entry(**{member: value})})
    for member in ("filename", "key", "nonce", "authenticationTag"):
        yield f"{member}_missing", "MalformedError", document(files={FILE: entry(**{member: MISSING})})
    yield "alias_number", "MalformedError", document(files={FILE: entry(initializationVector=1)})
    for name, value in (("number", 1), ("null", None), ("object", {})):
        yield f"folder_{name}", "MalformedError", document(folders={FOLDER: value})
    for name, value in (
        ("text", "ab" * 32),
        ("short", ["ab"]),
        ("upper_case", ["AB" * 32]),
        ("number", [1]),
        ("line_feed", ["ab" * 32 + "\n"]),
    ):
        yield f"checksums_{name}", "MalformedError", document(keyChecksums=value)
    yield "list", "MalformedError", []
    yield (
        "entry_twice",
        "MalformedError",
        json.dumps(document()).replace('"filename"', '"filename":"a","filename"').encode(),
    )
    yield "half_a_surrogate", "MalformedError", json.dumps(document()).replace("plan.txt", "\\ud800").encode()


def cases() -> Iterator[tuple[str, str]]:
    for name, comment, value, summary in good():
        payload = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True)
        yield name, format_vector(expect="ok", source=SOURCE, comment=comment, summary=summary, payload=payload)
    for name, expect, value in bad():
        payload = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True)
        yield name, format_vector(expect=expect, source=SOURCE, comment=name.replace("_", " "), payload=payload)


if __name__ == "__main__":
    write("inner", cases)

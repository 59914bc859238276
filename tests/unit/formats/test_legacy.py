"""Documents of version 1, as other clients wrote them and as nobody should."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from candado.crypto import aead, keywrap
from candado.crypto.rsa import PrivateKey
from candado.encoding import WrappedKey, encode_b64, join_wrapped, pem_decode, pem_encode, split_wrapped
from candado.errors import FormatError, MalformedError, UnsupportedVersionError
from candado.formats import legacy
from candado.types import FileKey, Nonce, Tag

SHARED = Path(__file__).parents[3].parent / "shared" / "vectors"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared vectors are not beside this checkout")
SEALED = encode_b64(b"sealed and its tag")
IV12, IV16, TAG = encode_b64(bytes(12)), encode_b64(bytes(16)), encode_b64(b"t" * 16)
FILE = "n9WXAIXO2wRY4R8nXwmo"


def entry(**changes: Any) -> dict[str, Any]:
    return {"encrypted": f"{SEALED}|{IV16}", "initializationVector": IV16, "authenticationTag": TAG, **changes}


def document(**changes: Any) -> str:
    value = {"metadata": {"metadataKey": encode_b64(b"wrapped"), "version": 1.1}, "files": {FILE: entry()}, **changes}
    return json.dumps(value)


@shared
def test_a_desktop_document_with_an_arrival_opens() -> None:
    case = json.loads((SHARED / "metadata-desktop-v1.2-filedrop.json").read_text("utf-8"))
    private = PrivateKey.from_pkcs8_der(pem_decode(case["private_key_pem"], "PRIVATE KEY"), check=True)
    folder = legacy.parse_legacy(json.dumps(case["document"]))
    assert (folder.version, folder.skipped, list(folder.wrapped_keys)) == ("1.2", (), [0])
    key = keywrap.unwrap_text_key(private, folder.wrapped_keys[0])
    assert key == base64.b64decode(case["expect"]["metadata_key_base64"])
    for name, found in folder.files.items():
        content = legacy.parse_legacy_content(aead.open_sealed(key, found.sealed_nonce, found.sealed))
        expect = case["expect"]["files"][name]
        assert content == legacy.LegacyContent(
            expect["filename"], expect["mimetype"], FileKey(base64.b64decode(expect["key"])), is_folder=False
        )
    for name, drop in folder.drops.items():
        expect = case["expect"]["filedrop"][name]
        drop_key = keywrap.unwrap_text_key(private, drop.wrapped_key)
        content = legacy.parse_legacy_content(aead.open_sealed(drop_key, drop.sealed_nonce, drop.sealed))
        assert content.filename == expect["inner"]["filename"]
    assert folder.checksum == case["document"]["metadata"]["checksum"]


@shared
def test_the_checksum_is_that_of_a_phone_client() -> None:
    case = json.loads((SHARED / "checksum-v1-android.json").read_text("utf-8"))
    words, names, key = case["mnemonic"].replace(" ", ""), case["file_ids"], case["metadata_key_string"]
    assert legacy.legacy_checksum(words, names, key) == case["expect"]
    assert legacy.legacy_checksum(words, reversed(names), key) == case["expect"]
    assert legacy.legacy_checksum(words + "1", names, key) != case["expect"]
    assert legacy.legacy_checksum(words, [*names, "aeb34yXMoRa1QWQk8r"], key) != case["expect"]


@pytest.mark.parametrize(
    "encrypted", [f"{SEALED}|{IV12}", f"{SEALED}|{IV16}", f"{SEALED}fA=={IV12}", f"{SEALED}fA=={IV16}"]
)
def test_an_entry_is_read_with_both_separators(encrypted: str) -> None:
    folder = legacy.parse_legacy(document(files={FILE: entry(encrypted=encrypted)}))
    (found,) = folder.files.values()
    nonce = Nonce(bytes(12 if IV12 + "$" in encrypted + "$" else 16))
    assert found == legacy.LegacyEntry(b"sealed and its tag", nonce, Nonce(bytes(16)), Tag(b"t" * 16), 0)
    assert folder.metadata_key_text == encode_b64(b"wrapped")


def test_the_highest_key_is_current_in_version_1_0() -> None:
    keys = {"0": encode_b64(b"a"), "10": encode_b64(b"b"), "9": encode_b64(b"c")}
    files = {FILE: entry(), "old": entry(metadataKey=9)}
    folder = legacy.parse_legacy(document(metadata={"metadataKeys": keys, "version": "1.0"}, files=files))
    assert folder.wrapped_keys == {0: b"a", 10: b"b", 9: b"c"}
    assert [found.key_index for found in folder.files.values()] == [10, 9]
    assert (folder.checksum, folder.metadata_key_text) == (None, "")


def test_an_arrival_is_read_with_its_own_key() -> None:
    folder = legacy.parse_legacy(document(filedrop={FILE: entry(encryptedKey=encode_b64(b"own"))}))
    nonce = Nonce(bytes(16))
    assert folder.drops == {FILE: legacy.LegacyDrop(b"sealed and its tag", nonce, nonce, Tag(b"t" * 16), b"own")}


def test_a_checksum_is_kept_for_whoever_has_the_words() -> None:
    metadata = {"metadataKey": encode_b64(b"wrapped"), "version": 1.2, "checksum": "ab" * 32}
    assert legacy.parse_legacy(document(metadata=metadata)).checksum == "ab" * 32


@pytest.mark.parametrize("files", [None, [], {}])
def test_a_folder_can_be_empty(files: Any) -> None:
    assert legacy.parse_legacy(document(files=files)).files == {}


@pytest.mark.parametrize(
    "bad",
    [
        {"encrypted": SEALED},
        {"encrypted": "x"},
        {"authenticationTag": ""},
        {"initializationVector": "AAAA"},
        {"metadataKey": "0"},
        {"metadataKey": True},
    ],
)
def test_an_entry_that_cannot_be_read_is_left_out_and_named(bad: dict[str, Any]) -> None:
    folder = legacy.parse_legacy(document(files={FILE: entry(), "bad": entry(**bad)}, filedrop={"drop": entry(**bad)}))
    assert list(folder.files) == [FILE]
    assert [name for name, _ in folder.skipped] == ["bad", "drop"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"version": 1.2}, {"version": 1.0, "metadataKeys": {}}, {"version": 1.0, "metadataKeys": {"x": "AAAA"}}, {"version": 1.0, "metadataKeys": []},
        {"version": 1.1, "metadataKey": ""}, {"version": 1.2, "metadataKey": "AAAA", "checksum": 1},
        {"version": 1.0, "metadataKeys": {str(n): "AAAA" for n in range(1001)}},
    ],
)  # fmt: skip
def test_a_document_without_usable_keys_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        legacy.parse_legacy(document(metadata=metadata))


def test_a_document_of_version_2_is_not_for_this_reader() -> None:
    with pytest.raises(UnsupportedVersionError):
        legacy.parse_legacy('{"version":"2.0"}')


@pytest.mark.parametrize("files", [{FILE: 1}, "x"])
def test_a_document_with_wrong_types_is_refused(files: Any) -> None:
    with pytest.raises(MalformedError):
        legacy.parse_legacy(document(files=files))


def content(**changes: Any) -> bytes:
    value = {"filename": "a.txt", "key": encode_b64(b"k" * 16), "mimetype": "text/plain", "version": 1.1, **changes}
    return base64.b64encode(json.dumps({n: v for n, v in value.items() if v is not ...}).encode())


@pytest.mark.parametrize(
    ("mimetype", "is_folder"), [("text/plain", False), ("httpd/unix-directory", True), ("", True), (..., True)]
)
def test_what_is_a_folder_is_told_by_its_type(mimetype: Any, is_folder: bool) -> None:
    assert legacy.parse_legacy_content(content(mimetype=mimetype)).is_folder is is_folder


@pytest.mark.parametrize(
    "plaintext",
    [b"\xff", b"{}", content(filename="../x"), content(key="AAAA"), content(mimetype=1), content(filename=...)],
)
def test_what_is_not_an_entry_is_refused(plaintext: bytes) -> None:
    with pytest.raises(FormatError):
        legacy.parse_legacy_content(plaintext)


def test_the_stored_private_key_has_its_grammar_here_too() -> None:
    wrapped = WrappedKey(b"c" * 20, Nonce(bytes(12)), bytes(40))
    assert split_wrapped(join_wrapped(wrapped)) == [wrapped]
    assert pem_decode(pem_encode("X", b"y"), "X") == b"y"

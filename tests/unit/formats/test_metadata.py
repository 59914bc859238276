"""Folder documents beyond the vectors: writing, whole values, names."""

import json

import pytest

from candado.errors import FormatError, LimitExceededError, MalformedError, UnsupportedVersionError
from candado.formats import metadata
from candado.formats.metadata import Entry, FolderContent, SealedBlock, SealedUser, SkippedEntry
from candado.types import Counter, FileKey, Nonce, SealedName, Tag, UserId

BLOCK = SealedBlock(b"ciphertext and tag", Nonce(bytes(12)), Tag(bytes(16)))
FILE, FOLDER = SealedName("3f" * 16), SealedName("a1" * 16)
ENTRY = Entry("plan.txt", "text/plain", FileKey(b"k" * 16), Nonce(b"n" * 12), Tag(b"t" * 16))


def test_a_root_is_written_and_read_as_the_same_values() -> None:
    users = (SealedUser(UserId("zoë"), "PEM\n", b"wrapped"), SealedUser(UserId("alice"), "PEM2", b"other"))
    drop = metadata.format_drop(BLOCK, [(UserId("alice"), b"drop key")])
    text, document = metadata.format_sealed("2.0", BLOCK, users, {FILE: drop})
    assert text.isascii()
    sealed = metadata.parse_sealed(text)
    assert (sealed.version, sealed.block, sealed.users, sealed.bad_drops) == ("2.0", BLOCK, users, ())
    assert sealed.document == document
    (arrival,) = sealed.drops
    assert (arrival.sealed_name, arrival.block, arrival.users, arrival.raw) == (
        FILE,
        BLOCK,
        ((UserId("alice"), b"drop key"),),
        drop,
    )


def test_a_nested_document_has_neither_users_nor_an_empty_file_drop() -> None:
    _, document = metadata.format_sealed("2.1", BLOCK, None, {})
    assert sorted(document) == ["metadata", "version"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('{"version":"2.0"}', "2.0"), ('{"version":2}', "2.0"), ('{"version":"2"}', "2.0"), ('{"version":"2.1"}', "2.1"), ('{"version":2.0}', "2.0"),
        ('{"metadata":{"version":1.2}}', "1.2"), ('{"metadata":{"version":"1.0"}}', "1.0"), ('{"metadata":{"version":1.00}}', "1.0"),
        ('{"metadata":{"version":1.10}}', "1.1"),
    ],
)  # fmt: skip
def test_the_version_of_any_document_is_found(text: str, version: str) -> None:
    assert metadata.document_version(text) == version


def test_a_document_of_version_1_is_named_as_such() -> None:
    for version in ("1.2", '"1.1"'):
        with pytest.raises(UnsupportedVersionError, match="migrated"):
            metadata.parse_sealed('{"metadata":{"version":' + version + "}}")
    for text in ('{"metadata":{}}', '{"metadata":{"version":"9"}}'):
        with pytest.raises(UnsupportedVersionError, match="supported are"):
            metadata.parse_sealed(text)
    with pytest.raises(MalformedError):
        metadata.parse_sealed('{"version":2.0}')


def test_a_document_beyond_the_limit_is_not_parsed() -> None:
    with pytest.raises(LimitExceededError):
        metadata.parse_sealed(" " * (metadata.SEALED_BYTES_MAX + 1))


def test_content_is_written_and_read_as_the_same_values() -> None:
    content = FolderContent(
        Counter(3),
        deleted=True,
        files={FILE: ENTRY},
        folders={FOLDER: "Pläne \U0001f512"},
        key_checksums=("ab" * 32,),
        skipped=(
            SkippedEntry("files", "a/b", "a reason", {"filename": "x"}),
            SkippedEntry("folders", "..", "a reason", "y"),
        ),
        extra={"theme": [1]},
    )
    written = metadata.format_content(content)
    assert written.isascii()
    assert json.loads(written)["files"]["a/b"] == {"filename": "x"}
    assert json.loads(written)["folders"][".."] == "y"
    again = FolderContent(
        Counter(3), deleted=True, files={FILE: ENTRY}, folders=content.folders, key_checksums=None, extra=content.extra
    )
    assert metadata.parse_content(metadata.format_content(again)) == again


def test_a_new_entry_takes_the_place_of_a_skipped_one() -> None:
    skipped = (SkippedEntry("files", FILE, "reason", {}),)
    content = FolderContent(
        Counter(1), deleted=False, files={FILE: ENTRY}, folders={}, key_checksums=None, skipped=skipped
    )
    assert metadata.parse_content(metadata.format_content(content)).files == {FILE: ENTRY}


@pytest.mark.parametrize("mimetype", ["", "httpd/unix-directory", "inode/directory"])
def test_a_file_is_never_written_with_the_type_of_a_folder(mimetype: str) -> None:
    entry = Entry("a", mimetype, ENTRY.key, ENTRY.nonce, ENTRY.tag)
    assert json.loads(metadata.format_drop_content(entry))["mimetype"] == metadata.DEFAULT_MIMETYPE


def test_an_arrival_holds_one_entry() -> None:
    extra = Entry("plan.txt", "text/plain", ENTRY.key, ENTRY.nonce, ENTRY.tag, {"filesize": 7})
    assert metadata.parse_drop_content(metadata.format_drop_content(extra)) == extra
    for change in ({"filename": "../x"}, {"key": "AAAA"}, {"nonce": 1}):
        bad = {**json.loads(metadata.format_drop_content(ENTRY)), **change}
        with pytest.raises(FormatError):
            metadata.parse_drop_content(json.dumps(bad).encode())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "\0", "a\n", "\x1f", "\x7f", "/"])
def test_a_name_that_is_not_one_component_has_a_fault(name: str) -> None:
    assert metadata.clear_name_fault(name) is not None


@pytest.mark.parametrize("name", ["a", "...", ".a", "a.", " ", "CON", "~", "\u202e", "\u2215", "é" * 200, "\x80"])
def test_a_name_that_only_some_disk_forbids_has_none(name: str) -> None:
    assert metadata.clear_name_fault(name) is None

"""Bundles: the manifest, the lines of the index, and what holds between lines."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import FormatError, LimitExceededError, MalformedError, UnsupportedVersionError
from candado.formats import bundleindex
from candado.formats.bundle import (
    BodyLine,
    BundleManifest,
    FolderLine,
    IndexLine,
    body_name,
    document_name,
    format_line,
    format_manifest,
    is_member_name,
    parse_line,
    parse_manifest,
    signature_name,
)
from candado.formats.bundleindex import IndexCheck
from candado.formats.canonjson import dump_canonical, load_json
from candado.types import FileId, SealedName, UserId

DIGEST = "0123456789abcdef" * 4
MANIFEST = BundleManifest(
    created=1_700_000_000,
    server="https://cloud.example.org",
    exporter=UserId("alice"),
    certificate_pem="CERTIFICATE",
    private_key="a|b|c",
    authority_pem="AUTHORITY",
    with_bodies=True,
    roots=1,
    folders=2,
    bodies=1,
    body_bytes=20,
    missing=3,
    index_sha256=DIGEST,
)
ROOT = FolderLine(FileId(7), DIGEST, DIGEST, path="/Papers/Größe")
KEYED = replace(ROOT, older_keys=((UserId("alice"), b"wrapped"), (UserId("bob"), b"too")))
NESTED = FolderLine(FileId(8), DIGEST, DIGEST, parent_id=FileId(7), sealed_name=SealedName("a" * 32))
BODY = BodyLine(FileId(8), SealedName("b" * 32), 20, 1_600_000_000, DIGEST)


def manifest_with(**members: Any) -> bytes:
    document: Any = load_json(format_manifest(MANIFEST), bytes_max=10**6)
    return dump_canonical({name: value for name, value in {**document, **members}.items() if value is not None})


def line_with(line: IndexLine, **members: Any) -> bytes:
    document: Any = load_json(format_line(line), bytes_max=10**6)
    return dump_canonical({name: value for name, value in {**document, **members}.items() if value is not None}) + b"\n"


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert parse_manifest(format_manifest(MANIFEST)) == MANIFEST
    assert parse_manifest(manifest_with()) == MANIFEST
    bare = replace(MANIFEST, with_bodies=False, private_key="", bodies=0, body_bytes=0)
    assert parse_manifest(format_manifest(bare)) == bare


@pytest.mark.parametrize("line", [ROOT, KEYED, NESTED, BODY])
def test_a_line_is_read_as_it_was_written(line: IndexLine) -> None:
    assert parse_line(format_line(line)) == line
    assert format_line(line).count(b"\n") == 1


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", MalformedError),
        (b"[]", MalformedError),
        (b"{}", MalformedError),
        (b" " * (256 * 1024 + 1), LimitExceededError),
        (format_manifest(MANIFEST) + b"\n", MalformedError),
        (format_manifest(MANIFEST).replace(b",", b", ", 1), MalformedError),
        (manifest_with(format="bundle"), MalformedError),
        (manifest_with(version=2), UnsupportedVersionError),
        (manifest_with(version=True), UnsupportedVersionError),
        (manifest_with(more="x"), MalformedError),
        (manifest_with(missing=None), MalformedError),
        (manifest_with(with_bodies=1), MalformedError),
        (manifest_with(created=-1), MalformedError),
        (manifest_with(created=True), MalformedError),
        (manifest_with(created="1"), MalformedError),
        (manifest_with(folders=1_000_001), LimitExceededError),
        (manifest_with(bodies=10_000_001), LimitExceededError),
        (manifest_with(server="x" * 2049), LimitExceededError),
        (manifest_with(authority="x" * 32_769), LimitExceededError),
        (manifest_with(exporter="a/b"), MalformedError),
        (manifest_with(index_sha256=DIGEST.upper()), MalformedError),
        (manifest_with(index_sha256=DIGEST[:-1]), MalformedError),
        (manifest_with(private_key=["x"]), MalformedError),
    ],
)
def test_another_manifest_is_refused(raw: bytes, error: type[FormatError]) -> None:
    with pytest.raises(error):
        parse_manifest(raw)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (format_line(ROOT)[:-1], MalformedError),
        (b"\n", MalformedError),
        (b"{}\n", MalformedError),
        (b" " * (1024 * 1024 + 1) + b"\n", LimitExceededError),
        (line_with(ROOT, kind="link"), MalformedError),
        (line_with(ROOT, id=0), MalformedError),
        (line_with(ROOT, id=1.5), MalformedError),
        (line_with(ROOT, more=1), MalformedError),
        (line_with(ROOT, path=""), MalformedError),
        (line_with(ROOT, path="/"), MalformedError),
        (line_with(ROOT, path="Papers"), MalformedError),
        (line_with(ROOT, path="/../etc"), MalformedError),
        (line_with(ROOT, path="/a\\b"), MalformedError),
        (line_with(ROOT, path="/" + "a" * 4096), LimitExceededError),
        (line_with(ROOT, older_keys={}), MalformedError),
        (line_with(ROOT, older_keys=["x"]), MalformedError),
        (line_with(ROOT, older_keys=[{"key": "YQ==", "user": "bob", "more": 1}]), MalformedError),
        (line_with(ROOT, older_keys=[{"key": "", "user": "bob"}]), MalformedError),
        (line_with(NESTED, name="../x"), MalformedError),
        (line_with(NESTED, parent=None), MalformedError),
        (line_with(NESTED, path="/x"), MalformedError),
        (line_with(NESTED, document_sha256="x"), MalformedError),
        (line_with(BODY, name="a.b"), MalformedError),
        (line_with(BODY, size=-1), MalformedError),
        (line_with(BODY, mtime=None), MalformedError),
        (line_with(BODY, sha256=1), MalformedError),
        (format_line(BODY).replace(b":", b": ", 1), MalformedError),
    ],
)
def test_another_line_is_refused(raw: bytes, error: type[FormatError]) -> None:
    with pytest.raises(error):
        parse_line(raw)


def test_only_the_names_of_a_bundle_are_names_in_it() -> None:
    long = SealedName("Az0_-" + "9" * 59)
    good = ["candado-bundle.json", "candado-bundle.sig", "index.jsonl"]
    good += [document_name(FileId(7)), signature_name(FileId(2**63 - 1)), body_name(FileId(7), long)]
    assert good[3:] == ["documents/7.json", "documents/9223372036854775807.sig", f"bodies/7/{long}"]
    assert all(is_member_name(name) for name in good)
    bad = ["", "/index.jsonl", "index.jsonl\n", "documents/07.json", "documents/7", "bodies/7/../8", "bodies/7/a/b"]
    bad += ["./index.jsonl", "bodies/7/", "documents/../index.jsonl", "bodies/7/a.b", "bodies/7/" + "a" * 65]
    assert not any(is_member_name(name) for name in bad)


def check(*lines: IndexLine) -> IndexCheck:
    index = IndexCheck()
    for line in lines:
        index.add(line)
    return index


def test_an_index_that_fits_is_taken() -> None:
    check(ROOT, NESTED, BODY).finish(MANIFEST)
    deeper = replace(NESTED, file_id=FileId(9), parent_id=FileId(8))
    elsewhere = replace(BODY, folder_id=FileId(9))
    index = check(ROOT, NESTED, BODY, deeper, elsewhere)
    index.finish(replace(MANIFEST, folders=3, bodies=2, body_bytes=40))


@pytest.mark.parametrize(
    "lines",
    [
        [ROOT, ROOT],
        [ROOT, replace(NESTED, file_id=ROOT.file_id)],
        [NESTED],
        [ROOT, replace(NESTED, parent_id=NESTED.file_id)],
        [ROOT, NESTED, replace(NESTED, file_id=FileId(9))],
        [ROOT, NESTED, replace(NESTED, file_id=FileId(9), sealed_name=SealedName("A" * 32))],
        [BODY],
        [ROOT, BODY],
        [ROOT, NESTED, BODY, BODY],
        [ROOT, NESTED, BODY, replace(BODY, sealed_name=SealedName("B" * 32))],
    ],
)
def test_lines_that_do_not_fit_together_are_refused(lines: list[IndexLine]) -> None:
    index = check(*lines[:-1])
    with pytest.raises(MalformedError):
        index.add(lines[-1])


@pytest.mark.parametrize("count", ["roots", "folders", "bodies", "body_bytes"])
def test_an_index_must_have_what_the_manifest_counts(count: str) -> None:
    changed: Any = {count: getattr(MANIFEST, count) + 1}
    with pytest.raises(MalformedError):
        check(ROOT, NESTED, BODY).finish(replace(MANIFEST, **changed))


def test_an_index_is_bounded_in_depth_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [replace(NESTED, file_id=FileId(8 + at), parent_id=FileId(7 + at)) for at in range(129)]
    index = check(ROOT, *chain[:-1])
    with pytest.raises(LimitExceededError):
        index.add(chain[-1])
    monkeypatch.setattr(bundleindex, "FOLDERS_MAX", 1)
    monkeypatch.setattr(bundleindex, "BODIES_MAX", 1)
    with pytest.raises(LimitExceededError):
        check(ROOT, NESTED)
    index = check(ROOT, replace(BODY, folder_id=ROOT.file_id))
    with pytest.raises(LimitExceededError):
        index.add(replace(BODY, folder_id=ROOT.file_id, sealed_name=SealedName("c")))


SPOILT = st.builds(
    lambda line, at, junk: (raw := format_line(line))[: (at := at % len(raw))] + junk + raw[at + len(junk) :],
    st.sampled_from([ROOT, KEYED, NESTED, BODY]),
    st.integers(0, 10_000),
    st.binary(max_size=3),
)


@given(st.binary() | SPOILT | st.binary().map(lambda data: manifest_with(server=data.hex())[: len(data)]))
def test_any_bytes_are_a_value_that_is_written_the_same_or_a_format_error(raw: bytes) -> None:
    for parse, write in ((parse_line, format_line), (parse_manifest, format_manifest)):
        try:
            value: Any = parse(raw)
        except FormatError:
            continue
        assert write(value) == raw

"""Bundles that somebody has been at: nothing unverified gets a name, nothing outside is touched, the rest comes out.

Every attack starts from a copy of a bundle that is recovered whole (``test_export``), so each refusal is the effect of
the one change.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import World
from tests.unit.client.bundles import (
    CONTENT,
    NOW,
    Stage,
    files_of,
    make_stage,
    run_export,
    run_recover,
    sign_anew,
    write_root,
)
from tests.unit.client.devices import Device

from candado.adapters.source_files import SourceFolder
from candado.client import edit
from candado.client.bundle_reader import BundleReader
from candado.client.found import FoundFolder, Gap
from candado.client.recover import RecoverReport
from candado.crypto.rsa import PrivateKey
from candado.encoding import encode_b64
from candado.errors import (
    BadSignatureError,
    CandadoError,
    LimitExceededError,
    MalformedError,
    NotFoundError,
    UntrustedCertificateError,
)
from candado.formats.bundle import BodyLine, FolderLine, IndexLine, body_name, document_name, format_line, parse_line
from candado.formats.metadata import SkippedEntry
from candado.types import UserId

BELOW_IN = {path for path in CONTENT if path.startswith("Secret/in/")}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return make_stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def bundle(stage: Stage, tmp_path: Path) -> Path:
    return stage.copy(tmp_path / "bundle")


def lines_of(bundle: Path) -> list[IndexLine]:
    return [parse_line(line) for line in (bundle / "index.jsonl").read_bytes().splitlines(keepends=True)]


def write_lines(bundle: Path, lines: list[IndexLine]) -> None:
    (bundle / "index.jsonl").write_bytes(b"".join(map(format_line, lines)))


def nested_of(bundle: Path) -> list[FolderLine]:
    return [line for line in lines_of(bundle) if isinstance(line, FolderLine) and line.parent_id is not None]


def body_of(bundle: Path, size_plain: int) -> Path:
    """The stored body of a file of this size."""
    (found,) = [
        bundle / body_name(line.folder_id, line.sealed_name)
        for line in lines_of(bundle)
        if isinstance(line, BodyLine) and line.size_bytes == size_plain + 16
    ]
    return found


def refused(stage: Stage, bundle: Path, error: type[CandadoError], **options: Any) -> CandadoError:
    """The bundle as a whole is refused, and nothing was written."""
    with pytest.raises(error) as caught:
        run_recover(bundle, stage.key("alice"), bundle.parent / "out", **options)
    assert files_of(bundle.parent / "out") == {}
    return caught.value


def recovered(stage: Stage, bundle: Path, *, without: set[str], **options: Any) -> RecoverReport:
    """Everything but some files comes out as it went in."""
    report = run_recover(bundle, stage.key("alice"), bundle.parent / "out", **options)
    assert files_of(bundle.parent / "out") == {path: data for path, data in CONTENT.items() if path not in without}
    return report


def codes(report: RecoverReport) -> dict[str, str]:
    return {failure.path: failure.error.code for failure in report.failures}


# --- the whole bundle -----------------------------------------------------------------------------------------


def test_a_manifest_that_was_changed_is_refused(stage: Stage, bundle: Path) -> None:
    path = bundle / "candado-bundle.json"
    path.write_bytes(path.read_bytes().replace(b'"missing":0', b'"missing":1'))
    refused(stage, bundle, BadSignatureError)


def test_a_manifest_without_its_signature_or_with_another_is_refused(stage: Stage, bundle: Path) -> None:
    signature = bundle / "candado-bundle.sig"
    sign_anew(bundle, stage, lambda manifest: manifest, user="bob")
    refused(stage, bundle, BadSignatureError)
    signature.write_bytes(b"\xff")
    refused(stage, bundle, MalformedError)
    signature.unlink()
    refused(stage, bundle, BadSignatureError)


def test_a_bundle_made_by_somebody_who_is_no_member_opens_nothing(stage: Stage, bundle: Path) -> None:
    carol = stage.world.identity("carol").certificate.pem
    sign_anew(
        bundle,
        stage,
        lambda manifest: replace(manifest, exporter=type(manifest.exporter)("carol"), certificate_pem=carol),
        user="carol",
    )
    assert codes(recovered(stage, bundle, without=set(CONTENT))) == {"Secret": "SIGNER"}


def test_another_authority_than_the_one_that_is_trusted_is_refused(stage: Stage, bundle: Path) -> None:
    trusted = stage.world.server.authority.public.fingerprint_hex
    error = refused(stage, bundle, UntrustedCertificateError, authority_fingerprint="0" * 64)
    assert trusted in error.advice
    assert recovered(stage, bundle, without=set(), authority_fingerprint=trusted).is_complete


def test_an_authority_of_somebodys_own_vouches_for_nobody(stage: Stage, bundle: Path) -> None:
    other = PrivateKey.generate().public.to_pem()
    sign_anew(bundle, stage, lambda manifest: replace(manifest, authority_pem=other))
    refused(stage, bundle, UntrustedCertificateError)


def test_an_index_that_was_changed_is_refused_as_a_whole(stage: Stage, bundle: Path) -> None:
    lines = lines_of(bundle)
    write_lines(bundle, lines[:-1])
    refused(stage, bundle, MalformedError)
    sign_anew(bundle, stage, lambda manifest: manifest)
    with pytest.raises(MalformedError):  # the counts of the manifest do not fit either
        run_recover(bundle, stage.key("alice"), bundle.parent / "again")
    (bundle / "index.jsonl").unlink()
    refused_again = run_recover_error(stage, bundle)
    assert isinstance(refused_again, MalformedError)


def run_recover_error(stage: Stage, bundle: Path) -> CandadoError:
    with pytest.raises(CandadoError) as caught:
        run_recover(bundle, stage.key("alice"), bundle.parent / "third")
    return caught.value


def test_a_line_without_an_end_and_a_manifest_without_one_are_limited(stage: Stage, bundle: Path) -> None:
    with (bundle / "index.jsonl").open("ab") as index:
        index.write(b" " * (3 << 20))
    sign_anew(bundle, stage, lambda manifest: manifest)
    assert isinstance(run_recover_error(stage, bundle), LimitExceededError)
    (bundle / "candado-bundle.json").write_bytes(b" " * (1 << 20))
    refused(stage, bundle, LimitExceededError)


@pytest.mark.parametrize("path", ["/../Secret", "/..", "/a/./b", "/\n"])
def test_a_root_cannot_be_placed_outside(stage: Stage, bundle: Path, path: str) -> None:
    first, *rest = lines_of(bundle)
    assert isinstance(first, FolderLine)
    write_lines(bundle, [replace(first, path=path), *rest])
    sign_anew(bundle, stage, lambda manifest: manifest)
    refused(stage, bundle, MalformedError)


def test_without_a_manifest_it_is_no_bundle(stage: Stage, bundle: Path) -> None:
    (bundle / "candado-bundle.json").unlink()
    assert "its export was cut" in refused(stage, bundle, NotFoundError).message


# --- one folder -----------------------------------------------------------------------------------------------


def test_a_document_that_was_exchanged_costs_its_folder_and_what_is_below(stage: Stage, bundle: Path) -> None:
    outer, inner = nested_of(bundle)
    assert inner.parent_id == outer.file_id
    for name in (document_name(outer.file_id), f"documents/{outer.file_id}.sig"):
        (bundle / name).write_bytes((bundle / name.replace(str(outer.file_id), str(inner.file_id))).read_bytes())
    assert codes(recovered(stage, bundle, without=BELOW_IN)) == {"Secret/in": "CONTEXT"}


def test_a_signed_index_cannot_show_one_folder_in_the_place_of_another(stage: Stage, bundle: Path) -> None:
    outer, inner = nested_of(bundle)
    lines = [
        replace(line, document_sha256=outer.document_sha256, signature_sha256=outer.signature_sha256)
        if isinstance(line, FolderLine) and line.file_id == inner.file_id
        else line
        for line in lines_of(bundle)
    ]
    for suffix in ("json", "sig"):
        source = bundle / f"documents/{outer.file_id}.{suffix}"
        (bundle / f"documents/{inner.file_id}.{suffix}").write_bytes(source.read_bytes())
    write_lines(bundle, lines)
    sign_anew(bundle, stage, lambda manifest: manifest)
    lost = {path for path in BELOW_IN if "/deep/" in path}
    assert codes(recovered(stage, bundle, without=lost)) == {"Secret/in/deep": "CONTEXT"}


def test_a_folder_is_not_taken_from_a_place_that_does_not_list_it(stage: Stage, bundle: Path) -> None:
    outer, inner = nested_of(bundle)
    root = outer.parent_id
    lines = [
        replace(line, parent_id=root) if isinstance(line, FolderLine) and line.file_id == inner.file_id else line
        for line in lines_of(bundle)
    ]
    write_lines(bundle, lines)
    sign_anew(bundle, stage, lambda manifest: manifest)
    lost = {path for path in BELOW_IN if "/deep/" in path}
    assert codes(recovered(stage, bundle, without=lost)) == {f"Secret/{inner.sealed_name}": "CONTEXT"}


def test_a_missing_document_is_named(stage: Stage, bundle: Path) -> None:
    outer, _ = nested_of(bundle)
    (bundle / document_name(outer.file_id)).unlink()
    report = recovered(stage, bundle, without=BELOW_IN)
    assert [failure.error.path for failure in report.failures] == [document_name(outer.file_id)]


def test_a_document_that_is_not_text_is_refused(stage: Stage, bundle: Path) -> None:
    outer, _ = nested_of(bundle)
    bad = b"\xff\xfe"
    (bundle / document_name(outer.file_id)).write_bytes(bad)
    lines = [
        replace(line, document_sha256=hashlib.sha256(bad).hexdigest()) if line == outer else line
        for line in lines_of(bundle)
    ]
    write_lines(bundle, lines)
    sign_anew(bundle, stage, lambda manifest: manifest)
    assert codes(recovered(stage, bundle, without=BELOW_IN)) == {"Secret/in": "MALFORMED"}


def test_somebody_who_is_no_member_gets_nothing(stage: Stage, bundle: Path) -> None:
    report = run_recover(bundle, stage.key("carol"), bundle.parent / "out")
    assert codes(report) == {"Secret": "NOT_A_MEMBER"}
    assert files_of(bundle.parent / "out") == {}


# --- one body -------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("spoil", [flip, cut, lengthen])
def test_a_body_that_was_altered_costs_one_file(stage: Stage, bundle: Path, spoil: Callable[[Path], object]) -> None:
    spoil(body_of(bundle, 3))
    report = recovered(stage, bundle, without={"Secret/a.txt"})
    assert list(codes(report)) == ["Secret/a.txt"]
    assert codes(report)["Secret/a.txt"] in {"OPEN_FAILED", "MALFORMED"}


def test_bodies_that_changed_places_are_refused(stage: Stage, bundle: Path) -> None:
    one, other = body_of(bundle, 3), body_of(bundle, 5)
    one_bytes, other_bytes = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_bytes)
    other.write_bytes(one_bytes)
    report = recovered(stage, bundle, without={"Secret/a.txt", "Secret/in/deep/c"})
    assert codes(report) == {"Secret/a.txt": "OPEN_FAILED", "Secret/in/deep/c": "OPEN_FAILED"}


def test_a_missing_body_is_named_and_the_rest_comes_out(stage: Stage, bundle: Path) -> None:
    body_of(bundle, 3).unlink()
    report = recovered(stage, bundle, without={"Secret/a.txt"})
    assert (report.missing, report.failures) == (["Secret/a.txt"], [])


def test_no_link_in_a_bundle_is_followed(stage: Stage, bundle: Path) -> None:
    body = body_of(bundle, 3)
    body.rename(bundle.parent / "elsewhere")
    body.symlink_to(bundle.parent / "elsewhere")
    folder = body_of(bundle, 5).parent
    folder.rename(bundle.parent / "folder")
    folder.symlink_to(bundle.parent / "folder")
    report = recovered(stage, bundle, without={"Secret/a.txt", *(p for p in CONTENT if "/deep/" in p)})
    assert set(report.missing) == {"Secret/a.txt", "Secret/in/deep/c", "Secret/in/deep/Grün.txt"}


def test_no_link_in_the_new_folder_is_followed(stage: Stage, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Secret").symlink_to(tmp_path / "outside")
    report = run_recover(bundle, stage.key("alice"), tmp_path / "out")
    assert codes(report) == {"Secret": "LOCAL_STORAGE"}
    assert files_of(tmp_path / "outside") == {}


# --- what is there already ------------------------------------------------------------------------------------


def test_what_is_there_is_kept_when_it_is_the_same_and_not_touched_when_it_is_not(
    stage: Stage, bundle: Path, tmp_path: Path
) -> None:
    recovered(stage, bundle, without=set())
    mine, same = tmp_path / "out/Secret/a.txt", tmp_path / "out/Secret/big.bin"
    mine.write_bytes(b"two")
    before = same.stat()
    report = run_recover(bundle, stage.key("alice"), tmp_path / "out")
    assert codes(report) == {"Secret/a.txt": "ALREADY_EXISTS"}
    assert (report.files, report.kept, mine.read_bytes()) == (0, 6, b"two")
    assert same.stat() == before
    report = run_recover(bundle, stage.key("alice"), tmp_path / "out", overwrite=True)
    assert (report.files, report.kept, mine.read_bytes()) == (1, 6, b"one")
    assert b"two" in files_of(tmp_path / "out" / ".candado-trash").values()


def test_a_folder_in_the_place_of_a_file_is_never_replaced(stage: Stage, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "out/Secret/a.txt").mkdir(parents=True)
    report = recovered(stage, bundle, without={"Secret/a.txt"}, overwrite=True)
    assert codes(report) == {"Secret/a.txt": "ALREADY_EXISTS"}


# --- salvage --------------------------------------------------------------------------------------------------


def test_salvage_marks_the_one_file_whose_content_does_not_fit(stage: Stage, bundle: Path, tmp_path: Path) -> None:
    flip(body_of(bundle, 3))
    for files, kept in ((7, 0), (0, 7)):
        report = run_recover(bundle, stage.key("alice"), tmp_path / "out", salvage=True)
        found = files_of(tmp_path / "out")
        assert found.pop("Secret/a.txt.not-verified") == b"nne"
        assert found == {path: data for path, data in CONTENT.items() if path != "Secret/a.txt"}
        assert (report.files, report.kept) == (files, kept)
        assert report.unverified == [("Secret/a.txt.not-verified", "its content was altered or is cut off")]
        assert not report.is_complete


def test_salvage_reads_a_bundle_whose_signature_is_gone_and_marks_all_of_it(
    stage: Stage, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "candado-bundle.sig").unlink()
    report = run_recover(bundle, stage.key("bob"), tmp_path / "out", salvage=True)
    assert files_of(tmp_path / "out") == {f"{path}.not-verified": data for path, data in CONTENT.items()}
    assert {reason for _, reason in report.unverified} == {"The bundle is not signed."}


def test_salvage_reads_a_folder_whose_signature_is_gone_and_all_below_it(
    stage: Stage, bundle: Path, tmp_path: Path
) -> None:
    outer, _ = nested_of(bundle)
    (bundle / f"documents/{outer.file_id}.sig").unlink()
    report = run_recover(bundle, stage.key("alice"), tmp_path / "out", salvage=True)
    expected = {f"{path}.not-verified" if path in BELOW_IN else path: data for path, data in CONTENT.items()}
    assert files_of(tmp_path / "out") == expected
    assert len(report.unverified) == len(BELOW_IN)


def test_salvage_reads_a_root_whose_signature_is_gone_its_file_drop_included(
    stage: Stage, bundle: Path, tmp_path: Path
) -> None:
    root = lines_of(bundle)[0]
    assert isinstance(root, FolderLine)
    (bundle / f"documents/{root.file_id}.sig").unlink()
    assert codes(recovered(stage, bundle, without=set(CONTENT))) == {"Secret": "CONTEXT"}
    run_recover(bundle, stage.key("bob"), tmp_path / "all", salvage=True)
    assert files_of(tmp_path / "all") == {f"{path}.not-verified": data for path, data in CONTENT.items()}


def test_salvage_goes_on_over_lines_that_cannot_be_read(stage: Stage, bundle: Path, tmp_path: Path) -> None:
    index = bundle / "index.jsonl"
    index.write_bytes(index.read_bytes() + b"{}\n")
    report = run_recover(bundle, stage.key("alice"), tmp_path / "out", salvage=True)
    assert files_of(tmp_path / "out") == {f"{path}.not-verified": data for path, data in CONTENT.items()}
    assert report.failures == []


def test_salvage_opens_nothing_for_somebody_else(stage: Stage, bundle: Path, tmp_path: Path) -> None:
    report = run_recover(bundle, stage.key("carol"), tmp_path / "out", salvage=True)
    assert codes(report) == {"Secret": "OPEN_FAILED"}
    assert files_of(tmp_path / "out") == {}


def test_a_body_that_the_index_does_not_have_is_taken_by_salvage_only(
    stage: Stage, bundle: Path, tmp_path: Path
) -> None:
    lines = [line for line in lines_of(bundle) if not isinstance(line, BodyLine) or line.size_bytes != 19]
    write_lines(bundle, lines)
    sign_anew(bundle, stage, lambda one: replace(one, bodies=one.bodies - 1, body_bytes=one.body_bytes - 19))
    assert recovered(stage, bundle, without={"Secret/a.txt"}).missing == ["Secret/a.txt"]
    run_recover(bundle, stage.key("alice"), tmp_path / "all", salvage=True)
    assert files_of(tmp_path / "all") == CONTENT


# --- members --------------------------------------------------------------------------------------------------


def test_the_roots_are_given_to_whoever_opens_them_himself(stage: Stage) -> None:
    (root,) = BundleReader(SourceFolder(stage.bundle)).roots()
    assert (root.path, root.members) == ("/Secret", ("alice", "bob"))
    text, signature = stage.world.server.tree.metadata[root.file_id]
    assert (root.raw.text, root.raw.signature) == (text, signature)


def test_a_member_can_be_named_and_then_only_his_entry_counts(stage: Stage) -> None:
    reader = BundleReader(SourceFolder(stage.bundle))
    key = stage.key("bob")
    found = [one for one in reader.folders(key, now=NOW, member_id=UserId("bob")) if isinstance(one, FoundFolder)]
    assert [one.path for one in found] == [("Secret",), ("Secret", "in"), ("Secret", "in", "deep")]
    assert all(one.folder is not None and not one.doubt for one in found)
    (gap,) = reader.folders(key, now=NOW, member_id=UserId("alice"))
    assert isinstance(gap, Gap)
    assert gap.error.code == "CONTEXT"
    (gap,) = reader.folders(key, now=NOW, member_id=UserId("carol"))
    assert isinstance(gap, Gap)
    assert gap.error.code == "NOT_A_MEMBER"


async def test_names_that_a_member_may_not_write_are_told_and_lead_nowhere(tmp_path: Path) -> None:
    world = World()
    device = Device(world)
    device.state.spaces["identity"].pop("mnemonic")
    await edit.encrypt_folder(device.account, "/Docs")
    await device.put("/Docs", {"good": b"1"})
    root = (await device.reader().open_root("/Docs")).folder
    assert root is not None
    (entry,) = root.content.files.values()
    raw: Any = {
        "filename": "../../evil",
        "mimetype": "",
        "key": encode_b64(entry.key.reveal()),
        "nonce": encode_b64(entry.nonce),
        "authenticationTag": encode_b64(entry.tag),
    }
    bad = [
        SkippedEntry("files", "e" * 32, "", raw),
        SkippedEntry("files", "../../evil", "", {**raw, "filename": "evil"}),
        SkippedEntry("folders", "f" * 32, "", ".."),
    ]
    await write_root(world, root, replace(root.content, skipped=tuple(bad)))
    exported = await run_export(device, tmp_path / "bundle", "/Docs")
    assert [one.error.code for one in exported.failures] == ["NAME_UNSAFE"] * 3
    report = run_recover(tmp_path / "bundle", world.identity("alice").key, tmp_path / "deep" / "er" / "out")
    assert [one.error.code for one in report.failures] == ["MALFORMED"] * 3
    assert files_of(tmp_path / "deep") == {"er/out/Docs/good": b"1"}
    assert not list(tmp_path.rglob("evil"))

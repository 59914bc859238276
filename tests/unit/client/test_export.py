"""Export and recovery: what goes into a bundle comes out of it, and a cut is gone on from."""

from pathlib import Path

import pytest
from tests.unit.client.bundles import CONTENT, Stage, files_of, make_stage, run_recover

from candado.crypto.mnemonic import open_private_key
from candado.formats.bundle import parse_manifest
from candado.types import SecretText


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return make_stage(tmp_path_factory.mktemp("stage"))


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_every_member_recovers_all_of_a_bundle_with_the_private_key_alone(
    stage: Stage, tmp_path: Path, user: str
) -> None:
    report = run_recover(stage.bundle, stage.key(user), tmp_path / "out")
    assert files_of(tmp_path / "out") == CONTENT
    assert (report.files, report.folders, report.bytes) == (7, 3, sum(map(len, CONTENT.values())))
    assert report.is_complete
    assert not report.renamed


def test_the_report_of_an_export_counts_what_is_in_the_bundle(stage: Stage) -> None:
    report = stage.report
    assert (report.roots, report.folders, report.bodies, report.kept) == (["/Secret"], 3, 7, 0)
    assert report.body_bytes == sum(len(data) + 16 for data in CONTENT.values())
    assert (report.missing, report.failures) == ([], [])
    manifest = parse_manifest((stage.bundle / "candado-bundle.json").read_bytes())
    assert (manifest.exporter, manifest.roots, manifest.folders, manifest.bodies) == ("alice", 1, 3, 7)
    assert manifest.body_bytes == report.body_bytes


def test_a_bundle_holds_no_plaintext_no_names_and_no_keys(stage: Stage) -> None:
    everything = b"".join(files_of(stage.bundle).values())
    shown = "".join(files_of(stage.bundle))
    for name in ("a.txt", "big.bin", "letter", "Grün", "deep"):
        assert name.encode() not in everything
        assert name not in shown
    assert b"three" not in everything
    assert b"from a visitor" not in everything


def test_the_twelve_words_open_the_private_key_in_the_bundle(stage: Stage) -> None:
    manifest = parse_manifest((stage.bundle / "candado-bundle.json").read_bytes())
    assert open_private_key(manifest.private_key, SecretText("words")).key.public == stage.key("alice").public

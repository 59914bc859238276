"""The folder of an organisation's key: made once, signs with rising numbers, keeps what it signed."""

from pathlib import Path

import pytest

from candado.adapters.ambient import SystemRandom
from candado.adapters.organisation import OrganisationFolder, read_bounded, read_public_key
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    CorruptStateError,
    LocalStorageError,
    MalformedError,
    NotFoundError,
    WrongPassphraseError,
)
from candado.types import SecretText


def _folder(path: Path, passphrase: str = "correct horse") -> OrganisationFolder:
    return OrganisationFolder(path, lambda: SecretText(passphrase), SystemRandom().token)


@pytest.fixture
def made(tmp_path: Path) -> OrganisationFolder:
    folder = _folder(tmp_path / "organisation")
    folder.create()
    return folder


def test_policies_are_numbered_upwards_and_kept(made: OrganisationFolder, tmp_path: Path) -> None:
    first = made.sign("client-rules", "One.", {"rules": []}, now=5.5)
    second = made.sign("client-rules", "Two.", {"rules": []}, now=6.0, serial=11)
    third = made.sign("client-rules", "Three.", {"rules": []}, now=7.0)
    assert [(one.serial, one.issued, one.text) for one in (first, second, third)] == [
        (1, 5, "One."),
        (11, 6, "Two."),
        (12, 7, "Three."),
    ]
    assert made.policies() == [first, second, third]
    kept = tmp_path / "organisation" / "policies" / "client-rules-12.json"
    assert kept.read_bytes() == third.raw + b"\n"
    with pytest.raises(AlreadyExistsError):
        made.sign("client-rules", "Again.", {"rules": []}, now=8.0, serial=12)
    with pytest.raises(MalformedError):
        made.sign("recovery", "No body.", {}, now=8.0)
    assert made.policies() == [first, second, third]


def test_a_key_is_never_replaced_and_never_opened_with_a_wrong_passphrase(
    made: OrganisationFolder, tmp_path: Path
) -> None:
    path = tmp_path / "organisation"
    before = {one.name: one.read_bytes() for one in path.iterdir() if one.is_file()}
    with pytest.raises(AlreadyExistsError):
        made.create()
    with pytest.raises(WrongPassphraseError):
        _folder(path, "wrong").sign("client-rules", "One.", {"rules": []}, now=1.0)
    assert {one.name: one.read_bytes() for one in path.iterdir() if one.is_file()} == before
    assert (path / "organisation.key").stat().st_mode & 0o777 == 0o600
    assert made.policies() == []


def test_a_folder_that_was_tampered_with_signs_nothing(made: OrganisationFolder, tmp_path: Path) -> None:
    path = tmp_path / "organisation"
    other = _folder(tmp_path / "other")
    other.create()
    made.sign("client-rules", "One.", {"rules": []}, now=1.0)
    kept = path / "policies" / "client-rules-1.json"
    kept.write_bytes(kept.read_bytes().replace(b"One.", b"Two."))
    with pytest.raises(CorruptStateError):
        made.sign("client-rules", "Two.", {"rules": []}, now=1.0)
    kept.unlink()
    (path / "organisation.pub").write_bytes((tmp_path / "other" / "organisation.pub").read_bytes())
    with pytest.raises(CorruptStateError):
        made.sign("client-rules", "Two.", {"rules": []}, now=1.0)
    (path / "organisation.key").unlink()
    with pytest.raises(NotFoundError):
        made.sign("client-rules", "Two.", {"rules": []}, now=1.0)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(None, NotFoundError), (b"\xff", CorruptStateError), (b"x", CorruptStateError), (b"x" * 2000, LocalStorageError)],
)
def test_what_is_no_public_key_is_told_so(tmp_path: Path, content: bytes | None, kind: type[CandadoError]) -> None:
    path = tmp_path / "organisation.pub"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind) as caught:
        read_public_key(path)
    assert caught.value.path == str(path)


def test_a_folder_in_the_place_of_a_file_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(LocalStorageError):
        read_bounded(tmp_path, 10)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalStorageError):
        _folder(tmp_path / "file").create()

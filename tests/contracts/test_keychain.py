"""The contract of Keychain, on every adapter; the desktop's keyring is replaced by one in memory."""

import json
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest
from keyring.backends.fail import Keyring as FailKeyring
from tests.sim import SeededRandom

from candado.adapters.keychain import FileKeychain, KeyringKeychain, PassphraseKeychain
from candado.errors import CorruptStateError, LocalPermissionError, LocalStorageError, WrongPassphraseError
from candado.ports.client import Keychain
from candado.types import SecretBytes, SecretText

SECRET = SecretBytes(bytes(range(32)))


class MemoryKeyring(keyring.backend.KeyringBackend):
    priority = 1

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def _passphrase_keychain(path: Path, passphrase: str = "correct horse") -> PassphraseKeychain:
    return PassphraseKeychain(path, lambda: SecretText(passphrase), SeededRandom(1).token)


@pytest.fixture(params=["file", "passphrase", "keyring"])
def keychain(request: pytest.FixtureRequest, tmp_path: Path, memory_keyring: MemoryKeyring) -> Keychain:
    if request.param == "file":
        return FileKeychain(tmp_path / "secret")
    if request.param == "passphrase":
        return _passphrase_keychain(tmp_path / "secret.json")
    return KeyringKeychain("device one")


def test_a_secret_is_kept_until_it_is_deleted(keychain: Keychain) -> None:
    assert keychain.load() is None
    keychain.delete()
    keychain.store(SECRET)
    assert keychain.load() == SECRET
    keychain.store(SecretBytes(b"n" * 32))
    assert keychain.load() == SecretBytes(b"n" * 32)
    keychain.delete()
    assert keychain.load() is None


def test_two_devices_in_one_keyring_do_not_meet(memory_keyring: MemoryKeyring) -> None:
    KeyringKeychain("one").store(SECRET)
    assert KeyringKeychain("two").load() is None


def test_the_keyring_holds_something_else_is_said(memory_keyring: MemoryKeyring) -> None:
    memory_keyring.set_password("candado", "one", "not base64!")
    with pytest.raises(CorruptStateError):
        KeyringKeychain("one").load()


def test_a_keyring_that_forgets_is_found_out_at_once(memory_keyring: MemoryKeyring) -> None:
    memory_keyring.set_password = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(LocalStorageError, match="did not keep"):
        KeyringKeychain("one").store(SECRET)


def test_a_machine_without_a_keyring_is_recognised(memory_keyring: MemoryKeyring) -> None:
    assert KeyringKeychain.is_available() is True
    keyring.set_keyring(FailKeyring())  # type: ignore[no-untyped-call]
    assert KeyringKeychain.is_available() is False


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    for keychain in (FileKeychain(tmp_path / "plain"), _passphrase_keychain(tmp_path / "sealed")):
        keychain.store(SECRET)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {"plain": 0o600, "sealed": 0o600}


@pytest.mark.parametrize("name", ["plain", "sealed"])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    keychain = FileKeychain(tmp_path / name) if name == "plain" else _passphrase_keychain(tmp_path / name)
    keychain.store(SECRET)
    (tmp_path / name).chmod(0o640)
    with pytest.raises(LocalPermissionError, match="read by others"):
        keychain.load()


def test_a_link_in_the_place_of_the_secret_is_refused(tmp_path: Path) -> None:
    FileKeychain(tmp_path / "real").store(SECRET)
    (tmp_path / "plain").symlink_to(tmp_path / "real")
    with pytest.raises(LocalPermissionError):
        FileKeychain(tmp_path / "plain").load()


def test_a_plain_file_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"short")
    (tmp_path / "plain").chmod(0o600)
    with pytest.raises(CorruptStateError):
        FileKeychain(tmp_path / "plain").load()


def test_a_wrong_passphrase_is_told_from_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "sealed"
    _passphrase_keychain(path).store(SECRET)
    with pytest.raises(WrongPassphraseError):
        _passphrase_keychain(path, "correct house").load()
    assert SECRET.reveal() not in path.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"passes": 1},
        {"passes": 10**6},
        {"passes": True},
        {"memory_kib": 8},
        {"memory_kib": 1 << 40},
        {"version": 2},
        {"kdf": "argon2i"},
        {"salt": "AAAA"},
        {"sealed": "AAAA"},
        {"sealed": 7},
    ],
)
def test_a_passphrase_file_outside_its_bounds_is_refused_before_any_work(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "sealed"
    _passphrase_keychain(path).store(SECRET)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    def never() -> SecretText:
        raise AssertionError("the passphrase was asked for")

    with pytest.raises(CorruptStateError):
        PassphraseKeychain(path, never, SeededRandom(1).token).load()


def test_altered_parameters_within_bounds_do_not_open(tmp_path: Path) -> None:
    path = tmp_path / "sealed"
    _passphrase_keychain(path).store(SECRET)
    path.write_text(json.dumps({**json.loads(path.read_text()), "passes": 4}))
    with pytest.raises(WrongPassphraseError):
        _passphrase_keychain(path).load()

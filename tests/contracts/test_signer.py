"""What every signer promises, and what the key file must be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.softhsm import PIN, SoftToken

from candado.adapters.hsm_signer import HsmSigner
from candado.adapters.pooled import PooledRandom
from candado.adapters.signers import SoftwareSigner
from candado.crypto.rsa import PublicKey
from candado.errors import (
    AlreadyExistsError,
    BadSignatureError,
    CorruptStateError,
    LocalPermissionError,
    NotFoundError,
)
from candado.ports.server import Signer
from candado.types import SecretText


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signer") / "authority.pem"
    SoftwareSigner.create(path)
    return path


@pytest.fixture(scope="module")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    token = SoftToken(tmp_path_factory.mktemp("hsm") / "one")
    token.add_with_keys()
    return token


@pytest.fixture(params=["file", "token"])
async def signer(
    request: pytest.FixtureRequest, key_file: Path, soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Signer]:
    opened: Signer
    if request.param == "file":
        opened = SoftwareSigner.load(key_file)
    else:
        monkeypatch.setenv("SOFTHSM2_CONF", soft_token.environment["SOFTHSM2_CONF"])
        opened = await HsmSigner.open(soft_token.uri(), lambda: SecretText(PIN), expected=None)
    yield opened
    await opened.close()


async def test_a_signature_verifies_under_the_public_key_and_only_for_its_message(signer: Signer) -> None:
    public = PublicKey.from_pem(signer.public_key_pem)
    signature = await signer.sign(b"message")
    public.verify_pkcs1_sha256(signature, b"message")
    with pytest.raises(BadSignatureError):
        public.verify_pkcs1_sha256(signature, b"another")
    assert await signer.sign(b"message") == signature


async def test_many_sign_at_once_and_each_gets_the_signature_of_its_message(signer: Signer) -> None:
    public = PublicKey.from_pem(signer.public_key_pem)
    messages = [f"message {number}".encode() for number in range(40)]
    signatures = await asyncio.gather(*(signer.sign(message) for message in messages))
    for message, signature in zip(messages, signatures, strict=True):
        public.verify_pkcs1_sha256(signature, message)


async def test_the_self_test_holds_before_and_after_signing(signer: Signer) -> None:
    await signer.check()
    await signer.sign(b"message")
    await signer.check()


async def test_a_signer_may_be_closed_twice(signer: Signer) -> None:
    await signer.sign(b"message")
    await signer.close()
    await signer.close()


def test_the_key_is_the_same_after_a_restart_and_its_file_is_private(key_file: Path) -> None:
    assert SoftwareSigner.load(key_file).public_key_pem == SoftwareSigner.load(key_file).public_key_pem
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_replaced(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(AlreadyExistsError):
        SoftwareSigner.create(key_file)
    assert key_file.read_bytes() == before


def test_a_key_others_can_read_is_refused(key_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pem"
    copy.write_bytes(key_file.read_bytes())
    copy.chmod(0o640)
    with pytest.raises(LocalPermissionError):
        SoftwareSigner.load(copy)


@pytest.mark.parametrize("damage", ["empty", "cut", "altered", "public", "binary"])
def test_a_damaged_key_is_refused(key_file: Path, tmp_path: Path, damage: str) -> None:
    text = key_file.read_bytes()
    middle = len(text) // 2
    made = {
        "empty": b"",
        "cut": text[:middle],
        "altered": text[:middle] + (b"A" if text[middle : middle + 1] != b"A" else b"B") + text[middle + 1 :],
        "public": SoftwareSigner.load(key_file).public_key_pem.encode(),
        "binary": b"\xff\x00",
    }[damage]
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(made)
    with pytest.raises(CorruptStateError):
        SoftwareSigner.load(path)


def test_a_missing_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        SoftwareSigner.load(tmp_path / "none.pem")
    assert "init" in caught.value.advice


class _Counting:
    """Bytes that never repeat, and the sizes asked for."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._next = 0

    def token(self, size_bytes: int) -> bytes:
        self.sizes.append(size_bytes)
        out = b"".join((self._next + n).to_bytes(4, "big") for n in range(size_bytes // 4 + 1))[:size_bytes]
        self._next += size_bytes
        return out


def test_pooled_bytes_are_handed_out_once_and_fetched_in_bulk() -> None:
    source = _Counting()
    pooled = PooledRandom(source)
    tokens = [pooled.token(16) for _ in range(2000)]
    assert len(set(tokens)) == 2000
    assert len(source.sizes) == 4
    assert len(pooled.token(1000)) == 1000
    assert source.sizes[-1] == 1000

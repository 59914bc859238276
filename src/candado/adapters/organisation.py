"""The folder of an organisation's key: the sealed private half, the public half, and all that was signed.

Layer: ``adapters``; used offline by an administrator. ``organisation.key`` is the seed, sealed under a passphrase with
Argon2id; ``organisation.pub`` the public key in PEM; ``policies/KIND-SERIAL.json`` every policy that was signed. A
policy is durable there before anybody sees it, so no serial number is used twice by one folder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from candado.adapters.keychain import PassphraseKeychain, write_private_file
from candado.crypto.ed25519 import SigningKey, VerifyingKey
from candado.errors import (
    AlreadyExistsError,
    CandadoError,
    CorruptStateError,
    LocalStorageError,
    NotFoundError,
)
from candado.folder.orgtrust import VerifiedPolicy, sign_policy, verify_policy
from candado.formats.canonjson import JsonObject
from candado.formats.orgpolicy import POLICY_BYTES_MAX, POLICY_KINDS, PolicyKind, PolicyText
from candado.types import SecretBytes, SecretText

__all__ = ["OrganisationFolder", "read_bounded", "read_public_key"]

_SEED_BYTES: Final = 32
_PEM_BYTES_MAX: Final = 1024


class OrganisationFolder:
    """One folder with one key.

    Args:
        path: the folder.
        ask: gives the passphrase; called only when the private half is needed.
        random: gives that many unpredictable bytes.
    """

    def __init__(self, path: Path, ask: Callable[[], SecretText], random: Callable[[int], bytes]) -> None:
        self._path = path
        self._random = random
        self._sealed = PassphraseKeychain(path / "organisation.key", ask, random)
        self._public = path / "organisation.pub"
        self._policies = path / "policies"

    def create(self) -> VerifyingKey:
        """Make the key; AlreadyExistsError when there is one, LocalStorageError when the folder cannot be written."""
        if self._public.exists() or (self._path / "organisation.key").exists():
            raise AlreadyExistsError(
                "There is an organisation's key in this folder already.",
                path=str(self._path),
                advice="Choose an empty folder; a new key must be accepted by every person on every device.",
            )
        try:
            self._policies.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise LocalStorageError(f"the folder cannot be made: {exc.strerror}", path=str(self._path)) from exc
        seed = SecretBytes(self._random(_SEED_BYTES))
        key = SigningKey(seed)
        # The private half first: a public key whose private half was lost could be pinned by clients for nothing.
        self._sealed.store(seed)
        write_private_file(self._public, key.public.to_pem().encode())
        return key.public

    def public(self) -> VerifyingKey:
        """The public half; NotFoundError, CorruptStateError."""
        return read_public_key(self._public)

    def policies(self) -> list[VerifiedPolicy]:
        """Everything that was signed here, by kind and serial; CorruptStateError when one is damaged."""
        key = self.public()
        found: list[VerifiedPolicy] = []
        for kind in POLICY_KINDS:
            for path in sorted(self._policies.glob(f"{kind}-*.json"), key=lambda one: (len(one.name), one.name)):
                try:
                    found.append(
                        verify_policy(read_bounded(path, POLICY_BYTES_MAX + 1), kind=kind, pinned_key=key, pinned=None)
                    )
                except CandadoError as exc:
                    raise CorruptStateError(f"a signed policy is damaged: {exc.message}", path=str(path)) from exc
        return found

    def sign(
        self, kind: PolicyKind, text: str, body: JsonObject, *, now: float, serial: int | None = None
    ) -> VerifiedPolicy:
        """Sign a policy with the next serial number of its kind, or with ``serial``, and keep it.

        Raises:
            WrongPassphraseError, NotFoundError, CorruptStateError: the key cannot be used.
            AlreadyExistsError: ``serial`` is not above what was signed here before.
            MalformedError, LimitExceededError: text or body are out of their bounds; nothing was signed.
        """
        last = max((one.serial for one in self.policies() if one.kind == kind), default=0)
        number = last + 1 if serial is None else serial
        if number <= last:
            raise AlreadyExistsError(
                f"A policy of this kind with serial {last} was signed already; {number} is not above it.",
                path=str(self._policies),
                advice="Leave out --serial: the next number is taken.",
            )
        public = self.public()
        policy = PolicyText(kind, number, int(now), public.fingerprint_hex, text, body)
        seed = self._sealed.load()
        if seed is None:
            raise NotFoundError("The folder has no organisation's key.", path=str(self._path))
        key = SigningKey(seed)
        if key.public != public:
            raise CorruptStateError("the two halves of the organisation's key differ", path=str(self._path))
        raw = sign_policy(key, policy)
        write_private_file(self._policies / f"{kind}-{number}.json", raw + b"\n")
        return verify_policy(raw, kind=kind, pinned_key=public, pinned=None)


def read_public_key(path: Path) -> VerifyingKey:
    """The organisation's public key in a file; NotFoundError, CorruptStateError."""
    try:
        return VerifyingKey.from_pem(read_bounded(path, _PEM_BYTES_MAX).decode())
    except (CandadoError, UnicodeDecodeError) as exc:
        if isinstance(exc, NotFoundError | LocalStorageError):
            raise
        raise CorruptStateError("this is not the public key of an organisation", path=str(path)) from exc


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """A small file of somebody else; NotFoundError, LocalStorageError when it is larger or cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError("The file does not exist.", path=str(path), advice="Name the right file.") from exc
    except OSError as exc:
        raise LocalStorageError(f"the file cannot be read: {exc.strerror}", path=str(path)) from exc
    if len(content) > bytes_max:
        raise LocalStorageError(f"the file is larger than {bytes_max} bytes", path=str(path))
    return content

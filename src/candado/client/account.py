"""One account on one device: connection, identity, pins, issues, journal of write sessions.

Layer: ``client``; built by ``apps.wiring`` from ports. Every other use case takes an ``Account``. It does no network
I/O by itself but for ``capabilities``.

Spaces of the state used here: ``identity`` (private key, certificate, words), ``cache`` (capabilities), and those of
``pins`` and ``issues``.
"""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from shlex import quote
from typing import Final

from candado.client.event_texts import text_of
from candado.client.issues import Issue, IssueBook
from candado.client.pins import PinBook, Row
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import Certificate, parse_certificate
from candado.errors import CandadoError, CorruptStateError, DowngradeError, MisuseError, NoKeysError
from candado.folder.model import Accepted, AccountPins, Event, Identity, RawText
from candado.ports.ambient import Clock, Random
from candado.ports.client import Capabilities, Keychain, Remote, StateStore
from candado.ports.token import TokenOpener
from candado.types import FileId, SecretText, UserId

__all__ = ["SESSION_SPACE", "Account"]

_IDENTITY: Final = "identity"
_CACHE: Final = "cache"
SESSION_SPACE: Final = "session"
"""Where the state keeps the locks that are held; see ``client.lock``."""
_CAPABILITIES_SECONDS: Final = 3600.0


class Account:
    """One account on one device.

    Args:
        remote: the account on its server.
        store: durable state of this device, sealed.
        keychain: where the device secret lives; kept for ``logout``.
        clock: wall clock.
        random: unpredictable bytes.
        user_id: the account.
        server_url: the server's address, for people.
        device_name: how this device calls itself in conflict copies and reports.
    """

    def __init__(
        self,
        *,
        remote: Remote,
        store: StateStore,
        keychain: Keychain,
        clock: Clock,
        random: Random,
        user_id: UserId,
        server_url: str,
        device_name: str = "this device",
        open_token: TokenOpener | None = None,
    ) -> None:
        self.remote = remote
        self.store = store
        self.keychain = keychain
        self.clock = clock
        self.random = random
        self.user_id = user_id
        self.server_url = server_url
        self.device_name = device_name
        self._open_token = open_token
        self.book = PinBook(store, user_id)
        self.issue_book = IssueBook(store, clock)
        self.write_lock = asyncio.Lock()
        """Held by a write session: a device never holds two locks."""
        self._identity: Identity | None = None
        self._capabilities: Capabilities | None = None

    # --- identity -----------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity | None:
        """The account's key pair on this device; None before ``init``. CorruptStateError when it cannot be read."""
        if self._identity is None:
            stored = self.store.load(_IDENTITY, "certificate")
            if stored is None:
                return None
            certificate = parse_certificate(stored.decode())
            self._identity = Identity(self.user_id, self._private_key(certificate), certificate)
        return self._identity

    def _private_key(self, certificate: Certificate) -> PrivateKey:
        address = self.token_address
        if address is not None:
            if self._open_token is None:
                raise NoKeysError("The key of this account is on a token, which cannot be opened here.")
            return self._open_token(address, certificate.public_key)
        key = self.store.load(_IDENTITY, "key")
        if key is None:
            raise CorruptStateError("the private key of this device is gone")
        # The state is sealed and authenticated, so the slow consistency check of the key is not owed again.
        return PrivateKey.from_pkcs8_der(key, check=False)

    @property
    def token_address(self) -> str | None:
        """Where the private key is, if it is on a token."""
        stored = self.store.load(_IDENTITY, "token")
        return None if stored is None else stored.decode()

    def commit_token_identity(self, certificate: Certificate, address: str, authority: PublicKey) -> None:
        """As ``commit_identity`` for a key on a token: only where it is is kept, and there are no words."""
        self.store.commit(
            [
                (_IDENTITY, "certificate", certificate.pem.encode()),
                (_IDENTITY, "token", address.encode()),
                *self.book.rows_account(authority),
            ]
        )
        self._identity = None

    def require_identity(self) -> Identity:
        """The account's key pair; NoKeysError before ``init``."""
        identity = self.identity
        if identity is None:
            raise NoKeysError("This device has no end-to-end encryption keys yet.")
        return identity

    def commit_identity(self, identity: Identity, mnemonic: SecretText, authority: PublicKey) -> None:
        """Keep the identity, the words and the authority's key, durable in one transaction; drops what was pending."""
        self.store.commit(
            [
                (_IDENTITY, "key", identity.key.to_pkcs8_der()),
                (_IDENTITY, "certificate", identity.certificate.pem.encode()),
                (_IDENTITY, "mnemonic", mnemonic.reveal().encode()),
                (_IDENTITY, "pending", None),
                *self.book.rows_account(authority),
            ]
        )
        self._identity = identity

    def replace_certificate(self, certificate: Certificate) -> None:
        """Keep another certificate for the same key; MisuseError when it is for another."""
        identity = self.require_identity()
        if certificate.public_key != identity.key.public:
            raise MisuseError("a renewed certificate is for the same key")
        self.store.commit([(_IDENTITY, "certificate", certificate.pem.encode())])
        self._identity = Identity(self.user_id, identity.key, certificate)

    def mnemonic(self) -> SecretText | None:
        """The twelve words as this device knows them."""
        words = self.store.load(_IDENTITY, "mnemonic")
        return None if words is None else SecretText(words.decode())

    def load_pending(self) -> bytes | None:
        """What an interrupted enrolment left behind; only ``client.enrol`` reads it."""
        return self.store.load(_IDENTITY, "pending")

    def save_pending(self, value: bytes | None) -> None:
        """Make the state of an enrolment durable before its next step; None forgets it."""
        self.store.commit([(_IDENTITY, "pending", value)])

    # --- pins, events, issues -----------------------------------------------------------------------------

    def pins(self) -> AccountPins:
        """What acceptance compares with; a live view. NoKeysError before ``init``."""
        return self.book.account_pins(self.require_identity().certificate.public_key.fingerprint_hex)

    def commit_accepted(
        self, accepted: Accepted, *, path: str, extra: Iterable[Row] = (), durable: bool = False
    ) -> None:
        """Step 15 of the acceptance: pins, metadata keys and events in one transaction.

        A later durable commit makes this one durable too, so a walk over many folders costs one wait for the disk.
        """
        rows = [*self.book.rows_accepted(accepted), *extra]
        if rows:
            self.store.commit(rows, durable=durable)
        for event in accepted.events:
            self.record_event(event, path=path)

    def record_event(self, event: Event, *, path: str) -> None:
        """Keep a notice for people."""
        self.issue_book.add("notice", event.code, text_of(event), path=path, file_id=event.file_id)

    def record_refusal(
        self, error: CandadoError, *, path: str, file_id: FileId | int = 0, raw: RawText | None = None
    ) -> None:
        """Keep a refusal with the documents that were refused (A112); its advice names the folder as a person does."""
        root = self.book.root_path(FileId(file_id)) or path
        for command in ("forget --folder", "accept-history"):
            error.advice = error.advice.replace(f"{command} FOLDER", f"{command} {quote(root)}")
        self.issue_book.refuse(error, path=path, file_id=file_id, raw=raw)

    def issues(self) -> list[Issue]:
        """All open issues, oldest first."""
        return self.issue_book.all()

    # --- capabilities -------------------------------------------------------------------------------------

    async def capabilities(self, *, fresh: bool = False) -> Capabilities:
        """What the server can do, asked at most once an hour and kept between runs; ``fresh`` asks now.

        Raises:
            DowngradeError: ``cap.downgrade``: end-to-end encryption was announced before and is not any more (A67).
        """
        if fresh:
            self._capabilities = None
        elif self._capabilities is None:
            self._capabilities = self._cached_capabilities()
        if self._capabilities is None:
            found = await self.remote.capabilities()
            if not found.e2ee_enabled and self.store.load(_CACHE, "e2ee-seen") is not None:
                error = DowngradeError(
                    "cap.downgrade", "The server no longer announces end-to-end encryption, which it had before."
                )
                self.record_refusal(error, path="/")
                raise error
            value = json.dumps({"at": self.clock.now(), **asdict(found)})
            rows: list[Row] = [(_CACHE, "capabilities", value.encode())]
            if found.e2ee_enabled:
                rows.append((_CACHE, "e2ee-seen", b"1"))
            self.store.commit(rows, durable=False)
            self._capabilities = found
        return self._capabilities

    def _cached_capabilities(self) -> Capabilities | None:
        stored = self.store.load(_CACHE, "capabilities")
        if stored is None:
            return None
        try:
            values = json.loads(stored)
            age = self.clock.now() - float(values.pop("at"))
            if values.keys() != {field.name for field in fields(Capabilities)}:
                return None  # kept by another release of ours
            return Capabilities(**values) if 0 <= age < _CAPABILITIES_SECONDS else None
        except (ValueError, KeyError, TypeError) as exc:
            raise CorruptStateError("the stored capabilities cannot be read") from exc

"""Keys of an account on this device: the first device makes them, further devices join with the twelve words.

Layer: ``client``; decisions in ``protocol.enrolment``. What the first device makes is durable here, sealed, before
the server hears of it: a set-up that is interrupted between the certificate and the private key goes on where it
stopped instead of leaving an account that nobody can ever open. The private key never leaves this device unsealed.

Source: client-flows.md sections 1 and 2; threats.md A03, A09, A10, A13.
"""

import asyncio
import base64
import json
from contextlib import suppress
from dataclasses import dataclass

from candado.client.account import Account
from candado.client.recovery import refresh
from candado.crypto.mnemonic import (
    check_words,
    make_mnemonic,
    open_private_key,
    seal_private_key,
    split_words,
)
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.crypto.x509 import make_csr, parse_certificate
from candado.errors import (
    CandadoError,
    ContextError,
    CorruptStateError,
    KeysExistError,
    MalformedError,
    NoKeysError,
    StoreLieError,
    TamperError,
    TransportError,
    WrongMnemonicError,
)
from candado.folder.model import Identity
from candado.protocol.enrolment import (
    EnrolmentStep,
    KeysOnServer,
    Wish,
    check_own_certificate,
    decide,
    wrapped_key_refused,
)
from candado.types import SecretText

__all__ = ["init_first", "init_further", "init_token", "reset", "show_mnemonic"]

_WORDS = 12
_ENTROPY_BYTES = 17


@dataclass(frozen=True, slots=True)
class _Pending:
    """Keys that were made here and are not completely on the server yet."""

    key: PrivateKey
    mnemonic: SecretText
    wrapped: str

    def to_json(self) -> bytes:
        key = base64.b64encode(self.key.to_pkcs8_der()).decode()
        return json.dumps({"key": key, "words": self.mnemonic.reveal(), "wrapped": self.wrapped}).encode()

    @classmethod
    def load(cls, account: Account) -> "_Pending | None":
        stored = account.load_pending()
        if stored is None:
            return None
        try:
            row = json.loads(stored)
            key = PrivateKey.from_pkcs8_der(base64.b64decode(row["key"]), check=False)
            return cls(key, SecretText(str(row["words"])), str(row["wrapped"]))
        except (ValueError, KeyError, TypeError) as exc:
            raise CorruptStateError("the state of an unfinished set-up cannot be read") from exc


async def init_first(account: Account) -> SecretText:
    """Make the account's keys, register them, and return the twelve words, which are shown to the person once.

    Safe to interrupt and to run again on this device.

    Raises:
        KeysExistError: the account has keys already, or another device was faster.
        IncompleteKeysError: there is a certificate without a private key that was not made here; see ``reset``.
        ContextError: ``own.keys-missing``, ``own.cert-mismatch``: the server contradicts what this device knows.
        StoreLieError: the server acknowledged the private key and does not have it; the set-up can be run again.
    """
    if account.token_address is not None:
        raise KeysExistError("This device has joined already, with a token.", advice="See `candado status`.")
    found, wrapped = await _look(account)
    pending = _Pending.load(account)
    if pending is not None and found.certificate_pem is not None:
        if parse_certificate(found.certificate_pem).public_key == pending.key.public:
            return await _finish(account, pending, found.certificate_pem, wrapped)
        account.save_pending(None)
    step = decide(Wish.NEW_KEYS, found, own_key_fingerprint=_own_fingerprint(account))
    assert step is EnrolmentStep.REGISTER
    if pending is None or found.certificate_pem is not None:
        pending = await _make(account)
    certificate_pem = await account.remote.register_certificate(make_csr(pending.key, account.user_id))
    return await _finish(account, pending, certificate_pem, None)


async def init_further(account: Account, mnemonic: SecretText) -> None:
    """Join with the twelve words: fetch the sealed private key once, open it, and check that it is the account's.

    Raises:
        WrongMnemonicError: a word is not in the list (the nearest one is named), or the words do not open the key.
        NoKeysError: the account has no keys; none are made.
        IncompleteKeysError: there is a certificate without a private key.
        ContextError: ``own.cert-mismatch``: the certificate belongs to another key.
    """
    _check_spelling(mnemonic)
    if account.token_address is not None:
        raise KeysExistError("This device has joined already, with a token.", advice="See `candado status`.")
    found, wrapped = await _look(account)
    step = decide(Wish.JOIN, found, own_key_fingerprint=_own_fingerprint(account))
    assert step is EnrolmentStep.UNWRAP
    assert found.certificate_pem is not None
    assert wrapped is not None
    opened = await asyncio.to_thread(open_private_key, wrapped, mnemonic)
    await _accept(account, opened.key, SecretText(" ".join(split_words(mnemonic.reveal()))), found.certificate_pem)
    if not opened.variant.is_current:
        account.issue_book.add(
            "notice",
            "kdf.legacy",
            "The private key on the server is sealed with an old, weaker derivation of the words.",
            path="/",
            advice="It stays readable; keys made by a current app are sealed in the strong way.",
        )


async def init_token(account: Account, address: str, key: PrivateKey) -> bool:
    """Make the key on a token the account's, or join with it when it is already; whether a certificate was made.

    Nothing of the key goes to the server, so the token is the only place it is in, and no words bring it back.

    Args:
        account: without an identity on this device.
        address: PKCS#11 address of the key, kept for later.
        key: the key there.

    Raises:
        KeysExistError: this device has joined, or the account has another key.
        ContextError: ``own.cert-mismatch``: the server answered with a certificate for another key.
        UntrustedCertificateError, RemoteError; what a token raises.
    """
    if account.identity is not None:
        raise KeysExistError("This device has joined already.", advice="There is nothing to do: see `candado status`.")
    found, wrapped = await _look(account)
    if found.certificate_pem is not None and parse_certificate(found.certificate_pem).public_key != key.public:
        raise KeysExistError("The account has a key already, and it is another one than that on the token.")
    if found.certificate_pem is None and wrapped is not None:
        raise ContextError("own.keys-missing", "The server shows a private key but hides the certificate.")
    is_new = found.certificate_pem is None
    pem = found.certificate_pem or await account.remote.register_certificate(make_csr(key, account.user_id))
    authority = await _check(account, key, pem)
    account.commit_token_identity(parse_certificate(pem), address, authority)
    return is_new


async def reset(account: Account, login_password: SecretText) -> SecretText:
    """Remove an incomplete set of keys (a certificate without a private key) and make new ones; returns the words.

    Raises:
        KeysExistError: the keys are complete; they are never replaced this way.
        NoKeysError: there is nothing to reset.
        ForbiddenError: the login password is wrong.
    """
    found, _ = await _look(account)
    step = decide(Wish.RESET, found, own_key_fingerprint=_own_fingerprint(account))
    assert step is EnrolmentStep.DELETE_CERTIFICATE
    await account.remote.delete_certificate(login_password)
    account.save_pending(None)
    return await init_first(account)


def show_mnemonic(account: Account) -> SecretText:
    """The twelve words again; the caller has asked for the PIN or password. NoKeysError before ``init``."""
    words = account.mnemonic()
    if words is None and account.token_address is not None:
        raise NoKeysError("The key of this account is on a token: there are no words for it.", advice="Keep the token.")
    if words is None:
        raise NoKeysError("This device has no end-to-end encryption keys yet.")
    return words


# --- steps --------------------------------------------------------------------------------------------------


async def _look(account: Account) -> tuple[KeysOnServer, str | None]:
    """What the server shows, and the sealed private key; an empty answer is refused, never taken for "none"."""
    certificate: str | None = None
    wrapped: str | None = None
    try:
        certificate = (await account.remote.certificates([account.user_id])).get(account.user_id, "")
    except NoKeysError:
        certificate = None
    try:
        wrapped = await account.remote.private_key()
    except NoKeysError:
        wrapped = None
    if certificate == "" or wrapped == "":
        raise MalformedError("the server answered with an empty key")
    return KeysOnServer(certificate, wrapped is not None), wrapped


def _own_fingerprint(account: Account) -> str | None:
    identity = account.identity
    return None if identity is None else identity.key.public.fingerprint_hex


def _check_spelling(mnemonic: SecretText) -> None:
    words = split_words(mnemonic.reveal())
    if len(words) != _WORDS:
        raise WrongMnemonicError(f"The recovery words are {_WORDS}, not {len(words)}.")
    wrong = check_words(mnemonic.reveal())
    if wrong:
        first = wrong[0]
        nearest = f"; did you mean {first.suggestion}?" if first.suggestion else "."
        raise WrongMnemonicError(f"Word {first.position} is not in the list of words{nearest}")


async def _make(account: Account) -> _Pending:
    key = await asyncio.to_thread(PrivateKey.generate)
    mnemonic = make_mnemonic(account.random.token(_ENTROPY_BYTES))
    salt, nonce = account.random.token(40), account.random.token(12)
    wrapped = await asyncio.to_thread(lambda: seal_private_key(key, mnemonic, salt=salt, nonce=nonce))
    pending = _Pending(key, mnemonic, wrapped)
    account.save_pending(pending.to_json())
    return pending


async def _finish(account: Account, pending: _Pending, certificate_pem: str, stored: str | None) -> SecretText:
    """Certificate is there: store the private key, read it back, keep everything here."""
    try:
        authority = await _check(account, pending.key, certificate_pem)
    except TamperError:
        # A certificate for another key: nothing is ever encrypted to it, and these keys are not used.
        account.save_pending(None)
        raise
    if stored is None:
        await _store_private_key(account, pending)
        stored = await account.remote.private_key()
    if stored != pending.wrapped:
        account.save_pending(None)
        raise KeysExistError("Another device stored its keys meanwhile; the keys made here are thrown away.")
    identity = Identity(account.user_id, pending.key, parse_certificate(certificate_pem))
    account.commit_identity(identity, pending.mnemonic, authority)
    await _meet_organisation(account)
    return pending.mnemonic


async def _store_private_key(account: Account, pending: _Pending) -> None:
    try:
        await account.remote.store_private_key(pending.wrapped)
    except TransportError:
        # The keys are kept here; running the command again goes on from this point.
        raise
    except CandadoError as error:
        if isinstance(error, KeysExistError):
            account.save_pending(None)
        raise wrapped_key_refused(error) from error
    try:
        await account.remote.private_key()
    except NoKeysError as error:
        raise StoreLieError(
            "store.lie", "The server acknowledged the sealed private key, but does not have it.", path="/"
        ) from error


async def _accept(account: Account, key: PrivateKey, mnemonic: SecretText, certificate_pem: str) -> None:
    authority = await _check(account, key, certificate_pem)
    account.commit_identity(Identity(account.user_id, key, parse_certificate(certificate_pem)), mnemonic, authority)
    await _meet_organisation(account)


async def _meet_organisation(account: Account) -> None:
    """Pin the organisation's key that the server names, with its policy; what goes wrong here hinders no enrolment.

    Without an answer nothing is pinned, and a person decides about the key later.
    """
    with suppress(CandadoError):
        await refresh(account, fresh=True, enrolling=True)


async def _check(account: Account, key: PrivateKey, certificate_pem: str) -> PublicKey:
    """The authority's key, fetched once and pinned; the certificate is for our key and signed by it."""
    authority = PublicKey.from_pem(await account.remote.server_key())
    try:
        warnings = check_own_certificate(
            parse_certificate(certificate_pem),
            user_id=account.user_id,
            own_key=key.public,
            authority=authority,
            now=account.clock.now(),
        )
    except TamperError as error:
        account.record_refusal(error, path="/")
        raise
    for warning in warnings:
        account.issue_book.add("notice", "own.certificate", warning, path="/")
    return authority

"""A hardware token, reached through its PKCS#11 module.

Layer: ``adapters``. Theory of operation. One thread owns module, session and keys: the library ends the whole process
when two threads sign at once, and a login counts for the process, so there is one of it. Whatever fails ends the
session and the module's state, since modules differ in what they still know after a token was pulled; the next piece
of work starts the module anew, finds the token by its label in whatever slot it is now, logs in and looks the key up
again. A token that comes back is found by that, without a restart.

A PIN is read from its source at each login and not kept, but for one that was refused: it is not tried a second time,
because tokens lock themselves after a few. One process may have one ``HsmToken`` of a module.

Source: PKCS #11 Cryptographic Token Interface Base Specification 2.40, 5.4 to 5.6.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, TokenFlag
from pkcs11.exceptions import (
    MechanismInvalid,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
)

from candado.crypto.rsa import PublicKey
from candado.errors import BadSignatureError, CandadoError, PinRefusedError, SignerSetupError, SignerUnavailableError
from candado.formats.pkcs11uri import KeyUri
from candado.types import SecretText

if TYPE_CHECKING:
    from pkcs11 import Session, Token
    from pkcs11._pkcs11 import lib as Module  # noqa: N812 -- the library spells its class like a function

__all__ = ["HsmSession", "HsmToken", "PinReader"]

T = TypeVar("T")

PinReader = Callable[[], SecretText]
"""Reads the PIN from its source; may raise the errors of a source that cannot be read."""

_LOG = logging.getLogger("candado.server")
_ANSWER_SECONDS: Final = 20.0
_WAITING_MAX: Final = 64
_KEY_BITS_MIN: Final = 2048
_PIN_ERRORS: Final = (PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked)


@dataclass(frozen=True, slots=True)
class _Job:
    work: "Callable[[HsmSession], Any]"
    answer: "Future[Any]"


class HsmSession:
    """An open session in which the user is logged in. Lives and works on the owner thread only."""

    def __init__(self, token: "Token", session: "Session", uri: KeyUri) -> None:
        self._token = token
        self._session = session
        self._uri = uri
        self._keys: dict[tuple[str | None, bytes | None], tuple[Any, PublicKey]] = {}

    def public_key(self, label: str | None, key_id: bytes | None) -> PublicKey:
        """The public half of the private key with this label or id.

        Raises:
            SignerSetupError: there is none, several fit, or it is no RSA key that we accept.
        """
        return self._key(label, key_id)[1]

    def sign(self, label: str | None, key_id: bytes | None, message: bytes) -> bytes:
        """RSA PKCS#1 v1.5 signature with SHA-256; it is verified before it is returned."""
        key, public = self._key(label, key_id)
        signature = bytes(key.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS))
        try:
            public.verify_pkcs1_sha256(signature, message)
        except BadSignatureError as exc:
            raise SignerSetupError("the token's signature does not fit its key", path=self._uri.place) from exc
        return signature

    def decrypt_raw(self, label: str | None, key_id: bytes | None, ciphertext: bytes) -> bytes:
        """The bare private operation of RSA: as many bytes as the modulus has, padding and all.

        Raises:
            SignerSetupError: the token does not offer it.
        """
        key, public = self._key(label, key_id)
        require_mechanism(self._token, Mechanism.RSA_X_509, MechanismFlag.DECRYPT)
        plain = bytes(key.decrypt(ciphertext, mechanism=Mechanism.RSA_X_509))
        return plain.rjust(public.bits // 8, b"\0")

    def has(self, label: str) -> bool:
        """Whether the token holds a private key with this label."""
        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label}
        return any(True for _ in self._session.get_objects(wanted))

    def generate(self, label: str, key_id: bytes, bits: int, *, may_decrypt: bool = False) -> None:
        """Make a key pair on the token that can sign, and open if asked for, and never leaves it.

        Raises:
            SignerSetupError: the token cannot make RSA keys of that size.
        """
        require_mechanism(self._token, Mechanism.RSA_PKCS_KEY_PAIR_GEN, MechanismFlag.GENERATE_KEY_PAIR)
        uses = MechanismFlag.SIGN | MechanismFlag.VERIFY
        if may_decrypt:
            uses |= MechanismFlag.DECRYPT | MechanismFlag.ENCRYPT
        # The login is that of the process, so this session has it without the PIN.
        with self._token.open(rw=True) as session:
            session.generate_keypair(
                KeyType.RSA,
                bits,
                id=key_id,
                label=label,
                store=True,
                capabilities=uses,
                private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )

    def stays_inside(self, label: str | None, key_id: bytes | None) -> bool:
        """Whether the token says that the key can never be read out of it, and never could."""
        key, _ = self._key(label, key_id)
        return bool(key[Attribute.NEVER_EXTRACTABLE]) and bool(key[Attribute.ALWAYS_SENSITIVE])

    def facts(self) -> dict[str, str]:
        """What the token says about itself, for people."""
        token = self._token
        return {
            "token": token.label,
            "manufacturer": token.manufacturer_id,
            "model": token.model,
            "serial": token.serial.decode("ascii", "replace").strip(),
        }

    def _key(self, label: str | None, key_id: bytes | None) -> tuple[Any, PublicKey]:
        name = (label, key_id)
        if name not in self._keys:
            wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: KeyType.RSA}
            if label is not None:
                wanted[Attribute.LABEL] = label
            if key_id is not None:
                wanted[Attribute.ID] = key_id
            found = list(self._session.get_objects(wanted))
            if len(found) != 1:
                count = "no" if not found else f"{len(found)}"
                raise SignerSetupError(
                    f"the token has {count} private RSA keys that fit the address, where one is needed",
                    path=self._uri.place,
                )
            key: Any = found[0]
            modulus, exponent = key[Attribute.MODULUS], key[Attribute.PUBLIC_EXPONENT]
            public = PublicKey.from_numbers(int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big"))
            self._keys[name] = (key, public)
        return self._keys[name]


class HsmToken:
    """One token; work is handed to its owner thread, which opens it when needed and opens it again when it was gone."""

    def __init__(self, uri: KeyUri, read_pin: PinReader, *, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._uri = uri
        self._read_pin = read_pin
        self._answer_seconds = answer_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._module: Module | None = None
        self._session: HsmSession | None = None
        self._refused: SecretText | None = None
        self._lost = False
        # A module that never answers must not keep the process from ending, hence a daemon.
        self._owner = threading.Thread(target=self._own, name="candado-hsm", daemon=True)
        self._owner.start()

    async def run(self, work: Callable[[HsmSession], T], *, seconds: float | None = None) -> T:
        """The result of ``work`` in a session.

        In a session that was open before, ``work`` is done again from the start when the token fails, so it must bear
        being repeated. A caller that is cancelled leaves work that was not begun undone.

        Raises:
            SignerUnavailableError: the token is not there, failed, or gave no answer in time.
            SignerSetupError, PinRefusedError: what no waiting mends.
        """
        job = self._queued(work)
        limit = self._answer_seconds if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                result: T = await asyncio.wrap_future(job.answer)
        except TimeoutError as exc:
            raise self._silent(limit) from exc
        return result

    def run_here(self, work: Callable[[HsmSession], T], *, seconds: float | None = None) -> T:
        """As ``run``, for a caller that waits in its own thread; the same errors."""
        job = self._queued(work)
        limit = self._answer_seconds if seconds is None else seconds
        try:
            result: T = job.answer.result(limit)
        except TimeoutError as exc:
            job.answer.cancel()
            raise self._silent(limit) from exc
        return result

    def _queued(self, work: "Callable[[HsmSession], Any]") -> _Job:
        if self._jobs.qsize() >= _WAITING_MAX:
            raise SignerUnavailableError("too many callers are waiting for the token", path=self._uri.place)
        job = _Job(work, Future())
        self._jobs.put(job)
        return job

    def _silent(self, limit: float) -> SignerUnavailableError:
        return SignerUnavailableError(f"the token gave no answer within {limit:g} seconds", path=self._uri.place)

    async def close(self) -> None:
        """Finish what was begun, log out and unload; harmless twice. A module that hangs is left behind."""
        self._jobs.put(None)
        await asyncio.to_thread(self._owner.join, self._answer_seconds)

    # --- on the owner thread -------------------------------------------------------------------------------

    def _own(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.answer.set_running_or_notify_cancel():
                continue
            try:
                job.answer.set_result(self._attempt(job.work))
            except BaseException as exc:  # noqa: BLE001 -- it belongs to the caller, who gets it
                job.answer.set_exception(exc)
        self._drop()

    def _attempt(self, work: Callable[[HsmSession], T]) -> T:
        opened_before = self._session is not None
        try:
            result = work(self._opened())
        except PKCS11Error as exc:
            self._drop()
            if not opened_before:
                raise self._translated(exc) from exc
        except CandadoError:
            self._drop()
            raise
        else:
            return result
        try:
            return work(self._opened())
        except PKCS11Error as exc:
            self._drop()
            raise self._translated(exc) from exc

    def _opened(self) -> HsmSession:
        if self._session is None:
            token = self._find_token()
            require_mechanism(token, Mechanism.SHA256_RSA_PKCS, MechanismFlag.SIGN)
            check_pin_state(token.flags, self._uri.place)
            self._session = HsmSession(token, self._log_in(token), self._uri)
            _LOG.info("token %s: %s", self._uri.place, "back" if self._lost else "opened")
            self._lost = False
        return self._session

    def _find_token(self) -> "Token":
        path = self._uri.module_path
        try:
            self._module = pkcs11.lib(path)
        except PKCS11Error as exc:
            if "while loading" in str(exc):
                raise SignerSetupError("the PKCS#11 module cannot be loaded", path=path) from exc
            raise
        found = [token for token in self._module.get_tokens() if self._fits(token)]
        if not found:
            raise SignerUnavailableError("the token is not there", path=self._uri.place)
        if len(found) > 1:
            raise SignerSetupError(
                f"{len(found)} tokens fit the address",
                path=self._uri.place,
                advice="Add serial=NUMBER to the setting `authority`.",
            )
        return found[0]

    def _fits(self, token: "Token") -> bool:
        shown = {
            "token": token.label,
            "serial": token.serial.decode("utf-8", "replace").strip("\0 "),
            "manufacturer": token.manufacturer_id,
            "model": token.model,
        }
        return all(getattr(self._uri, name) in (None, value) for name, value in shown.items())

    def _log_in(self, token: "Token") -> "Session":
        pin = self._read_pin()
        if pin == self._refused:
            raise PinRefusedError("the token refused this PIN before", path=self._uri.place)
        try:
            session = token.open(user_pin=pin.reveal())
        except _PIN_ERRORS as exc:
            self._refused = pin
            raise PinRefusedError(
                f"the token does not accept the PIN ({type(exc).__name__})", path=self._uri.place
            ) from exc
        self._refused = None
        return session

    def _translated(self, exc: PKCS11Error) -> CandadoError:
        if isinstance(exc, MechanismInvalid):
            return SignerSetupError("the token does not sign with RSA and SHA-256", path=self._uri.place)
        return SignerUnavailableError(f"the token failed ({type(exc).__name__})", path=self._uri.place)

    def _drop(self) -> None:
        """End session and login with the module's whole state."""
        if self._session is not None:
            self._session = None
            self._lost = True
        if self._module is not None and self._module.initialized:
            with suppress(PKCS11Error):
                self._module.finalize()


def require_mechanism(token: "Token", mechanism: Mechanism, use: MechanismFlag) -> None:
    """SignerSetupError that names the mechanism unless the token has it for RSA keys of 2,048 bits."""
    slot = token.slot
    if mechanism in slot.get_mechanisms():
        info = slot.get_mechanism_info(mechanism)
        if info.flags & use and (info.max_key_length or 0) >= _KEY_BITS_MIN:
            return
    raise SignerSetupError(
        f"the token lacks the mechanism CKM_{mechanism.name} for RSA keys of {_KEY_BITS_MIN} bits",
        path=token.label,
        advice="Use a token or a firmware that has it; `ca status` lists what is needed.",
    )


def check_pin_state(flags: TokenFlag, place: str) -> None:
    """PinRefusedError when the token takes no more PINs, or only one: that one is for a person, not for a server."""
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise PinRefusedError(
            "the token is locked after too many wrong PINs",
            path=place,
            advice="Unlock it with the SO PIN and the vendor's tool.",
        )
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise PinRefusedError(
            "the token allows one more PIN before it locks itself; a server does not use that",
            path=place,
            safe="No PIN was sent.",
            advice="Log in once with the vendor's tool, which sets the count back, then check the file with the PIN.",
        )
    if not flags & TokenFlag.USER_PIN_INITIALIZED:
        raise SignerSetupError("the token has no user PIN yet", path=place, advice="Set one with the vendor's tool.")

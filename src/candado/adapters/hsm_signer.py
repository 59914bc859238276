"""The authority's key on a hardware token.

Layer: ``adapters``; implements ``candado.ports.server.Signer`` over ``HsmToken``. Beside the authority's key lies a
test key, with which the self-test signs: a probe that runs every few seconds must neither use the authority's key nor
fill the log of the token with its name.
"""

import logging
from typing import Final, Self

from candado.adapters.hsm import HsmSession, HsmToken, PinReader
from candado.crypto.rsa import PublicKey
from candado.errors import (
    AlreadyExistsError,
    AuthorityChangedError,
    MalformedError,
    SignerSetupError,
    SignerUnavailableError,
    UntrustedCertificateError,
)
from candado.formats.pkcs11uri import KeyUri

__all__ = ["HsmSigner"]

_LOG = logging.getLogger("candado.server")
_TEST_SUFFIX: Final = "-selftest"
_TEST_MESSAGE: Final = b"candado self-test: this signature vouches for nothing"
_KEY_ID: Final = b"\x01"
_TEST_KEY_ID: Final = b"\x02"
_AUTHORITY_BITS: Final = 2048
_MAKE_SECONDS: Final = 120.0


class HsmSigner:
    """RSA PKCS#1 v1.5 with SHA-256 by a private key that stays on a token."""

    NEVER_LEFT: Final = "never left the token"

    def __init__(self, uri: KeyUri, token: HsmToken, public: PublicKey) -> None:
        self._uri = uri
        self._token = token
        self._public = public

    @classmethod
    async def open(cls, uri: KeyUri, read_pin: PinReader, *, expected: PublicKey | None, patient: bool = False) -> Self:
        """Open the token and look the key up.

        Args:
            uri: where the key is.
            read_pin: reads the PIN, at every login.
            expected: the authority's key as it is known from before. With it a token that is away is no error: the
            signer
                starts without, and finds the token when it comes.
            patient: no other fault of the set-up is an error then, either; each ``sign`` meets it again.

        Raises:
            SignerUnavailableError: the token is away and its key was never seen.
            SignerSetupError, PinRefusedError: module, mechanism, key or PIN are not right.
            AuthorityChangedError: the key is another than ``expected``.
        """
        token = HsmToken(uri, read_pin)
        try:
            try:
                public = await token.run(lambda session: _authority_of(session, uri))
            except (SignerUnavailableError, SignerSetupError) as error:
                if expected is None or not (patient or isinstance(error, SignerUnavailableError)):
                    raise
                _LOG.warning("nobody can enrol: %s %s", error.code, error.message)
                public = expected
            _require_same(public, expected or public, uri)
        except BaseException:
            await token.close()
            raise
        return cls(uri, token, public)

    @classmethod
    async def prepare(cls, uri: KeyUri, read_pin: PinReader, *, may_make: bool, must_be_new: bool = False) -> bool:
        """Make what is missing on the token, the authority's key and the test key; whether the former was made.

        A key that is there is never replaced. Without ``may_make`` the authority's key must be there.

        Raises:
            AlreadyExistsError: it is there, and ``must_be_new``; nothing was made.
            SignerUnavailableError, SignerSetupError, PinRefusedError.
        """
        label = uri.label
        if label is None:
            raise SignerSetupError(
                "a key can be made only under a label", path=uri.place, advice="Add object=LABEL to the address."
            )

        def make(session: HsmSession) -> bool:
            is_new = may_make and not session.has(label)
            if must_be_new and not is_new:
                raise AlreadyExistsError(
                    "the token has a key of this name already", path=uri.place, advice="Choose another label."
                )
            if is_new:
                session.generate(label, uri.key_id or _KEY_ID, _AUTHORITY_BITS)
            _authority_of(session, uri)
            if not session.has(label + _TEST_SUFFIX):
                session.generate(label + _TEST_SUFFIX, (uri.key_id or b"") + _TEST_KEY_ID, _AUTHORITY_BITS)
            return is_new

        token = HsmToken(uri, read_pin)
        try:
            return await token.run(make, seconds=_MAKE_SECONDS)
        finally:
            await token.close()

    @property
    def place(self) -> str:
        """Token and key, for people."""
        return self._uri.place

    @property
    def public_key_pem(self) -> str:
        """PEM SubjectPublicKeyInfo."""
        return self._public.to_pem()

    async def sign(self, message: bytes) -> bytes:
        """RSA PKCS#1 v1.5 signature with SHA-256 over ``message``, checked before it is handed out.

        Raises:
            SignerUnavailableError: the token is away or failed; nothing was handed out. PinRefusedError.
            AuthorityChangedError: the token that came back holds another key.
        """

        def work(session: HsmSession) -> bytes:
            _require_same(_authority_of(session, self._uri), self._public, self._uri)
            return session.sign(self._uri.label, self._uri.key_id, message)

        return await self._token.run(work)

    async def check(self) -> None:
        """Sign with the test key; the errors of ``sign``."""
        label = (self._uri.label or "") + _TEST_SUFFIX

        def work(session: HsmSession) -> None:
            _require_same(_authority_of(session, self._uri), self._public, self._uri)
            if not session.has(label):
                raise SignerSetupError(
                    f"the token has no key for the self-test, {label}",
                    path=self._uri.place,
                    advice="Run `candado-server ca init`, which makes what is missing.",
                )
            session.sign(label, None, _TEST_MESSAGE)

        await self._token.run(work)

    async def facts(self) -> dict[str, str]:
        """What the token says about itself and the key, for people."""

        def work(session: HsmSession) -> dict[str, str]:
            inside = session.stays_inside(self._uri.label, self._uri.key_id)
            return {**session.facts(), "key": self.NEVER_LEFT if inside else "was or can be outside of the token"}

        return await self._token.run(work)

    async def close(self) -> None:
        """Log out and unload the module."""
        await self._token.close()


def _authority_of(session: HsmSession, uri: KeyUri) -> PublicKey:
    try:
        return session.public_key(uri.label, uri.key_id)
    except (MalformedError, UntrustedCertificateError) as exc:
        raise SignerSetupError(f"the key on the token cannot be an authority: {exc.message}", path=uri.place) from exc


def _require_same(found: PublicKey, expected: PublicKey, uri: KeyUri) -> None:
    if found != expected:
        raise AuthorityChangedError(
            "the token holds another key than the one that signed this server's certificates", path=uri.place
        )

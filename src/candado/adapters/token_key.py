"""A user's private key on a token of her own: a smart card, a stick, an HSM.

Layer: ``adapters``. The key takes the place of one in memory: the cryptographic library's own interface of an RSA
private key, whose two operations call the token. Nothing else in the client knows the difference. The token is opened
with the first operation, and its key is compared with the one of the account.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding

from candado.adapters.hsm import HsmSession, HsmToken, PinReader
from candado.crypto.oaep import unpad_oaep_sha256
from candado.crypto.rsa import PrivateKey, PublicKey
from candado.errors import (
    ContextError,
    MalformedError,
    MisuseError,
    OpenFailedError,
    PinRefusedError,
    SignerSetupError,
    SignerUnavailableError,
    UntrustedCertificateError,
)
from candado.formats.pkcs11uri import KeyUri

__all__ = ["TokenKeys"]

T = TypeVar("T")

_KEY_ID: Final = b"\x03"
_BITS: Final = 2048
_MAKE_SECONDS: Final = 120.0
_SAFE: Final = "Nothing was changed; your folders are as they were."
_ADVICE: Final = {
    "SIGNER_UNAVAILABLE": "Connect the token and run the command again.",
    "SIGNER_SETUP": "Look at the address: `candado init --token` says what belongs into it.",
    "PIN_REFUSED": "Check the PIN before the next try: tokens lock themselves after a few wrong ones.",
}


class TokenKeys:
    """The tokens that a process has opened, one ``HsmToken`` each; they are let go of by ``close``."""

    def __init__(self, read_pin: Callable[[KeyUri], PinReader]) -> None:
        self._read_pin = read_pin
        self._tokens: dict[KeyUri, HsmToken] = {}

    def make(self, uri: KeyUri) -> tuple[PublicKey, bool]:
        """The public half of the key at ``uri``, and whether it was made now because there was none.

        Raises:
            SignerUnavailableError, SignerSetupError, PinRefusedError: the token. ContextError: unfit for an account.
        """
        label = uri.label
        if label is None:
            raise SignerSetupError(
                "a key can be made only under a label", path=uri.place, advice="Add object=LABEL to the address."
            )

        def work(session: HsmSession) -> tuple[PublicKey, bool]:
            is_new = not session.has(label)
            if is_new:
                session.generate(label, uri.key_id or _KEY_ID, _BITS, may_decrypt=True)
            return _public_of(session, uri), is_new

        with _for_a_person():
            return self._token(uri).run_here(work, seconds=_MAKE_SECONDS)

    def open(self, uri: KeyUri, public: PublicKey) -> PrivateKey:
        """The private key whose public half is known; the token is asked with the first operation."""
        return PrivateKey(_TokenRsaKey(self._token(uri), uri, public))

    async def close(self) -> None:
        """Log out everywhere; harmless twice."""
        for token in self._tokens.values():
            await token.close()
        self._tokens.clear()

    def _token(self, uri: KeyUri) -> HsmToken:
        if uri not in self._tokens:
            self._tokens[uri] = HsmToken(uri, self._read_pin(uri))
        return self._tokens[uri]


class _TokenRsaKey(rsa.RSAPrivateKey):
    """An RSA private key in the sense of the library; signs with PKCS#1 v1.5 and SHA-256, opens OAEP with SHA-256."""

    def __init__(self, token: HsmToken, uri: KeyUri, public: PublicKey) -> None:
        self._token = token
        self._uri = uri
        self._public = public

    @property
    def key_size(self) -> int:
        return self._public.bits

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public.for_library()

    def sign(self, data: Any, padding: AsymmetricPadding, algorithm: Any) -> bytes:
        del padding
        if not isinstance(algorithm, hashes.SHA256):
            raise MisuseError("a token signs with SHA-256 only")
        message = bytes(data)
        return self._run(lambda session: session.sign(self._uri.label, self._uri.key_id, message))

    def decrypt(self, ciphertext: Any, padding: AsymmetricPadding) -> bytes:
        del padding
        sealed = bytes(ciphertext)
        modulus = self.public_key().public_numbers().n
        # RFC 8017, 5.1.2: what is out of range was sealed for another key, and tokens answer it with any error.
        if len(sealed) != self._public.bits // 8 or int.from_bytes(sealed, "big") >= modulus:
            raise OpenFailedError("a wrapped key does not open with this private key")
        padded = self._run(lambda session: session.decrypt_raw(self._uri.label, self._uri.key_id, sealed))
        return unpad_oaep_sha256(padded)

    def _run(self, work: Callable[[HsmSession], T]) -> T:
        def checked(session: HsmSession) -> T:
            if _public_of(session, self._uri) != self._public:
                raise ContextError(
                    "own.token-mismatch",
                    "The token holds another key than this account's.",
                    expected=self._public.fingerprint_hex,
                    got=_public_of(session, self._uri).fingerprint_hex,
                )
            return work(session)

        with _for_a_person():
            return self._token.run_here(checked)

    def private_numbers(self) -> NoReturn:
        raise MisuseError("a key on a token never leaves it")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:  # noqa: A002
        del encoding, format, encryption_algorithm
        raise MisuseError("a key on a token never leaves it")

    def __copy__(self) -> "_TokenRsaKey":
        return self

    def __deepcopy__(self, memo: Any) -> "_TokenRsaKey":
        return self


@contextmanager
def _for_a_person() -> Iterator[None]:
    """Errors of a token say what its holder can do; by themselves they are told to who runs a server."""
    try:
        yield
    except (SignerUnavailableError, SignerSetupError, PinRefusedError) as error:
        error.safe, error.advice = _SAFE, _ADVICE.get(error.code, error.advice)
        raise


def _public_of(session: HsmSession, uri: KeyUri) -> PublicKey:
    try:
        return session.public_key(uri.label, uri.key_id)
    except (MalformedError, UntrustedCertificateError) as exc:
        raise SignerSetupError(f"the key on the token cannot be a user's: {exc.message}", path=uri.place) from exc

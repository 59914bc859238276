"""Port of the client to tokens of the person: private keys that are not on this device.

Layer: ``ports``.
"""

from typing import Protocol

from candado.crypto.rsa import PrivateKey, PublicKey

__all__ = ["TokenOpener"]


class TokenOpener(Protocol):
    """Opens private keys that are on a token of the person."""

    def __call__(self, address: str, public: PublicKey) -> PrivateKey:
        """The key at a PKCS#11 address whose public half is known; the token is asked with its first operation.

        Raises:
            UsageError: no such address. Operations of the key raise SignerUnavailableError, SignerSetupError,
            PinRefusedError, SecretNeededError, and ContextError when the token holds another key.
        """
        ...

"""Bytes that are not what they should be, and cryptographic checks that fail."""

from candado.errors.base import CandadoError


class FormatError(CandadoError):
    """Bytes from outside do not have the form they must have."""

    code = "FORMAT"
    default_safe = "Nothing of the answer was used; local files are unchanged."
    default_advice = "Try again; if it stays, the other side does not speak the protocol: ask its administrator."


class MalformedError(FormatError):
    """A document breaks its grammar."""

    code = "MALFORMED"


class UnsupportedVersionError(FormatError):
    """The version of a document or server is not supported."""

    code = "UNSUPPORTED_VERSION"
    default_advice = "Update candado, or ask the administrator which versions the server offers."


class LimitExceededError(FormatError):
    """An input is larger than the limit set for it."""

    code = "LIMIT_EXCEEDED"


class ShareTypoError(FormatError):
    """A sheet of the recovery key was not typed as it is printed."""

    code = "SHARE_TYPO"
    default_safe = "Nothing was done; no key was put together."
    default_advice = "Compare the named lines with the sheet, word by word, and type them again."


class CryptoError(CandadoError):
    """A cryptographic check failed."""

    code = "CRYPTO"
    default_safe = "Nothing was written; local files are unchanged."
    default_advice = "Run `candado issues`; if it stays, ask the person who wrote the folder last."


class OpenFailedError(CryptoError):
    """A ciphertext does not open: it was altered, cut short, or belongs to another key."""

    code = "OPEN_FAILED"


class BadSignatureError(CryptoError):
    """A signature is not valid for any member who may sign."""

    code = "BAD_SIGNATURE"


class UntrustedCertificateError(CryptoError):
    """A certificate is not acceptable."""

    code = "UNTRUSTED_CERTIFICATE"
    default_advice = "Compare fingerprints with the person on another channel: `candado fingerprint USER`."


class KeyChangedError(UntrustedCertificateError):
    """A key that was seen before has been replaced by another one."""

    code = "KEY_CHANGED"
    default_advice = (
        "Ask the person on another channel whether the key was changed on purpose; "
        "only then run `candado trust forget USER` and `candado trust verify USER FINGERPRINT`."
    )


class KeyRevokedError(UntrustedCertificateError):
    """The authority revoked this key."""

    code = "KEY_REVOKED"
    default_advice = (
        "Ask the administrator why. When the person has a new key, run `candado trust forget USER` and compare it; "
        "take a revoked member out with `candado unshare FOLDER USER`."
    )


class KeyUnloggedError(UntrustedCertificateError):
    """The server's log of keys does not have this key."""

    code = "KEY_UNLOGGED"
    default_safe = "Nothing was shared and nothing was sent."
    default_advice = (
        "Wait a minute and try again, since a new key takes a moment. If it stays, compare the fingerprint with the "
        "person on another channel, and ask the administrator."
    )


class WrongMnemonicError(CryptoError):
    """The words do not open the private key: a word is wrong, or the stored key was altered."""

    code = "WRONG_MNEMONIC"
    default_advice = "Check the twelve words and their order, then run `candado init` again."


class WrongPassphraseError(CryptoError):
    """The passphrase does not open the local key file."""

    code = "WRONG_PASSPHRASE"
    default_advice = "Check CANDADO_PASSPHRASE_FILE or type the passphrase again."


class NotAMemberError(CryptoError):
    """This account is not among the members of the folder."""

    code = "NOT_A_MEMBER"
    default_advice = "Ask the owner to share the folder with you again: `candado share FOLDER USER`."


class SharesUnfitError(CryptoError):
    """The sheets do not give the recovery key together."""

    code = "SHARES_UNFIT"
    default_safe = "Nothing was done: no key was put together, nothing was opened and nothing was signed."
    default_advice = "Compare the ceremony's name on all sheets, and take others where one does not fit."

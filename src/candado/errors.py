"""The error tree: every fault a caller can meet, with four facts for people.

Layer: bottom; imports nothing of ours. Every error has a stable ``code`` that is documented in
``docs/spec/errors.md`` and never reused, and answers four questions: what happened (the message),
where (``path``), what is safe (``safe``), what to do next (``advice``). Two tables elsewhere map codes to HTTP
and to exit statuses. Errors carry opaque identifiers; a clear name appears only in ``path``, which stays on the
user's machine. None ever carries a secret.

Adapters translate foreign exceptions into this tree with ``raise ... from exc``; nothing foreign crosses a port.
"""

from typing import ClassVar


class CandadoError(Exception):
    """Root of the tree.

    Args:
        message: what happened, one sentence for people.
        path: where: a local path, a remote path or an opaque identifier.
        safe: what is safe now; the class has a default.
        advice: what to do next; the class has a default.
    """

    code: ClassVar[str] = "INTERNAL"
    retry: ClassVar[bool] = False
    default_safe: ClassVar[str] = "Nothing was changed."
    default_advice: ClassVar[str] = "Run the command again with -vv and report what it prints."

    def __init__(
        self, message: str = "", *, path: str | None = None, safe: str | None = None, advice: str | None = None
    ) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])
        self.path = path
        self.safe = safe if safe is not None else self.default_safe
        self.advice = advice if advice is not None else self.default_advice

    @property
    def message(self) -> str:
        """What happened, one sentence."""
        return str(self.args[0])


class MisuseError(CandadoError):
    """Our own code called something out of order; a bug."""

    code = "MISUSE"


# --- bytes that are not what they should be ------------------------------------------------------------


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


# --- cryptography ----------------------------------------------------------------------------------------


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


# --- a server that contradicts what was seen before ------------------------------------------------


class TamperError(CandadoError):
    """The server shows a state that an honest server cannot show.

    Never retried, never downgraded to a warning. ``event`` is the code of the threat model, such as ``fresh.rollback``.
    """

    code = "TAMPER"
    default_safe = "Local files are unchanged and nothing was sent; the folder is read-only until this is settled."
    default_advice = (
        "Compare with another device or member; the refused documents are kept as evidence, "
        "see `candado issues`."
    )

    def __init__(
        self,
        event: str,
        message: str = "",
        *,
        path: str | None = None,
        safe: str | None = None,
        advice: str | None = None,
        expected: str = "",
        got: str = "",
    ) -> None:
        super().__init__(message, path=path, safe=safe, advice=advice)
        self.event = event
        self.expected = expected
        self.got = got


class CounterRollbackError(TamperError):
    """An older state was offered than one that was already accepted."""

    code = "COUNTER_ROLLBACK"


class ForkError(TamperError):
    """Two different states carry the same counter."""

    code = "FORK"


class KeyHistoryError(TamperError):
    """The history of metadata keys was shortened, or an old key came back."""

    code = "KEY_HISTORY"


class SignerError(TamperError):
    """Metadata is not signed by anybody who may sign it."""

    code = "SIGNER"


class ContextError(TamperError):
    """Valid bytes were shown in a place they do not belong to."""

    code = "CONTEXT"


class DowngradeError(TamperError):
    """Encryption, a version or a signature disappeared from something that had it."""

    code = "DOWNGRADE"


class UnsignedDeletionError(TamperError):
    """A folder is gone from the server without a signed deletion."""

    code = "UNSIGNED_DELETION"
    default_advice = (
        "If a person removed it on purpose, remove the local copy yourself and run `candado sync` again; "
        "else ask the administrator to bring it back."
    )


class StoreLieError(TamperError):
    """The server acknowledged a write and then showed something else."""

    code = "STORE_LIE"


# --- the peer says no --------------------------------------------------------------------------------


class RemoteError(CandadoError):
    """The server refused."""

    code = "REMOTE"


class AuthRequiredError(RemoteError):
    """The server does not accept the user name or password."""

    code = "AUTH_REQUIRED"
    default_advice = "Run `candado login URL` again."


class ForbiddenError(RemoteError):
    """The server does not allow this."""

    code = "FORBIDDEN"
    default_advice = "Ask the owner of the folder or the administrator for the right."


class NotFoundError(RemoteError):
    """There is nothing at this path."""

    code = "NOT_FOUND"
    default_advice = "Look with `candado ls`."


class AlreadyExistsError(RemoteError):
    """There is already something at this path."""

    code = "ALREADY_EXISTS"
    default_advice = "Choose another name."


class FolderNotEmptyError(RemoteError):
    """Only an empty folder can be made an encrypted one."""

    code = "FOLDER_NOT_EMPTY"
    default_advice = "Encrypt a new folder and copy the files into it: `candado sync LOCAL NEWFOLDER --encrypt`."


class NotEncryptedError(RemoteError):
    """The folder is not end-to-end encrypted."""

    code = "NOT_ENCRYPTED"
    default_advice = "Run `candado encrypt FOLDER` (the folder must be empty), or add --encrypt to sync."


class NoKeysError(RemoteError):
    """There are no end-to-end encryption keys for this account."""

    code = "NO_KEYS"
    default_advice = "Run `candado init`."


class PeerWithoutKeysError(NoKeysError):
    """The other person has not set up end-to-end encryption yet."""

    code = "PEER_WITHOUT_KEYS"
    default_advice = "Ask the person to sign in with an app that sets up end-to-end encryption, then share again."


class KeysExistError(RemoteError):
    """The account has keys already; another device made them."""

    code = "KEYS_EXIST"
    default_advice = "Join with the twelve words: `candado init --phrase-file FILE`."


class IncompleteKeysError(RemoteError):
    """The account has a certificate but no private key: a set-up was interrupted."""

    code = "INCOMPLETE_KEYS"
    default_advice = "Run `candado init --reset` (it asks for the login password); no folder exists under such keys."


class LockedError(RemoteError):
    """Somebody else is writing into the folder."""

    code = "LOCK_HELD"
    retry = True
    default_advice = "Wait a minute and run the command again; `candado unlock FOLDER` frees a lock of this device."


class LockLostError(RemoteError):
    """The lock of this session was taken back by the server."""

    code = "LOCK_LOST"
    retry = True
    default_safe = "The server undid the unfinished session; local files are unchanged."
    default_advice = "Run the command again; it starts the session anew."


class CounterConflictError(RemoteError):
    """Somebody else wrote the folder first."""

    code = "COUNTER_CONFLICT"
    retry = True
    default_advice = "Run the command again; it reads the new state first."


class PreconditionFailedError(RemoteError):
    """The object changed on the server meanwhile."""

    code = "PRECONDITION_FAILED"
    retry = True
    default_advice = "Run the command again."


class QuotaExceededError(RemoteError):
    """There is not enough space left on the server."""

    code = "QUOTA_EXCEEDED"
    default_advice = "Free space on the server or ask for more, then run the command again."


class RateLimitedError(RemoteError):
    """Too many attempts; the server asks to wait."""

    code = "RATE_LIMITED"
    retry = True
    default_advice = "Wait a few minutes."

    def __init__(self, message: str = "", *, after_seconds: float = 30.0, path: str | None = None) -> None:
        super().__init__(message, path=path)
        self.after_seconds = after_seconds


class RemoteBugError(RemoteError):
    """The server failed or answered something that is outside the protocol."""

    code = "REMOTE_BUG"
    retry = True
    default_safe = "Local files are unchanged; an unfinished write session is undone at the next start."
    default_advice = "Try again later; if it stays, tell the administrator the time of this message."


class BadRequestError(RemoteError):
    """The request is not valid."""

    code = "BAD_REQUEST"


# --- the way to the peer --------------------------------------------------------------------------------


class TransportError(CandadoError):
    """The server could not be reached.

    ``outcome_known`` is False when the request may have been carried out.
    """

    code = "TRANSPORT"
    retry = True
    default_safe = "Local files are unchanged; what was not finished on the server stays invisible and is undone."
    default_advice = "Check the address and the network, then run the command again."

    def __init__(
        self,
        message: str = "",
        *,
        outcome_known: bool = False,
        path: str | None = None,
        safe: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message, path=path, safe=safe, advice=advice)
        self.outcome_known = outcome_known


class TlsError(TransportError):
    """The TLS certificate of the server is not acceptable."""

    code = "TLS"
    retry = False
    default_advice = "Do not go on; check the address, the clock and the server's certificate."


class RedirectError(TransportError):
    """The server sends the request somewhere else; credentials are never sent along."""

    code = "REDIRECT"
    retry = False
    default_advice = "Log in to the address the server really has: `candado login URL`."


# --- this machine -----------------------------------------------------------------------------------------


class LocalStorageError(CandadoError):
    """The local file system refused."""

    code = "LOCAL_STORAGE"
    default_safe = "The file on the server is unchanged; no half-written file was left behind."


class DiskFullError(LocalStorageError):
    """There is no space left on the local disk."""

    code = "DISK_FULL"
    default_advice = "Free space and run the command again; finished files are kept."


class LocalPermissionError(LocalStorageError):
    """The local file or folder cannot be read or written."""

    code = "LOCAL_PERMISSION"
    default_advice = "Change its permissions or run as its owner."


class LocalNameError(LocalStorageError):
    """A name cannot exist on the other side."""

    code = "NAME_UNSAFE"
    default_advice = "Rename the file and run the command again."


class FileChangedError(LocalStorageError):
    """A file changed while it was being read."""

    code = "FILE_CHANGED"
    retry = True
    default_advice = "Close the program that writes to it; the next sync takes the new content."


class BusyError(LocalStorageError):
    """Another candado process works on the same state."""

    code = "BUSY"
    retry = True
    default_advice = "Wait for the other process to end."


class CorruptStateError(LocalStorageError):
    """The local state of candado was altered or damaged."""

    code = "CORRUPT_STATE"
    default_safe = "Local files and the server are unchanged; nothing that cannot be verified again was lost."
    default_advice = "Restore the state directory from a backup, or log out and join again with the twelve words."


class NotLoggedInError(CandadoError):
    """This device is not logged in."""

    code = "NOT_LOGGED_IN"
    default_advice = "Run `candado login URL --user NAME`."


class SecretNeededError(CandadoError):
    """A secret is needed and there is nobody to ask."""

    code = "SECRET_NEEDED"


# --- limits we set ourselves --------------------------------------------------------------------------


class SafetyLimitError(CandadoError):
    """A safety limit stopped the run before it would delete."""

    code = "SAFETY_LIMIT"
    default_advice = "Look with --dry-run; if the deletions are wanted, allow them with --max-delete N."


class UsageError(CandadoError):
    """The command's words do not fit together."""

    code = "USAGE"
    default_advice = "See the command's --help."


class InterruptedByUserError(CandadoError):
    """The run was interrupted."""

    code = "INTERRUPTED"
    default_safe = "Finished files stay finished; the unfinished session is undone."
    default_advice = "Run the command again to go on."

"""A server that contradicts what was seen before: never retried, never a warning."""

from candado.errors.base import CandadoError


class TamperError(CandadoError):
    """The server shows a state that an honest server cannot show.

    Never retried, never downgraded to a warning. ``event`` is the code of the threat model, such as ``fresh.rollback``.
    """

    code = "TAMPER"
    default_safe = "Local files are unchanged and nothing was sent; the folder is read-only until this is settled."
    default_advice = (
        "Compare with another device or member; the refused documents are kept as evidence, see `candado issues`."
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


_RESTORED = (
    "Compare with another device or member, and ask the administrator on another channel whether an older backup was "
    "restored. Only if it was, run `candado trust forget --folder FOLDER` and sync: local files stay and are uploaded. "
    "The refused documents are kept as evidence, see `candado issues`."
)


class CounterRollbackError(TamperError):
    """An older state was offered than one that was already accepted."""

    code = "COUNTER_ROLLBACK"
    default_advice = _RESTORED


class ForkError(TamperError):
    """Two different states carry the same counter."""

    code = "FORK"
    default_advice = _RESTORED


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
    """A folder is gone from the server, and this device has seen no signed deletion of it."""

    code = "UNSIGNED_DELETION"
    default_advice = (
        "If a person removed it on purpose, perhaps on another device, run `candado trust forget --folder FOLDER`; "
        "else ask the administrator to bring it back."
    )


class StoreLieError(TamperError):
    """The server acknowledged a write and then showed something else."""

    code = "STORE_LIE"


class PolicyRefusedError(TamperError):
    """A policy is not what the organisation signed last."""

    code = "POLICY_REFUSED"
    default_safe = "Nothing of the policy is followed; folders and local files are unchanged."
    default_advice = (
        "Ask the administrator on another channel whether the organisation has a new key or restored an older "
        "server; a new key is accepted only with `candado trust organisation FINGERPRINT`."
    )


class EscrowError(TamperError):
    """A folder has, or would get, a recovery key that nobody here agreed to."""

    code = "ESCROW_UNSIGNED"
    default_safe = "Nobody was added; local files are unchanged and nothing was sent."
    default_advice = (
        "Ask the organisation on another channel. `candado recovery status` shows what is announced and signed; a "
        "folder's owner agrees with `candado recovery accept FOLDER` or takes it out with "
        "`candado recovery drop FOLDER`."
    )

"""The peer says no, or cannot be reached."""

from candado.errors.base import CandadoError


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


class ApprovalNeededError(ForbiddenError):
    """Administrators must approve this new key first."""

    code = "APPROVAL_NEEDED"
    default_advice = "Tell the administrators the fingerprint by another way, wait for them, and run the command again."


class PolicyDeniedError(ForbiddenError):
    """A rule of the administrator does not allow this.

    ``rule_id`` names the rule and ``text`` is what its administrator wrote. ``rules_version`` is that of the rules
    which were in force; ``needs_encryption`` says that an end-to-end encrypted folder would be allowed, ``lasting``
    that only another file or other rules can change the answer.
    """

    code = "POLICY_DENIED"
    default_advice = "Change what the rule is about, or ask the administrator who wrote it."

    def __init__(
        self,
        message: str = "",
        *,
        rule_id: str = "",
        text: str = "",
        rules_version: int = 0,
        needs_encryption: bool = False,
        lasting: bool = False,
        path: str | None = None,
        safe: str | None = None,
        advice: str | None = None,
    ) -> None:
        if advice is None and needs_encryption:
            advice = "Put it into an end-to-end encrypted folder: `candado sync LOCAL NEWFOLDER --encrypt`."
        super().__init__(message, path=path, safe=safe, advice=advice)
        self.rule_id = rule_id
        self.text = text
        self.rules_version = rules_version
        self.needs_encryption = needs_encryption
        self.lasting = lasting


class ClientRuleError(PolicyDeniedError):
    """A rule that the organisation signed for its clients does not allow this in an encrypted folder."""

    code = "CLIENT_RULE"
    default_safe = "Nothing was sent; what is here was not touched."
    default_advice = "Give it another name or keep it out of encrypted folders, or ask who signs for the organisation."


class NotFoundError(RemoteError):
    """There is nothing at this path."""

    code = "NOT_FOUND"
    default_advice = "Look with `candado ls`."


class RootDeletedError(NotFoundError):
    """A member deleted this encrypted folder and signed it; nothing is written into it any more."""

    code = "ROOT_DELETED"
    default_advice = "Run `candado rm -r FOLDER`, which takes away what is left of it, then `candado encrypt FOLDER`."


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
    default_advice = (
        "If the key is on a token, join with `candado init --token URI`. Otherwise a set-up broke off: run "
        "`candado init --reset` (it asks for the login password); no folder exists under such keys."
    )


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


class AuditBehindError(RemoteError):
    """An output of the audit log is too far behind, and acts on keys, recovery and the authority wait for it."""

    code = "AUDIT_BEHIND"
    retry = True
    default_safe = "Nothing was changed; files, shares and sign-in go on."
    default_advice = "Administrators: see `candado-server audit sinks`. Everybody else: try again later, or tell them."


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

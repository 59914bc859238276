"""What errors say to whoever administrates a server: the same tree, other sentences.

Layer: ``apps``. The defaults of the tree speak to people at a client, who have local files and log in. A sentence that
was given where the error was raised stays; a default gives way to the one below.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from candado.errors import BadRequestError, CandadoError, MalformedError, UsageError

__all__ = ["as_usage", "for_administrators"]

_UNCHANGED: Final = "Nothing was changed."
_AS_BEFORE: Final = "What the server holds is as it was; a change that was under way is undone."
_IN_FORCE: Final = "The rules in force are the same as before."
_UNSIGNED: Final = "Nothing was signed."
_NOT_AGAIN: Final = "Nothing was signed. Most tokens lock themselves after a few wrong PINs."
_REPORT: Final = "Run the command again with -vv and report what it prints."
_RESTORE: Final = "Stop the server, keep its data directory, and restore the latest backup into a new one."

_FACTS: Final[dict[str, tuple[str, str]]] = {
    "ALREADY_EXISTS": (_UNCHANGED, "Choose another name."),
    "APPROVAL_NEEDED": (_UNSIGNED, "Run `candado-server ca requests`, then `ca approve`, each administrator once."),
    "AUTHORITY_CHANGED": (_UNSIGNED, "Connect the right token, or restore the right key."),
    "BAD_REQUEST": (_UNCHANGED, "See the command's --help."),
    "BUSY": (_AS_BEFORE, "Wait for the other process to end and run the command again."),
    "CORRUPT_STATE": ("Nothing was changed; what is damaged was left as it is.", _RESTORE),
    "DISK_FULL": (_AS_BEFORE, "Free space and run the command again."),
    "FORBIDDEN": (_UNCHANGED, "Run the command as the owner of the data directory."),
    "INTERRUPTED": ("What was finished stays; a change that was under way is undone.", "Run the command again."),
    "LOCAL_PERMISSION": (_AS_BEFORE, "Run the command as the owner of the data directory, or change the permissions."),
    "LOCAL_STORAGE": (_AS_BEFORE, "Check the path, its permissions and the disk, then run the command again."),
    "LOCK_HELD": (_AS_BEFORE, "Somebody is writing. Wait until the lock ends (lock_seconds), then run it again."),
    "KEYS_EXIST": (
        _UNCHANGED,
        "The user has a certificate; `candado-server ca renew USER` makes one for the same key.",
    ),
    "NO_KEYS": (_UNCHANGED, "The user sets up encryption first, in any client that can."),
    "NOT_FOUND": (_UNCHANGED, "Check the spelling; `candado-server user list` and `group list` show what there is."),
    "PRECONDITION_FAILED": (_UNCHANGED, "Somebody else changed it at the same time; run the command again."),
    "PIN_REFUSED": (_NOT_AGAIN, "Put the right PIN into its file and run the command again."),
    "QUOTA_EXCEEDED": (_AS_BEFORE, "Free space where the data directory lies, then run the command again."),
    "RATE_LIMITED": (_UNCHANGED, "Wait a few seconds and run the command again."),
    "RULES_CHANGED": (_IN_FORCE, "Look with `candado-server policy show`, and make the change to that version."),
    "RULES_INVALID": (_IN_FORCE, "Mend it; docs/ops/rules.md has the language, `policy lint FILE` looks at a file."),
    "RULES_TOO_WIDE": (_IN_FORCE, "Narrow the rule down with `when ...`; if it is meant, add --force."),
    "RULES_UNREADABLE": (_IN_FORCE, "Use the version of candado-server that wrote them, or import others."),
    "SECRET_NEEDED": (_UNCHANGED, "Add --password-file FILE, or set CANDADO_SERVER_PASSWORD_FILE."),
    "SIGNER_SETUP": (_UNSIGNED, "Compare the setting `authority` with the token; see docs/ops/authority.md."),
    "SIGNER_UNAVAILABLE": (_UNSIGNED, "Connect the token and run the command again."),
    "STORE_UNAVAILABLE": (_AS_BEFORE, "Wait until it runs again, see its log and the network, then run it again."),
    "UNSUPPORTED_VERSION": (_UNCHANGED, "Use the version of candado-server that wrote it, or a newer one."),
    "USAGE": (_UNCHANGED, "See the command's --help."),
}


def for_administrators(error: CandadoError) -> CandadoError:
    """The error with the sentences of the server's commands in place of the defaults of the tree."""
    safe, advice = _FACTS.get(error.code, (_AS_BEFORE, _REPORT))
    if error.safe == type(error).default_safe:
        error.safe = safe
    if error.advice == type(error).default_advice:
        error.advice = advice
    return error


@contextmanager
def as_usage(name: str) -> Iterator[None]:
    """What a client would have asked wrongly, an administrator has typed wrongly: UsageError about ``name``."""
    try:
        yield
    except (BadRequestError, MalformedError) as exc:
        given = exc.advice if exc.advice != type(exc).default_advice else None
        raise UsageError(exc.message, path=exc.path or name, advice=given) from exc

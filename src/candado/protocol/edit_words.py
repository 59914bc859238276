"""Events and commands of a write session; the conversation itself is in ``protocol.edit``, which offers them too.

Layer: ``protocol``; frozen values. An event is what happened, a command is what the caller shall do next; the docstring
of a command names the events that may answer it.
"""

from dataclasses import dataclass
from enum import Enum

from candado.errors import CandadoError
from candado.types import Counter, LockToken

__all__ = [
    "Command",
    "CommitMetadata",
    "Committed",
    "Confirmed",
    "CounterConflict",
    "Failure",
    "Forget",
    "Journal",
    "Lock",
    "LockHeld",
    "LockLost",
    "Locked",
    "Phase",
    "ReadBack",
    "Recover",
    "Refused",
    "Reread",
    "ShowsOther",
    "Start",
    "StateRead",
    "StillOld",
    "TransportLost",
    "Unlock",
    "UnlockOutcomeUnknown",
    "Unlocked",
    "Wait",
    "Waited",
    "Write",
    "Written",
]


class Phase(Enum):
    """What the journal says of a token: writes may be staged, or the unlock may have been carried out."""

    LOCKED = "locked"
    UNLOCKING = "unlocking"


# --- events -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Begin; ``counter`` is the next counter of the folder to lock, one more than the highest one known."""

    counter: Counter


@dataclass(frozen=True, slots=True)
class Recover:
    """Begin with a token that the journal kept from an interrupted run; it is asked back and nothing else."""

    token: LockToken


@dataclass(frozen=True, slots=True)
class Locked:
    """The server granted the lock."""

    token: LockToken


@dataclass(frozen=True, slots=True)
class CounterConflict:
    """The server knows a counter that is not lower (412): somebody else wrote the folder."""

    error: CandadoError


@dataclass(frozen=True, slots=True)
class LockHeld:
    """Somebody else holds the lock (423); ``after_seconds`` is the server's hint or None."""

    error: CandadoError
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Waited:
    """The wait is over."""


@dataclass(frozen=True, slots=True)
class StateRead:
    """The folder was read and accepted again; ``counter`` as in ``Start``."""

    counter: Counter


@dataclass(frozen=True, slots=True)
class Written:
    """Every payload of the session is on the server, staged."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The metadata of every touched folder is on the server, staged."""


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The server acknowledged the unlock (or the abort, when that was sent)."""


@dataclass(frozen=True, slots=True)
class LockLost:
    """The server says that this token locks nothing (403, 404, 412 or 423 of a token that was granted)."""

    error: CandadoError


@dataclass(frozen=True, slots=True)
class Refused:
    """The server or this machine said no, or the user stopped: nothing further will be tried in this session."""

    error: CandadoError


@dataclass(frozen=True, slots=True)
class TransportLost:
    """No answer; for a write the outcome does not matter because the session is aborted."""

    error: CandadoError


@dataclass(frozen=True, slots=True)
class UnlockOutcomeUnknown:
    """No usable answer to an unlock: it may have been carried out."""

    error: CandadoError


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Every touched folder shows what was written, or an accepted later state."""


@dataclass(frozen=True, slots=True)
class StillOld:
    """Every touched folder shows exactly what it showed before the session."""


@dataclass(frozen=True, slots=True)
class ShowsOther:
    """A touched folder shows neither, or a state that is not accepted; ``error`` says what (a rollback, a fork)."""

    error: CandadoError


# --- commands ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lock:
    """Ask for the lock with this counter. Answers: Locked, CounterConflict, LockHeld, Refused, TransportLost."""

    counter: Counter


@dataclass(frozen=True, slots=True)
class Wait:
    """Let this time pass. Answer: Waited."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reread:
    """Read and accept the folder again. Answers: StateRead, Refused, TransportLost."""


@dataclass(frozen=True, slots=True)
class Journal:
    """Make (token, phase, what is about to be written) durable before the next command. Failure: Refused."""

    token: LockToken
    phase: Phase


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the session's row from the journal."""


@dataclass(frozen=True, slots=True)
class Write:
    """Send the payloads under the token. Answers: Written, LockLost, Refused, TransportLost."""

    token: LockToken


@dataclass(frozen=True, slots=True)
class CommitMetadata:
    """Send the metadata of every touched folder. Answers: Committed, LockLost, Refused, TransportLost."""

    token: LockToken


@dataclass(frozen=True, slots=True)
class Unlock:
    """Give the lock back. Answers: Unlocked, LockLost, UnlockOutcomeUnknown."""

    token: LockToken
    abort: bool


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Read every touched folder. Answers: Confirmed, StillOld, ShowsOther, TransportLost."""


Command = Lock | Wait | Reread | Journal | Forget | Write | CommitMetadata | Unlock | ReadBack
Failure = LockLost | Refused | TransportLost

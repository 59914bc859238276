"""One write session on one locked folder: lock, write, commit metadata, unlock, read back.

Layer: ``protocol``; sans-I/O. The caller (``client.session``) feeds events in and carries out the returned commands
one after the other, in order; the answer to the last command of a list is the next event. The answer to any command
may also be a failure event. Nothing here knows the time: waits are asked for and added up.

Theory of operation:

* The lock compares counters on the server, so a lock that was granted means that the state read before is still
  current. A conflict (412) and a lock held by somebody else (423) therefore both lead back to reading.
* The token goes to the journal before the first write, and the fact that the unlock was sent goes there before the
  unlock: after a crash ``Recover`` asks every journalled lock back with *abort*, which an unlocked server answers with
  "no such lock".
* Once a lock was granted every way out sends an unlock. Only when three attempts to abort got no answer does the
  journal keep the token for the next start.
* An unlock without an answer may have happened. It is repeated, which is harmless; then reading back decides. What was
  acknowledged but is not there afterwards is a lie of the server (A83).
* One loss cannot be repaired: the answer to ``Lock``. The token is then known to nobody and the server frees the
  folder.

Source: client-flows.md section 17; api.md 4, 5 and 9.3; threats.md A80, A81, A83.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final

from candado.errors import CandadoError, StoreLieError
from candado.protocol.edit_words import (
    Command,
    CommitMetadata,
    Committed,
    Confirmed,
    CounterConflict,
    Failure,
    Forget,
    Journal,
    Lock,
    Locked,
    LockHeld,
    LockLost,
    Phase,
    ReadBack,
    Recover,
    Refused,
    Reread,
    ShowsOther,
    Start,
    StateRead,
    StillOld,
    TransportLost,
    Unlock,
    Unlocked,
    UnlockOutcomeUnknown,
    Wait,
    Waited,
    Write,
    Written,
)
from candado.protocol.machine import Machine, Step
from candado.types import LockToken

__all__ = [
    "TRANSITIONS",
    "Command",
    "CommitMetadata",
    "Committed",
    "Confirmed",
    "CounterConflict",
    "Edit",
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
    "State",
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

FIRST_WAIT_SECONDS: Final = 2.0
WAIT_SECONDS_MAX: Final = 120.0
CONFLICTS_MAX: Final = 5
UNLOCK_ATTEMPTS_MAX: Final = 3


class State(Enum):
    """Where a write session stands; DONE and FAILED are the ends."""

    IDLE = auto()
    LOCKING = auto()
    BACKING_OFF = auto()
    REREADING = auto()
    WORKING = auto()
    COMMITTING = auto()
    UNLOCKING = auto()
    VERIFYING = auto()
    ABORTING = auto()
    DONE = auto()
    FAILED = auto()


Answer = tuple[State, list[Command]]

S = State
_ABORT: Final = Step("_abort", (S.ABORTING,))
_GIVE_UP: Final = Step("_give_up", (S.FAILED,))

TRANSITIONS: Final[Mapping[tuple[State, type[Any]], Step[State]]] = {
    (S.IDLE, Start): Step("_lock", (S.LOCKING,)),
    (S.IDLE, Recover): Step("_recover", (S.ABORTING,)),
    (S.LOCKING, Locked): Step("_work", (S.WORKING,)),
    (S.LOCKING, LockHeld): Step("_back_off", (S.BACKING_OFF, S.FAILED)),
    (S.LOCKING, CounterConflict): Step("_conflict", (S.REREADING, S.FAILED)),
    (S.LOCKING, Refused): _GIVE_UP,
    (S.LOCKING, TransportLost): _GIVE_UP,
    (S.BACKING_OFF, Waited): Step("_reread", (S.REREADING,)),
    (S.BACKING_OFF, Refused): _GIVE_UP,
    (S.REREADING, StateRead): Step("_lock", (S.LOCKING,)),
    (S.REREADING, Refused): _GIVE_UP,
    (S.REREADING, TransportLost): _GIVE_UP,
    (S.WORKING, Written): Step("_commit", (S.COMMITTING,)),
    (S.WORKING, LockLost): _ABORT,
    (S.WORKING, Refused): _ABORT,
    (S.WORKING, TransportLost): _ABORT,
    (S.COMMITTING, Committed): Step("_unlock", (S.UNLOCKING,)),
    (S.COMMITTING, LockLost): _ABORT,
    (S.COMMITTING, Refused): _ABORT,
    (S.COMMITTING, TransportLost): _ABORT,
    (S.UNLOCKING, Unlocked): Step("_acknowledged", (S.VERIFYING,)),
    (S.UNLOCKING, LockLost): Step("_read_back", (S.VERIFYING,)),
    (S.UNLOCKING, UnlockOutcomeUnknown): Step("_unlock_again", (S.UNLOCKING, S.VERIFYING)),
    (S.UNLOCKING, Refused): _ABORT,
    (S.VERIFYING, Confirmed): Step("_finish", (S.DONE,)),
    (S.VERIFYING, StillOld): Step("_not_stored", (S.ABORTING, S.FAILED)),
    (S.VERIFYING, ShowsOther): Step("_contradicted", (S.ABORTING,)),
    (S.VERIFYING, TransportLost): _ABORT,
    (S.ABORTING, Unlocked): Step("_undone", (S.FAILED,)),
    (S.ABORTING, LockLost): Step("_undone", (S.FAILED,)),
    (S.ABORTING, UnlockOutcomeUnknown): Step("_abort_again", (S.ABORTING, S.FAILED)),
}
"""The whole conversation; ``machine.mermaid(TRANSITIONS, State.IDLE)`` draws it."""


class Edit(Machine[State, Command]):
    """A write session.

    ``error`` is what ended a FAILED session (None after ``Recover``); raise it. ``lock_may_remain`` is True when the
    journal keeps the token because three aborts got no answer.

    Args:
        patience_seconds: how long to wait in total for a lock that somebody else holds.
    """

    def __init__(self, *, patience_seconds: float) -> None:
        super().__init__(State.IDLE, TRANSITIONS)
        self.error: CandadoError | None = None
        self.lock_may_remain = False
        self._patience_seconds = patience_seconds
        self._waited_seconds = 0.0
        self._next_wait_seconds = FIRST_WAIT_SECONDS
        self._conflicts = 0
        self._unlocks = 0
        self._token: LockToken | None = None
        self._acknowledged_unlock = False

    @property
    def token(self) -> LockToken:
        """The token of the lock that was granted; a bug (assertion) before that."""
        assert self._token is not None
        return self._token

    @property
    def ended(self) -> bool:
        """True in DONE and FAILED."""
        return self.state in {State.DONE, State.FAILED}

    def _lock(self, event: Start | StateRead) -> Answer:
        return State.LOCKING, [Lock(event.counter)]

    def _recover(self, event: Recover) -> Answer:
        self._token = event.token
        return State.ABORTING, [self._abort_command()]

    def _work(self, event: Locked) -> Answer:
        self._token = event.token
        return State.WORKING, [Journal(event.token, Phase.LOCKED), Write(event.token)]

    def _back_off(self, event: LockHeld) -> Answer:
        hint = event.after_seconds if event.after_seconds is not None else 0.0
        seconds = min(max(self._next_wait_seconds, hint), WAIT_SECONDS_MAX)
        if self._waited_seconds + seconds > self._patience_seconds:
            return self._give_up(event)
        self._waited_seconds += seconds
        self._next_wait_seconds = min(2 * self._next_wait_seconds, WAIT_SECONDS_MAX)
        return State.BACKING_OFF, [Wait(seconds)]

    def _conflict(self, event: CounterConflict) -> Answer:
        self._conflicts += 1
        if self._conflicts > CONFLICTS_MAX:
            return self._give_up(event)
        return State.REREADING, [Reread()]

    def _reread(self, _event: Waited) -> Answer:
        return State.REREADING, [Reread()]

    def _give_up(self, event: Failure | CounterConflict | LockHeld) -> Answer:
        self.error = event.error
        return State.FAILED, []

    def _commit(self, _event: Written) -> Answer:
        return State.COMMITTING, [CommitMetadata(self.token)]

    def _unlock(self, _event: Committed) -> Answer:
        self._unlocks = 1
        return State.UNLOCKING, [Journal(self.token, Phase.UNLOCKING), Unlock(self.token, abort=False)]

    def _unlock_again(self, event: UnlockOutcomeUnknown) -> Answer:
        self.error = event.error
        if self._unlocks >= UNLOCK_ATTEMPTS_MAX:
            return State.VERIFYING, [ReadBack()]
        self._unlocks += 1
        return State.UNLOCKING, [Unlock(self.token, abort=False)]

    def _acknowledged(self, _event: Unlocked) -> Answer:
        self._acknowledged_unlock = True
        return State.VERIFYING, [ReadBack()]

    def _read_back(self, event: LockLost) -> Answer:
        # The first of several unlocks may have succeeded, so "no such lock" alone is not a failure.
        self.error = event.error
        return State.VERIFYING, [ReadBack()]

    def _finish(self, _event: Confirmed) -> Answer:
        self.error = None
        return State.DONE, [Forget()]

    def _not_stored(self, _event: StillOld) -> Answer:
        if self._acknowledged_unlock:
            self.error = StoreLieError(
                "store.lie", "The server acknowledged the write, but the folder still shows the state before it."
            )
            return State.FAILED, [Forget()]
        return State.ABORTING, [self._abort_command()]

    def _contradicted(self, event: ShowsOther) -> Answer:
        self.error = event.error
        return State.ABORTING, [self._abort_command()]

    def _abort(self, event: Failure) -> Answer:
        self.error = event.error
        return State.ABORTING, [self._abort_command()]

    def _abort_command(self) -> Unlock:
        self._unlocks = 1
        return Unlock(self.token, abort=True)

    def _undone(self, _event: Unlocked | LockLost) -> Answer:
        return State.FAILED, [Forget()]

    def _abort_again(self, event: UnlockOutcomeUnknown) -> Answer:
        if self._unlocks >= UNLOCK_ATTEMPTS_MAX:
            self.lock_may_remain = True
            self.error = self.error or event.error
            return State.FAILED, []
        self._unlocks += 1
        return State.ABORTING, [Unlock(self.token, abort=True)]

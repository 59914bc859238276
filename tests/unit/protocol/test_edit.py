"""The write session as a conversation: every line of its table, and what must hold on every way through it."""

import random
from pathlib import Path
from typing import Any

import pytest

from candado.errors import (
    CandadoError,
    CounterConflictError,
    CounterRollbackError,
    LockedError,
    LockLostError,
    MisuseError,
    QuotaExceededError,
    StoreLieError,
    TransportError,
)
from candado.protocol.edit import (
    TRANSITIONS,
    CommitMetadata,
    Committed,
    Confirmed,
    CounterConflict,
    Edit,
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
    State,
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
from candado.protocol.machine import mermaid
from candado.types import Counter, LockToken

TOKEN = LockToken("token")
ABORT = Unlock(TOKEN, abort=True)
COMMIT = Unlock(TOKEN, abort=False)
LOST = TransportError("cut")


def session(*events: Any, patience: float = 300.0) -> Edit:
    edit = Edit(patience_seconds=patience)
    for event in events:
        edit.on(event)
    return edit


WORKING = (Start(Counter(8)), Locked(TOKEN))
COMMITTING = (*WORKING, Written())
UNLOCKING = (*COMMITTING, Committed())
VERIFYING = (*UNLOCKING, Unlocked())


def test_a_session_locks_journals_writes_commits_unlocks_and_reads_back() -> None:
    edit = Edit(patience_seconds=300.0)
    assert edit.on(Start(Counter(8))) == [Lock(Counter(8))]
    assert edit.on(Locked(TOKEN)) == [Journal(TOKEN, Phase.LOCKED), Write(TOKEN)]
    assert edit.on(Written()) == [CommitMetadata(TOKEN)]
    assert edit.on(Committed()) == [Journal(TOKEN, Phase.UNLOCKING), COMMIT]
    assert edit.on(Unlocked()) == [ReadBack()]
    assert not edit.ended
    assert edit.on(Confirmed()) == [Forget()]
    assert (edit.state, edit.error, edit.ended, edit.lock_may_remain) == (State.DONE, None, True, False)
    assert edit.token == TOKEN


def test_the_lock_is_given_back_when_the_upload_is_refused() -> None:
    edit = session(*WORKING)
    error = QuotaExceededError()
    assert edit.on(Refused(error)) == [ABORT]
    assert edit.on(Unlocked()) == [Forget()]
    assert (edit.state, edit.error) == (State.FAILED, error)


@pytest.mark.parametrize("before", [WORKING, COMMITTING])
@pytest.mark.parametrize("failure", [Refused(LOST), TransportLost(LOST), LockLost(LOST)])
def test_any_failure_after_the_lock_asks_it_back(before: tuple[Any, ...], failure: Any) -> None:
    edit = session(*before)
    assert edit.on(failure) == [ABORT]
    assert edit.on(LockLost(LockLostError())) == [Forget()]
    assert (edit.state, edit.error) == (State.FAILED, LOST)


def test_an_abort_without_an_answer_is_tried_three_times_and_then_kept_in_the_journal() -> None:
    edit = session(*WORKING, Refused(QuotaExceededError()))
    assert edit.on(UnlockOutcomeUnknown(LOST)) == [ABORT]
    assert edit.on(UnlockOutcomeUnknown(LOST)) == [ABORT]
    assert edit.on(UnlockOutcomeUnknown(LOST)) == []
    assert (edit.state, edit.lock_may_remain, type(edit.error)) == (State.FAILED, True, QuotaExceededError)


def test_a_lock_held_by_somebody_else_is_waited_for_with_growing_pauses_and_read_again() -> None:
    edit = session(Start(Counter(8)), patience=1000.0)
    waits = []
    for _ in range(10):
        commands = edit.on(LockHeld(LockedError()))
        if not commands:
            break
        assert isinstance(commands[0], Wait)
        waits.append(commands[0].seconds)
        assert edit.on(Waited()) == [Reread()]
        assert edit.on(StateRead(Counter(9))) == [Lock(Counter(9))]
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0, 120.0, 120.0]


def test_patience_ends() -> None:
    edit = session(Start(Counter(8)), patience=5.0)
    error = LockedError()
    assert edit.on(LockHeld(error)) == [Wait(2.0)]
    edit.on(Waited())
    edit.on(StateRead(Counter(8)))
    assert edit.on(LockHeld(error)) == []
    assert (edit.state, edit.error, edit.lock_may_remain) == (State.FAILED, error, False)


@pytest.mark.parametrize(("hint", "expected"), [(None, 2.0), (0.5, 2.0), (30.0, 30.0), (1e9, 120.0)])
def test_the_servers_hint_only_lengthens_the_pause_up_to_the_bound(hint: float | None, expected: float) -> None:
    assert session(Start(Counter(8))).on(LockHeld(LockedError(), hint)) == [Wait(expected)]


def test_a_counter_conflict_reads_again_but_not_for_ever() -> None:
    edit = session(Start(Counter(8)))
    error = CounterConflictError()
    for _ in range(5):
        assert edit.on(CounterConflict(error)) == [Reread()]
        edit.on(StateRead(Counter(9)))
    assert edit.on(CounterConflict(error)) == []
    assert (edit.state, edit.error) == (State.FAILED, error)


@pytest.mark.parametrize(
    "events",
    [
        (Start(Counter(8)), Refused(LOST)),
        (Start(Counter(8)), TransportLost(LOST)),
        (Start(Counter(8)), LockHeld(LockedError()), Refused(LOST)),
        (Start(Counter(8)), CounterConflict(CounterConflictError()), Refused(LOST)),
        (Start(Counter(8)), CounterConflict(CounterConflictError()), TransportLost(LOST)),
    ],
)
def test_a_failure_before_the_lock_ends_the_session_at_once(events: tuple[Any, ...]) -> None:
    edit = session(*events)
    assert (edit.state, edit.error) == (State.FAILED, LOST)


def test_an_unlock_without_an_answer_is_repeated_and_then_reading_decides() -> None:
    edit = session(*UNLOCKING)
    assert edit.on(UnlockOutcomeUnknown(LOST)) == [COMMIT]
    assert edit.on(UnlockOutcomeUnknown(LOST)) == [COMMIT]
    assert edit.on(UnlockOutcomeUnknown(LOST)) == [ReadBack()]
    assert edit.on(Confirmed()) == [Forget()]
    assert (edit.state, edit.error) == (State.DONE, None)


def test_a_repeated_unlock_that_finds_no_lock_may_have_happened() -> None:
    edit = session(*UNLOCKING, UnlockOutcomeUnknown(LOST))
    assert edit.on(LockLost(LockLostError())) == [ReadBack()]
    assert edit.on(Confirmed()) == [Forget()]
    assert edit.state is State.DONE


def test_a_lost_lock_at_the_unlock_with_the_old_state_shown_fails_without_a_lie() -> None:
    edit = session(*UNLOCKING)
    lost = LockLostError()
    edit.on(LockLost(lost))
    assert edit.on(StillOld()) == [ABORT]
    assert edit.on(LockLost(lost)) == [Forget()]
    assert (edit.state, edit.error) == (State.FAILED, lost)


def test_an_acknowledged_write_that_is_not_there_is_a_lie() -> None:
    edit = session(*VERIFYING)
    assert edit.on(StillOld()) == [Forget()]
    assert isinstance(edit.error, StoreLieError)
    assert (edit.state, edit.error.event) == (State.FAILED, "store.lie")


def test_a_state_that_is_neither_old_nor_new_ends_the_session_with_its_fault() -> None:
    edit = session(*VERIFYING)
    fault = CounterRollbackError("fresh.rollback")
    assert edit.on(ShowsOther(fault)) == [ABORT]
    assert edit.on(LockLost(LockLostError())) == [Forget()]
    assert (edit.state, edit.error) == (State.FAILED, fault)


def test_a_journal_that_cannot_be_written_before_the_unlock_aborts() -> None:
    assert session(*UNLOCKING).on(Refused(LOST)) == [ABORT]


def test_a_lost_connection_while_reading_back_asks_the_lock_back() -> None:
    assert session(*VERIFYING).on(TransportLost(LOST)) == [ABORT]


@pytest.mark.parametrize("answer", [Unlocked(), LockLost(LockLostError())])
def test_a_token_from_the_journal_is_asked_back_and_nothing_else(answer: Any) -> None:
    edit = Edit(patience_seconds=0.0)
    assert edit.on(Recover(TOKEN)) == [ABORT]
    assert edit.on(answer) == [Forget()]
    assert (edit.state, edit.error, edit.lock_may_remain) == (State.FAILED, None, False)


def test_a_recovery_without_an_answer_keeps_the_token() -> None:
    edit = session(Recover(TOKEN), *[UnlockOutcomeUnknown(LOST)] * 3)
    assert (edit.state, edit.error, edit.lock_may_remain) == (State.FAILED, LOST, True)


def test_there_is_no_token_before_the_lock() -> None:
    with pytest.raises(AssertionError):
        _ = session(Start(Counter(1))).token


# --- the table itself -------------------------------------------------------------------------------------


def test_every_state_but_the_ends_has_a_way_out_and_every_state_is_reached() -> None:
    assert set(State) - {state for state, _ in TRANSITIONS} == {State.DONE, State.FAILED}
    assert set(State) - {target for step in TRANSITIONS.values() for target in step.targets} == {State.IDLE}


def test_an_event_out_of_place_is_a_bug() -> None:
    with pytest.raises(MisuseError):
        session(*WORKING).on(Unlocked())


def test_the_picture_names_every_line_of_the_table() -> None:
    picture = mermaid(TRANSITIONS, State.IDLE)
    assert picture.count("-->") == 1 + sum(len(step.targets) for step in TRANSITIONS.values()) + 2
    assert "    UNLOCKING --> VERIFYING: Unlocked\n" in picture
    page = Path(__file__).resolve().parents[3] / "docs" / "spec" / "write-order.md"
    assert picture in page.read_text()


EXAMPLES: dict[type, Any] = {
    Start: Start(Counter(1)),
    Recover: Recover(TOKEN),
    Locked: Locked(TOKEN),
    StateRead: StateRead(Counter(2)),
    LockHeld: LockHeld(LockedError()),
    CounterConflict: CounterConflict(CounterConflictError()),
    **{kind: kind(LOST) for kind in (LockLost, Refused, TransportLost, UnlockOutcomeUnknown, ShowsOther)},
    **{kind: kind() for kind in (Waited, Written, Committed, Unlocked, Confirmed, StillOld)},
}


@pytest.mark.parametrize("seed", range(300))
def test_on_every_way_a_granted_lock_is_asked_back_and_nothing_is_written_before_the_journal(seed: int) -> None:
    chance = random.Random(seed)
    edit = Edit(patience_seconds=30.0)
    commands: list[Any] = []
    events: list[Any] = []
    for _ in range(200):
        if edit.ended:
            break
        event = EXAMPLES[chance.choice([kind for state, kind in TRANSITIONS if state is edit.state])]
        events.append(event)
        commands.extend(edit.on(event))
    assert edit.ended
    granted = any(isinstance(event, Locked | Recover) for event in events)
    assert granted == any(isinstance(command, Unlock) for command in commands)
    if granted and not edit.lock_may_remain:
        assert isinstance(commands[-1], Forget)
    if any(isinstance(command, Write) for command in commands):
        kinds = [type(command) for command in commands]
        assert kinds.index(Journal) < kinds.index(Write)
    assert (edit.state is State.DONE) == isinstance(events[-1], Confirmed)
    if edit.state is State.FAILED and not isinstance(events[0], Recover):
        assert isinstance(edit.error, CandadoError)

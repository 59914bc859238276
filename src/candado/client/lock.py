"""The lock of a write session: carries out what ``protocol.edit`` decides, keeps the journal, recovers after a crash.

Layer: ``client``. The journal is one row per locked folder in the state's space ``session``: token, phase, path. It
is durable before anything is written under the token, and again before the unlock is sent.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Final, Protocol

from candado.client.account import SESSION_SPACE, Account
from candado.client.named import placed
from candado.client.pins import Row
from candado.errors import (
    CandadoError,
    CorruptStateError,
    CounterConflictError,
    ForbiddenError,
    InterruptedByUserError,
    LockedError,
    LockLostError,
    MisuseError,
    NotFoundError,
    TransportError,
)
from candado.protocol import edit
from candado.types import Counter, FileId, LockToken, check_file_id

__all__ = ["LeftLock", "Lock", "LockSteps", "left_locks", "recover_sessions"]

_ANSWER_SECONDS: Final = 10.0
"""How long an interrupted command waits for the answer that has the token."""


class LockSteps(Protocol):
    """What the session does while the lock is driven."""

    async def reread(self) -> Counter:
        """Read and accept the folder again; the next counter to lock it with."""
        ...

    async def send(self, token: LockToken) -> None:
        """Send the metadata of every touched folder."""
        ...

    async def check(self, *, acknowledged: bool) -> object:
        """Read every touched folder back: ``edit.Confirmed``, ``StillOld`` or ``ShowsOther``."""
        ...


@dataclass(frozen=True, slots=True)
class LeftLock:
    """A lock that an interrupted session of this device left; ``path`` is clear, ``since`` seconds since the epoch."""

    file_id: FileId
    path: str
    since: float
    token: LockToken


class Lock:
    """The lock on one folder, from the request to its end."""

    def __init__(
        self, account: Account, file_id: FileId, path: str, steps: LockSteps | None, *, patience_seconds: float
    ) -> None:
        self._account = account
        self._file_id = file_id
        self._path = path
        self._steps = steps
        self._edit = edit.Edit(patience_seconds=patience_seconds)
        self._acknowledged = False

    @property
    def token(self) -> LockToken:
        """The token, once the lock was granted."""
        return self._edit.token

    @property
    def end_row(self) -> Row:
        """The row that ends the journal of this lock; a confirmed session commits it together with its pins."""
        return (SESSION_SPACE, str(self._file_id), None)

    @property
    def ended(self) -> bool:
        """True after the commit, the abort or the failure."""
        return self._edit.ended

    async def acquire(self, counter: Counter) -> None:
        """Lock with ``counter``, waiting and reading again as needed; the error of the last attempt when it fails."""
        await self._drive(edit.Start(counter))
        self._raise()

    async def commit(self) -> None:
        """Metadata, unlock, read back; on any failure everything is undone and the error is raised."""
        await self._drive(edit.Written())
        self._raise()

    async def abort(self, cause: BaseException) -> None:
        """Undo everything that was written under the lock; harmless after the end."""
        if not self._edit.ended:
            await self._drive(_event(cause))

    async def recover(self, token: LockToken) -> bool:
        """Ask back a lock of an earlier process; False when the server could not be reached."""
        await self._drive(edit.Recover(token))
        return not self._edit.lock_may_remain

    def _raise(self) -> None:
        if self._edit.state is edit.State.FAILED:
            raise self._edit.error or MisuseError("a session failed without a reason")

    async def _drive(self, event: object) -> None:
        try:
            await self._run(event)
        except BaseException as cause:
            # Cancelled between two steps: the lock is still asked back.
            if not self._edit.ended and self._edit.state is not edit.State.ABORTING:
                verifying = self._edit.state is edit.State.VERIFYING
                await self._run(edit.TransportLost(InterruptedByUserError()) if verifying else _event(cause))
            raise

    async def _run(self, event: object) -> None:
        commands = self._edit.on(event)
        while commands:
            answer: object | None = None
            for command in commands:
                if isinstance(command, edit.Write):
                    return
                answer = await self._carry_out(command)
                if isinstance(answer, edit.Refused | edit.LockLost | edit.TransportLost):
                    break
            if answer is None:
                return
            commands = self._edit.on(answer)

    async def _carry_out(self, command: edit.Command) -> object | None:
        match command:
            case edit.Lock(counter):
                return await self._lock(counter)
            case edit.Wait(seconds):
                await self._account.clock.sleep(seconds)
                return edit.Waited()
            case edit.Unlock(token, abort):
                return await self._unlock(token, abort=abort)
            case edit.Journal(token, phase):
                return self._journal(token, phase)
            case edit.Forget():
                if self._account.store.load(SESSION_SPACE, str(self._file_id)) is not None:
                    self._account.store.commit([self.end_row])
                return None
            case edit.Reread() | edit.CommitMetadata() | edit.ReadBack():
                return await self._step(command)
            case edit.Write():
                return None

    async def _lock(self, counter: Counter) -> object:
        asked = asyncio.ensure_future(self._account.remote.lock(self._file_id, counter))
        try:
            return edit.Locked(await asyncio.shield(asked))
        except asyncio.CancelledError:
            await self._give_back(asked)
            raise
        except CandadoError as error:
            placed(error, self._path)
            if isinstance(error, CounterConflictError):
                return edit.CounterConflict(error)
            return edit.LockHeld(error) if isinstance(error, LockedError) else _event(error)

    async def _give_back(self, asked: asyncio.Future[LockToken]) -> None:
        # The server may have granted it already, and only its answer has the token.
        await asyncio.wait([asked], timeout=_ANSWER_SECONDS)
        if not asked.done():
            asked.cancel()
        with contextlib.suppress(CandadoError, asyncio.CancelledError):
            await self._unlock(await asked, abort=True)

    async def _unlock(self, token: LockToken, *, abort: bool) -> object:
        try:
            await self._account.remote.unlock(self._file_id, token, abort=abort)
        except (LockLostError, NotFoundError, ForbiddenError) as error:
            # Also when the share ended through which it was held: our server undid it with that, another one lets it
            # expire, and nobody can ask for it any more.
            return edit.LockLost(placed(error, self._path))
        except CandadoError as error:
            return edit.UnlockOutcomeUnknown(placed(error, self._path))
        self._acknowledged = self._acknowledged or not abort
        return edit.Unlocked()

    def _journal(self, token: LockToken, phase: edit.Phase) -> object | None:
        row = {
            "token": token.reveal(),
            "phase": phase.value,
            "path": self._path,
            "since": self._account.clock.now(),
        }
        try:
            self._account.store.commit([(SESSION_SPACE, str(self._file_id), json.dumps(row).encode())])
        except CandadoError as error:
            return edit.Refused(error)
        return None

    async def _step(self, command: edit.Reread | edit.CommitMetadata | edit.ReadBack) -> object:
        steps = self._steps
        if steps is None:
            raise MisuseError("a recovered lock is only asked back")
        try:
            match command:
                case edit.Reread():
                    return edit.StateRead(await steps.reread())
                case edit.CommitMetadata(token):
                    await steps.send(token)
                    return edit.Committed()
                case edit.ReadBack():
                    return await steps.check(acknowledged=self._acknowledged)
        except TransportError as error:
            return edit.TransportLost(placed(error, self._path))
        except CandadoError as error:
            placed(error, self._path)
            return edit.ShowsOther(error) if isinstance(command, edit.ReadBack) else _event(error)


def _event(cause: BaseException) -> object:
    """The failure event that fits an exception."""
    if isinstance(cause, LockLostError):
        return edit.LockLost(cause)
    if isinstance(cause, TransportError):
        return edit.TransportLost(cause)
    if isinstance(cause, CandadoError):
        return edit.Refused(cause)
    if isinstance(cause, asyncio.CancelledError | KeyboardInterrupt):
        return edit.Refused(InterruptedByUserError())
    return edit.Refused(MisuseError(f"a session was left by {type(cause).__name__}"))


def left_locks(account: Account) -> list[LeftLock]:
    """Locks in the journal: those of a session that is running now, or that a killed process left."""
    found: list[LeftLock] = []
    for key, value in account.store.load_all(SESSION_SPACE).items():
        try:
            row = json.loads(value)
            found.append(
                LeftLock(check_file_id(int(key)), str(row["path"]), float(row["since"]), LockToken(str(row["token"])))
            )
        except (ValueError, KeyError, TypeError) as exc:
            raise CorruptStateError("the journal of write sessions cannot be read") from exc
    return found


async def recover_sessions(account: Account) -> int:
    """Undo what sessions of earlier processes left locked; the number of locks that were asked back.

    Whatever was not unlocked is gone afterwards, whatever was unlocked is there: all or nothing. Called at the start
    of every session, and by ``candado unlock``.

    Raises:
        TransportError: the server could not be reached; the journal keeps the token.
    """
    async with account.write_lock:
        return await recover_locked(account)


async def recover_locked(account: Account) -> int:
    """As ``recover_sessions``, for a caller that holds ``account.write_lock``."""
    left = left_locks(account)
    for row in left:
        lock = Lock(account, row.file_id, row.path, None, patience_seconds=0)
        if not await lock.recover(row.token):
            raise TransportError("An earlier session of this device could not be ended.", path=row.path)
    return len(left)

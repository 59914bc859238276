"""Password hashes: argon2id in a thread, a bounded number at a time.

Layer: ``adapters``; implements ``candado.server.accounts.PasswordHasher``. One hash takes 32 MiB and about a tenth of
a second of one core, so the number that run at once is bounded, and callers beyond a queue of ``WAITING_MAX`` are
told to come back instead of piling up.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher as Hasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from candado.errors import CorruptStateError, RateLimitedError
from candado.types import SecretText

__all__ = ["Argon2Passwords"]

T = TypeVar("T")

WAITING_MAX: Final = 64
"""Callers that may wait for a free slot."""


class Argon2Passwords:
    """argon2id hashes in the PHC text form.

    Args:
        parallel: hashes computed at once; more callers wait.
        time_cost: passes over the memory (RFC 9106).
        memory_kib: memory of one hash.
    """

    def __init__(self, *, parallel: int = 2, time_cost: int = 4, memory_kib: int = 32768) -> None:
        # One lane: the answer must not depend on how many cores the machine has.
        self._hasher = Hasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._slots = asyncio.Semaphore(parallel)
        self._waiting = 0
        self._decoy: str | None = None

    async def hash(self, password: SecretText) -> str:
        """Return a salted hash of ``password`` as PHC text.

        Raises:
            RateLimitedError: too many callers wait already.
        """
        return await self._run(lambda: self._hasher.hash(password.reveal()))

    async def verify(self, hashed: str, password: SecretText) -> bool:
        """Return whether ``password`` is the one behind ``hashed``.

        Raises:
            RateLimitedError: too many callers wait already.
            CorruptStateError: ``hashed`` is not a hash.
        """
        return await self._run(lambda: self._check(hashed, password))

    async def verify_nobody(self, password: SecretText) -> None:
        """Spend the time of one verification, so that an unknown user takes as long as a wrong password."""
        decoy = self._decoy
        if decoy is None:
            decoy = self._decoy = await self.hash(SecretText("no user has this password"))
        await self._run(lambda: self._check(decoy, password))

    def _check(self, hashed: str, password: SecretText) -> bool:
        try:
            return self._hasher.verify(hashed, password.reveal())
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError) as exc:
            raise CorruptStateError("a stored password hash cannot be read") from exc

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise RateLimitedError("too many sign-ins at once", after_seconds=5.0)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

"""A power cut at the n-th call of any port: from then on nothing works until the device starts anew."""

import inspect
from typing import Any

_FREE = frozenset(
    {"requests", "kind", "close", "discard", "skipped", "load", "load_all", "scan", "stat", "capabilities"}
)


class PowerCutError(BaseException):
    """The power went; not an ``Exception``, so that no handler takes it for an ordinary fault."""


class Power:
    """Counts calls; ``cut_at`` 0 is the first one. ``after`` lets that call happen before the power goes."""

    def __init__(self, cut_at: int | None = None, *, after: bool = False) -> None:
        self.calls = 0
        self.cut_at = cut_at
        self.after = after
        self.is_out = False

    def before(self) -> bool:
        """Count a call; True when the power goes right after it."""
        if self.is_out:
            raise PowerCutError
        number = self.calls
        self.calls += 1
        if number != self.cut_at:
            return False
        self.is_out = True
        if not self.after:
            raise PowerCutError
        return True

    def check(self) -> None:
        if self.is_out:
            raise PowerCutError


class Wired:
    """Any port, with its calls counted."""

    def __init__(self, inner: Any, power: Power) -> None:
        self._inner = inner
        self._power = power

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value
        power = self._power
        if name in _FREE:

            def free(*args: Any, **kwargs: Any) -> Any:
                if name not in ("close", "discard"):
                    power.check()
                return value(*args, **kwargs)

            return free
        if inspect.iscoroutinefunction(value):

            async def call(*args: Any, **kwargs: Any) -> Any:
                last = power.before()
                result = await value(*args, **kwargs)
                if last:
                    raise PowerCutError
                power.check()
                return result

            return call

        def plain(*args: Any, **kwargs: Any) -> Any:
            last = power.before()
            result = value(*args, **kwargs)
            if last:
                raise PowerCutError
            return result

        return plain

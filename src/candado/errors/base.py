"""The root of the error tree, and misuse of our own code."""

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
        self,
        message: str = "",
        *,
        path: str | None = None,
        safe: str | None = None,
        advice: str | None = None,
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

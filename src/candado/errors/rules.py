"""Access rules that cannot be taken as they are."""

from candado.errors.base import CandadoError
from candado.errors.documents import FormatError
from candado.errors.peer import RemoteError

_IN_FORCE = "The rules in force are the same as before."


class RulesInvalidError(FormatError):
    """A document of access rules has an error.

    ``line`` counts from 1, None when it is not known; ``rule`` is the id of the rule, ``key`` its member, both empty
    when the error is in none.
    """

    code = "RULES_INVALID"
    default_safe = _IN_FORCE
    default_advice = "Mend it, and look with `candado-server policy lint FILE`, which changes nothing."

    def __init__(
        self,
        reason: str = "the access rules have an error",
        *,
        line: int | None = None,
        rule: str = "",
        key: str = "",
        path: str | None = None,
    ) -> None:
        where = [f"line {line}"] if line is not None else []
        where += [f"rule {rule}"] if rule else []
        where += [key] if key else []
        super().__init__(f"{', '.join(where)}: {reason}" if where else reason, path=path)
        self.reason = reason
        self.line = line
        self.rule = rule
        self.key = key

    @property
    def details(self) -> dict[str, str | int | None]:
        """The place, for programs."""
        return {"line": self.line, "rule": self.rule, "key": self.key, "reason": self.reason}

    def at(self, line: int | None, rule: str) -> "RulesInvalidError":
        """The same error, at a place that is known better now."""
        return RulesInvalidError(self.reason, line=line, rule=rule, key=self.key, path=self.path)


class RulesRefusedError(RulesInvalidError):
    """A rule matches everything, and nobody said that this is meant."""

    code = "RULES_TOO_WIDE"
    default_advice = "Narrow the rule down with `when ...`; if it is meant, add --force."


class RulesUnreadableError(CandadoError):
    """The access rules in force cannot be read by this program, so nothing is allowed that they could forbid."""

    code = "RULES_UNREADABLE"
    retry = True
    default_advice = (
        "Run the program that stored them or a newer one, with time zones (the package tzdata) where it runs; or store "
        "others with `candado-server policy import FILE`."
    )


class RulesChangedError(RemoteError):
    """Somebody else changed the access rules first.

    ``expected`` is the version that was to be replaced, ``current`` that in force, ``text`` its document.
    """

    code = "RULES_CHANGED"
    default_safe = f"Nothing of the other change was lost. {_IN_FORCE}"
    default_advice = "Look with `candado-server policy show`, and make the change to the new version."

    def __init__(self, *, expected: int = 0, current: int = 0, text: str = "") -> None:
        super().__init__(f"the rules have version {current} now, not {expected} any more")
        self.expected = expected
        self.current = current
        self.text = text

    @property
    def details(self) -> dict[str, str | int | None]:
        """Both versions, for programs: the one that was to be replaced by number, the one in force whole."""
        return {"expected": self.expected, "current": self.current, "text": self.text}

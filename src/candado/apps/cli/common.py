"""What all commands share: the global flags, how a command runs, how it prints.

Layer: ``apps``. Global flags may stand before or after the name of the command. ``Run`` is what they add up to.
"""

import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

import click
from click.core import ParameterSource

from candado.apps.cli.output import json_line, printable
from candado.errors import PolicyDeniedError, UsageError

if TYPE_CHECKING:
    from candado.client.account import Account
    from candado.ports.client import LeftOut
    from candado.protocol.plan_model import Problem

__all__ = [
    "SECRET_FILE",
    "Command",
    "Group",
    "ReaderGoneError",
    "Run",
    "SizeType",
    "global_options",
    "left_out_json",
    "pass_run",
    "say_left_out",
    "say_warnings",
    "warn_of_recovery",
    "warnings_json",
    "with_account",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_LEFT_OUT_SHOWN: Final = 20
SECRET_FILE: Final = click.Path(path_type=Path, allow_dash=True, readable=False)
"""A file with a secret: whether it can be read is told by who reads it, the same way everywhere."""

_SIZE_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class ReaderGoneError(Exception):
    """Whoever read our output does not any more; the command ends quietly."""


@dataclass
class Run:
    """One run of the program, as its global flags say.

    ``timeout`` in seconds; ``retries`` beside the first attempt; ``bwlimit`` in bytes per second for each direction.
    """

    json: bool = False
    jsonl: bool = False
    quiet: bool = False
    verbose: int = 0
    no_progress: bool = False
    no_color: bool = False
    yes: bool = False
    no_input: bool = False
    timeout: float | None = None
    retries: int | None = None
    transfers: int | None = None
    bwlimit: int | None = None
    log_file: Path | None = None
    log_format: str = "text"
    config: Path | None = None
    origins: dict[str, Literal["flag", "environment"]] = field(
        default_factory=dict[str, Literal["flag", "environment"]]
    )
    warned: set[str] = field(default_factory=set[str])

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    def emit(self, schema: str, document: Mapping[str, Any], text: Callable[[], None] | str) -> None:
        """Print one result: as JSON when asked for, else as text."""
        if self.json or self.jsonl:
            print(json_line({"schema": schema, **document}))
        elif isinstance(text, str):
            if text:
                print(text)
        else:
            text()

    def emit_list(
        self, schema: str, name: str, items: Iterable[Mapping[str, Any]], text: Callable[[], None], **more: object
    ) -> None:
        """Print a list: one document, one line an item (``--jsonl``), or text."""
        if self.jsonl:
            for item in items:
                print(json_line({"schema": schema, **item}))
        elif self.json:
            print(json_line({"schema": schema, **more, name: list(items)}))
        else:
            text()

    def say(self, text: str) -> None:
        """A message for people on stderr; silent with ``-q``."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """A warning on stderr, once a run, also with ``-q``."""
        if text not in self.warned:
            self.warned.add(text)
            print(f"candado: warning: {text}", file=sys.stderr, flush=True)

    def confirm(self, question: str, *, needs_yes: bool = False) -> None:
        """Go on when ``-y`` was given or the person agrees; UsageError otherwise.

        Without a terminal, or with ``--no-input``, a script wrote the command and means it, so nothing is asked. Not so
        with ``needs_yes``: for what no script should decide in passing. And somebody who types at a terminal but does
        not see the question has not agreed either.
        """
        if self.yes:
            return
        if self.interactive:
            if not click.confirm(question, err=True):
                raise UsageError("not confirmed")
        elif needs_yes or (sys.stdin.isatty() and not self.no_input):
            raise UsageError(f"{question} This needs a yes.", advice="Add --yes when you are sure.")


class SizeType(click.ParamType[int]):
    """A number of bytes such as ``500K``, ``2M`` or ``1.5G`` (powers of 1024)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes; a usage error when it is not positive."""
        text = str(value).strip().upper().removesuffix("B")
        unit = text[-1:] if text[-1:] in _SIZE_UNITS and not text[-1:].isdigit() else ""
        try:
            count = int(float(text.removesuffix(unit)) * _SIZE_UNITS[unit])
        except (ValueError, OverflowError):
            count = 0
        if count <= 0:
            self.fail(f"{value!r} is not a size such as 500K, 2M or 1G", param, ctx)
        return count


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Put the value of a global flag into the run when it was given here."""
    name = param.name
    source = ctx.get_parameter_source(name) if name else None
    if name and source not in (ParameterSource.DEFAULT, None):
        run = ctx.find_root().ensure_object(Run)
        # A flag before the command's name was read before the environment is read for the command.
        if source is ParameterSource.ENVIRONMENT and run.origins.get(name) == "flag":
            return value
        run.origins[name] = "environment" if source is ParameterSource.ENVIRONMENT else "flag"
        setattr(run, name, run.verbose + value if name == "verbose" else value)
        if name == "config":
            # Where things are is asked of the environment, at many places and before there is a run.
            os.environ["CANDADO_CONFIG"] = str(value)
    return value


def global_options() -> list[click.Option]:
    """New options for one command; ``candado help flags`` shows them, each command's own page does not."""

    def option(*names: str, **how: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, hidden=True, **how)

    def setting(name: str, kind: click.ParamType[Any], metavar: str, text: str) -> click.Option:
        variable = f"CANDADO_{name.removeprefix('--').upper()}"
        return option(name, type=kind, metavar=metavar, envvar=variable, help=f"{text} Also {variable}.")

    return [
        option("--json", is_flag=True, help="Print one JSON document."),
        option("--jsonl", is_flag=True, help="Print one JSON object a line."),
        option("-q", "--quiet", is_flag=True, help="No messages but errors and warnings."),
        option("-v", "--verbose", count=True, help="More messages; -vv adds requests and stack traces."),
        option("--no-progress", is_flag=True, help="No progress display."),
        option("--no-color", is_flag=True, envvar="NO_COLOR", help="No colour, also NO_COLOR=1."),
        option("-y", "--yes", is_flag=True, help="Answer questions with yes."),
        option("--no-input", is_flag=True, help="Never ask: what is written is meant, what is missing is an error."),
        setting("--timeout", click.FloatRange(min=1), "SECONDS", "Longest silence of the server."),
        setting("--retries", click.IntRange(0, 20), "N", "Repetitions of harmless requests."),
        setting("--transfers", click.IntRange(1, 64), "N", "Bodies under way at once."),
        setting("--bwlimit", SizeType(), "RATE", "Bytes a second for each direction, such as 2M."),
        option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Another configuration than config.toml, also CANDADO_CONFIG.",
        ),
        option("--log-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Log to a file."),
        option("--log-format", type=click.Choice(["text", "json"]), help="Form of the log."),
    ]


class Command(click.Command):
    """A command that takes the global flags too. The text of its docstring is its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # click keeps the lines of a paragraph that starts with a backspace; docstrings spell it as two characters.
        self.help = (self.help or "").replace("\\b", "\b")
        taken = {name for param in self.params for name in param.opts}
        self.params += [option for option in global_options() if not taken & set(option.opts)]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Point to the flags that every command takes."""
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("Every command also takes the global flags: candado help flags")


class Group(click.Group):
    """A group whose commands take the global flags, and that suggests the nearest name for an unknown one."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, but a wrong name is answered with the nearest right one."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


Group.group_class = Group


def pass_run(function: F) -> F:
    """Hand the run to a command as its first argument."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        run = click.get_current_context().find_root().ensure_object(Run)
        if run.log_file is not None or run.verbose >= 2:
            from candado.apps.cli.log import start_log

            start_log(run.log_file, run.log_format)
        try:
            return function(run, *args, **kwargs)
        except BrokenPipeError as exc:
            # click would end the process with status 1 before we could.
            raise ReaderGoneError from exc

    inner.__name__, inner.__doc__ = function.__name__, function.__doc__
    inner.__dict__.update(function.__dict__)
    return cast("F", inner)


def say_left_out(run: Run, left_out: "Sequence[LeftOut]") -> None:
    """Name what a scan left out; what a pattern asked for is counted, and named only with ``-v``."""
    shown = [one for one in left_out if one.reason != "ignored" or run.verbose]
    for one in shown[:_LEFT_OUT_SHOWN]:
        run.say(f"left out: {printable(one.path)} ({one.reason})")
    if len(shown) > _LEFT_OUT_SHOWN:
        run.say(f"left out: {len(shown) - _LEFT_OUT_SHOWN} more")
    if len(left_out) > len(shown):
        run.say(f"left out by ignore rules: {len(left_out) - len(shown)} (-v names them)")


def left_out_json(left_out: "Sequence[LeftOut]") -> list[dict[str, str]]:
    """The list ``left_out`` of a result."""
    return [{"path": one.path, "reason": one.reason} for one in left_out]


def say_warnings(run: Run, problems: "Sequence[Problem]") -> None:
    """Name what was stored and may make trouble on another device."""
    for problem in problems:
        run.warn(f"{printable(problem.path)}: {printable(problem.message)} [{problem.code}]")


def warn_of_recovery(run: Run, account: "Account") -> dict[str, object] | None:
    """Print the lasting warning while a recovery key is on; the member ``recovery`` of an answer, None when off."""
    from candado.client.recovery import current_key, warning

    key, text = current_key(account), warning(account)
    if key is None or not text:
        return None
    run.warn(printable(text))
    return {
        "state": key.state,
        "member": key.member_id,
        "fingerprint": key.fingerprint,
        "words": key.words,
        "agreed": key.agreed,
        "serial": key.serial,
        "text": key.text,
        "warning": text,
    }


def warnings_json(problems: "Sequence[Problem]") -> list[dict[str, object]]:
    """The list ``warnings`` of a result, as in ``candado.sync/1``."""
    from candado.client.sync_report import SyncProblem

    return [SyncProblem.of_plan(problem).to_json() for problem in problems]


def _note(account: "Account", error: PolicyDeniedError, path: str) -> None:
    from candado.client.held import note_denial

    note_denial(account, error, path)


def with_account(run: Run, work: "Callable[[Account], Coroutine[Any, Any, T]]") -> T:
    """Open the account of this device, run the work on an event loop, close everything; its result.

    An interrupt cancels the work, which aborts an open write session, and raises InterruptedByUserError afterwards.
    What a rule refused is put among the issues, whether it is raised or stands in a report.
    """
    from candado.apps.cli.loop import run_to_end
    from candado.apps.wiring import open_account

    async def opened() -> T:
        async with open_account(run) as account:
            try:
                done = await work(account)
            except PolicyDeniedError as error:
                _note(account, error, error.path or "/")
                raise
            for failure in getattr(done, "failures", ()):
                refusal = getattr(failure, "error", None)
                if isinstance(refusal, PolicyDeniedError):
                    _note(account, refusal, failure.path)
            return done

    return run_to_end(opened())

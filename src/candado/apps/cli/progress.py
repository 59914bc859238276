"""How far a command is: a bar on a terminal, a line every ten seconds elsewhere, nothing with ``-q`` or ``--json``.

Layer: ``apps``. All of it goes to stderr.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from candado.apps.cli.output import human_size, printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from candado.apps.cli.common import Run
    from candado.client.transfer import ProgressEvent

__all__ = ["Meter", "progress_of"]

_LINE_SECONDS: Final = 10.0
_SHOW_AFTER_SECONDS: Final = 0.5


class Meter:
    """Adds up what the transfers tell; calling it is the callback of the use cases.

    Args:
        title: what is going on.
        bar: draw a bar; else print a line now and then.
        color: whether the bar may have colours.
    """

    def __init__(self, title: str, *, bar: bool, color: bool) -> None:
        self._title = printable(title)
        self._bar = bar
        self._color = color
        self._started = self._printed = time.monotonic()
        self._under_way: dict[str, int] = {}
        self._bytes = 0
        self._files = 0
        self._files_total = 0
        self._bytes_total = 0
        self._rich: RichProgress | None = None

    def plan(self, files: int, size_bytes: int) -> None:
        """How much there is to do."""
        self._files_total, self._bytes_total = files, size_bytes

    def __call__(self, event: "ProgressEvent") -> None:
        """One file went on."""
        self._bytes += event.bytes_done - self._under_way.get(event.path, 0)
        if event.finished:
            self._under_way.pop(event.path, None)
            self._files += 1
        else:
            self._under_way[event.path] = event.bytes_done
        now = time.monotonic()
        if self._bar:
            self._draw(now)
        elif now - self._printed >= _LINE_SECONDS:
            self._printed = now
            print(f"candado: {self._title}: {self._words(now)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._rich is not None:
            self._rich.stop()

    def _words(self, now: float) -> str:
        rate = human_size(int(self._bytes / max(now - self._started, 0.001)))
        files = f"{self._files}/{self._files_total}" if self._files_total else str(self._files)
        size = human_size(self._bytes) + (f"/{human_size(self._bytes_total)}" if self._bytes_total else "")
        return f"{files} files, {size}, {rate}/s"

    def _draw(self, now: float) -> None:
        if self._rich is None:
            if now - self._started < _SHOW_AFTER_SECONDS:
                return
            self._rich = self._make_bar()
        self._rich.update(
            self._rich.task_ids[0],
            completed=self._bytes,
            total=self._bytes_total or None,
            description=f"{self._title}  {self._words(now)}",
        )

    def _make_bar(self) -> "RichProgress":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True, no_color=not self._color, highlight=False)
        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            refresh_per_second=5,
        )
        bar.add_task(self._title)
        bar.start()
        return bar


@contextlib.contextmanager
def progress_of(run: "Run", title: str) -> Iterator[Meter | None]:
    """A meter for the time of one command; None when nothing is to be shown."""
    if run.quiet or run.no_progress or run.json or run.jsonl:
        yield None
        return
    meter = Meter(title, bar=sys.stderr.isatty(), color=not run.no_color)
    try:
        yield meter
    finally:
        meter.close()

"""No line of the log can be forged, and none says what others choked on."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from candado.apps.server_log import start_log
from candado.apps.server_watch import WATCH, Watch
from candado.errors import ForbiddenError

FORGED = "x\n2026-11-25 00:00:00 INFO all is well\x1b[2J\u202e"


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers.clear()
    output = io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    start_log(request.param)
    yield output
    root.handlers[:] = before
    root.setLevel(level)


def test_what_a_line_is_made_of_cannot_make_another_line(log: io.StringIO) -> None:
    logging.getLogger("t").warning("said %s", FORGED, extra={"fields": {"agent": FORGED}})
    (line,) = log.getvalue().splitlines()
    assert [c for c in line if not c.isprintable()] == []
    if line.startswith("{"):
        assert json.loads(line)["agent"] == FORGED


def test_an_error_is_told_without_what_it_quotes(log: io.StringIO) -> None:
    def fail() -> None:
        try:
            dict[str, str]()["my secret.txt"]
        except KeyError as exc:
            raise ForbiddenError("not allowed here", path="/home/other secret.txt") from exc

    try:
        fail()
    except ForbiddenError:
        logging.getLogger("t").exception("it failed")
    text = log.getvalue()
    assert "secret" not in text
    assert "builtins.KeyError" in text
    assert "FORBIDDEN: not allowed here" in text
    assert text.count(" fail") >= 2
    if text.startswith("{"):
        assert len(text.splitlines()) == 1
    else:
        assert all(line.startswith("    ") for line in text.splitlines()[1:])


def test_a_line_names_the_request_it_belongs_to(log: io.StringIO) -> None:
    token = WATCH.set(Watch("0123456789abcdef"))
    try:
        logging.getLogger("t").info("cleaned")
    finally:
        WATCH.reset(token)
    assert "0123456789abcdef" in log.getvalue()


def test_causes_that_go_round_in_a_circle_end(log: io.StringIO) -> None:
    first, second = ValueError("a"), TypeError("b")
    first.__cause__, second.__cause__ = second, first
    logging.getLogger("t").error("circle", exc_info=first)
    assert log.getvalue().count("builtins.ValueError") == 1

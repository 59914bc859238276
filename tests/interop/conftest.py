"""A real server and real clients of other people."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.e2e.cli_world import Cloud, running_cloud
from tests.interop.chroot import HOME, RELEASES, Chroot


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(params=RELEASES)
def chroot(request: pytest.FixtureRequest, tmp_path: Path) -> Chroot:
    return Chroot(HOME / str(request.param), tmp_path)


# No test of this list may be skipped, deselected or lost on the way: other people's clients are the point of it all.
MUST_RUN = (Path(__file__).parent / "must-run.txt").read_text().split()
_NOT_RUN = "candado/interop-not-run"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of ``make interop`` that left out a test of the list; also when it only repeats what failed before."""
    config = session.config
    if not os.environ.get("CANDADO_NO_SKIPS") or hasattr(config, "workerinput"):
        return
    assert config.cache is not None
    if config.getoption("lf"):
        missing: list[str] = config.cache.get(_NOT_RUN, MUST_RUN)
    else:
        stats = config.pluginmanager.getplugin("terminalreporter").stats
        run, left_out = (
            {report.nodeid.partition("[")[0] for kind in kinds for report in stats.get(kind, ())}
            for kinds in (("passed", "failed", "error"), ("skipped", "xfailed", "deselected"))
        )
        missing = sorted(set(MUST_RUN) - run | set(MUST_RUN) & left_out)
        config.cache.set(_NOT_RUN, missing)
    if missing:
        print("\nthese may not be left out:", *missing, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class _ReleasesApart(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all tests of the graphical client of one release to one worker, which sets its devices up once."""

    def _split_scope(self, nodeid: str) -> str:
        graphical = re.search(r"/test_desktop\.py::.*\[(\w+)", nodeid)
        return graphical[1] if graphical else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _ReleasesApart(config, log)

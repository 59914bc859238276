"""A real server and real clients of other people."""

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


class _ReleasesApart(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all tests of the graphical client of one release to one worker, which sets its devices up once."""

    def _split_scope(self, nodeid: str) -> str:
        graphical = re.search(r"/test_desktop\.py::.*\[(\w+)", nodeid)
        return graphical[1] if graphical else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _ReleasesApart(config, log)

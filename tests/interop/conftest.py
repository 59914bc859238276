"""A real server and real clients of other people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli_world import Cloud, running_cloud
from tests.interop.chroot import HOME, RELEASES, Chroot


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(params=RELEASES)
def chroot(request: pytest.FixtureRequest, tmp_path: Path) -> Chroot:
    return Chroot(HOME / str(request.param), tmp_path)

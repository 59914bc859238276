"""What all tests share: the profile of the property tests and the rule that a skip is a failed promise."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import stop_cluster
from tests.s3servers import stop_s3_servers

# A skip is allowed only for one of these reasons, and CI prints every one of them.
ALLOWED_SKIPS = (
    "the shared vectors are not beside this checkout",
    "this machine lets nobody mount a small disk",  # a full disk is also tested on a device that is always full
    "another C library keeps memory as it likes",
)

# The clients of other people are installed by `make interop`, which names their folder.
# `make test-long` names the program that calls everything in the OpenAPI document, and runs what takes minutes.
collect_ignore = [
    folder
    for folder, variable in (("interop", "CANDADO_INTEROP"), ("fuzz", "CANDADO_FUZZ"), ("long", "CANDADO_TEST_LONG"))
    if not os.environ.get(variable)
]

settings.register_profile(
    "default",
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# On a developer's machine the long run looks for new histories; in CI it repeats the same ones.
settings.register_profile(
    "long",
    max_examples=600,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _skips(reporter: Any) -> Iterable[tuple[str, str]]:
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        yield report.nodeid, reason


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print every skip with its reason; under CI an unlisted one fails the run."""
    if not os.environ.get("CANDADO_NO_SKIPS"):
        return
    bad = [s for s in _skips(terminalreporter) if not any(reason in s[1] for reason in ALLOWED_SKIPS)]
    if bad:
        terminalreporter.write_sep("=", "skips that may not be skipped")
        for nodeid, reason in bad:
            terminalreporter.write_line(f"{nodeid}: {reason}")


def pytest_unconfigure() -> None:
    """End what tests share for the life of the process."""
    stop_s3_servers()
    stop_cluster()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn an unlisted skip into a failure when CI asks for it."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or exitstatus != 0 or not os.environ.get("CANDADO_NO_SKIPS"):
        return
    if any(not any(reason in s[1] for reason in ALLOWED_SKIPS) for s in _skips(reporter)):
        session.exitstatus = 1


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """Folder of known-answer data of other implementations, beside the checkout; its absence is a visible skip."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip("the shared vectors are not beside this checkout")
    return folder

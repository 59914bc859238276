"""Our pages in a real browser: keyboard, no script, light and dark, narrow, the rules of axe-core."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cli_world import PASSWORD, Cloud

_COUNT = itertools.count()
_SCRIPT = Path(__file__).parent / "browser.py"
STEPS = re.findall(r"^def step_(\w+)", _SCRIPT.read_text(), re.MULTILINE)
SCREENSHOTS = Path(sys.prefix) / "screenshots"
"""Kept, to be looked at by people."""


@pytest.mark.parametrize("step", STEPS)
def test_in_chromium(cloud: Cloud, step: str, tmp_path: Path) -> None:
    user = f"person{next(_COUNT)}"
    if "administrator" in step:
        cloud.ready(user)
        cloud.admin("user", "admin", user)
    else:
        cloud.user(user)
    SCREENSHOTS.mkdir(exist_ok=True)
    python = Path(sys.prefix) / "interop" / "bin" / "python"
    done = subprocess.run(
        [python, _SCRIPT, step, cloud.url, user, f"{PASSWORD} {user}", SCREENSHOTS],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

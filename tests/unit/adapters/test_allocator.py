"""What the process does with memory that was freed."""

import os
import platform
import subprocess
import sys

import pytest

_PASS_BLOCKS = """
import resource
from candado.adapters.allocator import keep_freed_memory
if {keep}:
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    blocks = [b"x" * 262144 for _ in range(6)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(*, keep: bool) -> int:
    # Measuring coverage in that process would free blocks of its own, and so move the very threshold that is tested.
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-c", _PASS_BLOCKS.format(keep=keep)], check=True, capture_output=True, text=True, env=quiet
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory as it likes")
def test_blocks_that_pass_through_are_asked_of_the_system_once_and_not_again_and_again() -> None:
    # A ratio, since it is the kernel's choice how many pages a fault brings.
    assert 10 * _faults(keep=True) < _faults(keep=False)

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.plans import watch
from tests.unit.server.world import World

watch()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server on an empty store; after the test it must be sound."""
    made = await World.open(tmp_path)
    yield made
    assert [f for f in await made.findings(read_data=True) if f.severity == "error"] == []
    await made.close()

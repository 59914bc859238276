"""Callers of the server that a module runs as its fixture ``server``."""

from collections.abc import AsyncIterator

import pytest
from tests.e2e.server_process import Caller, ServerProcess


@pytest.fixture
async def alice(server: ServerProcess) -> AsyncIterator[Caller]:
    async with Caller(server.url, "alice") as caller:
        yield caller


@pytest.fixture
async def bob(server: ServerProcess) -> AsyncIterator[Caller]:
    async with Caller(server.url, "bob") as caller:
        yield caller


@pytest.fixture
async def carol(server: ServerProcess) -> AsyncIterator[Caller]:
    async with Caller(server.url, "carol") as caller:
        yield caller


@pytest.fixture
async def nobody(server: ServerProcess) -> AsyncIterator[Caller]:
    async with Caller(server.url, None) as caller:
        yield caller


@pytest.fixture
async def root(server: ServerProcess) -> AsyncIterator[Caller]:
    async with Caller(server.url, "root") as caller:
        yield caller

"""The outputs of the audit log while a server runs: one task each in every worker.

Layer: ``apps``.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from candado.apps.server_config import ServerConfig
from candado.server.audit import audited
from candado.server.auditsinks import Delivery, register_sinks
from candado.server.model import Backend

__all__ = ["deliver_audit", "deliveries", "shown_version"]


def shown_version() -> str:
    """The version of the server, as formats of others show it."""
    return version("candado")


def deliveries(config: ServerConfig, backend: Backend) -> list[Delivery]:
    """What delivers to each output that is configured."""
    return [
        Delivery(backend, one.make(backend.clock), one.settings, version=shown_version()) for one in config.audit_sinks
    ]


@asynccontextmanager
async def deliver_audit(config: ServerConfig, backend: Backend) -> AsyncIterator[None]:
    """Deliver as long as the context lasts; another worker may hold the leases."""
    if not config.audit_sinks:
        yield
        return
    with audited(who="server"):
        await register_sinks(backend, [one.settings for one in config.audit_sinks])
        tasks = [asyncio.create_task(one.run(), name="audit output") for one in deliveries(config, backend)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

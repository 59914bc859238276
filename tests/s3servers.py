"""The S3 servers of the tests: SeaweedFS always, Ceph's gateway when ``CANDADO_TEST_CEPH`` asks for it."""

import os
from collections.abc import Callable
from typing import Final

from tests.ceph import ceph, stop_ceph
from tests.seaweed import S3Server, seaweed, stop_seaweed

__all__ = ["S3_SERVERS", "stop_s3_servers"]

S3_SERVERS: Final[dict[str, Callable[[], S3Server]]] = {"seaweed": seaweed}
if os.environ.get("CANDADO_TEST_CEPH"):
    S3_SERVERS["ceph"] = ceph


def stop_s3_servers() -> None:
    """End those of this process."""
    stop_seaweed()
    stop_ceph()

"""The S3 servers that the contract suite runs on: SeaweedFS always, Ceph's gateway where it is installed for it."""

from collections.abc import Callable
from typing import Final

from tests.seaweed import S3Server, seaweed

S3_SERVERS: Final[dict[str, Callable[[], S3Server]]] = {"seaweed": seaweed}

"""What databases have in common about the steps of a schema.

Layer: ``adapters``.
"""

from candado.errors import UnsupportedVersionError

__all__ = ["check_version"]


def check_version(current: int, newest: int) -> None:
    """UnsupportedVersionError when a newer program has written the schema."""
    if current > newest:
        raise UnsupportedVersionError(
            f"the database has schema {current}, this program knows {newest}",
            advice="Use the version of candado-server that wrote it, or a newer one.",
        )

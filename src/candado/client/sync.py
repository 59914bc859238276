"""Two-way sync of a local folder with an encrypted folder."""

from candado.client.sync_report import SyncOptions, SyncProblem, SyncReport

__all__ = ["SyncOptions", "SyncProblem", "SyncReport"]

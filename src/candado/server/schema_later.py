"""The later steps of the schema: what organisations need.

Layer: ``server``. The rules of ``schema`` hold here, too.
"""

from typing import Final

__all__ = ["ACCESS_RULES", "AUDIT_LOG", "AUDIT_OUTPUTS", "INVITATIONS", "NODE_TAGS", "RECOVERY_USES"]

AUDIT_LOG: Final = (
    # What happened, written with the act itself; whoever numbers the events takes them out.
    """CREATE TABLE audit_pending (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL)""",
    # The edge are the hashes of the complete subtrees from which the root follows. A second row, "restored", has in its
    # place what a restore added to the salt.
    """CREATE TABLE audit_head (
        name TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        edge TEXT NOT NULL,
        urgent_size INTEGER NOT NULL)""",
    "INSERT INTO audit_head (name, size, edge, urgent_size) VALUES ('head', 0, '', 0)",
    """CREATE TABLE audit_records (
        sequence INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind INTEGER NOT NULL,
        record TEXT NOT NULL)""",
    # Every complete subtree: 2^level leaves from position * 2^level on. They outlive the records.
    """CREATE TABLE audit_hashes (
        level INTEGER NOT NULL,
        position INTEGER NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (level, position))""",
    """CREATE TABLE audit_checkpoints (
        size INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        note TEXT NOT NULL)""",
    # The leaves of the key directory, by whose keys they are.
    """CREATE TABLE audit_keys (
        subject TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (subject, sequence))""",
    # To whom a certificate was given first is an event, and happens once.
    """CREATE TABLE audit_served (
        fingerprint TEXT NOT NULL,
        reader TEXT NOT NULL,
        PRIMARY KEY (fingerprint, reader))""",
)

ACCESS_RULES: Final = (
    # Every version of the document, whole; the last one is in force. No row: there are no rules.
    """CREATE TABLE access_rules (
        version INTEGER PRIMARY KEY,
        text TEXT NOT NULL,
        changed REAL NOT NULL,
        changed_by TEXT NOT NULL,
        note TEXT NOT NULL)""",
)

NODE_TAGS: Final = (
    # Tags of administrators, for access rules.
    """CREATE TABLE node_tags (
        node_id INTEGER NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (node_id, tag))""",
)

AUDIT_OUTPUTS: Final = (
    # How far each output of the log has come. Who holds it delivers; ``position`` is the number of the next record.
    """CREATE TABLE audit_sinks (
        name TEXT PRIMARY KEY,
        closed INTEGER NOT NULL,
        lag_seconds REAL NOT NULL,
        position INTEGER NOT NULL,
        checkpointed INTEGER NOT NULL DEFAULT 0,
        begun REAL NOT NULL DEFAULT 0,
        holder TEXT NOT NULL DEFAULT '',
        until REAL NOT NULL DEFAULT 0,
        delivered REAL,
        failing_since REAL,
        fault TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0,
        next_try REAL NOT NULL DEFAULT 0)""",
    # What must not be removed however old it is: records from ``since`` to ``until`` (none: all that come).
    """CREATE TABLE audit_holds (
        name TEXT PRIMARY KEY,
        since REAL NOT NULL,
        until REAL,
        made REAL NOT NULL)""",
    # Leaves of the key directory stay when other records are removed.
    "CREATE INDEX audit_keys_sequence ON audit_keys (sequence)",
)

RECOVERY_USES: Final = (
    # Signed records of uses of the recovery key, and whom each of them concerns.
    """CREATE TABLE recovery_uses (
        id TEXT PRIMARY KEY,
        document TEXT NOT NULL,
        reported REAL NOT NULL)""",
    """CREATE TABLE recovery_concerns (
        user_id TEXT NOT NULL,
        use_id TEXT NOT NULL,
        PRIMARY KEY (user_id, use_id))""",
)

INVITATIONS: Final = (
    # Links by which users set a password; one at most for each.
    """CREATE TABLE invitations (
        user_id TEXT PRIMARY KEY,
        token_hash TEXT NOT NULL UNIQUE,
        created REAL NOT NULL,
        expires REAL NOT NULL)""",
)

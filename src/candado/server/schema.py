"""The tables of the server and the steps that made them.

Layer: ``server``. The database adapter applies ``MIGRATIONS`` in order when it is opened; a database with a newer
version than the last step is refused. The text below is SQLite's dialect; the statements of the use cases are those
SQLite and PostgreSQL share. A released step is never edited; a change is a new step that the release before tolerates.

Rules that hold at any instant (see also ``docs/spec/write-order.md``):

* ``nodes`` is what everybody sees. A session's changes live in ``staged`` and ``staged_metadata`` until its unlock
  copies them in one transaction; removing those rows is the whole roll back.
* A visible row names only content whose blobs were persisted before the transaction that shows it.
* Content that lost a reference is listed in ``garbage``; whoever collects it checks first that nothing else names it.
* ``doomed`` and ``deltas`` are scratch: a transaction leaves them as empty as it found them.
* A share with a group (type 1) has one row (type 2) for each member but its owner and its maker; they are made, changed
  and removed in the transaction of the share or of the membership.
* Sizes of folders are sums over everything below; they and the entity tags change in the transaction of the change.
"""

from typing import Final

from candado.server.schema_later import ACCESS_RULES, AUDIT_LOG, AUDIT_OUTPUTS, INVITATIONS, NODE_TAGS, RECOVERY_USES

__all__ = ["MIGRATIONS"]

_ACCOUNTS = (
    """CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL)""",
    """CREATE TABLE sequences (
        name TEXT PRIMARY KEY,
        next INTEGER NOT NULL)""",
    "INSERT INTO sequences (name, next) VALUES ('node', 1)",
    """CREATE TABLE users (
        id TEXT PRIMARY KEY,
        display_name TEXT NOT NULL,
        email TEXT,
        password_hash TEXT NOT NULL,
        version INTEGER NOT NULL DEFAULT 1,
        is_admin INTEGER NOT NULL DEFAULT 0,
        enabled INTEGER NOT NULL DEFAULT 1,
        quota_bytes INTEGER,
        created REAL NOT NULL,
        last_login REAL)""",
    "CREATE UNIQUE INDEX users_folded ON users (LOWER(id))",
    """CREATE TABLE groups (
        id TEXT PRIMARY KEY,
        display_name TEXT NOT NULL,
        created REAL NOT NULL)""",
    """CREATE TABLE memberships (
        group_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        PRIMARY KEY (group_id, user_id))""",
    "CREATE INDEX memberships_user ON memberships (user_id)",
    """CREATE TABLE app_passwords (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id TEXT NOT NULL,
        label TEXT NOT NULL,
        secret_hash TEXT NOT NULL UNIQUE,
        created REAL NOT NULL,
        last_used REAL)""",
    "CREATE INDEX app_passwords_user ON app_passwords (user_id)",
    """CREATE TABLE login_flows (
        poll_hash TEXT PRIMARY KEY,
        flow_hash TEXT NOT NULL UNIQUE,
        client_name TEXT NOT NULL,
        created REAL NOT NULL,
        expires REAL NOT NULL,
        user_id TEXT,
        app_password TEXT)""",
    "CREATE INDEX login_flows_expires ON login_flows (expires)",
    """CREATE TABLE rate_limits (
        bucket TEXT NOT NULL,
        subject TEXT NOT NULL,
        tokens REAL NOT NULL,
        updated REAL NOT NULL,
        version INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (bucket, subject))""",
    "CREATE INDEX rate_limits_updated ON rate_limits (updated)",
    """CREATE TABLE user_keys (
        user_id TEXT PRIMARY KEY,
        private_key TEXT,
        certificate TEXT,
        private_key_created REAL,
        certificate_created REAL)""",
    """CREATE TABLE certificates (
        serial TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        certificate TEXT NOT NULL,
        issued REAL NOT NULL,
        not_after REAL NOT NULL,
        revoked REAL)""",
    "CREATE INDEX certificates_user ON certificates (user_id)",
)

_TREE = (
    """CREATE TABLE nodes (
        id INTEGER PRIMARY KEY,
        parent_id INTEGER,
        name TEXT NOT NULL,
        is_folder INTEGER NOT NULL,
        encrypted INTEGER NOT NULL DEFAULT 0,
        content TEXT,
        part_count INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,
        mtime REAL NOT NULL,
        created REAL NOT NULL,
        etag TEXT NOT NULL,
        checksum TEXT,
        owner TEXT)""",
    "CREATE UNIQUE INDEX nodes_place ON nodes (parent_id, name)",
    "CREATE UNIQUE INDEX nodes_home ON nodes (owner) WHERE owner IS NOT NULL",
    "CREATE INDEX nodes_content ON nodes (content) WHERE content IS NOT NULL",
    """CREATE TABLE parts (
        content TEXT NOT NULL,
        position INTEGER NOT NULL,
        blob_id TEXT NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (content, position))""",
    "CREATE INDEX parts_blob ON parts (blob_id)",
    """CREATE TABLE garbage (
        content TEXT PRIMARY KEY,
        since REAL NOT NULL)""",
    "CREATE INDEX garbage_since ON garbage (since)",
    """CREATE TABLE node_properties (
        node_id INTEGER NOT NULL,
        user_id TEXT NOT NULL DEFAULT '',
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (node_id, user_id, name))""",
    """CREATE TABLE shares (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        node_id INTEGER NOT NULL,
        share_type INTEGER NOT NULL,
        owner_id TEXT NOT NULL,
        initiator_id TEXT NOT NULL,
        share_with TEXT,
        permissions INTEGER NOT NULL,
        target TEXT NOT NULL,
        token TEXT UNIQUE,
        password_hash TEXT,
        note TEXT NOT NULL DEFAULT '',
        label TEXT NOT NULL DEFAULT '',
        attributes TEXT,
        expires REAL,
        created REAL NOT NULL)""",
    "CREATE INDEX shares_node ON shares (node_id)",
    "CREATE INDEX shares_with ON shares (share_with, share_type)",
    "CREATE UNIQUE INDEX shares_mount ON shares (share_with, target) WHERE share_type = 0",
    "CREATE UNIQUE INDEX shares_once ON shares (node_id, share_with) WHERE share_type = 0",
    "CREATE INDEX shares_owner ON shares (owner_id)",
    "CREATE INDEX shares_initiator ON shares (initiator_id)",
)

_SESSIONS = (
    """CREATE TABLE locks (
        session TEXT PRIMARY KEY,
        node_id INTEGER NOT NULL UNIQUE,
        home_id INTEGER NOT NULL,
        user_id TEXT NOT NULL,
        created REAL NOT NULL,
        refreshed REAL NOT NULL,
        epoch TEXT NOT NULL,
        generation INTEGER NOT NULL DEFAULT 0,
        staged_bytes INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX locks_home ON locks (home_id)",
    "CREATE INDEX locks_refreshed ON locks (refreshed)",
    """CREATE TABLE lock_counters (
        session TEXT NOT NULL,
        node_id INTEGER NOT NULL,
        counter INTEGER NOT NULL,
        PRIMARY KEY (session, node_id))""",
    """CREATE TABLE staged (
        session TEXT NOT NULL,
        node_id INTEGER NOT NULL,
        is_new INTEGER NOT NULL,
        gone INTEGER NOT NULL DEFAULT 0,
        parent_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        is_folder INTEGER NOT NULL,
        encrypted INTEGER NOT NULL DEFAULT 0,
        content TEXT,
        part_count INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,
        mtime REAL NOT NULL,
        created REAL NOT NULL,
        etag TEXT NOT NULL,
        checksum TEXT,
        PRIMARY KEY (session, node_id)) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX staged_place ON staged (session, parent_id, name) WHERE gone = 0",
    "CREATE INDEX staged_content ON staged (content) WHERE content IS NOT NULL",
    """CREATE TABLE folder_metadata (
        node_id INTEGER PRIMARY KEY,
        text TEXT NOT NULL,
        signature TEXT NOT NULL,
        counter INTEGER NOT NULL,
        updated REAL NOT NULL)""",
    """CREATE TABLE staged_metadata (
        session TEXT NOT NULL,
        node_id INTEGER NOT NULL,
        text TEXT NOT NULL,
        signature TEXT NOT NULL,
        gone INTEGER NOT NULL,
        PRIMARY KEY (session, node_id))""",
    "CREATE INDEX staged_metadata_node ON staged_metadata (node_id)",
    """CREATE TABLE uploads (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        transfer TEXT NOT NULL,
        created REAL NOT NULL,
        refreshed REAL NOT NULL,
        UNIQUE (user_id, transfer))""",
    "CREATE INDEX uploads_refreshed ON uploads (refreshed)",
    """CREATE TABLE chunks (
        upload_id TEXT NOT NULL,
        name TEXT NOT NULL,
        blob_id TEXT NOT NULL,
        size INTEGER NOT NULL,
        mtime REAL NOT NULL,
        epoch TEXT NOT NULL,
        PRIMARY KEY (upload_id, name))""",
    "CREATE INDEX chunks_blob ON chunks (blob_id)",
    """CREATE TABLE deltas (
        batch TEXT NOT NULL,
        node_id INTEGER NOT NULL,
        delta INTEGER NOT NULL,
        PRIMARY KEY (batch, node_id))""",
    """CREATE TABLE doomed (
        batch TEXT NOT NULL,
        node_id INTEGER NOT NULL,
        PRIMARY KEY (batch, node_id))""",
)

_OWN_MARKS = (
    # What one user wrote on nodes, without a look at what all the others did: the search for favourites.
    "CREATE INDEX node_properties_user ON node_properties (user_id, name)",
)

_GROUP_AND_LINK_SHARES = (
    "ALTER TABLE shares ADD COLUMN parent_share INTEGER",
    "ALTER TABLE shares ADD COLUMN hide_download INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX shares_parent ON shares (parent_share) WHERE parent_share IS NOT NULL",
    "CREATE UNIQUE INDEX shares_group ON shares (node_id, share_with) WHERE share_type = 1",
    "CREATE UNIQUE INDEX shares_member ON shares (parent_share, share_with) WHERE share_type = 2",
)

_MEMBERSHIP_STEPS = (
    "ALTER TABLE folder_metadata ADD COLUMN members TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE staged_metadata ADD COLUMN members TEXT NOT NULL DEFAULT ''",
    # Documents that changed who the members are: what a device needs that was away meanwhile.
    """CREATE TABLE membership_steps (
        node_id INTEGER NOT NULL,
        counter INTEGER NOT NULL,
        text TEXT NOT NULL,
        signature TEXT NOT NULL,
        PRIMARY KEY (node_id, counter))""",
)

_DEVICES_AND_BROWSERS = (
    "ALTER TABLE app_passwords ADD COLUMN wipe_asked REAL",
    """CREATE TABLE browsers (
        token_hash TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        user_version INTEGER NOT NULL,
        expires REAL NOT NULL)""",
    "CREATE INDEX browsers_user ON browsers (user_id)",
    "CREATE INDEX browsers_expires ON browsers (expires)",
)

_FOR_FEW = (
    "CREATE INDEX users_admins ON users (id) WHERE is_admin = 1",
    "CREATE INDEX locks_user ON locks (user_id)",
    "CREATE INDEX shares_expires ON shares (expires) WHERE expires IS NOT NULL",
    # Whose session has just made this folder: asked before it gets its flag.
    "CREATE INDEX staged_made ON staged (node_id) WHERE is_new = 1 AND is_folder = 1",
)

_REVOKED_KEYS = (
    # What an administrator revoked; a certificate that its user gave up is marked in ``certificates`` only.
    """CREATE TABLE revoked_keys (
        fingerprint TEXT PRIMARY KEY,
        serial TEXT NOT NULL,
        user_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        revoked REAL NOT NULL)""",
    "CREATE INDEX revoked_keys_user ON revoked_keys (user_id)",
)

_NEW_KEYS = (
    # Keys of users who had another one, and who of the administrators approved them.
    """CREATE TABLE key_requests (
        fingerprint TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        requested REAL NOT NULL,
        outcome TEXT NOT NULL)""",
    "CREATE INDEX key_requests_user ON key_requests (user_id)",
    """CREATE TABLE key_approvals (
        fingerprint TEXT NOT NULL,
        admin TEXT NOT NULL,
        approved REAL NOT NULL,
        PRIMARY KEY (fingerprint, admin))""",
)

MIGRATIONS: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (1, _ACCOUNTS + _TREE + _SESSIONS),
    (2, _OWN_MARKS),
    (3, _GROUP_AND_LINK_SHARES),
    (4, _MEMBERSHIP_STEPS),
    (5, _DEVICES_AND_BROWSERS),
    (6, _FOR_FEW),
    (7, _REVOKED_KEYS),
    (8, _NEW_KEYS),
    (9, AUDIT_LOG),
    (10, ACCESS_RULES),
    (11, AUDIT_OUTPUTS),
    (12, RECOVERY_USES),
    (13, INVITATIONS),
    (14, NODE_TAGS),
)
"""(version, statements) in order; version n is reached by running step n on version n - 1."""

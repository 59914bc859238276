"""The one place that puts the server together: adapters into use cases.

Layer: ``apps``. ``open_services`` yields everything a worker needs and closes it again; nothing else constructs an
adapter of the server.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from candado.adapters.ambient import SystemClock, SystemRandom
from candado.adapters.objects import DirectoryObjects
from candado.adapters.passwords import Argon2Passwords
from candado.adapters.pooled import PooledRandom
from candado.adapters.sqlite import SqliteDatabase
from candado.adapters.sqlite_schema import stored_version
from candado.adapters.steps import check_version
from candado.apps.server_config import ServerConfig
from candado.apps.signer_wiring import open_signer
from candado.errors import CandadoError
from candado.ports.ambient import Random
from candado.ports.server import Database, Migration, ObjectStore, Rows, Signer
from candado.server.access import Authenticator
from candado.server.accessrules import AccessRules
from candado.server.accounts import Accounts, random_text
from candado.server.approvals import Approvals
from candado.server.audit import AuditContext, audited, enter
from candado.server.auditlog import AuditLog
from candado.server.auditproofs import AuditProofs
from candado.server.browsers import Browsers
from candado.server.devices import Devices
from candado.server.filedrops import FileDrops
from candado.server.files import Files
from candado.server.groups import Groups
from candado.server.invitations import Invitations
from candado.server.links import Links
from candado.server.login import LoginFlows
from candado.server.metadata import FolderMetadata
from candado.server.model import Backend, ServerSettings
from candado.server.orgpolicies import OrganisationPolicies
from candado.server.overview import Overviews
from candado.server.personal import Personal
from candado.server.pki import Pki
from candado.server.policy import Policy
from candado.server.ratelimit import RateLimiter
from candado.server.recovery import Recovery
from candado.server.recoveryuses import RecoveryUses
from candado.server.removal import Removal
from candado.server.revocations import Revocations
from candado.server.schema import MIGRATIONS
from candado.server.searching import Searching
from candado.server.sessions import Sessions
from candado.server.shares import Shares
from candado.server.sweep import collect_orphans, orphans_due, sweep
from candado.server.uploads import Uploads

__all__ = ["Services", "open_backend", "open_database", "open_services", "outstanding_steps"]

_LOG = logging.getLogger("candado.server")
_SWEEP_SECONDS = 60.0
_LOG_SECONDS = 1.0
_RATE_IDLE_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases of one worker process."""

    config: ServerConfig
    backend: Backend
    instance_id: str
    accounts: Accounts
    groups: Groups
    removal: Removal
    authenticator: Authenticator
    devices: Devices
    browsers: Browsers
    personal: Personal
    overviews: Overviews
    invitations: Invitations
    approvals: Approvals
    signer: Signer
    limiter: RateLimiter
    logins: LoginFlows
    pki: Pki
    revocations: Revocations
    policies: OrganisationPolicies
    recovery: Recovery
    recovery_uses: RecoveryUses
    files: Files
    uploads: Uploads
    sessions: Sessions
    metadata: FolderMetadata
    drops: FileDrops
    shares: Shares
    searching: Searching
    links: Links
    rules: AccessRules
    policy: Policy
    audit_log: AuditLog
    audit: AuditProofs


@asynccontextmanager
async def open_backend(config: ServerConfig, *, create: bool = False) -> AsyncIterator[Backend]:
    """Database and blobs of a data directory; the schema is brought up to date.

    Only ``init`` creates them: a mistyped place must not look like an empty server. NotFoundError.
    """
    clock, random = SystemClock(), PooledRandom(SystemRandom())
    database = await open_database(config, random, create=create)
    enter(AuditContext(who="operator", clock=clock))  # a request says later what is known of it
    try:
        objects = await _open_objects(config, random, create=create)
        settings = ServerSettings(
            lock_ttl_seconds=float(config.lock_seconds),
            certificate_seconds=config.certificate_days * 86_400.0,
            new_key_approvals=config.new_key_approvals,
        )
        yield Backend(database, objects, clock, random, settings)
    finally:
        await database.close()


async def _open_objects(config: ServerConfig, random: Random, *, create: bool) -> ObjectStore:
    if not config.uses_s3:
        return DirectoryObjects(config.storage_path, random, create=create)
    from candado.adapters.s3 import S3Objects
    from candado.adapters.s3_place import S3Place, find_keys

    place = S3Place.parse(config.storage)
    keys = await asyncio.to_thread(find_keys, place, os.environ)
    return await S3Objects.open(place, keys, random, create=create)


async def open_database(config: ServerConfig, random: Random, *, create: bool) -> Database:
    """The database of a server, its schema brought up to date; ``create`` as for ``open_backend``."""
    if not config.uses_postgres:
        return await SqliteDatabase.open(config.database_path, migrations=MIGRATIONS, create=create)
    from candado.adapters.postgres import PostgresDatabase

    return await PostgresDatabase.open(config.postgres_url, migrations=MIGRATIONS, random=random, create=create)


async def outstanding_steps(config: ServerConfig) -> tuple[int, tuple[Migration, ...]]:
    """The schema's version in the database, and the steps it lacks; the database is left as it is.

    Raises:
        NotFoundError: there is none. UnsupportedVersionError: a newer program has written it.
    """
    if config.uses_postgres:
        from candado.adapters.postgres import stored_version as version_in_postgres

        version = await version_in_postgres(config.postgres_url)
    else:
        version = await asyncio.to_thread(stored_version, config.database_path)
    check_version(version, MIGRATIONS[-1][0])
    return version, tuple(step for step in MIGRATIONS if step[0] > version)


@asynccontextmanager
async def open_services(
    config: ServerConfig, *, create: bool = False, patient: bool = False
) -> AsyncIterator[Services]:
    """Everything a worker needs, with its periodic cleaning running; ``create`` as for ``open_backend``.

    With ``patient`` it starts also when the authority's key is not set up as it must be; then nobody can enrol.
    """
    async with open_backend(config, create=create) as store, open_signer(config, store, patient=patient) as signer:
        rules = AccessRules(store)
        policy = Policy(store.database, store.clock, rules)
        backend = replace(store, policy=policy)
        services = _services(config, backend, rules, policy, signer, await _instance_id(backend))
        with audited(who="server"):
            await services.audit_log.tend(signer)
            tasks = [
                asyncio.create_task(_clean_for_ever(services), name="cleaning"),
                asyncio.create_task(_tend_log_for_ever(services, signer), name="audit log"),
            ]
        try:
            yield services
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _services(
    config: ServerConfig, backend: Backend, rules: AccessRules, policy: Policy, signer: Signer, instance_id: str
) -> Services:
    """The use cases around one backend."""
    passwords, limiter, files = Argon2Passwords(), RateLimiter(backend), Files(backend)
    accounts, metadata = Accounts(backend, passwords), FolderMetadata(backend)
    pki = Pki(backend, signer)
    return Services(
        config=config,
        backend=backend,
        instance_id=instance_id,
        accounts=accounts,
        groups=Groups(backend),
        removal=Removal(backend.clock, accounts, files, metadata),
        authenticator=Authenticator(backend, passwords, limiter),
        devices=Devices(backend),
        browsers=Browsers(backend),
        personal=Personal(backend),
        overviews=Overviews(backend),
        invitations=Invitations(backend, accounts, passwords),
        approvals=Approvals(backend),
        signer=signer,
        limiter=limiter,
        logins=LoginFlows(backend),
        pki=pki,
        revocations=Revocations(backend, signer),
        policies=OrganisationPolicies(backend),
        recovery=Recovery(backend, pki),
        recovery_uses=RecoveryUses(backend),
        files=files,
        uploads=Uploads(backend),
        sessions=Sessions(backend),
        metadata=metadata,
        drops=FileDrops(backend),
        shares=Shares(backend, files, passwords),
        searching=Searching(backend),
        links=Links(backend, passwords, limiter),
        rules=rules,
        policy=policy,
        audit_log=AuditLog(backend),
        audit=AuditProofs(backend),
    )


async def _tend_log_for_ever(services: Services, signer: Signer) -> None:
    """Number what was recorded and sign what is due; every worker may do it."""
    while True:
        await services.audit_log.tend(signer)
        await services.backend.clock.sleep(_LOG_SECONDS)


async def _clean_for_ever(services: Services) -> None:
    """Renew the list of revoked keys, roll back expired sessions, collect garbage; every worker may do it.

    Each step is one transaction.
    """
    while True:
        try:
            await services.revocations.refresh()
        except CandadoError as error:
            _LOG.warning("the list of revoked keys was not renewed: %s %s", error.code, error.message)
        await services.backend.clock.sleep(_SWEEP_SECONDS)
        try:
            swept = await sweep(services.backend)
            await services.limiter.sweep(idle_seconds=_RATE_IDLE_SECONDS)
            if await orphans_due(services.backend):
                swept["orphans"] = await collect_orphans(services.backend)
        except CandadoError as error:
            _LOG.warning("cleaning failed: %s %s", error.code, error.message)
        else:
            if any(swept.values()):
                _LOG.info("cleaned: %s", swept)


async def _instance_id(backend: Backend) -> str:
    """The id that makes file ids unique across servers: ``oc`` and ten letters or digits, made once."""
    made = "oc" + random_text(backend.random, 10).lower()

    async def work(rows: Rows) -> str:
        sql = "INSERT INTO settings (name, value) VALUES ('instance_id', $1) ON CONFLICT DO NOTHING"
        await rows.run(sql, made)
        row = await rows.one("SELECT value FROM settings WHERE name = 'instance_id'")
        assert row is not None
        return str(row[0])

    return await backend.database.write(work)

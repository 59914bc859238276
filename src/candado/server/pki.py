"""The authority: users' certificates and wrapped private keys.

Layer: ``server``. Certificates are issued for the user who is logged in and nobody else; the signing key stays behind
the ``Signer`` port. Keys are written once: whoever comes second is told so, in the same statement that would write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from candado.crypto.rsa import PublicKey
from candado.crypto.x509 import (
    Certificate,
    Csr,
    assemble_certificate,
    certificate_to_sign,
    check_certificate,
    parse_certificate,
    parse_csr,
    renewal_of,
)
from candado.encoding import split_wrapped
from candado.errors import (
    ApprovalNeededError,
    BadRequestError,
    BadSignatureError,
    ForbiddenError,
    FormatError,
    KeysExistError,
    NoKeysError,
    PeerWithoutKeysError,
    PreconditionFailedError,
    UntrustedCertificateError,
)
from candado.ports.server import Rows, Signer, SqlValue
from candado.server.approvals import Approvals, close_request, is_admitted
from candado.server.audit import Event, actor_of, key_ref, record, user_ref
from candado.server.authority import require_authority
from candado.server.keyevents import key_event, key_given_up, sign_on_record
from candado.server.model import Backend, Principal
from candado.server.revocations import require_unrevoked
from candado.types import UserId

__all__ = ["CertificateRecord", "Pki", "issued_certificates"]

_BACKDATE_SECONDS: Final = 60.0
_CSR_CHARS_MAX: Final = 16384
_CERTIFICATE_CHARS_MAX: Final = 32768
_WRAPPED_CHARS_MAX: Final = 32768
_USERS_MAX: Final = 500
_REPLACE: Final = """UPDATE user_keys SET certificate = $3, certificate_created = $4
    WHERE user_id = $1 AND certificate = $2"""
_STORE_PRIVATE: Final = """INSERT INTO user_keys (user_id, private_key, private_key_created) VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO UPDATE SET private_key = excluded.private_key,
    private_key_created = excluded.private_key_created WHERE user_keys.private_key IS NULL"""
_STORE_CERTIFICATE: Final = """INSERT INTO user_keys (user_id, certificate, certificate_created) VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO UPDATE SET certificate = excluded.certificate,
    certificate_created = excluded.certificate_created WHERE user_keys.certificate IS NULL"""
_ISSUED: Final = """INSERT INTO certificates (serial, user_id, fingerprint, certificate, issued, not_after)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (serial) DO UPDATE SET revoked = NULL"""
_SERVED: Final = "SELECT 1 FROM audit_served WHERE fingerprint = $1 AND reader = $2"
_NOTE_SERVED: Final = "INSERT INTO audit_served (fingerprint, reader) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_CURRENT: Final = """SELECT k.certificate, c.revoked, c.fingerprint FROM user_keys k
    LEFT JOIN certificates c ON c.user_id = k.user_id AND c.certificate = k.certificate WHERE k.user_id = $1"""


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """One certificate this authority issued or accepted; times in seconds since the epoch."""

    serial: str
    user_id: UserId
    fingerprint_hex: str
    issued_at: float
    not_after: float
    revoked_at: float | None


class Pki:
    """Use cases on keys and certificates."""

    def __init__(self, backend: Backend, signer: Signer) -> None:
        self._database = backend.database
        self._clock = backend.clock
        self._random = backend.random
        self._signer = signer
        self._approvals = Approvals(backend)
        self._needed = backend.settings.new_key_approvals
        self._lifetime = backend.settings.certificate_seconds
        self._authority = PublicKey.from_pem(signer.public_key_pem)

    @property
    def server_key_pem(self) -> str:
        """PEM of the key that signs certificates."""
        return self._signer.public_key_pem

    @property
    def authority_fingerprint_hex(self) -> str:
        """SHA-256 of the authority's public key, lower-case hex."""
        return self._authority.fingerprint_hex

    async def check_signer(self) -> None:
        """Return when certificates could be signed now; the errors of ``Signer.check``."""
        await self._database.read(lambda rows: require_authority(rows, self._authority))
        await self._signer.check()

    async def keys_exist(self, user_id: UserId) -> bool:
        """Whether the user has both a certificate and a wrapped private key."""

        async def work(rows: Rows) -> bool:
            row = await rows.one(
                "SELECT 1 FROM user_keys WHERE user_id = $1 AND certificate IS NOT NULL AND private_key IS NOT NULL",
                user_id,
            )
            return row is not None

        return await self._database.read(work)

    # --- private key -----------------------------------------------------------------------------------

    async def private_key(self, user_id: UserId) -> str:
        """The wrapped private key exactly as it was stored; NoKeysError."""

        async def work(rows: Rows) -> SqlValue:
            row = await rows.one("SELECT private_key FROM user_keys WHERE user_id = $1", user_id)
            return row[0] if row else None

        found = await self._database.read(work)
        if found is None:
            raise NoKeysError("Could not find the private key of this user")
        return str(found)

    async def store_private_key(self, user_id: UserId, wrapped: str) -> None:
        """Store a wrapped private key.

        Raises:
            BadRequestError: not in a spelling that clients can split.
            KeysExistError: there is one; it is never replaced.
        """
        if len(wrapped) > _WRAPPED_CHARS_MAX:
            raise BadRequestError("the private key is too long")
        try:
            split_wrapped(wrapped)
        except FormatError as exc:
            raise BadRequestError("the private key is not in the wrapped form") from exc
        now = self._clock.now()

        async def work(rows: Rows) -> int:
            changed = await rows.run(_STORE_PRIVATE, user_id, wrapped, now)
            if changed:
                await record(rows, Event("privatekey.stored", target=user_ref(user_id)))
            return changed

        if await self._database.write(work) == 0:
            raise KeysExistError("there is a private key already")

    async def delete_private_key(self, user_id: UserId) -> None:
        """Remove the wrapped private key; absent is success."""

        async def work(rows: Rows) -> None:
            sql = "UPDATE user_keys SET private_key = NULL WHERE user_id = $1 AND private_key IS NOT NULL"
            if await rows.run(sql, user_id):
                await record(rows, Event("privatekey.removed", target=user_ref(user_id)))

        await self._database.write(work)

    # --- certificates ----------------------------------------------------------------------------------

    async def certificates(self, principal: Principal, users: Sequence[str]) -> dict[str, str]:
        """PEM certificates of ``users`` and always of the caller; only of ``users`` for a link that has no keys.

        Of nobody but the caller when it was revoked.

        Raises:
            NoKeysError: the caller has none. PeerWithoutKeysError: somebody else has none.
            BadRequestError: more than 500 users.
        """
        own = principal.member_id
        wanted = list(dict.fromkeys([*users, own]))
        if len(wanted) > _USERS_MAX:
            raise BadRequestError(f"at most {_USERS_MAX} users at once")

        async def work(rows: Rows) -> tuple[dict[str, str], list[str]]:
            found: dict[str, str] = {}
            first: list[str] = []
            for user in wanted:
                row = await rows.one(_CURRENT, user)
                # A revoked certificate is still shown to its user, whose apps would forget the private key without it.
                if row is not None and row[0] is not None and (row[1] is None or user == own):
                    found[user] = str(row[0])
                    if user != own and await rows.one(_SERVED, row[2], own) is None:
                        first.append(user)
            return found, first

        found, first = await self._database.read(work)
        if first:
            await self._database.write(
                lambda rows: _note_served(rows, principal, {user: found[user] for user in first})
            )
        if own not in found:
            if principal.link is None or own in users or not users:
                raise NoKeysError("Could not find the public key of this user")
            wanted.remove(own)
        missing = [user for user in wanted if user not in found]
        if missing:
            raise PeerWithoutKeysError("Could not find the public key of a user", path=missing[0])
        return found

    async def register(self, principal: Principal, csr_pem: str) -> str:
        """Issue, store and return the PEM certificate for a signing request.

        Raises:
            BadRequestError: no request, bad self-signature, unfit key.
            ForbiddenError: its common name is not the caller's user id, or its key was revoked.
            KeysExistError: there is a certificate already.
            ApprovalNeededError: the user had another key, and too few administrators approved this one so far.
        """
        if len(csr_pem) > _CSR_CHARS_MAX:
            raise BadRequestError("the signing request is too long")
        try:
            csr = parse_csr(csr_pem)
        except (FormatError, BadSignatureError, UntrustedCertificateError) as exc:
            raise BadRequestError(f"the signing request is not acceptable: {exc.message}") from exc
        if csr.common_name != principal.member_id:
            raise ForbiddenError("the common name of the signing request is not the user id")
        if await self._has_certificate(principal.member_id):
            raise KeysExistError("there is a certificate already")
        await self._database.read(lambda rows: require_unrevoked(rows, csr.public_key))
        if not await self._database.read(lambda rows: self._admits(rows, principal.member_id, csr.public_key)):
            await self._approvals.ask(principal.member_id, csr.public_key)
            raise _not_admitted(csr.public_key)
        pem = await self._sign(csr)
        await self._store_certificate("certificate.issued", principal.member_id, parse_certificate(pem), pem)
        return pem

    async def certify_recovery(self, member_id: UserId, csr_pem: str) -> Certificate:
        """The certificate of a recovery key, issued when there is none for it yet; it belongs to no account.

        The caller has checked the request against the organisation's policy.

        Raises:
            BadRequestError: no request, or for another name. ForbiddenError: the key was revoked.
            KeysExistError: another key has this name.
        """
        key = parse_csr(csr_pem).public_key

        async def look(rows: Rows) -> Certificate | None:
            await require_unrevoked(rows, key)
            row = await rows.one(_CURRENT, member_id)
            return None if row is None or row[0] is None or row[1] is not None else parse_certificate(str(row[0]))

        present = await self._database.read(look)
        if present is not None and present.public_key == key:
            return present
        return parse_certificate(await self.register(Principal(member_id), csr_pem))

    async def renew(self, user_id: UserId) -> Certificate:
        """Issue and store another certificate for the same key, in place of the user's present one.

        Signatures and wrapped keys go by the key, so nothing that was written under the old one has to change.

        Raises:
            NoKeysError: the user has no certificate. ForbiddenError: its key was revoked; nothing was signed.
            PreconditionFailedError: the certificate was replaced or removed meanwhile.
        """

        async def look(rows: Rows) -> str:
            row = await rows.one(_CURRENT, user_id)
            if row is None or row[0] is None:
                raise NoKeysError("the user has no certificate", path=user_id)
            await require_unrevoked(rows, parse_certificate(str(row[0])).public_key)
            return str(row[0])

        old = await self._database.read(look)
        pem = await self._sign(renewal_of(parse_certificate(old)))
        fresh, now = parse_certificate(pem), self._clock.now()

        async def replace(rows: Rows) -> None:
            await require_authority(rows, self._authority)
            await require_unrevoked(rows, fresh.public_key)
            if await rows.run(_REPLACE, user_id, old, pem, now) == 0:
                raise PreconditionFailedError("the certificate was replaced meanwhile", path=user_id)
            sql = "UPDATE certificates SET revoked = $3 WHERE user_id = $1 AND certificate = $2 AND revoked IS NULL"
            await rows.run(sql, user_id, old, now)
            await rows.run(_ISSUED, *_issued_row(user_id, fresh, now))
            await key_event(rows, "certificate.renewed", user_id, fresh.public_key, serial=fresh.serial)

        await self._database.write(replace)
        return fresh

    async def _admits(self, rows: Rows, user_id: UserId, key: PublicKey) -> bool:
        return await is_admitted(rows, user_id, key, self._needed)

    async def _sign(self, csr: Csr) -> str:
        now = self._clock.now()
        serial = int.from_bytes(self._random.token(8)) >> 1 | 1
        tbs = certificate_to_sign(
            csr, serial=serial, not_before=now - _BACKDATE_SECONDS, not_after=now + self._lifetime
        )
        signature = await sign_on_record(self._database, self._signer, tbs, "certificate")
        return assemble_certificate(tbs, signature)

    async def store_certificate(self, principal: Principal, pem: str) -> None:
        """Store a certificate that this authority issued earlier for the caller.

        Raises:
            BadRequestError: no certificate, another name, or not signed by this authority.
            ForbiddenError: its key was revoked.
            KeysExistError: there is a certificate already.
        """
        if len(pem) > _CERTIFICATE_CHARS_MAX:
            raise BadRequestError("the certificate is too long")
        try:
            certificate = parse_certificate(pem)
            now = self._clock.now()
            check_certificate(certificate, user_id=principal.member_id, authority=self._authority, now=now)
        except (FormatError, UntrustedCertificateError, BadSignatureError) as exc:
            raise BadRequestError(f"the certificate is not acceptable: {exc.message}") from exc
        await self._store_certificate("certificate.stored", principal.member_id, certificate, pem)

    async def delete_certificate(self, user_id: UserId) -> None:
        """Remove the certificate and record it as revoked; absent is success."""
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            await key_given_up(rows, user_id, "asked")
            await rows.run("UPDATE user_keys SET certificate = NULL WHERE user_id = $1", user_id)
            await rows.run("UPDATE certificates SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL", user_id, now)

        await self._database.write(work)

    async def _has_certificate(self, user_id: UserId) -> bool:
        async def work(rows: Rows) -> bool:
            row = await rows.one("SELECT 1 FROM user_keys WHERE user_id = $1 AND certificate IS NOT NULL", user_id)
            return row is not None

        return await self._database.read(work)

    async def _store_certificate(self, kind: str, user_id: UserId, certificate: Certificate, pem: str) -> None:
        now = self._clock.now()

        async def work(rows: Rows) -> None:
            await require_authority(rows, self._authority)
            await require_unrevoked(rows, certificate.public_key)
            if not await self._admits(rows, user_id, certificate.public_key):
                raise _not_admitted(certificate.public_key)
            if await rows.run(_STORE_CERTIFICATE, user_id, pem, now) == 0:
                raise KeysExistError("there is a certificate already")
            await key_event(rows, kind, user_id, certificate.public_key, serial=certificate.serial)
            await close_request(rows, user_id, certificate, now)
            await rows.run(_ISSUED, *_issued_row(user_id, certificate, now))

        await self._database.write(work)


async def _note_served(rows: Rows, principal: Principal, certificates: dict[str, str]) -> None:
    """Record, once for each certificate and reader, to whom it was given."""
    for user, pem in certificates.items():
        certificate = parse_certificate(pem)
        if await rows.run(_NOTE_SERVED, certificate.fingerprint_hex, principal.member_id):
            key = key_ref(certificate.public_key.fingerprint_hex)
            details = {"subject": user_ref(user)}
            await record(rows, Event("certificate.served", actor_of(principal), key, details=details))


def _seconds(value: SqlValue) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _not_admitted(key: PublicKey) -> ApprovalNeededError:
    return ApprovalNeededError(
        f"administrators must approve this new key first: {key.fingerprint_hex[:16]}", path=key.fingerprint_hex
    )


def _issued_row(user_id: UserId, certificate: Certificate, now: float) -> tuple[SqlValue, ...]:
    return (str(certificate.serial), user_id, certificate.fingerprint_hex, certificate.pem, now, certificate.not_after)


async def issued_certificates(backend: Backend) -> list[CertificateRecord]:
    """All certificates ever stored, by time."""

    async def work(rows: Rows) -> list[tuple[SqlValue, ...]]:
        return await rows.all(
            "SELECT serial, user_id, fingerprint, issued, not_after, revoked FROM certificates ORDER BY issued"
        )

    return [
        CertificateRecord(
            str(serial),
            UserId(str(user)),
            str(fingerprint),
            _seconds(issued),
            _seconds(not_after),
            None if revoked is None else _seconds(revoked),
        )
        for serial, user, fingerprint, issued, not_after, revoked in await backend.database.read(work)
    ]

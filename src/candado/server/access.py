"""Who is asking: Basic and Bearer credentials to a Principal, cached so that a request costs no query.

Layer: ``server``. A verified credential is remembered under a keyed hash of the header, never the header itself. The
memory is trusted for ``RECHECK_SECONDS``; then one indexed read confirms that the user row still has the same version
and that the app password still exists. A revocation made by another process therefore acts within that time.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from candado.errors import AuthRequiredError, ForbiddenError, RateLimitedError
from candado.ports.server import Rows
from candado.server.accounts import APP_PASSWORD_CHARS, PasswordHasher, hash_app_password
from candado.server.audit import Actor, Event, actor_of, device_ref, record, user_ref
from candado.server.model import Backend, Principal
from candado.server.ratelimit import Limit, RateLimiter, address_bucket
from candado.types import SecretText, UserId

__all__ = ["RECHECK_SECONDS", "Authenticator", "Credentials", "knows_e2ee", "parse_authorization"]

RECHECK_SECONDS: Final = 1.0
_REMEMBER_SECONDS: Final = 3600.0
_USER_CHARS_MAX: Final = 64
_ENTRIES_MAX: Final = 8192
_HEADER_BYTES_MAX: Final = 4096
_LAST_USED_STEP_SECONDS: Final = 3600.0
_TOLD_SECONDS: Final = 600.0
_PER_USER: Final = (20, 600.0)
_PER_ADDRESS: Final = (60, 600.0)
_WRONG: Final = "unknown user or wrong password"
_STILL_THERE: Final = "SELECT 1 FROM app_passwords WHERE id = $1 AND wipe_asked IS NULL"
_FIND_DEVICE: Final = """SELECT a.id, u.id, u.is_admin, u.version, a.last_used, a.wipe_asked FROM app_passwords a
    JOIN users u ON u.id = a.user_id WHERE a.secret_hash = $1 AND u.enabled = 1"""

_AGENTS: Final = (
    (re.compile(r"^Mozilla/5\.0 \(Android\) Nextcloud-android/(\d+)\.(\d+)\.(\d+)"), (3, 13, 0)),
    (re.compile(r"^Mozilla/5\.0 \([A-Za-z ]+\) (?:mirall|csyncoC)/(\d+)\.(\d+)\.(\d+)"), (3, 0, 0)),
    (re.compile(r"^Mozilla/5\.0 \(iOS\) Nextcloud-iOS/(\d+)\.(\d+)\.(\d+)"), (3, 0, 5)),
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Authorization header says; ``login`` is None for a bearer token."""

    login: str | None
    secret: SecretText


@dataclass(slots=True)
class _Known:
    """A verified credential: the user's version then, when it was last confirmed, when it was verified."""

    principal: Principal
    version: int
    confirmed_at: float
    verified_at: float


def parse_authorization(header: bytes) -> Credentials:
    """Return the credentials of an Authorization header.

    Raises:
        AuthRequiredError: neither Basic nor Bearer, or not decodable.
    """
    scheme, _, rest = header.partition(b" ")
    if len(header) <= _HEADER_BYTES_MAX and scheme.lower() == b"bearer" and rest.isascii():
        return Credentials(None, SecretText(rest.strip().decode("ascii")))
    if len(header) <= _HEADER_BYTES_MAX and scheme.lower() == b"basic":
        try:
            login, colon, secret = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError) as exc:
            raise AuthRequiredError("the Authorization header cannot be decoded") from exc
        if colon and login:
            return Credentials(login, SecretText(secret))
    raise AuthRequiredError("the Authorization header is neither Basic nor Bearer")


def knows_e2ee(user_agent: str, *, announced: bool) -> bool:
    """Return whether a client says that it supports encrypted folders, by its header or by name and version."""
    if announced:
        return True
    for pattern, least in _AGENTS:
        match = pattern.match(user_agent)
        if match and tuple(int(part) for part in match.groups()) >= least:
            return True
    return False


class Authenticator:
    """Checks credentials; one instance per process."""

    def __init__(self, backend: Backend, passwords: PasswordHasher, limiter: RateLimiter) -> None:
        self._database = backend.database
        self._passwords = passwords
        self._limiter = limiter
        self._clock = backend.clock
        self._cache_key = backend.random.token(32)
        self._known: dict[bytes, _Known] = {}
        self._refused: dict[bytes, int] = {}
        self._told: dict[tuple[str, str], float] = {}

    def cached(self, header: bytes) -> Principal | None:
        """The principal of a header that was verified or confirmed a moment ago, else None. Never waits."""
        known = self._known.get(self._digest(header))
        if known is None or self._clock.monotonic() - known.confirmed_at >= RECHECK_SECONDS:
            return None
        return known.principal

    async def check(self, header: bytes | None, address: str) -> Principal:
        """Return who the header proves.

        Raises:
            AuthRequiredError: no header, unknown user, wrong password, disabled user.
            RateLimitedError: too many wrong passwords for this user or from this address.
        """
        if header is None:
            raise AuthRequiredError("authentication is required")
        digest = self._digest(header)
        known = self._known.get(digest)
        if known is not None:
            if await self._still_good(known):
                return known.principal
            self._known.pop(digest, None)
        now = self._clock.monotonic()  # from before the rows are read: what ends meanwhile is not remembered longer
        credentials = parse_authorization(header)
        found = await self._by_app_password(credentials)
        if found is None:
            if credentials.login is None:
                await self._refused_event("", address, "token")
                raise AuthRequiredError("the token is not valid")
            found = await self._by_new_password(digest, UserId(credentials.login), credentials.secret, address)
        principal, version = found
        if len(self._known) >= _ENTRIES_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = _Known(principal, version, now, now)
        return principal

    async def confirm_password(self, header: bytes | None, address: str) -> Principal:
        """Return who the header proves by the *login* password; a device's app password is refused.

        Raises:
            ForbiddenError: an app password was used.
            AuthRequiredError, RateLimitedError: as ``check``.
        """
        principal = await self.check(header, address)
        if principal.app_password_id is not None:
            raise ForbiddenError("Password confirmation is required")
        return principal

    async def sign_in(self, login: str, password: SecretText, address: str) -> Principal:
        """Check a login password typed into a form; errors as ``check``."""
        principal, _ = await self._by_password(UserId(login), password, address)
        return principal

    def forget(self, principal: Principal) -> None:
        """Drop what this process remembers of a principal's credential."""
        for digest in [d for d, known in self._known.items() if known.principal == principal]:
            del self._known[digest]

    def _digest(self, header: bytes) -> bytes:
        return hashlib.blake2b(header, key=self._cache_key, digest_size=32).digest()

    async def _still_good(self, known: _Known) -> bool:
        now = self._clock.monotonic()
        if now - known.verified_at > _REMEMBER_SECONDS:
            return False
        if now - known.confirmed_at < RECHECK_SECONDS:
            return True
        user_id, app_password_id = known.principal.user_id, known.principal.app_password_id

        async def work(rows: Rows) -> bool:
            row = await rows.one("SELECT version FROM users WHERE id = $1 AND enabled = 1", user_id)
            if row is None or row[0] != known.version:
                return False
            return app_password_id is None or await rows.one(_STILL_THERE, app_password_id) is not None

        good = await self._database.read(work)
        if good:
            known.confirmed_at = now
        return good

    async def _by_app_password(self, credentials: Credentials) -> tuple[Principal, int] | None:
        if len(credentials.secret.reveal()) != APP_PASSWORD_CHARS:
            return None
        hashed = hash_app_password(credentials.secret)

        async def work(rows: Rows) -> tuple[Principal, int, float] | None:
            row = await rows.one(_FIND_DEVICE, hashed)
            if row is None or (credentials.login is not None and row[1] != credentials.login):
                return None
            number, user_id, is_admin, version, used, wipe_asked = row
            if wipe_asked is not None:
                raise AuthRequiredError("this device was signed out; it is to ask whether to wipe itself")
            assert isinstance(number, int)
            assert isinstance(version, int)
            assert used is None or isinstance(used, int | float)
            return Principal(UserId(str(user_id)), bool(is_admin), number), version, used or 0.0

        found = await self._database.read(work)
        if found is None:
            return None
        principal, version, used = found
        if self._clock.now() - used > _LAST_USED_STEP_SECONDS:
            await self._note_use(principal)
        return principal, version

    async def _note_use(self, principal: Principal) -> None:
        """Note, at most once an hour, that a device is used; that is its sign-in for the audit log."""
        now, number = self._clock.now(), principal.app_password_id

        async def work(rows: Rows) -> None:
            if await rows.run("UPDATE app_passwords SET last_used = $2 WHERE id = $1", number, now):
                await record(rows, Event("signin.accepted", actor_of(principal), device_ref(number or 0)))

        await self._database.write(work, durable=False)

    async def _by_new_password(
        self, digest: bytes, login: UserId, password: SecretText, address: str
    ) -> tuple[Principal, int]:
        """As ``_by_password``; what was refused before is refused again without a hash, and counts once only.

        A revoked device that goes on asking guesses nothing, and must not use up the limit of its owner.
        """

        async def work(rows: Rows) -> int:
            row = await rows.one("SELECT version FROM users WHERE id = $1 AND enabled = 1", login)
            if row is None:
                return 0
            assert isinstance(row[0], int)
            return row[0]

        version = await self._database.read(work)
        if self._refused.get(digest) == version:
            raise AuthRequiredError(_WRONG)
        try:
            return await self._by_password(login, password, address)
        except AuthRequiredError:
            if len(self._refused) >= _ENTRIES_MAX:
                self._refused.pop(next(iter(self._refused)))
            self._refused[digest] = version
            raise

    async def _by_password(self, login: UserId, password: SecretText, address: str) -> tuple[Principal, int]:
        limits = (
            Limit("login.address", address_bucket(address), *_PER_ADDRESS),
            Limit("login.user", login.lower()[:_USER_CHARS_MAX], *_PER_USER),
        )
        try:
            await self._limiter.take(*limits)
        except RateLimitedError:
            await self._refused_event(login, address, "too-many", kind="signin.limited")
            raise

        async def work(rows: Rows) -> tuple[str, int, int] | None:
            row = await rows.one(
                "SELECT password_hash, is_admin, version FROM users WHERE id = $1 AND enabled = 1", login
            )
            if row is None:
                return None
            hashed, is_admin, version = row
            assert isinstance(is_admin, int)
            assert isinstance(version, int)
            return str(hashed), is_admin, version

        found = await self._database.read(work)
        if found is None:
            await self._passwords.verify_nobody(password)
            await self._refused_event("", address, "unknown-user", once=False)
            raise AuthRequiredError(_WRONG)
        hashed, is_admin, version = found
        if not await self._passwords.verify(hashed, password):
            await self._refused_event(login, address, "password", once=False)
            raise AuthRequiredError(_WRONG)
        await self._limiter.give_back(*limits)
        event = Event("signin.accepted", Actor(login), reason="password")
        await self._database.write(lambda rows: record(rows, event), durable=False)
        return Principal(login, bool(is_admin), None), version

    async def _refused_event(
        self, login: str, address: str, reason: str, *, kind: str = "signin.refused", once: bool = True
    ) -> None:
        """Record a refusal; with ``once``, where no limit holds, one in ten minutes for each address and reason.

        The name is recorded only where there is such a user: what people type there may be a password.
        """
        now, key = self._clock.monotonic(), (reason, address_bucket(address))
        if once and now - self._told.get(key, -_TOLD_SECONDS) < _TOLD_SECONDS:
            return
        if once:
            if len(self._told) >= _ENTRIES_MAX:
                self._told.clear()
            self._told[key] = now

        async def work(rows: Rows) -> None:
            known = login and await rows.one("SELECT 1 FROM users WHERE id = $1", login) is not None
            target = user_ref(login) if known else "nobody"
            await record(rows, Event(kind, Actor(), target, "refused", reason))

        await self._database.write(work, durable=False)

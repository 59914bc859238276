"""Visitors of links: who may come in, and under which name an upload is kept.

Layer: ``server``. The token in the address is the right to come in; a link may ask for a password as well. A browser
keeps a cookie instead of the password: the token, the hash of the password and an end under a keyed hash, so that a
new password or the end of the link ends it too.
"""

import hashlib
import hmac
import re
from typing import Final

from candado.errors import AlreadyExistsError, AuthRequiredError, ForbiddenError, NotFoundError
from candado.ports.server import Rows
from candado.server.accounts import PasswordHasher
from candado.server.guard import guarded_read
from candado.server.model import Backend, Principal
from candado.server.names import numbered_name
from candado.server.ratelimit import Limit, RateLimiter, address_bucket
from candado.server.sharerows import BY_TOKEN, Share, share_of
from candado.server.staging import LockRule
from candado.server.tree import View, locate_path
from candado.types import SecretText, UserId

__all__ = ["COOKIE_SECONDS", "Links"]

COOKIE_SECONDS: Final = 12 * 3600
_TOKEN: Final = re.compile(r"[A-Za-z0-9]{15,64}")
_COOKIE: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")
_KEY_NAME: Final = "link_key"
_KEY_BYTES: Final = 32
_PER_LINK: Final = (20, 600.0)
_PER_ADDRESS: Final = (60, 600.0)
_KNOWN_MAX: Final = 1024
_ATTEMPTS: Final = 1000
_GONE: Final = "there is no such link, or it is over"
_ALIVE: Final = "SELECT 1 FROM users o JOIN users i ON i.id = $2 WHERE o.id = $1 AND o.enabled = 1 AND i.enabled = 1"


class Links:
    """Use cases of those who have the address of a link; one instance per process."""

    def __init__(self, backend: Backend, passwords: PasswordHasher, limiter: RateLimiter) -> None:
        self._backend = backend
        self._passwords = passwords
        self._limiter = limiter
        self._known: dict[bytes, None] = {}
        self._cache_key = backend.random.token(_KEY_BYTES)
        self._cookie_key: bytes | None = None

    async def find(self, token: str) -> Share:
        """The share of a link; NotFoundError when there is none (any more), without a hint which of both."""
        if not _TOKEN.fullmatch(token):
            raise NotFoundError(_GONE)
        now = self._backend.clock.now()

        async def work(rows: Rows) -> Share | None:
            row = await rows.one(BY_TOKEN, token)
            if row is None:
                return None
            share = share_of(row)
            alive = await rows.one(_ALIVE, share.owner_id, share.initiator_id)
            over = share.expires_at is not None and share.expires_at <= now
            return None if alive is None or over else share

        share = await self._backend.database.read(work)
        if share is None:
            raise NotFoundError(_GONE)
        return share

    async def enter(self, share: Share, password: SecretText | None, address: str) -> Principal:
        """The visitor of a link who gave this password, if it asks for one.

        Raises:
            AuthRequiredError: no password, or a wrong one. RateLimitedError: too many wrong ones.
        """
        hashed = share.password_hash
        if hashed is not None:
            if password is None:
                raise AuthRequiredError("this link has a password")
            await self._check(share, hashed, password, address)
        return _visitor(share)

    async def come_in(self, token: str, password: SecretText | None, address: str) -> Principal:
        """The visitor of the link with this token, for calls beside its address.

        Raises:
            ForbiddenError: there is no such link. RateLimitedError: too many tokens that are none.
            AuthRequiredError: as ``enter``.
        """
        limit = Limit("link.token", address_bucket(address), *_PER_ADDRESS)
        await self._limiter.take(limit)
        try:
            share = await self.find(token)
        except NotFoundError as exc:
            raise ForbiddenError(exc.message) from exc
        await self._limiter.give_back(limit)
        return await self.enter(share, password, address)

    async def _check(self, share: Share, hashed: str, password: SecretText, address: str) -> None:
        given = f"{share.token}\0{hashed}\0{password.reveal()}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(given, key=self._cache_key).digest()
        if digest in self._known:
            return
        limits = (
            Limit("link.address", address_bucket(address), *_PER_ADDRESS),
            Limit("link.share", str(share.share_id), *_PER_LINK),
        )
        await self._limiter.take(*limits)
        if not await self._passwords.verify(hashed, password):
            raise AuthRequiredError("the password of the link is wrong")
        await self._limiter.give_back(*limits)
        if len(self._known) >= _KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = None

    # --- cookies -----------------------------------------------------------------------------------------

    async def cookie(self, share: Share) -> str:
        """A cookie for one who gave the password; it counts for ``COOKIE_SECONDS``."""
        end = int(self._backend.clock.now()) + COOKIE_SECONDS
        return f"{end}.{await self._sign(share, end)}"

    async def enter_with_cookie(self, share: Share, cookie: str | None) -> Principal:
        """The visitor whose browser has this cookie; AuthRequiredError when a password is wanted and it is not good."""
        if share.password_hash is not None:
            match = _COOKIE.fullmatch(cookie or "")
            if match is None or int(match[1]) <= self._backend.clock.now():
                raise AuthRequiredError("this link has a password")
            if not hmac.compare_digest(match[2], await self._sign(share, int(match[1]))):
                raise AuthRequiredError("this link has a password")
        return _visitor(share)

    async def _sign(self, share: Share, end: int) -> str:
        if self._cookie_key is None:
            self._cookie_key = await self._load_key()
        message = f"{share.token}\0{share.password_hash}\0{end}".encode()
        return hmac.new(self._cookie_key, message, hashlib.sha256).hexdigest()

    async def _load_key(self) -> bytes:
        """The key of all workers, made once."""
        made = self._backend.random.token(_KEY_BYTES).hex()

        async def work(rows: Rows) -> str:
            await rows.run("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", _KEY_NAME, made)
            row = await rows.one("SELECT value FROM settings WHERE name = $1", _KEY_NAME)
            assert row is not None
            return str(row[0])

        return bytes.fromhex(await self._backend.database.write(work))

    # --- uploads -----------------------------------------------------------------------------------------

    async def free_name(self, visitor: Principal, folder: str, name: str) -> str:
        """A name that nothing in the folder has: ``name``, ``name (2)``, ...; errors as ``Files.stat``.

        Visitors who may only upload neither see what is there nor replace it.
        """

        async def work(rows: Rows, rule: LockRule) -> str:
            view = View(rows)
            parent = (await locate_path(view, visitor, folder, rule.now)).existing()
            for number in range(1, _ATTEMPTS):
                candidate = numbered_name(name, number)
                if await view.child(parent.id, candidate) is None:
                    return candidate
            raise AlreadyExistsError("too many files of this name")

        return await guarded_read(self._backend, visitor, work)


def _visitor(share: Share) -> Principal:
    return Principal(UserId(""), link=share.share_id, link_token=share.token or "")

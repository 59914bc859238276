"""The honest server: accounts, certificates, the visible tree, locks with staged copies, shares.

Rules as in the protocol documents: a lock covers a folder and everything below it; what is written under its token lands in
a private copy of that subtree, which replaces the visible one at the unlock and is thrown away by an abort or by expiry.
"""

import base64
import copy
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from candado.crypto.crl import REASONS, RevokedKey, assemble_revocation_list, revocation_list_to_sign
from candado.crypto.handover import assemble_handover, handover_to_sign
from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import Csr, assemble_certificate, certificate_to_sign, parse_certificate, parse_csr, renewal_of
from candado.errors import (
    AuthRequiredError,
    CounterConflictError,
    ForbiddenError,
    LockedError,
    LockLostError,
    NotFoundError,
)
from candado.ports.client import Capabilities, RemoteRecovery
from tests.sim.ambient import FakeClock, SeededRandom
from tests.sim.keylog import SimLog
from tests.sim.tree import Node, Tree

READ, UPDATE, CREATE, DELETE, SHARE = 1, 2, 4, 8, 16
ALL_PERMISSIONS = READ | UPDATE | CREATE | DELETE | SHARE


def ours() -> Capabilities:
    """What our own server announces."""
    return Capabilities("candado", "0.1.0", True, "2.0", 1, True, True, 16 * 1024 * 1024, 100, 1024 * 1024)


def stock() -> Capabilities:
    """What a server without our extensions announces."""
    return Capabilities("Nextcloud", "31.0.0", True, "2.1", 0, False, False, 16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server saw it."""

    user: str
    method: str
    detail: str


@dataclass(slots=True)
class Lock:
    """A granted lock with the copy its holder works on."""

    token: str
    root: int
    counter: int
    user: str
    seconds: float
    staged: Tree
    touched: set[int] = field(default_factory=set)
    created: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of one user mounted in the home of another one."""

    share_id: str
    file_id: int
    owner: str
    share_with: str
    permissions: int
    mount: str
    last_day: str = ""


@dataclass(slots=True)
class Account:
    """One user's row."""

    password: str
    home: int
    certificate: str | None = None
    private_key: str | None = None
    app_password_revoked: bool = False


def users_of(text: str) -> set[tuple[str, str]]:
    """The members a document lists; none for one of a nested folder, or for what is no document."""
    try:
        return {(user["userId"], user["certificate"]) for user in json.loads(text).get("users", [])}
    except ValueError:
        return set()


class SimServer:
    """State and rules; ``remote`` gives the port that one user talks to."""

    def __init__(self, clock: FakeClock, random: SeededRandom, *, authority: PrivateKey) -> None:
        self.clock = clock
        self.random = random
        self.authority = authority
        self.capabilities = ours()
        self.revocation_list: str | None = None
        self.handovers: list[str] = []
        self.recovery = RemoteRecovery("", "", "")
        self.policies: dict[str, str] = {}
        self.key_log: SimLog | None = None
        self.recovery_uses: dict[str, str] = {}
        self.quota_bytes = 10**12
        self.lock_seconds = 900.0
        self.users: dict[str, Account] = {}
        self.tree = Tree()
        self.locks: dict[str, Lock] = {}
        self.shares: dict[str, Share] = {}
        self.link_keys: dict[str, Account] = {}
        self.log: list[Request] = []
        self.received: list[bytes] = []
        self._numbers = itertools.count(1)

    # --- for tests ------------------------------------------------------------------------------------

    def add_user(self, user: str, *, password: str = "login-password") -> None:
        home = next(self._numbers)
        self.users[user] = Account(password, home)
        self.tree.add_home(Node(home, 0, user, True, b"", self.clock.now(), self.etag()))

    def snapshot(self) -> Mapping[str, Any]:
        state = {"tree": self.tree.copy(), "users": copy.deepcopy(self.users), "shares": dict(self.shares)}
        return state | {"locks": copy.deepcopy(self.locks)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self.tree = snapshot["tree"].copy()
        self.users = copy.deepcopy(snapshot["users"])
        self.shares = dict(snapshot["shares"])
        self.locks = copy.deepcopy(snapshot["locks"])

    def expire_locks(self) -> None:
        self.locks.clear()

    def add_drop(self, file_id: int, entries: Mapping[str, Any], bodies: Mapping[str, bytes]) -> None:
        """What a visitor of a file-drop link does: bodies and unsigned entries, merged by re-encoding the document."""
        for name, body in bodies.items():
            self.tree.add(Node(next(self._numbers), file_id, name, False, body, self.clock.now(), self.etag()))
        text, signature = self.tree.metadata[file_id]
        document = json.loads(text)
        document["filedrop"] = {**document.get("filedrop", {}), **entries}
        self.tree.metadata[file_id] = (json.dumps(document).replace("/", "\\/"), signature)
        self.bump(self.tree, file_id)

    def requests_of(self, *methods: str) -> list[Request]:
        return [request for request in self.log if not methods or request.method in methods]

    def at(self, user: str, path: str) -> Node:
        """The visible node at a path of a user; a test looks at the truth with it."""
        return self.tree.nodes[self.resolve(user, path)[0]]

    # --- accounts and keys ----------------------------------------------------------------------------

    def note(self, user: str, method: str, detail: str, *payloads: bytes | str) -> None:
        self.log.append(Request(user, method, detail))
        self.received.append(detail.encode("utf-8", "surrogatepass"))
        self.received.extend(
            payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass") for payload in payloads
        )

    def account(self, user: str) -> Account:
        if user not in self.users or self.users[user].app_password_revoked:
            raise AuthRequiredError
        return self.users[user]

    def issue(self, csr_pem: str) -> str:
        """Certificate for a CSR, signed by the authority; valid from now for twenty years."""
        return self.certify(parse_csr(csr_pem))

    def certify(self, csr: Csr) -> str:
        """Certificate for a request that was read; logged where there is a log."""
        if self.key_log is not None:
            self.key_log.add("certificate.issued", csr.common_name, csr.public_key.fingerprint_hex)
        tbs = certificate_to_sign(
            csr,
            serial=int.from_bytes(self.random.token(8), "big") >> 1,
            not_before=self.clock.now(),
            not_after=self.clock.now() + 7300 * 86400.0,
        )
        return assemble_certificate(tbs, self.authority.sign_pkcs1_sha256(tbs))

    def start_log(self, *, salt: bytes = bytes(32)) -> "SimLog":
        """Begin to log keys, those in use first, and announce it."""
        self.key_log = SimLog(self.authority, salt)
        for user, account in self.users.items():
            if account.certificate is not None:
                key = parse_certificate(account.certificate).public_key
                self.key_log.add("certificate.stored", user, key.fingerprint_hex)
        self.capabilities = replace(self.capabilities, key_log=True)
        return self.key_log

    def publish_revoked(self, *fingerprints: str, number: int, signer: PrivateKey | None = None, days: int = 7) -> None:
        """Publish a list of revoked keys, by SHA-256 of the key."""
        signer, now = signer or self.authority, self.clock.now()
        tbs = revocation_list_to_sign(
            [RevokedKey(1, now, fingerprint, REASONS["left"]) for fingerprint in fingerprints],
            signer.public,
            number=number,
            this_update=now,
            next_update=now + days * 86_400.0,
        )
        self.revocation_list = assemble_revocation_list(tbs, signer.sign_pkcs1_sha256(tbs))

    def hand_over(self, new: PrivateKey) -> None:
        """Make another key the authority's, as both of them say, and renew every certificate."""
        signed = handover_to_sign(self.authority.public, new.public, time=self.clock.now())
        by_old, by_new = self.authority.sign_pkcs1_sha256(signed), new.sign_pkcs1_sha256(signed)
        self.handovers.append(assemble_handover(signed, by_old=by_old, by_new=by_new))
        if self.key_log is not None:
            self.key_log.authority = new
        self.authority = new
        for account in self.users.values():
            if account.certificate is not None:
                request = renewal_of(parse_certificate(account.certificate))
                account.certificate = self.certify(request)

    # --- the tree -------------------------------------------------------------------------------------

    def etag(self) -> str:
        return self.random.token(8).hex()

    def number(self) -> int:
        return next(self._numbers)

    def bump(self, tree: Tree, file_id: int) -> None:
        for at in tree.ancestors(file_id):
            tree.change(at, etag=self.etag())

    def resolve(self, user: str, path: str, tree: Tree | None = None) -> tuple[int, int]:
        """(file id, permissions) of a path of a user; NotFoundError."""
        tree = tree or self.tree
        at, permissions = self.account(user).home, ALL_PERMISSIONS
        for depth, part in enumerate(part for part in path.split("/") if part):
            child = tree.child(at, part)
            if child is None and depth == 0:
                mounted = [share for share in self.mounts(user) if share.mount == part]
                if mounted:
                    child, permissions = mounted[0].file_id, mounted[0].permissions
            if child is None or child not in tree.nodes:
                raise NotFoundError(path=path)
            at = child
        return at, permissions

    def mounts(self, user: str) -> list[Share]:
        return [
            share for share in self.shares.values() if share.share_with == user and share.file_id in self.tree.nodes
        ]

    def permissions(self, user: str, file_id: int, tree: Tree | None = None) -> int:
        """What a user may do with a node, 0 when it is not visible to the user."""
        chain = (tree or self.tree).ancestors(file_id)
        if self.account(user).home in chain:
            return ALL_PERMISSIONS
        return max((share.permissions for share in self.mounts(user) if share.file_id in chain), default=0)

    def owner(self, file_id: int) -> str:
        home = self.tree.ancestors(file_id)[-1]
        return next(user for user, account in self.users.items() if account.home == home)

    def mount_name(self, user: str, wanted: str) -> str:
        taken = {*self.tree.children[self.account(user).home], *(share.mount for share in self.mounts(user))}
        names = itertools.chain([wanted], (f"{wanted} ({number})" for number in itertools.count(2)))
        return next(name for name in names if name not in taken)

    def owner_path(self, file_id: int) -> str:
        chain = self.tree.ancestors(file_id)[:-1]
        return "/" + "/".join(self.tree.nodes[at].name for at in reversed(chain))

    def end_share(self, share_id: str) -> None:
        """End a share; our own server then undoes what can no longer be reached through it."""
        share = self.shares.pop(share_id)
        if self.capabilities.candado_version:
            self.locks = {
                token: lock
                for token, lock in self.locks.items()
                if lock.user != share.share_with or self.permissions(lock.user, lock.root) & UPDATE
            }

    # --- locks ----------------------------------------------------------------------------------------

    def drop_expired(self) -> None:
        now = self.clock.now()
        self.locks = {t: lock for t, lock in self.locks.items() if now - lock.seconds < self.lock_seconds}

    def lock_over(self, file_id: int) -> Lock | None:
        """The lock that covers a node, if any; nodes made under a lock are covered by it."""
        self.drop_expired()
        for lock in self.locks.values():
            if lock.root in lock.staged.ancestors(file_id) or lock.root in self.tree.ancestors(file_id):
                return lock
        return None

    def held(self, token: str | None, file_id: int) -> Lock:
        """The lock of this token, which must cover the node."""
        lock = self.lock_over(file_id)
        if lock is None or token != lock.token:
            raise LockLostError
        lock.seconds = self.clock.now()
        return lock

    def grant(self, user: str, file_id: int, counter: int, resume: str | None) -> str:
        if not self.permissions(user, file_id) & UPDATE:
            raise ForbiddenError
        if not self.tree.nodes[file_id].encrypted:
            raise ForbiddenError
        current = self.lock_over(file_id)
        if current is not None and current.root == file_id and resume == current.token:
            return current.token
        below = set(self.tree.subtree(file_id))
        if current is not None or any(lock.root in below for lock in self.locks.values()):
            raise LockedError
        if counter <= self.tree.counters.get(file_id, 0):
            raise CounterConflictError
        return self.force_lock(user, file_id, counter)

    def force_lock(self, user: str, file_id: int, counter: int) -> str:
        token = re.sub(r"[^A-Za-z0-9]", "x", base64.b64encode(self.random.token(48)).decode())
        self.locks[token] = Lock(token, file_id, counter, user, self.clock.now(), self.tree.copy())
        return token

    def release(self, token: str, file_id: int, *, abort: bool) -> None:
        self.drop_expired()
        lock = self.locks.get(token)
        if lock is None or lock.root != file_id:
            raise LockLostError
        del self.locks[token]
        if abort:
            return
        if lock.root in lock.touched:
            lock.staged.counters[lock.root] = lock.counter
        if not self.capabilities.candado_version:
            self._hide_unfinished(lock)
        self._keep_steps(lock)
        parent = self.tree.nodes[lock.root].parent
        self.tree.adopt(lock.staged, lock.root)
        self.bump(self.tree, lock.root if lock.root in self.tree.nodes else parent)

    def _keep_steps(self, lock: Lock) -> None:
        """Our own server keeps the documents that changed who the members are."""
        for at in lock.touched & self.tree.metadata.keys() & lock.staged.metadata.keys():
            before, (after, signature) = self.tree.metadata[at][0], lock.staged.metadata[at]
            if self.capabilities.candado_version and users_of(before) != users_of(after):
                steps = self.tree.steps.setdefault(at, [])
                steps.append((lock.staged.counters.get(at, 0), after, signature))

    def _hide_unfinished(self, lock: Lock) -> None:
        """A stock server shows new children only of folders whose metadata was written in the session."""
        for at in lock.staged.subtree(lock.root) if lock.root in lock.staged.nodes else []:
            if at in lock.touched or at not in lock.staged.nodes:
                continue
            before = self.tree.children.get(at, {})
            for name, child in list(lock.staged.children.get(at, {}).items()):
                if name not in before:
                    lock.staged.remove(child)

    def used(self, owner: str) -> int:
        return self.tree.size(self.users[owner].home)

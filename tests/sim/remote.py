"""The port of one user to the simulated server."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from candado.errors import (
    AlreadyExistsError,
    AuthRequiredError,
    BadRequestError,
    FolderNotEmptyError,
    ForbiddenError,
    KeysExistError,
    LimitExceededError,
    LockLostError,
    MalformedError,
    NoKeysError,
    NotFoundError,
    PeerWithoutKeysError,
    QuotaExceededError,
)
from candado.formats.orgpolicy import PolicyKind
from candado.ports.client import (
    Body,
    Capabilities,
    PutResult,
    RawMetadata,
    RemoteNode,
    RemoteRecovery,
    RemoteShare,
    UserInfo,
)
from candado.protocol.keylog import KeyLogAnswer
from candado.types import Counter, FileId, LockToken, SecretText, UserId
from tests.sim.server import CREATE, DELETE, READ, SHARE, UPDATE, Account, Lock, Share, SimServer
from tests.sim.tree import Node, Tree


class SimRemote:
    """Implements ``candado.ports.client.Remote`` for one user of a SimServer."""

    def __init__(self, server: SimServer, user: str, password: str = "app-password") -> None:
        self.server = server
        self.user = user
        self.requests = 0
        self.closed = False
        self._password = password

    def _note(self, method: str, detail: str = "", *payloads: bytes | str) -> None:
        self.requests += 1
        self.server.note(self.user, method, detail, *payloads)
        if self._password == "wrong":
            raise AuthRequiredError
        self.server.account(self.user)

    # --- account --------------------------------------------------------------------------------------

    async def capabilities(self) -> Capabilities:
        self._note("capabilities")
        return self.server.capabilities

    async def user_info(self) -> UserInfo:
        self._note("user_info")
        return UserInfo(UserId(self.user), self.user.title(), self.server.quota_bytes, self.server.used(self.user))

    async def server_key(self) -> str:
        self._note("server_key")
        return self.server.authority.public.to_pem()

    async def certificates(self, users: Sequence[UserId]) -> dict[UserId, str]:
        self._note("certificates", ",".join(users))
        found: dict[UserId, str] = {}
        for user in users:
            account = self.server.users.get(user)
            if account is None or account.certificate is None:
                raise NoKeysError if user == self.user else PeerWithoutKeysError
            found[user] = account.certificate
        return found

    async def revocation_list(self) -> str:
        self._note("revocation_list")
        if self.server.revocation_list is None:
            raise NotFoundError
        return self.server.revocation_list

    async def handovers(self) -> list[str]:
        self._note("handovers")
        return list(self.server.handovers)

    async def policy(self, kind: PolicyKind) -> str:
        self._note("policy", kind)
        return self.server.policies.get(kind, "")

    async def install_policy(
        self, kind: PolicyKind, organisation_pem: str, policy: str, password: SecretText, *, replace: bool
    ) -> None:
        self._note("install_policy", kind)
        if password.reveal() != self.server.account(self.user).password:
            raise ForbiddenError
        if self.server.recovery.organisation not in ("", organisation_pem) and not replace:
            raise AlreadyExistsError
        self.server.recovery = RemoteRecovery(
            organisation_pem, self.server.recovery.policy, self.server.recovery.certificate
        )
        self.server.policies[kind] = policy

    async def recovery(self) -> RemoteRecovery:
        self._note("recovery")
        if not self.server.capabilities.recovery:
            raise NotFoundError
        return replace(self.server.recovery, uses=list(self.server.recovery_uses))

    async def recovery_use(self, use_id: str) -> str:
        self._note("recovery_use", use_id)
        if use_id not in self.server.recovery_uses:
            raise NotFoundError
        return self.server.recovery_uses[use_id]

    async def report_recovery_use(self, record: str, password: SecretText) -> None:
        self._note("report_recovery_use", "", record)
        if password.reveal() != self.server.account(self.user).password:
            raise ForbiddenError
        self.server.recovery_uses[json.loads(record)["body"]["id"]] = record

    async def install_recovery(
        self, organisation_pem: str, policy: str, csr_pem: str, password: SecretText, *, replace: bool
    ) -> None:
        self._note("install_recovery")
        if password.reveal() != self.server.account(self.user).password:
            raise ForbiddenError
        if self.server.recovery.organisation not in ("", organisation_pem) and not replace:
            raise AlreadyExistsError
        certificate = self.server.issue(csr_pem) if csr_pem else self.server.recovery.certificate
        self.server.recovery = RemoteRecovery(organisation_pem, policy, certificate)

    async def key_log(self, users: Sequence[UserId], *, known_size: int) -> KeyLogAnswer:
        self._note("key_log", ",".join(users))
        if self.server.key_log is None:
            raise NotFoundError
        return self.server.key_log.answer(users, known_size)

    async def register_certificate(self, csr_pem: str, *, link: str = "") -> str:
        self._note("register_certificate", "", csr_pem)
        account = self.server.link_keys[link] if link else self.server.account(self.user)
        if account.certificate is not None:
            raise KeysExistError
        account.certificate = self.server.issue(csr_pem)
        return account.certificate

    async def delete_certificate(self, password: SecretText) -> None:
        self._note("delete_certificate")
        account = self.server.account(self.user)
        if password.reveal() != account.password:
            raise ForbiddenError
        account.certificate = None

    async def private_key(self) -> str:
        self._note("private_key")
        wrapped = self.server.account(self.user).private_key
        if wrapped is None:
            raise NoKeysError
        return wrapped

    async def store_private_key(self, wrapped: str, *, link: str = "") -> None:
        self._note("store_private_key", "", wrapped)
        account = self.server.link_keys[link] if link else self.server.account(self.user)
        if account.private_key is not None:
            raise KeysExistError
        account.private_key = wrapped

    async def delete_app_password(self) -> None:
        self._note("delete_app_password")
        self.server.account(self.user).app_password_revoked = True

    # --- reading --------------------------------------------------------------------------------------

    async def list_folder(self, path: str, *, depth: int, with_metadata: bool = False) -> list[RemoteNode]:
        self._note("list_folder", path)
        server, tree = self.server, self.server.tree
        at, permissions = server.resolve(self.user, path)
        nodes = [self._node(path, tree.nodes[at], permissions, with_metadata)]
        if depth and tree.nodes[at].is_folder:
            base = path.rstrip("/")
            nodes.extend(
                self._node(f"{base}/{name}", tree.nodes[child], permissions, with_metadata)
                for name, child in tree.children[at].items()
            )
            if at == server.account(self.user).home:
                nodes.extend(
                    self._node(f"/{share.mount}", tree.nodes[share.file_id], share.permissions, with_metadata)
                    for share in server.mounts(self.user)
                )
        return nodes

    def _node(self, path: str, node: Node, permissions: int, with_metadata: bool) -> RemoteNode:
        tree = self.server.tree
        text, signature = tree.metadata.get(node.file_id, (None, None)) if with_metadata else (None, None)
        folder = node if node.is_folder else tree.nodes[node.parent]
        return RemoteNode(
            path=path,
            file_id=FileId(node.file_id),
            is_folder=node.is_folder,
            size_bytes=tree.size(node.file_id),
            etag=node.etag,
            mtime_seconds=node.mtime,
            is_encrypted=folder.encrypted,
            permissions="".join(
                letters
                for bit, letters in ((SHARE, "R"), (READ, "G"), (DELETE, "D"), (UPDATE, "NV"))
                if permissions & bit
            )
            + ("CK" if node.is_folder and permissions & CREATE else "")
            + ("W" if not node.is_folder and permissions & UPDATE else ""),
            owner_id=self.server.owner(node.file_id),
            metadata_text=text,
            metadata_signature=signature,
        )

    async def metadata(self, file_id: FileId) -> RawMetadata:
        self._note("metadata", str(file_id))
        self._need(file_id, READ)
        if file_id not in self.server.tree.metadata:
            raise NotFoundError
        return RawMetadata(*self.server.tree.metadata[file_id])

    async def membership_steps(self, file_id: FileId, *, after: Counter) -> list[RawMetadata]:
        self._note("membership_steps", f"{file_id} {after}")
        self._need(file_id, READ)
        steps = self.server.tree.steps.get(file_id, [])
        return [RawMetadata(text, signature) for counter, text, signature in steps if counter > after]

    async def get_many(self, folder: str, names: Sequence[str], sizes: Sequence[int]) -> list[bytes | None]:
        self._note("get_many", folder, json.dumps(list(names)))
        capabilities = self.server.capabilities
        if not capabilities.bodies_count_max:
            raise NotFoundError
        if not 0 < len(names) <= capabilities.bodies_count_max or len(set(names)) != len(names):
            raise BadRequestError
        self.server.resolve(self.user, folder)
        bodies: list[bytes | None] = []
        left = capabilities.bodies_bytes_max
        for name, size in zip(names, sizes, strict=True):
            try:
                body = self._file(f"{folder.rstrip('/')}/{name}").body
            except NotFoundError:
                bodies.append(None)
                continue
            bodies.append(body if len(body) <= left else None)
            left -= len(bodies[-1] or b"")
            if bodies[-1] is not None and len(body) != size:
                raise MalformedError
        return bodies

    async def get_bytes(self, path: str, *, size_max: int) -> bytes:
        self._note("get_bytes", path)
        body = self._file(path).body
        if len(body) > size_max:
            raise LimitExceededError
        return body

    async def get(self, path: str, *, size_expected: int) -> AsyncIterator[bytes]:
        self._note("get", path)
        body = self._file(path).body
        if len(body) != size_expected:
            raise MalformedError("the file has another length than it was listed with")
        for start in range(0, len(body), 2**20):
            yield body[start : start + 2**20]

    def _file(self, path: str) -> Node:
        at, permissions = self.server.resolve(self.user, path)
        node = self.server.tree.nodes[at]
        if node.is_folder or not permissions & READ:
            raise NotFoundError(path=path)
        return node

    def _need(self, file_id: int, bit: int, tree: Tree | None = None) -> None:
        tree = tree or self.server.tree
        permissions = self.server.permissions(self.user, file_id, tree) if file_id in tree.nodes else 0
        if not permissions:
            raise NotFoundError
        if not permissions & bit:
            raise ForbiddenError

    # --- locks and metadata ---------------------------------------------------------------------------

    async def mark_encrypted(self, file_id: FileId) -> None:
        self._note("mark_encrypted", str(file_id))
        lock = self.server.lock_over(file_id)
        nested = self.server.capabilities.nested_in_one_session
        if file_id not in self.server.tree.nodes and lock is not None and nested:
            lock.staged.change(file_id, encrypted=True)
            return
        self._need(file_id, UPDATE)
        if self.server.tree.children[file_id]:
            raise FolderNotEmptyError
        self.server.tree.change(file_id, encrypted=True)
        self.server.bump(self.server.tree, file_id)

    async def lock(self, file_id: FileId, counter: Counter, *, resume: LockToken | None = None) -> LockToken:
        self._note("lock", f"{file_id} {counter}")
        if counter < 1:
            raise BadRequestError
        self._need(file_id, UPDATE)
        wanted = resume.reveal() if resume is not None else None
        return LockToken(self.server.grant(self.user, file_id, counter, wanted))

    async def unlock(self, file_id: FileId, token: LockToken, *, abort: bool = False) -> None:
        self._note("unlock", f"{file_id} {'abort' if abort else 'commit'}")
        self.server.release(token.reveal(), file_id, abort=abort)

    def _staged(self, file_id: FileId, token: LockToken) -> Lock:
        lock = self.server.held(token.reveal(), file_id)
        if file_id not in lock.staged.nodes:
            raise NotFoundError
        return lock

    async def create_metadata(self, file_id: FileId, token: LockToken, text: str, signature: str) -> None:
        self._note("create_metadata", str(file_id), text, signature)
        lock = self._staged(file_id, token)
        if not signature:
            raise BadRequestError
        if file_id in lock.staged.metadata:
            raise AlreadyExistsError
        lock.staged.metadata[file_id] = (text, signature)
        lock.touched.add(file_id)
        lock.created.add(file_id)

    async def update_metadata(self, file_id: FileId, token: LockToken, text: str, signature: str) -> None:
        self._note("update_metadata", str(file_id), text, signature)
        lock = self._staged(file_id, token)
        if not signature:
            raise BadRequestError
        if file_id not in self.server.tree.metadata:
            raise NotFoundError
        lock.staged.metadata[file_id] = (text, signature)
        lock.touched.add(file_id)
        self.server.bump(lock.staged, file_id)

    async def delete_metadata(self, file_id: FileId, token: LockToken) -> None:
        self._note("delete_metadata", str(file_id))
        lock = self._staged(file_id, token)
        if lock.staged.metadata.pop(file_id, None) is None:
            raise NotFoundError
        lock.touched.add(file_id)

    # --- files ----------------------------------------------------------------------------------------

    def _target(self, path: str, token: LockToken | None, bit: int) -> tuple[Tree, int, str]:
        """(tree to change, id of the parent, name): staged under the right token, visible in a plain folder."""
        server = self.server
        parent_path, _, name = path.rpartition("/")
        tree = server.tree
        if token is not None and token.reveal() in server.locks:
            tree = server.locks[token.reveal()].staged
        parent, permissions = server.resolve(self.user, parent_path, tree)
        if not permissions & bit:
            raise ForbiddenError(path=path)
        if not name or not tree.nodes[parent].is_folder:
            raise BadRequestError(path=path)
        self._check_token(parent, tree, token, path)
        return tree, parent, name

    def _check_token(self, at: int, tree: Tree, token: LockToken | None, path: str) -> None:
        server = self.server
        inside = any(tree.nodes[node].encrypted for node in tree.ancestors(at))
        if inside and token is None:
            raise ForbiddenError(path=path)
        if inside:
            assert token is not None
            server.held(token.reveal(), at)
            if at not in server.tree.nodes and not server.capabilities.nested_in_one_session:
                raise NotFoundError(path=path)
        elif tree is not server.tree:
            raise BadRequestError("a token was sent for a plain folder", path=path)

    async def put(
        self, path: str, body: Body, *, token: LockToken | None, mtime_seconds: float | None = None
    ) -> PutResult:
        self._note("put", path)
        self._target(path, token, CREATE)
        self._check_quota(body.size_bytes)
        pieces = [bytes(piece) async for piece in body.chunks()]
        data = b"".join(pieces)
        if len(data) != body.size_bytes:
            raise BadRequestError("the body has another length than announced", path=path)
        return self._store(path, data, token, mtime_seconds)

    async def put_bytes(
        self, path: str, data: bytes, *, token: LockToken | None, mtime_seconds: float | None = None
    ) -> PutResult:
        self._note("put_bytes", path)
        self._check_quota(len(data))
        return self._store(path, data, token, mtime_seconds)

    def _check_quota(self, size: int) -> None:
        if self.server.used(self.user) + size > self.server.quota_bytes:
            raise QuotaExceededError

    def _store(self, path: str, data: bytes, token: LockToken | None, mtime: float | None) -> PutResult:
        server = self.server
        tree, parent, name = self._target(path, token, CREATE)
        server.received.append(data)
        etag, existing = server.etag(), tree.child(parent, name)
        when = mtime if mtime is not None else server.clock.now()
        if existing is None:
            existing = server.number()
            tree.add(Node(existing, parent, name, False, data, when, etag))
        elif tree.nodes[existing].is_folder:
            raise AlreadyExistsError(path=path)
        else:
            tree.change(existing, body=data, mtime=when, etag=etag)
        server.bump(tree, parent)
        return PutResult(FileId(existing), etag)

    async def make_folder(self, path: str, *, token: LockToken | None) -> FileId:
        self._note("make_folder", path)
        tree, parent, name = self._target(path, token, CREATE)
        if tree.child(parent, name) is not None:
            raise AlreadyExistsError(path=path)
        number, server = self.server.number(), self.server
        tree.add(Node(number, parent, name, True, b"", server.clock.now(), server.etag()))
        server.bump(tree, parent)
        return FileId(number)

    async def move(self, source: str, target: str, *, token: LockToken | None) -> None:
        self._note("move", f"{source} {target}")
        tree, parent, name = self._target(source, token, DELETE)
        at = tree.child(parent, name)
        if at is None:
            raise NotFoundError(path=source)
        target_tree, target_parent, target_name = self._target(target, token, CREATE)
        if target_tree.child(target_parent, target_name) is not None:
            raise AlreadyExistsError(path=target)
        if target_tree is not tree or at in tree.ancestors(target_parent):
            raise ForbiddenError(path=target)
        if self.server.lock_over(at) is not None and tree is self.server.tree:
            raise LockLostError
        tree.move(at, target_parent, target_name)
        self.server.bump(tree, parent)
        self.server.bump(tree, target_parent)

    async def delete(self, path: str, *, token: LockToken | None) -> None:
        self._note("delete", path)
        tree = self.server.tree
        if token is not None and token.reveal() in self.server.locks:
            tree = self.server.locks[token.reveal()].staged
        try:
            at, permissions = self.server.resolve(self.user, path, tree)
        except NotFoundError:
            return
        mounted = [share for share in self.server.mounts(self.user) if path.strip("/") == share.mount]
        if mounted:
            self.server.end_share(mounted[0].share_id)
            return
        if not permissions & DELETE:
            raise ForbiddenError(path=path)
        self._check_token(at, tree, token, path)
        parent = tree.nodes[at].parent
        tree.remove(at)
        self.server.bump(tree, parent)

    # --- shares ---------------------------------------------------------------------------------------

    async def create_link(
        self, path: str, *, permissions: int, password: SecretText | None, last_day: str, label: str
    ) -> RemoteShare:
        self._note("create_link", f"{path} {permissions}")
        at, _ = self.server.resolve(self.user, path)
        token = f"{self.server.number():020}"
        share = Share(str(self.server.number()), at, self.user, f"s:{token}", permissions, "", last_day)
        self.server.shares[share.share_id] = share
        self.server.link_keys[token] = Account("", 0)
        return replace(self._remote_share(share), label=label, has_password=password is not None)

    async def create_share(self, path: str, user: UserId, *, permissions: int, last_day: str = "") -> RemoteShare:
        self._note("create_share", f"{path} {user} {permissions}")
        at, _ = self.server.resolve(self.user, path)
        if self.server.owner(at) != self.user:
            raise ForbiddenError(path=path)
        if user not in self.server.users or user == self.user:
            raise NotFoundError(path=path)
        known = [share for share in self.server.shares.values() if (share.file_id, share.share_with) == (at, user)]
        if known:
            raise AlreadyExistsError(path=path)
        mount = self.server.mount_name(user, self.server.tree.nodes[at].name)
        share = Share(str(self.server.number()), at, self.user, user, permissions, mount, last_day)
        self.server.shares[share.share_id] = share
        return self._remote_share(share)

    def _remote_share(self, share: Share) -> RemoteShare:
        return RemoteShare(
            share.share_id,
            self.server.owner_path(share.file_id),
            UserId(share.owner),
            UserId(share.share_with),
            share.permissions,
            FileId(share.file_id),
            token=share.share_with.removeprefix("s:") if share.share_with.startswith("s:") else "",
            last_day=share.last_day,
        )

    async def list_shares(self, path: str | None) -> list[RemoteShare]:
        self._note("list_shares", path or "")
        wanted = None if path is None else self.server.resolve(self.user, path)[0]
        return [
            self._remote_share(share)
            for share in self.server.shares.values()
            if share.owner == self.user and wanted in {None, share.file_id} and share.file_id in self.server.tree.nodes
        ]

    async def delete_share(self, share_id: str) -> None:
        self._note("delete_share", share_id)
        share = self.server.shares.get(share_id)
        if share is None or self.user not in {share.owner, share.share_with}:
            raise NotFoundError
        self.server.end_share(share_id)

    async def close(self) -> None:
        self.closed = True

"""The simulated server keeps the rules of the protocol; otherwise the tests that build on it prove nothing."""

from collections.abc import AsyncIterator

import pytest

from candado.crypto.mnemonic import open_private_key
from candado.crypto.x509 import check_certificate, make_csr, parse_certificate
from candado.errors import (
    AlreadyExistsError,
    AuthRequiredError,
    BadRequestError,
    CandadoError,
    CounterConflictError,
    FolderNotEmptyError,
    ForbiddenError,
    KeysExistError,
    LimitExceededError,
    LockedError,
    LockLostError,
    MalformedError,
    NoKeysError,
    NotFoundError,
    PeerWithoutKeysError,
    QuotaExceededError,
    TransportError,
)
from candado.ports.ambient import Clock, Random
from candado.ports.client import Remote
from candado.types import Counter, FileId, LockToken, SecretText, UserId
from tests.sim import Canaries, FakeClock, SeededRandom, SimRemote, World, rsa_key, stock

ONE = Counter(1)


class Pieces:
    """A body of two pieces."""

    def __init__(self, *pieces: bytes, size: int | None = None) -> None:
        self.pieces = pieces
        self.size_bytes = sum(map(len, pieces)) if size is None else size

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        for piece in self.pieces:
            yield memoryview(piece)


@pytest.fixture
def world() -> World:
    return World()


async def encrypted_root(world: World, path: str = "/docs") -> tuple[SimRemote, FileId]:
    alice = world.remote("alice")
    root = await alice.make_folder(path, token=None)
    await alice.mark_encrypted(root)
    token = await alice.lock(root, ONE)
    await alice.create_metadata(root, token, "one", "signature")
    await alice.unlock(root, token)
    return alice, root


async def names(remote: SimRemote, path: str) -> set[str]:
    return {node.path for node in (await remote.list_folder(path, depth=1))[1:]}


def test_everything_has_the_type_of_its_port(world: World) -> None:
    remotes: list[Remote] = [world.remote("alice"), world.hostile("alice").port]
    clock: Clock = FakeClock()
    randomness: Random = SeededRandom()
    assert len(remotes) == 2
    assert clock.now() > randomness.token(4)[0]


# --- accounts ---------------------------------------------------------------------------------------------


async def test_keys_are_registered_once_and_read_back() -> None:
    world = World("alice")
    world.server.add_user("carol")
    carol = world.remote("carol")
    with pytest.raises(NoKeysError):
        await carol.certificates([UserId("carol")])
    with pytest.raises(PeerWithoutKeysError):
        await world.remote("alice").certificates([UserId("carol")])
    with pytest.raises(NoKeysError):
        await carol.private_key()
    pem = await carol.register_certificate(make_csr(rsa_key("carol"), "carol"))
    authority = world.server.authority.public
    assert await carol.server_key() == authority.to_pem()
    certificate = parse_certificate(pem)
    assert check_certificate(certificate, user_id=UserId("carol"), authority=authority, now=world.clock.now()) == []
    assert await carol.certificates([UserId("carol")]) == {"carol": pem}
    with pytest.raises(KeysExistError):
        await carol.register_certificate(make_csr(rsa_key("carol"), "carol"))
    await carol.store_private_key("a|b|c")
    assert await carol.private_key() == "a|b|c"
    with pytest.raises(KeysExistError):
        await carol.store_private_key("d|e|f")
    with pytest.raises(ForbiddenError):
        await carol.delete_certificate(SecretText("wrong"))
    await carol.delete_certificate(SecretText("login-password"))
    with pytest.raises(NoKeysError):
        await carol.certificates([UserId("carol")])


async def test_a_wrapped_key_opens_with_its_words(world: World) -> None:
    words = world.wrap_key("alice")
    opened = open_private_key(await world.remote("alice").private_key(), words)
    assert opened.key.public == world.identity("alice").key.public


async def test_a_wrong_or_revoked_password_ends_access(world: World) -> None:
    with pytest.raises(AuthRequiredError):
        await world.remote("alice", "wrong").user_info()
    alice = world.remote("alice")
    info = await alice.user_info()
    assert (info.user_id, info.display_name, info.used_bytes) == ("alice", "Alice", 0)
    await alice.delete_app_password()
    with pytest.raises(AuthRequiredError):
        await alice.user_info()
    await alice.close()
    assert alice.closed


# --- locks and staging ------------------------------------------------------------------------------------


async def test_what_is_written_under_a_lock_becomes_visible_at_the_unlock_all_at_once(world: World) -> None:
    alice, root = await encrypted_root(world)
    before = (await alice.list_folder("/docs", depth=0))[0].etag
    token = await alice.lock(root, Counter(2))
    file_id = (await alice.put_bytes("/docs/aa", b"one", token=token, mtime_seconds=5.0)).file_id
    await alice.put("/docs/bb", Pieces(b"tw", b"o"), token=token)
    sub = await alice.make_folder("/docs/cc", token=token)
    await alice.mark_encrypted(sub)
    await alice.create_metadata(sub, token, "nested", "signature")
    await alice.put_bytes("/docs/cc/dd", b"deep", token=token)
    await alice.update_metadata(root, token, "two", "signature 2")
    assert await names(alice, "/docs") == set()
    assert (await alice.metadata(root)).text == "one"
    with pytest.raises(NotFoundError):
        await alice.metadata(sub)
    await alice.unlock(root, token)
    assert await names(alice, "/docs") == {"/docs/aa", "/docs/bb", "/docs/cc"}
    assert (await alice.metadata(root)).text == "two"
    assert (await alice.metadata(sub)).signature == "signature"
    assert await alice.get_bytes("/docs/cc/dd", size_max=10) == b"deep"
    listed = {node.path: node for node in await alice.list_folder("/docs", depth=1, with_metadata=True)}
    assert listed["/docs"].etag != before
    assert (listed["/docs/aa"].file_id, listed["/docs/aa"].mtime_seconds) == (file_id, 5.0)
    assert (listed["/docs/cc"].metadata_text, listed["/docs/cc"].is_encrypted) == ("nested", True)
    assert listed["/docs"].size_bytes == 10


@pytest.mark.parametrize("end", ["abort", "expiry"])
async def test_an_abort_or_an_expiry_rolls_everything_back(world: World, end: str) -> None:
    alice, root = await encrypted_root(world)
    before = await alice.list_folder("/", depth=1, with_metadata=True)
    token = await alice.lock(root, Counter(2))
    await alice.put_bytes("/docs/aa", b"one", token=token)
    await alice.update_metadata(root, token, "two", "signature")
    if end == "abort":
        await alice.unlock(root, token, abort=True)
    else:
        world.clock.advance(901.0)
    with pytest.raises(LockLostError):
        await alice.put_bytes("/docs/bb", b"late", token=token)
    with pytest.raises(LockLostError):
        await alice.unlock(root, token)
    assert await alice.list_folder("/", depth=1, with_metadata=True) == before


async def test_a_lock_covers_everything_below_and_knows_its_token(world: World) -> None:
    alice, root = await encrypted_root(world)
    token = await alice.lock(root, Counter(2))
    assert await alice.lock(root, ONE, resume=token) == token
    for resume in (None, LockToken("other")):
        with pytest.raises(LockedError):
            await alice.lock(root, Counter(3), resume=resume)
    sub = await alice.make_folder("/docs/cc", token=token)
    await alice.mark_encrypted(sub)
    await alice.create_metadata(sub, token, "nested", "s")
    await alice.update_metadata(root, token, "two", "s")
    await alice.unlock(root, token)
    inner = await alice.lock(sub, ONE)
    with pytest.raises(LockedError):
        await alice.lock(root, Counter(9))
    with pytest.raises(LockLostError):
        await alice.put_bytes("/docs/xx", b"", token=inner)
    with pytest.raises(ForbiddenError):
        await alice.put_bytes("/docs/xx", b"", token=None)
    await alice.unlock(sub, inner)


async def test_the_counter_is_compared_and_kept(world: World) -> None:
    alice, root = await encrypted_root(world)
    with pytest.raises(BadRequestError):
        await alice.lock(root, Counter(0))
    with pytest.raises(CounterConflictError):
        await alice.lock(root, ONE)
    token = await alice.lock(root, Counter(7))
    await alice.unlock(root, token, abort=True)
    token = await alice.lock(root, Counter(2))
    await alice.update_metadata(root, token, "two", "s")
    await alice.unlock(root, token)
    with pytest.raises(CounterConflictError):
        await alice.lock(root, Counter(2))


async def test_metadata_is_created_once_then_updated_and_deleted_at_the_unlock(world: World) -> None:
    alice, root = await encrypted_root(world)
    token = await alice.lock(root, Counter(2))
    with pytest.raises(AlreadyExistsError):
        await alice.create_metadata(root, token, "x", "s")
    with pytest.raises(BadRequestError):
        await alice.update_metadata(root, token, "x", "")
    sub = await alice.make_folder("/docs/cc", token=token)
    with pytest.raises(BadRequestError):
        await alice.create_metadata(sub, token, "x", "")
    with pytest.raises(NotFoundError):
        await alice.update_metadata(sub, token, "x", "s")
    with pytest.raises(NotFoundError):
        await alice.delete_metadata(sub, token)
    with pytest.raises(LockLostError):
        await alice.create_metadata(FileId(9999), token, "x", "s")
    await alice.delete_metadata(root, token)
    assert (await alice.metadata(root)).text == "one"
    await alice.unlock(root, token)
    with pytest.raises(NotFoundError):
        await alice.metadata(root)


async def test_only_an_empty_folder_can_be_marked_and_only_a_marked_one_locked(world: World) -> None:
    alice = world.remote("alice")
    plain = await alice.make_folder("/plain", token=None)
    with pytest.raises(ForbiddenError):
        await alice.lock(plain, ONE)
    await alice.put_bytes("/plain/a", b"x", token=None)
    with pytest.raises(FolderNotEmptyError):
        await alice.mark_encrypted(plain)
    with pytest.raises(NotFoundError):
        await alice.mark_encrypted(FileId(9999))
    with pytest.raises(NotFoundError):
        await alice.metadata(plain)


async def test_a_stock_server_does_not_let_a_new_folder_be_written_into(world: World) -> None:
    alice, root = await encrypted_root(world)
    world.server.capabilities = stock()
    assert (await alice.capabilities()).candado_version == 0
    token = await alice.lock(root, Counter(2))
    sub = await alice.make_folder("/docs/cc", token=token)
    with pytest.raises(NotFoundError):
        await alice.put_bytes("/docs/cc/dd", b"deep", token=token)
    with pytest.raises(NotFoundError):
        await alice.mark_encrypted(sub)
    await alice.create_metadata(sub, token, "nested", "s")
    await alice.update_metadata(root, token, "two", "s")
    await alice.unlock(root, token)
    await alice.mark_encrypted(sub)


async def test_a_stock_server_leaves_files_hidden_in_folders_whose_metadata_was_not_written(world: World) -> None:
    alice, root = await encrypted_root(world)
    world.server.capabilities = stock()
    token = await alice.lock(root, Counter(2))
    await alice.put_bytes("/docs/aa", b"one", token=token)
    await alice.unlock(root, token)
    assert await names(alice, "/docs") == set()


# --- files ------------------------------------------------------------------------------------------------


async def test_plain_files_are_written_moved_read_and_removed_without_a_token(world: World) -> None:
    alice = world.remote("alice")
    await alice.make_folder("/a", token=None)
    await alice.make_folder("/b", token=None)
    first = await alice.put_bytes("/a/x", b"one", token=None)
    second = await alice.put_bytes("/a/x", b"two!", token=None)
    assert (first.file_id, first.etag != second.etag) == (second.file_id, True)
    await alice.move("/a/x", "/b/y", token=None)
    assert [piece async for piece in alice.get("/b/y", size_expected=4)] == [b"two!"]
    with pytest.raises(MalformedError):
        _ = [piece async for piece in alice.get("/b/y", size_expected=5)]
    with pytest.raises(LimitExceededError):
        await alice.get_bytes("/b/y", size_max=3)
    for call, error in (
        (alice.move("/a/none", "/b/z", token=None), NotFoundError),
        (alice.move("/b/y", "/a", token=None), AlreadyExistsError),
        (alice.move("/b", "/b/c", token=None), ForbiddenError),
        (alice.make_folder("/a", token=None), AlreadyExistsError),
        (alice.make_folder("/", token=None), BadRequestError),
        (alice.make_folder("/b/y/z", token=None), BadRequestError),
        (alice.put_bytes("/a", b"", token=None), AlreadyExistsError),
        (alice.get_bytes("/a", size_max=9), NotFoundError),
        (alice.list_folder("/none", depth=1), NotFoundError),
        (alice.put("/a/q", Pieces(b"abc", size=4), token=None), BadRequestError),
    ):
        with pytest.raises(error):
            await call
    await alice.delete("/b", token=None)
    await alice.delete("/b", token=None)
    assert await names(alice, "/") == {"/a"}


async def test_inside_an_encrypted_folder_moves_and_removals_are_staged(world: World) -> None:
    alice, root = await encrypted_root(world)
    await alice.make_folder("/plain", token=None)
    token = await alice.lock(root, Counter(2))
    await alice.put_bytes("/docs/aa", b"one", token=token)
    await alice.put_bytes("/docs/bb", b"two", token=token)
    await alice.update_metadata(root, token, "two", "s")
    await alice.unlock(root, token)
    token = await alice.lock(root, Counter(3))
    await alice.move("/docs/aa", "/docs/cc", token=token)
    await alice.delete("/docs/bb", token=token)
    assert await names(alice, "/docs") == {"/docs/aa", "/docs/bb"}
    with pytest.raises(CandadoError):
        await alice.move("/docs/cc", "/plain/cc", token=token)
    with pytest.raises(BadRequestError):
        await alice.put_bytes("/plain/zz", b"", token=token)
    with pytest.raises(ForbiddenError):
        await alice.delete("/docs/aa", token=None)
    with pytest.raises(LockLostError):
        await alice.move("/docs", "/renamed", token=None)
    await alice.update_metadata(root, token, "three", "s")
    await alice.unlock(root, token)
    assert await names(alice, "/docs") == {"/docs/cc"}
    await alice.move("/docs", "/renamed", token=None)
    token = await alice.lock(root, Counter(4))
    await alice.delete("/renamed", token=token)
    assert await names(alice, "/") == {"/plain", "/renamed"}
    await alice.unlock(root, token)
    assert await names(alice, "/") == {"/plain"}


async def test_the_quota_is_kept(world: World) -> None:
    world.server.quota_bytes = 3
    alice = world.remote("alice")
    await alice.put_bytes("/a", b"12", token=None)
    with pytest.raises(QuotaExceededError):
        await alice.put_bytes("/b", b"12", token=None)
    with pytest.raises(QuotaExceededError):
        await alice.put("/b", Pieces(b"12"), token=None)


# --- shares -----------------------------------------------------------------------------------------------


async def test_a_share_shows_the_folder_to_the_other_user_with_its_rights(world: World) -> None:
    alice, root = await encrypted_root(world)
    bob = world.remote("bob")
    await bob.make_folder("/docs", token=None)
    with pytest.raises(NotFoundError):
        await bob.metadata(root)
    share = await alice.create_share("/docs", UserId("bob"), permissions=1)
    assert await names(bob, "/") == {"/docs", "/docs (2)"}
    mounted = next(node for node in await bob.list_folder("/", depth=1) if node.path == "/docs (2)")
    assert (mounted.file_id, mounted.owner_id, mounted.permissions) == (root, "alice", "G")
    assert (await bob.metadata(root)).text == "one"
    with pytest.raises(ForbiddenError):
        await bob.lock(root, Counter(2))
    assert await alice.list_shares("/docs") == await alice.list_shares(None) == [share]
    for call, error in (
        (alice.create_share("/docs", UserId("bob"), permissions=31), AlreadyExistsError),
        (alice.create_share("/docs", UserId("nobody"), permissions=31), NotFoundError),
        (bob.create_share("/docs (2)", UserId("alice"), permissions=31), ForbiddenError),
        (alice.delete_share("none"), NotFoundError),
    ):
        with pytest.raises(error):
            await call
    await alice.delete_share(share.share_id)
    assert await names(bob, "/") == {"/docs"}
    await alice.create_share("/docs", UserId("bob"), permissions=31)
    token = await bob.lock(root, Counter(2))
    await bob.put_bytes("/docs (2)/aa", b"from bob", token=token)
    await bob.update_metadata(root, token, "two", "s")
    await bob.unlock(root, token)
    assert await alice.get_bytes("/docs/aa", size_max=99) == b"from bob"


async def test_a_drop_is_merged_by_re_encoding_the_document(world: World) -> None:
    alice, root = await encrypted_root(world)
    world.server.tree.metadata[root] = ('{"a": "b/c"}', "s")
    world.server.add_drop(root, {"dd": {"x": 1}}, {"dd": b"body"})
    raw = await alice.metadata(root)
    assert raw.text == '{"a": "b\\/c", "filedrop": {"dd": {"x": 1}}}'
    assert await alice.get_bytes("/docs/dd", size_max=9) == b"body"


# --- power of the test over the server ----------------------------------------------------------------------


async def test_a_snapshot_brings_everything_back(world: World) -> None:
    alice, root = await encrypted_root(world)
    token = await alice.lock(root, Counter(2))
    before = world.server.snapshot()
    await alice.put_bytes("/docs/aa", b"one", token=token)
    await alice.update_metadata(root, token, "two", "s")
    await alice.unlock(root, token)
    world.server.restore(before)
    assert await names(alice, "/docs") == set()
    await alice.unlock(root, token)
    assert await names(alice, "/docs") == set()
    assert world.server.at("alice", "/docs").encrypted


async def test_every_request_is_counted_and_every_byte_remembered(world: World) -> None:
    canaries = Canaries()
    body = canaries.text("body").encode()
    alice = world.remote("alice")
    await alice.put_bytes("/" + canaries.text("name"), b"xx" + body, token=None)
    key = canaries.secret("key", bytes(range(1, 17)))
    canaries.text("never sent")
    await alice.put_bytes("/hex", key.hex().encode(), token=None)
    assert canaries.found_in(world.server.received) == {"body", "name", "key"}
    assert (alice.requests, [request.method for request in world.server.requests_of("put_bytes")]) == (
        2,
        ["put_bytes"] * 2,
    )


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_a_canary_is_found_inside_base64_at_any_offset(shift: int) -> None:
    import base64

    canaries = Canaries()
    secret = canaries.secret("key", bytes(range(100, 116)))
    assert canaries.found_in([base64.b64encode(b"z" * shift + secret + b"tail")]) == {"key"}
    assert canaries.found_in([base64.b64encode(b"z" * 40)]) == set()


async def test_the_same_seed_gives_the_same_run() -> None:
    first, second = World("alice", seed=7), World("alice", seed=7)
    for world in (first, second):
        await encrypted_root(world)
    assert first.server.at("alice", "/docs") == second.server.at("alice", "/docs")
    assert SeededRandom(1).token(40) != SeededRandom(2).token(40)


async def test_a_fake_clock_never_waits() -> None:
    clock = FakeClock(100.0)
    await clock.sleep(3600.0)
    assert (clock.now(), clock.monotonic(), clock.sleeps) == (3700.0, 3600.0, [3600.0])


# --- lies -------------------------------------------------------------------------------------------------


async def test_each_lie_is_told_and_taken_back(world: World) -> None:
    alice, root = await encrypted_root(world)
    liar = world.hostile("alice")
    old = liar.remember(root)
    token = await alice.lock(root, Counter(2))
    await alice.update_metadata(root, token, "two", "signature 2")
    await alice.unlock(root, token)
    other_remote, other = await encrypted_root(world, "/other")
    assert other_remote.user == "alice"

    liar.replay(root, old)
    assert (await liar.metadata(root)).text == "one"
    listed = await liar.list_folder("/docs", depth=0, with_metadata=True)
    assert listed[0].metadata_text == "one"
    liar.honest()
    liar.swap(root, other)
    assert ((await liar.metadata(root)).text, (await liar.metadata(other)).text) == ("one", "two")
    liar.honest()
    liar.drop_signature(root)
    assert ((await liar.metadata(root)).signature, (await liar.metadata(other)).signature) == (None, "signature")
    liar.honest()
    liar.drop_signature()
    assert (await liar.metadata(other)).signature is None
    liar.honest()
    liar.vanish(root)
    with pytest.raises(NotFoundError):
        await liar.metadata(root)
    with pytest.raises(NotFoundError):
        await liar.list_folder("/docs", depth=0)
    liar.honest()
    liar.replace("server_key", lambda pem: pem.lower())
    assert (await liar.server_key()).startswith("-----begin")
    liar.honest()
    assert (await liar.metadata(root)).text == "two"


async def test_failures_and_cuts_happen_before_or_after_the_effect(world: World) -> None:
    liar = world.hostile("alice")
    liar.fail("make_folder", QuotaExceededError(), times=2)
    for _ in range(2):
        with pytest.raises(QuotaExceededError):
            await liar.make_folder("/a", token=None)
    liar.cut("make_folder")
    with pytest.raises(TransportError):
        await liar.make_folder("/a", token=None)
    assert await names(liar.remote, "/") == set()
    liar.cut("make_folder", after=True)
    with pytest.raises(TransportError):
        await liar.make_folder("/a", token=None)
    assert await names(liar.remote, "/") == {"/a"}
    assert liar.requests == 3


async def test_downloads_can_be_cut_and_altered(world: World) -> None:
    liar = world.hostile("alice")
    await liar.put_bytes("/a", b"abc", token=None)
    liar.cut("get")
    with pytest.raises(TransportError):
        _ = [piece async for piece in liar.get("/a", size_expected=3)]
    liar.cut("get", after=True)
    stream = liar.get("/a", size_expected=3)
    assert await anext(stream) == b"abc"
    with pytest.raises(TransportError):
        await anext(stream)
    liar.replace("get", bytes.upper)
    assert [piece async for piece in liar.get("/a", size_expected=3)] == [b"ABC"]


@pytest.mark.parametrize("method", ["put_bytes", "update_metadata", "unlock"])
async def test_an_acknowledged_write_can_be_dropped(world: World, method: str) -> None:
    _alice, root = await encrypted_root(world)
    liar = world.hostile("alice")
    liar.lie_store(method)
    token = await liar.lock(root, Counter(2))
    await liar.put_bytes("/docs/aa", b"one", token=token)
    await liar.update_metadata(root, token, "two", "s")
    await liar.unlock(root, token)
    stored = {
        "put_bytes": (set(), "two"),
        "update_metadata": ({"/docs/aa"}, "one"),
        "unlock": (set(), "one"),
    }
    assert (await names(liar.remote, "/docs"), (await liar.metadata(root)).text) == stored[method]
    assert world.server.locks == {}


async def test_locks_can_be_granted_to_anybody(world: World) -> None:
    alice, root = await encrypted_root(world)
    liar = world.hostile("alice")
    held = await alice.lock(root, Counter(2))
    liar.grant_any_lock()
    assert await liar.lock(root, ONE) != held

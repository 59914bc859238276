"""The contract of Remote: the simulated cloud and the real server over HTTP must answer alike."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.e2e.cli_world import PASSWORD, Cloud, running_cloud
from tests.sim import World
from tests.sim.world import rsa_key

from candado.adapters.ambient import SystemClock, SystemRandom
from candado.adapters.http import HttpRemote
from candado.adapters.http_settings import HttpSettings
from candado.crypto.x509 import make_csr, parse_certificate
from candado.errors import (
    AlreadyExistsError,
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
)
from candado.ports.client import RawMetadata, Remote, RemoteRecovery
from candado.types import Counter, FileId, LockToken, SecretText, UserId


@dataclass
class People:
    """Three accounts on one server: alice and bob have certificates, carol has nothing."""

    alice: Remote
    bob: Remote
    carol: Remote


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def accounts(cloud: Cloud) -> list[UserId]:
    """Three accounts on the real server, made once; each test finds alice's home empty."""
    return [UserId(cloud.user(name)) for name in ("alice", "bob", "carol")]


@pytest.fixture(params=["simulated", "real"])
async def people(request: pytest.FixtureRequest) -> AsyncIterator[People]:
    if request.param == "simulated":
        world = World("alice", "bob")
        world.server.add_user("carol")
        yield People(world.remote("alice"), world.remote("bob"), world.remote("carol"))
        return
    cloud: Cloud = request.getfixturevalue("cloud")
    opened = [_real(cloud, user) for user in request.getfixturevalue("accounts")]
    made = People(*opened)
    for remote, name in ((made.alice, "alice"), (made.bob, "bob")):
        with contextlib.suppress(KeysExistError):
            await remote.register_certificate(make_csr(rsa_key(name), name))
    yield made
    for share in await made.alice.list_shares(None):
        await made.alice.delete_share(share.share_id)
    for node in (await made.alice.list_folder("/", depth=1))[1:]:
        token = await made.alice.lock(node.file_id, Counter(1000)) if node.is_encrypted else None
        await made.alice.delete(node.path, token=token)
        if token is not None:
            await made.alice.unlock(node.file_id, token)
    for one in opened:
        await one.close()


def _real(cloud: Cloud, user: UserId) -> HttpRemote:
    settings = HttpSettings(chunk_threshold_bytes=300_000, chunk_bytes=100_000)
    password = SecretText(f"{PASSWORD} {user}")
    return HttpRemote(cloud.url, user, user, password, clock=SystemClock(), random=SystemRandom(), settings=settings)


async def ids(people: People) -> tuple[UserId, UserId, UserId]:
    infos = [await remote.user_info() for remote in (people.alice, people.bob, people.carol)]
    return infos[0].user_id, infos[1].user_id, infos[2].user_id


async def refused(error: type[CandadoError], act: Awaitable[object]) -> None:
    with pytest.raises(error):
        await act


async def marked(remote: Remote, path: str) -> FileId:
    file_id = await remote.make_folder(path, token=None)
    await remote.mark_encrypted(file_id)
    return file_id


async def encrypted(remote: Remote, path: str) -> FileId:
    """A marked folder with its first metadata, counter 1."""
    file_id = await marked(remote, path)
    token = await remote.lock(file_id, Counter(1))
    await remote.create_metadata(file_id, token, '{"state":1}', "c2lnMQ==")
    await remote.unlock(file_id, token)
    return file_id


async def names(remote: Remote, path: str) -> list[str]:
    return sorted(node.path for node in await remote.list_folder(path, depth=1))[1:]


async def test_the_server_says_who_we_are_and_what_it_can(people: People) -> None:
    capabilities = await people.alice.capabilities()
    assert (capabilities.e2ee_enabled, capabilities.candado_version >= 1) == (True, True)
    assert (capabilities.nested_in_one_session, capabilities.staged_chunks) == (True, True)
    assert (await people.alice.server_key()).startswith("-----BEGIN PUBLIC KEY-----")


async def test_a_server_without_a_recovery_key_says_so(people: People) -> None:
    if (await people.alice.capabilities()).recovery:
        assert await people.alice.recovery() == RemoteRecovery("", "", "", [])
    else:
        await refused(NotFoundError, people.alice.recovery())
    await refused(NotFoundError, people.alice.recovery_use("ab" * 16))


async def test_certificates_are_registered_once_and_found_by_user(people: People) -> None:
    alice, bob, carol = await ids(people)
    found = await people.alice.certificates([alice, bob])
    assert {user: parse_certificate(pem).common_name for user, pem in found.items() if user != carol} == {
        alice: alice,
        bob: bob,
    }
    await refused(PeerWithoutKeysError, people.alice.certificates([carol]))
    await refused(NoKeysError, people.carol.certificates([carol]))
    await refused(KeysExistError, people.alice.register_certificate(make_csr(rsa_key("other"), alice)))


async def test_a_wrapped_private_key_is_stored_once(people: People) -> None:
    await refused(NoKeysError, people.alice.private_key())
    wrapped = (
        "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=|MTIzNDU2Nzg5MDEy|MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MA=="
    )
    await people.alice.store_private_key(wrapped)
    assert await people.alice.private_key() == wrapped
    await refused(KeysExistError, people.alice.store_private_key(wrapped))


async def test_plain_files_and_folders_come_and_go(people: People) -> None:
    remote = people.alice
    folder = await remote.make_folder("/Plain docs", token=None)
    await refused(AlreadyExistsError, remote.make_folder("/Plain docs", token=None))
    await refused(NotFoundError, remote.make_folder("/none/x", token=None))
    stored = await remote.put_bytes("/Plain docs/ä b.txt", b"hello", token=None, mtime_seconds=1_700_000_000)
    (top, node) = await remote.list_folder("/Plain docs", depth=1)
    assert (top.path, top.file_id, top.is_folder, top.is_encrypted) == ("/Plain docs", folder, True, False)
    assert (node.path, node.file_id, node.size_bytes, node.mtime_seconds) == (
        "/Plain docs/ä b.txt",
        stored.file_id,
        5,
        1.7e9,
    )
    assert node.etag == stored.etag
    assert await remote.get_bytes("/Plain docs/ä b.txt", size_max=5) == b"hello"
    await refused(LimitExceededError, remote.get_bytes("/Plain docs/ä b.txt", size_max=4))
    await remote.put_bytes("/Plain docs/other", b"x", token=None)
    await refused(AlreadyExistsError, remote.move("/Plain docs/other", "/Plain docs/ä b.txt", token=None))
    await refused(NotFoundError, remote.move("/Plain docs/none", "/Plain docs/new", token=None))
    await remote.move("/Plain docs/other", "/Plain docs/new", token=None)
    await refused(FolderNotEmptyError, remote.mark_encrypted(folder))
    assert await names(remote, "/Plain docs") == ["/Plain docs/new", "/Plain docs/ä b.txt"]
    await remote.delete("/Plain docs", token=None)
    await remote.delete("/Plain docs", token=None)
    await refused(NotFoundError, remote.list_folder("/Plain docs", depth=1))


async def test_small_files_of_a_folder_come_in_one_answer(people: People) -> None:
    remote = people.alice
    capabilities = await remote.capabilities()
    assert (capabilities.bodies_count_max, capabilities.bodies_bytes_max) == (100, 1 << 20)
    await remote.make_folder("/F ö", token=None)
    await remote.make_folder("/F ö/folder", token=None)
    for name, body in {"a b": b"1", "ü": b"", "big": bytes(1 << 20)}.items():
        await remote.put_bytes(f"/F ö/{name}", body, token=None)
    wanted = {"ü": 0, "none": 5, "a b": 1, "folder": 0}
    assert await remote.get_many("/F ö", list(wanted), list(wanted.values())) == [b"", None, b"1", None]
    # What does not fit into one answer is left out, wherever it stands.
    assert await remote.get_many("/F ö", ["a b", "big", "ü"], [1, 1 << 20, 0]) == [b"1", None, b""]
    assert await remote.get_many("/F ö", ["big"], [1 << 20]) == [bytes(1 << 20)]
    assert await remote.get_many("/", ["F ö"], [0]) == [None]
    await refused(MalformedError, remote.get_many("/F ö", ["a b"], [2]))
    await refused(NotFoundError, remote.get_many("/none", ["a b"], [1]))
    await refused(BadRequestError, remote.get_many("/F ö", [], []))
    await refused(BadRequestError, remote.get_many("/F ö", ["a b", "a b"], [1, 1]))
    await refused(BadRequestError, remote.get_many("/F ö", [str(n) for n in range(101)], [0] * 101))
    await refused(NotFoundError, people.bob.get_many("/F ö", ["a b"], [1]))


async def test_a_member_gets_many_bodies_of_a_received_share(people: People) -> None:
    _, bob, _ = await ids(people)
    root = await encrypted(people.alice, "/S")
    token = await people.alice.lock(root, Counter(2))
    await people.alice.put_bytes("/S/staged", b"xyz", token=token)
    await people.alice.create_share("/S", bob, permissions=1)
    assert await people.alice.get_many("/S", ["staged"], [3]) == [None]
    await people.alice.unlock(root, token)
    assert await people.bob.get_many("/S", ["staged"], [3]) == [b"xyz"]


class Block:
    """A body of many pieces."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        for start in range(0, len(self._data), 30_001):
            yield self._data[start : start + 30_001]


@pytest.mark.parametrize("size", [0, 1, 100_000, 300_000, 300_001, 1_234_567])
async def test_bodies_of_all_sizes_arrive_in_one_piece_or_in_chunks(people: People, size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    result = await people.alice.put("/body", Block(data), token=None, mtime_seconds=5)
    (node,) = await people.alice.list_folder("/body", depth=0)
    assert (node.size_bytes, node.etag, node.file_id) == (size, result.etag, result.file_id)
    got = b"".join([bytes(piece) async for piece in people.alice.get("/body", size_expected=size)])
    assert got == data
    with pytest.raises(MalformedError):
        assert [piece async for piece in people.alice.get("/body", size_expected=size + 1)]


async def test_what_is_written_under_a_lock_is_visible_only_after_the_unlock(people: People) -> None:
    remote = people.alice
    root = await encrypted(remote, "/S")
    token = await remote.lock(root, Counter(2))
    await remote.put_bytes("/S/0123", b"body", token=token)
    await remote.put("/S/4567", Block(b"z" * 400_000), token=token)
    assert await names(remote, "/S") == []
    await remote.update_metadata(root, token, '{"state":2}', "c2lnMg==")
    assert (await remote.metadata(root)).text == '{"state":1}'
    await remote.unlock(root, token)
    assert await names(remote, "/S") == ["/S/0123", "/S/4567"]
    raw = await remote.metadata(root)
    assert (raw.text, raw.signature) == ('{"state":2}', "c2lnMg==")
    (top, *_) = await remote.list_folder("/S", depth=1, with_metadata=True)
    assert (top.metadata_text, top.metadata_signature, top.is_encrypted) == ('{"state":2}', "c2lnMg==", True)


async def test_an_abort_undoes_everything(people: People) -> None:
    remote = people.alice
    root = await encrypted(remote, "/S")
    token = await remote.lock(root, Counter(2))
    await remote.put_bytes("/S/keep", b"1", token=token)
    await remote.update_metadata(root, token, '{"state":2}', "c2lnMg==")
    await remote.unlock(root, token)
    token = await remote.lock(root, Counter(3))
    await remote.put_bytes("/S/keep", b"22", token=token)
    await remote.put_bytes("/S/new", b"3", token=token)
    await remote.update_metadata(root, token, '{"state":3}', "c2lnMw==")
    await remote.unlock(root, token, abort=True)
    assert await names(remote, "/S") == ["/S/keep"]
    assert await remote.get_bytes("/S/keep", size_max=9) == b"1"
    assert (await remote.metadata(root)).text == '{"state":2}'


async def test_a_lock_keeps_everybody_else_out(people: People) -> None:
    remote = people.alice
    root = await encrypted(remote, "/S")
    await refused(CounterConflictError, remote.lock(root, Counter(1)))
    token = await remote.lock(root, Counter(2))
    await refused(LockedError, remote.lock(root, Counter(3)))
    assert await remote.lock(root, Counter(2), resume=token) == token
    wrong = LockToken("x" * 64)
    await refused(LockLostError, remote.put_bytes("/S/a", b"x", token=wrong))
    await refused(ForbiddenError, remote.put_bytes("/S/a", b"x", token=None))
    await refused(LockLostError, remote.update_metadata(root, wrong, "{}", "c2ln"))
    await refused(LockLostError, remote.unlock(root, wrong))
    await remote.unlock(root, token)
    await refused(LockLostError, remote.unlock(root, token))
    await refused(LockLostError, remote.put_bytes("/S/a", b"x", token=token))


async def test_metadata_is_created_once_and_updated_after(people: People) -> None:
    remote = people.alice
    root = await marked(remote, "/S")
    await refused(NotFoundError, remote.metadata(root))
    token = await remote.lock(root, Counter(1))
    await refused(NotFoundError, remote.update_metadata(root, token, "{}", "c2ln"))
    await remote.create_metadata(root, token, "{}", "c2ln")
    await refused(AlreadyExistsError, remote.create_metadata(root, token, "{}", "c2ln"))
    await remote.unlock(root, token)


async def test_a_folder_made_under_a_lock_can_be_filled_under_it(people: People) -> None:
    remote = people.alice
    root = await encrypted(remote, "/S")
    token = await remote.lock(root, Counter(2))
    inner = await remote.make_folder("/S/inner", token=token)
    await remote.mark_encrypted(inner)
    await remote.create_metadata(inner, token, '{"inner":1}', "c2ln")
    await remote.put_bytes("/S/inner/file", b"deep", token=token)
    await remote.update_metadata(root, token, '{"state":2}', "c2lnMg==")
    await remote.unlock(root, token)
    assert await names(remote, "/S/inner") == ["/S/inner/file"]
    assert (await remote.metadata(inner)).text == '{"inner":1}'


async def test_the_documents_that_changed_the_members_are_kept_for_those_who_were_away(people: People) -> None:
    remote = people.alice
    root = await encrypted(remote, "/S")

    async def write(counter: int, *members: str, end: bool = True) -> str:
        users = [{"userId": name, "certificate": f"c-{name}"} for name in members]
        text = json.dumps({"state": counter, "users": users})
        token = await remote.lock(root, Counter(counter))
        await remote.update_metadata(root, token, text, f"sig{counter}")
        await remote.unlock(root, token, abort=not end)
        return text

    await write(2, "a")
    added = await write(3, "a", "b")
    await write(4, "a", "b")
    await write(5, "a", end=False)
    await write(6, "b", "a")
    removed = await write(7, "b")
    assert await remote.membership_steps(root, after=Counter(2)) == [
        RawMetadata(added, "sig3"),
        RawMetadata(removed, "sig7"),
    ]
    assert await remote.membership_steps(root, after=Counter(3)) == [RawMetadata(removed, "sig7")]
    assert await remote.membership_steps(root, after=Counter(7)) == []


async def test_a_share_shows_the_folder_to_the_other_person_until_it_ends(people: People) -> None:
    _, bob, _ = await ids(people)
    root = await encrypted(people.alice, "/S")
    share = await people.alice.create_share("/S", bob, permissions=31)
    assert (share.path, share.share_with, share.permissions, share.file_id) == ("/S", bob, 31, root)
    assert await people.alice.list_shares("/S") == [share]
    assert await people.alice.list_shares(None) == [share]
    assert "/S" in await names(people.bob, "/")
    assert (await people.bob.metadata(root)).text == '{"state":1}'
    token = await people.bob.lock(root, Counter(2))
    await people.bob.put_bytes("/S/from-bob", b"x", token=token)
    await people.bob.update_metadata(root, token, '{"state":2}', "c2ln")
    await people.bob.unlock(root, token)
    assert await names(people.alice, "/S") == ["/S/from-bob"]
    await people.alice.delete_share(share.share_id)
    assert await people.alice.list_shares(None) == []
    assert "/S" not in await names(people.bob, "/")
    await refused(CandadoError, people.bob.metadata(root))


@pytest.mark.parametrize("permissions", [1, 31])
async def test_a_guest_who_removes_a_received_folder_leaves_the_share_and_nothing_else(
    people: People, permissions: int
) -> None:
    _, bob, _ = await ids(people)
    await encrypted(people.alice, "/S")
    await people.alice.create_share("/S", bob, permissions=permissions)
    await people.bob.delete("/S", token=None)
    assert (await people.alice.list_shares("/S"), "/S" in await names(people.bob, "/")) == ([], False)
    assert (await people.alice.list_folder("/S", depth=0))[0].is_encrypted


async def test_the_end_of_a_share_undoes_what_its_guest_was_writing(people: People) -> None:
    _, bob, _ = await ids(people)
    root = await encrypted(people.alice, "/S")
    share = await people.alice.create_share("/S", bob, permissions=31)
    token = await people.bob.lock(root, Counter(2))
    await people.bob.put_bytes("/S/from-bob", b"x", token=token)
    await refused(LockedError, people.alice.lock(root, Counter(2)))
    await people.alice.delete_share(share.share_id)
    mine = await people.alice.lock(root, Counter(2))
    await people.alice.unlock(root, mine, abort=True)
    assert await names(people.alice, "/S") == []
    assert (await people.alice.metadata(root)).text == '{"state":1}'


async def test_reading_rights_alone_do_not_write(people: People) -> None:
    _, bob, _ = await ids(people)
    root = await encrypted(people.alice, "/S")
    await people.alice.create_share("/S", bob, permissions=1)
    assert (await people.bob.metadata(root)).text == '{"state":1}'
    await refused(ForbiddenError, people.bob.lock(root, Counter(2)))


async def test_strangers_learn_nothing(people: People) -> None:
    root = await encrypted(people.alice, "/S")
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: people.carol.metadata(root),
        lambda: people.carol.lock(root, Counter(2)),
        lambda: people.carol.mark_encrypted(root),
    ]
    for read in reads:
        await refused(CandadoError, read())
    await refused(NotFoundError, people.carol.list_folder("/S", depth=1))

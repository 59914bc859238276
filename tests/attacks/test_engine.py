"""Attacks against the whole client: A13, A20, A35, A37, A43 to A46, A51, A58, A67, A68, A80 to A83, A85, A112.

Every attack starts from an honest world (baseline), tells one lie, asserts error, event, unchanged pins, no write and no
leaked canary, and then goes back to honesty (aftermath): the work goes on without loss.
"""

import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.sim import Canaries, Hostile, World
from tests.sim.device import Device
from tests.sim.naive import naive_open
from tests.sim.world import WORDS

from candado.client import edit, enrol
from candado.client.lock import recover_sessions
from candado.client.sharing import share, unshare
from candado.crypto.filebody import seal_body
from candado.crypto.keywrap import wrap_key
from candado.crypto.sealing import seal_text
from candado.errors import (
    CandadoError,
    ContextError,
    CounterRollbackError,
    DowngradeError,
    NoKeysError,
    SignerError,
    StoreLieError,
    TamperError,
    TransportError,
    UnsignedDeletionError,
)
from candado.formats.metadata import (
    Entry,
    SealedBlock,
    SealedUser,
    format_drop,
    format_drop_content,
    parse_sealed,
)
from candado.types import Counter, FileId, FileKey, MetadataKey, Nonce, SecretText, Tag, UserId

WRITES = {
    "lock", "unlock", "create_metadata", "update_metadata", "delete_metadata", "mark_encrypted", "put", "put_bytes",
    "make_folder", "move", "delete", "create_share", "register_certificate", "store_private_key",
}  # fmt: skip


class Stage:
    """Alice's laptop behind a hostile server, with a root, two nested folders and files; bob has a device too."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.liar: Hostile = self.world.hostile("alice")
        self.alice = Device(self.world, "alice", folder / "alice", remote=self.liar.port)
        self.bob = Device(self.world, "bob", folder / "bob")
        self.canaries = Canaries()

    async def build(self) -> "Stage":
        await self.alice.encrypt("/docs")
        await edit.mkdir(self.alice.account, "/docs/plans")
        await edit.mkdir(self.alice.account, "/docs/photos")
        await self.alice.put("/docs/a.txt", b"one")
        await self.alice.put("/docs/plans/b.txt", b"two")
        assert await self.alice.everything("/docs") == {"/docs/a.txt": b"one", "/docs/plans/b.txt": b"two"}
        return self

    def id_of(self, path: str, user: str = "alice") -> FileId:
        return FileId(self.world.server.at(user, path).file_id)

    def nested_ids(self) -> dict[str, FileId]:
        pins = [self.alice.account.book.folder(FileId(int(key))) for key in self.alice.pins()]
        return {pin.path_hint: pin.file_id for pin in pins if pin is not None}

    async def refused(
        self, attempt: Callable[[], Awaitable[object]], error: type[CandadoError], event: str, *, restart: bool = True
    ) -> None:
        """The attempt fails with this event; pins stay, nothing is written, no canary leaves, evidence is kept."""
        if restart:
            self.alice.restart()
        pins = self.alice.pins()
        log, received = len(self.world.server.log), len(self.world.server.received)
        with pytest.raises(error) as caught:
            await attempt()
        assert isinstance(caught.value, TamperError)
        assert caught.value.event == event
        assert self.alice.pins() == pins
        assert [each.method for each in self.world.server.log[log:] if each.method in WRITES] == []
        assert self.canaries.found_in(self.world.server.received[received:]) == set()
        assert event in self.alice.refusals()

    def secret_put(self, path: str) -> Callable[[], Awaitable[object]]:
        """An upload whose name and content must not leave."""
        name, body = self.canaries.text("name"), self.canaries.text("body")
        return lambda: self.alice.put(f"{path}/{name}", body.encode())


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    return await Stage(tmp_path).build()


# --- keys -------------------------------------------------------------------------------------------------


async def test_a13_a_device_that_has_joined_sends_no_csr_when_the_server_hides_its_keys(stage: Stage) -> None:
    stage.liar.fail("certificates", NoKeysError(), times=9)
    stage.liar.fail("private_key", NoKeysError(), times=9)
    log = len(stage.world.server.log)
    with pytest.raises(ContextError) as caught:
        await enrol.init_first(stage.alice.account)
    assert caught.value.event == "own.keys-missing"
    assert [each.method for each in stage.world.server.log[log:] if each.method in WRITES] == []


async def test_a13_a_person_who_has_words_gets_no_new_keys(stage: Stage, tmp_path: Path) -> None:
    phone = Device(stage.world, "alice", tmp_path / "phone", remote=stage.liar.port, joined=False)
    stage.liar.fail("certificates", NoKeysError(), times=9)
    stage.liar.fail("private_key", NoKeysError(), times=9)
    with pytest.raises(NoKeysError):
        await enrol.init_further(phone.account, SecretText(WORDS))
    assert stage.world.server.requests_of("register_certificate") == []


async def test_a03_a_certificate_for_another_key_ends_the_set_up(tmp_path: Path) -> None:
    world = World("alice", "mallory")
    world.server.users["alice"].certificate = None
    liar = world.hostile("alice")
    foreign = world.server.users["mallory"].certificate
    liar.replace("register_certificate", lambda _pem: foreign)
    device = Device(world, "alice", tmp_path, remote=liar.port, joined=False)
    with pytest.raises(CandadoError) as caught:
        await enrol.init_first(device.account)
    assert isinstance(caught.value, TamperError)
    assert caught.value.event == "own.cert-mismatch"
    assert world.server.requests_of("store_private_key") == []
    assert device.account.identity is None


# --- signatures, freshness, place -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/docs", "/docs/plans"])
async def test_a20_a_signature_that_is_taken_away_freezes_the_folder(stage: Stage, path: str) -> None:
    stage.liar.drop_signature(stage.nested_ids()[path])
    await stage.refused(stage.secret_put(path), SignerError, "sig.missing")
    stage.liar.honest()
    await stage.alice.put(f"{path}/c.txt", b"three")


@pytest.mark.parametrize(("path", "event"), [("/docs", "fresh.rollback"), ("/docs/plans", "fresh.partial")])
async def test_a35_a37_an_older_state_of_any_folder_is_refused(stage: Stage, path: str, event: str) -> None:
    file_id = stage.nested_ids()[path]
    old = stage.liar.remember(file_id)
    await stage.alice.put(f"{path}/c.txt", b"three")
    stage.liar.replay(file_id, old)
    await stage.refused(stage.secret_put(path), CounterRollbackError, event)
    stage.liar.honest()
    assert await stage.alice.read(f"{path}/c.txt") == b"three"


async def test_a35_the_whole_server_put_back_to_an_older_state_is_refused(stage: Stage) -> None:
    snapshot = stage.world.server.snapshot()
    await stage.alice.put("/docs/c.txt", b"three")
    newest = stage.world.server.snapshot()
    stage.world.server.restore(snapshot)
    await stage.refused(stage.secret_put("/docs"), CounterRollbackError, "fresh.rollback")
    stage.world.server.restore(newest)
    assert await stage.alice.read("/docs/c.txt") == b"three"


async def test_a43_the_documents_of_two_roots_exchanged_are_refused(stage: Stage) -> None:
    await stage.alice.encrypt("/shared")
    stage.liar.swap(stage.id_of("/docs"), stage.id_of("/shared"))
    await stage.refused(stage.secret_put("/docs"), ContextError, "ctx.root")
    stage.liar.honest()
    await stage.alice.put("/docs/c.txt", b"three")


async def test_a43_two_roots_that_change_places_do_not_take_each_others_files(stage: Stage) -> None:
    await stage.alice.encrypt("/shared")
    await share(stage.alice.account, "/shared", UserId("bob"))
    tree, home = stage.world.server.tree, stage.world.server.users["alice"].home
    private, shared = stage.id_of("/docs"), stage.id_of("/shared")
    for file_id, name in ((private, "aside"), (shared, "docs"), (private, "shared")):
        tree.move(file_id, home, name)
    await stage.refused(stage.secret_put("/docs"), ContextError, "ctx.root")
    for file_id, name in ((shared, "aside"), (private, "docs"), (shared, "shared")):
        tree.move(file_id, home, name)
    await stage.alice.put("/docs/c.txt", b"three")


async def test_a44_the_documents_of_two_nested_folders_exchanged_are_refused(stage: Stage) -> None:
    await stage.alice.put("/docs/plans/c.txt", b"three")
    ids = stage.nested_ids()
    stage.liar.swap(ids["/docs/plans"], ids["/docs/photos"])
    stage.alice.restart()
    with pytest.raises(TamperError) as caught:
        await stage.alice.put("/docs/photos/x.txt", b"x")
    assert caught.value.event in {"ctx.nested", "fresh.partial"}
    stage.liar.honest()
    await stage.alice.put("/docs/photos/x.txt", b"x")


async def test_a45_another_number_for_a_known_folder_is_refused(stage: Stage) -> None:
    known = stage.nested_ids()["/docs/plans"]
    stage.liar.replace(
        "list_folder",
        lambda nodes: [replace(node, file_id=FileId(9999)) if node.file_id == known else node for node in nodes],
    )
    await stage.refused(stage.secret_put("/docs/plans"), ContextError, "ctx.fileid")
    stage.liar.honest()
    assert await stage.alice.read("/docs/plans/b.txt") == b"two"


async def test_a46_a_nested_folder_shown_in_a_plain_place_is_refused(stage: Stage) -> None:
    nested = stage.world.server.tree.nodes[stage.nested_ids()["/docs/plans"]]
    stage.world.server.tree.move(nested.file_id, stage.world.server.users["alice"].home, "plans")
    stage.alice.restart()
    with pytest.raises(TamperError) as caught:
        await stage.alice.read("/plans/b.txt")
    assert caught.value.event == "meta.kind"
    stage.world.server.tree.move(nested.file_id, nested.parent, nested.name)
    assert await stage.alice.read("/docs/plans/b.txt") == b"two"


# --- content ----------------------------------------------------------------------------------------------


async def test_a50_a51_a52_an_altered_exchanged_or_older_body_is_never_handed_out(stage: Stage) -> None:
    await stage.alice.put("/docs/z.txt", b"six")
    tree = stage.world.server.tree
    files = {node.file_id: node for node in tree.nodes.values() if node.body and node.parent == stage.id_of("/docs")}
    (one, first), (two, second) = files.items()
    lies = [
        {one: second.body, two: first.body},
        *({one: body} for body in (b"", first.body[:-1], first.body + b"x", bytes(len(first.body)))),
        {one: bytes([first.body[0] ^ 1]) + first.body[1:]},
    ]
    for lie in lies:
        for file_id, body in lie.items():
            tree.change(file_id, body=body)
        failures = 0
        for path in ("/docs/a.txt", "/docs/z.txt"):
            try:
                assert await stage.alice.read(path) in {b"one", b"six"}
            except CandadoError:
                failures += 1
        assert failures == len(lie)
        for file_id, node in files.items():
            tree.change(file_id, body=node.body)
    await stage.alice.put("/docs/a.txt", b"ONE", replace=True)
    old = next(node for node in files.values() if tree.nodes[node.file_id].body != node.body)
    tree.change(old.file_id, body=old.body)
    with pytest.raises(CandadoError):
        await stage.alice.read("/docs/a.txt")


async def test_a58_a_body_that_is_missing_does_not_stop_the_others(stage: Stage) -> None:
    await stage.alice.put("/docs/z.txt", b"six")
    tree = stage.world.server.tree
    gone = next(node for node in tree.nodes.values() if node.body and node.parent == stage.id_of("/docs"))
    tree.remove(gone.file_id)
    stage.alice.restart()
    assert len(await stage.alice.names("/docs")) == 3
    assert "file.missing" in [issue.code for issue in stage.alice.account.issues()]


# --- downgrade --------------------------------------------------------------------------------------------


async def test_a67_encryption_that_is_no_longer_announced_stops_everything(stage: Stage) -> None:
    await stage.alice.account.capabilities()
    stage.liar.replace("capabilities", lambda found: replace(found, e2ee_enabled=False))
    stage.world.clock.advance(7200.0)
    await stage.refused(stage.alice.restart().capabilities, DowngradeError, "cap.downgrade")


@pytest.mark.parametrize("path", ["/docs", "/docs/plans"])
@pytest.mark.parametrize("command", ["put", "mkdir", "mv in", "rename", "rm", "cp", "read"])
async def test_a68_a_dropped_flag_sends_nothing_in_clear(stage: Stage, path: str, command: str) -> None:
    inner = {"/docs": "/docs/a.txt", "/docs/plans": "/docs/plans/b.txt"}[path]
    await stage.alice.encrypt("/other")
    await stage.alice.put("/other/o.txt", b"other")
    account = stage.alice.account
    secret = stage.canaries.text("clear name")
    commands: dict[str, Callable[[], Awaitable[object]]] = {
        "put": stage.secret_put(path),
        "mkdir": lambda: edit.mkdir(stage.alice.account, f"{path}/{secret}"),
        "mv in": lambda: edit.mv(stage.alice.account, "/other/o.txt", f"{path}/{secret}"),
        "rename": lambda: edit.mv(stage.alice.account, inner, f"{path}/{secret}"),
        "rm": lambda: edit.rm(stage.alice.account, inner),
        "cp": lambda: edit.cp(stage.alice.account, inner, f"{path}/{secret}"),
        "read": lambda: stage.alice.read(inner),
    }
    assert account is not None
    stage.liar.flag(stage.nested_ids()[path], encrypted=False)
    await stage.refused(commands[command], DowngradeError, "flag.dropped")
    stage.liar.honest()
    stage.alice.restart()
    await commands[command]()


# --- deletion ---------------------------------------------------------------------------------------------


async def test_a85_a_root_that_vanished_is_not_deleted_and_not_made_again(stage: Stage) -> None:
    stage.liar.vanish(stage.id_of("/docs"))
    await stage.refused(lambda: stage.alice.names("/docs"), UnsignedDeletionError, "root.vanished")
    await stage.refused(stage.secret_put("/docs"), UnsignedDeletionError, "root.vanished")
    stage.liar.honest()
    assert await stage.alice.everything("/docs") == {"/docs/a.txt": b"one", "/docs/plans/b.txt": b"two"}


async def test_a85_metadata_that_vanished_is_never_replaced_by_new_metadata(stage: Stage) -> None:
    root = stage.id_of("/docs")
    kept = stage.world.server.tree.metadata.pop(root)
    await stage.refused(stage.secret_put("/docs"), UnsignedDeletionError, "root.vanished")
    await stage.refused(lambda: stage.alice.encrypt("/docs"), UnsignedDeletionError, "root.vanished")
    stage.world.server.tree.metadata[root] = kept
    assert await stage.alice.read("/docs/a.txt") == b"one"


# --- locks, lies about storing ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["put_bytes", "update_metadata", "unlock"])
async def test_a83_a_write_that_was_acknowledged_and_dropped_is_noticed(stage: Stage, method: str) -> None:
    stage.liar.lie_store(method)
    with pytest.raises(CandadoError) as caught:
        await stage.alice.put("/docs/c.txt", b"three")
    assert isinstance(caught.value, StoreLieError)
    stage.liar.honest()
    stage.alice.restart()
    await recover_sessions(stage.alice.account)
    await stage.alice.put("/docs/c.txt", b"three", replace=True)
    assert (await stage.alice.everything("/docs"))["/docs/c.txt"] == b"three"
    assert stage.world.server.locks == {}


SEQUENCE = ["list_folder", "lock", "put_bytes", "update_metadata", "unlock"]


@pytest.mark.parametrize("method", SEQUENCE)
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a80_an_answer_lost_anywhere_leaves_all_old_or_all_new(
    stage: Stage, method: str, after: bool, number: int
) -> None:
    """The ``number``-th request of this kind loses its answer, or never arrives."""
    passed = itertools.count()

    def cut_later(answer: object) -> object:
        if next(passed) == number:
            raise TransportError("cut", outcome_known=False)
        return answer

    if after:
        stage.liar.replace(method, cut_later)
    elif number:
        stage.liar.replace(method, lambda answer: _arm(stage.liar, method, next(passed), number, answer))
    else:
        stage.liar.cut(method)
    old = {"/docs/a.txt": b"one", "/docs/plans/b.txt": b"two"}
    with contextlib.suppress(TransportError):
        await stage.alice.put("/docs/a.txt", b"ONE", replace=True)
    stage.liar.honest()
    stage.alice.restart()
    await recover_sessions(stage.alice.account)
    found = await stage.alice.everything("/docs")
    assert found in (old, {**old, "/docs/a.txt": b"ONE"})
    # A lock whose answer was lost is known to nobody; the server frees it by its own clock.
    stage.world.clock.advance(1000.0)
    await stage.alice.put("/docs/after.txt", b"after")
    assert await stage.alice.read("/docs/after.txt") == b"after"
    assert stage.world.server.locks == {}


def _arm(liar: Hostile, method: str, passed: int, number: int, answer: object) -> object:
    if passed == number - 1:
        liar.cut(method)
    return answer


async def test_a81_a_lock_that_everybody_gets_loses_no_write_unnoticed(stage: Stage, tmp_path: Path) -> None:
    phone = Device(stage.world, "alice", tmp_path / "phone")
    assert await phone.names("/docs") == {"a.txt", "plans", "photos"}
    stage.liar.grant_any_lock()
    held = await phone.account.remote.lock(stage.id_of("/docs"), _next_counter(stage))
    try:
        await stage.alice.put("/docs/laptop.txt", b"laptop")
        noticed = False
    except CandadoError:
        noticed = True
    await phone.account.remote.unlock(stage.id_of("/docs"), held, abort=True)
    stage.liar.honest()
    stage.alice.restart()
    assert noticed or await stage.alice.read("/docs/laptop.txt") == b"laptop"


def _next_counter(stage: Stage) -> Counter:
    pin = stage.alice.account.book.folder(stage.id_of("/docs"))
    assert pin is not None
    return Counter(pin.counter + 1)


# --- rotation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("method", ["lock", "update_metadata", "unlock", "delete_share", "list_folder"])
@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a82_an_interrupted_removal_leaves_every_member_able_to_read_everything(
    stage: Stage, method: str, after: bool, number: int
) -> None:
    await share(stage.alice.account, "/docs", UserId("bob"))
    everything = {"/docs/a.txt": b"one", "/docs/plans/b.txt": b"two"}
    assert await stage.bob.everything("/docs") == everything
    passed = itertools.count()

    def cut_later(answer: object) -> object:
        if next(passed) == number:
            raise TransportError("cut", outcome_known=False)
        return answer

    if after:
        stage.liar.replace(method, cut_later)
    else:
        stage.liar.replace(method, lambda answer: _arm(stage.liar, method, next(passed), number, answer))
    with contextlib.suppress(TransportError):
        await unshare(stage.alice.account, "/docs", UserId("bob"))
    stage.liar.honest()
    stage.world.clock.advance(1000.0)
    stage.alice.restart()
    await recover_sessions(stage.alice.account)
    assert await stage.alice.everything("/docs") == everything
    members = {member.user_id for member in _root_members(stage)}
    if "bob" in members:
        stage.bob.restart()
        assert await stage.bob.everything("/docs") == everything
        await unshare(stage.alice.account, "/docs", UserId("bob"))
    await stage.alice.put("/docs/later.txt", b"only for alice")
    stage.bob.restart()
    with pytest.raises(CandadoError):
        await stage.bob.read("/docs/later.txt")


def _root_members(stage: Stage) -> tuple[SealedUser, ...]:
    return parse_sealed(stage.world.server.tree.metadata[stage.id_of("/docs")][0]).users or ()


async def test_a112_the_refused_documents_are_kept_as_evidence(stage: Stage) -> None:
    file_id = stage.id_of("/docs")
    old = stage.liar.remember(file_id)
    await stage.alice.put("/docs/c.txt", b"three")
    stage.liar.replay(file_id, old)
    with pytest.raises(CounterRollbackError):
        await stage.alice.read("/docs/a.txt")
    issue = next(issue for issue in stage.alice.account.issues() if issue.code == "fresh.rollback")
    assert issue.evidence
    kept = json.loads(stage.alice.account.issue_book.evidence(issue.issue_id) or b"{}")
    assert (kept["metadata"], kept["signature"]) == (old.text, old.signature)


# --- what this device seals and signs ---------------------------------------------------------------------


async def test_a19_no_body_and_no_document_is_ever_sealed_twice_alike(stage: Stage) -> None:
    """One plaintext under one key and nonce would give one ciphertext: all that was received must differ."""
    seen = len(stage.world.server.received)
    for number in range(40):
        method = ["put_bytes", "update_metadata", "unlock", "lock"][number % 4]
        stage.liar.cut(method, after=number % 3 == 0)
        with contextlib.suppress(CandadoError):
            await stage.alice.put("/docs/a.txt", b"always the same content", replace=True)
        stage.liar.honest()
        if number % 5 == 0:
            stage.alice.restart()
        await recover_sessions(stage.alice.account)
        stage.world.server.expire_locks()
    received = stage.world.server.received[seen:]
    bodies = [each for each in received if len(each) == len(b"always the same content") + 16]
    assert len(bodies) >= 25
    assert len(set(bodies)) == len(bodies)
    blocks = [json.loads(each)["metadata"] for each in received if each.startswith(b"{")]
    assert len(blocks) >= 10
    assert len({block["nonce"] for block in blocks}) == len({block["ciphertext"] for block in blocks}) == len(blocks)


async def test_a30_a71_a_planted_drop_is_signed_only_with_its_mark(stage: Stage) -> None:
    root = stage.id_of("/docs")
    secret = MetadataKey(b"0123456789abcdef")
    planted = Entry("contract.pdf", "text/plain", FileKey(b"k" * 16), Nonce(b"n" * 12), Tag(b"t" * 16))
    parts = seal_text(secret, Nonce(b"d" * 12), format_drop_content(planted))
    key = wrap_key(stage.world.identity("alice").key.public, secret.reveal())
    block = SealedBlock(parts.ciphertext, parts.nonce, parts.tag)
    body = seal_body(planted.key, planted.nonce, b"planted by the server")
    name = "ab" * 16
    stage.world.server.add_drop(root, {name: format_drop(block, [(UserId("alice"), key)])}, {name: body})
    stage.alice.restart()
    assert await stage.alice.names("/docs") == {"a.txt", "plans", "photos"}
    await stage.alice.put("/docs/c.txt", b"three")
    shown = await stage.alice.names("/docs")
    assert shown == {"a.txt", "c.txt", "plans", "photos", "contract (dropped).pdf"}
    signed = naive_open(stage.world.identity("alice"), stage.world.server.tree.metadata[root][0])
    assert signed.names == shown
    assert parse_sealed(stage.world.server.tree.metadata[root][0]).drops == ()

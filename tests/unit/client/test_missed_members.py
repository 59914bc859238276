"""A device that was away while the members changed: it goes the way the others went, and lets nobody else in."""

from dataclasses import replace

import pytest
from tests.sim import World, stock
from tests.unit.client.devices import Device

from candado.client import edit, sharing
from candado.errors import CandadoError, KeyChangedError, MalformedError, SignerError, TransportError
from candado.folder.model import PeerPin
from candado.ports.client import RawMetadata
from candado.types import UserId

BOB, CAROL = UserId("bob"), UserId("carol")


class Scene:
    """Alice's laptop, a second device of hers that saw the folder once, and bob, who came and wrote since."""

    def __init__(self) -> None:
        self.world = World("alice", "bob", "carol", "mallory")
        self.laptop = Device(self.world)
        self.liar = self.world.hostile("alice")
        self.away = Device(self.world, remote=self.liar)
        self.bob = Device(self.world, "bob")

    async def build(self) -> "Scene":
        await edit.encrypt_folder(self.laptop.account, "/Secret")
        await self.laptop.put("/Secret", {"a/x": b"1"})
        assert await self.away.tree() == {"a": None, "a/x": b"1"}
        await sharing.share(self.laptop.account, "/Secret", BOB)
        await self.bob.put("/Secret", {"from-bob": b"2"})
        return self

    @property
    def root(self) -> int:
        return self.world.server.at("alice", "/Secret").file_id

    def asked(self) -> int:
        return len(self.world.server.requests_of("membership_steps"))


@pytest.fixture
async def scene() -> Scene:
    return await Scene().build()


async def test_what_a_new_member_wrote_is_read_by_a_device_that_missed_that_he_came(scene: Scene) -> None:
    assert await scene.away.tree() == {"a": None, "a/x": b"1", "from-bob": b"2"}
    assert scene.asked() == 1
    assert {"members.added", "key.first-seen"} <= scene.away.codes()
    assert "SIGNER" not in scene.away.codes()
    await scene.away.put("/Secret", {"mine": b"3"})
    assert (await scene.bob.tree())["mine"] == b"3"
    assert scene.asked() == 1


async def test_a_chain_of_members_who_brought_each_other_is_followed(scene: Scene) -> None:
    carol = Device(scene.world, "carol")
    await sharing.share(scene.laptop.account, "/Secret", CAROL)
    await carol.put("/Secret", {"from-carol": b"4"})
    await sharing.unshare(scene.laptop.account, "/Secret", BOB)
    await carol.put("/Secret", {"again": b"5"})
    expected = {"a": None, "a/x": b"1", "from-bob": b"2", "from-carol": b"4", "again": b"5"}
    assert await scene.away.tree() == expected
    assert {"members.added", "members.removed"} <= scene.away.codes()


async def test_a_device_that_was_taken_out_and_let_in_again_meanwhile_goes_on(scene: Scene) -> None:
    bobs_other = Device(scene.world, "bob")
    assert (await bobs_other.tree())["from-bob"] == b"2"
    await sharing.unshare(scene.laptop.account, "/Secret", BOB)
    await sharing.share(scene.laptop.account, "/Secret", CAROL)
    await sharing.share(scene.laptop.account, "/Secret", BOB)
    await Device(scene.world, "carol").put("/Secret", {"from-carol": b"4"})
    assert (await bobs_other.tree())["from-carol"] == b"4"
    assert "NOT_A_MEMBER" not in bobs_other.codes()


async def _refused(scene: Scene, event: str = "meta.signer-unknown", error: type[CandadoError] = SignerError) -> None:
    before = scene.away.state.spaces.get("pin", {})
    with pytest.raises(error):
        await scene.away.tree()
    assert scene.away.state.spaces.get("pin", {}) == before
    assert event in scene.away.codes()


async def test_without_the_steps_the_state_is_refused_as_before(scene: Scene) -> None:
    scene.liar.replace("membership_steps", lambda _: [])
    await _refused(scene)


async def test_a_server_that_keeps_none_is_a_server_without_steps(scene: Scene) -> None:
    scene.liar.fail("membership_steps", MalformedError("not what was asked for"))
    await _refused(scene)


async def test_a_connection_that_breaks_meanwhile_is_no_alarm(scene: Scene) -> None:
    scene.liar.cut("membership_steps")
    with pytest.raises(TransportError):
        await scene.away.tree()
    assert scene.away.codes() <= {"share.new", "fresh.unanchored"}
    assert (await scene.away.tree())["from-bob"] == b"2"


async def test_a_state_that_its_new_member_signed_himself_is_no_step(scene: Scene) -> None:
    """The server lets mallory in by a document that mallory signed: the very thing that steps must not allow."""
    newest = RawMetadata(*scene.world.server.tree.metadata[scene.root])
    scene.liar.replace("membership_steps", lambda _: [newest])
    await _refused(scene)


async def test_a_step_without_its_signature_is_refused(scene: Scene) -> None:
    scene.liar.replace("membership_steps", lambda steps: [replace(step, signature="") for step in steps])
    await _refused(scene, "sig.missing")


async def test_a_step_that_was_altered_is_refused(scene: Scene) -> None:
    scene.liar.replace(
        "membership_steps", lambda steps: [replace(step, text=step.text.replace('"bob"', '"eve"')) for step in steps]
    )
    with pytest.raises(CandadoError):
        await scene.away.tree()


async def test_a_step_of_another_folder_is_refused(scene: Scene) -> None:
    await edit.encrypt_folder(scene.laptop.account, "/Other")
    await sharing.share(scene.laptop.account, "/Other", BOB)
    other = scene.world.server.at("alice", "/Other").file_id
    steps = [RawMetadata(text, signature) for _, text, signature in scene.world.server.tree.steps[other]]
    scene.liar.replace("membership_steps", lambda _: steps)
    with pytest.raises(CandadoError):
        await scene.away.tree()
    assert (await scene.laptop.tree())["from-bob"] == b"2"


async def test_steps_do_not_bring_another_key_for_a_known_person(scene: Scene) -> None:
    account = scene.away.account
    account.store.commit(account.book.rows_peer(BOB, PeerPin("0" * 64, 0.0, verified=True)))
    await _refused(scene, "KEY_CHANGED", KeyChangedError)


async def test_a_server_of_others_is_asked_and_has_none() -> None:
    scene = Scene()
    scene.world.server.capabilities = stock()
    await scene.build()
    await _refused(scene)
    assert scene.asked() == 1

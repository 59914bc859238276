"""What people are told: clear paths, and events in words."""

from pathlib import Path

import pytest
from tests.sim import World
from tests.unit.client.devices import Device
from tests.unit.client.sync_world import FOLDER, Pair

from candado.client import edit
from candado.client.event_texts import EVENT_TEXTS, text_of
from candado.errors import ForbiddenError, QuotaExceededError
from candado.folder.model import Event
from candado.types import FileId, UserId


def test_an_event_is_told_with_its_detail_and_its_person() -> None:
    told = text_of(Event("members.added", FileId(1), FileId(1), UserId("bob"), "signed by alice"))
    assert told == "A person can read this folder from now on: signed by alice (bob)"
    assert text_of(Event("fresh.unanchored", FileId(1), FileId(1), None, "")) == EVENT_TEXTS["fresh.unanchored"]
    assert text_of(Event("of.tomorrow", FileId(1), FileId(1), None, "")) == "of.tomorrow"


async def test_what_the_server_refuses_is_named_as_people_know_it() -> None:
    world = World()
    hostile = world.hostile("alice")
    alice = Device(world, remote=hostile)
    await edit.encrypt_folder(alice.account, "/Secret")
    hostile.fail("put_bytes", QuotaExceededError(path="/Secret/0123456789abcdef0123456789abcdef"))
    with pytest.raises(QuotaExceededError) as caught:
        await alice.put("/Secret", {"a": b"1"})
    assert caught.value.path == "/Secret/a"
    hostile.fail("update_metadata", ForbiddenError(path="1234"))
    with pytest.raises(ForbiddenError) as refused:
        await alice.put("/Secret", {"a": b"1"})
    assert refused.value.path == "/Secret"


async def test_a_file_that_found_no_room_is_an_issue_until_it_fits(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    await pair.start()
    pair.laptop.write("big", "b")
    pair.hostile.fail("put_bytes", QuotaExceededError(path="/Secret/0123456789abcdef0123456789abcdef"))
    with pytest.raises(QuotaExceededError) as caught:
        await pair.laptop.sync()
    assert (caught.value.path, "stays" in caught.value.safe) == (f"{FOLDER}/big", True)
    (issue,) = [issue for issue in pair.laptop.account.issues() if issue.severity == "problem"]
    assert (issue.code, issue.path) == ("QUOTA_EXCEEDED", f"{FOLDER}/big")
    await pair.laptop.sync()
    assert [issue for issue in pair.laptop.account.issues() if issue.severity == "problem"] == []

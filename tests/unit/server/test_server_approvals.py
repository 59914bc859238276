"""New keys of users who had one: only after so many administrators, each once, and never by the user alone."""

import asyncio
from dataclasses import replace

import pytest
from tests.unit.server.test_server_revocations import KEYS, Signer
from tests.unit.server.world import ALICE, BOB, World, add_users
from tests.vectors.keys import private_key

from candado.crypto.x509 import make_csr, parse_certificate
from candado.errors import ApprovalNeededError, ForbiddenError, LimitExceededError, NotFoundError
from candado.ports.server import Rows
from candado.server.approvals import Approvals
from candado.server.model import Principal, ServerSettings
from candado.server.pki import Pki
from candado.server.revocations import Revocations
from candado.types import UserId

NEW = private_key("mallory")
NEW_KEY = NEW.public.fingerprint_hex
ADA, BEA = Principal(UserId("ada"), is_admin=True), Principal(UserId("bea"), is_admin=True)


class Queue:
    """An authority that wants two approvals; bob had a key and gave it up."""

    def __init__(self, world: World) -> None:
        self.backend = replace(world.backend, settings=ServerSettings(new_key_approvals=2))
        self.signer = Signer(private_key("authority"))
        self.pki = Pki(self.backend, self.signer)
        self.approvals = Approvals(self.backend)

    async def ask(self) -> str:
        return await self.pki.register(BOB, make_csr(NEW, "bob"))


@pytest.fixture
async def queue(world: World) -> Queue:
    await add_users(world.backend.database)
    made = Queue(world)
    await made.pki.register(BOB, make_csr(KEYS["bob"], "bob"))
    await made.pki.delete_certificate(BOB.user_id)
    return made


async def test_a_first_key_and_a_known_key_need_nobody(queue: Queue) -> None:
    await queue.pki.register(ALICE, make_csr(KEYS["alice"], "alice"))
    pem = await queue.pki.register(BOB, make_csr(KEYS["bob"], "bob"))
    assert parse_certificate(pem).public_key == KEYS["bob"].public
    assert await queue.approvals.all() == []


async def test_a_new_key_waits_for_two_administrators_and_the_old_one_is_revoked(queue: Queue) -> None:
    signed = queue.signer.signed
    with pytest.raises(ApprovalNeededError, match=NEW_KEY[:16]):
        await queue.ask()
    for _ in range(2):
        one = await queue.approvals.decide(NEW_KEY[:8], ADA, approve=True)
        assert (one.user_id, one.outcome, one.approved_by) == ("bob", "open", ("ada",))
        with pytest.raises(ApprovalNeededError):
            await queue.ask()
    assert queue.signer.signed == signed
    await queue.approvals.decide(NEW_KEY.upper(), BEA, approve=True)
    assert parse_certificate(await queue.ask()).public_key == NEW.public
    (done,) = await queue.approvals.all()
    assert (done.outcome, done.approved_by) == ("issued", ("ada", "bea"))
    assert (await Revocations(queue.backend, queue.signer).refresh()).count == 1
    await queue.pki.delete_certificate(BOB.user_id)
    with pytest.raises(ForbiddenError, match="revoked"):
        await queue.pki.register(BOB, make_csr(KEYS["bob"], "bob"))


async def test_nobody_decides_without_the_right_or_about_the_own_key(queue: Queue) -> None:
    with pytest.raises(ApprovalNeededError):
        await queue.ask()
    for who in (Principal(UserId("carol")), replace(BOB, is_admin=True)):
        with pytest.raises(ForbiddenError):
            await queue.approvals.decide(NEW_KEY, who, approve=True)
    for prefix in (NEW_KEY[:7], "0" * 16, ""):
        with pytest.raises(NotFoundError):
            await queue.approvals.decide(prefix, ADA, approve=True)
    (still,) = await queue.approvals.all()
    assert still.approved_by == ()


async def test_a_rejected_key_stays_rejected(queue: Queue) -> None:
    with pytest.raises(ApprovalNeededError):
        await queue.ask()
    await queue.approvals.decide(NEW_KEY, ADA, approve=True)
    assert (await queue.approvals.decide(NEW_KEY, BEA, approve=False)).outcome == "rejected"
    with pytest.raises(NotFoundError):
        await queue.approvals.decide(NEW_KEY, BEA, approve=True)
    with pytest.raises(ApprovalNeededError):
        await queue.ask()


async def test_a_key_that_is_rejected_while_it_is_being_signed_gets_nothing(queue: Queue) -> None:
    with pytest.raises(ApprovalNeededError):
        await queue.ask()
    await queue.approvals.decide(NEW_KEY, ADA, approve=True)
    await queue.approvals.decide(NEW_KEY, BEA, approve=True)
    queue.signer.gate = asyncio.Event()
    queue.signer.asked.clear()
    asking = asyncio.create_task(queue.ask())
    await queue.signer.asked.wait()
    await queue.approvals.decide(NEW_KEY, BEA, approve=False)
    queue.signer.gate.set()
    with pytest.raises(ApprovalNeededError):
        await asking
    assert not await queue.pki.keys_exist(BOB.user_id)


async def test_two_administrators_at_once_are_two_approvals(queue: Queue) -> None:
    with pytest.raises(ApprovalNeededError):
        await queue.ask()
    await asyncio.gather(*(queue.approvals.decide(NEW_KEY, who, approve=True) for who in (ADA, BEA)))
    await queue.ask()


async def test_only_a_few_keys_of_a_user_wait_at_a_time(queue: Queue) -> None:
    fingerprints = [f"{number:064x}" for number in range(5)]

    async def fill(rows: Rows) -> None:
        for fingerprint in fingerprints:
            await rows.run(
                "INSERT INTO key_requests (fingerprint, user_id, requested, outcome) VALUES ($1, 'bob', 0, 'open')",
                fingerprint,
            )

    await queue.backend.database.write(fill)
    with pytest.raises(LimitExceededError):
        await queue.ask()
    await queue.approvals.decide(fingerprints[0], ADA, approve=False)
    with pytest.raises(ApprovalNeededError):
        await queue.ask()

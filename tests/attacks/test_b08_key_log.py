"""A server that lies with keys has to lie in its log, and is found there: B08 against A01, A02, A14; evidence for A112."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.sim import World, rsa_key, stock
from tests.sim.keylog import SimLog
from tests.unit.client.devices import Device

from candado.client import edit, sharing
from candado.client.transparency import forget_log, known_log, look_up, require_logged, watch_own
from candado.crypto.checkpoint import open_checkpoint
from candado.crypto.x509 import make_csr
from candado.errors import CandadoError, NotFoundError
from candado.protocol.keylog import LEAVES_MAX, KeyLeafText, KeyLogAnswer
from candado.types import UserId

ALICE, BOB = UserId("alice"), UserId("bob")


@pytest.fixture
def world() -> World:
    return World("alice", "bob")


@pytest.fixture
def log(world: World) -> SimLog:
    return world.server.start_log()


@pytest.fixture
async def alice(world: World) -> Device:
    device = Device(world)
    await edit.encrypt_folder(device.account, "/Secret")
    return device


def _key(user: str) -> str:
    return rsa_key(user).public.fingerprint_hex


def _put_in_place(world: World, user: str, *, logged: bool) -> None:
    """The server gives out a certificate of its own making in somebody's name (A01)."""
    log, world.server.key_log = world.server.key_log, world.server.key_log if logged else None
    world.server.users[user].certificate = world.server.issue(make_csr(rsa_key("mallory"), user))
    world.server.key_log = log


async def _refused(alice: Device) -> CandadoError:
    """What sharing with bob raises; no lock was taken, so nothing was wrapped for anybody."""
    alice.account.store.commit([("cache", "capabilities", None)])
    alice.start()
    locks = len(alice.world.server.requests_of("lock"))
    with pytest.raises(CandadoError) as caught:
        await sharing.share(alice.account, "/Secret", BOB)
    assert len(alice.world.server.requests_of("lock")) == locks
    return caught.value


def _codes(device: Device) -> list[tuple[str, str, bool]]:
    return [(issue.severity, issue.code, issue.evidence) for issue in device.account.issues()]


async def test_an_honest_log_lets_a_folder_be_shared_and_is_remembered(
    world: World, log: SimLog, alice: Device
) -> None:
    report = await sharing.share(alice.account, "/Secret", BOB)
    assert report.is_logged
    point = known_log(alice.account)
    assert point is not None
    assert point.size == len(log.records) == 3
    log.add("certificate.renewed", "bob", _key("bob"))
    found = await look_up(alice.account, [BOB])
    assert found is not None
    assert [(one.event, one.key_fingerprint) for one in found[BOB].records] == [
        ("certificate.stored", _key("bob")),
        ("certificate.renewed", _key("bob")),
    ]
    for _ in range(70):
        log.add("certificate.renewed", "bob", _key("bob"))
    log.add("certificate.removed", "bob", _key("old"))
    found = await look_up(alice.account, [BOB])
    assert found is not None
    assert len(found[BOB].records) == LEAVES_MAX
    assert found[BOB].current == _key("bob")
    assert _codes(alice) == []


async def test_without_a_log_a_key_in_the_place_of_another_goes_through(world: World, alice: Device) -> None:
    """The effect that the log prevents."""
    _put_in_place(world, "bob", logged=False)
    report = await sharing.share(alice.account, "/Secret", BOB)
    assert (report.is_logged, report.fingerprint.hex) == (False, _key("mallory"))


async def test_a_key_that_is_not_in_the_log_gets_no_folder(world: World, log: SimLog, alice: Device) -> None:
    _put_in_place(world, "bob", logged=False)
    error = await _refused(alice)
    assert (error.code, error.path) == ("KEY_UNLOGGED", "bob")
    assert _codes(alice) == [("refused", "KEY_UNLOGGED", False)]
    assert len(world.server.requests_of("key_log")) == 5


async def test_a_key_that_comes_into_the_log_meanwhile_is_waited_for(world: World, log: SimLog, alice: Device) -> None:
    log.size = 2
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        log.size = None

    alice.account.clock.sleep = sleep  # type: ignore[method-assign]
    assert await require_logged(alice.account, BOB, _key("bob"))
    assert len(naps) == 1


async def test_a_key_that_was_taken_back_in_the_log_gets_no_folder(world: World, log: SimLog, alice: Device) -> None:
    log.add("certificate.revoked", "bob", _key("bob"))
    assert (await _refused(alice)).code == "KEY_UNLOGGED"
    log.add("certificate.issued", "bob", _key("bob"))
    await sharing.share(alice.account, "/Secret", BOB)


async def test_a_logged_key_in_ones_own_name_is_seen_by_its_owner(world: World, log: SimLog, alice: Device) -> None:
    """A01 variant c, A14: what alice's friends would be given, alice sees."""
    await watch_own(alice.account)
    assert _codes(alice) == []
    _put_in_place(world, "alice", logged=True)
    world.clock.advance(61.0)
    await watch_own(alice.account)
    alarms = [("problem", "kt.own-missing", False), ("refused", "kt.foreign-cert", True)]
    assert sorted(_codes(alice)) == alarms
    issue = next(issue for issue in alice.account.issues() if issue.evidence)
    kept = json.loads(alice.account.issue_book.evidence(issue.issue_id) or b"")
    assert json.loads(json.loads(kept["metadata"])["record"])["target"] == f"k:{_key('mallory')}"
    assert open_checkpoint(kept["signature"], rsa_key("authority").public).size == 4
    log.add("certificate.revoked", "alice", _key("mallory"))
    log.add("certificate.issued", "alice", _key("alice"))
    world.clock.advance(61.0)
    await watch_own(alice.account)  # the server swaps it back: the issue stays
    assert sorted(_codes(alice)) == alarms


async def test_a_log_goes_on_under_the_key_that_the_authority_handed_over_to(
    world: World, log: SimLog, alice: Device
) -> None:
    world.server.capabilities = replace(world.server.capabilities, handovers=True)
    await watch_own(alice.account)
    world.server.hand_over(rsa_key("successor"))
    alice.account.store.commit([("cache", "capabilities", None)])
    alice.start()
    log.add("certificate.renewed", "bob", _key("bob"))
    assert await require_logged(alice.account, BOB, _key("bob"))
    assert [code for _, code, _ in _codes(alice)] == ["authority.rotated"]
    log.authority = rsa_key("mallory")  # nobody handed over to this one
    with pytest.raises(CandadoError) as caught:
        await require_logged(alice.account, BOB, _key("bob"))
    assert caught.value.code == "BAD_SIGNATURE"


async def test_own_keys_from_before_this_one_are_no_alarm(world: World, alice: Device) -> None:
    log = world.server.start_log()
    log.records = log.records[:1]
    for kind, key in (("issued", "old"), ("removed", "old"), ("issued", "alice")):
        log.add(f"certificate.{kind}", "alice", _key(key))
    await watch_own(alice.account)
    assert _codes(alice) == []


async def test_ones_own_key_that_the_log_calls_given_up_is_told(world: World, log: SimLog, alice: Device) -> None:
    log.add("certificate.removed", "alice", _key("alice"))
    await watch_own(alice.account)
    assert _codes(alice) == [("problem", "kt.own-missing", False)]


async def test_a_server_that_goes_back_forks_or_hides_its_log_is_refused(
    world: World, log: SimLog, alice: Device
) -> None:
    log.add("certificate.renewed", "bob", _key("bob"))
    await watch_own(alice.account)
    log.size = 3
    error = await _refused(alice)
    assert (error.code, getattr(error, "event", "")) == ("COUNTER_ROLLBACK", "kt.rollback")
    log.size = None

    log.records[3] = replace(log.records[3], reason="other")
    assert getattr(await _refused(alice), "event", "") == "kt.fork"
    log.add("certificate.renewed", "bob", _key("bob"))
    assert getattr(await _refused(alice), "event", "") == "kt.fork"

    world.server.start_log(salt=b"x" * 32)
    assert getattr(await _refused(alice), "event", "") == "kt.other-log"

    world.server.key_log = None
    assert getattr(await _refused(alice), "event", "") == "kt.missing"
    world.server.capabilities = stock()
    assert getattr(await _refused(alice), "event", "") == "kt.missing"

    assert {code for _, code, _ in _codes(alice)} == {"kt.rollback", "kt.fork", "kt.other-log", "kt.missing"}
    forks = [issue for issue in alice.account.issues() if issue.code == "kt.fork"]
    sizes: set[tuple[int, int]] = set()
    for fork in forks:
        kept = json.loads(json.loads(alice.account.issue_book.evidence(fork.issue_id) or b"")["metadata"])
        two = [open_checkpoint(kept[name], rsa_key("authority").public) for name in ("before", "after")]
        assert two[0].root != two[1].root
        sizes.add((two[0].size, two[1].size))
    assert sizes == {(4, 4), (4, 5)}

    forget_log(alice.account)  # a person says that an older backup was restored
    assert _codes(alice) == []
    world.server.start_log(salt=b"x" * 32)
    alice.account.store.commit([("cache", "capabilities", None)])
    alice.start()
    assert (await sharing.share(alice.account, "/Secret", BOB)).is_logged
    forget_log(alice.account)
    with pytest.raises(NotFoundError):
        forget_log(alice.account)


def _leaves(answer: KeyLogAnswer, change: Callable[[tuple[KeyLeafText, ...]], tuple[KeyLeafText, ...]]) -> KeyLogAnswer:
    return replace(answer, users={user: change(leaves) for user, leaves in answer.users.items()})


_FOREIGN = SimLog(rsa_key("mallory"), bytes(32))
LIES: list[tuple[str, Callable[[KeyLogAnswer], KeyLogAnswer]]] = [
    ("BAD_SIGNATURE", lambda a: replace(a, checkpoint=_FOREIGN.answer([], 0).checkpoint)),
    ("MALFORMED", lambda a: replace(a, checkpoint="x")),
    ("kt.salt", lambda a: replace(a, salt=b"y" * 32)),
    ("kt.salt", lambda a: replace(a, salt=b"")),
    ("kt.fork", lambda a: replace(a, consistency=(bytes(32),))),
    ("LIMIT_EXCEEDED", lambda a: replace(a, consistency=(bytes(32),) * 129)),
    ("MALFORMED", lambda a: replace(a, users={})),
    ("LIMIT_EXCEEDED", lambda a: _leaves(a, lambda leaves: leaves * (LEAVES_MAX + 1))),
    ("kt.leaf", lambda a: _leaves(a, lambda leaves: tuple(replace(leaf, proof=()) for leaf in leaves))),
    ("LIMIT_EXCEEDED", lambda a: _leaves(a, lambda ls: tuple(replace(leaf, proof=(bytes(32),) * 65) for leaf in ls))),
    (
        "kt.leaf",
        lambda a: _leaves(a, lambda ls: tuple(replace(x, record=x.record.replace("T04:", "T05:")) for x in ls)),
    ),
    ("MALFORMED", lambda a: _leaves(a, lambda ls: tuple(replace(x, record='{"checkpoint":"x"}') for x in ls))),
    ("MALFORMED", lambda a: _leaves(a, lambda ls: tuple(replace(x, record=x.record + "\ud800") for x in ls))),
    ("kt.leaf", lambda a: replace(a, users=dict(zip(a.users, reversed([*a.users.values()]), strict=True)))),
    ("kt.chain", lambda a: _leaves(a, lambda leaves: leaves[:1])),
    ("kt.chain", lambda a: _leaves(a, lambda leaves: (leaves[0], *leaves[2:]))),
    ("kt.chain", lambda a: _leaves(a, lambda leaves: leaves[::-1])),
]


@pytest.mark.parametrize("code", [f"{number}:{code}" for number, (code, _) in enumerate(LIES)])
async def test_an_answer_that_is_altered_is_refused(world: World, log: SimLog, code: str) -> None:
    number, _, wanted = code.partition(":")
    for user in ("alice", "bob"):
        log.add("certificate.renewed", user, _key(user))
        log.add("certificate.renewed", user, _key(user))
    liar = world.hostile("alice")
    device = Device(world, remote=liar.port)
    await watch_own(device.account)
    liar.replace("key_log", LIES[int(number)][1])
    with pytest.raises(CandadoError) as caught:
        await look_up(device.account, [ALICE, BOB])
    assert getattr(caught.value, "event", caught.value.code) == wanted
    assert [code for _, code, _ in _codes(device)] == [wanted]


async def test_what_the_log_alone_cannot_show_is_the_newest_record_that_is_withheld(world: World, log: SimLog) -> None:
    """A control of what is promised: the chain of one person may end early for who asks; only others see the rest."""
    log.add("certificate.issued", "alice", _key("mallory"))
    liar = world.hostile("alice")
    device = Device(world, remote=liar.port)
    liar.replace("key_log", lambda a: _leaves(a, lambda leaves: leaves[1:] if len(leaves) > 1 else leaves))
    await watch_own(device.account)
    assert _codes(device) == []
    assert len(log.answer(["alice"], 0).users["alice"]) == 2

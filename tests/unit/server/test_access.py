"""Accounts, sign-in and rate limits with a clock set by hand."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from tests.unit.server.world import HandClock, World

from candado.adapters.passwords import WAITING_MAX, Argon2Passwords
from candado.errors import (
    AlreadyExistsError,
    AuthRequiredError,
    BadRequestError,
    CandadoError,
    CorruptStateError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
)
from candado.server.access import RECHECK_SECONDS, Authenticator, knows_e2ee, parse_authorization
from candado.server.accounts import Accounts
from candado.server.browsers import BROWSER_SECONDS, Browsers
from candado.server.devices import Devices
from candado.server.login import FLOW_SECONDS, LoginFlows
from candado.server.model import Principal
from candado.server.ratelimit import Limit, RateLimiter, address_bucket
from candado.types import SecretText, UserId

PASSWORD = SecretText("four random words")


def quick() -> Argon2Passwords:
    return Argon2Passwords(time_cost=1, memory_kib=64)


class CountedPasswords:
    """Real hashes, counted."""

    def __init__(self) -> None:
        self.verified = 0
        self._inner = quick()

    async def hash(self, password: SecretText) -> str:
        return await self._inner.hash(password)

    async def verify(self, hashed: str, password: SecretText) -> bool:
        self.verified += 1
        return await self._inner.verify(hashed, password)

    async def verify_nobody(self, password: SecretText) -> None:
        self.verified += 1
        await self._inner.verify_nobody(password)


class Stage:
    def __init__(self, world: World) -> None:
        self.clock = cast("HandClock", world.backend.clock)
        self.passwords = CountedPasswords()
        self.accounts = Accounts(world.backend, self.passwords)
        self.database = world.backend.database
        self.devices = Devices(world.backend)
        self.browsers = Browsers(world.backend)
        self.limiter = RateLimiter(world.backend)
        self.flows = LoginFlows(world.backend)
        self.authenticator = self.fresh(world)

    def fresh(self, world: World) -> Authenticator:
        return Authenticator(world.backend, self.passwords, self.limiter)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server on an empty store without users."""
    made = await World.open(tmp_path, users=False)
    yield made
    await made.close()


@pytest.fixture
async def stage(world: World) -> Stage:
    made = Stage(world)
    await made.accounts.add("alice", PASSWORD)
    return made


def basic(user: str, secret: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{secret}".encode())


HEADER = basic("alice", PASSWORD.reveal())
ALICE = Principal(UserId("alice"), is_admin=False, app_password_id=None)


# --- sign-in -----------------------------------------------------------------------------------------------


async def test_a_verified_password_is_hashed_once_and_then_remembered(stage: Stage) -> None:
    assert stage.authenticator.cached(HEADER) is None
    assert await stage.authenticator.check(HEADER, "192.0.2.1") == ALICE
    assert stage.authenticator.cached(HEADER) == ALICE
    stage.clock.time += RECHECK_SECONDS + 0.1
    assert stage.authenticator.cached(HEADER) is None
    assert await stage.authenticator.check(HEADER, "192.0.2.1") == ALICE
    assert stage.passwords.verified == 1


async def test_a_remembered_password_is_hashed_again_after_an_hour(stage: Stage) -> None:
    await stage.authenticator.check(HEADER, "192.0.2.1")
    stage.clock.time += 3601
    await stage.authenticator.check(HEADER, "192.0.2.1")
    assert stage.passwords.verified == 2


@pytest.mark.parametrize("change", ["password", "disabled", "deleted"])
async def test_a_change_of_the_account_ends_what_was_remembered(stage: Stage, change: str) -> None:
    await stage.authenticator.check(HEADER, "192.0.2.1")
    if change == "password":
        await stage.accounts.set_password("alice", SecretText("another good one"))
    elif change == "disabled":
        await stage.accounts.set_enabled("alice", enabled=False)
    else:
        await stage.accounts.delete("alice")
    stage.clock.time += RECHECK_SECONDS + 0.1
    with pytest.raises(AuthRequiredError):
        await stage.authenticator.check(HEADER, "192.0.2.1")


async def test_a_header_is_remembered_only_as_it_was_verified(stage: Stage) -> None:
    await stage.authenticator.check(HEADER, "192.0.2.1")
    for other in (basic("alice", "wrong"), basic("Alice", PASSWORD.reveal()), HEADER + b" ", b""):
        assert stage.authenticator.cached(other) is None


async def test_an_unknown_user_costs_a_hash_like_a_wrong_password(stage: Stage) -> None:
    for user in ("alice", "nobody"):
        before = stage.passwords.verified
        with pytest.raises(AuthRequiredError) as caught:
            await stage.authenticator.check(basic(user, "wrong"), "192.0.2.1")
        assert stage.passwords.verified == before + 1
        assert caught.value.message == "unknown user or wrong password"


async def test_a_hundred_guesses_at_once_are_not_more_than_twenty(stage: Stage) -> None:
    results = await asyncio.gather(
        *[stage.authenticator.check(basic("alice", f"guess {n}"), f"192.0.2.{n}") for n in range(60)],
        return_exceptions=True,
    )
    kinds = [type(result) for result in results]
    assert (kinds.count(AuthRequiredError), kinds.count(RateLimitedError)) == (20, 40)
    assert stage.passwords.verified == 20


async def test_an_app_password_and_a_remembered_one_pass_while_guesses_are_limited(stage: Stage) -> None:
    secret = (await stage.devices.make("alice", "phone")).reveal()
    await stage.authenticator.check(HEADER, "192.0.2.1")
    for n in range(25):
        with pytest.raises((AuthRequiredError, RateLimitedError)):
            await stage.authenticator.check(basic("alice", f"guess {n}"), "192.0.2.9")
    assert (await stage.authenticator.check(basic("alice", secret), "192.0.2.9")).user_id == "alice"
    assert await stage.authenticator.check(HEADER, "192.0.2.9") == ALICE


async def test_good_sign_ins_do_not_use_up_the_limit(world: World, stage: Stage) -> None:
    for _ in range(30):
        await stage.fresh(world).check(HEADER, "192.0.2.1")


async def test_one_address_cannot_try_many_users(stage: Stage) -> None:
    results: list[type[CandadoError]] = []
    for n in range(70):
        with pytest.raises(CandadoError) as caught:
            await stage.authenticator.check(basic(f"user{n}", "x"), "192.0.2.1")
        results.append(type(caught.value))
    assert (results.count(AuthRequiredError), results.count(RateLimitedError)) == (60, 10)


async def test_an_app_password_is_no_login_password(stage: Stage) -> None:
    secret = (await stage.devices.make("alice", "phone")).reveal()
    with pytest.raises(ForbiddenError, match="Password confirmation"):
        await stage.authenticator.confirm_password(basic("alice", secret), "192.0.2.1")
    with pytest.raises(AuthRequiredError):
        await stage.authenticator.sign_in("alice", SecretText(secret), "192.0.2.1")
    assert await stage.authenticator.confirm_password(HEADER, "192.0.2.1") == ALICE


async def test_a_bearer_token_is_an_app_password(stage: Stage) -> None:
    secret = (await stage.devices.make("alice", "phone")).reveal()
    assert (await stage.authenticator.check(b"Bearer " + secret.encode(), "192.0.2.1")).user_id == "alice"
    with pytest.raises(AuthRequiredError):
        await stage.authenticator.check(b"Bearer " + b"x" * 72, "192.0.2.1")


async def test_a_revoked_app_password_is_out_and_its_use_was_noted(stage: Stage) -> None:
    secret = (await stage.devices.make("alice", "pho\x00ne" + "x" * 200)).reveal()
    principal = await stage.authenticator.check(basic("alice", secret), "192.0.2.1")
    (shown,) = await stage.devices.all("alice")
    assert (shown.label, shown.last_used_at) == (("phone" + "x" * 200)[:120], stage.clock.time)
    assert principal.app_password_id == shown.device_id
    await stage.devices.revoke("alice", shown.device_id)
    stage.authenticator.forget(principal)
    with pytest.raises(AuthRequiredError):
        await stage.authenticator.check(basic("alice", secret), "192.0.2.1")


async def test_nobody_revokes_the_app_password_of_another(stage: Stage) -> None:
    await stage.accounts.add("bob", PASSWORD)
    secret = (await stage.devices.make("alice", "phone")).reveal()
    (shown,) = await stage.devices.all("alice")
    await stage.devices.revoke("bob", shown.device_id)
    assert (await stage.authenticator.check(basic("alice", secret), "192.0.2.1")).user_id == "alice"


async def test_a_refused_credential_is_counted_once_and_hashed_again_after_a_change(stage: Stage) -> None:
    for user in ("alice", "nobody"):
        for _ in range(30):
            with pytest.raises(AuthRequiredError):
                await stage.authenticator.check(basic(user, "another good one"), "192.0.2.1")
    assert stage.passwords.verified == 2
    await stage.accounts.set_password("alice", SecretText("another good one"))
    assert await stage.authenticator.check(basic("alice", "another good one"), "192.0.2.1") == ALICE


async def test_what_ends_an_app_password_returns_when_no_process_remembers_it(world: World, stage: Stage) -> None:
    secrets = [basic("alice", (await stage.devices.make("alice", f"device {n}")).reveal()) for n in range(3)]
    others = [stage.fresh(world) for _ in range(2)]
    for other in others:
        for secret in secrets:
            await other.check(secret, "192.0.2.1")
    ends = (
        stage.devices.revoke("alice", 1),
        stage.devices.ask_wipe("alice", 2),
        stage.devices.revoke_all("alice"),
    )
    for end, secret in zip(ends, secrets, strict=True):
        assert [other.cached(secret) is None for other in others] == [False, False]
        await end
        for other in others:
            assert other.cached(secret) is None
            with pytest.raises(AuthRequiredError):
                await other.check(secret, "192.0.2.1")
            for left in secrets[secrets.index(secret) + 1 :]:
                await other.check(left, "192.0.2.1")


async def test_a_browser_is_signed_in_for_an_hour(stage: Stage) -> None:
    browser = await stage.browsers.sign_in(UserId("alice"))
    stage.clock.time += BROWSER_SECONDS - 1
    assert (await stage.browsers.find(browser.token)).user_id == "alice"
    stage.clock.time += 1
    for token in (browser.token, SecretText(""), SecretText("x" * 64)):
        with pytest.raises(AuthRequiredError):
            await stage.browsers.find(token)
    # The next sign-in removes what is over.
    await stage.browsers.sign_in(UserId("alice"))
    assert await stage.database.read(lambda rows: rows.one("SELECT COUNT(*) FROM browsers")) == (1,)


@pytest.mark.parametrize(
    "header",
    [b"", b"Basic", b"Basic =", b"Basic " + base64.b64encode(b"nocolon"), b"Negotiate x", b"Basic " + b"A" * 5000],
)
def test_what_is_no_credential_is_refused(header: bytes) -> None:
    with pytest.raises(AuthRequiredError):
        parse_authorization(header)


@pytest.mark.parametrize(
    ("agent", "announced", "known"),
    [
        ("Mozilla/5.0 (Android) Nextcloud-android/3.13.0", False, True),
        ("Mozilla/5.0 (Android) Nextcloud-android/3.9.9", False, False),
        ("Mozilla/5.0 (Linux) mirall/3.16.0 (Nextcloud)", False, True),
        ("Mozilla/5.0 (Linux) csyncoC/2.9.9", False, False),
        ("Mozilla/5.0 (iOS) Nextcloud-iOS/3.0.5", False, True),
        ("curl/8", False, False),
        ("curl/8", True, True),
    ],
)
def test_clients_that_know_encrypted_folders_are_told_apart(agent: str, announced: bool, known: bool) -> None:
    assert knows_e2ee(agent, announced=announced) is known


# --- accounts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "\u0430lice", "x" * 65, "a\n", "s:token"])
async def test_a_name_that_could_be_taken_for_another_is_refused(stage: Stage, name: str) -> None:
    with pytest.raises(CandadoError) as caught:
        await stage.accounts.add(name, PASSWORD)
    assert caught.value.code in ("BAD_REQUEST", "MALFORMED")


async def test_names_that_differ_in_case_only_are_one(stage: Stage) -> None:
    with pytest.raises(AlreadyExistsError):
        await stage.accounts.add("aLiCe", PASSWORD)


@pytest.mark.parametrize("password", ["", "short", "x" * 1025, "\u00e4" * 600])
async def test_a_password_has_a_length_that_makes_sense(stage: Stage, password: str) -> None:
    with pytest.raises(BadRequestError):
        await stage.accounts.add("bob", SecretText(password))


async def test_a_user_that_cannot_join_its_group_is_not_made(stage: Stage) -> None:
    with pytest.raises(NotFoundError):
        await stage.accounts.add("bob", PASSWORD, groups=("none",))
    with pytest.raises(NotFoundError):
        await stage.accounts.get("bob")


async def test_search_takes_the_text_as_it_is(stage: Stage) -> None:
    await stage.accounts.add("bob_x", PASSWORD, display_name="100% Bob!")
    found = {
        text: [a.user_id for a in await stage.accounts.search(text, count_max=9)] for text in ("%", "_", "!", "BOB")
    }
    assert found == {"%": ["bob_x"], "_": ["bob_x"], "!": ["bob_x"], "BOB": ["bob_x"]}


async def test_a_damaged_hash_is_an_error_not_a_wrong_password() -> None:
    with pytest.raises(CorruptStateError):
        await quick().verify("$argon2id$rubbish", PASSWORD)


async def test_hashes_do_not_pile_up_without_bound() -> None:
    passwords = Argon2Passwords(parallel=1, time_cost=1, memory_kib=64)
    results = await asyncio.gather(*[passwords.hash(PASSWORD) for _ in range(WAITING_MAX + 5)], return_exceptions=True)
    assert [type(r) for r in results].count(RateLimitedError) == 5


# --- rate limits -------------------------------------------------------------------------------------------


async def test_a_bucket_fills_again_with_time(stage: Stage) -> None:
    limit = Limit("test", "x", 2, 60.0)
    await stage.limiter.take(limit)
    await stage.limiter.take(limit)
    with pytest.raises(RateLimitedError) as caught:
        await stage.limiter.take(limit)
    assert caught.value.after_seconds == pytest.approx(30.0)
    stage.clock.time += 30.1
    await stage.limiter.take(limit)
    stage.clock.time -= 1000
    with pytest.raises(RateLimitedError):
        await stage.limiter.take(limit)


async def test_tokens_given_back_never_exceed_the_bucket(stage: Stage) -> None:
    limit = Limit("test", "x", 2, 60.0)
    await stage.limiter.take(limit)
    for _ in range(5):
        await stage.limiter.give_back(limit)
    await stage.limiter.take(limit)
    await stage.limiter.take(limit)
    with pytest.raises(RateLimitedError):
        await stage.limiter.take(limit)


async def test_idle_rows_are_swept(stage: Stage) -> None:
    await stage.limiter.take(Limit("test", "x", 2, 60.0))
    assert await stage.limiter.sweep(idle_seconds=100) == 0
    stage.clock.time += 101
    assert await stage.limiter.sweep(idle_seconds=100) == 1


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_address_counts_as_its_customer(address: str, bucket: str) -> None:
    assert address_bucket(address) == bucket


# --- login flow --------------------------------------------------------------------------------------------


async def test_a_flow_gives_one_app_password_once(stage: Stage) -> None:
    started = await stage.flows.start("phone\x1b[31m")
    poll, flow = started.poll_token.reveal(), started.flow_token.reveal()
    assert await stage.flows.poll(poll) is None
    assert await stage.flows.client_name(flow) == "phone[31m"
    await stage.flows.confirm(flow, UserId("alice"))
    with pytest.raises(NotFoundError):
        await stage.flows.confirm(flow, UserId("mallory"))
    results = await asyncio.gather(*[stage.flows.poll(poll) for _ in range(5)])
    granted = [result for result in results if result is not None]
    assert [user for user, _ in granted] == ["alice"]
    assert (await stage.authenticator.check(basic("alice", granted[0][1].reveal()), "")).user_id == "alice"


async def test_the_browsers_token_does_not_fetch_and_the_devices_does_not_confirm(stage: Stage) -> None:
    started = await stage.flows.start("phone")
    with pytest.raises(NotFoundError):
        await stage.flows.confirm(started.poll_token.reveal(), UserId("alice"))
    await stage.flows.confirm(started.flow_token.reveal(), UserId("alice"))
    assert await stage.flows.poll(started.flow_token.reveal()) is None


async def test_a_flow_is_over_after_twenty_minutes(stage: Stage) -> None:
    started = await stage.flows.start("phone")
    stage.clock.time += FLOW_SECONDS + 1
    with pytest.raises(NotFoundError):
        await stage.flows.confirm(started.flow_token.reveal(), UserId("alice"))
    assert await stage.flows.poll(started.poll_token.reveal()) is None


async def test_a_user_disabled_meanwhile_gets_nothing(stage: Stage) -> None:
    started = await stage.flows.start("phone")
    await stage.flows.confirm(started.flow_token.reveal(), UserId("alice"))
    await stage.accounts.set_enabled("alice", enabled=False)
    assert await stage.flows.poll(started.poll_token.reveal()) is None
    assert await stage.devices.all("alice") == []


async def test_no_secret_of_a_flow_is_in_the_database(world: World, stage: Stage) -> None:
    started = await stage.flows.start("phone")
    await stage.flows.confirm(started.flow_token.reveal(), UserId("alice"))
    granted = await stage.flows.poll(started.poll_token.reveal())
    assert granted is not None
    shown = repr([await world.rows(f"SELECT * FROM {table}") for table in ("login_flows", "app_passwords", "users")])
    for secret in (started.poll_token, started.flow_token, granted[1], PASSWORD):
        assert secret.reveal() not in shown

"""The organisation's key, its policies and its recovery key on the server: only what was signed last is served."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.server.test_server_revocations import Signer
from tests.unit.server.world import ALICE, World, add_users
from tests.vectors.keys import private_key

from candado.crypto.ed25519 import SigningKey
from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import check_certificate, make_csr, parse_certificate
from candado.errors import (
    AlreadyExistsError,
    BadRequestError,
    CandadoError,
    ForbiddenError,
    NotFoundError,
    PeerWithoutKeysError,
    PreconditionFailedError,
    SignerUnavailableError,
)
from candado.folder.orgtrust import sign_policy
from candado.folder.recoveryrecords import RootUse, UseRecord, UseState, sign_use_record
from candado.formats.orgpolicy import PolicyText, RecoveryBody, recovery_member_id
from candado.ports.server import Rows
from candado.server.audit import Actor
from candado.server.capabilities import Told, capabilities
from candado.server.orgpolicies import OrganisationPolicies
from candado.server.pki import Pki
from candado.server.recovery import Recovery, RecoveryState
from candado.server.recoveryuses import RecoveryUses, StoredUse, record_recovery_changes
from candado.server.revocations import Revocations
from candado.types import FileId, SecretBytes, UserId

ORGANISATION, OTHER = SigningKey(SecretBytes(b"o" * 32)), SigningKey(SecretBytes(b"p" * 32))
KEY = private_key("bob")
MEMBER = UserId(recovery_member_id(KEY.public.fingerprint_hex))
CSR = make_csr(KEY, MEMBER)
ROOT = Actor(UserId("root"))


def _policy(
    serial: int, state: str = "on", *, by: SigningKey = ORGANISATION, key: str = KEY.public.fingerprint_hex
) -> bytes:
    body = RecoveryBody("on" if state == "on" else "off", key, "cd" * 32)
    return sign_policy(
        by, PolicyText("recovery", serial, 5, by.public.fingerprint_hex, "We can recover.", body.to_json())
    )


def _rules(serial: int, by: SigningKey = ORGANISATION) -> bytes:
    return sign_policy(
        by, PolicyText("client-rules", serial, 5, by.public.fingerprint_hex, f"Rules {serial}.", {"rules": []})
    )


class Office:
    """A server with an authority, and what it recorded."""

    def __init__(self, world: World) -> None:
        self.backend = world.backend
        self.signer = Signer(private_key("authority"))
        self.pki = Pki(world.backend, self.signer)
        self.policies = OrganisationPolicies(world.backend)
        self.recovery = Recovery(world.backend, self.pki)
        self.uses = RecoveryUses(world.backend)

    async def bodies(self, kind: str) -> list[dict[str, Any]]:
        async def work(rows: Rows) -> list[dict[str, Any]]:
            found = await rows.all("SELECT kind, body FROM audit_pending ORDER BY id")
            return [json.loads(str(body)) for name, body in found if name == kind]

        return await self.backend.database.read(work)

    async def events(self) -> list[tuple[str, object]]:
        async def work(rows: Rows) -> list[tuple[str, object]]:
            found = await rows.all("SELECT kind, body FROM audit_pending ORDER BY id")
            return [(str(kind), json.loads(str(body))["details"].get("serial")) for kind, body in found]

        wanted = ("orgkey.", "orgpolicy.", "recovery.")
        return [event for event in await self.backend.database.read(work) if event[0].startswith(wanted)]


@pytest.fixture
async def office(world: World) -> Office:
    await add_users(world.backend.database)
    office = Office(world)
    await office.policies.install_key(ORGANISATION.public, actor=ROOT)
    return office


async def test_a_recovery_key_is_certified_and_served_with_its_policy(office: Office) -> None:
    assert await office.recovery.state() == RecoveryState(ORGANISATION.public.to_pem(), "", "")
    policy = await office.recovery.install(_policy(1), CSR, actor=ROOT)
    state = await office.recovery.state()
    assert (state.organisation, state.policy) == (ORGANISATION.public.to_pem(), policy.raw.decode())
    certificate = parse_certificate(state.certificate)
    assert (
        check_certificate(certificate, user_id=MEMBER, authority=private_key("authority").public, now=1e9) is not None
    )
    assert certificate.public_key == KEY.public
    await office.pki.register(ALICE, make_csr(private_key("alice"), "alice"))
    served = await office.pki.certificates(ALICE, [MEMBER])
    assert served[MEMBER] == state.certificate
    assert await office.events() == [("orgkey.installed", None), ("recovery.installed", 1)]
    key, announced = await office.recovery.announced()
    assert (key, announced, await office.recovery.notice()) == (ORGANISATION.public, policy, "We can recover.")


async def test_switching_off_keeps_the_certificate_for_folders_that_carry_it(office: Office) -> None:
    await office.recovery.install(_policy(1), CSR)
    served = (await office.recovery.state()).certificate
    await office.recovery.install(_policy(2, "off"), "")
    state = await office.recovery.state()
    assert await office.recovery.notice() == ""
    assert (state.certificate, json.loads(state.policy)["document"]["body"]["state"]) == (served, "off")
    await office.recovery.install(_policy(3), CSR)
    assert (await office.recovery.state()).certificate == served
    assert [kind for kind, _ in await office.events()] == [
        "orgkey.installed", "recovery.installed", "recovery.off", "recovery.installed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "csr"),
    [
        (_policy(2, by=OTHER), CSR),
        (_policy(1), CSR),
        (_policy(1, "off"), ""),
        (_rules(3), CSR),
        (b"{}", CSR),
        (_policy(3), ""),
        (_policy(3), "x"),
        (_policy(3), make_csr(KEY, "alice")),
        (_policy(3), make_csr(private_key("alice"), MEMBER)),
        (_policy(3, key=private_key("alice").public.fingerprint_hex), CSR),
    ],
)
async def test_what_is_not_the_newest_policy_with_its_request_changes_nothing(
    office: Office, raw: bytes, csr: str
) -> None:
    await office.recovery.install(_policy(2), CSR)
    before, signed = (await office.recovery.state(), await office.events()), office.signer.signed
    with pytest.raises(BadRequestError):
        await office.recovery.install(raw, csr)
    assert ((await office.recovery.state(), await office.events()), office.signer.signed) == (before, signed)


async def test_repeating_an_installation_is_harmless(office: Office) -> None:
    first = await office.recovery.install(_policy(2), CSR)
    assert await office.recovery.install(_policy(2), CSR) == first
    assert office.signer.signed == 1


async def test_without_the_authority_no_policy_is_announced(office: Office) -> None:
    office.signer.away = True
    with pytest.raises(SignerUnavailableError):
        await office.recovery.install(_policy(1), CSR)
    assert await office.recovery.state() == RecoveryState(ORGANISATION.public.to_pem(), "", "")
    office.signer.away = False
    assert (await office.recovery.install(_policy(1), CSR)).serial == 1


async def test_a_revoked_recovery_key_is_served_to_nobody_and_never_certified_again(office: Office) -> None:
    await office.recovery.install(_policy(1), CSR)
    await Revocations(office.backend, office.signer).revoke(MEMBER, "key-compromise")
    await office.pki.register(ALICE, make_csr(private_key("alice"), "alice"))
    with pytest.raises(PeerWithoutKeysError):
        await office.pki.certificates(ALICE, [MEMBER])
    with pytest.raises(ForbiddenError):
        await office.recovery.install(_policy(2), CSR)
    assert json.loads((await office.recovery.state()).policy)["document"]["serial"] == 1


async def test_of_two_administrators_at_once_nobody_brings_an_older_policy(office: Office) -> None:
    outcomes = await asyncio.gather(
        *(office.policies.install("client-rules", _rules(serial)) for serial in (3, 2, 4, 1)), return_exceptions=True
    )
    installed = [one.serial for one in outcomes if not isinstance(one, BaseException)]
    assert all(isinstance(one, PreconditionFailedError) for one in outcomes if isinstance(one, BaseException))
    assert installed == sorted(installed)
    current = await office.policies.current("client-rules")
    assert current is not None
    assert current.serial == installed[-1] == 4
    assert [serial for kind, serial in await office.events() if kind == "orgpolicy.changed"] == installed


async def test_another_organisation_needs_a_word_and_takes_the_policies_with_it(office: Office) -> None:
    await office.recovery.install(_policy(1), CSR)
    await office.policies.install_key(ORGANISATION.public)
    with pytest.raises(AlreadyExistsError):
        await office.policies.install_key(OTHER.public)
    assert await office.policies.key() == ORGANISATION.public
    await office.policies.install_key(OTHER.public, replace=True)
    assert await office.policies.key() == OTHER.public
    assert await office.policies.current("recovery") is None
    assert (await office.recovery.install(_policy(1, by=OTHER), CSR)).organisation == OTHER.public.fingerprint_hex


async def test_without_an_organisation_no_policy_is_taken(world: World) -> None:
    office = Office(world)
    installing = (
        office.recovery.install(_policy(1), CSR),
        office.policies.install("client-rules", _rules(1)),
    )
    for work in installing:
        with pytest.raises(NotFoundError):
            await work
    assert await office.recovery.announced() == (None, None)


async def test_a_policy_that_was_spoiled_in_the_database_is_not_served(office: Office) -> None:
    await office.recovery.install(_policy(1), CSR)

    async def spoil(rows: Rows) -> None:
        await rows.run("UPDATE settings SET value = 'x' WHERE name = $1", "policy:recovery")

    await office.backend.database.write(spoil)
    assert await office.recovery.announced() == (ORGANISATION.public, None)


async def test_a_certificate_under_the_name_for_another_key_stops_the_installation(office: Office) -> None:
    await office.pki.register(ALICE.__class__(MEMBER), make_csr(private_key("alice"), MEMBER))
    with pytest.raises(CandadoError) as caught:
        await office.recovery.install(_policy(1), CSR)
    assert caught.value.code == "KEYS_EXIST"


# --- uses ---------------------------------------------------------------------------------------------------


def _use(state: UseState = "done", *, by: PrivateKey = KEY, **changes: Any) -> str:
    use = UseRecord(
        record_id="ab" * 16, kind="decrypt", state=state, persons=("Ada", "Bo"), purpose="Bob left", sheets=(1, 3),
        ceremony="0123456789", public_key=by.public, begun=10, ended=20 if state == "done" else 0,
        server="https://cloud.example", account=UserId("alice"), bundle_sha256="cd" * 32, certificate_sha256="",
        roots=(RootUse(FileId(7), "ef" * 32),), files=3, bytes=10,
    )  # fmt: skip
    return sign_use_record(replace(use, **changes), by)


async def test_a_use_is_logged_and_shown_to_everybody_it_concerns(office: Office) -> None:
    await office.recovery.install(_policy(1), CSR)

    async def share(rows: Rows) -> None:
        await rows.run(
            "INSERT INTO shares (node_id, share_type, owner_id, initiator_id, share_with, permissions, target, created)"
            " VALUES (7, 0, 'alice', 'alice', 'bob', 31, 'Folder', 1.5)"
        )

    await office.backend.database.write(share)
    begun, done = _use("begun"), _use()
    assert (await office.uses.report(begun, actor=ROOT)).state == "begun"
    assert await office.uses.report(done, actor=ROOT) == StoredUse("ab" * 16, "done", 2)
    assert await office.uses.report(done, actor=ROOT) == StoredUse("ab" * 16, "done", 2)
    for user in (UserId("alice"), UserId("bob")):
        assert await office.uses.of(user) == ["ab" * 16]
        assert await office.uses.get(user, "ab" * 16) == done
    assert await office.uses.of(UserId("carol")) == []
    for user, use_id in ((UserId("carol"), "ab" * 16), (UserId("alice"), "cd" * 16)):
        with pytest.raises(NotFoundError):
            await office.uses.get(user, use_id)
    await office.backend.database.write(lambda rows: rows.run("DELETE FROM shares WHERE node_id = 7"))
    bodies = await office.bodies("recovery.used")
    assert [(one["outcome"], one["details"]["files"], one["details"]["account"]) for one in bodies] == [
        ("intent", 3, "user:alice"), ("done", 3, "user:alice"), ("done", 3, "user:alice"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "{}", "x" * (1024 * 1024 + 1), _use(by=private_key("alice"))])
async def test_what_no_recovery_key_signed_is_no_use(office: Office, text: str) -> None:
    await office.recovery.install(_policy(1), CSR)
    with pytest.raises(BadRequestError):
        await office.uses.report(text)
    assert await office.bodies("recovery.used") == []


async def test_a_record_of_a_use_is_not_replaced_by_another(office: Office) -> None:
    with pytest.raises(BadRequestError):
        await office.uses.report(_use())
    await office.recovery.install(_policy(1), CSR)
    await office.uses.report(_use("begun"))
    with pytest.raises(AlreadyExistsError):
        await office.uses.report(_use(persons=("Eve", "Mal")))
    await office.uses.report(_use())
    for other in (_use("begun"), _use(purpose="Something else")):
        with pytest.raises(AlreadyExistsError):
            await office.uses.report(other)
    assert await office.uses.get(UserId("alice"), "ab" * 16) == _use()


async def test_keys_that_come_into_folders_and_leave_them_are_events(office: Office) -> None:
    other = "recovery:" + "0" * 16

    def text(*users: object) -> str:
        return json.dumps({"users": [{"userId": user} for user in users]})

    async def stage(rows: Rows) -> None:
        staged = (
            (1, text("alice"), text("alice", MEMBER)),
            (2, text(MEMBER), text("alice", other)),
            (3, text("alice"), text("alice", "recovery:not one", 5)),
            (4, text("alice"), "{"),
            (5, text(MEMBER, "bob"), text(MEMBER, "alice")),
        )
        for node_id, before, after in staged:
            await rows.run(
                "INSERT INTO folder_metadata (node_id, text, signature, members, counter, updated)"
                " VALUES ($1, $2, '', 'a', 1, 0)", node_id, before,
            )  # fmt: skip
            await rows.run(
                "INSERT INTO staged_metadata (session, node_id, text, signature, members, gone)"
                " VALUES ('s', $1, $2, '', 'b', 0)", node_id, after,
            )  # fmt: skip
        await record_recovery_changes(rows, "s")
        await rows.run("DELETE FROM staged_metadata WHERE session = 's'")
        for node_id, _, _ in staged:
            await rows.run("DELETE FROM folder_metadata WHERE node_id = $1", node_id)

    await office.backend.database.write(stage)
    found = [
        (kind, one["target"], one["details"]["member"])
        for kind in ("recovery.accepted", "recovery.withdrawn")
        for one in await office.bodies(kind)
    ]
    assert found == [
        ("recovery.accepted", "n:1", MEMBER),
        ("recovery.accepted", "n:2", other),
        ("recovery.withdrawn", "n:2", MEMBER),
    ]


def test_capabilities_announce_the_state_of_recovery() -> None:
    def ours(**known: object) -> dict[str, object]:
        found = capabilities("https://x", Told(keys_exist=True, **known))["capabilities"]["candado"]  # type: ignore[arg-type]
        return {name: found[name] for name in ("organisation", "recovery")}

    from candado.folder.orgtrust import verify_policy

    policy = verify_policy(_policy(4), kind="recovery", pinned_key=ORGANISATION.public, pinned=None)
    assert ours() == {"organisation": "", "recovery": {"state": "none"}}
    assert ours(organisation="ab", recovery=policy) == {
        "organisation": "ab",
        "recovery": {"state": "on", "member": MEMBER, "serial": 4, "text": "We can recover."},
    }

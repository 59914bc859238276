"""Rules that the organisation signed for its clients: obeyed before anything is sealed or sent, and never forged."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.client.sync_world import FOLDER, Device, Pair, numbers

from candado.client import edit
from candado.client.orgrules import rules_serial
from candado.client.policies import policy_in_force
from candado.client.reader import FolderReader
from candado.client.rehearsal import Rehearsal
from candado.client.session import UploadItem, WriteSession
from candado.client.transfer import BytesSource
from candado.crypto.ed25519 import SigningKey
from candado.errors import ClientRuleError, PolicyDeniedError, TransportError
from candado.folder.orgtrust import sign_policy
from candado.formats.canonjson import JsonObject
from candado.formats.clientrules import client_rules_body
from candado.formats.orgpolicy import PolicyText, format_signed_policy, policy_signed_bytes
from candado.types import SecretBytes

ORGANISATION = SigningKey(SecretBytes(bytes(range(32))))
STRANGER = SigningKey(SecretBytes(bytes(range(1, 33))))
NO_PROGRAMS = """
version = 1
[[rule]]
id = "no-programs"
deny = 'create, update, rename when (name like "*.exe" or mime = application/pdf)'
message = "No programs;\\nask Ana."
[[rule]]
id = "small"
deny = 'create, update when size > 100 B'
[[rule]]
id = "no-tmp"
deny = 'create when name = tmp'
"""
SAID = 'rule no-programs of the organisation does not allow this in an encrypted folder: "No programs; ask Ana."'


def signed(
    serial: int, text: str = NO_PROGRAMS, *, key: SigningKey = ORGANISATION, body: JsonObject | None = None
) -> str:
    rules = client_rules_body(text) if body is None else body
    named = ORGANISATION.public.fingerprint_hex
    policy = PolicyText("client-rules", serial, 5, named, "Rules.", rules)
    # As ``sign_policy``, which signs no rules that nobody could follow.
    return format_signed_policy(policy, key.sign(policy_signed_bytes(policy))).decode()


class Scene:
    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.server = pair.world.server
        self.device = pair.laptop

    def publish(self, raw: str, serial: int) -> None:
        """What the server shows from now on; the device asks for the capabilities anew."""
        self.server.policies["client-rules"] = raw
        self.server.capabilities = replace(self.server.capabilities, client_rules=serial)
        self.pair.world.clock.advance(3601)

    async def put(self, name: str, content: bytes = b"x", *, replace: bool = False) -> None:
        async with WriteSession(FolderReader(self.device.start()), FOLDER) as session:
            (result,) = await session.put_files([UploadItem(f"{FOLDER}/{name}", BytesSource(content, 0), replace)])
            if isinstance(result, Exception):
                raise result

    def refusals(self) -> list[str]:
        return [issue.code for issue in self.device.account.issues() if issue.severity == "refused"]

    async def names(self) -> set[str]:
        located = await FolderReader(self.device.start()).open_path(FOLDER)
        return set(located.view.entries)


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    pair = Pair(tmp_path)
    await pair.start("a", "d/b")
    for device in (pair.laptop, pair.phone):
        device.state.commit([("pin/organisation", "key", ORGANISATION.public.spki_der)])
    made = Scene(pair)
    made.publish(signed(3), 3)
    pair.calls()
    return made


async def test_a_forbidden_name_type_or_size_is_refused_before_anything_is_sent(scene: Scene) -> None:
    for name, content in (("Setup.EXE", b"x"), ("report.pdf", b"x"), ("big", b"x" * 101)):
        with pytest.raises(ClientRuleError):
            await scene.put(name, content)
    assert not {"put", "put_bytes"} & {*scene.pair.calls()}
    await scene.put("fits", b"x" * 100)
    assert await scene.names() == {"a", "d", "fits"}


async def test_the_error_has_the_words_of_the_organisation_on_one_line(scene: Scene) -> None:
    with pytest.raises(PolicyDeniedError) as caught:
        await scene.put("x.exe")
    error = caught.value
    assert (error.code, error.message, error.path) == ("CLIENT_RULE", SAID, f"{FOLDER}/x.exe")
    assert (error.rule_id, error.rules_version, error.needs_encryption) == ("no-programs", 3, False)


async def test_a_file_that_is_replaced_counts_as_updated(scene: Scene) -> None:
    only_update = NO_PROGRAMS.replace("create, update when size", "update when size")
    scene.publish(signed(4, only_update), 4)
    await scene.put("new", b"x" * 200)
    with pytest.raises(ClientRuleError):
        await scene.put("a", b"x" * 200, replace=True)


async def test_folders_renames_and_copies_are_asked_for(scene: Scene) -> None:
    account = scene.device.start()
    with pytest.raises(ClientRuleError):
        await edit.mkdir(account, f"{FOLDER}/tmp")
    for target in ("a.exe", "tmp"):
        with pytest.raises(ClientRuleError):
            await edit.mv(scene.device.start(), f"{FOLDER}/a", f"{FOLDER}/{target}")
    copied = await edit.cp(scene.device.start(), f"{FOLDER}/a", f"{FOLDER}/b.exe")
    assert [type(failure.error) for failure in copied.failures] == [ClientRuleError]
    await edit.mv(scene.device.start(), f"{FOLDER}/a", f"{FOLDER}/free")
    assert await scene.names() == {"free", "d"}


async def test_what_is_forbidden_where_it_is_may_get_another_such_name(scene: Scene) -> None:
    scene.publish("", 0)
    async with WriteSession(FolderReader(scene.pair.phone.start()), FOLDER) as session:
        await session.put_files([UploadItem(f"{FOLDER}/big", BytesSource(b"x" * 500, 0))])
        await session.add_folder(f"{FOLDER}/tmp")
    scene.publish(signed(4), 4)
    await edit.mv(scene.device.start(), f"{FOLDER}/big", f"{FOLDER}/bigger")
    await edit.mv(scene.device.start(), f"{FOLDER}/tmp", f"{FOLDER}/d/tmp")
    assert await scene.names() == {"a", "d", "bigger"}


async def test_a_dry_run_foresees_the_refusal(scene: Scene) -> None:
    account = scene.device.start()
    with pytest.raises(ClientRuleError):
        await edit.mv(account, f"{FOLDER}/a", f"{FOLDER}/a.exe", rehearsal=Rehearsal())
    with pytest.raises(ClientRuleError):
        await edit.mkdir(account, f"{FOLDER}/tmp", rehearsal=Rehearsal())
    copied = await edit.cp(account, f"{FOLDER}/a", f"{FOLDER}/b.exe", rehearsal=Rehearsal())
    assert [type(failure.error) for failure in copied.failures] == [ClientRuleError]


async def test_a_sync_leaves_it_here_tells_it_once_and_lists_it(scene: Scene) -> None:
    scene.device.write("x.exe", "program")
    scene.device.write("fine", "f")
    first, second = await scene.device.sync(), await scene.device.sync()
    assert numbers(first) == {"uploaded": 1}
    assert [(p.path, p.code, p.known) for p in (*first.errors, *second.errors)] == [
        ("x.exe", "CLIENT_RULE", False),
        ("x.exe", "CLIENT_RULE", True),
    ]
    issues = [(i.code, i.path, i.message) for i in scene.device.account.issues() if i.severity == "problem"]
    assert issues == [("CLIENT_RULE", f"{FOLDER}/x.exe", SAID)]
    scene.publish(signed(4, "version = 1\n"), 4)
    scene.device.write("more", "m")
    await scene.device.sync()  # takes the new rules with the session for the other file
    assert numbers(await scene.device.sync()) == {"uploaded": 1}
    assert [i.code for i in scene.device.account.issues() if i.severity == "problem"] == []


async def test_rules_are_asked_for_once_and_not_at_all_without_a_trusted_key(scene: Scene) -> None:
    for name in ("one", "two"):
        await scene.put(name)
    assert scene.pair.calls().count("policy") == 1
    scene.device.state.commit([("pin/organisation", "key", None)])
    await scene.put("x.exe")
    assert (scene.pair.calls().count("policy"), rules_serial(scene.device.account)) == (0, 0)


# --- a server that lies --------------------------------------------------------------------------------------

OLDER = signed(2, "version = 1\n")
FORKED = signed(3, "version = 1\n")
FORGED = signed(4, "version = 1\n", key=STRANGER)
UNSIGNED = signed(4, "version = 1\n").replace('"signature":"', '"signature":"AAAA')
EDITED = signed(4).replace("no-programs", "no-problems")
UNKNOWN = signed(4, body={"rules": [{"id": "a", "deny": "create when not encrypted", "message": "x"}]})
RECOVERY = sign_policy(
    ORGANISATION,
    PolicyText(
        "recovery",
        4,
        5,
        ORGANISATION.public.fingerprint_hex,
        "Recovery.",
        {"state": "on", "key": "ab" * 32, "record": "cd" * 32, "former": []},
    ),
).decode()


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (OLDER, "policy.rollback"),
        (FORGED, "policy.signature"),
        (EDITED, "policy.signature"),
        (UNSIGNED, "MALFORMED"),
        (RECOVERY, "policy.kind"),
        (UNKNOWN, "RULES_INVALID"),
        ("{}", "MALFORMED"),
        ("x" * 300_000, "LIMIT_EXCEEDED"),
    ],
    ids=["older", "forged", "edited", "unsigned", "another kind", "not followable", "no policy", "too large"],
)
async def test_what_the_organisation_did_not_sign_last_changes_nothing(scene: Scene, raw: str, event: str) -> None:
    await scene.put("one")
    before = policy_in_force(scene.device.account, "client-rules")
    scene.publish(raw, 9)
    with pytest.raises(ClientRuleError):
        await scene.put("x.exe")
    assert (rules_serial(scene.device.account), scene.refusals()) == (3, [event])
    assert policy_in_force(scene.device.account, "client-rules") == before
    # Control: the very same act is done when the organisation has really signed it.
    scene.publish(signed(4, "version = 1\n"), 4)
    await scene.put("x.exe")
    assert "x.exe" in await scene.names()


async def test_two_policies_of_one_serial_leave_the_first_in_force(scene: Scene) -> None:
    await scene.put("one")
    scene.publish(FORKED, 9)
    with pytest.raises(ClientRuleError):
        await scene.put("x.exe")
    assert scene.refusals() == ["policy.fork"]


async def test_rules_that_are_withheld_stay_in_force(scene: Scene) -> None:
    await scene.put("one")
    for raw, announced in (("", 0), ("", 4)):
        scene.publish(raw, announced)
        with pytest.raises(ClientRuleError):
            await scene.put("x.exe")
    assert [issue.code for issue in scene.device.account.issues() if issue.path == "/"][-1] == "policy.missing"


async def test_a_server_that_announces_and_has_no_such_call_changes_nothing(scene: Scene) -> None:
    from candado.errors import NotFoundError

    scene.pair.hostile.fail("policy", NotFoundError(), times=9)
    await scene.put("one")
    assert (rules_serial(scene.device.account), scene.refusals()) == (0, [])


async def test_without_the_server_the_work_ends_as_it_would_anyway(scene: Scene) -> None:
    scene.pair.hostile.fail("policy", TransportError())
    with pytest.raises(TransportError):
        await scene.put("one")
    await scene.put("one")


async def test_another_device_of_the_person_follows_the_same(scene: Scene) -> None:
    phone: Device = scene.pair.phone
    phone.write("x.exe", "p")
    assert [problem.code for problem in (await phone.sync()).errors] == ["CLIENT_RULE"]

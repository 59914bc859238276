"""Access rules at the use cases: what is asked when, of which facts, and what stays when a rule says no."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.server.counting import CountingDatabase
from tests.unit.server.world import ALICE, BOB, HandClock, World

from candado.adapters.passwords import Argon2Passwords
from candado.errors import (
    CandadoError,
    ForbiddenError,
    NotFoundError,
    PolicyDeniedError,
    StoreUnavailableError,
)
from candado.formats.davsearch import FAVOURITE
from candado.formats.rules import Operation, Rules, parse_rules
from candado.ports.server import Rows
from candado.server.filedrops import FileDrops
from candado.server.model import Caller, NodeInfo, Principal
from candado.server.policy import Hit, Policy
from candado.server.shares import ShareChange, ShareRequest, Shares
from candado.types import LockToken, UserId

_PENDING = "SELECT kind, body FROM audit_pending ORDER BY id"
DESKTOP = "Mozilla/5.0 (Linux) mirall/3.17.0 (Nextcloud)"


def asking(who: Principal = ALICE, **more: str) -> Principal:
    """The principal of one request."""
    base = Caller("192.0.2.7", DESKTOP, "/remote.php/dav/files/alice/x")
    return replace(who, caller=replace(base, told=set(), **more))


class RuleBook:
    """Rules that a test writes; ``reads`` counts how often they were read."""

    def __init__(self) -> None:
        self.number = 0
        self.rules = Rules()
        self.reads = 0
        self.fails = False

    def write(self, *lines: str, report_only: bool = False) -> None:
        tables = [
            f'[[rule]]\nid = "r{at}"\ndeny = \'{line}\'\nmessage = "Rule {at} says no."\n'
            for at, line in enumerate(lines)
        ]
        head = "version = 1\n" + ("report_only = true\n" if report_only else "")
        self.number += 1
        self.rules = parse_rules(head + "".join(tables))

    async def versioned_in(self, rows: Rows) -> tuple[int, Rules]:
        if self.fails:
            raise StoreUnavailableError("the rules cannot be read")
        self.reads += 1
        return self.number, self.rules


class Ruled:
    """A world with rules."""

    def __init__(self, world: World) -> None:
        self.book = RuleBook()
        self.hits: list[Hit] = []
        self.written: list[Hit] = []
        self.world = World(world.database, world.objects, world.clock)
        self.policy = Policy(world.database, world.clock, self.book, record=self._record, counted=self.hits.append)
        object.__setattr__(self.world.backend, "policy", self.policy)
        self.shares = Shares(self.world.backend, self.world.files, Argon2Passwords(time_cost=1, memory_kib=64))
        self.drops = FileDrops(self.world.backend)
        self.files = self.world.files
        self.clock = world.clock

    async def _record(self, rows: Rows, hit: Hit) -> None:
        await rows.run("INSERT INTO settings (name, value) VALUES ($1, $2)", f"hit {len(self.written)}", hit.rule_id)
        self.written.append(hit)

    def rule(self, *lines: str, report_only: bool = False) -> None:
        """These rules are in force from now on."""
        self.book.write(*lines, report_only=report_only)
        self.clock.time += 1.0

    async def put(self, path: str, data: bytes = b"x", *, token: LockToken | None = None, **more: str) -> NodeInfo:
        return (await self.world.put(path, data, token=token, who=asking(ALICE, **more)))[0]


@pytest.fixture
async def ruled(world: World) -> Ruled:
    return Ruled(world)


async def test_a_denied_upload_is_refused_before_its_body_and_leaves_nothing(ruled: Ruled) -> None:
    ruled.rule("create when mime = application/pdf and not encrypted")
    with pytest.raises(PolicyDeniedError) as caught:
        await ruled.files.begin_put(asking(), "Report.PDF", token=None, length=10)
    error = caught.value
    assert (error.message, error.rule_id, error.text) == ("Rule 0 says no. (rule r0)", "r0", "Rule 0 says no.")
    assert (error.rules_version, error.needs_encryption, error.lasting) == (1, True, True)
    assert await ruled.world.tree() == {}
    assert (await ruled.put("notes.txt")).name == "notes.txt"


async def test_the_same_file_may_go_into_an_encrypted_folder(ruled: Ruled) -> None:
    ruled.rule("all when not encrypted and mime = application/pdf")
    vault = await ruled.world.encrypted_root("Vault", asking())
    token = await ruled.world.lock(vault, 2, asking())
    await ruled.put("Vault/" + "a" * 32, token=token)
    await ruled.world.sessions.unlock(asking(), vault.file_id, token=token)
    assert await ruled.world.get("Vault/" + "a" * 32) == b"x"


async def test_a_group_that_must_encrypt_can_make_an_encrypted_folder_and_nothing_plain(ruled: Ruled) -> None:
    async def join(rows: Rows) -> None:
        await rows.run("INSERT INTO memberships (group_id, user_id) VALUES ('HR', 'alice')")

    await ruled.world.database.write(join)
    ruled.rule("all but read when group = HR and not encrypted")
    vault = await ruled.world.encrypted_root("Vault", asking())
    token = await ruled.world.lock(vault, 2, asking())
    await ruled.put("Vault/" + "b" * 32, token=token)
    await ruled.world.sessions.unlock(asking(), vault.file_id, token=token)
    with pytest.raises(PolicyDeniedError) as caught:
        await ruled.put("plain.txt")
    assert (caught.value.needs_encryption, caught.value.lasting) == (True, False)
    assert (await ruled.world.put("plain.txt", b"", who=asking(BOB)))[1]


async def test_a_folder_whose_name_is_denied_both_ways_is_not_made(ruled: Ruled) -> None:
    ruled.rule('create when name like "*.tmp"')
    with pytest.raises(PolicyDeniedError):
        await ruled.files.make_folder(asking(), "x.tmp", token=None)
    assert await ruled.world.tree() == {}


async def test_the_size_counts_once_it_is_known_and_the_body_is_removed(ruled: Ruled) -> None:
    ruled.rule("create, update when size > 5 B")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.begin_put(asking(), "a", token=None, length=6)
    ticket = await ruled.files.begin_put(asking(), "a", token=None, length=None)
    blob_id = await ruled.world.objects.put(b"123456")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.commit_put(ticket, blob_id=blob_id, size_bytes=6, mtime=None)
    assert await ruled.world.tree() == {}
    with pytest.raises(NotFoundError):
        await ruled.world.objects.size(blob_id)
    assert (await ruled.put("a", b"12345")).size_bytes == 5


async def test_rules_that_change_during_an_upload_count_at_its_end(ruled: Ruled) -> None:
    ticket = await ruled.files.begin_put(asking(), "a.pdf", token=None, length=1)
    ruled.rule('create when name like "*.pdf"')
    blob_id = await ruled.world.objects.put(b"x")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.commit_put(ticket, blob_id=blob_id, size_bytes=1, mtime=None)
    assert await ruled.world.tree() == {}


async def test_a_file_that_is_replaced_counts_as_updated(ruled: Ruled) -> None:
    await ruled.put("a")
    ruled.rule("update when name = a")
    with pytest.raises(PolicyDeniedError):
        await ruled.put("a", b"new")
    assert await ruled.world.get("a") == b"x"
    await ruled.put("b")


async def test_the_type_is_that_of_the_name_and_else_that_of_the_request(ruled: Ruled) -> None:
    ruled.rule("create when mime = application/pdf")
    for path, told in (
        ("a.pdf", "text/plain"),
        ("a.pdf", ""),
        ("scan", "application/pdf"),
        ("a.xyzzy", "application/pdf"),
    ):
        with pytest.raises(PolicyDeniedError):
            await ruled.put(path, body_type=told)
    await ruled.put("a.txt", body_type="application/pdf")
    await ruled.put("scan", body_type="application/octet-stream")


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("create when ip = 192.0.2.0/24", {"address": "198.51.100.1"}),
        ("create when agent = desktop", {"user_agent": "curl/8"}),
        ('create when url like "/public.php/*"', None),
        ("create when time = 00:00-12:00 UTC", None),
        ("create when not known-device", None),
        ("create when link", None),
    ],
)
async def test_facts_of_the_request_reach_the_rules(ruled: Ruled, line: str, facts: dict[str, str] | None) -> None:
    ruled.rule(line)
    fits, other = asking(), asking(ALICE, **(facts or {}))
    if "url" in line:
        fits, other = asking(url="/public.php/dav/files/x"), asking()
    elif "time" in line:
        ruled.clock.time = 1_000_000_000.0 + 6 * 3600  # 07:46 in UTC
    elif "known-device" in line:
        other = replace(asking(), app_password_id=5)
    elif line.endswith("link"):
        folder = await ruled.files.make_folder(ALICE, "open", token=None)
        share = await ruled.shares.create(asking(), ShareRequest("open", 3, 15))
        assert folder.file_id == share.node_id
        fits = replace(asking(Principal(UserId(""))), link=share.share_id, link_token=share.token or "")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.begin_put(fits, "a", token=None, length=1)
    if "time" in line:
        ruled.clock.time += 12 * 3600
    await ruled.files.begin_put(other, "a", token=None, length=1)


# --- other operations --------------------------------------------------------------------------------------


async def test_a_file_is_not_moved_to_a_name_it_could_not_have_been_made_under(ruled: Ruled) -> None:
    await ruled.put("a.txt")
    ruled.rule('create when name like "*.exe"')
    with pytest.raises(PolicyDeniedError):
        await ruled.files.move(asking(), "a.txt", "a.exe", token=None, overwrite=False)
    await ruled.files.move(asking(), "a.txt", "b.txt", token=None, overwrite=False)
    assert await ruled.world.tree() == {"b.txt": b"x"}


async def test_what_is_forbidden_already_can_be_renamed_to_what_is_too(ruled: Ruled) -> None:
    await ruled.put("a.exe")
    ruled.rule('create when name like "*.exe"')
    await ruled.files.move(asking(), "a.exe", "b.exe", token=None, overwrite=False)
    assert await ruled.world.tree() == {"b.exe": b"x"}


async def test_renaming_is_asked_for_at_both_names(ruled: Ruled) -> None:
    await ruled.put("a.txt")
    await ruled.put("b.doc")
    ruled.rule('rename when name like "*.doc"')
    for source, target in (("b.doc", "c.txt"), ("a.txt", "a.doc")):
        with pytest.raises(PolicyDeniedError):
            await ruled.files.move(asking(), source, target, token=None, overwrite=False)
    assert await ruled.world.tree() == {"a.txt": b"x", "b.doc": b"x"}


async def test_what_a_move_or_copy_replaces_counts_as_updated(ruled: Ruled) -> None:
    await ruled.put("a")
    await ruled.put("kept", b"old")
    ruled.rule("update when name = kept")
    for work in (ruled.files.move, ruled.files.copy):
        with pytest.raises(PolicyDeniedError):
            await work(asking(), "a", "kept", token=None, overwrite=True)
    assert await ruled.world.tree() == {"a": b"x", "kept": b"old"}


async def test_a_folder_with_a_file_that_must_stay_is_neither_removed_nor_replaced(ruled: Ruled) -> None:
    await ruled.files.make_folder(ALICE, "box", token=None)
    await ruled.files.make_folder(ALICE, "box/in", token=None)
    await ruled.files.make_folder(ALICE, "other", token=None)
    await ruled.put("box/in/contract.pdf")
    ruled.rule("delete when mime = application/pdf")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.delete(asking(), "box", token=None)
    with pytest.raises(PolicyDeniedError):
        await ruled.files.move(asking(), "other", "box", token=None, overwrite=True)
    assert await ruled.world.get("box/in/contract.pdf") == b"x"
    await ruled.files.delete(asking(), "other", token=None)


async def test_a_copy_reads_what_is_there_and_creates_it_anew(ruled: Ruled) -> None:
    await ruled.files.make_folder(ALICE, "box", token=None)
    await ruled.put("box/a.pdf")
    ruled.rule("read when mime = application/pdf")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.copy(asking(), "box", "copy", token=None, overwrite=False)
    ruled.rule("create when mime = application/pdf")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.copy(asking(), "box", "copy", token=None, overwrite=False)
    assert set(await ruled.world.tree()) == {"box", "box/a.pdf"}
    ruled.rule("delete")
    await ruled.files.copy(asking(), "box", "copy", token=None, overwrite=False)
    assert await ruled.world.get("copy/a.pdf") == b"x"


async def test_reading_is_asked_for_alone_and_with_many(ruled: Ruled) -> None:
    for name in ("a.pdf", "a.txt"):
        await ruled.put(name)
    ruled.rule("read when mime = application/pdf")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.open_file(asking(), "a.pdf")
    assert set(await ruled.files.open_small_files(asking(), "", ["a.pdf", "a.txt"])) == {"a.txt"}
    assert (await ruled.files.stat(asking(), "a.pdf")).name == "a.pdf"


async def test_properties_are_an_update_but_for_a_mark_of_ones_own(ruled: Ruled) -> None:
    await ruled.put("a")
    ruled.rule("update")
    await ruled.files.patch_properties(asking(), "a", {FAVOURITE: "1"})
    for changes, mtime in (({FAVOURITE: "1", "{x}y": "z"}, None), ({}, 5.0)):
        with pytest.raises(PolicyDeniedError):
            await ruled.files.patch_properties(asking(), "a", changes, mtime=mtime)
    assert (await ruled.files.stat(ALICE, "a")).mtime == 123.0


async def test_sharing_is_asked_for_when_a_share_is_made_and_when_it_changes(ruled: Ruled) -> None:
    await ruled.files.make_folder(ALICE, "box", token=None)
    for kind, who in ((0, "bob"), (3, "")):
        ruled.rule()
        share = await ruled.shares.create(asking(), ShareRequest("box", kind, 1, who))
        ruled.rule("share when name = box")
        with pytest.raises(PolicyDeniedError):
            await ruled.shares.update(asking(), share.share_id, ShareChange(permissions=15))
        await ruled.shares.delete(asking(), share.share_id)
        with pytest.raises(PolicyDeniedError):
            await ruled.shares.create(asking(), ShareRequest("box", kind, 1, who))
    assert await ruled.shares.by_me(ALICE) == []


async def test_a_received_share_is_renamed_only_when_a_rule_lets_it(ruled: Ruled) -> None:
    box = await ruled.files.make_folder(ALICE, "box", token=None)
    await ruled.world.share(box, BOB.user_id)
    ruled.rule("rename")
    with pytest.raises(PolicyDeniedError):
        await ruled.files.move(asking(BOB), "box", "mine", token=None, overwrite=False)
    assert (await ruled.files.stat(BOB, "box")).name == "box"


# --- encrypted folders -------------------------------------------------------------------------------------


async def test_names_in_encrypted_folders_are_never_looked_at(ruled: Ruled) -> None:
    ruled.rule('create when name like "*" and (encrypted or link)', "create when not name = x and not mime = a/b")
    vault = await ruled.world.encrypted_root("Vault", ALICE)
    token = await ruled.world.lock(vault, 2, asking())
    await ruled.put("Vault/" + "c" * 32, token=token)
    await ruled.world.sessions.unlock(asking(), vault.file_id, token=token, abort=True)


@pytest.mark.parametrize("line", ["update when encrypted", "all when encrypted"])
async def test_a_folder_is_marked_and_described_only_when_a_rule_lets_it(ruled: Ruled, line: str) -> None:
    folder = await ruled.files.make_folder(ALICE, "box", token=None)
    vault = await ruled.world.encrypted_root("Vault", ALICE)
    token = await ruled.world.lock(vault, 2)
    ruled.rule(line)
    with pytest.raises(PolicyDeniedError) as caught:
        await ruled.world.metadata.mark_encrypted(asking(), folder.file_id)
    assert not caught.value.needs_encryption
    for work in (
        ruled.world.metadata.update(asking(), vault.file_id, text="{2}", signature="c2ln", token=token),
        ruled.world.metadata.delete(asking(), vault.file_id, token=token),
    ):
        with pytest.raises(PolicyDeniedError):
            await work
    await ruled.world.sessions.unlock(ALICE, vault.file_id, token=token, abort=True)
    with pytest.raises(PolicyDeniedError):
        await ruled.world.lock(vault, 2, asking())
    assert await ruled.world.rows("SELECT * FROM locks") == []
    assert not (await ruled.files.stat(ALICE, "box")).encrypted


async def test_the_first_document_and_the_flag_are_asked_for(ruled: Ruled) -> None:
    folder = await ruled.files.make_folder(ALICE, "box", token=None)
    await ruled.world.metadata.mark_encrypted(ALICE, folder.file_id)
    token = await ruled.world.lock(folder, 1)
    ruled.rule("create when encrypted", "update when name = box")
    with pytest.raises(PolicyDeniedError):
        await ruled.world.metadata.create(asking(), folder.file_id, text="{}", signature="c2ln", token=token)
    await ruled.world.sessions.unlock(ALICE, folder.file_id, token=token, abort=True)
    with pytest.raises(PolicyDeniedError):
        await ruled.world.metadata.unmark(asking(), folder.file_id)


async def test_a_session_is_undone_as_a_whole_when_the_rules_change_before_its_unlock(ruled: Ruled) -> None:
    vault = await ruled.world.encrypted_root("Vault", ALICE)
    token = await ruled.world.lock(vault, 2, asking())
    await ruled.put("Vault/" + "d" * 32, b"small", token=token)
    await ruled.put("Vault/" + "e" * 32, b"too large", token=token)
    ruled.rule("create when size > 5 B")
    with pytest.raises(PolicyDeniedError):
        await ruled.world.sessions.unlock(asking(), vault.file_id, token=token)
    assert set(await ruled.world.tree()) == {"Vault"}
    assert await ruled.world.rows("SELECT * FROM locks") == []
    await ruled.world.lock(vault, 2, asking())


async def test_an_unlock_under_the_same_rules_is_let_pass_and_reports_nothing_twice(ruled: Ruled) -> None:
    vault = await ruled.world.encrypted_root("Vault", ALICE)
    ruled.rule("create, delete when encrypted", report_only=True)
    token = await ruled.world.lock(vault, 2, asking())
    name = "Vault/" + "d" * 32
    await ruled.put(name, token=token)
    assert [(hit.rule_id, hit.denied, hit.operation) for hit in ruled.hits] == [("r0", False, Operation.CREATE)]
    await ruled.files.delete(asking(), name, token=token)
    await ruled.put(name, token=token)
    count = len(ruled.hits)
    await ruled.world.sessions.unlock(asking(), vault.file_id, token=token)
    assert len(ruled.hits) == count
    assert await ruled.world.get(name) == b"x"


async def test_all_encrypted_folders_stay_when_one_must(ruled: Ruled) -> None:
    await ruled.world.encrypted_root("Vault", ALICE)
    await ruled.world.encrypted_root("Other", ALICE)
    ruled.rule("delete when name = Vault")
    with pytest.raises(PolicyDeniedError):
        await ruled.world.metadata.delete_all_encrypted(asking())
    assert set(await ruled.world.tree()) == {"Vault", "Other"}
    ruled.rule("delete when name = Nothing")
    assert len(await ruled.world.metadata.delete_all_encrypted(asking())) == 2


async def test_dropped_entries_are_asked_for(ruled: Ruled) -> None:
    vault = await ruled.world.encrypted_root("Vault", ALICE)
    token = await ruled.world.lock(vault, 2)
    await ruled.put("Vault/" + "f" * 32, token=token)
    await ruled.world.sessions.unlock(ALICE, vault.file_id, token=token)
    ruled.rule("create when encrypted")
    with pytest.raises(PolicyDeniedError):
        await ruled.drops.add(asking(), vault.file_id, '{"' + "f" * 32 + '":{}}')
    ruled.rule("create when not encrypted")
    assert "f" * 32 in await ruled.drops.add(asking(), vault.file_id, '{"' + "f" * 32 + '":{}}')


# --- uploads in chunks ---------------------------------------------------------------------------------------


async def test_what_is_announced_is_asked_for_before_the_first_chunk(ruled: Ruled) -> None:
    ruled.rule("create when mime = application/pdf", "create when size > 5 B")
    uploads = ruled.world.uploads
    with pytest.raises(PolicyDeniedError):
        await uploads.check_target(asking(), "a.pdf", token=None, length=None)
    with pytest.raises(PolicyDeniedError):
        await uploads.check_target(asking(), "a.txt", token=None, length=6)
    await uploads.check_target(asking(), "a.txt", token=None, length=5)
    await uploads.check_target(asking(), "not/there/a.pdf", token=None, length=5)


async def test_joined_chunks_are_asked_for_and_stay_when_refused(ruled: Ruled) -> None:
    uploads, me = ruled.world.uploads, asking()
    await uploads.begin(me, "t")
    blob_id = await ruled.world.objects.put(b"123456")
    await uploads.put_chunk(me, "t", "1", blob_id=blob_id, size_bytes=6)
    ruled.rule("create when size > 5 B")
    with pytest.raises(PolicyDeniedError):
        await uploads.finish(me, "t", "a", token=None, total_length=None, mtime=None)
    assert [chunk.name for chunk in await uploads.list_chunks(me, "t")] == ["1"]
    ruled.rule()
    await uploads.finish(me, "t", "a", token=None, total_length=None, mtime=None)
    assert await ruled.world.get("a") == b"123456"


# --- the port itself -----------------------------------------------------------------------------------------


async def test_a_rule_that_matches_everything_stops_everything_and_nothing_of_the_server_itself(ruled: Ruled) -> None:
    await ruled.put("a")
    ruled.rule("all")
    for work in (
        ruled.files.begin_put(asking(), "b", token=None, length=1),
        ruled.files.open_file(asking(), "a"),
        ruled.files.delete(asking(), "a", token=None),
        ruled.files.make_folder(asking(), "c", token=None),
    ):
        with pytest.raises(PolicyDeniedError):
            await work
    assert [node.name for node in (await ruled.files.list_folder(asking(), ""))[1]] == ["a"]
    await ruled.files.delete(ALICE, "a", token=None)


async def test_who_has_no_right_learns_of_no_rule(ruled: Ruled) -> None:
    box = await ruled.files.make_folder(ALICE, "box", token=None)
    await ruled.put("box/a")
    await ruled.world.share(box, BOB.user_id, permissions=1)
    ruled.rule("all but read")
    for work in (
        ruled.files.begin_put(asking(BOB), "box/a", token=None, length=1),
        ruled.files.delete(asking(BOB), "box/a", token=None),
        ruled.files.make_folder(asking(BOB), "box/b", token=None),
    ):
        with pytest.raises(ForbiddenError) as caught:
            await work
        assert not isinstance(caught.value, PolicyDeniedError)
    with pytest.raises(NotFoundError):
        await ruled.files.delete(asking(BOB), "nothing", token=None)
    assert ruled.hits == []


async def test_rules_that_only_report_let_pass_and_are_noted_once_a_request(ruled: Ruled) -> None:
    ruled.rule("create when name = a", report_only=True)
    await ruled.put("a")
    assert [(hit.rule_id, hit.denied, hit.operation, hit.version) for hit in ruled.hits] == [
        ("r0", False, Operation.CREATE, 1)
    ]
    assert ruled.written == ruled.hits
    assert ruled.hits[0].node_id > 0


async def test_what_is_written_down_of_one_rule_and_actor_is_bounded(ruled: Ruled) -> None:
    ruled.rule("create when name = a")
    for _ in range(25):
        with pytest.raises(PolicyDeniedError):
            await ruled.put("a")
    assert (len(ruled.hits), len(ruled.written)) == (25, 20)
    with pytest.raises(PolicyDeniedError):
        await ruled.world.put("a", b"x", who=asking(BOB))
    assert len(ruled.written) == 21
    ruled.clock.time += 60
    with pytest.raises(PolicyDeniedError):
        await ruled.put("a")
    assert len(ruled.written) == 22


async def test_hits_are_events_with_ids_and_no_names(ruled: Ruled) -> None:
    object.__setattr__(ruled.world.backend, "policy", Policy(ruled.world.database, ruled.clock, ruled.book))
    ruled.rule("create when name = payroll.pdf", "delete")
    with pytest.raises(PolicyDeniedError):
        await ruled.put("payroll.pdf")
    ruled.rule("create", report_only=True)
    await ruled.put("secret plan")
    found = [(kind, json.loads(str(body))) for kind, body in await ruled.world.rows(_PENDING)]
    home = (await ruled.files.stat(ALICE, "")).file_id
    shown = {name: value for name, value in found[0][1].items() if name in ("actor", "target", "outcome", "details")}
    assert [kind for kind, _ in found] == ["policy.hit", "policy.reported"]
    assert shown == {
        "actor": "user:alice",
        "target": f"n:{home}",
        "outcome": "refused",
        "details": {"rule": "r0", "operation": "create", "rules_version": 1},
    }
    assert found[1][1]["outcome"] == "reported"
    assert "payroll" not in str(found)
    assert "secret" not in str(found)


async def test_a_log_that_fails_changes_no_answer(ruled: Ruled, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(rows: Rows, hit: Hit) -> None:
        raise StoreUnavailableError("no space")

    object.__setattr__(
        ruled.world.backend, "policy", Policy(ruled.world.database, ruled.clock, ruled.book, record=broken)
    )
    ruled.rule("create when name = a")
    with pytest.raises(PolicyDeniedError):
        await ruled.put("a")
    assert "a hit of rule r0 could not be written down: STORE_UNAVAILABLE" in caplog.text


async def test_rules_that_cannot_be_read_let_nobody_do_anything(ruled: Ruled) -> None:
    ruled.book.fails = True
    with pytest.raises(StoreUnavailableError):
        await ruled.put("a")
    ruled.book.fails = False
    await ruled.put("a")


async def test_a_change_of_the_rules_acts_within_a_second_and_they_are_read_once(ruled: Ruled) -> None:
    ruled.rule("delete")
    await ruled.put("a")
    ruled.book.write("create")
    await ruled.put("b")
    assert ruled.book.reads == 1
    ruled.clock.time += 1.0
    for _ in range(3):
        with pytest.raises(PolicyDeniedError):
            await ruled.put("c")
    assert ruled.book.reads == 2


async def test_without_rules_no_request_costs_a_statement_more(ruled: Ruled, tmp_path: Path) -> None:
    counted = CountingDatabase(ruled.world.database)
    free = World(counted, ruled.world.objects, HandClock())
    await free.put("a", b"x", who=asking())
    before = len(counted.asked)
    await free.put("a", b"x", who=asking())
    plain = counted.asked[before:]
    with_policy = World(counted, ruled.world.objects, ruled.clock)
    object.__setattr__(with_policy.backend, "policy", ruled.policy)
    await with_policy.put("a", b"x", who=asking())
    before = len(counted.asked)
    await with_policy.put("a", b"x", who=asking())
    assert counted.asked[before:] == plain


async def test_a_slow_read_does_not_bring_old_rules_back(ruled: Ruled) -> None:
    ruled.rule("create")
    newer = await ruled.policy.in_force()
    ruled.book.number, ruled.book.rules = 0, Rules()
    ruled.clock.time += 1.0
    assert (await ruled.policy.in_force()).version == 0
    ruled.policy._confirmed_at = ruled.clock.time
    assert await ruled.policy.in_force() is newer


async def test_administrators_are_a_group(ruled: Ruled) -> None:
    ruled.rule("create when not group = admin")
    with pytest.raises(PolicyDeniedError):
        await ruled.put("a")
    await ruled.world.put("a", b"x", who=asking(replace(ALICE, is_admin=True)))


async def test_every_refusal_is_one_of_our_errors(ruled: Ruled) -> None:
    ruled.rule('create when name matches "(a|b)+$"')
    with pytest.raises(CandadoError):
        await ruled.put("ab" * 100)

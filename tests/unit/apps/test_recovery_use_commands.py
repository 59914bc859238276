"""``candado recovery use`` as people call it, in this process, on bundles and requests of a simulated server."""

import asyncio
import copy
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.sim import World
from tests.unit.client.bundles import files_of, run_export
from tests.unit.client.devices import Device

from candado.adapters import offline
from candado.apps.cli import cmd_recovery_access
from candado.apps.cli.root import run
from candado.client import edit
from candado.client.recoverykey import key_of_sheets, read_sheets
from candado.client.regrant import Restored, apply_regrant, make_request
from candado.client.session import WriteSession
from candado.crypto.rsa import PrivateKey
from candado.crypto.x509 import fingerprint_words, make_csr, parse_certificate
from candado.errors import DiskFullError
from candado.folder.escrow import recovery_member
from candado.folder.members import set_recovery
from candado.folder.recoveryrecords import parse_use_record, recovery_user_id
from candado.folder.regrants import parse_regrant, sign_regrant
from candado.types import FileId

FILES = {"a.txt": b"one", "in/b": b"two"}


@dataclass
class Stage:
    """A ceremony, a bundle of a folder with its recovery key, and the request of its owner, who lost all keys."""

    folder: Path
    world: World
    new: Device
    key: PrivateKey

    @property
    def authority(self) -> str:
        return self.world.server.authority.public.fingerprint_hex

    def sheets(self, *indices: int) -> list[str]:
        return [part for at in indices for part in ("--sheet", str(self.folder / "key" / f"sheet-{at}.txt"))]


def _hold(out: Path) -> PrivateKey:
    people = ["--custodian", "Ana", "--custodian", "Bo", "--custodian", "Cy"]
    assert run(["recovery", "create", str(out), "--shares", "3", "--needed", "2", "--purpose", "x", *people]) == 0
    return key_of_sheets(read_sheets([(str(path), path.read_text()) for path in out.glob("sheet-*.txt")]), None)


def _meet(device: Device, key: PrivateKey) -> None:
    """As if the device had verified a policy that announces the recovery key."""
    account, name = device.account, recovery_user_id(key.public)
    account.store.commit(account.book.rows_recovery({name: key.public.fingerprint_hex}))


async def _prepare(folder: Path, key: PrivateKey) -> tuple[World, Device]:
    world = World("alice", "bob")
    old, name = Device(world), recovery_user_id(key.public)
    _meet(old, key)
    await edit.encrypt_folder(old.account, "/Secret")
    await old.put("/Secret", FILES)
    member = recovery_member(parse_certificate(world.server.issue(make_csr(key, name))))
    async with WriteSession(old.reader(), "/Secret") as session:
        await session.rekey(lambda state, new_key: set_recovery(state, member, new_key))
    await run_export(old, folder / "alice.bundle")
    world.enrol("alice", "alice-new")
    new = Device(world)
    _meet(new, key)
    (folder / "request.json").write_text((await make_request(new.account, ()))[1])
    return world, new


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("recovery")
    key = _hold(folder / "key")
    return Stage(folder, *asyncio.run(_prepare(folder, key)), key)


@pytest.fixture
def fresh(stage: Stage) -> Stage:
    """The stage with a device and a server of its own."""
    new = copy.deepcopy(stage.new)
    return replace(stage, new=new, world=new.world)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "has_route", lambda: False)


PEOPLE = ["--person", "Ana", "--person", "Bo"]


def _use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, src: Path, *more: str | Path
) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    words = ["recovery", "use", src, "--purpose", "case 17", "--record", tmp_path / "record.json", "--json", *more]
    status = run(list(map(str, words)))
    out, err = capsys.readouterr()
    answer: dict[str, Any] = json.loads(out)
    return status, answer, err


def test_a_bundle_is_decrypted_and_the_record_says_so(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer, _ = _use(
        capsys, tmp_path, stage.folder / "alice.bundle", "--decrypt", tmp_path / "out", *PEOPLE, *stage.sheets(1, 3),
        "--public", stage.folder / "key", "--authority-fingerprint", stage.authority,
    )  # fmt: skip
    assert status == 0
    assert files_of(tmp_path / "out") == {f"Secret/{name}": data for name, data in FILES.items()}
    record = parse_use_record((tmp_path / "record.json").read_bytes())
    assert (record.kind, record.state, record.persons, record.purpose) == ("decrypt", "done", ("Ana", "Bo"), "case 17")
    assert (record.sheets, record.account, record.server) == ((1, 3), "alice", "https://cloud.example")
    assert (record.files, record.bytes, len(record.roots)) == (2, 6, 1)
    assert record.public_key == stage.key.public
    assert record.begun <= record.ended
    assert (answer["files"], answer["id"], answer["account"]) == (2, record.record_id, "alice")
    assert (tmp_path / "record.json").stat().st_mode & 0o777 == 0o600


def test_a_user_gets_access_again_by_the_file_that_it_leaves(
    fresh: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer, err = _use(
        capsys, tmp_path, fresh.folder / "request.json", "--regrant", tmp_path / "alice.regrant", *PEOPLE,
        *fresh.sheets(2, 1), "--yes",
    )  # fmt: skip
    assert (status, answer["given"], answer["errors"]) == (0, ["/Secret"], [])
    assert "/Secret: members alice, recovery:" in err
    assert "is believed by its own word" in err
    record = parse_use_record((tmp_path / "record.json").read_bytes())
    regrant = parse_regrant((tmp_path / "alice.regrant").read_bytes())
    assert (record.kind, record.state, record.record_id) == ("regrant", "done", regrant.record_id)
    new = fresh.world.identity("alice")
    assert record.certificate_sha256 == new.certificate.fingerprint_hex
    assert [root.file_id for root in record.roots] == [root.file_id for root in regrant.roots]

    async def take() -> tuple[list[Restored], dict[str, bytes | None]]:
        account = fresh.new.start()
        _meet(fresh.new, fresh.key)
        return await apply_regrant(account, regrant), await fresh.new.tree("/Secret")

    assert asyncio.run(take()) == ([Restored("/Secret", 2)], {**FILES, "in": None})


def _as_new_device(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands with an account work on the simulated device."""

    def with_account(_run: Any, work: Any) -> Any:
        account = stage.new.start()
        _meet(stage.new, stage.key)
        return asyncio.run(work(account))

    monkeypatch.setattr(cmd_recovery_access, "with_account", with_account)


def test_the_user_asks_for_access_and_takes_it_with_two_commands(
    fresh: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_new_device(fresh, monkeypatch)
    assert run(["recovery", "request", str(tmp_path / "mine.json")]) == 0
    out = capsys.readouterr().out
    assert "Asked for:\n  /Secret\nHand" in out
    words = fingerprint_words(fresh.world.identity("alice").key.public.fingerprint_hex)
    assert out.rstrip().endswith(words)
    assert run(["recovery", "request", str(tmp_path / "mine.json")]) == 2
    status, _, err = _use(
        capsys, tmp_path, tmp_path / "mine.json", "--regrant", tmp_path / "g", *PEOPLE, *fresh.sheets(1, 2), "--yes"
    )
    assert status == 0
    assert words in err
    assert run(["recovery", "apply", str(tmp_path / "g")]) == 0
    assert capsys.readouterr().out == "/Secret: 2 folders have a new key\n"
    assert run(["recovery", "apply", str(tmp_path / "g")]) == 0
    assert capsys.readouterr().out == "/Secret: access was there already\n"


def test_access_that_cannot_be_taken_is_told_folder_by_folder(
    fresh: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_new_device(fresh, monkeypatch)
    src = fresh.folder / "request.json"
    assert _use(capsys, tmp_path, src, "--regrant", tmp_path / "g", *PEOPLE, *fresh.sheets(1, 2), "--yes")[0] == 0
    regrant = parse_regrant((tmp_path / "g").read_bytes())
    gone = replace(regrant.roots[0], file_id=FileId(99_999), path="/Gone")
    capsys.readouterr()
    for name, roots, status in (("some", (gone, regrant.roots[0]), 3), ("none", (gone,), 4)):
        (tmp_path / name).write_text(sign_regrant(replace(regrant, roots=roots), fresh.key))
        assert run(["recovery", "apply", str(tmp_path / name), "--json"]) == status
        out, err = capsys.readouterr()
        assert [one["path"] for one in json.loads(out)["errors"]] == ["/Gone"]
        assert "/Gone: The folder is not there any more. [NOT_FOUND]" in err
    (tmp_path / "bad").write_text((tmp_path / "g").read_text().replace("/Secret", "/Public"))
    assert run(["recovery", "apply", str(tmp_path / "bad")]) == 14


def test_a_bundle_of_somebody_else_and_a_new_certificate_do_as_well_as_a_request(
    fresh: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = fresh.world.identity("alice")
    (tmp_path / "alice.pem").write_text(new.certificate.pem)
    status, answer, err = _use(
        capsys, tmp_path, fresh.folder / "alice.bundle", "--regrant", tmp_path / "g", *PEOPLE, *fresh.sheets(1, 2),
        "--certificate", tmp_path / "alice.pem", "--authority-fingerprint", fresh.authority, "--yes",
    )  # fmt: skip
    assert (status, answer["given"]) == (0, ["/Secret"])
    assert fingerprint_words(new.key.public.fingerprint_hex) in err
    _as_new_device(fresh, monkeypatch)
    assert run(["recovery", "apply", str(tmp_path / "g")]) == 0


def test_a_certificate_by_another_authority_is_given_nothing(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = World("alice")
    foreign.server.hand_over(PrivateKey.generate())
    (tmp_path / "alice.pem").write_text(foreign.enrol("alice", "alice-foreign").certificate.pem)
    more: list[str | Path] = [*PEOPLE, *stage.sheets(1, 2), "--certificate", tmp_path / "alice.pem", "--yes"]
    status, answer, _ = _use(capsys, tmp_path, stage.folder / "alice.bundle", "--regrant", tmp_path / "g", *more)
    assert (status, answer["error"]["code"]) == (15, "UNTRUSTED_CERTIFICATE")
    status, answer, _ = _use(capsys, tmp_path, stage.folder / "alice.bundle", "--decrypt", tmp_path / "g", *more)
    assert (status, answer["error"]["code"]) == (2, "USAGE")
    assert [path.name for path in tmp_path.iterdir()] == ["alice.pem"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ([], "USAGE"),
        (["--decrypt", "{0}/out", "--regrant", "{0}/r", *PEOPLE], "USAGE"),
        (["--decrypt", "{0}/out", "--person", "Ana"], "MALFORMED"),
        (["--decrypt", "{0}/out", "--person", "Ana", "--person", "ana"], "MALFORMED"),
        (["--decrypt", "{0}/out", *PEOPLE, "--purpose", " "], "MALFORMED"),
        (["--decrypt", "{0}/out", *PEOPLE, "--sheet", "{1}/sheet-1.txt"], "SHARES_UNFIT"),
        (["--decrypt", "{0}/out", *PEOPLE, "--authority-fingerprint", "00" * 32], "UNTRUSTED_CERTIFICATE"),
        (["--decrypt", "{0}/out", *PEOPLE, "--no-input"], "SECRET_NEEDED"),
        (["--regrant", "{0}/r", *PEOPLE], "MALFORMED"),
    ],
)
def test_what_can_be_refused_without_the_key_leaves_nothing(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: str
) -> None:
    arguments = [text.format(tmp_path, stage.folder / "key") for text in more]
    src = (
        stage.folder
        / "alice.bundle"
        / ("candado-bundle.json" if "--regrant" in more and "--decrypt" not in more else "")
    )
    status, answer, _ = _use(capsys, tmp_path, src, *arguments)
    assert status != 0
    assert answer["error"]["code"] == code
    assert list(tmp_path.iterdir()) == []


def test_an_existing_record_or_package_is_never_overwritten(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "record.json").write_text("older")
    answer = _use(capsys, tmp_path, stage.folder / "alice.bundle", "--decrypt", tmp_path / "out", *PEOPLE)[1]
    assert answer["error"]["path"] == str(tmp_path / "record.json")
    (tmp_path / "record.json").rename(tmp_path / "r")
    answer = _use(capsys, tmp_path, stage.folder / "request.json", "--regrant", tmp_path / "r", *PEOPLE)[1]
    assert answer["error"]["path"] == str(tmp_path / "r")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("r", "older")]


def test_sheets_of_another_ceremony_open_nothing_and_sign_nothing(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _hold(tmp_path / "other")
    status, answer, _ = _use(
        capsys,
        tmp_path,
        stage.folder / "alice.bundle",
        "--decrypt",
        tmp_path / "out",
        *PEOPLE,
        "--sheet",
        tmp_path / "other",
    )
    assert (status, answer["error"]["code"]) == (13, "NOT_A_MEMBER")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_new_key_that_nobody_compared_is_given_nothing(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer, _ = _use(
        capsys, tmp_path, stage.folder / "request.json", "--regrant", tmp_path / "r", *PEOPLE, *stage.sheets(1, 2)
    )
    assert (status, answer["error"]["code"]) == (2, "USAGE")
    assert "compared this fingerprint with alice" in answer["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_the_record_nothing_is_opened(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise DiskFullError(path=str(path))

    monkeypatch.setattr(offline, "write_private", full)
    status, _, _ = _use(
        capsys, tmp_path, stage.folder / "alice.bundle", "--decrypt", tmp_path / "out", *PEOPLE, *stage.sheets(1, 2)
    )
    assert status == 17
    assert list(tmp_path.iterdir()) == []


def test_a_use_that_is_cut_leaves_a_record_of_its_beginning(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = offline.write_private

    def full(path: Path, data: bytes) -> None:
        if path.name == "r":
            raise DiskFullError(path=str(path))
        real(path, data)

    monkeypatch.setattr(offline, "write_private", full)
    status, _, _ = _use(
        capsys,
        tmp_path,
        stage.folder / "request.json",
        "--regrant",
        tmp_path / "r",
        *PEOPLE,
        *stage.sheets(1, 2),
        "--yes",
    )
    assert status == 17
    record = parse_use_record((tmp_path / "record.json").read_bytes())
    assert (record.state, record.ended, record.roots) == ("begun", 0, ())
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_request_of_which_nothing_opens_is_recorded_and_told(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _hold(tmp_path / "other")
    status, answer, err = _use(
        capsys, tmp_path, stage.folder / "request.json", "--regrant", tmp_path / "r", *PEOPLE, "--sheet",
        tmp_path / "other", "--yes",
    )  # fmt: skip
    assert (status, answer["error"]["code"]) == (13, "NOT_A_MEMBER")
    assert "/Secret: " in err
    record = parse_use_record((tmp_path / "record.json").read_bytes())
    assert (record.state, record.roots) == ("done", ())
    assert not (tmp_path / "r").exists()


def test_a_bundle_with_gaps_is_decrypted_as_far_as_it_goes(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(stage.folder / "alice.bundle", tmp_path / "b")
    bodies = sorted((tmp_path / "b" / "bodies").rglob("*"), key=lambda path: path.stat().st_size)
    bodies[-1].unlink() if bodies[-1].is_file() else None
    next(path for path in bodies if path.is_file()).write_bytes(b"altered, and of another size")
    status, answer, err = _use(
        capsys, tmp_path, tmp_path / "b", "--decrypt", tmp_path / "out", *PEOPLE, *stage.sheets(1, 2)
    )
    assert status != 0
    assert len(answer["errors"]) + len(answer["missing"]) >= 1
    assert "Secret/" in err or "no body" in err
    assert parse_use_record((tmp_path / "record.json").read_bytes()).state == "done"

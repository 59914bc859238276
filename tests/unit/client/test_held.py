"""What access rules refuse during a sync: told once, kept among the issues, tried again only when it is worth it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.client.sync_world import FOLDER, Device, Pair, numbers

from candado.client.sync_report import SyncProblem, SyncReport
from candado.errors import PolicyDeniedError
from candado.ports.client import Capabilities, Remote

Rule = Callable[[str, tuple[Any, ...]], bool]


class Ruled:
    """A remote whose rules refuse what a test says; ``asked`` counts what they refused."""

    def __init__(self, remote: Any) -> None:
        self._remote = remote
        self.version = 1
        self.lasting = True
        self.rule: Rule = lambda _method, _arguments: False
        self.asked: list[str] = []

    async def capabilities(self) -> Capabilities:
        found: Capabilities = await self._remote.capabilities()
        return replace(found, rules_version=self.version)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._remote, name)

        async def ruled(*arguments: Any, **options: Any) -> Any:
            if self.rule(name, arguments):
                self.asked.append(name)
                raise PolicyDeniedError(
                    "the server's rule big does not allow this",
                    rule_id="big",
                    rules_version=self.version,
                    lasting=self.lasting,
                )
            return await method(*arguments, **options)

        return ruled if name in ("put_bytes", "make_folder", "get_bytes", "move", "delete") else method


class Scene:
    def __init__(self, pair: Pair, base: Path) -> None:
        self.pair = pair
        self.ruled = Ruled(pair.world.remote("alice"))
        self.device = Device(pair.world, base, "ruled", remote=cast("Remote", self.ruled))

    async def sync(self, **options: object) -> SyncReport:
        self.ruled.asked.clear()
        return await self.device.sync(**options)  # type: ignore[arg-type]

    def issues(self) -> list[tuple[str, str, int]]:
        return [
            (issue.code, issue.path, issue.count)
            for issue in self.device.account.issues()
            if issue.severity == "problem"
        ]


def too_big(method: str, arguments: tuple[Any, ...]) -> bool:
    return method == "put_bytes" and len(arguments[1]) > 100


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    pair = Pair(tmp_path)
    await pair.start("a")
    made = Scene(pair, tmp_path)
    await made.sync()
    made.ruled.rule = too_big
    made.device.write("big", "b" * 200)
    made.device.write("small", "s")
    return made


def space_of(scene: Scene) -> str:
    return next(space for space in scene.device.state.spaces if space.startswith("held/"))


def told(report: SyncReport) -> list[tuple[str, str, bool]]:
    return [(problem.path, problem.code, problem.known) for problem in report.errors]


async def test_a_refused_file_is_told_and_not_sent_again(scene: Scene) -> None:
    first, then = await scene.sync(), []
    assert (numbers(first), told(first)) == ({"uploaded": 1}, [("big", "POLICY_DENIED", False)])
    for _ in range(2):
        report = await scene.sync()
        then.append((numbers(report), told(report), scene.ruled.asked.copy()))
    assert then == [({}, [("big", "POLICY_DENIED", True)], [])] * 2
    assert scene.issues() == [("POLICY_DENIED", f"{FOLDER}/big", 3)]
    assert scene.device.files()["big"] == b"b" * 200


async def test_what_is_known_is_told_in_the_words_of_the_refusal(scene: Scene) -> None:
    first, second = await scene.sync(), await scene.sync()
    assert second.errors == [replace(first.errors[0], known=True)]
    assert first.errors == [
        SyncProblem(
            "big",
            "POLICY_DENIED",
            "the server's rule big does not allow this",
            "Change what the rule is about, or ask the administrator who wrote it.",
            "Nothing was changed.",
        )
    ]


async def test_another_content_is_tried_and_the_issue_ends_with_its_success(scene: Scene) -> None:
    await scene.sync()
    scene.device.write("big", "c" * 300)
    report = await scene.sync()
    assert (scene.ruled.asked, told(report)) == (["put_bytes"], [("big", "POLICY_DENIED", False)])
    scene.device.write("big", "now small")
    assert numbers(await scene.sync()) == {"uploaded": 1}
    assert scene.issues() == []
    await scene.sync()
    assert scene.device.state.load_all(space_of(scene)) == {}


async def test_other_rules_are_tried_at_once(scene: Scene) -> None:
    await scene.sync()
    scene.ruled.rule = lambda _method, _arguments: False
    assert numbers(await scene.sync()) == {}
    scene.ruled.version = 2
    assert numbers(await scene.sync()) == {"uploaded": 1}
    assert scene.issues() == []


async def test_a_rule_about_what_changes_by_itself_is_asked_again_after_an_hour(scene: Scene) -> None:
    scene.ruled.lasting = False
    await scene.sync()
    await scene.sync()
    assert scene.ruled.asked == []
    scene.pair.world.clock.advance(3600)
    await scene.sync()
    assert scene.ruled.asked == ["put_bytes"]
    scene.pair.world.clock.advance(-7200)  # a clock that was set back does not hold a file for ever
    await scene.sync()
    assert scene.ruled.asked == ["put_bytes"]


async def test_a_lasting_rule_is_not_asked_again_by_time(scene: Scene) -> None:
    await scene.sync()
    scene.pair.world.clock.advance(90_000)
    await scene.sync()
    assert scene.ruled.asked == []


async def test_a_run_without_refusals_asks_for_nothing_more(scene: Scene) -> None:
    scene.ruled.rule = lambda _method, _arguments: False
    await scene.sync()
    scene.pair.calls()
    await scene.sync()
    assert "capabilities" not in scene.pair.calls()


async def test_nothing_is_tried_in_a_folder_that_may_not_be_made(scene: Scene) -> None:
    (scene.device.root / "big").unlink()
    scene.ruled.rule = lambda method, _arguments: method == "make_folder"
    scene.device.write("new/in/x", "x")
    scene.device.write("other", "o")
    report = await scene.sync()
    assert numbers(report) == {"uploaded": 2}
    assert told(report) == [("new", "POLICY_DENIED", False)]
    report = await scene.sync()
    assert (scene.ruled.asked, told(report)) == ([], [("new", "POLICY_DENIED", True)])
    scene.ruled.rule = lambda _method, _arguments: False
    scene.ruled.version = 2
    assert numbers(await scene.sync()) == {"uploaded": 1}
    assert scene.issues() == []


async def test_removals_and_downloads_are_held_as_well(scene: Scene) -> None:
    (scene.device.root / "big").unlink()
    await scene.sync()
    scene.pair.phone.write("theirs", "t")
    await scene.pair.phone.sync()
    (scene.device.root / "a").unlink()
    scene.ruled.rule = lambda method, _arguments: method in ("delete", "get_bytes")
    report = await scene.sync(max_delete=None)
    assert sorted(told(report)) == [("a", "POLICY_DENIED", False), ("theirs", "POLICY_DENIED", False)]
    report = await scene.sync()
    assert scene.ruled.asked == []
    assert sorted(told(report)) == [("a", "POLICY_DENIED", True), ("theirs", "POLICY_DENIED", True)]
    assert (await scene.pair.phone.sync()).deleted == 0


async def test_a_file_that_is_gone_is_no_problem_any_more(scene: Scene) -> None:
    await scene.sync()
    (scene.device.root / "big").unlink()
    assert told(await scene.sync()) == []
    assert scene.issues() == []
    scene.device.write("big", "b" * 200)
    assert told(await scene.sync()) == [("big", "POLICY_DENIED", False)]


async def test_a_dry_run_leaves_it_out_and_keeps_what_is_known(scene: Scene) -> None:
    await scene.sync()
    report = await scene.sync(dry_run=True)
    assert (report.operations, told(report)) == ((), [("big", "POLICY_DENIED", True)])
    (scene.device.root / "big").unlink()
    await scene.sync(dry_run=True)
    scene.device.write("big", "b" * 200)
    await scene.sync()
    assert scene.ruled.asked in ([], ["put_bytes"])


@pytest.mark.parametrize("row", [b"{", b"[]", b"{}", b'{"what":1,"version":"x","at":null}'])
async def test_a_row_that_cannot_be_read_costs_one_request(scene: Scene, row: bytes) -> None:
    await scene.sync()
    space = space_of(scene)
    scene.device.state.commit([(space, "big", row)])
    await scene.sync()
    assert scene.ruled.asked == ["put_bytes"]


async def test_a_row_with_broken_words_is_told_in_ours(scene: Scene) -> None:
    await scene.sync()
    space = space_of(scene)
    row = scene.device.state.load(space, "big")
    assert row is not None
    scene.device.state.commit([(space, "big", row.replace(b'"problem": [', b'"problem": ["more", '))])
    report = await scene.sync()
    assert [problem.message for problem in report.errors] == ["a rule of the server does not allow this"]

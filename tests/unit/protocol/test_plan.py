"""The planner decides every situation of a path by a table, asks when only bytes can tell, and never guesses."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from candado.errors import SafetyLimitError
from candado.protocol import plan_model as pm
from candado.protocol.plan import make_plan
from candado.protocol.plan_model import (
    Adopt,
    AgreedNode,
    DeleteLimit,
    DeleteLocal,
    DeleteRemote,
    Download,
    Forget,
    MakeFolderLocal,
    MakeFolderRemote,
    Mode,
    MoveLocal,
    MoveRemote,
    PlanOptions,
    RemoveFolderLocal,
    RemoveFolderRemote,
    Upload,
)
from candado.protocol.plan_moves import Tree


@dataclass(frozen=True)
class L:
    """A local node."""

    size_bytes: int = 1
    mtime_ns: int = 1
    inode: int = 1
    ctime_ns: int = 1
    is_folder: bool = False


@dataclass(frozen=True)
class R:
    """A remote node."""

    content_id: str = "v1"
    size_bytes: int = 1
    file_id: int = 1
    is_folder: bool = False


def ldir(inode: int = 9) -> L:
    return L(0, 1, inode, 1, is_folder=True)


def rdir(file_id: int = 9) -> R:
    return R("", 0, file_id, is_folder=True)


def agreed(here: L, there: R) -> AgreedNode:
    return AgreedNode(
        here.is_folder,
        here.size_bytes,
        here.mtime_ns,
        here.inode,
        here.ctime_ns,
        there.file_id,
        there.content_id,
    )


SAME = agreed(L(), R())
DIR = agreed(ldir(), rdir())
OPTIONS = PlanOptions(
    mode=Mode.TWO_WAY, device="laptop", stamp="2026-11-23 153000", max_delete=DeleteLimit(count=1000), fold_case=False
)
COPY = "f (conflicted copy laptop 2026-11-23 153000)"


def plan(
    local: Any, remote: Any, base: Any, *, verdict: bool | None = None, mode: Mode = Mode.TWO_WAY, **more: Any
) -> pm.Plan:
    """Plan, answering every question with ``verdict``; None leaves them open."""
    options = replace(OPTIONS, mode=mode, **{k: more.pop(k) for k in ("max_delete", "fold_case") if k in more})
    verdicts: dict[tuple[str, str], bool] = {}
    while True:
        made = make_plan(local, remote, base, options=options, verdicts=verdicts, **more)
        if verdict is None or not made.questions:
            return made
        verdicts |= {(q.local_path, q.content_id): verdict for q in made.questions}


def ops(*args: Any, **kwargs: Any) -> list[pm.Operation]:
    return list(plan(*args, **kwargs).operations)


EDITED = L(2, 2)
TOUCHED = L(1, 2)
NEW = R("v2", 2)
NEW_SAME_SIZE = R("v2", 1)


@pytest.mark.parametrize(
    ("here", "there", "base", "verdict", "expected"),
    [
        (L(), R(), SAME, None, []),
        (L(), None, None, None, [Upload("f", L(), None)]),
        (None, R(), None, None, [Download("f", R(), None)]),
        (None, None, SAME, None, [Forget("f")]),
        (EDITED, R(), SAME, None, [Upload("f", EDITED, R())]),
        (TOUCHED, R(), SAME, False, [Upload("f", TOUCHED, R())]),
        (TOUCHED, R(), SAME, True, [Adopt("f", TOUCHED, R())]),
        (L(ctime_ns=2), R(), SAME, False, [Upload("f", L(ctime_ns=2), R())]),
        (L(inode=2), R(), SAME, True, [Adopt("f", L(inode=2), R())]),
        (L(), NEW, SAME, None, [Download("f", NEW, L())]),
        (None, R(), SAME, None, [DeleteRemote("f", R())]),
        (L(), None, SAME, None, [DeleteLocal("f", L())]),
        (EDITED, None, SAME, None, [Upload("f", EDITED, None)]),
        (None, NEW, SAME, None, [Download("f", NEW, None)]),
        (EDITED, NEW, SAME, True, [Adopt("f", EDITED, NEW)]),
        (
            EDITED,
            NEW,
            SAME,
            False,
            [MoveLocal("f", COPY, conflict=True), Download("f", NEW, None), Upload(COPY, EDITED, None)],
        ),
        (
            TOUCHED,
            NEW,
            SAME,
            None,
            [MoveLocal("f", COPY, conflict=True), Download("f", NEW, None), Upload(COPY, TOUCHED, None)],
        ),
        (L(), R(), None, True, [Adopt("f", L(), R())]),
        (
            L(),
            R(),
            None,
            False,
            [MoveLocal("f", COPY, conflict=True), Download("f", R(), None), Upload(COPY, L(), None)],
        ),
        (ldir(), None, None, None, [MakeFolderRemote("f", ldir())]),
        (None, rdir(), None, None, [MakeFolderLocal("f", rdir())]),
        (ldir(), rdir(), None, None, [Adopt("f", ldir(), rdir())]),
        (ldir(), rdir(), DIR, None, []),
        (ldir(8), rdir(), DIR, None, [Adopt("f", ldir(8), rdir())]),
        (ldir(), None, DIR, None, [RemoveFolderLocal("f")]),
        (None, rdir(), DIR, None, [RemoveFolderRemote("f", rdir(), {})]),
        # A file here, a folder there.
        (L(), rdir(), SAME, None, [DeleteLocal("f", L()), MakeFolderLocal("f", rdir())]),
        (L(), rdir(), DIR, None, [RemoveFolderRemote("f", rdir(), {}), Upload("f", L(), None)]),
        (ldir(), R(), SAME, None, [DeleteRemote("f", R()), MakeFolderRemote("f", ldir())]),
        (ldir(), R(), DIR, None, [RemoveFolderLocal("f"), Download("f", R(), None)]),
        (
            EDITED,
            rdir(),
            SAME,
            None,
            [MoveLocal("f", COPY, conflict=True), MakeFolderLocal("f", rdir()), Upload(COPY, EDITED, None)],
        ),
        (
            ldir(),
            NEW,
            SAME,
            None,
            [Download(COPY, NEW, None), MoveRemote("f", COPY, conflict=True), MakeFolderRemote("f", ldir())],
        ),
        (
            L(),
            rdir(),
            None,
            None,
            [MoveLocal("f", COPY, conflict=True), MakeFolderLocal("f", rdir()), Upload(COPY, L(), None)],
        ),
        # It was a folder when both sides agreed, now one side has a file.
        (L(), None, DIR, None, [Upload("f", L(), None)]),
        (None, R(), DIR, None, [Download("f", R(), None)]),
    ],
)
def test_each_situation_of_one_path_has_its_operations(
    here: Any, there: Any, base: Any, verdict: Any, expected: Any
) -> None:
    trees = ({"f": node} if node is not None else {} for node in (here, there, base))
    local, remote, row = trees
    anchor = {"anchor": L(inode=77)}, {"anchor": R("anchor")}, {"anchor": agreed(L(inode=77), R("anchor"))}
    assert expected == ops(local | anchor[0], remote | anchor[1], row | anchor[2], verdict=verdict)


@pytest.mark.parametrize(
    ("mode", "here", "there", "base", "expected"),
    [
        (Mode.PUSH, EDITED, R(), SAME, [Upload("f", EDITED, R())]),
        (Mode.PUSH, L(), NEW, SAME, []),
        (Mode.PUSH, L(), None, SAME, []),
        (Mode.PUSH, None, R(), SAME, [DeleteRemote("f", R())]),
        (Mode.PUSH, None, rdir(), None, []),
        (Mode.PUSH, ldir(), None, DIR, []),
        (Mode.PUSH, L(), rdir(), SAME, []),
        (Mode.PUSH, ldir(), NEW, SAME, [MoveRemote("f", COPY, conflict=True), MakeFolderRemote("f", ldir())]),
        (Mode.PULL, EDITED, R(), SAME, []),
        (Mode.PULL, L(), NEW, SAME, [Download("f", NEW, L())]),
        (Mode.PULL, L(), None, SAME, [DeleteLocal("f", L())]),
        (Mode.PULL, None, R(), SAME, []),
        (Mode.PULL, ldir(), None, None, []),
        (Mode.PULL, None, rdir(), DIR, []),
        (Mode.PULL, ldir(), R(), SAME, []),
        (Mode.PULL, EDITED, NEW, SAME, [MoveLocal("f", COPY, conflict=True), Download("f", NEW, None)]),
    ],
)
def test_a_one_way_plan_leaves_out_the_other_direction(
    mode: Any, here: Any, there: Any, base: Any, expected: Any
) -> None:
    local, remote, row = ({"f": node} if node is not None else {} for node in (here, there, base))
    local, remote = local | {"a": L(inode=77)}, remote | {"a": R("a")}
    row = row | {"a": agreed(L(inode=77), R("a"))}
    made = plan(local, remote, row, verdict=False, mode=mode)
    assert (expected, ()) == (list(made.operations), made.problems)


@pytest.mark.parametrize(
    ("mode", "here", "there", "message"),
    [
        (Mode.PUSH, EDITED, NEW, "the file was changed on both sides"),
        (Mode.PUSH, EDITED, rdir(), "there is a file here and a folder on the other side"),
        (Mode.PULL, ldir(), NEW, "there is a file here and a folder on the other side"),
    ],
)
def test_a_one_way_plan_reports_a_conflict_it_must_not_solve(mode: Any, here: Any, there: Any, message: Any) -> None:
    made = plan({"f": here}, {"f": there}, {"f": SAME}, verdict=False, mode=mode)
    assert ((), (pm.Problem("f", "CONFLICT", message),)) == (made.operations, made.problems)


# --- questions ------------------------------------------------------------------------------------------


def test_what_only_bytes_can_tell_is_asked_with_the_remote_version() -> None:
    made = plan({"f": L()}, {"f": R()}, {})
    assert (pm.Question("f", "v1", R()),) == made.questions


def test_different_sizes_are_never_asked_about() -> None:
    assert plan({"f": L(5)}, {"f": R(size_bytes=6)}, {}).questions == ()


# --- folders ----------------------------------------------------------------------------------------------


def test_a_removed_folder_goes_in_one_operation_that_names_its_contents() -> None:
    remote = {"d": rdir(), "d/f": R(), "d/e": rdir(8), "d/e/g": R("v3")}
    base = {path: agreed(ldir() if node.is_folder else L(), node) for path, node in remote.items()}
    contents = {path: node for path, node in remote.items() if path != "d"}
    assert [RemoveFolderRemote("d", rdir(), contents)] == ops(
        {"a": L()}, remote | {"a": R("a")}, base | {"a": agreed(L(), R("a"))}
    )


def test_a_removed_folder_comes_back_for_a_new_file_in_it_and_only_that() -> None:
    local = {"d": ldir(), "d/old": L(), "d/new": L(3, 3, 3)}
    base = {"d": DIR, "d/old": SAME}
    assert [
        MakeFolderRemote("d", ldir()),
        Upload("d/new", L(3, 3, 3), None),
        DeleteLocal("d/old", L()),
    ] == ops(local, {}, base)


def test_local_folders_are_emptied_before_they_are_removed_deepest_first() -> None:
    local = {"a": L(inode=5), "d": ldir(), "d/e": ldir(8), "d/e/f": L()}
    base = {"d": DIR, "d/e": agreed(ldir(8), rdir(8)), "d/e/f": SAME, "a": agreed(L(inode=5), R("a"))}
    assert [DeleteLocal("d/e/f", L()), RemoveFolderLocal("d/e"), RemoveFolderLocal("d")] == ops(
        local, {"a": R("a")}, base
    )


def test_a_folder_that_became_a_file_is_cleared_before_the_file_arrives() -> None:
    local = {"d": ldir(), "d/f": L()}
    base = {"d": DIR, "d/f": SAME}
    assert [DeleteLocal("d/f", L()), RemoveFolderLocal("d"), Download("d", NEW, None)] == ops(local, {"d": NEW}, base)


# --- renames ----------------------------------------------------------------------------------------------


def test_a_file_renamed_here_is_renamed_there_once_its_bytes_were_compared() -> None:
    base = {"old": SAME}
    moved = L(ctime_ns=5)
    assert [MoveRemote("old", "new"), Adopt("new", moved, R())] == ops({"new": moved}, {"old": R()}, base, verdict=True)


def test_a_file_that_only_looks_renamed_is_a_removal_and_a_new_file() -> None:
    made = ops({"new": L()}, {"old": R()}, {"old": SAME}, verdict=False)
    assert [Upload("new", L(), None), DeleteRemote("old", R())] == made


def test_two_names_of_one_inode_are_not_taken_for_a_rename() -> None:
    made = ops({"x": L(), "y": L()}, {"old": R()}, {"old": SAME})
    assert [Upload("x", L(), None), Upload("y", L(), None), DeleteRemote("old", R())] == made


def test_a_folder_renamed_here_is_one_operation_whatever_is_in_it() -> None:
    local = {"b": ldir()} | {f"b/{n}": L(inode=n + 100) for n in range(50)}
    remote = {"a": rdir()} | {f"a/{n}": R(f"v{n}") for n in range(50)}
    base = {"a": DIR} | {f"a/{n}": agreed(L(inode=n + 100), R(f"v{n}")) for n in range(50)}
    assert [MoveRemote("a", "b")] == ops(local, remote, base)


def test_a_rename_inside_a_renamed_folder_follows_it() -> None:
    local = {"b": ldir(), "b/y": ldir(8)}
    remote = {"a": rdir(), "a/x": rdir(8)}
    base = {"a": DIR, "a/x": agreed(ldir(8), rdir(8))}
    assert [MoveRemote("a", "b"), MoveRemote("b/x", "b/y")] == ops(local, remote, base)


def test_a_rename_into_a_new_folder_makes_the_folder_first() -> None:
    local = {"n": ldir(5), "n/m": ldir(6), "n/m/d": ldir()}
    assert [
        MakeFolderRemote("n", ldir(5)),
        MakeFolderRemote("n/m", ldir(6)),
        MoveRemote("d", "n/m/d"),
    ] == ops(local, {"d": rdir()}, {"d": DIR})


def test_a_file_renamed_there_is_renamed_here_and_its_local_edit_goes_up() -> None:
    edited = L(7, 7)
    made = ops({"old": edited}, {"new": R()}, {"old": SAME})
    assert [MoveLocal("old", "new"), Upload("new", edited, R())] == made


def test_a_folder_renamed_there_is_renamed_here_with_what_is_new_in_it() -> None:
    local = {"a": ldir(), "a/mine": L(inode=4)}
    remote = {"n": rdir(7), "n/b": rdir(), "n/b/theirs": R("v7")}
    assert [
        MakeFolderLocal("n", rdir(7)),
        MoveLocal("a", "n/b"),
        Download("n/b/theirs", R("v7"), None),
        Upload("n/b/mine", L(inode=4), None),
    ] == ops(local, remote, {"a": DIR})


def test_a_question_about_a_file_that_moves_here_names_its_present_path() -> None:
    made = plan({"old": TOUCHED}, {"new": R()}, {"old": SAME})
    assert [(q.local_path, q.content_id) for q in made.questions] == [("old", "v1")]


def test_two_different_renames_of_one_file_keep_both_names() -> None:
    made = ops({"mine": L()}, {"theirs": R()}, {"old": SAME})
    assert [Download("theirs", R(), None), Upload("mine", L(), None), Forget("old")] == made


def test_a_rename_onto_a_name_that_was_taken_meanwhile_keeps_both_files() -> None:
    made = ops({"new": L()}, {"old": R(), "new": R("v9", 1)}, {"old": SAME}, verdict=False)
    assert [
        MoveLocal("new", "new (conflicted copy laptop 2026-11-23 153000)", conflict=True),
        Download("new", R("v9", 1), None),
        Upload("new (conflicted copy laptop 2026-11-23 153000)", L(), None),
        DeleteRemote("old", R()),
    ] == made


@pytest.mark.parametrize("there", [{"n": R("v9"), "d": rdir()}, {"n": R("v9"), "d": R()}])
def test_no_rename_is_planned_through_a_file(there: Any) -> None:
    here = {"n": ldir(5), "n/d": ldir() if there["d"].is_folder else L()}
    base = {"d": DIR if there["d"].is_folder else SAME}
    assert not any(isinstance(op, MoveRemote) and not op.conflict for op in ops(here, there, base, verdict=True))


def test_no_local_rename_is_planned_through_a_file() -> None:
    made = ops({"n": L(inode=3), "d": ldir()}, {"n": rdir(5), "n/d": rdir()}, {"d": DIR})
    assert not any(isinstance(op, MoveLocal) and not op.conflict for op in made)


def test_one_way_plans_take_no_renames_from_the_other_side() -> None:
    assert ops({"old": L()}, {"new": R()}, {"old": SAME}, mode=Mode.PUSH) == []
    assert ops({"new": L(), "a": L(inode=2)}, {"old": R()}, {"old": SAME}, mode=Mode.PULL) == []


# --- what was not seen is not gone ------------------------------------------------------------------------


def test_blocked_paths_and_what_is_below_are_left_alone_and_keep_their_folders() -> None:
    remote = {"d": rdir(), "d/x": rdir(8), "d/x/f": R(), "d/y": R("v2"), "e": rdir(7)}
    base = {path: agreed(ldir() if node.is_folder else L(), node) for path, node in remote.items()}
    made = ops({"d": ldir(), "a": L(inode=5)}, remote, base, blocked_local={"d/x", "e"})
    assert [Upload("a", L(inode=5), None), DeleteRemote("d/y", R("v2"))] == made


def test_a_folder_that_went_there_stays_here_unchanged_for_what_is_blocked_in_it() -> None:
    made = ops(
        {"a": L(), "d": ldir(), "d/f": L()}, {"a": R()}, {"a": SAME, "d": DIR, "d/f": SAME}, blocked_local={"d/.litter"}
    )
    assert [DeleteLocal("d/f", L())] == made


def test_a_folder_with_something_blocked_in_it_is_not_cleared_for_a_file() -> None:
    made = ops({"d": ldir()}, {"d": R()}, {"d": DIR}, blocked_local={"d/.litter"})
    copy = "d (conflicted copy laptop 2026-11-23 153000)"
    assert [Download(copy, R(), None), MoveRemote("d", copy, conflict=True), MakeFolderRemote("d", ldir())] == made


def test_a_folder_with_something_unreadable_in_it_is_not_removed() -> None:
    made = ops({"a": L()}, {"d": rdir(), "a": R()}, {"d": DIR, "a": SAME}, blocked_remote={"d/\0unreadable"})
    assert made == []


def test_what_cannot_be_read_stays_blocked_when_its_folder_is_renamed() -> None:
    local = {"b": ldir(), "b/f": L()}
    base = {"a": DIR, "a/f": SAME}
    assert [MoveRemote("a", "b")] == ops(local, {"a": rdir()}, base, blocked_remote={"a/f"})
    assert [MoveLocal("a", "b")] == ops({"a": ldir()}, {"b": rdir(), "b/f": R()}, base, blocked_local={"a/f"})


# --- names --------------------------------------------------------------------------------------------------


def test_a_name_that_cannot_be_stored_is_reported_and_left_alone_with_all_below() -> None:
    made = plan({"bad\n": ldir(), "bad\n/f": L()}, {}, {})
    assert (made.operations, [problem.path for problem in made.problems]) == ((), ["bad\n"])
    assert made.problems[0].code == "NAME_UNSAFE"


def test_two_compositions_of_one_name_fall_together_and_the_agreed_one_stays() -> None:
    composed, split = "\u00e9", "e\u0301"
    made = plan({split: L(), composed: L(inode=2)}, {split: R()}, {split: SAME})
    assert ((), [(composed, "NAME_UNSAFE", False)]) == (
        made.operations,
        [(p.path, p.code, p.is_warning) for p in made.problems],
    )


def test_names_that_differ_in_case_are_synced_with_a_warning() -> None:
    made = plan({"a": L(), "A": L(inode=2)}, {}, {})
    assert [Upload("A", L(inode=2), None), Upload("a", L(), None)] == list(made.operations)
    assert [(p.path, p.is_warning) for p in made.problems] == [("A", True), ("a", True)]


def test_a_name_that_windows_cannot_have_is_uploaded_with_one_warning() -> None:
    local = {"con": L(), "d.": ldir(), "d./AUX.txt": L(inode=2), "bad\n:": L(inode=3), "ok": L(inode=4)}
    made = plan(local, {}, {})
    assert {op.path for op in made.operations if isinstance(op, Upload)} == {"con", "d./AUX.txt", "ok"}
    assert [(p.path, p.code, p.is_warning) for p in made.problems] == [
        ("bad\n:", "NAME_UNSAFE", False),
        ("con", "NAME_WINDOWS", True),
        ("d.", "NAME_WINDOWS", True),
        ("d./AUX.txt", "NAME_WINDOWS", True),
    ]
    assert plan({"con": L()}, {"con": R()}, {"con": SAME}).problems == ()
    assert plan({"con": L()}, {}, {}, mode=Mode.PULL).problems == ()
    assert plan({"con": L()}, {}, {}, blocked_local={"con"}).problems == ()


def test_on_a_disk_without_case_only_one_of_two_names_that_differ_in_case_is_taken() -> None:
    made = plan({}, {"a": R(), "A": R("v2")}, {}, fold_case=True)
    assert [Download("A", R("v2"), None)] == list(made.operations)
    assert [(p.path, p.is_warning) for p in made.problems] == [("a", False)]


# --- the guard ----------------------------------------------------------------------------------------------


def many(count: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, AgreedNode]]:
    local = {f"f{n}": L(inode=n + 1) for n in range(count)}
    remote = {f"f{n}": R(f"v{n}") for n in range(count)}
    return local, remote, {path: agreed(local[path], remote[path]) for path in local}


@pytest.mark.parametrize(
    ("total", "deleted", "limit", "is_refused"),
    [
        (20, 10, None, False),
        (20, 11, None, True),
        (1000, 100, None, False),
        (1000, 101, None, True),
        (44, 11, None, False),
        (43, 11, None, True),
        (1000, 101, DeleteLimit(count=101), False),
        (1000, 102, DeleteLimit(count=101), True),
        (1000, 500, DeleteLimit(percent=50.0), False),
        (1000, 501, DeleteLimit(percent=50.0), True),
        (20, 1, DeleteLimit(count=0), True),
    ],
)
@pytest.mark.parametrize("side", ["local", "remote", "folder"])
def test_the_guard_stops_a_plan_that_deletes_too_much_on_one_side(
    total: Any, deleted: Any, limit: Any, is_refused: Any, side: Any
) -> None:
    local, remote, base = many(total)
    if side == "folder":

        def moved(tree: Any) -> dict[str, Any]:
            return {f"d/{path}" if int(path[1:]) < deleted else path: node for path, node in tree.items()}

        local, remote, base = moved(local), moved(remote), moved(base)
        local["d"], remote["d"], base["d"] = ldir(), rdir(), DIR
        for path in [path for path in local if path.startswith("d")]:
            del local[path]
    else:
        tree = remote if side == "local" else local
        for n in range(deleted):
            del tree[f"f{n}"]
    if is_refused:
        with pytest.raises(SafetyLimitError):
            plan(local, remote, base, max_delete=limit)
    else:
        assert plan(local, remote, base, max_delete=limit).operations


@pytest.mark.parametrize("mode", [Mode.TWO_WAY, Mode.PUSH])
def test_an_empty_local_root_is_never_taken_for_deleted(mode: Any) -> None:
    with pytest.raises(SafetyLimitError):
        plan({}, {"f": R()}, {"f": SAME}, mode=mode, max_delete=DeleteLimit(percent=100.0))


def test_an_empty_local_root_is_filled_again_in_pull_mode() -> None:
    assert [Download("f", R(), None)] == ops({}, {"f": R()}, {"f": SAME}, mode=Mode.PULL)


def test_the_guard_waits_for_the_answers() -> None:
    local, remote, base = many(200)
    renamed = {f"new{path}": replace(node, ctime_ns=9) for path, node in local.items()}
    assert len(plan(renamed, remote, base, max_delete=None).questions) == 200
    made = plan(renamed, remote, base, max_delete=None, verdict=True)
    assert sum(isinstance(op, MoveRemote) for op in made.operations) == 200


# --- size ---------------------------------------------------------------------------------------------------


def test_a_tree_of_a_hundred_thousand_entries_is_planned_in_about_a_second() -> None:
    import time

    local, remote, base = many(100_000)
    started = time.process_time()
    assert plan(local, remote, base).operations == ()
    assert len(plan(local, {}, {}).operations) == 100_000
    assert time.process_time() - started < 10, "planning has become slower by an order of magnitude"


def test_a_rename_in_a_tree_takes_along_what_is_below_even_where_the_folder_itself_is_not_known() -> None:
    tree = Tree({"a/d.txt": L(2), "e.txt": L(3)})
    tree.rename("a", "x")
    tree.rename("missing", "y")
    assert tree.nodes == {"x/d.txt": L(2), "e.txt": L(3)}

"""The house keeps its own rules: sizes, documents, error codes, public help."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from candado import errors

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "candado").rglob("*.py"))


def _error_classes() -> Iterator[type[errors.CandadoError]]:
    queue: list[type[errors.CandadoError]] = [errors.CandadoError]
    while queue:
        cls = queue.pop()
        yield cls
        queue.extend(cls.__subclasses__())


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_stays_under_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_function_stays_under_60_lines(path: Path) -> None:
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 60
    ]
    assert long == []


def test_every_error_code_is_unique_and_the_error_page_is_current() -> None:
    codes = [cls.code for cls in _error_classes() if "code" in vars(cls) and cls.__module__.startswith("candado.")]
    assert sorted(codes) == sorted(set(codes))
    spec = importlib.util.spec_from_file_location("error_table", ROOT / "tools" / "error_table.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert (ROOT / "docs" / "spec" / "errors.md").read_text() == tool.page()


def test_every_error_says_what_is_safe_and_what_to_do_next() -> None:
    for cls in _error_classes():
        if not cls.__module__.startswith("candado.errors"):
            continue
        assert cls.default_safe.endswith("."), cls
        assert cls.default_advice.endswith("."), cls
        assert (cls.__doc__ or "").strip(), cls


def test_no_document_or_source_names_a_path_of_a_machine() -> None:
    forbidden = re.compile(r"/(home|root|work|Users)/[a-z]")
    hits = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for line in path.read_text().splitlines()
        if forbidden.search(line)
    ]
    assert hits == []


def test_the_readme_quotes_the_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", readme):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_interop_test_is_on_the_list_of_those_that_must_run() -> None:
    folder = ROOT / "tests" / "interop"
    there = {
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in folder.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    listed = (folder / "must-run.txt").read_text().split()
    assert sorted(there - set(listed)) == [], "add these to tests/interop/must-run.txt"
    assert sorted(set(listed) - there) == [], "tests/interop/must-run.txt names tests that are gone"


def test_nothing_rests_on_what_other_engines_of_postgresqls_protocol_lack() -> None:
    wrong = re.compile(r"pg_(try_)?advisory|\b(LISTEN|NOTIFY|UNLISTEN)\s+\w+\s*[;\"',]|SKIP LOCKED|add_listener")
    found = [path.name for path in SOURCES if wrong.search(path.read_text(encoding="utf-8"))]
    assert found == []
    assert wrong.search('await connection.execute("LISTEN changes")')

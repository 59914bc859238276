"""Names for a disk: what can stand stays, what cannot gets the nearest name, and no two are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.folder.localnames import local_name, local_names
from candado.folder.names import collision_key, windows_fault


@pytest.mark.parametrize(
    ("name", "posix", "windows"),
    [
        ("letter.txt", "letter.txt", "letter.txt"),
        ("a:b?.txt", "a:b?.txt", "a_b_.txt"),
        ("trailing.", "trailing.", "trailing_"),
        ("blank ", "blank ", "blank_"),
        ("CON", "CON", "_CON"),
        ("nul.tar.gz", "nul.tar.gz", "_nul.tar.gz"),
        ("com1 ", "com1 ", "com1_"),
        (".candado-tmp-1", "_.candado-tmp-1", "_.candado-tmp-1"),
        (".candado", ".candado", ".candado"),
        ("half\ud800", "half?", "half_"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt", "x" * 251 + ".txt"),
        ("x" * 300, "x" * 255, "x" * 255),
        ("x." + "y" * 300, "x." + "y" * 253, "x." + "y" * 253),
        ("ü" * 200, "ü" * 127, "ü" * 127),
    ],
)
def test_a_name_that_cannot_stand_gets_the_nearest_that_can(name: str, posix: str, windows: str) -> None:
    assert local_name(name, windows=False) == posix
    assert local_name(name, windows=True) == windows


def test_case_tells_names_apart_where_the_system_does() -> None:
    names = ["a.txt", "A.txt", "a.txt"]
    assert local_names(names, windows=False) == ["a.txt", "A.txt", "a (2).txt"]
    assert local_names(names, windows=True) == ["a.txt", "A (2).txt", "a (3).txt"]


@given(st.lists(st.text(min_size=1, max_size=40).filter(lambda name: "/" not in name and "\0" not in name)))
def test_names_are_different_and_allowed(names: list[str]) -> None:
    clean = [name for name in names if name.isprintable()]
    found = local_names(clean, windows=True)
    assert len({collision_key(name) for name in found}) == len(clean)
    assert not any(windows_fault(name) for name in found)
    assert len(set(local_names(clean, windows=False))) == len(clean)

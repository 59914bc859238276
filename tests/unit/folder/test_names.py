"""What Windows makes of names."""

import pytest

from candado.folder.names import windows_fault


@pytest.mark.parametrize(
    "name",
    ["con", "CON", "AUX.txt", "nul.tar.gz", "com1", "LPT9.x", "com\u00b9", "prn .x", "conin$", "a:b", 'say "x"', "a?", "<x", "x|y",
     "x*", "dot.", "blank ", "con "],
)  # fmt: skip
def test_devices_their_signs_and_ends_are_names_that_windows_cannot_have(name: str) -> None:
    assert windows_fault(name)


@pytest.mark.parametrize(
    "name", ["a", "cone", "con-x", "xcon", "com", "com10", "lpt", ".con", "x.con", "a b.txt", " x", "\u00e9"]
)
def test_other_names_are_fine_there(name: str) -> None:
    assert windows_fault(name) is None

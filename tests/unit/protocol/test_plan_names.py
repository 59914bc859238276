"""Names of conflict copies are free, short enough, and never pile up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.protocol.plan_names import conflict_name

STAMP = "2026-11-23 153000"


def name(original: str, *taken: str, device: str = "laptop") -> str:
    return conflict_name(original, device=device, stamp=STAMP, is_taken=lambda candidate: candidate in taken)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("plan.txt", "plan (conflicted copy laptop 2026-11-23 153000).txt"),
        ("plan", "plan (conflicted copy laptop 2026-11-23 153000)"),
        (".profile", ".profile (conflicted copy laptop 2026-11-23 153000)"),
        ("a.b.c", "a.b (conflicted copy laptop 2026-11-23 153000).c"),
        ("no.such long suffix here", "no.such long suffix here (conflicted copy laptop 2026-11-23 153000)"),
        (
            "plan (conflicted copy phone 2025-01-01 000000).txt",
            "plan (conflicted copy laptop 2026-11-23 153000).txt",
        ),
        (
            "plan (conflicted copy phone 2025-01-01 000000 3).txt",
            "plan (conflicted copy laptop 2026-11-23 153000).txt",
        ),
        ("plan (conflicted copy 2025-01-01 000000).txt", "plan (conflicted copy laptop 2026-11-23 153000).txt"),
        (
            " (conflicted copy x 2025-01-01 000000)",
            " (conflicted copy x 2025-01-01 000000) (conflicted copy laptop 2026-11-23 153000)",
        ),
    ],
)
def test_a_conflict_copy_is_called_after_its_original(original: str, expected: str) -> None:
    assert expected == name(original)


def test_a_taken_name_gets_a_number() -> None:
    first = name("a.txt")
    second = name("a.txt", first)
    assert ("a (conflicted copy laptop 2026-11-23 153000 2).txt", second) == (second, name(first, first))
    assert name("a.txt", first, second) == "a (conflicted copy laptop 2026-11-23 153000 3).txt"


def test_a_device_name_cannot_break_the_form() -> None:
    assert name("a", device="my/(odd)\n") == "a (conflicted copy myodd 2026-11-23 153000)"
    assert name("a", device="()") == "a (conflicted copy device 2026-11-23 153000)"


@given(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=300),
    st.text(max_size=60),
)
def test_every_conflict_name_fits_a_file_system_and_is_recognised(original: str, device: str) -> None:
    device = device.encode("utf-8", "ignore").decode()
    made = name(original, device=device)
    assert len(made.encode()) <= 255
    assert "(conflicted copy " in made
    assert "/" not in made

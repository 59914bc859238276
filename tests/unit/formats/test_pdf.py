"""The PDF of a sheet."""

import re

import pytest

from candado.errors import MisuseError
from candado.formats.pdf import Item, Modules, Rule, Text, can_show, format_pdf

PAGES: list[list[Item]] = [
    [
        Text(50, 700.5, 12, r"Ño (a\b) €", "bold"),
        Rule(50, 690, 100),
        Modules(50, 600, 30, [(1, 1, 0), (0, 0, 0), (1, 0, 1)]),
    ],
    [Text(1, 2, 3, "x", "fixed")],
]


def test_every_object_stands_where_the_table_says() -> None:
    data = format_pdf(PAGES, title="A sheet")
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", data)[1])  # type: ignore[index]
    assert data[start:].startswith(b"xref\n0 8\n0000000000 65535 f \n")
    places = [int(line[:10]) for line in data[start:].splitlines()[3:10]]
    for number, place in enumerate(places, 1):
        assert data[place:].startswith(b"%d 0 obj\n" % number)
    assert b"/Kids [4 0 R 6 0 R] /Count 2" in data
    assert b"/Title (A sheet)" in data
    assert b"/Size 8 /Root 1 0 R /Info 3 0 R" in data


def test_the_length_of_a_content_is_that_of_its_bytes() -> None:
    data = format_pdf(PAGES, title="A sheet")
    for length, content in re.findall(rb"/Length (\d+) >>\nstream\n(.*?)endstream", data, re.DOTALL):
        assert int(length) == len(content)


def test_text_rules_and_modules_are_drawn() -> None:
    data = format_pdf(PAGES, title="A sheet")
    assert b"BT /F2 12 Tf 50 700.5 Td (\xd1o \\(a\\\\b\\) \x80) Tj ET\n" in data
    assert b"0.5 w 50 690 m 150 690 l S\n" in data
    assert b"\n50 590 20 10 re\n50 570 10 10 re\n70 570 10 10 re\nf\n" in data
    assert b"BT /F3 3 Tf 1 2 Td (x) Tj ET\n" in data


def test_equal_pages_are_equal_files() -> None:
    assert format_pdf(PAGES, title="A sheet") == format_pdf(PAGES, title="A sheet")


def test_what_the_fonts_cannot_show_is_refused() -> None:
    assert [can_show(text) for text in ("Zoë €", "李", "a\nb")] == [True, False, False]
    with pytest.raises(MisuseError):
        format_pdf([[Text(1, 1, 1, "李")]], title="x")

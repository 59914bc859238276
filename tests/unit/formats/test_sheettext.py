"""The text of a sheet."""

import pytest

from candado.errors import LimitExceededError, ShareTypoError
from candado.formats.sheettext import SheetParts, find_parts, marked


def test_marked_blocks_are_found_in_a_text() -> None:
    words, key = marked(("a b", "c d"), ("AB", "CD"))
    assert words == ["===== words =====", " 1.  a b", " 2.  c d", "===== end of words ====="]
    text = "\n".join(["Hello,", "", *words, "1. To use it", *key, "Bye.", *words])
    assert find_parts(text) == SheetParts((" 1.  a b\n 2.  c d",) * 2, (" 1.  AB\n 2.  CD",))


def test_codes_are_found_line_by_line() -> None:
    assert find_parts("candado share A B\r\n\r\nCANDADO KEY 12 34\r\n") == SheetParts((" A B",), (" 12 34",))


def test_what_was_typed_is_sheets_with_empty_lines_between() -> None:
    assert find_parts("\n\na b\nc d\n\n\ne f\n") == SheetParts(("a b\nc d", "e f"), ())
    assert find_parts(" \n") == SheetParts((), ())


def test_a_block_without_its_end_and_a_text_without_end_are_refused() -> None:
    with pytest.raises(ShareTypoError, match="the end of the sealed key is missing"):
        find_parts("===== sealed key =====\n AB\n===== end of words =====\n")
    with pytest.raises(LimitExceededError):
        find_parts("a" * 262_145)

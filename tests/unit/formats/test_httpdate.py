"""Times as HTTP dates."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.formats.httpdate import http_date


@given(st.floats(0, 253_402_300_799.9))
def test_a_time_is_written_as_the_library_writes_it(seconds: float) -> None:
    assert http_date(seconds) == formatdate(int(seconds), usegmt=True)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (784_111_777.0, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (-1.5, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (2.0**40, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_a_time_beyond_the_format_is_cut_to_fit(seconds: float, written: str) -> None:
    assert http_date(seconds) == written

"""Upload forms, read in pieces of every size; and what is none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.errors import FormatError, LimitExceededError, MalformedError
from candado.formats.multipart import MultipartReader, PartEnd, PartStart, boundary_of

BOUNDARY = "----WebKitFormBoundaryAbC"


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY) -> bytes:
    pieces = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\nContent-Type: x/y\r\n\r\n".encode() + body + b"\r\n"
        for head, body in parts
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def read(body: bytes, size: int = 1 << 20) -> list[tuple[str, str | None, bytes]]:
    reader = MultipartReader(BOUNDARY)
    found: list[tuple[str, str | None, bytes]] = []
    events = [event for at in range(0, len(body), size) for event in reader.feed(body[at : at + size])]
    reader.close()
    start: PartStart | None = None
    held = b""
    for event in events:
        if isinstance(event, PartStart):
            start, held = event, b""
        elif isinstance(event, PartEnd):
            assert start is not None
            found.append((start.name, start.file_name, held))
            start = None
        else:
            held += event
    assert start is None
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
def test_a_form_is_the_same_in_pieces_of_every_size(size: int) -> None:
    body = form(
        ('name="token"', b"x"),
        ('name="files"; filename="a%22b <i>.txt"', b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\x00"),
        ('name="files"; filename=""', b""),
        ('name="files"; filename="\u00fc.bin"', b"\r\n\r\n"),
    )
    assert read(body, size) == [
        ("token", None, b"x"),
        ("files", 'a"b <i>.txt', b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\x00"),
        ("files", "", b""),
        ("files", "\u00fc.bin", b"\r\n\r\n"),
    ]


def test_text_before_and_after_the_form_is_left_out() -> None:
    assert read(b"preamble\r\n" * 50 + form(('name="a"', b"1")) + b"more") == [("a", None, b"1")]


def test_blanks_behind_a_boundary_are_allowed() -> None:
    body = form(('name="a"', b"1")).replace(f"--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY} \t\r\n".encode())
    assert read(body) == [("a", None, b"1")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        form(('name="a"', b"1"))[:-8],
        form(('filename="a"', b"1")),
        form(('name="\xff"', b"1")).replace(b"\xc3\xbf", b"\xff"),
        f"--{BOUNDARY}x\r\n".encode(),
        f"--{BOUNDARY}{' ' * 300}".encode(),
        f"--{BOUNDARY}\r\n\r\nno headers\r\n--{BOUNDARY}--".encode(),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(body)


def test_long_headers_and_many_fields_are_refused() -> None:
    long = f'name="{"a" * 9000}"'
    for body in (form((long, b"1")), form((long, b"1"))[:8900], form(*[('name="a"', b"")] * 1001)):
        with pytest.raises(LimitExceededError):
            read(body)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', None),
        ('multipart/form-data; boundary="a-b"', "a-b"),
        ("multipart/form-data; boundary=abc; charset=utf-8", "abc"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        (f"multipart/form-data; boundary={'a' * 71}", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/x-www-form-urlencoded", None),
        ("multipart/form-data; boundary=a\u00fc", None),
    ],
)
def test_a_boundary_is_found_in_the_header_or_refused(header: str, boundary: str | None) -> None:
    if boundary is not None:
        assert boundary_of(header) == boundary
        return
    with pytest.raises(MalformedError):
        boundary_of(header)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_a_form_or_a_format_error(body: bytes, size: int) -> None:
    with contextlib.suppress(FormatError):
        read(f"--{BOUNDARY}".encode() + body, size)


@given(st.lists(st.binary(max_size=200), max_size=4), st.integers(1, 50))
def test_what_was_put_into_a_form_comes_out(bodies: list[bytes], size: int) -> None:
    body = form(*[('name="a"; filename="f"', data) for data in bodies])
    assert [data for _, _, data in read(body, size)] == bodies

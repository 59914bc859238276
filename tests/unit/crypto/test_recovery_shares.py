"""Shares of the recovery key, their words, and the sealed key on paper."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candado.crypto import aead, sealedkey, sharewords
from candado.crypto.mnemonic import word_list
from candado.crypto.rsa import PrivateKey
from candado.crypto.sealedkey import SealedKey, key_lines, open_key, parse_key, parse_key_line, seal_key
from candado.crypto.shamir import combine, split
from candado.crypto.sharewords import Share, parse_line, parse_share, secret_check, share_lines
from candado.errors import LimitExceededError, MalformedError, MisuseError, SharesUnfitError, ShareTypoError

CEREMONY = bytes.fromhex("c0ffee1234")
SECRET = bytes(range(32))
KEY = PrivateKey.generate()
VALUES = split(SECRET, needed=3, shares=5, coefficients=bytes(range(100, 164)))
SHARES = [Share(CEREMONY, 3, 5, at, value, secret_check(CEREMONY, SECRET)) for at, value in enumerate(VALUES, 1)]
LINES = [list(line) for line in share_lines(SHARES[1])]
SEALED = seal_key(KEY, SECRET, ceremony=CEREMONY, needed=3, shares=5, nonce=bytes(12))
KEY_LINES = key_lines(SEALED)


def _text(lines: list[list[str]]) -> str:
    return "\n".join(" ".join(line) for line in lines)


def _altered(at: int, place: int, word: str) -> str:
    lines = [list(line) for line in LINES]
    lines[at][place] = word
    return _text(lines)


# --- splitting --------------------------------------------------------------------------------------------


def test_known_values_of_a_split_by_hand() -> None:
    # 0x2a + 0x80 x + 0x03 x^2 over the field of AES: at 1 and 2 by hand, 0x80 * 2 = 0x1b and 3 * 4 = 0x0c.
    assert split(b"\x2a", needed=3, shares=3, coefficients=b"\x80\x03")[:2] == (b"\xa9", b"\x3d")


@pytest.mark.parametrize(("needed", "shares"), [(2, 2), (2, 16), (3, 5), (16, 16)])
def test_any_needed_shares_give_the_secret_and_one_fewer_does_not(needed: int, shares: int) -> None:
    values = split(SECRET, needed=needed, shares=shares, coefficients=bytes(range(1, needed)) * 32)
    made = dict(enumerate(values, 1))
    for chosen in itertools.islice(itertools.combinations(made, needed), 60):
        assert combine({at: made[at] for at in chosen}) == SECRET
        assert combine({at: made[at] for at in chosen[1:]}) != SECRET


@given(st.binary(min_size=1, max_size=40), st.data())
def test_more_shares_than_needed_give_the_secret_as_well(secret: bytes, data: st.DataObject) -> None:
    needed = data.draw(st.integers(2, 6))
    size = (needed - 1) * len(secret)
    values = split(secret, needed=needed, shares=7, coefficients=data.draw(st.binary(min_size=size, max_size=size)))
    assert combine(dict(enumerate(values, 1))) == secret


def test_every_secret_is_equally_likely_for_who_has_one_share_of_two() -> None:
    held = split(b"\x5a", needed=2, shares=2, coefficients=b"\x77")[0][0]
    other = [combine({1: bytes((held,)), 2: bytes((guess,))}) for guess in range(256)]
    assert sorted(other) == [bytes((value,)) for value in range(256)]


@pytest.mark.parametrize(
    ("secret", "needed", "shares", "coefficients"),
    [
        (b"x", 1, 3, b""),
        (b"x", 3, 2, b"ab"),
        (b"x", 2, 17, b"a"),
        (b"", 2, 2, b""),
        (b"xy", 2, 2, b"a"),
        (b"x", 2, 2, b"ab"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(secret: bytes, needed: int, shares: int, coefficients: bytes) -> None:
    with pytest.raises(MisuseError):
        split(secret, needed=needed, shares=shares, coefficients=coefficients)


@pytest.mark.parametrize("shares", [{}, {1: b"ab", 2: b"a"}, {0: b"a", 1: b"b"}, {17: b"a", 1: b"b"}])
def test_values_that_are_no_shares_are_not_combined(shares: dict[int, bytes]) -> None:
    with pytest.raises(MisuseError):
        combine(shares)


# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", SHARES)
def test_a_share_goes_into_words_and_back(share: Share) -> None:
    lines = share_lines(share)
    assert [len(line) for line in lines] == [6] * 7
    assert parse_share(_text([list(line) for line in lines])) == share


@given(st.binary(min_size=42, max_size=42), st.integers(2, 16), st.data())
def test_every_share_has_words(raw: bytes, shares: int, data: st.DataObject) -> None:
    needed, index = data.draw(st.integers(2, shares)), data.draw(st.integers(1, shares))
    share = Share(raw[:5], needed, shares, index, raw[5:37], raw[37:])
    assert parse_share(" ".join(word for line in share_lines(share) for word in line)) == share


def test_a_share_does_not_print_itself_and_its_digest_names_it() -> None:
    assert "value" not in repr(SHARES[0])
    assert len({share.digest for share in SHARES}) == 5
    assert SHARES[0].digest != replace(SHARES[0], value=bytes(32)).digest
    assert len(SHARES[0].digest) == 64


def test_words_are_read_in_capitals_with_numbers_and_cut_to_four_letters() -> None:
    text = "\n\n".join(f" {at}:  " + " ".join(word[:4].upper() for word in line) for at, line in enumerate(LINES, 1))
    assert parse_share(text) == SHARES[1]


def test_a_wrong_word_of_the_list_is_found_by_its_line() -> None:
    for at in range(7):
        wrong = next(word for word in word_list() if word != LINES[at][2])
        with pytest.raises(ShareTypoError, match=rf"^line {at + 1}: the words do not fit together") as caught:
            parse_share(_altered(at, 2, wrong))
        assert "; " not in caught.value.message


def test_two_words_that_changed_places_are_found_by_their_line() -> None:
    lines = [list(line) for line in LINES]
    lines[4][0], lines[4][1] = lines[4][1], lines[4][0]
    with pytest.raises(ShareTypoError, match=r"^line 5: the words do not fit together"):
        parse_share(_text(lines))


def test_two_lines_that_changed_places_are_both_named() -> None:
    lines = [list(line) for line in LINES]
    lines[2], lines[3] = lines[3], lines[2]
    with pytest.raises(ShareTypoError, match=r"^line 3: .*; line 4: "):
        parse_share(_text(lines))


def test_a_line_of_another_sheet_is_named() -> None:
    lines = [list(line) for line in LINES]
    lines[5] = list(share_lines(SHARES[3])[5])
    with pytest.raises(ShareTypoError, match=r"^line 6: the words do not fit together"):
        parse_share(_text(lines))


def test_words_that_do_not_exist_are_told_by_their_place_and_never_repeated() -> None:
    with pytest.raises(ShareTypoError) as caught:
        parse_share(_altered(1, 3, "zzzz"))
    assert caught.value.message == "line 2, word 4 is not in the list of words"
    with pytest.raises(ShareTypoError, match=r"^line 3, word 1 is not in the list of words$"):
        parse_share(_altered(2, 0, LINES[2][0] + "qq"))
    with pytest.raises(ShareTypoError, match=r"^line 3, word 1 is not in the list of words$"):
        parse_share(_altered(2, 0, "qq"))


def test_with_a_fault_in_line_1_the_other_lines_are_not_blamed() -> None:
    with pytest.raises(ShareTypoError) as caught:
        parse_share(_altered(0, 0, "zzzz"))
    assert caught.value.message == "line 1, word 1 is not in the list of words"


def test_many_faults_are_told_shortly() -> None:
    lines = [*LINES[:2], ["zzzz"] * 6, ["zzzz"] * 6, *LINES[4:]]
    with pytest.raises(ShareTypoError, match=r"and 6 more$"):
        parse_share(_text(lines))


def test_missing_and_surplus_words_are_told_by_line_or_by_number() -> None:
    short = [list(line) for line in LINES]
    short[3].pop()
    with pytest.raises(ShareTypoError, match=r"^line 4: 5 words, but every line has 6$"):
        parse_share(_text(short))
    with pytest.raises(ShareTypoError, match="42 words in 7 lines, here are 36 in 6"):
        parse_share(_text(LINES[:6]))
    with pytest.raises(ShareTypoError, match="here are 0 in 0"):
        parse_share("")
    with pytest.raises(LimitExceededError):
        parse_share("a" * 4097)


def _packed(head: int, rest: int) -> str:
    data = [head, *(rest >> (55 * at) & ((1 << 55) - 1) for at in range(5, -1, -1))]
    numbers = [piece << 11 | sharewords._line_check(at, head, piece) for at, piece in enumerate(data, 1)]
    return _text([[word_list()[value >> (11 * at) & 0x7FF] for at in range(5, -1, -1)] for value in numbers])


@pytest.mark.parametrize(
    ("version", "needed", "shares", "index", "message"),
    [
        (2, 3, 5, 1, "another version"),
        (1, 1, 5, 1, "contradict"),
        (1, 6, 5, 1, "contradict"),
        (1, 3, 5, 6, "contradict"),
        (1, 3, 5, 1, "the sheet as a whole does not"),
    ],
)
def test_a_sheet_whose_lines_fit_but_that_is_none_is_refused(
    version: int, needed: int, shares: int, index: int, message: str
) -> None:
    head = (((version << 4 | needed - 1) << 4 | shares - 1) << 4 | index - 1) << 40
    with pytest.raises(ShareTypoError, match=message):
        parse_share(_packed(head, 12345))


@pytest.mark.parametrize(
    "values",
    [
        (b"1234", 3, 5, 1, bytes(32), bytes(5)),
        (CEREMONY, 3, 5, 1, bytes(31), bytes(5)),
        (CEREMONY, 3, 5, 1, bytes(32), bytes(4)),
        (CEREMONY, 1, 5, 1, bytes(32), bytes(5)),
        (CEREMONY, 3, 5, 6, bytes(32), bytes(5)),
    ],
)
def test_a_share_is_checked_when_it_is_made(values: tuple[bytes, int, int, int, bytes, bytes]) -> None:
    with pytest.raises(MisuseError):
        Share(*values)


# --- the sealed key ---------------------------------------------------------------------------------------


def test_a_key_goes_on_paper_and_back() -> None:
    read = parse_key("\n".join(KEY_LINES))
    assert read == SEALED
    assert (read.ceremony, read.fingerprint) == (CEREMONY, KEY.public.fingerprint_hex[:16])
    assert open_key(read, SECRET).to_pkcs8_der() == KEY.to_pkcs8_der()
    assert [len(line) for line in KEY_LINES] == [44] * 15


def test_a_key_is_read_from_one_line_in_small_letters_with_look_alikes_and_with_numbers() -> None:
    one_line = " ".join(KEY_LINES).lower().replace("0", "o").replace("1", "l")
    assert parse_key(one_line) == SEALED
    assert parse_key("\n".join(f"{at:2}. {line}" for at, line in enumerate(KEY_LINES, 1))) == SEALED


def test_a_wrong_character_is_found_by_its_line() -> None:
    for at in (0, 7, 14):
        lines = list(KEY_LINES)
        lines[at] = ("2" if lines[at][0] != "2" else "3") + lines[at][1:]
        with pytest.raises(ShareTypoError, match=rf"^the sealed key, line {at + 1}: "):
            parse_key("\n".join(lines))


def test_several_bad_lines_are_all_named() -> None:
    lines = list(KEY_LINES)
    lines[3], lines[4], lines[9] = lines[4], lines[3], "U" + lines[9][1:]
    with pytest.raises(ShareTypoError, match=r"^the sealed key, lines 4, 5, 10: "):
        parse_key("\n".join(lines))


def test_a_short_line_and_a_missing_line_are_told() -> None:
    lines = list(KEY_LINES)
    lines[6] = lines[6][:-1]
    with pytest.raises(ShareTypoError, match=r"^the sealed key, line 7: "):
        parse_key("\n".join(lines))
    with pytest.raises(ShareTypoError, match="15 lines of 36 characters, here are 14"):
        parse_key("\n".join(KEY_LINES[:14]))
    with pytest.raises(LimitExceededError):
        parse_key("A" * 4097)


def test_a_sealed_key_of_another_version_is_refused() -> None:
    other = SealedKey(b"\x02" + SEALED.blob[1:])
    with pytest.raises(ShareTypoError, match="another version"):
        parse_key("\n".join(key_lines(other)))


def test_a_wrong_secret_or_an_altered_header_opens_nothing() -> None:
    with pytest.raises(SharesUnfitError, match="does not open"):
        open_key(SEALED, bytes(32))
    with pytest.raises(SharesUnfitError, match="does not open"):
        open_key(SealedKey(SEALED.blob[:3] + b"\x00" + SEALED.blob[4:]), SECRET)


def test_a_sealed_key_that_holds_another_key_than_it_says_is_refused() -> None:
    header = SEALED.blob[:8] + bytes(8)
    sealed = header + bytes(12) + aead.seal(sealedkey._derive(SECRET, header), bytes(12), KEY.primes())
    with pytest.raises(SharesUnfitError, match="another key"):
        open_key(SealedKey(sealed), SECRET)
    garbage = header + bytes(12) + aead.seal(sealedkey._derive(SECRET, header), bytes(12), bytes(256))
    with pytest.raises(SharesUnfitError, match="does not open"):
        open_key(SealedKey(garbage), SECRET)


def test_only_a_key_of_2048_bits_is_sealed() -> None:
    with pytest.raises(MisuseError):
        seal_key(KEY, SECRET, ceremony=b"1234", needed=3, shares=5, nonce=bytes(12))


@pytest.mark.parametrize("data", [b"", bytes(256), b"\xff" * 256, KEY.primes()[:255], KEY.primes()[:128] * 2])
def test_what_are_no_primes_is_no_key(data: bytes) -> None:
    with pytest.raises(MalformedError):
        PrivateKey.from_primes(data)


def test_a_line_is_checked_while_it_is_typed() -> None:
    first = parse_line(1, "1. " + " ".join(LINES[0]), None)
    for number, line in enumerate(LINES[1:], 2):
        assert parse_line(number, " ".join(line), first) < 1 << 55
        with pytest.raises(ShareTypoError, match=f"line {number}: the words do not fit together"):
            parse_line(number, " ".join(line[::-1]), first)
    with pytest.raises(ShareTypoError, match="line 3: 1 words, but every line has 6"):
        parse_line(3, "word", first)


def test_a_line_of_the_sealed_key_is_checked_while_it_is_typed() -> None:
    first = parse_key_line(1, KEY_LINES[0], b"")
    assert (
        b"".join(parse_key_line(number, line, first) for number, line in enumerate(KEY_LINES[1:], 2))
        == SEALED.blob[20:]
    )
    with pytest.raises(ShareTypoError, match="the sealed key, line 2: "):
        parse_key_line(2, KEY_LINES[2], first)

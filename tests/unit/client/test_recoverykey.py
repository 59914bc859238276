"""Making the recovery key and putting it together from sheets."""

from dataclasses import replace

import pytest
from tests.sim.ambient import FakeClock, SeededRandom

from candado.client.recoverykey import (
    Ceremony,
    Sheets,
    SheetsReport,
    hold_ceremony,
    key_of_sheets,
    prove_sheets,
    read_sheets,
)
from candado.crypto.rsa import PrivateKey
from candado.crypto.sealedkey import key_lines, seal_key
from candado.crypto.sharewords import Share, share_lines
from candado.crypto.x509 import parse_csr
from candado.errors import MalformedError, SharesUnfitError, ShareTypoError, UsageError
from candado.folder.recoveryrecords import parse_ceremony_record
from candado.formats.sheettext import marked


def _hold(seed: int) -> Ceremony:
    return hold_ceremony(
        purpose="Recovery", custodians=["Ana", "Bo", "Cy"], needed=2, random=SeededRandom(seed), clock=FakeClock()
    )


FIRST, SECOND = _hold(1), _hold(2)


def _sheet(ceremony: Ceremony, index: int, *, key: bool = True) -> tuple[str, str]:
    words, sealed = marked(
        tuple(" ".join(line) for line in share_lines(ceremony.shares[index - 1])), key_lines(ceremony.sealed)
    )
    return f"sheet-{index}", "\n".join(["Typed.", "", *words, *(sealed if key else [])])


def _sheets(ceremony: Ceremony, *indices: int) -> Sheets:
    return read_sheets([_sheet(ceremony, index) for index in indices])


def _forged(share: Share) -> Share:
    return replace(share, value=bytes(32))


def test_a_ceremony_makes_a_record_a_request_and_a_share_for_each() -> None:
    record = parse_ceremony_record(FIRST.record_text)
    assert record == FIRST.record
    assert [one.name for one in record.custodians] == ["Ana", "Bo", "Cy"]
    assert [one.sha256 for one in record.custodians] == [share.digest for share in FIRST.shares]
    assert parse_csr(record.request_pem).common_name == f"recovery:{record.public_key.fingerprint_hex[:16]}"
    assert "PRIVATE" not in FIRST.record_text
    assert FIRST.record.ceremony != SECOND.record.ceremony


@pytest.mark.parametrize("indices", [(1, 2), (2, 3), (3, 1), (1, 2, 3)])
def test_enough_sheets_give_the_key_of_the_record(indices: tuple[int, ...]) -> None:
    key = key_of_sheets(_sheets(FIRST, *indices), FIRST.record)
    assert key.public == FIRST.record.public_key
    assert key_of_sheets(_sheets(FIRST, *indices), None).public == key.public


def test_a_test_tells_which_sheets_and_how_many_sets_were_proved() -> None:
    fingerprint = FIRST.record.public_key.fingerprint_hex
    expected = SheetsReport(FIRST.record.ceremony, fingerprint, 2, (1, 2, 3), 3)
    assert prove_sheets(_sheets(FIRST, 3, 1, 2), FIRST.record, every_set=True) == expected
    assert prove_sheets(_sheets(FIRST, 1, 3), FIRST.record, every_set=False) == replace(
        expected, indices=(1, 3), combinations=1
    )


@pytest.mark.parametrize(
    ("custodians", "needed"), [(["A"], 2), (["A", "B"], 1), (["A", "B"], 3), ([f"N{at}" for at in range(17)], 2)]
)
def test_a_ceremony_of_senseless_numbers_is_refused(custodians: list[str], needed: int) -> None:
    with pytest.raises((UsageError, MalformedError)):
        hold_ceremony(purpose="x", custodians=custodians, needed=needed, random=SeededRandom(1), clock=FakeClock())


@pytest.mark.parametrize(("purpose", "custodians"), [("", ["A", "B"]), ("x", ["A", "a"]), ("x", ["A", ""])])
def test_a_ceremony_without_purpose_or_with_one_person_twice_is_refused(purpose: str, custodians: list[str]) -> None:
    with pytest.raises(MalformedError):
        hold_ceremony(purpose=purpose, custodians=custodians, needed=2, random=SeededRandom(1), clock=FakeClock())


def _refusal(sheets: Sheets, ceremony: Ceremony | None = FIRST) -> SharesUnfitError:
    with pytest.raises(SharesUnfitError) as caught:
        key_of_sheets(sheets, None if ceremony is None else ceremony.record)
    return caught.value


def test_too_few_sheets_are_told_with_how_many_are_missing() -> None:
    error = _refusal(_sheets(FIRST, 2))
    assert (error.message, error.advice) == ("2 sheets are needed, 1 was given", "Bring 1 more.")
    assert _refusal(Sheets((), FIRST.sealed)).message == "no sheet was given"
    three = hold_ceremony(purpose="x", custodians=["A", "B", "C"], needed=3, random=SeededRandom(3), clock=FakeClock())
    assert _refusal(_sheets(three, 1, 3), three).message == "3 sheets are needed, 2 were given"


def test_the_same_sheet_twice_is_told() -> None:
    error = _refusal(_sheets(FIRST, 2, 2))
    assert (error.message, error.path) == ("sheet 2 was given twice", "sheet-2, sheet-2")


def test_sheets_of_two_ceremonies_are_told_apart() -> None:
    mixed = read_sheets([_sheet(FIRST, 1), _sheet(SECOND, 2, key=False)])
    error = _refusal(mixed, None)
    assert error.message == "the sheets are of 2 ceremonies"
    assert error.path == f"{FIRST.record.ceremony}: sheet-1; {SECOND.record.ceremony}: sheet-2"


def test_a_forged_sheet_is_named_when_the_record_is_there() -> None:
    forged = Sheets((("a", FIRST.shares[0]), ("b", _forged(FIRST.shares[1]))), FIRST.sealed)
    error = _refusal(forged)
    assert (error.message, error.path) == ("sheet 2 is not the one that the ceremony made", "b")
    without = _refusal(forged, None)
    assert "at least one of them is forged" in without.message
    assert without.path == "a, b"


def test_a_sheet_that_contradicts_another_is_told() -> None:
    other = replace(FIRST.shares[1], needed=3)
    error = _refusal(Sheets((("a", FIRST.shares[0]), ("b", other)), FIRST.sealed), None)
    assert (error.message, error.path) == ("two sheets contradict each other: one of them is forged", "a, b")


def test_a_missing_or_foreign_sealed_key_is_told() -> None:
    shares = _sheets(FIRST, 1, 2).shares
    assert _refusal(Sheets(shares, None)).message == "the sealed key is missing"
    assert "the sealed key of" in _refusal(Sheets(shares, SECOND.sealed)).message


def test_another_public_half_is_told() -> None:
    assert "the public half is of" in _refusal(_sheets(FIRST, 1, 2), SECOND).message


def test_sheets_of_the_ceremony_that_give_another_key_are_refused() -> None:
    other = PrivateKey.generate()
    secret_key = seal_key(other, _secret(FIRST), ceremony=FIRST.shares[0].ceremony, needed=2, shares=3, nonce=bytes(12))
    error = _refusal(Sheets(_sheets(FIRST, 1, 2).shares, secret_key))
    assert error.message == "the sheets give another key than the public half is of"


def _secret(ceremony: Ceremony) -> bytes:
    from candado.crypto.shamir import combine

    return combine({share.index: share.value for share in ceremony.shares})


def test_sealed_keys_that_differ_between_sheets_are_told() -> None:
    with pytest.raises(SharesUnfitError, match="the sealed keys on two sheets differ") as caught:
        read_sheets([_sheet(FIRST, 1), _sheet(SECOND, 2)])
    assert caught.value.path == "sheet-1, sheet-2"


def test_a_typo_names_the_sheet_and_its_line() -> None:
    where, text = _sheet(FIRST, 2)
    lines = text.splitlines()
    at = lines.index("===== words =====") + 4
    lines[at] = " 4.  zzzz " + " ".join(lines[at].split()[2:])
    with pytest.raises(ShareTypoError) as caught:
        read_sheets([_sheet(FIRST, 1), (where, "\n".join(lines))])
    assert (caught.value.message, caught.value.path) == ("line 4, word 1 is not in the list of words", "sheet-2")


def test_a_typo_among_several_typed_sheets_names_which() -> None:
    typed = [" ".join(word for line in share_lines(share) for word in line) for share in FIRST.shares]
    sheets = read_sheets([("standard input", "\n\n".join(typed))])
    assert [where for where, _ in sheets.shares] == [f"standard input, sheet {at} there" for at in (1, 2, 3)]
    with pytest.raises(ShareTypoError) as caught:
        read_sheets([("standard input", f"{typed[0]}\n\n{typed[1]} zoo")])
    assert caught.value.path == "standard input, sheet 2 there"


def test_a_typo_in_the_sealed_key_names_where_it_was_read() -> None:
    with pytest.raises(ShareTypoError, match="the sealed key, line 1") as caught:
        read_sheets([("k", "CANDADO KEY " + "A" * 540)])
    assert caught.value.path == "k"


def test_a_text_without_words_is_told() -> None:
    with pytest.raises(ShareTypoError, match="no words of a sheet") as caught:
        read_sheets([("empty", "\n")])
    assert caught.value.path == "empty"

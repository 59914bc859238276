"""Vectors of sheets of the recovery key. Run: python -m tests.vectors.make_recovery"""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256, sha512

from candado.crypto.sealedkey import SealedKey, key_lines, seal_key
from candado.crypto.shamir import split
from candado.crypto.sharewords import Share, secret_check, share_lines
from candado.formats.sheettext import KEY_CODE, SHARE_CODE, marked
from tests.vectors.keys import private_key
from tests.vectors.vectorfile import format_vector, write

SOURCE = "docs/spec/recovery.md; threat model, B14"


def shares(name: str, needed: int = 3, count: int = 5) -> list[Share]:
    secret, ceremony = sha256(f"{name} secret".encode()).digest(), sha256(f"{name} ceremony".encode()).digest()[:5]
    coefficients = (sha512(f"{name} one".encode()).digest() + sha512(f"{name} two".encode()).digest())[
        : 32 * (needed - 1)
    ]
    values = split(secret, needed=needed, shares=count, coefficients=coefficients)
    check = secret_check(ceremony, secret)
    return [Share(ceremony, needed, count, at, value, check) for at, value in enumerate(values, 1)]


def sealed(name: str, needed: int = 3, count: int = 5) -> SealedKey:
    secret, ceremony = sha256(f"{name} secret".encode()).digest(), sha256(f"{name} ceremony".encode()).digest()[:5]
    nonce = sha256(b"nonce").digest()[:12]
    return seal_key(private_key("alice"), secret, ceremony=ceremony, needed=needed, shares=count, nonce=nonce)


def words(share: Share) -> list[list[str]]:
    return [list(line) for line in share_lines(share)]


def text(lines: list[list[str]]) -> str:
    return "\n".join(marked(tuple(" ".join(line) for line in lines), ())[0])


def key_text(lines: tuple[str, ...]) -> str:
    return "\n".join(marked((), lines)[1])


def cases() -> Iterator[tuple[str, str]]:
    first, other = shares("first"), shares("other")
    key, lines = key_text(key_lines(sealed("first"))), [words(share) for share in first]
    sheets = [text(one) for one in lines]

    def case(name: str, expect: str, comment: str, *parts: str) -> tuple[str, str]:
        fingerprint = private_key("alice").public.fingerprint_hex
        payload = "\n\n".join(parts)
        return name, format_vector(
            expect=expect, source=SOURCE, comment=comment, payload=payload, fingerprint=fingerprint
        )

    def altered(line: int, change: list[str]) -> str:
        return text([*lines[1][:line], change, *lines[1][line + 1 :]])

    yield case("three_of_five", "ok", "sheets 1, 3 and 5", sheets[0], sheets[2], sheets[4], key)
    yield case("all_five", "ok", "more than are needed", *sheets, key)
    short = [[word[:4] for word in line] for line in lines[1]]
    yield case("four_letters", "ok", "words cut to four letters", sheets[0], text(short), sheets[3], key)
    codes = [f"{SHARE_CODE} {' '.join(word.upper() for line in one for word in line)}" for one in lines[1:4]]
    key_code = f"{KEY_CODE} {' '.join(key_lines(sealed('first')))}"
    yield case("codes", "ok", "what a scanner gives", *codes, key_code)
    two = shares("pair", 2, 2)
    yield case(
        "two_of_two",
        "ok",
        "the smallest split",
        *(text(words(one)) for one in two),
        key_text(key_lines(sealed("pair", 2, 2))),
    )

    typo = "ShareTypoError"
    yield case(
        "wrong_word", typo, "a word of the list in the place of another", altered(3, ["abandon", *lines[1][3][1:]]), key
    )
    yield case("unknown_word", typo, "a word that is not in the list", altered(0, ["candado", *lines[1][0][1:]]), key)
    yield case("words_exchanged", typo, "two words of a line exchanged", altered(2, lines[1][2][::-1]), key)
    yield case("word_missing", typo, "five words in a line", altered(5, lines[1][5][:-1]), key)
    yield case("line_missing", typo, "six lines", text(lines[1][:6]), key)
    swapped = [*lines[1][:1], lines[1][2], lines[1][1], *lines[1][3:]]
    yield case("lines_exchanged", typo, "two lines exchanged", text(swapped), key)
    yield case("line_of_another_sheet", typo, "line 4 of sheet 1 on sheet 2", altered(3, lines[0][3]), key)
    yield case("first_line_of_another_sheet", typo, "line 1 of sheet 1 on sheet 2", altered(0, lines[0][0]), key)
    cut = key.replace("===== end of sealed key =====", "")
    yield case("end_missing", typo, "the mark at the end of the sealed key is missing", *sheets[:3], cut)
    bad = list(key_lines(sealed("first")))
    bad[6] = bad[6].replace(bad[6][0], "Z" if bad[6][0] != "Z" else "Y", 1)
    yield case("wrong_character", typo, "a wrong character in the sealed key", *sheets[:3], key_text(tuple(bad)))
    yield case("empty", typo, "nothing at all", "")

    unfit = "SharesUnfitError"
    yield case("too_few", unfit, "two of three", sheets[0], sheets[1], key)
    yield case("twice", unfit, "sheet 2 twice", sheets[0], sheets[1], sheets[1], key)
    yield case("two_ceremonies", unfit, "sheet 3 is of another ceremony", *sheets[:2], text(words(other[2])), key)
    forged = replace(first[2], value=sha256(b"forged").digest())
    yield case("forged_share", unfit, "sheet 3 has another value, its words fit", *sheets[:2], text(words(forged)), key)
    renumbered = replace(first[2], index=4)
    yield case("renumbered_share", unfit, "sheet 3 calls itself 4", *sheets[:2], text(words(renumbered)), key)
    loose = [replace(share, needed=2) for share in first[:2]]
    yield case("fewer_needed", unfit, "sheets that say two are enough", *(text(words(one)) for one in loose), key)
    yield case("no_sealed_key", unfit, "words only", *sheets[:3])
    yield case(
        "foreign_sealed_key",
        unfit,
        "the sealed key of another ceremony",
        *sheets[:3],
        key_text(key_lines(sealed("other"))),
    )
    blob = sealed("first").blob
    header = SealedKey(blob[:15] + bytes((blob[15] ^ 1,)) + blob[16:])
    yield case("altered_header", unfit, "the sealed key names another key", *sheets[:3], key_text(key_lines(header)))


if __name__ == "__main__":
    write("recovery", cases)

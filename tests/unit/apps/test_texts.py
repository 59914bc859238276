"""What the pages say: every text in every language, every text used, and nothing from outside that becomes markup."""

import importlib
import pkgutil
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import candado.apps
from candado.apps import texts
from candado.apps.html_build import Html, joined, tag
from candado.apps.texts import LANGUAGES, Language, Speech, Text, choose_language, language_of
from candado.apps.texts.common import Common
from candado.apps.texts.devices import DeviceText
from candado.apps.texts.links import LinkText

SOURCE = Path(candado.apps.__file__).parent
for found in pkgutil.iter_modules(texts.__path__, f"{texts.__name__}."):
    importlib.import_module(found.name)
CATALOGUES = sorted(Text.__subclasses__(), key=lambda one: one.__name__)
ALL = [(catalogue, name) for catalogue in CATALOGUES for name in catalogue.__members__]
WHOLE = {"Refusal", "ScriptText", "VerifyText"}
"""Catalogues that are used as a whole, by the names of their texts."""
EN, ES, DE = (Speech(language) for language in LANGUAGES)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name} | set(re.findall(r"<\w+>", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there_in_each_language_and_has_the_same_values(language: Language) -> None:
    assert len(CATALOGUES) >= 4
    for catalogue, name in ALL:
        text = catalogue[name]
        assert len(text.value) == len(LANGUAGES), text
        said = text.plain(language)
        assert said.strip() == said != "", text
        assert fields(said) == fields(text.plain("en")), text
        assert said[-1:] == text.plain("en")[-1:] or not text.plain("en").endswith((".", ":", "?")), text
        assert "  " not in said, text


@pytest.mark.parametrize("language", ["es", "de"])
def test_a_sentence_is_never_left_in_english(language: Language) -> None:
    same = [str(catalogue[name]) for catalogue, name in ALL
            if " " in catalogue[name].plain("en") and catalogue[name].plain(language) == catalogue[name].plain("en")]  # fmt: skip
    assert same == []


def test_every_text_is_used() -> None:
    code = "\n".join(path.read_text() for path in SOURCE.glob("*.py"))
    unused = [
        f"{catalogue.__name__}.{name}"
        for catalogue, name in ALL
        if catalogue.__name__ not in WHOLE and not re.search(rf"\b{catalogue.__name__}\.{name}\b", code)
    ]
    assert unused == []


# --- which language ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-FR, es;q=0.5, en;q=0.4", "es"),
        ("en;q=0.1, ES-mx;q=0.2", "es"),
        ("de;q=0, en", "en"),
        ("de;q=0", "en"),
        ("fr,*;q=0.5", "en"),
        ("de;q=2, es;q=0.1", "es"),
        ("en, de", "en"),
        ("; ;;q=,,=de", "en"),
        ("x" * 5000 + ",de", "en"),
    ],
)
def test_the_language_is_the_one_a_browser_likes_best(wishes: str, language: str) -> None:
    assert choose_language(wishes) == language


@given(st.text(max_size=200))
def test_any_header_gives_a_language(wishes: str) -> None:
    assert choose_language(wishes) in LANGUAGES


def test_only_three_languages_have_a_name() -> None:
    assert [language_of(name) for name in ("en", "es", "de", "EN", "fr", "", None)] == ["en", "es", "de", *[None] * 4]


# --- numbers, sizes, times ---------------------------------------------------------------------------------


def test_numbers_are_written_as_in_each_language() -> None:
    assert [say.number(1234567) for say in (EN, ES, DE)] == ["1,234,567", "1\u00a0234\u00a0567", "1.234.567"]
    sizes = (0, 999, 1000, 1550, 9960, 999_499, 999_500, 10**9, 2**62)
    assert [EN.size(size).replace("\u00a0", " ") for size in sizes] == [
        "0 B", "999 B", "1.0 kB", "1.6 kB", "10 kB", "999 kB", "1.0 MB", "1.0 GB", "4.6 EB",
    ]  # fmt: skip
    assert [say.size(1550) for say in (ES, DE)] == ["1,6\u00a0kB", "1,6\u00a0kB"]


def test_times_are_written_as_in_each_language_and_for_programs() -> None:
    at = 1_772_500_000.0
    assert EN.time(at) == '<time datetime="2026-03-03T01:06Z">3 Mar 2026, 01:06 UTC</time>'
    assert ES.time(at) == '<time datetime="2026-03-03T01:06Z">3 mar 2026, 01:06 UTC</time>'
    assert DE.day(at) == '<time datetime="2026-03-03">3. März 2026</time>'
    assert [EN.time(never) for never in (1e300, float("nan"), -1e20)] == ["", "", ""]


def test_one_and_many_are_told_apart() -> None:
    said = [DE.count(LinkText.STORED_ONE, LinkText.STORED_MANY, number) for number in (0, 1, 2000)]
    assert said == [
        "0 Dateien wurden gespeichert.", "1 Datei wurde gespeichert.", "2.000 Dateien wurden gespeichert.",
    ]  # fmt: skip


# --- nothing becomes markup --------------------------------------------------------------------------------


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = st.one_of(
    st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=60),
    st.sampled_from(
        ["<script>x</script>", '"><b onload="x', "' onclick='x", "{user}", "{0.__class__}", "&lt;", "</p>"]
    ),
)


@given(HOSTILE, HOSTILE)
def test_a_name_stays_text_wherever_it_is_put(inside: str, attribute: str) -> None:
    page = tag("p", inside, tag("a", inside, title=attribute, href=attribute, hidden=False, rel=None))
    reader = Reader(page)
    assert reader.tags == [("p", {}), ("a", {"title": attribute, "href": attribute})]
    assert reader.text == inside + inside


@given(HOSTILE)
def test_a_name_stays_text_in_a_sentence_of_any_language(name: str) -> None:
    for say in (EN, ES, DE):
        reader = Reader(say(Common.SIGNED_IN_AS, user=tag("b", name)))
        assert [found for found, _ in reader.tags] == ["b"]
        assert name in reader.text
        said = say(DeviceText.LET_IN_CLOSE, device=name)
        assert (Reader(said).tags, unescape(said)) == ([], say.plain(DeviceText.LET_IN_CLOSE, device=name))


def test_parts_of_a_page_are_joined_and_those_that_are_none_left_out() -> None:
    assert joined("<", None, Html("<br>"), 3, between=" / ") == "&lt; / <br> / 3"
    assert tag("input", type="text", required=True, for_="x", aria_label="<") == (
        '<input type="text" required for="x" aria-label="&lt;">'
    )

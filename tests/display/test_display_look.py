"""The look, as far as it can be reckoned: contrast, weight of the style sheet, and bars that sum to the gap."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.display.latency import bar, parts
from patter_nb.display.markup import Html, clean, fold, join, shorten, tag
from patter_nb.display.style import COLOURS, STYLE

LINEAR_BELOW = 0.04045
STYLE_SHEET_CHARACTERS = 3_072


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= LINEAR_BELOW else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", sorted(COLOURS.keys() - {"ground", "line"}))
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_our_ground_and_on_that_of_jupyterlab(name: str, scheme: int) -> None:
    for ground in (COLOURS["ground"][scheme], ("#ffffff", "#111111")[scheme]):
        assert contrast(COLOURS[name][scheme], ground) >= (3.0 if name == "ghost" else 4.5)


def test_style_sheet_is_short_and_touches_nothing_else() -> None:
    assert len(STYLE) < STYLE_SHEET_CHARACTERS
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", STYLE.removeprefix("<style>").removesuffix("</style>"))
    assert selectors
    assert all(".pnb" in selector for selector in selectors)


MEASURED = ("endpointing", "llm_first_token", "tools", "tts_first_audio", "playback", "filler")


@given(st.floats(1, 60_000), st.dictionaries(st.sampled_from(MEASURED), st.floats(0, 20_000)))
def test_parts_sum_to_the_response(response: float, others: dict[str, float]) -> None:
    made = parts({"response": response, **others})
    assert sum(part.ms for part in made) == pytest.approx(response, abs=1.01)
    assert all(part.ms > 0 for part in made)
    assert [part.measured for part in made].count(False) <= 1


def test_each_part_stands_apart_and_what_is_left_says_so() -> None:
    latency = {"endpointing": 500, "llm_first_token": 400, "tools": 500, "tts_first_audio": 200, "playback": 200, "response": 2500}
    shown = [(part.name, part.ms, part.measured) for part in parts(latency)]
    assert shown == [
        ("endpointing", 500, True),
        ("first token", 400, True),
        ("tools", 500, True),
        ("first sentence and other rounds", 700, False),
        ("voice", 200, True),
        ("playback", 200, True),
    ]


def test_a_response_that_was_a_filler_is_not_explained_by_the_answer() -> None:
    latency = {"endpointing": 500, "filler": 4100, "playback": 100, "response": 4700, "llm_first_token": 3000, "tts_first_audio": 90}
    assert [(part.name, part.ms) for part in parts(latency)] == [("endpointing", 500), ("filler", 4100), ("playback", 100)]


def test_nothing_is_invented_where_nothing_was_measured() -> None:
    assert parts({"endpointing": 500.0, "llm_first_token": 200.0}) == ()
    assert "response not measured" in bar({"endpointing": 500.0})
    (whole,) = parts({"response": 900.0})
    assert not whole.measured
    assert "not measured apart" in bar({"response": 900.0})


@given(st.text(st.characters(), max_size=400), st.integers(0, 200))
def test_shortened_text_fits_and_counts_what_it_leaves_out(text: str, room: int) -> None:
    shown, rest = shorten(text, room)
    assert len(shown.encode()) <= room
    assert 0 <= rest <= len(text)
    assert rest > 0 or len(text) == 0 or shown != ""
    assert "<" not in shown


@given(st.text(st.characters(), max_size=200))
def test_clean_text_acts_nowhere(text: str) -> None:
    clean(text).encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", clean(text))


def test_only_markup_is_markup() -> None:
    assert join("<b>", Html("<i>")) == "&lt;b&gt;<i>"
    assert tag("td", "x", title='"<') == '<td title="&quot;&lt;">x</td>'


def test_short_values_stay_open_and_long_ones_fold() -> None:
    assert "<details>" not in fold("x" * 160, 1000)
    assert "<details>" in fold("x" * 161, 1000)
    assert "161 characters" in fold("x" * 161, 1000)

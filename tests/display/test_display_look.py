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


@given(
    response=st.floats(1, 60_000),
    endpointing=st.none() | st.floats(0, 60_000),
    token=st.none() | st.floats(0, 60_000),
    sound=st.none() | st.floats(0, 60_000),
)
def test_parts_sum_to_the_response(response: float, endpointing: float | None, token: float | None, sound: float | None) -> None:
    told = {"response": response, "endpointing": endpointing, "llm_first_token": token, "tts_first_audio": sound}
    latency = {name: ms for name, ms in told.items() if ms is not None}
    made = parts(latency)
    assert sum(part.ms for part in made) == pytest.approx(response, abs=1.01)
    assert all(part.ms > 0 for part in made)


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

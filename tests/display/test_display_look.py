"""The look, as far as it can be reckoned: contrast, weight of the style sheet, and bars that sum to the gap."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import patter_nb
from patter_nb.display.latency import latency_page, latency_text
from patter_nb.display.markup import Html, clean, fold, join, shorten, tag
from patter_nb.display.style import COLOURS, STYLE
from patter_nb.display.waterfall import COLOURS as BARS
from patter_nb.display.waterfall import bar, waterfall_page, waterfall_text
from patter_nb.latencies import Latency, Spread
from patter_nb.waterfall import PARTS, Part, Waterfall

CSS = (Path(patter_nb.__file__).parent / "console" / "css" / "latency.css").read_text("utf-8")
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


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", sorted(BARS))
def test_a_part_of_the_bar_stands_out_from_the_ground(name: str, scheme: int) -> None:
    assert contrast(BARS[name], COLOURS["ground"][scheme]) >= 1.9


def test_every_part_has_a_colour_and_every_colour_a_part() -> None:
    assert {*BARS} == {*PARTS}


def test_the_console_has_the_same_colours() -> None:
    assert dict(re.findall(r'\[data-part="([^"]+)"\] { --share: (#\w+);', CSS)) == BARS


LABELS = re.findall(r"--share: (#\w+);(?: --label: (#\w+);)?", CSS)


@pytest.mark.parametrize(("share", "label"), LABELS)
def test_words_on_the_consoles_bar_can_be_read(share: str, label: str) -> None:
    assert contrast(share, label or "#10141a") >= 4.5


def rects(markup: str) -> list[tuple[float, float]]:
    return [(float(at), float(width)) for at, width in re.findall(r'<rect x="([\d.]+)" width="([\d.]+)"', markup)]


@given(st.lists(st.floats(0.001, 20_000), min_size=1, max_size=12))
def test_the_bar_is_as_wide_as_its_parts_together(took: list[float]) -> None:
    starts = [sum(took[:at]) for at in range(len(took))]
    parts = tuple(Part("tools", start, ms, "look") for start, ms in zip(starts, took, strict=True))
    drawn = rects(bar(Waterfall(parts, sum(took), 0.0, "your last word")))
    assert len(drawn) == len(took)
    for (at, _), start in zip(drawn, starts, strict=True):
        assert at == pytest.approx(1000 * start / sum(took), abs=0.2)
    assert drawn[-1][0] + drawn[-1][1] == pytest.approx(1000, abs=0.2)


MEASURED = (Part("endpointing", 0.0, 500.0, "setting endpointing_ms"), Part("stt", 500.0, 0.0, "<b>ears</b>"))


def test_each_part_is_told_with_its_owner() -> None:
    unexplained = Part("unexplained", 500.0, 0.4, "nobody known", "at the end", measured=False)
    shown = waterfall_page(Waterfall((*MEASURED, unexplained, Part("check", 500.4, 0.3, "hooks")), 500.7, 0.4, "your last word"))
    assert "501 ms from your last word to the first sound" in shown
    assert "setting endpointing_ms" in shown
    assert "&lt;b&gt;ears" in shown and "<b>ears" not in shown
    assert "unexplained, check: 0.7 ms together" in shown


def test_what_was_not_measured_is_hatched_and_never_blank() -> None:
    unmeasured = Part("browser", 500.0, 0.0, "browser", "nobody told when it was heard", measured=False)
    fall = Waterfall((*MEASURED, unmeasured), None, None, "your last word", why="nobody told when it was heard")
    shown = waterfall_page(fall)
    assert "response not measured: nobody told when it was heard" in shown
    assert "stroke-dasharray" in shown
    assert "not measured" in waterfall_text(fall).splitlines()[-1]
    assert rects(shown)[-1][1] == pytest.approx(970, abs=0.2)


def test_percentiles_are_drawn_on_one_scale() -> None:
    rows = [Spread("response", "", (800.0, 1000.0)), Spread("tools", "look", (100.0, 100.0))]
    shown = latency_page(Latency(rows, turns=2, left_out=1))
    assert 'd="M800 3v8M1000 3v8"' in shown
    assert 'd="M100 3v8"' in shown
    assert "p50 900 · p90 980 · p95 990 · p99 998 ms · n 2" in shown
    assert "of 2 turns; 1 turn not answered to the end left out" in shown
    assert "tools" in latency_text(Latency(rows))
    assert "nothing was measured yet" in latency_page(Latency())


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

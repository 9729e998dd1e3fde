"""Where samples lie in time: by their count, until what is told differs by more than jitter; and the agent's where the cursor says."""

from __future__ import annotations

import numpy as np
import pytest

from patter_nb.events import AudioSent, Body, Event, ListenerChanged, PlaybackEnded, PlaybackStarted, TurnHeard
from patter_nb.timeline.placing import JITTER_MS, Layout, Stretch
from patter_nb.timeline.playback import Playback

RATE = 1000
"""So that a sample is a millisecond."""


def placed(layout: Layout) -> list[tuple[int, int, float]]:
    return [(stretch.start, stretch.stop, stretch.at_ms) for stretch in layout.between(-1e9, 1e9)]


def test_reports_that_come_unevenly_make_one_stretch() -> None:
    layout = Layout(RATE)
    for number, late in enumerate((0, 40, 10, 90, 0)):
        layout.put(number * 60, (number + 1) * 60, 1000 + number * 60 + late)
    assert placed(layout) == [(0, 300, 940.0)]
    assert [layout.ms(sample) for sample in (0, 150, 300)] == [940.0, 1090.0, 1240.0]


def test_a_gap_begins_another_stretch_and_what_follows_has_its_own_place() -> None:
    layout = Layout(RATE)
    layout.put(0, 100, 100)
    layout.put(100, 200, 700)
    assert placed(layout) == [(0, 100, 0.0), (100, 200, 600.0)]
    assert layout.ms(99) == 99
    assert layout.ms(100) == 600
    assert layout.end_ms == 700
    assert layout.span(50, 150) == (50, 650)


def test_what_never_sounded_has_no_span() -> None:
    layout = Layout(RATE)
    layout.put(0, 100, 100)
    layout.put(300, 400, 900)
    assert layout.span(100, 300) is None
    assert layout.span(250, 350) == (800, 850)
    assert layout.span(500, 600) is None
    assert Layout(RATE).span(0, 10) is None


def test_many_blocks_at_once_lie_where_they_would_one_by_one() -> None:
    rng = np.random.default_rng(7)
    ends = 20.0 * np.arange(1, 2001) + rng.uniform(0, 60, 2000)
    ends[700:] += 5000
    ends[1500:] += 300
    one, many = Layout(16_000), Layout(16_000)
    for number, end in enumerate(ends):
        one.put(number * 320, (number + 1) * 320, float(end))
    stretches = [stretch for part in (ends[:3], ends[3:900], ends[900:]) for stretch in many.put_many(many.stop // 320 * 320, part, 320)]
    assert np.allclose(placed(many), placed(one))
    assert len(many) == 3
    assert sum(stretch.stop - stretch.start for stretch in stretches) == 2000 * 320
    for stretch in stretches:
        assert many.ms(stretch.start) == pytest.approx(stretch.at_ms)


def test_a_clock_that_drifts_is_followed() -> None:
    """0.5 % too slow: after a minute 300 ms, which no single report shows."""
    layout = Layout(RATE)
    for number in range(1000):
        layout.put(number * 60, (number + 1) * 60, (number + 1) * 60 * 1.005)
    assert abs(layout.end_ms - 60_300) <= JITTER_MS


def test_between_cuts_what_reaches_over_the_edge() -> None:
    layout = Layout(RATE)
    layout.put(0, 100, 1100)
    assert list(layout.between(1040, 1060)) == [Stretch(40, 60, 1040.0)]
    assert list(layout.between(0, 1000)) == []


class Told:
    """A playback that is told what a session would."""

    def __init__(self) -> None:
        self.playback = Playback(RATE)
        self.seq = 0

    def event(self, t_ms: float, body: Body) -> None:
        if isinstance(body, PlaybackStarted):
            self.playback.begins(body.position, None if body.ago_ms is None else t_ms - body.ago_ms)
        self.playback.fold(Event(self.seq, t_ms, t_ms / 1000, 0, 1, body))
        self.seq += 1

    @property
    def places(self) -> list[tuple[int, int, float]]:
        return placed(self.playback.layout)


def test_sound_lies_where_the_cursor_heard_it_not_where_it_was_made() -> None:
    told = Told()
    told.event(0, AudioSent(0, 0, 1000))
    told.playback.moved(60, 2060)
    told.event(2060, PlaybackStarted(0))
    for position in range(120, 1001, 60):
        told.playback.moved(position, 2000 + position)
    told.playback.moved(1000, 3000)
    told.event(3000, PlaybackEnded(1000))
    assert told.places == [(0, 1000, 2000.0)]
    (stretch,) = told.playback.drain()
    assert stretch == Stretch(0, 1000, 2000.0)
    assert told.playback.drain() == []


def test_the_first_sound_lies_where_it_is_told_to_have_sounded() -> None:
    told = Told()
    told.event(0, AudioSent(0, 0, 1000))
    told.event(2100, PlaybackStarted(0, ago_ms=90.0))
    told.playback.moved(60, 2100)
    told.playback.moved(120, 2145)
    assert told.places == [(0, 120, 2010.0)]


def test_a_pause_is_a_gap_and_what_was_flushed_lies_nowhere() -> None:
    told = Told()
    told.event(0, AudioSent(0, 0, 1000))
    told.event(100, PlaybackStarted(0))
    told.playback.moved(200, 300)
    told.playback.moved(400, 1500)
    told.event(1500, PlaybackEnded(400, flushed=600))
    told.event(1600, AudioSent(0, 1000, 1500))
    told.playback.moved(1200, 2200)
    assert told.places == [(0, 200, 100.0), (200, 400, 1300.0), (1000, 1200, 2000.0)]


def test_what_was_given_up_before_it_sounded_lies_nowhere() -> None:
    told = Told()
    told.event(0, AudioSent(0, 0, 500))
    told.event(10, TurnHeard("", interrupted=True))
    told.event(20, AudioSent(0, 500, 1000))
    told.event(120, PlaybackStarted(500))
    told.playback.moved(600, 120)
    assert told.places == [(500, 600, 20.0)]


def test_a_report_beyond_what_was_sent_counts_up_to_it() -> None:
    told = Told()
    told.event(0, AudioSent(0, 0, 100))
    told.playback.moved(5000, 100)
    assert told.places == [(0, 100, 0.0)]


def test_with_nobody_to_listen_it_lies_where_it_was_handed_over_piece_after_piece() -> None:
    told = Told()
    told.event(1000, AudioSent(0, 0, 300))
    told.event(1010, AudioSent(1, 300, 400))
    told.event(2000, AudioSent(2, 400, 500))
    told.event(2010, TurnHeard("All of it."))
    assert told.places == [(0, 400, 1000.0), (400, 500, 2000.0)]


def test_who_stops_to_listen_leaves_the_rest_where_it_was_handed_over() -> None:
    told = Told()
    told.event(0, ListenerChanged(True))
    told.event(0, AudioSent(0, 0, 1000))
    told.event(100, PlaybackStarted(0))
    told.playback.moved(300, 400)
    told.event(500, ListenerChanged(False))
    told.event(500, PlaybackEnded(1000))
    assert told.places == [(0, 1000, 100.0)]

"""Peaks at every zoom are the extremes of what lies beneath, however they came together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.audio.frames import Pcm
from patter_nb.timeline.peaks import LEVELS, UNMEASURED, Peaks

RATE = 16_000


def noise(seconds: float, seed: int = 1) -> Pcm:
    return np.random.default_rng(seed).integers(-20_000, 20_000, round(seconds * RATE)).astype(np.int16)


def test_a_bucket_holds_the_extremes_of_its_ten_milliseconds() -> None:
    pcm = np.zeros(1600, np.int16)
    pcm[165], pcm[170] = 32767, -8192
    peaks = Peaks()
    peaks.put_person(pcm, 500.0, RATE)
    grid = peaks.grid(0, 49, 61)
    assert grid[2].tolist() == [-64, 127, 0, 0, UNMEASURED]
    assert not grid[[0, 1, 3, 11], :4].any()
    assert peaks.stop == 60


def test_quiet_speech_is_seen_in_eight_bits() -> None:
    peaks = Peaks()
    peaks.put_agent(np.full(160, 33, np.int16), 0.0, RATE)  # 60 dB below full scale
    assert peaks.grid(0, 0, 1)[0].tolist() == [0, 0, 0, 4, UNMEASURED]


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100])
@pytest.mark.parametrize("at_ms", [0.0, 3.7, 1234.5])
def test_no_sample_is_lost_between_buckets_at_any_rate(rate: int, at_ms: float) -> None:
    pcm = np.random.default_rng(rate).integers(-30_000, 30_000, rate // 3).astype(np.int16)
    for place in (0, len(pcm) // 2, len(pcm) - 1):
        loud = np.where(np.arange(len(pcm)) == place, 32767, pcm // 8).astype(np.int16)
        peaks = Peaks()
        peaks.put_person(loud, at_ms, rate)
        (found,) = np.flatnonzero(peaks.grid(0, 0, peaks.stop)[:, 1] == 127)
        assert found == pytest.approx((at_ms + place * 1000 / rate) / 10, abs=1.0)
        assert found == int((at_ms + place * 1000 / rate) / 10 + 1e-6)


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, 4000), st.booleans()), min_size=1, max_size=8))
def test_each_level_is_the_extremes_of_the_finest_whatever_came_first(pieces: list[tuple[int, int, bool]]) -> None:
    peaks = Peaks()
    for seed, (at_ms, samples, of_agent) in enumerate(pieces):
        put = peaks.put_agent if of_agent else peaks.put_person
        put(noise(samples / RATE, seed), float(at_ms), RATE)
        peaks.put_voice(np.full(3, seed / 8, np.float32), float(at_ms), 20)
        if seed % 2:
            peaks.coarsen()
    finest = peaks.grid(0, 0, 4**5 * 10)
    for level in range(1, len(LEVELS)):
        beneath = finest.reshape(-1, 4**level, 5)
        wanted = beneath.max(axis=1)
        wanted[:, (0, 2)] = beneath[:, :, (0, 2)].min(axis=1)
        assert (peaks.grid(level, 0, len(wanted)) == wanted).all()


def test_what_is_put_twice_in_one_place_is_joined() -> None:
    peaks = Peaks()
    peaks.put_person(np.full(160, 1000, np.int16), 0.0, RATE)
    peaks.put_person(np.full(160, -9000, np.int16), 0.0, RATE)
    low, high = peaks.grid(0, 0, 1)[0, :2]
    assert (low, high) == (-67, 22)


def test_voice_that_nobody_measured_is_told_apart_from_silence() -> None:
    peaks = Peaks()
    peaks.put_voice(np.array([0.0, 1.0, np.nan, 0.5], np.float32), 0.0, 20)
    assert peaks.grid(0, 0, 9)[:, 4].tolist() == [0, 0, 127, 127, UNMEASURED, UNMEASURED, 64, 64, UNMEASURED]


def test_it_is_told_what_has_changed_once() -> None:
    peaks = Peaks()
    assert peaks.drain() == []
    peaks.put_person(noise(0.1), 1000.0, RATE)
    peaks.put_agent(noise(0.1), 3000.0, RATE)
    assert peaks.drain() == [(100, 310)]
    assert peaks.drain() == []
    peaks.put_person(noise(0.1), 40_900.0, RATE)
    assert peaks.drain() == [(4090, 4096), (4096, 4100)]


def test_time_without_sound_costs_nothing() -> None:
    peaks = Peaks()
    week_ms = 7 * 24 * 3600 * 1000.0
    peaks.put_person(noise(1), 0.0, RATE)
    peaks.put_person(noise(1), week_ms, RATE)
    while peaks.coarsen():
        pass
    assert sum(len(blocks) for blocks in peaks._blocks) <= 4 * len(LEVELS)
    assert peaks.grid(5, int(week_ms // LEVELS[5]), int(week_ms // LEVELS[5]) + 1)[0, 1] > 0

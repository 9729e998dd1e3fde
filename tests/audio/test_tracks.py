"""Tracks: what was appended is what is there, at the price of its data."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patter_nb.audio.tracks import PcmTrack, ValueTrack


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 25), max_size=20), data=st.data())
def test_a_track_is_the_array_of_all_that_was_appended(sizes: list[int], data: st.DataObject) -> None:
    everything = np.arange(sum(sizes), dtype=np.int16)
    track = PcmTrack(rate=1)  # blocks of ten samples
    for piece in np.split(everything, np.cumsum(sizes)[:-1]) if sizes else []:
        track.append(piece)
    assert len(track) == len(everything)
    assert np.asarray(track).dtype == np.int16
    assert np.array_equal(track, everything)
    start = data.draw(st.integers(0, len(everything)))
    stop = data.draw(st.integers(start, len(everything)))
    assert np.array_equal(track.slice(start, stop), everything[start:stop])


def test_a_slice_in_one_block_is_a_view_that_stays_and_cannot_be_written() -> None:
    track = PcmTrack(rate=1)
    track.append(np.arange(8, dtype=np.int16))
    early = track.slice(2, 6)
    assert np.shares_memory(early, track.slice(0, 8))
    track.append(np.arange(100, dtype=np.int16))
    assert early.tolist() == [2, 3, 4, 5]
    for values in (early, track.slice(0, 50)):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 4), (3, 2)])
def test_values_that_are_not_there_are_an_error(start: int, stop: int) -> None:
    track = PcmTrack()
    track.append(np.zeros(3, np.int16))
    with pytest.raises(IndexError, match="track of 3"):
        track.slice(start, stop)


def test_values_come_one_by_one_or_many() -> None:
    track = ValueTrack(np.float32)
    track.append(0.25)
    track.append([0.5, 1.0])
    assert np.asarray(track).tolist() == [0.25, 0.5, 1.0]
    assert track.slice(0, 3).dtype == np.float32
    assert repr(track) == "ValueTrack(float32, 3 values)"


def test_what_a_track_refuses_leaves_it_as_it_was() -> None:
    track = PcmTrack()
    with pytest.raises(TypeError, match="same_kind"):
        track.append(np.array([0.5]))
    with pytest.raises(ValueError, match="one dimension"):
        track.append(np.zeros((2, 2), np.int16))
    track.append(np.array([7], np.int16))
    assert np.asarray(track).tolist() == [7]


def test_as_an_array() -> None:
    track = PcmTrack(rate=1)
    track.append(np.arange(5, dtype=np.int16))
    assert np.shares_memory(np.asarray(track), track.slice(0, 5))
    assert not np.shares_memory(np.array(track), track.slice(0, 5))
    assert np.asarray(track, dtype=np.float64).dtype == np.float64
    track.append(np.arange(20, dtype=np.int16))
    with pytest.raises(ValueError, match="copy"):
        np.asarray(track, copy=False)


def test_ten_minutes_cost_their_data_and_less_than_five_percent() -> None:
    frame, count = np.ones(320, np.int16), 10 * 60 * 50
    tracemalloc.start()
    try:
        sound, level = PcmTrack(), ValueTrack(np.float32)
        for _ in range(count):
            sound.append(frame)
            level.append(0.5)
        spent, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert repr(sound) == "PcmTrack(16000 Hz, 600.00 s)"
    assert spent < 1.05 * (count * 320 * 2 + count * 4)

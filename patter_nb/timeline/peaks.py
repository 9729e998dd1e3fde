"""Loudness on the session's time axis at every zoom: for each stretch of time the extremes of both sounds, and the most probable voice.

The finest buckets are 10 ms long, each coarser level has buckets of four. An hour takes 1.8 MB at the finest level and a third more for
all others; of time in which nothing sounded nothing is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from patter_nb.audio.frames import Pcm

__all__ = ["BUCKET_MS", "COLUMNS", "LEVELS", "UNMEASURED", "Grid", "Peaks"]

Range: TypeAlias = tuple[int, int]
Grid: TypeAlias = npt.NDArray[np.int8]
"""Rows of buckets; the columns are `COLUMNS`."""

BUCKET_MS: Final = 10
FACTOR: Final = 4
LEVELS: Final = tuple(BUCKET_MS * FACTOR**level for level in range(6))
"""Milliseconds of a bucket at each level, the finest first."""
COLUMNS: Final = ("person_low", "person_high", "agent_low", "agent_high", "voice")
UNMEASURED: Final = -1
"""In the column voice, where no detector measured; else 0 to 127 for a probability of 0 to 1."""
_EMPTY: Final = np.array((0, 0, 0, 0, UNMEASURED), np.int8)
_BLOCK: Final = 4096
_PERSON, _AGENT, _VOICE = 0, 2, 4


class Peaks:
    """The grids of all levels. What is put where there was something already is joined with it."""

    def __init__(self) -> None:
        self._blocks: list[dict[int, Grid]] = [{} for _ in LEVELS]
        self._ends = 0
        self._changed: dict[int, Range] = {}
        self._finer: dict[int, Range] = {}
        self._writing = threading.RLock()

    @property
    def stop(self) -> int:
        """The number of finest buckets up to the last that holds anything."""
        return self._ends

    def put_person(self, pcm: Pcm, at_ms: float, rate: int) -> None:
        """The person's sound, of which the first sample lies at `at_ms`."""
        self._put_sound(_PERSON, pcm, at_ms, rate)

    def put_agent(self, pcm: Pcm, at_ms: float, rate: int) -> None:
        """The agent's sound, likewise."""
        self._put_sound(_AGENT, pcm, at_ms, rate)

    def put_voice(self, probabilities: npt.NDArray[np.floating], at_ms: float, each_ms: float) -> None:
        """The voice probability of frames of `each_ms`, the first of them at `at_ms`; NaN where it was not measured."""
        levels = np.where(np.isnan(probabilities), UNMEASURED, np.rint(np.nan_to_num(probabilities).clip(0, 1) * 127)).astype(np.int8)
        first = round(at_ms / BUCKET_MS)
        self._join(first, np.repeat(levels, max(1, round(each_ms / BUCKET_MS)))[:, None], _VOICE, (np.maximum,))

    def _put_sound(self, column: int, pcm: Pcm, at_ms: float, rate: int) -> None:
        if not len(pcm):
            return
        first = int(at_ms // BUCKET_MS)
        last = int((at_ms + (len(pcm) - 1) * 1000 / rate) // BUCKET_MS)
        edges = np.ceil((np.arange(first, last + 1) * BUCKET_MS - at_ms) * rate / 1000 - 1e-6).astype(np.int64).clip(0, len(pcm) - 1)
        lows, highs = (_companded(extreme.reduceat(pcm, edges)) for extreme in (np.minimum, np.maximum))
        self._join(first, np.stack((lows, highs), axis=1), column, (np.minimum, np.maximum))

    def _join(self, first: int, values: Grid, column: int, extremes: tuple[Callable[..., Grid], ...]) -> None:
        with self._writing:
            self._write(first, values, column, extremes)

    def _write(self, first: int, values: Grid, column: int, extremes: tuple[Callable[..., Grid], ...]) -> None:
        if first < 0:
            first, values = 0, values[-first:]
        if not len(values):
            return
        stop = first + len(values)
        for start, rows in self._rows(0, first, stop):
            given = values[start - first : start - first + len(rows)]
            for place, extreme in enumerate(extremes):
                extreme(rows[:, column + place], given[:, place], out=rows[:, column + place])
        self._ends = max(self._ends, stop)
        for number in range(first // _BLOCK, (stop - 1) // _BLOCK + 1):
            inside = max(first, number * _BLOCK), min(stop, (number + 1) * _BLOCK)
            for ranges in (self._changed, self._finer):
                known = ranges.get(number, inside)
                ranges[number] = min(known[0], inside[0]), max(known[1], inside[1])

    def coarsen(self) -> bool:
        """Bring the coarser levels up to date, as much as takes a millisecond. Returns whether there is more to do."""
        with self._writing:
            return self._coarsen()

    def _coarsen(self) -> bool:
        if not self._finer:
            return False
        first, stop = self._finer.pop(next(iter(self._finer)))
        for level in range(1, len(LEVELS)):
            first, stop = first // FACTOR, -(-stop // FACTOR)
            finer = self._grid(level - 1, first * FACTOR, stop * FACTOR).reshape(-1, FACTOR, len(COLUMNS))
            joined = finer.max(axis=1)
            joined[:, (_PERSON, _AGENT)] = finer[:, :, (_PERSON, _AGENT)].min(axis=1)
            for start, rows in self._rows(level, first, stop):
                rows[:] = joined[start - first : start - first + len(rows)]
        return bool(self._finer)

    def _rows(self, level: int, first: int, stop: int) -> list[tuple[int, Grid]]:
        """The rows from `first` up to `stop`, to be written to, block by block, each with the number of its first."""
        found, blocks = [], self._blocks[level]
        for number in range(first // _BLOCK, (stop - 1) // _BLOCK + 1):
            block = blocks.get(number)
            if block is None:
                block = blocks[number] = np.tile(_EMPTY, (_BLOCK, 1))
            start = max(first, number * _BLOCK)
            found.append((start, block[start - number * _BLOCK : min(stop - number * _BLOCK, _BLOCK)]))
        return found

    def grid(self, level: int, first: int, stop: int) -> Grid:
        """A copy of the buckets from `first` up to `stop` of a level, of shape (stop - first, 5)."""
        while self.coarsen():
            pass
        return self._grid(level, first, stop)

    def _grid(self, level: int, first: int, stop: int) -> Grid:
        rows = np.tile(_EMPTY, (stop - first, 1))
        for number in range(first // _BLOCK, (stop - 1) // _BLOCK + 1 if stop > first else 0):
            block = self._blocks[level].get(number)
            if block is not None:
                start, end = max(first, number * _BLOCK), min(stop, (number + 1) * _BLOCK)
                rows[start - first : end - first] = block[start - number * _BLOCK : end - number * _BLOCK]
        return rows

    def drain(self) -> list[Range]:
        """The finest buckets, each from and up to, that have changed since the last time."""
        with self._writing:
            changed, self._changed = self._changed, {}
        return sorted(changed.values())


def _companded(samples: Pcm) -> Grid:
    """The square root of the amplitude, with its sign, so that quiet speech is seen in eight bits."""
    amplitudes = np.sqrt(np.abs(samples.astype(np.float32)) / 32768)
    grid: Grid = np.rint(np.sign(samples) * amplitudes * 127).astype(np.int8)
    return grid

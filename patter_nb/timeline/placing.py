"""Where on the session's time the samples of a sound lie.

A sound's own axis has no gaps; the session's has: the microphone is closed for a while, playback pauses, what was flushed never sounds.
So a sound is laid out in stretches. What tells of them (a frame's arrival, a report of the cursor) comes a little late, and not evenly;
a stretch therefore goes on as its samples count until what is told differs by more than such jitter.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Layout", "Stretch"]

JITTER_MS: Final = 120.0
"""A page tells 16 times a second how far it has played, and sends 40 ms of sound at a time."""
_AHEAD: Final = 512


@dataclass(frozen=True, slots=True)
class Stretch:
    """The samples from `start` up to `stop`, of which the first lies at `at_ms`."""

    start: int
    stop: int
    at_ms: float


class Layout:
    """The stretches of one sound of `rate` Hz, in the order of its samples."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._at_ms: list[float] = []

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def end_ms(self) -> float:
        """Where the last stretch ends; 0 when there is none."""
        return self._at_ms[-1] + self._ms(self._stops[-1] - self._starts[-1]) if self._starts else 0.0

    @property
    def stop(self) -> int:
        """The number of the sample after the last that has a place."""
        return self._stops[-1] if self._stops else 0

    def put(self, start: int, stop: int, ends_ms: float) -> Stretch | None:
        """Samples that follow those before, of which it is told at `ends_ms` that they are over. Returns where they lie."""
        if stop <= start:
            return None
        begins = ends_ms - self._ms(stop - start)
        if self._stops and self._stops[-1] == start and abs(begins - self.end_ms) <= JITTER_MS:
            begins = self.end_ms
            self._stops[-1] = stop
        else:
            self._begin(start, stop, begins)
        return Stretch(start, stop, begins)

    def put_many(self, first: int, ends_ms: npt.NDArray[np.float64], size: int) -> Iterator[Stretch]:
        """Blocks of `size` samples from sample `first` on, each with when it is told to be over. Yields the stretches they make."""
        offsets = ends_ms - self._ms(size) * np.arange(1, len(ends_ms) + 1)
        at = 0
        while at < len(offsets):
            joins = bool(self._stops) and self._stops[-1] == first + at * size
            here = self.end_ms - self._ms(at * size) if joins else offsets[at]
            if abs(offsets[at] - here) > JITTER_MS:
                here, joins = offsets[at], False
            ahead = offsets[at : at + _AHEAD]
            astray = np.flatnonzero(np.abs(ahead - here) > JITTER_MS)
            until = at + (int(astray[0]) if len(astray) else len(ahead))
            start, stop, begins = first + at * size, first + until * size, float(here) + self._ms(at * size)
            if joins:
                self._stops[-1] = stop
            else:
                self._begin(start, stop, begins)
            yield Stretch(start, stop, begins)
            at = until

    def _begin(self, start: int, stop: int, at_ms: float) -> None:
        self._starts.append(start)
        self._stops.append(stop)
        self._at_ms.append(at_ms)

    def ms(self, sample: int) -> float:
        """When `sample` was heard. Of one without a place: when the next before it was, or, before all, as the rate counts."""
        at = bisect_right(self._starts, sample) - 1
        if at < 0:
            return (self._at_ms[0] if self._at_ms else 0.0) + self._ms(sample - (self._starts[0] if self._starts else 0))
        return self._at_ms[at] + self._ms(min(sample, self._stops[at]) - self._starts[at])

    def span(self, start: int, stop: int) -> tuple[float, float] | None:
        """From when until when anything from `start` up to `stop` was heard; None where nothing of it was."""
        last = bisect_left(self._starts, stop) - 1
        first = last
        while first > 0 and self._stops[first - 1] > start:
            first -= 1
        if last < 0 or self._stops[last] <= start:
            return None
        begins = self._at_ms[first] + self._ms(max(0, start - self._starts[first]))
        return begins, self._at_ms[last] + self._ms(min(stop, self._stops[last]) - self._starts[last])

    def between(self, from_ms: float, to_ms: float) -> Iterator[Stretch]:
        """What lies between two moments, cut to them, in no order of time where stretches overlap."""
        for start, stop, at_ms in zip(self._starts, self._stops, self._at_ms, strict=True):
            first = max(start, start + round((from_ms - at_ms) * self.rate / 1000))
            last = min(stop, start + round((to_ms - at_ms) * self.rate / 1000))
            if first < last:
                yield Stretch(first, last, at_ms + self._ms(first - start))

    def _ms(self, samples: int) -> float:
        return samples * 1000 / self.rate

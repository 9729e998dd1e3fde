"""Sound from pages, put in order: messages may come late, twice or by different threads, frames leave one by one and numbered anew.

A page numbers its frames from 0 whenever it opens its microphone, and there may be several, one after the other; the session wants one
stream without gaps. How late a frame is can be told only by the two clocks, its sender's and the session's.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, Frame, Pcm
from patter_nb.console.page_clock import PageClock

__all__ = ["Inbox", "Sound"]

WAITS_FOR: Final = 25
"""So many messages that came too early are kept for one that is missing; then it counts as lost."""
LINES: Final = 8
"""Openings that are remembered: what still comes of one before them is heard twice, or counts as lost."""


@dataclass(frozen=True, slots=True, order=True)
class Sound:
    """One message with sound: whole frames from number `seq` on, since its microphone was opened, which `opening` names.

    `sent_ms`, and `captured_ms` of its first sample where that is known, are by the clock of `sender`. `echo` says for each frame whether
    it may hold the agent's own voice and nothing louder.
    """

    seq: int
    opening: int = field(compare=False)
    sent_ms: float = field(compare=False)
    pcm: Pcm = field(compare=False, repr=False)
    sender: str = field(default="", compare=False)
    echo: tuple[bool, ...] = field(default=(), compare=False)
    captured_ms: float | None = field(default=None, compare=False)


@dataclass(slots=True)
class _Line:
    """What came of one opening: the next number, and what came too early."""

    expected: int = 0
    early: list[Sound] = field(default_factory=list)


class Inbox:
    """Takes messages in any order; gives frames in order. `lost` counts those that never came, `opened` the openings."""

    def __init__(self) -> None:
        self.lost = 0
        self.opened = 0
        self._lines: OrderedDict[int, _Line] = OrderedDict()
        self._given = 0
        self._clocks: dict[str, PageClock] = {}

    def clock(self, sender: str) -> PageClock:
        """The clock of a page; a new one knows nothing yet."""
        return self._clocks.setdefault(sender, PageClock())

    def take(self, sound: Sound, arrived_ms: float, now_ms: float) -> list[Frame]:
        """Take in a message that arrived at `arrived_ms` of the session's clock; returns the frames that can be heard at `now_ms`."""
        self.clock(sound.sender).heard(sound.sent_ms, arrived_ms)
        frames = [] if sound.opening in self._lines else self._open(sound.opening, now_ms)
        self._lines.move_to_end(sound.opening)
        line = self._lines[sound.opening]
        if sound.seq >= line.expected:
            heapq.heappush(line.early, sound)
        return frames + self._ready(line, WAITS_FOR, now_ms)

    def _open(self, opening: int, now_ms: float) -> list[Frame]:
        """A microphone is opened: what older ones still kept for a missing message is given now, or it would be heard later."""
        frames = [frame for line in self._lines.values() for frame in self._ready(line, 0, now_ms)]
        self.opened += 1
        self._lines[opening] = _Line()
        if len(self._lines) > LINES:
            self._lines.popitem(last=False)
        return frames

    def _ready(self, line: _Line, waits_for: int, now_ms: float) -> list[Frame]:
        """The frames of `line` that are next. What is missing before them is lost once more than `waits_for` messages wait."""
        frames: list[Frame] = []
        while line.early and (line.early[0].seq <= line.expected or len(line.early) > waits_for):
            ready = heapq.heappop(line.early)
            if ready.seq < line.expected:
                continue
            self.lost += ready.seq - line.expected
            line.expected = ready.seq + len(ready.pcm) // FRAME_SAMPLES
            frames += self._frames(ready, now_ms)
        return frames

    def _frames(self, sound: Sound, now_ms: float) -> list[Frame]:
        frames = []
        count = len(sound.pcm) // FRAME_SAMPLES
        here = self.clock(sound.sender).here
        echo = (*sound.echo, *(False,) * count)[:count]
        for place, (samples, is_echo) in enumerate(zip(np.split(sound.pcm[: count * FRAME_SAMPLES], count), echo, strict=True), start=1):
            whole_ms = sound.sent_ms if sound.captured_ms is None else sound.captured_ms + place * FRAME_MS
            frames.append(Frame(samples, self._given, float(self._given * FRAME_MS), max(0.0, now_ms - here(whole_ms)), is_echo))
            self._given += 1
        return frames

"""When the agent's sound was heard: its samples on the session's time, by the reports of the playback cursor.

Where nobody listens no cursor tells, and what was spoken counts as heard; then it lies where it was handed over, one piece after the other.
"""

from __future__ import annotations

from collections import deque

from patter_nb.events import AudioSent, Event, ListenerChanged, PlaybackEnded, PlaybackStarted, TurnHeard
from patter_nb.timeline.placing import Layout, Stretch

__all__ = ["Playback"]

_SAME_MS = 1e-6


class Playback:
    """The agent's sound laid out. Takes the reports of the cursor and the events in their order; `drain` gives what is new."""

    def __init__(self, rate: int) -> None:
        self.layout = Layout(rate)
        self.reached = 0
        """The end of what was heard, or never will be, on the output axis."""
        self._sent: deque[tuple[int, int, float]] = deque()
        self._end = 0
        self._playing = False
        self._begins_ms: float | None = None
        self._listens: bool | None = None
        self._new: list[Stretch] = []

    def moved(self, position: int, t_ms: float) -> None:
        """The cursor is told to have reached `position`."""
        position = min(position, self._end)
        if position > self.reached:
            known, self._begins_ms = self._begins_ms, None
            self._place(position, t_ms if known is None else known + (position - self.reached) * 1000 / self.layout.rate)

    def begins(self, position: int, at_ms: float | None) -> None:
        """The next report begins a playback from `position` on, at `at_ms` where that is known. What lies before is not heard any more."""
        self._skip(position)
        self._begins_ms = at_ms

    def fold(self, event: Event) -> None:
        """Take in one event, after the reports that came before it."""
        match event.body:
            case AudioSent(start=start, stop=stop):
                self._sent.append((start, stop, event.t_ms))
                self._end = stop
            case ListenerChanged(listens):
                self._listens = listens
            case PlaybackStarted():
                self._playing = True
                self._listens = self._listens is not False
            case PlaybackEnded(position, flushed):
                self._playing = False
                self._assume(position)
                self._skip(position + flushed)
            case TurnHeard(text, interrupted):
                if text and not (self._playing or self._listens):
                    self._assume(self._end)
                if interrupted:
                    self._skip(self._end)

    def _assume(self, position: int) -> None:
        """What was handed over up to `position` counts as heard."""
        while self._sent and self.reached < position:
            start, stop, t_ms = self._sent[0]
            stop = min(stop, position)
            if stop <= self.reached:
                self._sent.popleft()
                continue
            first = max(start, self.reached)
            begins = max(t_ms, self.layout.end_ms)
            self._place(stop, begins + (stop - first) * 1000 / self.layout.rate)

    def _place(self, position: int, ends_ms: float) -> None:
        stretch = self.layout.put(self.reached, position, ends_ms)
        self._skip(position)
        if stretch is None:
            return
        if self._new and self._new[-1].stop == stretch.start:
            last = self._new[-1]
            if abs(last.at_ms + (last.stop - last.start) * 1000 / self.layout.rate - stretch.at_ms) < _SAME_MS:
                self._new[-1] = Stretch(last.start, stretch.stop, last.at_ms)
                return
        self._new.append(stretch)

    def _skip(self, position: int) -> None:
        self.reached = max(self.reached, position)
        while self._sent and self._sent[0][1] <= self.reached:
            self._sent.popleft()

    def drain(self) -> list[Stretch]:
        """What was placed since the last time."""
        new, self._new = self._new, []
        return new

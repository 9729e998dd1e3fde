"""The timeline of a session as an object: it reads the log on when it is asked, and knows where everything lies."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, Pcm
from patter_nb.events import PlaybackStarted
from patter_nb.log import Log
from patter_nb.timeline.lanes import Item, Lanes
from patter_nb.timeline.moment import Moment, TurnSpan, moment_of
from patter_nb.timeline.peaks import Peaks
from patter_nb.timeline.placing import Layout, Stretch
from patter_nb.timeline.playback import Playback
from patter_nb.timeline.sound import mixed

__all__ = ["Timeline"]

_EVENTS_A_STEP: Final = 500
_SECONDS_A_STEP: Final = 10
"""As much as a block of a track holds, so that nothing is copied."""

_MACHINERY: Final = frozenset(("advance", "drain", "has_read_events", "lanes_now", "steps", "unread"))


class Timeline:
    """All of a session on one axis of session time, in ms: `session.timeline`. As the last line of a cell it is a static picture.

    lanes     spans and marks by the name of their lane: turns, words, partials, requests, tools, playback, failures and others
    chunks    when each chunk of a model came
    peaks     both sounds' loudness and the voice probability at every zoom
    at(t_ms)  what was known at a moment, as `Turn.at`, but counted from the session's start
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reading = threading.RLock()
        self._events = 0
        self._frames = 0
        self._moves = 0
        self._unheard: deque[Stretch] = deque()
        self._unspoken: deque[Stretch] = deque()
        self.person = Layout(log.heard.rate)
        """Where the person's samples lie."""
        self.playback = Playback(log.spoken.rate)
        """Where the agent's were heard."""
        self.peaks = Peaks()
        self._lanes = Lanes(self.person, self.playback)

    def __dir__(self) -> list[str]:
        """Without what only who shows it live calls."""
        return [name for name in object.__dir__(self) if name not in _MACHINERY]

    # --- reading on

    def advance(self) -> Timeline:
        """Read all that is in the log by now."""
        for _ in self.steps():
            pass
        return self

    def steps(self) -> Iterator[None]:
        """The same in steps of a millisecond or so, for whoever has other things to do in between: first the events, then the sounds."""
        for step in (self._lay_out, self._read_events, self._draw_heard, self._draw_spoken, self.peaks.coarsen):
            more = True
            while more:
                with self._reading:
                    more = step()
                yield
        with self._reading:
            self._lanes.settle()

    @property
    def unread(self) -> int:
        """How many events and frames are in the log and have not been read."""
        return len(self._log) - self._events + len(self._log.frames) - self._frames

    @property
    def has_read_events(self) -> bool:
        """Whether the lanes are up to date, though the sounds may not be."""
        return self._events == len(self._log)

    def _lay_out(self) -> bool:
        """Where the person's new sound lies."""
        first, self._frames = self._frames, len(self._log.frames)
        if first < self._frames:
            rows = self._log.frames.slice(first, self._frames)
            ends_ms = rows["t_ms"] - rows["late_ms"].astype(np.float64)
            self._unheard.extend(self.person.put_many(first * FRAME_SAMPLES, ends_ms, FRAME_SAMPLES))
        return False

    def _draw_heard(self) -> bool:
        """The person's sound, and what the detector made of it."""
        piece = _next_piece(self._unheard, self.person.rate)
        if piece is None:
            return False
        self.peaks.put_person(self._log.heard.slice(piece.start, piece.stop), piece.at_ms, self.person.rate)
        rows = self._log.frames.slice(piece.start // FRAME_SAMPLES, piece.stop // FRAME_SAMPLES)
        self.peaks.put_voice(rows["probability"], piece.at_ms, FRAME_MS)
        return bool(self._unheard)

    def _read_events(self) -> bool:
        """Events and reports of the cursor, in the order in which they came."""
        log = self._log
        events = log[self._events : self._events + _EVENTS_A_STEP]
        moves = log.cursor.slice(self._moves, len(log.cursor))
        at = 0
        for event in events:
            if isinstance(event.body, PlaybackStarted):
                ago_ms = event.body.ago_ms
                self.playback.begins(event.body.position, None if ago_ms is None else event.t_ms - ago_ms)
            while at < len(moves) and moves["after_seq"][at] <= event.seq:
                self._move(moves[at])
                at += 1
            self.playback.fold(event)
            self._lanes.fold(event)
        self._events += len(events)
        if self._events == len(log):
            while at < len(moves):
                self._move(moves[at])
                at += 1
        self._moves += at
        return self._events < len(log)

    def _move(self, row: np.void) -> None:
        self.playback.moved(int(row["position"]), float(row["t_ms"]))

    def _draw_spoken(self) -> bool:
        """The agent's sound, as far as it was heard."""
        self._unspoken.extend(self.playback.drain())
        rate = self.playback.layout.rate
        piece = _next_piece(self._unspoken, rate)
        if piece is None:
            return False
        if piece.stop > len(self._log.spoken):  # an event comes a moment before its sound
            self._unspoken.appendleft(piece)
            return False
        self.peaks.put_agent(self._log.spoken.slice(piece.start, piece.stop), piece.at_ms, rate)
        return bool(self._unspoken)

    # --- what there is

    @property
    def end_ms(self) -> float:
        """Where the newest thing lies that is known."""
        last = self._log[-1].t_ms if len(self._log) else 0.0
        return max(last, self.person.end_ms, self.playback.layout.end_ms)

    @property
    def lanes(self) -> Mapping[str, list[Item]]:
        """The spans and marks of each lane, in the order in which they began."""
        return self.advance()._lanes.items

    @property
    def lanes_now(self) -> Lanes:
        """The lanes as far as the log has been read; reads nothing."""
        return self._lanes

    @property
    def chunks(self) -> list[int]:
        """When each chunk of a model came, in ms."""
        return self.advance()._lanes.chunks.tolist()

    def drain(self) -> list[tuple[str, int]]:
        """Lane and place of each item that is new or has changed since the last time; for the one who shows it live."""
        return self._lanes.drain()

    def sound(self, from_ms: float, to_ms: float) -> tuple[Pcm, int]:
        """Both sounds between two moments, mixed as they were heard: (samples, rate), mono PCM16 at 24 kHz."""
        self.advance()
        sounds = ((self._log.heard, self.person), (self._log.spoken, self.playback.layout))
        return mixed(sounds, from_ms, to_ms)

    def at(self, t_ms: float) -> Moment:
        """What was known at `t_ms` of session time. Raises `PatterConfigError` for a moment outside the session."""
        turns = self.lanes["turns"]
        newest = next((turn for turn in reversed(turns) if turn.at <= t_ms and (turn.to is None or t_ms <= turn.to)), None)
        if newest is None or newest.turn is None:
            return moment_of(self._log, t_ms, None)
        ends = self.end_ms if newest.to is None else newest.to
        return moment_of(self._log, t_ms, TurnSpan(newest.turn, newest.at, ends, newest.to is not None))

    def __repr__(self) -> str:
        return f"<Timeline: {self.end_ms / 1000:.1f} s, {len(self.lanes['turns'])} turns>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def _next_piece(waiting: deque[Stretch], rate: int) -> Stretch | None:
    """The next of what waits to be drawn, no more than lies in one block of its track."""
    if not waiting:
        return None
    stretch, block = waiting.popleft(), _SECONDS_A_STEP * rate
    stop = min(stretch.stop, stretch.start - stretch.start % block + block)
    if stop < stretch.stop:
        waiting.appendleft(Stretch(stop, stretch.stop, stretch.at_ms + (stop - stretch.start) * 1000 / rate))
    return Stretch(stretch.start, stop, stretch.at_ms)

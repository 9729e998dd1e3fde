"""The one record of a session: an append-only list of events, and beside it the sound and the per-frame values they refer to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from json import dumps
from os import PathLike
from typing import IO, overload

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE
from patter_nb.audio.tracks import PcmTrack, ValueTrack
from patter_nb.events import Body, Event
from patter_nb.step.scene import Happened

logger = logging.getLogger("patter_nb")

FRAME_VALUES = np.dtype([("after_seq", "<u4"), ("t_ms", "<f4"), ("late_ms", "<f4"), ("probability", "<f2"), ("level_db", "<f2")])
"""One row per captured frame: which event it came after, session time, lateness, voice probability, level in dBFS."""

CURSOR_VALUES = np.dtype([("after_seq", "<u4"), ("t_ms", "<f4"), ("position", "<u4")])
"""One row per report of the playback cursor."""


class Log(Sequence[Event]):
    """Events in order of `seq`. Only the session appends; everybody else reads, or listens by `subscribe`.

    `heard` is the person's sound (16 kHz), `spoken` the agent's on the output axis; `frames` and `cursor` hold what is told too
    often to be an event, with the number of events that had come before, so that a replay can put them back in order.
    """

    def __init__(self, sample_rate: int) -> None:
        self._events: list[Event] = []
        self._listeners: list[Callable[[Event], None]] = []
        self.heard = PcmTrack(SAMPLE_RATE)
        self.spoken = PcmTrack(sample_rate)
        self.frames: ValueTrack[np.void] = ValueTrack(FRAME_VALUES)
        self.cursor: ValueTrack[np.void] = ValueTrack(CURSOR_VALUES)

    def append(self, happened: Happened, t_ms: float, wall_s: float) -> Event:
        """Number and stamp what happened, keep it, and tell the listeners. One that fails is logged; what it reads goes on."""
        event = Event(len(self._events), t_ms, wall_s, happened.epoch, happened.turn, happened.body)
        self._events.append(event)
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:  # anybody's
                logger.exception("a listener to the log failed at event %d, %s", event.seq, event.type)
        return event

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with each new event, from within the session's loop. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def of(self, *kinds: type[Body]) -> list[Event]:
        """The events whose body is one of `kinds`."""
        return [event for event in self._events if isinstance(event.body, kinds)]

    def write(self, target: str | PathLike[str] | IO[str]) -> None:
        """Write events.jsonl: one JSON object a line, as in `Event.to_dict`."""
        if isinstance(target, (str, PathLike)):
            with open(target, "w", encoding="utf-8", errors="backslashreplace") as file:  # a lone surrogate then is a JSON escape
                self.write(file)
            return
        for event in self._events:
            target.write(dumps(event.to_dict(), ensure_ascii=False) + "\n")

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __repr__(self) -> str:
        seconds = len(self.heard) / SAMPLE_RATE
        return f"<Log: {len(self)} events, {seconds:.1f} s heard, {len(self.spoken) / self.spoken.rate:.1f} s spoken>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)

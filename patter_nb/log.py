"""The one record of a session: an append-only list of events, and beside it the sound and the per-frame values they refer to."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from os import PathLike
from typing import IO, Any, overload

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE
from patter_nb.audio.tracks import PcmTrack, ValueTrack
from patter_nb.events import Body, Event
from patter_nb.files import whole_file
from patter_nb.llm.wire.recording import Attempts
from patter_nb.step.scene import Happened

logger = logging.getLogger("patter_nb")

FRAME_VALUES = np.dtype([("after_seq", "<u4"), ("t_ms", "<f8"), ("late_ms", "<f4"), ("probability", "<f4"), ("level_db", "<f2")])
"""One row per captured frame: how many events came before it, session time, lateness, voice probability, level in dBFS.

The probability is exactly what the session decided on, and NaN where no detector measured the frame: then it was not taken in at all.
"""

CURSOR_VALUES = np.dtype([("after_seq", "<u4"), ("t_ms", "<f8"), ("position", "<u4")])
"""One row per report of the playback cursor."""


@dataclass(frozen=True, slots=True)
class Audio:
    """The sound of a session: `heard` from the person at 16 kHz, `spoken` by the agent, at its own `rate`, on the output axis.

    Both are mono PCM16 and still grow while the session is live; `np.asarray(audio.heard)` is what there is now.
    """

    heard: PcmTrack
    spoken: PcmTrack

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


class Log(Sequence[Event]):
    """Events in order of `seq`. Only the session appends; everybody else reads, or listens by `subscribe`.

    `heard` is the person's sound (16 kHz), `spoken` the agent's on the output axis; `frames` and `cursor` hold what is told too
    often to be an event, with the number of events that had come before, so that a replay can put them back in order. `attempts` is what
    went over a language model's wire, by the number that `request_sent` tells; of what no longer has room only figures are kept.
    """

    def __init__(self, sample_rate: int) -> None:
        self._events: list[Event] = []
        self._folds: list[Callable[[Event], None]] = []
        self._listeners: list[Callable[[Event], None]] = []
        self.heard = PcmTrack(SAMPLE_RATE)
        self.spoken = PcmTrack(sample_rate)
        self.frames: ValueTrack[np.void] = ValueTrack(FRAME_VALUES)
        self.cursor: ValueTrack[np.void] = ValueTrack(CURSOR_VALUES)
        self.attempts = Attempts()

    def append(self, happened: Happened, t_ms: float, wall_s: float) -> Event:
        """Number and stamp what happened, keep it, and tell the folds, then the listeners.

        A listener that fails is logged; what it reads goes on. What a fold raises travels, after the listeners were told.
        """
        event = Event(len(self._events), t_ms, wall_s, happened.epoch, happened.turn, happened.body)
        self._events.append(event)
        try:
            for fold in self._folds:
                fold(event)
        except BaseException:
            self._folds.clear()  # from here on they would tell something else than the log
            raise
        finally:
            self._tell(event)
        return event

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:  # anybody's
                logger.exception("a listener to the log failed at event %d, %s", event.seq, event.type)

    def add_fold(self, fold: Callable[[Event], None]) -> None:
        """Tell `fold`, which is part of the session, of each new event before any listener is."""
        self._folds.append(fold)

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with each new event, from within the session's loop. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def of(self, *kinds: type[Body]) -> list[Event]:
        """The events whose body is one of `kinds`."""
        return [event for event in self._events if isinstance(event.body, kinds)]

    def write(self, target: str | PathLike[str] | IO[str]) -> None:
        """Write events.jsonl: one JSON object a line, as in `Event.to_dict`, with null for NaN and infinity, which JSON does not have.

        A path gets the whole file or stays as it was; `PatterError` when it cannot be written.
        """
        lines = (dumps(_finite(event.to_dict()), ensure_ascii=False, allow_nan=False) + "\n" for event in self._events)
        if isinstance(target, (str, PathLike)):
            with whole_file(target) as file:
                file.writelines(line.encode("utf-8", "backslashreplace") for line in lines)  # a lone surrogate then is a JSON escape
        else:
            target.writelines(lines)

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


def _finite(value: Any) -> Any:
    """`value` with None for every number that JSON cannot hold."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {name: _finite(item) for name, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value

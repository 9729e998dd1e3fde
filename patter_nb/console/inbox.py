"""Sound from a page, put in order: messages may come late, twice or by different threads, frames leave one by one and numbered anew.

A page numbers its frames from 0 whenever it opens its microphone, and there may be several pages, one after the other; the session
wants one stream without gaps. How late a frame is can be told only by the two clocks: whatever they differ by at best is no lateness.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final

from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, Frame, Pcm

__all__ = ["Inbox", "Sound"]

WAITS_FOR: Final = 25
"""So many messages that came too early are kept for one that is missing; then it counts as lost."""


@dataclass(frozen=True, slots=True, order=True)
class Sound:
    """One message of a page: frames from number `seq` on, since its microphone `opening`; `sent_ms` by the page's clock."""

    opening: int
    seq: int
    sent_ms: float = field(compare=False)
    pcm: Pcm = field(compare=False, repr=False)


class Inbox:
    """Takes messages in any order by `add`, and gives the frames that are complete by `take`. `lost` counts frames that never came."""

    def __init__(self) -> None:
        self.lost = 0
        self._early: list[Sound] = []
        self._expected = (0, 0)
        self._given = 0
        self._apart_ms: float | None = None

    def add(self, sound: Sound, now_ms: float) -> None:
        """Take a message in that arrived at `now_ms` of the session's clock."""
        apart = now_ms - sound.sent_ms
        self._apart_ms = apart if self._apart_ms is None else min(self._apart_ms, apart)
        if (sound.opening, sound.seq) >= self._expected:
            heapq.heappush(self._early, sound)

    def take(self, now_ms: float) -> list[Frame]:
        """The frames that can be heard now, `late_ms` by the session's clock at `now_ms`."""
        frames: list[Frame] = []
        while self._early and (self._is_next(self._early[0]) or len(self._early) > WAITS_FOR):
            sound = heapq.heappop(self._early)
            opening, expected = self._expected
            if sound.opening == opening and sound.seq < expected:
                continue
            self.lost += sound.seq - expected if sound.opening == opening else 0
            frames += self._frames(sound, now_ms)
            self._expected = (sound.opening, sound.seq + len(sound.pcm) // FRAME_SAMPLES)
        return frames

    def _is_next(self, sound: Sound) -> bool:
        opening, seq = self._expected
        return (sound.opening, sound.seq) <= (opening, seq) or (sound.opening > opening and sound.seq == 0)

    def _frames(self, sound: Sound, now_ms: float) -> list[Frame]:
        late_ms = max(0.0, now_ms - sound.sent_ms - (self._apart_ms or 0.0))
        frames = []
        for at in range(0, len(sound.pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
            frames.append(Frame(sound.pcm[at : at + FRAME_SAMPLES], self._given, float(self._given * FRAME_MS), late_ms))
            self._given += 1
        return frames

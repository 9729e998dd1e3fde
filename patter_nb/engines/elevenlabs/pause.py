"""Whether anybody would notice if the conversation began anew just now.

The vendor says neither that the person speaks nor that its sound has been heard: the first is told by how loud they are, the second by how
much sound there was.
"""

from __future__ import annotations

from typing import Final

from patter_nb.audio.frames import Pcm
from patter_nb.audio.level import NoiseFloor, level_db
from patter_nb.clock import Clock

__all__ = ["Pause"]

QUIET_MS: Final = 2000.0
"""A pause is so long at least: the person may only be looking for a word, and what was said reaches their ear a little later."""
AWAITED_MS: Final = 20_000.0
"""So long an answer may take that somebody waits for."""
_SOUND_DB: Final = 10.0
_LOWEST_FLOOR_DB: Final = -60.0


class Pause:
    """What is heard and said, on the clock of the engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._floor = NoiseFloor(_LOWEST_FLOOR_DB)
        self._busy_until = clock.now_ms()

    @property
    def is_now(self) -> bool:
        """Whether nobody has spoken for a while, and nobody waits for an answer."""
        return self._clock.now_ms() >= self._busy_until + QUIET_MS

    def frame(self, pcm: Pcm) -> None:
        """20 ms of the person's sound, or of the room's."""
        level = level_db(pcm)
        if level - self._floor.follow(level) > _SOUND_DB:
            self._busy_until = max(self._busy_until, self._clock.now_ms())

    def awaited(self) -> None:
        """Somebody asked for an answer."""
        self._busy_until = self._clock.now_ms() + AWAITED_MS

    def answered(self) -> None:
        """The answer begins."""
        self._busy_until = self._clock.now_ms()

    def said(self, seconds: float) -> None:
        """So much more of it is to be heard."""
        self._busy_until = max(self._busy_until, self._clock.now_ms()) + seconds * 1000

"""How loud a piece of sound is, and how loud the room is when nobody speaks: enough to find the silence around speech without a model."""

from __future__ import annotations

import math

import numpy as np

from patter_nb.audio.frames import FRAME_MS, Pcm

__all__ = ["SILENCE_DB", "NoiseFloor", "level_db", "quiet_until"]

SILENCE_DB = -96.0
"""The level of digital silence: half a quantisation step of PCM16."""

_RISE_DB = 3.0 * FRAME_MS / 1000
"""The floor rises by 3 dB a second: speech has a gap sooner than that lifts the floor into it, a fan that starts is forgotten in
seconds."""
_FALL = 0.3
"""Of the way down to a quieter frame, the floor goes this much: one odd frame does not pull it down, the gap between two words does."""
_HIGHEST_START_DB = -50.0
"""A stream may begin in the middle of a word, so its first frame is believed to be the room only as far as this."""


def level_db(pcm: Pcm) -> float:
    """The root mean square of `pcm` in dB below full scale, from `SILENCE_DB` to 0.

    >>> level_db(np.full(320, 16384, np.int16))
    -6.0
    """
    samples = pcm.astype(np.float32) / 32768.0
    power = float(np.dot(samples, samples)) / max(len(samples), 1)
    return round(max(SILENCE_DB, 10.0 * math.log10(power)), 1) if power > 0.0 else SILENCE_DB


_AUDIBLE = 104
"""50 dB below full scale: what a voice that was made, not recorded, has between its words is far below, its faintest consonants above."""


def quiet_until(pcm: Pcm) -> int:
    """How many samples of a voice come before the first that can be heard; all of them where none can.

    >>> quiet_until(np.array([0, 3, -2, 900, 0], np.int16)), quiet_until(np.zeros(320, np.int16))
    (3, 320)
    """
    audible = (pcm >= _AUDIBLE) | (pcm <= -_AUDIBLE)
    return int(audible.argmax()) if audible.any() else len(pcm)


class NoiseFloor:
    """The level of the room in dB, followed frame by frame (20 ms): fast down, slowly up, never below `lowest_db`."""

    def __init__(self, lowest_db: float) -> None:
        self._lowest_db = lowest_db
        self._db: float | None = None

    def follow(self, level_db: float) -> float:
        """The floor after a frame of this level."""
        if self._db is None:
            self._db = min(level_db, _HIGHEST_START_DB)
        elif level_db < self._db:
            self._db += _FALL * (level_db - self._db)
        else:
            self._db = min(level_db, self._db + _RISE_DB)
        self._db = max(self._db, self._lowest_db)
        return self._db

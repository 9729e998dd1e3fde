"""What turn taking asks of a model that judges whether the person has finished."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from patter_nb.audio.frames import Pcm


@runtime_checkable
class TurnDetector(Protocol):
    """Judges from sound whether a turn is complete; `TurnTaking(detector=...)` asks it in each pause. One instance may serve many sessions.

    `probability` takes what the person said, from half a second before their first voice to now (int16, 16 kHz, at most the last 8 s; the
    pause so far is its end), and returns the probability, 0.0 to 1.0, that they have finished. It is called on a worker thread, one call
    at a time for each session, again and again while the pause lasts.

    From `threshold` on the turn is complete, below it another `hold_ms` milliseconds of silence end it all the same.
    """

    threshold: float
    hold_ms: float

    def probability(self, pcm: Pcm) -> float: ...

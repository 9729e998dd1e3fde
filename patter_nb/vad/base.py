"""What the pipeline asks of a voice activity detector."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from patter_nb.audio.frames import Frame


@runtime_checkable
class VAD(Protocol):
    """Voice activity detection, one instance for one live session at a time.

    `probability` takes the frames in order and returns the probability, 0.0 to 1.0, that the person speaks at the end of this
    one. A model with another window buffers and returns its newest value. `reset` forgets all sound heard so far; a session
    calls it before the first frame. Both are called on a worker thread, one call at a time.
    """

    def probability(self, frame: Frame) -> float: ...

    def reset(self) -> None: ...

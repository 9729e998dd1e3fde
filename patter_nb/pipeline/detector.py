"""A voice activity detector at work, off the event loop."""

from __future__ import annotations

from patter_nb.audio.frames import Frame
from patter_nb.clock import Clock
from patter_nb.pipeline.own_thread import OwnThread
from patter_nb.vad.base import VAD


class Detector:
    """Runs `vad` on a thread of its own until `close`. What it raises arrives at the caller."""

    def __init__(self, vad: VAD, clock: Clock) -> None:
        self.vad = vad
        self._thread = OwnThread(clock, "voice detector", "Check the detector; session.use(vad=...) replaces it.")

    async def reset(self) -> None:
        """Forget what an earlier session heard."""
        await self._thread.call(self.vad.reset)

    async def probability(self, frame: Frame) -> float:
        """That the frame is voice, 0.0 to 1.0. Raises `PatterConfigError` for anything else, `RequestTimeout` when the detector hangs."""
        return await self._thread.probability(lambda: self.vad.probability(frame))

    def close(self) -> None:
        """Let the thread end, once the call under way has."""
        self._thread.close()

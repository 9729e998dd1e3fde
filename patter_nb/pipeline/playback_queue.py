"""The agent's sound on its way to the transport: one writer, so that play, pause, resume and flush arrive in the order they were meant."""

from __future__ import annotations

import asyncio
from collections import deque

from patter_nb.pipeline.door import Door
from patter_nb.step.effects import Effect, FlushPlayback, PausePlayback, Play, ResumePlayback
from patter_nb.transports.base import Played


class PlaybackQueue:
    """Hands effects on playback to the transport, one after the other. A flush overtakes sound that waits here.

    Sound that the transport refuses is behind the cursor at once, or the session would wait for it to be heard.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._waiting: deque[Effect] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something has not reached the transport yet."""
        return self._task is not None and not self._task.done()

    def put(self, effect: Effect) -> None:
        """Hand this to the transport after what came before it."""
        if isinstance(effect, FlushPlayback):
            self._waiting = deque(waiting for waiting in self._waiting if not isinstance(waiting, Play))
        self._waiting.append(effect)
        if not self.busy:
            self._task = self._door.tasks.spawn(self._work(), "playback")

    async def _work(self) -> None:
        while self._waiting:
            effect, arrived = self._waiting.popleft(), False
            with self._door.reporting("transport", None):
                await self._hand_over(effect)
                arrived = True
            if not arrived and isinstance(effect, Play):
                self._door.feed(Played(effect.block.start + len(effect.block.pcm), None))

    async def _hand_over(self, effect: Effect) -> None:
        transport = self._door.transport
        match effect:
            case Play(block):
                await transport.play(block)
            case PausePlayback():
                await transport.pause()
            case ResumePlayback():
                await transport.resume()
            case FlushPlayback():
                await transport.flush()

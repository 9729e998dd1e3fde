"""A voice activity detector at work: its calls run one after another on a daemon thread, each for a limited time.

A thread cannot be killed. One of the event loop's pool would, when a detector hangs, keep the process from ending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from patter_nb.audio.frames import Frame
from patter_nb.clock import Clock
from patter_nb.errors import PatterConfigError, RequestTimeout
from patter_nb.vad.base import VAD

PATIENCE_S = 20.0
"""A detector that has not answered for this long, in wall time, has failed. Its first call may load a model."""


class Detector:
    """Runs `vad` off the event loop until `close`. What it raises arrives at the caller."""

    def __init__(self, vad: VAD, clock: Clock) -> None:
        self.vad = vad
        self._clock = clock
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        Thread(target=_work, args=(self._calls,), name="patter-vad", daemon=True).start()

    async def reset(self) -> None:
        """Forget what an earlier session heard."""
        await self._call(self.vad.reset)

    async def probability(self, frame: Frame) -> float:
        """That the frame is voice, as a 32 bit float can hold it: so it is kept beside the log, and a replay decides alike.

        Raises `PatterConfigError` for anything but a number from 0.0 to 1.0, `RequestTimeout` when the detector hangs.
        """
        probability = await self._call(lambda: self.vad.probability(frame))
        if not isinstance(probability, (int, float, np.number)) or not 0.0 <= probability <= 1.0:
            raise PatterConfigError(f"The voice detector returned {probability!r:.80}.", hint="Return a probability from 0.0 to 1.0.")
        return float(np.float32(probability))

    def close(self) -> None:
        """Let the thread end, once the call under way has."""
        self._calls.put(None)

    async def _call(self, work: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def deliver(value: Any, error: BaseException | None) -> None:
            if not outcome.done():
                outcome.set_result((value, error))  # not set_exception, which refuses StopIteration

        def run() -> None:
            value, error = None, None
            try:
                value = work()
            except BaseException as raised:  # noqa: BLE001  # raised again by the caller
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(deliver, value, error)

        self._calls.put(run)
        if not await self._clock.wait_wall(outcome, PATIENCE_S):
            hint = "Check the detector; session.use(vad=...) replaces it."
            raise RequestTimeout(f"The voice detector did not answer for {PATIENCE_S:.0f} s.", hint=hint)
        value, error = outcome.result()
        if error is not None:
            raise error
        return value


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()

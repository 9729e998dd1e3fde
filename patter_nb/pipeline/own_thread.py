"""A user's blocking code at work: its calls run one after another on a daemon thread of its own, each for a limited time.

A thread cannot be killed. One of the event loop's pool would, when a call hangs, keep the process from ending.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from patter_nb.clock import Clock
from patter_nb.errors import PatterConfigError, RequestTimeout

PATIENCE_S = 20.0
"""What has not answered for this long, in wall time, has failed. Its first call may load a model."""


class OwnThread:
    """Runs calls off the event loop until `close`. `what` names whose they are, `remedy` says what to do when one hangs."""

    def __init__(self, clock: Clock, what: str, remedy: str) -> None:
        self._clock, self._what, self._remedy = clock, what, remedy
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        Thread(target=_work, args=(self._calls,), name=f"patter {what}", daemon=True).start()

    async def probability(self, work: Callable[[], object]) -> float:
        """What `work` returns, as a 32 bit float can hold it: so it is kept beside the log, and a replay decides alike.

        Raises `PatterConfigError` for anything but a number from 0.0 to 1.0, and what `call` raises.
        """
        probability = await self.call(work)
        if not isinstance(probability, (int, float, np.number)) or not 0.0 <= probability <= 1.0:
            raise PatterConfigError(f"The {self._what} returned {probability!r:.80}.", hint="Return a probability from 0.0 to 1.0.")
        return float(np.float32(probability))

    async def call(self, work: Callable[[], object]) -> Any:
        """What `work` returns or raises. Raises `RequestTimeout` when it hangs."""
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
            raise RequestTimeout(f"The {self._what} did not answer for {PATIENCE_S:.0f} s.", hint=self._remedy)
        value, error = outcome.result()
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """Let the thread end, once the call under way has."""
        self._calls.put(None)


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()

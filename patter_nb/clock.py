"""Time is handed in: the core reads one `Clock` and calls neither `time` nor `asyncio.sleep`, so a test or a file says how fast it runs."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Any, Protocol, runtime_checkable


def epoch_ns() -> int:
    """The time of day in nanoseconds since 1970: what others who keep time are told, and nothing is decided by."""
    return time.time_ns()


@runtime_checkable
class Clock(Protocol):
    """Session time, which decides, and wall time, which is only measured."""

    def now_ms(self) -> float:
        """Session time in milliseconds since the clock was made."""
        ...

    def wall_s(self) -> float:
        """Monotonic wall time in seconds; only differences mean anything."""
        ...

    async def sleep_until(self, t_ms: float) -> None:
        """Return once session time has reached `t_ms`."""
        ...

    async def wait_wall(self, outcome: asyncio.Future[Any], limit_s: float) -> bool:
        """Whether `outcome` comes within `limit_s` seconds of wall time, however session time goes. It is not cancelled."""
        ...


class SystemClock:
    """Session time is the machine's monotonic time, from zero when the clock is made."""

    def __init__(self) -> None:
        self._origin = time.monotonic()

    def now_ms(self) -> float:
        return (time.monotonic() - self._origin) * 1000.0

    def wall_s(self) -> float:
        return time.monotonic()

    async def sleep_until(self, t_ms: float) -> None:
        while (left := t_ms - self.now_ms()) > 0:  # noqa: ASYNC110  # time is what is waited for
            await asyncio.sleep(left / 1000.0)  # may wake a little early

    async def wait_wall(self, outcome: asyncio.Future[Any], limit_s: float) -> bool:
        return bool((await asyncio.wait([outcome], timeout=limit_s))[0])


class ManualClock:
    """Session time moves only by `advance`. Sleepers are woken in order, and run when the event loop next gets its turn.

    `wall` False makes wall time the same as session time, so that a test's measurements are exact, and waits without a limit.
    """

    def __init__(self, *, wall: bool = False) -> None:
        self._now_ms = 0.0
        self._wall = wall
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_ms(self) -> float:
        return self._now_ms

    def wall_s(self) -> float:
        return time.monotonic() if self._wall else self._now_ms / 1000.0

    async def sleep_until(self, t_ms: float) -> None:
        if t_ms <= self._now_ms:
            return
        waker = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (t_ms, next(self._order), waker))
        await waker

    async def wait_wall(self, outcome: asyncio.Future[Any], limit_s: float) -> bool:
        return bool((await asyncio.wait([outcome], timeout=limit_s if self._wall else None))[0])

    def advance(self, ms: float) -> None:
        """Move session time on by `ms` milliseconds and wake whoever slept until then. Time does not go back: `ValueError`."""
        if ms < 0:
            raise ValueError(f"time cannot move by {ms} ms")
        target = self._now_ms + ms
        while self._sleepers and self._sleepers[0][0] <= target:
            t_ms, _, waker = heapq.heappop(self._sleepers)
            self._now_ms = t_ms
            if not waker.done():
                waker.set_result(None)
        self._now_ms = target

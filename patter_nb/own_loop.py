"""A thread with an event loop of its own, for sessions that go on while a cell computes: `serve(..., runtime="thread")`.

There is one for the whole process. It is a daemon: a kernel that ends does not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

__all__ = ["is_own_loop", "run_in_loop", "run_in_own_loop"]

Result = TypeVar("Result")

WAKES_S: Final = 0.25
"""A kernel's interrupt takes effect when its loop next wakes (`_cancel_on_sigint` in ipykernel/ipkernel.py), so one that waits for the work
of another wakes that often."""

_starting = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


async def run_in_own_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """The outcome of `work`, run in the thread; it is cancelled when the caller is."""
    return await run_in_loop(_own_loop(), work)


async def run_in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result]) -> Result:
    """The outcome of `work`, run in `loop`, which is another thread's; it is cancelled when the caller is."""
    future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
    try:
        while not future.done():
            await asyncio.wait([future], timeout=WAKES_S)
    except asyncio.CancelledError:
        future.cancel()
        raise
    return future.result()


def is_own_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether `loop` is the thread's."""
    return loop is _loop


def _own_loop() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603  # the one of the process
    with _starting:
        if _loop is None or _loop.is_closed():
            ready: Future[asyncio.AbstractEventLoop] = Future()
            threading.Thread(target=lambda: asyncio.run(_run(ready)), name="patter_nb", daemon=True).start()
            _loop = ready.result()
        return _loop


async def _run(ready: Future[asyncio.AbstractEventLoop]) -> None:
    ready.set_result(asyncio.get_running_loop())
    await asyncio.Event().wait()

"""Somebody's plain code, which may block, run where it does not hold the event loop up: on a daemon thread of its own.

A thread cannot be killed. One of the loop's pool would, when it hangs, keep `asyncio.run` and the process from ending.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from queue import SimpleQueue
from typing import Any, Final, TypeVar

__all__ = ["iterate_on_own_thread", "log_late", "on_own_thread"]

Item = TypeVar("Item")

_END: Final = object()
_log = logging.getLogger(__name__)


async def on_own_thread(what: str, work: Callable[[], Any]) -> Any:
    """`work()` on a thread, with this task's context variables. Cancelling this drops the outcome, which is logged when it comes."""
    outcome = _Outcome(what)
    context = contextvars.copy_context()
    threading.Thread(target=lambda: outcome.deliver(lambda: context.run(work)), name=what, daemon=True).start()
    return await outcome.get()


async def iterate_on_own_thread(what: str, items: Iterator[Item]) -> AsyncGenerator[Item, None]:
    """The items of a plain iterator, all made on one thread, each when it is asked for. Closing this closes a generator, on that thread."""
    asked: SimpleQueue[_Outcome | None] = SimpleQueue()
    context = contextvars.copy_context()

    def run() -> None:
        while (outcome := asked.get()) is not None:
            outcome.deliver(lambda: context.run(next, items, _END))
        close = getattr(items, "close", None)  # a generator has it, another iterator need not
        if close is not None:
            try:
                context.run(close)
            except BaseException as raised:  # noqa: BLE001  # nobody is left to raise it to
                log_late(what, raised)

    threading.Thread(target=run, name=what, daemon=True).start()
    try:
        while True:
            outcome = _Outcome(what)
            asked.put(outcome)
            item = await outcome.get()
            if item is _END:
                return
            yield item
    finally:
        asked.put(None)


class _Outcome:
    """What a thread's piece of work came to, on its way to the task that waits for it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[tuple[Any, BaseException | None]] = self._loop.create_future()

    async def get(self) -> Any:
        value, error = await self._future
        if error is not None:
            raise error
        return value

    def deliver(self, work: Callable[[], Any]) -> None:
        """Do the work, on the thread."""
        value, error = None, None
        try:
            value = work()
        except BaseException as raised:  # noqa: BLE001  # raised again by the task, if it still waits
            error = raised
        try:
            self._loop.call_soon_threadsafe(self._take, value, error)
        except RuntimeError:  # the loop is closed
            log_late(self._what, error)

    def _take(self, value: Any, error: BaseException | None) -> None:
        if self._future.done():
            log_late(self._what, error)
        else:
            self._future.set_result((value, error))  # not set_exception, which refuses StopIteration


def log_late(what: str, error: BaseException | None) -> None:
    """Say that something ended when nobody waited for it any more."""
    _log.warning("The %s ended after its call had; its outcome is dropped.", what, exc_info=error)

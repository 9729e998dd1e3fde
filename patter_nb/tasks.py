"""The background work of one session: who runs, who waits for it, and what happens when it fails unexpectedly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from patter_nb.errors import PatterError
from patter_nb.events import Stage

Item = TypeVar("Item")


@asynccontextmanager
async def closing(iterator: AsyncIterator[Item]) -> AsyncIterator[AsyncIterator[Item]]:
    """The iterator, closed at the end, however that comes. A plain async iterator has nothing to close."""
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


class Tasks:
    """Owns the tasks of a session, so that none outlives it and no exception is lost.

    `on_end` is called after each task that is not `quiet`, as a timer is; `on_crash` with the exception of one that failed where
    nothing should.
    """

    def __init__(self, on_end: Callable[[], None], on_crash: Callable[[BaseException], None]) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._on_end = on_end
        self._on_crash = on_crash

    def spawn(self, work: Coroutine[Any, Any, None], name: str, *, quiet: bool = False) -> asyncio.Task[None]:
        """Run `work` in the session's loop."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(lambda task: self._ended(task, quiet))
        return task

    def _ended(self, task: asyncio.Task[None], quiet: bool) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)
        if not quiet:
            self._on_end()

    async def cancel(self) -> None:
        """Cancel everything but the caller, and wait until it has ended."""
        others = [task for task in self._running if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def is_cancelled() -> bool:
    """Whether the running task was asked to end. If not, a `CancelledError` came out of what it called, and is a failure like any other."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def as_patter_error(stage: Stage, error: BaseException) -> PatterError:
    """`error` as one of our family, with the original as its cause."""
    if isinstance(error, PatterError):
        return error
    told = ": ".join(part for part in (type(error).__name__, str(error)) if part)
    wrapped = PatterError(f"{stage} failed: {told}", hint="Its cause is chained to this error, as __cause__.")
    wrapped.__cause__ = error
    return wrapped

"""What is between `open` and `aclose`, whatever carries it: transcripts and errors in order, and the tasks that make them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from patter_nb.audio.frames import Frame
from patter_nb.stt.base import Transcript

__all__ = ["Stream"]


class Stream(ABC):
    """A stream that failed is broken: it takes no sound until `transcripts` is called again. `aclose` or the loop's end ends it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._out: asyncio.Queue[Transcript | BaseException | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._broken = False

    @property
    def over(self) -> bool:
        """Whether another session may begin. One that failed goes on, as soon as somebody listens again."""
        return self._closed or self._loop.is_closed()

    @property
    def _deaf(self) -> bool:
        """Whether what is pushed goes nowhere."""
        return self._closed or self._broken

    @abstractmethod
    def push(self, frame: Frame) -> None:
        """The next frame."""

    @abstractmethod
    def finalize(self) -> None:
        """All that was pushed since the last time is an utterance."""

    @abstractmethod
    def _recover(self) -> None:
        """Begin with the next sound, after a failure."""

    @abstractmethod
    def _give_up(self, error: BaseException) -> BaseException:
        """Stop what is under way; the error as it is to be raised."""

    async def _farewell(self) -> None:  # noqa: B027  # not abstract: not everything has one
        """End in good order, once every task has ended."""

    async def transcripts(self) -> AsyncIterator[Transcript]:
        """What comes, until `aclose`. Raises what fails."""
        if self._broken and not self._closed:
            self._broken = False
            self._recover()
        while not (self._closed and self._out.empty()):
            item = await self._out.get()
            if isinstance(item, BaseException):
                raise item
            if item is not None:
                yield item

    async def aclose(self) -> None:
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            return  # what it had went with its loop
        self._out.put_nowait(None)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._farewell()

    def _emit(self, transcript: Transcript) -> None:
        self._out.put_nowait(transcript)

    def _fail(self, error: BaseException) -> None:
        """Break off with this error, unless it is over already."""
        if not self._deaf:
            self._broken = True
            self._out.put_nowait(self._give_up(error))

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

"""What the three stages of a pipeline share: the way back into the session, the agent of the moment, and calling a user's code."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from patter_nb.agent import Agent, HookContext
from patter_nb.clock import Clock
from patter_nb.events import Stage
from patter_nb.llm.base import Message
from patter_nb.llm.wire.recording import Attempts
from patter_nb.step.inputs import Failure, Input
from patter_nb.tasks import Tasks, as_patter_error, is_cancelled
from patter_nb.transports.base import Transport


@dataclass(slots=True)
class Door:
    """Between the session and its stages: `feed` brings inputs in, `history`, `said`, `deaf` and `agent` tell how things stand.

    `said` is history with what was said of the answer under way; `deaf` whether the agent speaks and must not hear itself meanwhile.
    `attempts` keeps what goes over a model's wire.

    A stage whose `busy` may have changed without an input or the end of a task says so by `progressed`.
    """

    agent: Agent
    call_id: str
    clock: Clock
    transport: Transport
    tasks: Tasks
    feed: Callable[[Input], None]
    history: Callable[[], tuple[Message, ...]]
    said: Callable[[], tuple[Message, ...]]
    deaf: Callable[[], bool]
    progressed: Callable[[], None]
    attempts: Attempts

    def context(self, turn: int | None) -> HookContext:
        """What a hook may know."""
        return HookContext(self.call_id, turn, self.history())

    @contextmanager
    def reporting(self, stage: Stage, epoch: int | None) -> Iterator[None]:
        """Whatever fails inside is fed to the session as a `Failure` of `stage`, or of the `within` it happened in.

        Foreign code is called here (providers, hooks, checks), so anything may be raised; nothing is lost. A cancellation that
        nobody asked of this task came out of that code, and is a failure like any other.
        """
        try:
            yield
        except _Within as inner:
            self.feed(Failure(epoch, inner.stage, as_patter_error(inner.stage, inner.error)))
        except Exception as error:  # noqa: BLE001
            self.feed(Failure(epoch, stage, as_patter_error(stage, error)))
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            self.feed(Failure(epoch, stage, as_patter_error(stage, error)))


class _Within(Exception):
    """Carries the stage of a failure out to `reporting`."""

    def __init__(self, stage: Stage, error: Exception) -> None:
        self.stage = stage
        self.error = error


@contextmanager
def within(stage: Stage) -> Iterator[None]:
    """Inside `reporting`: what fails here belongs to this stage."""
    try:
        yield
    except Exception as error:
        raise _Within(stage, error) from error


async def resolved(value: Any) -> Any:
    """The value, awaited if it is awaitable: hooks and checks may be plain or async."""
    return await value if inspect.isawaitable(value) else value

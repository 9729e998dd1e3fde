"""What every side of a session stands on: its conductor, its log, its event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from patter_nb.agent import Agent
from patter_nb.clock import epoch_ns
from patter_nb.conductor import Conductor
from patter_nb.errors import PatterConfigError
from patter_nb.events import (
    Event,
    SessionStarted,
    SessionState,
    StageFailed,
)
from patter_nb.log import Log
from patter_nb.own_loop import run_in_loop
from patter_nb.pricing import Prices
from patter_nb.reading import reading
from patter_nb.timeline import Timeline
from patter_nb.transports.base import Transport, TransportInput
from patter_nb.turn import Turn
from patter_nb.turns import Turns

if TYPE_CHECKING:
    from patter_nb.tracing.exporting import Trace


logger = logging.getLogger("patter_nb")

Result = TypeVar("Result")


class Live:
    """A session in its event loop."""

    def __init__(self, agent: Agent, *, transport: Transport, name: str = "main", prices: Prices | None = None) -> None:
        self.name = name
        self.transport = transport
        self._conductor = Conductor(agent, transport, name)
        self._started = asyncio.Event()
        self.face: object = None
        """What shows the session live, once it is shown."""
        self._began_ns = 0
        self._traces: list[Trace] = []
        self.turns = Turns(prices, self._conductor.log.attempts, self._conductor.log)
        """All turns so far, folded from the log."""
        self._conductor.log.add_fold(self.turns.fold)
        self._conductor.log.add_fold(self._note_beginning)
        self._conductor.log.subscribe(self._tell_unseen)
        self._timeline = Timeline(self._conductor.log)

    @reading
    def agent(self) -> Agent:
        """The agent as it is, or as it will be from the next turn on."""
        return self._conductor.state.next_agent or self._conductor.state.agent

    @reading
    def state(self) -> SessionState:
        """One word: starting, ready, listening, thinking, calling, speaking, paused or stopped."""
        return self._conductor.state.word

    @reading
    def events(self) -> Log:
        """The log: everything that happened, in order."""
        return self._conductor.log

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its event loop has."""
        return self.state == "stopped" or self._conductor.closed.done() or self._conductor.loop.is_closed()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the session lives in."""
        return self._conductor.loop

    def take(self, given: TransportInput) -> None:
        """Take in what the person does, though their transport does not tell it. Called in the session's loop."""
        if self.state != "stopped":
            self._conductor.take(given)

    async def start(self) -> None:
        """Load what can be loaded and begin to hear; `serve` does this. Raises what fails at loading."""
        try:
            await self._conductor.start()
        finally:
            self._started.set()

    def _tell_unseen(self, event: Event) -> None:
        """Where nothing shows the session, what fails in it is at least said."""
        if isinstance(event.body, StageFailed) and self.face is None:
            logger.warning("session %s: %s failed: %s", self.name, event.body.stage, event.body.error)

    def _note_beginning(self, event: Event) -> None:
        if isinstance(event.body, SessionStarted):
            self._began_ns = epoch_ns()

    def on_closed(self, act: Callable[[], object]) -> None:
        """Call `act` once the session is closed."""
        self._conductor.closed.add_done_callback(lambda _: act())

    def in_loop(self, act: Callable[[], Result]) -> Result:
        """The result of `act`, run in the session's loop, from whatever thread this is."""
        loop = self._conductor.loop
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here or loop.is_closed():
            return act()

        async def acting() -> Result:
            return act()

        if loop.is_running():
            return asyncio.run_coroutine_threadsafe(acting(), loop).result()
        return loop.run_until_complete(acting())

    async def _at_home(self, talk: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The outcome of `talk`, awaited in the session's loop, from whatever loop this is."""
        loop = self._conductor.loop
        if asyncio.get_running_loop() is loop or self._conductor.closed.done():
            return await talk()
        if not loop.is_running():
            raise PatterConfigError("The event loop of this session does not run.", hint="Keep it open: await session.wait() at its end.")
        return await run_in_loop(loop, talk())

    def _event(self, wanted: Callable[[Event], bool]) -> asyncio.Future[Event]:
        """The next event that is wanted, looked for from now on."""
        found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def look(event: Event) -> None:
            if not found.done() and wanted(event):
                found.set_result(event)

        unsubscribe = self.events.subscribe(look)
        found.add_done_callback(lambda _: unsubscribe())
        return found

    def _turn_of(self, event: Event) -> Turn:
        if event.turn is None:
            raise PatterConfigError("The session ended before that.", hint="Start another: session = await phone.serve(agent).")
        return self.turns.by_id(event.turn)

    def _require_live(self) -> None:
        if self._conductor.state.life != "live":
            raise PatterConfigError("This session is over.", hint="Start another: session = await phone.serve(agent).")

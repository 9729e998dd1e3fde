"""The machinery of a session: inputs are stamped and stepped one at a time, what happened goes to the log, effects to their stage.

It decides nothing: `step` does. It owns the state, the tasks and the timer, and closes what it opened.
"""

from __future__ import annotations

import asyncio
import logging
import math
import warnings
from collections import deque
from dataclasses import replace

import numpy as np

from patter_nb.agent import Agent
from patter_nb.audio.frames import Frame
from patter_nb.audio.level import level_db
from patter_nb.clock import SystemClock
from patter_nb.errors import PatterError
from patter_nb.events import Stage
from patter_nb.log import CURSOR_VALUES, FRAME_VALUES, Log
from patter_nb.pipeline.door import Door
from patter_nb.pipeline.pipeline import Pipeline
from patter_nb.pipeline.playback_queue import PlaybackQueue
from patter_nb.step import State, next_due_ms, step
from patter_nb.step.answering import said
from patter_nb.step.effects import Adopt, Effect, FlushPlayback, PausePlayback, Play, ResumePlayback, Shutdown
from patter_nb.step.hearing import is_deaf
from patter_nb.step.inputs import Due, Failure, FrameHeard, HeldUp, Input, Start, Stop, Swap
from patter_nb.step.scene import Happened
from patter_nb.tasks import Tasks, as_patter_error, closing
from patter_nb.transports.base import Played, Transport, TransportInput, Trouble

logger = logging.getLogger("patter_nb")

PATIENCE_S = 60.0
"""How long an unpaced transport waits for providers, in wall time, before its time runs on, so that the session's timeouts can act."""

PULSE_MS = 50.0
BUSY_MS = 100.0
"""A loop that comes back to its pulse so much too late was kept by something else, and the log says for how long."""

PASSING = (FrameHeard, Played, HeldUp, Due)
"""Inputs that come with time alone, whether or not a provider gets on."""


class Conductor:
    """Runs one session in the event loop it is started in. `feed` is the only way in, the log the only record."""

    def __init__(self, agent: Agent, transport: Transport, name: str) -> None:
        self.name = name
        self.clock = transport.clock
        self.state = State(agent)
        self.log = Log(transport.output.sample_rate)
        self.loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.tasks = Tasks(self._got_on, lambda error: self._fail("session", error))
        self._transport = transport
        self._door = Door(
            agent=agent,
            call_id=name,
            clock=self.clock,
            transport=transport,
            tasks=self.tasks,
            feed=self.feed,
            history=lambda: self.state.history,
            said=lambda: said(self.state),
            deaf=lambda: is_deaf(self.state),
            progressed=self._progressed,
            attempts=self.log.attempts,
        )
        self._pipeline = Pipeline(self._door)
        self._playback = PlaybackQueue(self._door)
        self._inbox: deque[Input] = deque()
        self._alarm: tuple[float, asyncio.Task[None]] | None = None
        self._progress: asyncio.Future[None] = self.loop.create_future()
        self._gave_up = False
        self._origin_ms, self._origin_s = self.clock.now_ms(), self.clock.wall_s()
        self._error: PatterError | None = None
        self._closing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what can be loaded, greet, and begin to hear. Raises what fails at loading, with nothing left open."""
        try:
            agent, failures = await self._pipeline.start(self.state.agent)
        except BaseException:
            await self._close()
            raise
        self._origin_ms, self._origin_s = self.clock.now_ms(), self.clock.wall_s()
        self.state, self._door.agent = replace(self.state, agent=agent), agent
        line = self._transport
        self.feed(Start(line.output.sample_rate, line.plays, line.awaited, line.paced))
        for error in failures:
            self.feed(Failure(None, "tool", error))
        self.tasks.spawn(self._pump(self._transport), "hearing the person")
        self._watching = self.loop.create_task(self._watch_loop(), name="watching the loop")
        if isinstance(self.clock, SystemClock):  # another clock moves as it is told to, and nobody can be late by it
            self.tasks.spawn(self._pulse(), "pulse", quiet=True)

    # --- inputs and steps

    def feed(self, given: Input) -> None:
        """Take in one input, in the session's loop. What the carrying out of a step feeds waits until that step is done."""
        if isinstance(given, Stop):
            self._pipeline.settle()
        self._inbox.append(given)
        if not isinstance(given, PASSING):
            self._gave_up = False
        if len(self._inbox) > 1:
            return
        try:
            while self._inbox:
                self._step_when_due(self._inbox[0])
                self._inbox.popleft()
        finally:
            self._inbox.clear()
        self._set_alarm()
        self._progressed()

    def _step_when_due(self, given: Input) -> None:
        """Step, after whatever timers have fallen due by now, so that their order does not depend on when the loop woke up."""
        now_ms = self._now_ms()
        while not isinstance(given, Due) and (due_ms := next_due_ms(self.state)) is not None and due_ms <= now_ms:
            self._step(Due(due_ms), now_ms)
        self._step(given, now_ms)

    def _step(self, given: Input, now_ms: float) -> None:
        stepped = step(self.state, now_ms, given)
        self.state = stepped.state
        if stepped.events:
            wall_s = self.clock.wall_s() - self._origin_s
            for happened in stepped.events:
                self._record(happened, now_ms, wall_s)
        for effect in stepped.effects:
            self._carry_out(effect)

    def _record(self, happened: Happened, now_ms: float, wall_s: float) -> None:
        try:
            self.log.append(happened, now_ms, wall_s)
        except Exception as error:  # noqa: BLE001  # a bug in a fold of our own: the step is completed, then the session ends with it
            self._fail("session", error)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Play(block):
                self.log.spoken.append(block.pcm)
                self.log.spoken.unrecorded += 0 if block.speech is None else len(block.pcm)
                self._playback.put(effect)
            case PausePlayback() | ResumePlayback() | FlushPlayback():
                self._playback.put(effect)
            case Adopt(agent):
                self._door.agent = agent
                self._pipeline.turn_to(agent)
                self.tasks.spawn(self._adopt(agent), "changing the agent")
            case Shutdown():
                self._closing = self.loop.create_task(self._close(), name=f"closing session {self.name}")
            case _:
                self._pipeline.carry_out(effect)

    def equipped(self, agent: Agent) -> Agent:
        """The agent with the tools that its MCP servers lend. Raises `PatterConfigError` where two tools have one name."""
        return self._pipeline.equipped(agent)

    async def _adopt(self, agent: Agent) -> None:
        """Prepare the stages for the agent. Where its servers came to lend other tools, it has those from the next turn on."""
        await self._pipeline.adopt(agent)
        await self._pipeline.drop_clashing(self._newest)
        equipped = self.equipped(self._newest)
        if equipped is not self._newest and self.state.life == "live":
            self.feed(Swap(equipped, "turn"))

    @property
    def _newest(self) -> Agent:
        """The agent as it will be from the next turn on."""
        return self.state.next_agent or self.state.agent

    # --- time

    def _now_ms(self) -> float:
        """Session time as the step function and the log know it: 0 when the session went live, for the clock may be older."""
        return self.clock.now_ms() - self._origin_ms

    def _set_alarm(self) -> None:
        """Be woken when the earliest timer falls due. One that moved later is only noticed when the old one rings."""
        due_ms = next_due_ms(self.state)
        if due_ms is None or self.state.life != "live":
            return
        if self._alarm is not None:
            armed_ms, task = self._alarm
            if not task.done() and armed_ms <= due_ms:
                return
            task.cancel()
        self._alarm = (due_ms, self.tasks.spawn(self._ring(due_ms), "timer", quiet=True))

    async def _ring(self, due_ms: float) -> None:
        await self.clock.sleep_until(self._origin_ms + due_ms)
        self._alarm = None
        due = next_due_ms(self.state)
        if due is not None and self._origin_ms + due <= self.clock.now_ms():  # not by _now_ms, which may round to just before
            self.feed(Due(due))
        else:
            self._set_alarm()

    async def _pulse(self) -> None:
        """Notice that the loop was kept."""
        while self.state.life == "live":
            due_ms = self.clock.now_ms() + PULSE_MS
            await self.clock.sleep_until(due_ms)
            late_ms = self.clock.now_ms() - due_ms
            if late_ms >= BUSY_MS:
                self.feed(HeldUp(round(late_ms, 1)))

    # --- the transport

    async def _pump(self, transport: Transport) -> None:
        try:
            async with closing(transport.inputs()) as inputs:
                async for given in inputs:
                    await self._take(given)
                    if not transport.paced:
                        await self._settled()
                    if transport.exhausted and self.state.at_rest and (self._gave_up or not self._busy):
                        self.feed(Stop("the person has finished"))
                        return
        except Exception as error:  # noqa: BLE001  # a transport may be anybody's
            self._fail("transport", error)
        else:
            self.feed(Stop("the transport was closed"))

    async def _take(self, given: TransportInput) -> None:
        if isinstance(given, Frame):
            await self._hear(given)
        else:
            self.take(given)

    def take(self, given: TransportInput) -> None:
        """Take in what the person did, apart from their sound."""
        match given:
            case Frame():
                raise TypeError("sound comes by the transport's inputs")
            case Played(position=position):
                self.log.cursor.append(np.array((len(self.log), self._now_ms(), position), CURSOR_VALUES))
                self.feed(given)
            case Trouble(error):
                self.feed(Failure(None, "transport", error))
            case _:
                self.feed(given)

    async def _hear(self, frame: Frame) -> None:
        """Take in a frame. Its row is kept after the measurement and before the step: where a replay has to put it.

        The agent's own voice is no speech, whatever the detector makes of it.
        """
        self.log.heard.append(frame.pcm)
        measured = await self._pipeline.probability(frame)
        if measured is not None and frame.echo:
            measured = 0.0
        probability = math.nan if measured is None else measured
        row = (len(self.log), self._now_ms(), frame.late_ms, probability, level_db(frame.pcm))
        self.log.frames.append(np.array(row, FRAME_VALUES))
        if measured is not None:
            self._pipeline.hear(frame, measured)

    @property
    def _busy(self) -> bool:
        return self._pipeline.busy or self._playback.busy or self.state.owed_words > 0 or bool(self.state.held)

    async def _settled(self) -> None:
        """Wait until nothing is under way. A provider that hangs holds time up once; then time runs on until something gets on.

        At a breakpoint time stands still for as long as somebody looks.
        """
        while self._busy and self.state.life == "live" and not self._gave_up:
            self._progress = self.loop.create_future()
            self._gave_up = not await self.clock.wait_wall(self._progress, PATIENCE_S) and not self.state.held
        if not self._busy:
            self._gave_up = False

    def _progressed(self) -> None:
        """Look again whether something is under way."""
        if not self._progress.done():
            self._progress.set_result(None)

    def _got_on(self) -> None:
        """A piece of work has ended."""
        self._gave_up = False
        self._progressed()

    # --- the end

    def _fail(self, stage: Stage, error: BaseException) -> None:
        """Something failed that the session can't go on without: it ends, and whoever waits for it is told."""
        logger.error("session %s failed", self.name, exc_info=error)
        self._error = as_patter_error(stage, error)
        self.feed(Failure(None, stage, self._error))
        self.feed(Stop("it failed"))

    async def _watch_loop(self) -> None:
        """Notice that the loop is closing under a live session, close what can be closed, and say what to do instead."""
        try:
            await asyncio.wait([self.closed])
        except asyncio.CancelledError:
            if self.state.life == "live":
                self.feed(Stop("its event loop closed"))
                await asyncio.wait([self.closed])
                hint = "keep it open: `async with phone.serve(agent) as session`, or `await session.wait()` at the end."
                logger.warning("session %s was cancelled because its event loop closed; %s", self.name, hint)
                warnings.warn(f"Session {self.name!r} was cancelled because its event loop closed; {hint}", RuntimeWarning, stacklevel=2)
            raise

    async def _close(self) -> None:
        """Close everything this session opened, whatever fails at that."""
        try:
            await self.tasks.cancel()
            await self._closed_or_failed(self._pipeline)
            await self._closed_or_failed(self._transport)
        finally:
            if self._watching is not None and not self._watching.cancelling():
                self._watching.cancel()
            if self._error is None:
                self.closed.set_result(None)
            else:
                self.closed.set_exception(self._error)
                self.closed.exception()  # seen: `wait` and `stop` raise it to whoever asks

    async def _closed_or_failed(self, part: Pipeline | Transport) -> None:
        try:
            await part.aclose()
        except Exception as error:  # a provider's or a transport's own; it travels by `closed`
            logger.error("session %s could not close", self.name, exc_info=error)
            self._error = self._error or as_patter_error("transport" if part is self._transport else "session", error)

"""An engine as the stage of a session: which one it is, what it is told of the effects, and that it outlives its conversations.

An answer belongs to the epoch it was asked in, or in which the session took up what the engine said unasked; sound of one that is over
is dropped by the step function like any other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import takewhile
from typing import Final

import numpy as np

from patter_nb.agent import Agent
from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, Frame
from patter_nb.engines.base import Engine
from patter_nb.errors import ConnectionFailed, PatterConfigError, PatterError
from patter_nb.events import LLMRequested
from patter_nb.llm.base import Message, costs_of, name_of
from patter_nb.llm.rounds import assistant_message, call_ids
from patter_nb.llm.wire.attempt import Attempt
from patter_nb.llm.wire.recording import Recorder, recording
from patter_nb.pipeline.capture_axis import CaptureAxis
from patter_nb.pipeline.door import Door
from patter_nb.pipeline.engine_events import EngineEvents
from patter_nb.pipeline.recording import sent_event
from patter_nb.pipeline.requests import Request, Requests
from patter_nb.step.effects import AskLLM, Cancel, Follow, Speak
from patter_nb.step.inputs import Booked, EngineGone, EngineVoice, Failure, PieceChecked
from patter_nb.tasks import as_patter_error, closing

STEADY_MS: Final = 10_000.0
"""A connection that has held for so long may drop once more."""
GIVE_UP_MS: Final = 2000.0
"""An engine that still answers so long after it was told to stop is not waited for."""
CLOSING_MS: Final = 1500
"""So much silence tells an engine that the person has finished."""
_ENDINGS: Final = 10
_GONE_HINT: Final = "Set it again: session.engine = ..."


class Engaged:
    """Runs the engine of one session, if its agent has one. Orders are carried out strictly one after the other.

    A conversation that the engine loses (its connection drops, or the vendor ends it) is begun anew with what was said; a second loss
    soon after is the end, until another engine, or the same, is set.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._engine: Engine | None = None
        self._left: list[Engine] = []
        self._orders: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._waiting = 0
        self._requests = Requests()
        self._axis = CaptureAxis()
        self._told = ""
        self._worker: asyncio.Task[None] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._failed: PatterError | None = None
        self._untold: Attempt | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being told to the engine, or it answers."""
        return self._waiting > 0 or self._requests.busy

    # --- which engine

    def turn_to(self, agent: Agent) -> None:
        """From now on this agent's engine is meant: the one that runs is told what has changed, another falls silent."""
        engine = agent.engine
        if engine is not self._engine or self._failed is not None:
            self._leave()
        elif engine is not None:
            self._order(lambda: engine.update(agent))

    async def adopt(self, agent: Agent) -> None:
        """Be engaged by this agent: its engine is opened, and the one before closed. Raises what fails at opening."""
        engine = agent.engine
        if engine is self._engine and self._failed is None:
            return
        await self._close()
        if engine is None:
            return
        meant, history = self._door.agent, self._said_before()
        try:
            await self._open(engine, agent, history)
        except Exception as error:
            self._engine, self._failed = engine, as_patter_error("engine", error)
            dropped = self._requests.drop()
            for request in dropped:
                self._door.feed(Failure(request.epoch, "engine", self._failed))
            if dropped:
                return
            if self._failed is error:
                raise
            raise self._failed from error
        if self._door.agent.engine is not engine:  # another was set meanwhile, and will be adopted next
            await engine.aclose()
            return
        self._engine, self._failed = engine, None
        self._begin_work(meant, history)
        self._tell_opened(self._requests.front)
        self._follower = self._door.tasks.spawn(self._follow(engine), "hearing the engine", quiet=True)
        self._ask_next()

    async def _open(self, engine: Engine, agent: Agent, history: Sequence[Message]) -> None:
        """Open the engine's conversation, and keep what goes over its wire. The log is told with the first request in it."""

        def on_sent(attempt: Attempt) -> None:
            self._untold = attempt

        with recording(Recorder(self._door.attempts, self._door.clock.wall_s, on_sent, lambda _: None)):
            await engine.open(agent, history)

    def _tell_opened(self, request: Request | None) -> None:
        """A request goes into a conversation that the log may not know yet."""
        if request is not None and self._untold is not None:
            sent, self._untold = sent_event(self._untold, request.round), None
            self._door.feed(Booked(sent, request.turn))

    def _said_before(self) -> tuple[Message, ...]:
        """What an engine has to know that begins now."""
        front = self._requests.front
        return self._door.said() if front is None or front.before is None else front.before

    def _begin_work(self, meant: Agent, history: Sequence[Message]) -> None:
        """Tell the engine, now that it is open, whatever it is to be told: also of an agent that came after the one meant till then."""
        self._orders, self._waiting, self._axis = asyncio.Queue(), 0, CaptureAxis()
        self._told = str(history[-1]["content"]) if history and history[-1]["role"] == "user" else ""
        if getattr(self._engine, "takes_over_calls", False):
            for call in call_ids(history):
                self._requests.made(call)
        self._worker = self._door.tasks.spawn(self._work(self._orders), "telling the engine", quiet=True)
        newest, engine = self._door.agent, self._engine
        if newest is not meant and engine is not None and newest.engine is engine:
            self._order(lambda: engine.update(newest))

    # --- what it is told

    def hear(self, frame: Frame) -> None:
        """A frame of the person's sound. What may be the agent's own voice is silence to the engine, while it must not be heard."""
        engine = self._engine
        if engine is None or self._failed is not None or self._worker is None:
            return
        if frame.echo or self._door.deaf():
            frame = Frame(np.zeros(FRAME_SAMPLES, np.int16), frame.seq, frame.capture_ms, frame.late_ms)
        self._axis.heard(frame.seq * FRAME_SAMPLES)
        self._order(lambda: engine.push(frame))

    def end_sound(self) -> None:
        """No more sound comes for now: silence tells the engine so, which waits for the person to go on."""
        engine = self._engine
        if engine is None or self._failed is not None:
            return
        silence = Frame(np.zeros(FRAME_SAMPLES, np.int16), 0, 0.0)
        for _ in range(CLOSING_MS // FRAME_MS):
            self._axis.added()
            self._order(lambda: engine.push(silence))

    def ask(self, asked: AskLLM) -> None:
        """Have the engine answer what was typed, or go on with the results of its calls."""
        messages = [message for message in asked.messages if message["role"] != "system"]
        behind = [*takewhile(lambda message: message["role"] == "tool", reversed(messages))]
        results = [(message["tool_call_id"], message["content"]) for message in reversed(behind)]
        text = str(messages[-1].get("content") or "")
        before = tuple(messages[: -max(len(results), 1)])
        if results and not (self._requests.has_made(results) or getattr(self._door.agent.engine, "takes_over_calls", False)):
            before = (*before[:-1], *_words_of(before[-1]))

        async def tell(engine: Engine) -> None:
            if results and self._requests.has_made(results):
                await engine.send_tool_result(results)
                return
            if results:  # of calls that another made
                await engine.send_text(_retold(messages[-len(results) - 1], dict(results)))
                return
            new = text.removeprefix(self._told).strip() or text  # what was typed before, and never answered, stands before it
            self._told = text
            await engine.send_text(new)

        self._want(Request(asked.epoch, asked.turn, asked.round, tell=tell, before=before))

    def speak(self, asked: Speak) -> None:
        """Have the engine say a text by itself."""
        self._door.feed(PieceChecked(asked.epoch, asked.index, asked.text))
        provider, model = name_of(engine := self._door.agent.engine)
        request = LLMRequested(0, provider, model, costs_of(engine), (), 0, (), "engine", asked.index)
        self._door.feed(Booked(request, asked.turn))
        self._want(Request(asked.epoch, asked.turn, piece=asked.index, tell=lambda engine: engine.say(asked.text)))

    def follow(self, given: Follow) -> None:
        """An answer that the engine gives by itself is this turn's."""
        request = Request(given.epoch, given.turn, given.round)
        self._requests.follow(given.id, request)
        self._tell_opened(request)

    def cancel(self, given: Cancel) -> None:
        """Have the engine be silent, forget what was not heard of what it said, and know what became of its calls."""
        answering, forget = self._requests.answering, self._requests.give_up()
        engine = self._engine
        if engine is None or self._failed is not None:
            return
        if answering:
            self._order(engine.cancel)
        if forget is not None and getattr(engine, "asking_interrupts", False):
            forget()
        elif forget is not None:
            self._door.tasks.spawn(self._wait_no_longer(forget), "waiting for silence of the engine", quiet=True)
        if (heard := given.heard) is not None:
            played_ms = heard * 1000 / self._door.transport.output.sample_rate
            self._order(lambda: engine.truncate(played_ms))
        calls = [call for call in given.calls if self._requests.has_made([call])]
        if calls:
            self._order(lambda: engine.send_tool_result(calls, answer=False))

    async def _wait_no_longer(self, forget: Callable[[], bool]) -> None:
        await self._door.clock.sleep_until(self._door.clock.now_ms() + GIVE_UP_MS)
        if forget():
            self._ask_next()

    def _want(self, request: Request) -> None:
        engine = self._door.agent.engine
        if engine is self._engine and (engine is None or self._failed is not None):
            error = self._failed or PatterConfigError("The engine is not open.", hint=_GONE_HINT)
            self._door.feed(Failure(request.epoch, "engine", error))
            return
        self._requests.want(request)
        self._tell_opened(request)
        self._ask_next()

    def _ask_next(self) -> None:
        """Tell the engine what is wanted next, if it is open and silent."""
        engine = self._engine
        if engine is None or self._failed is not None or self._worker is None:
            return
        request = self._requests.next()
        if request is not None and request.tell is not None:
            self._order(lambda: self._tell(engine, request))

    async def _tell(self, engine: Engine, request: Request) -> None:
        request.is_told = True
        if request.tell is not None:
            await request.tell(engine)

    def _order(self, work: Callable[[], Awaitable[None]]) -> None:
        self._waiting += 1
        self._orders.put_nowait(work)

    async def _work(self, orders: asyncio.Queue[Callable[[], Awaitable[None]]]) -> None:
        while True:
            work = await orders.get()
            try:
                with self._door.reporting("engine", None):
                    await work()
            finally:
                if orders is self._orders:
                    self._waiting -= 1
                self._door.progressed()

    # --- what it does

    async def _follow(self, engine: Engine) -> None:
        ended: deque[float] = deque(maxlen=_ENDINGS)
        since = self._door.clock.now_ms()
        try:
            while True:
                lost = await self._converse(engine)
                now = self._door.clock.now_ms()
                if lost is not None and now - since < STEADY_MS:
                    raise lost
                ended.append(now)
                if len(ended) == _ENDINGS and now - ended[0] < STEADY_MS:
                    raise lost or PatterError("The engine ends every conversation at once.", hint=_GONE_HINT)
                since = now
                await self._begin_anew(engine, lost)
        except Exception as error:  # noqa: BLE001  # an engine may be anybody's, and raise anything
            self._fail(engine, as_patter_error("engine", error))

    async def _converse(self, engine: Engine) -> ConnectionFailed | None:
        """Take what the engine does until its conversation ends; why, if it was lost."""
        taking = EngineEvents(self._door, engine, self._requests, self._axis, self._order, self._ask_next)
        try:
            async with closing(engine.events()) as events:
                async for event in events:
                    taking.take(event)
                    self._door.progressed()
        except ConnectionFailed as error:
            return error
        return None

    async def _begin_anew(self, engine: Engine, lost: ConnectionFailed | None) -> None:
        """Open the conversation again, with what was said. What the engine was in the middle of is lost."""
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._worker, self._orders, self._waiting = None, asyncio.Queue(), 0
        for request in self._requests.lose():
            error = lost or ConnectionFailed("The engine ended the conversation in the middle of an answer.", hint="Ask again.")
            self._door.feed(Failure(request.epoch, "engine", error))
        self._door.feed(EngineVoice(False, self._axis.newest))  # what it heard of the person goes with it, and is never answered
        meant, history = self._door.agent, self._said_before()
        await self._open(engine, meant, history)
        self._begin_work(meant, history)
        self._tell_opened(self._requests.front)
        self._ask_next()

    def _fail(self, engine: Engine, error: PatterError) -> None:
        """The engine is gone: whatever it owes will not come."""
        self._failed = error
        if self._worker is not None:
            self._worker.cancel()
        self._worker, self._waiting = None, 0
        self._door.tasks.spawn(engine.aclose(), "closing the engine", quiet=True)
        self._requests.drop()
        self._door.feed(EngineGone(error))

    # --- its end

    async def aclose(self) -> None:
        """Let the engine go."""
        await self._close()

    def _leave(self) -> None:
        """Take no more from the engine that runs, and tell it no more."""
        if self._engine is not None:
            self._left.append(self._engine)
        self._engine, self._failed = None, None
        for task in (self._worker, self._follower):
            if task is not None:
                task.cancel()
        self._worker, self._follower, self._orders, self._waiting = None, None, asyncio.Queue(), 0
        self._requests.drop()

    async def _close(self) -> None:
        if self._engine is not None:
            self._leave()
        left, self._left = self._left, []
        for engine in left:
            await engine.aclose()


def _words_of(message: Message) -> tuple[Message, ...]:
    """What was said with a round of calls."""
    return (assistant_message(text),) if (text := message.get("content")) else ()


def _retold(calls: Message, results: Mapping[str, str]) -> str:
    """What calls brought that another model made, for an engine that takes over and knows nothing of them."""
    made = [(call["function"]["name"], call["function"]["arguments"], results[call["id"]]) for call in calls["tool_calls"]]
    told = "\n".join(f"{name}({arguments}) gave: {result}" for name, arguments, result in made)
    return f"These tools were called for that, and you have their results. Answer with them:\n{told}"

"""VAD -> STT -> LLM with tools -> TTS, or an engine in their place: the stages of a session, and which carries out which effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Protocol, runtime_checkable

from patter_nb.agent import Agent
from patter_nb.audio.frames import Frame
from patter_nb.errors import PatterError
from patter_nb.events import Stage
from patter_nb.llm.base import costs_of, warm
from patter_nb.pipeline.door import Door
from patter_nb.pipeline.engaged import Engaged
from patter_nb.pipeline.judge import Judge
from patter_nb.pipeline.listener import Listener
from patter_nb.pipeline.speaker import Speaker
from patter_nb.pipeline.thinker import Thinker
from patter_nb.pricing import load_prices
from patter_nb.step.effects import (
    AskLLM,
    Cancel,
    CancelTool,
    CheckWords,
    CloseLLM,
    Effect,
    EndSound,
    FinalizeWords,
    Follow,
    JudgeTurn,
    Listen,
    RunTool,
    Speak,
    StopListening,
)
from patter_nb.step.inputs import Failure
from patter_nb.tools.mcp import McpTools


@runtime_checkable
class Warmable(Protocol):
    """A provider that can load its model or open its connection ahead of time."""

    async def warmup(self) -> None: ...


class Pipeline:
    """Carries out a session's effects with the providers of its agent, and brings their answers back through the door."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._listener = Listener(door)
        self._judge = Judge(door)
        self._thinker = Thinker(door)
        self._speaker = Speaker(door)
        self._engaged = Engaged(door)
        self._lent = McpTools()
        self._adopting = asyncio.Lock()
        self._adopted: Agent | None = None

    @property
    def busy(self) -> bool:
        """Whether any stage works on something that will answer."""
        working = self._listener.busy or self._judge.busy or self._thinker.busy or self._speaker.busy or self._engaged.busy
        return self._adopting.locked() or working

    async def start(self, agent: Agent) -> tuple[Agent, list[PatterError]]:
        """Load what can be loaded ahead of an agent's parts, and hear with its ears. Raises what fails at that.

        Gives the agent with the tools that its servers lend, and an error for each server that lends none.
        """
        failures = await self._lent.connect(agent.mcp_servers)
        agent = self.equipped(agent)
        for _, take in self._parts(agent):
            await take()
        return agent, failures

    def equipped(self, agent: Agent) -> Agent:
        """The agent with the tools that its servers lend, and with no others that were lent. Raises `PatterConfigError` for a clash."""
        tools = self._lent.equipped(agent.tools, agent.mcp_servers)
        return agent if tools == agent.tools else agent.replace(tools=tools)

    async def drop_clashing(self, agent: Agent) -> None:
        """Leave out each server that lends a tool of a name that another has, and report it."""
        for error in await self._lent.drop_clashing(agent.tools, agent.mcp_servers):
            self._door.feed(Failure(None, "tool", error))

    def turn_to(self, agent: Agent) -> None:
        """From now on this agent's parts are meant, though they are still to be prepared."""
        self._engaged.turn_to(agent)

    async def adopt(self, agent: Agent) -> None:
        """Do the same for a new agent in a live session. What fails is reported, and the rest goes on.

        The other stages take their parts from the door, whenever they begin something.
        """
        async with self._adopting:
            before = self._adopted
            if before is None or agent.mcp_servers is not before.mcp_servers:
                with self._door.reporting("tool", None):
                    for error in await self._lent.connect(agent.mcp_servers):
                        self._door.feed(Failure(None, "tool", error))
            for stage, take in self._parts(agent):
                with self._door.reporting(stage, None):
                    await take()

    def _parts(self, agent: Agent) -> tuple[tuple[Stage, Callable[[], Awaitable[None]]], ...]:
        before, self._adopted = self._adopted, agent
        return (
            ("session", lambda: _warm_up(agent, before)),
            ("vad", lambda: self._listener.adopt_detector(agent.vad if agent.engine is None else None)),
            ("stt", lambda: self._listener.adopt_recogniser(agent.stt if agent.engine is None else None)),
            ("turn_detector", lambda: self._judge.adopt(agent.turn_taking.detector)),
            ("engine", lambda: self._engaged.adopt(agent)),
        )

    async def probability(self, frame: Frame) -> float | None:
        """The probability that a frame of the person's sound is voice, or None where nothing measures it: an engine does so by itself."""
        self._engaged.hear(frame)
        return await self._listener.probability(frame)

    def hear(self, frame: Frame, probability: float) -> None:
        """Take in a frame of the person's sound, which is voice with this probability."""
        self._judge.hear(frame)
        self._listener.hear(frame, probability)

    def carry_out(self, effect: Effect) -> None:  # noqa: C901, PLR0912  # one case for each effect
        """Start what the effect asks for. Never waits."""
        engaged = self._door.agent.engine is not None
        match effect:
            case Speak() if engaged:
                self._engaged.speak(effect)
            case AskLLM() if engaged:
                self._engaged.ask(effect)
            case EndSound():
                self._engaged.end_sound()
            case Follow():
                self._engaged.follow(effect)
            case Speak():
                self._speaker.speak(effect)
            case AskLLM():
                self._thinker.ask(effect)
            case CheckWords():
                self._thinker.check(effect)
            case RunTool():
                self._thinker.run_tool(effect)
            case CancelTool(turn, id):
                self._thinker.cancel_tool(turn, id)
            case CloseLLM():
                self._thinker.close_stream()
            case Cancel():
                self._thinker.cancel()
                self._speaker.cancel()
                self._engaged.cancel(effect)
            case Listen():
                self._listener.listen()
            case FinalizeWords():
                self._listener.finalize()
            case StopListening():
                self._listener.stop_listening()
            case JudgeTurn():
                self._judge.judge(effect)
            case _:
                raise AssertionError(f"{type(effect).__name__} is not a pipeline's business")

    def settle(self) -> None:
        """Have everything booked that was sent to ears and voice, before the session ends: after that nothing is logged."""
        self._listener.settle()
        self._speaker.settle()

    async def aclose(self) -> None:
        """End the stream of speech-to-text, and what tools were connected to.

        Models stay loaded, for the next session of the same agent: they go with their providers.
        """
        async with AsyncExitStack() as closing:
            for part in (self._lent, self._thinker, self._engaged, self._judge, self._listener):
                closing.push_async_callback(part.aclose)


async def _warm_up(agent: Agent, before: Agent | None) -> None:
    """Load what is to be loaded, all at once. Raises the first failure, after the rest."""
    for outcome in await asyncio.gather(*_warming(agent, before), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _warming(agent: Agent, before: Agent | None) -> list[Awaitable[None]]:
    """What is to be loaded for `agent` and was not for `before`. Beside an engine nothing else is."""
    if agent.engine is not None:
        fresh = before is None or agent.engine is not before.engine
        loading = [agent.engine.warmup()] if fresh and isinstance(agent.engine, Warmable) else []
        return [*loading, *_prices(agent.engine)] if fresh else []
    if before is not None and before.engine is not None:
        before = None
    pairs: tuple[tuple[object, object], ...] = (
        (agent.stt, before and before.stt),
        (agent.tts, before and before.tts),
        (agent.vad, before and before.vad),
        (agent.turn_taking.detector, before and before.turn_taking.detector),
    )
    warming: list[Awaitable[None]] = [part.warmup() for part, old in pairs if part is not old and isinstance(part, Warmable)]
    if before is None or agent.llm is not before.llm or agent.tools != before.tools:
        warming.append(warm(agent.llm, [tool.spec() for tool in agent.tools]))
    return [*warming, *_prices(*(part for part, old in pairs[:2] if part is not old))]


def _prices(*parts: object) -> list[Awaitable[None]]:
    """What parts that cost are charged for is booked in mid-conversation: nobody is to wait for the prices then."""
    return [asyncio.to_thread(load_prices)] if any(part is not None and costs_of(part) for part in parts) else []

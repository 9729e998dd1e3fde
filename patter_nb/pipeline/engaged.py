"""An engine as the stage of a session: what it is told of the effects, and what its events are as inputs.

An answer belongs to the epoch it was asked in, or in which the session took up what the engine said unasked; sound of one that is over
is dropped by the step function like any other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from patter_nb.agent import Agent
from patter_nb.audio.frames import SAMPLE_RATE, Frame, Pcm
from patter_nb.audio.resampling import Resampler
from patter_nb.engines.base import AnswerBegan, AnswerChunk, AnswerEnded, AnswerSound, Engine, EngineEvent, Heard, VoiceBegan, VoiceEnded
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.llm.base import LLMChunk
from patter_nb.pipeline.door import Door, within
from patter_nb.pipeline.guarding import Guard
from patter_nb.pipeline.sentences import SentenceState, flush, push
from patter_nb.step.effects import AskLLM, Cancel, Follow, Speak
from patter_nb.step.inputs import (
    AudioMade,
    ChunkArrived,
    EngineAnswers,
    EngineBlocked,
    EngineSound,
    EngineVoice,
    EngineWords,
    Failure,
    PieceChecked,
    PieceSpoken,
    StreamEnded,
)
from patter_nb.tasks import closing

_GIVEN_UP: Final = -1
"""The epoch of what nobody wants any more."""


@dataclass(slots=True)
class _Asked:
    """What the session asked the engine for: an answer to request `round`, or (`piece`) to say one."""

    epoch: int
    round: int = 0
    piece: int | None = None
    resampler: Resampler | None = None
    draft: SentenceState = field(default_factory=SentenceState)
    guard: Guard = field(default_factory=Guard)


class Engaged:
    """Runs the engine of one session, if its agent has one. Orders are carried out strictly one after the other."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._engine: Engine | None = None
        self._orders: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._waiting = 0
        self._asked: deque[_Asked] = deque()
        self._answers: dict[str, _Asked] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._failed: PatterError | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being told to the engine, or it answers."""
        return self._waiting > 0 or bool(self._asked) or bool(self._answers)

    async def adopt(self, agent: Agent) -> None:
        """Be engaged by this agent: its engine is opened, told what has changed, or closed. Raises what fails at opening."""
        engine = agent.engine
        if engine is not None and engine is self._engine and self._failed is None:
            self._order(lambda: engine.update(agent))
            return
        await self._close()
        if engine is None:
            return
        await engine.open(agent, self._door.history())
        self._engine, self._failed = engine, None
        self._workers = [
            self._door.tasks.spawn(self._work(), "telling the engine", quiet=True),
            self._door.tasks.spawn(self._follow(engine), "hearing the engine", quiet=True),
        ]

    def hear(self, frame: Frame) -> None:
        """A frame of the person's sound."""
        engine = self._engine
        if engine is not None and self._failed is None:
            self._order(lambda: engine.push(frame))

    def ask(self, asked: AskLLM) -> None:
        """Have the engine answer what was typed, or go on with the results of its calls."""
        behind = [*takewhile(lambda message: message["role"] == "tool", reversed(asked.messages))]
        results = [(message["tool_call_id"], message["content"]) for message in reversed(behind)]
        text = str(asked.messages[-1].get("content") or "")
        self._ask(_Asked(asked.epoch, asked.round), lambda engine: engine.send_tool_result(results) if results else engine.send_text(text))

    def speak(self, asked: Speak) -> None:
        """Have the engine say a text by itself."""
        self._door.feed(PieceChecked(asked.epoch, asked.index, asked.text))
        self._ask(_Asked(asked.epoch, piece=asked.index), lambda engine: engine.say(asked.text))

    def follow(self, given: Follow) -> None:
        """An answer that the engine gives by itself is this turn's."""
        self._answers[given.id] = _Asked(given.epoch, given.round)

    def cancel(self, given: Cancel) -> None:
        """Have the engine be silent, and forget what was not heard of what it said."""
        engine, answering = self._engine, bool(self._answers or self._asked)
        if engine is None or self._failed is not None:
            return
        self._answers.clear()
        self._asked = deque(_Asked(_GIVEN_UP) for _ in self._asked)  # their answers will come, and are nobody's
        if answering:
            self._order(engine.cancel)
        if (heard := given.heard) is not None:
            played_ms = heard * 1000 / self._door.transport.output.sample_rate
            self._order(lambda: engine.truncate(played_ms))

    def _ask(self, asked: _Asked, tell: Callable[[Engine], Awaitable[None]]) -> None:
        engine = self._engine
        if engine is None or self._failed is not None:
            error = self._failed or PatterConfigError("The engine is not open.", hint="Set it again: session.engine = ...")
            self._door.feed(Failure(asked.epoch, "engine", error))
            return
        self._asked.append(asked)
        self._order(lambda: tell(engine))

    def _order(self, work: Callable[[], Awaitable[None]]) -> None:
        self._waiting += 1
        self._orders.put_nowait(work)

    async def _work(self) -> None:
        while True:
            work = await self._orders.get()
            try:
                with self._door.reporting("engine", None):
                    await work()
            finally:
                self._waiting -= 1
                self._door.progressed()

    async def _follow(self, engine: Engine) -> None:
        try:
            async with closing(engine.events()) as events:
                async for event in events:
                    self._take(event)
                    self._door.progressed()
        except PatterError as error:
            self._fail(error)
        else:
            self._fail(PatterError("The engine ended the conversation.", hint="Set it again: session.engine = ..."))

    def _fail(self, error: PatterError) -> None:
        """The engine is gone: whatever it owes will not come."""
        self._failed = error
        epochs = {asked.epoch for asked in (*self._answers.values(), *self._asked)} - {_GIVEN_UP}
        self._answers.clear()
        self._asked.clear()
        for epoch in epochs or (None,):
            self._door.feed(Failure(epoch, "engine", error))

    def _take(self, event: EngineEvent) -> None:  # one case for each event
        match event:
            case VoiceBegan(at_ms):
                self._door.feed(EngineVoice(True, round(at_ms * SAMPLE_RATE / 1000)))
            case VoiceEnded(at_ms):
                self._door.feed(EngineVoice(False, round(at_ms * SAMPLE_RATE / 1000)))
            case Heard(text, is_final):
                self._door.feed(EngineWords(text, is_final))
            case AnswerBegan(id, asked):
                self._begin(id, asked)
            case AnswerChunk(id, chunk) if id in self._answers:
                self._chunk(self._answers[id], chunk)
            case AnswerSound(id, pcm) if id in self._answers:
                self._sound(self._answers[id], self._resampler(self._answers[id]).push(pcm))
            case AnswerEnded(id, reason) if id in self._answers:
                self._end(self._answers.pop(id), reason)

    def _resampler(self, asked: _Asked) -> Resampler:
        if asked.resampler is None:
            assert self._engine is not None
            asked.resampler = Resampler(self._engine.output_format.sample_rate, self._door.transport.output.sample_rate)
        return asked.resampler

    def _begin(self, id: str, asked: bool) -> None:
        if not asked:
            self._door.feed(EngineAnswers(id))
            return
        asked_for = self._asked.popleft() if self._asked else None
        if asked_for is not None and asked_for.epoch != _GIVEN_UP:
            self._answers[id] = asked_for
        elif self._engine is not None:
            self._order(self._engine.cancel)

    def _chunk(self, asked: _Asked, chunk: LLMChunk) -> None:
        if asked.piece is not None:
            return
        self._door.feed(ChunkArrived(asked.epoch, asked.round, chunk))
        if chunk.type == "text" and self._door.agent.guardrails:
            asked.draft, sentences = push(asked.draft, chunk.content or "")
            self._check(asked, sentences)

    def _check(self, asked: _Asked, sentences: Sequence[str]) -> None:
        """Have what the engine says checked, sentence by sentence, while it says it."""
        for sentence in sentences:
            self._order(lambda text=sentence: self._checked(asked, text))  # type: ignore[misc]  # a default binds it

    async def _checked(self, asked: _Asked, text: str) -> None:
        with within("guardrail"):
            hit = await asked.guard.hit(self._door.agent.guardrails, text)
        if hit is not None:
            self._door.feed(EngineBlocked(asked.epoch, hit))

    def _sound(self, asked: _Asked, pcm: Pcm) -> None:
        if not len(pcm):
            return
        if asked.piece is None:
            self._door.feed(EngineSound(asked.epoch, asked.round, pcm))
        else:
            self._door.feed(AudioMade(asked.epoch, asked.piece, pcm))

    def _end(self, asked: _Asked, reason: str) -> None:
        self._sound(asked, self._resampler(asked).flush())
        if asked.piece is not None:
            self._door.feed(PieceSpoken(asked.epoch, asked.piece))
            return
        self._check(asked, flush(asked.draft))
        self._door.feed(ChunkArrived(asked.epoch, asked.round, LLMChunk("done", finish_reason=reason)))
        self._door.feed(StreamEnded(asked.epoch, asked.round))

    async def aclose(self) -> None:
        """Let the engine go."""
        await self._close()

    async def _close(self) -> None:
        engine, self._engine = self._engine, None
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers, self._orders, self._waiting = [], asyncio.Queue(), 0
        self._asked.clear()
        self._answers.clear()
        if engine is not None:
            await engine.aclose()

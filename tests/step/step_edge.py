"""A simulated edge: it keeps what the effects asked for, and answers whatever the test picks next, in any order.

`feed` steps once and checks what must hold after every step; whoever drives it chooses what happens. It is a witness of its
own: what was said, sent, called and heard is gathered from events and effects, not from the state.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import parts_sum
from history_rules import faults, request_faults

from patter_nb.agent import Agent, Filler
from patter_nb.audio.frames import AudioFormat, Frame, Pcm
from patter_nb.errors import PatterError
from patter_nb.events import (
    AudioSent,
    Body,
    Event,
    InputChecked,
    PreemptiveDropped,
    PreemptiveStarted,
    SentenceChecked,
    SentenceReady,
    ToolCalled,
    ToolEnded,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
)
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.llm.rounds import MAX_ROUNDS
from patter_nb.step import State, next_due_ms, step
from patter_nb.step import effects as fx
from patter_nb.step.inputs import (
    AudioMade,
    ChunkArrived,
    Due,
    Failure,
    FrameHeard,
    Input,
    Judged,
    PieceChecked,
    PieceSpoken,
    Resume,
    Start,
    Stop,
    StreamEnded,
    Swap,
    ToolFinished,
    WordsChecked,
)
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import Played
from patter_nb.turns import Turns
from patter_nb.vad.energy import EnergyVAD

RATE = 16_000
LETTER = RATE // 50
"""Samples of simulated voice for one letter."""


class Model:
    """A language model that only has a name: the edge answers for it."""

    costs = False

    def __init__(self, model: str = "one") -> None:
        self.provider, self.model = "double", model

    async def stream(self, messages: Any, tools: Any = None, **options: Any) -> AsyncIterator[str]:
        raise AssertionError("the edge answers for the model")
        yield ""


class Ear:
    """A speech-to-text that is never called."""

    async def open(self, format: AudioFormat) -> None:
        raise AssertionError

    async def push(self, frame: Frame) -> None:
        raise AssertionError

    async def transcripts(self) -> AsyncIterator[Transcript]:
        raise AssertionError
        yield

    async def finalize(self) -> None:
        raise AssertionError

    async def aclose(self) -> None:
        raise AssertionError


class Judge:
    """A turn detector that only has its numbers: the edge judges for it."""

    threshold, hold_ms = 0.5, 1200.0

    def probability(self, pcm: Pcm) -> float:
        raise AssertionError("the edge judges")


class Mouth:
    """A text-to-speech that is never called."""

    format = AudioFormat(RATE)

    async def synthesize(self, text: Any) -> AsyncIterator[Pcm]:
        raise AssertionError
        yield np.zeros(0, np.int16)

    async def aclose(self) -> None:
        raise AssertionError


def agent(**parts: Any) -> Agent:
    """An agent of doubles that hears and speaks."""
    return Agent(**{"llm": Model(), "stt": Ear(), "tts": Mouth(), "vad": EnergyVAD(), **parts})


def talkative() -> Agent:
    """An agent that greets, fills, and apologises."""
    filler = Filler("One moment.", 700.0)
    return agent(system_prompt="Be kind.", first_message="Hello there, I am here.", error_message="Sorry about that.", filler=filler)


def words(text: str) -> list[str]:
    """Words, and each character of a script that is written without spaces."""
    return re.findall(r"[\u3000-\uffef]|[^\s\u3000-\uffef]+", text)


@dataclass
class Stream:
    """A request that the model has not answered completely."""

    asked: fx.AskLLM


@dataclass
class Witnessed:
    """What is known of one turn from events alone."""

    status: str = "running"
    heard: str | None = None
    asks: int = 0
    pieces: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def said(self) -> list[str]:
        return words("".join(text for _, (kind, text) in sorted(self.pieces.items()) if kind != "filler"))


class Edge:
    """Drives `step`, keeps what is owed to it, and checks every step."""

    def __init__(self, agent: Agent, *, plays: bool = True, start: bool = True) -> None:
        self.state = State(agent)
        self.now_ms = 0.0
        self.frame = 0
        self.checks: list[fx.CheckWords] = []
        self.streams: list[Stream] = []
        self.tools: list[fx.RunTool] = []
        self.pieces: list[fx.Speak] = []
        self.checked: dict[tuple[int, int], str] = {}
        self.finals = 0
        self.judgements: list[fx.JudgeTurn] = []
        self.early: dict[int, Witnessed] = {}
        self.position = 0
        self.playable = 0
        self.paused = False
        self.plays = plays
        self.events: list[tuple[int | None, Body]] = []
        self.effects: list[fx.Effect] = []
        self.folded = Turns()
        self.turns: dict[int, Witnessed] = {}
        self.open_calls: dict[tuple[int, str], str] = {}
        self.ended_calls: Counter[tuple[int, str]] = Counter()
        self.heard_words: list[str] = []
        self.swaps_now = 0
        self._ears = agent.stt
        if start:
            self.feed(Start(RATE, plays))

    # --- stepping

    def feed(self, given: Input, *, after_ms: float = 1.0) -> list[Body]:
        """Step once; returns what was logged."""
        self.now_ms += after_ms
        before, shown = self.state, repr(self.state)
        stepped = step(before, self.now_ms, given)
        again = step(before, self.now_ms, given)
        assert repr(before) == shown, "the state was mutated"
        assert repr(again) == repr(stepped), "the same input gave two outcomes"
        self.state = stepped.state
        self._check_stale(before, given, stepped.effects)
        if isinstance(given, Swap) and given.when == "now":
            self.swaps_now += 1
        for effect in stepped.effects:
            self._carry_out(effect, given)
        for happened in stepped.events:
            self.events.append((happened.turn, happened.body))
            self._witness(happened.turn, happened.body)
            seq = len(self.events)
            self.folded.fold(Event(seq, self.now_ms, self.now_ms / 1000, happened.epoch, happened.turn, happened.body))
        if stepped.events:
            parts_sum.check_all(self.folded[-2:])
        self._check()
        return [happened.body for happened in stepped.events]

    def _carry_out(self, effect: fx.Effect, given: Input) -> None:  # noqa: C901, PLR0912  # one case for each effect
        self.effects.append(effect)
        match effect:
            case fx.CheckWords():
                self.checks.append(effect)
            case fx.AskLLM(epoch, turn, _, messages):
                assert not self.streams, "two requests are open"
                assert epoch == self.state.epoch
                assert not request_faults(messages), (request_faults(messages), messages)
                self._check_words(messages)
                at = self.turns.get(turn) or self.early[turn]
                at.asks += 1
                assert at.asks <= MAX_ROUNDS + self.swaps_now
                self.streams.append(Stream(effect))
            case fx.CloseLLM(epoch):
                self.streams = [s for s in self.streams if s.asked.epoch != epoch]
            case fx.RunTool():
                assert self.state.answers, "a tool runs before there is a turn"
                self.tools.append(effect)
            case fx.CancelTool(turn, id):
                self.tools = [t for t in self.tools if (t.turn, t.request.id) != (turn, id)]
            case fx.Speak():
                assert self.state.answers, "something is spoken before there is a turn"
                self.pieces.append(effect)
            case fx.Cancel(epoch):
                assert epoch < self.state.epoch, "what is cancelled is over"
                self.checks = [c for c in self.checks if c.epoch != epoch]
                self.streams = [s for s in self.streams if s.asked.epoch != epoch]
                self.pieces = [p for p in self.pieces if p.epoch != epoch]
            case fx.Play(block):
                assert isinstance(given, AudioMade)
                assert block.start == self.playable, "blocks follow each other without gaps"
                self.playable += len(block.pcm)
            case fx.FlushPlayback():
                self.position, self.paused = self.playable, False
            case fx.PausePlayback():
                self.paused = True
            case fx.ResumePlayback():
                self.paused = False
            case fx.FinalizeWords():
                self.finals += 1
            case fx.JudgeTurn():
                self.judgements = [effect]
            case fx.Adopt(agent):
                self.finals = self.finals if agent.stt is self._ears else 0
                self._ears = agent.stt
            case fx.Shutdown():
                assert self.state.life == "stopped"

    # --- what must hold

    def _check_stale(self, before: State, given: Input, effects: tuple[fx.Effect, ...]) -> None:
        answers = WordsChecked, ChunkArrived, StreamEnded, PieceChecked, AudioMade, PieceSpoken
        if isinstance(given, answers) and given.epoch != before.epoch:
            assert not effects, f"{given} is of epoch {given.epoch}, not {before.epoch}"
            assert self.state.dropped == before.dropped + 1

    def _check_words(self, messages: tuple[Message, ...]) -> None:
        """The person's words are there once; so are those of every turn before."""
        said = " ".join(str(message["content"]) for message in messages if message["role"] == "user").split()
        tokens = Counter(word for word in said if word.startswith("word"))
        assert set(tokens.values()) <= {1}, f"said more than once: {tokens}"
        assert tokens, "the person's words are missing"

    def _witness(self, turn: int | None, body: Body) -> None:  # noqa: C901  # one case for each event
        at = self.turns.get(turn or 0, self.early.get(turn or 0))
        match body:
            case PreemptiveStarted():
                assert turn is not None
                assert at is None, "begun early twice, or when it was begun"
                self.early[turn] = Witnessed()
            case PreemptiveDropped():
                assert turn is not None
                del self.early[turn]
            case TurnStarted():
                assert turn is not None
                assert turn not in self.turns, "a turn began twice"
                self.turns[turn] = self.early.pop(turn, Witnessed())
            case TurnOffered():
                assert at is not None
                at.status = "offered"
            case TurnAccepted():
                assert at is not None
                assert at.status == "offered"
                at.status = "running"
            case TurnEnded(status):
                assert at is not None
                assert at.status == "running", f"a turn that is {at.status} ended"
                at.status = status
            case TurnHeard(text):
                assert at is not None
                assert at.status not in ("running", "offered"), "heard before it ended"
                assert at.heard is None, "heard twice"
                at.heard = text
                heard = words(text)
                assert heard == at.said[: len(heard)], f"heard {heard}, said {at.said}"
                self.heard_words += heard
            case SentenceReady(index, _, text, kind):
                assert at is not None
                at.pieces[index] = (kind, text)
            case SentenceChecked(index, text):
                assert at is not None
                at.pieces[index] = (at.pieces[index][0], text)
            case ToolCalled(id, name):
                assert turn is not None
                assert (turn, id) not in self.open_calls
                assert (turn, id) not in self.ended_calls
                self.open_calls[turn, id] = name
            case ToolEnded(id, name):
                assert turn is not None
                assert self.open_calls.pop((turn, id)) == name
                self.ended_calls[turn, id] += 1
            case AudioSent() | InputChecked():
                assert at is not None
                assert at.heard is None

    def _check(self) -> None:
        state = self.state
        assert not faults(state.history), (faults(state.history), state.history)
        agent_words = words(" ".join(m["content"] or "" for m in state.history if m["role"] == "assistant"))
        assert agent_words == self.heard_words, "history holds what was heard"
        running = [number for number, turn in self.turns.items() if turn.status == "running"]
        unheard = [number for number, turn in self.turns.items() if turn.heard is None and turn.status != "offered"]
        assert len(unheard) <= 1, f"turns {unheard} are unanswered"
        assert running in ([], unheard)
        assert unheard == ([state.answer.turn] if state.answer and state.answers else [])
        assert [*self.early] == ([state.answer.turn] if state.answer and not state.answers else [])
        if not unheard:
            assert not self.open_calls
        assert state.voice.sent == self.playable
        if state.life == "stopped":
            assert not unheard
            assert next_due_ms(state) is None

    # --- what an edge does

    def frames(self, probability: float, ms: int, *, late_ms: float = 0.0) -> None:
        """The person's sound for `ms`, with playback going on meanwhile if nobody pauses it."""
        for _ in range(ms // 20):
            self.feed(FrameHeard(self.frame, probability, late_ms), after_ms=20.0)
            self.frame += 1

    def final(self, text: str) -> list[Body]:
        """Speech-to-text answers a request for the words so far."""
        assert self.finals, "nobody asked for words"
        self.finals -= 1
        return self.feed(Transcript(text, is_final=True))

    def partial(self, text: str) -> list[Body]:
        return self.feed(Transcript(text, is_final=False))

    def judge(self, probability: float | None) -> list[Body]:
        """The turn detector judges the pause that it was asked about last."""
        asked = self.judgements.pop()
        return self.feed(Judged(asked.last, probability))

    def check_words(self, **changes: Any) -> list[Body]:
        """The person's words pass, or become what `changes` says."""
        asked = self.checks.pop(0)
        messages = changes.pop("messages", (*asked.before, {"role": "user", "content": changes.get("text", asked.text)}))
        return self.feed(WordsChecked(asked.epoch, **{"text": asked.text, "messages": _merged(messages), **changes}))

    def chunk(self, chunk: LLMChunk | str) -> list[Body]:
        """The model sends a chunk, or text."""
        asked = self.streams[0].asked
        return self.feed(ChunkArrived(asked.epoch, asked.round, LLMChunk("text", content=chunk) if isinstance(chunk, str) else chunk))

    def call(self, name: str, arguments: str = "{}", *, index: int = 0, id: str | None = None) -> list[Body]:
        """The model calls a tool."""
        return self.chunk(LLMChunk("tool_call", index=index, id=id, name=name, arguments=arguments))

    def end_stream(self) -> list[Body]:
        asked = self.streams.pop(0).asked
        return self.feed(StreamEnded(asked.epoch, asked.round))

    def answer(self, text: str) -> list[Body]:
        """The model answers with `text`, whole."""
        return self.chunk(text) + self.end_stream()

    def fail(self, stage: Any, *, epoch: int | None = -1) -> list[Body]:
        """A stage fails, in this epoch if no other is given."""
        return self.feed(Failure(self.state.epoch if epoch == -1 else epoch, stage, PatterError(f"{stage} broke")))

    def end_tool(self, content: str = '{"ok": true}', *, status: Any = "completed") -> list[Body]:
        tool = self.tools.pop(0)
        return self.feed(ToolFinished(tool.turn, tool.request.id, status, content, None if status == "completed" else content))

    def check_piece(self, **changes: Any) -> list[Body]:
        piece = self.pieces[0]
        self.checked[piece.epoch, piece.index] = changes.get("text", piece.text)
        return self.feed(PieceChecked(piece.epoch, piece.index, **{"text": piece.text, **changes}))

    def sound(self, samples: int) -> list[Body]:
        """Some sound of the piece under way is made."""
        piece = self.pieces[0]
        return self.feed(AudioMade(piece.epoch, piece.index, np.zeros(samples, np.int16)))

    def end_piece(self) -> list[Body]:
        piece = self.pieces.pop(0)
        return self.feed(PieceSpoken(piece.epoch, piece.index))

    def speak(self) -> None:
        """The voice speaks everything it was given."""
        while self.pieces:
            if self.is_piece_checked:
                if self.state.agent.tts is not None:
                    self.sound(LETTER * len(self.pieces[0].text))
                self.end_piece()
            else:
                self.check_piece()

    @property
    def is_piece_checked(self) -> bool:
        return (self.pieces[0].epoch, self.pieces[0].index) in self.checked

    def play(self, samples: int | None = None) -> list[Body]:
        """Playback goes on, by `samples` or to the end, and says so."""
        assert not self.paused, "playback is paused"
        self.position = self.playable if samples is None else min(self.position + samples, self.playable)
        return self.feed(Played(self.position))

    def due(self) -> list[Body]:
        """Time passes until the next timer falls due."""
        due_ms = next_due_ms(self.state)
        assert due_ms is not None, "no timer runs"
        return self.feed(Due(due_ms), after_ms=max(due_ms - self.now_ms, 0.0))

    def stop(self) -> list[Body]:
        return self.feed(Stop("the test is over"))

    def settle(self, *, dead: bool = False) -> None:
        """Nobody does anything new: the edge answers what it owes (`dead`: only tools end), and time passes. Then all is at rest."""
        for silence_ms in (1400, 100):  # the second for what was judged only after the first
            self.frames(0.0, silence_ms)
            for _ in range(400):
                if not self._owed(dead):
                    break
        assert self.state.at_rest, f"not at rest: {self.state!r}"
        assert self.state.word == "ready"
        assert next_due_ms(self.state) is None
        assert not [turn for turn in self.turns.values() if turn.status == "running"]

    def _owed(self, dead: bool) -> bool:
        if dead and self.state.held:
            self.feed(Resume({}))
        elif self.tools:
            self.end_tool("failed", status="failed") if dead else self.end_tool()
        elif dead or not self._answer():
            if next_due_ms(self.state) is None:
                return False
            self.due()
        return True

    def _answer(self) -> bool:
        if self.finals:
            self.final("")
        elif self.judgements:
            self.judge(None)
        elif self.checks:
            self.check_words()
        elif self.streams:
            self.answer("That is all.")
        elif self.pieces:
            self.speak()
        elif self.state.held:
            self.feed(Resume({}))
        elif not self.paused and self.position < self.playable and self.plays:
            self.play()
        else:
            return False
        return True

    # --- what was logged and asked for

    def bodies(self, *kinds: type[Body]) -> list[Body]:
        return [body for _, body in self.events if isinstance(body, kinds)]

    def asked(self) -> list[fx.AskLLM]:
        return [effect for effect in self.effects if isinstance(effect, fx.AskLLM)]


def _merged(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What the edge does with neighbouring user messages."""
    *rest, last = messages
    if rest and rest[-1]["role"] == last["role"] == "user":
        return (*rest[:-1], {"role": "user", "content": f"{rest[-1]['content']}\n{last['content']}"})
    return tuple(messages)

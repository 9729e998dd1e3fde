"""Random interleavings of everything that can happen to a session: whatever the order, the rules hold and it comes to rest.

`Edge` checks after every step; here it is driven at random, by a person who speaks, types, mutes and swaps, and by stages that
answer late, in pieces, in nonsense order, from epochs that are over, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from step_edge import LETTER, Ear, Edge, Judge, Model, Mouth, agent, talkative

from patter_nb.agent import Agent
from patter_nb.errors import PatterError
from patter_nb.events import GuardrailHit, TurnStarted
from patter_nb.llm.base import LLMChunk
from patter_nb.pipeline.endpointing import Pausing
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.step import next_due_ms
from patter_nb.step.breakpoints import point_of
from patter_nb.step.inputs import (
    Accept,
    AudioMade,
    ChunkArrived,
    Due,
    Failure,
    FrameHeard,
    Input,
    Judged,
    PauseAt,
    PieceChecked,
    PieceSpoken,
    Resume,
    Say,
    StreamEnded,
    Swap,
    ToolFinished,
    WordsChecked,
)
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import LocalPause, Muted, Played, Typed
from patter_nb.vad.energy import EnergyVAD

TEXTS = [
    "Hello there, my friend. ",
    "It rains in Rome. ",
    "Let me see",
    "*",
    " ",
    "Dr. ",
    "你好。今天天气很好。",
    "",
    "And so on, without end. ",
]
CALLS = [
    LLMChunk("tool_call", index=0, id="a", name="get_weather", arguments='{"city": '),
    LLMChunk("tool_call", index=0, arguments='"Rome"}'),
    LLMChunk("tool_call", index=3, id="a", name="get_weather", arguments="{}"),
    LLMChunk("tool_call", index=1, name="set timer!", arguments="[1]"),
    LLMChunk("tool_call", id="call:1/é", arguments="{"),
    LLMChunk("tool_call"),
    LLMChunk("usage", input_tokens=3, output_tokens=1),
    LLMChunk("reasoning", content="Hm."),
    LLMChunk("done", finish_reason="stop"),
    LLMChunk("done", finish_reason="content_filter"),
    LLMChunk("text"),
]
STAGES = ["llm", "tts", "guardrail", "hook", "transform", "session"]


class Walk:
    """Turns numbers into what a person and an edge may do. Each act takes a number from 0 to 11 for its details."""

    def __init__(self, first: Agent, *, plays: bool) -> None:
        self.edge = Edge(first, plays=plays)
        self.words = 0
        self.gone: list[Input] = []
        self.agents = [
            first,
            talkative().replace(llm=first.llm, stt=first.stt, vad=first.vad),
            first.replace(llm=Model("two"), system_prompt="Be {mood}.", variables={"mood": "brief"}),
            first.replace(tts=None),
            first.replace(tts=Mouth()),
            first.replace(stt=Ear(), turn_taking=TurnTaking(half_duplex=True)),
            first.replace(stt=None, vad=None),
            first.replace(vad=EnergyVAD(), error_message="", first_message=""),
        ]
        self.acts: list[Callable[[int], None]] = [
            *[self.frames] * 7, *[self.transcript] * 4, *[self.check] * 10, *[self.chunk] * 16, *[self.end_stream] * 8,
            *[self.judge] * 4, self.breakpoints, *[self.resume] * 3,
            *[self.tool] * 8, *[self.voice] * 24, *[self.play] * 8, self.pause, self.mute, self.typed, self.typed, self.say, self.swap,
            self.fail, self.due, self.accept, self.late, self.late,
        ]  # fmt: skip

    def act(self, choice: int, detail: int) -> None:
        self.acts[choice % len(self.acts)](detail)

    def word(self) -> str:
        """A word that was never said before."""
        self.words += 1
        return f"word{self.words}"

    def frames(self, detail: int) -> None:
        probability = (0.9, 0.9, 0.0, 0.4)[detail % 4]
        self.edge.frames(probability, (20, 80, 240, 600)[detail // 3], late_ms=9000.0 if detail == 11 else 0.0)

    def transcript(self, detail: int) -> None:
        text = ("", "...", "", self.word())[detail % 4]
        if detail == 10:
            self.edge.feed(Transcript(self.word(), is_final=True))  # by itself
        elif detail > 7:
            self.edge.partial("wo")
        elif self.edge.finals:
            self.edge.final(text)

    def judge(self, detail: int) -> None:
        if self.edge.judgements:
            self.keep(Judged(self.edge.judgements[0].last, 0.9))
            self.edge.judge((0.9, 0.9, 0.1, None)[detail % 4])

    def breakpoints(self, detail: int) -> None:
        self.edge.feed(PauseAt(((), (), ("llm_request",), ("tool_call",), ("speak",), ("tool_call", "speak"))[detail % 6]))

    def resume(self, detail: int) -> None:
        held = self.edge.state.held
        point = point_of(held[0]) if held else None
        edits: dict[str | None, dict[str, object]] = {"tool_call": {"arguments": "{}"}, "speak": {"text": "Edited. "}}
        self.edge.feed(Resume({"result": "sunny"} if detail == 11 and point == "tool_call" else edits.get(point, {}) if detail > 8 else {}))

    def check(self, detail: int) -> None:
        if not self.edge.checks:
            return
        asked = self.edge.checks[0]
        self.keep(WordsChecked(asked.epoch, asked.text, ({"role": "user", "content": asked.text},)))
        if detail == 0:
            self.edge.check_words(text=None)
        elif detail == 1:
            self.edge.check_words(text=" ")
        elif detail == 2:
            self.edge.check_words(hit=GuardrailHit("no", "input", "I may not."))
        else:
            self.edge.check_words()

    def chunk(self, detail: int) -> None:
        if not self.edge.streams:
            return
        asked = self.edge.streams[0].asked
        chunk = CALLS[self.words % len(CALLS)] if detail > 8 else LLMChunk("text", content=TEXTS[detail])
        self.words += 1
        self.keep(ChunkArrived(asked.epoch, asked.round, chunk))
        self.edge.chunk(chunk)

    def end_stream(self, detail: int) -> None:
        if self.edge.streams:
            asked = self.edge.streams[0].asked
            self.keep(StreamEnded(asked.epoch, asked.round))
            if detail > 6:
                self.edge.call("get_weather", index=detail)
            self.edge.end_stream()

    def tool(self, detail: int) -> None:
        if self.edge.tools:
            self.edge.tools.append(self.edge.tools.pop(detail % len(self.edge.tools)))
            tool = self.edge.tools[0]
            self.keep(ToolFinished(tool.turn, tool.request.id, "completed", "late"))
            self.edge.end_tool("sunny", status=("completed", "failed")[detail % 2])

    def voice(self, detail: int) -> None:
        if not self.edge.pieces:
            return
        piece = self.edge.pieces[0]
        if not self.edge.is_piece_checked:
            self.keep(PieceChecked(piece.epoch, piece.index, piece.text))
            hit = GuardrailHit("no", "output", "I may not say. ")
            dropped = {} if piece.text[0] == " " else {"text": ""}  # a dropped piece takes its space along
            self.edge.check_piece(**({}, dropped, {"text": hit.replacement, "hit": hit})[max(detail - 9, 0)])
        elif detail < 8 and self.edge.state.agent.tts is not None:
            self.keep(AudioMade(piece.epoch, piece.index, np.zeros(320, np.int16)))
            self.edge.sound((0, 1, 320, LETTER * len(piece.text))[detail % 4])
        else:
            self.keep(PieceSpoken(piece.epoch, piece.index))
            self.edge.end_piece()

    def play(self, detail: int) -> None:
        if detail > 9:
            self.edge.feed(Played((0, 10**9)[detail - 10]))  # a cursor from before, or beyond all that was sent
        elif self.edge.plays and not self.edge.paused:
            self.edge.play((320, 1600, 8000, None)[detail % 4])

    def pause(self, detail: int) -> None:
        self.edge.paused = self.edge.plays
        if self.edge.plays:
            self.edge.feed(LocalPause(self.edge.position))

    def mute(self, detail: int) -> None:
        self.edge.feed(Muted(detail % 2 == 0))

    def typed(self, detail: int) -> None:
        self.edge.feed(Typed(" " if detail == 0 else self.word()))

    def say(self, detail: int) -> None:
        self.edge.feed(Say(" " if detail == 0 else "By the way, it is late. So good night."))

    def swap(self, detail: int) -> None:
        self.edge.feed(Swap(self.agents[(0, 1, 2, 3, 4, 5, 6, 7, 0, 4, 2, 0)[detail]], "now" if self.words % 2 else "turn"))

    def fail(self, detail: int) -> None:
        if detail > 8:
            self.edge.fail(("stt", "vad", "transport")[detail - 9], epoch=None)
        else:
            stage = STAGES[detail % len(STAGES)]
            if stage == "llm":
                self.edge.streams = []
            self.edge.fail(stage)

    def due(self, detail: int) -> None:
        if next_due_ms(self.edge.state) is not None:
            self.edge.due()
        elif detail == 0:
            self.edge.feed(Due(self.edge.now_ms))  # one that nothing waits for

    def accept(self, detail: int) -> None:
        offered = [number for number, turn in self.edge.turns.items() if turn.status == "offered"]
        self.edge.feed(Accept(offered[0] if offered else detail))

    def late(self, detail: int) -> None:
        """Something arrives that was under way when its question was given up."""
        gone = [old for old in self.gone if _is_over(self.edge, old)]
        if gone:
            self.edge.feed(gone[detail % len(gone)])

    def keep(self, given: Input) -> None:
        self.gone = [*self.gone[-11:], given]


def _is_over(edge: Edge, given: Any) -> bool:
    if isinstance(given, ToolFinished):
        return not any((tool.turn, tool.request.id) == (given.turn, given.id) for tool in edge.tools)
    if isinstance(given, Judged):
        return not isinstance(edge.state.ear, Pausing) or edge.state.ear.last != given.last
    return bool(given.epoch != edge.state.epoch)


FIRST = {
    "talkative": talkative,
    "terse": agent,
    "half duplex": lambda: talkative().replace(turn_taking=TurnTaking(half_duplex=True)),
    "preemptive": lambda: agent(turn_taking=TurnTaking(preemptive=True)),
    "preemptive and judged": lambda: talkative().replace(turn_taking=TurnTaking(preemptive=True, detector=Judge())),
    "without voice": lambda: talkative().replace(tts=None),
}
ACTS = st.lists(st.tuples(st.integers(0, 103), st.integers(0, 11)), min_size=20, max_size=120)
FIRSTS = st.sampled_from(sorted(FIRST))
walks = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])


def walked(first: str, plays: bool, acts: list[tuple[int, int]]) -> Walk:
    walk = Walk(FIRST[first](), plays=plays)
    for choice, detail in acts:
        walk.act(choice, detail)
    return walk


@walks
@given(FIRSTS, st.booleans(), ACTS)
def test_comes_to_rest_when_everything_is_answered(first: str, plays: bool, acts: list[tuple[int, int]]) -> None:
    walked(first, plays, acts).edge.settle()


@walks
@given(FIRSTS, st.booleans(), ACTS)
def test_comes_to_rest_when_nothing_is_answered_any_more(first: str, plays: bool, acts: list[tuple[int, int]]) -> None:
    walked(first, plays, acts).edge.settle(dead=True)


@walks
@given(FIRSTS, st.booleans(), ACTS, ACTS)
def test_stops_in_the_middle_of_everything(first: str, plays: bool, acts: list[tuple[int, int]], later: list[tuple[int, int]]) -> None:
    walk = walked(first, plays, acts)
    walk.edge.stop()
    assert not walk.edge.open_calls
    assert all(turn.status == "offered" or turn.heard is not None for turn in walk.edge.turns.values())
    logged = len(walk.edge.events)
    for choice, detail in later:
        walk.act(choice, detail)
    walk.edge.stop()
    assert len(walk.edge.events) == logged, "nothing happens after the end"


@pytest.mark.parametrize("given_first", [FrameHeard(0, 0.9), Typed("word1"), Due(0.0), Failure(None, "stt", PatterError("broke"))])
def test_nothing_happens_before_the_start(given_first: Input) -> None:
    edge = Edge(agent(), start=False)
    assert edge.feed(given_first) == []
    assert edge.state.word == "starting"
    assert not edge.bodies(TurnStarted)

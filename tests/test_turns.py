"""Turns as a fold over events: what was said, used and paid, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from talking import talking

from patter_nb.errors import ServerError
from patter_nb.events import (
    AudioSent,
    Body,
    Event,
    LLMChunked,
    LLMRequested,
    PlaybackStarted,
    SentenceChecked,
    SentenceReady,
    SpeechStarted,
    SpeechStopped,
    SpeechUsed,
    StageFailed,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
    TurnWords,
    UtteranceDropped,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.stt.base import Word
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.turn import ToolCall, Turn, parsed_arguments
from patter_nb.turns import Turns


def fold(happened: Iterable[tuple[float, int | None, Body]]) -> Turns:
    """The turns of these (wall_s, turn, body)."""
    turns = Turns()
    for seq, (wall_s, turn, body) in enumerate(happened):
        turns.fold(Event(seq, wall_s * 1000, wall_s, 1, turn, body))
    return turns


def asked(round: int = 1, *, costs: bool = False, model: str | None = "m") -> LLMRequested:
    return LLMRequested(round, "p", model, costs, (), 0, ())


def text(content: str, round: int = 1) -> LLMChunked:
    return LLMChunked(round, LLMChunk("text", content=content))


SPOKEN: list[tuple[float, int | None, Body]] = [
    (10.2, None, SpeechStopped(160_000, 200.0)),
    (10.3, None, TranscriptFinal("Weather?")),
    (10.5, 1, TurnStarted("speech", "Weather?")),
    (10.6, 1, asked()),
    (11.0, 1, LLMChunked(1, LLMChunk("tool_call", index=0, id="a", name="look", arguments="{}"))),
    (11.1, 1, ToolCalled("a", "look", "{}")),
    (11.1, 1, ToolCalled("b", "look", '{"x": 1}')),
    (11.4, 1, ToolEnded("b", "look", "completed", "found")),
    (11.6, 1, ToolEnded("a", "look", "failed", '{"error": "no"}', "no")),
    (11.6, 1, asked(2)),
    (12.0, 1, text("Sunny.", 2)),
    (12.1, 1, SentenceReady(0, 2, "Sunny.")),
    (12.1, 1, SentenceChecked(0, "Sunny!")),
    (12.3, 1, AudioSent(0, 0, 1600)),
    (12.4, 1, AudioSent(0, 1600, 3200)),
    (12.4, 1, TurnEnded("completed")),
    (12.5, 1, PlaybackStarted(0, 0.0)),
    (13.0, 1, TurnHeard("Sunny!")),
]


def test_a_turn_has_the_words_that_made_it_and_their_times() -> None:
    it, rains, cough, now, typed = (Word(text, at) for at, text in enumerate(("It", "rains.", "Hm.", "Now?", "on")))
    turns = fold(
        [
            (1.0, None, TranscriptFinal("It", None, (it,))),
            (2.0, None, TranscriptFinal("rains.", None, (rains,))),
            (2.5, 1, TurnStarted("speech", "It rains.")),
            (3.0, 1, TranscriptFinal("Hm.", None, (cough,))),
            (3.1, 1, UtteranceDropped("Hm.", "it came too late")),
            (4.0, None, TranscriptFinal("Now?", None, (now,))),
            (4.1, 2, TurnStarted("typed", "typed while they spoke")),
            (4.2, 2, TranscriptFinal("on", None, (typed,))),
            (4.3, 3, TurnStarted("speech", "Now? on")),
            (5.0, 4, TurnStarted("speech", "without times")),
        ]
    )
    assert [turn.words for turn in turns] == [(it, rains), (), (now, typed), ()]


def heard(seconds: float) -> SpeechUsed:
    return SpeechUsed("stt", "deepgram", "nova-3", True, seconds=seconds)


def test_what_was_heard_is_charged_to_the_turn_that_came_of_it() -> None:
    turns = fold(
        [
            (1.0, None, SpeechStarted(0)),
            (2.0, None, heard(3.0)),
            (2.5, 1, TurnStarted("speech", "It rains.")),
            (2.6, 1, heard(0.5)),  # the silence behind it
            (3.0, 1, SpeechStarted(0)),
            (3.1, 1, heard(1.0)),
            (3.2, 1, UtteranceDropped("", "a cough in the answer")),
            (3.3, 1, heard(0.25)),
            (4.0, 1, SpeechStarted(0)),
            (4.1, 1, heard(2.0)),
            (4.2, 2, TurnStarted("typed", "typed while they spoke")),
            (4.3, 3, TurnStarted("speech", "Stop.")),
            (5.0, None, SpeechStarted(0)),
            (5.1, None, heard(4.0)),
            (5.2, None, UtteranceDropped("", "a cough in silence")),
            (6.0, None, SpeechStarted(0)),
            (6.1, None, heard(8.0)),  # of what came of it nothing is known yet
        ]
    )
    assert [turn.usage.get("stt_seconds") for turn in turns] == [4.75, None, 2.0]
    assert [used.seconds for used, _ in turns.stray] == [4.0]
    assert sum(charge.cost or 0 for charge in turns.charges) == Decimal("0.0048") * Decimal("18.75") / 60
    assert {(charge.stage, charge.provider) for charge in turns.charges} == {("stt", "deepgram")}


def test_what_an_engine_heard_may_be_charged_when_its_turn_is_over() -> None:
    turns = fold(
        [
            (1.0, None, SpeechStarted(0)),
            (2.0, 1, TurnStarted("speech", "")),
            (2.1, 1, heard(1.0)),
            (3.0, 1, SpeechStarted(0)),
            (3.1, 2, TurnStarted("speech", "")),
            (4.0, 2, SpeechStarted(0)),
            (4.1, 2, heard(2.0)),
            (4.1, 2, TurnWords("Late.")),
        ]
    )
    assert [turn.usage for turn in turns] == [{"stt_seconds": 1.0}, {"stt_seconds": 2.0}]


@pytest.mark.parametrize("names", [{}, {"provider": "openai", "model": "gpt-4o-mini"}], ids=["unnamed", "of the same vendor"])
def test_what_a_model_used_that_took_over_from_an_engine_is_its_own(names: dict[str, str]) -> None:
    (turn,) = fold(
        [
            (1.0, 1, TurnStarted("speech", "Who are you?")),
            (1.1, 1, LLMRequested(1, "openai", "gpt-realtime", True, (), 0, (), "engine")),
            (1.2, 1, text("I am")),
            (2.0, 1, LLMRequested(1, "openai", "gpt-4o-mini", True, (), 0, ())),
            (2.1, 1, text("the model.")),
            (2.2, 1, LLMChunked(1, LLMChunk("usage", input_tokens=1000, output_tokens=1000, **names))),  # type: ignore[arg-type]
        ]
    )
    assert [request.usage and request.usage.output_tokens for request in turn.requests] == [None, 1000]
    assert turn.costs == {"llm": Decimal("0.00075"), "engine": None}


def test_an_engines_usage_finds_its_request_however_late() -> None:
    def engine(round: int, piece: int | None = None) -> LLMRequested:
        return LLMRequested(round, "openai", "gpt-realtime", True, (), 0, (), "engine", piece)

    def used(round: int, tokens: int, piece: int | None = None) -> LLMChunked:
        count = LLMChunk("usage", input_tokens=0, output_tokens=tokens, provider="openai", model="gpt-realtime")
        return LLMChunked(round, count, piece)

    (turn,) = fold(
        [
            (1.0, 1, TurnStarted("typed", "Go on.")),
            (1.1, 1, engine(1)),
            (1.2, 1, engine(0, 0)),
            (1.3, 1, engine(0, 1)),
            (2.0, 1, TurnEnded("interrupted")),
            (2.1, 1, used(0, 3, 1)),
            (2.2, 1, used(1, 1)),
            (2.3, 1, used(0, 2, 0)),
        ]
    )
    assert [request.usage and request.usage.output_tokens for request in turn.requests] == [1, 2, 3]
    assert turn.costs == {"engine": Decimal(6 * 16) / 1_000_000}


def test_a_spoken_turn_with_its_latencies() -> None:
    (turn,) = fold(SPOKEN)
    assert (turn.id, turn.source, turn.user_text, turn.agent_text, turn.heard_text) == (1, "speech", "Weather?", "Sunny!", "Sunny!")
    assert turn.latency == pytest.approx(
        {"endpointing": 500, "stt": 300, "llm_first_token": 400, "tools": 500, "tts_first_audio": 200, "playback": 200, "response": 2500},
        abs=0.11,
    )


def test_tools_that_run_on_while_the_voice_begins_are_counted_once() -> None:
    happened: list[tuple[float, int | None, Body]] = [
        (10.2, None, SpeechStopped(160_000, 200.0)),
        (10.5, 1, TurnStarted("speech", "Weather?")),
        (10.5, 1, asked()),
        (11.0, 1, text("Let me see. ")),
        (11.0, 1, SentenceReady(0, 1, "*")),
        (11.1, 1, SentenceReady(1, 1, "Let me see. ")),
        (11.1, 1, ToolCalled("a", "look", "{}")),
        (11.4, 1, AudioSent(1, 0, 1600)),
        (11.6, 1, PlaybackStarted(0, 0.0)),
        (14.0, 1, ToolEnded("a", "look", "completed", "found")),
    ]
    (turn,) = fold(happened)
    measured = {"endpointing": 500, "llm_first_token": 500, "tts_first_audio": 300, "playback": 200, "response": 1600}
    assert turn.latency == pytest.approx(measured, abs=0.11)


def test_tools_count_until_a_filler_sounds() -> None:
    (turn,) = fold(
        [
            *SPOKEN[:7],
            (11.3, 1, SentenceReady(0, 0, "One moment.", "filler")),
            (11.4, 1, AudioSent(0, 0, 1600)),
            (11.5, 1, PlaybackStarted(0, 0.0)),
            *SPOKEN[7:11],
            (12.1, 1, SentenceReady(1, 2, "Sunny.")),
            (12.3, 1, AudioSent(1, 1600, 3200)),
        ]
    )
    measured = {"llm_first_token": 400, "tools": 300, "filler": 900, "tts_first_audio": 200, "playback": 100, "response": 1500}
    assert turn.latency == pytest.approx({"endpointing": 500, "stt": 300, **measured}, abs=0.11)


def test_an_offered_turn_takes_nothing_from_the_one_that_runs() -> None:
    offer: list[tuple[float, int | None, Body]] = [(11.7, 2, TurnStarted("speech", "Hello")), (11.7, 2, TurnOffered("Hello", 6000))]
    (alone,), (running, _) = fold(SPOKEN), fold([*SPOKEN[:9], *offer, *SPOKEN[9:]])
    assert running.latency == alone.latency


def test_calls_at_once_take_as_long_as_the_longest() -> None:
    (turn,) = fold(SPOKEN)
    assert turn.tool_calls == [
        ToolCall("a", "look", {}, None, "no", "failed", 500.0),
        ToolCall("b", "look", {"x": 1}, "found", None, "completed", 300.0),
    ]


def test_rounds_of_calls_add_up() -> None:
    second = [
        (14.0, 1, ToolCalled("c", "look", "")),
        (14.2, 1, ToolEnded("c", "look", "cancelled", "{}", "interrupted")),
    ]
    (turn,) = fold([*SPOKEN[:10], *second])
    assert turn.latency["tools"] == pytest.approx(700, abs=0.11)
    assert turn.tool_calls[-1] == ToolCall("c", "look", {}, None, "interrupted", "cancelled", 200.0)


def test_a_noise_in_between_changes_no_measurement() -> None:
    noise = [(11.2, 1, SpeechStopped(170_000, 200.0)), (11.3, 1, TranscriptFinal(""))]
    (quiet,), (noisy,) = fold(SPOKEN), fold([*SPOKEN[:7], *noise, *SPOKEN[7:]])
    assert noisy.latency == quiet.latency
    assert noisy.tool_calls == quiet.tool_calls


def test_a_typed_turn_after_a_spoken_one_borrows_nothing() -> None:
    typed = [
        (20.0, 2, TurnStarted("typed", "Hi")),
        (20.1, 2, asked()),
        (20.3, 2, text("Ho")),
        (20.3, 2, SentenceReady(0, 1, "Ho")),
        (20.5, 2, AudioSent(0, 0, 10)),
        (20.6, 2, PlaybackStarted(0, 0.0)),
    ]
    measured = {"llm_first_token": 200, "tts_first_audio": 200, "playback": 100}
    assert fold([*SPOKEN, *typed])[1].latency == pytest.approx(measured, abs=0.11)


def test_an_offered_turn_is_measured_from_its_acceptance() -> None:
    late = [
        (20.0, 2, TurnStarted("speech", "Hello")),
        (20.0, 2, TurnOffered("Hello", 6000)),
        (30.0, 2, TurnAccepted()),
        (30.1, 2, asked()),
        (30.5, 2, text("Hi")),
    ]
    turns = fold([*SPOKEN, *late[:2]])
    assert turns[1].status == "offered"
    turns = fold([*SPOKEN, *late])
    assert turns[1].status == "running"
    assert turns[1].latency["llm_first_token"] == pytest.approx(400, abs=0.11)


def test_usage_is_summed_over_requests() -> None:
    def usage(**counts: int) -> LLMChunked:
        return LLMChunked(1, LLMChunk("usage", **counts))  # type: ignore[arg-type]

    (turn,) = fold(
        [
            (1.0, 1, TurnStarted("typed", "Hi")),
            (1.0, 1, asked()),
            (1.0, 1, usage(input_tokens=10, output_tokens=2, cache_read_tokens=4)),
            (1.0, 1, asked(2, model="m2")),
            (1.0, 1, usage(input_tokens=20, output_tokens=0)),
            (1.0, 1, LLMChunked(2, LLMChunk("done", finish_reason="length"))),
            (1.0, 1, asked(3, model=None)),
        ]
    )
    assert turn.usage == {"input_tokens": 30, "output_tokens": 2, "cache_read_tokens": 4}
    assert (turn.provider, turn.model) == ("p", None)
    assert [request.finish_reason for request in turn.requests] == [None, "length", None]


@pytest.mark.parametrize(("requests", "cost"), [([], Decimal(0)), ([False, False], Decimal(0)), ([False, True], None)])
def test_what_runs_here_costs_nothing_and_the_rest_is_not_known(requests: list[bool], cost: Decimal | None) -> None:
    happened: list[Any] = [(1.0, 1, TurnStarted("typed", "Hi")), *((1.0, 1, asked(n, costs=costs)) for n, costs in enumerate(requests))]
    assert fold(happened)[0].cost == cost


def test_fillers_are_not_what_the_agent_says_and_unchecked_text_neither() -> None:
    (turn,) = fold(
        [
            (1.0, 1, TurnStarted("typed", "Hi")),
            (1.0, 1, SentenceReady(0, 0, "One moment.", "filler")),
            (1.0, 1, SentenceChecked(0, "One moment.")),
            (1.0, 1, SentenceReady(1, 1, "The secret. ")),
            (1.0, 1, SentenceChecked(1, "No. ")),
            (1.0, 1, SentenceReady(2, 1, "And another secret.")),
        ]
    )
    assert turn.agent_text == "No."


def test_failures_and_interruptions_show() -> None:
    error = ServerError("down")
    start: tuple[float, int, Body] = (1.0, 1, TurnStarted("typed", "Hi"))
    (failed,) = fold([start, (1.0, 1, StageFailed("llm", error)), (1.0, 1, TurnEnded("failed", error)), (1.0, 1, TurnHeard("", True))])
    assert (failed.status, failed.error) == ("failed", error)
    (beside,) = fold([start, (1.0, 1, StageFailed("vad", error)), (1.0, 1, TurnEnded("completed"))])
    assert (beside.status, beside.error) == ("completed", None)
    (cut,) = fold([start, (1.0, 1, TurnEnded("completed")), (2.0, 1, TurnHeard("Well", True))])
    assert (cut.status, cut.heard_text) == ("interrupted", "Well")


def test_turns_are_a_sequence() -> None:
    turns = fold([(1.0, n, TurnStarted("typed", str(n))) for n in (1, 2, 3)])
    assert [turn.id for turn in turns] == [1, 2, 3]
    assert (len(turns), turns[-1].id, [turn.id for turn in turns[1:]], turns.by_id(2).user_text) == (3, 3, [2, 3], "2")
    with pytest.raises(IndexError):
        turns[3]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [('{"a": 1}', {"a": 1}), ("", {}), ("  ", {}), ("{}", {}), ("[1]", "[1]"), ("null", "null"), ('{"a": ', '{"a": '), ("Rome", "Rome")],
)
def test_arguments_are_an_object_or_what_the_model_wrote(arguments: str, value: object) -> None:
    assert parsed_arguments(arguments) == value


async def test_usage_and_cost_of_a_session() -> None:
    usage = LLMChunk("usage", input_tokens=7, output_tokens=3)
    llm = ScriptedLLM([[Call("look"), usage], ["Found.", usage], "No usage told."])
    async with talking(llm=llm, tools=[look]) as session:
        turn = await session.ask("Look.")
        assert (turn.usage, turn.cost) == ({"input_tokens": 14, "output_tokens": 6}, Decimal(0))
        assert (turn.tool_calls[0].duration_ms, set(turn.latency)) == (0.0, {"llm_first_token", "tools"})
        assert isinstance(turn, Turn)
        turn = await session.ask("Again.")
        assert turn.usage == {}
        llm.costs = True
        session.llm = type("Priced", (ScriptedLLM,), {"costs": True})(["Hm."])
        assert (await session.ask("And now?")).cost is None


def look() -> str:
    return "there"

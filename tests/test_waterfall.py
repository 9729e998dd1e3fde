"""The waterfall of a turn: every part where it belongs, with who owns it, and what was not measured named as such."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import parts_sum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.events import (
    AgentChanged,
    AudioSent,
    Body,
    BreakpointHit,
    BreakpointLeft,
    Event,
    InputChecked,
    KernelBusy,
    ListenerChanged,
    LLMChunked,
    LLMRequested,
    PlaybackStarted,
    PreemptiveDropped,
    PreemptiveStarted,
    SentenceChecked,
    SentenceReady,
    SessionStarted,
    SpeechEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.turn import Turn
from patter_nb.turns import Turns
from patter_nb.waterfall import Waterfall

Happened = tuple[float, int | None, Body]
RUNS = {"stt": "ears tiny", "llm": "p m", "tts": "mouth joe", "vad": "silero"}
RATE = 16_000
NOBODY = "nobody told when it was heard"
UNHEARD = "nothing of its sound can be heard"


def fold(happened: Iterable[Happened], *, parts: dict[str, str] = RUNS, browser: bool = False, unpaced: bool = False) -> Turns:
    """The turns of these (wall_s, turn, body), in a session with these parts."""
    turns = Turns()
    started: Happened = (0.0, None, SessionStarted(parts, RATE, unpaced))
    start: list[Happened] = [started, *([(0.0, None, ListenerChanged(True))] if browser else [])]
    for seq, (wall_s, turn, body) in enumerate((*start, *sorted(happened, key=lambda told: told[0]))):
        turns.fold(Event(seq, wall_s * 1000, wall_s, 1, turn, body))
    parts_sum.check_all(turns)
    return turns


def asked(round: int = 1, *, engine: bool = False) -> LLMRequested:
    return LLMRequested(round, "p", "m", False, (), 0, (), "engine" if engine else "llm")


def text(content: str, round: int = 1) -> LLMChunked:
    return LLMChunked(round, LLMChunk("text", content=content))


def told(fall: Waterfall) -> dict[str, float]:
    return {name: round(ms, 1) for name, ms in fall.by_name().items()}


def owner(turn: Turn, name: str) -> str:
    return next(part.owner for part in turn.waterfall.parts if part.name == name)


def detail(turn: Turn, name: str) -> str:
    return next(part.detail for part in turn.waterfall.parts if part.name == name)


SPOKEN: list[Happened] = [
    (9.0, None, SpeechStarted(0)),
    (10.23, None, SpeechStopped(160_000, 200.0, 30.0)),  # so the last voice was at 10.0
    (10.53, None, SpeechEnded(160_000, 500.0, 25.0)),
    (10.63, None, TranscriptFinal("Weather?")),
    (10.63, 1, TurnStarted("speech", "Weather?")),
    (10.65, 1, InputChecked("Weather?")),
    (10.65, 1, asked()),
    (10.85, 1, text("Sun")),
    (10.95, 1, text("ny.")),
    (10.95, 1, SentenceReady(0, 1, "Sunny.")),
    (10.96, 1, SentenceChecked(0, "Sunny.")),
    (11.1, 1, AudioSent(0, 0, 3200, 800)),
    (11.14, 1, PlaybackStarted(0, -10.0)),  # its first sample sounds at 11.15, and the first that can be heard 50 ms later
    (11.2, 1, TurnEnded("completed")),
    (12.0, 1, TurnHeard("Sunny.")),
]


def test_every_part_of_a_spoken_turn_has_its_time_and_its_owner() -> None:
    (turn,) = fold(SPOKEN, browser=True)
    fall = turn.waterfall
    assert (fall.gap_ms, fall.since, fall.until) == (1200.0, "your last word", "the first sound")
    assert [(part.name, round(part.duration_ms, 1), part.owner) for part in fall.parts if part.measured] == [
        ("endpointing", 500.0, "setting endpointing_ms"),
        ("microphone", 25.0, "microphone to session"),
        ("stt", 100.0, "ears tiny"),
        ("check", 20.0, "hooks and guardrails"),
        ("first token", 200.0, "p m"),
        ("sentence", 100.0, "patter_nb"),
        ("check", 10.0, "hooks and guardrails"),
        ("first audio", 140.0, "mouth joe"),
        ("browser", 50.0, "browser"),
        ("first audible sample", 50.0, "mouth joe"),
    ]
    assert fall.residual_ms == pytest.approx(5.0), "of the silence 5 ms are nobody's"
    assert (turn.latency["response"], turn.latency["playback"]) == (1200.0, 100.0)


def test_of_sound_that_ran_faster_than_real_time_nothing_is_measured_before_the_turn() -> None:
    (turn,), (paced,) = fold(SPOKEN, unpaced=True), fold(SPOKEN)
    fall = turn.waterfall
    assert (fall.gap_ms, fall.residual_ms, fall.why) == (None, None, "faster than real time")
    unmeasured = [(part.name, part.owner, part.detail) for part in fall.parts if not part.measured]
    assert unmeasured == [
        ("endpointing", "setting endpointing_ms", "faster than real time"),
        ("stt", "ears tiny", "faster than real time"),
    ]
    before = ("endpointing", "microphone", "stt", "unexplained")
    assert told(fall) == {name: ms for name, ms in told(paced.waterfall).items() if name not in before}
    assert turn.latency == {name: ms for name, ms in paced.latency.items() if name not in ("response", "endpointing", "stt")}


def test_a_typed_turn_is_measured_where_sound_would_run_faster_too() -> None:
    typed: list[Happened] = [(10.63, 1, TurnStarted("typed", "Weather?")), *SPOKEN[5:]]
    (turn,), (paced,) = fold(typed, unpaced=True), fold(typed)
    assert turn.waterfall == paced.waterfall and turn.waterfall.gap_ms is not None


def test_words_that_stood_before_the_silence_was_over_took_no_time() -> None:
    before = [(at, turn, body) for at, turn, body in SPOKEN if not isinstance(body, TranscriptFinal)]
    (turn,) = fold([*before, (10.4, None, TranscriptFinal("Weather?"))])
    assert told(turn.waterfall)["stt"] == 100.0, "they were not the last that was waited for"
    early = [(10.53 if isinstance(body, TurnStarted) else at, turn, body) for at, turn, body in before]
    (turn,) = fold([*early, (10.4, None, TranscriptFinal("Weather?"))])
    assert told(turn.waterfall)["stt"] == 0.0
    assert "130 ms before" in detail(turn, "stt")


def test_a_turn_detector_owns_the_silence_that_it_wanted() -> None:
    judged = [
        (at, turn, SpeechEnded(160_000, 500.0, 25.0, "SmartTurn") if isinstance(body, SpeechEnded) else body) for at, turn, body in SPOKEN
    ]
    (turn,) = fold(judged)
    assert owner(turn, "endpointing") == "turn detector SmartTurn"


def test_without_a_browser_the_cursor_is_the_loudspeaker() -> None:
    played = [(at, turn, PlaybackStarted(0, 20.0) if isinstance(body, PlaybackStarted) else body) for at, turn, body in SPOKEN]
    (turn,) = fold(played)
    assert told(turn.waterfall)["playback"] == 20.0
    assert owner(turn, "playback") == "transport"


def test_tools_are_owned_by_name_and_each_round_of_the_model_by_itself() -> None:
    call = LLMChunked(1, LLMChunk("tool_call", index=0, id="a", name="look", arguments="{}"))
    happened: list[Happened] = [
        *SPOKEN[:7],
        (10.85, 1, call),
        (10.9, 1, ToolCalled("a", "look", "{}")),
        (10.9, 1, ToolCalled("b", "ask", "{}")),
        (11.1, 1, ToolEnded("a", "look", "completed", "found")),
        (11.4, 1, ToolEnded("b", "ask", "completed", "told")),
        (11.4, 1, asked(2)),
        (11.7, 1, text("Sunny.", 2)),
        (11.8, 1, SentenceReady(0, 2, "Sunny.")),
        (12.0, 1, AudioSent(0, 0, 1600)),
        (12.0, 1, PlaybackStarted(0, 0.0)),
    ]
    (turn,) = fold(happened)
    names = [(part.name, round(part.duration_ms)) for part in turn.waterfall.parts[4:]]
    assert names == [
        ("check", 20),
        ("first token", 200),
        ("tool call", 50),
        ("tools", 500),
        ("first token", 300),
        ("sentence", 100),
        ("first audio", 200),
    ]
    assert owner(turn, "tools") == "look, ask"
    assert [part.detail for part in turn.waterfall.parts if part.name == "first token"] == ["", "round 2"]
    assert turn.waterfall.gap_ms == pytest.approx(2000.0)


def test_what_a_busy_kernel_took_is_nobody_elses() -> None:
    busy: list[Happened] = [(10.8, 1, KernelBusy(120.0)), (11.05, None, KernelBusy(50.0))]
    (turn,) = fold([*SPOKEN, *busy])
    took = told(turn.waterfall)
    assert (took["kernel busy"], took["first token"], took["first audio"]) == (170.0, 80.0, 90.0)
    assert turn.waterfall.gap_ms == fold(SPOKEN)[0].waterfall.gap_ms
    assert {part.owner for part in turn.waterfall.parts if part.name == "kernel busy"} == {"kernel"}


def test_sound_that_waited_for_a_busy_kernel_was_late_because_of_that() -> None:
    late: list[Happened] = [
        (9.0, None, SpeechStarted(0)),
        (11.9, None, KernelBusy(1700.0)),
        (11.9, None, SpeechStopped(160_000, 200.0, 1700.0)),
        (11.9, None, SpeechEnded(160_000, 500.0, 1400.0)),
        (11.95, 1, TurnStarted("speech", "Weather?")),
        (11.95, 1, SentenceReady(0, 1, "Sunny.")),
        (12.0, 1, AudioSent(0, 0, 1600)),
        (12.0, 1, PlaybackStarted(0, 0.0)),
    ]
    (turn,) = fold(late)
    assert told(turn.waterfall) == {"endpointing": 500.0, "kernel busy": 1400.0, "stt": 50.0, "first audio": 50.0}


def test_an_answer_that_was_begun_early_has_its_first_token_at_once() -> None:
    early: list[Happened] = [
        *SPOKEN[:2],
        (10.24, 1, PreemptiveStarted("Weather?")),
        (10.24, 1, InputChecked("Weather?")),
        (10.24, 1, asked()),
        (10.4, 1, text("Sunny. ")),
        (10.4, 1, SentenceReady(0, 1, "Sunny. ")),
        (10.53, None, SpeechEnded(160_000, 500.0, 30.0)),
        (10.53, 1, TurnStarted("speech", "Weather?")),
        (10.7, 1, AudioSent(0, 0, 1600)),
        (10.7, 1, PlaybackStarted(0, 0.0)),
    ]
    (turn,) = fold(early)
    assert told(turn.waterfall) == {"endpointing": 500.0, "microphone": 30.0, "stt": 0.0, "first token": 0.0, "first audio": 170.0}
    assert turn.waterfall.gap_ms == 700.0


def test_an_answer_that_was_begun_early_and_dropped_leaves_nothing_in_the_next() -> None:
    dropped: list[Happened] = [(10.24, 1, PreemptiveStarted("Wea")), (10.24, 1, asked()), (10.3, 1, PreemptiveDropped("it went on"))]
    (turn,), (plain,) = fold([*SPOKEN[:2], *dropped, *SPOKEN[2:]]), fold(SPOKEN)
    assert turn.waterfall == plain.waterfall


def test_a_voice_that_takes_over_now_is_the_owner() -> None:
    changed = AgentChanged({"tts": ("voice old", "voice new")}, "now")
    (turn,) = fold([*SPOKEN[:8], (10.86, None, changed), *SPOKEN[8:]])
    assert owner(turn, "first audio") == "voice new"
    (turn,) = fold([*SPOKEN[:8], (10.86, None, replace(changed, when="turn")), *SPOKEN[8:]])
    assert owner(turn, "first audio") != "voice new"


def test_what_kept_the_kernel_twice_at_a_time_counts_once() -> None:
    (turn,) = fold([*SPOKEN[:7], (10.8, 1, KernelBusy(120.0)), (10.8, 1, KernelBusy(100.0)), *SPOKEN[7:]])
    assert told(turn.waterfall)["kernel busy"] == 120.0


def test_what_kept_the_kernel_while_it_sounded_already_kept_nothing_from_sounding() -> None:
    (turn,) = fold([*SPOKEN[:13], (11.16, 1, KernelBusy(100.0)), *SPOKEN[13:]], browser=True)
    assert told(turn.waterfall)["browser"] == 50.0


def test_a_filler_that_sounds_first_ends_the_gap() -> None:
    filled: list[Happened] = [
        *SPOKEN[:7],
        (11.0, 1, SentenceReady(0, 0, "One moment.", "filler")),
        (11.2, 1, AudioSent(0, 0, 1600)),
        (11.2, 1, PlaybackStarted(0, 0.0)),
        (12.0, 1, text("Sunny.")),
        (12.0, 1, SentenceReady(1, 1, "Sunny.")),
        (12.2, 1, AudioSent(1, 1600, 3200)),
    ]
    (turn,) = fold(filled)
    assert (told(turn.waterfall)["filler"], told(turn.waterfall)["first token"]) == (200.0, 350.0)
    assert turn.waterfall.gap_ms == pytest.approx(1200.0)


def test_a_breakpoint_is_owned_by_who_looks() -> None:
    held: list[Happened] = [(10.7, 1, BreakpointHit("llm_request", "round 1")), (10.75, 1, BreakpointLeft("llm_request", {}))]
    (turn,) = fold([*SPOKEN, *held])
    assert (told(turn.waterfall)["breakpoint"], told(turn.waterfall)["first token"], owner(turn, "breakpoint")) == (50.0, 150.0, "you")


def test_an_engine_owns_all_it_does_by_itself() -> None:
    spoken: list[Happened] = [
        (9.0, None, SpeechStarted(0)),
        (10.3, None, SpeechStopped(160_000, 300.0)),
        (10.4, 1, TurnStarted("speech", "")),
        (10.4, 1, asked(engine=True)),
        (10.8, 1, text("Sun")),
        (10.8, 1, SentenceReady(0, 1, "")),
        (11.0, 1, AudioSent(0, 0, 1600)),
        (11.1, 1, PlaybackStarted(0, 0.0)),
    ]
    (turn,) = fold(spoken, parts={"engine": "openai gpt-realtime"})
    assert told(turn.waterfall) == {"endpointing": 400.0, "answer": 600.0, "playback": 100.0}
    assert (owner(turn, "endpointing"), owner(turn, "answer")) == ("openai gpt-realtime", "p m")


def test_an_engine_that_does_not_say_when_the_person_had_finished_leaves_the_gap_unmeasured() -> None:
    spoken: list[Happened] = [
        (10.4, 1, TurnStarted("speech", "")),
        (10.4, 1, asked(engine=True)),
        (11.0, 1, AudioSent(0, 0, 1600)),
        (11.1, 1, PlaybackStarted(0, 0.0)),
    ]
    (turn,) = fold(spoken, parts={"engine": "openai gpt-realtime"})
    fall = turn.waterfall
    assert (fall.gap_ms, fall.residual_ms) == (None, None)
    assert (fall.parts[0].name, fall.parts[0].measured, fall.why) == ("endpointing", False, "nobody told when the last word was over")
    assert told(fall) == {"answer": 600.0, "playback": 100.0}


TYPED: list[Happened] = [
    (10.0, 1, TurnStarted("typed", "Hi")),
    (10.0, 1, asked()),
    (10.2, 1, text("Ho.")),
    (10.2, 1, SentenceReady(0, 1, "Ho.")),
]


def test_a_typed_turn_counts_from_its_message() -> None:
    (turn,) = fold(
        [*SPOKEN, *((at + 10, 2, body) for at, _, body in TYPED), (20.5, 2, AudioSent(0, 0, 9)), (20.5, 2, PlaybackStarted(0, 0.0))]
    )[1:]
    assert (turn.waterfall.since, turn.waterfall.gap_ms) == ("your message", 500.0)
    assert told(turn.waterfall) == {"first token": 200.0, "first audio": 300.0}


@pytest.mark.parametrize(
    ("ends", "parts", "name", "why"),
    [
        ([], RUNS, "first audio", "not yet"),
        ([TurnEnded("completed")], {"llm": "p m"}, "first audio", "the agent has no voice"),
        ([TurnEnded("completed")], RUNS, "first audio", "nothing was said"),
        ([TurnEnded("failed")], RUNS, "first audio", "the turn failed before anything sounded"),
        ([TurnEnded("interrupted")], RUNS, "first audio", "interrupted before anything sounded"),
        ([AudioSent(0, 0, 9)], RUNS, "playback", "not yet"),
        ([AudioSent(0, 0, 9), TurnEnded("completed"), TurnHeard("Ho.")], RUNS, "playback", NOBODY),
        ([AudioSent(0, 0, 9), PlaybackStarted(0, None), TurnEnded("completed"), TurnHeard("Ho.")], RUNS, "playback", NOBODY),
        ([AudioSent(0, 0, 9, 9), PlaybackStarted(0, 0.0), TurnEnded("completed"), TurnHeard("Ho.")], RUNS, "playback", UNHEARD),
    ],
)  # fmt: skip
def test_what_was_not_measured_says_so_and_why(ends: list[Body], parts: dict[str, str], name: str, why: str) -> None:
    (turn,) = fold([*TYPED, *((11.0, 1, body) for body in ends)], parts=parts)
    fall = turn.waterfall
    assert (fall.gap_ms, fall.why) == (None, why)
    last = fall.parts[-1]
    assert (last.name, last.duration_ms, last.measured, last.detail) == (name, 0.0, False, why)
    assert told(fall)["first token"] == 200.0


def test_an_offered_turn_is_not_answered_and_then_counts_from_its_acceptance() -> None:
    late: list[Happened] = [*SPOKEN[:4], (10.63, 1, TurnStarted("speech", "Weather?")), (10.63, 1, TurnOffered("Weather?", 6000))]
    assert fold(late)[0].waterfall.why == "it is not answered"
    accepted = [(20.0, 1, TurnAccepted()), *((at + 10, 1, body) for at, _, body in TYPED[1:])]
    (turn,) = fold([*late, *accepted, (20.5, 1, AudioSent(0, 0, 9)), (20.5, 1, PlaybackStarted(0, 0.0))])
    assert (turn.waterfall.since, turn.waterfall.gap_ms) == ("your acceptance", 500.0)


def test_a_greeting_counts_from_its_beginning() -> None:
    greeting: list[Happened] = [
        (1.0, 1, TurnStarted("greeting", "")),
        (1.0, 1, SentenceReady(0, 0, "Hello.")),
        (1.3, 1, AudioSent(0, 0, 9)),
        (1.4, 1, PlaybackStarted(0, 0.0)),
    ]
    (turn,) = fold(greeting)
    assert (turn.waterfall.since, told(turn.waterfall)) == ("the beginning of the turn", {"first audio": 300.0, "playback": 100.0})


def test_sound_that_begins_with_silence_is_heard_when_it_can_be() -> None:
    """The cursor tells of 4000 samples: the first sounded 250 ms before, of which the first block has nothing that could be heard."""
    quiet: list[Happened] = [
        (10.3, 1, AudioSent(0, 0, 1600, 1600)),
        (10.4, 1, AudioSent(0, 1600, 4800, 800)),
        (10.7, 1, PlaybackStarted(0, 250.0)),
    ]
    (turn,) = fold([*TYPED, *quiet])
    assert told(turn.waterfall) == {"first token": 200.0, "first audio": 100.0, "playback": 150.0, "first audible sample": 150.0}


def test_a_part_that_was_swapped_owns_what_comes_after() -> None:
    changed = AgentChanged({"tts": ("mouth joe", "mouth amy")}, "turn")
    (first, second) = fold(
        [
            *SPOKEN,
            (20.0, None, changed),
            *((at + 20, 2, body) for at, _, body in TYPED),
            (31.0, 2, AudioSent(0, 0, 9)),
            (31.0, 2, PlaybackStarted(0, 0.0)),
        ]
    )
    assert (owner(first, "first audio"), owner(second, "first audio")) == ("mouth joe", "mouth amy")


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, len(SPOKEN) - 1)), max_size=12),
    st.lists(st.tuples(st.floats(8, 13), st.floats(0, 3000)), max_size=3),
    st.floats(-500, 2000),
)
def test_whatever_the_stamps_say_the_parts_sum_to_the_gap(
    moves: list[tuple[float, int]], busy: list[tuple[float, float]], ago_ms: float
) -> None:
    """Stations that come late, stalls anywhere, a browser whose clock is far off. The order of the log is kept, as it always is."""
    happened = [*SPOKEN]
    for by, index in moves:
        happened = [*happened[:index], *((at + by, turn, body) for at, turn, body in happened[index:])]
    happened = [(at, turn, PlaybackStarted(0, ago_ms) if isinstance(body, PlaybackStarted) else body) for at, turn, body in happened]
    (turn,) = fold([*happened, *((at, None, KernelBusy(ms)) for at, ms in busy)])
    assert turn.waterfall.gap_ms is not None

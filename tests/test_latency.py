"""`session.latency()`: percentiles over the turns that were answered, each with the number of turns behind it."""

from __future__ import annotations

import asyncio
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import bodies, one_utterance, talking, until
from test_waterfall import SPOKEN, TYPED, Happened, fold

from patter_nb.events import AudioSent, Body, PlaybackStarted, TurnEnded, TurnHeard, TurnStarted
from patter_nb.latencies import Latency, Spread
from patter_nb.testing import Hold, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.transports.wav import WavTransport


def spoken(turn: int, *, slower_s: float = 0.0, status: str = "completed") -> list[Happened]:
    """A spoken turn like the others, but for what the model takes for its first token, and how it ends."""
    at_s = 100.0 * turn
    moved: list[Happened] = []
    for at, number, body in SPOKEN:
        late = slower_s if at >= 10.85 else 0.0
        told: Body = TurnEnded(status) if isinstance(body, TurnEnded) else body  # type: ignore[arg-type]
        moved.append((at + at_s + late, None if number is None else turn, told))
    return moved


@given(st.lists(st.floats(0, 10_000), min_size=2, max_size=100))
def test_row_37_percentiles_lie_between_two_turns_in_proportion(values: list[float]) -> None:
    row = Spread("tools", "look", tuple(values))
    cuts = statistics.quantiles(values, n=100, method="inclusive")  # type 7
    assert [row.p50, row.p90, row.p95, row.p99] == pytest.approx([cuts[49], cuts[89], cuts[94], cuts[98]], abs=0.06)
    assert row.n == len(values)


def test_row_37_fewer_than_21_turns_do_not_give_the_slowest() -> None:
    row = Spread("tools", "look", tuple(float(ms) for ms in range(0, 1000, 100)))
    assert (row.p50, row.p95, max(row.values)) == (450.0, 855.0, 900.0)


def test_row_37_nothing_takes_less_than_no_time() -> None:
    row = Spread("first audio", "mouth", (-80.0, -10.0, 100.0))
    assert (row.percentile(0), row.p50) == (0.0, 0.0)


def test_row_37_only_turns_that_were_answered_to_their_end_count() -> None:
    heard_half: list[Happened] = [
        (401.0, 4, TurnStarted("typed", "Hi")),
        (402.0, 4, TurnEnded("completed")),
        (403.0, 4, TurnHeard("W", True)),
    ]
    greeting: list[Happened] = [(51.0, 9, TurnStarted("greeting", "")), (52.0, 9, TurnEnded("completed"))]
    running: list[Happened] = [(501.0, 5, TurnStarted("typed", "Hi"))]
    happened = [*greeting, *spoken(1), *spoken(2, slower_s=2.0, status="failed"), *spoken(3, status="interrupted"), *heard_half, *running]
    latency = Latency.of(fold(happened))
    assert (latency.turns, latency.left_out) == (1, 3)
    assert (latency["response"].values, latency["response"].p99) == ((1200.0,), 1200.0)


def test_a_part_counts_where_it_was_measured_and_a_response_by_who_began_it() -> None:
    typed: list[Happened] = [
        *((at + 290, 3, body) for at, _, body in TYPED),
        (300.5, 3, AudioSent(0, 0, 9)),
        (300.5, 3, PlaybackStarted(0, 0.0)),
        (300.6, 3, TurnEnded("completed")),
    ]
    silent: list[Happened] = [*((at + 390, 4, body) for at, _, body in TYPED), (400.6, 4, TurnEnded("completed"))]
    latency = Latency.of(fold([*spoken(1), *spoken(2, slower_s=0.1), *typed, *silent], browser=True))
    assert [(row.name, row.n) for row in latency] == [
        *(("response", 2), ("response, typed", 1), ("endpointing", 2), ("microphone", 2), ("stt", 2), ("check", 2), ("first token", 4)),
        *(("sentence", 2), ("first audio", 3), ("browser", 2), ("first audible sample", 2), ("unexplained", 3)),
    ]
    assert latency["first token"].values == pytest.approx((200.0, 300.0, 200.0, 200.0))
    assert latency["first token"].owner == "p m"
    assert latency["unexplained"].values == pytest.approx((5.0, 5.0, 0.0))
    assert latency[0].name == "response"
    assert [row.name for row in latency[:2]] == ["response", "response, typed"]
    assert (latency[:2].turns, latency[:2].left_out) == (latency.turns, latency.left_out) == (4, 0)
    with pytest.raises(KeyError, match="'tools' was not measured; there is 'response'"):
        latency["tools"]


def test_it_is_a_table() -> None:
    latency = Latency.of(fold([*spoken(1), *spoken(2, slower_s=1.0)]))
    row = latency.to_dicts()[0]
    assert row == {"part": "response", "owner": "", "n": 2, "p50": 1700.0, "p90": 2100.0, "p95": 2150.0, "p99": 2190.0}
    frame = latency.to_pandas()
    assert [*frame.columns] == ["part", "owner", "n", "p50", "p90", "p95", "p99"]
    assert frame.set_index("part")["p50"]["first token"] == pytest.approx(700.0)


async def test_a_session_tells_its_latency() -> None:
    llm, tts = ScriptedLLM(["It is sunny."]), ScriptedTTS()
    line = WavTransport((np.zeros(32_000, np.int16), 16_000))  # in real time: otherwise there is no response to measure
    async with talking(transport=line, llm=llm, stt=ScriptedSTT([["Weather?"]]), tts=tts, vad=one_utterance()) as session:
        assert session.latency() == Latency()
        await session.wait()
        latency = session.latency()
        (turn,) = session.turns
    assert latency["response"].values == (turn.waterfall.gap_ms,)
    assert latency["response"].p50 == pytest.approx(turn.latency["response"], abs=0.1)
    assert latency["first audio"].owner == "scripted script"
    assert "Latency of 1 turn" in latency._repr_mimebundle_()["text/plain"]


async def test_row_38_a_turn_is_recorded_once_and_one_that_hangs_up_as_interrupted() -> None:
    held = asyncio.Event()
    llm = ScriptedLLM(["Fine.", ["Well", Hold(held)]])
    async with talking(llm=llm, tts=ScriptedTTS()) as session:
        await session.ask("How are you?")
        cut = asyncio.create_task(session.ask("Tell me more."))
        await until(lambda: len(llm.requests) == 2)
        await session.stop()
        turn = await cut
    assert [turn.id for turn in session.turns] == [1, 2]
    assert [turn.status for turn in session.turns] == ["completed", "interrupted"]
    assert turn is session.turns[1]
    assert [body.status for body in bodies(session, TurnEnded)] == ["completed", "interrupted"]
    latency = session.latency()
    assert (latency.turns, latency.left_out) == (1, 1)

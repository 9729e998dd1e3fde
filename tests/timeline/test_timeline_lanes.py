"""A conversation as spans and marks: each lies where it was, by the session's time."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from talking import talking
from timeline_rooms import ANSWER, QUESTION, asked_by_voice, interrupted_by_voice

from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError
from patter_nb.events import BreakpointHit, KernelBusy, MicrophoneMuted, TurnJudged
from patter_nb.session import Session
from patter_nb.step.scene import Happened
from patter_nb.stt.base import Transcript, Word
from patter_nb.testing import Call, Hold, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.timeline import Timeline


def spans(session: Session, lane: str) -> list[tuple[Any, ...]]:
    return [(item.at, item.to, item.text, item.kind) for item in session.timeline.lanes[lane]]


async def test_a_spoken_question_and_its_answer_lie_where_they_were_heard() -> None:
    async with asked_by_voice() as session:
        assert spans(session, "turns") == [(500, 3860, QUESTION, "completed")]
        assert spans(session, "speech") == [(500, 1500, "", "")]
        assert [(text, kind) for _, _, text, kind in spans(session, "partials")] == [("What's", "")]
        assert spans(session, "words") == [(500, 1500, QUESTION, "final")]
        assert spans(session, "tools") == [(2000, 2000, 'get_weather({"city": "Rome"}) → Sunny in Rome.', "completed")]
        assert [kind for *_, kind in spans(session, "requests")] == ["llm", "llm"]
        assert spans(session, "pieces") == [(2000, 3200, ANSWER[:20], "answer"), (3200, 3860, ANSWER[21:], "answer")]
        (playing,) = spans(session, "playback")
        assert playing[1:] == (3860, "", "playing")
        assert playing[0] == pytest.approx(2000, abs=21)
        assert [text for _, _, text, _ in spans(session, "states")][:3] == ["ready", "listening", "thinking"]
        assert set(session.timeline.chunks) == {2000}
        assert len(session.timeline.chunks) == len([chunk for chunk in session.chunks if chunk.type != "done"])


async def test_both_sounds_are_drawn_where_they_were_heard() -> None:
    async with asked_by_voice() as session:
        timeline = session.timeline.advance()
        grid = timeline.peaks.grid(0, 0, 500)
        for column, begin, end in ((1, 50, 150), (3, 200, 386)):
            loud = np.flatnonzero(grid[:, column] > 0)
            assert (loud[0], loud[-1]) == (begin, end - 1)
        assert set(np.flatnonzero(grid[:, 4] > 100)) == set(range(50, 150))


async def test_an_interruption_ends_what_was_heard() -> None:
    async with interrupted_by_voice() as session:
        first, second = session.timeline.lanes["turns"]
        assert (first.kind, second.kind, second.at) == ("interrupted", "completed", 4000)
        (cut,) = session.timeline.lanes["interruptions"]
        assert first.at < cut.at == first.to
        assert cut.at > 4000, "the person has to be heard before they can interrupt"
        said = [item for item in session.timeline.lanes["pieces"] if item.turn == 1]
        assert said[-1].to is not None
        assert said[-1].to <= cut.at
        heard = np.flatnonzero(session.timeline.peaks.grid(0, 0, 900)[:, 3] > 0) * 10
        silence = [at for at in heard if cut.at + 20 < at < session.timeline.lanes["playback"][-1].at - 20]
        assert silence == []


async def test_it_is_the_same_however_often_it_is_read() -> None:
    async with interrupted_by_voice() as session:
        grown, at_once = Timeline(session.events), Timeline(session.events).advance()
        for _ in grown.steps():
            pass
        grown.advance()
        assert grown.lanes == at_once.lanes
        assert (grown.peaks.grid(0, 0, 900) == at_once.peaks.grid(0, 0, 900)).all()


async def test_reading_on_while_it_happens_comes_to_the_same_as_reading_at_the_end() -> None:
    llm = ScriptedLLM([["One. ", "Two. "], ["Three."]])
    async with talking(llm=llm, tts=ScriptedTTS()) as session:
        seen: list[int] = []
        session.events.subscribe(lambda event: seen.append(len(session.timeline.lanes["turns"])))
        await session.ask("first")
        await session.ask("second")
        assert (seen[0], seen[-1]) == (1, 2)
        lanes = session.timeline.lanes
    assert session.timeline.lanes["turns"] == Timeline(session.events).lanes["turns"]
    assert lanes["pieces"] == Timeline(session.events).lanes["pieces"]


async def test_with_nobody_to_listen_the_answer_lies_where_it_was_handed_over() -> None:
    clock = ManualClock()
    async with talking(clock=clock, llm=ScriptedLLM(["Hello."]), tts=ScriptedTTS()) as session:
        clock.advance(700)
        await session.ask("Hi")
        (piece,) = session.timeline.lanes["pieces"]
        assert (piece.at, piece.text) == (700, "Hello.")
        assert piece.to == pytest.approx(700 + 6 * 60)


async def test_changes_breakpoints_and_failures_are_marked() -> None:
    clock = ManualClock()
    async with talking(clock=clock, llm=ScriptedLLM(["One.", ValueError("no such model")])) as session:
        clock.advance(100)
        session.use(system_prompt="Be brief.")
        session.pause_at("llm_request")
        await session.ask("first")
        assert session.events.of(BreakpointHit)
        clock.advance(400)
        await session.resume()
        session.pause_at()
        await session.ask("second")
        lanes = session.timeline.lanes
        assert [(item.at, item.text.split(":")[0]) for item in lanes["changes"]] == [(100, "system_prompt")]
        assert [(item.at, item.to) for item in lanes["breakpoints"]] == [(100, 500)]
        (failed,) = lanes["failures"]
        assert failed.kind == "llm"
        assert "no such model" in failed.text
        assert [item.kind for item in lanes["turns"]] == ["completed", "failed"]


async def test_a_tool_that_was_held_lies_where_it_ran() -> None:
    def get_weather(city: str) -> str:
        """Tell the weather."""
        clock.advance(30)
        return f"Sunny in {city}."

    clock = ManualClock()
    async with talking(clock=clock, llm=ScriptedLLM([Call("get_weather", {"city": "Rome"}), "Fine."]), tools=[get_weather]) as session:
        session.pause_at("tool_call")
        await session.ask("Weather?")
        clock.advance(5000)
        await session.resume(arguments={"city": "Oslo"})
        (ran,) = session.timeline.lanes["tools"]
        (span,) = session.spans().named("execute_tool")
        assert (ran.at, ran.text) == (5000, 'get_weather({"city": "Oslo"}) → Sunny in Oslo.')
        assert ran.to is not None
        assert span.duration_ms == pytest.approx(ran.to - ran.at)


async def test_words_with_times_lie_where_they_were_said() -> None:
    class Timed(ScriptedSTT):
        """Says where its words were."""

        async def transcripts(self) -> Any:
            words = (Word("What's", 520.0, 800.0), Word("up?", 900.0, 1400.0))
            async for transcript in super().transcripts():
                yield Transcript(transcript.text, True, words=words)

    async with asked_by_voice(stt=Timed(["What's up?"]), llm=ScriptedLLM(["Nothing."]), tools=[]) as session:
        assert spans(session, "words") == [(520, 800, "What's", "word"), (900, 1400, "up?", "word")]


async def test_judgements_mutes_and_a_busy_kernel_have_their_place() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        told = (TurnJudged(0, 0.25), TurnJudged(0, None), MicrophoneMuted(True), KernelBusy(300.0), MicrophoneMuted(False))
        for at, body in enumerate(told):
            session.events.append(Happened(None, 0, body), 1000.0 * (at + 1), float(at))
        lanes = session.timeline.lanes
        assert [(item.at, item.value) for item in lanes["judged"]] == [(1000, 0.25)]
        assert [(item.at, item.to) for item in lanes["muted"]] == [(3000, 5000)]
        assert [(item.at, item.to) for item in lanes["busy"]] == [(3700, 4000)]


async def test_what_is_new_is_told_once() -> None:
    hold = asyncio.Event()
    async with talking(llm=ScriptedLLM([["Hello ", Hold(hold), "there."]])) as session:
        asking = asyncio.ensure_future(session.ask("Hi"))
        timeline = session.timeline
        while not timeline.chunks:  # noqa: ASYNC110  # turns of the loop
            await asyncio.sleep(0)
        assert ("turns", 0) in timeline.drain()
        assert timeline.drain() == []
        hold.set()
        await asking
        timeline.advance()
        assert {("turns", 0), ("requests", 0)} <= set(timeline.drain())


async def test_the_sound_of_a_moment_is_both_voices_as_they_were_heard() -> None:
    async with asked_by_voice() as session:
        pcm, rate = session.timeline.sound(1400.0, 2100.0)
        assert (len(pcm), rate) == (0.7 * 24_000, 24_000)
        loud = np.abs(pcm.astype(int)) > 500
        assert loud[: 24 * 99].mean() > 0.8, "the person until 1500 ms"
        assert not loud[24 * 102 : 24 * 598].any(), "silence"
        assert loud[24 * 602 :].mean() > 0.5, "the agent from 2000 ms on"
        pcm, _ = session.timeline.sound(1e7, 1e7 + 10)
        assert len(pcm) == 240
        assert not pcm.any()


async def test_a_moment_of_the_session_that_there_is_not_is_refused() -> None:
    async with asked_by_voice() as session:
        for t_ms in (-1.0, 1e7):
            with pytest.raises(PatterConfigError, match="There is no moment"):
                session.timeline.at(t_ms)

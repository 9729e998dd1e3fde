"""`turn.at(ms)`: what was known then, and nothing of what came after."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import FrozenInstanceError, fields
from itertools import pairwise

import pytest
from talking import talking, until
from timeline_rooms import ANSWER, QUESTION, asked_by_voice, interrupted_by_voice

from patter_nb.clock import ManualClock
from patter_nb.display import mimebundle
from patter_nb.errors import PatterConfigError
from patter_nb.events import AudioSent, Event
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.testing import Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.timeline import Moment
from patter_nb.turn import Turn
from patter_nb.turns import Turns


async def test_a_turn_told_from_its_first_word_to_its_last_sound() -> None:
    async with asked_by_voice() as session:
        (turn,) = session.turns
        begun = turn.at(0)
        assert (begun.t_ms, begun.state, begun.status, begun.user_text, begun.chunks) == (500, "ready", None, "", ())
        speaking = turn.at(412)
        assert (speaking.state, speaking.user_text, speaking.partial, speaking.voice) == ("listening", "What's", "What's", 0.95)
        assert (speaking.provider, speaking.tool_calls, speaking.status) == (None, (), None)
        asked = turn.at(1200)
        assert (asked.user_text, asked.partial, asked.status, asked.voice) == (QUESTION, "", None, 0.0)
        heard = turn.at(2200)
        assert (heard.state, heard.status, heard.user_text) == ("speaking", "completed", QUESTION)
        assert (heard.provider, heard.model, heard.text, heard.agent_text) == ("scripted", "script", ANSWER, ANSWER)
        assert heard.heard_text == "It is sunny"
        assert heard.position == pytest.approx(0.7 * 16_000, abs=320)
        assert heard.playing
        (call,) = heard.tool_calls
        assert (call.name, call.status, call.result) == ("get_weather", "completed", "Sunny in Rome.")
        end = turn.at(3360)
        assert (end.heard_text, end.playing, end.status) == (ANSWER, False, "completed")


async def test_what_was_heard_only_grows_and_begins_what_was_said() -> None:
    async with asked_by_voice() as session:
        heard = [session.turns[0].at(ms).heard_text for ms in range(0, 3361, 40)]
        assert all(after.startswith(before) for before, after in pairwise(heard))
        assert len(set(heard)) > 4
        assert all(ANSWER.startswith(text) for text in heard)


async def test_an_interruption_is_heard_up_to_where_it_came() -> None:
    async with interrupted_by_voice() as session:
        first, second = session.turns
        (cut,) = session.timeline.lanes["interruptions"]
        end = first.at(cut.at - 500)
        assert end.heard_text == first.heard_text
        assert end.epoch > first.at(2500).epoch
        during = second.at(40)
        assert (during.turn, during.state, during.user_text, during.heard_text) == (2, "speaking", "", "")
        assert during.playing
        assert second.at(second_ms(second)).heard_text == "All right."


def second_ms(turn: Turn) -> float:
    """The end of the turn, found by asking."""
    with pytest.raises(PatterConfigError) as caught:
        turn.at(1e9)
    return float(str(caught.value.message).rsplit(" ", 2)[1])


async def test_a_moment_agrees_with_the_turns_that_the_log_makes_up_to_it() -> None:
    async with interrupted_by_voice() as session:
        for turn in session.turns:
            for ms in range(0, int(second_ms(turn)), 97):
                moment = turn.at(ms)
                assert_as_the_fold_has_it(moment, [event for event in session.events if event.t_ms <= moment.t_ms])


def assert_as_the_fold_has_it(moment: Moment, before: list[Event]) -> None:
    turns = Turns()
    for event in before:
        turns.fold(event)
    assert moment.turn is not None
    turn = turns.begun(moment.turn)
    if turn is None:
        assert (moment.status, moment.agent_text, moment.chunks) == (None, "", ())
        return
    assert (moment.status, moment.user_text, moment.agent_text) == (turn.status, turn.user_text, turn.agent_text)
    assert moment.chunks == tuple(turn.chunks)
    assert moment.tool_calls == tuple(turn.tool_calls)


@pytest.mark.parametrize("ms", [-1, 3361, 1e9, float("nan")])
async def test_a_moment_outside_is_an_error_that_says_what_there_is(ms: float) -> None:
    async with asked_by_voice() as session:
        with pytest.raises(PatterConfigError, match="it lasted 3360 ms") as caught:
            session.turns[0].at(ms)
        assert "from 0 to 3360" in str(caught.value.hint)


async def test_a_turn_that_runs_is_told_as_far_as_it_has_come() -> None:
    clock, hold = ManualClock(), asyncio.Event()
    async with talking(clock=clock, llm=ScriptedLLM([["One. ", Hold(hold), "Two."]]), tts=ScriptedTTS()) as session:
        asking = asyncio.ensure_future(session.ask("Count."))
        await until(lambda: session.turns and session.chunks)
        moment = session.turns[0].at(0)
        assert (moment.status, moment.text, moment.user_text, moment.ms) == ("running", "One.", "Count.", 0)
        with pytest.raises(PatterConfigError, match="has lasted, so far, 0 ms"):
            session.turns[0].at(10)
        hold.set()
        await asking


async def test_with_nobody_to_listen_what_is_handed_over_counts_as_heard() -> None:
    async with talking(llm=ScriptedLLM(["Hello."]), tts=ScriptedTTS()) as session:
        turn = await session.ask("Hi")
        moment = turn.at(0)
        assert moment.heard_text == "Hello."
        assert moment.position == session.events.of(AudioSent)[-1].body.stop  # type: ignore[attr-defined]  # what `of` was asked for


async def test_an_answer_begun_early_is_told_before_its_turn() -> None:
    hold = asyncio.Event()
    hold.set()
    parts = {
        "llm": ScriptedLLM([["It is ", "sunny."]]),
        "stt": ScriptedSTT([QUESTION]),
        "vad": RecordedVAD.speaking((500, 1500)),
        "tools": [],
        "turn_taking": TurnTaking(endpointing_ms=1000, preemptive=True),
    }
    async with asked_by_voice(**parts) as session:
        early = session.turns[0].at(1300)
        assert (early.status, early.user_text, early.text, early.provider) == (None, QUESTION, "It is sunny.", "scripted")
        assert early.heard_text == ""


async def test_a_moment_is_a_value_that_nobody_can_change() -> None:
    async with asked_by_voice() as session:
        moment = session.turns[0].at(2200)
        assert moment == session.turns[0].at(2200)
        with pytest.raises(FrozenInstanceError):
            moment.state = "ready"  # type: ignore[misc]
        assert all(not isinstance(getattr(moment, field.name), (list, dict)) for field in fields(moment))


async def test_the_session_tells_of_any_moment_also_between_turns() -> None:
    async with asked_by_voice() as session:
        assert session.timeline.at(2700) == session.turns[0].at(2200)
        before = session.timeline.at(100)
        assert (before.turn, before.ms, before.state, before.user_text) == (None, None, "ready", "")


async def a_turn_alone() -> Turn:
    async with talking(llm=ScriptedLLM(["Hello."])) as session:
        turn = await session.ask("Hi")
        assert turn.at(0).status == "completed"
        return turn


async def test_a_turn_whose_session_is_gone_says_so() -> None:
    turn = await a_turn_alone()
    gc.collect()
    with pytest.raises(PatterConfigError, match="its session is gone"):
        turn.at(0)
    lone = Turn(7)
    with pytest.raises(PatterConfigError, match="Turn 7 has no log"):
        lone.at(0)


async def test_a_moment_shows_itself() -> None:
    async with asked_by_voice() as session:
        told = mimebundle(session.turns[0].at(2200))
        for kind in ("text/plain", "text/html"):
            assert "It is sunny" in told[kind]
            assert "in Rome. Take a hat." in told[kind]
            assert "get_weather" in told[kind]
        assert "2200 ms" in repr(session.turns[0].at(2200))
        assert len(repr(session.turns[0].at(2200))) < 300

"""A simulated caller who speaks: with scripts, and with a real voice into real ears, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from talking import bodies, share_heard
from test_first_light import words_in

from patter_nb import BrowserTTS, EnergyVAD, MoonshineSTT, Patter, PatterConfigError, PiperTTS, SileroVAD, TurnTaking
from patter_nb.audio.resampling import resample
from patter_nb.events import PlaybackPaused
from patter_nb.testing import Call, Caller, Request, ScriptedLLM, ScriptedSTT, ScriptedTTS, expect
from patter_nb.testing.line import Line

PERSONA = "Ada, a tourist in a hurry."
BYE = Call("hang_up", {"goal_reached": True, "reason": "Done."})


def hums(heard: list[str], **parts: Any) -> dict[str, Any]:
    """An agent for a caller who hums: their words are scripted, their voice is measured."""
    return {"stt": ScriptedSTT(heard), "vad": EnergyVAD(), "tts": ScriptedTTS(), "turn_taking": TurnTaking(endpointing_ms=400), **parts}


async def test_what_the_caller_says_is_heard_and_answered_aloud() -> None:
    parts = hums(["how warm is it", "thanks"], first_message="Weather service.")
    with ScriptedLLM(["Eighteen degrees.", "Bye."]) as llm, ScriptedLLM(["How warm is it?", ["Thanks!", BYE]]) as person, parts["stt"]:
        voice = ScriptedTTS(["How warm is it?", "Thanks!"], sample_rate=22_050)
        with voice:
            conversation = await Caller(PERSONA, llm=person, tts=voice, goal="the weather").call(Patter().agent(llm=llm, **parts))
    assert conversation.lines == (
        ("agent", "Weather service."),
        ("caller", "How warm is it?"),
        ("agent", "Eighteen degrees."),
        ("caller", "Thanks!"),
        ("agent", "Bye."),
    )
    assert [turn.user_text for turn in conversation.turns] == ["", "how warm is it", "thanks"]
    assert conversation.ended == "goal_reached" and conversation.session.state == "stopped"
    await expect(conversation).completed().heard("eighteen")
    assert all(turn.heard_ms for turn in conversation.turns)
    heard = np.asarray(conversation.session.audio.heard)
    assert np.abs(heard).max() > 1500, "the caller's voice arrives as sound"


async def test_a_caller_who_is_not_understood_goes_on() -> None:
    told: list[str] = []

    def person(request: Request) -> Any:
        told.append(request.user_text)
        return "Hello?" if len(told) < 3 else BYE

    parts = hums(["", "hello"])
    with ScriptedLLM(["Yes?"]) as llm, parts["stt"]:
        await Caller(PERSONA, llm=ScriptedLLM([person] * 3), tts=ScriptedTTS()).call(Patter().agent(llm=llm, **parts))
    assert told[1:] == ["(The agent says nothing.)", "Yes?"]


async def test_a_caller_without_patience_cuts_in_and_tells_what_they_have_heard() -> None:
    told: list[str] = []

    def person(request: Request) -> Any:
        told.append(request.user_text)
        return ["Tell me a story.", "Stop, please.", BYE][len(told) - 1]

    story = "Once there was a king who had three daughters. The eldest of them was very tall. The youngest was not."
    parts = hums(["tell me a story", "stop please"])
    with ScriptedLLM([story, "All right."]) as llm, parts["stt"]:
        caller = Caller(PERSONA, llm=ScriptedLLM([person] * 3), tts=ScriptedTTS(), patience_s=1.5)
        conversation = await caller.call(Patter().agent(llm=llm, **parts))
    first, second = conversation.turns
    assert told[1] == "Once there was a king who had three daughters. (The agent is still speaking. You have heard enough, and cut in.)"
    assert told[2] == "All right."
    assert first.status == "interrupted" and 0 < len(first.heard_text) < len(story)
    assert second.heard_text == "All right." and bodies(conversation.session, PlaybackPaused)


async def test_a_failing_turn_ends_the_call() -> None:
    parts = hums(["hello"], error_message="I am sorry.")
    with ScriptedLLM([RuntimeError("no")]) as llm, ScriptedLLM(["Hello?"]) as person:
        conversation = await Caller(PERSONA, llm=person, tts=ScriptedTTS()).call(Patter().agent(llm=llm, **parts))
    assert conversation.ended == "failed"
    await expect(conversation).failed()


async def test_the_callers_own_troubles_travel() -> None:
    with ScriptedLLM([OSError("unplugged")]) as person, pytest.raises(OSError, match="unplugged"):
        await Caller(PERSONA, llm=person, tts=ScriptedTTS()).call(Patter().agent(llm=ScriptedLLM([]), **hums([])))
    voice = ScriptedTTS(failing={"Hi": OSError("hoarse")})
    with ScriptedLLM(["Hi"]) as person, pytest.raises(OSError, match="hoarse"):
        await Caller(PERSONA, llm=person, tts=voice).call(Patter().agent(llm=ScriptedLLM([]), **hums([])))


async def test_a_spoken_call_takes_an_agent_that_hears_and_speaks_and_a_voice_with_sound() -> None:
    caller = Caller(PERSONA, llm=ScriptedLLM(["Hi"] * 9), tts=ScriptedTTS())
    for lacking, told in (("stt", "would not hear the caller"), ("tts", "would not be heard")):
        with pytest.raises(PatterConfigError, match=told):
            await caller.call(Patter().agent(llm=ScriptedLLM([]), **hums([], **{lacking: None})))
    with pytest.raises(PatterConfigError, match="speaks by a browser"):
        await Caller(PERSONA, llm=ScriptedLLM(["Hi"]), tts=BrowserTTS()).call(Patter().agent(llm=ScriptedLLM([]), **hums([])))
    async with Patter().serve(Patter().agent(llm=ScriptedLLM([])), name="typed") as session:
        with pytest.raises(PatterConfigError, match="brings the line"):
            await caller.call(session)


async def test_a_line_that_is_closed_runs_no_more() -> None:
    line = Line()
    await line.aclose()
    await line.run(lambda: False)


@pytest.mark.models
async def test_a_caller_with_a_real_voice_is_understood_and_hears_a_real_one() -> None:
    """Piper -> Silero -> Moonshine -> script -> Piper, as fast as it goes."""
    asks, answer = "What is the weather in Paris?", "In Paris it is rainy and cold."
    with ScriptedLLM([answer]) as llm, ScriptedLLM([asks, BYE]) as person:
        agent = Patter().agent(llm=llm, stt=MoonshineSTT(), vad=SileroVAD(), tts=PiperTTS())
        conversation = await Caller(PERSONA, llm=person, tts=PiperTTS(), goal="the weather").call(agent)
    assert conversation.lines == (("caller", asks), ("agent", answer))
    (turn,) = conversation.turns
    assert share_heard(asks, turn.user_text) >= 0.8
    await expect(conversation).completed().heard("rainy")
    spoken = conversation.session.audio.spoken
    assert share_heard(answer, await words_in(resample(np.asarray(spoken), spoken.rate, 16_000))) >= 0.7

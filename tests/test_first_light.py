"""The whole thing, real from a recording of speech to a recording of the answer: real voice, real models, no key, no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from talking import share_heard

from patter_nb import Patter, PiperTTS, Session, TurnTaking, WavTransport
from patter_nb.audio.frames import AudioFormat, Frame, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.audio.wav import read_wav
from patter_nb.demo import agent as demo_agent
from patter_nb.events import AudioSent, PlaybackStarted, SessionStarted, SpeechStarted, SpeechStopped, TranscriptFinal
from patter_nb.stt.moonshine import MoonshineSTT
from patter_nb.testing import ScriptedLLM

pytestmark = pytest.mark.models

QUESTION = Path(__file__).parent.parent / "notebooks" / "question.wav"


async def spoken(*parts: str | float) -> Pcm:
    """Speech at 16 kHz: a string is said, a number is that many seconds of silence."""
    voice = PiperTTS()
    sound: list[Pcm] = []
    for part in parts:
        if isinstance(part, str):
            sound += [resample(block, voice.format.sample_rate, 16_000) async for block in voice.synthesize(part)]
        else:
            sound.append(np.zeros(int(part * 16_000), np.int16))
    await voice.aclose()
    return np.concatenate(sound)


async def words_in(pcm: Pcm) -> str:
    """What speech-to-text hears in a recording at 16 kHz, in lower case."""
    stt = MoonshineSTT()
    await stt.open(AudioFormat())
    for seq, start in enumerate(range(0, len(pcm) - 319, 320)):
        await stt.push(Frame(pcm[start : start + 320], seq, seq * 20.0))
    await stt.finalize()
    async for transcript in stt.transcripts():
        if transcript.is_final:
            await stt.aclose()
            return transcript.text.casefold()
    raise AssertionError("speech-to-text ended without a final transcript")


async def call(transport: WavTransport, **parts: object) -> Session:
    """Serve the demo agent, changed by `parts`, until the recording is over."""
    session = await Patter().serve(demo_agent().replace(**parts), transport=transport)
    await session.wait()
    return session


async def test_a_spoken_question_is_answered_in_speech(tmp_path: Path) -> None:
    answer = tmp_path / "answer.wav"
    session = await call(WavTransport(QUESTION, answer))
    (turn,) = session.turns
    assert "weather" in turn.user_text.casefold() and "paris" in turn.user_text.casefold()
    (tool_call,) = turn.tool_calls
    assert (tool_call.name, tool_call.arguments, tool_call.status) == ("get_weather", {"city": "Paris"}, "completed")
    assert turn.status == "completed" and turn.heard_text == turn.agent_text and "Paris" in turn.agent_text
    assert turn.cost == 0 and turn.latency.keys() >= {"endpointing", "stt", "llm_first_token", "tts_first_audio", "response"}

    pcm, rate = read_wav(answer)
    assert rate == 16_000
    (began,) = session.events.of(PlaybackStarted)
    (started,) = session.events.of(SessionStarted)
    before = int((began.t_ms - started.t_ms) * 16) - 16_000 // 10
    assert not pcm[:before].any(), "the agent is silent until it answers"
    assert share_heard(turn.agent_text, await words_in(pcm)) >= 0.7

    order = [session.events.of(kind)[0].seq for kind in (SpeechStarted, SpeechStopped, TranscriptFinal, AudioSent, PlaybackStarted)]
    assert order == sorted(order)


async def test_the_person_interrupts_the_agent_by_speaking() -> None:
    sound = await spoken(0.3, "What is your plan for today?", 4.0, "Stop, wait a moment please.", 2.5)
    story = (
        "First I will tell you about the sea, which is wide and blue. "
        "Then I will tell you about the mountains, and then about the lakes and the rivers."
    )
    with ScriptedLLM([story, "All right."]) as llm:
        session = await call(WavTransport((sound, 16_000)), llm=llm, tools=(), filler=None, turn_taking=TurnTaking(endpointing_ms=500))
    first, second = session.turns
    assert first.status == "interrupted"
    assert first.heard_text and first.agent_text.startswith(first.heard_text) and len(first.heard_text) < len(story)
    assert share_heard("Stop, wait a moment please.", second.user_text) >= 0.4 and second.heard_text == "All right."
    assert [message["content"] for message in llm.requests[1].messages if message["role"] == "assistant"] == [first.heard_text]


async def test_a_slammed_door_does_not_interrupt() -> None:
    sound = await spoken(0.3, "What is your plan for today?", 8.0)
    slam_at = len(sound) - 4 * 16_000
    decay = np.exp(-np.arange(4000) / 900)
    sound[slam_at : slam_at + 4000] = (np.random.default_rng(1).normal(0, 9000, 4000) * decay).astype(np.int16)
    story = "Today I will tell you about the sea, which is wide and blue and deep and cold, and about the mountains beside it."
    with ScriptedLLM([story]) as llm:
        session = await call(WavTransport((sound, 16_000)), llm=llm, tools=(), filler=None)
    (turn,) = session.turns
    assert turn.status == "completed" and turn.heard_text == story


async def test_silence_is_no_turn() -> None:
    session = await call(WavTransport((np.zeros(32_000, np.int16), 16_000), paced=False), llm=ScriptedLLM([]))
    assert len(session.turns) == 0

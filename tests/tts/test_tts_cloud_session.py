"""A session that speaks with a voice of the cloud: what comes out is what the vendor sent, and who interrupts stops the vendor too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from talking import one_utterance, share_heard, silence, until
from test_first_light import words_in
from voice_ways import WAYS, Way, every_way, noise

from patter_nb import MoonshineSTT, Patter, PiperTTS, Session, WavTransport
from patter_nb.audio.frames import Pcm
from patter_nb.audio.resampling import resample
from patter_nb.audio.wav import read_wav
from patter_nb.clock import ManualClock
from patter_nb.errors import AuthenticationError, TruncatedStream
from patter_nb.events import AudioSent, SpeechUsed
from patter_nb.pricing import Prices
from patter_nb.testing import ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.testing.wire.voices import Saying, VoiceServer
from patter_nb.transports.keyboard import KeyboardTransport

ANSWER = "It is warm and sunny today and the water is very blue."
STORY = "First I will tell you about the sea, which is wide and blue. Then I will tell you about the mountains and the lakes."


@asynccontextmanager
async def serving(transport: Any = None, **parts: Any) -> AsyncIterator[Session]:
    transport = transport or KeyboardTransport(ManualClock())
    async with Patter().serve(Patter().agent(**parts), transport=transport, name="cloud") as session:
        yield session


async def speech(*texts: str) -> Callable[[str], Pcm]:
    """Real speech for these texts, as a vendor would send it."""
    piper = PiperTTS()
    sounds = {}
    for text in texts:
        blocks = [block async for block in piper.synthesize(text)]
        sounds[text] = resample(np.concatenate(blocks), piper.format.sample_rate, 24_000)
    await piper.aclose()
    return lambda text: sounds[text.strip()]


@pytest.mark.models
@every_way
async def test_what_comes_out_is_understood_again(way: Way, tmp_path: Path) -> None:
    """An odd number of bytes a block: one byte off, nobody would understand a word."""
    out = tmp_path / "answer.wav"
    async with VoiceServer(await speech(ANSWER), block_bytes=4_801) as server, way.to(server) as tts:
        transport = WavTransport((np.zeros(10 * 16_000, np.int16), 16_000), out, paced=False)
        parts = {"vad": one_utterance(), "stt": ScriptedSTT(["How is the weather?"]), "llm": ScriptedLLM([ANSWER]), "tts": tts}
        session = await Patter().serve(Patter().agent(**parts), transport=transport, name="cloud")
        await session.wait()
    (turn,) = session.turns
    assert (turn.status, turn.heard_text) == ("completed", ANSWER)
    assert [one.text.strip() for one in server.spoken] == [ANSWER]
    pcm, rate = read_wav(out)
    assert rate == 16_000
    assert share_heard(ANSWER, await words_in(pcm)) >= 0.7


@every_way
async def test_the_samples_that_come_out_are_the_vendors(way: Way) -> None:
    async with VoiceServer(noise, block_bytes=777) as server, way.to(server) as tts:
        async with serving(silence(8.0), vad=one_utterance(), stt=ScriptedSTT(["Hi."]), llm=ScriptedLLM([ANSWER]), tts=tts) as session:
            await session.wait_turn()
            spoken = session.audio.spoken
            made = np.concatenate([spoken.slice(0, len(spoken))])
    assert np.array_equal(made, resample(noise(ANSWER), 24_000, 16_000))


@every_way
async def test_the_greeting_goes_over_the_connection_that_was_warmed(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        async with serving(llm=ScriptedLLM([]), tts=tts, first_message="Hello, this is me.") as session:
            await until(lambda: session.turns and session.turns[0].status == "completed")
    assert [(one.text.strip(), one.connection) for one in server.spoken] == [("Hello, this is me.", 0)]


@every_way
async def test_who_interrupts_stops_the_vendor(way: Way) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=2, then="quiet")]) as server, way.to(server) as tts:
        async with serving(llm=ScriptedLLM([STORY, "All right."]), tts=tts) as session:
            first = asyncio.create_task(session.ask("Tell me."))
            await until(lambda: session.events.of(AudioSent))
            second = await session.ask("Stop!")
            assert (await first).status == "interrupted"
            assert second.status == "completed"
            await server.spoken[0].over.wait()
            await until(lambda: "tts" in session.turns[0].costs)
            turn = session.turns[0]
    assert server.spoken[0].outcome == ("cancelled" if way.shared else "left")
    assert [one.text.strip() for one in server.spoken][1:] == ["All right."]
    assert turn.usage["tts_characters"] > len(turn.heard_text)  # it was sent, and is charged for
    assert turn.costs["tts"] == turn.cost
    assert turn.cost is not None
    assert turn.cost > 0


@every_way
async def test_what_is_said_by_itself_costs_its_characters(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        async with serving(llm=ScriptedLLM([]), tts=tts) as session:
            turn = await session.say("Hello, this is me.")
    assert turn.usage == {"tts_characters": sum(len(one.text.strip()) for one in server.spoken)}
    assert turn.costs == {"tts": Prices().speech(SpeechUsed("tts", tts.provider, tts.model, True, characters=18))}
    assert turn.cost is not None
    assert turn.cost > 0


@every_way
async def test_a_voice_is_swapped_in_a_live_session(way: Way) -> None:
    local = ScriptedTTS()
    async with VoiceServer(noise) as server, way.to(server) as tts:
        async with serving(llm=ScriptedLLM(["One.", "Two.", "Three."]), tts=local) as session:
            await session.ask("Count.")
            session.tts = tts
            turn = await session.ask("Go on.")
            assert turn.status == "completed"
            session.tts = local
            await session.ask("Go on.")
    assert local.said == ["One.", "Three."]
    assert [one.text.strip() for one in server.spoken] == ["Two."]


@every_way
async def test_a_voice_is_swapped_in_mid_word(way: Way) -> None:
    local = ScriptedTTS()
    async with VoiceServer(noise, sayings=[Saying(after=2, then="quiet")]) as server, way.to(server) as tts:
        async with serving(llm=ScriptedLLM([STORY, "and so it goes on."]), tts=tts) as session:
            asking = asyncio.create_task(session.ask("Tell me."))
            await until(lambda: session.events.of(AudioSent))
            session.use(when="now", tts=local)
            assert (await asking).status == "completed"
            await server.spoken[0].over.wait()
    assert server.spoken[0].outcome == ("cancelled" if way.shared else "left")
    assert [text.strip() for text in local.said] == ["and so it goes on."]


@every_way
async def test_a_voice_that_fails_fails_the_turn_and_says_why(way: Way) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=2, then="reset")]) as server, way.to(server) as tts:
        async with serving(llm=ScriptedLLM([ANSWER, ANSWER]), tts=tts) as session:
            turn = await session.ask("Tell me.")
            assert (turn.status, type(turn.error)) == ("failed", TruncatedStream)
            assert (await session.ask("Again.")).status == "completed"


@every_way
async def test_a_wrong_key_is_told_at_the_first_words(way: Way) -> None:
    async with VoiceServer(noise, key="another-key") as server, way.to(server) as tts:
        async with serving(llm=ScriptedLLM([ANSWER]), tts=tts) as session:
            turn = await session.ask("Tell me.")
    assert (turn.status, type(turn.error)) == ("failed", AuthenticationError)
    assert "tts" not in turn.costs  # what is refused is charged by nobody
    assert "test-key" not in str(turn.error)


@pytest.mark.models
async def test_a_whole_conversation_with_real_speech_on_both_sides(tmp_path: Path) -> None:
    """A recorded question, recognised here; an answer in a vendor's protocol, recognised again."""
    out = tmp_path / "answer.wav"
    question = Path(__file__).parent.parent.parent / "notebooks" / "question.wav"
    (way,) = (way for way in WAYS if way.name == "cartesia")
    async with VoiceServer(await speech(ANSWER)) as server, way.to(server) as tts:
        parts = {"stt": MoonshineSTT(), "llm": ScriptedLLM([ANSWER]), "tts": tts}
        session = await Patter().serve(Patter().agent(**parts), transport=WavTransport(question, out, paced=False), name="cloud")
        await session.wait()
    (turn,) = session.turns
    assert "paris" in turn.user_text.casefold()
    pcm, _ = read_wav(out)
    assert share_heard(ANSWER, await words_in(pcm)) >= 0.7

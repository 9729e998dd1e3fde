"""The seed's claims about voices, and the bugs that others had with them: one test for each, named after its row."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import numpy as np
import pytest
from talking import one_utterance, silence, until
from voice_ways import KEY, WAYS, Way, blocks_of, every_way, noise, sound_of

import patter_nb
from patter_nb import Patter
from patter_nb.audio.frames import AudioFormat, Pcm
from patter_nb.clock import ManualClock
from patter_nb.errors import ModelNotFound, PatterConfigError
from patter_nb.testing import ScriptedLLM, ScriptedSTT
from patter_nb.testing.wire.voices import Saying, VoiceServer
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.tts import cartesia, elevenlabs, openai

VENDORS = {"OpenAITTS": openai, "ElevenLabsTTS": elevenlabs, "CartesiaTTS": cartesia}
every_vendor = pytest.mark.parametrize("name", VENDORS)


@every_vendor
def test_seed_row_07_a_flat_name_is_the_namespaced_class_and_reads_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = getattr(patter_nb, name)
    assert VENDORS[name].TTS is kind
    monkeypatch.setenv(kind.key_name, "from-the-environment")
    assert kind()._key == "from-the-environment"
    assert kind("mine")._key == "mine"


@every_vendor
def test_seed_row_23_every_stage_reads_its_key_from_the_environment_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = getattr(patter_nb, name)
    monkeypatch.delenv(kind.key_name, raising=False)
    with pytest.raises(PatterConfigError, match=kind.key_name):
        kind()


def test_section_8_3_the_default_models_voices_and_keys() -> None:
    told = {
        name: (kind.key_name, tts.model, tts.voice, tts.base_url)
        for name in VENDORS
        for kind in [getattr(patter_nb, name)]
        for tts in [kind(KEY)]
    }
    assert told == {
        "OpenAITTS": ("OPENAI_API_KEY", "gpt-4o-mini-tts", "alloy", "https://api.openai.com/v1"),
        "ElevenLabsTTS": ("ELEVENLABS_API_KEY", "eleven_flash_v2_5", "EXAVITQu4vr4xnSDxMaL", "https://api.elevenlabs.io"),
        "CartesiaTTS": ("CARTESIA_API_KEY", "sonic-3", "f786b574-daa5-4673-aa0c-cbe3e8534c02", "https://api.cartesia.ai"),
    }
    assert cartesia.VERSION == "2025-04-16"
    assert elevenlabs.INACTIVITY_S == 60


@pytest.mark.parametrize("streaming", [True, False])
async def test_section_8_3_the_transport_of_elevenlabs_can_be_switched(streaming: bool) -> None:
    async with VoiceServer(noise) as server:
        tts = elevenlabs.ElevenLabsTTS(KEY, base_url=server.elevenlabs_url, streaming=streaming)
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()
        await tts.aclose()
    assert bool(server.handshakes) is streaming


def test_section_8_3_speed_and_instructions_of_openai_are_exposed() -> None:
    assert {"speed", "instructions"} <= inspect.signature(openai.OpenAITTS).parameters.keys()


@every_way
async def test_section_8_1_a_voice_advertises_the_rate_of_what_it_yields(way: Way) -> None:
    """A second of the vendor's sound is a second by `format`."""
    async with VoiceServer(lambda text: np.ones(24_000, np.int16)) as server, way.to(server) as tts:
        samples = sum(map(len, await blocks_of(tts, "Hello.")))
        assert tts.format == AudioFormat(24_000)
        assert samples / tts.format.sample_rate == 1.0


@every_way
async def test_section_7_1_an_odd_byte_is_carried_to_the_next_chunk_and_not_to_the_next_sentence(way: Way) -> None:
    class Torn(VoiceServer):
        def blocks_of(self, text: str) -> list[bytes]:
            sound = noise(text).tobytes()
            return [sound[:1001], sound[1001:2001], sound[2001:], b"\x7f"]

    async with Torn() as server, way.to(server) as tts:
        for text in ("One.", "Number two.", "This is three."):
            assert await sound_of(tts, text) == noise(text).tobytes()


@every_way
async def test_row_missing_anti_alias_filter_in_24_to_16_khz(way: Way) -> None:
    """A tone of 10 kHz has no place at 16 kHz; without a filter it would be heard at 6 kHz, as loud."""

    def tone(text: str) -> Pcm:
        sound: Pcm = (12_000 * np.sin(np.arange(24_000) * (2 * np.pi * 10_000 / 24_000))).astype(np.int16)
        return sound

    async with VoiceServer(tone) as server, way.to(server) as tts:
        agent = Patter().agent(vad=one_utterance(), stt=ScriptedSTT(["Hi."]), llm=ScriptedLLM(["Hello."]), tts=tts)
        async with Patter().serve(agent, transport=silence(6.0), name="seed") as session:
            await session.wait_turn()
            spoken = np.asarray(session.audio.spoken)
    assert len(spoken) == 16_000
    assert np.abs(spoken[2000:-2000].astype(int)).max() < 120  # 40 dB below the tone


@every_way
async def test_row_providers_silently_falling_through_to_a_default(way: Way) -> None:
    """Another voice or model than was asked for is worse than none."""
    async with VoiceServer(noise) as server:
        for wrong in ({"voice": "nobody"}, {"model": "nothing"}):
            async with way.to(server, **wrong) as tts:
                with pytest.raises(ModelNotFound):
                    await blocks_of(tts, "Hello.")
    assert not any(one.blocks for one in server.spoken)


@every_way
async def test_row_7_3_a_barge_in_stops_the_voice_and_keeps_what_was_heard(way: Way) -> None:
    story = "It is sunny in Rome today. Take a hat with you, for it will be warm."
    llm = ScriptedLLM([story, "All right."])
    async with VoiceServer(noise, sayings=[Saying(), Saying(after=1, then="quiet")]) as server, way.to(server) as tts:
        agent = Patter().agent(llm=llm, tts=tts)
        async with Patter().serve(agent, transport=KeyboardTransport(ManualClock()), name="seed") as session:
            asking = asyncio.create_task(session.ask("Weather?"))
            await until(lambda: len(server.spoken) == 2 and server.spoken[1].blocks)
            await session.ask("Stop.")
            assert (await asking).status == "interrupted"
            await server.spoken[1].over.wait()
    assert server.spoken[1].outcome == ("cancelled" if way.shared else "left")
    assert "Take a hat" not in server.spoken[0].text


@every_way
async def test_section_9_1_the_first_sound_of_the_voice_is_measured(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        agent = Patter().agent(vad=one_utterance(), stt=ScriptedSTT(["Hi."]), llm=ScriptedLLM(["Hello."]), tts=tts)
        async with Patter().serve(agent, transport=silence(6.0), name="seed") as session:
            turn = await session.wait_turn()
    assert turn.latency["tts_first_audio"] >= 0


async def test_row_36_one_instance_serves_two_sessions_and_mixes_nothing() -> None:
    for way in WAYS:
        async with VoiceServer(noise) as server, way.to(server) as tts:

            async def speaks(text: str, name: str, tts: Any = tts) -> Pcm:
                agent = Patter().agent(llm=ScriptedLLM([text]), tts=tts)
                async with Patter().serve(agent, transport=KeyboardTransport(ManualClock()), name=name) as session:
                    await session.ask("Go.")
                    return np.asarray(session.audio.spoken)

            one, two = await asyncio.gather(speaks("One.", "first"), speaks("This is number two.", "second"))
            assert not np.array_equal(one, two)
            assert len(one) == len(two) == 6_000

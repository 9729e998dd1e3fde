"""Every voice speaks alike: the same sound from the same bytes, the text as it came, connections that are warm, and none left open."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest
from voice_ways import EVERY_VOICE, KEY, WAYS, Way, blocks_of, every_way, noise, pieces, sound_of, ways

from patter_nb import CartesiaTTS, ElevenLabsTTS, OpenAITTS
from patter_nb.audio.frames import AudioFormat
from patter_nb.errors import AudioError, PatterConfigError
from patter_nb.testing.wire.voices import Saying, VoiceServer
from patter_nb.tts.base import TTS
from patter_nb.tts.wire.vendor import VendorTTS

CLASSES = (OpenAITTS, ElevenLabsTTS, CartesiaTTS)
every_class = pytest.mark.parametrize("kind", CLASSES)
every_voice = pytest.mark.parametrize("voice", EVERY_VOICE)
Voice = Callable[[], AbstractAsyncContextManager[TTS]]

# --- every voice, of the cloud or not


@every_voice
async def test_a_sentence_is_sound_in_blocks(voice: Voice) -> None:
    async with voice() as tts:
        assert isinstance(tts, TTS)
        samples = sum(map(len, await blocks_of(tts, "It is sunny in Rome.")))
        assert 0.2 < samples / tts.format.sample_rate < 5.0


@every_voice
@pytest.mark.parametrize("text", ["", pieces()])
async def test_nothing_to_say_is_no_sound(voice: Voice, text: str | AsyncIterator[str]) -> None:
    async with voice() as tts:
        assert await blocks_of(tts, text) == []


@every_voice
async def test_an_iterator_of_text_is_spoken_whole(voice: Voice) -> None:
    async with voice() as tts:
        short = sum(map(len, await blocks_of(tts, "It is sunny in Rome.")))
        both = sum(map(len, await blocks_of(tts, pieces("It is sunny in Rome. ", "Take a hat with you today."))))
        assert both > short * 1.3


@every_voice
async def test_it_speaks_again_after_it_was_stopped(voice: Voice) -> None:
    async with voice() as tts:
        speaking: Any = tts.synthesize("It is sunny in Rome. Take a hat with you.")
        await anext(speaking)
        await speaking.aclose()
        assert await blocks_of(tts, "Again.")


@every_voice
async def test_it_may_be_closed_twice(voice: Voice) -> None:
    async with voice() as tts:
        await tts.aclose()
        await tts.aclose()


# --- how they are made


@every_class
def test_what_they_are(kind: type[VendorTTS]) -> None:
    tts: Any = kind(KEY)
    defaults = {
        OpenAITTS: ("openai", "gpt-4o-mini-tts", "alloy"),
        ElevenLabsTTS: ("elevenlabs", "eleven_flash_v2_5", "EXAVITQu4vr4xnSDxMaL"),
        CartesiaTTS: ("cartesia", "sonic-3", "f786b574-daa5-4673-aa0c-cbe3e8534c02"),
    }
    assert (tts.provider, tts.model, tts.voice) == defaults[kind]
    assert tts.format == AudioFormat(24_000)
    assert tts.costs is True


@every_class
def test_the_key_comes_from_the_environment_and_is_shown_nowhere(kind: type[VendorTTS], monkeypatch: pytest.MonkeyPatch) -> None:
    make: Any = kind
    monkeypatch.delenv(kind.key_name, raising=False)
    with pytest.raises(PatterConfigError, match=rf"{kind.__name__} has no API key.*{kind.key_name}"):
        make()
    monkeypatch.setenv(kind.key_name, " sk-secret ")
    tts = make()
    assert "sk-secret" not in f"{tts!r} {vars(tts) | {'_key': ''}}"
    assert tts._key == "sk-secret"


@every_class
def test_an_unknown_keyword_is_an_error_with_a_hint(kind: type[VendorTTS]) -> None:
    make: Any = kind
    with pytest.raises(TypeError, match=rf"{kind.__name__}\(\).*'voize'.*Did you mean voice="):
        make(KEY, voize="alloy")


@every_class
@pytest.mark.parametrize(
    "wrong",
    [{"model": ""}, {"voice": None}, {"base_url": "localhost"}, {"timeout_s": 0}, {"max_retries": -1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_makes_no_sense_is_refused_at_once(kind: type[VendorTTS], wrong: dict[str, Any]) -> None:
    make: Any = kind
    with pytest.raises(PatterConfigError, match=next(iter(wrong))):
        make(KEY, **wrong)


def test_options_out_of_range_are_refused_at_once() -> None:
    with pytest.raises(PatterConfigError, match=r"speed=9.*0\.25 to 4\.0"):
        OpenAITTS(KEY, speed=9)
    with pytest.raises(PatterConfigError, match=r"max_buffer_delay_ms=6000.*0 to 5000"):
        CartesiaTTS(KEY, max_buffer_delay_ms=6000)


@pytest.mark.parametrize("streaming", [True, False])
def test_row_elevenlabs_refuses_eleven_v3(streaming: bool) -> None:
    with pytest.raises(PatterConfigError, match=r"cannot speak with eleven_v3.*eleven_flash_v2_5"):
        ElevenLabsTTS(KEY, model="eleven_v3", streaming=streaming)


@every_way
async def test_what_is_no_text_is_refused(way: Way) -> None:
    async with VoiceServer() as server, way.to(server) as tts:
        with pytest.raises(PatterConfigError, match="int, not text"):
            await blocks_of(tts, 7)  # type: ignore[arg-type]
    assert server.spoken == []


# --- bytes and samples


@every_way
@pytest.mark.parametrize("block_bytes", [1, 3, 4_799, 4_800, 100_000])
async def test_row_odd_byte_pcm_hiss(way: Way, block_bytes: int) -> None:
    """However the bytes are cut, the samples are the same: one byte off, all of them would be noise."""
    text = "Hi." if block_bytes < 10 else "It is sunny."

    def short(text: str) -> np.ndarray[Any, np.dtype[np.int16]]:
        return noise(text)[: 300 if block_bytes < 10 else None]

    async with VoiceServer(short, block_bytes=block_bytes) as server, way.to(server) as tts:
        assert await sound_of(tts, text) == short(text).tobytes()
        assert await sound_of(tts, text) == short(text).tobytes()  # nothing is carried over to the next text


@every_way
async def test_half_a_sample_at_the_end_is_none(way: Way) -> None:
    class Odd(VoiceServer):
        def blocks_of(self, text: str) -> list[bytes]:
            return [*super().blocks_of(text), b"\x7f"]

    async with Odd(noise) as server, way.to(server) as tts:
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()


def wav(rate: int) -> bytes:
    return b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", 0xFFFFFFFF)


MP3 = (b"\xff\xfb\x90\xc4" + bytes(413)) * 3  # 128 kbit/s, 44,100 Hz: 417 bytes a frame
AAC = (b"\xff\xf1\x50\x80\x0d\x1f\xfc" + bytes(97)) * 3
FILES = {
    "WAV at 16000 Hz": wav(16_000),
    "WAV at 24000 Hz": wav(24_000),
    "MP3": b"ID3\x04\x00\x00\x00\x00\x00\x00",
    "MP3, not": MP3,
    "AAC": AAC,
    "Ogg": b"OggS\x00\x02",
    "FLAC": b"fLaC\x00\x00",
    "WebM": b"\x1aE\xdf\xa3\x01",
}


@every_way
@pytest.mark.parametrize("file", FILES)
async def test_a_file_in_place_of_raw_sound_is_an_error_that_says_so(way: Way, file: str) -> None:
    name = file.removesuffix(", not")
    async with VoiceServer(noise, sayings=[Saying(prefix=FILES[file])]) as server, way.to(server) as tts:
        with pytest.raises(AudioError, match=rf"sent {name}, not raw PCM16 at 24000 Hz"):
            await blocks_of(tts, "Hello.")
    assert len(server.spoken) == 1


@pytest.mark.parametrize("block_bytes", [1, 7, 48, 500])
async def test_a_files_beginning_is_known_in_any_pieces(block_bytes: int) -> None:
    class Cut(VoiceServer):
        def blocks_of(self, text: str) -> list[bytes]:
            whole = FILES[text] + bytes(2000)
            return [whole[start : start + block_bytes] for start in range(0, len(whole), block_bytes)]

    async with Cut() as server:
        for file in ("WAV at 24000 Hz", "MP3, not", "Ogg"):
            with pytest.raises(AudioError, match=rf"sent {file.split(',')[0].split(' ')[0]}"):
                await blocks_of(WAYS[0].make(server), file)


@every_way
@pytest.mark.parametrize(
    "start",
    [
        b"\xff\xff",
        b"\xff\xfb\x90\xc4",
        b"\xff\xfb\x90\xc4" + bytes(413) + b"\xff\x00\x00",
        b"\xff\xf1\x50\x80\x0d\x1f\xfc\x00",
        b"R\x01",
        b"\xff\xfb",
    ],
    ids=["-1", "mp3", "mp3 and a loud sample", "aac", "R", "short"],
)
async def test_sound_that_begins_a_little_like_a_file_is_sound(way: Way, start: bytes) -> None:
    """The headers of MP3 and AAC are two bytes that loud sound has too: -1025 and -3585."""
    loud = np.concatenate([np.frombuffer(start, np.int16), noise("x")])
    async with VoiceServer(lambda text: loud) as server, way.to(server) as tts:
        assert await sound_of(tts, "Hello.") == loud.tobytes()


async def test_very_short_sound_is_not_waited_for() -> None:
    click = np.array([-1025], np.int16)
    async with VoiceServer(lambda text: click) as server, WAYS[0].to(server) as tts:
        assert await sound_of(tts, "Hi.") == click.tobytes()


@ways(socket=False)
@pytest.mark.parametrize("told", ["audio/mpeg", "audio/wav", "audio/pcm;rate=16000", "audio/L16; rate=44100; channels=1"])
async def test_content_of_another_kind_or_rate_is_an_error_that_says_so(way: Way, told: str) -> None:
    async with VoiceServer(noise, sayings=[Saying(content_type=told)]) as server, way.to(server) as tts:
        with pytest.raises(AudioError, match=rf"sent {told}, not raw PCM16 at 24000 Hz"):
            await blocks_of(tts, "Hello.")


@ways(socket=False)
@pytest.mark.parametrize("told", ["audio/pcm", "audio/pcm;rate=24000", "audio/L16; rate=24000; channels=1", "application/octet-stream"])
async def test_raw_sound_by_any_of_its_names_is_taken(way: Way, told: str) -> None:
    async with VoiceServer(noise, sayings=[Saying(content_type=told)]) as server, way.to(server) as tts:
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()


# --- the text


@every_way
async def test_the_text_goes_out_as_it_is(way: Way) -> None:
    text = 'Caffè “ok”, 3.14 & <b>: 日本語 \N{GRINNING FACE}, it said "no".'
    async with VoiceServer(noise) as server, way.to(server) as tts:
        await blocks_of(tts, text)
    assert server.spoken[0].text.strip() == text
    assert len(server.spoken[0].pieces) == 1


@every_way
async def test_halves_of_characters_are_mended_and_never_an_error(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        await blocks_of(tts, "Oh \ud83d\ude00 and \ud83d!")
        await blocks_of(tts, pieces("Oh \ud83d\ude00 ", "and \ud83d!"))
    assert [one.text.strip() for one in server.spoken] == ["Oh \N{GRINNING FACE} and �!"] * 2


@every_way
@pytest.mark.parametrize("text", [" ", "\n", "...", "?!", pieces(" ", "...", "\n")])
async def test_without_a_word_nobody_is_asked(way: Way, text: str | AsyncIterator[str]) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        assert await blocks_of(tts, text) == []
    assert server.spoken == []
    assert server.connections == []


@every_way
async def test_tokens_become_whole_words(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        await blocks_of(tts, pieces("It is ve", "ry sun", "ny in Ro", "me to", "day. Ta", "ke a h", "at."))
    told = " ".join(" ".join(one.text.split()) for one in server.spoken)
    assert told == "It is very sunny in Rome today. Take a hat."


@ways(socket=True)
async def test_text_goes_out_and_sound_comes_in_while_the_rest_is_still_written(way: Way) -> None:
    go_on = asyncio.Event()

    async def written() -> AsyncIterator[str]:
        yield "It is sunny in Rome today. Take"
        await go_on.wait()
        yield " a hat."

    async with VoiceServer(noise) as server, way.to(server) as tts:
        speaking = tts.synthesize(written())
        await anext(speaking)
        assert server.spoken[0].text.startswith("It is sunny in Rome today. ")
        assert "hat" not in server.spoken[0].text
        go_on.set()
        assert [block async for block in speaking]
        assert server.spoken[0].text.strip() == "It is sunny in Rome today. Take a hat."
    assert len(server.spoken) == 1


@ways(socket=False)
async def test_a_sentence_is_asked_for_while_the_rest_is_still_written(way: Way) -> None:
    asked: list[int] = []

    async def written() -> AsyncIterator[str]:
        yield "It is sunny in Rome today. Take"
        asked.append(len(server.spoken))
        yield " a hat."

    async with VoiceServer(noise) as server, way.to(server) as tts:
        await blocks_of(tts, written())
    assert asked == [1]
    assert [one.text.strip() for one in server.spoken] == ["It is sunny in Rome today.", "Take a hat."]


async def test_a_text_too_long_for_one_request_is_spoken_by_sentences() -> None:
    text = "It is sunny in Rome today, and warm. " * 200
    async with VoiceServer(lambda text: noise(text)[:100]) as server, WAYS[0].to(server) as tts:
        assert len(await sound_of(tts, text)) == 200 * len(server.spoken)
    assert len(server.spoken) > 10
    assert "".join(one.text for one in server.spoken).split() == text.split()


@every_way
async def test_endless_text_can_be_left(way: Way) -> None:
    async def endless() -> AsyncIterator[str]:
        while True:
            yield "On and on and on it goes. "

    async with VoiceServer(noise) as server, way.to(server) as tts:
        speaking: Any = tts.synthesize(endless())
        await anext(speaking)
        await speaking.aclose()


# --- connections


@every_way
async def test_the_first_words_go_over_the_connection_that_was_warmed(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        await tts.warmup()
        assert len(server.connections) == 1
        await blocks_of(tts, "Hello.")
        assert server.spoken[0].connection == 0


@ways(but=["elevenlabs"])
async def test_one_connection_serves_one_text_after_the_other(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        for text in ("One.", "Two.", "Three."):
            assert await sound_of(tts, text) == noise(text).tobytes()
    assert len(server.connections) == 1


async def test_elevenlabs_opens_the_next_connection_ahead() -> None:
    (way,) = (way for way in WAYS if way.name == "elevenlabs")
    async with VoiceServer(noise) as server, way.to(server) as tts:
        await tts.warmup()
        for count in (1, 2, 3):
            speaking = tts.synthesize("Hello.")
            await anext(speaking)
            await server.opened(count + 1)
            assert [block async for block in speaking]
        assert [one.connection for one in server.spoken] == [0, 1, 2]
        assert len(server.handshakes) == 4


@every_way
async def test_a_connection_that_the_vendor_closed_meanwhile_is_not_used(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server, max_retries=0) as tts:
        await tts.warmup()
        await server.end_idle()
        for transport in server.connections:
            transport.close()
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()


@every_way
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_kept_connection_that_proves_dead_is_no_failure(way: Way, how: Any) -> None:
    """It looked open; nothing came over it, so that the same is said over a new one, and counted as no attempt."""
    async with VoiceServer(noise, sayings=[Saying(after=0, then=how)]) as server, way.to(server, max_retries=0) as tts:
        await tts.warmup()
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()
    assert [one.outcome for one in server.spoken] == ["failed", "whole"]


@every_way
async def test_a_vendor_that_cannot_be_warmed_up_is_no_error_yet(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    async with VoiceServer() as server:
        tts = way.make(server)
    await tts.warmup()
    assert "could not be warmed up" in caplog.text
    assert KEY not in caplog.text


@every_way
async def test_two_texts_at_once_are_both_whole(way: Way) -> None:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        texts = ["One.", "Number two.", "This is number three."]
        assert await asyncio.gather(*(sound_of(tts, text) for text in texts)) == [noise(text).tobytes() for text in texts]


@every_way
def test_one_voice_speaks_in_one_loop_after_the_other(way: Way) -> None:
    made: list[VendorTTS] = []

    async def speak() -> None:
        async with VoiceServer(noise) as server:
            made[:] = made or [way.make(server)]
            made[0].base_url = way.url(server)
            await made[0].warmup()
            assert await sound_of(made[0], "Hello.") == noise("Hello.").tobytes()  # and the loop ends with connections open

    asyncio.run(speak())
    asyncio.run(speak())


# --- what is asked for


async def test_openai_is_asked_for_raw_sound_with_its_options() -> None:
    async with VoiceServer(noise) as server:
        await blocks_of(OpenAITTS(KEY, base_url=server.openai_url), "Hello.")
        await blocks_of(OpenAITTS(KEY, base_url=server.openai_url + "/", voice="nova", speed=1.2, instructions="Softly."), "Hello.")
    common = {"model": "gpt-4o-mini-tts", "input": "Hello.", "response_format": "pcm"}
    assert server.spoken[0].options == {**common, "voice": "alloy"}
    assert server.spoken[1].options == {**common, "voice": "nova", "speed": 1.2, "instructions": "Softly."}


@pytest.mark.parametrize("streaming", [True, False])
async def test_elevenlabs_is_asked_for_raw_sound_with_its_options(streaming: bool) -> None:
    async with VoiceServer(noise) as server:
        tts = ElevenLabsTTS(KEY, base_url=server.elevenlabs_url, streaming=streaming, language_code="it", stability=0.4, speed=1.1)
        await blocks_of(tts, "Ciao.")
        await tts.aclose()
    options = server.spoken[0].options
    assert options["output_format"] == "pcm_24000"
    assert (options["model_id"], options["language_code"]) == ("eleven_flash_v2_5", "it")
    assert options["voice_settings"] == {"stability": 0.4, "speed": 1.1}
    if streaming:
        assert (options["auto_mode"], options["inactivity_timeout"]) == ("true", "60")
        assert server.handshakes[0]["xi-api-key"] == KEY


async def test_cartesia_is_asked_for_raw_sound_with_its_options() -> None:
    async with VoiceServer(noise) as server:
        tts = CartesiaTTS(KEY, base_url=server.cartesia_url, language="it", speed=1.1, emotion="content", max_buffer_delay_ms=200)
        await blocks_of(tts, "Ciao.")
        await tts.aclose()
    options = dict(server.spoken[0].options)
    assert len(options.pop("context_id")) == 32
    assert options == {
        "model_id": "sonic-3",
        "transcript": "Ciao.",
        "voice": {"mode": "id", "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000},
        "language": "it",
        "continue": False,
        "max_buffer_delay_ms": 200,
        "generation_config": {"speed": 1.1, "emotion": "content"},
    }
    assert "language" not in await _asked_without_language()
    assert server.handshakes[0]["cartesia-version"] == server.handshakes[0]["cartesia_version"] == "2025-04-16"


async def _asked_without_language() -> Mapping[str, Any]:
    async with VoiceServer(noise) as server:
        tts = CartesiaTTS(KEY, base_url=server.cartesia_url, language=None)
        await blocks_of(tts, "Ciao.")
        await tts.aclose()
    return server.spoken[0].options

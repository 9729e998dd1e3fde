"""What is each vendor's own: the query that it is asked with, and the order in which it says things."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types import realtime
from pydantic import TypeAdapter
from recognisers import ASSEMBLYAI, CARTESIA, DEEPGRAM, KEY, OPENAI, WHISPER, Vendor, every_vendor, frames, hearing, wire
from talking import until

from patter_nb import AssemblyAISTT, CartesiaSTT, DeepgramSTT, OpenAITranscribeSTT
from patter_nb.audio.frames import AudioFormat
from patter_nb.clock import ManualClock
from patter_nb.stt.assemblyai import _Turns
from patter_nb.stt.base import STT, Transcript, Word
from patter_nb.stt.cartesia import _Transcripts
from patter_nb.stt.deepgram import _Results
from patter_nb.stt.openai_transcribe import _Items
from patter_nb.stt.wire.socket import SocketSTT
from patter_nb.stt.wire.told import Answered, Interim, Segment, Utterance
from patter_nb.testing.wire.speech_hearing import SpeechCall
from patter_nb.testing.wire.speech_script import Said
from patter_nb.testing.wire.speech_sockets import SpeechServer


async def asked(vendor: Vendor, **options: Any) -> SpeechCall:
    """The call that one utterance makes."""
    async with SpeechServer(["yes"]) as server, hearing(vendor.stt(server, **options)) as heard:
        await heard.push(600)
        await heard.stt.finalize()
        await heard.final()
        return server.calls[0]


# --- addresses


@pytest.mark.parametrize(
    ("stt", "address"),
    [
        (DeepgramSTT(KEY), "https://api.deepgram.com/v1/listen?model=nova-3&language=en&encoding=linear16&sample_rate=16000&"),
        (
            AssemblyAISTT(KEY),
            "https://streaming.assemblyai.com/v3/ws?sample_rate=16000&encoding=pcm_s16le&speech_model=universal-streaming-",
        ),
        (CartesiaSTT(KEY), "https://api.cartesia.ai/stt/websocket?model=ink-whisper&language=en&encoding=pcm_s16le&sample_rate=16000"),
        (OpenAITranscribeSTT(KEY), "https://api.openai.com/v1/realtime?intent=transcription"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_default_address_and_model(stt: Any, address: str) -> None:
    assert stt.url().startswith(address)
    assert KEY not in stt.url()
    assert KEY in "".join(stt.headers().values())


@pytest.mark.parametrize(("given", "used"), [("wss://a.b/c/", "https://a.b/c"), ("WS://a.b", "http://a.b"), ("https://a.b", "https://a.b")])
def test_a_base_url_may_be_of_either_kind(given: str, used: str) -> None:
    assert DeepgramSTT(KEY, base_url=given).base_url == used


async def test_what_deepgram_is_asked() -> None:
    call = await asked(DEEPGRAM)
    told = {"interim_results": "true", "endpointing": "150", "punctuate": "true", "smart_format": "false", "channels": "1"}
    assert {name: call.query[name] for name in told} == told
    assert call.headers["Authorization"] == f"Token {KEY}"
    call = await asked(DEEPGRAM, endpointing_ms=False, language=None, keyterms=("Patter",), numerals=True)
    assert (call.query["endpointing"], call.query["keyterm"], call.query["numerals"]) == ("false", "Patter", "true")
    assert "language" not in call.query


async def test_what_assemblyai_is_asked() -> None:
    call = await asked(ASSEMBLYAI)
    assert (call.query["min_turn_silence"], call.query["format_turns"]) == ("400", "false")
    assert not {"max_turn_silence", "keyterms_prompt", "language_codes"} & call.query.keys()
    assert call.headers["Authorization"] == KEY
    assert call.sizes == [16 * 2 * 60] * 10
    call = await asked(ASSEMBLYAI, model="universal-streaming-multilingual", language="it", keyterms=["Patter"], max_turn_silence_ms=900)
    assert (call.query["language_codes"], call.query["keyterms_prompt"], call.query["max_turn_silence"]) == ('["it"]', '["Patter"]', "900")


async def test_what_cartesia_is_asked() -> None:
    call = await asked(CARTESIA, min_volume=0.2, max_silence_duration_s=1.5)
    assert (call.query["min_volume"], call.query["max_silence_duration_secs"]) == ("0.2", "1.5")
    assert (call.headers["X-API-Key"], call.headers["Cartesia-Version"]) == (KEY, "2025-04-16")


CLIENT_EVENTS: TypeAdapter[Any] = TypeAdapter(realtime.RealtimeClientEvent)


@pytest.mark.parametrize("options", [{}, {"prompt": "Names: Ada", "noise_reduction": "far_field", "language": None}])
async def test_every_message_to_openai_is_one_of_its_own_types(options: dict[str, Any]) -> None:
    call = await asked(OPENAI, **options)
    events = [CLIENT_EVENTS.validate_json(text, strict=True) for text in call.texts]
    kinds = [event.type for event in events]
    assert kinds == ["session.update", *["input_audio_buffer.append"] * 6, "input_audio_buffer.commit"]
    for event, text in zip(events, call.texts, strict=True):
        assert not event.model_extra, f"the client knows no {event.model_extra}"
        assert json.loads(event.model_dump_json(exclude_unset=True)) == json.loads(text)
    assert isinstance(events[0].session, realtime.RealtimeTranscriptionSessionCreateRequest)
    sound = events[0].session.audio.input
    assert sound.turn_detection is None
    assert "turn_detection" in sound.model_fields_set
    assert (sound.format.type, sound.format.rate) == ("audio/pcm", 24_000)
    assert sound.transcription.model == "gpt-4o-transcribe"
    assert sound.transcription.prompt == options.get("prompt")
    assert sound.transcription.language == options.get("language", "en")


async def test_what_an_upload_asks() -> None:
    call = await asked(WHISPER, prompt="Names: Ada")
    told = {"model": "whisper-1", "language": "en", "prompt": "Names: Ada", "response_format": "verbose_json"}
    assert call.query == told | {"timestamp_granularities[]": "segment"}  # and "word" before it
    assert (call.rate, call.ms) == (16_000, 600)


@every_vendor
async def test_a_short_sound_is_as_long_as_the_vendor_takes(vendor: Vendor) -> None:
    """AssemblyAI closes for less than 50 ms, and OpenAI refuses to commit less than 100."""
    async with SpeechServer(["hm"]) as server, hearing(vendor.stt(server)) as heard:
        await heard.push(20)
        await heard.stt.finalize()
        assert (await heard.final()).text == "hm"


# --- what is said


def results(text: str, start: float, duration: float, **more: Any) -> dict[str, Any]:
    best = {"transcript": text, "confidence": 0.5, "words": []}
    return {"type": "Results", "start": start, "duration": duration, "channel": {"alternatives": [best]}, **more}


def test_deepgram_results() -> None:
    decoder = _Results()
    assert list(decoder.take(results("hello", 0.0, 1.0, is_final=False))) == [Interim("hello")]
    assert list(decoder.take(results("hello you", 0.0, 1.5, is_final=True))) == [Segment("hello you", (), 0.5, 1500.0)]
    assert list(decoder.take(results("", 1.5, 0.5, is_final=True, from_finalize=True))) == [Segment("", (), None, 2000.0), Answered(2000.0)]
    for kind in ("Metadata", "SpeechStarted", "UtteranceEnd", "SomethingNew"):
        assert list(decoder.take({"type": kind})) == []


def turn(words: str, final: int, *, ended: bool = False, formatted: bool = False) -> dict[str, Any]:
    told = [
        {"text": word, "start": n * 100, "end": n * 100 + 50, "confidence": 0.5, "word_is_final": n < final}
        for n, word in enumerate(words.split())
    ]
    said = " ".join(words.split()[:final])
    return {"type": "Turn", "transcript": said, "words": told, "end_of_turn": ended, "turn_is_formatted": formatted}


def test_assemblyai_turns() -> None:
    decoder = _Turns(formatted=True)
    assert list(decoder.take({"type": "Begin", "id": "1"})) == []
    assert list(decoder.take(turn("hi my na", 2))) == [Interim("hi my na")]
    assert list(decoder.take(turn("hi my name", 3, ended=True))) == [Interim("hi my name")]
    told = list(decoder.take(turn("Hi, my name.", 3, ended=True, formatted=True)))
    words = (Word("Hi,", 0, 50, 0.5), Word("my", 100, 150, 0.5), Word("name.", 200, 250, 0.5))
    assert told == [Segment("Hi, my name.", words, 0.5, 250.0), Answered(250.0)]
    assert list(_Turns(formatted=False).take(turn("", 0, ended=True))) == [Segment("", (), None, None), Answered(None)]


async def test_assemblyai_turns_may_be_formatted() -> None:
    async with SpeechServer([Said("good morning", pauses_after=1)]) as server, hearing(ASSEMBLYAI.stt(server, format_turns=True)) as heard:
        await heard.push(1000)
        await heard.until(lambda: heard.partials[-1:] == ["Good. morning"])
        await heard.stt.finalize()
        assert (await heard.final()).text == "Good. Morning."


def test_openai_items_that_come_in_another_order_are_put_in_theirs() -> None:
    decoder = _Items()
    prefix = "conversation.item.input_audio_transcription."

    def take(kind: str, item: str, **more: Any) -> list[Any]:
        return list(decoder.take({"type": kind, "item_id": item, **more}))

    assert take("input_audio_buffer.committed", "a") == take("input_audio_buffer.committed", "b") == []
    assert take(f"{prefix}delta", "b", delta="sec") == []
    assert take(f"{prefix}completed", "b", transcript="second") == []
    assert take(f"{prefix}delta", "a", delta="fir") == [Interim("fir")]
    assert take(f"{prefix}delta", "a", delta="st") == [Interim("first")]
    logprobs = [{"logprob": 0.0}, {"logprob": -2.0}]
    done = take(f"{prefix}completed", "a", transcript="first", logprobs=logprobs)
    assert done == [Segment("first", (), pytest.approx(0.3679, abs=1e-4)), Answered(), Segment("second"), Answered()]
    assert list(decoder.take({"type": "session.updated", "session": {}})) == []


async def test_what_a_vendor_says_too_late_reaches_no_later_utterance() -> None:
    """Deepgram was silent, which says that nothing was left; then it speaks after all."""
    held = asyncio.Event()
    late = Said("good morning", pauses_after=2, hold=held)
    async with SpeechServer([late, "thank you"]) as server:
        stt = DEEPGRAM.stt(server)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(1000)
            await heard.until(lambda: heard.partials[-1:] == ["good morning"])
            await stt.finalize()
            await until(lambda: clock.advance(50) or heard.finals)
            await heard.push(600)
            await stt.finalize()
            held.set()
            await heard.final(2)
            assert heard.finals == ["good morning", "thank you"]


async def test_a_vendor_that_is_still_speaking_has_not_stopped_answering() -> None:
    held = asyncio.Event()
    async with SpeechServer([Said("good morning", hold=held)]) as server:
        stt = DEEPGRAM.stt(server, timeout_s=4.0)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(1000)
            await heard.until(lambda: heard.partials[-1:] == ["good morning"])
            await stt.finalize()
            await until(lambda: DEEPGRAM.asking in server.calls[0].texts)
            for text in ("good morning to", "good morning to you", "good morning to you all"):
                for _ in range(14):
                    await asyncio.sleep(0)
                    clock.advance(250)
                await server.say(json.dumps(results(text, 0.0, 1.0, is_final=False)))
                await heard.until(lambda text=text: heard.partials[-1:] == [text])  # type: ignore[misc]  # bound now
            assert clock.now_ms() > 10_000
            held.set()
            assert (await heard.final()).text == "good morning"


def test_cartesias_texts_bring_their_own_spaces() -> None:
    utterance = Utterance(CartesiaSTT.joint)
    for text in ("Buon", "giorno", " a tutti."):
        (told,) = _Transcripts().take({"type": "transcript", "is_final": True, "text": text, "words": None})
        assert isinstance(told, Segment)
        utterance.take(told)
    assert utterance.final().text == "Buongiorno a tutti."


# --- loops


@every_vendor
def test_an_instance_serves_one_loop_after_another(vendor: Vendor) -> None:
    """A loop that ended with its stream open takes nothing with it."""
    stt = vendor.stt("http://127.0.0.1")

    async def speak(*, close: bool) -> str:
        async with SpeechServer(["yes"]) as server:
            wire(stt).base_url = wire(vendor.stt(server)).base_url
            if isinstance(stt, SocketSTT):
                await stt.warmup()
            await stt.open(AudioFormat())
            for one in frames(600):
                await stt.push(one)
            await stt.finalize()
            async with asyncio.timeout(10):
                final = [transcript.text async for transcript in first_final(stt)]
            if close:
                await stt.aclose()
            return final[0]

    assert [asyncio.run(speak(close=False)), asyncio.run(speak(close=True))] == ["yes", "yes"]


def test_a_connection_warmed_in_another_loop_is_left_alone() -> None:
    async def warm() -> None:
        async with SpeechServer() as server:
            stt.base_url = server.url
            await stt.warmup()

    async def speak() -> list[str]:
        async with SpeechServer(["yes"]) as server:
            stt.base_url = server.url
            async with hearing(stt) as heard:
                await heard.push(600)
                await stt.finalize()
                await heard.final()
            return heard.finals

    stt = DeepgramSTT(KEY)
    asyncio.run(warm())
    assert asyncio.run(speak()) == ["yes"]


async def first_final(stt: STT) -> AsyncIterator[Transcript]:
    async for transcript in stt.transcripts():
        if transcript.is_final:
            yield transcript
            return

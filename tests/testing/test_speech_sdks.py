"""Our far side of speech to text is taken for the vendor by the vendors' own clients; a protocol is theirs before it is ours."""

from __future__ import annotations

import asyncio
import io
import wave
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from patter_nb.testing.wire.speech_script import Fault, Said
from patter_nb.testing.wire.speech_sockets import SpeechServer

pytestmark = pytest.mark.filterwarnings(r"ignore:websockets\..* is deprecated:DeprecationWarning")  # deepgram-sdk's own

ROME = "what is the weather in rome"
PIECE = bytes(1920)


async def test_deepgram() -> None:
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.listen.v1.types import ListenV1CloseStream, ListenV1Finalize, ListenV1KeepAlive, ListenV1Metadata, ListenV1Results

    async with SpeechServer([Said(ROME, pauses_after=3)]) as server:
        place = server.url.replace("http", "ws")
        where = DeepgramClientEnvironment(base=server.url, production=place, agent=place, agent_rest=server.url)
        client = AsyncDeepgramClient(api_key="test-key", environment=where)
        connecting = client.listen.v1.connect(model="nova-3", encoding="linear16", sample_rate=16000)
        async with connecting as socket:
            await socket.send_keep_alive(ListenV1KeepAlive(type="KeepAlive"))
            for _ in range(34):
                await socket.send_media(PIECE)
            await socket.send_finalize(ListenV1Finalize(type="Finalize"))
            told: list[Any] = []
            async for message in socket:
                told.append(message)
                if isinstance(message, ListenV1Results) and message.from_finalize:
                    await socket.send_close_stream(ListenV1CloseStream(type="CloseStream"))
        results = [one for one in told if isinstance(one, ListenV1Results)]
        finals = [one.channel.alternatives[0] for one in results if one.is_final]
        assert [one.transcript for one in finals] == ["what is the", "weather in rome"]
        assert [(one.word, one.start, one.end) for one in finals[0].words] == [("what", 0.1, 0.35), ("is", 0.4, 0.65), ("the", 0.7, 0.95)]
        assert len(results) > 4
        assert isinstance(told[-1], ListenV1Metadata)
        assert server.calls[0].ended


async def test_deepgram_refuses_a_wrong_key_and_an_unknown_model() -> None:
    from deepgram import AsyncDeepgramClient
    from deepgram.core.api_error import ApiError
    from deepgram.environment import DeepgramClientEnvironment

    async with SpeechServer() as server:
        place = server.url.replace("http", "ws")
        where = DeepgramClientEnvironment(base=server.url, production=place, agent=place, agent_rest=server.url)
        for key, model, status in (("wrong", "nova-3", 401), ("test-key", "no-such-model", 400)):
            client = AsyncDeepgramClient(api_key=key, environment=where)
            with pytest.raises(ApiError) as caught:
                async with client.listen.v1.connect(model=model, encoding="linear16", sample_rate=16000):
                    pass
            assert caught.value.status_code == status


def _assembly(server: SpeechServer, key: str = "test-key") -> tuple[Any, list[Any], list[Any]]:
    from assemblyai.streaming.v3 import AsyncStreamingClient, StreamingClientOptions, StreamingEvents

    client = AsyncStreamingClient(StreamingClientOptions(api_key=key, api_host=server.url.replace("http", "ws")))
    told: list[Any] = []
    errors: list[Any] = []
    for event in (StreamingEvents.Begin, StreamingEvents.Turn, StreamingEvents.Termination):
        client.on(event, lambda _client, message: told.append(message))
    client.on(StreamingEvents.Error, lambda _client, error: errors.append(error))
    return client, told, errors


async def test_assemblyai() -> None:
    from assemblyai.streaming.v3 import StreamingParameters

    async with SpeechServer([Said(ROME, pauses_after=3)]) as server:
        client, told, errors = _assembly(server)
        await client.connect(StreamingParameters(sample_rate=16000, speech_model="universal-streaming-english", format_turns=True))
        for _ in range(34):
            await client.stream(PIECE)
        await client.force_endpoint()
        await server.until(lambda: bool(server.calls) and '"ForceEndpoint"' in "".join(server.calls[0].texts))
        await client.disconnect(terminate=True)
        assert not errors
        kinds = [message.type for message in told]
        assert (kinds[0], kinds[-1]) == ("Begin", "Termination")
        ended = [message for message in told if message.type == "Turn" and message.end_of_turn]
        assert [(turn.transcript, turn.turn_is_formatted, turn.turn_order) for turn in ended] == [
            ("what is the", False, 0),
            ("What is the.", True, 0),
            ("weather in rome", False, 1),
            ("Weather in rome.", True, 1),
        ]
        assert [(word.start, word.end) for word in ended[0].words] == [(100, 350), (400, 650), (700, 950)]
        assert server.calls[0].ended


async def test_assemblyai_tells_a_wrong_key_and_a_piece_that_is_too_short() -> None:
    from assemblyai.streaming.v3 import StreamingEvents, StreamingParameters

    async with SpeechServer() as server:
        for key, piece, told in (("wrong", PIECE, "Not authorized"), ("test-key", PIECE[:320], "Input duration violation")):
            client, _, errors = _assembly(server, key)
            failed = asyncio.Event()
            client.on(StreamingEvents.Error, lambda _client, _error, failed=failed: failed.set())
            await client.connect(StreamingParameters(sample_rate=16000, speech_model="universal-streaming-english"))
            await client.stream(piece)
            await asyncio.wait_for(failed.wait(), 10)
            await client.disconnect()
            assert told in str(errors[0])


async def test_cartesia() -> None:
    from cartesia import AsyncCartesia

    async with SpeechServer([Said(ROME, pauses_after=3)]) as server, AsyncCartesia(api_key="test-key", base_url=server.url) as client:
        connecting = client.stt.manual_finalize.websocket(model="ink-whisper", encoding="pcm_s16le", sample_rate=16000)
        async with connecting as socket:
            for _ in range(34):
                await socket.send_raw(PIECE)
            await socket.send("finalize")
            told: list[Any] = []
            async for message in socket:
                told.append(message)
                if message.type == "flush_done":
                    await socket.send("close")
                if message.type == "done":
                    break
        assert "".join(one.text for one in told if one.type == "transcript" and one.is_final) == ROME
        assert [one.type for one in told][-2:] == ["flush_done", "done"]
        assert len([one for one in told if one.type == "transcript" and not one.is_final]) >= 3
        assert server.calls[0].ended


async def test_cartesia_tells_what_it_does_not_know() -> None:
    from cartesia import AsyncCartesia

    async with SpeechServer() as server, AsyncCartesia(api_key="test-key", base_url=server.url) as client:
        async with client.stt.manual_finalize.websocket(model="no-such-model", encoding="pcm_s16le", sample_rate=16000) as socket:
            message = await socket.recv()
        assert (message.type, message.status_code) == ("error", 400)
        assert "model" in message.message


@asynccontextmanager
async def transcription(server: SpeechServer) -> AsyncIterator[Any]:
    """A Realtime session by OpenAI's own client."""
    async with httpx.AsyncClient() as http:
        client = openai.AsyncOpenAI(api_key="test-key", base_url=f"{server.url}/v1", http_client=http)
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            yield connection


SESSION: Any = {
    "type": "transcription",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
            "turn_detection": None,
        }
    },
    "include": ["item.input_audio_transcription.logprobs"],
}


async def test_openai() -> None:
    async with SpeechServer([ROME]) as server, transcription(server) as connection:
        await connection.session.update(session=SESSION)
        for _ in range(34):
            await connection.input_audio_buffer.append(audio=b64encode(PIECE).decode())
        await connection.input_audio_buffer.commit()
        told = []
        async for event in connection:
            told.append(event)
            if event.type.endswith(".completed"):
                break
        assert [event.type for event in told][:2] == ["session.created", "input_audio_buffer.committed"]
        assert "".join(event.delta for event in told if event.type.endswith(".delta")) == ROME
        assert told[-1].transcript == ROME
        assert told[-1].item_id == told[1].item_id
        assert [type(event).__name__ for event in told[-1:]] == ["ConversationItemInputAudioTranscriptionCompletedEvent"]
        assert np.exp(told[-1].logprobs[0].logprob) == pytest.approx(0.9)


async def test_openai_tells_of_an_empty_commit_and_of_a_failure() -> None:
    failing = Said(ROME, fault=Fault("error", status=402, message="No credit."))
    async with SpeechServer([failing]) as server, transcription(server) as connection:
        await connection.session.update(session=SESSION)
        await connection.input_audio_buffer.commit()
        for _ in range(3):
            await connection.input_audio_buffer.append(audio=b64encode(PIECE).decode())
        await connection.input_audio_buffer.commit()
        errors = []
        async for event in connection:
            if event.type == "error":
                errors.append(event.error.code)
                if len(errors) == 2:
                    break
        assert errors == ["input_audio_buffer_commit_empty", "insufficient_quota"]


async def test_openai_takes_an_upload() -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(PIECE * 10)
    sound.seek(0)
    sound.name = "speech.wav"
    async with SpeechServer(["good morning"]) as server, httpx.AsyncClient() as http:
        client = openai.AsyncOpenAI(api_key="test-key", base_url=f"{server.url}/v1", http_client=http)
        answer = await client.audio.transcriptions.create(
            file=sound, model="whisper-1", language="en", response_format="verbose_json", timestamp_granularities=["word"]
        )
        assert answer.text == "good morning"
        assert answer.words is not None
        assert [(word.word, word.start) for word in answer.words] == [("good", 0.1), ("morning", 0.4)]
        assert server.calls[0].audio.size == 9600
        with pytest.raises(openai.NotFoundError):
            sound.seek(0)
            await client.audio.transcriptions.create(file=sound, model="no-such-model")

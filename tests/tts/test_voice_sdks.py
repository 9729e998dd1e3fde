"""The vendors' own clients take the voice server for the vendor: they hear what it says, and raise what they raise."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from patter_nb.testing import block_real_requests
from patter_nb.testing.wire.voices import Refusing, Saying, VoiceServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what they import and deprecate themselves
    import cartesia
    import elevenlabs.client
    from elevenlabs.core.api_error import ApiError

pytestmark = pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")  # elevenlabs asks websockets in an older way

SARAH = "EXAVITQu4vr4xnSDxMaL"
KATIE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}


@pytest.fixture(autouse=True)
def no_real_requests() -> Iterator[None]:
    with block_real_requests():
        yield


def noise(text: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Another sound for every text, so that none can be taken for another."""
    return np.random.default_rng(len(text)).integers(-3000, 3000, 5000, dtype=np.int16)


async def elevenlabs_realtime(server: VoiceServer, *pieces: str, key: str = "test-key", voice: str = SARAH) -> bytes:
    """Its WebSocket, which its client knows only in threads."""

    def speak() -> bytes:
        client = elevenlabs.client.ElevenLabs(api_key=key, base_url=server.elevenlabs_url)
        client.text_to_speech._ws_base_url = server.elevenlabs_url.replace("http", "ws")  # type: ignore[attr-defined]  # it takes wss:// for granted
        sound = client.text_to_speech.convert_realtime(  # type: ignore[attr-defined]
            voice, text=iter(pieces), model_id="eleven_flash_v2_5", output_format="pcm_24000"
        )
        return b"".join(sound)

    return await asyncio.to_thread(speak)


async def elevenlabs_stream(server: VoiceServer, text: str, *, key: str = "test-key", voice: str = SARAH) -> bytes:
    async with httpx.AsyncClient(verify=False) as http:
        client = elevenlabs.client.AsyncElevenLabs(api_key=key, base_url=server.elevenlabs_url, httpx_client=http)
        sound = client.text_to_speech.stream(voice, text=text, model_id="eleven_flash_v2_5", output_format="pcm_24000")
        return b"".join([data async for data in sound])


async def openai_speech(server: VoiceServer, text: str, *, key: str = "test-key", voice: str = "alloy") -> bytes:
    async with openai.AsyncOpenAI(api_key=key, base_url=server.openai_url, max_retries=0) as client:
        create = client.audio.speech.with_streaming_response.create
        async with create(model="gpt-4o-mini-tts", voice=voice, input=text, response_format="pcm") as response:
            return await response.read()


async def cartesia_contexts(server: VoiceServer, *texts: str, key: str = "test-key", voice: str = KATIE) -> list[bytes]:
    """Each text in a context of its own, all over one socket."""
    heard: list[bytes] = []
    base = server.cartesia_url
    async with cartesia.AsyncCartesia(api_key=key, base_url=base, websocket_base_url=base.replace("http", "ws")) as client:
        async with client.tts.websocket_connect() as connection:
            for text in texts:
                context = connection.context(model_id="sonic-3", voice={"mode": "id", "id": voice}, output_format=RAW, language="en")
                for piece in text.split("|"):
                    await context.push(piece)
                await context.no_more_inputs()
                heard.append(b"")
                async for event in context.receive():
                    assert event.type in ("chunk", "done"), event
                    heard[-1] += getattr(event, "audio", None) or b""
    return heard


async def test_each_client_hears_the_sound() -> None:
    async with VoiceServer(noise) as server:
        assert await openai_speech(server, "Hello.") == noise("Hello.").tobytes()
        assert await elevenlabs_stream(server, "Hello there.") == noise("Hello there.").tobytes()
        assert await elevenlabs_realtime(server, "Again. ") == noise(server.spoken[2].text).tobytes()
        assert await cartesia_contexts(server, "One.", "Two, three.") == [noise("One.").tobytes(), noise("Two, three.").tobytes()]
    assert [(one.vendor, one.outcome) for one in server.spoken] == [
        ("openai", "whole"),
        ("elevenlabs", "whole"),
        ("elevenlabs", "whole"),
        ("cartesia", "whole"),
        ("cartesia", "whole"),
    ]
    assert server.spoken[3].connection == server.spoken[4].connection


async def test_text_is_taken_in_pieces() -> None:
    async with VoiceServer(noise) as server:
        await elevenlabs_realtime(server, "It is sunny. ", "Take a hat. ")
        await cartesia_contexts(server, "It is |sunny.")
    assert server.spoken[0].text.split() == ["It", "is", "sunny.", "Take", "a", "hat."]
    assert server.spoken[1].pieces == ["It is ", "sunny."]


Client = Callable[..., Any]
CLIENTS: dict[str, Client] = {
    "openai": openai_speech,
    "elevenlabs-http": elevenlabs_stream,
    "elevenlabs": elevenlabs_realtime,
    "cartesia": cartesia_contexts,
}


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_wrong_key_is_what_the_clients_say_it_is(name: str) -> None:
    async with VoiceServer() as server:
        with pytest.raises(Exception, match=r"Incorrect API key|Invalid API key|HTTP 401|invalid_api_key"):
            await CLIENTS[name](server, "Hello. ", key="other")
    assert not [one for one in server.spoken if one.blocks]


@pytest.mark.parametrize("name", CLIENTS)
async def test_an_unknown_voice_is_refused(name: str) -> None:
    async with VoiceServer() as server:
        with pytest.raises(Exception, match=r"(?i)voice"):
            await CLIENTS[name](server, "Hello. ", voice="nobody")


async def test_a_refusal_has_the_form_that_the_clients_read() -> None:
    quota = Saying(after=0, then=Refusing(401, "This request exceeds your quota of 10000.", "quota_exceeded"))
    slow = Saying(after=0, then=Refusing(429, "Slow down.", "rate_limit_exceeded"))
    async with VoiceServer(sayings=[quota, slow]) as server:
        with pytest.raises(ApiError) as caught:
            await elevenlabs_stream(server, "Hello.")
        assert caught.value.body["detail"]["status"] == "quota_exceeded"
        with pytest.raises(openai.RateLimitError, match="Slow down"):
            await openai_speech(server, "Hello.")


async def test_a_socket_that_ends_too_early_is_an_error_of_the_client() -> None:
    async with VoiceServer(noise, sayings=[Saying(after=1, then="close"), Saying(after=1, then="reset")]) as server:
        with pytest.raises(ApiError, match="internal error"):
            await elevenlabs_realtime(server, "Hello. ")
        with pytest.raises(Exception, match=r"incomplete chunked read|peer closed"):
            await openai_speech(server, "Hello.")


async def test_the_client_cancels_a_context() -> None:
    async with VoiceServer(noise, sayings=[Saying(after=1, then="quiet")]) as server:
        base = server.cartesia_url
        async with cartesia.AsyncCartesia(api_key="test-key", base_url=base, websocket_base_url=base.replace("http", "ws")) as client:
            async with client.tts.websocket_connect() as connection:
                context = connection.context(model_id="sonic-3", voice={"mode": "id", "id": KATIE}, output_format=RAW)
                await context.push("Hello.")
                async for event in context.receive():
                    assert event.type == "chunk"
                    break
                await context.cancel()
                await server.until(lambda: server.spoken[0].outcome == "cancelled")

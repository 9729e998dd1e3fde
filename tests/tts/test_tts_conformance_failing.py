"""What goes wrong at a vendor is the same error by every way, asked again only before any sound; who is left is left at once."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from typing import Any

import local_web
import pytest
from aiohttp import web
from voice_ways import KEY, Way, blocks_of, every_way, noise, pieces, sound_of, still_running, ways

from patter_nb import ElevenLabsTTS
from patter_nb.audio.frames import Pcm
from patter_nb.errors import (
    AuthenticationError,
    BadRequest,
    ConnectionFailed,
    MalformedStream,
    ModelNotFound,
    PatterError,
    QuotaExceeded,
    RateLimitError,
    RequestTimeout,
    ServerError,
    TruncatedStream,
)
from patter_nb.testing.wire.voices import Refusing, Saying, VoiceServer
from patter_nb.wire.pool import pool

REFUSED: dict[type[PatterError], dict[str, Refusing]] = {
    QuotaExceeded: {
        "openai": Refusing(429, "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"),
        "elevenlabs": Refusing(401, "This request exceeds your quota of 10000. You have 5 credits remaining.", "quota_exceeded"),
        "cartesia": Refusing(402, "Credit limit reached: Upgrade your subscription."),
    },
    RateLimitError: {
        "openai": Refusing(429, "Slow down.", "rate_limit_exceeded"),
        "elevenlabs": Refusing(429, "Too many concurrent requests.", "too_many_concurrent_requests"),
        "cartesia": Refusing(429, "Too many concurrent requests: Slow down."),
    },
    ServerError: {
        "openai": Refusing(500, "The server had an error.", "server_error"),
        "elevenlabs": Refusing(503, "We are experiencing heavy traffic.", "system_busy"),
        "cartesia": Refusing(500, "Internal error: Try again."),
    },
    BadRequest: {
        "openai": Refusing(400, "That is no speech.", "bad"),
        "elevenlabs": Refusing(400, "That is no speech.", "invalid_text"),
        "cartesia": Refusing(400, "That is no speech: at all."),
    },
}


def refusing(way: Way, kind: type[PatterError]) -> Refusing:
    return REFUSED[kind][way.name.removesuffix("-http")]


# --- before any sound


@every_way
async def test_a_wrong_key(way: Way) -> None:
    async with VoiceServer(key="another-key") as server, way.to(server) as tts:
        with pytest.raises(AuthenticationError, match=rf"{tts.key_name}") as caught:
            await blocks_of(tts, "Hello.")
    assert KEY not in f"{caught.value} {caught.value.args}" + "".join(traceback.format_exception(caught.value))
    assert caught.value.provider == tts.provider
    assert len(server.spoken) <= 1


@every_way
async def test_an_unknown_voice(way: Way) -> None:
    async with VoiceServer() as server, way.to(server, voice="nobody") as tts:
        with pytest.raises(ModelNotFound, match=r"(?i)voice.*(Check voice=|Others are)"):
            await blocks_of(tts, "Hello.")
    assert not any(one.blocks for one in server.spoken)


@every_way
async def test_an_unknown_model(way: Way) -> None:
    async with VoiceServer() as server, way.to(server, model="tts-9") as tts:
        with pytest.raises(ModelNotFound, match=r"(?i)model.*Others are"):
            await blocks_of(tts, "Hello.")


@every_way
@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refusal_is_the_error_that_it_means_in_the_vendors_words(way: Way, kind: type[PatterError]) -> None:
    said = refusing(way, kind)
    async with VoiceServer(noise, sayings=[Saying(after=0, then=said)]) as server, way.to(server, max_retries=0) as tts:
        with pytest.raises(kind) as caught:
            await blocks_of(tts, "Hello.")
        assert type(caught.value) is kind
        assert said.message.partition(":")[0] in str(caught.value)
        assert caught.value.hint
        assert "llm" not in caught.value.hint.lower()
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()


@every_way
@pytest.mark.parametrize("kind", [RateLimitError, ServerError])
async def test_what_passes_is_asked_again(way: Way, kind: type[PatterError]) -> None:
    no = Saying(after=0, then=refusing(way, kind))
    async with VoiceServer(noise, sayings=[no, no]) as server, way.to(server) as tts:
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()
        assert [one.outcome for one in server.spoken] == ["failed", "failed", "whole"]
        server.then(no, no, no)
        with pytest.raises(kind):
            await blocks_of(tts, "Hello.")
    assert len(server.spoken) == 6


@every_way
@pytest.mark.parametrize("kind", [QuotaExceeded, BadRequest])
async def test_what_will_not_pass_is_not_asked_again(way: Way, kind: type[PatterError]) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=0, then=refusing(way, kind))]) as server, way.to(server) as tts:
        with pytest.raises(kind):
            await blocks_of(tts, "Hello.")
    assert len(server.spoken) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (
            b'{"detail": {"type": "invalid_request", "code": "bad_request", "message": "An invalid ID.", "status": "invalid_uid"}}',
            ModelNotFound,
        ),
        (b'{"detail": {"code": "quota_exceeded", "message": "Nothing is left."}}', QuotaExceeded),
        (b'{"detail": {"status": "quota_exceeded", "code": "unauthorized", "message": "Nothing is left."}}', QuotaExceeded),
        (b'{"detail": [{"loc": ["body", "text"], "msg": "Field required", "type": "missing"}]}', BadRequest),
        (b'{"detail": "Not Found"}', BadRequest),
        (b'{"detail": null}', BadRequest),
        (b"[]", BadRequest),
        (b"Bad request", BadRequest),
        (b"", BadRequest),
    ],
)
async def test_what_elevenlabs_says_is_read_in_any_of_its_forms(body: bytes, kind: type[PatterError]) -> None:
    async def refuses(request: web.Request) -> web.Response:
        return web.Response(status=400, body=body, content_type="application/json")

    async with local_web.serving(refuses) as server:
        tts = ElevenLabsTTS(KEY, base_url=server.url, streaming=False)
        with pytest.raises(kind) as caught:
            await blocks_of(tts, "Hello.")
    assert type(caught.value) is kind
    assert caught.value.status == 400


@ways(socket=False)
async def test_the_wait_that_a_vendor_asks_for_is_kept_and_a_long_one_not_waited(way: Way) -> None:
    long = Refusing(429, "Slow down.", "rate_limit_exceeded", {"retry-after": "120"})
    short = Refusing(429, "Slow down.", "rate_limit_exceeded", {"retry-after-ms": "1"})
    async with VoiceServer(noise, sayings=[Saying(after=0, then=long)]) as server, way.to(server) as tts:
        with pytest.raises(RateLimitError) as caught:
            await blocks_of(tts, "Hello.")
        assert caught.value.retry_after_s == 120.0
        server.then(Saying(after=0, then=short))
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()


@every_way
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_that_ends_before_any_sound_is_asked_again(way: Way, how: Any) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=0, then=how)]) as server, way.to(server) as tts:
        assert await sound_of(tts, "Hello.") == noise("Hello.").tobytes()
        assert len(server.spoken) == 2
    async with VoiceServer(noise, sayings=[Saying(after=0, then=how)]) as server, way.to(server, max_retries=0) as tts:
        with pytest.raises(ConnectionFailed, match=tts.provider):
            await blocks_of(tts, "Hello.")


@every_way
async def test_nobody_at_the_address(way: Way) -> None:
    async with VoiceServer() as server:
        tts = way.make(server, max_retries=1)
    with pytest.raises(ConnectionFailed, match=r"could not be reached at http://127\.0\.0\.1.*base_url"):
        await blocks_of(tts, "Hello.")
    await tts.aclose()


@ways(socket=True)
async def test_an_address_that_opens_no_websocket_is_a_malformed_stream(way: Way) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="Hello.")

    async with local_web.serving(page) as page_server, VoiceServer() as server:
        with pytest.raises(MalformedStream, match="HTTP 200 where a WebSocket should open"):
            await blocks_of(way.make(server, base_url=page_server.url), "Hello.")


@every_way
async def test_silence_before_any_sound(way: Way) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=0, then="quiet")]) as server:
        async with way.to(server, timeout_s=0.1, max_retries=0) as tts:
            with pytest.raises(RequestTimeout, match=r"0\.1 s.*timeout_s"):
                await blocks_of(tts, "Hello.")
            await server.spoken[0].over.wait()
            assert server.spoken[0].outcome == "left"


@ways(socket=True)
async def test_a_pause_in_the_text_is_no_silence_of_the_vendors(way: Way) -> None:
    async def slowly() -> AsyncIterator[str]:
        yield "It is sunny in Rome. "
        await asyncio.sleep(0.15)  # longer than the vendor may be silent
        yield "Take a hat."

    async with VoiceServer(noise) as server, way.to(server, timeout_s=0.1) as tts:
        assert await blocks_of(tts, slowly())
    assert [one.outcome for one in server.spoken] == ["whole"]


# --- in the middle of the sound


@every_way
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_that_ends_in_mid_word_is_not_asked_again(way: Way, how: Any) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=2, then=how)]) as server, way.to(server) as tts:
        got = b""
        with pytest.raises(TruncatedStream, match="broke off while it spoke"):
            async for block in tts.synthesize("Hello."):
                got += block.tobytes()
        assert got
        assert noise("Hello.").tobytes().startswith(got)
        assert len(server.spoken) == 1
        assert await sound_of(tts, "Again.") == noise("Again.").tobytes()


@every_way
async def test_silence_in_mid_word(way: Way) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=2, then="quiet")]) as server, way.to(server, timeout_s=0.1) as tts:
        with pytest.raises(TruncatedStream, match=r"nothing came for 0\.1 s"):
            await blocks_of(tts, "Hello.")
        await server.spoken[0].over.wait()
    assert [one.outcome for one in server.spoken] == ["left"]


@ways(socket=True)
async def test_a_refusal_in_mid_word_is_not_asked_again(way: Way) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=2, then=refusing(way, ServerError))]) as server, way.to(server) as tts:
        with pytest.raises(ServerError):
            await blocks_of(tts, "Hello.")
    assert len(server.spoken) == 1


@ways(socket=True)
@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("garbage", [b"Not JSON.", b"[1, 2]", b'"x"', b"\x00\x01\x02", b'{"audio": "***", "type": "chunk", "data": "***"}'])
async def test_garbage_is_a_malformed_stream(way: Way, garbage: bytes, after: int) -> None:
    async with VoiceServer(noise, sayings=[Saying(after=after, then=garbage)]) as server, way.to(server) as tts:
        with pytest.raises(MalformedStream, match=tts.provider):
            await blocks_of(tts, "Hello.")
        assert await sound_of(tts, "Again.") == noise("Again.").tobytes()
    assert [one.text.strip() for one in server.spoken] == ["Hello.", "Again."]


@ways(socket=False)
@pytest.mark.parametrize("told", ["text/html; charset=utf-8", "application/json"])
async def test_a_page_in_place_of_sound_is_a_malformed_stream(way: Way, told: str) -> None:
    async with (
        VoiceServer(noise, sayings=[Saying(after=0, then=b"<html>Sorry</html>", content_type=told)]) as server,
        way.to(server) as tts,
    ):
        with pytest.raises(MalformedStream, match=told.partition(";")[0]):
            await blocks_of(tts, "Hello.")


# --- the text fails


class Lost(Exception):
    """What a text may raise."""


@every_way
@pytest.mark.parametrize("failure", [Lost("Oh."), RateLimitError("The model is busy.")])
async def test_what_the_text_raises_travels_on_as_it_is(way: Way, failure: Exception) -> None:
    asked = 0

    async def written() -> AsyncIterator[str]:
        nonlocal asked
        asked += 1
        yield "It is sunny in Rome today. Take"
        raise failure

    async with VoiceServer(noise) as server, way.to(server) as tts:
        with pytest.raises(type(failure)) as caught:
            await blocks_of(tts, written())
        assert caught.value is failure
        assert await sound_of(tts, "Again.") == noise("Again.").tobytes()
    assert asked == 1
    assert len(server.spoken) == 2


@every_way
async def test_text_that_had_come_is_said_again_in_full_where_it_is_asked_again(way: Way) -> None:
    no = Saying(after=0, then=refusing(way, ServerError))
    async with VoiceServer(noise, sayings=[no]) as server, way.to(server) as tts:
        await blocks_of(tts, pieces("It is sunny in ", "Rome today. ", "Take a hat ", "with you."))
    told = [one.text for one in server.spoken if one.outcome == "whole"]
    assert " ".join("".join(told).split()) == "It is sunny in Rome today. Take a hat with you."


@every_way
async def test_the_text_is_closed_with_the_voice(way: Way) -> None:
    closed: list[bool] = []

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "On and on and on it goes. "
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    async with VoiceServer(noise) as server, way.to(server) as tts:
        speaking: Any = tts.synthesize(endless())
        await anext(speaking)
        await speaking.aclose()
        assert closed == [True]


# --- nobody listens any more


def long(text: str) -> Pcm:
    return noise(text).repeat(20)


@every_way
async def test_closing_the_iterator_stops_the_vendor_within_a_block(way: Way) -> None:
    async with VoiceServer(long, sayings=[Saying(after=3, then="quiet")]) as server, way.to(server) as tts:
        speaking: Any = tts.synthesize("Hello.")
        await anext(speaking)
        await speaking.aclose()
        await server.spoken[0].over.wait()
        assert server.spoken[0].outcome == ("cancelled" if way.shared else "left")
        assert await sound_of(tts, "Again.") == long("Again.").tobytes()
        assert (server.spoken[1].connection == server.spoken[0].connection) == way.shared


@every_way
@pytest.mark.parametrize("after", [0, 2])
async def test_a_task_that_is_cancelled_stops_the_vendor(way: Way, after: int) -> None:
    async with VoiceServer(long, sayings=[Saying(after=after, then="quiet")]) as server, way.to(server) as tts:
        task = asyncio.ensure_future(blocks_of(tts, "Hello."))
        spoken = await server.heard(1)
        await server.until(lambda: True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await spoken.over.wait()
        assert spoken.outcome == ("cancelled" if way.shared else "left")
        assert await sound_of(tts, "Again.") == long("Again.").tobytes()


@ways(socket=True)
async def test_what_a_cancelled_text_still_sends_is_not_taken_for_the_next(way: Way) -> None:
    """A vendor sends on what it had made; on a shared socket it comes in between."""

    async with VoiceServer(long) as server, way.to(server) as tts:
        for text in ("One.", "Number two.", "This is three."):
            speaking: Any = tts.synthesize(f"{text} And more.")
            await anext(speaking)
            await speaking.aclose()
            assert await sound_of(tts, text) == long(text).tobytes()


@ways(socket=True)
async def test_a_text_that_is_still_written_is_left_at_once(way: Way) -> None:
    async def held() -> AsyncIterator[str]:
        yield "It is sunny in Rome today. Take"
        await asyncio.Event().wait()

    async with VoiceServer(noise) as server, way.to(server) as tts:
        speaking: Any = tts.synthesize(held())
        await anext(speaking)
        await speaking.aclose()
        await server.spoken[0].over.wait()
        assert server.spoken[0].outcome == ("cancelled" if way.shared else "left")


@every_way
async def test_nothing_is_left_behind(way: Way) -> None:
    async with VoiceServer(long, sayings=[Saying(), Saying(after=2, then="quiet"), Saying(after=0, then="quiet")]) as server:
        pool()
        before = asyncio.all_tasks()
        tts = way.make(server)
        await tts.warmup()
        await blocks_of(tts, "Hello.")
        speaking: Any = tts.synthesize("Hello.")
        await anext(speaking)
        await speaking.aclose()
        task = asyncio.ensure_future(blocks_of(tts, "Hello."))
        await server.heard(3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await tts.aclose()
        assert not still_running(before)

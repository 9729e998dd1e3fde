"""A key is in no error, no traceback and no log line, whatever refuses it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from local_web import saying, serving
from openai import AsyncOpenAI

from patter_nb import AssemblyAISTT, CartesiaSTT, CartesiaTTS, DeepgramSTT, ElevenLabsConvAI, ElevenLabsTTS, GeminiLive, OpenAITranscribeSTT
from patter_nb.audio.frames import AudioFormat, Frame
from patter_nb.display import mimebundle
from patter_nb.engines.base import Engine
from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.llm.on_message import MessageURL, OnMessageLLM
from patter_nb.llm.openai import OpenAILLM
from patter_nb.llm.openai_compatible import OpenAICompatibleLLM
from patter_nb.llm.wire.exchange import Request
from patter_nb.llm.wire.redacting import Redaction
from patter_nb.patter import Patter
from patter_nb.stt.base import STT
from patter_nb.testing import WireServer
from patter_nb.testing.wire import HttpError, StreamError
from patter_nb.testing.wire.realtime import RealtimeServer
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.tool import Tool
from patter_nb.tts.base import TTS
from patter_nb.tts.openai import OpenAITTS
from patter_nb.wire.refusals import Source
from patter_nb.wire.websocket import connected

SECRET = "sk-very-secret"
USER = {"role": "user", "content": "Hi"}


def everything(error: BaseException) -> str:
    """All that a notebook would print of it, causes and contexts with it."""
    told, seen = "", set[int]()
    ahead: list[BaseException | None] = [error]
    while ahead:
        one = ahead.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told += repr(one) + "".join(traceback.format_exception_only(one))
        ahead += [one.__cause__, one.__context__ if not one.__suppress_context__ else None]
    return told


async def test_of_a_request() -> None:
    async with WireServer(key="another") as server:
        llm = OpenAILLM(SECRET, base_url=server.openai_url)
        with pytest.raises(PatterError) as caught:
            [chunk async for chunk in llm.stream([USER])]
    assert SECRET not in everything(caught.value)


async def test_of_an_engine() -> None:
    async with RealtimeServer(key="another") as server:
        with pytest.raises(PatterError) as caught:
            await Patter().serve(Patter().agent(engine=OpenAIRealtime(SECRET, base_url=server.url)), name="secret")
    assert SECRET not in everything(caught.value)


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_of_a_url(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(saying("no", status=403)) as server:
        url = f"{scheme}://{server.host}/answer?key={SECRET}"
        llm = OnMessageLLM(MessageURL(url, allow_hosts=[server.host]))
        with pytest.raises(PatterError) as caught:
            [chunk async for chunk in llm.stream([USER])]
        await llm.aclose()
    assert SECRET not in everything(caught.value)
    assert SECRET not in "".join(record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp"))


async def test_of_a_webhook(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(saying({"ok": True})) as server:
        schema: dict[str, Any] = {"type": "object", "properties": {}}
        tool = Tool("hook", "Ask.", schema, webhook_url=f"http://{server.host}/hook?key={SECRET}")
        executor = DefaultToolExecutor([tool], allow_hosts=[server.host])
        assert await executor.execute("hook", {})
        await executor.aclose()
    logged = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    assert logged
    assert SECRET not in "".join(logged)


# --- in whatever quotes it

QUOTING = {
    "a refusal": HttpError(401, f"Incorrect API key provided: {SECRET}"),
    "an event of an answer": StreamError(401, f"There is no account of {SECRET}"),
}


@pytest.mark.parametrize("told", QUOTING.values(), ids=QUOTING)
@pytest.mark.parametrize("by", ["wire", "client"])
async def test_that_a_server_repeats(by: str, told: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with WireServer([told], key=SECRET) as server:
        client = AsyncOpenAI(api_key=SECRET, base_url=server.openai_url) if by == "client" else None
        llm = OpenAILLM(None if client else SECRET, client=client, base_url=server.openai_url, max_retries=0)
        async with Patter().serve(Patter().agent(llm=llm), name="secret") as session:
            turn = await session.ask("Hi")
        if client:
            await client.close()
    assert turn.error is not None
    assert "[redacted]" in turn.error.message
    log = io.StringIO()
    session.events.write(log)
    shown = "".join(text for thing in (session, turn, session.requests) for text in mimebundle(thing).values())
    assert SECRET not in everything(turn.error) + log.getvalue() + shown + caplog.text + repr(session.spans(capture_content=True)[:])


@pytest.mark.parametrize("value", [f"{SECRET} eu", f"session={SECRET}; path=/", f"Custom realm {SECRET}", f"Basic {SECRET}"])
async def test_of_a_header_of_ones_own(value: str) -> None:
    async with WireServer([HttpError(403, f"No to {SECRET}")], key=None) as server:
        llm = OpenAICompatibleLLM(base_url=server.openai_url, model="test-model", extra_headers={"X-Gateway": value}, max_retries=0)
        with pytest.raises(PatterError, match=r"No to \[redacted\]") as caught:
            [chunk async for chunk in llm.stream([USER])]
    assert SECRET not in everything(caught.value)


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a company's proxy that wants another password."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("port", ["its own", "99999"], ids=["that refuses", "that is none"])
async def test_of_a_proxy(port: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        own = str(proxy.sockets[0].getsockname()[1])
        monkeypatch.setenv("https_proxy", f"http://me:{SECRET}@127.0.0.1:{own if port == 'its own' else port}")
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.delenv("NO_PROXY", raising=False)
        errors = [await failing(speaking(f"https://vendor-{own}.invalid")) for speaking in SPEAKING]
    assert all("proxy" in str(error) for error in errors), errors
    assert SECRET not in "".join(map(everything, errors)) + caplog.text


async def ask_a_model(url: str) -> None:
    llm = OpenAILLM("another-key", base_url=url, max_retries=0)
    await llm.warmup()
    [chunk async for chunk in llm.stream([USER])]


async def ask_a_voice(url: str) -> None:
    [block async for block in OpenAITTS("another-key", base_url=url, max_retries=0).synthesize("Hi.")]


async def ask_for_words(url: str) -> None:
    await connected(url, {}, Source("deepgram", "nova-3", "", ""))


SPEAKING = (ask_a_model, ask_a_voice, ask_for_words)


async def failing(work: Coroutine[Any, Any, None]) -> PatterError:
    with pytest.raises(PatterError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize("key", ["two\nlines-of-a-key", "sk-with-an-é", "sk-\u2028-key"])
def test_what_is_no_key_is_said_before_it_is_sent(key: str) -> None:
    with pytest.raises(PatterConfigError, match="has a character that no key has") as caught:
        OpenAILLM(key)
    assert key not in everything(caught.value)


def test_of_a_request_that_a_debugger_shows() -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    assert SECRET not in repr(Request("https://v.example", headers, b"")) + repr(Redaction.of(f"https://v.example?key={SECRET}", headers))


async def say_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Refuse whoever asks, with all that they sent."""
    sent = " ".join((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"))
    body = json.dumps({"error": {"message": sent}, "detail": {"status": "invalid_api_key", "message": sent}, "message": sent}).encode()
    head = f"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\ndg-error: {sent}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()


async def hear(stt: STT) -> None:
    await stt.open(AudioFormat(16_000))
    try:
        for seq in range(10):
            await stt.push(Frame(np.zeros(320, np.int16), seq, seq * 20.0))
        await stt.finalize()
        [told async for told in stt.transcripts()]
    finally:
        await stt.aclose()


async def speak(tts: TTS) -> None:
    [block async for block in tts.synthesize("Hi.")]


async def engage(engine: Engine) -> None:
    await Patter().serve(Patter().agent(engine=engine), name="secret")


SPEECH: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    "openai ears": lambda url: hear(OpenAITranscribeSTT(SECRET, base_url=url, max_retries=0)),
    "deepgram": lambda url: hear(DeepgramSTT(SECRET, base_url=url, max_retries=0)),
    "assemblyai": lambda url: hear(AssemblyAISTT(SECRET, base_url=url, max_retries=0)),
    "cartesia ears": lambda url: hear(CartesiaSTT(SECRET, base_url=url, max_retries=0)),
    "openai voice": lambda url: speak(OpenAITTS(SECRET, base_url=url, max_retries=0)),
    "elevenlabs voice": lambda url: speak(ElevenLabsTTS(SECRET, base_url=url, max_retries=0)),
    "cartesia voice": lambda url: speak(CartesiaTTS(SECRET, base_url=url, max_retries=0)),
    "openai engine": lambda url: engage(OpenAIRealtime(SECRET, base_url=url)),
    "google engine": lambda url: engage(GeminiLive(SECRET, base_url=url)),
    "elevenlabs engine": lambda url: engage(ElevenLabsConvAI(SECRET, agent_id="agent", base_url=url)),
}


@pytest.mark.parametrize("asking", SPEECH.values(), ids=SPEECH)
async def test_that_ears_voices_and_engines_are_told_again(asking: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    async with await asyncio.start_server(say_back, "127.0.0.1", 0) as server:
        error = await failing(asking(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert "[redacted]" in str(error)
    assert SECRET not in everything(error)

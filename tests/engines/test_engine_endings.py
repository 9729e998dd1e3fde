"""How a vendor ends a conversation, and what that means: its words decide whether it is refused for good or begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from engine_person import Page, heard_all
from talking import bodies, until

from patter_nb import ElevenLabsConvAI, GeminiLive, OpenAIRealtime, Patter
from patter_nb.audio.frames import FRAME_SAMPLES, Frame
from patter_nb.console.transport import ListenBy
from patter_nb.engines.elevenlabs.account import Account
from patter_nb.errors import (
    AudioError,
    AuthenticationError,
    BadRequest,
    ConnectionFailed,
    ModelNotFound,
    PatterError,
    QuotaExceeded,
    RequestTimeout,
    ServerError,
)
from patter_nb.events import StageFailed
from patter_nb.session import Session
from patter_nb.testing import Clock, ScriptedLLM
from patter_nb.testing.wire.convai import ConvAIServer
from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import RealtimeServer, Utterance
from patter_nb.wire.pool import pool


def engine_at(server: Any) -> Any:
    """The engine of whom `server` speaks for."""
    if isinstance(server, ConvAIServer):
        return ElevenLabsConvAI("test-key", agent_id="agent-1", base_url=server.url)
    return {RealtimeServer: OpenAIRealtime, GeminiLiveServer: GeminiLive}[type(server)]("test-key", base_url=server.url)


@asynccontextmanager
async def talking_with(server: Any) -> AsyncIterator[tuple[Session, Page]]:
    page = Page()
    agent = Patter().agent("Be brief.", engine=engine_at(server))
    async with Patter().serve(agent, transport=page.transport, name="endings") as session:
        page.transport.offer(ListenBy(page))
        yield session, page


QUOTA = "You exceeded your current quota, please check your plan and billing details."
OVERRIDE = "Override for field 'first_message' is not allowed by config."


@pytest.mark.parametrize(
    ("kind", "code", "reason", "error", "hint"),
    [
        (GeminiLiveServer, 1007, "API key expired. Please renew the API key.", AuthenticationError, "GEMINI_API_KEY"),
        (GeminiLiveServer, 1011, QUOTA, QuotaExceeded, "session.engine"),
        (GeminiLiveServer, 1007, "Request contains an invalid argument.", BadRequest, "own words"),
        (ConvAIServer, 1002, "This request exceeds your quota limit.", QuotaExceeded, "session.engine"),
        (ConvAIServer, 1008, OVERRIDE, BadRequest, "settings at ElevenLabs"),
        (ConvAIServer, 1002, "The AI agent you are trying to reach appears to be misconfigured", BadRequest, "settings at ElevenLabs"),
        (ConvAIServer, 3000, "The AI agent you are trying to reach does not exist.", ModelNotFound, "ELEVENLABS_AGENT_ID"),
        (RealtimeServer, 3000, "invalid_request_error.invalid_api_key", AuthenticationError, "OPENAI_API_KEY"),
        (RealtimeServer, 4000, "invalid_request_error.invalid_model", ModelNotFound, "gpt-realtime"),
        (RealtimeServer, 1011, "The server had an error.", ConnectionFailed, "session.engine"),
        (RealtimeServer, 1000, "", ConnectionFailed, "session.engine"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:20],
)
async def test_the_words_of_an_end_are_the_error_that_they_mean(
    kind: Any, code: int, reason: str, error: type[PatterError], hint: str
) -> None:
    async with kind([]) as server, talking_with(server) as (session, page):
        page.speak(40)
        await until(lambda: server.heard)
        await server.hang_up(code, reason)
        await until(lambda: bodies(session, StageFailed))
        told = bodies(session, StageFailed)[0].error
        assert type(told) is error
        assert reason in told.message and f"code {code}" in told.message
        assert hint in str(told.hint)
        assert "session.llm" not in str(told)
        assert (told.provider, told.model, told.status) == (session.engine.provider, session.engine.model, None)  # type: ignore[union-attr]
        session.use(engine=None, llm=ScriptedLLM(["Still here."]))
        assert (await session.ask("And now?")).agent_text == "Still here."


async def test_a_refusal_as_the_conversation_begins_is_told_before_the_session_is_live() -> None:
    """Google opens its WebSocket whatever the key and the model are."""
    unknown = "models/gemini-x is not found for API version v1beta, or is not supported for bidiGenerateContent."
    async with GeminiLiveServer(refuses=(1008, unknown)) as server:
        with pytest.raises(ModelNotFound, match=r"gemini-x is not found.*speaks by the Live API") as caught:
            async with talking_with(server):
                pass
        assert caught.value.code == "1008"
        assert server.received == []


async def test_nothing_is_sent_before_the_setup_is_complete() -> None:
    async with GeminiLiveServer([]) as server:
        held = asyncio.Event()
        server.before_setup = held.wait
        engine = engine_at(server)
        opening = asyncio.create_task(engine.open(Patter().agent(), [{"role": "user", "content": "Hello."}]))
        await until(lambda: server.conversations)
        for _ in range(100):
            await asyncio.sleep(0)
        assert (server.received, opening.done()) == ([], False)
        held.set()
        await opening
        await until(lambda: server.received)
        await engine.aclose()


async def test_a_setup_that_is_never_answered_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.engines.socket.CONNECT_S", 0.05)
    async with GeminiLiveServer([]) as server:
        held = asyncio.Event()
        server.before_setup = held.wait
        with pytest.raises(RequestTimeout, match=r"google did not begin a conversation"):
            async with talking_with(server):
                pass
        held.set()


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (GeminiLiveServer, 1008, "Requested entity was not found."),
        (GeminiLiveServer, 1011, "The service is currently unavailable."),
        (ConvAIServer, 1011, "Unexpected error in websocket endpoint: Conversation has exceeded maximum duration"),
        (RealtimeServer, 1001, "Your session hit the maximum duration of 60 minutes."),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:20],
)
async def test_an_end_that_refuses_nothing_is_a_conversation_that_begins_anew(
    kind: Any, code: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patter_nb.pipeline.engaged.STEADY_MS", 0.0)
    async with kind(["One.", "Two."]) as server, talking_with(server) as (session, page):
        assert (await session.ask("first")).agent_text == "One."
        await heard_all(session, page)
        await server.hang_up(code, reason)
        assert (await session.ask("second")).agent_text == "Two."
        assert not bodies(session, StageFailed)


async def test_an_hour_with_openai_ends_in_a_pause_before_the_vendor_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing announces that end; what was said is told to the next conversation."""
    async with RealtimeServer(["One.", "Two."]) as server, talking_with(server) as (session, page):
        assert (await session.ask("first")).agent_text == "One."
        await heard_all(session, page)
        monkeypatch.setattr(OpenAIRealtime, "idle_s", 0.02)
        page.speak(40)
        await until(lambda: server.heard)
        assert len(server.sessions) == 1
        with monkeypatch.context() as old:
            old.setattr("patter_nb.engines.openai.LONGEST_S", 0.0)
            await server.babble('{"type": "rate_limits.updated"}')  # whoever waits for a message waits anew, and not for long
            await until(lambda: len(server.sessions) == 2)
        assert (await session.ask("second")).agent_text == "Two."
        assert not bodies(session, StageFailed)
    texts = [message["item"]["content"][0]["text"] for message in server.messages("conversation.item.create")]
    assert texts == ["first", "first", "One.", "second"]


@pytest.mark.parametrize("busy", ["speaking", "calling"])
async def test_nobody_who_speaks_and_no_tool_that_runs_is_such_a_pause(busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.engines.openai.LONGEST_S", 0.0)
    async with RealtimeServer([]) as server:
        engine = engine_at(server)
        await engine.open(Patter().agent(), ())
        if busy == "speaking":
            engine.take({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0})
        else:
            item = {"type": "function_call", "id": "i", "call_id": "c", "name": "look"}
            engine.take({"type": "response.created", "response": {"id": "r"}})
            engine.take({"type": "response.output_item.added", "response_id": "r", "item": item})
            engine.take({"type": "response.done", "response": {"id": "r", "status": "completed"}})
        engine.idle()
        assert not engine.is_spent()
        engine.take({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1})
        engine.take({"type": "response.created", "response": {"id": "r2"}})
        engine.idle()
        assert not engine.is_spent()
        engine.take({"type": "response.done", "response": {"id": "r2", "status": "completed"}})
        assert not engine.is_spent()
        engine.idle()
        assert engine.is_spent()
        await engine.aclose()


async def test_a_conversation_with_elevenlabs_begins_anew_in_a_pause_before_the_agents_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ElevenLabsConvAI, "idle_s", 0.02)
    async with ConvAIServer(["One.", "Two."], max_duration_s=120) as server:
        engine, page = engine_at(server), Page()
        engine.clock = clock = Clock()
        async with Patter().serve(Patter().agent("Be brief.", engine=engine), transport=page.transport, name="limits") as session:
            page.transport.offer(ListenBy(page))
            assert (await session.ask("first")).agent_text == "One."
            await heard_all(session, page)
            await until(lambda: engine._longest_s == 120)
            clock.advance(100_000)
            await until(lambda: server.signed == 2)
            assert (await session.ask("second")).agent_text == "Two."
            assert not bodies(session, StageFailed)
    first, second = (str(begun) for begun in server.messages("conversation_initiation_client_data"))
    assert "One." not in first
    assert "Be brief." in second and "user: first" in second and "assistant: One." in second


@pytest.mark.parametrize(("max_duration_s", "longest_s"), [(90, 90.0), (None, 600.0), (0, 600.0)])
async def test_how_long_elevenlabs_talks_is_read_from_the_agent_or_else_ten_minutes(max_duration_s: int | None, longest_s: float) -> None:
    async with ConvAIServer(max_duration_s=max_duration_s) as server:
        engine = engine_at(server)
        engine.clock = clock = Clock()
        await engine.open(Patter().agent(), ())
        await pool().settle(10.0)
        assert (server.read, engine._longest_s) == (1, longest_s)
        clock.advance(longest_s * 1000 * 5 / 6 - 1000)
        engine.idle()
        assert not engine.is_spent()
        clock.advance(1000)
        engine.idle()
        assert engine.is_spent()
        await engine.aclose()


async def test_elevenlabs_is_talked_with_where_nobody_tells_how_long() -> None:
    """Whoever signs the URL need not answer the other question, and the conversation does not wait for it."""
    async with ConvAIServer(["Yes."]) as server:
        engine = engine_at(server)
        asked, address = asyncio.Event(), engine._account._base_url

        async def lost() -> float:
            asked.set()
            return await Account(f"{address}9", "test-key", "agent-1").longest_s()  # no such port

        engine._account.longest_s = lost
        async with Patter().serve(Patter().agent(engine=engine), transport=Page().transport, name="limits") as session:
            assert (await session.ask("Anybody?")).agent_text == "Yes."
            assert asked.is_set()
            assert not bodies(session, StageFailed)


AT_WORK: dict[str, list[dict[str, Any]]] = {
    "the person speaks": [
        {"type": "tentative_user_transcript", "tentative_user_transcription_event": {"user_transcript": "Could", "event_id": 1}}
    ],
    "an answer is awaited": [{"type": "user_transcript", "user_transcription_event": {"user_transcript": "Hello.", "event_id": 1}}],
    "an answer is heard": [{"type": "audio", "audio_event": {"audio_base_64": "AAAA" * 80_000, "event_id": 1}}],
    "a tool runs": [{"type": "client_tool_call", "client_tool_call": {"tool_name": "look", "tool_call_id": "c", "parameters": {}}}],
}


@pytest.mark.parametrize("work", [*AT_WORK, "the person is loud"])
async def test_no_pause_with_elevenlabs(work: str) -> None:
    async with ConvAIServer() as server:
        engine = engine_at(server)
        engine.clock = clock = Clock()
        await engine.open(Patter().agent(), ())
        clock.advance(550_000)
        for message in AT_WORK.get(work, ()):
            [*engine.take(message)]
        if work == "the person is loud":
            await engine.push(Frame(np.full(FRAME_SAMPLES, 3000, np.int16), 0, 0.0))
        for _ in range(2):  # the first is where an answer ends
            engine.idle()
            assert not engine.is_spent()
        if work == "a tool runs":
            clock.advance(60_000)
            engine.idle()
            assert not engine.is_spent()
            await engine.send_tool_result([("c", "Seen.")], answer=False)
        clock.advance(22_000)
        engine.idle()
        assert engine.is_spent()
        [*engine.take({"type": "ping", "ping_event": {"event_id": 5}})]
        assert not engine.is_spent()
        await engine.aclose()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ('{"type": "error", "message": "received 1002 (protocol error) This request exceeds your quota limit."}', QuotaExceeded),
        ('{"type": "error", "error_event": {"error_type": "client", "message": "Something failed."}}', ServerError),
    ],
)
async def test_what_elevenlabs_says_of_an_error_is_told(message: str, error: type[PatterError]) -> None:
    async with ConvAIServer(["Yes."] if error is ServerError else []) as server, talking_with(server) as (session, page):
        page.speak(40)
        await until(lambda: server.heard)
        await server.babble(message)
        await until(lambda: bodies(session, StageFailed))
        assert type(bodies(session, StageFailed)[0].error) is error
        if error is ServerError:  # a complaint: it goes on
            assert (await session.ask("Still there?")).agent_text == "Yes."


async def test_an_engine_that_says_nothing_to_what_was_said_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.step.failing.STT_SILENCE_MS", 50.0)
    async with RealtimeServer([], hears=[Utterance(100, 500, "Anybody?")], thinks_s=30.0) as server:
        async with talking_with(server) as (session, page):
            page.speak(700)
            await until(lambda: bodies(session, StageFailed))
            error = bodies(session, StageFailed)[0].error
            assert (type(error), bodies(session, StageFailed)[0].stage) == (RequestTimeout, "engine")
            assert "session.engine" in str(error.hint)
            assert not session.turns
            session.use(engine=None, llm=ScriptedLLM(["Still here."]))
            assert (await session.ask("And now?")).agent_text == "Still here."


async def test_an_engine_that_says_nothing_to_what_was_typed_fails_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.step.failing.LLM_SILENCE_MS", 50.0)
    async with RealtimeServer([], thinks_s=30.0) as server, talking_with(server) as (session, _):
        turn = await session.ask("Anybody?")
        assert (turn.status, type(turn.error)) == ("failed", RequestTimeout)
        session.use(engine=None, llm=ScriptedLLM(["Still here."]))
        assert (await session.ask("And now?")).agent_text == "Still here."


WRONG_SOUND = {
    RealtimeServer: '{"type": "session.updated", "session": {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}}',
    GeminiLiveServer: '{"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=16000", "data": "AAAA"}}]}}}',
    ConvAIServer: '{"type": "conversation_initiation_metadata",'
    ' "conversation_initiation_metadata_event": {"agent_output_audio_format": "opus"}}',
}


@pytest.mark.parametrize(("kind", "message"), WRONG_SOUND.items(), ids=lambda value: value.__name__ if isinstance(value, type) else "")
async def test_sound_of_another_form_is_an_error_and_is_not_played(kind: Any, message: str) -> None:
    async with kind([]) as server, talking_with(server) as (session, page):
        page.speak(40)
        await until(lambda: server.heard)
        await server.babble(message)
        await until(lambda: bodies(session, StageFailed))
        error = bodies(session, StageFailed)[0].error
        assert type(error) is AudioError
        assert error.provider and error.hint
        assert page.sent == 0
        session.use(engine=None, llm=ScriptedLLM(["Still here."]))
        assert (await session.ask("And now?")).agent_text == "Still here."


async def test_an_unknown_model_of_openai_is_the_end_of_the_engine_and_another_can_be_taken() -> None:
    refuses = {"session.update": ("model_not_found", "The model `gpt-realtime-9` does not exist.")}
    async with RealtimeServer([], refuses=refuses) as server, talking_with(server) as (session, _):
        await until(lambda: bodies(session, StageFailed))
        error = bodies(session, StageFailed)[0].error
        assert type(error) is ModelNotFound
        assert "gpt-realtime" in str(error.hint)
        session.use(engine=None, llm=ScriptedLLM(["Still here."]))
        assert (await session.ask("And now?")).agent_text == "Still here."

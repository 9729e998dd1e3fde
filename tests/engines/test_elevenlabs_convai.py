"""ElevenLabs' agents in a session: greeted, heard, answered, interrupted, given tools, and refused, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from aiohttp import web
from engine_person import LONG, Page, heard_all
from local_web import serving
from talking import bodies, until

from patter_nb.audio.resampling import resample
from patter_nb.console.transport import ListenBy
from patter_nb.engines.base import AnswerEnded, Heard, VoiceBegan, VoiceEnded
from patter_nb.engines.elevenlabs import ElevenLabsConvAI
from patter_nb.errors import AuthenticationError, MalformedStream, ModelNotFound, PatterConfigError
from patter_nb.events import SpeechStarted, TranscriptFinal, TranscriptPartial
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import Call
from patter_nb.testing.wire.convai import ConvAIServer
from patter_nb.testing.wire.realtime import RATE, Spoken, Utterance


@asynccontextmanager
async def talking_with(
    server: ConvAIServer, *, agent_id: str = "agent-1", key: str = "test-key", **parts: Any
) -> AsyncIterator[tuple[Session, Page]]:
    page = Page()
    engine = ElevenLabsConvAI(key, agent_id=agent_id, voice="nova", base_url=server.url)
    async with Patter().serve(Patter().agent("Be brief.", engine=engine, **parts), transport=page.transport, name="convai") as session:
        page.transport.offer(ListenBy(page))
        yield session, page


def heard_sound(page: Page) -> Any:
    return np.concatenate([block.pcm for block in page.blocks])


@pytest.mark.parametrize(("audio_format", "odd"), [("pcm_16000", False), ("pcm_16000", True), ("pcm_24000", True), ("ulaw_8000", False)])
async def test_seed_row_02_what_is_said_is_answered_aloud_in_whatever_format(audio_format: str, odd: bool) -> None:
    said = Spoken("It is sunny.")
    async with ConvAIServer([said], hears=[Utterance(200, 1000, "How is the weather?")], audio_format=audio_format, odd=odd) as server:
        async with talking_with(server) as (session, page):
            page.speak(1200)
            await heard_all(session, page)
            (turn,) = session.turns
    assert (turn.source, turn.user_text, turn.agent_text) == ("speech", "How is the weather?", "It is sunny.")
    assert turn.heard_text == "It is sunny."
    assert (turn.provider, turn.model) == ("elevenlabs", "agent-1")
    ours, theirs = heard_sound(page).astype(float), resample(said.sound(), RATE, 24_000).astype(float)
    length = min(len(ours), len(theirs))
    assert length > 0.97 * len(theirs)
    assert np.corrcoef(ours[:length], theirs[:length])[0, 1] > 0.98
    assert len(server.heard) == pytest.approx(1200 * 32, rel=0.02)
    (begun,) = server.messages("conversation_initiation_client_data")
    assert begun["conversation_config_override"] == {
        "agent": {"prompt": {"prompt": "Be brief."}, "first_message": "", "language": "en"},
        "tts": {"voice_id": "nova"},
    }
    assert server.messages("pong")


async def test_the_greeting_is_its_first_message() -> None:
    async with ConvAIServer(["Yes?"]) as server:
        async with talking_with(server, first_message="Welcome.") as (session, page):
            await heard_all(session, page)
            turn = await session.ask("Anybody?")
            await heard_all(session, page)
    assert [(turn.source, turn.agent_text) for turn in session.turns] == [("greeting", "Welcome."), ("typed", "Yes?")]
    assert turn.status == "completed"
    (begun,) = server.messages("conversation_initiation_client_data")
    assert begun["conversation_config_override"]["agent"]["first_message"] == "Welcome."


async def test_client_tools_are_the_sessions_tools() -> None:
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"Sunny in {city}."

    async with ConvAIServer([Call("get_weather", {"city": "Rome"}), "Sunny."]) as server:
        async with talking_with(server, tools=[get_weather]) as (session, page):
            turn = await session.ask("Rome?")
            await heard_all(session, page)
    assert [(call.name, call.arguments, call.result) for call in turn.tool_calls] == [("get_weather", {"city": "Rome"}, "Sunny in Rome.")]
    assert turn.agent_text == "Sunny."
    (result,) = server.messages("client_tool_result")
    assert (result["result"], result["is_error"]) == ("Sunny in Rome.", False)


async def test_sound_of_before_an_interruption_is_dropped() -> None:
    hears = [Utterance(100, 500, "Tell me."), Utterance(1500, 2000, "Stop.")]
    async with ConvAIServer([Spoken(LONG, paced=True), "All right."], hears=hears, stale=True) as server:
        async with talking_with(server) as (session, page):
            page.speak(700)
            await until(lambda: page.sent > 24_000)
            page.played(12_000)
            await until(lambda: session.state == "speaking")
            page.speak(1000)
            await until(lambda: session.turns[0].status == "interrupted")
            before = page.sent
            page.speak(400)
            await until(lambda: len(session.turns) == 2)
            await heard_all(session, page)
            first, second = session.turns
    assert (second.user_text, second.agent_text) == ("Stop.", "All right.")
    assert 0 < len(first.heard_text) < len(LONG)
    assert page.sent - before == pytest.approx(24_000 * 0.06 * len("All right."), rel=0.05)


async def test_words_are_shown_while_the_person_still_speaks() -> None:
    async with ConvAIServer(["Yes."], hears=[Utterance(100, 1700, "Could you tell me")]) as server:
        async with talking_with(server) as (session, page):
            page.speak(1000)
            await until(lambda: [body.text for body in bodies(session, TranscriptPartial)] == ["Could", "Could you"])
            assert session.state == "listening"
            assert len(bodies(session, SpeechStarted)) == 1
            assert not bodies(session, TranscriptFinal)
            page.speak(1000)
            await heard_all(session, page)
            assert [body.text for body in bodies(session, TranscriptFinal)] == ["Could you tell me"]
            assert len(bodies(session, SpeechStarted)) == 1


async def test_words_over_an_answer_interrupt_only_where_the_vendor_breaks_it_off() -> None:
    tentative = {"type": "tentative_user_transcript", "tentative_user_transcription_event": {"user_transcript": "mhm", "event_id": 2}}
    async with ConvAIServer() as server:
        engine = ElevenLabsConvAI("test-key", agent_id="agent-1", base_url=server.url)
        await engine.open(Patter().agent(engine=engine), ())
        engine.take({"type": "agent_response", "agent_response_event": {"agent_response": "It is", "event_id": 1}})
        assert [*engine.take(tentative)] == [Heard("mhm", is_final=False)]
        interruption = engine.take({"type": "interruption", "interruption_event": {"event_id": 3}})
        assert [type(event) for event in interruption] == [VoiceBegan, AnswerEnded]
        assert [*engine.take(tentative)] == [Heard("mhm", is_final=False)]
        heard = engine.take({"type": "user_transcript", "user_transcription_event": {"user_transcript": "mhm", "event_id": 4}})
        assert [type(event) for event in heard] == [Heard, VoiceEnded]
        assert [type(event) for event in engine.take(tentative)] == [VoiceBegan, Heard]
        await engine.aclose()


async def test_a_wrong_key_and_a_wrong_agent_are_told_before_the_session_is_live() -> None:
    async with ConvAIServer() as server:
        with pytest.raises(AuthenticationError, match="ELEVENLABS_API_KEY"):
            async with talking_with(server, key="wrong"):
                pass
        with pytest.raises(ModelNotFound, match="ELEVENLABS_AGENT_ID"):
            async with talking_with(server, agent_id="nobody"):
                pass


async def test_a_page_in_place_of_a_signed_url_is_an_error_of_the_family() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>")

    async with serving(page) as server:
        engine = ElevenLabsConvAI("test-key", agent_id="agent-1", base_url=server.url)
        with pytest.raises(MalformedStream, match=r"no signed URL.*Welcome"):
            await engine.open(Patter().agent(engine=engine), ())


def test_it_needs_a_key_and_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ELEVENLABS_API_KEY", "ELEVENLABS_AGENT_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PatterConfigError, match="ELEVENLABS_API_KEY"):
        ElevenLabsConvAI(agent_id="a")
    with pytest.raises(PatterConfigError, match="ELEVENLABS_AGENT_ID"):
        ElevenLabsConvAI("test-key")
    assert "test-key" not in repr(ElevenLabsConvAI("test-key", agent_id="a"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the client's own, of a name that it imports
async def test_the_server_is_taken_for_the_vendor_by_its_own_client() -> None:
    """The double is first proved with the official client, which then hears what a session would."""
    from elevenlabs import AsyncElevenLabs
    from elevenlabs.conversational_ai.conversation import AsyncAudioInterface, AsyncConversation, ConversationInitiationData

    played, told = bytearray(), list[str]()

    class Interface(AsyncAudioInterface):
        async def start(self, input_callback: Any) -> None: ...

        async def stop(self) -> None: ...

        async def output(self, audio: bytes) -> None:
            played.extend(audio)

        async def interrupt(self) -> None: ...

    async def respond(text: str) -> None:
        told.append(text)

    async with ConvAIServer(["Yes?"], max_duration_s=90) as server:
        async with httpx.AsyncClient() as connections:
            client = AsyncElevenLabs(api_key="test-key", base_url=server.url, httpx_client=connections)
            settings = (await client.conversational_ai.agents.get("agent-1")).conversation_config.conversation
        assert settings is not None and settings.max_duration_seconds == 90
        override = {"agent": {"first_message": "Welcome.", "prompt": {"prompt": "Be brief."}, "language": "en"}}
        config = ConversationInitiationData(conversation_config_override=override)
        conversation = AsyncConversation(
            client, "agent-1", requires_auth=False, audio_interface=Interface(), config=config, callback_agent_response=respond
        )
        await conversation.start_session()
        await until(lambda: told)
        await conversation.send_user_message("Anybody?")
        await until(lambda: len(told) == 2 and len(played) == 12 * 1920)
        await conversation.end_session()
        await conversation.wait_for_session_end()
    assert told == ["Welcome.", "Yes?"]

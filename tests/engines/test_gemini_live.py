"""Google's Live API in a session: the third engine, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from engine_person import LONG, Page, heard_all
from talking import bodies, until

from patter_nb.console.transport import ListenBy
from patter_nb.engines.google import GeminiLive
from patter_nb.errors import AuthenticationError, PatterConfigError
from patter_nb.events import StageFailed
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import Spoken, Utterance


@asynccontextmanager
async def talking_with(server: GeminiLiveServer, *, key: str = "test-key", **parts: Any) -> AsyncIterator[tuple[Session, Page]]:
    page = Page()
    engine = GeminiLive(key, base_url=server.url)
    async with Patter().serve(Patter().agent("Be brief.", engine=engine, **parts), transport=page.transport, name="live") as session:
        page.transport.offer(ListenBy(page))
        yield session, page


async def test_what_is_said_is_answered_aloud() -> None:
    async with GeminiLiveServer(["It is sunny."], hears=[Utterance(200, 1000, "How is the weather?")]) as server:
        async with talking_with(server) as (session, page):
            page.speak(1200)
            await heard_all(session, page)
            (turn,) = session.turns
    assert (turn.user_text, turn.agent_text, turn.heard_text) == ("How is the weather?", "It is sunny.", "It is sunny.")
    assert turn.usage == {"input_tokens": 12, "output_tokens": 7}
    assert turn.requests[0].usage is not None
    assert turn.requests[0].usage.extra == {"google": {"input_audio_tokens": 8, "output_audio_tokens": 7}}
    assert turn.cost == (4 * Decimal("0.5") + 8 * 3 + 7 * 12) / 1_000_000  # sound has its own price
    assert page.sent == pytest.approx(24_000 * 0.06 * len("It is sunny."), abs=2)
    (setup,) = server.setups
    assert setup["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert len(server.heard) == 1200 * 32


async def test_tools_are_called_and_their_results_answered() -> None:
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"Sunny in {city}."

    async with GeminiLiveServer([[Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"})], "Sunny."]) as server:
        async with talking_with(server, tools=[get_weather]) as (session, page):
            turn = await session.ask("Rome and Oslo?")
            await heard_all(session, page)
    assert [call.result for call in turn.tool_calls] == ["Sunny in Rome.", "Sunny in Oslo."]
    assert turn.agent_text == "Sunny."
    (answered,) = [message["toolResponse"] for message in server.received if "toolResponse" in message]
    assert [response["name"] for response in answered["functionResponses"]] == ["get_weather", "get_weather"]


async def test_speaking_into_an_answer_interrupts_it() -> None:
    hears = [Utterance(100, 500, "Tell me."), Utterance(1500, 2000, "Stop.")]
    async with GeminiLiveServer([Spoken(LONG, paced=True), "All right."], hears=hears) as server:
        async with talking_with(server) as (session, page):
            page.speak(700)
            await until(lambda: page.sent > 24_000)
            page.played(12_000)
            await until(lambda: session.state == "speaking")
            page.speak(1500)
            await until(lambda: len(session.turns) == 2)
            await heard_all(session, page)
            first, second = session.turns
    assert (first.status, second.user_text, second.agent_text) == ("interrupted", "Stop.", "All right.")
    assert 0 < len(first.heard_text) < len(LONG)


async def test_a_conversation_that_will_be_ended_begins_anew_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.pipeline.engaged.STEADY_MS", 0.0)
    async with GeminiLiveServer(["One.", "Two."]) as server:
        async with talking_with(server) as (session, page):
            await session.ask("first")
            await heard_all(session, page)
            await server.announce_end()
            await until(lambda: len(server.setups) == 2)
            assert (await session.ask("second")).agent_text == "Two."
            assert not bodies(session, StageFailed)
    told = [message["clientContent"] for message in server.received if "clientContent" in message]
    assert [turn["parts"][0]["text"] for turn in told[1]["turns"]] == ["first", "One."]


async def test_from_a_pipeline_with_what_was_said() -> None:
    async with GeminiLiveServer(["From the engine."]) as server:
        page = Page()
        async with Patter().serve(Patter().agent(llm=ScriptedLLM(["Hello."])), transport=page.transport, name="to live") as session:
            page.transport.offer(ListenBy(page))
            await session.ask("one")
            session.use(engine=GeminiLive("test-key", base_url=server.url))
            await until(lambda: server.received)
            assert (await session.ask("two")).agent_text == "From the engine."


async def test_a_wrong_key_is_told_before_the_session_is_live() -> None:
    async with GeminiLiveServer() as server:
        with pytest.raises(AuthenticationError, match="GEMINI_API_KEY"):
            async with talking_with(server, key="wrong"):
                pass


def test_it_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PatterConfigError, match="GEMINI_API_KEY"):
        GeminiLive()
    assert "test-key" not in repr(GeminiLive("test-key"))

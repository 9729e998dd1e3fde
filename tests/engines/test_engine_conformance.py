"""What every engine does, each over its vendor's wire; an engine adds a row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from engine_person import LONG, Page, heard_all
from talking import bodies, until

from patter_nb.console.transport import ListenBy
from patter_nb.engines.base import Engine
from patter_nb.engines.elevenlabs import ElevenLabsConvAI
from patter_nb.engines.google import GeminiLive
from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.errors import AuthenticationError, ConnectionFailed, MalformedStream
from patter_nb.events import SpeechStarted, SpeechStopped, StageFailed, TranscriptFinal, TranscriptPartial, TurnStarted
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.testing.wire.convai import ConvAIServer
from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import RealtimeServer, Spoken, Utterance
from patter_nb.transports.base import Muted, Typed


@dataclass(frozen=True)
class Row:
    """An engine, and the server that speaks as its vendor does."""

    server: Callable[..., Any]
    engine: Callable[..., Engine]
    counts: bool = True
    """Whether the vendor tells what it charges for."""
    by_words: Mapping[str, Any] = field(default_factory=dict)
    """With what options it writes the person's words down one by one."""

    @asynccontextmanager
    async def talking(
        self,
        replies: Iterable[Any],
        *,
        hears: Iterable[Utterance] = (),
        key: str = "test-key",
        options: Mapping[str, Any] | None = None,
        **parts: Any,
    ) -> AsyncIterator[tuple[Session, Page, Any]]:
        """A session by this engine, with a person at a page."""
        page = Page()
        async with self.server(replies, hears=hears) as server:
            agent = Patter().agent("Be brief.", engine=self.engine(key, base_url=server.url, **(options or {})), **parts)
            async with Patter().serve(agent, transport=page.transport, name="conformance") as session:
                page.transport.offer(ListenBy(page))
                yield session, page, server


def convai(key: str, **fields: Any) -> Engine:
    return ElevenLabsConvAI(key, agent_id="agent-1", **fields)


def by_client(key: str, *, base_url: str, **fields: Any) -> Engine:
    from openai import AsyncOpenAI

    return OpenAIRealtime(client=AsyncOpenAI(api_key=key, base_url=base_url.replace("ws", "http", 1)), **fields)


GPT = {"transcription_model": "gpt-4o-transcribe"}
ROWS = {
    "openai": Row(RealtimeServer, OpenAIRealtime, by_words=GPT),
    "openai client": Row(RealtimeServer, by_client, by_words=GPT),
    "elevenlabs": Row(ConvAIServer, convai, counts=False),
    "google": Row(GeminiLiveServer, GeminiLive),
}


@pytest.fixture(params=ROWS.values(), ids=list(ROWS))
def row(request: pytest.FixtureRequest) -> Row:
    found: Row = request.param
    return found


@pytest.fixture
def drops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may drop, however short it has held."""
    monkeypatch.setattr("patter_nb.pipeline.engaged.STEADY_MS", 0.0)


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


async def test_what_is_said_is_heard_and_answered_aloud(row: Row) -> None:
    async with row.talking(["It is sunny."], hears=[Utterance(200, 1000, "How is it?")]) as (session, page, server):
        page.speak(1200)
        await heard_all(session, page)
        (turn,) = session.turns
        assert (turn.source, turn.user_text, turn.agent_text, turn.heard_text) == ("speech", "How is it?", "It is sunny.", "It is sunny.")
        assert [final.text for final in bodies(session, TranscriptFinal)] == ["How is it?"]
        assert bodies(session, SpeechStarted)
        assert bodies(session, SpeechStopped)
        assert np.frombuffer(bytes(server.heard), "<i2").max() > 100
        said = Spoken("It is sunny.").sound()
        assert page.sent == pytest.approx(len(said), rel=0.01)
    assert session.history[-1] == {"role": "assistant", "content": "It is sunny."}


async def test_the_persons_words_are_told_as_they_come(row: Row) -> None:
    hears = [Utterance(200, 1000, "How is the weather?", late=False)]
    async with row.talking(["It is sunny."], hears=hears, options=row.by_words) as (session, page, _):
        page.speak(1200)
        await heard_all(session, page)
        told = (SpeechStarted, TranscriptPartial, TranscriptFinal, TurnStarted)
        heard = [event.body for event in session.events if isinstance(event.body, told)]
    partials = [body.text for body in heard if isinstance(body, TranscriptPartial)]
    assert partials[:3] == ["How", "How is", "How is the"]
    assert partials[3:] in ([], ["How is the weather?"])
    assert [type(body) for body in heard] == [SpeechStarted, *[TranscriptPartial] * len(partials), TranscriptFinal, TurnStarted]
    assert heard[-2].text == "How is the weather?"  # type: ignore[union-attr]  # the final one, as the line above says


async def test_a_greeting_comes_first_and_typed_words_are_answered(row: Row) -> None:
    greeting = "Hello there. How can I help?"
    replies = ["Yes."] if row is ROWS["elevenlabs"] else [greeting, "Yes."]  # the vendor says a first message by itself
    async with row.talking(replies, first_message=greeting) as (session, page, _):
        await heard_all(session, page)
        assert (await session.ask("Anybody?")).agent_text == "Yes."
        assert [(turn.source, turn.status) for turn in session.turns] == [("greeting", "completed"), ("typed", "completed")]


async def test_what_an_engine_says_by_itself_is_charged_to_its_turn(row: Row) -> None:
    replies = ["Yes.", "Bye."] if row is ROWS["elevenlabs"] else ["Hello there.", "Yes.", "Bye."]
    async with row.talking(replies, first_message="Hello there.") as (session, page, _):
        await heard_all(session, page)
        answered = await session.ask("Anybody?")
        said = await session.say("Bye.")
        greeting = session.turns[0]
    assert [turn.source for turn in session.turns] == ["greeting", "typed", "say"]
    for turn in (greeting, answered, said):
        assert [request.stage for request in turn.requests] == ["engine"]
        assert list(turn.costs) == ["engine"]
        assert turn.provider == answered.provider
        assert bool(turn.usage) == row.counts
        assert (turn.cost is not None) == row.counts  # unknown, never nothing
        assert turn.cost is None or turn.cost > 0
    assert greeting.usage == answered.usage == said.usage


async def test_an_answer_that_is_interrupted_is_charged_to_its_own_turn(row: Row) -> None:
    async with row.talking([Spoken(LONG, paced=True), "All right."]) as (session, page, _):
        session.take(Typed("Tell me."))
        await until(lambda: page.sent > 4000)
        session.take(Typed("Stop."))
        await until(lambda: len(session.turns) == 2 and session.turns[1].status == "completed")
        first, second = session.turns
        if row.server is RealtimeServer:  # its vendor tells of what was cut off, too; else that stays unknown
            await until(lambda: first.cost is not None)
    assert first.status == "interrupted"
    assert (first.cost is not None) == (row.server is RealtimeServer)
    assert (second.cost is not None) == row.counts
    assert [len(turn.requests) for turn in session.turns] == [1, 1]


async def test_tools_are_the_sessions(row: Row) -> None:
    async with row.talking([Call("get_weather", {"city": "Rome"}), "Sunny."], tools=[get_weather]) as (session, _, _server):
        turn = await session.ask("Rome?")
        assert [(call.name, call.arguments, call.result) for call in turn.tool_calls] == [
            ("get_weather", {"city": "Rome"}, "Sunny in Rome.")
        ]
        assert turn.agent_text == "Sunny."


async def test_speaking_into_an_answer_interrupts_it(row: Row) -> None:
    hears = [Utterance(100, 500, "Tell me."), Utterance(1500, 2000, "Stop.")]
    async with row.talking([Spoken(LONG, paced=True), "All right."], hears=hears) as (session, page, _):
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


async def test_typing_into_an_answer_interrupts_it(row: Row) -> None:
    async with row.talking([Spoken(LONG[:40], paced=True), "All right."]) as (session, page, _):
        session.take(Typed("Tell me."))
        await until(lambda: page.sent > 4000)
        session.take(Typed("Stop."))
        await until(lambda: len(session.turns) == 2 and session.turns[1].status == "completed")
        first, second = session.turns
        assert (first.status, second.agent_text) == ("interrupted", "All right.")
        assert not bodies(session, StageFailed)


async def test_who_mutes_in_mid_sentence_is_answered(row: Row) -> None:
    async with row.talking(["Heard."], hears=[Utterance(100, 1500, "half a sentence")]) as (session, page, server):
        page.speak(700)
        await until(lambda: len(server.heard) >= 600 * 32)
        session.take(Muted(True))
        await until(lambda: session.turns)
        await heard_all(session, page)
        assert (session.turns[0].user_text, session.turns[0].agent_text) == ("half a sentence", "Heard.")


async def test_typing_again_before_an_answer_begins_is_nobody_speaking(row: Row) -> None:
    async with row.talking([Spoken(LONG, paced=True), "Two."]) as (session, _, server):
        session.take(Typed("first"))
        await until(lambda: "first" in str(server.received))
        session.take(Typed("second"))
        await until(lambda: len(session.turns) == 2 and session.turns[1].status != "running")
        assert session.turns[1].status == "completed"
        assert session.turns[1].agent_text.endswith("Two.")
        assert not bodies(session, SpeechStarted, StageFailed)


@pytest.mark.usefixtures("drops_at_once")
async def test_a_conversation_that_drops_is_begun_anew_with_what_was_said(row: Row) -> None:
    async with row.talking(["One.", "Two."]) as (session, page, server):
        assert (await session.ask("first")).agent_text == "One."
        await heard_all(session, page)
        before = len(server.received)
        await server.drop()
        assert (await session.ask("second")).agent_text == "Two."
        assert not bodies(session, StageFailed)
        told = str(server.received[before:]) + str(getattr(server, "setups", "")[1:])
        assert all(text in told for text in ("Be brief.", "first", "One.", "second"))


async def test_another_prompt_is_told_before_the_next_answer(row: Row) -> None:
    async with row.talking(["One.", "Two."]) as (session, page, server):
        assert (await session.ask("first")).agent_text == "One."
        await heard_all(session, page)
        session.system_prompt = "Be long."
        assert (await session.ask("second")).agent_text == "Two."
        assert not bodies(session, StageFailed)
        assert len(server.conversations) == 1
        assert "Be long." in str(server.received) + str(getattr(server, "setups", ""))


@pytest.mark.usefixtures("drops_at_once")
async def test_an_answer_that_a_drop_breaks_off_fails_and_the_next_is_given(row: Row) -> None:
    async with row.talking([Spoken(LONG, paced=True), "Two."]) as (session, page, server):
        session.take(Typed("first"))
        await until(lambda: page.sent > 20_000)
        page.played(page.sent)
        await server.drop()
        await until(lambda: session.turns[0].status == "failed")
        page.played(page.sent)
        assert isinstance(session.turns[0].error, ConnectionFailed)
        assert session.turns[0].agent_text
        assert (await session.ask("second")).agent_text == "Two."


async def test_garbage_is_an_error_and_another_goes_on(row: Row) -> None:
    async with row.talking([]) as (session, page, server):
        page.speak(40)
        await until(lambda: server.heard)
        await server.babble("<html>")
        await until(lambda: bodies(session, StageFailed))
        assert isinstance(bodies(session, StageFailed)[0].error, MalformedStream)
        failed = await session.ask("Anybody?")
        assert (failed.status, type(failed.error)) == ("failed", MalformedStream)
        session.use(engine=None, llm=ScriptedLLM(["Still here."]))
        assert (await session.ask("And now?")).agent_text == "Still here."


async def test_a_wrong_key_is_told_before_the_session_is_live(row: Row) -> None:
    with pytest.raises(AuthenticationError, match="_API_KEY"):
        async with row.talking([], key="wrong"):
            pass


async def test_a_conversation_moves_there_and_back(row: Row) -> None:
    page = Page()
    async with row.server(["From the engine."]) as server:
        agent = Patter().agent("Be brief.", llm=ScriptedLLM(["From the model.", "And back."]))
        async with Patter().serve(agent, transport=page.transport, name="moving") as session:
            page.transport.offer(ListenBy(page))
            await session.ask("one")
            session.use(engine=row.engine("test-key", base_url=server.url))
            assert (await session.ask("two")).agent_text == "From the engine."
            await heard_all(session, page)
            session.use(engine=None)
            assert (await session.ask("three")).agent_text == "And back."
        assert all(text in str(server.received) for text in ("one", "From the model.", "two"))
    assert [message["content"] for message in session.history] == [
        *("one", "From the model."),
        *("two", "From the engine."),
        *("three", "And back."),
    ]

"""OpenAI's speech to speech in a session: heard, answered, interrupted, given tools, swapped, and broken, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from engine_person import LONG, Page, heard_all
from talking import bodies, until

from patter_nb.agent import Guardrail
from patter_nb.console.transport import ListenBy
from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.errors import AuthenticationError, ConnectionFailed, PatterConfigError
from patter_nb.events import GuardrailHit, StageFailed, TurnWords
from patter_nb.patter import Patter
from patter_nb.pricing import Prices
from patter_nb.session import Session
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.testing.wire.realtime import RealtimeServer, Spoken, Utterance


@asynccontextmanager
async def talking_with(server: RealtimeServer, **parts: Any) -> AsyncIterator[tuple[Session, Page]]:
    page = Page()
    engine = OpenAIRealtime("test-key", base_url=server.url)
    async with Patter().serve(Patter().agent("Be brief.", engine=engine, **parts), transport=page.transport, name="engine") as session:
        page.transport.offer(ListenBy(page))
        yield session, page


@pytest.mark.parametrize("late", [False, True])
async def test_what_is_said_is_answered_aloud(late: bool) -> None:
    async with RealtimeServer(["It is sunny."], hears=[Utterance(200, 1000, "How is the weather?", late)]) as server:
        async with talking_with(server) as (session, page):
            page.speak(1200)
            await heard_all(session, page)
            (turn,) = session.turns
    assert (turn.source, turn.user_text, turn.agent_text) == ("speech", "How is the weather?", "It is sunny.")
    assert turn.heard_text == "It is sunny."
    assert (turn.provider, turn.model, turn.status) == ("openai", "gpt-realtime-mini", "completed")
    assert turn.usage == {"input_tokens": 16, "output_tokens": 10, "cache_read_tokens": 4, "stt_seconds": 0.8}
    assert session.history == ({"role": "user", "content": "How is the weather?"}, {"role": "assistant", "content": "It is sunny."})
    assert page.sent == pytest.approx(24_000 * 0.06 * len("It is sunny."), abs=2)
    assert len(server.heard) == pytest.approx(1200 * 48, rel=0.02)
    assert bool(bodies(session, TurnWords)) is late


async def test_typed_words_are_answered_aloud_and_greeting_comes_first() -> None:
    async with RealtimeServer(["Welcome.", "Yes."]) as server:
        async with talking_with(server, first_message="Welcome.") as (session, page):
            await heard_all(session, page)
            turn = await session.ask("Anybody?")
            assert (turn.agent_text, turn.source) == ("Yes.", "typed")
            await heard_all(session, page)
    assert [turn.source for turn in session.turns] == ["greeting", "typed"]
    assert "word for word" in server.messages("response.create")[0]["response"]["instructions"]


async def test_what_was_asked_for_and_what_was_said_are_told_apart_without_metadata() -> None:
    hears = [Utterance(100, 500, "Hello?"), Utterance(700, 900, "And now?")]
    async with RealtimeServer(["Welcome.", "Hi.", "Yes.", "Still."], hears=hears, keeps_metadata=False) as server:
        async with talking_with(server, first_message="Welcome.") as (session, page):
            await heard_all(session, page)
            page.speak(600)
            await until(lambda: len(session.turns) == 2)
            await heard_all(session, page)
            assert (await session.ask("Anybody?")).agent_text == "Yes."
            await heard_all(session, page)
            page.speak(400)
            await until(lambda: len(session.turns) == 4)
            await heard_all(session, page)
            assert not bodies(session, StageFailed)
    told = [(turn.source, turn.user_text, turn.agent_text) for turn in session.turns]
    assert told == [
        *(("greeting", "", "Welcome."), ("speech", "Hello?", "Hi.")),
        *(("typed", "Anybody?", "Yes."), ("speech", "And now?", "Still.")),
    ]


async def test_tools_are_called_and_their_results_answered() -> None:
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"Sunny in {city}."

    replies = [[Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"})], "Sunny in both."]
    async with RealtimeServer(replies, hears=[Utterance(100, 500, "Rome and Oslo?")]) as server:
        async with talking_with(server, tools=[get_weather]) as (session, page):
            page.speak(700)
            await heard_all(session, page)
            (turn,) = session.turns
    assert [(call.name, call.arguments, call.result) for call in turn.tool_calls] == [
        ("get_weather", {"city": city}, f"Sunny in {city}.") for city in ("Rome", "Oslo")
    ]
    assert turn.agent_text == "Sunny in both."
    outputs = [message["item"] for message in server.messages("conversation.item.create")]
    assert [item["output"] for item in outputs] == ["Sunny in Rome.", "Sunny in Oslo."]
    assert server.sessions[0]["tools"][0]["parameters"]["required"] == ["city"]
    assert [message["role"] for message in session.history] == ["user", "assistant", "tool", "tool", "assistant"]


async def test_speaking_into_an_answer_truncates_it_where_it_was_heard() -> None:
    hears = [Utterance(100, 500, "Tell me of the ships."), Utterance(1500, 2000, "Stop, please.")]
    async with RealtimeServer([Spoken(LONG), "All right."], hears=hears) as server:
        async with talking_with(server) as (session, page):
            page.speak(700)
            await until(lambda: page.sent >= 24_000 * 3)
            page.played(48_000)
            await until(lambda: session.state == "speaking")
            page.speak(1500)
            await until(lambda: len(session.turns) == 2)
            await heard_all(session, page)
            first, second = session.turns
            assert page.flushed == 1
    assert (first.status, second.agent_text, second.user_text) == ("interrupted", "All right.", "Stop, please.")
    assert LONG.startswith(first.heard_text)
    assert 10 < len(first.heard_text) < len(LONG) / 2
    (truncated,) = server.messages("conversation.item.truncate")
    assert truncated["audio_end_ms"] == 2000
    assert session.history[1]["content"] == first.heard_text


async def test_a_conversation_moves_from_a_pipeline_to_an_engine_and_back() -> None:
    async with RealtimeServer(["From the engine."]) as server:
        page = Page()
        agent = Patter().agent("Be brief.", llm=ScriptedLLM(["From the model.", "And back."]))
        async with Patter().serve(agent, transport=page.transport, name="moving") as session:
            page.transport.offer(ListenBy(page))
            await session.ask("one")
            session.use(engine=OpenAIRealtime("test-key", base_url=server.url))
            await until(lambda: len(server.messages("conversation.item.create")) == 2)
            assert (await session.ask("two")).agent_text == "From the engine."
            with pytest.raises(PatterConfigError, match=r"engine=None, stt="):
                session.llm = ScriptedLLM([])
            await heard_all(session, page)
            session.use(engine=None)
            assert (await session.ask("three")).agent_text == "And back."
            told = [(message["role"], message["content"]) for message in session.history]
    assert told == [
        *(("user", "one"), ("assistant", "From the model.")),
        *(("user", "two"), ("assistant", "From the engine.")),
        *(("user", "three"), ("assistant", "And back.")),
    ]
    restored = [message["item"]["content"][0]["text"] for message in server.messages("conversation.item.create")]
    assert restored == ["one", "From the model.", "two"]


async def test_a_socket_that_drops_is_opened_again_with_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.pipeline.engaged.STEADY_MS", 0.0)
    async with RealtimeServer(["One.", "Two."]) as server:
        async with talking_with(server) as (session, page):
            assert (await session.ask("first")).agent_text == "One."
            await heard_all(session, page)
            await server.drop()
            await until(lambda: len(server.sessions) == 2)
            assert (await session.ask("second")).agent_text == "Two."
            assert not bodies(session, StageFailed)
    texts = [message["item"]["content"][0]["text"] for message in server.messages("conversation.item.create")]
    assert texts == ["first", "first", "One.", "second"]


async def test_a_socket_that_drops_again_at_once_is_an_error_and_the_session_goes_on_with_another() -> None:
    async with RealtimeServer([[Spoken("Half a"), ConnectionError()]]) as server:
        async with talking_with(server) as (session, page):
            turn = await session.ask("go")
            assert (turn.status, type(turn.error)) == ("failed", ConnectionFailed)
            assert "session.use(engine=None" in str(turn.error)
            page.played(page.sent)
            await until(lambda: session.state == "ready")
            session.use(engine=None, llm=ScriptedLLM(["Still here."]))
            assert (await session.ask("And now?")).agent_text == "Still here."


async def test_a_wrong_key_is_told_before_the_session_is_live() -> None:
    async with RealtimeServer(key="another") as server:
        with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
            async with talking_with(server):
                pass


async def test_another_prompt_is_told_to_the_engine_that_runs() -> None:
    async with RealtimeServer([]) as server:
        async with talking_with(server) as (session, _):
            session.system_prompt = "Be long."
            await until(lambda: len(server.sessions) == 2)
    assert [told["instructions"] for told in server.sessions] == ["Be brief.", "Be long."]


async def test_a_guardrail_cuts_the_engine_off_and_has_it_say_the_replacement() -> None:
    guardrail = Guardrail("rivals", blocked_terms=["Acme"], replacement="I can't speak of that.")
    said = Spoken("Our boats are the best. Those of Acme are not. And so on and so forth, for a long while.", paced=True)
    async with RealtimeServer([said, "I can't speak of that."]) as server:
        async with talking_with(server, guardrails=[guardrail]) as (session, page):
            turn = await session.ask("Which boats?")
            page.played(page.sent)
            await until(lambda: turn.is_settled)
    assert "I can't speak of that." in turn.agent_text
    assert "so forth" not in turn.agent_text
    assert "Acme" not in str(session.history[-1]["content"])
    assert [hit.name for hit in bodies(session, GuardrailHit)] == ["rivals"]
    assert server.messages("response.cancel")


async def test_an_engine_is_paid_by_what_of_it_is_sound() -> None:
    async with RealtimeServer(["Yes."]) as server:
        async with talking_with(server) as (session, _):
            turn = await session.ask("Hi")
    usage = turn.requests[0].usage
    assert usage is not None
    assert usage.extra == {"openai": {"input_audio_tokens": 8, "cache_audio_read_tokens": 0, "output_audio_tokens": 7}}
    assert turn.cost is not None
    as_text = Prices().cost(replace(usage, extra=None), "openai", "gpt-realtime-mini")
    assert as_text is not None
    assert turn.cost > as_text


def test_seed_row_05_a_model_beside_an_engine_is_ignored_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    from patter_nb import patter

    patter._warn_of_llm.cache_clear()
    engine, llm = OpenAIRealtime("test-key"), ScriptedLLM([])
    agents = [Patter().agent(engine=engine, llm=llm) for _ in range(3)]
    assert sum("llm= is ignored" in record.message for record in caplog.records) == 1
    assert agents[0].llm is llm
    assert agents[0].parts() == {"engine": "openai gpt-realtime-mini"}


async def test_a_model_beside_an_engine_is_ignored_where_serve_is_given_it(caplog: pytest.LogCaptureFixture) -> None:
    from patter_nb import patter

    async with RealtimeServer([]) as server:
        for kind, given in {"llm": ScriptedLLM([]), "on_message": lambda message: "x"}.items():
            patter._warn_of_llm.cache_clear()
            agent = Patter().agent(engine=OpenAIRealtime("test-key", base_url=server.url))
            async with Patter().serve(agent, transport=Page().transport, name="beside", **{kind: given}):
                pass
    assert [record.message.count("is ignored") for record in caplog.records] == [1, 1]


def test_a_key_is_needed_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(PatterConfigError, match="OPENAI_API_KEY"):
        OpenAIRealtime()
    assert "test-key" not in repr(OpenAIRealtime("test-key"))
    with pytest.raises(TypeError, match="Did you mean voice="):
        OpenAIRealtime("test-key", voce="alloy")

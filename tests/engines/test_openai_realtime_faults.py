"""OpenAI's speech to speech where things go wrong, or come at the wrong moment: whatever happens, the next turn is answered."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from engine_person import LONG, Page, heard_all
from talking import bodies, until
from test_openai_realtime import talking_with

from patter_nb.agent import Guardrail
from patter_nb.console.transport import ListenBy
from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.errors import BadRequest, ConnectionFailed, PatterError, RateLimitError
from patter_nb.events import SpeechStarted, SpeechStopped, StageFailed, TurnEnded, UtteranceDropped
from patter_nb.patter import Patter
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.testing.wire.realtime import RealtimeServer, Refused, Spoken, Utterance
from patter_nb.transports.base import HungUp, Muted, Typed


@pytest.fixture
def drops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may drop, however short it has held."""
    monkeypatch.setattr("patter_nb.pipeline.engaged.STEADY_MS", 0.0)


async def test_a_greeting_of_two_sentences_is_one_answer() -> None:
    async with RealtimeServer(["Hello there. How can I help?"]) as server:
        async with talking_with(server, first_message="Hello there. How can I help?") as (session, page):
            await heard_all(session, page)
            assert session.turns[0].heard_text == "Hello there. How can I help?"
    assert len(server.messages("response.create")) == 1


async def test_two_things_typed_quickly_are_both_told_and_the_second_answered() -> None:
    async with RealtimeServer(["One.", "Two."], thinks_s=0.1) as server:
        async with talking_with(server) as (session, page):
            session.take(Typed("first"))
            await until(lambda: server.messages("response.create"))
            session.take(Typed("second"))
            await until(lambda: session.turns and session.turns[-1].agent_text == "Two.")
            await heard_all(session, page)
            assert [turn.status for turn in session.turns] == ["interrupted", "completed"]
            assert not bodies(session, StageFailed)
    texts = [message["item"]["content"][0]["text"] for message in server.messages("conversation.item.create")]
    assert texts == ["first", "second"]


async def test_what_is_typed_as_the_engine_begins_to_answer_speech_does_not_end_it() -> None:
    async with RealtimeServer(["To what was said.", "Given up.", "More."], hears=[Utterance(100, 500, "hi")], thinks_s=0.2) as server:
        async with talking_with(server) as (session, page):
            page.speak(700)
            await until(lambda: bodies(session, SpeechStopped))
            session.take(Typed("typed"))
            await until(lambda: any(turn.agent_text == "To what was said." for turn in session.turns))
            await heard_all(session, page)
            assert (await session.ask("And?")).agent_text == "More."
            assert not bodies(session, StageFailed)


async def test_an_engine_set_just_now_is_asked_at_once() -> None:
    async with RealtimeServer(["From the engine."]) as server:
        page = Page()
        agent = Patter().agent("Be brief.", llm=ScriptedLLM([]))
        async with Patter().serve(agent, transport=page.transport, name="at once") as session:
            page.transport.offer(ListenBy(page))
            session.use(engine=OpenAIRealtime("test-key", base_url=server.url))
            assert (await session.ask("one")).agent_text == "From the engine."
            session.use(engine=OpenAIRealtime("another-key", base_url=server.url))
            failed = await session.ask("two")
            assert (failed.status, "OPENAI_API_KEY" in str(failed.error)) == ("failed", True)
            session.use(engine=None, llm=ScriptedLLM(["Here."]))
            assert (await session.ask("three")).agent_text == "Here."


async def test_another_prompt_is_told_before_the_question_behind_it() -> None:
    async with RealtimeServer(["Yes."]) as server:
        async with talking_with(server) as (session, _):
            session.use(system_prompt="Be long.")
            await session.ask("now")
    kinds = [message["type"] for message in server.received][:4]
    assert kinds == ["session.update", "session.update", "conversation.item.create", "response.create"]


@pytest.mark.usefixtures("drops_at_once")
async def test_an_answer_that_a_drop_breaks_off_fails_and_is_known_to_the_next_conversation() -> None:
    async with RealtimeServer([Spoken(LONG, paced=True), "Two."]) as server:
        async with talking_with(server) as (session, page):
            session.take(Typed("first"))
            await until(lambda: page.sent > 20_000)
            page.played(page.sent)
            await server.drop()
            await until(lambda: len(server.sessions) == 2)
            (turn,) = session.turns
            assert (turn.status, type(turn.error)) == ("failed", ConnectionFailed)
            assert LONG.startswith(turn.agent_text)
            page.played(page.sent)
            assert (await session.ask("second")).agent_text == "Two."
    texts = [message["item"]["content"][0]["text"] for message in server.messages("conversation.item.create")]
    assert (texts[1], texts[3]) == ("first", "second")
    assert texts[2]
    assert LONG.startswith(texts[2])


@pytest.mark.usefixtures("drops_at_once")
async def test_a_question_that_a_drop_swallows_is_asked_again() -> None:
    async with RealtimeServer(["One."]) as server:
        async with talking_with(server) as (session, _):
            await server.drop()
            assert (await session.ask("first")).agent_text == "One."
            assert not bodies(session, StageFailed)


@pytest.mark.usefixtures("drops_at_once")
async def test_what_a_tool_said_is_told_again_with_its_call_after_a_drop() -> None:
    async def look_up() -> str:
        """Look it up, while the connection drops."""
        await server.drop()
        await until(lambda: len(server.sessions) == 2)
        return "It is 7."

    async with RealtimeServer([Call("look_up", {}), "Seven."]) as server:
        async with talking_with(server, tools=[look_up]) as (session, _):
            assert (await session.ask("The number?")).agent_text == "Seven."
    told = server.messages("conversation.item.create")[-1]["item"]
    assert told["type"] == "message", "a result alone would be of a call that the new conversation knows nothing of"
    assert "look_up({}) gave: It is 7." in str(told)


async def test_a_refused_answer_fails_its_turn_and_the_next_is_answered() -> None:
    refused = Refused("rate_limit_exceeded", "Slow down.")
    async with RealtimeServer([refused, "Sorry.", "Two."]) as server:
        async with talking_with(server, error_message="Sorry.") as (session, page):
            turn = await session.ask("first")
            assert (turn.status, type(turn.error)) == ("failed", RateLimitError)
            assert turn.agent_text.strip() == "Sorry."
            page.played(page.sent)
            assert (await session.ask("second")).agent_text == "Two."


async def test_a_refused_setting_is_reported_and_the_engine_goes_on() -> None:
    async with RealtimeServer(["Still here."], refuses={"session.update": ("invalid_value", "Invalid value: 'foo'.")}) as server:
        async with talking_with(server) as (session, _):
            await until(lambda: bodies(session, StageFailed))
            assert isinstance(bodies(session, StageFailed)[0].error, BadRequest)
            assert (await session.ask("You there?")).agent_text == "Still here."


async def test_who_hangs_up_is_not_answered_any_more() -> None:
    async with RealtimeServer([Spoken("You hung up.", paced=True), "Yes."], hears=[Utterance(100, 500, "hello?")], thinks_s=0.2) as server:
        async with talking_with(server) as (session, page):
            page.speak(700)
            await until(lambda: bodies(session, SpeechStopped))
            session.take(HungUp())
            await until(lambda: server.messages("response.cancel"))
            assert (page.sent, len(session.turns), session.state) == (0, 0, "ready")
            assert bodies(session, UtteranceDropped)
            assert (await session.ask("And now?")).agent_text == "Yes."


async def test_who_mutes_in_mid_sentence_is_answered_what_was_said() -> None:
    async with RealtimeServer(["Heard."], hears=[Utterance(100, 1500, "half a sentence")]) as server:
        async with talking_with(server) as (session, page):
            page.speak(700)
            await until(lambda: bodies(session, SpeechStarted))
            session.take(Muted(True))
            await until(lambda: session.turns)
            await heard_all(session, page)
            assert (session.turns[0].user_text, session.turns[0].agent_text) == ("half a sentence", "Heard.")
    silence = np.frombuffer(bytes(server.heard[-24_000:]), "<i2")
    assert not silence.any()


async def test_half_duplex_gives_the_engine_silence_while_the_agent_speaks() -> None:
    async with RealtimeServer([Spoken(LONG)]) as server:
        async with talking_with(server, turn_taking=TurnTaking(half_duplex=True)) as (session, page):
            session.take(Typed("go"))
            await until(lambda: page.sent > 20_000)
            page.played(10_000)
            await until(lambda: session.state == "speaking")
            before = len(server.heard)
            page.speak(400)
            await until(lambda: len(server.heard) - before >= 300 * 48)
            assert not np.frombuffer(bytes(server.heard[before + 4800 :]), "<i2").any()


async def test_an_engine_that_came_later_tells_places_in_the_whole_sound() -> None:
    async with RealtimeServer(["One."], hears=[Utterance(100, 300, "hello")]) as server:
        page = Page()
        async with Patter().serve(Patter().agent(llm=ScriptedLLM([])), transport=page.transport, name="later") as session:
            page.transport.offer(ListenBy(page))
            page.speak(2000)
            await until(lambda: len(session.audio.heard) >= 32_000)
            session.use(engine=OpenAIRealtime("test-key", base_url=server.url))
            await until(lambda: server.sessions)
            await asyncio.sleep(0.05)  # the engine is open when its answer to the beginning has come
            page.speak(600)
            await until(lambda: bodies(session, SpeechStarted))
            assert bodies(session, SpeechStarted)[0].at_sample == 32_000 + 1600
            await heard_all(session, page)


async def test_words_that_never_come_are_not_taken_from_the_next_turn() -> None:
    hears = [Utterance(100, 300, None), Utterance(600, 900, "second")]
    async with RealtimeServer(["One.", "Two."], hears=hears) as server:
        async with talking_with(server) as (session, page):
            page.speak(500)
            await until(lambda: session.turns)
            await heard_all(session, page)
            page.speak(600)
            await until(lambda: len(session.turns) == 2 and session.turns[1].user_text)
            await heard_all(session, page)
            assert [turn.user_text for turn in session.turns] == ["", "second"]


async def test_a_call_that_was_given_up_is_told_as_such() -> None:
    async def wait() -> str:
        """Wait for ever."""
        await asyncio.Event().wait()
        return ""

    hears = [Utterance(100, 300, "one"), Utterance(700, 900, "two")]
    async with RealtimeServer([Call("wait", {}), "To the second."], hears=hears) as server:
        async with talking_with(server, tools=[wait]) as (session, page):
            page.speak(500)
            await until(lambda: session.state == "calling")
            page.speak(600)
            await until(lambda: len(session.turns) == 2)
            await heard_all(session, page)
            assert session.turns[1].agent_text == "To the second."
    (told,) = server.messages("conversation.item.create")
    assert "cancelled" in told["item"]["output"]
    assert len(server.messages("response.create")) == 0


@pytest.mark.parametrize("slow", [False, True])
async def test_a_check_that_blocks_late_still_comes_before_the_turn_ends(slow: bool) -> None:
    async def check(text: str) -> bool:
        await asyncio.sleep(0.2 if slow else 0)
        return "secret" in text

    ran = []

    def act() -> str:
        """Act."""
        ran.append("act")
        return "done"

    replies: list[Any] = [["The secret is forty-two.", Call("act", {})], "I can't say."]
    async with RealtimeServer(replies) as server:
        guardrail = Guardrail("secrets", check=check, replacement="I can't say.")
        async with talking_with(server, tools=[act], guardrails=[guardrail]) as (session, _):
            turn = await session.ask("Tell me.")
            assert turn.agent_text.strip() == "I can't say."
            assert len(bodies(session, TurnEnded)) == 1
    assert not ran


async def test_a_check_that_fails_lets_nothing_be_heard() -> None:
    def check(text: str) -> bool:
        raise RuntimeError("boom")

    async with RealtimeServer(["The secret is forty-two.", "Sorry."]) as server:
        async with talking_with(server, guardrails=[Guardrail("broken", check=check)], error_message="Sorry.") as (session, page):
            turn = await session.ask("Tell me.")
            page.played(page.sent)
            await until(lambda: turn.is_settled)
            assert (turn.status, "boom" in str(turn.error)) == ("failed", True)
            assert turn.heard_text.strip() == "Sorry."
            assert page.flushed == 1


async def test_now_means_in_the_middle_of_a_spoken_answer_too() -> None:
    async with RealtimeServer([Spoken(LONG, paced=True), "Goes on."], hears=[Utterance(100, 300, "tell me", late=False)]) as server:
        async with talking_with(server) as (session, page):
            page.speak(500)
            await until(lambda: page.sent > 4000)
            page.played(3000)
            session.use(system_prompt="Be long.", when="now")
            await until(lambda: session.turns[0].status == "completed")
            assert "Goes on." in session.turns[0].agent_text
            page.played(page.sent)
            await until(lambda: session.state == "ready")
            assert len(server.sessions) == 2


async def test_a_spoken_answer_goes_on_with_a_model_now() -> None:
    async with RealtimeServer([Spoken(LONG, paced=True)], hears=[Utterance(100, 300, "tell me", late=False)]) as server:
        async with talking_with(server) as (session, page):
            page.speak(500)
            await until(lambda: page.sent > 4000)
            llm = ScriptedLLM(["The model goes on."])
            session.use(engine=None, llm=llm, when="now")
            await until(lambda: session.turns[0].status == "completed")
            assert "The model goes on." in session.turns[0].agent_text
            assert {"role": "user", "content": "tell me"} in session.history


async def test_an_engine_that_raises_what_it_should_not_is_an_error_of_the_family() -> None:
    class Broken(OpenAIRealtime):
        def take(self, message: Any) -> Any:
            raise ZeroDivisionError("whoops")

    async with RealtimeServer([]) as server:
        page = Page()
        agent = Patter().agent(engine=Broken("test-key", base_url=server.url))
        async with Patter().serve(agent, transport=page.transport, name="broken") as session:
            await until(lambda: bodies(session, StageFailed))
            assert isinstance(bodies(session, StageFailed)[0].error, PatterError)
            assert "whoops" in str(bodies(session, StageFailed)[0].error)
            await until(lambda: not server.conversations)

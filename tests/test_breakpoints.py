"""The agent stops where it is told to; what it was about to do is looked at, changed, and done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from talking import bodies, one_utterance, settle, silence, talking, until

from patter_nb import Filler, ToolCall
from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError
from patter_nb.events import BreakpointHit, BreakpointLeft, LLMRequested
from patter_nb.session import Session
from patter_nb.testing import Call, ScriptedLLM, ScriptedSTT, ScriptedTTS

RAN: list[str] = []


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    RAN.append(city)
    return f"Sunny in {city}."


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    RAN.clear()


def weather(*, answer: str = "It is sunny.") -> ScriptedLLM:
    return ScriptedLLM([Call("get_weather", {"city": "Rome"}), answer])


async def stopped(session: Session, text: str = "What's the weather in Rome?") -> Any:
    turn = await session.ask(text)
    assert turn.status == "running"
    return turn


async def test_before_a_tool_runs_its_arguments_are_seen_and_changed() -> None:
    async with talking(llm=weather(), tools=[get_weather]) as session:
        session.pause_at("tool_call")
        turn = await stopped(session)
        assert RAN == []
        assert session.paused_at is not None
        assert (session.paused_at.tool, session.paused_at.arguments) == ("get_weather", {"city": "Rome"})
        assert repr(session.paused_at).startswith("Turn 1 stopped before get_weather(city='Rome') runs. Go on: session.resume()")
        assert await session.resume(arguments={"city": "Paris"}) is turn
        assert RAN == ["Paris"]
        assert turn.status == "completed"
        assert [call.arguments for call in turn.tool_calls] == [{"city": "Paris"}]
        [asked] = [message for message in session.history if message.get("tool_calls")]
        assert asked["tool_calls"][0]["function"]["arguments"] == '{"city": "Paris"}', "the model sees the call that ran"
    assert [body.what for body in bodies(session, BreakpointHit)] == ['get_weather({"city": "Rome"})']
    assert bodies(session, BreakpointLeft)[0].edits == {"arguments": '{"city": "Paris"}'}


async def test_a_result_that_is_given_takes_the_tools_place() -> None:
    async with talking(llm=(llm := weather()), tools=[get_weather]) as session:
        session.pause_at("tool_call")
        turn = await stopped(session)
        await session.resume(result={"temperature": 18})
    assert RAN == []
    [call] = turn.tool_calls
    assert isinstance(call, ToolCall)
    assert (call.status, call.result) == ("completed", '{"temperature": 18}')
    assert llm.requests[1].messages[-1]["content"] == '{"temperature": 18}'


async def test_parallel_calls_stop_one_after_the_other() -> None:
    llm = ScriptedLLM([[Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"})], "Fine in both."])
    async with talking(llm=llm, tools=[get_weather]) as session:
        session.pause_at("tool_call")
        turn = await stopped(session)
        await session.resume()
        await until(lambda: RAN == ["Rome"])
        assert turn.status == "running"
        await session.resume(arguments={"city": "Bergen"})
        hits = [(body.id, body.what) for body in bodies(session, BreakpointHit)]
    assert RAN == ["Rome", "Bergen"]
    assert turn.agent_text == "Fine in both."
    assert hits == [(call.id, f'get_weather({{"city": "{city}"}})') for call, city in zip(turn.tool_calls, ("Rome", "Oslo"), strict=True)]


async def test_before_the_model_is_asked_the_messages_are_changed() -> None:
    async with talking(llm=(llm := ScriptedLLM(["Ciao."])), system_prompt="Speak English.") as session:
        session.pause_at("llm_request")
        turn = await stopped(session, "Hello")
        assert session.paused_at is not None
        assert [message["role"] for message in session.paused_at.messages] == ["system", "user"]
        assert llm.requests == []
        await session.resume(messages=[{"role": "system", "content": "Speak Italian."}, {"role": "user", "content": "Hello"}])
    assert llm.requests[0].messages[0]["content"] == "Speak Italian."
    assert turn.requests[0].messages[0]["content"] == "Speak Italian.", "the turn shows what was sent"
    assert len(bodies(session, LLMRequested)) == 1


async def test_each_piece_stops_before_it_is_spoken_and_none_overtakes_another() -> None:
    async with talking(llm=ScriptedLLM(["This is the first sentence. This is the second one."]), tts=ScriptedTTS()) as session:
        session.pause_at("speak")
        turn = await stopped(session, "Go on.")
        assert session.paused_at is not None
        assert session.paused_at.text.strip() == "This is the first sentence."
        await session.resume(text="Something else entirely.")
        assert session.paused_at.text.strip() == "This is the second one."
        session.pause_at()
        await session.resume()
        await until(lambda: turn.is_settled)
    assert turn.agent_text == "Something else entirely. This is the second one."
    assert session.history[-1]["content"] == turn.agent_text


async def test_which_breakpoints_are_set_can_be_read() -> None:
    async with talking(llm=weather(), tools=[get_weather]) as session:
        assert session.breakpoints == ()
        session.pause_at("speak", "tool_call")
        assert session.breakpoints == ("tool_call", "speak")
        session.pause_at()
        assert session.breakpoints == ()


async def test_without_breakpoints_nothing_stops_any_more() -> None:
    async with talking(llm=weather(), tools=[get_weather]) as session:
        session.pause_at("tool_call", "speak")
        session.pause_at()
        assert (await session.ask("What's the weather in Rome?")).status == "completed"
        assert session.paused_at is None


async def test_the_person_interrupts_an_answer_that_has_stopped() -> None:
    async with talking(llm=ScriptedLLM([Call("get_weather", {"city": "Rome"}), "Hello."]), tools=[get_weather]) as session:
        session.pause_at("tool_call")
        first = await stopped(session)
        session.pause_at()
        second = await session.ask("Never mind. Hello!")
        assert session.paused_at is None
    assert RAN == []
    assert (first.status, second.agent_text) == ("interrupted", "Hello.")
    assert first.tool_calls[0].status == "cancelled"


async def test_another_model_is_asked_when_it_is_changed_at_a_breakpoint() -> None:
    async with talking(llm=(one := ScriptedLLM([])), tools=[get_weather]) as session:
        session.pause_at("llm_request")
        turn = await stopped(session, "Hello")
        with ScriptedLLM(["From the other."]) as other:
            session.use(llm=other, when="now")
            assert session.paused_at is not None
            await session.resume()
    assert (one.requests, turn.agent_text) == ([], "From the other.")


async def test_nothing_times_out_and_nobody_is_waited_for() -> None:
    clock = ManualClock()
    async with talking(clock=clock, llm=weather(), tools=[get_weather], filler=Filler("One moment.", after_ms=500)) as session:
        session.pause_at("llm_request", "tool_call")
        turn = await stopped(session)
        for _ in range(3):
            clock.advance(90_000)
            await settle()
            assert turn.status == "running"
            await session.resume()
        await until(lambda: turn.status != "running")
    assert (turn.status, turn.agent_text) == ("completed", "It is sunny.")
    assert max(turn.latency.values()) < 80_000, "what took time was somebody looking"


async def test_edited_messages_are_what_later_requests_go_on_from() -> None:
    llm = ScriptedLLM([Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"}), "Fine."])
    async with talking(llm=llm, tools=[get_weather]) as session:
        session.pause_at("llm_request")
        await stopped(session)
        await session.resume()
        assert session.paused_at is not None
        *_, call, result = session.paused_at.messages
        edited = [{"role": "user", "content": "And in Oslo?"}, call, {**result, "content": "Rain."}]
        await session.resume(messages=edited)
        session.pause_at()
        await session.resume()
    assert [message["content"] for message in llm.requests[2].messages][:3:2] == ["And in Oslo?", "Rain."]
    assert [message["role"] for message in llm.requests[2].messages] == ["user", "assistant", "tool", "assistant", "tool"]


async def test_a_recording_that_is_as_fast_as_it_goes_stands_still() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["What's the weather?"]), "vad": one_utterance(), "tts": ScriptedTTS()}
    async with talking(transport=silence(), llm=(llm := ScriptedLLM(["Sunny."])), **parts) as session:
        session.pause_at("llm_request")
        await until(lambda: session.paused_at is not None)
        heard = len(session.audio.heard)
        await asyncio.sleep(0.2)
        assert len(session.audio.heard) <= heard + 320
        assert llm.requests == []
        [turn] = session.turns
        await session.resume()
        assert turn.status == "completed"


@pytest.mark.parametrize(
    ("point", "edits", "error", "said"),
    [
        ("tool_call", {"text": "Hi"}, TypeError, "arguments, result"),
        ("tool_call", {"argument": {}}, TypeError, "Did you mean arguments"),
        ("tool_call", {"arguments": ["Rome"]}, PatterConfigError, "not a dict"),
        ("tool_call", {"arguments": {}, "result": 1}, PatterConfigError, "does not run"),
        ("llm_request", {"messages": []}, PatterConfigError, "no list of messages"),
        ("llm_request", {"messages": "Hello"}, PatterConfigError, "no list of messages"),
        ("speak", {"text": " "}, PatterConfigError, "nothing to say"),
    ],
)
async def test_a_wrong_edit_is_refused_and_the_answer_still_waits(
    point: Any, edits: dict[str, Any], error: type[Exception], said: str
) -> None:
    async with talking(llm=weather(), tools=[get_weather], tts=ScriptedTTS()) as session:
        session.pause_at(point)
        await session.ask("What's the weather in Rome?")
        with pytest.raises(error, match=said):
            session.resume(**edits)
        assert session.paused_at is not None
        session.pause_at()
        await session.resume()


async def test_nothing_to_go_on_with_and_no_such_breakpoint() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        with pytest.raises(PatterConfigError, match="Nothing has stopped"):
            session.resume()
        with pytest.raises(PatterConfigError, match=r"no breakpoint 'tools'.*'tool_call'"):
            session.pause_at("tools")  # type: ignore[arg-type]

"""A simulated caller who types, with scripts and with a vendor's stream on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from talking import talking

from patter_nb import (
    AnthropicLLM,
    Guardrail,
    MalformedStream,
    MoonshineSTT,
    OpenAILLM,
    Patter,
    PatterConfigError,
    PiperTTS,
    ServerError,
)
from patter_nb.testing import Call, Caller, Request, ScriptedLLM, ScriptedTTS, WireServer, expect
from patter_nb.testing.wire import Usage

PERSONA = "Ada, a tourist in a hurry."
GOAL = "To learn how warm it is in Rome."


def hangs_up(goal_reached: object = True, reason: str = "I know it now.") -> Call:
    return Call("hang_up", {"goal_reached": goal_reached, "reason": reason})


def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"18 degrees in {city}"


async def test_they_talk_until_the_caller_has_what_they_call_for() -> None:
    replies = ["Which city?", Call("get_weather", {"city": "Rome"}), "It is 18 degrees in Rome.", "Goodbye."]
    with ScriptedLLM(replies) as llm, ScriptedLLM(["How warm is it?", "In Rome.", ["Thank you!", hangs_up()]]) as person:
        agent = Patter().agent(llm=llm, tools=[get_weather], first_message="Weather service, hello.")
        conversation = await Caller(PERSONA, llm=person, goal=GOAL).call(agent)
    assert (conversation.ended, conversation.reason) == ("goal_reached", "I know it now.")
    assert conversation.transcript == (
        "agent:  Weather service, hello.\n"
        "caller: How warm is it?\n"
        "agent:  Which city?\n"
        "caller: In Rome.\n"
        "agent:  It is 18 degrees in Rome.\n"
        "caller: Thank you!\n"
        "agent:  Goodbye."
    )
    assert [turn.source for turn in conversation.turns] == ["greeting", "typed", "typed", "typed"]
    assert conversation.session.state == "stopped" and conversation.caller_cost == 0
    assert repr(conversation) == "<Conversation: 4 turns, goal_reached: I know it now.>"
    await expect(conversation).tool_called("get_weather", city="Rome").said("18").turn(2).said("which city").no_tool_called()


async def test_the_callers_model_reads_who_it_is_and_what_the_agent_says_as_said_to_it() -> None:
    requests: list[Request] = []

    def person(request: Request) -> Any:
        requests.append(request)
        return "How warm is it?" if len(requests) == 1 else hangs_up()

    with ScriptedLLM(["Which city?"]) as llm:
        await Caller(PERSONA, llm=ScriptedLLM([person, person]), goal=GOAL).call(Patter().agent(llm=llm))
    system, *rest = requests[1].messages
    assert system["role"] == "system" and PERSONA in system["content"] and GOAL in system["content"]
    assert [(message["role"], message["content"]) for message in rest] == [
        ("user", "(The call is answered, and nobody speaks yet.)"),
        ("assistant", "How warm is it?"),
        ("user", "Which city?"),
    ]
    assert [tool["function"]["name"] for tool in requests[0].tools] == ["hang_up"]


async def test_without_a_goal_none_is_reached() -> None:
    with ScriptedLLM([hangs_up(True, "Enough.")]) as person, ScriptedLLM([]) as llm:
        conversation = await Caller(PERSONA, llm=person).call(Patter().agent(llm=llm))
    assert (conversation.ended, conversation.reason, conversation.turns, conversation.lines) == ("hung_up", "Enough.", (), ())


@pytest.mark.parametrize("reached", [False, None, "true", 1])
async def test_a_goal_is_reached_only_where_that_is_said_plainly(reached: object) -> None:
    with ScriptedLLM([hangs_up(reached)]) as person:
        conversation = await Caller(PERSONA, llm=person, goal=GOAL).call(Patter().agent(llm=ScriptedLLM([])))
    assert conversation.ended == "hung_up"


async def test_after_the_last_turn_it_is_over() -> None:
    with ScriptedLLM(["Hm."] * 2) as llm, ScriptedLLM(["Well?"] * 2) as person:
        conversation = await Caller(PERSONA, llm=person, goal=GOAL, max_turns=2).call(Patter().agent(llm=llm))
    assert (conversation.ended, len(conversation.turns)) == ("max_turns", 2)


async def test_a_turn_that_fails_ends_the_call_and_is_in_it() -> None:
    with ScriptedLLM(["Hello.", ServerError("down")]) as llm, ScriptedLLM(["Hi", "Well?"]) as person:
        conversation = await Caller(PERSONA, llm=person, goal=GOAL).call(Patter().agent(llm=llm))
    assert (conversation.ended, conversation.reason) == ("failed", "down")
    await expect(conversation).turn(2).failed(ServerError)
    with pytest.raises(AssertionError, match="turn 2 failed with ServerError"):
        await expect(conversation).not_said("secret")


async def test_an_agent_that_says_nothing_is_told_as_that() -> None:
    answers: list[str] = []

    def person(request: Request) -> Call:
        answers.append(request.user_text)
        return hangs_up(False)

    agent = Patter().agent(llm=ScriptedLLM(["Hm."]), guardrails=[Guardrail("hush", check=lambda text: True, replacement="")])
    await Caller(PERSONA, llm=ScriptedLLM(["Hi", person])).call(agent)
    assert answers == ["(The agent says nothing.)"]


async def test_a_session_that_runs_is_typed_into_and_stays() -> None:
    async with talking(llm=ScriptedLLM(["Earlier.", "Hello."]), first_message="Welcome.") as session:
        await session.ask("Before")
        with ScriptedLLM(["Hi", hangs_up()]) as person:
            conversation = await Caller(PERSONA, llm=person).call(session)
        assert session.state == "ready" and conversation.session is session
        assert conversation.lines == (("caller", "Hi"), ("agent", "Hello."))
        assert [turn.user_text for turn in conversation.turns] == ["Hi"]


async def test_ears_and_voice_of_the_agent_rest() -> None:
    with ScriptedLLM(["Hello."]) as llm, ScriptedLLM(["Hi", hangs_up()]) as person:
        agent = Patter().agent(llm=llm, stt=MoonshineSTT(), tts=ScriptedTTS([]))
        await Caller(PERSONA, llm=person).call(agent)


async def test_the_callers_model_may_fail() -> None:
    for replies, error in (([ServerError("down")], ServerError), ([" "], MalformedStream), ([Call("end", {})], MalformedStream)):
        with ScriptedLLM(replies) as person, pytest.raises(error):
            await Caller(PERSONA, llm=person).call(Patter().agent(llm=ScriptedLLM([])))


@pytest.mark.parametrize("arguments", ["{broken", "[]"])
async def test_to_hang_up_takes_arguments(arguments: str) -> None:
    with ScriptedLLM([Call("hang_up", arguments)]) as person, pytest.raises(MalformedStream, match="knows nothing but hang_up"):
        await Caller(PERSONA, llm=person).call(Patter().agent(llm=ScriptedLLM([])))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda llm: Caller("", llm=llm),
        lambda llm: Caller(PERSONA, llm="gpt-4o"),
        lambda llm: Caller(PERSONA, llm=ScriptedLLM),
        lambda llm: Caller(PERSONA, llm=llm, tts=llm),
        lambda llm: Caller(PERSONA, llm=llm, max_turns=0),
        lambda llm: Caller(PERSONA, llm=llm, patience_s=3),
        lambda llm: Caller(PERSONA, llm=llm, tts=PiperTTS(), patience_s=0),
    ],
)
def test_what_is_no_caller_is_an_error(wrong: Callable[[ScriptedLLM], Caller]) -> None:
    with pytest.raises(PatterConfigError):
        wrong(ScriptedLLM([]))


async def test_only_an_agent_or_a_session_is_called() -> None:
    with pytest.raises(PatterConfigError, match="Pass an Agent or a Session"):
        await Caller(PERSONA, llm=ScriptedLLM([])).call("0123")  # type: ignore[arg-type]


async def test_two_vendors_models_talk_with_each_other() -> None:
    """Both sides over the wire, as OpenAI and as Anthropic stream it; what the caller's model costs is told."""
    agents = [[Call("get_weather", {"city": "Rome"}), Usage(50, 10)], ["It is 18 degrees in Rome.", Usage(80, 8)]]
    persons = [["How warm is it ", "in Rome?", Usage(100, 10)], [hangs_up(), Usage(200, 20)]]
    async with WireServer(agents) as office, WireServer(persons) as home:
        agent = Patter().agent("You are brief.", llm=OpenAILLM(api_key="test-key", base_url=office.openai_url), tools=[get_weather])
        person = AnthropicLLM(api_key="test-key", base_url=home.anthropic_url)
        conversation = await Caller(PERSONA, llm=person, goal=GOAL).call(agent)
    assert conversation.lines == (("caller", "How warm is it in Rome?"), ("agent", "It is 18 degrees in Rome."))
    assert conversation.ended == "goal_reached"
    assert conversation.caller_cost == (Decimal(300) * 1 + Decimal(30) * 5) / 1_000_000
    await expect(conversation).tool_called("get_weather", city="Rome").said("18").provider("openai")
    assert [message["role"] for message in home.bodies[1]["messages"]] == ["user", "assistant", "user"]
    assert GOAL in json.dumps(home.bodies[0]["system"])

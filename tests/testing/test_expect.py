"""An expectation holds or tells what was there instead; nothing is looked at before it is awaited."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from talking import one_utterance, silence, talking, until

from patter_nb import Guardrail, PatterConfigError, RateLimitError, ServerError, ToolCall, Turn
from patter_nb.testing import Call, Expectation, Hold, ScriptedLLM, ScriptedSTT, ScriptedTTS, expect

Check = Callable[[Expectation[Turn]], Expectation[Turn]]


def get_weather(city: str, day: int = 1) -> str:
    """Tell the weather."""
    return f"18 degrees in {city}"


async def weather_turn() -> Turn:
    """A turn that called a tool twice and answered."""
    replies = [[Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo", "day": 2})], "It is 18 degrees\nin Rome."]
    async with talking(llm=ScriptedLLM(replies), tools=[get_weather]) as session:
        return await session.ask("How warm is it in Rome?")


async def failed_turn() -> Turn:
    async with talking(llm=ScriptedLLM([RateLimitError("Slow down")])) as session:
        return await session.ask("Hello?")


HOLDS: dict[str, Check] = {
    "a call": lambda e: e.tool_called("get_weather"),
    "a call with an argument": lambda e: e.tool_called("get_weather", city="Rome").tool_called("get_weather", city="Oslo"),
    "a predicate": lambda e: e.tool_called("get_weather", day=lambda day: day > 1),
    "a pattern": lambda e: e.tool_called("get_weather", city=re.compile("^os", re.IGNORECASE), day=re.compile("2")),
    "a type": lambda e: e.tool_called("get_weather", city=str, day=int),
    "another tool was not called": lambda e: e.no_tool_called("set_timer"),
    "words": lambda e: e.said("ROME", "18 degrees in").heard("rome"),
    "a pattern of words": lambda e: e.said(re.compile(r"1[89] degrees")),
    "no such words": lambda e: e.not_said("Oslo", "1", "8", "180"),
    "a state": lambda e: e.completed(),
    "who answered": lambda e: e.provider("scripted").provider("scripted", "script"),
    "how fast": lambda e: e.within(llm_first_token_ms=0),
}
FAILS: dict[str, tuple[Check, str]] = {
    "no such tool": (lambda e: e.tool_called("set_timer"), "expected  tool_called('set_timer')\nbut       only get_weather was called"),
    "another argument": (
        lambda e: e.tool_called("get_weather", city="Paris"),
        "expected  tool_called('get_weather', city='Paris')\nbut       it was called with city='Rome' and with city='Oslo', day=2",
    ),
    "arguments of two calls": (lambda e: e.tool_called("get_weather", city="Rome", day=2), "it was called with city='Rome' and"),
    "an argument that is not there": (lambda e: e.tool_called("get_weather", town="Rome"), "town='Rome'"),
    "true is not one": (lambda e: e.tool_called("get_weather", day=True), "day=True"),
    "a type of another kind": (lambda e: e.tool_called("get_weather", city=int), "tool_called('get_weather', city=int)"),
    "a tool after all": (lambda e: e.no_tool_called(), "but       it called get_weather(city='Rome'), get_weather(city='Oslo', day=2)"),
    "this tool after all": (lambda e: e.no_tool_called("get_weather"), "expected  no_tool_called('get_weather')"),
    "other words": (lambda e: e.said("Rome", "19"), "said 'It is 18 degrees\\nin Rome.', without '19'"),
    "part of a number": (lambda e: e.said("8"), "without '8'"),
    "a pattern": (lambda e: e.said(re.compile("rome")), "without re.compile('rome')"),
    "words that were said": (lambda e: e.not_said("Oslo", "degrees"), "with 'degrees'"),
    "words that were not heard": (lambda e: e.heard("Paris"), "it was heard to say 'It is 18 degrees\\nin Rome.', without 'Paris'"),
    "another state": (lambda e: e.interrupted(), "expected  interrupted()\nbut       turn 1 is completed"),
    "no failure": (lambda e: e.failed(), "but       it did not fail"),
    "too slow": (lambda e: e.within(llm_first_token_ms=-1), "llm_first_token took 0 ms in turn 1"),
    "never measured": (lambda e: e.within(response_ms=100), "response was not measured in turn 1: the agent has no voice (llm_first_token"),
    "another provider": (lambda e: e.provider("openai"), "turn 1 was answered by scripted script"),
    "another model": (lambda e: e.provider("scripted", "gpt-4o"), "expected  provider('scripted', 'gpt-4o')"),
}


@pytest.mark.parametrize("check", HOLDS.values(), ids=HOLDS)
async def test_what_holds_gives_the_turn(check: Check) -> None:
    turn = await weather_turn()
    assert await check(expect(turn)) is turn


@pytest.mark.parametrize(("check", "told"), FAILS.values(), ids=FAILS)
async def test_what_does_not_hold_is_told_with_what_was_observed(check: Check, told: str) -> None:
    with pytest.raises(AssertionError) as caught:
        await check(expect(await weather_turn()))
    message = str(caught.value)
    assert told in message
    assert "Turn 1: completed (typed)\n  you    How warm is it in Rome?\n  tool   get_weather(" in message
    assert "→ 18 degrees in Rome" in message and "\n  agent  It is 18 degrees in Rome." in message


async def test_all_that_does_not_hold_is_told_at_once() -> None:
    with pytest.raises(AssertionError) as caught:
        await expect(await weather_turn()).tool_called("set_timer").said("Rome").said("19").completed()
    assert str(caught.value).count("expected  ") == 2


async def test_a_turn_may_be_awaited_by_the_expectation() -> None:
    async with talking(llm=ScriptedLLM(["Hello."])) as session:
        turn = await expect(session.ask("Hi")).said("hello").no_tool_called()
    assert turn is session.turns[0]


async def test_a_turn_that_failed_meets_nothing_else() -> None:
    turn = await failed_turn()
    with pytest.raises(AssertionError) as caught:
        await expect(turn).not_said("secret").no_tool_called()
    assert "expected  an answer\nbut       turn 1 failed with RateLimitError" in str(caught.value)
    assert "Slow down" in str(caught.value)
    assert await expect(turn).failed().failed(RateLimitError).no_tool_called() is turn
    with pytest.raises(AssertionError, match="it failed with RateLimitError: Slow down"):
        await expect(turn).failed(ServerError)


async def test_a_turn_that_still_runs_meets_nothing() -> None:
    held = asyncio.Event()
    async with talking(llm=ScriptedLLM([[Hold(held), "Hello."]])) as session:
        asking = asyncio.create_task(session.ask("Hi"))
        await until(lambda: session.state == "thinking")
        with pytest.raises(AssertionError, match="turn 1 is running"):
            await expect(session.turns[0]).no_tool_called()
        held.set()
        await expect(asking).completed()


async def test_what_was_heard_is_unknown_before_it_was() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Hi"]), "vad": one_utterance(), "tts": ScriptedTTS(["Hello there."])}
    async with talking(transport=silence(), llm=ScriptedLLM(["Hello there."]), **parts) as session:
        await until(lambda: session.turns and session.turns[0].status == "completed")
        with pytest.raises(AssertionError, match=r"not known before playback has ended: await session\.wait_turn\(\)"):
            await expect(session.turns[0]).heard("Hello")
        await session.wait()
        await expect(session.turns[0]).heard("Hello").within(tts_first_audio_ms=60_000)


@pytest.mark.parametrize("limit", ["response_ms", "endpointing_ms", "stt_ms"])
async def test_what_ran_faster_than_real_time_is_within_no_limit(limit: str) -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Hi"]), "vad": one_utterance(), "tts": ScriptedTTS(["Hello there."])}
    async with talking(transport=silence(), llm=ScriptedLLM(["Hello there."]), **parts) as session:
        await session.wait()
    with pytest.raises(AssertionError) as told:
        await expect(session.turns[0]).within(**{limit: 60_000})
    assert f"{limit.removesuffix('_ms')} was not measured in turn 1: faster than real time (" in str(told.value)
    assert str(told.value).endswith("response not measured: faster than real time")


async def test_an_interrupted_turn() -> None:
    held = asyncio.Event()
    async with talking(llm=ScriptedLLM([["Once upon a time. ", Hold(held)], "Yes?"])) as session:
        first = asyncio.create_task(session.ask("A story"))
        await until(lambda: session.turns and session.turns[0].chunks)
        await session.ask("Stop")
        await expect(first).interrupted()
        await expect(session).turn(2).completed().said("yes")


async def test_a_session_is_looked_at_turn_by_turn_or_as_a_whole() -> None:
    replies = ["Hello.", Call("get_weather", {"city": "Rome"}), "18 degrees.", "Bye."]
    async with talking(llm=ScriptedLLM(replies), tools=[get_weather]) as session:
        for text in ("Hi", "Rome?", "Thanks"):
            await session.ask(text)
        assert await expect(session).tool_called("get_weather").said("hello", "bye").not_said("sorry").completed() is session
        await expect(session).turn(1).said("hello").no_tool_called().turn(2).tool_called("get_weather").turn(-1).said("bye")
        with pytest.raises(AssertionError) as caught:
            await expect(session).turn(1).said("bye").turn(4).said("bye")
        assert "it said 'Hello.', without 'bye'" in str(caught.value) and "there is no turn 4, only 3 of them" in str(caught.value)
        assert "Turn 1: " in str(caught.value) and "Turn 3: " in str(caught.value)


async def test_in_a_session_only_the_turn_that_should_may_fail() -> None:
    async with talking(llm=ScriptedLLM(["Hello.", ServerError("down"), ServerError("down")])) as session:
        for text in ("Hi", "And?", "Well?"):
            await session.ask(text)
        await expect(session).turn(1).completed().turn(2).failed(ServerError)
        await expect(session).failed(ServerError)
        with pytest.raises(AssertionError, match="turn 3 failed with ServerError"):
            await expect(session).turn(2).failed().turn(3).not_said("x")


async def test_what_a_guardrail_took_away_was_not_said() -> None:
    guard = Guardrail("no prices", blocked_terms=["euro"], replacement="I cannot tell.")
    async with talking(llm=ScriptedLLM(["It is ten euro."]), guardrails=[guard]) as session:
        await expect(session.ask("How much?")).not_said("euro").said("cannot tell")


async def test_one_that_nobody_awaits_is_warned_of() -> None:
    turn = await weather_turn()
    with pytest.warns(RuntimeWarning, match="coroutine 'expect' was never awaited"):
        expect(turn).said("nothing of the kind")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda turn: expect("a text"),
        lambda turn: expect(turn).said(),
        lambda turn: expect(turn).said(""),
        lambda turn: expect(turn).not_said(" "),
        lambda turn: expect(turn).heard(18),
        lambda turn: expect(turn).failed(ValueError),
        lambda turn: expect(turn).failed(ServerError("down")),
        lambda turn: expect(turn).within(),
        lambda turn: expect(turn).within(llm_first_token_ms=float("nan")),
        lambda turn: expect(turn).within(llm_first_token_ms=float("inf")),
        lambda turn: expect(turn).within(llm_first_token_ms="800"),
        lambda turn: expect(turn).turn(0),
        lambda turn: expect(turn).judge(ScriptedLLM([]), " "),
        lambda turn: expect(turn).judge(ScriptedLLM([]), "Well?", at_least=0),
        lambda turn: expect(turn).judge(ScriptedLLM([]), "Well?", at_least=1.1),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine 'expect' was never awaited")
async def test_what_cannot_be_expected_is_an_error_at_once(wrong: Callable[[Turn], Any]) -> None:
    with pytest.raises(PatterConfigError):
        wrong(await weather_turn())


@pytest.mark.filterwarnings("ignore:coroutine 'expect' was never awaited")
async def test_an_unknown_latency_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"Did you mean response_ms=\?"):
        expect(await weather_turn()).within(responce_ms=3)


async def test_to_expect_nothing_is_an_error() -> None:
    with pytest.raises(PatterConfigError, match=r"Nothing is expected\."):
        await expect(await weather_turn())


async def test_true_is_not_one_nor_one_true() -> None:
    turn = Turn(1, status="completed", tool_calls=[ToolCall("a", "book", {"nights": 1, "paid": True})])
    await expect(turn).tool_called("book", nights=1, paid=True)
    for wrong in ({"nights": True}, {"paid": 1}):
        with pytest.raises(AssertionError, match="it was called with nights=1, paid=True"):
            await expect(turn).tool_called("book", **wrong)


async def test_a_turn_that_was_only_offered_meets_nothing() -> None:
    with pytest.raises(AssertionError, match="turn 1 is offered"):
        await expect(Turn(1, "speech", "Rome?", status="offered")).not_said("Oslo")

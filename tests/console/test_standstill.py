"""At a breakpoint the page is told where the answer stands, in words and as the cell that goes on; it goes on once, from there."""

from __future__ import annotations

import json
from typing import Any

from talking import bodies, settle, until
from test_face import copy_of, get_weather, shown, truth_of

from patter_nb.events import BreakpointLeft
from patter_nb.testing import Call, ScriptedLLM, ScriptedTTS


def where(page: Any) -> Any:
    return copy_of(page)["stopped_at"]


async def test_a_tool_call_is_told_with_its_id_and_goes_on_once_for_each_click() -> None:
    llm = ScriptedLLM([[Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"})], "Fine in both."])
    async with shown(llm=llm, tools=[get_weather]) as (session, page):
        assert (copy_of(page)["breakpoints"], where(page)) == ([], None)
        session.pause_at("tool_call")
        page.tell("typed", text="What's the weather?")
        await until(lambda: where(page))
        assert copy_of(page)["breakpoints"] == ["tool_call"]
        told, calls = where(page), copy_of(page)["turns"][0]["tools"]
        assert (told["what"], told["point"], told["turn"]) == ('get_weather({"city": "Rome"})', "tool_call", 1)
        assert told["tool"] == calls[0]["id"]
        assert told["cell"] == 'session.resume(arguments={"city": "Rome"})'
        for _ in range(3):
            page.tell("resume", hit=told["hit"])
        await until(lambda: where(page) and where(page)["tool"] == calls[1]["id"])
        await settle()
        assert len(bodies(session, BreakpointLeft)) == 1, "a click too many passes nothing else"
        assert session.paused_at is not None
        page.tell("resume", hit=where(page)["hit"])
        await until(lambda: session.turns[0].status == "completed")
        await until(lambda: where(page) is None)
        await until(lambda: copy_of(page) == truth_of(session))


async def test_a_call_shows_the_arguments_that_it_was_given() -> None:
    llm = ScriptedLLM([[Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"})], "Fine in both."])
    async with shown(llm=llm, tools=[get_weather]) as (session, page):
        session.pause_at("tool_call")
        page.tell("typed", text="What's the weather?")
        await until(lambda: where(page))
        session.resume(arguments={"city": "Bergen"})
        await until(lambda: copy_of(page)["turns"][0]["tools"][0]["edited"])
        await session.resume()
        await until(lambda: copy_of(page) == truth_of(session))
        calls = copy_of(page)["turns"][0]["tools"]
        assert [(call["arguments"], call["edited"]) for call in calls] == [('{"city": "Bergen"}', True), ('{"city": "Oslo"}', False)]


async def test_the_cell_of_each_point_goes_on_with_what_is_there() -> None:
    async with shown(llm=(llm := ScriptedLLM(["It is “sunny”."])), tts=ScriptedTTS(), system_prompt="Speak\nEnglish.") as (session, page):
        session.pause_at("llm_request", "speak")
        page.tell("typed", text='Say "hello"')
        await until(lambda: where(page))
        assert where(page)["what"] == "asking scripted script, request 1"
        system, user = '{"role": "system", "content": "Speak\\nEnglish."}', '{"role": "user", "content": "Say \\"hello\\""}'
        assert where(page)["cell"] == f"session.resume(messages=[\n    {system},\n    {user},\n])"
        exec(where(page)["cell"], {"session": session})  # it is ours
        await until(lambda: where(page) and where(page)["point"] == "speak")
        assert llm.requests[0].messages[-1]["content"] == 'Say "hello"'
        assert where(page)["what"] == "saying “It is “sunny”.”"
        assert where(page)["cell"] == 'session.resume(text="It is “sunny”.")'
        exec(where(page)["cell"], {"session": session})  # likewise
        await until(lambda: session.turns[0].status == "completed")
        assert session.turns[0].agent_text == "It is “sunny”."


async def test_what_is_too_long_for_a_cell_is_taken_from_where_it_lies() -> None:
    async with shown(llm=ScriptedLLM([Call("get_weather", {"city": "R" * 30_000}), "Fine."]), tools=[get_weather]) as (session, page):
        session.pause_at("tool_call")
        page.tell("typed", text="What's the weather?")
        await until(lambda: where(page))
        assert len(json.dumps(where(page))) < 2000
        exec(where(page)["cell"], {"session": session})  # it is ours
        await until(lambda: session.turns[0].status == "completed")


async def test_an_answer_that_is_interrupted_stands_nowhere_any_more() -> None:
    async with shown(llm=ScriptedLLM([Call("get_weather", {"city": "Rome"}), "Hello."]), tools=[get_weather]) as (session, page):
        session.pause_at("tool_call")
        page.tell("typed", text="What's the weather?")
        await until(lambda: where(page))
        page.tell("stop")
        await until(lambda: where(page) is None)
        assert session.turns[0].status == "interrupted"

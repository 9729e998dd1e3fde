"""The seed's claims about tools and on_message, and the surprises behind them: one test for each, named after its row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from local_web import saying, serving
from talking import talking

import patter_nb
from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError, ToolError
from patter_nb.llm.base import LLMChunk
from patter_nb.patter import Patter
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.tools import ToolContext, tool
from patter_nb.tools.executor import DefaultToolExecutor, Invocation
from patter_nb.tools.tool import Tool
from patter_nb.transports.keyboard import KeyboardTransport

phone = Patter()


async def test_seed_row_04_llm_and_on_message_are_an_error_at_serve() -> None:
    llm = ScriptedLLM([])
    for agent, given in ((phone.agent(llm=llm), None), (phone.agent(), llm)):
        with pytest.raises(PatterConfigError, match="not both"):
            phone.serve(agent, llm=given, on_message=lambda message: "Hi.")


def test_seed_row_18_the_executor_and_the_chunk_are_exported() -> None:
    assert patter_nb.DefaultToolExecutor is DefaultToolExecutor
    assert patter_nb.LLMChunk is LLMChunk


@pytest.mark.parametrize("way", ["loop", "session"])
async def test_seed_row_20_the_executor_takes_tools_of_both_kinds_and_its_hooks_are_called(way: str) -> None:
    @tool
    def double(n: int) -> int:
        return 2 * n

    class Hooked(DefaultToolExecutor):
        async def before_call(self, call: Invocation) -> None:
            if call.arguments.get("n") == 13:
                raise ToolError("Thirteen is not allowed.", hint="Take another number.")

        async def authenticate(self, request: Any) -> None:
            request.headers["Authorization"] = "Bearer key"

        async def on_result(self, call: Invocation, result: Any) -> Any:
            return {"result": result}

        async def on_error(self, call: Invocation, error: ToolError) -> str | None:
            return f"told: {error.message}" if "Thirteen" in error.message else None

    calls = [Call("double", {"n": 2}), Call("double", {"n": 13}), Call("hook", {"n": 4})]
    llm = ScriptedLLM([calls, "Done."])
    async with serving(saying(16)) as server:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        tools = [double, Tool("hook", "Ask the server.", schema, webhook_url=server.url)]
        executor = Hooked(tools, allow_hosts=[server.host])
        if way == "loop":
            assert [item async for item in patter_nb.LLMLoop(llm, tools=tools, executor=executor).run("Go.")]
        else:
            agent = phone.agent(llm=llm, tools=tools, executor=executor)
            async with phone.serve(agent, transport=KeyboardTransport(ManualClock()), name="test") as session:
                assert (await session.ask("Go.")).status == "completed"
        await executor.aclose()
    assert server.asked[0].headers["authorization"] == "Bearer key"
    answers = [message["content"] for message in llm.requests[1].messages if message["role"] == "tool"]
    assert answers == ['{"result": 4}', "told: Thirteen is not allowed.", '{"result": 16}']


async def test_seed_surprise_02_empty_arguments_run_a_tool_that_takes_none() -> None:
    ran: list[int] = []
    async with talking(llm=ScriptedLLM([Call("end", ""), "Bye."]), tools=[Tool("end", handler=lambda: ran.append(1))]) as session:
        await session.ask("Hang up.")
    assert ran == [1]


async def test_seed_surprise_03_calls_of_one_round_run_at_the_same_time() -> None:
    both = asyncio.Barrier(2)

    async def meet(who: str) -> str:
        await both.wait()
        return who

    llm = ScriptedLLM([[Call("meet", {"who": "Ann"}), Call("meet", {"who": "Ben"})], "Both."])
    async with talking(llm=llm, tools=[meet]) as session:
        turn = await session.ask("Go.")
    assert [call.result for call in turn.tool_calls] == ["Ann", "Ben"]
    assert [message["content"] for message in llm.requests[1].messages if message["role"] == "tool"] == ["Ann", "Ben"]


async def test_seed_surprise_04_a_function_that_fails_is_not_run_again() -> None:
    ran: list[int] = []

    def charge() -> None:
        ran.append(1)
        raise RuntimeError("declined")

    async with talking(llm=ScriptedLLM([Call("charge"), "Declined."]), tools=[charge]) as session:
        await session.ask("Pay.")
    assert ran == [1]


@pytest.mark.parametrize("arguments", ["null", "[1]", '"Rome"', '{"city": 3.5, "days": "many"}'])
async def test_seed_surprise_05_arguments_are_checked_against_the_schema(arguments: str) -> None:
    ran: list[Any] = []

    def get_weather(city: str, days: int = 1) -> None:
        ran.append((city, days))

    llm = ScriptedLLM([Call("get_weather", arguments), Call("get_weather", '{"city": "Rome", "days": "2"}'), "Sunny."])
    async with talking(llm=llm, tools=[get_weather]) as session:
        await session.ask("Weather?")
    assert ran == [("Rome", 2)]
    assert json.loads(llm.requests[1].messages[-1]["content"])["fallback"] is True


async def test_seed_surprise_06_a_webhook_that_is_not_allowed_does_not_end_the_turn() -> None:
    llm = ScriptedLLM([Call("hook"), "I cannot reach it."])
    async with talking(llm=llm, tools=[Tool("hook", webhook_url="http://169.254.169.254/latest/meta-data")]) as session:
        turn = await session.ask("Go.")
    assert (turn.status, turn.agent_text, turn.error) == ("completed", "I cannot reach it.", None)
    assert json.loads(llm.requests[1].messages[-1]["content"])["fallback"] is True


async def test_seed_surprise_07_a_provider_without_the_newer_keywords_works() -> None:
    class Old:
        async def stream(self, messages: list[dict[str, Any]], tools: Any = None) -> AsyncIterator[Mapping[str, str]]:
            yield {"type": "text", "content": "As ever."}

    async with talking(llm=Old()) as session:
        assert (await session.ask("Hi")).agent_text == "As ever."


async def test_a_tool_of_a_webhook_knows_its_call() -> None:
    async with serving(saying(1)) as server:
        run = DefaultToolExecutor([Tool("hook", webhook_url=server.url)], allow_hosts=[server.host])
        await run.execute("hook", "", ToolContext("call-1", variables={"caller": "+39", "callee": "+41"}))
        await run.aclose()
    assert [server.asked[0].json[key] for key in ("call_id", "caller", "callee", "attempt")] == ["call-1", "+39", "+41", 1]

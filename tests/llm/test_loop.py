"""Model and tools without a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from talking import assert_tools_answered, talking, until

from patter_nb.errors import ContentFiltered, MalformedStream, PatterConfigError, PatterError, ServerError, TruncatedStream
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.loop import LLMLoop
from patter_nb.testing import Call, Hold, ScriptedLLM
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.tool import Tool
from patter_nb.turn import ToolCall

Items = list[LLMChunk | ToolCall]


async def run(loop: LLMLoop, text: str = "Go.", **options: Any) -> Items:
    return [item async for item in loop.run(text, **options)]


def words(items: Items) -> str:
    return "".join(item.content or "" for item in items if isinstance(item, LLMChunk) and item.type == "text")


def calls(items: Items) -> list[ToolCall]:
    return [item for item in items if isinstance(item, ToolCall)]


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


async def test_an_answer_in_words() -> None:
    llm = ScriptedLLM(["Hello there."])
    history = ({"role": "user", "content": "A"}, {"role": "assistant", "content": "B"})
    items = await run(LLMLoop(llm, system_prompt="Be brief."), "C", history=history)
    assert words(items) == "Hello there."
    assert items[-1] == LLMChunk("done", finish_reason="stop")
    assert [message["content"] for message in llm.requests[0].messages] == ["Be brief.", "A", "B", "C"]
    assert llm.requests[0].tools == ()


async def test_tools_run_and_their_results_go_back() -> None:
    llm = ScriptedLLM([["Let me see. ", Call("double", {"n": 2}), Call("double", {"n": 3})], "Four and six."])
    items = await run(LLMLoop(llm, tools=[double]))
    assert words(items) == "Let me see. Four and six."
    assert [(call.status, call.result, call.arguments) for call in calls(items)] == [
        ("running", None, {"n": 2}),
        ("running", None, {"n": 3}),
        ("completed", "4", {"n": 2}),
        ("completed", "6", {"n": 3}),
    ]
    assert_tools_answered(llm.requests[1].messages)
    assert [message["content"] for message in llm.requests[1].messages[1:]] == ["Let me see. ", "4", "6"]
    assert llm.requests[0].tools[0]["function"]["name"] == "double"


async def test_ids_do_not_repeat_over_rounds_and_history() -> None:
    same = LLMChunk("tool_call", index=0, id="call_1", name="double", arguments='{"n": 1}')
    llm = ScriptedLLM([[same], [same], "Done."])
    await run(LLMLoop(llm, tools=[double]))
    messages = llm.requests[-1].messages
    assert_tools_answered(messages)
    ids = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert len(set(ids)) == 2


async def test_a_call_without_an_id_is_given_one() -> None:
    llm = ScriptedLLM([[LLMChunk("tool_call", name="double", arguments='{"n": '), LLMChunk("tool_call", arguments="1}")], "Two."])
    items = await run(LLMLoop(llm, tools=[double]))
    assert [call.result for call in calls(items)] == [None, "2"]
    assert_tools_answered(llm.requests[1].messages)


@pytest.mark.parametrize(
    ("call", "error"), [(Call("triple"), "no tool 'triple'"), (Call("double", "{"), "no JSON"), (Call("double", {"n": "x"}), "n")]
)
async def test_a_failing_call_is_told_to_the_model(call: Call, error: str) -> None:
    llm = ScriptedLLM([call, "I see."])
    items = await run(LLMLoop(llm, tools=[double]))
    assert calls(items)[-1].status == "failed"
    assert error in str(calls(items)[-1].error)
    assert '"fallback": true' in llm.requests[1].messages[-1]["content"]
    assert words(items) == "I see."


async def test_an_executor_may_raise_anything_and_return_anything() -> None:
    class Odd(DefaultToolExecutor):
        async def execute(self, name: str, arguments: Any, ctx: Any = None) -> Any:
            if name == "bad":
                raise KeyError(name)
            return {"n": 1}

    llm = ScriptedLLM([[Call("bad"), Call("good")], "I see."])
    items = await run(LLMLoop(llm, executor=Odd()))
    assert [(call.status, call.result) for call in calls(items)[2:]] == [("failed", None), ("completed", '{"n": 1}')]


async def test_the_executor_that_was_given_has_the_tools_and_stays_as_it_was() -> None:
    executor = DefaultToolExecutor([Tool("own", handler=lambda: "mine")])
    llm = ScriptedLLM([[Call("double", {"n": 1}), Call("own")], "Done."])
    items = await run(LLMLoop(llm, tools=[double], executor=executor))
    assert [call.result for call in calls(items)[2:]] == ["2", "mine"]
    assert list(executor.tools) == ["own"]


def test_what_is_no_tool_executor_is_refused() -> None:
    class Bare:
        async def execute(self, name: str, arguments: Any, ctx: Any = None) -> str:
            return name

    with pytest.raises(PatterConfigError, match="Bare, no tool executor"):
        LLMLoop(ScriptedLLM([]), executor=Bare())  # type: ignore[arg-type]


async def test_the_last_round_has_no_tools_and_calls_in_it_do_not_run() -> None:
    ran: list[int] = []

    def count() -> int:
        ran.append(1)
        return len(ran)

    llm = ScriptedLLM([Call("count")] * 3)
    with pytest.raises(MalformedStream, match="after 3 rounds"):
        await run(LLMLoop(llm, tools=[count], max_rounds=3))
    assert [len(request.tools) for request in llm.requests] == [1, 1, 0]
    assert len(ran) == 2


@pytest.mark.parametrize("nothing", ["", [LLMChunk("reasoning", content="Hm.")]])
async def test_nothing_is_an_error(nothing: Any) -> None:
    with pytest.raises(MalformedStream, match="nothing"):
        await run(LLMLoop(ScriptedLLM([nothing])))


CUT: list[tuple[list[Any], str, type[PatterError]]] = [
    ([Call("book", "")], "length", TruncatedStream),
    (["Let me see. ", Call("book", "")], "length", TruncatedStream),
    ([], "length", TruncatedStream),
    ([Call("book", "{}")], "length", TruncatedStream),
    ([Call("book", "")], "content_filter", ContentFiltered),
    ([], "content_filter", ContentFiltered),
    ([Call("book", "")], "cancelled", TruncatedStream),
    (["Let me see. "], "cancelled", TruncatedStream),
]


@pytest.mark.parametrize(("steps", "reason", "error"), CUT)
@pytest.mark.parametrize("session", [False, True])
async def test_a_round_that_was_cut_off_runs_no_calls(steps: list[Any], reason: str, error: type[PatterError], session: bool) -> None:
    ran: list[str] = []

    def book(seat: str = "any") -> None:
        ran.append(seat)

    llm = ScriptedLLM([[*steps, LLMChunk("done", finish_reason=reason)]])
    if session:
        async with talking(llm=llm, tools=[book]) as talk:
            failure = (await talk.ask("Go.")).error
            assert talk.tool_calls == []
    else:
        with pytest.raises(error) as raised:
            await run(LLMLoop(llm, tools=[book]))
        failure = raised.value
    assert ran == []
    assert type(failure) is error
    assert failure.provider == "scripted"
    if isinstance(failure, TruncatedStream):
        assert failure.partial_text == "".join(step for step in steps if isinstance(step, str))


@pytest.mark.parametrize("reason", ["content_filter", "length"])
async def test_words_that_were_cut_off_stand(reason: str) -> None:
    steps = ["Well, I ", LLMChunk("done", finish_reason=reason)]
    assert words(await run(LLMLoop(ScriptedLLM([steps])))) == "Well, I "
    async with talking(llm=ScriptedLLM([steps])) as session:
        assert (await session.ask("Go.")).status == "completed"


@pytest.mark.parametrize(("arguments", "runs"), [('{"seat": "1"}', True), ("{}", True), ("", False), ('{"seat": ', False)])
@pytest.mark.parametrize("session", [False, True])
async def test_without_done_only_calls_run_whose_arguments_are_json(arguments: str, runs: bool, session: bool) -> None:
    ran: list[str] = []

    def book(seat: str = "any") -> None:
        ran.append(seat)

    class Careless:
        asked = 0

        async def stream(self, messages: Any, tools: Any = None) -> AsyncIterator[Any]:
            self.asked += 1
            if self.asked == 1:
                yield {"type": "tool_call", "name": "book", "arguments": arguments}
            else:
                yield "Done."

    llm: Any = Careless()
    if session:
        async with talking(llm=llm, tools=[book]) as talk:
            turn = await talk.ask("Go.")
            assert (turn.status, turn.agent_text) == ("completed", "Done.")
            (ended,) = turn.tool_calls
    else:
        ended = calls(await run(LLMLoop(llm, tools=[book])))[-1]
    assert (bool(ran), ended.status) == (runs, "completed" if runs else "failed")
    assert runs or "did not arrive" in str(ended.error)


async def test_a_model_that_does_not_look_at_the_event_is_cancelled_all_the_same() -> None:
    cancel, begun, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Stubborn:
        async def stream(self, messages: Any, tools: Any = None) -> AsyncIterator[str]:
            try:
                yield "Well"
                begun.set()
                await asyncio.Event().wait()
            finally:
                closed.set()

    running = asyncio.create_task(run(LLMLoop(Stubborn()), cancel_event=cancel))  # type: ignore[arg-type]
    await begun.wait()
    cancel.set()
    assert await running == [LLMChunk("text", content="Well"), LLMChunk("done", finish_reason="cancelled")]
    assert closed.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_turn_that_is_cancelled_before_it_begins_asks_and_says_nothing() -> None:
    cancel = asyncio.Event()
    cancel.set()
    assert await run(LLMLoop(ScriptedLLM(["Never said."])), cancel_event=cancel) == [LLMChunk("done", finish_reason="cancelled")]


async def test_what_the_provider_raises_is_raised_after_what_it_said() -> None:
    loop, seen = LLMLoop(ScriptedLLM([["One", ServerError("down")]])), []
    with pytest.raises(ServerError, match="down"):
        async for item in loop.run("Go."):
            seen.append(item)
    assert seen == [LLMChunk("text", content="One")]


async def test_cancelling_in_the_middle_of_a_call_runs_nothing() -> None:
    cancel, ran = asyncio.Event(), []

    def book(seat: str) -> None:
        ran.append(seat)

    half = LLMChunk("tool_call", index=0, id="c", name="book", arguments='{"seat": "1"}')
    loop = LLMLoop(ScriptedLLM([[half, Hold(asyncio.Event())]]), tools=[book])
    items: Items = []
    async for item in loop.run("Go.", cancel_event=cancel):
        items.append(item)
        cancel.set()
    assert items == [half, LLMChunk("done", finish_reason="cancelled")]
    assert ran == []


async def test_cancelling_while_tools_run_cancels_them() -> None:
    cancel, begun, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    llm = ScriptedLLM([Call("slow")])
    running = asyncio.create_task(run(LLMLoop(llm, tools=[slow]), cancel_event=cancel))
    await begun.wait()
    cancel.set()
    assert [call.status for call in calls(await running)] == ["running", "cancelled"]
    assert ended.is_set()
    assert len(llm.requests) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancel_event_that_is_not_set_changes_nothing() -> None:
    llm = ScriptedLLM([Call("double", {"n": 2}), "Four."])
    assert words(await run(LLMLoop(llm, tools=[double]), cancel_event=asyncio.Event())) == "Four."


async def test_leaving_early_closes_the_stream() -> None:
    closed: list[bool] = []

    class Endless:
        async def stream(self, messages: Any, tools: Any = None) -> AsyncIterator[str]:
            try:
                while True:
                    yield "on "
            finally:
                closed.append(True)

    loop = LLMLoop(Endless())  # type: ignore[arg-type]  # what it lacks is optional
    running = loop.run("Go.")
    async for _ in running:
        break
    await running.aclose()  # type: ignore[attr-defined]  # an async generator
    assert closed == [True]


async def test_the_task_may_be_cancelled_while_tools_run() -> None:
    begun = asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(run(LLMLoop(ScriptedLLM([Call("slow")]), tools=[slow])))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

"""Tools that are URLs, over real connections: what is sent, what may come back, what is tried again, and what the model is told."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from local_web import Server, saying, serving
from talking import talking

from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError, ToolError
from patter_nb.patter import Patter
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.tools import Tool, ToolContext
from patter_nb.tools.executor import DefaultToolExecutor, Invocation
from patter_nb.tools.outcome import ToolCallError, envelope
from patter_nb.transports.keyboard import KeyboardTransport

CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}


def weather(url: str, **options: Any) -> Tool:
    return Tool("get_weather", "Look up the weather.", CITY, webhook_url=f"{url}/weather", **options)


def executor(server: Server, *, kind: Callable[..., DefaultToolExecutor] = DefaultToolExecutor, **options: Any) -> DefaultToolExecutor:
    """One that may call the server, and keeps the waits between attempts instead of waiting."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    run = kind([weather(server.url)], allow_hosts=[server.host], sleep=sleep, chance=lambda: 0.5, **options)
    run.waits = waits  # type: ignore[attr-defined]
    return run


async def refused(run: DefaultToolExecutor, arguments: Any = '{"city": "Rome"}') -> ToolCallError:
    try:
        with pytest.raises(ToolCallError) as raised:
            await run.execute("get_weather", arguments)
    finally:
        await run.aclose()
    assert "Answer without it" in str(raised.value) or "Ask for less" in str(raised.value) or raised.value.code == "timeout"
    return raised.value


# --- the tool


def test_a_tool_has_a_handler_or_a_webhook() -> None:
    for wrong in ({}, {"handler": print, "webhook_url": "https://example.com"}, {"webhook_url": "example.com"}, {"webhook_url": 3}):
        with pytest.raises(PatterConfigError, match="webhook_url") as raised:
            Tool("hook", **wrong)  # type: ignore[arg-type]
        assert raised.value.hint


def test_a_webhook_is_described_as_any_tool_is() -> None:
    function = weather("https://example.com").spec()["function"]
    assert (function["name"], function["description"], function["parameters"]) == ("get_weather", "Look up the weather.", CITY)
    assert Tool("ring", webhook_url="https://example.com").spec()["function"]["parameters"] == {"type": "object", "properties": {}}


def test_a_webhook_cannot_be_called_as_a_function() -> None:
    with pytest.raises(AttributeError, match="webhook"):
        weather("https://example.com")("Rome")


# --- what is sent


async def test_what_a_webhook_is_sent() -> None:
    async with serving(saying({"sky": "clear"})) as server:
        run = executor(server)
        ctx = ToolContext("main", variables={"caller": "+391234567", "secret": "x"})
        assert await run.execute("get_weather", '{"city": "Rome", "days": 2}', ctx) == '{"sky": "clear"}'
        await run.aclose()
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["content-type"]) == ("POST", "/weather", "application/json")
    assert asked.json == {
        "tool": "get_weather",
        "arguments": {"city": "Rome", "days": 2},
        "call_id": "main",
        "caller": "+391234567",
        "callee": "",
        "attempt": 1,
    }


async def test_arguments_that_do_not_fit_are_not_sent() -> None:
    async with serving(saying(1)) as server:
        run = executor(server)
        with pytest.raises(ToolCallError, match="city") as raised:
            await run.execute("get_weather", '{"days": 2}')
        assert raised.value.code == "invalid_arguments"
    assert server.asked == []


async def test_a_session_calls_a_webhook_and_closes_what_it_opened() -> None:
    llm = ScriptedLLM([Call("get_weather", {"city": "Rome"}), "Clear."])
    async with serving(saying({"sky": "clear"})) as server:
        run = executor(server)
        agent = Patter().agent(llm=llm, tools=[weather(server.url)], executor=run)
        async with Patter().serve(agent, transport=KeyboardTransport(ManualClock()), name="test") as session:
            turn = await session.ask("Weather?")
        assert not run._webhooks._kept.is_open
    assert (turn.tool_calls[0].result, server.asked[0].json["call_id"]) == ('{"sky": "clear"}', "test")


async def test_one_client_serves_all_calls_and_is_made_again_after_closing() -> None:
    ports: set[Any] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.json_response(1)

    async with serving(answer) as server:
        run = executor(server)
        other = run.having([weather(server.url)])
        await run.execute("get_weather", {"city": "Rome"})
        await other.execute("get_weather", {"city": "Oslo"})
        assert len(ports) == 1
        await run.aclose()
        await run.execute("get_weather", {"city": "Bern"})
        await run.aclose()
        assert len(ports) == 2


def test_an_executor_may_be_used_in_one_loop_after_another() -> None:
    async def once(run: DefaultToolExecutor | None) -> DefaultToolExecutor:
        async with serving(saying(1)) as server:
            run = DefaultToolExecutor(allow_hosts=["127.0.0.1"]) if run is None else run
            run.add(weather(server.url))
            assert await run.execute("get_weather", {"city": "Rome"}) == "1"
            await run.aclose()
        return run

    run = asyncio.run(once(None))
    asyncio.run(once(run))


def test_connections_that_nobody_closes_end_with_their_loop() -> None:
    async def once(run: DefaultToolExecutor) -> None:
        async with serving(saying(1)) as server:
            run.add(weather(server.url))
            await run.execute("get_weather", {"city": "Rome"})
        assert run._webhooks._kept.is_open

    run = DefaultToolExecutor(allow_hosts=["127.0.0.1"])
    asyncio.run(once(run))
    assert not run._webhooks._kept.is_open
    gc.collect()  # a connection left open would warn here, and warnings are errors


async def test_closing_lets_a_call_under_way_end() -> None:
    arrived, free = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await free.wait()
        return web.json_response("whole")

    async with serving(answer) as server:
        run = executor(server)
        call = asyncio.ensure_future(run.execute("get_weather", {"city": "Rome"}))
        await arrived.wait()
        await run.aclose()
        free.set()
        assert await call == "whole"


async def test_cancelling_a_call_closes_its_connection() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    async with serving(answer) as server:
        run = executor(server)
        call = asyncio.ensure_future(run.execute("get_weather", {"city": "Rome"}))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(30):
            await gone.wait()
        await run.aclose()


# --- what comes back


@pytest.mark.parametrize(("value", "text"), [("Mild.", "Mild."), (None, "null"), ([1, {"a": "ü"}], '[1, {"a": "ü"}]'), (3.5, "3.5")])
async def test_any_json_is_a_result(value: Any, text: str) -> None:
    async with serving(saying(value)) as server:
        run = executor(server)
        assert await run.execute("get_weather", {"city": "Rome"}) == text
        await run.aclose()


@pytest.mark.parametrize("body", [b"", b"<html>Sorry</html>", b'{"a": ', b"\xff\xfe", b"[" * 100_000])
async def test_what_is_no_json_is_a_failure_and_is_not_asked_for_again(body: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with serving(answer) as server:
        error = await refused(executor(server))
    assert error.code == "failed" and "no JSON" in str(error)
    assert len(server.asked) == 1


async def test_row_31_reading_stops_at_one_mebibyte() -> None:
    sent = 0
    stopped = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while sent < 200 * 1024 * 1024:
                await response.write(b"x" * 65_536)
                sent += 65_536
        finally:
            stopped.set()
        return response

    async with serving(answer) as server:
        error = await refused(executor(server))
        async with asyncio.timeout(30):
            await stopped.wait()
    assert error.code == "result_too_large"
    assert sent < 50 * 1024 * 1024, "what is beyond the limit was read"


async def test_row_31_an_announced_body_that_is_too_large_is_not_read() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(1024 * 1024 + 1)})
        await response.prepare(request)
        assert request.transport is not None
        while not request.transport.is_closing():  # noqa: ASYNC110  # the other side decides
            await asyncio.sleep(0)
        return response

    async with serving(answer) as server:
        error = await refused(executor(server))
    assert error.code == "result_too_large" and "1,048,577 bytes were announced" in str(error)


# --- what is tried again


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
async def test_a_server_in_trouble_is_asked_three_times(status: int) -> None:
    async with serving(saying({"error": "busy"}, status=status)) as server:
        run = executor(server)
        error = await refused(run)
    assert [asked.json["attempt"] for asked in server.asked] == [1, 2, 3]
    assert run.waits == [0.53, 1.03]  # type: ignore[attr-defined]
    assert f"status {status}" in str(error) and "busy" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501, 304])
async def test_a_refusal_is_not_asked_for_again(status: int) -> None:
    async with serving(saying({"error": "which year?"}, status=status)) as server:
        error = await refused(executor(server))
    assert len(server.asked) == 1
    assert json.loads(envelope(error))["error"].startswith(f"The tool get_weather answered with status {status}")


async def test_the_third_attempt_may_succeed() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        attempt = (await request.json())["attempt"]
        return web.json_response("there") if attempt == 3 else web.Response(status=503)

    async with serving(answer) as server:
        run = executor(server)
        assert await run.execute("get_weather", {"city": "Rome"}) == "there"
        await run.aclose()


async def test_waits_grow_to_five_seconds() -> None:
    async with serving(saying(0, status=500)) as server:
        run = executor(server, max_retries=6)
        await refused(run)
    assert run.waits == [0.53, 1.03, 2.03, 4.03, 5.03, 5.03]  # type: ignore[attr-defined]


async def test_no_retries_where_none_are_wanted() -> None:
    async with serving(saying(0, status=500)) as server:
        await refused(executor(server, max_retries=0))
    assert len(server.asked) == 1


@pytest.mark.parametrize("wrong", [-1, 1.5, None])
def test_a_number_of_retries_is_checked(wrong: Any) -> None:
    with pytest.raises(PatterConfigError, match="max_retries"):
        DefaultToolExecutor(max_retries=wrong)


async def test_a_server_that_is_not_there_is_asked_three_times() -> None:
    async with serving(saying(0)) as server:
        run = executor(server)
    error = await refused(run)
    assert len(run.waits) == 2  # type: ignore[attr-defined]
    assert error.code == "failed" and "could not be reached" in str(error)


async def test_row_30_a_webhook_that_hangs_times_out_once_with_the_real_number() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(answer) as server:
        error = await refused(executor(server, timeout_s=0.2))
    assert error.code == "timeout" and "did not answer within 0.2 s" in str(error)
    assert len(server.asked) == 1


async def test_five_failed_calls_open_the_circuit_and_attempts_do_not_count() -> None:
    async with serving(saying(0, status=500)) as server:
        clock = ManualClock()
        run = executor(server, clock=clock)
        for _ in range(5):
            assert (await refused(run)).code == "failed"
        assert (await refused(run)).code == "circuit_open"
        assert len(server.asked) == 15
        clock.advance(30_000)
        assert (await refused(run)).code == "failed"


# --- hooks


class Watched(DefaultToolExecutor):
    """Keeps what its hooks were called with, and has a key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[tuple[Any, ...]] = []

    async def before_call(self, call: Invocation) -> None:
        self.seen.append(("before", call.name, dict(call.arguments)))

    async def authenticate(self, request: Any) -> None:
        request.headers["Authorization"] = f"Bearer {len(request.content)}"
        self.seen.append(("authenticate", request.url.path))

    async def on_retry(self, call: Invocation, error: ToolError, attempt: int, wait_s: float) -> None:
        self.seen.append(("retry", attempt, wait_s))

    async def on_result(self, call: Invocation, result: Any) -> Any:
        self.seen.append(("result", result))
        return {"told": result}


async def test_every_hook_is_called_in_its_place() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        again = (await request.json())["attempt"] == 1
        return web.Response(status=503) if again else web.json_response("mild")

    async with serving(answer) as server:
        run = executor(server, kind=Watched)
        assert isinstance(run, Watched)
        assert await run.execute("get_weather", {"city": "Rome"}) == '{"told": "mild"}'
        await run.aclose()
    assert run.seen == [
        ("before", "get_weather", {"city": "Rome"}),
        ("authenticate", "/weather"),
        ("retry", 1, 0.53),
        ("authenticate", "/weather"),
        ("result", "mild"),
    ]
    assert [asked.headers["authorization"] for asked in server.asked] == [f"Bearer {len(asked.body)}" for asked in server.asked]


# --- the guard


async def test_a_webhook_on_this_machine_is_blocked_unless_it_is_allowed() -> None:
    async with serving(saying(1)) as server:
        run = DefaultToolExecutor([weather(server.url)])
        error = await refused(run)
    assert server.asked == []
    assert error.code == "blocked" and "127.0.0.1 is a loopback address" in str(error) and "allow_hosts" in str(error)


async def test_a_redirect_into_the_network_is_blocked_and_not_tried_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://169.254.169.254/latest"})

    async with serving(answer) as server:
        error = await refused(executor(server))
    assert error.code == "blocked" and "169.254.169.254 is a link-local address" in str(error)
    assert len(server.asked) == 1


async def test_a_blocked_webhook_is_told_to_the_model_and_the_turn_goes_on() -> None:
    llm = ScriptedLLM([Call("hook"), "I cannot reach it."])
    async with talking(llm=llm, tools=[Tool("hook", webhook_url="http://localhost/")]) as session:
        turn = await session.ask("Go.")
    assert (turn.status, turn.tool_calls[0].status) == ("completed", "failed")
    told = json.loads(llm.requests[1].messages[-1]["content"])
    assert told["fallback"] is True and "Answer without it" in told["error"]

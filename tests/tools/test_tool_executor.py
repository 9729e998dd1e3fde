"""Calls by name: arguments, results, timeouts, cancellation, failures and hooks. A call ends in a text, one kind of error, or cancelled."""

import asyncio
import contextlib
import contextvars
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError, ToolError
from patter_nb.tools import Tool, ToolContext, executor, tool
from patter_nb.tools.executor import DefaultToolExecutor, Invocation
from patter_nb.tools.outcome import FieldError, ToolCallError, as_text, envelope


@tool
def get_weather(city: str, days: int = 1) -> dict[str, Any]:
    """Look up the weather."""
    return {"city": city, "days": days}


def returning(value: object) -> Tool:
    return Tool("give", handler=lambda: value)


async def refused(run: DefaultToolExecutor, name: str, arguments: Any = "", ctx: ToolContext | None = None) -> ToolCallError:
    with pytest.raises(ToolCallError) as raised:
        await run.execute(name, arguments, ctx)
    return raised.value


# --- arguments


@pytest.mark.parametrize("arguments", [{"city": "Rome", "days": 2}, '{"city": "Rome", "days": "2"}', ' {"days": 2.0, "city": "Rome"}\n'])
async def test_arguments_are_a_dict_or_json_text(arguments: Any) -> None:
    assert await DefaultToolExecutor([get_weather]).execute("get_weather", arguments) == '{"city": "Rome", "days": 2}'


@pytest.mark.parametrize("arguments", ["", "  \n", "{}", {}])
async def test_row_4_empty_arguments_are_an_empty_object(arguments: Any) -> None:
    assert await DefaultToolExecutor([returning("ran")]).execute("give", arguments) == "ran"


@pytest.mark.parametrize(
    "arguments",
    ['{"city": "Ro', "city=Rome", "null", "[]", '["Rome"]', "3", '"Rome"', '{"days": NaN}', "[" * 100_000, "9" * 10_000, None, [], 3],
)
async def test_row_4_malformed_arguments_are_not_run_and_say_what_to_send(arguments: Any) -> None:
    ran: list[object] = []
    run = DefaultToolExecutor([Tool("note", parameters={"type": "object"}, handler=lambda **given: ran.append(given))])
    error = await refused(run, "note", arguments)
    assert ran == []
    assert error.code == "invalid_arguments"
    assert "Send one JSON object" in json.loads(envelope(error))["error"]
    assert len(str(error)) < 500


async def test_arguments_that_do_not_fit_are_told_field_by_field() -> None:
    error = await refused(DefaultToolExecutor([get_weather]), "get_weather", {"days": "many"})
    assert error.code == "invalid_arguments"
    assert json.loads(envelope(error)) == {
        "error": str(error),
        "fallback": True,
        "validation_errors": [
            {"field": "city", "problem": "Field required", "allowed": {"type": "string"}},
            {
                "field": "days",
                "problem": "Input should be a valid integer, unable to parse string as an integer",
                "allowed": {"type": "integer", "default": 1},
            },
        ],
    }


async def test_an_unknown_tool_is_answered_with_the_known_ones() -> None:
    error = await refused(DefaultToolExecutor([get_weather, returning(1)]), "get_wether", "{}")
    assert error.code == "unknown_tool"
    assert str(error) == "There is no tool 'get_wether'. Did you mean get_weather? The tools are: get_weather, give."
    assert json.loads(envelope(error)) == {"error": str(error), "fallback": True}
    assert "no tools" in str(await refused(DefaultToolExecutor(), "anything"))


# --- handlers


async def test_a_plain_function_runs_on_a_thread_with_the_callers_context() -> None:
    caller = contextvars.ContextVar("caller", default="nobody")
    caller.set("Ann")
    ran_on: list[threading.Thread] = []

    @tool
    def who() -> str:
        ran_on.append(threading.current_thread())
        return caller.get()

    assert await DefaultToolExecutor([who]).execute("who", "") == "Ann"
    assert ran_on[0] is not threading.current_thread()
    assert ran_on[0].daemon


async def test_the_loop_goes_on_while_a_plain_function_blocks() -> None:
    free = threading.Event()
    run = DefaultToolExecutor([Tool("block", handler=lambda: free.wait(60))])
    call = asyncio.ensure_future(run.execute("block", ""))
    await asyncio.sleep(0)
    assert not call.done()
    free.set()
    assert await call == "true"


async def test_async_functions_coroutine_makers_and_async_objects_are_awaited() -> None:
    async def later(text: str) -> str:
        await asyncio.sleep(0)
        return text

    def made(text: str) -> Awaitable[str]:
        return later(text)

    class Later:
        async def __call__(self, text: str) -> str:
            return await later(text)

    tools = [tool(later), tool(made), Tool("object", handler=Later())]
    run = DefaultToolExecutor(tools)
    assert [await run.execute(name, {"text": "hi"}) for name in ("later", "made", "object")] == ["hi"] * 3
    assert [item.is_async for item in tools] == [True, False, True]


async def test_the_context_reaches_the_tool() -> None:
    @tool
    def about(ctx: ToolContext) -> Any:
        return [ctx.call_id, ctx.variables["name"], len(ctx.history)]

    ctx = ToolContext(call_id="c1", variables={"name": "Ann"}, history=({"role": "user", "content": "hi"},))
    assert await DefaultToolExecutor([about]).execute("about", "", ctx) == '["c1", "Ann", 1]'


# --- results


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    colour: Colour


class Model(BaseModel):
    when: datetime


WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        ({"où": "là"}, '{"où": "là"}'),
        ({"points": [Point(1, Colour.RED)]}, '{"points": [{"x": 1, "colour": "red"}]}'),
        ({"b", "a", "c"}, '["a", "b", "c"]'),
        (b"caf\xc3\xa9", '"café"'),
        (b"\xff", '"\\\\xff"'),
        (np.arange(3), "[0, 1, 2]"),
        ({"n": np.int64(3), "x": np.float32(0.5)}, '{"n": 3, "x": 0.5}'),
        (Decimal("1.50"), '"1.50"'),
        (Point, json.dumps(str(Point))),
        ({(1, 2): "x"}, "{(1, 2): 'x'}"),
    ],
)
async def test_a_result_becomes_text(result: object, text: str) -> None:
    assert await DefaultToolExecutor([returning(result)]).execute("give", "") == text


async def test_row_29_a_datetime_result_takes_one_attempt() -> None:
    ran: list[int] = []

    @tool
    def now() -> Any:
        ran.append(1)
        return {"now": WHEN, "model": Model(when=WHEN)}

    text = await DefaultToolExecutor([now]).execute("now", "")
    assert json.loads(text) == {"now": "2026-01-02 03:04:05+00:00", "model": {"when": "2026-01-02 03:04:05+00:00"}}
    assert ran == [1]


async def test_what_json_cannot_hold_falls_back_to_str() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert await DefaultToolExecutor([returning(ring)]).execute("give", "") == "[[...]]"


async def test_an_endless_iterator_is_not_read() -> None:
    endless = iter(int, 1)
    assert await DefaultToolExecutor([returning(endless)]).execute("give", "") == json.dumps(str(endless))


async def test_text_that_no_request_could_carry_is_mended() -> None:
    assert await DefaultToolExecutor([returning("half \ud83d pair")]).execute("give", "") == "half ? pair"


async def test_a_result_that_cannot_even_be_printed_is_a_failure() -> None:
    class Rubbish:
        def __str__(self) -> str:
            raise ZeroDivisionError("no text")

    error = await refused(DefaultToolExecutor([returning(Rubbish())]), "give")
    assert error.code == "failed"
    assert "ZeroDivisionError: no text" in str(error)


async def test_ten_megabytes_are_refused_with_size_and_remedy_and_nothing_is_cut() -> None:
    class Shortening(DefaultToolExecutor):
        async def on_result(self, call: Invocation, result: Any) -> Any:
            return result[:10]

    rubbish = returning("é" * 5_000_000)
    error = await refused(DefaultToolExecutor([rubbish]), "give")
    assert error.code == "result_too_large"
    assert "10,000,000 bytes" in str(error)
    assert "1,048,576" in str(error)
    assert error.hint
    assert await Shortening([rubbish]).execute("give", "") == "é" * 10
    exactly = "x" * 1_048_576
    assert await DefaultToolExecutor([returning(exactly)]).execute("give", "") == exactly


@given(
    st.recursive(
        st.none() | st.floats() | st.text() | st.binary() | st.datetimes(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_every_result_has_a_text_that_a_request_can_carry(result: object) -> None:
    as_text(result).encode()


# --- failures


async def test_a_failure_tells_type_and_message_without_a_traceback_and_keeps_its_cause() -> None:
    ran: list[int] = []

    @tool
    def fail() -> None:
        ran.append(1)
        raise KeyError("Rome")

    error = await refused(DefaultToolExecutor([fail]), "fail")
    assert str(error) == "The tool fail failed: KeyError: 'Rome'"
    assert error.code == "failed"
    assert isinstance(error.__cause__, KeyError)
    assert "Traceback" not in envelope(error)
    assert ran == [1], "a local handler is never retried"


async def test_a_tools_own_tool_error_is_told_in_its_words() -> None:
    @tool
    async def fail() -> None:
        raise ToolError("Rome is closed today.", hint="Offer Paris.")

    error = await refused(DefaultToolExecutor([fail]), "fail")
    assert (error.code, str(error)) == ("failed", "Rome is closed today. Offer Paris.")


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("raised", [StopIteration(), TimeoutError("socket"), UnprintableError(), OSError("x" * 1_000_000)])
async def test_odd_exceptions_are_failures_too(raised: Exception) -> None:
    def plain() -> None:
        raise raised

    async def later() -> None:
        raise raised

    for function in (plain, later):
        error = await refused(DefaultToolExecutor([function]), function.__name__)
        assert error.code == "failed"
        assert len(str(error)) < 600


async def test_a_base_exception_goes_through() -> None:
    class Stop(BaseException):
        pass

    def plain() -> None:
        raise Stop

    async def later() -> None:
        raise Stop

    for function in (plain, later):
        with pytest.raises(Stop):
            await DefaultToolExecutor([function]).execute(function.__name__, "")


async def test_a_tool_that_cancels_itself_has_failed_and_nobody_else_is_cancelled() -> None:
    @tool
    async def suicidal() -> None:
        raise asyncio.CancelledError

    error = await refused(DefaultToolExecutor([suicidal]), "suicidal")
    assert error.code == "failed"


# --- time


async def test_row_30_a_hanging_tool_ends_at_the_timeout_and_the_message_shows_the_real_number() -> None:
    cleaned: list[str] = []

    @tool
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("cleaned")

    error = await refused(DefaultToolExecutor([hang], timeout_s=0.125), "hang")
    assert error.code == "timeout"
    assert "within 0.125 s" in str(error)
    assert cleaned == ["cleaned"]


async def test_row_30_a_tools_own_timeout_wins_and_is_clamped() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    assert "within 0.1 s" in str(await refused(DefaultToolExecutor([tool(hang, timeout_s=0.001)]), "hang"))


@pytest.mark.parametrize(("own", "general", "seconds"), [(None, 10, 10), (3, 10, 3), (1000, 10, 300), (None, 1e9, 300), (0.05, 10, 0.1)])
async def test_row_30_the_time_allowed(monkeypatch: pytest.MonkeyPatch, own: float | None, general: float, seconds: float) -> None:
    allowed: list[float] = []
    wait = asyncio.wait

    async def noting(tasks: Any, **options: float) -> Any:
        allowed.append(options["timeout"])
        return await wait(tasks)

    monkeypatch.setattr(asyncio, "wait", noting)
    await DefaultToolExecutor([Tool("give", handler=lambda: 1, timeout_s=own)], timeout_s=general).execute("give", "")
    assert allowed == [seconds]


class LogSeen(logging.Handler):
    """Sets `seen` at the first record, which is logged on the loop's thread."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.set()


async def test_the_late_result_of_a_thread_is_dropped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    free, log = threading.Event(), LogSeen()
    logging.getLogger("patter_nb.tools").addHandler(log)
    run = DefaultToolExecutor([Tool("hang", handler=lambda: free.wait(60))], timeout_s=0.1)
    assert (await refused(run, "hang")).code == "timeout"
    free.set()
    async with asyncio.timeout(30):
        await log.seen.wait()
    logging.getLogger("patter_nb.tools").removeHandler(log)
    assert "The tool hang ended after its call had" in caplog.text


async def test_a_tool_that_refuses_to_be_cancelled_does_not_hold_its_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(executor, "CANCEL_GRACE_S", 0.01)
    free, log = asyncio.Event(), LogSeen()
    logging.getLogger("patter_nb.tools").addHandler(log)

    @tool
    async def stubborn() -> None:
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()
        raise OSError("too late")

    assert (await refused(DefaultToolExecutor([stubborn], timeout_s=0.1), "stubborn")).code == "timeout"
    free.set()
    async with asyncio.timeout(30):
        await log.seen.wait()
    logging.getLogger("patter_nb.tools").removeHandler(log)
    assert "too late" in caplog.text


def test_a_hanging_plain_function_keeps_neither_the_loop_nor_the_process_from_ending() -> None:
    script = """
import asyncio, threading
from patter_nb.tools.executor import DefaultToolExecutor
def hang() -> None:
    threading.Event().wait()
try:
    asyncio.run(DefaultToolExecutor([hang], timeout_s=0.1).execute("hang", ""))
except Exception as error:
    print(error.code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "timeout"


async def test_cancelling_the_call_cancels_an_async_tool_and_waits_for_its_cleanup() -> None:
    started, cleaned = asyncio.Event(), []

    @tool
    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    call = asyncio.ensure_future(DefaultToolExecutor([hang]).execute("hang", ""))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert cleaned == ["cleaned"]


async def test_cancelling_the_call_leaves_a_plain_function_behind() -> None:
    started, free = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        free.wait(60)

    call = asyncio.ensure_future(DefaultToolExecutor([hang]).execute("hang", ""))
    await asyncio.to_thread(started.wait, 60)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not free.is_set()
    free.set()


# --- the circuit breaker


class Switch:
    """A tool that fails until it is mended, and waits while `gate` is closed."""

    def __init__(self) -> None:
        self.broken = True
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def __call__(self) -> str:
        self.calls += 1
        self.entered.set()
        await self.gate.wait()
        if self.broken:
            raise OSError("down")
        return "up"


async def test_row_32_five_failures_pause_the_tool_and_one_probe_at_a_time_tries_it_again() -> None:
    clock, switch = ManualClock(), Switch()
    run = DefaultToolExecutor([Tool("switch", handler=switch)], clock=clock)
    for _ in range(5):
        assert (await refused(run, "switch")).code == "failed"
    error = await refused(run, "switch")
    assert (error.code, error.retry_after_s) == ("circuit_open", 30.0)
    assert switch.calls == 5
    clock.advance(30_000)
    switch.gate.clear()
    switch.broken = False
    burst = [asyncio.ensure_future(run.execute("switch", "")) for _ in range(20)]
    ended = asyncio.as_completed(burst)
    for _ in burst[1:]:  # all but the probe, which waits at the gate
        with pytest.raises(ToolCallError):
            await next(ended)
    assert switch.calls == 6
    switch.gate.set()
    results = await asyncio.gather(*burst, return_exceptions=True)
    assert [item for item in results if isinstance(item, str)] == ["up"]
    assert {item.code for item in results if isinstance(item, ToolCallError)} == {"circuit_open"}
    assert await run.execute("switch", "") == "up"


async def test_wrong_arguments_and_refusals_do_not_open_the_circuit() -> None:
    run = DefaultToolExecutor([get_weather])
    for _ in range(10):
        assert (await refused(run, "get_weather", "{}")).code == "invalid_arguments"
    assert await run.execute("get_weather", {"city": "Rome"})


async def test_cancelled_calls_do_not_open_the_circuit() -> None:
    switch = Switch()
    switch.gate.clear()
    run = DefaultToolExecutor([Tool("switch", handler=switch)])
    for _ in range(6):
        switch.entered.clear()
        call = asyncio.ensure_future(run.execute("switch", ""))
        await switch.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    switch.broken = False
    switch.gate.set()
    assert await run.execute("switch", "") == "up"


async def test_a_mended_tool_runs_at_once() -> None:
    def fetch() -> None:
        raise OSError("down")

    run = DefaultToolExecutor([fetch])
    for _ in range(5):
        await refused(run, "fetch")
    assert (await refused(run, "fetch")).code == "circuit_open"
    run.add(Tool("fetch", handler=lambda: "mended"))
    assert await run.execute("fetch", "") == "mended"


# --- hooks


class Noting(DefaultToolExecutor):
    """Notes what the hooks see."""

    def __init__(self, *tools: Tool | Callable[..., Any]) -> None:
        super().__init__(tools)
        self.seen: list[tuple[str, str, Mapping[str, Any], object]] = []

    async def before_call(self, call: Invocation) -> None:
        self.seen.append(("before", call.name, call.arguments, None))

    async def on_result(self, call: Invocation, result: Any) -> Any:
        self.seen.append(("result", call.name, call.arguments, result))
        return {"changed": result["days"]}

    async def on_error(self, call: Invocation, error: ToolError) -> str | None:
        self.seen.append(("error", call.name, call.arguments, error.code))
        return "Sorry." if error.code == "unknown_tool" else None


async def test_hooks_see_the_call_and_may_change_its_outcome() -> None:
    run = Noting(get_weather)
    assert await run.execute("get_weather", '{"city": "Rome", "days": "2"}') == '{"changed": 2}'
    assert await run.execute("nothing", "{}") == "Sorry."
    assert (await refused(run, "get_weather", "[")).code == "invalid_arguments"
    sent = {"city": "Rome", "days": "2"}
    assert run.seen == [
        ("before", "get_weather", sent, None),
        ("result", "get_weather", sent, {"city": "Rome", "days": 2}),
        ("error", "nothing", {}, "unknown_tool"),
        ("error", "get_weather", {}, "invalid_arguments"),
    ]


async def test_before_call_refuses_in_its_own_words_and_the_tool_does_not_run() -> None:
    class Careful(DefaultToolExecutor):
        async def before_call(self, call: Invocation) -> None:
            raise ToolError("Ask the person first.")

    switch = Switch()
    error = await refused(Careful([Tool("switch", handler=switch)]), "switch")
    assert (error.code, str(error), switch.calls) == ("failed", "Ask the person first.", 0)


async def test_a_hook_that_fails_fails_the_call() -> None:
    class Broken(DefaultToolExecutor):
        async def on_result(self, call: Invocation, result: Any) -> Any:
            raise LookupError("hook")

    error = await refused(Broken([returning(1)]), "give")
    assert isinstance(error.__cause__, LookupError)


# --- the tools it has


async def test_row_35_an_empty_container_is_kept() -> None:
    shared: dict[str, Tool] = {}
    run = DefaultToolExecutor(shared)
    assert run.tools is shared
    shared["get_weather"] = get_weather
    assert "Rome" in await run.execute("get_weather", {"city": "Rome"})


def test_tools_come_in_a_list_a_tuple_or_a_mapping_and_are_replaced_by_name() -> None:
    for tools in ([get_weather], (get_weather,), {"get_weather": get_weather}):
        run = DefaultToolExecutor(tools)
        other = run.add(Tool("get_weather", handler=lambda: "other"))
        assert dict(run.tools) == {"get_weather": other}


@pytest.mark.parametrize("keywords", [{"timeout_s": 0}, {"timeout_s": -1}, {"tools": [3]}, {"tools": ["get_weather"]}])
def test_a_bad_executor_is_refused_with_the_remedy(keywords: dict[str, Any]) -> None:
    with pytest.raises(PatterConfigError) as raised:
        DefaultToolExecutor(**keywords)
    assert raised.value.hint


def test_envelope_is_json_in_the_persons_own_script() -> None:
    error = ToolCallError("Où?", code="invalid_arguments", validation_errors=[FieldError("ville", "où", ["là"])])
    assert envelope(error) == (
        '{"error": "Où?", "fallback": true, "validation_errors": [{"field": "ville", "problem": "où", "allowed": ["là"]}]}'
    )
    assert json.loads(envelope(ToolError("Plain.", hint="Go on."))) == {"error": "Plain. Go on.", "fallback": True}


async def test_another_set_of_tools_leaves_the_executor_as_it_is() -> None:
    class Loud(DefaultToolExecutor):
        def __init__(self, mark: str, **options: Any) -> None:
            super().__init__(**options)
            self.mark = mark

        async def on_result(self, call: Invocation, result: Any) -> Any:
            return f"{result}{self.mark}"

    own: dict[str, Tool] = {}
    run = Loud("!", tools=own)
    hi = run.having([Tool("greet", handler=lambda: "hi")])
    bye = hi.having([Tool("greet", handler=lambda: "bye"), Tool("leave", handler=lambda: "left")])
    assert [await one.execute("greet", "") for one in (hi, bye, hi)] == ["hi!", "bye!", "hi!"]
    assert (list(run.tools), list(hi.tools), list(bye.tools), list(bye.having([]).tools)) == ([], ["greet"], ["greet", "leave"], [])
    own["late"] = Tool("late", handler=lambda: "in time")
    assert await bye.execute("late", "") == "in time!", "its own tools are its own, whenever they came"


async def test_a_record_of_failures_goes_with_the_tool() -> None:
    def fail() -> None:
        raise OSError("no")

    flaky, mended = Tool("flaky", handler=fail), Tool("flaky", handler=lambda: "up")
    run = DefaultToolExecutor(clock=ManualClock()).having([flaky])
    for _ in range(5):
        with pytest.raises(ToolCallError, match="no"):
            await run.execute("flaky", "")
    with pytest.raises(ToolCallError, match="paused"):
        await run.having([flaky, Tool("other", handler=fail)]).execute("flaky", "")
    assert await run.having([mended]).execute("flaky", "") == "up"
    with pytest.raises(ToolCallError, match="paused"):
        await run.execute("flaky", "")

"""Runs the tools that a language model calls: finds them by name, checks the arguments, bounds their time, and answers in text.

This is an edge: tools are other people's code and take real time. A call ends in exactly one of a text, a `ToolCallError`, or the
cancellation of whoever waits for it, whatever the tool does.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import difflib
import inspect
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from patter_nb.clock import Clock, SystemClock
from patter_nb.errors import PatterConfigError, ToolError
from patter_nb.tools.breaker import CircuitBreaker
from patter_nb.tools.outcome import ToolCallError, as_text
from patter_nb.tools.signature import ToolContext
from patter_nb.tools.tool import Tool
from patter_nb.tools.tool import tool as make_tool

MAX_RESULT_BYTES = 1024 * 1024
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.1, 300.0
CANCEL_GRACE_S = 0.25
"""How long a cancelled async tool may clean up before the call ends without it."""

_LONGEST_MESSAGE = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Invocation:
    """One tool call as the hooks see it: `arguments` as the model sent them ({} where they were no object), `tool` None if unknown."""

    name: str
    arguments: Mapping[str, Any]
    tool: Tool | None
    ctx: ToolContext


class DefaultToolExecutor:
    """Runs `tools`, which are `Tool`s or plain functions in a list or tuple, or a dict of `Tool`s by name, used as it is.

    `timeout_s` holds for tools that name no time of their own; both are kept within 0.1 and 300 seconds. A call runs once: a
    Python function is not known to be safe to repeat. After 5 failures in a row a tool is paused for 30 s of `clock`. To change
    what happens around a call, override `before_call`, `on_result`, `on_error`.
    """

    def __init__(
        self,
        tools: Iterable[Tool | Callable[..., Any]] | Mapping[str, Tool] = (),
        *,
        timeout_s: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        if not timeout_s > 0:
            raise PatterConfigError(f"A tool executor cannot work with timeout_s={timeout_s!r}.", hint="Pass seconds above 0.")
        now_ms = (SystemClock() if clock is None else clock).now_ms
        self.timeout_s = timeout_s
        self._breaker = CircuitBreaker(lambda: now_ms() / 1000.0)
        self._tools: dict[str, Tool] = tools if isinstance(tools, dict) else {}
        self._lent: dict[str, Tool] = {}
        self._left_over: set[asyncio.Task[Any]] = set()
        if not isinstance(tools, Mapping):
            for item in tools:
                self.add(item)
        elif self._tools is not tools:
            self._tools.update(tools)

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools by name."""
        return self._tools | self._lent if self._lent else self._tools

    def add(self, item: Tool | Callable[..., Any]) -> Tool:
        """Add a tool, in place of the one of the same name and without its record of failures."""
        added = item if isinstance(item, Tool) else make_tool(item)
        self._tools[added.name] = added
        self._breaker.forget(added.name)
        return added

    def having(self, tools: Iterable[Tool]) -> Self:
        """An executor like this one, with these tools beside its own, in place of those of an earlier `having`; this one stays as it is.

        It is a shallow copy: its own tools, and whatever else a subclass holds, are shared. A tool that is the same in both has
        one record of failures; the others begin without.
        """
        before, other = self.tools, copy.copy(self)
        other._lent = {item.name: item for item in tools}
        other._breaker = self._breaker.sharing(name for name, item in other.tools.items() if before.get(name) == item)
        return other

    async def execute(self, name: str, arguments: Mapping[str, Any] | str, ctx: ToolContext | None = None) -> str:
        """Run the tool `name` once and return the text for the model: a string as it is, anything else as JSON.

        `arguments` are a dict, or JSON text of an object; empty text is {}. Raises `ToolCallError`, whose `code` says why there is
        no result. Cancelling this cancels an async tool; a plain function cannot be stopped: its result is dropped.

        >>> asyncio.run(DefaultToolExecutor([Tool("double", handler=lambda n=1: 2 * n)]).execute("double", '{"n": "4"}'))
        '8'
        """
        tools = self.tools
        tool = tools.get(name)
        call = Invocation(name, {}, tool, ToolContext() if ctx is None else ctx)
        try:
            if tool is None:
                raise _unknown(name, tools)
            call = replace(call, arguments=_parsed(tool, arguments))
            return await self._attempt(call, tool)
        except ToolError as error:
            replacement = await self.on_error(call, error)
            if replacement is None:
                raise
            return replacement

    async def before_call(self, call: Invocation) -> None:
        """Called before the tool runs, its arguments checked. An exception refuses the call; a `ToolError` says why in its own words."""

    async def on_result(self, call: Invocation, result: Any) -> Any:
        """Called with what the tool returned, of any size; returns what the model is to read of it."""
        return result

    async def on_error(self, call: Invocation, error: ToolError) -> str | None:
        """Called with whatever kept a call from its result; a text is told to the model instead, None lets the error through."""

    async def _attempt(self, call: Invocation, tool: Tool) -> str:
        try:
            bound = tool.bind(call.arguments, call.ctx)
            await self.before_call(call)
            with self._breaker.calling(call.name):
                result = await self._within_time(tool, bound)
            text = as_text(await self.on_result(call, result))
        except ToolCallError:
            raise
        except Exception as error:  # the tool's and the hooks' own
            raise _failed(call.name, error) from error
        if (size := len(text.encode())) > MAX_RESULT_BYTES:
            raise ToolCallError(
                f"The result of the tool {call.name} has {size:,} bytes; a model is given at most {MAX_RESULT_BYTES:,}.",
                code="result_too_large",
                hint="Ask for less of it. In the tool, or in on_result, return a part or a summary.",
            )
        return text

    async def _within_time(self, tool: Tool, bound: Callable[[], Any]) -> Any:
        asked = self.timeout_s if tool.timeout_s is None else tool.timeout_s
        seconds = min(max(asked, SHORTEST_TIMEOUT_S), LONGEST_TIMEOUT_S)
        task = asyncio.get_running_loop().create_task(_result_of(tool, bound))
        try:
            await asyncio.wait((task,), timeout=seconds)
            if not task.done():
                raise ToolCallError(
                    f"The tool {tool.name} did not answer within {seconds:g} s.",
                    code="timeout",
                    hint="It may still be at work; do not call it again right away.",
                )
        finally:
            if not task.done():
                await self._cancel(tool.name, task)
        if task.cancelled():  # nobody cancelled the call, or wait() would have raised
            raise ToolCallError(f"The tool {tool.name} cancelled itself.", code="failed")
        return task.result()

    async def _cancel(self, name: str, task: asyncio.Task[Any]) -> None:
        """Cancel `task` and give it a moment to clean up; one that goes on has its outcome logged, whenever it comes."""

        def ended(task: asyncio.Task[Any]) -> None:
            self._left_over.discard(task)
            if not task.cancelled():
                _log_late(name, task.exception())

        self._left_over.add(task)  # the loop alone does not keep it alive
        task.add_done_callback(ended)
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_GRACE_S)


async def _result_of(tool: Tool, bound: Callable[[], Any]) -> Any:
    result: Any = bound() if tool.is_async else await _on_own_thread(tool.name, bound)
    return await result if inspect.isawaitable(result) else result


async def _on_own_thread(name: str, work: Callable[[], Any]) -> Any:
    """`work()` on a daemon thread, with this task's context variables.

    A thread cannot be killed. One of the loop's pool would, when it hangs, keep `asyncio.run` and the process from ending.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def deliver(value: Any, error: BaseException | None) -> None:
        if outcome.done():
            _log_late(name, error)
        else:
            outcome.set_result((value, error))  # not set_exception, which refuses StopIteration

    def run() -> None:
        value, error = None, None
        try:
            value = context.run(work)
        except BaseException as raised:  # noqa: BLE001  # raised again by the call, if it still waits
            error = raised
        try:
            loop.call_soon_threadsafe(deliver, value, error)
        except RuntimeError:  # the loop is closed
            _log_late(name, error)

    context = contextvars.copy_context()
    threading.Thread(target=run, name=f"tool {name}", daemon=True).start()
    value, error = await outcome
    if error is not None:
        raise error
    return value


def _log_late(name: str, error: BaseException | None) -> None:
    _log.warning("The tool %s ended after its call had; its outcome is dropped.", name, exc_info=error)


def _unknown(name: str, tools: Iterable[str]) -> ToolCallError:
    known = list(tools)
    near = difflib.get_close_matches(str(name)[:64], known, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    there_are = f"The tools are: {', '.join(known)}." if known else "There are no tools: answer without."
    return ToolCallError(f"There is no tool {str(name)[:64]!r}.", code="unknown_tool", hint=guess + there_are)


def _parsed(tool: Tool, arguments: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """`arguments` as an object. Raises `ToolCallError` (invalid_arguments) for text that is no JSON, and for JSON that is no object."""
    remedy = f"Send one JSON object that fits {json.dumps(tool.parameters, ensure_ascii=False)}."
    try:
        value = json.loads(arguments.strip() or "{}", parse_constant=_refuse) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError) as error:
        raise ToolCallError(f"The arguments of {tool.name} are no JSON: {error}.", code="invalid_arguments", hint=remedy) from error
    if not isinstance(value, Mapping):
        raise ToolCallError(f"The arguments of {tool.name} are {as_text(value)[:80]}, no object.", code="invalid_arguments", hint=remedy)
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _failed(name: str, error: Exception) -> ToolCallError:
    """The tool's own words, where it raised a `ToolError`; else the type and message of what it raised, without a traceback."""
    if isinstance(error, ToolError):
        return ToolCallError(error.message, code="failed", hint=error.hint)
    told = "".join(traceback.format_exception_only(error)).strip()
    return ToolCallError(f"The tool {name} failed: {told[:_LONGEST_MESSAGE]}", code="failed")

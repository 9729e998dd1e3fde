"""Runs the tools that a language model calls: finds them by name, checks the arguments, bounds their time, and answers in text.

This is an edge: tools are other people's code and take real time. A call ends in exactly one of a text, a `ToolCallError`, or the
cancellation of whoever waits for it, whatever the tool does.
"""

from __future__ import annotations

import asyncio
import copy
import difflib
import inspect
import json
import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from patter_nb.clock import Clock, SystemClock
from patter_nb.errors import PatterConfigError, ToolError
from patter_nb.tools.breaker import CircuitBreaker
from patter_nb.tools.off_loop import log_late, on_own_thread
from patter_nb.tools.outcome import ToolCallError, as_text
from patter_nb.tools.signature import ToolContext
from patter_nb.tools.tool import Tool
from patter_nb.tools.tool import tool as make_tool
from patter_nb.tools.url_guard import UrlGuard
from patter_nb.tools.webhook import WebhookFailed, Webhooks, body_of

if TYPE_CHECKING:
    import httpx

MAX_RESULT_BYTES = 1024 * 1024
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.1, 300.0
CANCEL_GRACE_S = 0.25
"""How long a cancelled async tool may clean up before the call ends without it."""

FIRST_RETRY_S, LONGEST_RETRY_S, JITTER_S = 0.5, 5.0, 0.06
"""A webhook is asked again after 0.5, 1, 2, ... at most 5 seconds, and up to 60 ms more, so that many callers do not come at once."""

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

    `timeout_s` holds for tools that name no time of their own; both are kept within 0.1 and 300 seconds. A Python function runs
    once: it is not known to be safe to repeat. A webhook that could not be reached, or whose server was busy or failed (408, 425,
    429, 500, 502, 503, 504), is asked up to `max_retries` times more, each within its own `timeout_s`; one that took too long is
    not asked again. `allow_hosts` names hosts that webhooks may be at though they are not public: "localhost", "127.0.0.1:8080".

    After 5 failed calls in a row a tool is paused for 30 s of `clock`. `sleep` waits for seconds between attempts, `chance` gives
    their jitter as a number within 0 and 1. To change what happens around a call, override `before_call`, `authenticate`,
    `on_result`, `on_error`, `on_retry`.
    """

    def __init__(
        self,
        tools: Iterable[Tool | Callable[..., Any]] | Mapping[str, Tool] = (),
        *,
        timeout_s: float = 10.0,
        max_retries: int = 2,
        allow_hosts: Iterable[str] = (),
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not timeout_s > 0:
            raise PatterConfigError(f"A tool executor cannot work with timeout_s={timeout_s!r}.", hint="Pass seconds above 0.")
        if not isinstance(max_retries, int) or max_retries < 0:
            raise PatterConfigError(f"A tool executor cannot work with max_retries={max_retries!r}.", hint="Pass 0, 1, 2, ...")
        now_ms = (SystemClock() if clock is None else clock).now_ms
        self.timeout_s = timeout_s
        self.max_retries = max_retries
        self._webhooks = Webhooks(UrlGuard(allow_hosts))
        self._sleep, self._chance = sleep, chance
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

    async def authenticate(self, request: httpx.Request) -> None:
        """Called with each request to a webhook, before it is sent; it may add headers: `request.headers["Authorization"] = ...`.

        They do not go along when the server redirects to another origin.
        """

    async def on_retry(self, call: Invocation, error: ToolError, attempt: int, wait_s: float) -> None:
        """Called before the wait of `wait_s` seconds that follows failed attempt `attempt` (from 1) of a webhook."""

    async def on_result(self, call: Invocation, result: Any) -> Any:
        """Called with what the tool returned, of any size; returns what the model is to read of it."""
        return result

    async def on_error(self, call: Invocation, error: ToolError) -> str | None:
        """Called with whatever kept a call from its result; a text is told to the model instead, None lets the error through."""

    async def aclose(self) -> None:
        """Close the connections to webhooks, also of the executors made from this one by `having`; a later call opens new ones."""
        await self._webhooks.aclose()

    async def _attempt(self, call: Invocation, tool: Tool) -> str:
        try:
            bound = tool.bind(call.arguments, call.ctx)
            await self.before_call(call)
            with self._breaker.calling(call.name):
                if tool.webhook_url is None:
                    result = await self._within_time(tool, _result_of(tool, bound))
                else:
                    result = await self._post(call, tool, tool.webhook_url, bound())
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

    async def _post(self, call: Invocation, tool: Tool, url: str, arguments: Mapping[str, Any]) -> Any:
        attempt = 0
        while True:
            attempt += 1
            body = body_of(call.name, arguments, call.ctx, attempt)
            try:
                return await self._within_time(tool, self._webhooks.call(call.name, url, body, self.authenticate))
            except WebhookFailed as error:
                if not error.again or attempt > self.max_retries:
                    raise
                wait_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** (attempt - 1)) + JITTER_S * self._chance()
                await self.on_retry(call, error, attempt, wait_s)
            await self._sleep(wait_s)

    async def _within_time(self, tool: Tool, work: Coroutine[Any, Any, Any]) -> Any:
        asked = self.timeout_s if tool.timeout_s is None else tool.timeout_s
        seconds = min(max(asked, SHORTEST_TIMEOUT_S), LONGEST_TIMEOUT_S)
        task = asyncio.get_running_loop().create_task(work)
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
                log_late(f"tool {name}", task.exception())

        self._left_over.add(task)  # the loop alone does not keep it alive
        task.add_done_callback(ended)
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_GRACE_S)


async def _result_of(tool: Tool, bound: Callable[[], Any]) -> Any:
    result: Any = bound() if tool.is_async else await on_own_thread(f"tool {tool.name}", bound)
    return await result if inspect.isawaitable(result) else result


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

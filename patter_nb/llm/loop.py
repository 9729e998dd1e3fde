"""A language model and its tools, without a session: ask, run what it calls, ask again, until it answers in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from patter_nb.clock import Clock
from patter_nb.errors import MalformedStream, ToolError
from patter_nb.llm.base import LLMChunk, LLMProvider, Message, as_chunk, name_of, open_stream
from patter_nb.llm.rounds import MAX_ROUNDS, Round, ToolRequest, assistant_message, call_ids, requests_of, take, tool_message
from patter_nb.tasks import closing, is_cancelled
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.outcome import ToolCallError, as_text, envelope
from patter_nb.tools.signature import ToolContext
from patter_nb.tools.tool import Tool, tool
from patter_nb.turns import ToolCall, parsed_arguments


class LLMLoop:
    """Asks `llm` and runs the tools it calls, concurrently within a round, for at most `max_rounds` requests a turn.

    The last round is asked without tools, so that it ends in words. A tool that fails is told to the model, which goes on.
    """

    def __init__(
        self,
        llm: LLMProvider,
        *,
        system_prompt: str = "",
        tools: Iterable[Tool | Callable[..., Any]] = (),
        executor: DefaultToolExecutor | None = None,
        max_rounds: int = MAX_ROUNDS,
    ) -> None:
        self.llm = llm
        self.system_prompt = system_prompt
        self.tools = tuple(item if isinstance(item, Tool) else tool(item) for item in tools)
        self.executor = executor_of(self.tools, executor)
        self.max_rounds = max_rounds

    async def run(
        self, user_text: str, history: Sequence[Message] = (), *, cancel_event: asyncio.Event | None = None
    ) -> AsyncIterator[LLMChunk | ToolCall]:
        """One turn: the model's chunks as they come, and each tool call twice, when it starts and when it has ended.

        `history` is OpenAI-shaped and does not hold `user_text`. Setting `cancel_event` ends the turn: no tool runs that was
        not complete, and those that run are cancelled. Raises what the provider raises, and `MalformedStream` when the model
        says nothing or never stops calling tools.

        >>> async for item in LLMLoop(llm, tools=[get_weather]).run("Is it raining in Rome?"): ...    # doctest: +SKIP
        """
        system: list[Message] = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        messages: list[Message] = [*system, *history, {"role": "user", "content": user_text}]
        for number in range(1, self.max_rounds + 1):
            round = Round(number)
            specs = [item.spec() for item in self.tools] if number < self.max_rounds else None
            async with closing(self._stream(messages, specs, cancel_event)) as chunks:
                async for chunk in chunks:
                    round = take(round, chunk)
                    yield chunk
            if cancel_event is not None and cancel_event.is_set():
                return
            requests = requests_of(round, prefix="call", taken=call_ids(messages))
            if not requests:
                self._require_words(round)
                return
            if number == self.max_rounds:
                break
            messages.append(assistant_message(round.text, requests))
            calls = [ToolCall(request.id, request.name, parsed_arguments(request.arguments)) for request in requests]
            for call in calls:
                yield call
            outcomes = await self._run_calls(requests, ToolContext(history=tuple(messages)), cancel_event)
            if outcomes is None:
                for call in calls:
                    yield replace(call, error="cancelled", status="cancelled")
                return
            for request, call, (content, error) in zip(requests, calls, outcomes, strict=True):
                messages.append(tool_message(request, content))
                yield replace(call, result=None if error else content, error=error, status="failed" if error else "completed")
        raise MalformedStream(
            f"The model still calls tools after {self.max_rounds} rounds.", hint="Say in the prompt when to stop calling tools."
        )

    async def _stream(
        self, messages: list[Message], specs: list[dict[str, Any]] | None, cancel_event: asyncio.Event | None
    ) -> AsyncIterator[LLMChunk]:
        async with closing(open_stream(self.llm, messages, specs, cancel_event=cancel_event, call_id=None)) as stream:
            async for value in stream:
                chunk = as_chunk(value, provider=name_of(self.llm)[0])
                yield chunk
                if chunk.type == "done":
                    return

    async def _run_calls(
        self, requests: Sequence[ToolRequest], context: ToolContext, cancel_event: asyncio.Event | None
    ) -> list[tuple[str, str | None]] | None:
        """What the calls came to, in their order; None when `cancel_event` was set before they all had ended."""
        running = asyncio.gather(*(run_call(self.executor, request, context) for request in requests))
        if cancel_event is None:
            return await running
        cancelled = asyncio.ensure_future(cancel_event.wait())
        try:
            await asyncio.wait((running, cancelled), return_when=asyncio.FIRST_COMPLETED)
            return None if cancel_event.is_set() else running.result()
        finally:
            running.cancel()
            cancelled.cancel()
            await asyncio.gather(running, cancelled, return_exceptions=True)

    def _require_words(self, round: Round) -> None:
        if round.empty and round.finish_reason != "content_filter":
            raise MalformedStream("The model answered with nothing.", provider=name_of(self.llm)[0], hint="Ask again, or check the prompt.")


async def run_call(executor: DefaultToolExecutor, request: ToolRequest, context: ToolContext) -> tuple[str, str | None]:
    """Run one call: what the model reads of it, and the error if it failed. An executor of one's own may raise anything."""
    try:
        return as_text(await executor.execute(request.name, request.arguments, context)), None
    except ToolError as error:
        return envelope(error), str(error)
    except (Exception, asyncio.CancelledError) as error:  # told to the model and to the log
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        failure = ToolCallError(f"The tool executor failed: {type(error).__name__}: {error}", code="failed")
        return envelope(failure), str(failure)


def executor_of(tools: Iterable[Tool], executor: DefaultToolExecutor | None, clock: Clock | None = None) -> DefaultToolExecutor:
    """The executor that was given, with `tools` added to its own; or one for `tools`."""
    if executor is None:
        return DefaultToolExecutor(tools, clock=clock)
    for item in tools:
        executor.add(item)
    return executor

"""A language model and its tools, without a session: ask, run what it calls, ask again, until it answers in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from patter_nb.errors import PatterConfigError, PatterError, ToolError
from patter_nb.llm.base import LLMChunk, LLMProvider, Message, as_chunk, name_of, open_stream
from patter_nb.llm.rounds import MAX_ROUNDS, Round, ToolRequest, assistant_message, call_ids, requests_of, take, tool_message, verdict
from patter_nb.tasks import closing, is_cancelled
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.outcome import ToolCallError, as_text, envelope
from patter_nb.tools.signature import ToolContext
from patter_nb.tools.tool import Tool, tool
from patter_nb.turn import ToolCall, parsed_arguments

Outcome = TypeVar("Outcome")

_END: Final = object()
_CANCELLED = LLMChunk("done", finish_reason="cancelled")


class LLMLoop:
    """Asks `llm` and runs the tools it calls, concurrently within a round, for at most `max_rounds` requests a turn.

    The last round is asked without tools, so that it ends in words. A tool that fails is told to the model, which goes on.
    `executor` runs `tools`, and stays as it is: what runs them here is its `having`. Raises `PatterConfigError` for another kind.
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
        self.executor = _executor_of(self.tools, executor)
        self.max_rounds = max_rounds

    async def run(
        self, user_text: str, history: Sequence[Message] = (), *, cancel_event: asyncio.Event | None = None
    ) -> AsyncIterator[LLMChunk | ToolCall]:
        """One turn: the model's chunks as they come, and each tool call twice, when it starts and when it has ended.

        `history` is OpenAI-shaped and does not hold `user_text`. Setting `cancel_event` ends the turn, with done("cancelled")
        if the model was still at it: no tool runs that was not complete, and those that run are cancelled. Raises what the
        provider raises; `TruncatedStream` or `ContentFiltered` for an answer that was cut off (see `rounds.verdict`);
        `MalformedStream` when the model says nothing or never stops calling tools.

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
            judged = verdict(round, max_rounds=self.max_rounds, provider=name_of(self.llm)[0])
            if isinstance(judged, PatterError):
                raise judged
            if judged == "words":
                return
            requests = requests_of(round, prefix="call", taken=call_ids(messages))
            messages.append(assistant_message(round.text, requests, round.extras))
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

    async def _stream(
        self, messages: list[Message], specs: list[dict[str, Any]] | None, cancel_event: asyncio.Event | None
    ) -> AsyncIterator[LLMChunk]:
        async with closing(open_stream(self.llm, messages, specs, cancel_event=cancel_event, call_id=None)) as stream:
            while (value := await _unless_set(cancel_event, anext(stream, _END))) is not _END:
                cancelled = cancel_event is not None and cancel_event.is_set()  # the provider may not have looked
                chunk = _CANCELLED if cancelled else as_chunk(value, provider=name_of(self.llm)[0])
                yield chunk
                if chunk.type == "done":
                    return

    async def _run_calls(
        self, requests: Sequence[ToolRequest], context: ToolContext, cancel_event: asyncio.Event | None
    ) -> list[tuple[str, str | None]] | None:
        """What the calls came to, in their order; None when `cancel_event` was set before they all had ended."""
        return await _unless_set(cancel_event, asyncio.gather(*(run_call(self.executor, request, context) for request in requests)))


async def _unless_set(cancel_event: asyncio.Event | None, work: Awaitable[Outcome]) -> Outcome | None:
    """The outcome of `work`; or None when the event was set before, or at the same time: then `work` is cancelled and has ended."""
    if cancel_event is None:
        return await work
    running, cancelled = asyncio.ensure_future(work), asyncio.ensure_future(cancel_event.wait())
    try:
        await asyncio.wait((running, cancelled), return_when=asyncio.FIRST_COMPLETED)
        return None if cancel_event.is_set() else running.result()
    finally:
        running.cancel()
        cancelled.cancel()
        await asyncio.gather(running, cancelled, return_exceptions=True)


async def run_call(executor: DefaultToolExecutor, request: ToolRequest, context: ToolContext) -> tuple[str, str | None]:
    """Run one call: what the model reads of it, and the error if it failed. An executor of one's own may raise anything."""
    if not request.whole:
        cut = f"The arguments of {request.name} did not arrive: {request.arguments[:80]!r} is no JSON."
        missing = ToolCallError(cut, code="invalid_arguments", hint="Call it again, with one JSON object.")
        return envelope(missing), str(missing)
    try:
        return as_text(await executor.execute(request.name, request.arguments, context)), None
    except ToolError as error:
        return envelope(error), str(error)
    except (Exception, asyncio.CancelledError) as error:  # told to the model and to the log
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        failure = ToolCallError(f"The tool executor failed: {type(error).__name__}: {error}", code="failed")
        return envelope(failure), str(failure)


def _executor_of(tools: Iterable[Tool], executor: DefaultToolExecutor | None) -> DefaultToolExecutor:
    if executor is None:
        return DefaultToolExecutor(tools)
    if not isinstance(executor, DefaultToolExecutor):
        kind = type(executor).__name__
        raise PatterConfigError(f"executor is {kind}, no tool executor.", hint="Pass a DefaultToolExecutor or a subclass of it.")
    return executor.having(tools)

"""The stage that thinks: checks the person's words, streams the model's answer, runs tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from patter_nb.agent import Agent
from patter_nb.errors import MalformedStream, PatterConfigError
from patter_nb.llm.base import LLMChunk, Message, as_chunk, name_of, open_stream
from patter_nb.llm.loop import run_call
from patter_nb.llm.on_message import OnMessageLLM
from patter_nb.llm.rounds import merge_neighbours
from patter_nb.llm.wire.recording import recording
from patter_nb.pipeline.door import Door, resolved, within
from patter_nb.pipeline.guarding import Reading, first_hit
from patter_nb.pipeline.recording import recorder_for
from patter_nb.step.effects import AskLLM, CheckWords, RunTool
from patter_nb.step.inputs import ChunkArrived, StreamEnded, ToolFinished, WordsChecked
from patter_nb.tasks import closing
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.signature import ToolContext

MAX_CHUNKS = 100_000
"""A stream of more chunks is no answer, whatever they hold: words, thoughts or arguments of a call."""


class Thinker:
    """Thinks for one session. Each method that starts something answers through the door, with the epoch it was asked in."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._stream: asyncio.Task[None] | None = None
        self._cancelled = asyncio.Event()
        self._checks: set[asyncio.Task[None]] = set()
        self._tools: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._equipped: Agent | None = None
        self._executor = DefaultToolExecutor()
        self._opened: dict[int, DefaultToolExecutor | OnMessageLLM] = {}

    @property
    def busy(self) -> bool:
        """Whether a check, a stream or a tool is under way."""
        streaming = self._stream is not None and not self._stream.done()
        return streaming or any(not task.done() for task in (*self._checks, *self._tools.values()))

    def check(self, asked: CheckWords) -> None:
        """Run hooks and input guardrails on the person's words."""
        self._checks = {task for task in self._checks if not task.done()}
        self._checks.add(self._door.tasks.spawn(self._check(asked), "checking words"))

    async def _check(self, asked: CheckWords) -> None:
        agent, context = self._door.agent, self._door.context(asked.turn)
        text: str | None = asked.text
        with self._door.reporting("hook", asked.epoch):
            if agent.hooks.after_transcribe is not None:
                text = await resolved(agent.hooks.after_transcribe(text, context))
            if text is not None and not isinstance(text, str):
                raise PatterConfigError(f"after_transcribe returned {type(text).__name__}.", hint="Return the words, or None for no turn.")
            if text is None:
                self._door.feed(WordsChecked(asked.epoch, None))
                return
            with within("guardrail"):
                hit = await first_hit(agent.guardrails, "input", Reading(text))
            messages = merge_neighbours((*asked.before, {"role": "user", "content": text}))
            if hit is None and agent.hooks.before_llm is not None:
                messages = _messages(await resolved(agent.hooks.before_llm([dict(m) for m in messages], context)), messages)
            self._door.feed(WordsChecked(asked.epoch, text, messages, hit))

    def ask(self, asked: AskLLM) -> None:
        """Stream the model's answer."""
        self.close_stream()
        self._cancelled = asyncio.Event()
        self._stream = self._door.tasks.spawn(self._ask(asked, self._cancelled), "language model")

    async def _ask(self, asked: AskLLM, cancelled: asyncio.Event) -> None:
        agent = self._door.agent
        with self._door.reporting("llm", asked.epoch), recording(recorder_for(self._door, asked.turn, asked.round)):
            if agent.llm is None:
                raise PatterConfigError("The agent has no language model.", hint="Set one: session.llm = LocalLLM().")
            if isinstance(agent.llm, OnMessageLLM):
                self._opened[id(agent.llm)] = agent.llm
            specs = [tool.spec() for tool in agent.tools] if asked.with_tools else None
            stream = open_stream(agent.llm, asked.messages, specs, cancel_event=cancelled, call_id=self._door.call_id)
            async with closing(stream):
                await self._forward(stream, asked, name_of(agent.llm)[0])

    async def _forward(self, stream: AsyncIterator[object], asked: AskLLM, provider: str) -> None:
        after = self._door.agent.hooks.after_llm
        held: list[str] = []
        chunks = 0
        async for value in stream:
            chunk = as_chunk(value, provider=provider)
            chunks += 1
            if chunks > MAX_CHUNKS:
                hint = "Set the provider's token limit."
                raise MalformedStream(f"The answer has more than {MAX_CHUNKS} chunks and was cut off.", provider=provider, hint=hint)
            if chunk.type == "done":
                await self._release(held, asked)
                self._door.feed(ChunkArrived(asked.epoch, asked.round, chunk))
                break
            if chunk.type == "text" and after.on_chunk is not None:
                with within("hook"):
                    chunk = replace(chunk, content=_text(after.on_chunk(chunk.content or ""), chunk.content))
            if chunk.type == "text" and after.on_response is not None:
                held.append(chunk.content or "")
            else:
                self._door.feed(ChunkArrived(asked.epoch, asked.round, chunk))
        else:
            await self._release(held, asked)
        self._door.feed(StreamEnded(asked.epoch, asked.round))

    async def _release(self, held: list[str], asked: AskLLM) -> None:
        if held and (on_response := self._door.agent.hooks.after_llm.on_response) is not None:
            whole = "".join(held)
            with within("hook"):
                changed = _text(await resolved(on_response(whole, self._door.context(asked.turn))), whole)
            self._door.feed(ChunkArrived(asked.epoch, asked.round, LLMChunk("text", content=changed)))

    def close_stream(self) -> None:
        """Want nothing more of the running stream: its connection is closed."""
        self._cancelled.set()
        if self._stream is not None:
            self._stream.cancel()

    def cancel(self) -> None:
        """Give up checks and the stream; tools have their own way."""
        self.close_stream()
        for task in self._checks:
            task.cancel()

    def run_tool(self, asked: RunTool) -> None:
        """Run one tool call."""
        self._tools = {key: task for key, task in self._tools.items() if not task.done()}
        self._tools[asked.turn, asked.request.id] = self._door.tasks.spawn(self._run_tool(asked), f"tool {asked.request.name}")

    async def _run_tool(self, asked: RunTool) -> None:
        request = asked.request
        context = ToolContext(call_id=self._door.call_id, history=self._door.history(), variables=self._door.agent.variables)
        content, error = await run_call(self._equip(), request, context)
        self._door.feed(ToolFinished(asked.turn, request.id, "failed" if error else "completed", content, error))

    def _equip(self) -> DefaultToolExecutor:
        """The executor of the agent of the moment; calls that run keep theirs."""
        agent = self._door.agent
        before, self._equipped = self._equipped, agent
        if before is None or agent.executor is not before.executor:
            executor = DefaultToolExecutor(clock=self._door.clock) if agent.executor is None else agent.executor
            self._executor = executor.having(agent.tools)
            if isinstance(executor, DefaultToolExecutor):  # one of one's own needs no more than to execute
                self._opened[id(executor)] = executor
        elif agent.tools != before.tools:
            self._executor = self._executor.having(agent.tools)
        return self._executor

    def cancel_tool(self, turn: int, id: str) -> None:
        """Give up a running call."""
        task = self._tools.pop((turn, id), None)
        if task is not None:
            task.cancel()

    async def aclose(self) -> None:
        """Close the connections of tools and of `on_message`. Language models keep theirs: they are not this session's alone."""
        for opened in self._opened.values():
            await opened.aclose()


def _messages(changed: object, unchanged: tuple[Message, ...]) -> tuple[Message, ...]:
    if changed is None:
        return unchanged
    if isinstance(changed, (list, tuple)) and changed and all(isinstance(message, dict) and "role" in message for message in changed):
        return tuple(changed)
    raise PatterConfigError(f"before_llm returned {type(changed).__name__}.", hint="Return a list of messages, or None to keep them.")


def _text(changed: object, unchanged: str | None) -> str:
    return changed if isinstance(changed, str) else unchanged or ""

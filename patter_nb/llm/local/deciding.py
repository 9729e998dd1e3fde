"""A model whose chat template takes tools decides for itself: its own template, its own tool calls, its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

from patter_nb.llm.base import FinishReason, LLMChunk, Message, ToolSpec
from patter_nb.llm.local.runtime import Runtime
from patter_nb.llm.local.strategy import Emit, Tally

_MAX_TOKENS: Final = 512
_FINISH: Final[Mapping[str, FinishReason]] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


class Deciding:
    """Passes messages and tools to the model as they are. `max_tokens` bounds one answer."""

    def __init__(self, runtime: Runtime, model: str, *, max_tokens: int = _MAX_TOKENS) -> None:
        self._runtime = runtime
        self._model = model
        self._max_tokens = max_tokens
        self._ids = count(1)

    def warm(self, tools: Sequence[ToolSpec]) -> None:
        self._runtime.chat(_body([{"role": "user", "content": ""}], tools, 1), lambda event: True)

    def answer(self, messages: Sequence[Message], tools: Sequence[ToolSpec], emit: Emit) -> None:
        finish: FinishReason = "stop"
        tally = Tally()

        def on_event(event: Mapping[str, Any]) -> bool:
            nonlocal finish
            _count(event, tally)
            for choice in event.get("choices", ()):
                finish = _FINISH.get(choice.get("finish_reason") or "", finish)
                if any([emit(chunk) for chunk in self._chunks(choice.get("delta", {}))]):
                    return True
            return False

        self._runtime.chat(_body(messages, tools, self._max_tokens), on_event)
        emit(tally.usage(self._model))
        emit(LLMChunk("done", finish_reason=finish))

    def _chunks(self, delta: Mapping[str, Any]) -> list[LLMChunk]:
        """The chunks of one OpenAI-shaped delta; a tool call that llama.cpp gives no id gets one."""
        chunks: list[LLMChunk] = []
        if delta.get("reasoning_content"):
            chunks.append(LLMChunk("reasoning", content=delta["reasoning_content"]))
        if delta.get("content"):
            chunks.append(LLMChunk("text", content=delta["content"]))
        for call in delta.get("tool_calls") or ():
            function = call.get("function", {})
            name = function.get("name")
            known = call.get("id") or (f"local_{next(self._ids)}" if name else None)
            chunks.append(LLMChunk("tool_call", index=call.get("index", 0), id=known, name=name, arguments=function.get("arguments")))
        return chunks


def _body(messages: Sequence[Message], tools: Sequence[ToolSpec], max_tokens: int) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": list(messages), "max_tokens": max_tokens}
    if tools:
        body["tools"] = [{"type": "function", "function": tool["function"]} for tool in tools]
    return body


def _count(event: Mapping[str, Any], tally: Tally) -> None:
    if usage := event.get("usage"):
        tally.cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        tally.input = usage["prompt_tokens"] - tally.cached
        tally.output = usage["completion_tokens"]

"""The seam between the two ways a local model answers, and the small things both need from OpenAI-shaped messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from patter_nb.llm.base import LLMChunk, Message, ToolSpec
from patter_nb.llm.local.runtime import Completion

Emit: TypeAlias = Callable[[LLMChunk], bool]
"""Hands a chunk over; True when nobody wants another."""


class Strategy(Protocol):
    """How a loaded model answers. Both methods block and run on the model's own thread."""

    def warm(self, tools: Sequence[ToolSpec]) -> None:
        """Compute ahead what every request with `tools` shares."""
        ...

    def answer(self, messages: Sequence[Message], tools: Sequence[ToolSpec], emit: Emit) -> None:
        """Emit the chunks of one answer: (text | reasoning | tool_call)* usage done."""
        ...


@dataclass(slots=True)
class Tally:
    """Tokens that the model ran for one answer."""

    input: int = 0
    cached: int = 0
    output: int = 0

    def add(self, completion: Completion) -> None:
        self.input += completion.prompt_tokens
        self.cached += completion.cached_tokens
        self.output += completion.output_tokens

    def usage(self, model: str) -> LLMChunk:
        return LLMChunk(
            "usage",
            input_tokens=self.input,
            output_tokens=self.output,
            cache_read_tokens=self.cached,
            provider="local",
            model=model,
            estimated=False,
        )


def text_of(message: Message) -> str:
    """The text of a message whose content is a string, a list of parts, or None."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    return str(content or "")

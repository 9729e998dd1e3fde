"""The strategy for models that decide by themselves, on events as llama.cpp streams them; no such model is small enough to come along."""

from collections.abc import Callable, Mapping
from typing import Any

from patter_nb.llm.base import LLMChunk
from patter_nb.llm.local.deciding import Deciding

TOOL = {"type": "function", "function": {"name": "ring", "description": "Ring.", "parameters": {}}, "x-examples": [{"text": "ring"}]}


class ScriptedRuntime:
    """Answers every chat with the same events and keeps what it was asked."""

    def __init__(self, *events: Mapping[str, Any]) -> None:
        self.events = events
        self.asked: list[Mapping[str, Any]] = []

    def chat(self, body: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], bool]) -> None:
        self.asked.append(body)
        for event in self.events:
            if on_event(event):
                return


def delta(finish: str | None = None, **content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 20}}}


def answer(runtime: ScriptedRuntime, *, wanted: int = 100) -> list[LLMChunk]:
    chunks: list[LLMChunk] = []

    def emit(chunk: LLMChunk) -> bool:
        chunks.append(chunk)
        return len(chunks) >= wanted

    Deciding(runtime, "big.gguf").answer([{"role": "user", "content": "ring"}], [TOOL], emit)  # type: ignore[arg-type]
    return chunks


def test_text_usage_and_the_end() -> None:
    chunks = answer(ScriptedRuntime(delta(role="assistant"), delta(content="Hello"), delta(content=" there"), delta("length"), USAGE))
    assert [chunk.type for chunk in chunks] == ["text", "text", "usage", "done"]
    assert "".join(chunk.content or "" for chunk in chunks) == "Hello there"
    assert (chunks[2].input_tokens, chunks[2].cache_read_tokens, chunks[2].output_tokens, chunks[2].estimated) == (10, 20, 4, False)
    assert chunks[3].finish_reason == "length"


def test_a_tool_call_comes_in_fragments() -> None:
    first = {"index": 0, "id": "c1", "function": {"name": "ring", "arguments": ""}}
    chunks = answer(
        ScriptedRuntime(
            delta(tool_calls=[first]), delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]), delta("tool_calls"), USAGE
        )
    )
    calls = [chunk for chunk in chunks if chunk.type == "tool_call"]
    assert [(call.id, call.name, call.arguments) for call in calls] == [("c1", "ring", ""), (None, None, "{}")]
    assert chunks[-1].finish_reason == "tool_calls"


def test_a_tool_call_without_an_id_gets_one() -> None:
    chunks = answer(ScriptedRuntime(delta(tool_calls=[{"index": 0, "function": {"name": "ring", "arguments": "{}"}}]), USAGE))
    assert chunks[0].id


def test_reasoning_is_told_apart() -> None:
    chunks = answer(ScriptedRuntime(delta(reasoning_content="hm"), delta(content="yes"), USAGE))
    assert [(chunk.type, chunk.content) for chunk in chunks[:2]] == [("reasoning", "hm"), ("text", "yes")]


def test_the_model_stops_when_nobody_listens() -> None:
    runtime = ScriptedRuntime(*[delta(content="word ") for _ in range(50)])
    assert [chunk.type for chunk in answer(runtime, wanted=2)][:3] == ["text", "text", "usage"]


def test_the_model_gets_the_tools_without_their_examples() -> None:
    runtime = ScriptedRuntime(USAGE)
    answer(runtime)
    assert runtime.asked[0]["tools"] == [{"type": "function", "function": TOOL["function"]}]

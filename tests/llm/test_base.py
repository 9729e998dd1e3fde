"""The chunk that all models speak, and how a provider is called that takes less, or yields more, than the protocol says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.errors import MalformedStream
from patter_nb.llm.base import LLMChunk, LLMProvider, as_chunk, name_of, open_stream, warm
from patter_nb.testing import ScriptedLLM

TEXTS = st.none() | st.text()
COUNTS = st.none() | st.integers(0)


def test_a_chunk_is_a_value_and_omits_what_is_none() -> None:
    assert LLMChunk("text", content="a") == LLMChunk("text", content="a")
    assert LLMChunk("done").to_dict() == {"type": "done"}
    assert LLMChunk("usage", input_tokens=0, estimated=False).to_dict() == {"type": "usage", "input_tokens": 0, "estimated": False}


@given(st.sampled_from(["text", "reasoning", "tool_call", "usage", "done"]), TEXTS, COUNTS, TEXTS, TEXTS, TEXTS, COUNTS)
def test_a_chunk_and_its_dict_are_the_same(
    kind: Any, content: str | None, index: int | None, id: str | None, name: str | None, arguments: str | None, n: int | None
) -> None:
    chunk = LLMChunk(kind, content, index, id, name, arguments, input_tokens=n)
    assert as_chunk(chunk) is chunk
    assert as_chunk(chunk.to_dict()) == chunk
    assert as_chunk({**chunk.to_dict(), "vendor": {"x": 1}, "model": None}) == chunk


def test_text_is_a_text_chunk() -> None:
    assert as_chunk("Hi") == LLMChunk("text", content="Hi")


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        b"Hi",
        ["Hi"],
        {},
        {"content": "Hi"},
        {"type": "words"},
        {"type": None},
        {"type": ["text"]},
        LLMChunk("words"),  # type: ignore[arg-type]
        LLMChunk("text", content=5),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_chunk_is_refused_with_the_remedy(value: object) -> None:
    with pytest.raises(MalformedStream, match=r"is no chunk.*Yield LLMChunk") as raised:
        as_chunk(value, provider="mine")
    assert raised.value.provider == "mine"


def test_a_long_value_is_told_in_short() -> None:
    with pytest.raises(MalformedStream) as raised:
        as_chunk(["x" * 10_000])
    assert len(str(raised.value)) < 400


async def texts(stream: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in stream]


async def test_a_provider_is_called_with_what_it_takes() -> None:
    given: list[dict[str, Any]] = []

    class Neither:
        async def stream(self, messages: Any, tools: Any = None) -> AsyncIterator[str]:
            given.append({})
            yield "a"

    class One:
        async def stream(self, messages: Any, tools: Any = None, *, cancel_event: Any = None) -> AsyncIterator[str]:
            given.append({"cancel_event": cancel_event})
            yield "b"

    class All:
        async def stream(self, messages: Any, tools: Any = None, **options: Any) -> AsyncIterator[str]:
            given.append(options)
            yield "c"

    class NoTools:
        async def stream(self, messages: Any, cancel_event: Any = None) -> AsyncIterator[str]:
            given.append({"cancel_event": cancel_event})
            yield "d"

    class Bare:
        async def stream(self, messages: Any) -> AsyncIterator[str]:
            given.append({})
            yield "e"

    class ByName:
        async def stream(self, messages: Any, *, tools: Any) -> AsyncIterator[str]:
            given.append({"tools": tools})
            yield "f"

    class OtherNames:
        async def stream(self, conversation: Any, functions: Any) -> AsyncIterator[str]:
            given.append({"functions": functions})
            yield "g"

    class Anything:
        async def stream(self, *args: Any, **options: Any) -> AsyncIterator[str]:
            given.append({"args": args, **options})
            yield "h"

    event, specs = asyncio.Event(), [{"type": "function"}]
    for provider in (Neither(), One(), All(), NoTools(), Bare(), ByName(), OtherNames(), Anything()):
        assert isinstance(provider, LLMProvider)
        await texts(open_stream(provider, [], specs, cancel_event=event, call_id="7"))
    both = {"cancel_event": event, "call_id": "7"}
    named = [{"cancel_event": event}, {}, {"tools": specs}, {"functions": specs}, {"args": ([], specs), **both}]
    assert given == [{}, {"cancel_event": event}, both, *named]


async def test_a_provider_gets_copies_and_no_tools_as_none() -> None:
    class Keeps:
        def stream(self, messages: Any, tools: Any = None) -> Iterator[str]:
            messages.append("spoilt")
            assert tools is None
            return iter(["a", "b"])

    messages: tuple[Any, ...] = ({"role": "user", "content": "Hi"},)
    assert await texts(open_stream(Keeps(), messages, [], cancel_event=None, call_id=None)) == ["a", "b"]  # type: ignore[arg-type]
    assert messages == ({"role": "user", "content": "Hi"},)


@pytest.mark.parametrize("result", [None, "text", ["a", "b"], 5])
def test_what_is_no_iterator_is_refused_with_the_remedy(result: object) -> None:
    class Wrong:
        def stream(self, messages: Any, tools: Any = None) -> Any:
            return result

    with pytest.raises(MalformedStream, match=r"Wrong.*no iterator.*async generator"):
        open_stream(Wrong(), [], None, cancel_event=None, call_id=None)  # type: ignore[arg-type]


def test_a_coroutine_instead_of_a_generator_is_refused_without_a_warning() -> None:
    class Wrong:
        async def stream(self, messages: Any, tools: Any = None) -> Any:
            return iter(["a"])

    with pytest.raises(MalformedStream, match="coroutine"):
        open_stream(Wrong(), [], None, cancel_event=None, call_id=None)  # type: ignore[arg-type]


def test_a_provider_goes_by_its_name_or_its_class() -> None:
    class Mine:
        model = 5

    assert name_of(ScriptedLLM([])) == ("scripted", "script")
    assert name_of(Mine()) == ("Mine", None)


async def test_warming_up_is_optional_and_told_the_tools_where_it_takes_them() -> None:
    told: list[Any] = []

    class Told:
        async def warmup(self, tools: Any) -> None:
            told.append(tools)

    class Plain:
        async def warmup(self) -> None:
            told.append("plain")

    for llm in (Told(), Plain(), ScriptedLLM([])):
        await warm(llm, [{"type": "function"}])
    assert told == [[{"type": "function"}], "plain"]

"""The default model, end to end: it chooses, fills, refuses, asks, tells and stops."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from patter_nb.llm.base import LLMChunk, LLMProvider, Message, ToolSpec
from patter_nb.llm.local import LocalLLM
from patter_nb.llm.local.choosing import CHAT_TOKENS

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]


def tool(name: str, description: str, properties: dict[str, Any], *examples: tuple[str, dict[str, Any]]) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
        "x-examples": [{"text": text, "arguments": arguments} for text, arguments in examples],
    }


WEATHER = tool(
    "get_weather",
    "Get the weather in a city.",
    {"city": {"type": "string"}},
    ("what's the weather in Oslo", {"city": "Oslo"}),
    ("how is the weather in New York today", {"city": "New York"}),
)
TIMER = tool(
    "set_timer",
    "Set a timer.",
    {"minutes": {"type": "integer"}},
    ("set a timer for 5 minutes", {"minutes": 5}),
    ("start a 20 minute timer", {"minutes": 20}),
)
TOOLS = [WEATHER, TIMER]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def llm() -> AsyncIterator[LocalLLM]:
    model = LocalLLM()
    await model.warmup(TOOLS)
    yield model
    await model.aclose()


def user(text: str) -> Message:
    return {"role": "user", "content": text}


async def answer(llm: LocalLLM, *messages: Message, tools: Sequence[ToolSpec] | None = TOOLS) -> list[LLMChunk]:
    return [chunk async for chunk in llm.stream(messages, tools)]


def call(chunks: list[LLMChunk]) -> tuple[str | None, Any] | None:
    calls = [(chunk.name, json.loads(chunk.arguments or "")) for chunk in chunks if chunk.type == "tool_call"]
    return calls[0] if calls else None


def spoken(chunks: list[LLMChunk]) -> str:
    return "".join(chunk.content or "" for chunk in chunks if chunk.type == "text")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("What's the weather in Paris?", ("get_weather", {"city": "Paris"})),
        ("how is the weather in san francisco", ("get_weather", {"city": "san francisco"})),
        ("You What's the weather in Paris?", ("get_weather", {"city": "Paris"})),
        ("Set a timer for ten minutes.", ("set_timer", {"minutes": 10})),
        ("set a timer for one hour", ("set_timer", {"minutes": 60})),
        ("Start a twenty five minute timer, please!", ("set_timer", {"minutes": 25})),
    ],
)
async def test_a_request_becomes_a_call(llm: LocalLLM, request_: str, expected: tuple[str, Any]) -> None:
    chunks = await answer(llm, user(request_))
    assert call(chunks) == expected
    assert [chunk.type for chunk in chunks] == ["tool_call", "usage", "done"]
    assert chunks[-1].finish_reason == "tool_calls"
    assert (chunks[1].provider, chunks[1].model, chunks[1].estimated) == ("local", "smollm2", False)
    assert chunks[1].input_tokens is not None  # none ran where only one value was said


async def test_what_no_tool_fits_is_declined_by_what_they_can_do(llm: LocalLLM) -> None:
    chunks = await answer(llm, user("Tell me a joke about penguins."))
    assert call(chunks) is None
    assert "get the weather in a city or set a timer" in spoken(chunks)
    assert [chunk.content for chunk in chunks][:3] == ["I'm", " afraid", " I"]
    assert chunks[-1].finish_reason == "stop"


async def test_what_was_not_said_is_not_made_up(llm: LocalLLM) -> None:
    for request in ("What's the weather?", "Set a timer.", "set a timer for thirty seconds"):
        assert call(await answer(llm, user(request))) is None


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("Please set a timer for seven minutes.", ("set_timer", {"minutes": 7})),
        ("Could you please tell me the weather in Madrid?", ("get_weather", {"city": "Madrid"})),
        ("I'd like a timer for twelve minutes", ("set_timer", {"minutes": 12})),
    ],
)
async def test_polite_wordings_are_requests_too(llm: LocalLLM, request_: str, expected: tuple[str, Any]) -> None:
    assert call(await answer(llm, user(request_))) == expected


@pytest.mark.parametrize(
    ("saying", "answered"),
    [
        ("Hello!", "Hello! I can get the weather in a city or set a timer."),
        ("What can you do?", "I can get the weather in a city or set a timer."),
        ("Thanks a lot!", "You're welcome."),
        ("Goodbye.", "Goodbye!"),
        ("My sister moved house last year.", "I'm afraid I can't help with that. I can get the weather in a city or set a timer."),
    ],
)
async def test_what_is_no_request_is_answered_kindly(llm: LocalLLM, saying: str, answered: str) -> None:
    assert spoken(await answer(llm, user(saying))) == answered


@pytest.mark.parametrize(
    ("request_", "reply_", "expected"),
    [
        ("What's the weather?", "Rome", ("get_weather", {"city": "Rome"})),
        ("What's the weather?", "in San Francisco, please", ("get_weather", {"city": "San Francisco"})),
        ("Set a timer.", "Ten minutes.", ("set_timer", {"minutes": 10})),
    ],
)
async def test_an_answer_to_its_own_question_is_taken_up(llm: LocalLLM, request_: str, reply_: str, expected: tuple[str, Any]) -> None:
    asked = spoken(await answer(llm, user(request_)))
    assert asked.startswith("I can ") and "Please tell me" in asked
    assert call(await answer(llm, user(request_), {"role": "assistant", "content": asked}, user(reply_))) == expected


@pytest.mark.parametrize("saying", ["Never mind.", "Thanks, bye.", "What is the capital of France?", "Tell me a joke", "Good night!"])
async def test_its_own_question_is_dropped_by_whoever_says_something_else(llm: LocalLLM, saying: str) -> None:
    asked = spoken(await answer(llm, user("What's the weather?")))
    chunks = await answer(llm, user("What's the weather?"), {"role": "assistant", "content": asked}, user(saying))
    assert call(chunks) is None
    assert "Please tell me" not in spoken(chunks)


async def test_a_question_is_no_value(llm: LocalLLM) -> None:
    opening = tool("opening_hours", "Tell when the museum is open.", {"day": {"type": "string"}})
    opening = {**opening, "x-examples": ["Is the museum open on Tuesday?", "When can I come on Friday?"]}
    asked = spoken(await answer(llm, user("When are you open?"), tools=[opening]))
    assert asked == "I can tell when the museum is open. Please tell me the day."
    assert call(await answer(llm, user("Are you open on Monday?"), tools=[opening])) == ("opening_hours", {"day": "Monday"})


async def test_whoever_changes_their_mind_is_not_held_to_the_question(llm: LocalLLM) -> None:
    asked = spoken(await answer(llm, user("What's the weather?")))
    history: list[Message] = [user("What's the weather?"), {"role": "assistant", "content": asked}]
    assert call(await answer(llm, *history, user("Set a timer for five minutes."))) == ("set_timer", {"minutes": 5})


async def test_a_list_is_written_by_the_model_and_kept_only_if_it_was_said(llm: LocalLLM) -> None:
    shopping = tool(
        "add_to_shopping_list",
        "Add items to the shopping list.",
        {"items": {"type": "array", "items": {"type": "string"}}},
        ("add milk and eggs to the shopping list", {"items": ["milk", "eggs"]}),
        ("put bread on the shopping list", {"items": ["bread"]}),
    )
    made = call(await answer(llm, user("Add butter and flour to the shopping list"), tools=[shopping]))
    assert made == ("add_to_shopping_list", {"items": ["butter", "flour"]})


async def test_a_value_alone_continues_the_last_call(llm: LocalLLM) -> None:
    earlier: list[Message] = [
        user("What's the weather in Paris?"),
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny."},
    ]
    assert call(await answer(llm, *earlier, user("And in Rome?"))) == ("get_weather", {"city": "Rome"})
    assert call(await answer(llm, *earlier, user("Thank you very much."))) is None


async def test_a_result_is_told_without_the_model(llm: LocalLLM) -> None:
    asked: list[Message] = [
        user("What's the weather in Paris?"),
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
    ]
    for content, sentence in (("21", "The weather is 21."), ('{"error": "no such city"}', "I'm sorry, that did not work: no such city.")):
        chunks = await answer(llm, *asked, {"role": "tool", "tool_call_id": "a", "content": content})
        assert spoken(chunks) == sentence
        usage = chunks[-2]
        assert (usage.input_tokens, usage.output_tokens) == (0, 0)


async def test_without_tools_it_chats_in_its_own_words(llm: LocalLLM) -> None:
    chunks = await answer(llm, user("Hello!"), tools=None)
    assert spoken(chunks)
    assert 0 < (chunks[-2].output_tokens or 0) <= CHAT_TOKENS


async def test_a_cancelled_answer_ends_at_once_and_the_next_is_whole(llm: LocalLLM) -> None:
    cancel = asyncio.Event()
    chunks: list[LLMChunk] = []
    async for chunk in llm.stream([user("Tell me a very long story.")], None, cancel_event=cancel):
        chunks.append(chunk)
        cancel.set()
    assert not chunks[2:]
    assert chunks[-1] == LLMChunk("done", finish_reason="cancelled")
    assert call(await answer(llm, user("Set a timer for ten minutes."))) == ("set_timer", {"minutes": 10})


async def test_a_closed_stream_leaves_the_model_usable(llm: LocalLLM) -> None:
    stream = llm.stream([user("Tell me a very long story.")])
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert call(await answer(llm, user("Weather in Berlin"))) == ("get_weather", {"city": "Berlin"})


async def test_the_model_prints_nothing(llm: LocalLLM, capfd: pytest.CaptureFixture[str]) -> None:
    other = LocalLLM()
    await other.warmup(TOOLS)
    await answer(other, user("Set a timer for ten minutes."))
    await other.aclose()
    assert capfd.readouterr() == ("", "")


async def test_it_is_a_provider() -> None:
    llm = LocalLLM()
    assert isinstance(llm, LLMProvider)
    assert (llm.provider, llm.model, repr(llm)) == ("local", "smollm2", "LocalLLM('smollm2')")

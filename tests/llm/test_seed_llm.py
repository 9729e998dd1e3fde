"""The seed's claims about language models, and the bugs that others had with them: one test for each, named after its row."""

from __future__ import annotations

import gzip
import inspect
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from ways import FIVE, KEY, TOOL, USER, VENDORS, Vendor, chunks_of, text_of, usage_of

import patter_nb
from patter_nb.errors import ModelNotFound, PatterConfigError, RateLimitError
from patter_nb.llm import anthropic, cerebras, google, groq, openai
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.llm.loop import LLMLoop
from patter_nb.llm.openai_shape import OpenAILLMProvider
from patter_nb.llm.wire import vendor as vendor_module
from patter_nb.patter import Patter
from patter_nb.testing import Call, WireServer
from patter_nb.testing.wire import Event, HttpError, Reasoning, Usage

every_vendor = pytest.mark.parametrize("vendor", FIVE, ids=[vendor.name for vendor in FIVE])


def of(name: str, server: WireServer, **options: Any) -> Any:
    """The language model of a vendor, at the server."""
    vendor = VENDORS[name]
    return vendor.llm(KEY, base_url=vendor.base_url(server), **options)


async def asked(name: str, messages: Sequence[Message], tools: Any = None, **options: Any) -> Any:
    """The body that a vendor is sent."""
    async with WireServer(["Fine."]) as server:
        await chunks_of(of(name, server, **options), messages, tools)
    return server.bodies[0]


# --- the seed's claims


@every_vendor
async def test_seed_row_03_every_provider_ends_in_one_done(vendor: Vendor) -> None:
    async with WireServer([["Hi.", Usage(3, 1)]]) as server:
        chunks = await chunks_of(of(vendor.name, server))
    assert [chunk.type for chunk in chunks] == ["text", "usage", "done"]


async def test_seed_row_03_a_stream_without_done_is_taken_at_its_word() -> None:
    class Plain:
        async def stream(self, messages: Any) -> Any:
            yield "Hi."

    assert [item.to_dict() async for item in LLMLoop(Plain()).run("Hello")] == [{"type": "text", "content": "Hi."}]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("flat", "module", "keys"),
    [
        ("OpenAILLM", openai, ["OPENAI_API_KEY"]),
        ("AnthropicLLM", anthropic, ["ANTHROPIC_API_KEY"]),
        ("GroqLLM", groq, ["GROQ_API_KEY"]),
        ("CerebrasLLM", cerebras, ["CEREBRAS_API_KEY"]),
        ("GoogleLLM", google, ["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
    ],
)
def test_seed_row_07_a_flat_name_is_the_namespaced_class_and_reads_its_key(
    flat: str, module: Any, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in keys:
        monkeypatch.delenv(name, raising=False)
    kind = getattr(patter_nb, flat)
    assert kind is module.LLM
    assert inspect.signature(kind).parameters["api_key"].default is None
    with pytest.raises(PatterConfigError, match=keys[0]) as caught:
        kind()
    assert isinstance(caught.value, ValueError)
    for name in reversed(keys):
        monkeypatch.setenv(name, f"the key of {name}")
        llm = kind()
        assert llm._key == f"the key of {name}"
        assert "the key of" not in repr(llm) + repr(vars(llm)["options"]) + str(llm.source)


def test_seed_rows_08_09_11_12_the_default_models_and_addresses() -> None:
    defaults = {vendor.name: (vendor.llm(KEY).model, vendor.llm(KEY).base_url, vendor.llm(KEY).retrying.retries) for vendor in FIVE}
    assert defaults == {
        "openai": ("gpt-4o-mini", "https://api.openai.com/v1", 2),
        "anthropic": ("claude-haiku-4-5-20251001", "https://api.anthropic.com", 2),
        "groq": ("llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", 2),
        "cerebras": ("gpt-oss-120b", "https://api.cerebras.ai/v1", 1),
        "google": ("gemini-2.5-flash", "https://generativelanguage.googleapis.com", 2),
    }


async def test_seed_row_09_anthropic_is_told_a_limit() -> None:
    assert (await asked("anthropic", [USER]))["max_tokens"] == 1024
    assert (await asked("anthropic", [USER], max_tokens=99))["max_tokens"] == 99


async def test_seed_row_10_caching_is_on_and_can_be_switched_off() -> None:
    messages = [{"role": "system", "content": "Be brief."}, USER]
    tools: list[Any] = [TOOL, {"type": "function", "function": {"name": "second", "parameters": {"type": "object", "properties": {}}}}]
    body = await asked("anthropic", messages, tools)
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert ["cache_control" in tool for tool in body["tools"]] == [False, True]
    body = await asked("anthropic", messages, tools, prompt_caching=False)
    assert body["system"] == "Be brief."
    assert not any("cache_control" in tool for tool in body["tools"])


async def test_seed_row_13_a_model_that_cerebras_does_not_have_is_answered_with_others() -> None:
    async with WireServer() as server:
        with pytest.raises(ModelNotFound) as caught:
            await chunks_of(of("cerebras", server, model="llama-9"))
    assert caught.value.code == "model_not_found"
    for name in ("qwen-3-235b-a22b-instruct-2507", "llama-3.3-70b", "llama3.1-8b"):
        assert name in str(caught.value)


async def test_seed_row_14_cerebras_forwards_all_the_sampling_arguments() -> None:
    sampling = {
        "response_format": {"type": "json_object"},
        "parallel_tool_calls": False,
        "tool_choice": "required",
        "seed": 7,
        "top_p": 0.5,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "stop": ["END"],
        "temperature": 0.3,
    }
    body = await asked("cerebras", [USER], [TOOL], max_tokens=50, **sampling)
    assert {key: body[key] for key in sampling} == sampling
    assert body["max_completion_tokens"] == 50


async def test_seed_row_15_cerebras_bodies_are_packed_and_what_that_saves_is_in_the_log() -> None:
    async with WireServer(["Fine."]) as server:
        agent = Patter().agent("You are brief. " * 50, llm=of("cerebras", server))
        async with Patter().serve(agent, name="packed") as session:
            await session.ask("Hi")
            (usage,) = (chunk for chunk in session.chunks if chunk.type == "usage")
    (request,) = (request for request in server.requests if request.method == "POST")
    assert request.headers["content-type"] == "application/vnd.msgpack"
    assert request.headers["content-encoding"] == "gzip"
    assert msgpack.unpackb(gzip.decompress(request.raw)) == request.body
    told = usage.extra["cerebras"]
    assert told["request_bytes"] == len(request.raw) < told["plain_bytes"] / 2


async def test_seed_row_16_cerebras_is_asked_once_more_after_the_time_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def pause(seconds: float, cancel_event: object) -> None:
        waited.append(seconds)

    monkeypatch.setattr(vendor_module, "_pause", pause)
    limited = HttpError(429, "Slow down.", headers={"x-ratelimit-reset-tokens-minute": "0.2"})
    async with WireServer([limited, "Now."]) as server:
        assert text_of(await chunks_of(of("cerebras", server))) == "Now."
    assert waited == [0.2]
    async with WireServer([limited, limited]) as server:
        with pytest.raises(RateLimitError) as caught:
            await chunks_of(of("cerebras", server))
    assert (caught.value.retry_after_s, caught.value.status, caught.value.provider) == (0.2, 429, "cerebras")


def test_seed_row_18_the_primitives_are_exported() -> None:
    assert patter_nb.LLMChunk is LLMChunk
    assert patter_nb.OpenAILLMProvider is OpenAILLMProvider
    assert patter_nb.DefaultToolExecutor.__module__.startswith("patter_nb.tools")


async def test_seed_row_19_the_loop_takes_the_chunk_that_is_exported() -> None:
    class Mine:
        async def stream(self, messages: Any) -> Any:
            yield LLMChunk("text", content="Hi.")
            yield LLMChunk("done", finish_reason="stop")

    assert [item.type async for item in LLMLoop(Mine()).run("Hello")] == ["text", "done"]  # type: ignore[union-attr]


def test_seed_row_21_one_parent_owns_the_sampling_arguments() -> None:
    for kind in (openai.LLM, groq.LLM, cerebras.LLM):
        assert issubclass(kind, OpenAILLMProvider)
        llm = kind(KEY, temperature=0.2, seed=3)
        assert llm.options == {"temperature": 0.2, "seed": 3}
        with pytest.raises(TypeError, match="Did you mean temperature="):
            kind(KEY, temprature=0.2)


@every_vendor
async def test_seed_row_22_a_tool_defined_once_runs_on_every_vendor(vendor: Vendor) -> None:
    def get_weather(city: str, title: str = "") -> str:
        """Tell the weather in a city."""
        return f"{title} Sunny in {city}."

    async with WireServer([[Call("get_weather", {"city": "Rome", "title": "Well:"})], "It is sunny."]) as server:
        loop = LLMLoop(of(vendor.name, server), tools=[get_weather])
        items = [item async for item in loop.run("Rome?")]
    assert [getattr(item, "result", None) for item in items if isinstance(item, patter_nb.ToolCall)] == [None, "Well: Sunny in Rome."]
    sent = json.dumps(server.bodies[0])
    assert '"city"' in sent
    assert '"title"' in sent


@every_vendor
async def test_seed_surprise_01_a_turn_is_paid_by_the_model_that_answered(vendor: Vendor) -> None:
    async with WireServer([["Fine.", Usage(1_000_000, 1_000_000)]]) as server:
        async with Patter().serve(Patter().agent(llm=of(vendor.name, server)), name="paid") as session:
            cost = (await session.ask("Hi")).cost
    assert cost == Decimal({"openai": "0.75", "anthropic": "6", "groq": "1.38", "cerebras": "1.10", "google": "2.8"}[vendor.name])


async def test_seed_surprise_11_thoughts_are_never_spoken_are_paid_and_their_signature_goes_back() -> None:
    first = [Reasoning("Hm.", signature="c2lnMQ=="), Call("get_weather", {"city": "Rome"}), Usage(10, 5, reasoning=4)]
    async with WireServer([first, "Sunny."]) as server:
        agent = Patter().agent(llm=of("google", server), tools=[_get_weather])
        async with Patter().serve(agent, name="thinking") as session:
            turn = await session.ask("Rome?")
    assert (turn.agent_text, turn.usage["reasoning_tokens"]) == ("Sunny.", 4)
    assert "Hm." not in json.dumps(server.bodies[1])


def _get_weather(city: str) -> str:
    return "Sunny."


_get_weather.__name__ = "get_weather"


# --- bugs that others had


async def test_row_06_a_greeting_does_not_stand_first_at_anthropics() -> None:
    body = await asked("anthropic", [{"role": "assistant", "content": "Welcome."}, USER])
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    body = await asked("google", [{"role": "assistant", "content": "Welcome."}, USER])
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]


CALLED: list[Message] = [
    USER,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"c{n}", "type": "function", "function": {"name": "get_weather", "arguments": json.dumps({"city": city})}}
            for n, city in enumerate(("Rome", "Oslo"))
        ],
    },
    {"role": "tool", "tool_call_id": "c0", "content": "18"},
    {"role": "tool", "tool_call_id": "c1", "content": '{"t": 3}'},
]


async def test_row_07_results_of_one_round_are_one_message() -> None:
    body = await asked("anthropic", CALLED, [TOOL])
    assert [block["type"] for block in body["messages"][-1]["content"]] == ["tool_result", "tool_result"]
    body = await asked("google", CALLED, [TOOL])
    assert [list(part) for part in body["contents"][-1]["parts"]] == [["functionResponse"], ["functionResponse"]]


async def test_row_08_gemini_is_answered_by_the_functions_name() -> None:
    body = await asked("google", CALLED, [TOOL])
    responses = [part["functionResponse"] for part in body["contents"][-1]["parts"]]
    assert responses == [{"name": "get_weather", "response": {"result": 18}}, {"name": "get_weather", "response": {"t": 3}}]


@pytest.mark.parametrize("name", ["openai", "anthropic", "google"])
async def test_row_10_input_and_cached_tokens_are_the_prompts(name: str) -> None:
    async with WireServer([["Hi.", Usage(60, 5, cache_read=40)]]) as server:
        usage = usage_of(await chunks_of(of(name, server)))
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (60, 40, 5)


async def test_row_12_details_of_usage_may_be_null() -> None:
    details = {"prompt_tokens_details": None, "completion_tokens_details": None}
    event = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, **details}}
    async with WireServer([["Hi.", Event(event)]]) as server:
        usage = usage_of(await chunks_of(of("openai", server)))
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (7, 2, None)


@pytest.mark.parametrize("vendor", [vendor for vendor in FIVE if vendor.name != "anthropic"], ids=lambda vendor: vendor.name)
async def test_row_13_a_vendor_that_counts_nothing_is_estimated_and_said_to_be(vendor: Vendor) -> None:
    async with WireServer(["x" * 40]) as server:
        usage = usage_of(await chunks_of(of(vendor.name, server)))
    assert usage.estimated
    assert usage.output_tokens == 10
    assert usage.input_tokens


def test_row_15_the_default_models_are_named_in_one_place_each() -> None:
    assert {vendor.name: vendor.llm(KEY).model for vendor in FIVE} == {vendor.name: vendor.model for vendor in FIVE}


async def test_row_16_a_model_that_is_gone_is_no_silent_turn() -> None:
    async with WireServer() as server:
        async with Patter().serve(Patter().agent(llm=of("cerebras", server, model="retired")), name="gone") as session:
            turn = await session.ask("Hi")
    assert turn.status == "failed"
    assert isinstance(turn.error, ModelNotFound)
    assert "llama-3.3-70b" in str(turn.error)


@pytest.mark.parametrize("name", ["openai", "groq", "cerebras"])
async def test_row_17_a_limit_goes_by_the_name_that_newer_models_take(name: str) -> None:
    body = await asked(name, [USER], max_tokens=5)
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body


def test_seed_row_23_every_stage_reads_its_key_from_the_environment_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is read when the object is made: one that is set later is not half in use."""
    monkeypatch.setenv("GROQ_API_KEY", "first")
    llm = groq.LLM()
    monkeypatch.setenv("GROQ_API_KEY", "second")
    assert llm._key == "first"

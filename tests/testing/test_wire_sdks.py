"""The vendors' own clients take the server for the vendor: they decode what it sends, and raise what they raise."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anthropic
import groq
import openai
import pytest

from patter_nb.testing import Call, WireServer, block_real_requests
from patter_nb.testing.wire import CallFragment, Cut, Finish, HttpError, KeepAlive, Reasoning, Refusal, Reply, StreamError, Usage

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its import of what it deprecates itself
    from google import genai
    from google.genai import errors as genai_errors
    from google.genai import types

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai's own

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


@pytest.fixture(autouse=True)
def no_real_requests() -> Iterator[None]:
    with block_real_requests():
        yield


@dataclass
class Heard:
    """What a client made of an answer."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    finish: str | None = None
    usage: dict[str, int | None] = field(default_factory=dict)


async def openai_hears(server: WireServer, messages: Sequence[Any] = ({"role": "user", "content": "Hi"},), **options: Any) -> Heard:
    async with openai.AsyncOpenAI(api_key="test-key", base_url=server.openai_url, max_retries=0) as client:
        return await completion_of(client, options.pop("model", "gpt-4o-mini"), messages, **options)


async def groq_hears(server: WireServer, messages: Sequence[Any] = ({"role": "user", "content": "Hi"},), **options: Any) -> Heard:
    base_url = server.groq_url.removesuffix("/openai/v1")
    async with groq.AsyncGroq(api_key="test-key", base_url=base_url, max_retries=0) as client:
        options = {"extra_body": {"stream_options": {"include_usage": True}}} | options
        return await completion_of(client, "llama-3.3-70b-versatile", messages, **options)


async def completion_of(client: Any, model: str, messages: Sequence[Any], **options: Any) -> Heard:
    heard, calls = Heard(), {}
    if "extra_body" not in options:
        options["stream_options"] = {"include_usage": True}
    stream = await client.chat.completions.create(model=model, messages=messages, stream=True, **options)
    async for chunk in stream:
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            heard.usage = {"prompt": chunk.usage.prompt_tokens, "output": chunk.usage.completion_tokens}
            heard.usage["cached"] = details.cached_tokens if details is not None else None
        for choice in chunk.choices:
            heard.text += choice.delta.content or ""
            heard.reasoning += getattr(choice.delta, "reasoning", None) or ""
            heard.refusal += getattr(choice.delta, "refusal", None) or ""
            heard.finish = choice.finish_reason or heard.finish
            for call in choice.delta.tool_calls or ():
                whole = calls.setdefault(call.index, {"id": None, "name": "", "arguments": ""})
                whole["id"] = whole["id"] or call.id
                whole["name"] += (call.function and call.function.name) or ""
                whole["arguments"] += (call.function and call.function.arguments) or ""
    heard.calls = [(call["name"], json.loads(call["arguments"] or "{}")) for _, call in sorted(calls.items())]
    heard.ids = [call["id"] for _, call in sorted(calls.items())]
    return heard


async def anthropic_hears(server: WireServer, messages: Sequence[Any] = ({"role": "user", "content": "Hi"},), **options: Any) -> Heard:
    heard = Heard()
    async with anthropic.AsyncAnthropic(api_key="test-key", base_url=server.anthropic_url, max_retries=0) as client:
        model = options.pop("model", "claude-haiku-4-5")
        async with client.messages.stream(model=model, max_tokens=64, messages=list(messages), **options) as stream:
            message = await stream.get_final_message()
    for block in message.content:
        if block.type == "text":
            heard.text += block.text
        elif block.type == "thinking":
            heard.reasoning += block.thinking
        elif block.type == "tool_use":
            heard.calls.append((block.name, block.input))
            heard.ids.append(block.id)
    heard.finish = message.stop_reason
    usage = message.usage
    heard.usage = {"prompt": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cache_read_input_tokens}
    return heard


async def google_hears(server: WireServer, contents: Any = "Hi", model: str = "gemini-2.5-flash", **options: Any) -> Heard:
    heard = Heard()
    client = genai.Client(api_key="test-key", http_options=types.HttpOptions(base_url=server.google_url))
    try:
        stream = await client.aio.models.generate_content_stream(model=model, contents=contents, config=options or None)
        async for chunk in stream:
            if chunk.usage_metadata is not None:
                counts = chunk.usage_metadata
                heard.usage = {"prompt": counts.prompt_token_count, "output": counts.candidates_token_count}
                heard.usage["cached"] = counts.cached_content_token_count
            for candidate in chunk.candidates or ():
                heard.finish = candidate.finish_reason.value if candidate.finish_reason else heard.finish
                for part in (candidate.content and candidate.content.parts) or ():
                    if part.function_call is not None:
                        heard.calls.append((part.function_call.name or "", part.function_call.args))
                        heard.ids.append(part.function_call.id)
                    elif part.thought:
                        heard.reasoning += part.text or ""
                    else:
                        heard.text += part.text or ""
    finally:
        await client.aio.aclose()
        client.close()
    return heard


CLIENTS = {"openai": openai_hears, "groq": groq_hears, "anthropic": anthropic_hears, "google": google_hears}
STOPS = {"openai": "stop", "groq": "stop", "anthropic": "end_turn", "google": "STOP"}
CALLS = {"openai": "tool_calls", "groq": "tool_calls", "anthropic": "tool_use", "google": "STOP"}
LENGTH = {"openai": "length", "groq": "length", "anthropic": "max_tokens", "google": "MAX_TOKENS"}
TEXT = "Caffè ☕, naïve 🔥: \u2028 and \x85 are no line ends."

every_client = pytest.mark.parametrize("vendor", CLIENTS)


@every_client
@pytest.mark.parametrize("pieces", ["events", "bytes", "whole"])
async def test_text_and_usage_are_decoded(vendor: str, pieces: Any) -> None:
    words = [TEXT[:9], TEXT[9:]]
    async with WireServer([Reply([KeepAlive(), *words, Usage(7, 5, cache_read=3)], pieces=pieces)]) as server:
        heard = await CLIENTS[vendor](server)
    assert (heard.text, heard.finish, heard.calls) == (TEXT, STOPS[vendor], [])
    assert heard.usage == {"prompt": 7 if vendor == "anthropic" else 10, "output": 5, "cached": 3}


@every_client
async def test_details_that_are_null_are_decoded(vendor: str) -> None:
    async with WireServer([["Hi", Usage(7, 5, details=False)]]) as server:
        assert (await CLIENTS[vendor](server)).usage == {"prompt": 7, "output": 5, "cached": None}


@every_client
async def test_calls_in_parallel_are_decoded(vendor: str) -> None:
    reply = ["Wait. ", Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Zürich"}), Call("now", "")]
    async with WireServer([reply]) as server:
        heard = await CLIENTS[vendor](server)
    calls = [("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Zürich"}), ("now", {})]
    assert (heard.text, heard.calls, heard.finish) == ("Wait. ", calls, CALLS[vendor])
    assert len({*heard.ids}) == (1 if vendor == "google" else 3)  # Gemini's Developer API gives none


@every_client
async def test_fragments_that_are_interleaved_are_decoded(vendor: str) -> None:
    first, second = '{"city": "Rome"}', '{"city": "Oslo"}'
    b = 1 if vendor == "anthropic" else 3  # its client keeps blocks in a list
    reply = [
        CallFragment(0, "a", "get_weather", first[:4]),
        CallFragment(b, "b", "get_weather", ""),
        CallFragment(0, arguments=first[4:9]),
        KeepAlive(),
        CallFragment(b, arguments=second),
        CallFragment(0, arguments=first[9:]),
    ]
    async with WireServer([reply]) as server:
        heard = await CLIENTS[vendor](server)
    assert heard.calls == [("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Oslo"})]
    assert heard.ids == ["a", "b"]


@every_client
async def test_a_limit_is_decoded(vendor: str) -> None:
    async with WireServer([["Hi", Finish("length")]]) as server:
        assert (await CLIENTS[vendor](server)).finish == LENGTH[vendor]


@every_client
async def test_thinking_is_decoded(vendor: str) -> None:
    async with WireServer([[Reasoning("Hm, "), Reasoning("well.", signature="c2lnbmVk"), "Yes."]]) as server:
        heard = await CLIENTS[vendor](server)
    assert (heard.reasoning, heard.text) == ("Hm, well.", "Yes.")


@pytest.mark.parametrize(("vendor", "finish"), [("openai", "stop"), ("anthropic", "refusal"), ("google", "PROHIBITED_CONTENT")])
async def test_a_refusal_is_decoded(vendor: str, finish: str) -> None:
    async with WireServer([Refusal("No.")]) as server:
        heard = await CLIENTS[vendor](server)
    assert (heard.text, heard.finish, heard.refusal) == ("", finish, "No." if vendor == "openai" else "")


ERRORS = {
    400: (openai.BadRequestError, groq.BadRequestError, anthropic.BadRequestError, genai_errors.ClientError),
    404: (openai.NotFoundError, groq.NotFoundError, anthropic.NotFoundError, genai_errors.ClientError),
    429: (openai.RateLimitError, groq.RateLimitError, anthropic.RateLimitError, genai_errors.ClientError),
    500: (openai.InternalServerError, groq.InternalServerError, anthropic.InternalServerError, genai_errors.ServerError),
    529: (openai.InternalServerError, groq.InternalServerError, anthropic.APIStatusError, genai_errors.ServerError),
}


@every_client
@pytest.mark.parametrize("status", ERRORS)
async def test_errors_are_what_the_client_raises(vendor: str, status: int) -> None:
    async with WireServer([HttpError(status, "It broke.")]) as server:
        with pytest.raises(ERRORS[status], match="It broke") as caught:
            await CLIENTS[vendor](server)
    assert isinstance(caught.value, ERRORS[status][list(CLIENTS).index(vendor)])
    assert (caught.value.code if vendor == "google" else caught.value.status_code) == status  # type: ignore[attr-defined]


async def test_a_wrong_key_is_what_the_clients_say_it_is() -> None:
    async with WireServer(key="other") as server:
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
            await openai_hears(server)
        with pytest.raises(groq.AuthenticationError):
            await groq_hears(server)
        with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
            await anthropic_hears(server)
        with pytest.raises(genai_errors.ClientError, match="API key not valid"):
            await google_hears(server)


@every_client
async def test_an_unknown_model_is_not_found(vendor: str) -> None:
    async with WireServer(models=["mine"]) as server:
        with pytest.raises(ERRORS[404]):
            await CLIENTS[vendor](server)


@pytest.mark.parametrize(
    ("vendor", "error"), [("openai", openai.APIError), ("groq", groq.APIError), ("anthropic", anthropic.APIStatusError)]
)
async def test_an_error_within_a_stream_is_raised(vendor: str, error: type[Exception]) -> None:
    async with WireServer([["Hi", StreamError(529, "Overloaded now.")]] * 2) as server:
        with pytest.raises(error, match="Overloaded now"):
            await CLIENTS[vendor](server)
        server.then([StreamError(529, "Overloaded now.")])
        with pytest.raises(error, match="Overloaded now"):
            await CLIENTS[vendor](server)
        with pytest.raises(error, match="Overloaded now"):
            await CLIENTS[vendor](server)


@pytest.mark.parametrize("vendor", ["openai", "groq"])
async def test_a_cut_is_an_error_of_the_client(vendor: str) -> None:
    async with WireServer([["Hi", Cut()]]) as server:
        with pytest.raises(Exception, match=r"incomplete chunked read|Connection error"):
            await CLIENTS[vendor](server)


async def test_a_history_with_calls_made_of_the_clients_own_types_is_taken() -> None:
    """The checks of the server let through what the clients send."""
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        {"role": "system", "content": "Short."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "18"},
    ]
    use = {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Rome"}}
    blocks = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "18"}]},
    ]
    contents = [
        types.Content(role="user", parts=[types.Part(text="Weather?")]),
        types.Content(role="model", parts=[types.Part(function_call=types.FunctionCall(name="get_weather", args={"city": "Rome"}))]),
        types.Content(role="user", parts=[types.Part.from_function_response(name="get_weather", response={"result": 18})]),
    ]
    declared = types.FunctionDeclaration(name="get_weather", description="W.", parameters=types.Schema.model_validate(SCHEMA))
    async with WireServer(["18 degrees."] * 4) as server:
        heard = [
            await openai_hears(server, messages, tools=[TOOL], max_completion_tokens=9, temperature=0.5),
            await groq_hears(server, messages, tools=[TOOL]),
            await anthropic_hears(server, blocks, tools=[{"name": "get_weather", "input_schema": SCHEMA}], system="Short."),
            await google_hears(
                server,
                contents,
                system_instruction="Short.",
                temperature=0.5,
                max_output_tokens=9,
                tools=[types.Tool(function_declarations=[declared])],
            ),
        ]
    assert [one.text for one in heard] == ["18 degrees."] * 4
    agents = [request.headers["user-agent"].split("/")[0] for request in server.requests]
    assert agents == ["AsyncOpenAI", "AsyncGroq", "AsyncAnthropic", "google-genai-sdk"]


async def test_the_lists_of_models_are_decoded() -> None:
    async with WireServer(models=["mine"]) as server:
        async with openai.AsyncOpenAI(api_key="test-key", base_url=server.openai_url) as client:
            assert [model.id async for model in client.models.list()] == ["mine"]
        async with anthropic.AsyncAnthropic(api_key="test-key", base_url=server.anthropic_url) as other:
            assert [model.id async for model in other.models.list()] == ["mine"]
        google = genai.Client(api_key="test-key", http_options=types.HttpOptions(base_url=server.google_url))
        assert [model.name async for model in await google.aio.models.list()] == ["models/mine"]
        await google.aio.aclose()
        google.close()

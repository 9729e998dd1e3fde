"""Ways to a vendor's answer: ours, ours as a session keeps it, the vendor's official client; and a floor: httpx, lines, json.loads, a dict.

All send the same body, made by our encoders, and give the texts of the answer as they come; a call is the text of its arguments.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any, TypeAlias

from patter_nb import AnthropicLLM, GoogleLLM, OpenAILLM
from patter_nb.llm.wire.recording import Attempts, Recorder, recording

__all__ = ["ASKED", "CALLED", "PEERS", "TOOL", "Stream"]

Messages: TypeAlias = list[dict[str, Any]]
Stream: TypeAlias = Callable[[str, Messages, Messages | None], AsyncIterator[str]]
"""(base address, messages, tools) to texts."""

ASKED: Messages = [{"role": "user", "content": "What's the weather in Rome?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
CALLED: Messages = [
    *ASKED,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
]
KINDS: dict[str, Any] = {"openai": OpenAILLM, "anthropic": AnthropicLLM, "google": GoogleLLM}
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "google": "/v1beta/models/m:streamGenerateContent?alt=sse"}


def ours(form: str) -> Stream:
    known: dict[str, Any] = {}

    async def stream(base: str, messages: Messages, tools: Messages | None) -> AsyncIterator[str]:
        address = f"{base}/v1" if form == "openai" else base
        llm = known[base] = known.get(base) or KINDS[form]("key", base_url=address)
        answer = llm.stream(messages, tools)
        try:
            async for chunk in answer:
                if chunk.type in ("text", "tool_call"):
                    yield chunk.content or chunk.arguments or ""
        finally:
            await answer.aclose()

    return stream


def kept(form: str) -> Stream:
    """What was sent and answered is kept beside, as in a session."""
    plain, recorder = ours(form), Recorder(Attempts(), perf_counter, lambda _: None, lambda _: None)

    async def stream(base: str, messages: Messages, tools: Messages | None) -> AsyncIterator[str]:
        with recording(recorder):
            async for text in plain(base, messages, tools):
                yield text

    return stream


def floor(form: str) -> Stream:
    import httpx

    llm, client, texts = KINDS[form]("key"), httpx.AsyncClient(timeout=60), FLOOR[form]

    async def stream(base: str, messages: Messages, tools: Messages | None) -> AsyncIterator[str]:
        body = json.dumps(llm.encode(messages, tools))
        async with client.stream("POST", base + PATHS[form], content=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    for chunk in texts(json.loads(line[6:])):
                        yield chunk["content"]

    return stream


def _openai(event: dict[str, Any]) -> Iterator[dict[str, str]]:
    for choice in event["choices"]:
        if text := choice["delta"].get("content"):
            yield {"type": "text", "content": text}
        for call in choice["delta"].get("tool_calls", ()):
            yield {"type": "tool_call", "content": call["function"]["arguments"]}


def _anthropic(event: dict[str, Any]) -> Iterator[dict[str, str]]:
    if event["type"] == "content_block_delta":
        delta = event["delta"]
        yield {"type": "text", "content": delta.get("text") or delta.get("partial_json")}


def _google(event: dict[str, Any]) -> Iterator[dict[str, str]]:
    for part in event["candidates"][0]["content"]["parts"]:
        if text := part.get("text"):
            yield {"type": "text", "content": text}
        elif call := part.get("functionCall"):
            yield {"type": "tool_call", "content": json.dumps(call["args"])}


FLOOR = {"openai": _openai, "anthropic": _anthropic, "google": _google}


def sdk(form: str) -> Stream:
    llm, known = KINDS[form]("key"), dict[str, Any]()
    client_of, texts = SDKS[form]

    async def stream(base: str, messages: Messages, tools: Messages | None) -> AsyncIterator[str]:
        client = known[base] = known.get(base) or client_of(base)
        async for event in await texts(client, llm.encode(messages, tools)):
            for text in TEXTS[form](event):
                yield text

    return stream


def _openai_client(base: str) -> Any:
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key="key", base_url=f"{base}/v1")


def _anthropic_client(base: str) -> Any:
    from anthropic import AsyncAnthropic

    return AsyncAnthropic(api_key="key", base_url=base)


def _google_client(base: str) -> Any:
    from google import genai

    return genai.Client(api_key="key", http_options={"base_url": base})


def _openai_texts(event: Any) -> Iterator[str]:
    for choice in event.choices:
        if choice.delta.content:
            yield choice.delta.content
        for call in choice.delta.tool_calls or ():
            yield call.function.arguments


def _anthropic_texts(event: Any) -> Iterator[str]:
    if event.type == "content_block_delta":
        yield event.delta.text if event.delta.type == "text_delta" else event.delta.partial_json


def _google_texts(event: Any) -> Iterator[str]:
    for part in event.candidates[0].content.parts or ():
        if part.text:
            yield part.text
        elif part.function_call:
            yield json.dumps(part.function_call.args)


def _google_stream(client: Any, body: dict[str, Any]) -> Any:
    config = {key: value for key, value in body.items() if key != "contents"}
    return client.aio.models.generate_content_stream(model="m", contents=body["contents"], config=config)


SDKS: dict[str, Any] = {
    "openai": (_openai_client, lambda client, body: client.chat.completions.create(**body)),
    "anthropic": (_anthropic_client, lambda client, body: client.messages.create(**body)),
    "google": (_google_client, _google_stream),
}
TEXTS = {"openai": _openai_texts, "anthropic": _anthropic_texts, "google": _google_texts}
PEERS = {"ours": ours, "kept": kept, "floor": floor, "sdk": sdk}

"""The ways to a language model that have to behave alike: each vendor by our own wire, and by the vendor's own client."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import groq
import openai
import pytest

from patter_nb import AnthropicLLM, CerebrasLLM, GoogleLLM, GroqLLM, OpenAICompatibleLLM, OpenAILLM
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.llm.rounds import Round, ToolRequest, requests_of, take
from patter_nb.llm.wire.vendor import VendorLLM
from patter_nb.testing import WireServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it deprecates what it imports itself
    from google import genai
    from google.genai import types

KEY = "test-key"
USER: Message = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}}


@dataclass(frozen=True)
class Vendor:
    """What differs between vendors."""

    name: str
    llm: Callable[..., VendorLLM]
    model: str
    base_url: Callable[[WireServer], str]
    client: Callable[[WireServer], Any]
    shape: str = "openai"
    retries: int = 2


def _google_client(server: WireServer) -> Any:
    untrusting = {"client_args": {"verify": False}, "async_client_args": {"ssl": False}}  # certificates take time to read
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=server.google_url, **untrusting))


def _openai_client(base_url: Callable[[WireServer], str]) -> Callable[[WireServer], Any]:
    def client(server: WireServer) -> Any:
        return openai.AsyncOpenAI(api_key=KEY, base_url=base_url(server), http_client=openai.DefaultAsyncHttpxClient(verify=False))

    return client


def _groq_client(server: WireServer) -> Any:
    base_url = server.groq_url.removesuffix("/openai/v1")
    return groq.AsyncGroq(api_key=KEY, base_url=base_url, http_client=groq.DefaultAsyncHttpxClient(verify=False))


def _anthropic_client(server: WireServer) -> Any:
    client = anthropic.DefaultAsyncHttpxClient(verify=False)
    return anthropic.AsyncAnthropic(api_key=KEY, base_url=server.anthropic_url, http_client=client)


def _openai_url(server: WireServer) -> str:
    return server.openai_url


VENDORS = {
    vendor.name: vendor
    for vendor in (
        Vendor("openai", OpenAILLM, "gpt-4o-mini", _openai_url, _openai_client(_openai_url)),
        Vendor(
            "groq",
            GroqLLM,
            "llama-3.3-70b-versatile",
            lambda server: server.groq_url,
            _groq_client,
        ),
        Vendor(
            "cerebras",
            CerebrasLLM,
            "gpt-oss-120b",
            lambda server: server.cerebras_url,
            _openai_client(lambda server: server.cerebras_url),
            retries=1,
        ),
        Vendor("openai_compatible", OpenAICompatibleLLM, "test-model", _openai_url, _openai_client(_openai_url)),
        Vendor(
            "anthropic",
            AnthropicLLM,
            "claude-haiku-4-5-20251001",
            lambda server: server.anthropic_url,
            _anthropic_client,
            shape="anthropic",
        ),
        Vendor("google", GoogleLLM, "gemini-2.5-flash", lambda server: server.google_url, _google_client, shape="google"),
    )
}

FIVE = [vendor for name, vendor in VENDORS.items() if name != "openai_compatible"]
"""Those with a key, a default model and an address of their own."""


@dataclass(frozen=True)
class Way:
    """A vendor, by its wire or by its client."""

    vendor: Vendor
    by_client: bool

    @property
    def name(self) -> str:
        return f"{self.vendor.name}-{'client' if self.by_client else 'wire'}"

    @property
    def shape(self) -> str:
        """Whose form it speaks: "openai", "anthropic" or "google"."""
        return self.vendor.shape

    @asynccontextmanager
    async def to(self, server: WireServer, **options: Any) -> AsyncIterator[VendorLLM]:
        """The language model, whose every wait before it asks again is short."""
        options = {"model": self.vendor.model} | options
        if not self.by_client:
            llm = self.vendor.llm(KEY, base_url=self.vendor.base_url(server), **options)
            llm.retrying = replace(llm.retrying, base_s=0.001)
            yield llm
            return
        client = self.vendor.client(server)
        try:
            llm = self.vendor.llm(base_url=self.vendor.base_url(server), client=client, **options)
            llm.retrying = replace(llm.retrying, base_s=0.001)
            yield llm
        finally:
            if self.shape == "google":
                await client.aio.aclose()
                client.close()
            else:
                await client.close()


WAYS = {way.name: way for vendor in VENDORS.values() for way in (Way(vendor, False), Way(vendor, True))}


def ways(*, shape: str | None = None, but: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Runs a test once for each way."""
    chosen = [way for way in WAYS.values() if shape in (None, way.shape) and way.name not in but]
    return pytest.mark.parametrize("way", chosen, ids=[way.name for way in chosen])


every_way = ways()


async def chunks_of(
    llm: VendorLLM, messages: Sequence[Message] = (USER,), tools: Sequence[Any] | None = None, **named: Any
) -> list[LLMChunk]:
    """All chunks of an answer, whose order is as it has to be."""
    chunks = [chunk async for chunk in llm.stream(messages, tools, **named)]
    check(chunks)
    return chunks


def check(chunks: Sequence[LLMChunk]) -> None:
    """(text | reasoning | tool_call)* usage? done, in text that can be encoded."""
    *said, last = chunks
    assert last.type == "done", chunks
    kinds = [chunk.type for chunk in said]
    assert "usage" not in kinds[:-1], kinds
    assert "done" not in kinds, kinds
    if last.finish_reason != "cancelled":
        assert kinds[-1:] == ["usage"], kinds
    "".join(text or "" for chunk in chunks for text in (chunk.content, chunk.arguments, chunk.id, chunk.name)).encode()


def text_of(chunks: Sequence[LLMChunk], kind: str = "text") -> str:
    return "".join(chunk.content or "" for chunk in chunks if chunk.type == kind)


def calls_of(chunks: Sequence[LLMChunk]) -> tuple[ToolRequest, ...]:
    """The calls as they would run."""
    round = Round()
    for chunk in chunks:
        round = take(round, chunk)
    return requests_of(round, prefix="made")


def usage_of(chunks: Sequence[LLMChunk]) -> LLMChunk:
    """The usage, without what is told beside it."""
    (usage,) = (chunk for chunk in chunks if chunk.type == "usage")
    return replace(usage, extra=None)

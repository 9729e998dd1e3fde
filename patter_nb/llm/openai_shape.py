"""OpenAI's chat completions, which half the world speaks: the request and its events, for OpenAI and all who copied them.

From OpenAI's API reference, "Chat Completions" and "Streaming events". Copies differ: they leave out an index, repeat an id, number two
calls alike, send reasoning under one of two names, or count tokens in a field of their own; all that is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec import Struct

from patter_nb.llm.base import FinishReason, LLMChunk, Message, ToolSpec
from patter_nb.llm.wire.clients import Objects, by_keywords, plain, without_retries
from patter_nb.llm.wire.decoding import Decoder, finish_of
from patter_nb.llm.wire.history import functions, sound
from patter_nb.llm.wire.vendor import USER_AGENT, VendorLLM
from patter_nb.wire.refusals import Source

__all__ = ["OpenAIDecoder", "OpenAILLMProvider"]

_FINISHES: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_DONE: Final = b"[DONE]"
_ONLY_WITH_TOOLS: Final = ("tool_choice", "parallel_tool_calls")


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _InputDetails(Struct):
    cached_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Groq(Struct):
    usage: _Usage | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    x_groq: _Groq | None = None
    error: Any = None


class OpenAIDecoder(Decoder[_Chunk]):
    """Events of a chat completion to chunks. `[DONE]` ends it, or the end of the connection once there was a finish_reason."""

    event: ClassVar[Any] = _Chunk

    def __init__(self, source: Source, request_chars: int) -> None:
        super().__init__(source, request_chars)
        self._index_of: dict[int | None, int] = {}
        self._id_of: dict[int, str | None] = {}

    def take(self, data: bytes) -> Iterable[LLMChunk]:
        if data == _DONE:
            self.ended = True
            return ()
        return super().take(data)

    def decode(self, event: _Chunk) -> Iterable[LLMChunk]:
        if event.error is not None:
            raise self.error({"error": event.error})
        usage = event.usage or (event.x_groq.usage if event.x_groq is not None else None)
        if usage is not None:
            self._count(usage)
        if not event.choices:
            return ()
        choice = event.choices[0]
        if choice.finish_reason is not None:
            self.finish_reason = finish_of(choice.finish_reason, _FINISHES)
        delta = choice.delta
        if delta is None:
            return ()
        if delta.content and delta.tool_calls is None and delta.reasoning is None and delta.reasoning_content is None:  # nearly all
            return (LLMChunk("text", content=delta.content),)
        return self._parts(delta)

    def _parts(self, delta: _Delta) -> list[LLMChunk]:
        chunks: list[LLMChunk] = []
        if reasoning := delta.reasoning or delta.reasoning_content:
            chunks.append(LLMChunk("reasoning", content=reasoning))
        if words := (delta.content or "") + (delta.refusal or ""):
            chunks.append(LLMChunk("text", content=words))
        for call in delta.tool_calls or ():
            index, function = self._index(call), call.function or _Function()
            chunks.append(LLMChunk("tool_call", index=index, id=call.id or None, name=function.name or None, arguments=function.arguments))
        return chunks

    def _index(self, call: _Call) -> int:
        """Where a fragment belongs: by the vendor's index, unless it names another call by that index, or none."""
        known = self._index_of.get(call.index)
        begins = call.function is not None and bool(call.function.name)
        other = known is not None and begins and bool(call.id) and self._id_of[known] not in (None, call.id)
        if known is None or other:
            known = self._index_of[call.index] = self.next_call()
            self._id_of[known] = None
        self._id_of[known] = self._id_of[known] or call.id
        return known

    def _count(self, usage: _Usage) -> None:
        cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
        self.usage.input = max(0, (usage.prompt_tokens or 0) - cached)
        self.usage.output = usage.completion_tokens or 0
        self.usage.cache_read = cached
        self.usage.reasoning = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details is not None else None


class OpenAILLMProvider(VendorLLM):
    """The parent of all that speak OpenAI's chat completions; it owns the sampling arguments, which are sent as they are.

    `max_tokens` limits the answer, thinking included, and goes over the wire as max_completion_tokens. `tool_choice` and
    `parallel_tool_calls` are left out of a request without tools, where vendors refuse them. `user_agent` replaces "patter-nb/<version>".
    """

    provider: ClassVar[str] = "openai"
    key_names: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    default_model: ClassVar[str] = ""
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    default_retries: ClassVar[int] = 2
    limit_name: ClassVar[str] = "max_completion_tokens"

    def __init__(  # noqa: PLR0913  # the API's own options, each a keyword with a default
        self,
        api_key: str | None = None,
        *,
        model: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int | None = None,
        client: Any = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        response_format: Mapping[str, Any] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        reasoning_effort: str | None = None,
        user_agent: str | None = None,
        **unknown: Any,
    ) -> None:
        options = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "top_p": top_p,
            "stop": stop,
            "seed": seed,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "response_format": response_format,
            "tool_choice": tool_choice,
            "parallel_tool_calls": parallel_tool_calls,
            "reasoning_effort": reasoning_effort,
            "user_agent": user_agent,
        }
        super().__init__(
            api_key,
            model=self.default_model if model is None else model,
            base_url=self.default_base_url if base_url is None else base_url,
            timeout_s=timeout_s,
            max_retries=self.default_retries if max_retries is None else max_retries,
            client=client,
            options=options,
            unknown=unknown,
        )

    def encode(self, messages: Sequence[Message], tools: Sequence[ToolSpec] | None) -> dict[str, Any]:
        """The body of a chat completion."""
        options = {key: value for key, value in self.options.items() if key != "user_agent" and (tools or key not in _ONLY_WITH_TOOLS)}
        if "max_tokens" in options:
            options[self.limit_name] = options.pop("max_tokens")
        body: dict[str, Any] = {"model": self.model, "messages": [_message(message) for message in sound(messages)]}
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        if tools:
            body["tools"] = [{"type": "function", "function": function} for function in functions(tools)]
        return body | options

    def decoder(self, request_chars: int) -> Decoder[Any]:
        return OpenAIDecoder(self.source, request_chars)

    def url(self) -> str:
        return f"{self.base_url}/chat/completions"

    def warm_url(self) -> str:
        return f"{self.base_url}/models"

    async def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", "User-Agent": str(self.options.get("user_agent", USER_AGENT))}

    def objects(self, client: Any, body: Mapping[str, Any]) -> Objects:
        create = without_retries(client).chat.completions.create
        return plain(create(**by_keywords(create, body)))


def _message(message: Message) -> Message:
    """A message without what is meant for other vendors."""
    kept = {key: value for key, value in message.items() if key != "extra"}
    if calls := message.get("tool_calls"):
        kept["tool_calls"] = [{key: value for key, value in call.items() if key != "extra"} for call in calls]
    return kept

"""Anthropic's language models: the Messages API at https://api.anthropic.com, version 2023-06-01.

From Anthropic's API reference: "Messages", "Streaming messages", "Prompt caching", "Extended thinking". What differs from OpenAI's form:
the system prompt stands apart, roles alternate and the person begins, results of calls are blocks of the person's message, an answer is
blocks that are opened, filled and closed by number, and blocks of thinking have to come back with their signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec import Struct

from patter_nb.llm.base import FinishReason, LLMChunk, Message, ToolSpec
from patter_nb.llm.wire.clients import Objects, by_keywords, plain, without_retries
from patter_nb.llm.wire.decoding import Decoder, finish_of
from patter_nb.llm.wire.history import arguments_of, called_names, extra_of, functions, sound, system_text, text_of
from patter_nb.llm.wire.vendor import USER_AGENT, VendorLLM
from patter_nb.wire.refusals import Source

__all__ = ["LLM", "AnthropicLLM"]

BEGIN: Final = "(call connected)"
"""What the person's first message is where the agent spoke first, since a conversation has to begin with the person."""
_VERSION: Final = "2023-06-01"
_EPHEMERAL: Final = {"cache_control": {"type": "ephemeral"}}
_FINISHES: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}


class _Block(Struct):
    type: str
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    text: str | None = None
    thinking: str | None = None
    data: str | None = None


class _Delta(Struct):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class _OutputDetails(Struct):
    thinking_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Start(Struct):
    usage: _Usage | None = None


class _Event(Struct):
    type: str
    index: int | None = None
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Start | None = None
    usage: _Usage | None = None
    error: Any = None
    request_id: str | None = None


class _Open(Struct):
    """A block that is being filled: the call's `index`, whether arguments came, and a thought with its signature."""

    type: str
    index: int | None = None
    arguments: str = ""
    thought: str = ""
    signature: str = ""


class AnthropicDecoder(Decoder[_Event]):
    """Events of a message to chunks; message_stop ends it."""

    event: ClassVar[Any] = _Event

    def __init__(self, source: Source, request_chars: int) -> None:
        super().__init__(source, request_chars)
        self._blocks: dict[int | None, _Open] = {}

    def decode(self, event: _Event) -> Iterable[LLMChunk]:
        match event.type:
            case "content_block_delta":
                return self._fill(event.index, event.delta or _Delta())
            case "content_block_start":
                return self._open(event.index, event.content_block or _Block("text"))
            case "content_block_stop":
                return self._shut(event.index)
            case "message_start":
                self._count(event.message.usage if event.message is not None else None)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason is not None:
                    self.finish_reason = finish_of(event.delta.stop_reason, _FINISHES)
            case "message_stop":
                self.ended = True
            case "error":
                raise self.error({"error": event.error, "request_id": event.request_id})
        return ()

    def close(self) -> list[LLMChunk]:
        if not self.ended:
            self.finish_reason = None  # the last event says that the answer is whole, not the one before it
        return super().close()

    def _open(self, at: int | None, block: _Block) -> Iterable[LLMChunk]:
        self._blocks[at] = opened = _Open(block.type)
        match block.type:
            case "tool_use":
                opened.index = self.next_call()
                opened.arguments = json.dumps(block.input) if block.input else ""
                return (LLMChunk("tool_call", index=opened.index, id=block.id, name=block.name, arguments=opened.arguments),)
            case "text" if block.text:
                return (LLMChunk("text", content=block.text),)
            case "thinking" if block.thinking:
                opened.thought = block.thinking
                return (LLMChunk("reasoning", content=block.thinking),)
            case "redacted_thinking":
                return (LLMChunk("reasoning", content="", extra=self._extra({"type": "redacted_thinking", "data": block.data})),)
        return ()

    def _fill(self, at: int | None, delta: _Delta) -> Iterable[LLMChunk]:
        match delta.type:
            case "text_delta" if delta.text:
                return (LLMChunk("text", content=delta.text),)
            case "input_json_delta" if delta.partial_json and (block := self._blocks.get(at)) is not None:
                return (LLMChunk("tool_call", index=block.index, arguments=delta.partial_json),)
            case "thinking_delta" if delta.thinking and (block := self._blocks.get(at)) is not None:
                block.thought += delta.thinking
                return (LLMChunk("reasoning", content=delta.thinking),)
            case "signature_delta" if delta.signature and (block := self._blocks.get(at)) is not None:
                block.signature += delta.signature
        return ()

    def _shut(self, at: int | None) -> Iterable[LLMChunk]:
        block = self._blocks.pop(at, None)
        if block is None or block.type != "thinking":
            return ()
        thought = {"type": "thinking", "thinking": block.thought, "signature": block.signature}
        return (LLMChunk("reasoning", content="", extra=self._extra(thought)),)

    def _extra(self, block: Mapping[str, Any]) -> dict[str, Any]:
        return {self.source.provider: block}

    def _count(self, usage: _Usage | None) -> None:
        """Take what is told; a later event tells some of it anew. `input_tokens` is without what came from the cache, as ours is."""
        if usage is None:
            return
        told = (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
        for name, tokens in zip(("input", "output", "cache_read", "cache_write"), told, strict=True):
            if tokens is not None:
                setattr(self.usage, name, tokens)
        if usage.output_tokens_details is not None:
            self.usage.reasoning = usage.output_tokens_details.thinking_tokens


class AnthropicLLM(VendorLLM):
    """A model of Anthropic's, by default claude-haiku-4-5-20251001; the key is ANTHROPIC_API_KEY. Beside the arguments of `VendorLLM`:

    max_tokens      the longest answer, thinking included; the API wants one
    prompt_caching  mark the system prompt and the last tool as to be cached (for five minutes, from 1,024 to 4,096 tokens on by model)
    thinking        {"type": "enabled", "budget_tokens": n}: the model thinks first; its thoughts are reasoning, never spoken

    temperature, top_p, top_k, stop and tool_choice ("auto", "none", "required" or {"function": {"name"}}) are as in OpenAI's form.
    `client` is an `anthropic.AsyncAnthropic`, `AsyncAnthropicBedrock` or `AsyncAnthropicVertex`.
    """

    provider: ClassVar[str] = "anthropic"
    key_names: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)
    models: ClassVar[tuple[str, ...]] = ("claude-haiku-4-5-20251001", "claude-sonnet-4-6", "claude-opus-4-7")

    def __init__(  # noqa: PLR0913  # the API's own options, each a keyword with a default
        self,
        api_key: str | None = None,
        *,
        model: str = "claude-haiku-4-5-20251001",
        base_url: str = "https://api.anthropic.com",
        timeout_s: float = 60.0,
        max_retries: int = 2,
        client: Any = None,
        max_tokens: int = 1024,
        prompt_caching: bool = True,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        stop: str | Sequence[str] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        thinking: Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> None:
        options = {
            "max_tokens": max_tokens,
            "prompt_caching": prompt_caching,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "stop": stop,
            "tool_choice": tool_choice,
            "thinking": thinking,
        }
        super().__init__(
            api_key,
            model=model,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            client=client,
            options=options,
            unknown=unknown,
        )

    def encode(self, messages: Sequence[Message], tools: Sequence[ToolSpec] | None) -> dict[str, Any]:
        """The body of a request for a message."""
        cached = _EPHEMERAL if self.options["prompt_caching"] else {}
        body: dict[str, Any] = {"model": self.model, "max_tokens": self.options["max_tokens"], "stream": True}
        if system := system_text(messages):
            body["system"] = [{"type": "text", "text": system, **cached}] if cached else system
        body["messages"] = _messages(sound(messages), self.provider)
        body |= {key: self.options[key] for key in ("temperature", "top_p", "top_k", "thinking") if key in self.options}
        if "stop" in self.options:
            stop = self.options["stop"]
            body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        return body | self._tools(messages, tools, cached)

    def _tools(self, messages: Sequence[Message], tools: Sequence[ToolSpec] | None, cached: Mapping[str, Any]) -> dict[str, Any]:
        if tools:
            told = [_tool(function) for function in functions(tools)]
            told[-1] |= cached
            choice = self.options.get("tool_choice")
            return {"tools": told} if choice is None else {"tools": told, "tool_choice": _choice(choice)}
        if called := dict.fromkeys(called_names(messages).values()):  # a conversation with calls is refused without their tools
            return {"tools": [_tool({"name": name}) for name in called], "tool_choice": {"type": "none"}}
        return {}

    def decoder(self, request_chars: int) -> Decoder[Any]:
        return AnthropicDecoder(self.source, request_chars)

    def url(self) -> str:
        return f"{self.base_url}/v1/messages"

    def warm_url(self) -> str:
        return f"{self.base_url}/v1/models"

    async def headers(self) -> dict[str, str]:
        return {"x-api-key": self._key, "anthropic-version": _VERSION, "User-Agent": USER_AGENT}

    def objects(self, client: Any, body: Mapping[str, Any]) -> Objects:
        create = without_retries(client).messages.create
        return plain(create(**by_keywords(create, body)))


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    described = {"description": function["description"]} if function.get("description") else {}
    return {"name": function["name"], **described, "input_schema": _input_schema(function.get("parameters") or {})}


def _input_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The API takes no allOf, anyOf or oneOf at the top: their properties are told together; what allOf requires is required."""
    parts = [(key, part) for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key, ())]
    whole: dict[str, Any] = {"type": "object", "properties": {}}
    whole |= {key: value for key, value in schema.items() if key not in ("allOf", "anyOf", "oneOf")}
    for key, part in parts:
        whole["properties"] = {**part.get("properties", {}), **whole["properties"]}
        if key == "allOf":
            whole["required"] = [*dict.fromkeys([*whole.get("required", ()), *part.get("required", ())])]
    return whole


def _choice(choice: str | Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's way to say which tool, in Anthropic's; Anthropic's own is passed on."""
    if isinstance(choice, str):
        return {"type": _CHOICES.get(choice, choice)}
    function = choice.get("function")
    return {"type": "tool", "name": function["name"]} if isinstance(function, Mapping) else dict(choice)


def _messages(messages: Sequence[Message], provider: str) -> list[dict[str, Any]]:
    """Messages of blocks, neighbours of one role joined, and the person first."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "system":
            continue
        role, blocks = ("assistant", _said(message, provider)) if message["role"] == "assistant" else ("user", _heard(message))
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns or turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": BEGIN}]})
    last = turns[-1]["content"][-1]
    if turns[-1]["role"] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()  # refused at the end of the last message
    return [turn if len(turn["content"]) > 1 else {**turn, "content": _alone(turn["content"])} for turn in turns]


def _alone(blocks: list[dict[str, Any]]) -> Any:
    return blocks[0]["text"] if blocks[0]["type"] == "text" else blocks


def _heard(message: Message) -> list[dict[str, Any]]:
    """The person's words, or the result of a call."""
    text = text_of(message)
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": text}]
    return [{"type": "text", "text": text}] if text.strip() else []


def _said(message: Message, provider: str) -> list[dict[str, Any]]:
    """The agent's thoughts, which go back as they came, its words, and its calls."""
    text, calls = text_of(message), message.get("tool_calls") or ()
    blocks = [dict(thought) for thought in extra_of(message, provider) or ()]
    blocks += [{"type": "text", "text": text}] if text.strip() else []
    return blocks + [
        {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": arguments_of(call)} for call in calls
    ]


LLM = AnthropicLLM

"""What the loop asks of a language model, and the one chunk that all of them speak."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from patter_nb.errors import MalformedStream

if TYPE_CHECKING:
    import asyncio

Message: TypeAlias = dict[str, Any]
"""An OpenAI-shaped chat message: system, user, assistant (with or without tool_calls) or tool."""

ToolSpec: TypeAlias = dict[str, Any]
"""An OpenAI-shaped tool: {"type": "function", "function": {name, description, parameters}}, and "x-examples" beside it for LocalLLM."""

CHARS_A_TOKEN: Final = 4
"""Where tokens must be guessed: about what English takes."""

ChunkType: TypeAlias = Literal["text", "reasoning", "tool_call", "usage", "done"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "cancelled"]


@dataclass(frozen=True, slots=True)
class LLMChunk:
    """One step of an answer. `type` says which of the other fields hold something; the rest is None.

    text, reasoning  content
    tool_call        index, and on one or more fragments id, name, arguments (JSON text; fragments of one index are joined)
    usage            input_tokens (cached ones excluded), output_tokens, cache_read_tokens, cache_write_tokens,
                     reasoning_tokens, provider, model, estimated (True: counted here, not by the provider)
    done             finish_reason

    A successful stream is (text | reasoning | tool_call)* usage? done. `extra` is opaque data of the provider it came from.
    """

    type: ChunkType
    content: str | None = None
    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    provider: str | None = None
    model: str | None = None
    estimated: bool | None = None
    extra: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The fields that hold something, as a plain dict.

        >>> LLMChunk("text", content="Hi").to_dict()
        {'type': 'text', 'content': 'Hi'}
        """
        return {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


_FIELDS = tuple(f.name for f in fields(LLMChunk))
_KNOWN = frozenset(_FIELDS)
_TYPES = frozenset(("text", "reasoning", "tool_call", "usage", "done"))

AnyChunk: TypeAlias = LLMChunk | Mapping[str, Any] | str


@runtime_checkable
class LLMProvider(Protocol):
    """Anything with a `stream` method is a provider.

    `messages` and `tools` are OpenAI-shaped. The iterator yields `LLMChunk`, dicts of the same keys, or plain text.
    When `cancel_event` is set the provider ends soon, with done(finish_reason="cancelled"); closing the iterator closes
    the connection. A failure raises a `PatterError`. A provider that does not take `tools`, `cancel_event` or `call_id` is
    called without them. `provider` and `model`, where they exist, name it in logs and bills.

    `done` says that the answer is whole. A stream that ends without it is taken at its word, but not in the dark: of its tool
    calls those run whose arguments are JSON ("{}" for none); of the others the model is told that they did not arrive.
    """

    def stream(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        *,
        cancel_event: asyncio.Event | None = None,
        call_id: str | None = None,
    ) -> AsyncIterator[AnyChunk]: ...


def as_chunk(value: object, *, provider: str | None = None) -> LLMChunk:
    """`value` as an `LLMChunk`; a dict's unknown keys are ignored, as are keys set to None.

    Raises `MalformedStream` for anything that is no chunk, dict of a known type, or str, and for fields of the wrong type.
    """
    if isinstance(value, str):
        return LLMChunk("text", content=value)
    if isinstance(value, LLMChunk) and _is_sound(value):
        return value
    if isinstance(value, Mapping) and "type" in value:
        chunk = LLMChunk(**{key: item for key, item in value.items() if key in _KNOWN})
        if _is_sound(chunk):
            return chunk
    raise MalformedStream(
        f"The language model yielded {type(value).__name__} {value!r:.80}, which is no chunk.",
        provider=provider,
        hint="Yield LLMChunk, a dict with a type of text, reasoning, tool_call, usage or done, or plain text; counts are int.",
    )


def _is_sound(chunk: LLMChunk) -> bool:
    """Whether the type is known and the fields that are joined or added up can be."""
    texts = (chunk.content, chunk.id, chunk.name, chunk.arguments, chunk.finish_reason)
    counts = (
        chunk.index,
        chunk.input_tokens,
        chunk.output_tokens,
        chunk.cache_read_tokens,
        chunk.cache_write_tokens,
        chunk.reasoning_tokens,
    )
    return (
        isinstance(chunk.type, str)
        and chunk.type in _TYPES
        and all(text is None or isinstance(text, str) for text in texts)
        and all(count is None or isinstance(count, int) for count in counts)
    )


def open_stream(
    llm: LLMProvider,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec] | None,
    *,
    cancel_event: asyncio.Event | None,
    call_id: str | None,
) -> AsyncIterator[AnyChunk]:
    """Call `llm.stream` with what its signature takes, and see its result as an async iterator, also where it is a plain one.

    The messages are its own copies: a provider may change them without changing the conversation.
    """
    offered = {"cancel_event": cancel_event, "call_id": call_id}
    copies, specs = [dict(message) for message in messages], list(tools) if tools else None
    parameters = inspect.signature(llm.stream).parameters
    places = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and name not in offered]
    in_order = [copies, specs] if len(places) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters.values()) else [copies]
    by_name = offered if len(in_order) > 1 else {"tools": specs, **offered}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    taken = {key: value for key, value in by_name.items() if open_ended or key in parameters}
    stream: object = llm.stream(*in_order, **taken)  # type: ignore[arg-type]
    if isinstance(stream, AsyncIterator):
        return stream
    if isinstance(stream, Coroutine):
        stream.close()  # or it would be warned of as never awaited
    if isinstance(stream, Iterator):
        return _from_iterator(stream)
    raise MalformedStream(
        f"{type(llm).__name__}.stream returned {type(stream).__name__}, which is no iterator.",
        hint="Make stream an async generator: async def stream(...): yield ...",
    )


async def warm(llm: object, tools: Sequence[ToolSpec]) -> None:
    """Have a model load, connect, or read the tools ahead of the first request, if it can; it is told the tools if it takes them."""
    warmup = getattr(llm, "warmup", None)  # optional in the protocol
    if warmup is not None:
        await (warmup(list(tools)) if inspect.signature(warmup).parameters else warmup())


async def _from_iterator(chunks: Iterator[AnyChunk]) -> AsyncIterator[AnyChunk]:
    for chunk in chunks:
        yield chunk


def name_of(llm: object) -> tuple[str, str | None]:
    """(provider, model) of a language model, for logs and bills; a provider of one's own goes by its class name."""
    provider = getattr(llm, "provider", None)  # a foreign type: our own providers all have both
    model = getattr(llm, "model", None)
    return (provider if isinstance(provider, str) else type(llm).__name__, model if isinstance(model, str) else None)


def costs_of(part: object) -> bool:
    """Whether a provider of any stage charges for what it does. One of one's own may not say; then it may cost."""
    return bool(getattr(part, "costs", True))  # a foreign type, as above

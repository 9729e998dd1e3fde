"""What all decoders share: JSON of a vendor's event as typed values, a running count, and the two chunks that every answer ends in.

A vendor's own decoder says what one event means. It is told bytes of a stream, or the objects of a vendor's client, which are the same
events; values are typed by msgspec, which reads only what is named and costs a microsecond.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from patter_nb.errors import ContentFiltered, MalformedStream, TruncatedStream
from patter_nb.llm.base import CHARS_A_TOKEN, FinishReason, LLMChunk
from patter_nb.llm.wire.surrogates import Joiner
from patter_nb.wire.refusals import Refusal, Source, refusal_of

__all__ = ["Decoder", "ErrorEvent", "Usage", "finish_of"]

Event = TypeVar("Event")

_SHOWN: Final = 200


class ErrorEvent(Exception):
    """The vendor sent an error where it had answered 200."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(slots=True)
class Usage:
    """Tokens, as far as the vendor told them: `input` without what came from a cache."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Decoder(ABC, Generic[Event]):
    """Events of one answer to chunks. `ended` is true once the vendor's last word has come, after which nothing is to be read."""

    event: ClassVar[Any]
    """The type of an event, a `msgspec.Struct`."""

    def __init__(self, source: Source, request_chars: int) -> None:
        self.source = source
        self.usage = Usage()
        self.finish_reason: FinishReason | None = None
        self.ended = False
        self.notes: dict[str, Any] = {}
        """What is told of the request with the usage, for the log."""
        self._texts: list[str] = []
        self._chars = 0
        self._calls = 0
        self._request_chars = request_chars
        self._json = _reader(self.event)
        self._joiners: dict[int | str, Joiner] | None = None
        """Present once a half of a character has come."""

    @property
    def text(self) -> str:
        """The words so far."""
        return "".join(self._texts)

    @abstractmethod
    def decode(self, event: Event) -> Iterable[LLMChunk]:
        """The chunks of one event; usage and the reason for the end are noted."""

    def take(self, data: bytes) -> Iterable[LLMChunk]:
        """The chunks of one event as it came. Raises `MalformedStream`, and `ErrorEvent` for one that is the vendor's error."""
        try:
            event = self._json.decode(data)
        except msgspec.DecodeError:
            event = self._read_anyhow(data)
        return self._kept(self.decode(event))

    def take_object(self, value: Mapping[str, Any]) -> Iterable[LLMChunk]:
        """The same for the event as an object of plain values."""
        chunks = self.decode(self._converted(value, str(value)))
        if self._joiners is None and any(_has_halves(chunk.content or chunk.arguments or "") for chunk in chunks):
            self._joiners = {}
        return self._kept(chunks)

    def _kept(self, chunks: Iterable[LLMChunk]) -> Iterable[LLMChunk]:
        if self._joiners is not None:
            chunks = [mended for chunk in chunks if (mended := self._mended(chunk, self._joiners)) is not None]
        for chunk in chunks:
            if chunk.type == "text" and chunk.content:
                self._texts.append(chunk.content)
            self._chars += len(chunk.content or chunk.arguments or "")
        return chunks

    def close(self) -> list[LLMChunk]:
        """The last chunks, usage and done. Raises `TruncatedStream` for an answer that is not whole, `ContentFiltered` for none at all."""
        if self.finish_reason is None:
            raise self.truncated("the stream ended without its last event")
        finish: FinishReason = "tool_calls" if self.finish_reason == "stop" and self._calls else self.finish_reason
        if finish == "content_filter" and not self.text.strip() and not self._calls:
            told = f"{self.source.provider} refused to answer."
            raise ContentFiltered(told, provider=self.source.provider, model=self.source.model, hint="Ask in other words.")
        halves = [LLMChunk("text", content=rest) for joiner in (self._joiners or {}).values() if (rest := joiner.rest())]
        return [*halves, self._usage_chunk(), LLMChunk("done", finish_reason=finish)]

    def truncated(self, why: str) -> TruncatedStream:
        """The error for an answer that is not whole."""
        told, where = f"{self.source.provider}'s answer broke off: {why}.", self.source
        return TruncatedStream(told, partial_text=self.text, provider=where.provider, model=where.model, hint="Ask again.")

    def error(self, value: object) -> ErrorEvent:
        """What to raise for an event that is an error."""
        return ErrorEvent(refusal_of(value))

    def next_call(self) -> int:
        """The index of a call that begins."""
        self._calls += 1
        return self._calls - 1

    def _usage_chunk(self) -> LLMChunk:
        usage = self.usage
        untold = not (usage.input or usage.output or usage.cache_read or usage.cache_write)
        if untold:
            usage = Usage(*(max(1, chars // CHARS_A_TOKEN) for chars in (self._request_chars, self._chars)))
        return LLMChunk(
            "usage",
            input_tokens=usage.input or 0,
            output_tokens=usage.output or 0,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
            reasoning_tokens=usage.reasoning,
            provider=self.source.provider,
            model=self.source.model,
            estimated=untold or None,
            extra={self.source.provider: dict(self.notes)} if self.notes else None,
        )

    def _read_anyhow(self, data: bytes) -> Event:
        """What msgspec does not take: halves of characters, which json keeps, and bytes that are no UTF-8."""
        text = data.decode("utf-8", "replace")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._malformed(text) from error
        self._joiners = self._joiners or {}
        return self._converted(value, text)

    def _converted(self, value: object, text: str) -> Event:
        try:
            converted: Event = msgspec.convert(value, type=self.event)
        except msgspec.ValidationError as error:
            raise self._malformed(text) from error
        return converted

    def _malformed(self, text: str) -> MalformedStream:
        told = f"{self.source.provider} sent an event that is not of its form: {text[:_SHOWN]!r}"
        hint = "Is base_url the address of this API?"
        return MalformedStream(told, provider=self.source.provider, model=self.source.model, hint=hint)

    def _mended(self, chunk: LLMChunk, joiners: dict[int | str, Joiner]) -> LLMChunk | None:
        """The chunk without halves of characters; None where nothing of it is left for now."""
        joiner = joiners.setdefault(chunk.type if chunk.index is None else chunk.index, Joiner())
        if chunk.content is not None:
            content = joiner.take(chunk.content)
            return changed(chunk, content=content) if content or chunk.extra else None
        return changed(chunk, arguments=joiner.take(chunk.arguments)) if chunk.arguments is not None else chunk


def _has_halves(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


_readers: dict[Any, msgspec.json.Decoder[Any]] = {}


def _reader(event: Any) -> msgspec.json.Decoder[Any]:
    if event not in _readers:
        _readers[event] = msgspec.json.Decoder(event)
    return _readers[event]


def finish_of(reason: str, known: Mapping[str, FinishReason]) -> FinishReason:
    """The reason in our words; one that is new is an end like any other."""
    return known.get(reason, "stop")

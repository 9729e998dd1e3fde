"""The sequences of a session: chunks, tool calls and requests, each with where it belongs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar, overload

from patter_nb.events import Event, LLMChunked
from patter_nb.llm.base import LLMChunk
from patter_nb.rows import Rows
from patter_nb.turn import LLMRequest, ToolCall

__all__ = ["Chunks", "Requests", "ToolCalls"]

_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class Chunks(Rows[Event, LLMChunk]):
    """What language models sent, in order. As a table also `turn`, `round`, and `wall_s`, seconds from the session's start."""

    __slots__ = ()
    _COLUMNS: ClassVar[tuple[str, ...]] = ("turn", "round", "wall_s", *(field.name for field in fields(LLMChunk)))
    _WHOLE: ClassVar[frozenset[str]] = frozenset(("turn", "round", "index", *_TOKENS))

    @overload
    def __getitem__(self, index: int) -> LLMChunk: ...
    @overload
    def __getitem__(self, index: slice) -> Chunks: ...
    def __getitem__(self, index: int | slice) -> LLMChunk | Chunks:
        return super().__getitem__(index)  # said here once more by name, for completers do not follow type variables

    def _item(self, entry: Event) -> LLMChunk:
        assert isinstance(entry.body, LLMChunked)
        return entry.body.chunk

    def _row(self, entry: Event) -> dict[str, Any]:
        assert isinstance(entry.body, LLMChunked)
        return {"turn": entry.turn, "round": entry.body.round, "wall_s": round(entry.wall_s, 6), **entry.body.chunk.to_dict()}


class ToolCalls(Rows[tuple[int, ToolCall], ToolCall]):
    """Tool calls, in order. As a table also `turn`."""

    __slots__ = ()
    _COLUMNS: ClassVar[tuple[str, ...]] = ("turn", *(field.name for field in fields(ToolCall)))
    _WHOLE: ClassVar[frozenset[str]] = frozenset(("turn",))

    @overload
    def __getitem__(self, index: int) -> ToolCall: ...
    @overload
    def __getitem__(self, index: slice) -> ToolCalls: ...
    def __getitem__(self, index: int | slice) -> ToolCall | ToolCalls:
        return super().__getitem__(index)  # said here once more by name, for completers do not follow type variables

    def _item(self, entry: tuple[int, ToolCall]) -> ToolCall:
        return entry[1]

    def _row(self, entry: tuple[int, ToolCall]) -> dict[str, Any]:
        return {"turn": entry[0], **{field.name: getattr(entry[1], field.name) for field in fields(ToolCall)}}


class Requests(Rows[tuple[LLMRequest, bool], LLMRequest]):
    """Requests to language models and engines, in order, with those that were thrown away (`wasted`).

    As a table: who was asked, tokens, the share that came from the vendor's cache (`cached`, 0 to 1), cost in USD, times in ms, bytes
    sent (`sent`), as plain JSON (`plain`) and `saved`, how often it was tried (`attempts`), and how HTTP's last one ended.
    """

    __slots__ = ()
    _COLUMNS: ClassVar[tuple[str, ...]] = (
        *("turn", "round", "stage", "provider", "model", "wasted", "finish_reason", *_TOKENS, "cached", "estimated", "cost"),
        *("first_chunk_ms", "total_ms", "attempts", "sent", "plain", "saved", "status", "first_byte_ms", "request_id"),
    )
    _WHOLE: ClassVar[frozenset[str]] = frozenset(("turn", "round", *_TOKENS, "attempts", "sent", "plain", "saved", "status"))

    @overload
    def __getitem__(self, index: int) -> LLMRequest: ...
    @overload
    def __getitem__(self, index: slice) -> Requests: ...
    def __getitem__(self, index: int | slice) -> LLMRequest | Requests:
        return super().__getitem__(index)  # said here once more by name, for completers do not follow type variables

    def _item(self, entry: tuple[LLMRequest, bool]) -> LLMRequest:
        return entry[0]

    def _row(self, entry: tuple[LLMRequest, bool]) -> dict[str, Any]:
        request, wasted = entry
        provider, model = request.answered_by
        row: dict[str, Any] = {"turn": request.turn, "round": request.round, "stage": request.stage, "provider": provider, "model": model}
        row |= {"wasted": wasted, "finish_reason": request.finish_reason, "cached": request.cached, "cost": request.cost}
        row |= {"first_chunk_ms": request.first_chunk_ms, "total_ms": request.total_ms, "attempts": len(request.attempts)}
        if (usage := request.usage) is not None:
            row |= {name: getattr(usage, name) for name in _TOKENS} | {"estimated": bool(usage.estimated)}
        if (sent := request.sent) is not None and request.stage == "llm":
            row |= {"sent": sent.size, "plain": sent.plain_size, "saved": sent.saved}
        if (answered := request.answered) is not None:
            row |= {"status": answered.status, "first_byte_ms": answered.first_byte_ms, "request_id": answered.request_id}
        return row

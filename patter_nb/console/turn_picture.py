"""What a page shows of one turn, as plain JSON, and the operations by which a page's own copy follows it."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from patter_nb.events import (
    AudioSent,
    Body,
    BreakpointLeft,
    Event,
    LLMChunked,
    LLMRequested,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
    ToolCalled,
    ToolEnded,
    TurnHeard,
    TurnOffered,
    error_to_dict,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.turn import Turn
from patter_nb.waterfall import Waterfall

__all__ = ["Json", "Op", "TurnPicture"]

Json: TypeAlias = Any
Op: TypeAlias = list[Json]

TEXT_LIMIT: Final = 20_000
"""A longer result or argument is cut on screen, and says so; the log has all of it."""
_STREAMED: Final = ("text", "reasoning", "tool_call")


class TurnPicture:
    """The picture of `turn`. `fold` takes each of its events in, `settle` what the turn keeps of itself; both append to `ops`.

    A value in it is replaced, never changed, for an operation that waits to be sent may hold it.
    """

    def __init__(self, turn: Turn, ops: list[Op]) -> None:
        self._turn = turn
        self._calls: list[tuple[int, int]] = []
        self._asked: str | None = None
        self._streamed_s: tuple[float, float] | None = None
        unknown = dict.fromkeys(("late_ms", "heard", "stream_ms", "waterfall"))
        fields = {"id": turn.id, "source": turn.source, **unknown, **_figures(turn)}
        self.told: dict[str, Json] = {**fields, "pieces": [], "tools": [], "chunks": []}
        ops.append(["turn", turn.id, fields])

    def fold(self, event: Event, ops: list[Op]) -> None:
        """Take in one event of the turn."""
        match event.body:
            case LLMRequested(provider=provider, model=model, piece=None):
                self._asked = " ".join(filter(None, (provider, model)))
            case LLMChunked(round, chunk):
                self._streamed_s = (self._streamed_s[0] if self._streamed_s else event.wall_s, event.wall_s)
                self._chunk((round, chunk.index or 0), chunk, ops)
            case ToolCalled() | ToolEnded():
                self._tool(event.body, ops)
            case BreakpointLeft(point="tool_call"):
                self._edit_tool(event.body, ops)
            case TurnOffered(late_ms=late_ms):
                self._merge(ops, late_ms=late_ms)
            case TurnHeard(text):
                self._merge(ops, heard=text)
            case _:
                self._speech(event.body, ops)

    def settle(self, ops: list[Op]) -> None:
        """Tell what of the turn's own figures has changed."""
        first_s, last_s = self._streamed_s or (0.0, 0.0)
        stream_ms = round((last_s - first_s) * 1000, 1) or None
        self._merge(ops, **_figures(self._turn), stream_ms=stream_ms, waterfall=_waterfall(self._turn.waterfall))
        if self._turn.status != "running":
            for index, call in enumerate(self.told["tools"]):
                if call["status"] == "streaming":
                    self._set_tool(index, ops, status="cancelled", error="The call was never complete.")

    def _merge(self, ops: list[Op], **fields: Json) -> None:
        changed = {name: value for name, value in fields.items() if self.told[name] != value}
        if changed:
            self.told.update(changed)
            ops.append(["turn", self._turn.id, changed])

    def _speech(self, body: Body, ops: list[Op]) -> None:
        match body:
            case SentenceReady(index, _, text, kind):
                by = self._asked if kind == "answer" else None
                self._piece(index, ops, text=text, kind=kind, by=by, start=None, stop=None, done=False)
            case SentenceChecked(index, text):
                self._piece(index, ops, text=text)
            case AudioSent(index, start, stop):
                known = self.told["pieces"][index]["start"]
                self._piece(index, ops, start=start if known is None else known, stop=stop)
            case SentenceSpoken(index):
                self._piece(index, ops, done=True)

    def _piece(self, index: int, ops: list[Op], **fields: Json) -> None:
        pieces = self.told["pieces"]
        if index == len(pieces):
            pieces.append({})
        pieces[index] = {**pieces[index], **fields}
        waiting = next((op for op in reversed(ops) if op[:3] == ["piece", self._turn.id, index]), None)
        if waiting is None:
            ops.append(["piece", self._turn.id, index, pieces[index]])
        else:
            waiting[3] = pieces[index]  # what it was in between nobody sees

    def _chunk(self, place: tuple[int, int], chunk: LLMChunk, ops: list[Op]) -> None:
        words = (chunk.name or "") + (chunk.arguments or "") if chunk.type == "tool_call" else chunk.content
        if chunk.type not in _STREAMED or not words:
            return
        self.told["chunks"].append([chunk.type, words])
        if not (ops and ops[-1][:2] == ["chunks", self._turn.id]):
            ops.append(["chunks", self._turn.id, []])
        runs = ops[-1][2]
        if not (runs and runs[-1][0] == chunk.type):
            runs.append([chunk.type])
        runs[-1].append(words)
        if chunk.type == "tool_call":
            self._stream_call(place, chunk, ops)

    def _stream_call(self, place: tuple[int, int], chunk: LLMChunk, ops: list[Op]) -> None:
        """A call as it streams in, before it is known to be one."""
        if place not in self._calls:
            self._calls.append(place)
            self._add_tool(ops, id=chunk.id, name=chunk.name or "", arguments="", status="streaming")
        if chunk.arguments:
            index, tools = self._calls.index(place), self.told["tools"]
            tools[index] = {**tools[index], "arguments": tools[index]["arguments"] + chunk.arguments}
            ops.append(["arguments", self._turn.id, index, chunk.arguments])

    def _tool(self, body: ToolCalled | ToolEnded, ops: list[Op]) -> None:
        tools = self.told["tools"]
        if isinstance(body, ToolEnded):
            index = next(at for at, call in enumerate(tools) if call["id"] == body.id)
            ended = next(call for call in self._turn.tool_calls if call.id == body.id)
            result = None if ended.result is None else _cut(str(ended.result))
            self._set_tool(index, ops, status=ended.status, result=result, error=ended.error, duration_ms=ended.duration_ms)
            return
        fields = {"id": body.id, "name": body.name, "arguments": _cut(body.arguments), "status": "running"}
        streaming = next((at for at, call in enumerate(tools) if call["status"] == "streaming"), None)
        if streaming is None:  # its model does not stream calls
            self._calls.append((-1, len(tools)))
            self._add_tool(ops, **fields)
        else:
            self._set_tool(streaming, ops, **fields)

    def _edit_tool(self, left: BreakpointLeft, ops: list[Op]) -> None:
        """At a breakpoint other arguments were given, or a result in place of the tool's own."""
        index = next((at for at, call in enumerate(self.told["tools"]) if call["id"] == left.id), None)
        if index is not None and left.edits:
            given = {"arguments": _cut(left.edits["arguments"])} if "arguments" in left.edits else {}
            self._set_tool(index, ops, **given, edited=True)

    def _add_tool(self, ops: list[Op], **fields: Json) -> None:
        self.told["tools"].append({"result": None, "error": None, "duration_ms": None, "edited": False})
        self._set_tool(len(self.told["tools"]) - 1, ops, **fields)

    def _set_tool(self, index: int, ops: list[Op], **fields: Json) -> None:
        tools = self.told["tools"]
        tools[index] = {**tools[index], **fields}
        ops.append(["tool", self._turn.id, index, tools[index]])


def _figures(turn: Turn) -> dict[str, Json]:
    """What a turn's own fold tells."""
    cost = turn.cost
    return {
        "user": turn.user_text,
        "status": turn.status,
        "error": None if turn.error is None else error_to_dict(turn.error),
        "heard_ms": turn.heard_ms,
        "first_ms": turn.latency.get("llm_first_token"),
        "tokens": turn.usage.get("output_tokens"),
        "provider": turn.provider,
        "model": turn.model,
        "cost": None if cost is None or not (turn.requests or cost) else str(cost),
    }


def _waterfall(fall: Waterfall) -> dict[str, Json]:
    """Where the time went, in tenths of milliseconds; what is shorter and does not say that it was not measured is left out."""
    told = [part for part in fall.parts if part.duration_ms >= 0.05 or part.duration_ms == 0]
    parts = [[part.name, round(part.duration_ms, 1), part.owner, part.detail, part.measured] for part in told]
    return {"gap": None if fall.gap_ms is None else round(fall.gap_ms, 1), "since": fall.since, "why": fall.why, "parts": parts}


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}… ({len(text) - TEXT_LIMIT:,} more characters)"

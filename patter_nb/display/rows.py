"""Chunks and tool calls of a session, one below the other, with the turn that they are of."""

from __future__ import annotations

from itertools import groupby

from patter_nb.display.figures import count
from patter_nb.display.markup import Html, join, line, tag
from patter_nb.display.tools import call_line, call_text
from patter_nb.display.turn import chunk_lines
from patter_nb.sequences import Chunks, ToolCalls

__all__ = ["calls_page", "calls_text", "chunks_page", "chunks_text"]

_SHOWN = 20
_ROOM = 60_000


def chunks_text(chunks: Chunks) -> str:
    """How many there are of each kind, then the last streams, a line for each."""
    streams = _streams(chunks)
    told = (f"  turn {turn}, round {round}  {line(_words(part), 300)}" for turn, round, part in streams[-_SHOWN:])
    return "\n".join((_kinds(chunks), *_before(streams, "stream"), *told))


def chunks_page(chunks: Chunks) -> Html:
    """The last streams with the borders of their chunks."""
    if not len(chunks):
        return tag("p", "No chunks yet.", cls="dim")
    streams = _streams(chunks)
    shown = streams[-_SHOWN:]
    note = [tag("p", tag("small", text, " not shown")) for text in _before(streams, "stream")]
    rows = [_stream(*stream, room=_ROOM // len(shown)) for stream in shown]
    return join(tag("div", tag("b", _kinds(chunks))), *note, tag("dl", *rows))


def _stream(turn: int | None, round: int, chunks: Chunks, *, room: int) -> Html:
    said = chunk_lines(list(chunks), room) or [tag("small", ", ".join(chunk.type for chunk in chunks[:3]))]
    return join(tag("dt", f"turn {turn}, round {round}"), tag("dd", *said))


def _streams(chunks: Chunks) -> list[tuple[int | None, int, Chunks]]:
    """The chunks of each request together."""
    rows = chunks.to_dicts()
    found, start = [], 0
    for (turn, round), group in groupby(rows, key=lambda row: (row["turn"], row["round"])):
        stop = start + sum(1 for _ in group)
        found.append((turn, round, chunks[start:stop]))
        start = stop
    return found


def _words(chunks: Chunks) -> str:
    return "|".join(
        chunk.content or chunk.arguments or chunk.name or "" for chunk in chunks if chunk.type in ("text", "reasoning", "tool_call")
    )


def _kinds(chunks: Chunks) -> str:
    kinds: dict[str, int] = {}
    for chunk in chunks:
        kinds[chunk.type] = kinds.get(chunk.type, 0) + 1
    told = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in kinds.items())
    return f"{count(len(chunks), 'chunk')}{f': {told}' if told else ''}"


def calls_text(calls: ToolCalls) -> str:
    """The last calls, a line for each."""
    rows = (f"  {call_text(call)}" for call in calls[-_SHOWN:])
    return "\n".join((count(len(calls), "tool call"), *_before(calls, "call"), *rows))


def calls_page(calls: ToolCalls) -> Html:
    """The last calls, and of which turn each is."""
    if not len(calls):
        return tag("p", "No tool calls yet.", cls="dim")
    shown = calls[-_SHOWN:]
    turns = [row["turn"] for row in shown.to_dicts()]
    note = [tag("p", tag("small", text, " not shown")) for text in _before(calls, "call")]
    rows = [join(tag("dt", f"turn {turn}"), tag("dd", call_line(call, 800))) for turn, call in zip(turns, shown, strict=True)]
    return join(tag("div", tag("b", count(len(calls), "tool call"))), *note, tag("dl", *rows))


def _before(things: ToolCalls | list[tuple[int | None, int, Chunks]], what: str) -> list[str]:
    hidden = len(things) - _SHOWN
    return [f"… {count(hidden, f'earlier {what}')}"] if hidden > 0 else []

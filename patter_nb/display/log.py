"""The log as a table of what happened when; one event, or one chunk, as its fields."""

from __future__ import annotations

from collections.abc import Mapping

from patter_nb.display.change import change_page
from patter_nb.display.error import error_card
from patter_nb.display.figures import count, duration
from patter_nb.display.markup import Html, compact_json, fold, foreign, join, left_out, line, tag
from patter_nb.display.sound import track_page
from patter_nb.display.turn import chunk_lines
from patter_nb.events import AgentChanged, Event, LLMChunked, LLMRequested, StageFailed
from patter_nb.llm.base import LLMChunk
from patter_nb.log import Log

__all__ = ["chunk_page", "chunk_text", "event_page", "event_text", "log_page", "log_text"]

_FIRST, _LAST = 20, 30
_STAMP = ("seq", "t_ms", "wall_s", "epoch", "turn", "type")


def event_text(event: Event) -> str:
    """One line: number, time, turn, name, and what it says."""
    turn = "" if event.turn is None else f" turn {event.turn}"
    told = " · ".join(f"{name} {value}" for name, value in _told(event))
    return f"#{event.seq} {event.t_ms / 1000:.3f} s{turn} {event.type} {line(told, 160)}".rstrip()


def event_page(event: Event) -> Html:
    """Number, name and stamps, then its fields."""
    turn = "no turn" if event.turn is None else f"turn {event.turn}"
    stamps = f"{event.t_ms / 1000:.3f} s · {turn} · epoch {event.epoch} · wall {event.wall_s:.3f} s"
    head = tag("div", tag("b", f"#{event.seq} {event.type} "), tag("small", stamps))
    if isinstance(event.body, StageFailed):
        return join(head, tag("p", f"in the stage {event.body.stage}", cls="dim"), error_card(event.body.error))
    if isinstance(event.body, AgentChanged):
        return join(head, change_page(event.body))
    return join(head, _fields(_said(event)))


def chunk_text(chunk: LLMChunk) -> str:
    """One line: the chunk's type and what it holds."""
    return f"<LLMChunk {line(compact_json(chunk.to_dict()), 300)}>"


def chunk_page(chunk: LLMChunk) -> Html:
    """The fields that hold something, text in quotes, for its spaces count."""
    told = {name: compact_json(value) for name, value in chunk.to_dict().items() if name != "type"}
    return join(tag("div", tag("small", "chunk "), tag("b", chunk.type)), _fields(told))


def log_text(log: Log) -> str:
    """What there is, then the first and last events."""
    rows, hidden = _ends(log)
    lines = [f"  {event_text(row[0])}" + (f" … {count(len(row), 'chunk')}" if len(row) > 1 else "") for row in rows]
    if hidden:
        lines.insert(_FIRST, f"  … {hidden:,} more events not shown")
    return "\n".join((_summary(log), *lines))


def log_page(log: Log) -> Html:
    """What there is, both sounds, and a table of the first and last events. Chunks of one stream share a row."""
    tracks = (("heard", log.heard), ("spoken", log.spoken))
    sounds = [join(tag("dt", who), tag("dd", track_page(track))) for who, track in tracks if len(track)]
    rows, hidden = _ends(log)
    lines = [_row(row) for row in rows]
    if hidden:
        lines.insert(_FIRST, tag("tr", tag("td", left_out(hidden, "events"), colspan="4")))
    head = tag("thead", tag("tr", *(tag("th", title) for title in ("#", "s", "turn", "event"))))
    table = tag("table", head, tag("tbody", *lines)) if lines else tag("p", "Nothing happened yet.", cls="dim")
    return join(tag("div", tag("b", _summary(log))), tag("dl", *sounds) if sounds else "", table)


def _summary(log: Log) -> str:
    heard, spoken = (len(track) * 1000 / track.rate for track in (log.heard, log.spoken))
    sound = [f"{duration(heard)} heard"] * bool(heard) + [f"{duration(spoken)} spoken"] * bool(spoken)
    return " · ".join(("Log", count(len(log), "event"), *sound))


def _ends(log: Log) -> tuple[list[list[Event]], int]:
    """The first and last rows, each an event or the chunks of one stream, and how many events lie between."""
    rows: list[list[Event]] = []
    for event in log:
        if rows and _stream_of(event) is not None and _stream_of(event) == _stream_of(rows[-1][-1]):
            rows[-1].append(event)
        else:
            rows.append([event])
    if len(rows) <= _FIRST + _LAST:
        return rows, 0
    return rows[:_FIRST] + rows[-_LAST:], sum(map(len, rows[_FIRST:-_LAST]))


def _stream_of(event: Event) -> tuple[int | None, int, str] | None:
    """Which stream of text an event is a chunk of, if it is one."""
    body = event.body
    if isinstance(body, LLMChunked) and body.chunk.type in ("text", "reasoning", "tool_call"):
        return event.turn, body.round, body.chunk.type
    return None


def _row(row: list[Event]) -> Html:
    first = row[0]
    stamps = (str(first.seq), f"{first.t_ms / 1000:.3f}", "" if first.turn is None else str(first.turn))
    if len(row) > 1:
        said = chunk_lines([event.body.chunk for event in row if isinstance(event.body, LLMChunked)], 1200)
    else:
        said = [tag("b", first.type), *(join(" ", tag("small", name), " ", foreign(value, 240)) for name, value in _told(first))]
    return tag("tr", *(tag("td", stamp, cls="num") for stamp in stamps), tag("td", *said))


def _said(event: Event) -> Mapping[str, object]:
    """The event's own fields, in wire form."""
    return {name: value for name, value in event.to_dict().items() if name not in _STAMP}


def _told(event: Event) -> list[tuple[str, str]]:
    """What the event says in short: name and value of each field that holds something; of messages only how many."""
    match event.body:
        case StageFailed(stage, error):
            return [("in", stage), (type(error).__name__, error.message)]
        case LLMChunked(_, chunk):
            return [(name, value if isinstance(value, str) else compact_json(value)) for name, value in chunk.to_dict().items()]
        case LLMRequested(messages=messages):
            told = {**_said(event), "messages": len(messages)}
        case _:
            told = dict(_said(event))
    return [(name, _value(value)) for name, value in told.items() if value not in (None, "", [], {})]


def _fields(told: Mapping[str, object]) -> Html:
    share = 60_000 // max(len(told), 1)
    rows = [join(tag("dt", name), tag("dd", fold(_value(value), share))) for name, value in told.items() if value is not None]
    return tag("dl", *rows)


def _value(value: object) -> str:
    return value if isinstance(value, str) else compact_json(value)

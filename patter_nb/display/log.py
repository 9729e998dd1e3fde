"""The log as a table of what happened when; one event, or one chunk, as its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patter_nb.display.error import error_card
from patter_nb.display.figures import count, duration
from patter_nb.display.markup import Html, compact_json, fold, foreign, join, line, tag
from patter_nb.display.sound import track_page
from patter_nb.events import Event, StageFailed
from patter_nb.llm.base import LLMChunk
from patter_nb.log import Log

__all__ = ["chunk_page", "chunk_text", "event_page", "event_text", "log_page", "log_text"]

_FIRST, _LAST = 20, 40
_STAMP = ("seq", "t_ms", "wall_s", "epoch", "turn", "type")


def event_text(event: Event) -> str:
    """One line: number, time, turn, name, and what it says."""
    turn = "" if event.turn is None else f" turn {event.turn}"
    return f"#{event.seq} {event.t_ms / 1000:.3f} s{turn} {event.type} {line(_told(event), 160)}".rstrip()


def event_page(event: Event) -> Html:
    """Number, name and stamps, then its fields."""
    turn = "no turn" if event.turn is None else f"turn {event.turn}"
    stamps = f"{event.t_ms / 1000:.3f} s · {turn} · epoch {event.epoch} · wall {event.wall_s:.3f} s"
    head = tag("div", tag("b", f"#{event.seq} {event.type} "), tag("small", stamps))
    if isinstance(event.body, StageFailed):
        return join(head, tag("p", f"in the stage {event.body.stage}", cls="dim"), error_card(event.body.error))
    return join(head, _fields(_said(event)))


def chunk_text(chunk: LLMChunk) -> str:
    """One line: the chunk's type and what it holds."""
    return f"<LLMChunk {line(compact_json(chunk.to_dict()), 300)}>"


def chunk_page(chunk: LLMChunk) -> Html:
    """The fields that hold something."""
    told = chunk.to_dict()
    return join(tag("div", tag("small", "chunk "), tag("b", told.pop("type"))), _fields(told))


def log_text(log: Log) -> str:
    """What there is, then the first and last events."""
    return "\n".join((_summary(log), *("…" if event is None else f"  {event_text(event)}" for event in _ends(log))))


def log_page(log: Log) -> Html:
    """What there is, both sounds, and a table of the first and last events."""
    sounds = [join(tag("dt", who), tag("dd", track_page(track))) for who, track in (("heard", log.heard), ("spoken", log.spoken)) if len(track)]
    titles = ("#", "s", "turn", "event", "")
    table = tag("table", tag("thead", tag("tr", *(tag("th", title) for title in titles))), tag("tbody", *(_row(event, len(log)) for event in _ends(log))))
    return join(tag("div", tag("b", _summary(log))), tag("dl", *sounds) if sounds else "", table if len(log) else tag("p", "Nothing happened yet.", cls="dim"))


def _summary(log: Log) -> str:
    heard, spoken = (len(track) * 1000 / track.rate for track in (log.heard, log.spoken))
    sound = [f"{duration(heard)} heard"] * bool(heard) + [f"{duration(spoken)} spoken"] * bool(spoken)
    return " · ".join(("Log", count(len(log), "event"), *sound))


def _ends(log: Log) -> Sequence[Event | None]:
    """All events, or the first and last with a gap between."""
    return list(log) if len(log) <= _FIRST + _LAST + 1 else [*log[:_FIRST], None, *log[-_LAST:]]


def _row(event: Event | None, total: int) -> Html:
    if event is None:
        return tag("tr", tag("td", tag("small", f"… {total - _FIRST - _LAST:,} more events not shown"), colspan="5"))
    cells = (str(event.seq), f"{event.t_ms / 1000:.3f}", "" if event.turn is None else str(event.turn), event.type, foreign(_told(event), 300))
    return tag("tr", *(tag("td", cell) for cell in cells))


def _said(event: Event) -> Mapping[str, object]:
    """The event's own fields, in wire form."""
    return {name: value for name, value in event.to_dict().items() if name not in _STAMP}


def _told(event: Event) -> str:
    if isinstance(event.body, StageFailed):
        return f"{event.body.stage}: {type(event.body.error).__name__}: {event.body.error.message}"
    return " · ".join(f"{name} {_value(value)}" for name, value in _said(event).items() if value not in (None, "", [], {}))


def _fields(told: Mapping[str, object]) -> Html:
    share = 60_000 // max(len(told), 1)
    rows = [join(tag("dt", name), tag("dd", fold(_value(value), share))) for name, value in told.items() if value is not None]
    return tag("dl", *rows)


def _value(value: object) -> str:
    return value if isinstance(value, str) else compact_json(value)

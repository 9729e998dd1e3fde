"""The spans of a session as a waterfall: a row each, indented as they lie in each other, with a bar where it was."""

from __future__ import annotations

from collections.abc import Iterator

from patter_nb.display.figures import count, duration
from patter_nb.display.markup import Html, foreign, join, left_out, line, tag
from patter_nb.tracing.span import Span, Spans

__all__ = ["spans_page", "spans_text"]

_ROWS = 200
_WIDTH = 1000.0
_COLOURS = {
    "chat": "#0d9488",
    "execute_tool": "#6d28d9",
    "text_to_speech": "#2563eb",
    "playback": "#f59e0b",
    "speech_to_text": "#c2708f",
    "endpointing": "#8492a6",
}
"""By the first word of a span's name; those of the waterfall of latency, where they tell the same."""
_OTHER = "#9aa4af"
_FAILED = "#b91c1c"


def spans_text(spans: Spans) -> str:
    """The rows in plain text."""
    lines = [f"{'  ' * depth}{line(_name(span), 200)}  {'  '.join(_told(span))}" for span, depth in _shown(spans)]
    more = len(spans) - len(lines)
    return "\n".join([*(lines or ["no spans"]), *([f"… {more:,} more spans not shown"] if more else [])])


def spans_page(spans: Spans) -> Html:
    """The rows as a table with a bar each."""
    if not spans:
        return tag("p", "no spans", cls="dim")
    begin = min(span.start_ns for span in spans)
    ends = _ends(spans)
    whole = max(max(ends.values()) - begin, 1)
    rows = [_row(span, depth, begin, whole, ends[span.id]) for span, depth in _shown(spans)]
    headline = f"{count(len(spans), 'span')} in {duration(whole / 1e6)}"
    return join(tag("p", headline, cls="dim"), tag("table", tag("tbody", *rows)), left_out(len(spans) - len(rows), "spans"))


def _shown(spans: Spans) -> Iterator[tuple[Span, int]]:
    return zip(spans[:_ROWS], spans.depths, strict=False)


def _name(span: Span) -> str:
    number = span.attributes.get("patter.turn.id")
    return span.name if number is None else f"{span.name} (turn {number})"


def _told(span: Span) -> list[str]:
    took = span.duration_ms
    return ["goes on" if took is None else duration(took), *([span.error] if span.error is not None else [])]


def _ends(spans: Spans) -> dict[int, int]:
    """Where the bar of each ends, by id; of one that goes on, where the last thing happened in it, or in a span that lies in it."""
    ends: dict[int, int] = {}
    for span in reversed(spans):  # each comes before those in it
        within = (ends[child.id] for child in spans.children(span))
        ends[span.id] = span.end_ns if span.end_ns is not None else max([span.start_ns, *(one.at_ns for one in span.events), *within])
    return ends


def _row(span: Span, depth: int, begin: int, whole: int, end: int) -> Html:
    time, *error = _told(span)
    name = tag("td", foreign(_name(span), 200), *([tag("b", f" {error[0]}", cls="bad")] if error else []), style=f"padding-left:{depth}em")
    at, width = ((span.start_ns - begin) * _WIDTH / whole, max((end - span.start_ns) * _WIDTH / whole, 1.0))
    colour = _FAILED if span.error is not None else _COLOURS.get(span.name.partition(" ")[0], _OTHER)
    bar = f'<rect x="{min(at, _WIDTH - 1):.1f}" width="{width:.1f}" height="10" fill="{colour}"/>'
    svg = f'<svg viewBox="0 0 1000 10" style="height:10px;min-width:16em" preserveAspectRatio="none">{bar}</svg>'
    return tag("tr", name, tag("td", time, cls="num"), tag("td", Html(svg), style="width:60%"))

"""The waterfall of one turn as one bar: parts that sum to the gap that was heard, each with its owner; what was not measured is hatched."""

from __future__ import annotations

from patter_nb.display.figures import duration
from patter_nb.display.markup import Html, foreign, join, line, tag
from patter_nb.waterfall import UNEXPLAINED, Part, Waterfall

__all__ = ["COLOURS", "bar", "headline", "waterfall_brief", "waterfall_page", "waterfall_text"]

COLOURS = {
    "endpointing": "#8492a6",
    "microphone": "#56657a",
    "stt": "#3b82f6",
    "check": "#8a6324",
    "first token": "#0f766e",
    "answer": "#0f766e",
    "tool call": "#9f7aea",
    "tools": "#6d28d9",
    "sentence": "#65a30d",
    "filler": "#0891b2",
    "first audio": "#f59e0b",
    "browser": "#a8b4c4",
    "playback": "#a8b4c4",
    "first audible sample": "#b45309",
    "kernel busy": "#dc2626",
    "breakpoint": "#be185d",
}
"""Each part's colour, the same as in the console (patter_nb/console/css/latency.css)."""
_HATCHED = "#c2708f"
_HATCHING = f"repeating-linear-gradient(90deg,{_HATCHED} 0 2px,transparent 2px 3px)"
_WIDTH = 1000.0
_UNMEASURED = 30.0
_TOLD_FROM_MS = 1.0
_MOST = 0.08
_TOLD_ANYWAY = ("stt", "first token")


def headline(fall: Waterfall) -> str:
    """The gap in words; where it was not measured, why."""
    if fall.gap_ms is None:
        return f"response not measured: {fall.why}"
    return f"{fall.gap_ms:,.0f} ms from {fall.since} to {fall.until}"


def waterfall_text(fall: Waterfall) -> str:
    """The headline, and a line for each part."""
    lines = [f"  {part.name:22}{_figure(part):>10}  {_owned(part, 160)}".rstrip() for part in _told(fall)]
    return "\n".join((headline(fall)[:1].upper() + headline(fall)[1:], *lines, *_small(fall, "  ")))


def waterfall_page(fall: Waterfall) -> Html:
    """The headline, the bar, and below it each part with its colour, milliseconds, and owner."""
    key = tag("ul", *(_legend(part) for part in _told(fall)), cls="key")
    small = [tag("p", tag("small", text)) for text in _small(fall, "")]
    return join(tag("p", headline(fall), cls="dim"), bar(fall), key, *small)


def waterfall_brief(fall: Waterfall) -> Html:
    """The bar, and below it the parts that make most of it, and those that nobody measured."""
    whole = sum(part.duration_ms for part in fall.parts)
    most = [part for part in fall.parts if part.duration_ms >= _MOST * whole or not (part.measured or part.duration_ms)]
    return join(bar(fall), tag("ul", *(_legend(part, owned=False) for part in most), cls="key")) if whole else Html()


def bar(fall: Waterfall) -> Html:
    """The bar alone, its parts told to who cannot see it."""
    measured = sum(part.duration_ms for part in fall.parts)
    if not measured:
        return Html()
    unknown = [part for part in fall.parts if not part.measured and not part.duration_ms]
    scale = (_WIDTH - _UNMEASURED * len(unknown)) / measured
    at, drawn = 0.0, []
    for part in fall.parts:
        width = part.duration_ms * scale if part.duration_ms else _UNMEASURED if part in unknown else 0.0
        if width:
            drawn.append(_drawn(part, at, width))
        at += width
    told = line("; ".join(f"{part.name} {_figure(part)}" for part in _told(fall)), 1000)
    shape = tag("svg", *drawn, viewBox="0 0 1000 12", style="height:12px", preserveAspectRatio="none", role="img", **{"aria-label": told})
    return Html(shape)


def _drawn(part: Part, at: float, width: float) -> Html:
    if part.measured:
        return tag("rect", x=f"{at:.1f}", width=f"{width:.1f}", height="12", fill=COLOURS.get(part.name, _HATCHED))
    path = {"d": f"M{at:.1f} 6h{width:.1f}", "stroke": _HATCHED, "stroke-width": "12", "stroke-dasharray": "4 3"}
    return tag("path", **path)


def _told(fall: Waterfall) -> list[Part]:
    """Those that are worth a line."""
    return [part for part in fall.parts if part.duration_ms >= _TOLD_FROM_MS or not _is_small(part)]


def _is_small(part: Part) -> bool:
    return (part.measured or part.name == UNEXPLAINED) and part.duration_ms < _TOLD_FROM_MS and part.name not in _TOLD_ANYWAY


def _small(fall: Waterfall, indent: str) -> list[str]:
    """What the parts without a line took together."""
    small = [part for part in fall.parts if _is_small(part)]
    names = ", ".join(dict.fromkeys(part.name for part in small))
    return [f"{indent}{names}: {sum(part.duration_ms for part in small):.1f} ms together"] if small else []


def _figure(part: Part) -> str:
    return duration(part.duration_ms) if part.measured or part.duration_ms else "not measured"


def _owned(part: Part, room: int) -> str:
    return line(f"{part.owner}: {part.detail}" if part.detail else part.owner, room)


def _legend(part: Part, *, owned: bool = True) -> Html:
    colour = COLOURS.get(part.name, _HATCHED) if part.measured else _HATCHING
    detail = f" ({line(part.detail, 120)})" if part.detail and (not part.measured or part.name in _TOLD_ANYWAY) else ""
    owner = [tag("small", " ", foreign(part.owner, 120), detail)] if owned else []
    return tag("li", f"{part.name} ", tag("b", _figure(part)), *owner, style=f"--c:{colour}")

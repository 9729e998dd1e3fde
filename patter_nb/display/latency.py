"""How long the answers took: a row for each part, a tick for each turn, and percentiles below it."""

from __future__ import annotations

from patter_nb.display.figures import count
from patter_nb.display.markup import Html, foreign, join, line, tag
from patter_nb.display.waterfall import COLOURS
from patter_nb.latencies import Latency, Spread

__all__ = ["latency_page", "latency_text", "spread_page", "spread_text"]

_WIDTH = 1000
_WHOLE = "currentColor"


def latency_text(latency: Latency) -> str:
    """A table in plain text."""
    if not len(latency):
        return f"Latency: nothing was measured yet ({_of(latency)})"
    head = f"  {'':22}{'n':>4}{'p50':>9}{'p90':>9}{'p95':>9}{'p99':>9}  ms"
    return "\n".join((f"Latency of {_of(latency)}", head, *(f"  {_row(row)}" for row in latency)))


def spread_text(row: Spread) -> str:
    """One line."""
    return _row(row)


def latency_page(latency: Latency) -> Html:
    """Each part on one scale, so that it is seen where the time goes, and how evenly."""
    if not len(latency):
        return tag("p", f"Latency: nothing was measured yet ({_of(latency)}).", cls="dim")
    longest = max(max(row.values) for row in latency)
    rows = [_strip(row, longest) for row in latency]
    note = tag("p", f"Each tick is a turn, the line is the median; {longest:,.0f} ms from left to right.", cls="dim")
    return join(tag("div", tag("b", "Latency"), tag("small", f" of {_of(latency)}")), tag("dl", *rows), note)


def spread_page(row: Spread) -> Html:
    """One row."""
    return tag("dl", _strip(row, max(row.values)))


def _of(latency: Latency) -> str:
    left = f"; {count(latency.left_out, 'turn')} not answered to the end left out" if latency.left_out else ""
    return f"{count(latency.turns, 'turn')}{left}"


def _row(row: Spread) -> str:
    figures = "".join(f"{row.percentile(percent):9,.1f}" for percent in (50, 90, 95, 99))
    return f"{row.name:22}{row.n:>4}{figures}  {line(row.owner, 60)}".rstrip()


def _strip(row: Spread, longest: float) -> Html:
    colour = COLOURS.get(row.name, _WHOLE)
    places = sorted({round(max(value, 0.0) * _WIDTH / (longest or 1.0)) for value in row.values})
    ticks = "".join(f"M{place} 3v8" for place in places)
    median = round(row.p50 * _WIDTH / (longest or 1.0))
    drawn = (
        tag("path", d=f"M0 7H{_WIDTH}", stroke="currentColor", **{"stroke-opacity": ".15", "vector-effect": "non-scaling-stroke"}),
        tag("path", d=ticks, stroke=colour, **{"stroke-width": "3", "stroke-opacity": ".6", "vector-effect": "non-scaling-stroke"}),
        tag("path", d=f"M{median} 0v14", stroke="currentColor", **{"stroke-width": "2", "vector-effect": "non-scaling-stroke"}),
    )
    told = f"{row.name}: median {row.p50:,.0f} ms, 95 % within {row.p95:,.0f} ms"
    shape = tag(
        "svg", *drawn, viewBox=f"-4 0 {_WIDTH + 8} 14", style="height:14px", preserveAspectRatio="none", role="img", **{"aria-label": told}
    )
    figures = f"p50 {row.p50:,.0f} · p90 {row.p90:,.0f} · p95 {row.p95:,.0f} · p99 {row.p99:,.0f} ms · n {row.n}"
    owner = [" · ", foreign(row.owner, 120)] if row.owner else []
    return join(tag("dt", row.name), tag("dd", shape, tag("small", figures, *owner)))

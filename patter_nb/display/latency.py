"""Where the time went between the person's last word and the agent's first sound: one bar whose parts sum to the gap that was heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from patter_nb.display.figures import duration
from patter_nb.display.markup import Html, join, tag

__all__ = ["Part", "bar", "parts"]

_LOOKS = {
    "endpointing": ("endpointing", "#8492a6"),
    "filler": ("filler", "#0891b2"),
    "llm_first_token": ("first token", "#0d9488"),
    "tools": ("tools", "#6d28d9"),
    "tts_first_audio": ("voice", "#2563eb"),
    "playback": ("playback", "#f59e0b"),
}
"""Each measured part, by its name in `Turn.latency`: how it is called, and its colour."""
_COLOURS = dict(_LOOKS.values())
_HATCHED = "#c2708f"
_ROUNDING_MS = 1.0
_WIDTH = 1000.0


@dataclass(frozen=True, slots=True)
class Part:
    """A share of the response, in milliseconds. One that was not `measured` by itself is what the measured ones leave."""

    name: str
    ms: float
    measured: bool = True


def parts(latency: Mapping[str, float]) -> tuple[Part, ...]:
    """The parts of `latency["response"]`, in order, which sum to it; none where it was not measured.

    The words are transcribed while endpointing waits, so "stt" is no part of its own. What the measured parts leave was mostly
    spent on the first sentence, and on asking again after tools; it is not measured apart.

    >>> told = {"endpointing": 500, "llm_first_token": 200, "tts_first_audio": 150, "playback": 50, "response": 1000}
    >>> [(part.name, part.ms) for part in parts(told)]
    [('endpointing', 500), ('first token', 200), ('first sentence', 100), ('voice', 150), ('playback', 50)]
    """
    response = latency.get("response")
    if response is None:
        return ()
    before = ("endpointing", "filler") if "filler" in latency else ("endpointing", "llm_first_token", "tools")
    after = ("playback",) if "filler" in latency else ("tts_first_audio", "playback")
    known = {name: latency[name] for name in (*before, *after) if name in latency}
    rest = response - sum(known.values())
    if not known or rest < -_ROUNDING_MS:
        return (Part("all of it", response, measured=False),)  # what was measured, if anything, does not belong to this response
    left = "first sentence and other rounds" if "tools" in known else "first sentence" if "llm_first_token" in known else "the rest"
    first, last = ([Part(_LOOKS[name][0], known[name]) for name in names if known.get(name)] for names in (before, after))
    return (*first, *([Part(left, rest, measured=False)] if rest > _ROUNDING_MS / 2 else []), *last)


def bar(latency: Mapping[str, float]) -> Html:
    """The bar and its legend; without a response, what else was measured, and that this was not."""
    shares = parts(latency)
    if not shares:
        others = {"llm_first_token": "first token after", "tools": "tools", "tts_first_audio": "first sound of the voice after"}
        told = (f"{name} {duration(latency[key])}" for key, name in others.items() if key in latency)
        return tag("p", " · ".join(("response not measured", *told)), cls="dim")
    total = latency["response"]
    starts = accumulate((part.ms for part in shares), initial=0.0)
    drawn = "".join(_drawn(part, at * _WIDTH / total, part.ms * _WIDTH / total) for part, at in zip(shares, starts, strict=False))
    told_all = "; ".join(f"{part.name} {part.ms:,.0f} ms" for part in shares)
    svg = f'<svg viewBox="0 0 1000 12" style="height:12px" preserveAspectRatio="none" role="img" aria-label="{told_all}">{drawn}</svg>'
    headline = f"{total:,.0f} ms from your last word to the first sound"
    return join(tag("p", headline, cls="dim"), Html(svg), tag("ul", *(_legend(part, latency) for part in shares), cls="key"))


def _drawn(part: Part, at: float, width: float) -> str:
    if part.measured:
        return f'<rect x="{at:.1f}" width="{width:.1f}" height="12" fill="{_COLOURS[part.name]}"/>'
    return f'<path d="M{at:.1f} 6h{width:.1f}" stroke="{_HATCHED}" stroke-width="12" stroke-dasharray="4 3"/>'


def _legend(part: Part, latency: Mapping[str, float]) -> Html:
    colour = _COLOURS[part.name] if part.measured else f"repeating-linear-gradient(90deg,{_HATCHED} 0 2px,transparent 2px 3px)"
    words = f" (words after {duration(latency['stt'])})" if part.name == "endpointing" and "stt" in latency else ""
    apart = "" if part.measured else ", not measured apart"
    return tag("li", f"{part.name} ", tag("b", f"{part.ms:,.0f} ms"), words + apart, style=f"--c:{colour}")

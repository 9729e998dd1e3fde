"""Where the time went between the person's last word and the agent's first sound: one bar whose parts sum to the gap that was heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from patter_nb.display.figures import duration
from patter_nb.display.markup import Html, join, tag

__all__ = ["Part", "bar", "parts"]

_COLOURS = {"endpointing": "#8492a6", "first token": "#0d9488", "playback": "#f59e0b"}
_HATCHED = "#8b7cc0"
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

    The words are transcribed while endpointing waits, so "stt" is no part of its own. What lies between the model's first token
    and the first sound (its first sentence, tools, the voice) is not measured apart.

    >>> [(part.name, part.ms) for part in parts({"endpointing": 500, "llm_first_token": 200, "tts_first_audio": 450, "response": 1000})]
    [('endpointing', 500), ('first token', 200), ('first sentence, tools and voice', 250), ('playback', 50)]
    """
    response = latency.get("response")
    if response is None:
        return ()
    ended, token, sound = (latency.get(name) for name in ("endpointing", "llm_first_token", "tts_first_audio"))
    if ended is None or sound is None or ended + sound > response + _ROUNDING_MS:
        return (Part("all of it", response, measured=False),)
    known = [Part("endpointing", ended)]
    if token is None or token > sound:
        known.append(Part("to the first sound", sound, measured=False))
    else:
        known += [Part("first token", token), Part("first sentence, tools and voice", sound - token, measured=False)]
    known.append(Part("playback", max(0.0, response - ended - sound)))
    return tuple(part for part in known if part.ms > 0)


def bar(latency: Mapping[str, float]) -> Html:
    """The bar and its legend; without a response, what else was measured, and that this was not."""
    shares = parts(latency)
    if not shares:
        others = {"llm_first_token": "first token after", "tts_first_audio": "first sound made after"}
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

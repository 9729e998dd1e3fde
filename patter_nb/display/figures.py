"""Numbers as a person reads them, with their unit, and never more digits than were measured."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

__all__ = ["bill", "count", "duration", "money", "speech", "tokens"]


_DIGITS = ((9.95, "{0:.1f} ms"), (999.5, "{0:.0f} ms"), (99_950.0, "{1:.1f} s"))
"""How it is written below so many milliseconds; above all, in minutes."""


def duration(ms: float) -> str:
    """Milliseconds in short.

    >>> duration(4.24), duration(742.3), duration(2140), duration(312_000)
    ('4.2 ms', '742 ms', '2.1 s', '5 min 12 s')
    """
    for below, text in _DIGITS:
        if ms < below:
            return text.format(ms, ms / 1000)
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "turn"), count(3_000, "chunk")
    ('1 turn', '3,000 chunks')
    """
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def money(cost: Decimal | None, *, refused: bool = False) -> str:
    """USD; nothing where it runs here or was `refused`, "unpriced" where the price is unknown.

    >>> money(Decimal(0)), money(Decimal("0.00042")), money(Decimal("0.0000493")), money(None)
    ('$0 (runs here)', '$0.0004', 'under $0.0001', 'unpriced')
    """
    if cost is None:
        return "unpriced"
    if not cost:
        return "$0 (refused)" if refused else "$0 (runs here)"
    return f"${cost:.4f}" if cost > Decimal("0.00005") else "under $0.0001"


def bill(costs: Mapping[str, Decimal | None], *, refused: bool = False) -> str:
    """USD of all stages; where the price of some is unknown, that of the others, and which they are.

    >>> bill({"stt": Decimal("0.001"), "llm": Decimal("0.002")}), bill({"llm": None}), bill({"llm": Decimal("0.002"), "tts": None})
    ('$0.0030', 'unpriced', '$0.0020 + tts unpriced')
    """
    known = sum(filter(None, costs.values()), Decimal(0))
    unpriced = [stage for stage, cost in costs.items() if cost is None]
    if not unpriced:
        return money(known, refused=refused)
    which = f"{' and '.join(unpriced)} unpriced" if len(costs) > 1 else money(None)
    return f"{money(known)} + {which}" if known else which


def speech(usage: Mapping[str, float]) -> list[str]:
    """What went to ears and voice.

    >>> speech({"input_tokens": 12, "stt_seconds": 2.14, "tts_characters": 34})
    ['2.1 s heard', '34 characters spoken']
    """
    heard, spoken = usage.get("stt_seconds"), usage.get("tts_characters")
    told = [f"{duration(heard * 1000)} heard"] if heard else []
    return told + ([f"{count(int(spoken), 'character')} spoken"] if spoken else [])


def tokens(usage: Mapping[str, float]) -> str:
    """What the model read and wrote, as far as it was told.

    >>> tokens({"input_tokens": 1212, "output_tokens": 34, "cache_read_tokens": 900})
    'tokens 1,212 in, 34 out, 900 cache read'
    """
    names = {"input_tokens": "in", "output_tokens": "out"}
    counts = {name: number for name, number in usage.items() if name.endswith("_tokens")}
    told = [f"{number:,} {names.get(name, name.removesuffix('_tokens').replace('_', ' '))}" for name, number in counts.items() if number]
    return f"tokens {', '.join(told)}" if told else "no tokens" if counts else "tokens not told"

"""Numbers and durations as English says them: "a hundred and ninety", "seventy five fifty", "twenty point five", "an hour and a half".

Speech recognition writes some numbers in digits and spells others, while a tool wants digits. Whatever is found carries its place in
the text, so that a number is never used that was not said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ONES: Final = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten "
        "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
    )
}
TENS: Final = {word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
SCALES: Final = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
TEN, HUNDRED = 10, 100
FRACTIONS: Final = {"half": 0.5, "quarter": 0.25, "quarters": 0.25}
SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_TOKEN: Final = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|[^\W\d_]+|[,.;:!?]")


@dataclass(frozen=True, slots=True)
class Number:
    """A number said from `start` to `end` of the text: its readings, the most usual first, and the unit of time that follows it."""

    readings: tuple[float, ...]
    start: int
    end: int
    unit: str | None = None
    fraction: bool = False


def numbers(text: str) -> list[Number]:
    """The numbers said in `text`, in order.

    >>> [n.readings for n in numbers("send a hundred and twenty to table four")]
    [(120.0,), (4.0,)]
    >>> numbers("Transfer seventy five fifty")[0].readings
    (75.5, 7550.0)
    >>> [(n.readings[0], n.unit) for n in numbers("half an hour")]
    [(0.5, 'hour')]
    """
    tokens = [(m.group().lower(), m.start(), m.end()) for m in _TOKEN.finditer(text)]
    found: list[Number] = []
    at = 0
    while at < len(tokens):
        length, readings, fraction = _number_at([word for word, _, _ in tokens[at:]])
        if not length:
            at += 1
            continue
        unit, skipped = _unit([word for word, _, _ in tokens[at + length :]])
        found.append(Number(readings, tokens[at][1], tokens[at + length + skipped - 1][2], unit, fraction))
        at += length + skipped
    return found


def duration(text: str, unit: str) -> float | None:
    """The time said in `text` as a number of `unit` ("second" ... "week"), or None where none is said with its unit.

    >>> duration("an hour and a half", "minute"), duration("2 hours 10 minutes", "minute"), duration("ten", "minute")
    (90.0, 130.0, None)
    """
    total, last = 0.0, 0
    for number in numbers(text):
        if number.unit:
            total, last = total + number.readings[0] * SECONDS[number.unit], SECONDS[number.unit]
        elif number.fraction and last:
            total += number.readings[0] * last
    return total / SECONDS[unit] if total else None


def _number_at(words: Sequence[str]) -> tuple[int, tuple[float, ...], bool]:
    """(tokens used, readings, whether it is a mere fraction) of the number that `words` begin with; no tokens where there is none."""
    if words[0] in ("a", "an"):
        return _after_article(words)
    if words[0] in FRACTIONS:
        return 1, (FRACTIONS[words[0]],), True
    groups, length = _groups(words)
    if not groups:
        return 0, (), False
    match words[length : length + 3]:
        case ["and", "a", part] if part in FRACTIONS:
            return length + 3, (groups[-1] + FRACTIONS[part],), False
        case ["quarters", *_]:
            return length + 1, (groups[-1] * FRACTIONS["quarters"],), True
        case _:
            return length, _readings(groups), False


def _after_article(words: Sequence[str]) -> tuple[int, tuple[float, ...], bool]:
    """The number that "a" or "an" begins: "a quarter", "an hour", "a hundred and ten"."""
    following = words[1] if len(words) > 1 else ""
    if following in FRACTIONS:
        return 2, (FRACTIONS[following],), True
    if following in SCALES:
        return _number_at(["one", *words[1:]])
    return (1, (1.0,), False) if _time_unit(following) else (0, (), False)


def _groups(words: Sequence[str]) -> tuple[list[float], int]:
    """The plain numbers said one right after another, and the tokens used: "one seventy five" is [1, 75]."""
    groups: list[float] = []
    at = 0
    while at < len(words):
        value, length = _plain(words[at:])
        if not length or (groups and words[at][0].isdigit()):
            break
        groups.append(value)
        at += length
    return groups, at


def _plain(words: Sequence[str]) -> tuple[float, int]:
    """One number by the grammar of English numerals, and the tokens used."""
    if words[0][0].isdigit():
        value, at = float(words[0].replace(",", "")), 1
    else:
        value, at = _below_hundred(words)
    while at and at < len(words) and words[at] in SCALES:
        value, at = value * SCALES[words[at]], at + 1
        rest_at = at + (at + 1 < len(words) and words[at] == "and")
        rest, used = _plain(words[rest_at:]) if rest_at < len(words) and words[rest_at] not in SCALES else (0.0, 0)
        if used and rest < value:
            value, at = value + rest, rest_at + used
    if at and words[at : at + 1] == ["point"]:
        digits = ""
        while at + 1 < len(words) and ONES.get(words[at + 1], TEN) < TEN:
            digits, at = digits + str(ONES[words[at + 1]]), at + 1
        value, at = (value + float(f"0.{digits}"), at + 1) if digits else (value, at)
    return value, at


def _below_hundred(words: Sequence[str]) -> tuple[float, int]:
    if words[0] in ONES:
        return float(ONES[words[0]]), 1
    if words[0] not in TENS:
        return 0.0, 0
    ones = ONES.get(words[1], 0) if len(words) > 1 else 0
    return (float(TENS[words[0]] + ones), 2) if 0 < ones < TEN else (float(TENS[words[0]]), 1)


def _readings(groups: Sequence[float]) -> tuple[float, ...]:
    """What numbers in a row can mean together: "two thirty" is 230 or 2.30, "seventy five fifty" 75.50 or 7550."""
    if len(groups) == 1:
        return (groups[0],)
    first, second = groups[0], groups[1]
    if not groups[2:] and first < HUNDRED and TEN <= second < HUNDRED:
        joined, decimal = first * HUNDRED + second, first + second / HUNDRED
        return (joined, decimal) if first < TEN else (decimal, joined)
    if all(group < TEN for group in groups):
        return (float("".join(str(int(group)) for group in groups)),)
    return tuple(groups)


def _time_unit(word: str) -> str | None:
    singular = word.removesuffix("s")
    return singular if singular in SECONDS else None


def _unit(words: Sequence[str]) -> tuple[str | None, int]:
    """The unit of time that follows a number ("hours", "an hour", "of an hour"), and the tokens used."""
    for skipped, word in enumerate(words[:3]):
        if unit := _time_unit(word):
            return unit, skipped + 1
        if word not in ("of", "a", "an"):
            break
    return None, 0

"""Whether what is said or asked is blocked: a term may hide behind markup, in another form of its letters, or in two sentences.

A text has several readings: as it is written, as it sounds. The person gets one by eye and one by ear, so each is checked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from patter_nb.agent import Guardrail
from patter_nb.events import GuardrailHit
from patter_nb.pipeline.door import resolved

MEMORY = 200
"""Characters of earlier pieces that a guardrail still sees, for terms that stretch over two."""

_UNSEEN = frozenset(("Cf", "Cc"))
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a text; `before` is what was said just before, read the same way, for terms that began there."""

    text: str
    before: str = ""


class Guard:
    """Checks the pieces of one answer, in order. The readings of a piece come in the same order each time."""

    def __init__(self) -> None:
        self._said: tuple[str, ...] = ()

    async def hit(self, guardrails: Sequence[Guardrail], *texts: str) -> GuardrailHit | None:
        """What blocks the next piece, whose readings are `texts`, or None."""
        said = self._said or ("",) * len(texts)
        self._said = tuple((before + text)[-MEMORY:] for before, text in zip(said, texts, strict=True))
        return await first_hit(guardrails, "output", *map(Reading, texts, said))


async def first_hit(guardrails: Sequence[Guardrail], on: str, *readings: Reading) -> GuardrailHit | None:
    """The first guardrail that blocks one of the readings, or None. A check sees each text once, and no blank one."""
    texts: dict[str, str] = {}
    for reading in readings:
        texts.setdefault(folded(reading.text), reading.text)
    texts.pop("", None)
    for guardrail in guardrails:
        if guardrail.on != on:
            continue
        blocked = any(_holds_term(guardrail.blocked_terms, reading) for reading in readings)
        if blocked or (guardrail.check is not None and await _any_fails(guardrail.check, texts.values())):
            return GuardrailHit(guardrail.name, guardrail.on, guardrail.replacement)
    return None


async def _any_fails(check: Callable[[str], bool | Awaitable[bool]], texts: Iterable[str]) -> bool:
    for text in texts:
        if await resolved(check(text)):
            return True
    return False


def folded(text: str) -> str:
    """`text` as terms are compared: in any case, with any white space, in any form of a letter, without what nobody sees.

    >>> folded("Ａcme\\u200b  CORP")
    'acme corp'
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    seen = (char for char in plain if char.isspace() or unicodedata.category(char) not in _UNSEEN)
    return " ".join("".join(char for char in seen if ord(char) not in _VARIATION_SELECTORS).split())


def _holds_term(terms: Sequence[str], reading: Reading) -> bool:
    if not terms:
        return False
    text, earlier = folded(reading.text), folded(reading.before)
    for term in map(folded, terms):
        tail = earlier[max(len(earlier) - len(term) + 1, 0) :]  # too short to hold the term by itself
        joined = f"{tail} {text}" if reading.before[-1:].isspace() or reading.text[:1].isspace() else tail + text
        if term and (term in text or term in joined):
            return True
    return False

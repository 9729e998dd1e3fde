"""What is paid: each use of a provider, and the sums over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    """What one use of a provider costs: USD, zero for what runs here, None where its price, or how much was used, is not known.

    `stage` is "stt", "llm", "engine" or "tts".
    """

    stage: str
    provider: str
    model: str | None
    cost: Decimal | None


STAGES = ("stt", "llm", "engine", "tts")
"""What is charged for, in the order of a turn."""


def costs_by_stage(charges: Iterable[Charge]) -> dict[str, Decimal | None]:
    """The sum for each stage that was used, None where one of its charges is not known."""
    by_stage: dict[str, list[Decimal | None]] = {}
    for charge in charges:
        by_stage.setdefault(charge.stage, []).append(charge.cost)
    return {stage: total(by_stage[stage]) for stage in STAGES if stage in by_stage}


def total(costs: Iterable[Decimal | None]) -> Decimal | None:
    """The sum, None where one of them is not known."""
    known = list(costs)
    return None if None in known else sum(filter(None, known), Decimal(0))

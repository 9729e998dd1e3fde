"""What a session costs: a row for each turn, stage and model, with what was used of it, and what of that is unpriced or was wasted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self, TypeAlias

from patter_nb.charges import Charge, total
from patter_nb.events import SpeechUsed
from patter_nb.llm.base import LLMChunk
from patter_nb.rows import Rows
from patter_nb.turn import LLMRequest

__all__ = ["Cost", "Costs", "Use"]

Use: TypeAlias = tuple[int | None, LLMRequest | SpeechUsed, Charge, bool]
"""Of which turn, what was used, what that costs, and whether it was thrown away."""

By: TypeAlias = Literal["turn", "stage", "provider", "model"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one turn used of one model in one stage ("stt", "llm", "engine", "tts").

    turn        None for what no turn came of
    wasted      whether it went into answers that were begun early and dropped
    uses        how often it was asked
    estimated   whether tokens were counted here, not by the vendor
    seconds     of sound: heard by speech to text, made by a voice
    characters  that a voice was given
    cost        USD: zero for what runs here or was refused, None where the price, or how much was used, is not known
    """

    turn: int | None
    stage: str
    provider: str
    model: str | None
    wasted: bool = False
    uses: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    estimated: bool = False
    seconds: float | None = None
    characters: int | None = None
    cost: Decimal | None = Decimal(0)
    _known: Decimal = field(default=Decimal(0), repr=False, compare=False)
    _unpriced: int = field(default=0, repr=False, compare=False)
    _refused: int = field(default=0, repr=False, compare=False)

    @property
    def known(self) -> Decimal:
        """USD of those uses that have a price."""
        return self._known if self.cost is None else self.cost

    @property
    def unpriced_uses(self) -> int:
        """How many uses have no price."""
        return max(1, self._unpriced) if self.cost is None else 0

    @property
    def is_refused(self) -> bool:
        """Whether every request was refused before anything came of it, and so costs nothing."""
        return 0 < self.uses == self._refused

    @property
    def is_unpriced(self) -> bool:
        """Whether nobody knows what it costs."""
        return self.cost is None

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_FIELDS = tuple(one.name for one in fields(Cost) if not one.name.startswith("_"))


class Costs(Rows[Cost, Cost]):
    """What was used and what it costs, by turn, stage and model. As a table also `unpriced`.

    `total` is None where one price is not known, as everywhere; `known` is the sum of those that are, `unpriced` are the others.
    """

    __slots__ = ()
    _COLUMNS: ClassVar[tuple[str, ...]] = (*_FIELDS, "unpriced")
    _WHOLE: ClassVar[frozenset[str]] = frozenset(("turn", "uses", *_TOKENS, "characters"))

    @classmethod
    def of(cls, uses: Iterable[Use]) -> Self:
        """The rows of these uses."""
        rows: dict[tuple[object, ...], Cost] = {}
        for turn, used, charge, wasted in uses:
            key = (turn, charge.stage, charge.provider, charge.model, wasted)
            row = rows.get(key) or Cost(turn, charge.stage, charge.provider, charge.model, wasted)
            counted = replace(
                row,
                uses=row.uses + 1,
                cost=total((row.cost, charge.cost)),
                _known=row._known + (charge.cost or 0),
                _unpriced=row._unpriced + (charge.cost is None),
                _refused=row._refused + (not isinstance(used, SpeechUsed) and used.is_refused),
            )
            rows[key] = _with_speech(counted, used) if isinstance(used, SpeechUsed) else _with_tokens(counted, used.usage)
        return cls(rows.values())

    @property
    def total(self) -> Decimal | None:
        """USD of all of it, None where a price is not known."""
        return total(row.cost for row in self)

    @property
    def known(self) -> Decimal:
        """USD of all that has a price."""
        return sum((row.known for row in self), Decimal(0))

    @property
    def unpriced(self) -> Self:
        """What has no price."""
        return type(self)(row for row in self if row.is_unpriced)

    @property
    def wasted(self) -> Self:
        """What went into answers that were begun early and dropped."""
        return type(self)(row for row in self if row.wasted)

    def by(self, what: By) -> dict[Any, Decimal | None]:
        """USD for each turn, stage, provider or model, in order; None where one of its prices is not known.

        >>> Costs([Cost(1, "llm", "p", "m", cost=Decimal("0.2")), Cost(2, "stt", "q", "n", cost=None)]).by("stage")
        {'llm': Decimal('0.2'), 'stt': None}
        """
        groups: dict[Any, list[Decimal | None]] = {}
        for row in self:
            groups.setdefault(getattr(row, what), []).append(row.cost)
        return {name: total(costs) for name, costs in groups.items()}

    def _item(self, entry: Cost) -> Cost:
        return entry

    def _row(self, entry: Cost) -> dict[str, Any]:
        return {**{name: getattr(entry, name) for name in _FIELDS}, "unpriced": entry.is_unpriced}


def _with_tokens(row: Cost, usage: LLMChunk | None) -> Cost:
    if usage is None:
        return row
    sums: dict[str, Any] = {name: _sum(getattr(row, name), getattr(usage, name)) for name in _TOKENS}
    return replace(row, **sums, estimated=row.estimated or bool(usage.estimated))


def _with_speech(row: Cost, used: SpeechUsed) -> Cost:
    for usage in used.tokens:
        row = _with_tokens(row, usage)
    seconds = row.seconds if used.seconds is None else round((row.seconds or 0.0) + used.seconds, 3)
    return replace(row, seconds=seconds, characters=_sum(row.characters, used.characters))


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other

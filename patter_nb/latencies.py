"""How long the answers of a session took: each part of their waterfalls over all turns, as percentiles.

A mean hides the turn that a person remembers, and a maximum is one turn; so it is percentiles, each with the number of turns behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, overload

import numpy as np

from patter_nb.rows import Rows
from patter_nb.turn import Turn
from patter_nb.waterfall import PARTS, UNEXPLAINED, Waterfall

__all__ = ["Latency", "Spread"]

GAP: Final = {"speech": "response", "typed": "response, typed"}
"""What the whole gap is called, by who began the turn; a turn that the agent begins is awaited by nobody."""
_QUANTILES: Final = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Spread:
    """One part in all turns in which it was measured: its `owner` (or owners), and its milliseconds turn by turn in `values`."""

    name: str
    owner: str
    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """In how many turns."""
        return len(self.values)

    def percentile(self, percent: float) -> float:
        """Milliseconds that so many percent of the turns stay within: between two turns in proportion (type 7 of Hyndman and Fan, which
        numpy, R and spreadsheets have). No part takes less than no time.

        >>> Spread("tools", "look", (100.0, 200.0, 300.0, 400.0)).percentile(90)
        370.0
        """
        return round(float(np.percentile(np.maximum(self.values, 0.0), percent)), 1)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)

    @property
    def p50(self) -> float:
        """The median, in ms."""
        return self.percentile(50)

    @property
    def p90(self) -> float:
        """In ms."""
        return self.percentile(90)

    @property
    def p95(self) -> float:
        """In ms."""
        return self.percentile(95)

    @property
    def p99(self) -> float:
        """In ms. Of fewer than a hundred turns this is all but the slowest one."""
        return self.percentile(99)


class Latency(Rows[Spread, Spread]):
    """How long the answers took: a row for the whole response, and one for each part of it, by the names of `Waterfall`.

    Only turns count that were answered to their end: those that failed or were interrupted would make the rest look faster or slower than
    it was, and are counted in `left_out`. A part counts where it was measured. `latency["first token"]` is one row. The response is without
    what a turn stood at a breakpoint.

    >>> latency = Latency([Spread("response", "", (700.0, 900.0)), Spread("tools", "look", (40.0,))])
    >>> latency["response"].p50, latency["tools"].n
    (800.0, 1)
    """

    __slots__ = ("left_out", "turns")
    _COLUMNS: ClassVar[tuple[str, ...]] = ("part", "owner", "n", *(f"p{percent}" for percent in _QUANTILES))
    _WHOLE: ClassVar[frozenset[str]] = frozenset(("n",))

    def __init__(self, entries: Iterable[Spread] = (), *, turns: int = 0, left_out: int = 0) -> None:
        super().__init__(entries)
        self.turns = turns
        """How many turns count."""
        self.left_out = left_out
        """How many do not, though the person waited for their answer."""

    def __dir__(self) -> list[str]:
        """Without what only a session calls."""
        return [name for name in object.__dir__(self) if name != "of"]

    @classmethod
    def of(cls, turns: Iterable[Turn]) -> Self:
        """The latency of these turns."""
        waited_for = [turn for turn in turns if turn.source in GAP and turn.status not in ("running", "offered")]
        counted = [turn for turn in waited_for if turn.status == "completed"]
        found: dict[str, tuple[list[float], dict[str, None]]] = {}
        for turn in counted:
            for name, ms, owner in _measured(turn.waterfall, GAP[turn.source]):
                values, owners = found.setdefault(name, ([], {}))
                values.append(ms)
                owners.setdefault(owner)
        names = sorted(found, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
        rows = (Spread(name, ", ".join(filter(None, found[name][1])), tuple(found[name][0])) for name in names)
        return cls(rows, turns=len(counted), left_out=len(waited_for) - len(counted))

    @overload
    def __getitem__(self, index: int | str) -> Spread: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | str | slice) -> Spread | Self:
        """A row, by its number or name; or some of them. Raises `KeyError` for a part that was not measured."""
        if isinstance(index, str):
            for row in self._entries:
                if row.name == index:
                    return row
            known = ", ".join(repr(row.name) for row in self._entries) or "nothing yet"
            raise KeyError(f"{index!r} was not measured; there is {known}")
        if isinstance(index, slice):
            return type(self)(self._entries[index], turns=self.turns, left_out=self.left_out)
        return super().__getitem__(index)

    def _ipython_key_completions_(self) -> list[str]:
        return [row.name for row in self._entries]

    def _item(self, entry: Spread) -> Spread:
        return entry

    def _row(self, entry: Spread) -> dict[str, Any]:
        figures = {f"p{percent}": entry.percentile(percent) for percent in _QUANTILES}
        return {"part": entry.name, "owner": entry.owner, "n": entry.n, **figures}


_ORDER: Final = (*GAP.values(), *PARTS, UNEXPLAINED)


def _measured(fall: Waterfall, gap: str) -> Iterable[tuple[str, float, str]]:
    """What was measured of one turn: those of one name together."""
    if fall.gap_ms is not None:
        yield gap, fall.gap_ms - fall.by_name().get("breakpoint", 0.0), ""
        if UNEXPLAINED not in fall.by_name():
            yield UNEXPLAINED, 0.0, ""
    owners: dict[str, dict[str, None]] = {}
    for part in fall.parts:
        owners.setdefault(part.name, {}).setdefault(part.owner)
    for name, ms in fall.by_name().items():
        yield name, ms, "" if name == UNEXPLAINED else ", ".join(owners[name])

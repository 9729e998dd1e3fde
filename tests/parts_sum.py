"""The rule that every waterfall keeps, whatever happens in its turn: no part is below zero, and one after the other they sum to the gap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from patter_nb.turn import Turn
from patter_nb.turns import Turns
from patter_nb.waterfall import UNEXPLAINED

WITHIN_MS = 0.5

made: list[Turns] = []
"""The turns of every session that the running test made."""


def keep_all(patch: pytest.MonkeyPatch) -> None:
    """From now on every `Turns` that is made is kept in `made`."""
    init = Turns.__init__

    def keeping(self: Turns, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        made.append(self)

    patch.setattr(Turns, "__init__", keeping)


def check_all(turns: Iterable[Turn]) -> None:
    """Raise `AssertionError` for a turn whose parts do not sum to its gap."""
    for turn in turns:
        check(turn)


def check(turn: Turn) -> None:
    fall, reached = turn.waterfall, 0.0
    for part in fall.parts:
        assert part.duration_ms >= 0, (turn, part)
        assert part.start_ms == pytest.approx(reached, abs=0.001), (turn, fall.parts)
        assert part.owner, (turn, part)
        assert part.measured or part.detail, (turn, part)
        reached = part.stop_ms
    unexplained = sum(part.duration_ms for part in fall.parts if part.name == UNEXPLAINED)
    if fall.gap_ms is None:
        assert fall.residual_ms is None, turn
        assert fall.why, (turn, "not measured, and nobody says why")
        assert any(not part.measured for part in fall.parts), (turn, fall.parts)
        return
    assert sum(part.duration_ms for part in fall.parts) == pytest.approx(fall.gap_ms, abs=WITHIN_MS), (turn, fall)
    assert fall.residual_ms == pytest.approx(unexplained, abs=0.01), (turn, fall)
    if "response" in turn.latency:
        stood_ms = fall.by_name().get("breakpoint", 0.0)  # which is part of the gap, and of no figure of the agent's
        assert turn.latency["response"] == pytest.approx(fall.gap_ms - stood_ms, abs=WITHIN_MS), (turn, fall)

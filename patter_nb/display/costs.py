"""What a session costs, as tables: by stage and model, and by turn; what is unpriced or was wasted is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from patter_nb.charges import STAGES, total
from patter_nb.costs import Cost, Costs
from patter_nb.display.figures import count, money, speech, tokens
from patter_nb.display.markup import Html, foreign, join, tag
from patter_nb.display.turn import clean_line

__all__ = ["cost_page", "cost_text", "costs_page", "costs_text"]

_TURNS_SHOWN = 20
_MODELS_SHOWN = 30


def cost_text(cost: Cost) -> str:
    """One line."""
    return f"{_where(cost.turn)}  {_line(cost)}"


def cost_page(cost: Cost) -> Html:
    """One line."""
    return tag("div", tag("b", _where(cost.turn)), " ", tag("span", foreign(_line(cost), 600)))


def costs_text(costs: Costs) -> str:
    """What it comes to, then a line for each model and stage, and one for each of the last turns."""
    if not len(costs):
        return "Costs: nothing was used yet"
    lines = [f"Costs: {_bill(costs)}", *(f"  {_line(row)}" for row in _by_model(costs)[:_MODELS_SHOWN])]
    lines += [f"  {_wasted(costs)}"] if len(costs.wasted) else []
    turns = costs.by("turn")
    lines += [f"  {_where(turn):10}{_bill([row for row in costs if row.turn == turn])}" for turn in [*turns][-_TURNS_SHOWN:]]
    return "\n".join(lines)


def costs_page(costs: Costs) -> Html:
    """What it comes to; a table of models and stages; and one of the last turns, a column for each stage."""
    if not len(costs):
        return tag("p", "Nothing was used yet.", cls="dim")
    head = tag("div", tag("b", "Costs "), tag("b", _bill(costs), cls="warn" if len(costs.unpriced) else ""))
    wasted = [tag("p", _wasted(costs), cls="warn")] if len(costs.wasted) else []
    return join(head, _models(costs), *wasted, _turns(costs))


def _bill(rows: Sequence[Cost]) -> str:
    """All of it; where some is unpriced, what is known, and of which stages the rest is."""
    known = sum((row.known for row in rows), Decimal(0))
    stages = [stage for stage in STAGES if any(row.stage == stage and row.is_unpriced for row in rows)]
    if not stages:
        return money(known, refused=any(row.is_refused for row in rows))
    return f"{money(known)} + {' and '.join(stages)} unpriced" if known else f"{' and '.join(stages)} unpriced"


def _line(row: Cost) -> str:
    who = " ".join(filter(None, (row.provider, row.model)))
    return clean_line(f"{row.stage} {who}", _used(row), _paid(row), *(["wasted"] if row.wasted else []))


def _paid(row: Cost) -> str:
    """What it costs; where some uses are unpriced, what the others do, and how many those are."""
    if row.cost is None and row.known:
        return f"{money(row.known)} + {row.unpriced_uses} unpriced"
    return money(row.cost, refused=row.is_refused)


def _used(row: Cost) -> str:
    counts = {name: getattr(row, name) for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")}
    counts = {name: number for name, number in counts.items() if number}
    heard = {"stt_seconds": row.seconds or 0} if row.stage == "stt" else {}
    spoken = {"tts_characters": row.characters or 0} if row.stage == "tts" else {}
    told = [tokens(counts) + ((" (estimated)" if row.uses == 1 else " (some estimated)") if row.estimated else "")] if counts else []
    return ", ".join((*told, *speech(heard | spoken), count(row.uses, "request" if row.stage in ("llm", "engine") else "use")))


def _wasted(costs: Costs) -> str:
    rows = costs.wasted
    read, wrote = (sum(getattr(row, name) or 0 for row in rows) for name in ("input_tokens", "output_tokens"))
    return f"Wasted: {tokens({'input_tokens': read, 'output_tokens': wrote})} for answers begun early and dropped, {_bill(rows)}"


def _where(turn: int | None) -> str:
    return "no turn" if turn is None else f"turn {turn}"


def _by_model(costs: Costs) -> list[Cost]:
    """A row for each model of each stage, in the order of a turn; what was wasted is part of it."""
    rows: dict[tuple[str, str, str | None], list[Cost]] = {}
    for row in costs:
        rows.setdefault((row.stage, row.provider, row.model), []).append(row)
    return sorted(map(_together, rows.values()), key=lambda row: STAGES.index(row.stage) if row.stage in STAGES else len(STAGES))


def _together(rows: Sequence[Cost]) -> Cost:
    numbers = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "seconds", "characters")
    sums: dict[str, Any] = {name: sum(getattr(row, name) or 0 for row in rows) or None for name in numbers}
    uses, estimated = sum(row.uses for row in rows), any(row.estimated for row in rows)
    whole = replace(rows[0], turn=None, wasted=False, uses=uses, estimated=estimated, cost=total(row.cost for row in rows))
    known, unpriced = sum((row.known for row in rows), Decimal(0)), sum(row.unpriced_uses for row in rows)
    return replace(whole, **sums, _known=known, _unpriced=unpriced, _refused=sum(row._refused for row in rows))


def _models(costs: Costs) -> Html:
    rows = _by_model(costs)
    cells = [
        (row.stage, join(tag("b", foreign(row.provider, 100)), " ", foreign(row.model or "", 200)), _used(row), _priced_text(_paid(row)))
        for row in rows[:_MODELS_SHOWN]
    ]
    note = [tag("p", tag("small", f"… {count(len(rows) - len(cells), 'more model')} not shown"))] if len(rows) > len(cells) else []
    return join(_table(("stage", "model", "used", "cost"), cells), *note)


def _turns(costs: Costs) -> Html:
    sums = costs.by("turn")
    stages = [stage for stage in STAGES if stage in costs.by("stage")]
    shown = [*sums][-_TURNS_SHOWN:]
    cells = []
    for turn in shown:
        rows = [row for row in costs if row.turn == turn]
        by = {
            stage: _bill([row for row in rows if row.stage == stage]) if any(row.stage == stage for row in rows) else "" for stage in stages
        }
        cells.append(
            (_where(turn), *(_priced_text(text.removeprefix(f"{stage} ")) for stage, text in by.items()), _priced_text(_bill(rows)))
        )
    before = [tag("p", tag("small", f"… {count(len(sums) - len(shown), 'earlier turn')} not shown"))] if len(sums) > len(shown) else []
    columns = ("", *stages, "sum") if len(stages) > 1 else ("", "cost")
    return join(*before, _table(columns, cells if len(stages) > 1 else [(row[0], row[-1]) for row in cells]))


def _priced_text(text: str) -> Html:
    return tag("span", text, cls="warn" if "unpriced" in text else "", style="white-space:nowrap")


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    head = tag("thead", tag("tr", *(tag("th", title) for title in titles)))
    return tag("table", head, tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)))

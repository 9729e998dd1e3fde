"""What a session costs, by turn, provider and stage; what is unpriced and what was wasted says so."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest
from talking import talking

from patter_nb.costs import Cost, Costs
from patter_nb.display import mimebundle
from patter_nb.events import (
    Body,
    Event,
    LLMChunked,
    LLMRequested,
    PreemptiveDropped,
    PreemptiveStarted,
    RequestAnswered,
    RequestSent,
    SpeechUsed,
    TurnEnded,
    TurnStarted,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.pricing import Prices
from patter_nb.testing import ScriptedLLM
from patter_nb.turns import Turns

PRICES = Prices({"acme": {"large": {"input": 1000, "output": 2000, "cache_read": 100}}, "ears": {"e": {"minute": "0.6"}}})


def fold(happened: Iterable[tuple[int | None, Body]]) -> Turns:
    turns = Turns(PRICES)
    for seq, (turn, body) in enumerate(happened):
        turns.fold(Event(seq, float(seq), seq / 1000, 1, turn, body))
    return turns


def asked(round: int = 1, *, provider: str = "acme", model: str = "large") -> LLMRequested:
    return LLMRequested(round, provider, model, True, (), 0, ())


def used(read: int, wrote: int, cached: int = 0, round: int = 1) -> LLMChunked:
    return LLMChunked(round, LLMChunk("usage", input_tokens=read, output_tokens=wrote, cache_read_tokens=cached))


def heard(seconds: float) -> SpeechUsed:
    return SpeechUsed("stt", "ears", "e", True, seconds=seconds)


CONVERSATION: list[tuple[int | None, Body]] = [
    (None, heard(6)),
    (1, PreemptiveStarted("Rome")),
    (1, asked()),
    (1, used(100, 10)),
    (1, PreemptiveDropped("the person went on")),
    (1, TurnStarted("speech", "Rome and Oslo?")),
    (1, asked()),
    (1, used(200, 20, 500)),
    (1, asked(2)),
    (1, used(300, 30, round=2)),
    (1, SpeechUsed("tts", "voices", "v", True, characters=90)),
    (1, TurnEnded("completed")),
    (2, TurnStarted("typed", "Thanks.")),
    (2, asked(provider="local", model="small")),
    (2, used(50, 5)),
    (2, TurnEnded("completed")),
    (3, TurnStarted("typed", "Still there?")),
    (3, asked()),
]


def test_rows_are_by_turn_stage_model_and_what_was_wasted() -> None:
    rows = list(fold(CONVERSATION).costs())
    assert rows == [
        Cost(None, "stt", "ears", "e", uses=1, seconds=6, cost=Decimal("0.06")),
        Cost(1, "tts", "voices", "v", uses=1, characters=90, cost=None),
        Cost(1, "llm", "acme", "large", uses=2, input_tokens=500, output_tokens=50, cache_read_tokens=500, cost=Decimal("0.65")),
        Cost(1, "llm", "acme", "large", True, uses=1, input_tokens=100, output_tokens=10, cache_read_tokens=0, cost=Decimal("0.12")),
        Cost(2, "llm", "local", "small", uses=1, input_tokens=50, output_tokens=5, cache_read_tokens=0, cost=None),
    ]


def test_sums_are_those_of_the_turns_charges() -> None:
    turns = fold(CONVERSATION[:-2])
    costs = turns.costs()
    charged = [charge.cost for charge in turns.charges]
    assert costs.known == sum((cost for cost in charged if cost is not None), Decimal(0)) == Decimal("0.83")
    assert sum(row.uses for row in costs) == len(charged)
    assert costs.total is None
    assert costs.by("turn") == {None: Decimal("0.06"), 1: None, 2: None}
    assert costs.by("stage") == {"stt": Decimal("0.06"), "tts": None, "llm": None}
    assert costs.by("provider") == {"ears": Decimal("0.06"), "voices": None, "acme": Decimal("0.77"), "local": None}
    assert {turn.id: turn.cost for turn in turns} == {1: None, 2: None}


def test_what_is_unpriced_and_what_was_wasted_are_costs_too() -> None:
    costs = fold(CONVERSATION).costs()
    assert type(costs.unpriced) is type(costs.wasted) is Costs
    assert [(row.stage, row.provider) for row in costs.unpriced] == [("tts", "voices"), ("llm", "local")]
    (wasted,) = costs.wasted
    assert (wasted.turn, wasted.input_tokens, costs.wasted.total) == (1, 100, Decimal("0.12"))
    assert costs.wasted[0].input_tokens == fold(CONVERSATION)[0].wasted["input_tokens"]


def test_of_a_request_under_way_nothing_is_claimed() -> None:
    assert 3 not in fold(CONVERSATION).costs().by("turn")
    over = fold([*CONVERSATION, (3, TurnEnded("interrupted"))]).costs()
    assert over.by("turn")[3] is None, "it told nothing, and nobody knows what it cost"
    told = fold([*CONVERSATION, (3, used(10, 0))]).costs()
    assert told.by("turn")[3] == Decimal("0.01")


def test_an_answer_begun_early_counts_before_its_turn_has_begun() -> None:
    begun: list[tuple[int | None, Body]] = [(1, PreemptiveStarted("Rome")), (1, asked()), (1, used(100, 0))]
    assert fold(begun).costs().by("turn") == {1: Decimal("0.1")}
    dropped = fold([*begun, (1, PreemptiveDropped("it went on"))]).costs()
    assert [(row.turn, row.wasted, row.cost) for row in dropped] == [(None, True, Decimal("0.1"))]


def test_each_request_that_costs_is_among_the_requests() -> None:
    for length in range(len(CONVERSATION) + 1):
        turns = fold(CONVERSATION[:length])
        asked = sum(isinstance(body, LLMRequested) for _, body in CONVERSATION[:length])
        requests = list(turns.asked())
        assert len(requests) == asked, f"after {length} events"
        assert sum(wasted for _, wasted in requests) == (length > 4), f"after {length} events"


def test_what_was_estimated_once_stays_an_estimate() -> None:
    guess = LLMChunked(1, LLMChunk("usage", input_tokens=7, output_tokens=1, estimated=True))
    (row,) = fold([(1, TurnStarted("typed", "Hi")), (1, asked()), (1, guess), (1, asked(2)), (1, used(5, 1, round=2))]).costs()
    assert (row.uses, row.input_tokens, row.estimated) == (2, 12, True)


def test_of_what_was_read_from_a_cache_the_share_is_of_all_that_was_read() -> None:
    (turn,) = fold([(1, TurnStarted("typed", "Hi")), (1, asked())])
    request = turn.requests[0]
    assert request.cached is None
    request.chunks.append(LLMChunk("usage", input_tokens=20, output_tokens=9, cache_read_tokens=30, cache_write_tokens=50))
    assert request.cached == 0.3


def test_the_first_thing_that_comes_is_no_count_of_tokens() -> None:
    (turn,) = fold([(1, TurnStarted("typed", "Hi")), (1, asked()), (1, used(5, 1)), (1, LLMChunked(1, LLMChunk("text", content="Hi")))])
    assert turn.requests[0].first_chunk_ms == 2.0


def test_costs_become_a_table_that_says_what_is_unpriced() -> None:
    table = fold(CONVERSATION).costs().to_pandas()
    assert table.cost.sum() == pytest.approx(0.83)
    assert list(table[table.unpriced].provider) == ["voices", "local"]
    assert table[table.unpriced].cost.isna().all()
    assert table.groupby("stage").uses.sum().to_dict() == {"llm": 4, "stt": 1, "tts": 1}
    assert list(table[table.wasted].input_tokens) == [100]
    assert table.turn.dtype == table.input_tokens.dtype == "Int64"


async def test_what_runs_here_is_free_and_no_secret() -> None:
    async with talking(llm=ScriptedLLM(["Hello."])) as session:
        assert len(session.costs()) == 0
        await session.ask("Hi")
        costs = session.costs()
        assert (costs.total, costs.known, len(costs.unpriced)) == (Decimal(0), Decimal(0), 0)
        assert [(row.turn, row.stage, row.provider) for row in costs] == [(1, "llm", "scripted")]


def test_a_request_that_was_refused_costs_nothing_and_one_that_was_lost_is_named_beside_what_is_known() -> None:
    def sent(number: int, status: int | None) -> list[tuple[int | None, Body]]:
        over = RequestAnswered(number, status, None, 1.0, None if status is None else 2.0, 9)
        return [(1, asked(number)), (1, RequestSent(number, "llm", number, "acme", "large", 1, "http://a", 9, 9)), (1, over)]

    begun: list[tuple[int | None, Body]] = [(1, TurnStarted("typed", "Rome?"))]
    turns = fold([*begun, *sent(1, 429), (1, TurnEnded("failed"))])
    assert (turns[0].cost, turns[0].requests[0].is_refused) == (0, True)
    assert "$0 (refused)" in mimebundle(turns.costs())["text/plain"]
    priced: list[tuple[int | None, Body]] = [*sent(2, 200), (1, used(300, 30, round=2))]
    turns = fold([*begun, *sent(1, 500), *priced, (1, TurnEnded("completed"))])
    assert turns.costs().total == turns[0].requests[1].cost == Decimal("0.36")
    turns = fold([*begun, *sent(1, None), *priced, (1, TurnEnded("completed"))])
    assert (turns.costs().total, turns.costs().known) == (None, Decimal("0.36"))
    assert [row.unpriced_uses for row in turns.costs()] == [1]
    assert "2 requests · $0.3600 + 1 unpriced" in mimebundle(turns.costs())["text/plain"]

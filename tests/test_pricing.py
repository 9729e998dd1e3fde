"""What an answer costs: the default models have a price, caches have theirs, one's own go first, and what is unknown is not free."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from patter_nb.errors import PatterConfigError
from patter_nb.llm.anthropic import AnthropicLLM
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.cerebras import CerebrasLLM
from patter_nb.llm.google import GoogleLLM
from patter_nb.llm.groq import GroqLLM
from patter_nb.llm.openai import OpenAILLM
from patter_nb.patter import Patter
from patter_nb.pricing import Prices
from patter_nb.testing import ScriptedLLM

MILLION = 1_000_000


def usage(input: int = 0, output: int = 0, **more: int) -> LLMChunk:
    return LLMChunk("usage", input_tokens=input, output_tokens=output, **more)  # type: ignore[arg-type]


class Answering:
    """A model that costs, and says what it used."""

    costs = True

    def __init__(self, provider: str, model: str, *chunks: LLMChunk) -> None:
        self.provider, self.model, self._chunks = provider, model, chunks

    async def stream(self, messages: Any) -> Any:
        yield "Fine."
        for chunk in self._chunks:
            yield chunk
        yield LLMChunk("done", finish_reason="stop")


@pytest.mark.parametrize("kind", [OpenAILLM, AnthropicLLM, GroqLLM, CerebrasLLM, GoogleLLM])
def test_a_default_model_has_a_price(kind: Any) -> None:
    llm = kind("a key")
    cost = Prices().cost(usage(MILLION, MILLION), llm.provider, llm.model)
    assert cost is not None
    assert cost > 0


def test_a_dated_name_is_priced_and_a_smaller_relative_is_not_taken_for_it() -> None:
    prices = Prices()
    assert prices.cost(usage(MILLION), "openai", "gpt-4o-mini-2024-07-18") == prices.cost(usage(MILLION), "openai", "gpt-4o-mini")
    assert prices.cost(usage(MILLION), "openai", "gpt-4.1-nano") != prices.cost(usage(MILLION), "openai", "gpt-4.1")


def test_what_has_no_price_is_none() -> None:
    assert Prices().cost(usage(1), "openai", "no-such-model") is None
    assert Prices().cost(usage(1), "nobody", "gpt-4o") is None
    assert Prices().cost(usage(1), "openai", None) is None


def test_own_prices_go_first_and_fall_back_to_that_of_input() -> None:
    own = Prices({"openai": {"gpt-4o": {"input": 1, "output": 2, "cache_read": "0.1"}}})
    assert own.cost(usage(MILLION, MILLION, cache_read_tokens=MILLION, cache_write_tokens=MILLION), "openai", "gpt-4o") == Decimal("4.1")


@pytest.mark.parametrize(
    ("pricing", "problem"),
    [
        (["openai"], "pricing is list"),
        ({"openai": 3}, "holds int for a provider"),
        ({"openai": {"m": {"input": 1}}}, "has no output"),
        ({"openai": {"m": 2}}, "has no rates"),
        ({"openai": {"m": {"input": 1, "output": 1, "cached": 1}}}, "names cached"),
        ({"openai": {"m": {"input": "cheap", "output": 1}}}, "is no number"),
        ({"openai": {"m": {"input": -1, "output": 1}}}, "below 0"),
    ],
)
def test_what_is_no_price_is_refused(pricing: Any, problem: str) -> None:
    with pytest.raises(PatterConfigError, match=problem):
        Patter(pricing=pricing)


async def test_row_10_cached_tokens_are_paid_at_their_own_rate() -> None:
    prices = Prices()
    plain, cached = prices.cost(usage(MILLION), "openai", "gpt-4o"), prices.cost(usage(0, cache_read_tokens=MILLION), "openai", "gpt-4o")
    assert plain is not None
    assert cached == plain / 2


async def test_row_11_reading_and_writing_a_cache_have_their_rates() -> None:
    prices, haiku = Prices(), ("anthropic", "claude-haiku-4-5-20251001")
    read, written = (prices.cost(usage(0, **{name: MILLION}), *haiku) for name in ("cache_read_tokens", "cache_write_tokens"))
    assert (read, written) == (Decimal("0.1"), Decimal("1.25"))


async def test_row_14_a_turn_costs_what_its_own_model_does() -> None:
    million = usage(MILLION, MILLION)
    agent = Patter().agent(llm=Answering("anthropic", "claude-haiku-4-5-20251001", million))
    async with Patter().serve(agent) as session:
        assert (await session.ask("one")).cost == 6
        session.llm = Answering("openai", "gpt-4o", million)
        assert (await session.ask("two")).cost == Decimal("12.5")
        session.llm = Answering("openai", "gpt-4o")
        assert (await session.ask("nobody counted")).cost is None
        session.llm = ScriptedLLM(["Free."])
        assert (await session.ask("three")).cost == 0


async def test_a_turn_names_and_pays_who_answered() -> None:
    booked = LLMChunk("usage", input_tokens=MILLION, output_tokens=MILLION, provider="groq", model="llama-3.3-70b-versatile")
    async with Patter().serve(Patter().agent(llm=Answering("fallback", "groq, local", booked))) as session:
        turn = await session.ask("who?")
        assert (turn.provider, turn.model, turn.cost) == ("groq", "llama-3.3-70b-versatile", Decimal("1.38"))
        here = LLMChunk("usage", input_tokens=9, output_tokens=9, provider="local", model="smollm2")
        session.llm = Answering("fallback", "groq, local", here)
        turn = await session.ask("and now?")
        assert (turn.provider, turn.cost) == ("local", 0)


async def test_own_prices_are_those_of_the_sessions_that_are_served() -> None:
    phone = Patter(pricing={"Answering": {"mine": {"input": 1, "output": 1}}})
    async with phone.serve(phone.agent(llm=Answering("Answering", "mine", usage(MILLION, MILLION)))) as session:
        assert (await session.ask("one")).cost == 2

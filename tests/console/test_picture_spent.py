"""What is spent is looked at only where something was charged, and is what it would be if it were looked at after every event."""

from __future__ import annotations

from typing import Any

import pytest
from talking import one_utterance, silence

from patter_nb import Patter
from patter_nb.console import picture
from patter_nb.console.picture import Picture
from patter_nb.events import Event
from patter_nb.llm.base import LLMChunk
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.pricing import Prices, Pricing
from patter_nb.testing import RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS

PRICING: Pricing = {
    "scripted": {"script": {"minute": "0.6", "characters": "1"}},
    "openai": {"gpt-4o-mini": {"input": 1000, "output": 2000}},
}
USAGE = LLMChunk("usage", input_tokens=1000, output_tokens=10)


class Paid(ScriptedLLM):
    """What a known model would cost, without the model."""

    provider, model, costs = "openai", "gpt-4o-mini", True


class Unpriced(ScriptedLLM):
    """One that nobody knows the price of."""

    provider, model, costs = "somebody", "something", True


class Voice(ScriptedTTS):
    """One that is charged for."""

    costs = True


VAD = {"one utterance": one_utterance(), "a person who goes on": RecordedVAD.speaking((500, 1500), (1900, 2600))}


@pytest.mark.parametrize("vad", VAD.values(), ids=VAD)
@pytest.mark.parametrize("model", [Paid, Unpriced])
async def test_it_is_the_same_as_if_it_were_always_looked_at(model: type[ScriptedLLM], vad: RecordedVAD) -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Rome?", "And Oslo?"]), "tts": Voice(), "vad": vad}
    agent = Patter().agent(llm=model([["Sunny. ", "Bye.", USAGE]] * 3), turn_taking=TurnTaking(preemptive=True), **parts)
    async with Patter(pricing=PRICING).serve(agent, transport=silence(), name="spent") as session:
        followed, wrong = Picture(session), list[tuple[str, Any, Any]]()

        def compare(event: Event) -> None:
            followed.fold(event)
            followed.drain()
            told, fresh = (made.whole() for made in (followed, Picture(session)))
            for name in ("spent", "spent_by"):
                if told[name] != fresh[name]:
                    wrong.append((event.type, told[name], fresh[name]))

        session.events.subscribe(compare)
        await session.wait()
        assert not wrong
        assert set(followed.whole()["spent_by"]) == {"hears", "thinks", "speaks"}
        assert followed.whole()["spent"]["unpriced"] == (1 if model is Unpriced else 0)


async def test_neither_words_nor_a_second_look_at_a_request_cost_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    accounting, pricing = picture._spent, Prices.cost

    def account(*told: Any) -> Any:
        looked.append("all turns")
        return accounting(*told)

    def price(*told: Any) -> Any:
        looked.append("a price")
        return pricing(*told)

    monkeypatch.setattr(picture, "_spent", account)
    monkeypatch.setattr(Prices, "cost", price)
    async with Patter().serve(Patter().agent(llm=Paid([["Hi. "] * 50 + [USAGE]])), name="spent") as session:
        followed = Picture(session)

        def follow(event: Event) -> None:
            followed.fold(event)
            followed.drain()

        session.events.subscribe(follow)
        await session.ask("Hi")
        assert len(session.chunks) > 50
        assert looked.count("all turns") < 10
        assert looked.count("a price") == 1
        assert session.turns[0].cost == session.costs().total
        assert looked.count("a price") == 1

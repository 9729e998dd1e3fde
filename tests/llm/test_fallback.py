"""Several models in the place of one: who answers, who is left in peace, and what is raised when nobody does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ways import KEY, USER, VENDORS

from patter_nb.clock import ManualClock
from patter_nb.errors import AllProvidersFailed, AuthenticationError, PatterConfigError, ServerError, TruncatedStream
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.fallback import FallbackLLM
from patter_nb.patter import Patter
from patter_nb.testing import Hold, ScriptedLLM, WireServer
from patter_nb.testing.wire import Cut, HttpError, Usage


def model(name: str, server: WireServer, **options: Any) -> Any:
    vendor = VENDORS[name]
    return vendor.llm(KEY, base_url=vendor.base_url(server), model=vendor.model, max_retries=0, **options)


async def said(llm: FallbackLLM, **named: Any) -> tuple[str, LLMChunk]:
    """The words of an answer, and its count."""
    chunks = [chunk async for chunk in llm.stream([USER], **named)]
    assert chunks[-1].type == "done"
    return "".join(chunk.content or "" for chunk in chunks if chunk.type == "text"), chunks[-2]


async def test_the_first_that_works_answers_and_is_paid() -> None:
    async with WireServer([HttpError(500), HttpError(429), ["Here.", Usage(7, 2)]]) as server:
        llm = FallbackLLM([model("openai", server), model("groq", server), model("anthropic", server)])
        words, usage = await said(llm)
    assert words == "Here."
    assert (usage.provider, usage.model, usage.input_tokens) == ("anthropic", "claude-haiku-4-5-20251001", 7)


async def test_one_that_failed_is_left_in_peace_for_a_while() -> None:
    clock = ManualClock()
    async with WireServer([HttpError(500), "Second.", "Second again.", "First again."]) as server:
        llm = FallbackLLM([model("openai", server), model("groq", server)], clock=clock)
        answers = [await said(llm), await said(llm)]
        clock.advance(30_001)
        answers.append(await said(llm))
    assert [usage.provider for _, usage in answers] == ["groq", "groq", "openai"]


async def test_when_all_have_failed_all_are_asked_again() -> None:
    async with WireServer([HttpError(500), HttpError(401), "Back."]) as server:
        llm = FallbackLLM([model("openai", server), model("groq", server)])
        with pytest.raises(AllProvidersFailed) as caught:
            await said(llm)
        assert [type(error) for error in caught.value.errors] == [ServerError, AuthenticationError]
        assert "openai" in caught.value.message
        assert "groq" in caught.value.message
        assert (await said(llm))[0] == "Back."


async def test_row_39_an_answer_that_has_begun_is_not_asked_of_another() -> None:
    async with WireServer([["Half a", Cut()]]) as server:
        llm = FallbackLLM([model("openai", server), model("groq", server)])
        with pytest.raises(TruncatedStream) as caught:
            await said(llm)
    assert caught.value.partial_text == "Half a"


async def test_a_provider_of_ones_own_may_raise_anything() -> None:
    class Broken:
        async def stream(self, messages: Any) -> Any:
            raise KeyError("oh")
            yield

    words, usage = await said(FallbackLLM([Broken(), ScriptedLLM(["Fine."])]))
    assert words == "Fine."
    with pytest.raises(AllProvidersFailed, match="KeyError"):
        await said(FallbackLLM([Broken()]))
    assert (usage.provider, usage.input_tokens) == ("scripted", None)


async def test_cancelling_is_no_failure() -> None:
    held, cancel = asyncio.Event(), asyncio.Event()
    llm = FallbackLLM([ScriptedLLM([["One", Hold(held)], "Again."]), ScriptedLLM([])])
    answer = llm.stream([USER], cancel_event=cancel)
    assert (await anext(answer)).content == "One"
    cancel.set()
    assert [chunk.finish_reason async for chunk in answer if chunk.type == "done"] == ["cancelled"]
    held.set()
    assert (await said(llm))[0] == "Again."


async def test_a_session_names_who_answered() -> None:
    async with WireServer([HttpError(500), "Here."]) as server:
        llm = FallbackLLM([model("openai", server), model("groq", server)])
        assert (llm.provider, llm.model, llm.costs) == ("fallback", "openai gpt-4o-mini, groq llama-3.3-70b-versatile", True)
        async with Patter().serve(Patter().agent(llm=llm), name="falling back") as session:
            turn = await session.ask("Hi")
    assert (turn.provider, turn.model, turn.agent_text) == ("groq", "llama-3.3-70b-versatile", "Here.")
    assert turn.cost is not None


@pytest.mark.parametrize("llms", [[], [ScriptedLLM], ["gpt-4o"]])
def test_what_is_no_model_is_refused(llms: Any) -> None:
    with pytest.raises(PatterConfigError):
        FallbackLLM(llms)

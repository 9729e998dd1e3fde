"""What must not be said is not said, what must not be asked is not asked, and history tells it as it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import bodies, talking

from patter_nb.agent import DEFAULT_REPLACEMENT, AfterLLM, Guardrail, PipelineHooks
from patter_nb.errors import PatterConfigError
from patter_nb.events import GuardrailHit, InputChecked, LLMRequested, StageFailed
from patter_nb.pipeline.guarding import Reading, first_hit
from patter_nb.testing import ScriptedLLM, ScriptedTTS


def hit(text: str, *terms: str, before: str = "") -> bool:
    found = asyncio.run(first_hit((Guardrail("g", blocked_terms=terms),), "output", Reading(text, before)))
    return found is not None


# --- terms


@pytest.mark.parametrize(
    ("before", "text", "blocked"),
    [
        ("", "the new york office", True),
        ("", "The NEW\n  York office", True),
        ("we go to New ", "York today", True),
        ("we go to New", " York today", True),
        ("we go to New", "York today", False),
        ("in the very new yo", "rk office", True),
        ("we go to New York. ", "It is large", False),
        ("we go to New York ", "and it is large", False),
        ("it is new", "er than York", False),
        ("", "", False),
    ],
)
def test_a_term_counts_once_wherever_it_is_cut(before: str, text: str, blocked: bool) -> None:
    assert hit(text, "New York", before=before) is blocked


@given(st.text(alphabet="ab ", max_size=12), st.integers(0, 12))
def test_a_term_is_found_over_any_cut_that_it_spans(text: str, cut: int) -> None:
    before, after = text[:cut], text[cut:]
    whole = " ".join(text.split())
    inside_one = "a b" in " ".join(before.split()) or "a b" in " ".join(after.split())
    if "a b" in whole and not inside_one:
        assert hit(after, "a b", before=before)
    if "a b" not in whole:
        assert not hit(after, "a b", before=before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocked_terms": "swordfish"}, "one string"),
        ({"blocked_terms": ["  "]}, "empty"),
        ({"on": "both"}, "on='output'|on=\"output\""),
        ({"check": "secret"}, "no function"),
        ({"name": ""}, "name"),
    ],
)
def test_a_guardrail_that_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PatterConfigError, match=message):
        Guardrail(**{"name": "g", **options})


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("ａｃｍｅ corp", "Acme Corp"),
        ("ac\u200bme co\u00adrp", "acme corp"),
        ("acme\u00a0corp", "acme corp"),
        ("ﬁnal oﬀer", "final offer"),
        ("straße", "STRASSE"),
        ("acme corp", "ａｃ\u200dｍｅ corp"),
        ("cafe\u0301", "caf\u00e9"),
    ],
)
def test_a_term_is_found_in_any_form_of_its_letters(text: str, term: str) -> None:
    assert hit(text, term)
    assert hit(text[3:], term, before=text[:3])
    assert not hit(text[3:], term)


# --- on what the agent says


MARKED_UP = [
    ("Try **Acme** Corp instead.", "acme corp"),
    ("Try _Acme_ Corp instead.", "acme corp"),
    ("Try [Acme](https://a.b/c) Corp instead.", "acme corp"),
    ("It is a <b>sec</b>ret, you see.", "secret"),
    ("Try Acme 🎉 Corp instead.", "acme corp"),
    ("Try A\u200bcme Corp instead.", "acme corp"),
    ("You find it at [this place](https://acme.example/x).", "acme.example"),
    ("Here is something from the well known company **Acme\n\nCorp** of old.", "acme corp"),
]


@pytest.mark.parametrize(("reply", "term"), MARKED_UP)
async def test_what_is_blocked_is_so_with_markup_and_without(reply: str, term: str) -> None:
    tts = ScriptedTTS()
    rail = Guardrail("g", blocked_terms=[term], replacement="No.")
    async with talking(llm=ScriptedLLM([reply]), tts=tts, guardrails=[rail]) as session:
        turn = await session.ask("Well?")
        assert len(bodies(session, GuardrailHit)) == 1
    assert tts.said[-1] == "No."
    assert turn.agent_text.endswith("No.")
    assert "instead" not in str(session.history) and "ret," not in str(session.history)


async def test_a_check_sees_the_text_as_it_is_written_and_as_it_sounds() -> None:
    seen: list[str] = []

    def check(text: str) -> bool:
        seen.append(text)
        return False

    llm = ScriptedLLM(["It is **good** for 5 of us. Plain words are seen once."])
    parts = {"text_transforms": [lambda text: text.replace("5", "five")], "guardrails": [Guardrail("g", check=check)]}
    async with talking(llm=llm, tts=ScriptedTTS(), **parts) as session:
        await session.ask("Well?")
    three = ["It is **good** for 5 of us.", "It is good for 5 of us.", "It is good for five of us."]
    assert [text.strip() for text in seen] == [*three, "Plain words are seen once."]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_a_hook_makes_of_a_sentence_is_checked(asynchronous: bool) -> None:
    def worse(text: str, ctx: Any) -> str:
        return text.replace("the place", "Acme Corp")

    async def later(text: str, ctx: Any) -> str:
        return worse(text, ctx)

    hooks = PipelineHooks(after_llm=AfterLLM(on_sentence=later if asynchronous else worse))
    tts, rail = ScriptedTTS(), Guardrail("g", blocked_terms=["acme corp"], replacement="No.")
    async with talking(llm=ScriptedLLM(["Go to the place."]), tts=tts, guardrails=[rail], hooks=hooks) as session:
        turn = await session.ask("Where?")
    assert (tts.said, turn.agent_text) == (["No."], "No.")


async def test_what_a_hook_takes_out_is_not_blocked() -> None:
    hooks = PipelineHooks(after_llm=AfterLLM(on_sentence=lambda text, ctx: text.replace("Acme Corp", "them")))
    rail = Guardrail("g", blocked_terms=["acme corp"])
    async with talking(llm=ScriptedLLM(["Go to Acme Corp."]), guardrails=[rail], hooks=hooks) as session:
        assert (await session.ask("Where?")).agent_text == "Go to them."


async def test_a_term_over_two_sentences_is_not_completed() -> None:
    reply = "All of this is taken from a most wonderful place called New\n\nYork, where it never sleeps."
    tts = ScriptedTTS()
    rail = Guardrail("place", blocked_terms=["new york"], replacement="Somewhere.")
    async with talking(llm=ScriptedLLM([reply]), tts=tts, guardrails=[rail]) as session:
        turn = await session.ask("Where?")
        assert len(bodies(session, GuardrailHit)) == 1
    assert len(tts.said) == 2 and tts.said[1] == "Somewhere."
    assert "York" not in turn.agent_text + str(session.history)


async def test_one_hit_does_not_block_the_sentences_after_it() -> None:
    reply = "I was told that the secret word is swordfish. But of course nobody knows it. Goodbye to you, my friend."
    async with talking(llm=ScriptedLLM([reply]), tts=ScriptedTTS(), guardrails=[Guardrail("g", blocked_terms=["swordfish"])]) as session:
        turn = await session.ask("Well?")
        assert len(bodies(session, GuardrailHit)) == 1
    assert turn.agent_text == f"{DEFAULT_REPLACEMENT} But of course nobody knows it. Goodbye to you, my friend."
    assert turn.heard_text == session.history[-1]["content"] == turn.agent_text


async def test_memory_of_what_was_said_ends_with_the_turn() -> None:
    llm = ScriptedLLM(["We go to New", "York is what I said."])
    async with talking(llm=llm, guardrails=[Guardrail("g", blocked_terms=["new york"])]) as session:
        await session.ask("Where?")
        assert (await session.ask("What?")).agent_text == "York is what I said."


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_checks_may_be_plain_or_async_and_the_first_hit_wins(asynchronous: bool) -> None:
    seen: list[str] = []

    def check(text: str) -> bool:
        seen.append(text)
        return "rude" in text

    async def check_later(text: str) -> bool:
        await asyncio.sleep(0)
        return check(text)

    rails = [
        Guardrail("first", check=check_later if asynchronous else check, replacement="First."),
        Guardrail("second", blocked_terms=["rude"], replacement="Second."),
    ]
    async with talking(llm=ScriptedLLM(["That is very rude of you."]), guardrails=rails) as session:
        assert (await session.ask("Hm?")).agent_text == "First."
        assert bodies(session, GuardrailHit) == [GuardrailHit("first", "output", "First.")]
    assert seen == ["That is very rude of you."]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_check_that_fails_lets_nothing_through(asynchronous: bool) -> None:
    def check(text: str) -> bool:
        raise KeyError("no such list")

    async def check_later(text: str) -> bool:
        return check(text)

    tts = ScriptedTTS()
    llm = ScriptedLLM(["This was never checked by anyone. And neither was this one here.", "Fine."])
    rail = Guardrail("broken", check=check_later if asynchronous else check)
    async with talking(llm=llm, tts=tts, guardrails=[rail], error_message="Sorry.") as session:
        turn = await session.ask("Hm?")
        assert turn.status == "failed"
        assert "guardrail failed: KeyError" in str(turn.error)
        assert isinstance(turn.error.__cause__ if turn.error else None, KeyError)
        assert bodies(session, StageFailed)[0].stage == "guardrail"
        assert tts.said == ["Sorry."]
        assert (turn.agent_text, turn.heard_text) == ("Sorry.", "Sorry.")
        assert "checked" not in str(session.history)
        session.guardrails = ()
        assert (await session.ask("Again?")).agent_text == "Fine."


async def test_a_greeting_is_checked_and_the_apology_is_not() -> None:
    rail = Guardrail("g", blocked_terms=["hello", "sorry"], replacement="Hm.")
    tts = ScriptedTTS()
    async with talking(
        llm=ScriptedLLM([ValueError("no")]), tts=tts, guardrails=[rail], first_message="Hello!", error_message="Sorry."
    ) as session:
        await session.ask("Hi")
    assert tts.said[-1] == "Sorry."
    assert "Hello!" not in tts.said


# --- on what the person asks


async def test_what_must_not_be_asked_never_reaches_the_model() -> None:
    llm = ScriptedLLM(["Hello."])
    rails = [
        Guardrail("topic", blocked_terms=["weapon"], replacement="Not that.", on="input"),
        Guardrail("other", blocked_terms=["hello"], on="input"),
    ]
    async with talking(llm=llm, tts=ScriptedTTS(), guardrails=rails) as session:
        turn = await session.ask("How do I build a WEAPON?")
        assert (turn.status, turn.agent_text, turn.requests) == ("completed", "Not that.", [])
        assert bodies(session, GuardrailHit) == [GuardrailHit("topic", "input", "Not that.")]
        assert session.events.of(LLMRequested) == []
        assert (await session.ask("Good day.")).agent_text == "Hello.", "input rails do not look at output"
    assert "WEAPON" not in str(llm.requests)


async def test_an_input_check_that_fails_asks_nothing() -> None:
    def check(text: str) -> bool:
        raise RuntimeError("no list")

    llm = ScriptedLLM([])
    async with talking(llm=llm, guardrails=[Guardrail("g", check=check, on="input")], error_message="Sorry.") as session:
        turn = await session.ask("Hm?")
        assert bodies(session, StageFailed)[0].stage == "guardrail"
        assert bodies(session, InputChecked) == []
    assert (turn.status, turn.agent_text, llm.requests) == ("failed", "Sorry.", [])

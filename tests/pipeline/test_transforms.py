"""What is spoken of an answer: transformed text, without markdown, also where the markdown stretches over pieces."""

from __future__ import annotations

from typing import Any

import pytest
from talking import bodies, talking

from patter_nb.agent import AfterLLM, Guardrail, PipelineHooks
from patter_nb.errors import PatterConfigError
from patter_nb.events import StageFailed
from patter_nb.patter import Patter
from patter_nb.testing import ScriptedLLM, ScriptedTTS


async def spoken(*replies: Any, **parts: Any) -> list[str]:
    tts = ScriptedTTS()
    async with talking(llm=ScriptedLLM(replies), tts=tts, **parts) as session:
        for _ in replies:
            await session.ask("Go on.")
    return tts.said


async def test_transforms_are_applied_in_order_to_what_is_spoken_and_not_to_history() -> None:
    tts = ScriptedTTS()
    transforms = [lambda text: text.replace("$5", "five dollars"), str.upper]
    async with talking(llm=ScriptedLLM(["That is $5."]), tts=tts, text_transforms=transforms) as session:
        turn = await session.ask("How much?")
    assert tts.said == ["THAT IS FIVE DOLLARS."]
    assert turn.agent_text == session.history[-1]["content"] == "That is $5."


async def test_markdown_over_several_pieces_is_not_spoken() -> None:
    reply = "**The first sentence is long and bold. So is the second of them.** The third one is *not at all. Or is it?* `code. More` ends."
    said = await spoken(reply)
    assert len(said) > 3
    assert not any(mark in " ".join(said) for mark in "*`")


@pytest.mark.parametrize("streamed", ["whole", "by character"])
async def test_how_it_is_streamed_makes_no_difference(streamed: str) -> None:
    reply = "# Heading\n\n- **One** thing to know is this.\n- See [the docs](https://a.b/c) for more of it.\n\n🎉 That's _all_."
    said = await spoken([reply] if streamed == "whole" else list(reply))
    assert " ".join(said) == "Heading One thing to know is this. See the docs for more of it. That's all."


async def test_marks_opened_in_what_was_replaced_or_dropped_are_closed_in_what_follows() -> None:
    reply = "Here is **the secret word. And this one is bold too** and this is not. The end of it is plain."
    said = await spoken(reply, guardrails=[Guardrail("g", blocked_terms=["secret"], replacement="*No.*")])
    assert said == ["No.", "And this one is bold too and this is not.", "The end of it is plain."]
    hooks = PipelineHooks(after_llm=AfterLLM(on_sentence=lambda text, ctx: "" if "secret" in text else None))
    assert await spoken(reply, hooks=hooks) == said[1:]


async def test_marks_left_open_do_not_reach_the_next_turn() -> None:
    assert await spoken("**This was never closed.", "2 * 3 is six.") == ["This was never closed.", "2 * 3 is six."]


async def test_a_piece_of_which_nothing_can_be_said_is_skipped() -> None:
    assert await spoken("---\n\nNow to the matter at hand.\n\n🎉🎉🎉\n\n***") == ["Now to the matter at hand."]


def broken(text: str) -> str:
    raise IndexError("empty table")


@pytest.mark.parametrize(("transform", "message"), [(broken, "IndexError: empty table"), (lambda text: None, "returned NoneType")])
async def test_a_failing_transform_ends_the_turn(transform: Any, message: str) -> None:
    tts = ScriptedTTS()
    async with talking(llm=ScriptedLLM(["Hello there."] * 2), tts=tts, text_transforms=[transform]) as session:
        turn = await session.ask("Hi")
        assert (turn.status, turn.heard_text) == ("failed", "")
        assert message in str(turn.error)
        assert [body.stage for body in bodies(session, StageFailed)] == ["transform"]
        session.use(text_transforms=())
        assert (await session.ask("Hi")).status == "completed"
    assert tts.said == ["Hello there."]


def test_transforms_are_checked() -> None:
    assert Patter().agent(text_transforms=str.upper).text_transforms == (str.upper,)  # type: ignore[arg-type]
    with pytest.raises(PatterConfigError, match="text_transforms"):
        Patter().agent(text_transforms=5)  # type: ignore[arg-type]

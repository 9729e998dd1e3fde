"""The life of an answer: words checked, model asked, tools run, and every way in which that can go wrong."""

from __future__ import annotations

from typing import Any

import pytest
from history_rules import faults
from step_edge import Edge, agent

from patter_nb.agent import Filler, Guardrail, PipelineHooks
from patter_nb.errors import MalformedStream, RequestTimeout
from patter_nb.events import (
    Body,
    Dropped,
    GuardrailHit,
    LLMRequested,
    SentenceReady,
    SessionStopped,
    StageFailed,
    ToolCalled,
    ToolEnded,
    TurnEnded,
    TurnHeard,
    TurnStarted,
    UtteranceDropped,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.rounds import MAX_ROUNDS, Round, ToolRequest, assistant_message, merge_neighbours, requests_of, take
from patter_nb.step import next_due_ms
from patter_nb.step.answering import ANSWER_CHARS
from patter_nb.step.effects import AskLLM, CancelTool, CloseLLM, RunTool, Shutdown
from patter_nb.step.inputs import Say, ToolFinished
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import Muted, Typed


def asking(**parts: object) -> Edge:
    """An agent that has been asked something and has asked its model."""
    edge = Edge(agent(**parts))
    edge.feed(Typed("word1"))
    edge.check_words()
    return edge


def calling(*names: str) -> Edge:
    """An agent whose tools run."""
    edge = asking()
    for index, name in enumerate(names):
        edge.call(name, index=index, id=f"id{index}")
    edge.end_stream()
    return edge


def errors(edge: Edge) -> list[str]:
    return [type(body.error).__name__ for body in edge.bodies(StageFailed) if isinstance(body, StageFailed)]


class TestWords:
    def test_reach_the_model_once(self) -> None:
        edge = asking(system_prompt="Be {mood}.", variables={"mood": "kind"})
        system, user = {"role": "system", "content": "Be kind."}, {"role": "user", "content": "word1"}
        assert edge.asked()[0].messages == (system, user)
        edge.answer("Yes.")
        edge.settle()
        edge.feed(Typed("word2"))
        edge.check_words()
        assert edge.asked()[1].messages == (system, user, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "word2"})
        assert [body.carried for body in edge.bodies(LLMRequested) if isinstance(body, LLMRequested)] == [1, 3]

    def test_of_a_turn_that_was_never_answered_are_kept(self) -> None:
        edge = asking()
        edge.feed(Typed("word2"))
        edge.check_words()
        assert edge.asked()[1].messages == ({"role": "user", "content": "word1\nword2"},)

    def test_interrupted_while_they_are_checked_are_kept_where_nothing_guards_them(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.feed(Typed("word2"))
        edge.check_words()
        assert edge.asked()[0].messages == ({"role": "user", "content": "word1\nword2"},)

    @pytest.mark.parametrize(
        "guard",
        [{"guardrails": (Guardrail("no", blocked_terms=("word",), on="input"),)}, {"hooks": PipelineHooks(after_transcribe=str.upper)}],
    )
    def test_interrupted_before_a_guard_passed_them_are_not_kept(self, guard: dict[str, Any]) -> None:
        edge = Edge(agent(**guard))
        edge.feed(Typed("word1"))
        edge.feed(Typed("word2"))
        edge.check_words()
        assert edge.asked()[0].messages == ({"role": "user", "content": "word2"},)

    @pytest.mark.parametrize("text", [None, "", " \n"])
    def test_vetoed_are_not_answered_and_not_kept(self, text: str | None) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words(text=text)
        assert edge.bodies(UtteranceDropped)
        assert edge.bodies(TurnEnded) == [TurnEnded("completed")]
        assert edge.state.history == ()

    def test_blocked_are_answered_by_the_replacement(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words(hit=GuardrailHit("no", "input", "I may not talk about that."))
        edge.settle()
        assert edge.asked() == []
        assert edge.state.history == ({"role": "assistant", "content": "I may not talk about that."},)

    def test_blank_ones_are_none(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("  "))
        assert edge.bodies(TurnStarted) == []

    def test_that_nobody_checks_fail_the_turn(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.due()
        assert errors(edge) == ["RequestTimeout"]
        assert edge.state.word == "ready"


class TestTools:
    def test_their_results_go_back_in_the_order_of_the_calls(self) -> None:
        edge = calling("one", "two")
        edge.feed(ToolFinished(1, "id1", "completed", "second"))
        edge.feed(ToolFinished(1, "id0", "failed", "first", "it broke"))
        assert [message["content"] for message in edge.asked()[1].messages[-2:]] == ["first", "second"]
        assert [body.status for body in edge.bodies(ToolEnded) if isinstance(body, ToolEnded)] == ["completed", "failed"]
        edge.tools = []
        edge.answer("Done.")
        edge.settle()
        assert [message["role"] for message in edge.state.history] == ["user", "assistant", "tool", "tool", "assistant"]

    def test_do_not_run_before_their_arguments_are_complete(self) -> None:
        edge = asking()
        edge.call("get_weather", '{"city": ')
        edge.feed(Typed("word2"))
        assert edge.bodies(ToolCalled) == []
        assert edge.tools == []

    def test_interrupted_are_cancelled_and_answered_for(self) -> None:
        edge = calling("one", "two")
        edge.end_tool()
        edge.feed(Typed("word2"))
        assert edge.effects.count(CancelTool(1, "id1")) == 1
        assert [body.status for body in edge.bodies(ToolEnded) if isinstance(body, ToolEnded)] == ["completed", "cancelled"]
        assert edge.state.history[-1]["tool_call_id"] == "id1"
        edge.check_words()
        assert edge.feed(ToolFinished(1, "id1", "completed", "too late")) == [Dropped("ToolFinished", None)]
        assert len(edge.bodies(ToolEnded)) == 2
        edge.answer("Yes.")
        edge.settle()

    def test_after_ten_rounds_the_turn_ends_in_words(self) -> None:
        edge = asking(error_message="Sorry about that.")
        for _ in range(MAX_ROUNDS - 1):
            edge.call("again")
            edge.end_stream()
            edge.end_tool()
        assert [asked.with_tools for asked in edge.asked()] == [True] * 9 + [False]
        edge.call("again")
        edge.end_stream()
        assert errors(edge) == ["MalformedStream"]
        edge.settle()
        assert edge.turns[1].heard == "Sorry about that."
        assert len(edge.ended_calls) == MAX_ROUNDS - 1

    def test_an_answer_in_the_tenth_round_is_one(self) -> None:
        edge = asking()
        for _ in range(MAX_ROUNDS - 1):
            edge.call("again")
            edge.end_stream()
            edge.end_tool()
        edge.answer("At last.")
        edge.settle()
        assert edge.turns[1].status == "completed"
        assert edge.turns[1].heard == "At last."

    def test_ids_that_repeat_in_another_round_or_turn_are_made_new(self) -> None:
        edge = asking()
        for turn in range(2):
            if turn:
                edge.feed(Typed(f"word{turn + 1}"))
                edge.check_words()
            for _ in range(2):
                edge.call("again", id="gemini_call_0")
                edge.end_stream()
                edge.end_tool()
            edge.answer("Done.")
            edge.settle()
        ids = [effect.request.id for effect in edge.effects if isinstance(effect, RunTool)]
        assert len(set(ids)) == 4
        assert ids[0] == "gemini_call_0"


class TestRounds:
    def test_fragments_belong_together_by_index(self) -> None:
        round = Round()
        for chunk in (
            LLMChunk("tool_call", index=4, id="b", name="two"),
            LLMChunk("tool_call", index=2, id="a", name="one", arguments='{"x": '),
            LLMChunk("tool_call", index=4, arguments="{}"),
            LLMChunk("tool_call", index=2, arguments="1}"),
        ):
            round = take(round, chunk)
        assert requests_of(round, prefix="c") == (ToolRequest("a", "one", '{"x": 1}'), ToolRequest("b", "two", "{}"))

    def test_what_no_vendor_takes_is_not_kept(self) -> None:
        round = Round()
        calls = [(None, None, "{"), ("call:1", "get weather", "[1]"), ("x" * 41, "n" * 70, "[" * 100_000), ("a", "one", "")]
        for index, (id, name, arguments) in enumerate(calls):
            round = take(round, LLMChunk("tool_call", index=index, id=id, name=name, arguments=arguments))
        requests = requests_of(round, prefix="call_1", taken={"a"})
        assert [request.id for request in requests] == ["call_1_1_0", "call_1_1_1", "call_1_1_2", "call_1_1_3"]
        answers = [{"role": "tool", "tool_call_id": request.id, "content": "no"} for request in requests]
        assert faults([{"role": "user", "content": "word1"}, assistant_message(" ", requests), *answers]) == []

    def test_a_made_id_is_made_again_when_it_was_used(self) -> None:
        round = take(Round(), LLMChunk("tool_call", index=0, id="c_1_0", name="one"))
        assert requests_of(round, prefix="c", taken={"c_1_0", "c_1_0_0"})[0].id == "c_1_0_1"

    def test_neighbours_without_text_stay_apart(self) -> None:
        parts = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
        assert merge_neighbours([parts, {"role": "user", "content": "there"}]) == (parts, {"role": "user", "content": "there"})
        assert merge_neighbours([{"role": "user"}, {"role": "user"}]) == ({"role": "user"}, {"role": "user"})


class TestModel:
    def test_that_says_nothing_fails(self) -> None:
        edge = asking(error_message="Sorry.")
        edge.chunk(" ")
        edge.end_stream()
        assert errors(edge) == [MalformedStream.__name__]
        edge.settle()
        assert edge.turns[1].status == "failed"
        assert edge.turns[1].heard == "Sorry."

    def test_that_is_cut_by_a_filter_has_answered(self) -> None:
        edge = asking()
        edge.chunk("Well")
        edge.chunk(LLMChunk("done", finish_reason="content_filter"))
        edge.end_stream()
        edge.settle()
        assert edge.bodies(TurnEnded) == [TurnEnded("completed")]

    @pytest.mark.parametrize("reason", ["length", "content_filter", "cancelled"])
    def test_that_is_cut_in_a_call_runs_nothing(self, reason: str) -> None:
        edge = asking()
        edge.call("book", "")
        edge.chunk(LLMChunk("done", finish_reason=reason))
        edge.end_stream()
        assert edge.bodies(ToolCalled) == [] == edge.tools
        (failed,), (ended,) = edge.bodies(StageFailed), edge.bodies(TurnEnded)
        assert isinstance(failed, StageFailed)
        assert ended == TurnEnded("failed", failed.error)

    def test_that_is_silent_for_a_minute_fails(self) -> None:
        edge = asking()
        edge.now_ms += 30_000
        edge.chunk("One moment")
        assert next_due_ms(edge.state) == edge.now_ms + 60_000
        edge.due()
        assert errors(edge) == [RequestTimeout.__name__]
        assert isinstance(edge.effects[-1], CloseLLM)
        edge.settle()
        assert edge.turns[1].heard == "One moment"

    @pytest.mark.parametrize(
        "chunk",
        [
            LLMChunk("text", content="on and on "),
            LLMChunk("text", content=""),
            LLMChunk("reasoning", content="Hm."),
            LLMChunk("tool_call", index=0, arguments=" "),
            LLMChunk("usage", output_tokens=1),
            LLMChunk("done"),
        ],
        ids=lambda chunk: chunk.type,
    )
    def test_that_never_ends_is_cut_off(self, chunk: LLMChunk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("patter_nb.step.answering.ANSWER_CHARS", 200)
        edge = asking(error_message="Sorry.")
        for _ in range(201):
            if not edge.streams:
                break
            edge.chunk(chunk)
        assert errors(edge) == ["MalformedStream"]
        edge.settle()
        assert edge.turns[1].status == "failed"

    def test_may_say_a_lot(self) -> None:
        edge = asking()
        edge.chunk("word " * (ANSWER_CHARS // 5))
        edge.end_stream()
        assert errors(edge) == []

    def test_that_fails_keeps_what_it_said(self) -> None:
        edge = asking(error_message="Sorry.")
        edge.chunk("It rains in Rome today and")
        edge.streams = []
        edge.fail("llm")
        edge.settle()
        assert edge.turns[1].heard == "It rains in Rome today and Sorry."

    def test_that_fails_after_its_last_word_is_only_reported(self) -> None:
        edge = asking(error_message="Sorry.")
        edge.answer("Yes.")
        edge.fail("llm")
        edge.settle()
        assert edge.turns[1].status == "completed"
        assert len(errors(edge)) == 1

    def test_whose_caller_has_no_patience_is_not_apologised_for(self) -> None:
        edge = asking(error_message="Sorry.")
        edge.chunk("It rains in Rome today. And")
        edge.fail("session")
        (ended,) = edge.bodies(TurnEnded)
        assert isinstance(ended, TurnEnded)
        assert (ended.status, str(ended.error)) == ("failed", "session broke")

    def test_whose_voice_fails_too_failed_first(self) -> None:
        edge = asking(error_message="Sorry.")
        edge.streams = []
        edge.fail("llm")
        edge.due()
        assert errors(edge) == ["PatterError", "RequestTimeout"]
        assert [str(body.error) for body in edge.bodies(TurnEnded) if isinstance(body, TurnEnded)] == ["llm broke"]

    def test_beside_which_something_else_fails_has_answered(self) -> None:
        edge = asking()
        edge.fail("vad", epoch=None)
        edge.fail("transport", epoch=None)
        edge.answer("Yes.")
        edge.settle()
        assert edge.bodies(TurnEnded) == [TurnEnded("completed")]

    def test_that_fails_twice_is_apologised_for_once(self) -> None:
        edge = asking(error_message="Sorry.")
        edge.streams = []
        edge.fail("llm")
        edge.fail("llm")
        assert [piece.text for piece in edge.pieces] == ["Sorry."]

    def test_answers_after_a_failed_turn(self) -> None:
        edge = asking()
        edge.streams = []
        edge.fail("llm")
        edge.feed(Typed("word2"))
        edge.check_words()
        edge.answer("Yes.")
        edge.settle()
        assert edge.turns[2].heard == "Yes."

    def test_is_asked_by_a_hook_with_other_messages(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words(messages=({"role": "user", "content": "word1, briefly"},))
        edge.answer("Yes.")
        edge.settle()
        assert edge.state.history[0] == {"role": "user", "content": "word1"}


class TestFiller:
    def test_is_said_once_and_not_kept(self) -> None:
        edge = asking(filler=Filler("One moment.", 700.0))
        edge.due()
        assert edge.bodies(SentenceReady) == [SentenceReady(0, 0, "One moment.", "filler")]
        edge.speak()
        assert next_due_ms(edge.state) != edge.now_ms
        edge.answer("It rains.")
        edge.settle()
        assert edge.turns[1].heard == "It rains."
        assert len(edge.bodies(SentenceReady)) == 2

    def test_is_not_said_after_an_answer_that_is_on_its_way(self) -> None:
        edge = asking(filler=Filler("One moment.", 700.0))
        edge.chunk("It rains in Rome today. And ")
        assert next_due_ms(edge.state) > edge.now_ms + 700  # type: ignore[operator]
        edge.settle()

    def test_is_not_said_when_the_agent_speaks_by_itself(self) -> None:
        edge = Edge(agent(filler=Filler("One moment.", 700.0)))
        edge.feed(Say("Hello."))
        edge.settle()
        assert len(edge.bodies(SentenceReady)) == 1

    def test_gives_way_to_a_failure_due_at_the_same_time(self) -> None:
        edge = asking(filler=Filler("One moment.", 60_001.0), error_message="Sorry.")
        edge.due()
        assert next_due_ms(edge.state) == edge.now_ms + 30_000, "only the voice is waited for"
        assert [piece.text for piece in edge.pieces] == ["Sorry."]
        edge.settle()


class TestStop:
    def test_in_the_middle_of_a_tool(self) -> None:
        edge = calling("one")
        edge.feed(Say("Never said."))
        edge.stop()
        order: list[type[Body]] = [ToolEnded, TurnEnded, TurnHeard, SessionStopped]
        assert [type(body) for body in edge.bodies(*order)] == order
        assert edge.effects[-1] == Shutdown()
        assert edge.state.word == "stopped"
        edge.feed(ToolFinished(1, "id0", "completed", "late"))
        edge.feed(Typed("word2"))
        assert len(edge.bodies(TurnStarted)) == 1

    def test_while_words_are_owed_leaves_no_timer(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.feed(Muted(True))
        assert next_due_ms(edge.state) is not None
        edge.stop()
        assert next_due_ms(edge.state) is None
        assert edge.feed(Transcript("word1", is_final=True)) == []

    def test_twice_is_once(self) -> None:
        edge = Edge(agent())
        edge.stop()
        edge.stop()
        assert edge.effects.count(Shutdown()) == 1

    def test_asks_nobody_any_more(self) -> None:
        edge = asking()
        edge.stop()
        assert edge.streams == []
        assert len([effect for effect in edge.effects if isinstance(effect, AskLLM)]) == 1

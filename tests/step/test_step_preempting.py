"""An answer that is begun in the pause in which the person may have finished: asked early, spoken only when they have."""

from __future__ import annotations

import pytest
from step_edge import Edge, Judge, Model, agent

from patter_nb.agent import Agent, Guardrail, PipelineHooks
from patter_nb.events import GuardrailHit, PreemptiveDropped, PreemptiveStarted, StageFailed, TurnJudged, TurnOffered, TurnStarted
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.step.effects import AskLLM, RunTool, Speak
from patter_nb.step.inputs import PauseAt, Swap
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import Muted, Typed

EARLY = TurnTaking(preemptive=True)


def paused(first: Agent | None = None, *, words: str = "word1") -> Edge:
    """The person said something and pauses; their words stand, and the pause is not over."""
    edge = Edge(first or agent(turn_taking=EARLY))
    edge.frames(0.9, 400)
    edge.frames(0.0, 220)
    edge.final(words)
    return edge


def kinds(edge: Edge) -> list[str]:
    return [type(effect).__name__ for effect in edge.effects]


def test_the_model_is_asked_in_the_pause_and_heard_after_it() -> None:
    edge = paused()
    assert edge.bodies(PreemptiveStarted) == [PreemptiveStarted("word1")]
    edge.check_words()
    edge.chunk("It is sunny in Rome today. ")
    edge.end_stream()
    assert edge.state.word == "listening"
    assert edge.pieces == []
    assert edge.bodies(TurnStarted) == []
    edge.frames(0.0, 300)
    assert edge.bodies(TurnStarted) == [TurnStarted("speech", "word1")]
    edge.settle()
    assert edge.turns[1].heard == "It is sunny in Rome today."
    assert len(edge.asked()) == 1, "the words reach the model once"


def test_a_stream_that_is_under_way_when_the_pause_ends_goes_on() -> None:
    edge = paused()
    edge.check_words()
    edge.chunk("It is sunny. ")
    edge.frames(0.0, 300)
    edge.chunk("And warm. ")
    edge.end_stream()
    edge.settle()
    assert edge.turns[1].heard == "It is sunny. And warm."


def test_who_goes_on_is_answered_once_and_to_everything() -> None:
    edge = paused()
    edge.check_words()
    edge.chunk("It is sunny in Rome today. ")
    edge.frames(0.9, 400)
    assert edge.bodies(PreemptiveDropped) == [PreemptiveDropped("the person went on")]
    assert edge.streams == []
    edge.frames(0.0, 220)
    edge.final("word2")
    edge.frames(0.0, 300)
    edge.check_words()
    edge.answer("Both. ")
    edge.settle()
    assert edge.bodies(TurnStarted) == [TurnStarted("speech", "word1 word2")]
    assert [message["content"] for message in edge.state.history] == ["word1 word2", "Both."]


def test_no_tool_runs_before_the_person_has_finished() -> None:
    edge = paused()
    edge.check_words()
    edge.call("get_weather")
    edge.end_stream()
    assert edge.tools == []
    edge.frames(0.0, 300)
    assert [tool.request.name for tool in edge.tools] == ["get_weather"]
    edge.settle()
    assert edge.turns[1].status == "completed"


def test_no_tool_of_an_answer_that_is_dropped_runs() -> None:
    edge = paused()
    edge.check_words()
    edge.call("get_weather")
    edge.end_stream()
    edge.frames(0.9, 100)
    edge.settle()
    assert not [effect for effect in edge.effects if isinstance(effect, RunTool)]


def test_other_words_than_were_answered_early_are_answered_anew() -> None:
    edge = paused()
    edge.check_words()
    edge.frames(0.0, 40)
    edge.partial("word2")
    assert edge.bodies(PreemptiveDropped) == [PreemptiveDropped("the person said something else")]
    edge.settle()
    assert edge.bodies(TurnStarted) == [TurnStarted("speech", "word1")]


def test_a_failure_before_the_turn_is_told_and_the_turn_asks_again() -> None:
    edge = paused(agent(turn_taking=EARLY, error_message="Sorry."))
    edge.check_words()
    edge.fail("llm")
    assert [type(body) for body in edge.bodies(StageFailed, PreemptiveDropped)] == [StageFailed, PreemptiveDropped]
    edge.frames(0.0, 300)
    edge.check_words()
    edge.answer("It is sunny. ")
    edge.settle()
    assert (edge.turns[1].status, edge.turns[1].heard) == ("completed", "It is sunny.")


def test_what_a_guardrail_forbids_is_said_when_the_person_has_finished() -> None:
    edge = paused(agent(turn_taking=EARLY, guardrails=[Guardrail("no", blocked_terms=["word1"], on="input")]))
    edge.check_words(hit=GuardrailHit("no", "input", "I may not."))
    assert edge.pieces == []
    edge.frames(0.0, 300)
    edge.settle()
    assert edge.turns[1].heard == "I may not."


@pytest.mark.parametrize("when", ["turn", "now"])
def test_a_new_model_answers_instead(when: str) -> None:
    edge = paused()
    edge.check_words()
    edge.feed(Swap(edge.state.agent.replace(llm=Model("two")), when))  # type: ignore[arg-type]
    edge.frames(0.0, 300)
    edge.check_words()
    edge.answer("From the other. ")
    edge.settle()
    assert edge.turns[1].heard == "From the other."


def test_who_types_meanwhile_is_answered_and_so_is_what_was_said() -> None:
    edge = paused()
    edge.check_words()
    edge.chunk("Early. ")
    edge.feed(Typed("word2"))
    assert edge.bodies(PreemptiveDropped) == [PreemptiveDropped("the person said something else")]
    edge.settle()
    assert [body.text for body in edge.bodies(TurnStarted) if isinstance(body, TurnStarted)] == ["word2", "word1"]


def test_muting_ends_the_pause() -> None:
    edge = paused()
    edge.check_words()
    edge.answer("It is sunny. ")
    edge.feed(Muted(True))
    edge.settle()
    assert edge.turns[1].heard == "It is sunny."


def test_an_answer_that_was_empty_ends_its_turn() -> None:
    edge = paused()
    edge.check_words()
    edge.end_stream()
    edge.frames(0.0, 300)
    edge.settle()
    assert edge.turns[1].status == "failed"


def test_what_is_sent_or_clicked_again_in_the_pause_costs_nothing() -> None:
    edge = paused()
    edge.check_words()
    edge.feed(Transcript("word1", is_final=True))
    edge.partial("word1")
    edge.frames(0.9, 20)
    edge.frames(0.0, 20)
    assert edge.bodies(PreemptiveDropped) == []
    edge.answer("It is sunny. ")
    edge.settle()
    assert edge.turns[1].heard == "It is sunny."


def test_words_that_become_too_late_are_offered() -> None:
    edge = paused()
    edge.check_words()
    edge.answer("It is sunny. ")
    edge.frames(0.0, 300, late_ms=9000.0)
    assert edge.bodies(TurnOffered) == [TurnOffered("word1", 9000.0)]
    assert edge.bodies(PreemptiveDropped) == [PreemptiveDropped("the words came too late")]


def test_none_is_begun_that_would_stop_at_a_breakpoint_before_its_turn() -> None:
    edge = Edge(agent(turn_taking=EARLY))
    edge.feed(PauseAt(("llm_request",)))
    edge.frames(0.9, 400)
    edge.frames(0.0, 220)
    edge.final("word1")
    assert edge.bodies(PreemptiveStarted) == []


class Repeating(Model):
    repeatable = False


@pytest.mark.parametrize(
    "parts",
    [{"turn_taking": TurnTaking()}, {"hooks": PipelineHooks(after_transcribe=lambda text, ctx: text)}, {"llm": Repeating()}],
    ids=["not asked for", "a hook would run for nothing", "a handler would run for nothing"],
)
def test_it_waits_for_the_turn_otherwise(parts: dict[str, object]) -> None:
    edge = paused(agent(**{"turn_taking": EARLY, **parts}))
    assert "CheckWords" not in kinds(edge)
    edge.settle()
    assert edge.turns[1].status == "completed"


class TestJudged:
    def edge(self, **parts: object) -> Edge:
        return Edge(agent(turn_taking=TurnTaking(detector=Judge(), **parts)))  # type: ignore[arg-type]

    def test_what_sounds_complete_is_answered_at_once(self) -> None:
        edge = self.edge()
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.judge(0.8)
        edge.frames(0.0, 20)
        assert edge.bodies(TurnJudged) == [TurnJudged(6400, 0.8)]
        assert edge.bodies(TurnStarted) == [TurnStarted("speech", "word1")]

    def test_what_does_not_waits_for_longer_than_silence_would(self) -> None:
        edge = self.edge()
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.judge(0.2)
        edge.final("word1")
        edge.frames(0.0, 960)
        assert edge.bodies(TurnStarted) == []
        edge.frames(0.0, 20)
        assert edge.bodies(TurnStarted) == [TurnStarted("speech", "word1")]

    def test_it_is_asked_again_while_the_pause_lasts(self) -> None:
        edge = self.edge()
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.judge(0.2)
        edge.frames(0.0, 200)
        edge.judge(0.9)
        edge.frames(0.0, 20)
        assert edge.bodies(TurnStarted) == [TurnStarted("speech", "word1")]

    def test_a_judgement_of_an_earlier_pause_counts_for_nothing(self) -> None:
        edge = self.edge()
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.frames(0.9, 100)
        edge.judge(0.9)
        edge.frames(0.0, 240)
        edge.final("word2")
        assert edge.bodies(TurnJudged, TurnStarted) == []
        assert edge.state.dropped == 1

    def test_where_it_cannot_tell_silence_decides(self) -> None:
        edge = self.edge(endpointing_ms=300)
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.judge(None)
        edge.frames(0.0, 60)
        assert edge.bodies(TurnStarted) == []
        edge.frames(0.0, 20)
        assert edge.bodies(TurnStarted) == [TurnStarted("speech", "word1")]

    def test_an_answer_that_is_begun_early_waits_for_the_judgement(self) -> None:
        edge = self.edge(preemptive=True)
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.check_words()
        edge.answer("It is sunny. ")
        assert not [effect for effect in edge.effects if isinstance(effect, Speak)]
        edge.judge(0.9)
        edge.frames(0.0, 20)
        assert len([effect for effect in edge.effects if isinstance(effect, AskLLM)]) == 1
        edge.settle()
        assert edge.turns[1].heard == "It is sunny."

"""Changing the agent while it runs: at the next turn, and now, in each state of an answer."""

from __future__ import annotations

import pytest
from step_edge import LETTER, Edge, Model, Mouth, agent

from patter_nb.agent import Filler
from patter_nb.events import AgentChanged, SentenceReady, ToolEnded, TurnEnded, UtteranceDropped
from patter_nb.step.answering import GO_ON
from patter_nb.step.effects import Adopt, Cancel, FlushPlayback
from patter_nb.step.inputs import Say, Swap
from patter_nb.transports.base import Typed

FIRST = "The first sentence is long enough to be one. "
USER = {"role": "user", "content": "word1"}


def asked(**parts: object) -> Edge:
    edge = Edge(agent(**parts))
    edge.feed(Typed("word1"))
    edge.check_words()
    return edge


def now(edge: Edge, **parts: object) -> None:
    edge.feed(Swap(edge.state.agent.replace(**parts), "now"))


def ready(edge: Edge) -> list[str]:
    return [body.text for body in edge.bodies(SentenceReady) if isinstance(body, SentenceReady)]


class TestNextTurn:
    def test_the_running_turn_keeps_its_parts(self) -> None:
        edge = asked()
        model = Model("two")
        edge.feed(Swap(edge.state.agent.replace(llm=model)))
        assert edge.bodies(AgentChanged) == [AgentChanged({"llm": ("double one", "double two")}, "turn")]
        edge.call("one")
        edge.end_stream()
        edge.end_tool()
        assert edge.state.agent.llm is not model
        edge.answer("Yes.")
        edge.settle()
        assert edge.state.agent.llm is model
        assert len([effect for effect in edge.effects if isinstance(effect, Adopt)]) == 1

    def test_a_turn_that_interrupts_has_the_new_parts(self) -> None:
        edge = asked()
        model = Model("two")
        edge.feed(Swap(edge.state.agent.replace(llm=model)))
        edge.feed(Typed("word2"))
        assert edge.state.agent.llm is model

    def test_of_two_changes_the_later_stands(self) -> None:
        edge = asked()
        edge.feed(Swap(edge.state.agent.replace(system_prompt="a")))
        edge.feed(Swap(edge.state.agent.replace(system_prompt="b")))
        edge.settle()
        assert edge.state.agent.system_prompt == "b"

    def test_nobody_speaks(self) -> None:
        edge = Edge(agent())
        edge.feed(Swap(edge.state.agent.replace(system_prompt="a")))
        assert edge.state.agent.system_prompt == "a"


class TestNow:
    def test_checking(self) -> None:
        edge = Edge(agent(filler=Filler("One moment.", 700.0)))
        edge.feed(Typed("word1"))
        edge.due()
        old = edge.checks[0]
        now(edge, llm=Model("two"))
        assert [check.epoch for check in edge.checks] == [old.epoch + 1]
        edge.check_words()
        edge.answer("Yes.")
        edge.settle()
        assert edge.turns[1].heard == "Yes."

    def test_asking_before_a_word_was_heard(self) -> None:
        edge = asked()
        edge.chunk(FIRST + "And ")
        now(edge, llm=Model("two"))
        assert edge.asked()[1].messages == (USER,)
        assert edge.asked()[1].round == 1
        edge.answer("Another answer.")
        edge.settle()
        assert edge.turns[1].heard == "Another answer."

    def test_asking_goes_on_from_what_was_heard(self) -> None:
        edge = asked()
        edge.chunk(FIRST + "And ")
        edge.speak()
        edge.play(19 * LETTER)
        now(edge, llm=Model("two"))
        heard = {"role": "assistant", "content": "The first sentence"}
        assert edge.asked()[1].messages == (USER, heard, {"role": "user", "content": GO_ON})
        edge.answer("is not the last.")
        edge.settle()
        assert edge.turns[1].heard == "The first sentence is not the last."
        assert edge.state.history == (USER, {"role": "assistant", "content": "The first sentence is not the last."})

    def test_what_was_heard_is_there_in_the_round_after(self) -> None:
        edge = asked()
        edge.chunk(FIRST + "And ")
        edge.speak()
        edge.play(19 * LETTER)
        now(edge, llm=Model("two"))
        edge.call("one")
        edge.end_stream()
        edge.end_tool()
        assert edge.asked()[2].messages[1]["content"] == "The first sentence "

    def test_calling_loses_no_result_and_silences_the_old_voice(self) -> None:
        edge = asked()
        edge.chunk(FIRST)
        edge.call("one", id="a")
        edge.end_stream()
        edge.check_piece()
        edge.sound(20 * LETTER)
        now(edge, llm=Model("two"), tts=Mouth())
        assert edge.pieces == []
        assert FlushPlayback() in edge.effects
        edge.end_tool("sunny")
        assert [type(body) for body in edge.bodies(ToolEnded)] == [ToolEnded]
        assert edge.asked()[1].messages[-1]["content"] == "sunny"
        edge.answer("It is sunny.")
        edge.settle()
        assert edge.turns[1].heard == "It is sunny."

    def test_calling_has_the_new_voice_say_the_rest(self) -> None:
        edge = asked()
        edge.chunk(FIRST)
        edge.call("one")
        edge.end_stream()
        edge.speak()
        edge.play(19 * LETTER)
        now(edge, tts=Mouth())
        assert [piece.text for piece in edge.pieces] == ["is long enough to be one. "]
        edge.end_tool()
        edge.answer("Done.")
        edge.settle()
        assert edge.turns[1].heard == f"{FIRST}Done."

    def test_written_has_the_new_voice_say_the_rest_without_asking_again(self) -> None:
        edge = asked()
        edge.answer(FIRST + "And this is the second one.")
        edge.check_piece()
        edge.sound(len(FIRST) * LETTER)
        edge.end_piece()
        edge.play(19 * LETTER)
        now(edge, tts=Mouth())
        assert len(edge.asked()) == 1
        assert ready(edge)[2:] == ["is long enough to be one. ", "And this is the second one."]
        edge.settle()
        assert edge.turns[1].heard == FIRST + "And this is the second one."

    def test_written_is_asked_again_of_a_new_model(self) -> None:
        edge = asked(error_message="Sorry.")
        edge.streams = []
        edge.fail("llm")
        now(edge, llm=Model("two"))
        assert [asked.messages for asked in edge.asked()] == [(USER,), (USER,)]
        edge.answer("Yes.")
        edge.settle()
        assert edge.turns[1].status == "completed"
        assert edge.turns[1].heard == "Yes."

    @pytest.mark.parametrize("prompt", ["", "Speak {language}."])
    def test_a_new_prompt_is_what_the_new_model_reads(self, prompt: str) -> None:
        edge = asked(system_prompt="Be kind.")
        now(edge, system_prompt=prompt, variables={"language": "French"})
        system = ({"role": "system", "content": "Speak French."},) if prompt else ()
        assert edge.asked()[1].messages == (*system, USER)
        edge.settle()

    def test_handed_over_it_is_spoken_to_its_end(self) -> None:
        edge = asked()
        edge.answer(FIRST)
        edge.speak()
        edge.play(LETTER)
        now(edge, llm=Model("two"))
        assert not [effect for effect in edge.effects if isinstance(effect, Cancel)]
        edge.settle()
        assert edge.turns[1].heard == FIRST.strip()

    def test_handed_over_the_new_voice_says_the_rest(self) -> None:
        edge = asked()
        edge.answer(FIRST)
        edge.speak()
        edge.play(19 * LETTER)
        now(edge, llm=Model("two"), tts=Mouth())
        assert [piece.text for piece in edge.pieces] == ["is long enough to be one. "]
        edge.settle()
        assert edge.turns[1].heard == FIRST.strip()
        assert edge.bodies(TurnEnded) == [TurnEnded("completed")]

    def test_handed_over_a_new_voice_that_fails_ends_the_turn_once(self) -> None:
        edge = asked(error_message="Sorry.")
        edge.answer(FIRST)
        edge.speak()
        edge.play(19 * LETTER)
        now(edge, tts=Mouth())
        edge.fail("tts")
        edge.settle()
        assert edge.turns[1].heard == "The first sentence"
        assert edge.bodies(TurnEnded) == [TurnEnded("completed")]

    def test_an_agent_without_voice_writes_the_rest(self) -> None:
        edge = Edge(agent(first_message=FIRST))
        edge.check_piece()
        edge.sound(20 * LETTER)
        now(edge, tts=None)
        assert FlushPlayback() in edge.effects
        edge.settle()
        assert edge.turns[1].heard == FIRST.strip()

    def test_what_the_agent_says_by_itself_is_never_asked_of_a_model(self) -> None:
        edge = Edge(agent())
        edge.feed(Say(FIRST))
        now(edge, llm=Model("two"))
        assert edge.asked() == []
        edge.settle()
        assert edge.turns[1].heard == FIRST.strip()

    def test_nor_is_a_veto(self) -> None:
        edge = Edge(agent())
        edge.feed(Say("Hello."))
        edge.feed(Typed("word1"))
        edge.check_words(text=None)
        now(edge, llm=Model("two"))
        assert edge.bodies(UtteranceDropped)
        assert edge.asked() == []
        edge.settle()

    def test_a_chunk_of_the_old_model_is_dropped(self) -> None:
        edge = asked()
        old = edge.streams[0]
        now(edge, llm=Model("two"))
        edge.streams.insert(0, old)
        edge.chunk(FIRST + "And ")
        edge.end_stream()
        assert ready(edge) == []
        assert edge.state.dropped == 2
        edge.settle()

    def test_it_may_happen_again_and_again(self) -> None:
        edge = asked()
        for model in range(30):
            edge.chunk("Word after word. And ")
            edge.speak()
            edge.play()
            now(edge, llm=Model(str(model)))
        edge.settle()
        assert edge.turns[1].status == "completed"

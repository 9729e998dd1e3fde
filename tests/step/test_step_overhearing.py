"""What is heard while the agent answers and is not meant for it: signs of listening, its own echo, a noise taken for a word."""

from __future__ import annotations

import pytest
from step_edge import LETTER, Edge, agent

from patter_nb.events import PlaybackResumed, TurnStarted, UtteranceDropped
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.step import next_due_ms
from patter_nb.transports.base import Typed

ANSWER = "The weather in Rome is sunny and warm today. It stays so for the whole week. "


def speaking(answer: str = ANSWER, *, heard: float = 0.4, **parts: object) -> Edge:
    """An agent in the middle of its answer."""
    edge = Edge(agent(**parts))
    edge.feed(Typed("word1"))
    edge.check_words()
    edge.answer(answer)
    edge.speak()
    edge.play(int(len(answer) * heard) * LETTER)
    return edge


def says(edge: Edge, text: str) -> None:
    """The person, or a loudspeaker, says `text`, and pauses."""
    edge.frames(0.9, 300)
    edge.partial(text)
    edge.frames(0.0, 220)
    edge.final(text)


def dropped(edge: Edge) -> list[str]:
    return [body.reason for body in edge.bodies(UtteranceDropped) if isinstance(body, UtteranceDropped)]


def resumed(edge: Edge) -> list[str]:
    return [body.reason for body in edge.bodies(PlaybackResumed) if isinstance(body, PlaybackResumed)]


@pytest.mark.parametrize("text", ["Mhm.", "mm-hmm", "Okay, I see.", "Uh-huh!", "Yeah, right."])
def test_a_sign_of_listening_does_not_interrupt(text: str) -> None:
    edge = speaking()
    says(edge, text)
    assert edge.paused is False
    assert resumed(edge) == ["a sign of listening does not interrupt"]
    edge.settle()
    assert dropped(edge) == ["a sign of listening does not interrupt"]
    assert edge.turns[1].heard == ANSWER.strip()
    assert len(edge.bodies(TurnStarted)) == 1


def test_a_sign_of_listening_that_goes_on_interrupts() -> None:
    edge = speaking()
    edge.frames(0.9, 300)
    edge.partial("Okay")
    assert edge.turns[1].heard is None
    edge.partial("Okay, but stop")
    assert edge.turns[1].heard is not None
    edge.frames(0.0, 220)
    edge.final("Okay, but stop.")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "Okay, but stop.")


def test_what_follows_a_sign_of_listening_interrupts() -> None:
    edge = speaking()
    says(edge, "Mhm.")
    edge.frames(0.9, 300)
    edge.frames(0.0, 220)
    edge.final("Stop, please.")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "Mhm. Stop, please.")


def test_after_a_question_it_is_an_answer() -> None:
    edge = speaking("Your table is for two. Shall I book it? It costs nothing at all. ", heard=0.7)
    says(edge, "Okay.")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "Okay.")


def test_when_the_agent_is_silent_it_is_a_turn() -> None:
    edge = speaking()
    edge.settle()
    says(edge, "Okay.")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "Okay.")


def test_which_words_they_are_is_told() -> None:
    taking = TurnTaking(backchannels=("genau", "ach so"))
    edge = speaking(turn_taking=taking)
    says(edge, "Ach so, genau!")
    assert edge.turns[1].heard is None
    edge = speaking(turn_taking=taking)
    says(edge, "Mhm.")
    assert edge.turns[1].heard is not None


@pytest.mark.parametrize("echo", ["in Rome is sunny", "the whether in Rome is sunny and worm", "sunny and warm today"])
def test_the_agents_own_voice_is_no_turn(echo: str) -> None:
    edge = speaking(heard=0.55)
    says(edge, echo)
    assert resumed(edge) == ["only the agent's own voice was heard"]
    edge.settle()
    assert dropped(edge) == ["only the agent's own voice was heard"]
    assert edge.turns[1].heard == ANSWER.strip()


FLIGHTS = "I found three flights. The one at five in the evening is cheap. If you want to take it, I can book it for you now. "


@pytest.mark.parametrize(
    "words",
    [
        *("I want to stop it.", "Can you stop that?", "Is there another one in the evening?", "In the evening.", "Book it now."),
        *("No, I want the one at five in the evening.", "The one at five in the evening. Stop!"),
    ],
)
def test_words_of_a_person_that_the_agent_used_too_are_theirs(words: str) -> None:
    edge = speaking(FLIGHTS, heard=0.7)
    says(edge, words)
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", words)


def test_who_goes_on_while_the_model_thinks_is_no_echo() -> None:
    edge = speaking("Where do you want to fly to, Rome or Paris or even to Berlin? ")
    edge.settle()
    says(edge, "I want to fly word2")
    edge.frames(0.0, 300)
    says(edge, "to Rome or Paris or even to Berlin")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "to Rome or Paris or even to Berlin")


def test_a_question_that_was_answered_is_none_any_more() -> None:
    edge = Edge(agent())
    edge.feed(Typed("word1"))
    edge.check_words()
    edge.answer("Shall I book it? ")
    edge.settle()
    edge.feed(Typed("word2"))
    edge.check_words()
    edge.call("book")
    edge.end_stream()
    says(edge, "Okay.")
    assert len(edge.tools) == 1, "the tool runs on"
    edge.settle()
    assert dropped(edge) == ["a sign of listening does not interrupt"]


@pytest.mark.parametrize("text", ["Uh huh", "Mhmmm", "Mmm", "O.K., yeah", "MM HMM", "um-hum"])
def test_a_sign_of_listening_may_be_written_in_many_ways(text: str) -> None:
    edge = speaking("It is sunny; it stays so for the whole week, and the next one too. ")
    says(edge, text)
    edge.settle()
    assert len(edge.bodies(TurnStarted)) == 1


def test_a_lone_word_that_is_repeated_without_end_holds_once() -> None:
    edge = speaking()
    edge.frames(0.9, 300)
    edge.partial("You")
    edge.due()
    edge.partial("You")
    assert edge.paused is False


def test_a_person_among_the_echo_is_heard() -> None:
    edge = speaking(heard=0.55)
    says(edge, "sunny and warm today")
    edge.frames(0.9, 300)
    edge.frames(0.0, 220)
    edge.final("Stop, please.")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "Stop, please.")


def test_a_question_about_what_was_said_is_no_echo() -> None:
    edge = speaking(heard=0.55)
    says(edge, "And is it as warm in Paris and Madrid?")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "And is it as warm in Paris and Madrid?")


def test_who_repeats_the_agent_afterwards_is_heard() -> None:
    edge = speaking()
    edge.settle()
    says(edge, "The weather in Rome is sunny?")
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "The weather in Rome is sunny?")


def test_a_lone_word_that_is_taken_back_did_not_interrupt() -> None:
    edge = speaking()
    edge.frames(0.9, 300)
    edge.partial("You")
    assert next_due_ms(edge.state) == edge.now_ms + 600, "the word keeps playback paused for as long again"
    edge.frames(0.0, 220)
    edge.final("")
    assert resumed(edge) == ["no words were heard"]
    edge.settle()
    assert edge.turns[1].heard == ANSWER.strip()


def test_a_lone_word_that_stands_interrupts() -> None:
    edge = speaking()
    says(edge, "Stop.")
    assert edge.turns[1].heard is not None
    edge.settle()
    assert edge.bodies(TurnStarted)[-1] == TurnStarted("speech", "Stop.")

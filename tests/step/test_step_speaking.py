"""The answer's way to the person's ear: barge-in confirmed and denied, the cursor, what counts as heard, greeting and queue."""

from __future__ import annotations

import pytest
from step_edge import LETTER, RATE, Edge, agent

from patter_nb.events import (
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackStarted,
    SentenceReady,
    StageFailed,
    StateChanged,
    TurnEnded,
    TurnHeard,
    TurnStarted,
)
from patter_nb.step import next_due_ms
from patter_nb.step.effects import Cancel, FlushPlayback, PausePlayback, Play, ResumePlayback
from patter_nb.step.inputs import Say
from patter_nb.step.state import Piece, heard_pieces, heard_text
from patter_nb.transports.base import LocalPause, Played, Typed

ANSWER = "The weather in Rome is sunny and warm today. "


def speaking(**parts: object) -> Edge:
    """An agent in the middle of its answer, half of it heard."""
    edge = Edge(agent(**parts))
    edge.feed(Typed("word1"))
    edge.check_words()
    edge.answer(ANSWER)
    edge.speak()
    edge.play(len(ANSWER) // 2 * LETTER)
    return edge


class TestBargeIn:
    def test_speech_only_pauses(self) -> None:
        edge = speaking()
        edge.frames(0.9, 60)
        assert edge.effects[-1] == PausePlayback()
        assert edge.bodies(PlaybackPaused) == [PlaybackPaused(edge.position, "session")]
        assert edge.state.word == "paused"
        assert edge.turns[1].heard is None

    def test_words_confirm_it(self) -> None:
        edge = speaking()
        edge.frames(0.9, 60)
        edge.partial("word2 word3")
        assert edge.paused is False
        assert [effect for effect in edge.effects if isinstance(effect, (Cancel, FlushPlayback))] == [Cancel(1), FlushPlayback()]
        assert edge.turns[1].heard == "The weather in Rome is"
        assert edge.state.history[-1] == {"role": "assistant", "content": "The weather in Rome is"}
        assert edge.bodies(TurnHeard) == [TurnHeard("The weather in Rome is", interrupted=True)]

    def test_the_turn_after_it_is_answered(self) -> None:
        edge = speaking()
        edge.frames(0.9, 200)
        edge.frames(0.0, 220)
        edge.final("word2")
        edge.frames(0.0, 300)
        edge.check_words()
        edge.answer("And tomorrow it rains. ")
        edge.settle()
        assert edge.turns[2].heard == "And tomorrow it rains."

    def test_silence_denies_it_from_the_same_sample(self) -> None:
        edge = speaking()
        edge.frames(0.9, 60)
        position = edge.position
        edge.frames(0.0, 200)
        edge.final("")
        assert edge.effects[-1] == ResumePlayback()
        assert edge.bodies(PlaybackResumed) == [PlaybackResumed(position, "no words were heard")]
        edge.settle()
        assert edge.turns[1].heard == ANSWER.strip()
        assert FlushPlayback() not in edge.effects

    def test_time_denies_it(self) -> None:
        edge = speaking()
        edge.frames(0.9, 60)
        assert next_due_ms(edge.state) == edge.now_ms + 600
        edge.due()
        assert edge.bodies(PlaybackResumed) == [PlaybackResumed(edge.position, "no word in time")]
        edge.partial("word2 word3")  # it was one after all
        assert edge.turns[1].heard == "The weather in Rome is"

    def test_a_recogniser_that_fails_denies_it(self) -> None:
        edge = speaking()
        edge.frames(0.9, 60)
        edge.fail("stt", epoch=None)
        assert edge.bodies(PlaybackResumed) == [PlaybackResumed(edge.position, "speech-to-text failed")]
        assert edge.turns[1].heard is None

    def test_a_transport_that_paused_by_itself_gets_its_answer(self) -> None:
        edge = speaking()
        edge.paused = True
        edge.feed(LocalPause(edge.position + 320))
        assert edge.bodies(PlaybackPaused) == [PlaybackPaused(edge.position + 320, "transport")]
        assert PausePlayback() not in edge.effects
        edge.feed(LocalPause(edge.position + 320))
        edge.due()
        assert edge.paused is False

    def test_a_transport_that_paused_for_nothing_goes_on_at_once(self) -> None:
        edge = Edge(agent())
        edge.feed(LocalPause(0))
        assert edge.effects == [ResumePlayback()]

    def test_an_answer_does_not_begin_into_the_speech_of_the_person(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.frames(0.9, 100)
        edge.answer(ANSWER)
        edge.speak()
        edge.play(320)
        assert edge.effects[-1] == PausePlayback()
        edge.due()
        assert edge.state.word == "speaking"

    def test_no_sound_of_an_interrupted_answer_is_sent(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.chunk(ANSWER + "It ")
        edge.check_piece()
        edge.sound(3200)
        piece, stream = edge.pieces[0], edge.streams[0]
        edge.feed(Typed("word2"))
        edge.pieces, edge.streams = [piece], [stream]
        played = [effect for effect in edge.effects if isinstance(effect, Play)]
        edge.sound(3200)
        edge.chunk("More of it. ")
        assert [effect for effect in edge.effects if isinstance(effect, Play)] == played
        assert edge.state.dropped == 2


class TestHeard:
    def test_state_follows_the_cursor_and_not_what_was_sent(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.chunk(ANSWER)
        edge.call("get_weather")
        edge.end_stream()
        edge.speak()
        edge.play(320)
        edge.play()
        words = [body.state for body in edge.bodies(StateChanged) if isinstance(body, StateChanged)]
        assert words == ["ready", "thinking", "calling", "speaking", "calling"], "nothing sounds while the tool runs"
        assert edge.bodies(PlaybackStarted, PlaybackEnded) == [PlaybackStarted(0, 20.0), PlaybackEnded(edge.playable)]

    def test_a_cursor_that_nobody_reports_does_not_hold_the_session_up(self) -> None:
        edge = Edge(agent())
        edge.feed(Say("One. "))
        edge.feed(Say("Two. "))
        edge.speak()
        assert edge.bodies(TurnEnded) == [TurnEnded("completed")]
        assert next_due_ms(edge.state) == pytest.approx(edge.now_ms + 5 * LETTER * 1000 / RATE + 2000, abs=5)
        edge.due()
        assert edge.turns[1].heard == "One."
        assert len(edge.bodies(TurnStarted)) == 2

    def test_a_moving_cursor_puts_that_off(self) -> None:
        edge = speaking()
        due_ms = next_due_ms(edge.state)
        assert due_ms is not None
        edge.now_ms += 500
        edge.play(320)
        assert next_due_ms(edge.state) == pytest.approx(due_ms + 501 - 20, abs=1)

    def test_without_a_loudspeaker_all_counts_as_heard(self) -> None:
        edge = Edge(agent(), plays=False)
        edge.feed(Say("One two three."))
        edge.speak()
        assert edge.turns[1].heard == "One two three."

    def test_a_cursor_beyond_what_was_sent_is_cut(self) -> None:
        edge = speaking()
        edge.feed(Played(10**9))
        assert edge.state.voice.played == edge.playable

    def test_a_cursor_from_before_is_old_news(self) -> None:
        edge = speaking()
        position = edge.state.voice.played
        edge.feed(Played(position - 320))
        assert edge.state.voice.played == position

    def test_whole_words_up_to_the_cursor(self) -> None:
        piece = Piece(1, "answer", "one two three", "one two three", start=0, stop=1300, done=True)
        assert heard_text((piece,), 0) == ""
        assert heard_text((piece,), 399) == "one"
        assert heard_text((piece,), 1299) == "one two"
        assert heard_text((piece,), 1300) == "one two three"

    def test_a_piece_whose_sound_still_comes_is_not_taken_for_its_beginning(self) -> None:
        piece = Piece(1, "answer", "one two three", "one two three", start=0, stop=320, length=13_000)
        assert heard_text((piece,), 320) == ""
        assert heard_text((piece,), 4000) == "one"

    def test_a_silent_piece_waits_for_those_before_it(self) -> None:
        pieces = (
            Piece(1, "answer", "Hello there. ", "Hello there. ", start=0, stop=1300, done=True),
            Piece(2, "answer", "***", "***", done=True),
        )
        assert heard_pieces(pieces, 700) == ("Hello ", "")
        assert heard_pieces(pieces, 1300) == ("Hello there. ", "***")

    def test_a_script_without_spaces_is_cut_between_characters(self) -> None:
        piece = Piece(1, "answer", "今天天气很好", "今天天气很好", start=0, stop=600, done=True)
        assert heard_text((piece,), 250) == "今天天"

    def test_words_do_not_run_into_an_apology(self) -> None:
        edge = Edge(agent(error_message="Sorry."))
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.chunk("Let me see")
        edge.streams = []
        edge.fail("llm")
        edge.settle()
        assert edge.turns[1].heard == "Let me see Sorry."
        assert "".join(body.text for body in edge.bodies(SentenceReady) if isinstance(body, SentenceReady)) == "Let me see Sorry."

    def test_a_hook_that_strips_keeps_words_apart(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.answer("The first one is this sentence. The second one is that sentence.")
        edge.check_piece(text="THE FIRST.")
        edge.end_piece()
        edge.settle()
        assert edge.turns[1].heard == "THE FIRST. The second one is that sentence."


class TestAgentSpeaksByItself:
    def test_greeting(self) -> None:
        edge = Edge(agent(first_message="Hello {name}.", variables={"name": "Ada"}))
        edge.settle()
        assert edge.bodies(TurnStarted) == [TurnStarted("greeting", "")]
        assert edge.state.history == ({"role": "assistant", "content": "Hello Ada."},)

    def test_an_interrupted_greeting_keeps_what_was_heard(self) -> None:
        edge = Edge(agent(first_message="Hello there, my dear friend."))
        edge.speak()
        edge.play(13 * LETTER)
        edge.feed(Typed("word1"))
        assert edge.state.history == ({"role": "assistant", "content": "Hello there,"},)
        edge.check_words()
        edge.answer("Yes.")
        edge.settle()

    def test_an_empty_greeting_is_over_at_once(self) -> None:
        edge = Edge(agent(first_message="{x}", variables={"x": " "}))
        assert edge.state.word == "ready"
        assert edge.turns[1].status == "completed"

    def test_what_is_to_be_said_waits_in_order_for_the_floor(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        for text in ("One.", " ", "Two."):
            edge.feed(Say(text))
        assert len(edge.bodies(TurnStarted)) == 1
        edge.settle()
        assert [turn.heard for turn in edge.turns.values()] == ["That is all.", "One.", "", "Two."]

    def test_it_does_not_say_it_into_the_speech_of_the_person(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 100)
        edge.feed(Say("By the way."))
        assert edge.pieces == []
        edge.frames(0.0, 220)
        edge.final("")
        edge.frames(0.0, 400)
        assert len(edge.pieces) == 1

    def test_states_of_a_turn(self) -> None:
        edge = speaking()
        edge.settle()
        words = [body.state for body in edge.bodies(StateChanged) if isinstance(body, StateChanged)]
        assert words == ["ready", "thinking", "speaking", "ready"]


class TestFailures:
    def test_a_voice_that_fails_ends_the_turn_with_what_was_made(self) -> None:
        edge = Edge(agent(error_message="Sorry."))
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.answer(ANSWER)
        edge.check_piece()
        edge.sound(RATE)
        edge.fail("tts")
        assert [(body.status, body.error) for body in edge.bodies(TurnEnded)] == [("failed", edge.bodies(StageFailed)[0].error)]  # type: ignore[attr-defined]
        assert edge.pieces == []
        edge.settle()
        assert edge.turns[1].heard == "The weather in"

    def test_a_voice_that_hangs_fails_after_30_s(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.answer(ANSWER)
        assert next_due_ms(edge.state) == pytest.approx(edge.now_ms + 30_000, abs=2)
        edge.due()
        assert [(body.status, body.error) for body in edge.bodies(TurnEnded)] == [("failed", edge.bodies(StageFailed)[0].error)]  # type: ignore[attr-defined]

    @pytest.mark.parametrize("stage", ["transform", "hook", "guardrail"])
    def test_an_apology_that_fails_is_not_apologised_for(self, stage: str) -> None:
        edge = Edge(agent(error_message="Sorry."))
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.answer(ANSWER)
        edge.fail(stage)
        assert [piece.text.strip() for piece in edge.pieces] == ["Sorry."]
        edge.fail(stage)
        assert len(edge.bodies(StageFailed)) == 2
        assert edge.state.word == "ready"

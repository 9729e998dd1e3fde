"""What the person does: onset, pause, resume, mute, late frames, and speech-to-text that fails or comes too late."""

from __future__ import annotations

import pytest
from step_edge import Ear, Edge, agent

from patter_nb.errors import PatterError
from patter_nb.events import (
    Body,
    SpeechStarted,
    SpeechStopped,
    StageFailed,
    TurnAccepted,
    TurnEnded,
    TurnOffered,
    TurnStarted,
    UtteranceDropped,
)
from patter_nb.pipeline.endpointing import Closed, Onset, Pausing, Quiet, Voiced, close, hear, reopen
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.step import next_due_ms
from patter_nb.step.effects import CheckWords, FinalizeWords, Listen, StopListening
from patter_nb.step.inputs import Failure, Say, Swap
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import Accept, Muted, Typed
from patter_nb.vad.energy import EnergyVAD


def said(edge: Edge, *words: str) -> None:
    """The person says `words`, with a pause after each, and has finished."""
    for word in words:
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final(word)
    edge.frames(0.0, 400)


def started(edge: Edge) -> list[str]:
    return [body.text for body in edge.bodies(TurnStarted) if isinstance(body, TurnStarted)]


class TestEndpointing:
    def test_a_click_is_no_speech(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 40)
        edge.frames(0.0, 1000)
        assert edge.bodies(SpeechStarted) == []
        assert edge.effects == []

    def test_speech_begins_with_its_first_voice(self) -> None:
        edge = Edge(agent())
        edge.frames(0.0, 200)
        edge.frames(0.9, 60)
        assert edge.bodies(SpeechStarted) == [SpeechStarted(3200)]
        assert edge.effects == [Listen()]
        assert edge.state.word == "listening"

    def test_a_wavering_voice_is_one_voice(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 60)
        edge.frames(0.4, 2000)
        assert edge.bodies(SpeechStopped) == []

    def test_a_pause_asks_for_the_words_and_more_silence_ends_the_turn(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.frames(0.0, 180)
        assert FinalizeWords() not in edge.effects
        edge.frames(0.0, 20)
        assert edge.bodies(SpeechStopped) == [SpeechStopped(6400, 200.0)]
        assert edge.effects[-1] == FinalizeWords()
        edge.final("word1")
        edge.frames(0.0, 280)
        assert started(edge) == []
        edge.frames(0.0, 20)
        assert started(edge) == ["word1"]
        assert StopListening() in edge.effects
        assert isinstance(edge.effects[-1], CheckWords)

    def test_going_on_within_the_endpointing_time_is_one_turn(self) -> None:
        edge = Edge(agent())
        said(edge, "word1", "word2")
        assert started(edge) == ["word1 word2"]

    def test_going_on_before_the_transcript_came_is_one_turn(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.frames(0.0, 600)
        assert edge.state.owed_words == 1
        edge.frames(0.9, 400)
        edge.final("word1")
        edge.frames(0.0, 600)
        edge.final("word2")
        assert started(edge) == ["word1 word2"]

    def test_a_slow_transcript_is_waited_for(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.frames(0.0, 2000)
        assert started(edge) == []
        edge.final("word1")
        assert started(edge) == ["word1"]

    @pytest.mark.parametrize("noise", ["", " ", ".", "…"])
    def test_without_words_there_is_no_turn(self, noise: str) -> None:
        edge = Edge(agent())
        said(edge, noise)
        assert started(edge) == []
        assert edge.bodies(UtteranceDropped) == [UtteranceDropped("", "no words were heard")]
        assert edge.state.word == "ready"

    def test_the_ear_alone(self) -> None:
        rule = TurnTaking(endpointing_ms=200)
        ear = hear(Quiet(), 0.5, 0, rule)[0]
        assert ear == Onset(0)
        assert hear(ear, 0.3, 1, rule) == (Quiet(), None)
        assert hear(ear, 0.35, 2, rule) == (Voiced(0, 960), "started")
        assert hear(Pausing(0, 960, noticed=False), 0.9, 5, rule) == (Voiced(0, 1920), None)
        assert hear(Pausing(0, 0, noticed=True), 0.0, 9, rule) == (Quiet(), "ended")


class TestLateFrames:
    def test_words_that_come_too_late_are_offered_and_answered_when_accepted(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400, late_ms=5400.0)
        edge.frames(0.0, 220, late_ms=5200.0)
        edge.final("word1")
        edge.frames(0.0, 300, late_ms=5001.0)
        assert edge.bodies(TurnOffered) == [TurnOffered("word1", 5001.0)]
        assert edge.checks == []
        assert edge.state.word == "ready"
        edge.feed(Accept(1))
        assert edge.bodies(TurnAccepted)
        edge.check_words()
        edge.answer("Yes.")
        edge.settle()
        assert started(edge) == ["word1"]
        assert edge.turns[1].status == "completed"

    def test_words_that_come_just_in_time_are_answered(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400, late_ms=9000.0)
        edge.frames(0.0, 220, late_ms=9000.0)
        edge.final("word1")
        edge.frames(0.0, 300, late_ms=5000.0)
        assert edge.bodies(TurnOffered) == []
        assert len(edge.checks) == 1

    def test_an_offer_is_accepted_once_and_an_unknown_one_never(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400, late_ms=6000.0)
        edge.frames(0.0, 220, late_ms=6000.0)
        edge.final("word1")
        edge.frames(0.0, 300, late_ms=6000.0)
        edge.feed(Accept(7))
        edge.feed(Accept(1))
        edge.feed(Accept(1))
        assert len(edge.checks) == 1


class TestMicrophone:
    def test_muting_in_mid_speech_ends_the_turn_with_what_was_said(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.feed(Muted(True))
        edge.final("word1")
        assert started(edge) == ["word1"]
        edge.frames(0.9, 1000)
        assert len(edge.bodies(SpeechStarted)) == 1

    def test_muting_in_a_pause_asks_only_once_for_the_words(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.feed(Muted(True))
        assert edge.effects.count(FinalizeWords()) == 1

    def test_an_unmuted_microphone_hears_again(self) -> None:
        edge = Edge(agent())
        edge.feed(Muted(True))
        edge.feed(Muted(False))
        edge.frames(0.9, 100)
        assert edge.state.word == "listening"

    def test_a_detector_that_fails_with_every_frame_is_reported_once(self) -> None:
        edge = Edge(agent())
        for _ in range(50):
            edge.fail("vad", epoch=None)
            edge.frames(0.0, 20)
        assert len(edge.bodies(StageFailed)) == 1
        edge.feed(Swap(edge.state.agent.replace(vad=EnergyVAD())))
        edge.frames(0.9, 100)
        assert edge.state.word == "listening"

    def test_neither_unmuting_mends_a_detector_nor_a_new_one_opens_a_muted_microphone(self) -> None:
        edge = Edge(agent())
        edge.fail("vad", epoch=None)
        edge.feed(Muted(True))
        edge.feed(Muted(False))
        assert edge.state.ear == Closed(frozenset(["deaf"]))
        edge.feed(Muted(True))
        edge.feed(Swap(edge.state.agent.replace(vad=EnergyVAD())))
        assert edge.state.ear == Closed(frozenset(["muted"]))
        edge.frames(0.9, 400)
        assert edge.bodies(SpeechStarted) == []

    def test_a_detector_that_fails_in_mid_speech_keeps_what_was_said(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.fail("vad", epoch=None)
        edge.final("word1")
        assert started(edge) == ["word1"]

    def test_half_duplex_does_not_hear_while_the_agent_speaks_and_hears_while_a_tool_runs(self) -> None:
        edge = Edge(agent(turn_taking=TurnTaking(half_duplex=True)))
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.chunk("Let me look that up for you. ")
        edge.call("get_weather")
        edge.end_stream()
        edge.speak()
        edge.play(3200)
        edge.frames(0.9, 400)
        assert edge.bodies(SpeechStarted) == []
        edge.play()
        assert edge.state.word == "calling"
        edge.frames(0.9, 100)
        assert len(edge.bodies(SpeechStarted)) == 1

    def test_reasons_to_be_closed_add_up(self) -> None:
        ear = close(close(Voiced(0, 320), "muted"), "deaf")
        assert reopen(reopen(ear, "deaf"), "muted") == Quiet()
        assert reopen(Onset(0), "muted") == Onset(0)


class TestSpeechToText:
    def test_its_failure_while_someone_speaks_is_a_failed_turn_with_an_apology(self) -> None:
        edge = Edge(agent(error_message="Sorry about that."))
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.frames(0.9, 100)
        edge.fail("stt", epoch=None)
        assert started(edge) == ["word1"]
        edge.settle()
        assert edge.turns[1].status == "failed"
        assert edge.turns[1].heard == "Sorry about that."

    def test_its_failure_while_nobody_speaks_is_only_reported(self) -> None:
        edge = Edge(agent())
        assert [type(body) for body in edge.fail("stt", epoch=None)] == [StageFailed]
        assert edge.state.word == "ready"

    def test_its_silence_is_a_failure_after_20_s(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.frames(0.0, 700)
        closed_ms = edge.now_ms - 200
        assert next_due_ms(edge.state) == pytest.approx(closed_ms + 20_000, abs=40)
        edge.due()
        assert [(body.status, body.error) for body in edge.bodies(TurnEnded)] == [("failed", edge.bodies(StageFailed)[0].error)]  # type: ignore[attr-defined]
        edge.settle()

    @pytest.mark.parametrize("is_final", [True, False])
    def test_words_that_come_when_nobody_speaks_interrupt_nothing(self, is_final: bool) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.finals = 1
        bodies: list[Body] = edge.final("word2") if is_final else edge.partial("word2")
        assert len(edge.streams) == 1
        assert [body for body in bodies if isinstance(body, UtteranceDropped)] == (
            [UtteranceDropped("word2", "speech-to-text sent it after the utterance was over")] if is_final else []
        )

    def test_replaced_in_mid_speech_it_owes_nothing_and_the_rest_is_heard(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.frames(0.9, 100)
        edge.frames(0.0, 220)
        edge.feed(Swap(edge.state.agent.replace(stt=Ear())))
        assert edge.state.owed_words == 0
        edge.frames(0.9, 100)
        edge.frames(0.0, 220)
        edge.final("word2")
        edge.frames(0.0, 400)
        assert started(edge) == ["word1 word2"]

    def test_taken_away_in_mid_speech_nobody_waits_for_words(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.feed(Say("By the way."))
        edge.feed(Swap(edge.state.agent.replace(stt=None, vad=None)))
        assert edge.bodies(UtteranceDropped)
        assert [body.source for body in edge.bodies(TurnStarted) if isinstance(body, TurnStarted)] == ["say"]
        edge.settle()

    def test_a_new_one_for_the_next_turn_hears_the_next_turn(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.check_words()
        edge.answer("Yes.")
        ear = Ear()
        edge.feed(Swap(edge.state.agent.replace(stt=ear)))
        assert edge.state.agent.stt is not ear
        edge.settle()
        assert edge.state.agent.stt is ear

    def test_a_failure_of_old_is_no_failure_of_now(self) -> None:
        edge = Edge(agent())
        edge.feed(Typed("word1"))
        edge.feed(Typed("word2"))
        edge.feed(Failure(1, "hook", PatterError("broke")))
        assert edge.bodies(StageFailed) == []

    def test_the_same_final_sent_again_is_said_once(self) -> None:
        edge = Edge(agent())
        edge.frames(0.9, 400)
        edge.frames(0.0, 220)
        edge.final("word1")
        edge.feed(Transcript("word1", is_final=True))
        edge.frames(0.0, 300)
        assert started(edge) == ["word1"]

    def test_who_says_the_same_again_is_heard_twice(self) -> None:
        edge = Edge(agent())
        said(edge, "Yes.", "Yes.")
        assert started(edge) == ["Yes. Yes."]

"""The person's side: voice and silence from the ear, words from the transcript, and when the two make a turn."""

from __future__ import annotations

from dataclasses import replace

from patter_nb.audio.frames import FRAME_SAMPLES
from patter_nb.errors import PatterError
from patter_nb.events import (
    Dropped,
    MicrophoneMuted,
    SpeechEnded,
    SpeechStarted,
    SpeechStopped,
    StageFailed,
    TranscriptFinal,
    TranscriptPartial,
    TurnAccepted,
    TurnJudged,
    TurnOffered,
    TurnStarted,
    UtteranceDropped,
)
from patter_nb.llm.base import name_of
from patter_nb.pipeline.endpointing import Closed, Onset, Pausing, Voiced, close, hear, is_judged, reopen, silence_ms
from patter_nb.pipeline.overheard import words_of
from patter_nb.pipeline.sentences import speakable
from patter_nb.step import overhearing, preempting
from patter_nb.step.answering import begin, drop_words, interrupt
from patter_nb.step.effects import EndSound, FinalizeWords, JudgeTurn, Listen, StopListening
from patter_nb.step.inputs import FrameHeard, Judged
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import audible, hold, hold_on, resume
from patter_nb.step.state import Closing, Gathering, Idle, Offer, Silent, State
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import Accept, Muted

AGAIN = "the same words were sent again"
LATE_MS = 5000.0
"""Words whose end is older than this are offered to the person instead of being answered out of the blue."""


def is_deaf(state: State) -> bool:
    """Whether the agent speaks, and must not hear meanwhile."""
    return state.agent.turn_taking.half_duplex and not isinstance(state.voice.stance, Idle)


def frame_heard(s: Scene, given: FrameHeard) -> None:
    """One frame of the person's sound. An engine hears by itself: what was measured while it took over is not heard twice."""
    if s.state.agent.engine is not None:
        return
    before, taking = s.state.ear, s.state.agent.turn_taking
    ear, noticed = hear(before, 0.0 if is_deaf(s.state) else given.probability, given.number, taking)
    s.change(ear=ear)
    if isinstance(s.state.utterance, Gathering):
        s.change(utterance=replace(s.state.utterance, late_ms=given.late_ms))
    match noticed:
        case "started" | "resumed":
            since = before.since if isinstance(before, Onset) else given.number * FRAME_SAMPLES
            _speech_started(s, since, given.late_ms)
        case "paused":
            assert isinstance(ear, Pausing)
            s.log(SpeechStopped(ear.last, silence_ms(ear, (given.number + 1) * FRAME_SAMPLES), given.late_ms))
            _finalize(s)
        case "ended":
            assert isinstance(before, Pausing)
            judge = None if taking.detector is None else name_of(taking.detector)[0]
            _close(s, SpeechEnded(before.last, silence_ms(before, (given.number + 1) * FRAME_SAMPLES), given.late_ms, judge))
    if taking.detector is not None and isinstance(ear, Pausing) and is_judged(ear, (given.number + 1) * FRAME_SAMPLES):
        s.do(JudgeTurn(ear.since, ear.last))


def judged(s: Scene, given: Judged) -> None:
    """The detector's judgement of the pause, which the next frame goes by."""
    ear = s.state.ear
    assert isinstance(ear, Pausing)
    s.log(TurnJudged(given.last, given.probability))
    s.change(ear=replace(ear, patience_ms=s.state.agent.turn_taking.judged_ms(given.probability)))


def _speech_started(s: Scene, since: int, late_ms: float) -> None:
    s.log(SpeechStarted(since))
    preempting.drop(s, "the person went on")
    match s.state.utterance:
        case Silent():
            sounds = not isinstance(s.state.voice.stance, Idle)
            s.change(utterance=Gathering(late_ms=late_ms, into=s.state.answers, audible=sounds))
            s.do(Listen())
        case Closing() as said:
            s.change(utterance=Gathering(said.words, said.asked, late_ms, said.into, said.audible, said.echoed, said.lone))
            s.do(Listen())
    if audible(s):
        hold(s)


def _finalize(s: Scene) -> None:
    if isinstance(s.state.utterance, Gathering):
        s.change(utterance=replace(s.state.utterance, asked=s.state.utterance.asked + 1))
        s.do(FinalizeWords())


def _finalize_rest(s: Scene) -> None:
    """Ask for the words since the last pause, if there was any voice since."""
    ear = s.state.ear
    if isinstance(ear, Voiced) or (isinstance(ear, Pausing) and not ear.noticed):
        _finalize(s)


def _close(s: Scene, ended: SpeechEnded) -> None:
    if isinstance(s.state.utterance, Gathering):
        said = s.state.utterance
        s.log(ended)
        s.do(StopListening())
        s.change(utterance=Closing(said.words, said.asked, said.late_ms, s.now_ms, said.into, said.audible, said.echoed, said.lone))
        _complete(s)


def muted(s: Scene, given: Muted) -> None:
    """The microphone was switched. What was said until then still counts."""
    s.log(MicrophoneMuted(given.muted))
    if given.muted:
        if s.state.agent.engine is not None:
            s.do(EndSound())
        if isinstance(s.state.ear, (Voiced, Pausing)):
            _finalize_rest(s)
            _close(s, SpeechEnded(s.state.ear.last, None))
        s.change(ear=close(s.state.ear, "muted"))
    else:
        s.change(ear=reopen(s.state.ear, "muted"))


def forget(s: Scene, reason: str) -> None:
    """Drop what the person was saying; what speech-to-text has of it is asked for, and dropped as it comes."""
    _finalize_rest(s)
    s.change(forgotten=s.state.forgotten + s.state.owed_words)
    drop_words(s, reason)


def transcript(s: Scene, given: Transcript) -> None:
    """Words, as heard so far or for good. Words while the agent answers are an interruption, unless they come when nobody speaks.

    Transcripts of noise are often a lone full stop, which is no word.
    """
    if isinstance(s.state.utterance, Silent) or s.state.forgotten:
        _unwanted(s, given)
        return
    s.log(TranscriptFinal(given.text, given.confidence, given.words) if given.is_final else TranscriptPartial(given.text))
    said = s.state.utterance
    twice = not said.asked and said.words[-1:] == (given.text.strip(),)  # nobody asked for it: the same words, sent again
    nothing = AGAIN if twice else overhearing.newest(s.state, given.text, is_final=given.is_final)
    if nothing is None:
        _interrupt_if_sure(s, given)
    elif given.is_final and isinstance(s.state.ear, Pausing):
        resume(s, nothing)
    said = s.state.utterance
    if not given.is_final or isinstance(said, Silent):
        return
    counts = speakable(given.text) and nothing not in (overhearing.ECHO, AGAIN)
    words = (*said.words, given.text.strip()) if counts else said.words
    echoed = said.echoed or nothing == overhearing.ECHO
    s.change(utterance=replace(said, words=words, asked=max(said.asked - 1, 0), echoed=echoed))
    _complete(s)
    _begin_early(s)


def _interrupt_if_sure(s: Scene, given: Transcript) -> None:
    """Words interrupt. A lone one that is not final only keeps playback paused: speech-to-text hears one in a noise, and takes it back."""
    said = s.state.utterance
    if s.state.answer is None or isinstance(said, Silent):
        return
    words = words_of(given.text)
    if not s.state.answers or given.is_final or len(words) > 1:
        interrupt(s)
        s.change(utterance=replace(said, into=False))
    elif words[0] != said.lone:
        hold_on(s)
        s.change(utterance=replace(said, lone=words[0]))


def _begin_early(s: Scene) -> None:
    """The words of this pause stand: where that is wanted, their answer is begun before the pause is over."""
    said, ear = s.state.utterance, s.state.ear
    if not isinstance(said, Gathering) or said.asked or said.late_ms > LATE_MS or not isinstance(ear, Pausing) or not ear.noticed:
        return
    if overhearing.whole(s.state) is None and preempting.is_wanted(s.state):
        preempting.begin(s, " ".join(said.words))


def _unwanted(s: Scene, given: Transcript) -> None:
    """Words that come when their utterance is over, or was given up."""
    if given.is_final and s.state.forgotten:
        s.change(forgotten=s.state.forgotten - 1)
    if given.is_final and speakable(given.text):
        s.log(TranscriptFinal(given.text, given.confidence, given.words))
        s.log(UtteranceDropped(given.text, "speech-to-text sent it after the utterance was over"))
    else:
        s.change(dropped=s.state.dropped + 1)
        s.log(Dropped("Transcript", None))


def _complete(s: Scene) -> None:
    said = s.state.utterance
    if not isinstance(said, Closing) or said.asked:
        return
    nothing = overhearing.whole(s.state)
    s.change(utterance=Silent())
    text = " ".join(said.words)
    if nothing is not None:
        s.log(UtteranceDropped(text, nothing))
        resume(s, nothing)
    elif said.late_ms <= LATE_MS and s.state.answer is not None and s.state.answer.early is not None and s.state.answer.words == text:
        preempting.commit(s)
    elif said.late_ms > LATE_MS:
        preempting.drop(s, "the words came too late")
        turn = s.state.turns + 1
        s.change(turns=turn, offers=(*s.state.offers, Offer(turn, text)))
        s.log(TurnStarted("speech", text), turn=turn)
        s.log(TurnOffered(text, said.late_ms), turn=turn)
    else:
        begin(s, "speech", text)


def accept(s: Scene, given: Accept) -> None:
    """Answer an offered turn after all."""
    for offer in s.state.offers:
        if offer.turn == given.turn:
            s.change(offers=tuple(other for other in s.state.offers if other is not offer))
            s.log(TurnAccepted(), turn=offer.turn)
            begin(s, "speech", offer.text, turn=offer.turn)
            return


def deaf(s: Scene, error: PatterError) -> None:
    """Nothing can tell voice from silence any more, until `use(vad=...)`. That is said once, not for each frame."""
    if isinstance(s.state.ear, Closed) and "deaf" in s.state.ear.why:
        return
    s.log(StageFailed("vad", error))
    if isinstance(s.state.utterance, Gathering):
        _finalize(s)
        ear = s.state.ear
        _close(s, SpeechEnded(ear.last if isinstance(ear, (Voiced, Pausing)) else 0, None))
    s.change(ear=close(s.state.ear, "deaf"))

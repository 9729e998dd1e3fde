"""The one function that changes a session: `step(state, now_ms, input)` gives the next state, what to log, and what to do.

It is pure: live, test and replay differ only in who supplies the inputs. Whatever arrives from an epoch that is over is
dropped, logged as such, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from patter_nb.events import Dropped, KernelBusy, ListenerChanged, PersonHungUp, SessionStarted, SessionStopped, StateChanged
from patter_nb.pipeline.endpointing import Pausing
from patter_nb.step import answering, breakpoints, calling, engaging, failing, hearing, speaking, swapping, timers
from patter_nb.step.effects import Effect, Shutdown
from patter_nb.step.inputs import (
    AudioMade,
    Booked,
    ChunkArrived,
    Due,
    EngineAnswers,
    EngineBlocked,
    EngineGone,
    EngineSound,
    EngineVoice,
    EngineWords,
    Failure,
    FrameHeard,
    HeldUp,
    Input,
    Judged,
    PauseAt,
    PieceChecked,
    PieceSpoken,
    Resume,
    Say,
    Start,
    Stop,
    StreamEnded,
    Swap,
    ToolFinished,
    WordsChecked,
)
from patter_nb.step.scene import Happened, Scene
from patter_nb.step.state import Asking, Checking, Silent, State
from patter_nb.step.timers import next_due_ms
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import Accept, Audience, HungUp, LocalPause, Muted, Played, Typed

__all__ = ["Happened", "State", "Stepped", "next_due_ms", "step"]


@dataclass(frozen=True, slots=True)
class Stepped:
    """The outcome of one step: the next state, the events to log, the effects to carry out, each in order."""

    state: State
    events: tuple[Happened, ...]
    effects: tuple[Effect, ...]


def step(state: State, now_ms: float, given: Input) -> Stepped:
    """React to one input at session time `now_ms`."""
    if state.life == "stopped" or (state.life == "starting") != isinstance(given, Start):
        return Stepped(replace(state, dropped=state.dropped + 1), (), ())
    s = Scene(state, now_ms)
    if _stale(state, given):
        s.change(dropped=state.dropped + 1)
        s.log(Dropped(type(given).__name__, given.epoch if isinstance(given, _ANSWERS) else None))
        return Stepped(s.state, tuple(s.events), ())
    _react(s, given)
    if not isinstance(given, FrameHeard) or s.effects:
        answering.advance(s)
        _use_free_floor(s)
        breakpoints.keep_back(s, state.held[:1])
    if s.state.word != state.word:
        s.log(StateChanged(s.state.word))
    return Stepped(s.state, tuple(s.events), tuple(s.effects))


_ANSWERS = (WordsChecked, ChunkArrived, StreamEnded, PieceChecked, AudioMade, PieceSpoken, EngineSound, EngineBlocked, Failure)


def _stale(state: State, given: Input) -> bool:
    """Whether this answers a question that is no longer asked."""
    answer = state.answer
    match given:
        case WordsChecked(epoch):
            return epoch != state.epoch or answer is None or not isinstance(answer.work, Checking)
        case ChunkArrived(epoch, round) | StreamEnded(epoch, round) | EngineSound(epoch, round):
            return epoch != state.epoch or answer is None or not isinstance(answer.work, Asking) or answer.work.round.number != round
        case PieceChecked(epoch, index) | AudioMade(epoch, index) | PieceSpoken(epoch, index):
            return epoch != state.epoch or answer is None or answer.pieces[index].done
        case ToolFinished(turn, id):
            return answer is None or not calling.waits_for(answer, turn, id)
        case EngineBlocked(epoch):
            return epoch != state.epoch or answer is None
        case EngineVoice() | EngineWords() | EngineAnswers() | EngineGone():
            return state.agent.engine is None
        case Judged(last):
            return not isinstance(state.ear, Pausing) or state.ear.last != last
        case Failure(epoch):
            return epoch is not None and epoch != state.epoch
        case _:
            return False


def _react(s: Scene, given: Input) -> None:  # noqa: C901, PLR0912, PLR0915  # one case for each kind of input
    match given:
        case FrameHeard():
            hearing.frame_heard(s, given)
        case ChunkArrived():
            answering.chunk_arrived(s, given)
        case AudioMade():
            speaking.audio_made(s, given)
        case Played():
            speaking.played(s, given)
        case Transcript():
            hearing.transcript(s, given)
        case Judged():
            hearing.judged(s, given)
        case PieceChecked():
            speaking.piece_checked(s, given)
        case PieceSpoken():
            speaking.piece_spoken(s, given)
        case StreamEnded():
            answering.stream_ended(s, given)
        case ToolFinished():
            answering.tool_finished(s, given)
        case WordsChecked():
            answering.words_checked(s, given)
        case EngineSound():
            engaging.sound(s, given)
        case EngineBlocked():
            engaging.blocked(s, given)
        case EngineVoice():
            engaging.voice(s, given)
        case EngineWords():
            engaging.words(s, given)
        case EngineAnswers():
            engaging.answers(s, given)
        case EngineGone(error):
            engaging.gone(s, error)
        case Typed(text):
            if text.strip():
                answering.begin(s, "typed", text)
        case Say(text):
            s.change(queue=(*s.state.queue, text))
        case LocalPause():
            speaking.paused_locally(s, given)
        case Muted():
            hearing.muted(s, given)
        case Accept():
            hearing.accept(s, given)
        case Audience():
            _audience(s, given)
        case HungUp():
            _hung_up(s)
        case Swap():
            swapping.swap(s, given)
        case PauseAt():
            breakpoints.set_points(s, given)
        case Resume():
            breakpoints.resume(s, given)
        case Failure():
            _failed(s, given)
        case Booked(body, turn):
            s.log(body, turn=turn)
        case HeldUp(ms):
            s.log(KernelBusy(ms))
        case Due():
            timers.fire(s, given)
        case Start():
            _start(s, given)
        case Stop():
            _stop(s, given)


def _start(s: Scene, given: Start) -> None:
    agent = s.state.agent
    s.change(life="live", plays=given.plays, rate=given.sample_rate)
    s.log(SessionStarted(agent.parts(), given.sample_rate, unpaced=not given.paced))
    if not given.awaited or (agent.tts is None and agent.engine is None):
        _greet(s)


def _greet(s: Scene) -> None:
    agent = s.state.agent
    if agent.first_message:
        answering.begin(s, "greeting", agent.render(agent.first_message))


def _audience(s: Scene, given: Audience) -> None:
    """Somebody came to listen, and is greeted if nothing was said yet; or nobody does any more, and then all counts as heard."""
    if given.listens != s.state.plays:
        s.log(ListenerChanged(given.listens))
        s.change(plays=given.listens)
    if not given.listens:
        speaking.assume_heard(s)
    elif given.greets and not s.state.turns and s.state.floor_free:
        _greet(s)


def _hung_up(s: Scene) -> None:
    """The person went silent and wants silence: also what was still to be said by itself is over before it sounds."""
    s.log(PersonHungUp())
    engaging.hush(s)
    hearing.forget(s, "the person stopped the call")
    queue = s.state.queue
    s.change(queue=())
    for text in queue:
        answering.begin(s, "say", text)
    if s.state.answer is not None:
        answering.interrupt(s)


def _stop(s: Scene, given: Stop) -> None:
    if s.state.answer is not None:
        answering.interrupt(s)
    s.log(SessionStopped(given.reason, s.state.dropped))
    s.change(life="stopped", queue=(), utterance=Silent())
    s.do(Shutdown())


def _use_free_floor(s: Scene) -> None:
    """Nobody speaks: a new agent takes over, and what the agent shall say by itself is said."""
    if s.state.next_agent is not None and s.state.floor_free:
        answering.adopt(s, s.state.next_agent)
    while s.state.queue and s.state.floor_free:
        text, *rest = s.state.queue
        s.change(queue=tuple(rest))
        answering.begin(s, "say", text)
        answering.advance(s)


def _failed(s: Scene, given: Failure) -> None:
    match given.stage:
        case "stt":
            failing.lost_words(s, given.error)
        case "vad":
            hearing.deaf(s, given.error)
        case _:
            failing.reported(s, given)

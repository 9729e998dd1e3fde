"""The timers of a session, read off its state: which runs, when it falls due, and what is done then.

No timer is ever set or cleared, so none can be forgotten. What is done when one falls due ends or moves it.
"""

from __future__ import annotations

from collections.abc import Callable

from patter_nb.events import Tick
from patter_nb.step import answering, engaging, failing, speaking
from patter_nb.step.inputs import Due
from patter_nb.step.scene import Scene
from patter_nb.step.state import Answer, Asking, Checking, Closing, Paused, State

Timer = tuple[float, Callable[[Scene], None]]


def next_due_ms(state: State) -> float | None:
    """The session time at which the earliest timer falls due, or None. The edge sleeps until then and feeds a `Due`."""
    return min((due_ms for due_ms, _ in _timers(state)), default=None)


def fire(s: Scene, given: Due) -> None:
    """Do what the earliest timer is for. Others that are due have a `Due` of their own: this one may have changed them."""
    s.log(Tick(given.due_ms))
    timers = sorted(_timers(s.state), key=lambda timer: timer[0])
    if timers and timers[0][0] <= given.due_ms:
        timers[0][1](s)


def _timers(state: State) -> list[Timer]:
    timers = _of_voice(state)
    if isinstance(state.utterance, Closing) and state.utterance.asked:
        overdue = failing.words_overdue if state.agent.engine is None else engaging.overdue
        timers.append((state.utterance.since_ms + failing.STT_SILENCE_MS, overdue))
    if state.answer is not None:
        timers += _of_answer(state, state.answer)
    return timers


def _of_voice(state: State) -> list[Timer]:
    voice = state.voice
    if isinstance(voice.stance, Paused):
        return [(voice.stance.until_ms, lambda s: speaking.resume(s, "no word in time"))]
    unheard_ms = (voice.sent - voice.played) * 1000 / state.rate
    return [(voice.moved_ms + unheard_ms + speaking.CURSOR_GRACE_MS, speaking.assume_heard)] if unheard_ms else []


def _of_answer(state: State, answer: Answer) -> list[Timer]:
    timers: list[Timer] = []
    if answer.early is not None or state.held:
        return timers  # the pause ends by itself; a breakpoint may take as long as it likes
    match answer.work:
        case Checking(since_ms):
            timers.append((since_ms + failing.CHECK_SILENCE_MS, failing.check_overdue))
        case Asking(_, heard_ms):
            timers.append((heard_ms + failing.LLM_SILENCE_MS, failing.model_overdue))
    if speaking.owes_sound(answer):
        timers.append((answer.voice_ms + failing.TTS_SILENCE_MS, failing.voice_overdue))
    filler = state.agent.filler
    if filler is not None and state.agent.engine is None and answering.wants_filler(answer):  # an engine says one thing at a time
        timers.append((answer.since_ms + filler.after_ms, answering.fill))
    return timers

"""An answer that is begun before the person is known to have finished, and becomes the turn's when they have.

The model is asked and writes; what it writes is neither spoken nor are its tools run. If the person goes on, or says something else
after all, it is thrown away, and only its tokens remain.
"""

from __future__ import annotations

from patter_nb.agent import PipelineHooks
from patter_nb.events import PreemptiveDropped, PreemptiveStarted, TurnStarted
from patter_nb.step import answering
from patter_nb.step.effects import Cancel, Speak
from patter_nb.step.inputs import StreamEnded
from patter_nb.step.scene import Scene
from patter_nb.step.state import Answer, Asking, Checking, Early, Idle, State


def is_wanted(state: State) -> bool:
    """Whether an answer is begun early now. Code of the user's own, which might do something, is not run for nothing.

    Nor is one begun that would stop at a breakpoint before there is a turn.
    """
    agent = state.agent
    if not agent.turn_taking.preemptive or "llm_request" in state.breakpoints:
        return False
    if agent.engine is not None or state.answer is not None or state.next_agent is not None:
        return False
    repeatable = bool(getattr(agent.llm, "repeatable", True)) and agent.hooks == PipelineHooks()
    return repeatable and isinstance(state.voice.stance, Idle)


def begin(s: Scene, text: str) -> None:
    """Begin the answer to `text`, of the turn that may come of it."""
    s.change(epoch=s.state.epoch + 1)
    s.change(answer=Answer(s.state.turns + 1, "speech", s.now_ms, Checking(s.now_ms), words=text, early=Early()))
    s.log(PreemptiveStarted(text))
    answering.check(s)


def commit(s: Scene) -> None:
    """The person has finished, and said just that: the turn begins with what there is of its answer."""
    early = s.answer.early
    assert early is not None
    s.change(turns=s.answer.turn)
    s.change_answer(early=None, since_ms=s.now_ms, voice_ms=s.now_ms)
    s.log(TurnStarted("speech", s.answer.words))
    for index, piece in enumerate(s.answer.pieces):
        s.do(Speak(s.state.epoch, s.answer.turn, index, piece.text, piece.kind))
    if early.over and isinstance(s.answer.work, Asking):
        answering.stream_ended(s, StreamEnded(s.state.epoch, s.answer.work.round.number))


def drop(s: Scene, reason: str) -> None:
    """Throw away what was begun early, if anything was."""
    answer = s.state.answer
    if answer is None or answer.early is None:
        return
    s.log(PreemptiveDropped(reason))
    s.do(Cancel(s.state.epoch))
    s.change(answer=None, epoch=s.state.epoch + 1)

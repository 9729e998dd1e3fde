"""How one agent takes over from another: at the next turn, or now, in the middle of an answer.

Now means: what was heard stands, the rest never sounds, and the new parts go on from there. Whoever was told otherwise, a new
model or a new prompt, is asked again; otherwise the words stand, and what was not heard of them is spoken anew.
"""

from __future__ import annotations

from dataclasses import replace

from patter_nb.agent import Agent, describe_change
from patter_nb.events import AgentChanged
from patter_nb.step import preempting
from patter_nb.step.answering import adopt, ask, check, mind_of, system_of
from patter_nb.step.effects import Cancel
from patter_nb.step.inputs import Swap
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import cut, flush, speak
from patter_nb.step.state import Asking, Calling, Checking, Delivered, heard_pieces, joined


def swap(s: Scene, given: Swap) -> None:
    """Take over a new agent."""
    before = s.state.agent
    preempting.drop(s, "the agent changed")
    s.log(AgentChanged(describe_change(s.state.next_agent or before, given.agent), given.when))
    if s.state.answer is not None and given.when == "turn":
        s.change(next_agent=given.agent)
        return
    adopt(s, given.agent)
    if s.state.answer is not None:
        _go_on(s, before)


def _go_on(s: Scene, before: Agent) -> None:
    agent, work = s.state.agent, s.answer.work
    same_mind = mind_of(agent) is mind_of(before) and system_of(agent) == system_of(before)
    if isinstance(work, Delivered) and agent.tts is before.tts:
        return  # the turn has ended; there is nothing that the new parts could do better
    s.do(Cancel(s.state.epoch))
    unheard = cut(s, s.state.voice.played)
    flush(s)
    s.change(epoch=s.state.epoch + 1)
    if not (same_mind or isinstance(work, Delivered)):
        _forget_unsaid(s)
    if isinstance(work, Checking):
        check(s)
    elif s.answer.base and (isinstance(work, Asking) or not (same_mind or isinstance(work, (Calling, Delivered)))):
        _ask_on(s, before)
    elif same_mind or not isinstance(work, Calling):
        for piece, text in unheard:
            if piece.kind != "filler":
                speak(s, text, round=piece.round, kind=piece.kind)


def _forget_unsaid(s: Scene) -> None:
    """Of what was said beside calls only what was heard is told to the one who goes on: the rest never sounds."""
    pieces, work = s.answer.pieces, s.answer.work
    heard = heard_pieces(pieces, s.state.voice.played)
    rounds = tuple(replace(done, text=joined(pieces, heard, rounds={done.number})) for done in s.answer.rounds)
    s.change_answer(rounds=rounds)
    if isinstance(work, Calling):
        text = joined(pieces, heard, rounds={work.round.number})
        s.change_answer(work=replace(work, round=replace(work.round, text=text)))


def _ask_on(s: Scene, before: Agent) -> None:
    answer, old = s.answer, system_of(before)
    number = answer.rounds[-1].number + 1 if answer.rounds else 1
    tail = joined(answer.pieces, heard_pieces(answer.pieces, s.state.voice.played), rounds={number})
    if answer.base[: len(old)] == old:
        s.change_answer(base=system_of(s.state.agent) + answer.base[len(old) :])
    s.change_answer(failure=None)
    ask(s, number, said=tail)

"""Breakpoints: the answer stops before the model is asked, a tool runs or a piece is spoken, until the session is told to go on.

What was about to be done is kept back, whole and in order, and is what is looked at and edited. An answer that ends otherwise takes it
along: nothing of an epoch that is over is ever done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from patter_nb.events import Breakpoint, BreakpointHit, BreakpointLeft, BreakpointsSet
from patter_nb.llm.base import name_of
from patter_nb.step import answering, calling
from patter_nb.step.effects import AskLLM, Effect, RunTool, Speak
from patter_nb.step.inputs import PauseAt, Resume, ToolFinished
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import spaced_like
from patter_nb.step.state import Asking, Calling, State

Held: TypeAlias = AskLLM | RunTool | Speak

EDITS: Final[Mapping[Breakpoint, tuple[str, ...]]] = {
    "llm_request": ("messages",),
    "tool_call": ("arguments", "result"),
    "speak": ("text",),
}
"""Where the answer can stop, and what may be changed there."""


def point_of(effect: Held) -> Breakpoint:
    """Before which breakpoint it stands."""
    return "llm_request" if isinstance(effect, AskLLM) else "tool_call" if isinstance(effect, RunTool) else "speak"


def set_points(s: Scene, given: PauseAt) -> None:
    """From now on stop at these, and at no others. What is stopped already stays so."""
    s.log(BreakpointsSet(given.points))
    s.change(breakpoints=frozenset(given.points))


def keep_back(s: Scene, before: tuple[Held, ...]) -> None:
    """At the end of a step: keep back what a breakpoint stands before, and forget what nobody wants any more. It stood at `before`."""
    held: list[Held] = [effect for effect in s.state.held if _is_wanted(s.state, effect)]
    done: list[Effect] = []
    for effect in s.effects:
        if isinstance(effect, Held) and _is_stoppable(s.state, effect) and _is_stopped(s.state, effect, held):
            held.append(effect)
        else:
            done.append(effect)
    held.sort(key=lambda effect: isinstance(effect, RunTool))  # what is said beside a call is said before it runs
    s.effects[:] = [*done, *s.released]
    s.change(held=tuple(held))
    if held and (held[0],) != before:
        s.log(BreakpointHit(point_of(held[0]), _told(s.state, held[0]), _call(held[0])))


def resume(s: Scene, given: Resume) -> None:
    """Do what was kept back, edited, and what stands behind it up to the next breakpoint."""
    if not s.state.held:
        return
    first, *rest = s.state.held
    s.log(BreakpointLeft(point_of(first), given.edits, _call(first)))
    while rest and point_of(rest[0]) not in s.state.breakpoints:
        s.released.append(rest.pop(0))
    s.change(held=tuple(rest))
    s.change_answer(since_ms=s.now_ms, voice_ms=s.now_ms)  # nobody was waited for
    if isinstance(s.answer.work, Asking):
        s.change_answer(work=replace(s.answer.work, heard_ms=s.now_ms))
    if isinstance(first, RunTool) and "result" in given.edits:
        answering.tool_finished(s, ToolFinished(first.turn, first.request.id, "completed", given.edits["result"]))
    else:
        s.released.insert(0, _edited(s, first, given.edits))


def _is_wanted(state: State, effect: Held) -> bool:
    if state.answer is None:
        return False
    if isinstance(effect, RunTool):
        return calling.waits_for(state.answer, effect.turn, effect.request.id)
    return effect.epoch == state.epoch


def _is_stoppable(state: State, effect: Held) -> bool:
    """An engine asks itself and says things in one go: of one only tools can be stopped."""
    return state.agent.engine is None or isinstance(effect, RunTool)


def _is_stopped(state: State, effect: Held, held: list[Held]) -> bool:
    """Whether a breakpoint stands before it, or it waits behind one: pieces do not overtake each other."""
    if point_of(effect) in state.breakpoints:
        return True
    return isinstance(effect, Speak) and any(isinstance(other, Speak) for other in held)


def _edited(s: Scene, effect: Held, edits: Mapping[str, Any]) -> Held:
    """The effect as it was edited, and the answer as if it had been so from the beginning."""
    match effect:
        case AskLLM() if "messages" in edits:
            messages = tuple(edits["messages"])
            s.change_answer(base=messages, based=len(s.answer.rounds))
            return replace(effect, messages=messages)
        case RunTool(request=request) if "arguments" in edits and isinstance(s.answer.work, Calling):
            changed = replace(request, arguments=edits["arguments"])
            requests = tuple(changed if other is request else other for other in s.answer.work.requests)
            s.change_answer(work=replace(s.answer.work, requests=requests))
            return replace(effect, request=changed)
        case Speak() if "text" in edits:
            pieces = list(s.answer.pieces)
            text = spaced_like(effect.text, edits["text"])
            pieces[effect.index] = replace(pieces[effect.index], text=text)
            s.change_answer(pieces=tuple(pieces))
            return replace(effect, text=text)
    return effect


def _call(effect: Held) -> str | None:
    """The tool call that it is."""
    return effect.request.id if isinstance(effect, RunTool) else None


def _told(state: State, effect: Held) -> str:
    """What is about to be done, for people."""
    match effect:
        case AskLLM(round=round):
            return f"{' '.join(filter(None, name_of(answering.mind_of(state.agent))))}, request {round}"
        case RunTool(request=request):
            return f"{request.name}({request.arguments})"
        case Speak(text=text):
            return text.strip()

"""The tools of an answer: which calls run, what comes back, and that none is ever left without an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from patter_nb.events import ToolCalled, ToolEnded
from patter_nb.llm.rounds import Round, ToolRequest, cancelled_content
from patter_nb.step.effects import CancelTool, RunTool
from patter_nb.step.inputs import ToolFinished
from patter_nb.step.scene import Scene
from patter_nb.step.state import Answer, Calling, TextComplete, ToolRound


def run(s: Scene, round: Round, requests: tuple[ToolRequest, ...]) -> None:
    """Run the calls of a round, all at once."""
    s.change_answer(work=Calling(round, requests))
    for request in requests:
        s.log(ToolCalled(request.id, request.name, request.arguments))
        s.do(RunTool(s.answer.turn, request))


def waits_for(answer: Answer, turn: int, id: str) -> bool:
    """Whether `id` is a call of this answer that has not ended."""
    work = answer.work
    if answer.turn != turn or not isinstance(work, Calling):
        return False
    return any(request.id == id for request in work.requests) and all(done != id for done, _ in work.results)


def finish(s: Scene, given: ToolFinished) -> bool:
    """A call ended; returns whether it was the round's last, which is finished then."""
    work = s.answer.work
    assert isinstance(work, Calling)
    request = next(request for request in work.requests if request.id == given.id)
    s.log(ToolEnded(request.id, request.name, given.status, given.content, given.error))
    results = (*work.results, (given.id, given.content))
    if len(results) < len(work.requests):
        s.change_answer(work=replace(work, results=results))
        return False
    _keep_round(s, work, dict(results))
    return True


def cancel(s: Scene, why: str) -> tuple[tuple[str, str], ...]:
    """Give up the calls that run, if any do; gives each call of their round with what became of it."""
    work = s.answer.work
    if not isinstance(work, Calling):
        return ()
    by_id = dict(work.results)
    for request in work.requests:
        if request.id not in by_id:
            by_id[request.id] = cancelled_content(why)
            s.log(ToolEnded(request.id, request.name, "cancelled", by_id[request.id], why))
            s.do(CancelTool(s.answer.turn, request.id))
    _keep_round(s, work, by_id)
    s.change_answer(work=TextComplete())
    return tuple(by_id.items())


def _keep_round(s: Scene, work: Calling, by_id: Mapping[str, str]) -> None:
    contents = tuple(by_id[request.id] for request in work.requests)
    done = ToolRound(work.round.number, work.round.text, work.requests, contents, work.round.extras)
    s.change_answer(rounds=(*s.answer.rounds, done))

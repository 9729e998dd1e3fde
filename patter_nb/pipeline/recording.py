"""What goes over a model's wire, made known to the session: kept beside its log, and told there by number."""

from __future__ import annotations

from typing import Literal

from patter_nb.events import RequestAnswered, RequestSent
from patter_nb.llm.wire.attempt import Attempt
from patter_nb.llm.wire.recording import Recorder
from patter_nb.pipeline.door import Door
from patter_nb.step.inputs import Booked

__all__ = ["recorder_for", "sent_event"]


def sent_event(attempt: Attempt, round: int) -> RequestSent:
    """What the log is told of an attempt that begins."""
    sent = attempt.sent
    stage: Literal["llm", "engine"] = "engine" if attempt.by == "socket" else "llm"
    told = (attempt.provider, attempt.model, attempt.attempt, sent.url, sent.size, sent.plain_size)
    return RequestSent(attempt.number, stage, round, *told)


def recorder_for(door: Door, turn: int | None, round: int) -> Recorder:
    """Keeps the attempts of a round of this turn."""

    def on_sent(attempt: Attempt) -> None:
        door.feed(Booked(sent_event(attempt, round), turn))

    def on_answered(attempt: Attempt) -> None:
        answered = attempt.answered
        if answered is None:
            told = RequestAnswered(attempt.number, None, None, None, None, 0, attempt.error)
        else:
            times = (answered.first_byte_ms, answered.total_ms)
            told = RequestAnswered(attempt.number, answered.status, answered.request_id, *times, answered.size, attempt.error)
        door.feed(Booked(told, turn))

    return Recorder(door.attempts, door.clock.wall_s, on_sent, on_answered)

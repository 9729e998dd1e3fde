"""The closed list of what can happen in a session, and its wire form: one small frozen value each, numbered and stamped in the log.

An event is either something that came from outside (a transcript, a chunk, a tool's result) or what the step function made
of it (a turn began, a sentence is to be spoken). Sound and per-frame values lie in arrays beside the log; events refer to
them by sample position: `*_sample` counts captured samples at 16 kHz, `start` and `stop` count the output axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patter_nb.events.body import Body, Breakpoint, SentenceKind, SessionState, Stage, ToolStatus, TurnSource, TurnStatus
from patter_nb.events.model import LLMChunked, LLMRequested, RequestAnswered, RequestSent, SpeechUsed, ToolCalled, ToolEnded
from patter_nb.events.person import (
    ListenerChanged,
    MicrophoneMuted,
    PersonHungUp,
    SpeechEnded,
    SpeechStarted,
    SpeechStopped,
    TranscriptFinal,
    TranscriptPartial,
    TurnJudged,
    UtteranceDropped,
)
from patter_nb.events.plain import body_to_dict, error_to_dict
from patter_nb.events.session import (
    AgentChanged,
    BreakpointHit,
    BreakpointLeft,
    BreakpointsSet,
    Dropped,
    KernelBusy,
    SessionStarted,
    SessionStopped,
    StageFailed,
    StateChanged,
    Tick,
)
from patter_nb.events.turn import (
    GuardrailHit,
    InputChecked,
    PreemptiveDropped,
    PreemptiveStarted,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
    TurnWords,
)
from patter_nb.events.voice import (
    AudioSent,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackStarted,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
)

__all__ = [
    "EVENT_TYPES",
    "AgentChanged",
    "AudioSent",
    "Body",
    "Breakpoint",
    "BreakpointHit",
    "BreakpointLeft",
    "BreakpointsSet",
    "Dropped",
    "Event",
    "GuardrailHit",
    "InputChecked",
    "KernelBusy",
    "LLMChunked",
    "LLMRequested",
    "ListenerChanged",
    "MicrophoneMuted",
    "PersonHungUp",
    "PlaybackEnded",
    "PlaybackPaused",
    "PlaybackResumed",
    "PlaybackStarted",
    "PreemptiveDropped",
    "PreemptiveStarted",
    "RequestAnswered",
    "RequestSent",
    "SentenceChecked",
    "SentenceKind",
    "SentenceReady",
    "SentenceSpoken",
    "SessionStarted",
    "SessionState",
    "SessionStopped",
    "SpeechEnded",
    "SpeechStarted",
    "SpeechStopped",
    "SpeechUsed",
    "Stage",
    "StageFailed",
    "StateChanged",
    "Tick",
    "ToolCalled",
    "ToolEnded",
    "ToolStatus",
    "TranscriptFinal",
    "TranscriptPartial",
    "TurnAccepted",
    "TurnEnded",
    "TurnHeard",
    "TurnJudged",
    "TurnOffered",
    "TurnSource",
    "TurnStarted",
    "TurnStatus",
    "TurnWords",
    "UtteranceDropped",
    "body_to_dict",
    "error_to_dict",
]

EVENT_TYPES: Mapping[str, type[Body]] = {cls.type: cls for cls in Body.__subclasses__()}
"""Every event there is, by its name on the wire."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log.

    `seq` counts from 0; `t_ms` is session time, which orders and decides; `wall_s` is monotonic time from the session's
    start, which latencies are measured by; `turn` is None outside any turn.
    """

    seq: int
    t_ms: float
    wall_s: float
    epoch: int
    turn: int | None
    body: Body = field()

    @property
    def type(self) -> str:
        """The body's name on the wire."""
        return self.body.type

    def to_dict(self) -> dict[str, Any]:
        """The wire form: one flat dict of plain values, one line of events.jsonl."""
        stamp = {"seq": self.seq, "t_ms": round(self.t_ms, 3), "wall_s": round(self.wall_s, 6), "epoch": self.epoch, "turn": self.turn}
        return {**stamp, "type": self.type, **body_to_dict(self.body)}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)

"""What all events have in common, and the words that they use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

Stage: TypeAlias = Literal[
    "vad", "turn_detector", "stt", "llm", "engine", "tool", "tts", "guardrail", "hook", "transform", "transport", "session"
]
TurnSource: TypeAlias = Literal["speech", "typed", "say", "greeting"]
TurnStatus: TypeAlias = Literal["running", "completed", "interrupted", "failed", "offered"]
ToolStatus: TypeAlias = Literal["running", "completed", "failed", "cancelled"]
Breakpoint: TypeAlias = Literal["llm_request", "tool_call", "speak"]
SentenceKind: TypeAlias = Literal["answer", "filler", "apology"]
SessionState: TypeAlias = Literal["starting", "ready", "listening", "thinking", "calling", "speaking", "paused", "stopped"]


MAY_BE_LEFT_OUT: Mapping[str, bool] = {"left_out_when_empty": True}
"""Of a field: where it is empty, the wire form is without it."""


class Body:
    """What one event says. `type` is its name on the wire."""

    __slots__ = ()
    type: ClassVar[str]

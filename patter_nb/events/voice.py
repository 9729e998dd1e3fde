"""The answer on its way to the person's ear: pieces, sound, playback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from patter_nb.events.body import MAY_BE_LEFT_OUT, Body, SentenceKind


@dataclass(frozen=True, slots=True)
class SentenceReady(Body):
    """A piece of the answer was handed to the voice."""

    type: ClassVar[str] = "sentence_ready"
    index: int
    round: int
    text: str
    kind: SentenceKind = "answer"


@dataclass(frozen=True, slots=True)
class SentenceChecked(Body):
    """The piece as it will be spoken, after guardrails and hooks (empty: it is not spoken)."""

    type: ClassVar[str] = "sentence_checked"
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class AudioSent(Body):
    """Sound of a piece was handed to the transport. Its first `quiet` samples cannot be heard; all of them where none can."""

    type: ClassVar[str] = "audio_sent"
    index: int
    start: int
    stop: int
    quiet: int = field(default=0, metadata=MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class SentenceSpoken(Body):
    """All sound of a piece is made."""

    type: ClassVar[str] = "sentence_spoken"
    index: int


@dataclass(frozen=True, slots=True)
class PlaybackStarted(Body):
    """The person hears the agent, from `position` on, which sounded `ago_ms` before this was known (below 0: sounds so much later).

    `ago_ms` None: nobody told when.
    """

    type: ClassVar[str] = "playback_started"
    position: int
    ago_ms: float | None = field(default=None, metadata=MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class PlaybackPaused(Body):
    """Playback paused, for the person seems to speak; `by` says who paused it."""

    type: ClassVar[str] = "playback_paused"
    position: int
    by: Literal["session", "transport"]


@dataclass(frozen=True, slots=True)
class PlaybackResumed(Body):
    """It was no interruption: playback goes on from the same sample."""

    type: ClassVar[str] = "playback_resumed"
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class PlaybackEnded(Body):
    """The agent is silent: everything was heard, or the rest was flushed."""

    type: ClassVar[str] = "playback_ended"
    position: int
    flushed: int = 0

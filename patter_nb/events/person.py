"""What the person does, as it is heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from patter_nb.events.body import MAY_BE_LEFT_OUT, Body
from patter_nb.stt.base import Word


@dataclass(frozen=True, slots=True)
class MicrophoneMuted(Body):
    """The person switched the microphone off or on."""

    type: ClassVar[str] = "microphone_muted"
    muted: bool


@dataclass(frozen=True, slots=True)
class ListenerChanged(Body):
    """Somebody listens from now on, or nobody does any more and what is spoken counts as heard."""

    type: ClassVar[str] = "listener_changed"
    listens: bool


@dataclass(frozen=True, slots=True)
class PersonHungUp(Body):
    """The person closed the microphone and wants to hear no more; they may come back."""

    type: ClassVar[str] = "person_hung_up"


@dataclass(frozen=True, slots=True)
class SpeechStarted(Body):
    """The person began to speak at `at_sample`."""

    type: ClassVar[str] = "speech_started"
    at_sample: int


@dataclass(frozen=True, slots=True)
class SpeechStopped(Body):
    """The person paused: the last voice was at `at_sample`, noticed after `silence_ms` of silence, of which the end came `late_ms` late."""

    type: ClassVar[str] = "speech_stopped"
    at_sample: int
    silence_ms: float
    late_ms: float = field(default=0.0, metadata=MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class SpeechEnded(Body):
    """The person is taken to have finished: their last voice was at `at_sample`, and `silence_ms` of silence came behind it, the end of it
    `late_ms` late. `silence_ms` is None where they did not wait for it: they muted the microphone, or nobody hears it any more.

    `judge` is the detector that let the silence be so short, or wanted it so long; None: `TurnTaking.endpointing_ms`.
    """

    type: ClassVar[str] = "speech_ended"
    at_sample: int
    silence_ms: float | None
    late_ms: float = 0.0
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class TurnJudged(Body):
    """A detector judged the pause since `at_sample`: the probability that the person has finished, or None where it cannot tell."""

    type: ClassVar[str] = "turn_judged"
    at_sample: int
    probability: float | None


@dataclass(frozen=True, slots=True)
class TranscriptPartial(Body):
    """Words as heard so far; the next transcript replaces them."""

    type: ClassVar[str] = "transcript_partial"
    text: str


@dataclass(frozen=True, slots=True)
class TranscriptFinal(Body):
    """Words that stand. `words` has them one by one where the provider says where they were: ms of the person's sound."""

    type: ClassVar[str] = "transcript_final"
    text: str
    confidence: float | None = None
    words: tuple[Word, ...] = field(default=(), metadata=MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class UtteranceDropped(Body):
    """Speech that became no turn, and why."""

    type: ClassVar[str] = "utterance_dropped"
    text: str
    reason: str

"""The rules of a conversation: when a turn is over, what interrupts, how early the answer begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from patter_nb.audio.frames import FRAME_MS
from patter_nb.errors import PatterConfigError
from patter_nb.turn_detection.base import TurnDetector

PAUSE_MS = 200
"""Silence after which the words so far are asked for, so that their transcript is ready when the turn is complete."""

BACKCHANNELS: Final = (
    *("mhm", "mm", "mm-hmm", "hm", "hmm", "uh-huh", "um-hum", "aha", "ah", "oh", "okay", "ok", "right", "sure", "yeah", "yep"),
    *("I see", "got it", "go on", "all right", "alright", "cool", "nice", "great", "wow"),
)
"""What listeners say to show that they listen. "Yes" and "no" are not among them: they are answers."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TurnTaking:
    """How the session decides whose turn it is. An engine, which decides that by itself, only knows `half_duplex`.

    When the person has finished:

        endpointing_ms   milliseconds of silence that end their turn (500; at least 200)
        detector         a model that judges by the sound whether they have, such as `SmartTurn()`: in a pause of 200 ms what sounds
                         complete is answered at once, and what does not waits longer, for the detector's `hold_ms`. Where it fails,
                         silence decides (None: silence decides)

    What interrupts the agent. Voice only pauses playback; words confirm it, and without them playback goes on from the same sample:

        confirm_ms       milliseconds that playback stays paused for want of a word (600)
        backchannels     words that do not interrupt: "mhm", "I see". Right after a question of the agent they are an answer all the same
                         (English ones; () for none)
        half_duplex      whether the microphone is not heard while the agent speaks, for loudspeakers without echo cancellation (False)

    How early the answer begins:

        preemptive       whether the model is asked in the pause in which the person may have finished, before it is known that they
                         have. Nothing of that answer sounds and none of its tools runs until then; if they go on it is thrown away, and
                         its tokens are counted (`turn.wasted`). Where hooks or an `on_message` of your own would run for nothing, it is
                         not (False)

    Raises `PatterConfigError` for a time that is none or too short, and for a detector that cannot judge.
    """

    endpointing_ms: float = 500
    detector: TurnDetector | None = None
    confirm_ms: float = 600
    backchannels: Sequence[str] = BACKCHANNELS
    half_duplex: bool = False
    preemptive: bool = False

    def __post_init__(self) -> None:
        if not is_duration(self.endpointing_ms) or self.endpointing_ms < PAUSE_MS:
            hint = f"Use {PAUSE_MS} or more; 500 suits most conversations."
            raise PatterConfigError(f"endpointing_ms={self.endpointing_ms!r} is no time, or too short.", hint=hint)
        if not is_duration(self.confirm_ms) or self.confirm_ms < FRAME_MS:
            hint = "Use 600, or raise it when interruptions are missed."
            raise PatterConfigError(f"confirm_ms={self.confirm_ms!r} is no time, or too short.", hint=hint)
        if self.detector is not None:
            _expect_detector(self.detector)
        if isinstance(self.backchannels, str) or not all(isinstance(phrase, str) for phrase in self.backchannels):
            raise PatterConfigError(f"backchannels={self.backchannels!r:.80} is no list of texts.", hint='For example ["mhm", "I see"].')
        object.__setattr__(self, "backchannels", tuple(self.backchannels))

    @property
    def patience_ms(self) -> float:
        """Silence that ends a turn of which no judgement has come."""
        return self.endpointing_ms if self.detector is None else self.detector.hold_ms

    def judged_ms(self, probability: float | None) -> float:
        """Silence that ends a turn which is complete with this probability; None: the detector cannot tell."""
        if self.detector is None or probability is None:
            return self.endpointing_ms
        return PAUSE_MS if probability >= self.detector.threshold else self.detector.hold_ms

    def __repr__(self) -> str:
        """What differs from the default."""
        told = [f"{rule.name}={getattr(self, rule.name)!r}" for rule in fields(self) if getattr(self, rule.name) != rule.default]
        return f"TurnTaking({', '.join(told)})"


def _expect_detector(detector: object) -> None:
    if isinstance(detector, type):
        hint = f"Write detector={detector.__name__}()."
        raise PatterConfigError(f"detector is the class {detector.__name__}, not an instance of it.", hint=hint)
    hint = "Pass SmartTurn(), or an object with probability(pcm), threshold (0 to 1) and hold_ms (200 or more)."
    if not callable(getattr(detector, "probability", None)):
        raise PatterConfigError(f"detector is {type(detector).__name__}, which has no probability(pcm).", hint=hint)
    threshold, hold_ms = getattr(detector, "threshold", None), getattr(detector, "hold_ms", -1)
    if not isinstance(threshold, int | float) or not 0 < threshold <= 1 or not is_duration(hold_ms) or hold_ms < PAUSE_MS:
        raise PatterConfigError(f"The detector {type(detector).__name__} has threshold={threshold!r}, hold_ms={hold_ms!r}.", hint=hint)


def is_duration(value: object) -> bool:
    """Whether `value` can be a number of milliseconds: finite, and not below zero."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")

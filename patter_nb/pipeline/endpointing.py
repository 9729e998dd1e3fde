"""When does the person speak, and when have they finished? Pure states over captured samples.

Time here is counted in samples of the person's own stream, so that frames which arrive late and all at once are heard as
they were spoken. The ear only knows voice and silence; whether words came is the transcript's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE
from patter_nb.pipeline.turn_taking import PAUSE_MS, TurnTaking

VOICE_ON = 0.5
"""Probability from which a frame counts as voice (the threshold that Silero's authors recommend)."""
VOICE_OFF = 0.35
"""Probability below which a voice has fallen silent; the gap keeps a wavering voice in one piece."""
ONSET_MS = 60
"""Voice must last this long to be speech: clicks are shorter."""

Shut: TypeAlias = Literal["muted", "deaf"]
"""Why an ear is closed: the person muted the microphone, or nothing can tell voice from silence."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing is heard, for as long as there is a reason."""

    why: frozenset[Shut]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nobody speaks."""


@dataclass(frozen=True, slots=True)
class Onset:
    """Voice began at `since`; not yet long enough to be speech."""

    since: int


@dataclass(frozen=True, slots=True)
class Voiced:
    """The person speaks since `since`; the last voice was at `last`."""

    since: int
    last: int


@dataclass(frozen=True, slots=True)
class Pausing:
    """The person has been silent since `last`, and `noticed` says whether the pause was announced.

    `patience_ms` of silence end the turn, as a detector has judged it; None: as the rule has it. Of a pause that was announced voice has to
    last as long as at the beginning: `again` is where it came back.
    """

    since: int
    last: int
    noticed: bool
    patience_ms: float | None = None
    again: int | None = None


Ear: TypeAlias = Closed | Quiet | Onset | Voiced | Pausing
EarEvent: TypeAlias = Literal["started", "paused", "resumed", "ended"]


def close(ear: Ear, why: Shut) -> Closed:
    """The ear, closed for one more reason."""
    return Closed((ear.why if isinstance(ear, Closed) else frozenset[Shut]()) | {why})


def reopen(ear: Ear, why: Shut) -> Ear:
    """The ear without this reason to be closed."""
    if not isinstance(ear, Closed) or ear.why == {why}:
        return Quiet() if isinstance(ear, Closed) else ear
    return Closed(ear.why - {why})


def silence_ms(ear: Pausing, heard: int) -> float:
    """How long the pause has lasted when `heard` samples were captured, in milliseconds."""
    return (heard - ear.last) * 1000 / SAMPLE_RATE


def is_judged(ear: Pausing, heard: int) -> bool:
    """Whether a detector is asked now, with `heard` samples captured: as soon as the pause is noticed, and again as it lasts."""
    return ear.noticed and (heard - ear.last) % _samples(PAUSE_MS) == 0


def hear(ear: Ear, probability: float, frame: int, rule: TurnTaking) -> tuple[Ear, EarEvent | None]:  # noqa: C901  # one case for each state
    """The ear after frame number `frame`, and what it noticed: speech started, paused, resumed, or the turn ended."""
    start, stop = frame * FRAME_SAMPLES, (frame + 1) * FRAME_SAMPLES
    match ear:
        case Closed():
            return ear, None
        case Quiet():
            return (Onset(start), None) if probability >= VOICE_ON else (ear, None)
        case Onset(since):
            if probability < VOICE_OFF:
                return Quiet(), None
            if stop - since >= _samples(ONSET_MS):
                return Voiced(since, stop), "started"
            return ear, None
        case Voiced(since, last):
            if probability >= VOICE_OFF:
                return Voiced(since, stop), None
            return Pausing(since, last, noticed=False), None
        case Pausing(since, last, noticed, patience_ms, again):
            if probability >= VOICE_ON or (again is not None and probability >= VOICE_OFF):
                again = start if again is None else again
                if noticed and stop - again < _samples(ONSET_MS):
                    return replace(ear, again=again), None
                return Voiced(since, stop), ("resumed" if noticed else None)
            ear = replace(ear, again=None)
            if not noticed:
                return (Pausing(since, last, noticed=True), "paused") if stop - last >= _samples(PAUSE_MS) else (ear, None)
            patience_ms = rule.patience_ms if patience_ms is None else patience_ms
            return (Quiet(), "ended") if stop - last >= _samples(patience_ms) else (ear, None)


def _samples(ms: float) -> int:
    return int(ms * SAMPLE_RATE / 1000)

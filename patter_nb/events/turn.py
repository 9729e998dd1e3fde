"""The life of a turn, and what is done about the words in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from patter_nb.errors import PatterError
from patter_nb.events.body import Body, TurnSource, TurnStatus


@dataclass(frozen=True, slots=True)
class PreemptiveStarted(Body):
    """An answer to `text` is begun before the person is known to have finished: of the turn that may come of it. None of it sounds."""

    type: ClassVar[str] = "preemptive_started"
    text: str


@dataclass(frozen=True, slots=True)
class PreemptiveDropped(Body):
    """The answer that was begun early is thrown away, and why. One that is not becomes its turn's, which `turn_started` tells."""

    type: ClassVar[str] = "preemptive_dropped"
    reason: str


@dataclass(frozen=True, slots=True)
class TurnStarted(Body):
    """A turn began: the person's words (empty where the agent speaks by itself)."""

    type: ClassVar[str] = "turn_started"
    source: TurnSource
    text: str


@dataclass(frozen=True, slots=True)
class TurnWords(Body):
    """What the person said for this turn, known only after it had begun: an engine answers before it has written down what it heard."""

    type: ClassVar[str] = "turn_words"
    text: str


@dataclass(frozen=True, slots=True)
class TurnOffered(Body):
    """The person's words arrived `late_ms` late: they are kept and offered, not answered."""

    type: ClassVar[str] = "turn_offered"
    text: str
    late_ms: float


@dataclass(frozen=True, slots=True)
class TurnAccepted(Body):
    """An offered turn is answered after all."""

    type: ClassVar[str] = "turn_accepted"


@dataclass(frozen=True, slots=True)
class InputChecked(Body):
    """The person's words after hooks and input guardrails: `text` goes to the language model, None goes nowhere."""

    type: ClassVar[str] = "input_checked"
    text: str | None


@dataclass(frozen=True, slots=True)
class GuardrailHit(Body):
    """A guardrail replaced what was said."""

    type: ClassVar[str] = "guardrail_hit"
    name: str
    on: Literal["input", "output"]
    replacement: str


@dataclass(frozen=True, slots=True)
class TurnEnded(Body):
    """The answer is complete and its sound handed over, or the turn ended before that; `error` is the failure that ended it."""

    type: ClassVar[str] = "turn_ended"
    status: TurnStatus
    error: PatterError | None = None


@dataclass(frozen=True, slots=True)
class TurnHeard(Body):
    """What the person really heard of the answer; with `interrupted` the rest never sounds."""

    type: ClassVar[str] = "turn_heard"
    text: str
    interrupted: bool = False

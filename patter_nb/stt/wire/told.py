"""What a vendor says, in words that belong to none of them, and the utterance that it adds up to.

Vendors cut speech into finals by their own sense of a pause. Here only `finalize` ends an utterance, so their finals are segments that
are gathered until the vendor has answered it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from patter_nb.llm.base import LLMChunk
from patter_nb.stt.base import Transcript, Word
from patter_nb.wire.refusals import Refusal

__all__ = ["Answered", "Declined", "Decoder", "Interim", "Segment", "Told", "Utterance"]


@dataclass(frozen=True, slots=True)
class Interim:
    """What is heard of the segment under way. It replaces the interim before it."""

    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece that the vendor will not change any more; the interim of it is over. Times of `words` in ms of the sound that was sent.

    `until_ms` is where in that sound it ends, None where the vendor does not say. `tokens` is what it is charged for, where that is told.
    """

    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    until_ms: float | None = None
    tokens: LLMChunk | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """All that was sent before the vendor's own `finalize` has been transcribed. `until_ms` as for a `Segment`."""

    until_ms: float | None = None


Told: TypeAlias = Interim | Segment | Answered


class Declined(Exception):
    """The vendor would not take the call, or said in a message or as it closed that it will not go on.

    `asked_wait_s` is how long it asks to wait, None where it does not say.
    """

    def __init__(self, refusal: Refusal, asked_wait_s: float | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.asked_wait_s = asked_wait_s


class Decoder(Protocol):
    """Reads the messages of one connection, in order."""

    def take(self, message: Mapping[str, Any]) -> Iterable[Told]:
        """What a message says, perhaps nothing. Raises `Declined` for an error; `KeyError`, `TypeError`, `ValueError`,
        `AttributeError` or `IndexError` for what is not of the vendor's form.
        """


@dataclass(slots=True)
class Utterance:
    """What was heard since the last `finalize`. `joint` stands between segments."""

    joint: str = " "
    segments: list[Segment] = field(default_factory=list)
    interim: str = ""
    pushed: bool = False
    """Whether there is any sound in it."""
    finalized: bool = False
    answered: bool = False
    told_ms: float | None = None
    """When the vendor last said anything, None: never since its first sound."""
    until_ms: float = float("-inf")
    """How far in the sound that was sent its segments reach."""
    end_ms: float = 0.0
    """Where it ends in the sound that was sent; known once it is finalized."""

    def take(self, told: Interim | Segment) -> None:
        """Add what the vendor says."""
        if isinstance(told, Interim):
            self.interim = told.text
        else:
            self.segments.append(told)
            self.interim = ""
            self.until_ms = max(self.until_ms, told.until_ms if told.until_ms is not None else self.until_ms)

    @property
    def text(self) -> str:
        """All that was heard so far, the interim text with it."""
        parts = [*(segment.text for segment in self.segments), self.interim]
        if self.joint:
            parts = [part.strip() for part in parts]
        return self.joint.join(part for part in parts if part).strip()

    def final(self) -> Transcript:
        """The one transcript that answers its `finalize`."""
        words = tuple(word for segment in self.segments for word in segment.words)
        tokens = tuple(segment.tokens for segment in self.segments if segment.tokens is not None)
        return Transcript(self.text, True, words, self._confidence(), tokens)

    def _confidence(self) -> float | None:
        """The mean of what the segments say of themselves, by their number of words."""
        told = [(one.confidence, max(1, len(one.text.split()))) for one in self.segments if one.confidence is not None and one.text.strip()]
        return sum(confidence * words for confidence, words in told) / sum(words for _, words in told) if told else None

"""What a double of a vendor's speech to text is to hear, and what is to go wrong: of no vendor; each dialect says it in its own words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

FIRST_WORD_MS = 100
WORD_MS = 300
"""In an utterance one word begins every so many ms of sound; it lasts for 250."""
LONG_MS = 250

FaultKind = Literal["drop", "close", "garbage", "foreign", "bytes", "frame", "silence", "error"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong once `after_words` words were heard, or, with None, where the final is due.

    "drop" tears the socket down; "close" closes it with `code` and `reason`; "garbage" sends text that is no JSON, "foreign" JSON of
    another form, "bytes" a binary frame, "frame" text that is no UTF-8; "silence" says nothing any more; "error" is the vendor's own
    message for `status` and `message`. What the client says on that connection afterwards is not heard.
    """

    kind: FaultKind
    after_words: int | None = None
    status: int = 500
    message: str = "Something failed."
    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance: the words of `text`, heard one after another as the sound comes, and the rest of them at `finalize`.

    `pauses_after` is after how many words the vendor makes a final of its own, where it does such. `answers` False: it takes the
    `finalize` for granted, as vendors do that have nothing left to say. `hold` keeps the answer back until it is set. `no_speech` is how
    probable the vendor finds it that nobody spoke, where it tells.
    """

    text: str
    fault: Fault | None = None
    pauses_after: int = 0
    answers: bool = True
    confidence: float = 0.9
    hold: asyncio.Event | None = None
    no_speech: float = 0.05

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.text.split())


@dataclass(frozen=True, slots=True)
class Turned:
    """A handshake that is refused with this HTTP status; `message` is where the vendor has a place for it."""

    status: int
    message: str = "It did not work."
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word that was heard, in ms of the sound that came over this connection."""

    text: str
    start_ms: float
    stop_ms: float
    confidence: float


def placed(said: Said, start_ms: float) -> list[SpokenWord]:
    """The words of an utterance that begins at `start_ms`.

    >>> [(word.text, word.start_ms, word.stop_ms) for word in placed(Said("good day"), 1000.0)]
    [('good', 1100.0, 1350.0), ('day', 1400.0, 1650.0)]
    """
    starts = [start_ms + FIRST_WORD_MS + number * WORD_MS for number in range(len(said.words))]
    return [SpokenWord(text, start, start + LONG_MS, said.confidence) for text, start in zip(said.words, starts, strict=True)]

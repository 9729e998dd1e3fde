"""What the pipeline asks of a speech-to-text provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from patter_nb.audio.frames import AudioFormat, Frame
from patter_nb.llm.base import LLMChunk


@dataclass(frozen=True, slots=True)
class Word:
    """One word and where it was said, in milliseconds on the clock of `Frame.capture_ms` (None: the provider does not say).

    In a session that is its own sound: 16 samples of `session.audio.heard` are one millisecond.
    """

    text: str
    start_ms: float | None = None
    stop_ms: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard. A partial replaces the partial before it; a final stands and the next transcript starts after it.

    `tokens` are a vendor's own counts of what a final one is charged for, chunks of type "usage".
    """

    text: str
    is_final: bool
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    tokens: tuple[LLMChunk, ...] = ()


@runtime_checkable
class STT(Protocol):
    """Speech to text, one instance for one live session at a time.

    The pipeline calls `open` once, pushes the frames of an utterance (with a little sound from before it) as they are
    captured, and `finalize` when the person has paused. Each `finalize` is answered on `transcripts()` by exactly one
    final transcript for everything pushed since the last (text "" when nothing was said), whether or not finals came before
    it by themselves; partials may come at any time before it. More frames may follow, then another `finalize`.
    Inference runs off the event loop. A failure raises out of `transcripts()` as a `PatterError`.

    `aclose` ends the stream that `open` began, and lets go of its connection. It keeps a loaded model: another session of the same
    agent may `open` again, and would have to wait for it. The model goes with the instance.
    """

    async def open(self, format: AudioFormat) -> None: ...

    async def push(self, frame: Frame) -> None: ...

    def transcripts(self) -> AsyncIterator[Transcript]: ...

    async def finalize(self) -> None: ...

    async def aclose(self) -> None: ...

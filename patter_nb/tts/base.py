"""What the pipeline asks of a text-to-speech provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from patter_nb.audio.frames import AudioFormat, BrowserSpeech, Pcm

__all__ = ["TTS", "BrowserSpeech"]


@runtime_checkable
class TTS(Protocol):
    """Text to speech. `format` tells the sample rate of what `synthesize` yields.

    `synthesize` yields mono PCM16 blocks as they are made, in order; closing the iterator stops the work within one block.
    Inference runs off the event loop. A failure raises out of the iterator as a `PatterError`.

    Where `format` is None it yields `BrowserSpeech` instead, and only a transport with a browser carries it.
    """

    @property
    def format(self) -> AudioFormat | None: ...

    def synthesize(self, text: str | AsyncIterator[str]) -> AsyncIterator[Pcm] | AsyncIterator[BrowserSpeech]: ...

    async def aclose(self) -> None: ...

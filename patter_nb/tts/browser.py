"""The browser's own voices: nothing to install and no key, as the person's system speaks anyway (Web Speech API, SpeechSynthesis)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from patter_nb.audio.frames import AudioFormat
from patter_nb.errors import PatterConfigError
from patter_nb.keywords import reject_unknown
from patter_nb.tasks import closing
from patter_nb.tts.base import BrowserSpeech
from patter_nb.tts.wire.words import Words, by_sentences

__all__ = ["BrowserTTS"]

_LONGEST: Final = 300
"""Characters at once: some browsers end a longer speech in its middle."""


class BrowserTTS:
    """Text to speech by the browser in which the person listens: the console speaks it, other transports reject it.

    voice      the name of one of the browser's voices ("Google UK English Female"); None, or one that it does not know: its own choice
    language   a BCP 47 tag ("en-GB"), by which the browser chooses; None: the page's
    speed      0.1 to 10, default 1.0; `pitch` 0 to 2, default 1.0

    There is no sound here: nothing of it is recorded, hooks see none, and the browser says where in the text it is, word by word or, with
    some voices, only at the end. It is held between two words. Some browsers do not take their own speech out of the microphone's sound:
    without headphones `TurnTaking(half_duplex=True)` keeps the agent from hearing itself. Some voices are computed by the browser's vendor.
    Raises `PatterConfigError` for a value out of range, `TypeError` for an unknown keyword.
    """

    provider: Final = "browser"
    costs: Final = False

    def __init__(
        self, voice: str | None = None, *, language: str | None = None, speed: float = 1.0, pitch: float = 1.0, **unknown: Any
    ) -> None:
        reject_unknown("BrowserTTS", unknown, ("voice", "language", "speed", "pitch"))
        if not 0.1 <= speed <= 10 or not 0 <= pitch <= 2:
            told = f"BrowserTTS cannot speak with speed={speed!r}, pitch={pitch!r}."
            raise PatterConfigError(told, hint="Speed is 0.1 to 10, pitch 0 to 2; 1.0 is as people speak.")
        self.voice = voice
        self.language = language
        self.speed = float(speed)
        self.pitch = float(pitch)

    @property
    def model(self) -> str | None:
        """The voice's name, for logs; None: the browser's own choice."""
        return self.voice

    @property
    def format(self) -> AudioFormat | None:
        """None: the sound is the browser's."""
        return None

    async def synthesize(self, text: str | AsyncIterator[str]) -> AsyncIterator[BrowserSpeech]:
        """What the browser is to say; an iterator of text by its sentences, as they come."""
        words = Words(text)
        try:
            async with closing(by_sentences(words, longest=_LONGEST)) as portions:
                async for portion in portions:
                    async for said in portion.pieces():
                        yield BrowserSpeech(said, self.voice, self.language, self.speed, self.pitch)
        finally:
            await words.aclose()

    async def aclose(self) -> None:
        """Nothing is held."""

    def __repr__(self) -> str:
        return f"BrowserTTS(voice={self.voice!r})"

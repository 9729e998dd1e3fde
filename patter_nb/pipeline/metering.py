"""What is sent to speech to text and to the voice, in seconds and characters, each as an event of the log once it is known.

It is counted where it is sent: a hook may keep sound back or change a text, and what nobody comes to hear is charged for all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE, Pcm
from patter_nb.errors import AuthenticationError, ConnectionFailed, ModelNotFound, QuotaExceeded, RateLimitError
from patter_nb.events import SpeechUsed
from patter_nb.llm.base import LLMChunk, costs_of, name_of
from patter_nb.pipeline.door import Door
from patter_nb.step.inputs import Booked
from patter_nb.stt.base import STT, Transcript
from patter_nb.tasks import closing
from patter_nb.tts.base import TTS

__all__ = ["HearingMeter", "SpeakingMeter"]

_REFUSALS = (AuthenticationError, ConnectionFailed, ModelNotFound, QuotaExceeded, RateLimitError)
"""With these a vendor has not taken the sound, where it has said nothing of it."""


class HearingMeter:
    """Of one recogniser after the other: sound that was pushed is booked with the final transcript for it, for some vendors tell theirs
    there, or when there will be none. Sound that the vendor refused, or that never reached it, is charged by nobody.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._stt: STT | None = None
        self._sent = 0
        self._asked: deque[int] = deque()
        self._answers, self._refused = False, False

    def begin(self, stt: STT) -> None:
        """This recogniser is sent to from now on."""
        self.settle()
        self._stt = stt
        self.listens()

    def listens(self) -> None:
        """It is listened to from its beginning, or again after a failure."""
        self._answers, self._refused = False, False

    def pushed(self, pcm: Pcm) -> None:
        """So much was taken by it."""
        if not self._refused:
            self._sent += len(pcm)

    def asked(self) -> None:
        """It is about to be asked for the final transcript of that."""
        if not self._refused:
            self._asked.append(self._sent)
            self._sent = 0

    def failed(self, error: BaseException) -> None:
        """It says no more, until it is listened to again, and drops what else is pushed."""
        if isinstance(error, _REFUSALS) and not self._answers:
            self._refused = True
            self._asked.clear()
            self._sent = 0

    def answered(self, transcript: Transcript) -> None:
        """It has said what it heard."""
        self._answers = not transcript.is_final
        if transcript.is_final:
            self._book(self._asked.popleft() if self._asked else self._take(), transcript.tokens)

    def paused(self) -> None:
        """Nothing more of this utterance is pushed: the silence at its end is part of it."""
        if self._asked:
            self._asked[-1] += self._take()
        else:
            self.settle()

    def settle(self) -> None:
        """Book all that is open."""
        samples = self._take() + sum(self._asked)
        self._asked.clear()
        self._book(samples, ())

    def _take(self) -> int:
        sent, self._sent = self._sent, 0
        return sent

    def _book(self, samples: int, tokens: tuple[LLMChunk, ...]) -> None:
        if self._stt is None or not (samples or tokens):
            return
        provider, model = name_of(self._stt)
        tariff = getattr(self._stt, "tariff", None)  # optional: few vendors have more than one price for a model
        seconds = samples / SAMPLE_RATE
        self._door.feed(Booked(SpeechUsed("stt", provider, model, costs_of(self._stt), seconds=seconds, tokens=tokens, tariff=tariff)))


class SpeakingMeter:
    """Of one piece after the other. One that the voice refuses before it has made any sound is charged by nobody."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._open: tuple[TTS, int, str] | None = None
        self._made_s = 0.0

    async def spoken(self, tts: TTS, turn: int, text: str) -> AsyncIterator[object]:
        """What the voice makes of `text`, for `turn`, as it comes. It is booked when that is complete, or is wanted no more."""
        self._open, self._made_s = (tts, turn, text), 0.0
        try:
            async with closing(tts.synthesize(text)) as blocks:
                async for block in blocks:
                    if isinstance(block, np.ndarray) and tts.format is not None:
                        self._made_s += len(block) / tts.format.sample_rate
                    yield block
        except Exception:
            if not self._made_s:
                self._open = None
            raise
        finally:
            self.settle()

    def settle(self) -> None:
        """Book what is under way, as far as it has come."""
        begun, self._open = self._open, None
        if begun is None:
            return
        tts, turn, text = begun
        provider, model = name_of(tts)
        used = SpeechUsed("tts", provider, model, costs_of(tts), seconds=self._made_s or None, characters=len(text))
        self._door.feed(Booked(used, turn))

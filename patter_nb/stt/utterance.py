"""Makes a streaming recogniser of a model that can only transcribe a piece of sound as a whole.

While the person speaks, what was said so far is transcribed again and again, as often as the model's one thread allows, always with
the newest sound; so a slow machine shows fewer partials but never falls behind. Once the person pauses, the sound is transcribed to
its end, and the silence after it changes nothing: when `finalize` comes, the final transcript is mostly there already.

`Utterance` decides, from the frames alone, what to transcribe next. `UtteranceSTT` is the provider around it; a model adds `_load`
and `_transcribe`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, TypeVar

import numpy as np

from patter_nb.audio.frames import FRAME_MS, SAMPLE_RATE, AudioFormat, Frame, Pcm
from patter_nb.audio.level import NoiseFloor, level_db
from patter_nb.errors import AudioError, PatterError
from patter_nb.inference import NativeModel
from patter_nb.stt.base import Transcript

__all__ = ["Stretch", "Utterance", "UtteranceSTT"]

Model = TypeVar("Model")

LEAD: Final = 15
"""Frames kept before the first sound: a consonant may begin below the floor, and with some room before it a first word is heard better."""
TAIL: Final = 8
"""Frames kept after the last sound; when they are over, the person pauses. Shorter than the silence that makes the pipeline ask for
the final."""
LONGEST: Final = 750
"""Frames (15 s) transcribed at once. What is longer is cut where it is quietest: time and errors of the models grow faster than the
sound."""
_CUT_WITHIN: Final = 250

_SOUND_DB: Final = 6.0
"""A frame that stands this far above the room is sound. Low, because silence that counts as sound costs a little time, and lost
sound costs words."""
_LOWEST_FLOOR_DB: Final = -75.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `start` to `stop` of the stream, to be transcribed. `cut`: the rest of the utterance is transcribed apart from it."""

    start: int
    stop: int
    cut: bool = False


class Utterance:
    """The frames of one utterance, and how much of them is transcribed.

    `start` is the number of its first frame since `open`; `every` is how many frames of new sound are worth a partial.
    """

    def __init__(self, start: int, every: int) -> None:
        self.finalized = False
        self._every = every
        self._frames: list[Pcm] = []
        self._levels: list[float] = []
        self._start = start
        self._onset: int | None = None
        self._last = start
        self._before: list[str] = []
        self._text = ""
        self._heard_to = start

    @property
    def end(self) -> int:
        """The number of the frame after its last."""
        return self._start + len(self._frames)

    def push(self, pcm: Pcm, level: float, *, sound: bool) -> None:
        """The next frame, its level in dB, and whether it stands out from the room. Of the silence before the first sound only
        `LEAD` is kept.
        """
        if sound:
            if self._onset is None:
                self._onset = self._heard_to = self.end
            self._last = self.end + 1
        elif self._onset is None and len(self._frames) == LEAD:
            self._forget(1)
        self._frames.append(pcm)
        self._levels.append(level)

    def due(self) -> Stretch | None:
        """What to transcribe now, or None when more sound has to come first, or nothing is left."""
        if self._onset is None:
            return None
        start, stop = max(self._start, self._onset - LEAD), min(self.end, self._last + TAIL)
        if stop - start > LONGEST:
            return Stretch(start, self._quietest(start + LONGEST), cut=True)
        paused = self.end > stop
        worthwhile = self.finalized or paused or stop - self._heard_to >= self._every
        return Stretch(start, stop) if worthwhile and stop > self._heard_to else None

    def pcm(self, stretch: Stretch) -> Pcm:
        """The sound of `stretch`."""
        return np.concatenate(self._frames[stretch.start - self._start : stretch.stop - self._start])

    def take(self, stretch: Stretch, text: str) -> None:
        """`text` is what the model made of `stretch`."""
        self._text = text.strip()
        self._heard_to = stretch.stop
        if stretch.cut:
            self._before.append(self._text)
            self._text = ""
            self._forget(stretch.stop - self._start)
            self._onset = self._start if self._last > self._start else None

    @property
    def text(self) -> str:
        """What was heard so far."""
        return " ".join(part for part in (*self._before, self._text) if part)

    def _forget(self, frames: int) -> None:
        del self._frames[:frames], self._levels[:frames]
        self._start += frames

    def _quietest(self, stop: int) -> int:
        """The frame with the least sound among the last ones before `stop`."""
        first = stop - _CUT_WITHIN - self._start
        return stop - _CUT_WITHIN + int(np.argmin(self._levels[first : first + _CUT_WITHIN]))


class UtteranceSTT(ABC, Generic[Model]):
    """Base of the providers whose model transcribes a piece of sound as a whole. It takes 16 kHz and runs the model on a thread of
    its own.
    """

    provider: ClassVar[str]
    costs: Final = False
    partial_ms: ClassVar[int] = 300
    """Milliseconds of new sound after which a partial is worth its computing."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._native = NativeModel(f"{self.provider} {model}", self._load, self._unload)
        self._restart()

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return type(self).__name__

    @abstractmethod
    def _load(self) -> Model:
        """The model, ready to run. Called on the model's thread."""

    @abstractmethod
    def _transcribe(self, model: Model, pcm: Pcm) -> str:
        """The words in `pcm`, 20 ms to 15 s of sound at 16 kHz; "" when nothing was said. Called on the model's thread."""

    def _unload(self, model: Model) -> None:
        """Free what the garbage collector would not."""

    async def warmup(self) -> None:
        """Load the model and run it once, off the event loop."""
        await self._native.run(lambda model: self._transcribe(model, np.zeros(SAMPLE_RATE // 2, np.int16)))

    async def open(self, format: AudioFormat) -> None:
        if format.sample_rate != SAMPLE_RATE:
            raise AudioError(f"{self.name} takes sound of {SAMPLE_RATE} Hz, not {format.sample_rate} Hz.", hint="Resample it first.")
        self._restart()

    async def push(self, frame: Frame) -> None:
        level = level_db(frame.pcm)
        self._utterances[-1].push(frame.pcm, level, sound=level - self._floor.follow(level) > _SOUND_DB)
        self._changed.set()

    async def finalize(self) -> None:
        last = self._utterances[-1]
        last.finalized = True
        self._utterances.append(self._next(last.end))
        self._changed.set()

    async def transcripts(self) -> AsyncIterator[Transcript]:
        shown = ""
        while not self._closed:
            utterance = self._utterances[0]
            if (stretch := utterance.due()) is not None:
                utterance.take(stretch, await self._hear(utterance, stretch))
                if not utterance.finalized and utterance.text not in ("", shown):
                    shown = utterance.text
                    yield Transcript(shown, is_final=False)
            elif utterance.finalized:
                self._utterances.popleft()
                shown = ""
                yield Transcript(utterance.text, is_final=True)
            else:
                self._changed.clear()
                await self._changed.wait()

    async def aclose(self) -> None:
        """End the stream. The model stays loaded for the next `open`; it is freed with this object, or by `unload`."""
        self._closed = True
        self._changed.set()

    async def unload(self) -> None:
        """Free the model, once the call under way has ended. The next use loads it again."""
        await self._native.aclose()

    async def _hear(self, utterance: Utterance, stretch: Stretch) -> str:
        pcm = utterance.pcm(stretch)
        try:
            return await self._native.run(lambda model: self._transcribe(model, pcm))
        except PatterError:
            self._drop(utterance)
            raise

    def _drop(self, utterance: Utterance) -> None:
        """Give an utterance up after an error, so that `transcripts` called again goes on with the next sound."""
        if self._utterances[0] is utterance:
            self._utterances.popleft()
            if not utterance.finalized:
                self._utterances.appendleft(self._next(utterance.end))

    def _next(self, start: int) -> Utterance:
        return Utterance(start, self.partial_ms // FRAME_MS)

    def _restart(self) -> None:
        self._closed = False
        self._changed = asyncio.Event()
        self._floor = NoiseFloor(_LOWEST_FLOOR_DB)
        self._utterances = deque([self._next(0)])

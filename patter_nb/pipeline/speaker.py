"""The stage that speaks: each piece of the answer is checked, prepared for speech and turned into sound, strictly in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import numpy as np

from patter_nb.audio.frames import BrowserSpeech, Pcm
from patter_nb.audio.resampling import Resampler
from patter_nb.errors import AudioError, PatterConfigError
from patter_nb.events import GuardrailHit
from patter_nb.pipeline.door import Door, resolved, within
from patter_nb.pipeline.guarding import Guard
from patter_nb.pipeline.metering import SpeakingMeter
from patter_nb.pipeline.sentences import speakable
from patter_nb.pipeline.speech_text import SpeechFilter, speech_text
from patter_nb.step.effects import Speak
from patter_nb.step.inputs import AudioMade, PieceChecked, PieceSpoken
from patter_nb.step.state import LETTERS_A_SECOND
from patter_nb.tasks import closing, is_cancelled
from patter_nb.tts.base import TTS


class Speaker:
    """Speaks for one session, one piece at a time. `cancel` forgets what is queued and stops the piece under way."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._queue: deque[Speak] = deque()
        self._task: asyncio.Task[None] | None = None
        self._epoch = -1
        self._guard = Guard()
        self._filter = SpeechFilter()
        self._meter = SpeakingMeter(door)

    @property
    def busy(self) -> bool:
        """Whether a piece is under way or queued."""
        return self._task is not None and not self._task.done()

    def speak(self, asked: Speak) -> None:
        """Speak a piece after those before it."""
        self._queue.append(asked)
        if not self.busy or self._cancelling:
            self._task = self._door.tasks.spawn(self._work(self._task), "speaking")

    @property
    def _cancelling(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0

    def cancel(self) -> None:
        """Stop speaking; what is queued is forgotten."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    def settle(self) -> None:
        """Book the piece under way: nothing more will be logged."""
        self._meter.settle()

    async def _work(self, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait((previous,))
        while self._queue and not is_cancelled():  # its own failure may have cancelled it: what is queued since is another's
            await self._speak(self._queue.popleft())

    async def _speak(self, asked: Speak) -> None:
        if asked.epoch != self._epoch:
            self._epoch, self._guard, self._filter = asked.epoch, Guard(), SpeechFilter()
        with self._door.reporting("tts", asked.epoch):
            text, sound_text, hit = await self._checked(asked)
            tts = self._door.agent.tts
            spoken = await self._before_synthesize(sound_text, asked.turn) if sound_text and tts is not None else sound_text
            self._door.feed(PieceChecked(asked.epoch, asked.index, "" if spoken is None else text, hit))
            if spoken and tts is not None:
                await self._synthesize(tts, asked, spoken)
            self._door.feed(PieceSpoken(asked.epoch, asked.index))

    async def _checked(self, asked: Speak) -> tuple[str, str, GuardrailHit | None]:
        """The piece as it is written, as it is to sound, and what replaced it, if anything did.

        What changes it has done so before the guardrails see it, but `before_synthesize`, which tells the voice how to say it.
        """
        answer = asked.kind == "answer"
        text = await self._on_sentence(asked) if answer else asked.text
        plain = self._filter.piece(text or asked.text)  # markup of a piece that is not said may end in those that follow
        if not text:
            return "", "", None
        with within("transform"):
            sounding = self._transformed(plain)
        if answer:
            with within("guardrail"):
                hit = await self._guard.hit(self._door.agent.guardrails, text, plain, sounding)
            if hit is not None:
                with within("transform"):
                    return f"{hit.replacement} ", self._transformed(speech_text(hit.replacement)).strip(), hit
        return text, sounding.strip(), None

    async def _on_sentence(self, asked: Speak) -> str:
        hook = self._door.agent.hooks.after_llm.on_sentence
        if hook is None:
            return asked.text
        with within("hook"):
            changed = await resolved(hook(asked.text, self._door.context(asked.turn)))
        return changed if isinstance(changed, str) else asked.text

    def _transformed(self, plain: str) -> str:
        """What is to sound of `plain`, nothing where there is no word in it. It stays apart from what was said before, as `plain` does."""
        text = plain
        for transform in self._door.agent.text_transforms:
            text = _expect_text(transform(text), f"The text transform {transform!r:.80}")
        if not speakable(text):
            return ""
        return f" {text}" if plain[:1].isspace() and not text[:1].isspace() else text

    async def _before_synthesize(self, text: str, turn: int) -> str | None:
        """What the voice is to say, or None where the hook skips the piece."""
        hook = self._door.agent.hooks.before_synthesize
        if hook is None:
            return text
        with within("hook"):
            changed = await resolved(hook(text, self._door.context(turn)))
            return None if changed is None else _expect_text(changed, "before_synthesize")

    async def _synthesize(self, tts: TTS, asked: Speak, text: str) -> None:
        hook, context = self._door.agent.hooks.after_synthesize, self._door.context(asked.turn)
        made = 0
        if tts.format is None:
            await self._hand_over(tts, asked, text)
            return
        async with closing(self._resampled(tts, tts.format.sample_rate, asked.turn, text)) as blocks:
            async for pcm in blocks:
                made += len(pcm)
                if hook is None:
                    self._door.feed(AudioMade(asked.epoch, asked.index, pcm))
                    continue
                with within("hook"):
                    audio = await resolved(hook(pcm.tobytes(), text, context))
                    changed = None if audio is None else np.frombuffer(audio, np.int16)
                if changed is not None:
                    self._door.feed(AudioMade(asked.epoch, asked.index, changed))
        if not made and speakable(text):
            raise AudioError(
                f"The voice made no sound of {text!r:.80}.", hint="Check its voice and language, or take another: session.tts = ..."
            )

    async def _hand_over(self, tts: TTS, asked: Speak, text: str) -> None:
        """Have the browser speak; there is no sound here for `after_synthesize`."""
        async with closing(self._meter.spoken(tts, asked.turn, text)) as speeches:
            async for speech in speeches:
                if not isinstance(speech, BrowserSpeech):
                    raise AudioError(
                        f"The voice yielded {type(speech).__name__} and has no format.",
                        hint="Yield BrowserSpeech, or give the voice a format: the AudioFormat of its sound.",
                    )
                length = len(speech.text) * self._door.transport.output.sample_rate // LETTERS_A_SECOND
                self._door.feed(AudioMade(asked.epoch, asked.index, np.zeros(length, np.int16), speech))

    async def _resampled(self, tts: TTS, rate: int, turn: int, text: str) -> AsyncIterator[Pcm]:
        resampler = Resampler(rate, self._door.transport.output.sample_rate)
        async with closing(self._meter.spoken(tts, turn, text)) as blocks:
            async for block in blocks:
                yield resampler.push(_expect_pcm(block))
        yield resampler.flush()


def _expect_text(value: object, source: str) -> str:
    if not isinstance(value, str):
        raise PatterConfigError(f"{source} returned {type(value).__name__}, not text.", hint="Return the text to speak.")
    return value


def _expect_pcm(block: object) -> Pcm:
    if not isinstance(block, np.ndarray) or block.dtype != np.int16 or block.ndim != 1:
        kind = f"an array of {block.dtype}, shape {block.shape}" if isinstance(block, np.ndarray) else type(block).__name__
        raise AudioError(f"The voice yielded {kind}, which is no sound.", hint="Yield mono PCM16: numpy int16 arrays of one dimension.")
    return block

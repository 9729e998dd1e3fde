"""The stage that speaks: each piece of the answer is checked, prepared for speech and turned into sound, strictly in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import numpy as np

from patter_nb.audio.frames import Pcm
from patter_nb.audio.resampling import Resampler
from patter_nb.events import GuardrailHit
from patter_nb.pipeline.door import Door, first_hit, resolved, within
from patter_nb.pipeline.sentences import speakable
from patter_nb.pipeline.speech_text import SpeechFilter
from patter_nb.step.effects import Speak
from patter_nb.step.inputs import AudioMade, PieceChecked, PieceSpoken
from patter_nb.tasks import closing
from patter_nb.tts.base import TTS

GUARD_MEMORY = 200
"""Characters of earlier pieces that a guardrail still sees, for terms that stretch over two."""


class Speaker:
    """Speaks for one session, one piece at a time. `cancel` forgets what is queued and stops the piece under way."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._queue: deque[Speak] = deque()
        self._task: asyncio.Task[None] | None = None
        self._epoch = -1
        self._said = ""
        self._filter = SpeechFilter()

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

    async def _work(self, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait((previous,))
        while self._queue:
            await self._speak(self._queue.popleft())

    async def _speak(self, asked: Speak) -> None:
        if asked.epoch != self._epoch:
            self._epoch, self._said, self._filter = asked.epoch, "", SpeechFilter()
        with self._door.reporting("tts", asked.epoch):
            text, hit = await self._checked(asked) if asked.kind == "answer" else (asked.text, None)
            self._door.feed(PieceChecked(asked.epoch, asked.index, text, hit))
            with within("transform"):
                sound_text = self._prepare(text)
            if self._door.agent.tts is not None and sound_text:
                await self._synthesize(self._door.agent.tts, asked, sound_text)
            self._door.feed(PieceSpoken(asked.epoch, asked.index))

    async def _checked(self, asked: Speak) -> tuple[str, GuardrailHit | None]:
        agent = self._door.agent
        with within("guardrail"):
            hit = await first_hit(agent.guardrails, "output", asked.text, before=self._said)
        self._said = (self._said + asked.text)[-GUARD_MEMORY:]
        if hit is not None:
            return hit.replacement + " ", hit
        if agent.hooks.after_llm.on_sentence is None:
            return asked.text, None
        with within("hook"):
            changed = await resolved(agent.hooks.after_llm.on_sentence(asked.text, self._door.context(asked.turn)))
        return (changed if isinstance(changed, str) else asked.text), None

    def _prepare(self, text: str) -> str:
        text = self._filter.piece(text)
        for transform in self._door.agent.text_transforms:
            text = transform(text)
        return text.strip() if speakable(text) else ""

    async def _synthesize(self, tts: TTS, asked: Speak, text: str | None) -> None:
        hooks, context = self._door.agent.hooks, self._door.context(asked.turn)
        if hooks.before_synthesize is not None:
            with within("hook"):
                text = await resolved(hooks.before_synthesize(text, context))
        if text is None:
            return
        async for pcm in self._resampled(tts, text):
            if hooks.after_synthesize is None:
                self._door.feed(AudioMade(asked.epoch, asked.index, pcm))
                continue
            with within("hook"):
                audio = await resolved(hooks.after_synthesize(pcm.tobytes(), text, context))
            if audio is not None:
                self._door.feed(AudioMade(asked.epoch, asked.index, np.frombuffer(audio, np.int16)))

    async def _resampled(self, tts: TTS, text: str) -> AsyncIterator[Pcm]:
        resampler = Resampler(tts.format.sample_rate, self._door.transport.output.sample_rate)
        async with closing(tts.synthesize(text)) as blocks:
            async for block in blocks:
                yield resampler.push(block)
        yield resampler.flush()

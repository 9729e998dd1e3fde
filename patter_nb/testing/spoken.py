"""A simulated caller who speaks: words to sound, sound to the line, and back what was heard of the agent."""

from __future__ import annotations

from typing import Final

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE, Pcm
from patter_nb.audio.resampling import Resampler
from patter_nb.errors import PatterConfigError
from patter_nb.events import AudioSent, SentenceChecked
from patter_nb.session import Session
from patter_nb.testing.line import Line
from patter_nb.testing.phone import Heard, heard_of
from patter_nb.tts.base import TTS

BREATH_S: Final = 0.2
"""Silence before the caller speaks."""

SETTLED_MS: Final = 300.0
"""Silence after which the agent has noticed, if it ever does, that the caller had spoken."""

UNANSWERED_MS: Final = 5000.0
"""Silence after which the caller goes on by themselves: the agent has heard nothing, or has nothing to say."""


class Spoken:
    """The caller speaks with the voice `tts` over `line`, and cuts in after `patience_s` seconds of the agent, if that is not None."""

    def __init__(self, session: Session, line: Line, tts: TTS, patience_s: float | None) -> None:
        self._session = session
        self._line = line
        self._tts = tts
        self._patience_s = patience_s

    async def greeting(self) -> str:
        """What the agent says first, unasked."""
        if not self._session.turns:
            return ""
        await self._line.run(lambda: self._is_over(0))
        return self._heard_since(0).text

    async def say(self, text: str) -> Heard:
        """Say it, and hear the agent out, or as long as patience lasts."""
        words, since = await self._voiced(text), len(self._session.turns)
        self._line.speak(words)
        await self._line.run(lambda: self._line.silent_ms > 0)
        before_ms = self._line.agent_ms

        def cuts_in() -> bool:
            enough = self._patience_s is not None and self._line.agent_ms - before_ms >= self._patience_s * 1000
            return enough and self._session.state == "speaking"

        await self._line.run(lambda: self._is_over(since) or cuts_in())
        if cuts_in():
            return Heard(self._heard_so_far(), cut_in=True)
        return self._heard_since(since)

    def _is_over(self, since: int) -> bool:
        """Whether whatever came of what was said is answered and heard; or nothing did, for long enough."""
        if self._session.state != "ready" or self._line.silent_ms < SETTLED_MS:
            return False
        turns = self._session.turns[since:]
        if not turns:
            return self._line.silent_ms >= UNANSWERED_MS
        return all(turn.is_settled or turn.status == "offered" for turn in turns)

    def _heard_since(self, since: int) -> Heard:
        turns = self._session.turns[since:]
        text = " ".join(filter(None, map(heard_of, turns)))
        return Heard(text, turns[-1].error if turns else None)

    def _heard_so_far(self) -> str:
        """Of the turn that is being spoken, the pieces that have begun to sound."""
        turn, events = self._session.turns[-1], self._session.events
        texts = {event.body.index: event.body.text for event in events.of(SentenceChecked) if event.turn == turn.id}  # type: ignore[attr-defined]
        sent = [event.body for event in events.of(AudioSent) if event.turn == turn.id]
        begun = {body.index for body in sent if isinstance(body, AudioSent) and body.start < self._line.position}
        return "".join(text for index, text in sorted(texts.items()) if index in begun).strip()

    async def _voiced(self, text: str) -> Pcm:
        form = self._tts.format
        if form is None:
            name = type(self._tts).__name__
            raise PatterConfigError(
                f"{name} speaks by a browser, and a caller has none.", hint="Take a voice that makes sound: PiperTTS()."
            )
        resampler = Resampler(form.sample_rate, SAMPLE_RATE)
        sound = [np.zeros(int(BREATH_S * SAMPLE_RATE), np.int16)]
        async for block in self._tts.synthesize(text):
            if isinstance(block, np.ndarray):
                sound.append(resampler.push(block))
        return np.concatenate([*sound, resampler.flush()])

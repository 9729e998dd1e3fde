"""A call out of a file and into a file: the recording is the microphone, a simulated loudspeaker is recorded.

Both share one time axis, so that sample n of the recording is what was heard while sample n of the question was captured.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from patter_nb.agent import Agent
from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE, AudioFormat, Block, Frame, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.audio.wav import check_writable, read_wav, to_pcm, write_wav
from patter_nb.clock import Clock, ManualClock, SystemClock
from patter_nb.errors import AudioError, PatterConfigError
from patter_nb.files import StrPath
from patter_nb.transports.base import Played, TransportInput, require_own_sound
from patter_nb.transports.loudspeaker import Loudspeaker

__all__ = ["WavTransport"]

Recording: TypeAlias = tuple[npt.ArrayLike, int]
"""(samples, rate): int16, or float from -1.0 to 1.0, of shape (n,) or (n, channels), at `rate` Hz."""


class WavTransport:
    """The person is the recording `src`; what they hear of the agent is written to `dst`.

    `src` is the path of a WAV file, or (samples, rate). `dst` is the path of a WAV file, written whole by `aclose`: mono PCM16 at 16 kHz,
    at least as long as the question, with silence where nothing was heard. Without it only `record` holds the answer.

    `paced` True: a frame comes when its last sample would have been captured, on a clock that follows the wall; a session that was busy
    gets its frames late and in order. `paced` False: time moves by one frame whenever the session asks for the next frame. A session asks
    only when nothing that it started is under way, so nothing sleeps, and an answer begins in file time right after the end of the turn,
    however long it took to make.

    `exhausted` turns True with the last frame of the question. `inputs` does not end there, because the silence after the last word is what
    ends a turn: it goes on with silent frames, and the session stops asking once it is `exhausted` and its answer has been heard.

    Raises `AudioError` here, before any call, when `src` cannot be read or `dst` cannot be written.

    >>> question = np.zeros(16_000, np.int16), 16_000
    >>> len(WavTransport(question, paced=False).record)
    16000
    """

    output = AudioFormat(SAMPLE_RATE)
    plays = True
    awaited = False

    def __init__(self, src: StrPath | Recording, dst: StrPath | None = None, *, paced: bool = True) -> None:
        pcm, rate = (to_pcm(src[0]), src[1]) if isinstance(src, tuple) else read_wav(src)
        self._question = resample(pcm, rate, SAMPLE_RATE)
        if dst is not None:
            _check_apart(src, dst)
            check_writable(dst)
        self.exhausted = False
        self.paced = paced
        self._dst = dst
        self._virtual = None if paced else ManualClock(wall=True)
        self.clock: Clock = self._virtual or SystemClock()
        self._origin_ms: float | None = None
        self._seq = 0
        self._speaker = Loudspeaker()

    def check(self, agent: Agent) -> None:
        """Raise `PatterConfigError` for an agent that would not hear `src`, or that has no voice for `dst`, or a browser's."""
        if agent.stt is None and agent.engine is None:
            hint = "Give the agent stt=, for example stt=MoonshineSTT()."
            raise PatterConfigError("Nobody would hear the recording: the agent has no speech-to-text.", hint=hint)
        if self._dst is not None and agent.tts is None and agent.engine is None:
            hint = "Give the agent tts=, for example tts=PiperTTS(), or leave dst away."
            raise PatterConfigError(f"{os.fspath(self._dst)} would be silent: the agent has no text-to-speech.", hint=hint)
        require_own_sound(agent, "a recording")

    def check_waiting(self) -> None:
        """The recording goes on whatever is awaited."""

    async def inputs(self) -> AsyncGenerator[TransportInput, None]:
        """Frames without end, and after each how far playback has come, when it has come further. File time starts with the first call."""
        reported = self._speaker.position
        if self._origin_ms is None:
            self._origin_ms = self.clock.now_ms()
        while True:
            captured_ms = self._origin_ms + (self._seq + 1) * FRAME_MS
            await self._reach(captured_ms)
            frame = Frame(self._samples(self._seq), self._seq, float(self._seq * FRAME_MS), max(0.0, self.clock.now_ms() - captured_ms))
            self._seq += 1
            self.exhausted = self._seq * FRAME_SAMPLES >= len(self._question)
            yield frame
            position = self._loudspeaker().position
            if position > reported:
                reported = position
                yield Played(position)

    async def play(self, block: Block) -> None:
        """Queue `block`; it is heard from now on, or when what was queued before it has been."""
        self._loudspeaker().play(block)

    async def pause(self) -> None:
        """Fall silent now, and keep the place."""
        self._loudspeaker().paused = True

    async def resume(self) -> None:
        """Go on with the sample after the last one heard."""
        self._loudspeaker().paused = False

    async def flush(self) -> None:
        """Forget what has not been heard, and end a pause: what is played next is heard at once."""
        self._loudspeaker().flush()

    async def aclose(self) -> None:
        """Write `dst`, if the call has begun. Raises `AudioError` when that fails; calling it again then tries again."""
        if self._dst is not None and self._origin_ms is not None:
            write_wav(self._dst, self.record, SAMPLE_RATE)
            self._dst = None

    @property
    def record(self) -> Pcm:
        """What has been heard until now, as `dst` gets it: mono PCM16 at 16 kHz, aligned in time with the question."""
        speaker = self._loudspeaker()
        record = np.zeros(max(len(self._question), speaker.sounded), np.int16)
        heard = speaker.heard.slice(0, min(len(record), len(speaker.heard)))
        record[: len(heard)] = heard
        return record

    async def _reach(self, t_ms: float) -> None:
        if self._virtual is None:
            await self.clock.sleep_until(t_ms)
        else:
            self._virtual.advance(max(0.0, t_ms - self._virtual.now_ms()))
            await asyncio.sleep(0)  # whoever slept until now runs before the frame is heard

    def _samples(self, seq: int) -> Pcm:
        samples = self._question[seq * FRAME_SAMPLES : (seq + 1) * FRAME_SAMPLES]
        return samples if len(samples) == FRAME_SAMPLES else np.pad(samples, (0, FRAME_SAMPLES - len(samples)))

    def _loudspeaker(self) -> Loudspeaker:
        """The loudspeaker, brought up to the present."""
        if self._origin_ms is not None:
            self._speaker.run_until(round((self.clock.now_ms() - self._origin_ms) * SAMPLE_RATE / 1000))
        return self._speaker


def _check_apart(src: StrPath | Recording, dst: StrPath) -> None:
    if not isinstance(src, tuple) and Path(dst).is_file() and os.path.samefile(src, dst):
        raise AudioError(f"{os.fspath(dst)} is the question itself, and would be lost.", hint="Give the answer another name.")

"""What the page really played, as samples: to be recognised, measured, and looked for gaps. The listening itself is page_sound.js."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, AudioFormat, Frame, Pcm
from patter_nb.audio.level import level_db
from patter_nb.audio.resampling import resample
from patter_nb.stt.moonshine import MoonshineSTT

SCRIPT = Path(__file__).with_suffix(".js")
OUT_OF_STEP_S = 0.1
"""A context that was suspended, or whose machine could not keep up, goes on later than its count of frames says."""


@dataclass(frozen=True, slots=True)
class Echo:
    """The page's sound comes back through its microphone after `delay_ms`, and 30 to 45 ms more that Chromium needs, `loss_db` quieter.

    It is mixed in after whatever the browser does to the microphone's sound, so this is what echo cancellation would have left.
    """

    delay_ms: float = 100.0
    loss_db: float = 30.0


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono PCM16 at `rate` Hz; `at` is when its first sample was played, in seconds since the epoch (the kernel's `time.time()`)."""

    pcm: Pcm = field(repr=False)
    rate: int
    at: float

    @property
    def seconds(self) -> float:
        return len(self.pcm) / self.rate

    @property
    def db(self) -> float:
        """The level of the whole, in dB below full scale."""
        return level_db(self.pcm)

    def between(self, start_s: float, stop_s: float) -> Sound:
        """A part of it; seconds from its beginning."""
        start, stop = round(start_s * self.rate), round(stop_s * self.rate)
        return Sound(self.pcm[start:stop], self.rate, self.at + start / self.rate)

    def spans(self, *, over_db: float = -50.0, gap_ms: float = 200.0) -> list[tuple[float, float]]:
        """Where there is sound, as (start, stop) in seconds from the beginning, to 10 ms; shorter gaps than `gap_ms` are bridged."""
        step = self.rate // 100
        spans: list[tuple[float, float]] = []
        for index in range(0, len(self.pcm), step):
            start, stop = index / self.rate, (index + step) / self.rate
            if level_db(self.pcm[index : index + step]) <= over_db:
                continue
            if spans and start - spans[-1][1] <= gap_ms / 1000:
                start = spans.pop()[0]
            spans.append((start, stop))
        return spans

    async def text(self) -> str:
        """What `MoonshineSTT` makes of it."""
        return await recognised(self.pcm, self.rate)


@dataclass(frozen=True, slots=True)
class Played:
    """A block of 2048 samples that `context`, one of those of all loads of a page, sent to its output; `frame` counts those before it."""

    context: str
    rate: int
    frame: int
    at: float
    pcm: Pcm = field(repr=False)

    @classmethod
    def of(cls, told: dict[str, Any], load: int) -> Played:
        """A block as `__heard()` tells of it, in the page after so many reloads."""
        pcm = np.frombuffer(base64.b64decode(told["pcm"]), "<i2")
        return cls(f"{load}.{told['context']}", round(told["rate"]), told["frame"], told["at"] / 1000, pcm)


def script(echo: Echo | None) -> str:
    """What the page runs before its own scripts."""
    options = {"echo": None if echo is None else asdict(echo)}
    return f"({SCRIPT.read_text('utf-8')})({json.dumps(options)})"


def tracks(blocks: Iterable[Played]) -> list[Sound]:
    """A sound for each context, at its own rate and sample by sample as it was played; another one where it was out of step."""
    runs: list[list[Played]] = []
    newest: dict[str, list[Played]] = {}
    for block in blocks:
        run = newest.get(block.context)
        if run is None or abs(block.at - run[-1].at - (block.frame - run[-1].frame) / block.rate) > OUT_OF_STEP_S:
            run = newest[block.context] = []
            runs.append(run)
        run.append(block)
    return [_sound(run) for run in runs]


def mixed(sounds: list[Sound]) -> Sound:
    """What a person heard of `sounds`, at 16 kHz."""
    if not sounds:
        return Sound(np.zeros(0, np.int16), SAMPLE_RATE, 0.0)
    at = min(sound.at for sound in sounds)
    parts = [(round((sound.at - at) * SAMPLE_RATE), resample(sound.pcm, sound.rate, SAMPLE_RATE)) for sound in sounds]
    whole = np.zeros(max(start + len(pcm) for start, pcm in parts), np.int32)
    for start, pcm in parts:
        whole[start : start + len(pcm)] += pcm
    return Sound(np.clip(whole, -32768, 32767).astype(np.int16), SAMPLE_RATE, at)


async def recognised(pcm: Pcm, rate: int) -> str:
    """What `MoonshineSTT` makes of a sound. A test that asks is marked `models`."""
    frames = resample(pcm, rate, SAMPLE_RATE)
    frames = frames[: len(frames) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    stt = MoonshineSTT()
    await stt.open(AudioFormat())
    try:
        for seq, frame in enumerate(frames):
            await stt.push(Frame(frame, seq, seq * 20.0))
        await stt.finalize()
        transcripts = stt.transcripts()
        while not (transcript := await anext(transcripts)).is_final:
            pass
        return transcript.text
    finally:
        await stt.aclose()


def _sound(run: list[Played]) -> Sound:
    rate, first = run[0].rate, run[0].frame
    at = float(np.median([block.at - (block.frame - first) / rate for block in run]))
    return Sound(np.concatenate([block.pcm for block in run]), rate, at)

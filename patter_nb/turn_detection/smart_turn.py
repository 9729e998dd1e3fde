"""End of turn by Smart Turn v3, a small network on Whisper's encoder that hears intonation and hesitation, in 23 languages.

It is Daily's, under the BSD 2-Clause licence; the file lies in the `pipecat-ai` wheel, of which `patter-nb download smart-turn` keeps
nothing else. How it is to be asked (the last 8 s at 16 kHz, silence before them where there are fewer, unit variance, log-mel) is from
github.com/pipecat-ai/smart-turn, `inference.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE, Pcm
from patter_nb.downloads.artifacts import ARTIFACTS, verified
from patter_nb.errors import PatterConfigError
from patter_nb.inference import onnx_session
from patter_nb.turn_detection.log_mel import log_mel

__all__ = ["SmartTurn"]

_SAMPLES: Final = 8 * SAMPLE_RATE


class SmartTurn:
    """The probability that the person has finished, by Smart Turn v3.2: `TurnTaking(detector=SmartTurn())`.

    threshold     probability from which the turn is complete (default 0.5, its authors')
    hold_ms       milliseconds of silence that end a turn which does not sound complete (default 1200)

    About 40 ms of one core for each judgement; `warmup` or the first judgement loads the model. Raises `ModelNotFound` when
    `patter-nb download smart-turn` has not been run, `PatterConfigError` when the file has another hash or an argument is none,
    `MissingExtra` without onnxruntime.
    """

    provider: Final = "smart-turn"

    def __init__(self, *, threshold: float = 0.5, hold_ms: float = 1200) -> None:
        if not isinstance(threshold, int | float) or not 0.0 < threshold < 1.0:
            raise PatterConfigError(f"threshold={threshold!r} is no probability.", hint="Use a number between 0 and 1; 0.5 suits most.")
        self.threshold = threshold
        self.hold_ms = hold_ms
        self._session: Any = None

    async def warmup(self) -> None:
        """Load the model and run it once, off the event loop."""
        await asyncio.to_thread(self.probability, np.zeros(SAMPLE_RATE, np.int16))

    def probability(self, pcm: Pcm) -> float:
        """The probability that who spoke `pcm` (int16, 16 kHz; of more than 8 s the last) has finished."""
        samples = pcm[-_SAMPLES:].astype(np.float32) / 32768.0
        samples = np.pad(samples, (_SAMPLES - len(samples), 0))
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        [outcome] = self._loaded().run(None, {"input_features": log_mel(samples)[np.newaxis]})
        return float(outcome.item())

    def _loaded(self) -> Any:
        if self._session is None:
            model = verified("smart-turn", "SmartTurn") / ARTIFACTS["smart-turn"].files[0].path
            self._session = onnx_session(str(model), threads=1, needed_for="SmartTurn")
        return self._session

    def __repr__(self) -> str:
        return "SmartTurn()"

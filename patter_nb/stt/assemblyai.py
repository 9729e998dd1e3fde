"""Speech to text by AssemblyAI, over version 3 of its streaming socket.

Protocol facts are from assemblyai.com/docs/streaming: "Streaming WebSocket API" (the query, messages of 50 to 1000 ms of sound), "Message
sequence" (Begin, Turn, ForceEndpoint, Terminate; no keep-alive is needed), "Common session errors and closures" (an Error message before
the close, and the codes of both).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from patter_nb.errors import PatterConfigError
from patter_nb.stt.base import Word
from patter_nb.stt.wire.link import Closed, Message
from patter_nb.stt.wire.socket import SocketSTT
from patter_nb.stt.wire.told import Answered, Declined, Interim, Segment, Told
from patter_nb.wire.refusals import Refusal

__all__ = ["AssemblyAISTT"]

_STATUS: Final[Mapping[int, int]] = {
    **{1013: 503, 3005: 500, 3006: 400, 3007: 400, 3009: 429},
    **{4000: 400, 4001: 401, 4002: 402, 4003: 402, 4029: 429, 4100: 400, 4101: 400, 4102: 429},
}
"""The status that a close code would have had over HTTP."""
_ENDED: Final = (1000, 3008, 4008, 4010, 4031)
"""The session is over, by its age or its silence: no more than a connection that ended."""
_NOT_ALLOWED: Final = re.compile(r"not authori[sz]ed|unauthori[sz]ed|invalid api key|missing authorization", re.IGNORECASE)


class AssemblyAISTT(SocketSTT):
    """Speech to text by AssemblyAI, by default universal-streaming-english; the key is ASSEMBLYAI_API_KEY.

    min_turn_silence_ms   pause after which AssemblyAI ends a turn of its own, when it is confident, 400. They are gathered until `finalize`
    max_turn_silence_ms   the same when it is not, None: the vendor's default
    format_turns          full stops, capitals and digits, False: they take another moment
    keyterms              words to expect

    The rest as in `VendorSTT`. `language` other than "en" needs model="universal-streaming-multilingual". Words have times and a
    confidence. AssemblyAI bills the time that a session is open.
    """

    provider: ClassVar[str] = "assemblyai"
    key_name: ClassVar[str] = "ASSEMBLYAI_API_KEY"
    models: ClassVar[tuple[str, ...]] = ("universal-streaming-english", "universal-streaming-multilingual", "u3-rt-pro")
    piece_ms: ClassVar[int] = 60
    shortest_ms: ClassVar[int] = 50
    quiet_ms: ClassVar[float | None] = 700.0
    quiet_without_words: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913  # each is a choice of the user
        self,
        api_key: str | None = None,
        *,
        model: str = "universal-streaming-english",
        language: str | None = "en",
        base_url: str = "wss://streaming.assemblyai.com",
        min_turn_silence_ms: int | None = 400,
        max_turn_silence_ms: int | None = None,
        format_turns: bool = False,
        keyterms: Sequence[str] = (),
        timeout_s: float = 10.0,
        max_retries: int = 2,
        **unknown: Any,
    ) -> None:
        options = {
            "min_turn_silence_ms": min_turn_silence_ms,
            "max_turn_silence_ms": max_turn_silence_ms,
            "format_turns": format_turns,
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
        if model.endswith("-english") and language is not None and language.partition("-")[0] != "en":
            hint = 'Use model="universal-streaming-multilingual".'
            raise PatterConfigError(f"{model} understands English, not language={language!r}.", hint=hint)

    def url(self) -> str:
        keyterms = self.options["keyterms"]
        query = {
            "sample_rate": self.sample_rate,
            "encoding": "pcm_s16le",
            "speech_model": self.model,
            "format_turns": self.options["format_turns"],
            "min_turn_silence": self.options.get("min_turn_silence_ms"),
            "max_turn_silence": self.options.get("max_turn_silence_ms"),
            "keyterms_prompt": json.dumps(keyterms) if keyterms else None,
            "language_codes": json.dumps([self.language]) if self.language and not self.model.endswith("-english") else None,
        }
        return self.address("/v3/ws", query)

    def headers(self) -> dict[str, str]:
        return {"Authorization": self._key}

    def decoder(self) -> _Turns:
        return _Turns(formatted=self.options["format_turns"])

    def asking(self) -> Message:
        return '{"type": "ForceEndpoint"}'

    def farewell(self) -> Sequence[Message]:
        return ('{"type": "Terminate"}',)

    def closing(self, code: int, reason: str) -> Refusal | None:
        return _refusal(code, reason)


class _Turns:
    """A turn is sent again and again until it has ended, and once more where it is to be `formatted`."""

    def __init__(self, *, formatted: bool) -> None:
        self._formatted = formatted

    def take(self, message: Mapping[str, Any]) -> Iterable[Told]:
        if message["type"] == "Error":
            code, told = int(message.get("error_code") or 0), str(message["error"])
            if (refusal := _refusal(code, told)) is None:
                raise Closed(code, told)
            raise Declined(refusal)
        if message["type"] != "Turn":  # Begin, Termination, SpeechStarted, Warning
            return
        words = message["words"]
        if not message["end_of_turn"] or (self._formatted and not message["turn_is_formatted"]):
            unfinished = [str(word["text"]) for word in words if not word["word_is_final"]]
            yield Interim(" ".join([str(message["transcript"]), *unfinished]).strip())
            return
        confidence = sum(float(word["confidence"]) for word in words) / len(words) if words else None
        until_ms = float(words[-1]["end"]) if words else None
        yield Segment(str(message["transcript"]), tuple(map(_word, words)), confidence, until_ms)
        yield Answered(until_ms)


def _word(told: Mapping[str, Any]) -> Word:
    return Word(str(told["text"]), float(told["start"]), float(told["end"]), float(told["confidence"]))


def _refusal(code: int, told: str) -> Refusal | None:
    """What a close, or an Error, means; None for a session that is just over."""
    if _NOT_ALLOWED.search(told):
        return Refusal(401, told, str(code))
    if code in _STATUS:
        return Refusal(_STATUS[code], told or "no explanation", str(code))
    if code == 1008:
        return Refusal(400, told or "no explanation", str(code))
    return None if code in _ENDED or code < 3000 else Refusal(500, told or "no explanation", str(code))

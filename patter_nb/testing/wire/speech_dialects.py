"""The sockets for speech to text, from the far side: what each takes, and the form of what it says.

OpenAI's is a neighbour. Sources are those named in the modules of `patter_nb.stt`; each vendor's own client is a client of these in our
tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from patter_nb.testing.wire.speech_script import SpokenWord, Turned

Asked: TypeAlias = bytes | Literal["finalize", "end", "nothing"]
"""What a client's message means: sound, or one of these."""

MODELS: Final = (
    *("nova-3", "nova-2", "universal-streaming-english", "universal-streaming-multilingual", "ink-whisper", "ink-2"),
    *("gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1"),
)
_REQUEST: Final = "5d3a2c1e-0001-4a4a-9a9a-000000000001"


class Unacceptable(Exception):
    """The vendor does not go on after this message of the client; `closes`: nor does the connection."""

    def __init__(self, told: Sequence[str], *, code: int = 1008, reason: str = "", closes: bool = True) -> None:
        super().__init__(reason or str(told))
        self.told = told
        self.code = code
        self.reason = reason
        self.closes = closes


class Dialect(Protocol):
    """One connection's side of the wire."""

    rate: int
    by_itself: bool
    """Whether it says what it hears, and makes finals, before it is asked."""

    def welcome(self, query: Mapping[str, str], headers: Mapping[str, str], key: str | None) -> Turned | list[str]:
        """A refused handshake, or the first messages. Raises `Unacceptable`."""

    def asked(self, message: str | bytes) -> Asked:
        """What the client means. Raises `Unacceptable`."""

    def interim(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord]) -> list[str]:
        """What is heard since the last final, `earlier` words were in it."""

    def final(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord], *, finalized: bool, until_ms: float) -> list[str]:
        """A final, the last one of an utterance where it was asked for (`finalized`)."""

    def error(self, status: int, message: str) -> tuple[list[str], int]:
        """The vendor's words for a failure, and the code with which it closes (0: it does not)."""

    def goodbye(self) -> list[str]:
        """What is said to a client that ends the stream."""


def text_of(words: Sequence[SpokenWord]) -> str:
    return " ".join(word.text for word in words)


class DeepgramDialect:
    rate, by_itself = 16_000, True

    def __init__(self) -> None:
        self._start_ms = 0.0

    def welcome(self, query: Mapping[str, str], headers: Mapping[str, str], key: str | None) -> Turned | list[str]:
        told = {"dg-request-id": _REQUEST}
        if key is not None and headers.get("Authorization") != f"Token {key}":
            return Turned(401, "Invalid credentials.", {**told, "dg-error": "Invalid credentials."})
        if query.get("model") not in MODELS:
            no_model = "Bad Request: No such model/language/tier combination found."
            return Turned(400, no_model, {**told, "dg-error": no_model})
        if query.get("encoding") != "linear16" or query.get("sample_rate") != "16000":
            return Turned(400, "Bad encoding.", {**told, "dg-error": "Bad Request: encoding and sample_rate must be given for raw audio."})
        return []

    def asked(self, message: str | bytes) -> Asked:
        if isinstance(message, bytes):
            return message or "end"  # an empty frame closes the stream
        kinds: Mapping[object, Asked] = {"Finalize": "finalize", "CloseStream": "end", "KeepAlive": "nothing"}
        kind = json.loads(message).get("type")
        if kind not in kinds:
            raise Unacceptable([], reason="DATA-0000: the payload cannot be decoded as audio or a message")
        return kinds[kind]

    def _results(self, words: Sequence[SpokenWord], *, final: bool, finalized: bool, until_ms: float) -> list[str]:
        told = [
            {"word": word.text.lower(), "punctuated_word": word.text, "start": word.start_ms / 1000, "end": word.stop_ms / 1000}
            | {"confidence": word.confidence}
            for word in words
        ]
        best = {"transcript": text_of(words), "confidence": words[0].confidence if words else 0.0, "words": told}
        message = {
            "type": "Results",
            "channel_index": [0, 1],
            "start": self._start_ms / 1000,
            "duration": (until_ms - self._start_ms) / 1000,
            "is_final": final,
            "speech_final": final and not finalized,
            "from_finalize": finalized,
            "channel": {"alternatives": [best]},
            "metadata": {
                "request_id": _REQUEST,
                "model_info": {"name": "general-nova-3", "version": "1", "arch": "nova-3"},
                "model_uuid": _REQUEST,
            },
        }
        return [json.dumps(message)]

    def interim(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord]) -> list[str]:
        return self._results(words, final=False, finalized=False, until_ms=words[-1].stop_ms)

    def final(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord], *, finalized: bool, until_ms: float) -> list[str]:
        told = self._results(words, final=True, finalized=finalized, until_ms=until_ms)
        self._start_ms = until_ms
        return told

    def error(self, status: int, message: str) -> tuple[list[str], int]:
        return [json.dumps({"type": "Error", "description": message, "message": message, "variant": str(status)})], 1011

    def goodbye(self) -> list[str]:
        told = {"type": "Metadata", "transaction_key": "deprecated", "request_id": _REQUEST, "sha256": "0" * 64}
        return [json.dumps({**told, "created": "2026-01-01T00:00:00Z", "duration": 1.0, "channels": 1, "models": []})]


class AssemblyDialect:
    rate, by_itself = 16_000, True

    def __init__(self) -> None:
        self._turn = 0
        self._formats = False

    def welcome(self, query: Mapping[str, str], headers: Mapping[str, str], key: str | None) -> Turned | list[str]:
        if key is not None and headers.get("Authorization") != key:
            raise Unacceptable([self._error(1008, "Unauthorized Connection: Not authorized")], reason="See Error message for details")
        if query.get("speech_model") not in MODELS:
            told = f"Input validation error: unknown speech_model {query.get('speech_model')!r}"
            raise Unacceptable([self._error(3006, told)], code=3006, reason="See Error message for details")
        self._formats = query.get("format_turns", "").lower() == "true"
        return [json.dumps({"type": "Begin", "id": _REQUEST, "expires_at": 1_900_000_000})]

    def asked(self, message: str | bytes) -> Asked:
        if isinstance(message, bytes):
            if not 50 <= len(message) / 32 <= 1000:
                told = f"Input duration violation: {len(message) / 32:.0f} ms. Expected between 50 and 1000 ms"
                raise Unacceptable([self._error(3007, told)], code=3007, reason="See Error message for details")
            return message
        kinds: Mapping[object, Asked] = {
            "ForceEndpoint": "finalize",
            "Terminate": "end",
            "KeepAlive": "nothing",
            "UpdateConfiguration": "nothing",
        }
        kind = json.loads(message).get("type")
        if kind not in kinds:
            raise Unacceptable([self._error(3006, "Invalid message type")], code=3006)
        return kinds[kind]

    def _error(self, code: int, message: str) -> str:
        return json.dumps({"type": "Error", "error_code": code, "error": message})

    def _turn_of(self, words: Sequence[SpokenWord], *, ended: bool, formatted: bool = False) -> str:
        told = [
            {"text": word.text, "start": int(word.start_ms), "end": int(word.stop_ms), "confidence": word.confidence}
            | {"word_is_final": ended or number < len(words) - 1}
            for number, word in enumerate(words)
        ]
        said = text_of(words if ended else words[:-1])
        message = {"type": "Turn", "turn_order": self._turn, "turn_is_formatted": formatted, "end_of_turn": ended, "words": told}
        return json.dumps({**message, "transcript": f"{said.capitalize()}." if formatted else said, "end_of_turn_confidence": float(ended)})

    def interim(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord]) -> list[str]:
        return [self._turn_of(words, ended=False)]

    def final(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord], *, finalized: bool, until_ms: float) -> list[str]:
        if not words:
            return []  # there is no turn that could end
        told = [self._turn_of(words, ended=True), *([self._turn_of(words, ended=True, formatted=True)] if self._formats else [])]
        self._turn += 1
        return told

    def error(self, status: int, message: str) -> tuple[list[str], int]:
        code = {400: 3006, 401: 4001, 402: 4002, 429: 3009}.get(status, 3005)
        return [self._error(code, message)], code

    def goodbye(self) -> list[str]:
        return [json.dumps({"type": "Termination", "audio_duration_seconds": 1, "session_duration_seconds": 1})]


class CartesiaDialect:
    rate, by_itself = 16_000, True

    def welcome(self, query: Mapping[str, str], headers: Mapping[str, str], key: str | None) -> Turned | list[str]:
        if key is not None and key not in (headers.get("X-API-Key"), str(headers.get("Authorization")).removeprefix("Bearer ")):
            return Turned(401, "Invalid API key")
        if query.get("model") not in MODELS:
            raise Unacceptable(self.error(400, "The model is not valid, make sure it is a valid model ID.")[0], code=1008)
        if query.get("encoding") != "pcm_s16le" or query.get("sample_rate") != "16000":
            return Turned(400, "Invalid encoding")
        return []

    def asked(self, message: str | bytes) -> Asked:
        if isinstance(message, bytes):
            return message
        kinds: Mapping[str, Asked] = {"finalize": "finalize", "done": "end", "close": "end"}
        if message not in kinds:
            raise Unacceptable(self.error(400, f"Unknown command {message!r:.40}")[0])
        return kinds[message]

    def _transcript(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord], *, final: bool) -> str:
        told = [{"word": word.text, "start": word.start_ms / 1000, "end": word.stop_ms / 1000} for word in words]
        text = f"{' ' if earlier and words else ''}{text_of(words)}"
        message = {"type": "transcript", "request_id": _REQUEST, "is_final": final, "text": text, "language": "en"}
        return json.dumps({**message, "duration": 0.5, "words": told})

    def interim(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord]) -> list[str]:
        return [self._transcript(words, earlier, final=False)]

    def final(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord], *, finalized: bool, until_ms: float) -> list[str]:
        flushed = [json.dumps({"type": "flush_done", "request_id": _REQUEST})] if finalized else []
        return [*([self._transcript(words, earlier, final=True)] if words else []), *flushed]

    def error(self, status: int, message: str) -> tuple[list[str], int]:
        told = {"type": "error", "title": "It failed", "message": message, "status_code": status, "request_id": _REQUEST}
        return [json.dumps(told)], 1011

    def goodbye(self) -> list[str]:
        return [json.dumps({"type": "done", "request_id": _REQUEST})]

"""OpenAI's Realtime session that only transcribes, from the far side."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from patter_nb.testing.wire.speech_dialects import MODELS, Asked, Unacceptable, text_of
from patter_nb.testing.wire.speech_script import SpokenWord, Turned


class OpenAIDialect:
    """A Realtime session of type "transcription". It hears only what is committed."""

    rate, by_itself = 24_000, False

    def __init__(self) -> None:
        self._events = self._items = self._uncommitted = 0
        self._committed_ms = 0.0
        self._model = ""
        self._logprobs = False

    def welcome(self, query: Mapping[str, str], headers: Mapping[str, str], key: str | None) -> Turned | list[str]:
        if key is not None and headers.get("Authorization") != f"Bearer {key}":
            return Turned(401, "Incorrect API key provided")
        if query.get("intent") != "transcription":
            return Turned(400, "Missing required parameter: 'model'")
        return [
            self._event("session.created", session={"type": "transcription", "object": "realtime.transcription_session", "id": "sess_1"})
        ]

    def _event(self, kind: str, **told: Any) -> str:
        self._events += 1
        return json.dumps({"type": kind, "event_id": f"event_{self._events}", **told})

    def asked(self, message: str | bytes) -> Asked:
        told = json.loads(message) if isinstance(message, str) else {}
        match told.get("type"):
            case "session.update":
                self._update(told["session"])
            case "input_audio_buffer.append":
                pcm = b64decode(told["audio"], validate=True)
                self._uncommitted += len(pcm)
                return pcm
            case "input_audio_buffer.commit":
                ms, self._uncommitted = self._uncommitted / 48, 0
                if ms < 100:
                    complaint = f"Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, has {ms:.2f}ms."
                    raise Unacceptable(self._complaint(complaint, "input_audio_buffer_commit_empty"), closes=False)
                self._committed_ms = ms
                return "finalize"
            case kind:
                raise Unacceptable(self._complaint(f"Invalid value: '{kind}'.", "invalid_value"), closes=False)
        return "nothing"

    def _complaint(self, message: str, code: str | None, kind: str = "invalid_request_error") -> list[str]:
        return [self._event("error", error={"type": kind, "code": code, "message": message, "param": None, "event_id": None})]

    def _update(self, session: Mapping[str, Any]) -> None:
        sound = session["audio"]["input"]
        model = sound["transcription"]["model"]
        if session.get("type") != "transcription" or sound["format"] != {"type": "audio/pcm", "rate": 24_000}:
            raise Unacceptable(self._complaint("Invalid session.", "invalid_value"), closes=False)
        if sound["turn_detection"] is not None:
            raise Unacceptable(self._complaint("This double takes turns only from the client.", "invalid_value"), closes=False)
        if model not in MODELS:
            raise Unacceptable(self._complaint(f"The model `{model}` does not exist.", "model_not_found"), closes=False)
        self._model, self._logprobs = model, bool(session.get("include"))

    def interim(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord]) -> list[str]:
        return []

    def final(self, words: Sequence[SpokenWord], earlier: Sequence[SpokenWord], *, finalized: bool, until_ms: float) -> list[str]:
        self._items += 1
        item = {"item_id": f"item_{self._items}"}
        about, kind = {**item, "content_index": 0}, "conversation.item.input_audio_transcription"
        pieces = [f"{' ' if number else ''}{word.text}" for number, word in enumerate(words)]
        probable = [{"token": piece, "bytes": [], "logprob": math.log(words[0].confidence)} for piece in pieces]
        return [
            self._event("input_audio_buffer.committed", previous_item_id=None, **item),
            *(self._event(f"{kind}.delta", delta=piece, **about) for piece in pieces),
            self._event(
                f"{kind}.completed",
                transcript=text_of(words),
                usage=self._usage(len(words)),
                logprobs=probable if self._logprobs else None,
                **about,
            ),
        ]

    def _usage(self, words: int) -> dict[str, Any]:
        """What is charged for: of the gpt models tokens (ten for a second of sound), of Whisper the duration."""
        if not self._model.startswith("gpt"):
            return {"type": "duration", "seconds": self._committed_ms / 1000}
        sound = math.ceil(self._committed_ms / 100)
        tokens = {"input_tokens": sound, "output_tokens": words, "total_tokens": sound + words}
        return {"type": "tokens", **tokens, "input_token_details": {"text_tokens": 0, "audio_tokens": sound}}

    def error(self, status: int, message: str) -> tuple[list[str], int]:
        code, kind = {402: ("insufficient_quota", "insufficient_quota"), 429: ("rate_limit_exceeded", "rate_limit_error")}.get(
            status, (None, "server_error" if status >= 500 else "invalid_request_error")
        )
        return self._complaint(message, code, kind), 0

    def goodbye(self) -> list[str]:
        return []

"""Keeping what goes over the wire, for the session that asks: what is kept lies beside its log, as sound does, and has a limit.

Whoever asks a model within `recording` has each attempt kept; a provider need not know of it. Without, nothing is kept and nothing costs.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal, overload

import msgspec

from patter_nb.llm.wire.attempt import ANSWER_ROOM, Answered, Attempt, Sent
from patter_nb.llm.wire.redacting import Redaction, shown_reply

__all__ = ["ROOM", "Attempts", "Conversation", "Recorder", "Recording", "begun", "conversed", "recording"]

ROOM: Final = 16 * 1024 * 1024
"""Bytes of bodies and answers that a session keeps, the newest ones; of earlier attempts it keeps the figures."""
_SETTINGS: Final = frozenset(("session.update", "setup", "conversation_initiation_client_data", "contextual_update"))
"""Messages to engines (OpenAI, Google, ElevenLabs) that say how the conversation is to be."""
_BESIDE: Final = "sdkHttpResponse"
"""What google-genai puts into each event: all headers of the answer."""
_REQUEST_IDS: Final = ("x-request-id", "request-id", "x-goog-request-id")


class Attempts(Sequence[Attempt]):
    """All attempts of a session, by number."""

    def __init__(self, room: int = ROOM) -> None:
        self._attempts: list[Attempt] = []
        self._held: deque[tuple[Attempt, int]] = deque()
        self._room = room
        self._used = 0

    def begin(self, provider: str, model: str | None, attempt: int, by: Literal["wire", "client", "socket"], sent: Sent) -> Attempt:
        """One more."""
        made = Attempt(len(self._attempts), provider, model, attempt, by, sent)
        self._attempts.append(made)
        return made

    def keep(self, attempt: Attempt) -> None:
        """It is complete: let go of the oldest, as far as there is no room for all."""
        size = attempt.kept_bytes
        self._held.append((attempt, size))
        self._used += size
        while self._used > self._room:
            oldest, freed = self._held.popleft()
            oldest.let_go()
            self._used -= freed

    @property
    def kept_bytes(self) -> int:
        """What they hold of bodies and answers now."""
        return sum(attempt.kept_bytes for attempt in self._attempts)

    @overload
    def __getitem__(self, index: int) -> Attempt: ...
    @overload
    def __getitem__(self, index: slice) -> list[Attempt]: ...
    def __getitem__(self, index: int | slice) -> Attempt | list[Attempt]:
        return self._attempts[index]

    def __len__(self) -> int:
        return len(self._attempts)


@dataclass(frozen=True, slots=True)
class Recorder:
    """Where attempts are kept, by whose clock (seconds), and who is told when one begins and ends."""

    attempts: Attempts
    now_s: Callable[[], float]
    on_sent: Callable[[Attempt], None]
    on_answered: Callable[[Attempt], None]


_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Have every attempt made inside kept."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


def begun(
    provider: str,
    model: str | None,
    attempt: int,
    plain: bytes,
    *,
    url: str | None = None,
    headers: Mapping[str, str] | None = None,
    size: int | None = None,
    key: str = "",
) -> Recording | None:
    """An attempt begins: this body, `plain` as JSON, goes to `url` in so many bytes, or by a vendor's own client, where there is none.

    `key` is not to be kept. None where nobody wants it kept.
    """
    recorder = _recorder.get()
    if recorder is None:
        return None
    shown = Redaction.of(url or "", headers or {}, key=key)
    sent = Sent("POST" if url else "", shown.url or None, shown.headers, size, len(plain), shown.scrub(plain))
    return Recording(recorder, recorder.attempts.begin(provider, model, attempt, "wire" if url else "client", sent), shown)


def conversed(provider: str, model: str | None, url: str | None, headers: Mapping[str, str]) -> Conversation | None:
    """A conversation with an engine begins, by its address or by a vendor's own client. None where nobody wants it kept."""
    recorder = _recorder.get()
    if recorder is None:
        return None
    shown = Redaction.of(url or "", headers)
    sent = Sent("GET" if url else "", shown.url or None, shown.headers, None, 0)
    attempt = recorder.attempts.begin(provider, model, 1, "socket", sent)
    recorder.on_sent(attempt)
    return Conversation(attempt, shown)


class Conversation:
    """Messages to an engine and from it, counted by kind; of those that say how it is to be the first is kept, and the last."""

    __slots__ = ("_attempt", "_settings", "_shown")

    def __init__(self, attempt: Attempt, shown: Redaction) -> None:
        self._attempt = attempt
        self._shown = shown
        self._settings: list[bytes] = []

    def told(self, message: Mapping[str, Any]) -> None:
        """A message goes to the engine."""
        kind = _kind(message)
        self._attempt.told[kind] = self._attempt.told.get(kind, 0) + 1
        if kind not in _SETTINGS:
            return
        written = self._shown.scrub(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))
        if len(written) > ANSWER_ROOM:
            written = json.dumps(f"{kind} of {len(written):,} bytes").encode()
        self._settings = [*self._settings[:1], *self._settings[1:][-1:], written]
        sent = self._attempt.sent
        sent._json = b"[" + b",".join(self._settings) + b"]"
        sent.plain_size = len(sent._json)

    def heard(self, message: Mapping[str, Any]) -> None:
        """One came from it."""
        kind = _kind(message)
        self._attempt.heard[kind] = self._attempt.heard.get(kind, 0) + 1


def _kind(message: Mapping[str, Any]) -> str:
    """Its type; a vendor whose messages have none names them by their only key."""
    kind = message.get("type")
    return kind if isinstance(kind, str) else next(iter(message), "")


class Recording:
    """One attempt while it is under way. Keys are known only here, until it ends."""

    __slots__ = ("_answered", "_attempt", "_began_s", "_pieces", "_recorder", "_shown")

    def __init__(self, recorder: Recorder, attempt: Attempt, shown: Redaction) -> None:
        self._recorder = recorder
        self._attempt = attempt
        self._shown = shown
        self._answered: Answered | None = None
        self._pieces: list[bytes] = []
        recorder.on_sent(attempt)
        self._began_s = recorder.now_s()

    def headed(self, status: int | None, headers: Mapping[str, str], *, sent: Mapping[str, str] | None = None) -> None:
        """The head of the answer has come. `sent` are the headers of the request as they were completed on the way."""
        if sent is not None:
            self._attempt.sent.headers = Redaction.of("", sent).headers
        lower = {name.lower(): value for name, value in headers.items()}
        request_id = next((lower[name] for name in _REQUEST_IDS if name in lower), None)
        reply = {name: self._shown.scrub_text(value) for name, value in shown_reply(headers).items()}
        request_id = request_id and self._shown.scrub_text(request_id)
        answered = Answered(status, reply, request_id, self._elapsed_ms(), _pieces=self._pieces, _shown_by=self._shown)
        answered._is_stream = status in (None, 200)
        self._answered = self._attempt.answered = answered

    def take(self, data: bytes) -> None:
        """More of the answer has come."""
        answered = self._answered
        if answered is not None:
            answered.size += len(data)
            if answered.size <= ANSWER_ROOM:
                self._pieces.append(data)
            else:
                self._cut(data, answered.size)

    def take_object(self, event: Mapping[str, Any]) -> None:
        """The same, as a vendor's client tells it: written as the event that it was."""
        beside = event.get(_BESIDE)
        if self._answered is None:
            headers = beside.get("headers") if isinstance(beside, Mapping) else None
            self.headed(None, headers if isinstance(headers, Mapping) else {})
        told = event if beside is None else {key: value for key, value in event.items() if key != _BESIDE}
        try:
            written = msgspec.json.encode(told)
        except (TypeError, ValueError):  # half a character, or what is no JSON
            written = json.dumps(told, default=str).encode()
        self.take(b"data: " + written + b"\n\n")

    def _cut(self, data: bytes, size: int) -> None:
        room = ANSWER_ROOM - (size - len(data))
        if room > 0:
            self._pieces.append(data[:room])

    def ended(self, error: BaseException | None, *, is_complete: bool) -> None:
        """Nothing more comes; of one that was cancelled nothing more is wanted."""
        attempt, answered = self._attempt, self._answered
        if isinstance(error, Exception):
            attempt.error = self._shown.scrub_text(str(error)) or type(error).__name__
        if answered is not None:
            answered.total_ms, answered.is_complete = self._elapsed_ms(), is_complete
            answered._pieces, answered._shown_by = [self._shown.scrub(b"".join(self._pieces))], None
        self._recorder.attempts.keep(attempt)
        self._recorder.on_answered(attempt)

    def _elapsed_ms(self) -> float:
        return round((self._recorder.now_s() - self._began_s) * 1000, 1)

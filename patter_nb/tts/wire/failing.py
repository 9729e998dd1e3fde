"""What goes wrong between a voice and its vendor, before it is known whether any sound had come: that decides what error it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from patter_nb.errors import ConnectionFailed, PatterError, QuotaExceeded, RateLimitError, RequestTimeout, ServerError, TruncatedStream
from patter_nb.wire.refusals import Refusal, Source, refusal_error

__all__ = ["BrokeOff", "Failed", "Silent", "refused"]

_OTHER_VOICE: Final = "take another voice: session.tts = ..."
_HINTS: Final[dict[type[PatterError], str]] = {
    QuotaExceeded: f"Add credit to the account, or {_OTHER_VOICE}",
    RateLimitError: f"Wait a moment, ask for a higher limit, or {_OTHER_VOICE}",
    ServerError: f"It is the vendor's failure; try again in a moment, or {_OTHER_VOICE}",
}


class Failed(Exception):
    """The vendor was asked in vain: `error` says why; it asks to wait `asked_wait_s`, if it does."""

    def __init__(self, error: PatterError, asked_wait_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.asked_wait_s = asked_wait_s


class BrokeOff(Exception):
    """The connection ended before the sound did, for this reason; `code` is a WebSocket's, where it was closed in good order."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code

    def error(self, source: Source, *, begun: bool) -> PatterError:
        """The error it is, once it is known whether sound had `begun` to come."""
        provider, model = source.provider, source.model
        if begun:
            told = f"{source.provider} broke off while it spoke: {self}."
            return TruncatedStream(told, hint="Ask again; what was heard stands.", provider=provider, model=model)
        told = f"{source.provider} gave no sound: {self}."
        return ConnectionFailed(told, hint="Check the network, and base_url if you set it.", provider=provider, model=model)


class Silent(BrokeOff):
    """Nothing came for longer than is allowed."""

    def error(self, source: Source, *, begun: bool) -> PatterError:
        if begun:
            return super().error(source, begun=True)
        told = f"{source.provider} gave no sound: {self}."
        hint = "Try again in a moment, or raise timeout_s."
        return RequestTimeout(told, hint=hint, provider=source.provider, model=source.model)


def refused(refusal: Refusal, source: Source, *, meant: int | None = None, asked_wait_s: float | None = None) -> Failed:
    """What a vendor said, as our error. `meant` is the status that its own word for it means, where the status it sent says less.

    `refusal.status` 0: it came over a WebSocket, which has none.
    """
    error = refusal_error(replace(refusal, status=meant or refusal.status or 500), source, retry_after_s=asked_wait_s)
    how = f"HTTP {refusal.status}" if refusal.status else refusal.code or "an error message"
    error.message = f"{source.provider} refused to speak ({how}): {refusal.message}"
    error.args = (error.message,)
    error.status = refusal.status or None
    error.hint = _HINTS.get(type(error), error.hint)
    return Failed(error, asked_wait_s)

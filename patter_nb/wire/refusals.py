"""What a vendor's refusal means: an HTTP status, an error body in one of three forms, and headers become one of our errors.

The forms, from the vendors' API references: OpenAI and those like it {"error": {"message", "type", "code"}}; Anthropic {"type": "error",
"error": {"type", "message"}, "request_id"}; Google {"error": {"code", "message", "status", "details"}}, in a list of one where it streams.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from patter_nb.errors import (
    AuthenticationError,
    BadRequest,
    ContentFiltered,
    ContextTooLong,
    ModelNotFound,
    PatterError,
    QuotaExceeded,
    RateLimitError,
    RequestTimeout,
    ServerError,
)

__all__ = ["REDACTED", "SHORTEST_KEY", "Refusal", "Source", "refusal_error", "refusal_of"]

REDACTED: Final = "[redacted]"
"""What stands in place of a key."""
SHORTEST_KEY: Final = 8
"""Characters. What is shorter is no key, and might be a word of the conversation."""
_LONGEST_MESSAGE: Final = 1000
_TOO_LONG: Final = re.compile(
    r"context.{0,10}length|context.{0,10}window|maximum context|prompt is too long|input is too long|too many tokens"
    r"|exceeds the maximum number of tokens|input token count",
    re.IGNORECASE,
)
_NO_CREDIT: Final = re.compile(r"insufficient.quota|credit balance|current quota, please check your plan|billing", re.IGNORECASE)
_BAD_KEY: Final = re.compile(r"api[_ ]key.{0,4}(not valid|invalid)|invalid.api.key|incorrect api key", re.IGNORECASE)
_FILTERED: Final = re.compile(r"content_filter|content_policy_violation|blocked by content filtering policy")
_REQUEST_IDS: Final = ("x-request-id", "request-id", "x-goog-request-id", "cf-ray")
_NAMED: Final[Mapping[str, int]] = {
    "model_not_found": 404,
    "invalid_api_key": 401,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The status that an error would have had, where it comes after HTTP 200 and has only a name."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who refused, for the error: names, where its key comes from, and what to do when there is no such model; `key`, so as to hide it."""

    provider: str
    model: str
    key_hint: str
    model_hint: str
    key: str = field(default="", repr=False)

    def hide(self, text: str) -> str:
        """`text` without the key: some vendors say back what they were sent."""
        return text.replace(self.key, REDACTED) if len(self.key) >= SHORTEST_KEY else text


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a vendor said: HTTP `status` (or what it would have been), its `message`, `code`, `request_id`, `details`."""

    status: int
    message: str
    code: str | None = None
    request_id: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()


def refusal_of(body: bytes | object, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> Refusal:
    """Read an error's body, whatever it is: JSON of a vendor, parsed or not, or the page of some gateway.

    >>> refusal_of(b'{"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}', status=429)
    Refusal(status=429, message='Slow down.', code='rate_limit_exceeded', request_id=None, details=())
    """
    raw = body.decode("utf-8", "replace") if isinstance(body, bytes) else ""
    told: Any = _json(raw) if isinstance(body, bytes) else body
    told = told[0] if isinstance(told, list) and told else told
    outer: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    error = outer.get("error", outer)
    inner: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": error}
    names = [str(name) for key in ("code", "type", "status") if (name := inner.get(key)) and not str(name).isdigit()]
    numbers = (int(str(number)) for key in ("code", "status") if str(number := inner.get(key) or "").isdigit())
    known = next((_NAMED[name] for name in names if name in _NAMED), None)
    found = status if status is not None and status >= 400 else next(numbers, None) or known or 500
    message = str(inner.get("message") or "").strip() or re.sub(r"<[^>]*>|\s+", " ", raw).strip() or "no explanation"
    asked = {name.lower(): value for name, value in (headers or {}).items()}
    request_id = outer.get("request_id") or next((asked[name] for name in _REQUEST_IDS if name in asked), None)
    details = inner.get("details")
    return Refusal(
        found,
        message[:_LONGEST_MESSAGE],
        names[0] if names else None,
        str(request_id) if request_id else None,
        tuple(item for item in details if isinstance(item, Mapping)) if isinstance(details, list) else (),
    )


def refusal_error(refusal: Refusal, source: Source, *, retry_after_s: float | None = None) -> PatterError:
    """The error of our family for what a vendor said, without the key."""
    kind, hint = _kind_and_hint(refusal, source)
    where = {
        "provider": source.provider,
        "model": source.model,
        "status": refusal.status,
        "code": refusal.code,
        "request_id": refusal.request_id,
    }
    message = source.hide(f"{source.provider} refused the request (HTTP {refusal.status}): {refusal.message}")
    if kind is RateLimitError:
        return RateLimitError(message, retry_after_s=retry_after_s, hint=hint, **where)
    return kind(message, hint=hint, **where)  # type: ignore[arg-type]  # the base names and checks them


def _kind_and_hint(refusal: Refusal, source: Source) -> tuple[type[PatterError], str]:  # noqa: C901  # a table with conditions
    told = f"{refusal.code} {refusal.message}"
    if _NO_CREDIT.search(told) and refusal.status in (400, 402, 403, 429):
        return QuotaExceeded, "Add credit to the account, or use another provider: session.llm = ..."
    if refusal.status in (400, 413, 422) and _TOO_LONG.search(told):
        return ContextTooLong, "Shorten the system prompt or begin a new conversation, or take a model with a longer context."
    if _FILTERED.search(told):
        return ContentFiltered, "Ask in other words."
    if refusal.status == 401 or (refusal.status in (400, 403) and _BAD_KEY.search(told)):
        return AuthenticationError, source.key_hint
    match refusal.status:
        case 402:
            return QuotaExceeded, "Add credit to the account, or use another provider: session.llm = ..."
        case 403:
            return AuthenticationError, f"The key may not do this. {source.key_hint}"
        case 404:
            return ModelNotFound, source.model_hint
        case 408 | 504:
            return RequestTimeout, "Try again in a moment."
        case 429:
            return RateLimitError, "Wait a moment, ask for a higher limit, or set a FallbackLLM."
        case status if status >= 500:
            return ServerError, "It is the vendor's failure; try again in a moment, or set a FallbackLLM."
        case _:
            return BadRequest, "The vendor's own words say what it does not take."


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

"""When to ask again and how long to wait first: one policy for all vendors, by what their headers and bodies say.

Sources: RFC 9110 for Retry-After; OpenAI's API reference for `x-ratelimit-reset-requests` and `-tokens` ("1s", "6m0s"), whose client also
reads `retry-after-ms`; Cerebras' for `x-ratelimit-reset-requests-day` and `-tokens-minute` (seconds); Google's google.rpc.RetryInfo.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from patter_nb.errors import ConnectionFailed, PatterError, RateLimitError, RequestTimeout, ServerError, TruncatedStream

__all__ = ["Retrying", "asked_wait_s", "seconds_of"]

_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_RESET: Final = "x-ratelimit-reset-"
_PASSING: Final = (RateLimitError, ServerError, RequestTimeout, ConnectionFailed, TruncatedStream)
"""What may go well the next time; an answer that broke off is asked for again only where nothing of it had come."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Ask again up to `retries` times, after `base_s` * 2^n seconds with up to a quarter more, or as long as the vendor asks.

    A vendor that asks for more than `longest_s` is not asked again: nobody waits that long in a conversation.
    """

    retries: int
    base_s: float = 0.5
    longest_s: float = 10.0

    def wait_s(self, error: PatterError, attempt: int, asked_s: float | None) -> float | None:
        """Seconds to wait before attempt `attempt` + 1 (the first is 0), or None: `error` stands."""
        if attempt >= self.retries or not isinstance(error, _PASSING):
            return None
        if asked_s is not None:
            return asked_s if asked_s <= self.longest_s else None
        return self.base_s * 2.0**attempt * (1 + 0.25 * random.random())  # so that clients do not come back all at once


def asked_wait_s(headers: Mapping[str, str], details: tuple[Mapping[str, Any], ...] = ()) -> float | None:
    """How long a vendor asks to wait, in seconds, None where it does not say.

    What it asks for in so many words goes first. Else it is the longest of the limits that are about to be reset: of those that are used
    up, or, where nothing says which are, of all.

    >>> asked_wait_s({"Retry-After": "2", "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"})
    2.0
    """
    given = {name.lower(): value for name, value in headers.items()}
    asked = [_milliseconds(given.get("retry-after-ms")), _retry_after(given.get("retry-after"))]
    asked += [seconds_of(str(item["retryDelay"])) for item in details if "retryDelay" in item]
    resets = {name.removeprefix(_RESET): seconds_of(value) for name, value in given.items() if name.startswith(_RESET)}
    left = {name: given.get(f"x-ratelimit-remaining-{name}") for name in resets}
    used_up = [seconds for name, seconds in resets.items() if left[name] is not None and _is_used_up(left[name])]
    unknown = [seconds for name, seconds in resets.items() if left[name] is None]
    for waits in (asked, used_up, unknown):
        if found := [seconds for seconds in waits if seconds is not None]:
            return max(found)
    return None


def seconds_of(text: str) -> float | None:
    """A duration in seconds: a number of seconds, or "1h2m3.5s", "350ms".

    >>> [seconds_of(text) for text in ("2.5", "1m2.5s", "350ms", "17s", "soon")]
    [2.5, 62.5, 0.35, 17.0, None]
    """
    text = text.strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _milliseconds(text: str | None) -> float | None:
    seconds = seconds_of(text) if text is not None else None
    return None if seconds is None else seconds / 1000


def _retry_after(text: str | None) -> float | None:
    """Retry-After as seconds or as a date."""
    if text is None:
        return None
    if (seconds := seconds_of(text)) is not None:
        return seconds
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _is_used_up(remaining: str | None) -> bool:
    try:
        return float(remaining or 0) <= 0
    except ValueError:
        return False

"""When it is asked again, and how long is waited first: what vendors' headers and bodies say, read as they write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from patter_nb.errors import AuthenticationError, BadRequest, ConnectionFailed, PatterError, QuotaExceeded, RateLimitError, ServerError
from patter_nb.wire.retrying import Retrying, asked_wait_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "1", "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, 1.0),
        ({"retry-after": "in a while"}, None),
        ({"x-ratelimit-reset-tokens-minute": "2.5"}, 2.5),
        ({"x-ratelimit-reset-requests": "350ms", "x-ratelimit-reset-tokens": "1m2.5s"}, 62.5),
        ({"x-ratelimit-reset-requests-day": "33011.4", "x-ratelimit-remaining-requests-day": "900", "retry-after": "2"}, 2.0),
        (
            {
                "x-ratelimit-reset-requests-day": "33011.4",
                "x-ratelimit-remaining-requests-day": "900",
                "x-ratelimit-reset-tokens-minute": "4",
                "x-ratelimit-remaining-tokens-minute": "0",
            },
            4.0,
        ),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "many"}, None),
    ],
)
def test_headers_say_how_long(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait_s(headers) == seconds


def test_a_date_is_a_wait_until_then() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert asked_wait_s({"retry-after": until}) == pytest.approx(100, abs=3)
    assert asked_wait_s({"retry-after": format_datetime(datetime.now(UTC) - timedelta(seconds=9), usegmt=True)}) == 0.0


def test_google_says_it_in_the_body() -> None:
    info: Any = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    assert asked_wait_s({}, ({"@type": "type.googleapis.com/google.rpc.QuotaFailure"}, info)) == 7.0


def test_waits_grow_and_end() -> None:
    waits = [Retrying(3).wait_s(ServerError("Oh."), attempt, None) for attempt in range(4)]
    assert waits[3] is None
    for wait, least in zip(waits[:3], (0.5, 1.0, 2.0), strict=True):
        assert wait is not None
        assert least <= wait <= 1.25 * least


def test_a_vendor_is_waited_for_as_long_as_it_asks_but_not_for_minutes() -> None:
    assert Retrying(1).wait_s(RateLimitError("Slow down."), 0, 0.0) == 0.0
    assert Retrying(1).wait_s(RateLimitError("Slow down."), 0, 9.5) == 9.5
    assert Retrying(1).wait_s(RateLimitError("Slow down."), 0, 360.0) is None


@pytest.mark.parametrize("error", [BadRequest("No."), AuthenticationError("Who?"), QuotaExceeded("Pay."), PatterError("Hm.")])
def test_what_will_not_go_better_is_not_asked_again(error: PatterError) -> None:
    assert Retrying(5).wait_s(error, 0, None) is None
    assert Retrying(5).wait_s(ConnectionFailed("Lost."), 0, None) is not None

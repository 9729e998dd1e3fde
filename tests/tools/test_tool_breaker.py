"""The circuit breaker: opens after failures in a row, lets one probe through after its cooldown, closes on success."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.tools.breaker import CircuitBreaker
from patter_nb.tools.outcome import ToolCallError


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Cancelled(BaseException):
    """Stands for asyncio.CancelledError: no Exception."""


def outcome(breaker: CircuitBreaker, error: BaseException | None = None, name: str = "weather") -> None:
    """One call of `name` that ends with `error`."""
    if error is None:
        with breaker.calling(name):
            return
    with pytest.raises(type(error)), breaker.calling(name):
        raise error


def opened(now: Seconds) -> CircuitBreaker:
    breaker = CircuitBreaker(now)
    for _ in range(5):
        outcome(breaker, OSError())
    return breaker


def refusal(breaker: CircuitBreaker, name: str = "weather") -> ToolCallError:
    with pytest.raises(ToolCallError) as raised, breaker.calling(name):
        pytest.fail("the call was let through")
    assert raised.value.code == "circuit_open"
    return raised.value


def test_five_failures_in_a_row_open_the_circuit_for_thirty_seconds() -> None:
    now = Seconds()
    breaker = opened(now)
    assert refusal(breaker).retry_after_s == 30.0
    now.now += 29.5
    error = refusal(breaker)
    assert error.retry_after_s == 0.5
    assert "in 1 s" in str(error)
    now.now += 0.5
    outcome(breaker)


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = CircuitBreaker(Seconds())
    for _ in range(3):
        for _ in range(4):
            outcome(breaker, OSError())
        outcome(breaker)


def test_each_tool_has_a_circuit_of_its_own() -> None:
    breaker = opened(Seconds())
    outcome(breaker, name="timer")
    refusal(breaker)


def test_a_successful_probe_closes_and_a_failed_one_opens_again() -> None:
    now = Seconds()
    breaker = opened(now)
    now.now += 30
    outcome(breaker, OSError())
    assert refusal(breaker).retry_after_s == 30.0
    now.now += 30
    outcome(breaker)
    for _ in range(4):
        outcome(breaker, OSError())
    outcome(breaker)


def test_row_32_half_open_breaker_lets_exactly_one_probe_through() -> None:
    now = Seconds()
    breaker = opened(now)
    now.now += 30
    with breaker.calling("weather"):
        for _ in range(10):
            assert refusal(breaker).retry_after_s == 0.0
    outcome(breaker)


def test_a_cancelled_call_counts_neither_way() -> None:
    breaker = CircuitBreaker(Seconds())
    for _ in range(4):
        outcome(breaker, OSError())
    outcome(breaker, Cancelled())
    outcome(breaker, OSError())
    refusal(breaker)


def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    now = Seconds()
    breaker = opened(now)
    now.now += 30
    outcome(breaker, Cancelled())
    with breaker.calling("weather"):
        refusal(breaker)


def test_a_call_from_before_the_circuit_opened_does_not_speak_for_the_probe() -> None:
    now = Seconds()
    breaker = CircuitBreaker(now)
    with breaker.calling("weather"):  # ends well, but late
        for _ in range(5):
            outcome(breaker, OSError())
    refusal(breaker)
    now.now += 30
    outcome(breaker)


def test_a_failure_from_before_the_circuit_opened_does_not_end_the_probe() -> None:
    now = Seconds()
    breaker = CircuitBreaker(now)
    early = breaker.calling("weather")
    early.__enter__()
    for _ in range(5):
        outcome(breaker, OSError())
    now.now += 30
    with breaker.calling("weather"):  # the probe
        error = OSError()
        assert not early.__exit__(type(error), error, None)
        assert refusal(breaker).retry_after_s == 0.0
        now.now += 30
        refusal(breaker)
    outcome(breaker)


def test_a_replaced_tool_starts_without_a_record() -> None:
    breaker = opened(Seconds())
    breaker.forget("weather")
    outcome(breaker)


def test_the_probe_of_a_replaced_tool_does_not_speak_for_the_new_one() -> None:
    now = Seconds()
    breaker = opened(now)
    now.now += 30
    with breaker.calling("weather"):
        breaker.forget("weather")
        for _ in range(4):
            outcome(breaker, OSError())
    outcome(breaker, OSError())
    refusal(breaker)


def test_threshold_zero_never_opens() -> None:
    breaker = CircuitBreaker(Seconds(), threshold=0)
    for _ in range(50):
        outcome(breaker, OSError())


@given(st.lists(st.sampled_from(("start", "fail", "cancel", "wait"))))
def test_row_32_no_interleaving_has_two_probes(steps: list[str]) -> None:
    """While no call succeeds the circuit never closes, so whatever is let through after it opened is a probe."""
    now = Seconds()
    breaker = CircuitBreaker(now, threshold=1, cooldown_s=10)
    early = breaker.calling("weather")  # still running when the circuit opens
    early.__enter__()
    outcome(breaker, OSError())
    running, probes = [early], 0
    for step in steps:
        if step == "wait":
            now.now += 10
        elif step == "start":
            call = breaker.calling("weather")
            with contextlib.suppress(ToolCallError):
                call.__enter__()
                running.append(call)
                probes += 1
        elif running:
            error = OSError() if step == "fail" else Cancelled()
            ended = running.pop(0)
            probes -= ended is not early
            assert not ended.__exit__(type(error), error, None)
        assert probes <= 1

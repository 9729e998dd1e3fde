"""Stops calling a tool that keeps failing, so that the person does not wait for one timeout after another, and tries it again later.

Each tool name has a circuit. It is closed until the calls failed `threshold` times in a row, then open for `cooldown_s`, then
half-open: a single call, the probe, decides whether it closes or opens again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from patter_nb.tools.outcome import ToolCallError


@dataclass(slots=True, eq=False)
class _Closed:
    failures: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    until_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _HalfOpen:
    """The probe is under way."""


_State: TypeAlias = _Closed | _Open | _HalfOpen


class CircuitBreaker:
    """`now_s` gives monotonic seconds. `threshold` 0 or less never opens a circuit. Circuits live as long as the breaker."""

    def __init__(self, now_s: Callable[[], float], *, threshold: int = 5, cooldown_s: float = 30.0) -> None:
        self._now_s = now_s
        self._threshold = threshold
        self._cooldown_s = cooldown_s
        self._states: dict[str, _State] = {}

    @contextmanager
    def calling(self, name: str) -> Iterator[None]:
        """Around one call: an exception is a failure, a cancellation counts neither way.

        Raises `ToolCallError` (circuit_open) before the call when the circuit is open or its probe is under way.
        """
        admitted = self._admit(name)
        try:
            yield
        except Exception:
            self._failed(name, admitted)
            raise
        except BaseException:
            self._cancelled(name, admitted)
            raise
        self._succeeded(name, admitted)

    def forget(self, name: str) -> None:
        """Close the circuit of `name`, whose tool is another one now; calls still under way count no more."""
        self._states.pop(name, None)

    def _admit(self, name: str) -> _State:
        state = self._states.setdefault(name, _Closed())
        if isinstance(state, _Closed):
            return state
        wait_s = max(0.0, state.until_s - self._now_s()) if isinstance(state, _Open) else 0.0
        if isinstance(state, _HalfOpen) or wait_s > 0:
            again = f"it may be tried again in {math.ceil(wait_s)} s" if wait_s else "it is being tried again"
            raise ToolCallError(
                f"The tool {name} failed repeatedly and is paused.",
                code="circuit_open",
                hint=f"Answer without it; {again}.",
                retry_after_s=wait_s,
            )
        probe = self._states[name] = _HalfOpen()
        return probe

    # A call speaks only for the state it was admitted in: one that began before the circuit opened says nothing about the probe.

    def _failed(self, name: str, admitted: _State) -> None:
        if self._states.get(name) is not admitted:
            return
        if isinstance(admitted, _Closed):
            admitted.failures += 1
            if not 0 < self._threshold <= admitted.failures:
                return
        self._states[name] = _Open(self._now_s() + self._cooldown_s)

    def _succeeded(self, name: str, admitted: _State) -> None:
        if isinstance(admitted, _Closed):
            admitted.failures = 0
        elif self._states.get(name) is admitted:
            self._states[name] = _Closed()

    def _cancelled(self, name: str, admitted: _State) -> None:
        if isinstance(admitted, _HalfOpen) and self._states.get(name) is admitted:
            self._states[name] = _Open(self._now_s())

"""Stops calling a tool that keeps failing, so that the person does not wait for one timeout after another, and tries it again later.

Each tool name has a circuit. It is closed until the calls failed `threshold` times in a row, then open for `cooldown_s`, then
half-open: a single call, the probe, decides whether it closes or opens again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@dataclass(slots=True, eq=False)
class _Circuit:
    state: _State = field(default_factory=_Closed)


class CircuitBreaker:
    """`now_s` gives monotonic seconds. `threshold` 0 or less never opens a circuit. Circuits live as long as the breaker."""

    def __init__(self, now_s: Callable[[], float], *, threshold: int = 5, cooldown_s: float = 30.0) -> None:
        self._now_s = now_s
        self._threshold = threshold
        self._cooldown_s = cooldown_s
        self._circuits: dict[str, _Circuit] = {}

    @contextmanager
    def calling(self, name: str) -> Iterator[None]:
        """Around one call: an exception is a failure, a cancellation counts neither way.

        Raises `ToolCallError` (circuit_open) before the call when the circuit is open or its probe is under way.
        """
        circuit = self._circuit(name)
        admitted = self._admit(name, circuit)
        try:
            yield
        except Exception:
            self._failed(circuit, admitted)
            raise
        except BaseException:
            self._cancelled(circuit, admitted)
            raise
        _succeeded(circuit, admitted)

    def forget(self, name: str) -> None:
        """Close the circuit of `name`, whose tool is another one now; calls still under way count no more."""
        self._circuits.pop(name, None)

    def sharing(self, names: Iterable[str]) -> CircuitBreaker:
        """A breaker that has the circuits of `names` in common with this one."""
        other = CircuitBreaker(self._now_s, threshold=self._threshold, cooldown_s=self._cooldown_s)
        other._circuits = {name: self._circuit(name) for name in names}
        return other

    def _circuit(self, name: str) -> _Circuit:
        return self._circuits.setdefault(name, _Circuit())

    def _admit(self, name: str, circuit: _Circuit) -> _State:
        state = circuit.state
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
        circuit.state = _HalfOpen()
        return circuit.state

    # A call speaks only for the state it was admitted in: one that began before the circuit opened says nothing about the probe.

    def _failed(self, circuit: _Circuit, admitted: _State) -> None:
        if circuit.state is not admitted:
            return
        if isinstance(admitted, _Closed):
            admitted.failures += 1
            if not 0 < self._threshold <= admitted.failures:
                return
        circuit.state = _Open(self._now_s() + self._cooldown_s)

    def _cancelled(self, circuit: _Circuit, admitted: _State) -> None:
        if isinstance(admitted, _HalfOpen) and circuit.state is admitted:
            circuit.state = _Open(self._now_s())


def _succeeded(circuit: _Circuit, admitted: _State) -> None:
    if isinstance(admitted, _Closed):
        admitted.failures = 0
    elif circuit.state is admitted:
        circuit.state = _Closed()

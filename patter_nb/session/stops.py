"""Stopping an answer, to look at what it is about to do."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from patter_nb.breakpoints import GoingOn, PausedAt, checked, paused_at, require_points
from patter_nb.errors import PatterConfigError
from patter_nb.events import Breakpoint
from patter_nb.session.talk import Talk
from patter_nb.step.breakpoints import EDITS
from patter_nb.step.inputs import PauseAt, Resume
from patter_nb.turn import Turn


class Stops(Talk):
    """A session as it is stopped and goes on."""

    def pause_at(self, *points: Breakpoint) -> None:
        """Stop the answer before each of these from now on: "llm_request", "tool_call", "speak" (each piece). Without points: nowhere.

        `ask` and `wait_turn` return there, with the turn "running"; `paused_at` is what it stopped before, `resume` goes on. The
        person can still interrupt it, or stop the call. An engine asks itself, so of one only tools stop. From any thread.
        """
        require_points(points)
        self.in_loop(lambda: self._conductor.feed(PauseAt(points)))

    @property
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """Where the answer is to stop, as `pause_at` was told last; empty where nowhere."""
        return tuple(point for point in EDITS if point in self._conductor.state.breakpoints)

    @property
    def paused_at(self) -> PausedAt | None:
        """What the answer has stopped before, None where it has not."""
        return paused_at(self._conductor.state)

    def resume(self, **edits: Any) -> Awaitable[Turn]:
        """Go on from the breakpoint, edited: `messages=` to the model; `arguments=` of the tool, or its `result=`, and then it does not
        run; `text=` to speak. It goes on at once; `await session.resume()` also waits for the turn's end, or the next breakpoint.

        Raises `PatterConfigError` where nothing has stopped, or for a value that is none; `TypeError` for an edit that is not of its kind.
        """
        return self.in_loop(lambda: self._resume(edits))

    def _resume(self, edits: Mapping[str, Any]) -> Awaitable[Turn]:
        stopped = self.paused_at
        if stopped is None:
            raise PatterConfigError("Nothing has stopped at a breakpoint.", hint='Set one: session.pause_at("tool_call").')
        written = checked(stopped, edits)
        turn = self.turns.by_id(stopped.turn)
        self._conductor.feed(Resume(written))
        return GoingOn(turn, lambda: self._at_home(lambda: self._over(turn)))

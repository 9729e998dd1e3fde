"""Where an answer stands that has stopped at a breakpoint, as a page shows it: in words, at its row, and as the cell that goes on."""

from __future__ import annotations

from typing import Final

from patter_nb.console.cells import name_of_session, resuming
from patter_nb.console.turn_picture import Json
from patter_nb.events import BreakpointHit, Event
from patter_nb.session import Session

__all__ = ["Standstill"]

_LONGEST: Final = 300
_BEFORE: Final = {"llm_request": "asking ", "tool_call": "", "speak": "saying "}


class Standstill:
    """The breakpoint that `session` stands at. `fold` takes its events in, `told` is what a page knows of it, None where nothing stands."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._hit: Event | None = None
        self._told: Json = None

    def fold(self, event: Event) -> None:
        """Take in one more event."""
        if isinstance(event.body, BreakpointHit):
            self._hit, self._told = event, None

    @property
    def told(self) -> Json:
        """Its `hit` is the number of the event, so that who goes on goes on from there and from nowhere else."""
        stopped = self._session.paused_at
        if stopped is None or self._hit is None or not isinstance(self._hit.body, BreakpointHit):
            return None
        if self._told is None:
            body = self._hit.body
            what = body.what if body.point != "speak" else f"“{body.what}”"
            self._told = {
                "hit": self._hit.seq,
                "point": body.point,
                "turn": stopped.turn,
                "tool": body.id,
                "what": f"{_BEFORE[body.point]}{what if len(what) <= _LONGEST else f'{what[:_LONGEST]}…'}",
                "cell": resuming(stopped, name_of_session(self._session)),
            }
        return self._told

    def go_on(self, hit: object) -> None:
        """Go on unedited, if this is where it stands: a click that comes late, or twice, passes no other breakpoint."""
        if self.told is not None and self.told["hit"] == hit:
            self._session.resume()

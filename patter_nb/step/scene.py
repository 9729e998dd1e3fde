"""The workbench of one step: the state as it changes, and what is to be logged and done because of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from patter_nb.events import Body
from patter_nb.step.effects import Effect
from patter_nb.step.state import Answer, State, Voice


@dataclass(frozen=True, slots=True)
class Happened:
    """An event before the log has numbered and stamped it."""

    turn: int | None
    epoch: int
    body: Body


@dataclass(slots=True)
class Scene:
    """Local to one call of `step`; nothing of it outlives the call but its results."""

    state: State
    now_ms: float
    events: list[Happened] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    released: list[Effect] = field(default_factory=list)
    """What a breakpoint had kept back, and does no more."""

    @property
    def answer(self) -> Answer:
        """The running answer, where there is known to be one."""
        assert self.state.answer is not None
        return self.state.answer

    def log(self, body: Body, *, turn: int | None = None) -> None:
        """Add an event, of `turn` or of the running one."""
        running = self.state.answer
        self.events.append(Happened(turn if turn is not None else running.turn if running else None, self.state.epoch, body))

    def do(self, effect: Effect) -> None:
        """Ask for something to be done."""
        self.effects.append(effect)

    def change(self, **fields: Any) -> None:
        """Change fields of the state."""
        self.state = replace(self.state, **fields)

    def change_answer(self, **fields: Any) -> None:
        """Change fields of the running answer."""
        self.state = replace(self.state, answer=replace(self.answer, **fields))

    def change_voice(self, **fields: Any) -> None:
        """Change fields of the voice."""
        voice: Voice = replace(self.state.voice, **fields)
        self.state = replace(self.state, voice=voice)

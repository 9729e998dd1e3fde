"""What happens to a session as a whole: its life, its agent, its failures, its breakpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from patter_nb.errors import PatterError
from patter_nb.events.body import MAY_BE_LEFT_OUT, Body, Breakpoint, SessionState, Stage


@dataclass(frozen=True, slots=True)
class SessionStarted(Body):
    """The session is live. `parts` names what runs in each stage, `sample_rate` is the output axis's, in Hz.

    `unpaced`: its sound runs as fast as the session takes it, so that the wall cannot tell how long a silence was.
    """

    type: ClassVar[str] = "session_started"
    parts: Mapping[str, str]
    sample_rate: int
    unpaced: bool = field(default=False, metadata=MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class SessionStopped(Body):
    """The session is over. `dropped` counts what arrived from a cancelled epoch and was thrown away."""

    type: ClassVar[str] = "session_stopped"
    reason: str
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StateChanged(Body):
    """One word for what the agent does now."""

    type: ClassVar[str] = "state_changed"
    state: SessionState


@dataclass(frozen=True, slots=True)
class AgentChanged(Body):
    """Parts of the agent were replaced: name of the part -> (before, after), as text that never holds a key. It shows itself as a diff."""

    type: ClassVar[str] = "agent_changed"
    changes: Mapping[str, tuple[str, str]]
    when: Literal["turn", "now"]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


@dataclass(frozen=True, slots=True)
class StageFailed(Body):
    """A stage failed. A turn that needs it ends, and its `turn_ended` says so; the session goes on unless a `session_stopped` follows."""

    type: ClassVar[str] = "stage_failed"
    stage: Stage
    error: PatterError


@dataclass(frozen=True, slots=True)
class Dropped(Body):
    """Something arrived too late, and was thrown away: `of_epoch` is over, or (None: it is tied to none) its turn is."""

    type: ClassVar[str] = "dropped"
    what: str
    of_epoch: int | None


@dataclass(frozen=True, slots=True)
class Tick(Body):
    """A timer of the session fell due at `due_ms`."""

    type: ClassVar[str] = "tick"
    due_ms: float


@dataclass(frozen=True, slots=True)
class KernelBusy(Body):
    """For `ms` until now the session could do nothing, because something else kept its event loop: a cell that computes, say."""

    type: ClassVar[str] = "kernel_busy"
    ms: float


@dataclass(frozen=True, slots=True)
class BreakpointsSet(Body):
    """From now on the answer stops at these breakpoints, and at no others."""

    type: ClassVar[str] = "breakpoints_set"
    points: tuple[Breakpoint, ...]


@dataclass(frozen=True, slots=True)
class BreakpointHit(Body):
    """The answer stopped before `what`, until `resume`: of a tool the call `id`."""

    type: ClassVar[str] = "breakpoint_hit"
    point: Breakpoint
    what: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class BreakpointLeft(Body):
    """The answer goes on, with what was edited: "messages" to the model, "arguments" or "result" of the tool call `id`, "text" to speak."""

    type: ClassVar[str] = "breakpoint_left"
    point: Breakpoint
    edits: Mapping[str, Any]
    id: str | None = None

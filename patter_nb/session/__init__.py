"""One live conversation as its user sees it: talk to it, change it while it runs, read what happened."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from patter_nb.agent import PARTS, Agent
from patter_nb.doctor import Report, examine
from patter_nb.pricing import Prices
from patter_nb.session.changes import Changes, keep, require_own_ears
from patter_nb.session.readings import Readings
from patter_nb.session.stops import Stops
from patter_nb.transports.base import Transport

__all__ = ["Session"]

_MACHINERY = frozenset(("adopt", "face", "in_loop", "loop", "on_closed", "start", "take"))
_OWN = ("name", "turns", "transport", "face")


class Session(Readings, Stops, Changes):
    """A live conversation between a person and an agent, made by `await Patter().serve(agent)`.

    `events` is its log; `turns`, `chunks`, `tool_calls` and `audio` are views of it. `use` changes the agent while it runs.
    """

    def __init__(self, agent: Agent, *, transport: Transport, name: str = "main", prices: Prices | None = None) -> None:
        require_own_ears(agent, None)
        super().__init__(agent, transport=transport, name=name, prices=prices)
        keep(self)

    def __setattr__(self, name: str, value: object) -> None:
        if not (name.startswith("_") or hasattr(type(self), name) or name in _OWN):
            near = difflib.get_close_matches(name, [*PARTS, "on_message"], n=1)
            raise AttributeError(f"A session has no {name!r} to set." + (f" Did you mean {near[0]}?" if near else ""))
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        """Without what only the machinery around a session calls."""
        return [name for name in object.__dir__(self) if name not in _MACHINERY]

    def doctor(self) -> Report:
        """What is installed, how the session is connected, and how long things take here."""
        return examine(self)

    def view(self, name: str) -> Any:
        """A live widget of the session: "console", or a part of it: "transcript", "chunks", "tools", "latency", "audio", "timeline"."""
        from patter_nb.console import view

        return view(self, name)

    def __repr__(self) -> str:
        return f"<Session {self.name!r}: {self.state}, {len(self.turns)} turns>"

    def _ipython_display_(self) -> None:
        from patter_nb.console import display

        display(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)

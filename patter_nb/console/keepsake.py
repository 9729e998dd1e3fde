"""What a saved notebook keeps of a conversation: a static transcript beside the live view, written anew at the end of each turn.

A front end without a kernel can't show the live view, and JupyterLab then shows nothing in its place, so the transcript is an output of
its own. While a live view is on the page, the page hides it by its mark.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from uuid import uuid4

from IPython.display import DisplayHandle, display

from patter_nb.display import mimebundle
from patter_nb.events import Event
from patter_nb.session import Session

__all__ = ["Keepsake"]

_LAST_WORD = ("turn_heard", "turn_offered", "session_stopped")


class Keepsake:
    """One output that follows the turns of `session`. `id` is its mark on the page."""

    def __init__(self, session: Session, later: Callable[[Callable[[], None]], object]) -> None:
        self.id = uuid4().hex
        self._session = session
        self._later = later
        self._handle: DisplayHandle | None = None
        self._due = False

    def show(self) -> None:
        """Put the output here, in the running cell; one shown before is followed no more."""
        if self._handle is None:
            self._session.events.subscribe(self._on_event)
        self._handle = display(self._bundle(), raw=True, display_id=True)

    def _on_event(self, event: Event) -> None:
        if event.type in _LAST_WORD and not self._due:
            self._due = True
            self._later(self._update)

    def _update(self) -> None:
        self._due = False
        if self._handle is not None:
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        told = mimebundle(self._session)
        return {**told, "text/html": f'<div data-patter-keepsake="{html.escape(self.id)}">{told["text/html"]}</div>'}

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

__all__ = ["Keepsake"]


class Keepsake:
    """One output that tells of what `noun` gives: a session, or a part of it. `id` is its mark on the page."""

    def __init__(self, noun: Callable[[], object]) -> None:
        self.id = uuid4().hex
        self._noun = noun
        self._handle: DisplayHandle | None = None

    def show(self, *, soon: bool = False) -> None:
        """Put the output here, in the running cell; one shown before is followed no more. `soon`: empty, for it is updated in a moment."""
        self._handle = display({"text/plain": "…", "text/html": ""} if soon else self._bundle(), raw=True, display_id=True)

    def update(self) -> None:
        """Tell what is true now, where the output is shown."""
        if self._handle is not None:
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        told = mimebundle(self._noun())
        return {**told, "text/html": f'<div data-patter-keepsake="{html.escape(self.id)}">{told["text/html"]}</div>'}

"""The live notebook face of a session: anywidget on the kernel's side, plain ES modules on the page's.

    face        the session painted on pages, and what is done there brought in      widgets     what the two sides talk by
    picture     the log folded to what a page shows                                  modules     the page's half as one text
    transport   the browser as microphone, loudspeaker and keyboard                  inbox       its sound put in order
    keepsake    what a saved notebook shows without a kernel                         recording   a question for who has no microphone

A session comes here by one-line delegates. Without the extra `lab` the error names it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from patter_nb.errors import MissingExtra, PatterConfigError

if TYPE_CHECKING:
    from patter_nb.doctor import Finding
    from patter_nb.session import Session
    from patter_nb.transports.base import Transport

__all__ = ["display", "findings", "is_here", "new_transport", "view"]

_PACKAGES = ("anywidget", "ipywidgets")


def is_here() -> bool:
    """Whether this is a notebook's kernel that can show the console. Loads nothing."""
    return "ipykernel" in sys.modules and all(find_spec(name) is not None for name in _PACKAGES)


def new_transport() -> Transport:
    """A microphone and a loudspeaker in the browser that shows the session."""
    from patter_nb.console.transport import ConsoleTransport

    return ConsoleTransport()


def view(session: Session, name: str) -> Any:
    """The widget that shows `name` of `session`: it is displayed as the last line of a cell, and goes into ipywidgets boxes.

    Raises `PatterConfigError` for a view that there is not, `MissingExtra` without anywidget.
    """
    _require_widgets()
    from patter_nb.console.face import face_of
    from patter_nb.console.widgets import PARTS

    if session.loop.is_closed():
        raise PatterConfigError("This session's event loop is closed, so it cannot be shown live.", hint="Look at session.turns.")
    if name not in PARTS:
        raise PatterConfigError(f"There is no view {name!r:.80}.", hint=f"Choose from {', '.join(PARTS)}.")
    return face_of(session).view(name)


def display(session: Session) -> None:
    """Display the console of `session` in the running cell, and below it the static transcript that a saved notebook keeps.

    Where there is no live front end (a terminal, a kernel without the extra `lab`) the static picture is shown alone, as it is now.
    """
    from IPython import display as ipython

    if not is_here() or session.loop.is_closed():
        from patter_nb.display import mimebundle

        ipython.display(mimebundle(session), raw=True)
        return
    from patter_nb.console.face import face_of

    face = face_of(session)
    ipython.display(face.view("console", keepsake=face.keepsake.id))
    face.keepsake.show()


def findings(session: Session) -> Iterable[Finding]:
    """What is known of the pages of `session`; nothing where there are no widgets."""
    if not all(find_spec(name) for name in _PACKAGES):
        return ()
    from patter_nb.console.examined import findings

    return findings(session)


def _require_widgets() -> None:
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra("lab", package, "The console")

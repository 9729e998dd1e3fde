"""The three widgets between kernel and page: one on which the page sends, one on which the kernel sends, and what is displayed.

They are apart because ipykernel 7.4 routes a comm's messages to the subshell that last sent on that comm: what the page sends must not
wait behind a cell because the kernel wrote on the same line. `Ears` therefore answers only from inside its own handler, and lets the page
say where its messages go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from IPython.display import display
from ipywidgets import widget_serialization

from patter_nb.console.modules import page_module, style_sheet

__all__ = ["PARTS", "Ears", "KeptView", "Screen", "View"]

PARTS = ("console", "transcript", "chunks", "tools", "latency", "audio", "timeline")
"""The views there are: all of it, or a part."""

_SILENT = "export default {};\n"


class Ears(anywidget.AnyWidget):
    """What the page tells: sound and what its person does, as custom messages."""

    _esm = _SILENT

    def open(self) -> None:
        """Open the comm, whose messages go to the subshell that the page names, as before ipykernel 7.4.

        That release asks the comm first, by this method (ipykernel/comm/comm.py), and it names the one that sent last: the main shell,
        which runs the cells, until the page is answered, and afterwards one that may be gone, with a notebook that was closed; what is
        sent there is lost.
        """
        super().open()
        self.comm._reply_subshell_for = _as_the_page_says


def _as_the_page_says(data: object, default: Any) -> Any:
    return default


class Screen(anywidget.AnyWidget):
    """What the page is told: changes of the picture and sound, as custom messages. `picture` restores a page that was reloaded."""

    _esm = _SILENT
    picture = traitlets.Dict().tag(sync=True)


class View(anywidget.AnyWidget):
    """One part of the console on a page, as often as it is displayed."""

    part = traitlets.Enum(PARTS, "console").tag(sync=True)
    ears = traitlets.Instance(Ears).tag(sync=True, **widget_serialization)
    screen = traitlets.Instance(Screen).tag(sync=True, **widget_serialization)
    keepsake = traitlets.Unicode("").tag(sync=True)

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)

    @traitlets.default("_esm")
    def _joined(self) -> str:
        return page_module()

    @traitlets.default("_css")
    def _styled(self) -> str:
        return style_sheet()

    def __repr__(self) -> str:
        return f"<View {self.part!r}, live in a notebook>"


class KeptView(View):
    """A live part; where it is displayed, what a saved notebook keeps of it lies beside it, hidden while it is live."""

    def __init__(self, keep: Callable[[], None], **traits: Any) -> None:
        super().__init__(**traits)
        self._keep = keep

    def _ipython_display_(self) -> None:
        bundle = self._repr_mimebundle_() or ({}, {})
        display(bundle[0], metadata=bundle[1], raw=True)
        self._keep()

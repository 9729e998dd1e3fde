"""How this kernel delivers what a page sends while a cell runs, which differs by version and by the front end's settings.

Before ipykernel 7 a page's message waits until the cell has ended, though the cell only awaits. From 7.0 JupyterLab sends each widget's
messages to a thread of their own unless its setting commsOverSubshells is "disabled"; from 7.4 they come through while a cell awaits in any
case. What was measured with which version: docs/kernels.md.
"""

from __future__ import annotations

import threading
from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["arrives_while_awaited", "in_words"]

_SUBSHELLS: Final = (7, 0)
_CONCURRENT: Final = (7, 4)


def arrives_while_awaited(handled_by: threading.Thread | None) -> bool:
    """Whether a page's messages come through while a cell awaits. `handled_by` is the thread that handled the newest one, None before."""
    kernel = kernel_version()
    if kernel is None or kernel >= _CONCURRENT:
        return True
    if kernel < _SUBSHELLS:
        return False
    return handled_by is not threading.main_thread()


def kernel_version() -> tuple[int, int] | None:
    """(major, minor) of ipykernel; None where it is not installed."""
    try:
        major, minor, *_ = version("ipykernel").split(".")
    except PackageNotFoundError:
        return None
    return int(major), int(minor)


def in_words(handled_by: threading.Thread | None) -> str:
    """The routing in one line, for a report."""
    kernel = kernel_version()
    if kernel is None:
        return "no ipykernel"
    if handled_by is None:
        return "no message has come from a page yet"
    where = "the main thread" if handled_by is threading.main_thread() else f"a thread of their own ({handled_by.name})"
    while_awaited = "come through" if arrives_while_awaited(handled_by) else "wait"
    return f"messages of the page are handled in {where}; while a cell awaits they {while_awaited}"

"""`%load_ext patter_nb`: a cell whose text is the system prompt. Optional: `session.system_prompt = ...` does the same.

IPython hands itself over, so that nothing of it is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patter_nb.events import AgentChanged

__all__ = ["load", "prompt"]


def load(shell: Any) -> None:
    """Give `shell`, an IPython `InteractiveShell`, the cell magic `%%prompt`."""
    shell.register_magic_function(prompt, magic_kind="cell", magic_name="prompt")


def prompt(line: str, cell: str) -> AgentChanged:
    """`%%prompt [name]`: the cell's text is the system prompt of the session `name` from the next turn on; what changes is shown as a diff.

    Without a name it is the session "main", or the only one. Raises `PatterConfigError` where none is live, or more than one.
    """
    from patter_nb.patter import live_session

    return live_session(line.strip() or None).use(system_prompt=cell.strip())

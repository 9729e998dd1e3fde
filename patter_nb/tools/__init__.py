"""Tools: functions that a language model may call. The executor is in `patter_nb.tools.executor`, loaded by who runs them."""

from patter_nb.tools.tool import Tool, ToolContext, tool

__all__ = ["Tool", "ToolContext", "tool"]

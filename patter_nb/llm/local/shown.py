"""Values in examples that came as plain text: "Is the museum open on Tuesday?" shows a day, though nobody says which word it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from patter_nb.llm.local.candidates import runs_of_words, stems
from patter_nb.llm.local.encoder import Encoder, bare
from patter_nb.llm.local.toolview import Argument, Example, ToolView

__all__ = ["with_values"]

_LONGEST: Final = 3
_LIKE: Final = 0.5
"""Words that are the value are about so like the name of the argument: "Tuesday" and "day" 0.66, "Oslo" and "city" 0.52."""


def with_values(tool: ToolView, encoder: Encoder) -> ToolView:
    """`tool` with the arguments of its plain examples, where it has one argument, a text, and what fills it is like its name."""
    if len(tool.arguments) != 1 or tool.arguments[0].kind != "string" or all(example.arguments is not None for example in tool.examples):
        return tool
    return replace(tool, examples=tuple(_shown(tool, tool.arguments[0], example, encoder) for example in tool.examples))


def _shown(tool: ToolView, argument: Argument, example: Example, encoder: Encoder) -> Example:
    if example.arguments is not None:
        return example
    name, own = encoder.read(argument.spoken).sentence, stems(f"{tool.spoken} {tool.description}")
    runs = [run.value for run in runs_of_words(bare(example.text), _LONGEST) if not stems(run.value) & own]
    likeness = {run: float(encoder.read(run).sentence @ name) for run in runs}
    best = max(likeness, key=lambda run: likeness[run], default="")
    return replace(example, arguments={argument.name: best}) if likeness.get(best, 0.0) >= _LIKE else example

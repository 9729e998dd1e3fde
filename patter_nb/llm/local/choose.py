"""Which tool a request means, if any.

A tool's name, description and examples are read together with the request by a `Judge`, beside the plain evidence of how like they are.
A request that says what an example says, but for its values, means that tool.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from patter_nb.llm.local.encoder import Encoder, Matrix, Reading
from patter_nb.llm.local.evidence import Evidence
from patter_nb.llm.local.judge import Judge
from patter_nb.llm.local.slots import Filled, SlotFiller, value_in
from patter_nb.llm.local.toolview import Example, ToolView

__all__ = ["Choice", "Chooser", "asked", "described"]

_CONSIDERED: Final = 6
_CERTAIN: Final = 100.0
_FOR_COMPLETE: Final = 1.0
"""So much speaks for a tool that could be called at once, against one that would have to ask."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool and how surely the request means it: above 0 more likely than not. `missing` names what it must know and was not told."""

    tool: ToolView
    score: float
    missing: tuple[str, ...]


class Chooser:
    """Finds the tool that a request means."""

    def __init__(self, encoder: Encoder, slots: SlotFiller, judge: Judge) -> None:
        self._encoder = encoder
        self._slots = slots
        self._judge = judge
        self._evidence = Evidence(encoder)
        self._lower: dict[str, Matrix] = {}

    def learn(self, tool: ToolView) -> None:
        """Read ahead what `tool` says of itself."""
        self._evidence.learn(tool)
        self._described(tool)

    def choose(self, request: Reading, text: str, tools: Sequence[ToolView]) -> Choice | None:
        """The tool that `request` means, or None. `text` is how it was said, with the mark at its end."""
        if not len(request.vectors):
            return None
        lower = self._encoder.lower(asked(text))
        likest = sorted(tools, key=lambda tool: -self._evidence.likeness(request, tool))[:_CONSIDERED]
        choices = [self._choice(request, lower, tool) for tool in likest]
        meant = [choice for choice in choices if choice.score > 0]
        return max(meant, key=lambda choice: choice.score + _FOR_COMPLETE * (not choice.missing), default=None)

    def _choice(self, request: Reading, lower: Matrix, tool: ToolView) -> Choice:
        said = self._slots.guess(tool, request)
        if any(_is_said_as(request, tool, said, example) for example in tool.examples):
            return Choice(tool, _CERTAIN, said.missing)
        score = self._judge.score(lower, self._described(tool), self._evidence.of(request, tool, said))
        return Choice(tool, score, said.missing)

    def _described(self, tool: ToolView) -> Matrix:
        text = described(tool)
        if text not in self._lower:
            self._lower[text] = self._encoder.lower(text)
        return self._lower[text]


def asked(text: str) -> str:
    """A request as the judge reads it: no mark at its end but a question's. Whether people and recognisers write others is chance.

    >>> asked("Set a timer."), asked("Any news?")
    ('Set a timer', 'Any news?')
    """
    return text.rstrip(" .!")


def described(tool: ToolView) -> str:
    """All that a tool says of itself, in a row."""
    examples = " . ".join(example.text.rstrip(".") for example in tool.examples)
    return f"{tool.spoken}. {tool.description.rstrip('. ')}. {examples}"


def _is_said_as(request: Reading, tool: ToolView, said: Filled, example: Example) -> bool:
    """Whether `request` has the words of `example` once the values it says give way to those of the example."""
    text = request.text
    for name, candidate in sorted(said.said.items(), key=lambda entry: -entry[1].start):
        argument = next(argument for argument in tool.arguments if argument.name == name)
        if value := value_in(tool, argument, example):
            text = text[: candidate.start] + example.text[value.start : value.end] + text[candidate.end :]
    return _words(text) == _words(example.text)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())

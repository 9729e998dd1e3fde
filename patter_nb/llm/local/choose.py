"""Which tool a request means, if any: by its likeness to what each tool says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from patter_nb.llm.local.encoder import Encoder, Matrix
from patter_nb.llm.local.toolview import ToolView

_LIKE_ENOUGH: Final = 0.45


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool and how surely the request means it, 0.0 to 1.0."""

    tool: ToolView
    score: float


class Chooser:
    """Ranks tools for a request. What a tool says of itself is encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[tuple[str, ...], Matrix] = {}

    def learn(self, tools: Sequence[ToolView]) -> None:
        """Encode the tools' descriptions and examples ahead of the first request."""
        for tool in tools:
            self._sayings(tool)

    def choose(self, request: str, tools: Sequence[ToolView]) -> Choice | None:
        """The tool that is meant, or None."""
        said = self._encoder.read(request).sentence
        best = max((Choice(tool, float(np.max(self._sayings(tool) @ said))) for tool in tools), key=lambda choice: choice.score, default=None)
        return best if best and best.score >= _LIKE_ENOUGH else None

    def _sayings(self, tool: ToolView) -> Matrix:
        texts = tuple(text for text in (tool.spoken, tool.description, *(example.text for example in tool.examples)) if text)
        if texts not in self._known:
            self._known[texts] = np.stack([self._encoder.read(text).sentence for text in texts])
        return self._known[texts]

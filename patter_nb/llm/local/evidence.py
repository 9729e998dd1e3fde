"""How like a request is to what a tool says of itself, in a few numbers: what the judge is told beside the texts."""

from __future__ import annotations

from typing import Final

import numpy as np

from patter_nb.llm.local.encoder import Encoder, Matrix, Reading
from patter_nb.llm.local.slots import Filled
from patter_nb.llm.local.toolview import ToolView

__all__ = ["COUNT", "Evidence"]

COUNT: Final = 11


class Evidence:
    """Compares requests with tools. What tools say of themselves is read once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def learn(self, tool: ToolView) -> None:
        """Read ahead what `tool` says of itself."""
        for text in _sayings(tool):
            self._encoder.known(text)

    def likeness(self, request: Reading, tool: ToolView) -> float:
        """How like `request` is to the likest thing that `tool` says of itself, -1.0 to 1.0."""
        return max(float(self._encoder.known(text).sentence @ request.sentence) for text in _sayings(tool))

    def of(self, request: Reading, tool: ToolView, said: Filled) -> Matrix:
        """`COUNT` numbers. `request` has at least one word; `said` is what it says for the tool's arguments."""
        texts = [self._encoder.known(text) for text in _sayings(tool)]
        examples = [self._encoder.known(example.text) for example in tool.examples] or texts
        likeness = [float(request.sentence @ example.sentence) for example in examples]
        words = [request.vectors @ example.vectors.T for example in examples]
        required = sum(argument.required for argument in tool.arguments)
        numbers = [
            max(likeness),
            float(np.mean(likeness)),
            float(request.sentence @ texts[-1].sentence),
            float(request.sentence @ texts[0].sentence),
            float(required == 0),
            min(required, 3) / 3,
            float(np.clip(said.score, -3, 3)) / 3,
            float(np.max([similar.max(axis=1).mean() for similar in words])),
            float(np.max([similar.max(axis=0).mean() for similar in words])),
            float((texts[-1].vectors @ request.vectors.T).max(axis=1).mean()),
            float(np.max([similar[0, 0] for similar in words])),
        ]
        return np.array(numbers, np.float32)


def _sayings(tool: ToolView) -> list[str]:
    """What `tool` says of itself: its name first, its description last."""
    return [tool.spoken, *(example.text for example in tool.examples), tool.description or tool.spoken]
